//! Facts that nodes promised to hold, until a dump lacks them or a restore withdraws them.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::Findings;
use crate::history::{Event, Extent, Place};
use crate::id::FactId;
use crate::world::{Moment, NodeId, Observation, World};

/// What was promised: a fact, at its place if that is known.
type Promised = (FactId, Option<Place>);

/// The promises of all nodes that one rule is about.
#[derive(Debug, Default)]
pub(super) struct Promises {
    made: BTreeMap<NodeId, BTreeMap<Promised, Moment>>,
    /// What of it the dump of a node that is being read has shown.
    shown: BTreeMap<NodeId, BTreeSet<Promised>>,
}

impl Promises {
    pub(super) fn make(&mut self, node: NodeId, id: FactId, place: Option<Place>, when: Moment) {
        let made = self.made.entry(node).or_default();
        made.entry((id, place)).or_insert(when);
    }

    /// Follows dumps and restores; `verb` is what the node did when it promised.
    pub(super) fn observe(
        &mut self,
        world: &World,
        seen: &Observation<'_>,
        found: &mut Findings,
        verb: &str,
    ) {
        match seen {
            Observation::Row(row) => {
                if let Some(Ok(fact)) = row.read {
                    let made = self.made.get(&row.node);
                    let keys = [(fact.id, Some(row.place)), (fact.id, None)];
                    let promised = keys
                        .into_iter()
                        .filter(|key| made.is_some_and(|made| made.contains_key(key)));
                    self.shown.entry(row.node).or_default().extend(promised);
                }
            }
            Observation::Dumped(node, _) => self.settle(world, *node, found, verb),
            Observation::Event(Some(node), Event::Restored { taken_at, logs, .. }) => {
                self.withdraw(world, *node, (*taken_at, logs), found, verb)
            }
            _ => {}
        }
    }

    /// Everything promised was shown.
    fn settle(&mut self, world: &World, node: NodeId, found: &mut Findings, verb: &str) {
        let shown = self.shown.remove(&node).unwrap_or_default();
        let Some(made) = self.made.get_mut(&node) else {
            return;
        };
        let missing: Vec<_> = made
            .iter()
            .filter(|(promised, _)| !shown.contains(promised))
            .map(|(promised, when)| (*promised, *when))
            .collect();
        let Some(lost) = told(world, node, verb, &missing) else {
            return;
        };
        let sentence = format!("{lost}, but its dump {} lacks it", world.now);
        found.add(world, &[node], sentence);
        // Told once: what is gone is gone in each later dump.
        made.retain(|promised, _| shown.contains(promised));
    }

    fn withdraw(
        &mut self,
        world: &World,
        node: NodeId,
        (taken_at, logs): (u64, &[Extent]),
        found: &mut Findings,
        verb: &str,
    ) {
        let Some(made) = self.made.get_mut(&node) else {
            return;
        };
        let has = |place: &Place| {
            let extent = logs.iter().find(|extent| extent.log == place.log);
            extent.is_some_and(|extent| extent.has(place.position))
        };
        let mut missing = Vec::new();
        made.retain(|(id, place), when| match place {
            Some(place) if has(place) => true,
            Some(place) if when.at < taken_at => {
                missing.push(((*id, Some(*place)), *when));
                false
            }
            Some(_) => false,
            None => when.at < taken_at,
        });
        if let Some(lost) = told(world, node, verb, &missing) {
            let sentence = format!(
                "{lost}, but the backup begun at {taken_at} ms, which it got {}, lacks it",
                world.now
            );
            found.add(world, &[node], sentence);
        }
    }
}

/// The beginning of the sentence about the earliest of the promises that were broken.
fn told(world: &World, node: NodeId, verb: &str, missing: &[(Promised, Moment)]) -> Option<String> {
    let ((id, place), when) = missing.iter().min_by_key(|(_, when)| *when)?;
    let place = place
        .map(|place| format!(" at {place}"))
        .unwrap_or_default();
    let others = match missing.len() - 1 {
        0 => String::new(),
        others => format!(", and {others} others"),
    };
    let name = world.name(node);
    Some(format!("{name} {verb} fact {id}{place} {when}{others}"))
}
