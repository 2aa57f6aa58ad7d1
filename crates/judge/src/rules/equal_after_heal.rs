//! After everything healed, nodes that may have the same logs hold the same.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::findings::Findings;
use crate::history::{Event, Mode};
use crate::id::{LogId, TreeHash};
use crate::world::{NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct EqualAfterHeal {
    /// What each node holds in the end of each log.
    held: BTreeMap<LogId, BTreeMap<NodeId, Held>>,
    /// What the dump of a node that is being read has shown.
    shown: BTreeMap<NodeId, BTreeMap<LogId, Held>>,
    stopped: BTreeSet<(NodeId, LogId)>,
}

/// What has to be equal. A root is none where there is no tree, which is never equal to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    size: u64,
    root: Option<TreeHash>,
    ids_digest: [u8; 32],
}

impl Rule for EqualAfterHeal {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        match seen {
            Observation::Event(Some(node), Event::LaneStopped { log, .. }) => {
                self.stopped.insert((*node, *log));
            }
            Observation::Log(held) => {
                let now = Held {
                    size: held.size,
                    root: held.root,
                    ids_digest: held.ids_digest,
                };
                let shown = self.shown.entry(held.node).or_default();
                shown.insert(held.log, now);
            }
            Observation::Dumped(node, is_final) => {
                let shown = self.shown.remove(node).unwrap_or_default();
                for (log, held) in shown.into_iter().filter(|_| *is_final) {
                    self.held.entry(log).or_default().insert(*node, held);
                }
            }
            Observation::End if world.header.mode == Mode::Liveness => {
                for (log, nodes) in &self.held {
                    self.check(world, log, nodes, found);
                }
            }
            _ => {}
        }
    }
}

impl EqualAfterHeal {
    fn check(
        &self,
        world: &World,
        log: &LogId,
        nodes: &BTreeMap<NodeId, Held>,
        found: &mut Findings,
    ) {
        if world.is_split(log) && world.is_noticed(log) {
            return;
        }
        let entitled = world
            .present()
            .filter(|node| world.is_entitled(*node, log))
            .filter(|node| !self.stopped.contains(&(*node, *log)));
        let held: Vec<_> = entitled.map(|node| (node, nodes.get(&node))).collect();
        let size = |held: Option<&Held>| held.map_or(0, |held| held.size);
        let most = held.iter().max_by_key(|(_, held)| size(*held)).copied();
        let Some((node, most)) = most else { return };
        let is_other = |(_, held): &&(NodeId, Option<&Held>)| {
            let same = *held == most && most.is_some_and(|most| most.root.is_some());
            !same && size(most) + size(*held) > 0
        };
        let Some((other, least)) = held.iter().filter(|(of, _)| *of != node).find(is_other) else {
            return;
        };
        let shown = |node: NodeId, held: Option<&Held>| match held {
            Some(Held {
                size,
                root: Some(root),
                ..
            }) => format!(
                "{} holds {size} positions with root {root}",
                world.name(node)
            ),
            Some(held) => format!("{} holds {} positions", world.name(node), held.size),
            None => format!("{} holds nothing", world.name(node)),
        };
        let sentence = format!(
            "at the end of log {log} {}, but {}",
            shown(node, most),
            shown(*other, *least)
        );
        found.add(world, &[node, *other], sentence);
    }
}
