//! No fork goes unnoticed where it can be noticed.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::branches::Spot;
use crate::findings::Findings;
use crate::history::{Event, Mode};
use crate::id::{CompartmentId, LogId};
use crate::world::{NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct ForkIsNoticed {
    /// The forks that two nodes that are meeting will notice.
    meetings: BTreeMap<(NodeId, NodeId), Vec<(LogId, Spot)>>,
    told: BTreeSet<LogId>,
}

impl Rule for ForkIsNoticed {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(Some(node), Event::Meets { peer, compartments }) => {
                if let Some(peer) = world.node(peer) {
                    let forks = forks(world, *node, peer, compartments);
                    self.meetings.insert((*node, peer), forks);
                }
            }
            Observation::Event(Some(node), Event::Met { peer }) => {
                let peer = world.node(peer).unwrap_or(*node);
                for (log, spot) in self.meetings.remove(&(*node, peer)).unwrap_or_default() {
                    self.check(world, [*node, peer], &log, (spot, "have met since"), found);
                }
            }
            Observation::End if world.header.mode == Mode::Liveness => self.check_all(world, found),
            _ => {}
        }
    }
}

impl ForkIsNoticed {
    fn check_all(&mut self, world: &World, found: &mut Findings) {
        let present: Vec<_> = world.present().collect();
        for log in world.logs() {
            let pairs = present
                .iter()
                .flat_map(|a| present.iter().map(move |b| (*a, *b)));
            let mut forks =
                pairs.filter_map(|(a, b)| world.differ(a, b, log).map(|spot| (a, b, spot)));
            if let Some((a, b, spot)) = forks.next() {
                self.check(world, [a, b], log, (spot, "end so"), found);
            }
        }
    }

    fn check(
        &mut self,
        world: &World,
        [a, b]: [NodeId; 2],
        log: &LogId,
        (spot, when): (Spot, &str),
        found: &mut Findings,
    ) {
        if world.is_noticed(log) || !self.told.insert(*log) {
            return;
        }
        let sentence = format!(
            "{} and {} hold different histories of log {log} from {spot} on, they {when}, and nobody has noticed {}",
            world.name(a),
            world.name(b),
            world.now
        );
        found.add(world, &[a, b], sentence);
    }
}

fn forks(
    world: &World,
    node: NodeId,
    peer: NodeId,
    compartments: &[CompartmentId],
) -> Vec<(LogId, Spot)> {
    world
        .logs()
        .filter(|log| compartments.contains(&log.compartment))
        .filter_map(|log| Some((*log, world.differ(node, peer, log)?)))
        .collect()
}
