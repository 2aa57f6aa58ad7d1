//! After everything healed, nobody lacks what another holds, may show it, and it takes.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::disclosed::Mask;
use crate::findings::Findings;
use crate::history::{Event, Mode, Place};
use crate::id::{FactId, LogId};
use crate::policy::{Gift, InForce, Reading};
use crate::world::{NodeId, Observation, World};

/// What a node holds of a log: facts, and which fields of each.
type Facts = BTreeMap<u64, (FactId, Mask)>;

#[derive(Debug, Default)]
pub(super) struct EntitledIsHeld {
    /// What each node holds in the end.
    held: BTreeMap<NodeId, BTreeMap<LogId, Facts>>,
    /// What the dump of a node that is being read has shown.
    shown: BTreeMap<NodeId, BTreeMap<LogId, Facts>>,
    stopped: BTreeSet<(NodeId, LogId)>,
}

impl Rule for EntitledIsHeld {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        if world.header.mode == Mode::Safety {
            return;
        }
        match seen {
            Observation::Event(Some(node), Event::LaneStopped { log, .. }) => {
                self.stopped.insert((*node, *log));
            }
            Observation::Row(row) => {
                if let (Some(Ok(fact)), Some(mask)) = (row.read, row.mask) {
                    let Place { log, position } = row.place;
                    let shown = self.shown.entry(row.node).or_default();
                    let log = shown.entry(log).or_default();
                    log.insert(position, (fact.id, mask));
                }
            }
            Observation::Dumped(node, is_final) => {
                let shown = self.shown.remove(node).unwrap_or_default();
                if *is_final {
                    self.held.insert(*node, shown);
                }
            }
            Observation::End => self.check(world, found),
            _ => {}
        }
    }
}

impl EntitledIsHeld {
    fn check(&self, world: &World, found: &mut Findings) {
        let healed = world.healed_at().unwrap_or_default();
        for to in world.present() {
            for from in world.present().filter(|from| *from != to) {
                let (taker, giver) = (world.domain(to), world.domain(from));
                let out = world.in_force(from, taker, healed, Reading::Strict);
                let taken = world.in_force(to, giver, healed, Reading::Strict);
                for (log, facts) in self.held.get(&from).into_iter().flatten() {
                    let is_forked = world.is_split(log) && world.is_noticed(log);
                    if taker != giver && !is_forked && !self.stopped.contains(&(to, *log)) {
                        self.check_log(world, [from, to], (log, facts), [&out, &taken], found);
                    }
                }
            }
        }
    }

    fn check_log(
        &self,
        world: &World,
        [from, to]: [NodeId; 2],
        (log, facts): (&LogId, &Facts),
        [out, taken]: [&[InForce<'_>]; 2],
        found: &mut Findings,
    ) {
        let mine = self.held.get(&to).and_then(|logs| logs.get(log));
        let domains = [from, to].map(|node| world.domain(node));
        let lacks = |(position, (id, has)): (&u64, &(FactId, Mask))| {
            let place = Place {
                log: *log,
                position: *position,
            };
            let fact = world.fact(&place, id)?;
            let gift = Gift {
                compartment: log.compartment,
                fact,
                is_passed_on: !domains.contains(&log.origin),
            };
            let shown = all(out, |rules| rules.shows(&gift, *has))?;
            all(taken, |rules| rules.takes(&gift, shown).then_some(shown))?;
            let held = mine.and_then(|facts| facts.get(position));
            let held = held.filter(|(mine, _)| mine == id);
            let missing = held.map(|(_, mask)| shown & !mask);
            let what = match missing {
                Some(0) => return None,
                None => String::new(),
                Some(missing) => format!("the fields {} of ", fact.names(missing).join(", ")),
            };
            Some(format!("{what}fact {id} at {place}"))
        };
        let mut lacking = facts.iter().filter_map(lacks);
        let Some(first) = lacking.next() else { return };
        let (name, source) = (world.name(to), world.name(from));
        let others = match lacking.count() {
            0 => String::new(),
            count => format!(", and of {count} others"),
        };
        let sentence = format!(
            "at the end {name} lacks {first}{others}: {source} holds that, and since everything healed its rules let {name} have it, and those of {name} take it"
        );
        found.add(world, &[from, to], sentence);
    }
}

/// What all rules let through, those that were in force a while only too; none if there are none.
fn all(rules: &[InForce<'_>], through: impl Fn(&InForce<'_>) -> Option<Mask>) -> Option<Mask> {
    let mut rules = rules.iter();
    let first = through(rules.next()?)?;
    rules.try_fold(first, |all, rules| Some(all & through(rules)?))
}
