//! What a node has said is durable never disappears, but by a restore.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::dump::HeldLog;
use crate::findings::Findings;
use crate::history::{Event, Extent};
use crate::id::{LogId, TreeHash};
use crate::world::{Moment, NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct ReceivedIsKept {
    claims: BTreeMap<NodeId, BTreeMap<LogId, Claims>>,
    /// The logs that the dump of a node that is being read has shown.
    shown: BTreeMap<NodeId, BTreeSet<LogId>>,
    /// The roots that it has shown, of the sizes that somebody has said.
    roots: BTreeMap<NodeId, BTreeMap<u64, TreeHash>>,
}

/// What a node has said of a log.
#[derive(Debug, Clone, Copy, Default)]
struct Claims {
    /// The largest size, and when it was said first.
    size: (u64, Moment),
    /// The largest one that was said with a root.
    rooted: Option<(u64, TreeHash, Moment)>,
}

impl Claims {
    fn add(&mut self, size: u64, root: Option<TreeHash>, when: Moment) {
        if size > self.size.0 {
            self.size = (size, when);
        }
        let is_larger = self.rooted.is_none_or(|(known, ..)| known < size);
        if let Some(root) = root.filter(|_| is_larger) {
            self.rooted = Some((size, root, when));
        }
    }
}

impl Rule for ReceivedIsKept {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(
                Some(node),
                Event::Durable {
                    log, size, root, ..
                },
            ) => self.claims(*node, *log).add(*size, *root, world.now),
            Observation::Event(Some(node), Event::Restored { taken_at, logs, .. }) => {
                self.set_back(world, *node, (*taken_at, logs), found)
            }
            Observation::Row(row) => {
                if let Some((size, root)) = row.root_behind {
                    self.roots.entry(row.node).or_default().insert(size, root);
                }
            }
            Observation::Log(held) => self.check(world, held, found),
            Observation::Dumped(node, _) => self.check_absent(world, *node, found),
            _ => {}
        }
    }
}

impl ReceivedIsKept {
    fn claims(&mut self, node: NodeId, log: LogId) -> &mut Claims {
        let claims = self.claims.entry(node).or_default();
        claims.entry(log).or_default()
    }

    fn check(&mut self, world: &World, held: &HeldLog, found: &mut Findings) {
        let node = held.node;
        self.shown.entry(node).or_default().insert(held.log);
        let roots = self.roots.remove(&node).unwrap_or_default();
        let claims = *self.claims(node, held.log);
        let (name, log, now) = (world.name(node), held.log.short(), world.now);
        let (size, when) = claims.size;
        if held.size < size {
            let sentence = format!(
                "{name} said {when} that {size} positions of {log} are durable, but its dump {now} has {}",
                held.size
            );
            found.add(world, &[node], sentence);
        }
        if let Some((size, said, when)) = claims.rooted
            && let Some(root) = roots.get(&size).filter(|root| **root != said)
        {
            let sentence = format!(
                "{name} said {when} that {log} has the root {said} at size {size}, but its dump {now} has {root} there"
            );
            found.add(world, &[node], sentence);
        }
        // From here on the node is measured by what it shows.
        let claims = self.claims(node, held.log);
        *claims = Claims::default();
        claims.add(held.size, held.root, now);
    }

    fn check_absent(&mut self, world: &World, node: NodeId, found: &mut Findings) {
        let shown = self.shown.remove(&node).unwrap_or_default();
        let Some(claims) = self.claims.get_mut(&node) else {
            return;
        };
        for (log, known) in claims.iter().filter(|(log, _)| !shown.contains(log)) {
            let (size, when) = known.size;
            if size > 0 {
                let sentence = format!(
                    "{} said {when} that {size} positions of {} are durable, but its dump {} has nothing of that log",
                    world.name(node),
                    log.short(),
                    world.now
                );
                found.add(world, &[node], sentence);
            }
        }
        claims.retain(|log, _| shown.contains(log));
    }

    fn set_back(
        &mut self,
        world: &World,
        node: NodeId,
        (taken_at, logs): (u64, &[Extent]),
        found: &mut Findings,
    ) {
        let Some(claims) = self.claims.get_mut(&node) else {
            return;
        };
        for (log, known) in claims {
            let extent = logs.iter().find(|extent| extent.log == *log);
            let has = extent.map_or(0, |extent| extent.size);
            let (size, when) = known.size;
            if has < size && when.at < taken_at {
                let sentence = format!(
                    "{} said {when} that {size} positions of {} are durable, but the backup begun at {taken_at} ms, which it got {}, has {has}",
                    world.name(node),
                    log.short(),
                    world.now
                );
                found.add(world, &[node], sentence);
            }
            known.size.0 = size.min(has);
            known.rooted = known.rooted.filter(|(size, ..)| *size <= has);
        }
    }
}
