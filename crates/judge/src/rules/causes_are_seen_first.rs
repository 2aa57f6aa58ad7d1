//! A reader sees no fact before those that it requires.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::disclosed::Disclosed;
use crate::findings::Findings;
use crate::history::{Event, Place, Seen};
use crate::id::FactId;
use crate::policy::{Gift, Reading};
use crate::world::{Moment, NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct CausesAreSeenFirst {
    /// What readers of each node have seen.
    seen: BTreeSet<(NodeId, FactId)>,
    /// Causes that they had not seen when they saw an effect: which one, and when.
    missed: BTreeMap<(NodeId, FactId), (FactId, Moment)>,
    /// Causes that they saw later, and where.
    late: Vec<Late>,
}

#[derive(Debug)]
struct Late {
    node: NodeId,
    effect: FactId,
    when: Moment,
    cause: Place,
}

impl Rule for CausesAreSeenFirst {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(Some(node), Event::Seen { facts }) => self.read(world, *node, facts),
            // What rules withheld is known when all was shown.
            Observation::End => {
                for late in &self.late {
                    late.check(world, found);
                }
            }
            _ => {}
        }
    }
}

impl CausesAreSeenFirst {
    fn read(&mut self, world: &World, node: NodeId, facts: &[Seen]) {
        // What one query returned was seen at once.
        let new = facts
            .iter()
            .filter(|fact| self.seen.insert((node, fact.id)));
        for fact in new.collect::<Vec<_>>() {
            if let Some((effect, when)) = self.missed.remove(&(node, fact.id)) {
                self.late.push(Late {
                    node,
                    effect,
                    when,
                    cause: fact.place,
                });
            }
            let Ok(disclosed) = Disclosed::read(&fact.row.0) else {
                continue;
            };
            for cause in disclosed.requires {
                if !self.seen.contains(&(node, cause)) {
                    let missed = self.missed.entry((node, cause));
                    missed.or_insert((fact.id, world.now));
                }
            }
        }
    }
}

impl Late {
    fn check(&self, world: &World, found: &mut Findings) {
        if !self.may_have_stayed_away(world) {
            let sentence = format!(
                "{} showed fact {} {}, and one that it requires later, at {}",
                world.name(self.node),
                self.effect.short(),
                self.when,
                self.cause
            );
            found.add(world, &[self.node], sentence);
        }
    }

    /// Whether the rules of the origin may have kept the cause from the node by then, or its own may have declined it.
    fn may_have_stayed_away(&self, world: &World) -> bool {
        let (own, at) = (world.domain(self.node), self.when.at);
        let log = self.cause.log;
        // An origin that was set back may hold no more of what it had said than others gave it back.
        if world.writer_was_restored(&log) {
            return true;
        }
        world.facts_at(self.cause).any(|fact| {
            world.nodes().any(|giver| {
                let domain = world.domain(giver);
                let gift = Gift {
                    compartment: log.compartment,
                    fact,
                    is_passed_on: ![own, domain].contains(&log.origin),
                };
                let out = world.in_force(giver, own, 0, Reading::Strict);
                let mut out = out.iter().filter(|out| out.from <= at);
                let taken = world.in_force(self.node, domain, 0, Reading::Strict);
                let mut taken = taken.iter().filter(|taken| taken.from <= at);
                let is_withheld =
                    domain == log.origin && out.any(|out| out.shows(&gift, fact.all()).is_none());
                is_withheld || (domain != own && taken.any(|taken| taken.declines(&gift)))
            })
        })
    }
}
