//! A lane that was rolled back is stopped at first contact with who has more of it, and nothing is written to it again.

use std::collections::BTreeMap;

use super::Rule;
use crate::findings::Findings;
use crate::history::{Event, Extent, Mode, Place};
use crate::id::{CompartmentId, FactId, LogId};
use crate::world::{Moment, NodeId, Observation, World};

/// A lane of a node.
type Lane = (NodeId, LogId);

#[derive(Debug, Default)]
pub(super) struct StoppedLaneStays {
    stopped: BTreeMap<Lane, Moment>,
    rolled_back: BTreeMap<Lane, RolledBack>,
    /// The lanes that a node has to have stopped when a meeting is over.
    meetings: BTreeMap<(NodeId, NodeId), Vec<LogId>>,
    /// When a request was made.
    asked: BTreeMap<(NodeId, u64), Moment>,
    /// Facts that a node was asked for when some lane of it was stopped, without a place as yet.
    late: BTreeMap<(NodeId, FactId), Moment>,
}

#[derive(Debug)]
struct RolledBack {
    when: Moment,
    size: u64,
    /// Who had more, and how much.
    ahead: BTreeMap<NodeId, u64>,
}

impl Rule for StoppedLaneStays {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(Some(node), event) => self.event(world, *node, event, found),
            Observation::Row(row) => {
                if let Some(Ok(fact)) = row.read
                    && let Some(asked) = self.late.get(&(row.node, fact.id)).copied()
                {
                    self.check_fact(world, row.node, (fact.id, row.place), asked, found);
                }
            }
            Observation::End if world.header.mode == Mode::Liveness => self.check_all(world, found),
            _ => {}
        }
    }
}

impl StoppedLaneStays {
    fn event(&mut self, world: &World, node: NodeId, event: &Event, found: &mut Findings) {
        match event {
            Event::Restored {
                marked,
                taken_at,
                logs,
            } => self.restored(world, node, (*taken_at, *marked, logs)),
            Event::LaneStopped { log, .. } => {
                let stopped = self.stopped.entry((node, *log));
                stopped.or_insert(world.now);
            }
            Event::Meets { peer, compartments } => {
                if let Some(peer) = world.node(peer) {
                    let due = self.due(world, node, peer, compartments);
                    self.meetings.insert((node, peer), due);
                }
            }
            Event::Met { peer } => {
                let peer = world.node(peer).unwrap_or(node);
                for log in self.meetings.remove(&(node, peer)).unwrap_or_default() {
                    self.check_stopped(world, node, (log, peer, "has met"), found);
                }
            }
            Event::Appended { request, .. } => {
                self.asked.insert((node, *request), world.now);
            }
            Event::Acknowledged { request, facts } => {
                let Some(asked) = self.asked.remove(&(node, *request)) else {
                    return;
                };
                for fact in facts {
                    match fact.place {
                        Some(place) => {
                            self.check_fact(world, node, (fact.id, place), asked, found);
                        }
                        None if self.stopped.keys().any(|(of, _)| *of == node) => {
                            self.late.entry((node, fact.id)).or_insert(asked);
                        }
                        None => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn restored(
        &mut self,
        world: &World,
        node: NodeId,
        (taken_at, marked, logs): (u64, bool, &[Extent]),
    ) {
        // What the node had stopped since the backup it does not know any more.
        self.stopped
            .retain(|(of, _), when| *of != node || when.at < taken_at);
        self.rolled_back.retain(|(of, _), _| *of != node);
        for log in world.logs().filter(|log| world.writes(node, log)) {
            if marked {
                self.stopped.entry((node, *log)).or_insert(world.now);
            }
            let extent = logs.iter().find(|extent| extent.log == *log);
            let size = extent.map_or(0, |extent| extent.size);
            let ahead: BTreeMap<_, _> = world
                .present()
                .filter(|peer| *peer != node)
                .map(|peer| (peer, world.size_at(peer, log)))
                .filter(|(_, has)| *has > size)
                .collect();
            // A store that knows nothing of a lane draws another one: it has nothing to give up.
            if size > 0 && !ahead.is_empty() {
                let rolled_back = RolledBack {
                    when: world.now,
                    size,
                    ahead,
                };
                self.rolled_back.insert((node, *log), rolled_back);
            }
        }
    }

    /// The lanes of `node` of which `peer` has had more all the time since they were rolled back.
    fn due(
        &self,
        world: &World,
        node: NodeId,
        peer: NodeId,
        compartments: &[CompartmentId],
    ) -> Vec<LogId> {
        let of_node = self.rolled_back.iter().filter(|((of, _), _)| *of == node);
        let shared = of_node.filter(|((_, log), _)| compartments.contains(&log.compartment));
        let due = shared.filter(|((_, log), rolled_back)| is_ahead(world, rolled_back, log, peer));
        due.map(|((_, log), _)| *log).collect()
    }

    fn check_all(&self, world: &World, found: &mut Findings) {
        for ((node, log), rolled_back) in &self.rolled_back {
            let mut ahead = rolled_back.ahead.keys().copied();
            let peer = ahead.find(|peer| is_ahead(world, rolled_back, log, *peer));
            if let Some(peer) = peer.filter(|_| !world.has_left(*node)) {
                self.check_stopped(world, *node, (*log, peer, "ends beside"), found);
            }
        }
    }

    fn check_stopped(
        &self,
        world: &World,
        node: NodeId,
        (log, peer, contact): (LogId, NodeId, &str),
        found: &mut Findings,
    ) {
        let Some(rolled_back) = self.rolled_back.get(&(node, log)) else {
            return;
        };
        if self.stopped.contains_key(&(node, log)) {
            return;
        }
        let (name, peer_name) = (world.name(node), world.name(peer));
        let sentence = format!(
            "the restore {} set {name} back to {} positions of its lane {log}, {name} {contact} {peer_name}, which has {}, and has not given up the lane {}",
            rolled_back.when,
            rolled_back.size,
            world.size_at(peer, &log),
            world.now
        );
        found.add(world, &[node, peer], sentence);
    }

    /// A fact that was asked for after its lane was stopped, unless it has stood there before.
    fn check_fact(
        &self,
        world: &World,
        node: NodeId,
        (id, place): (FactId, Place),
        asked: Moment,
        found: &mut Findings,
    ) {
        let Some(stopped) = self.stopped.get(&(node, place.log)) else {
            return;
        };
        let is_old = world
            .first_shown(&place, &id)
            .is_some_and(|first| first < *stopped);
        if asked < *stopped || is_old {
            return;
        }
        let sentence = format!(
            "{} gave up its lane {} {stopped}, was asked {asked}, and wrote fact {id} to it, at position {}",
            world.name(node),
            place.log,
            place.position
        );
        found.add(world, &[node], sentence);
    }
}

fn is_ahead(world: &World, rolled_back: &RolledBack, log: &LogId, peer: NodeId) -> bool {
    // Who was set back itself since may have got there again with what was written after the restore.
    let had = rolled_back.ahead.get(&peer);
    had.is_some_and(|had| !world.has_left(peer) && world.size_at(peer, log) >= *had)
}
