//! Nothing is held that nobody was permitted to give.

use std::collections::BTreeMap;

use super::Rule;
use crate::disclosed::{Disclosed, Mask};
use crate::findings::Findings;
use crate::history::{Event, Place};
use crate::id::{FactId, LogId};
use crate::policy::{Gift, InForce, Reading};
use crate::world::{NodeId, Observation, World};

#[derive(Debug, Default)]
pub(super) struct HeldIsPermitted {
    /// When a request was made.
    asked: BTreeMap<(NodeId, u64), u64>,
    /// Before that nobody had the fact.
    appended: BTreeMap<FactId, u64>,
    /// What nodes have shown of facts, and when first.
    facts: BTreeMap<(Place, FactId), BTreeMap<NodeId, Known>>,
    /// When a node first showed that it knows of a log.
    logs: BTreeMap<LogId, BTreeMap<NodeId, Known>>,
}

impl Rule for HeldIsPermitted {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        let now = world.now.at;
        match seen {
            Observation::Event(Some(node), Event::Appended { request, .. }) => {
                self.asked.insert((*node, *request), now);
            }
            Observation::Event(Some(node), Event::Acknowledged { request, facts }) => {
                let asked = self.asked.remove(&(*node, *request));
                for fact in facts {
                    let first = self.appended.entry(fact.id);
                    first.or_insert(asked.unwrap_or_default());
                }
            }
            Observation::Row(row) => {
                if let (Some(Ok(fact)), Some(mask)) = (row.read, row.mask) {
                    self.shows(row.node, (row.place, fact.id), now, mask);
                }
            }
            Observation::Read(node, row) => {
                if let (Ok(fact), Some(mask)) = (row.read, row.mask) {
                    self.shows(*node, (row.place, fact.id), now, mask);
                }
            }
            Observation::Log(held) => {
                let log = self.logs.entry(held.log).or_default();
                log.entry(held.node).or_default().learn(now, 0);
            }
            Observation::End => self.check(world, found),
            _ => {}
        }
    }
}

impl HeldIsPermitted {
    fn shows(&mut self, node: NodeId, fact: (Place, FactId), now: u64, mask: Mask) {
        let fact = self.facts.entry(fact).or_default();
        fact.entry(node).or_default().learn(now, mask);
    }

    /// When somebody was asked for the first fact of a log, as far as that is known.
    fn began(&self, log: &LogId) -> u64 {
        let first = Place {
            log: *log,
            position: 0,
        };
        let [least, most] = [0, u8::MAX].map(|byte| FactId([byte; 32]));
        let facts = self.facts.range((first, least)..=(first, most));
        let asked = facts.map(|((_, id), _)| self.appended.get(id).copied());
        asked
            .map(Option::unwrap_or_default)
            .min()
            .unwrap_or_default()
    }

    fn check(&self, world: &World, found: &mut Findings) {
        let ways = ways(world);
        for (log, nodes) in &self.logs {
            let compartment = log.compartment;
            let permitted = spread(
                &ways,
                origins(world, log, self.began(log), 0),
                |_, out, _| out.shows_logs(compartment).then_some(0),
                |_, taken, _| taken.takes_logs(compartment),
            );
            for (node, shown) in nodes {
                if let Some((when, _)) = shown.exceeds(permitted.get(node)) {
                    let sentence = format!(
                        "{} knows of log {log} at {when} ms, and by no rules in force until then could anybody have told it",
                        world.name(*node)
                    );
                    found.add(world, &[*node], sentence);
                }
            }
        }
        for ((place, id), nodes) in &self.facts {
            let Some(fact) = world.fact(place, id) else {
                continue;
            };
            let gift = |way: &Way<'_>| Gift {
                compartment: place.log.compartment,
                fact,
                is_passed_on: !way.is_at(world, &place.log),
            };
            let since = self.appended.get(id).copied().unwrap_or_default();
            let permitted = spread(
                &ways,
                origins(world, &place.log, since, fact.all()),
                |way, out, mask| out.shows(&gift(way), mask),
                |way, taken, mask| taken.takes(&gift(way), mask),
            );
            for (node, shown) in nodes {
                if let Some((when, excess)) = shown.exceeds(permitted.get(node)) {
                    let what = told(fact, excess);
                    let sentence = format!(
                        "{} holds {what}fact {id} at {place} at {when} ms, and by no rules in force until then could anybody have given it that",
                        world.name(*node)
                    );
                    found.add(world, &[*node], sentence);
                }
            }
        }
    }
}

/// Which part of a fact: fields, or all of it.
fn told(fact: &Disclosed, excess: Option<Mask>) -> String {
    let names = excess.map(|mask| fact.names(mask)).unwrap_or_default();
    match names.as_slice() {
        [] => String::new(),
        names => format!("the fields {} of ", names.join(", ")),
    }
}

/// From one node to another.
struct Way<'w> {
    from: NodeId,
    to: NodeId,
    /// Between nodes of one domain, which share in another way.
    is_inside: bool,
    out: Vec<InForce<'w>>,
    taken: Vec<InForce<'w>>,
}

impl Way<'_> {
    /// Whether it begins or ends at the origin of a log.
    fn is_at(&self, world: &World, log: &LogId) -> bool {
        [self.from, self.to]
            .map(|node| world.domain(node))
            .contains(&log.origin)
    }
}

fn ways(world: &World) -> Vec<Way<'_>> {
    let pairs = world
        .nodes()
        .flat_map(|from| world.nodes().map(move |to| (from, to)));
    let pairs = pairs.filter(|(from, to)| from != to);
    let way = |(from, to)| Way {
        from,
        to,
        is_inside: world.domain(from) == world.domain(to),
        out: world.in_force(from, world.domain(to), 0, Reading::Lenient),
        taken: world.in_force(to, world.domain(from), 0, Reading::Lenient),
    };
    pairs.map(way).collect()
}

/// The nodes of the origin may have all of it, from a moment on.
fn origins(world: &World, log: &LogId, since: u64, all: Mask) -> BTreeMap<NodeId, Known> {
    let nodes = world
        .nodes()
        .filter(|node| world.domain(*node) == log.origin);
    nodes
        .map(|node| (node, Known(vec![(since, all)])))
        .collect()
}

/// What everybody may have come to know, and when at the earliest: the least that contains the start and whatever somebody
/// who knew it could show by rules then in force, to somebody whose rules took it then or later.
fn spread(
    ways: &[Way<'_>],
    start: BTreeMap<NodeId, Known>,
    shows: impl Fn(&Way<'_>, &InForce<'_>, Mask) -> Option<Mask>,
    takes: impl Fn(&Way<'_>, &InForce<'_>, Mask) -> bool,
) -> BTreeMap<NodeId, Known> {
    let mut known = start;
    let mut has_changed = true;
    while std::mem::take(&mut has_changed) {
        for way in ways {
            let Some(giver) = known.get(&way.from).cloned() else {
                continue;
            };
            let mut taker = known.remove(&way.to).unwrap_or_default();
            for (moment, mask) in giver.steps() {
                if way.is_inside {
                    has_changed |= taker.learn(moment, mask);
                    continue;
                }
                for out in way.out.iter().filter(|out| moment <= out.until) {
                    let Some(shown) = shows(way, out, mask) else {
                        continue;
                    };
                    let given = moment.max(out.from);
                    for taken in way.taken.iter().filter(|taken| given <= taken.until) {
                        // Whoever looks at a fact together with what it has of it already sees no less.
                        let seen = shown | taker.at(taken.until).unwrap_or_default();
                        if takes(way, taken, seen) {
                            has_changed |= taker.learn(given.max(taken.from), shown);
                        }
                    }
                }
            }
            if !taker.0.is_empty() {
                known.insert(way.to, taker);
            }
        }
    }
    known
}

/// Which fields of a fact somebody knows, from which moment on. Nothing means that not even the fact is known.
#[derive(Debug, Clone, Default)]
struct Known(Vec<(u64, Mask)>);

impl Known {
    /// Returns whether that is new.
    fn learn(&mut self, when: u64, mask: Mask) -> bool {
        let is_new = self.at(when).is_none_or(|known| mask & !known != 0);
        if is_new {
            self.0.push((when, mask));
        }
        is_new
    }

    fn at(&self, when: u64) -> Option<Mask> {
        let by_then = self.0.iter().filter(|(since, _)| *since <= when);
        by_then.map(|(_, mask)| *mask).reduce(|a, b| a | b)
    }

    /// All that is known, each time that it becomes more.
    fn steps(&self) -> Vec<(u64, Mask)> {
        let mut moments: Vec<_> = self.0.iter().map(|(when, _)| *when).collect();
        moments.sort_unstable();
        moments.dedup();
        let step = |when| (when, self.at(when).unwrap_or_default());
        moments.into_iter().map(step).collect()
    }

    /// The first moment at which this is more than what is permitted, and which fields are; none for all of the fact.
    fn exceeds(&self, permitted: Option<&Self>) -> Option<(u64, Option<Mask>)> {
        let mut steps = self.steps().into_iter();
        steps.find_map(
            |(when, mask)| match permitted.and_then(|permitted| permitted.at(when)) {
                None => Some((when, None)),
                Some(permitted) => {
                    let excess = mask & !permitted;
                    (excess != 0).then_some((when, Some(excess)))
                }
            },
        )
    }
}
