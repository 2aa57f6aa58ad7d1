//! What is known of a world after each line: its nodes, what they said, and what of it contradicts itself.
//!
//! A line that cannot be true of any world is refused here. What is possible but broken is for the [rules](crate::rules).

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::branches::{Branches, Spot};
use crate::disclosed::{Disclosed, Mask};
use crate::dump::{Dump, HeldLog, HeldRow, Proofs};
use crate::history::{Entry, Event, Header, Mode, Place, Scope, Seen};
use crate::id::{DomainId, FactId, LogId};
use crate::policy::{InForce, Policy, Reading, Stance};
use crate::read::HistoryError;
use crate::row::{self, RowFacts};
use crate::{DecodeError, story};

/// A node of the world, by the order in which they started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// A line of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment {
    pub(crate) line: u64,
    pub(crate) at: u64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms (line {})", self.at, self.line)
    }
}

/// Who showed something, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) node: NodeId,
    pub(crate) when: Moment,
}

/// Two different things shown at one spot of a log, for the first time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    pub(crate) log: LogId,
    pub(crate) spot: Spot,
    pub(crate) values: [[u8; 32]; 2],
    pub(crate) witnesses: [Witness; 2],
}

/// A row that a reader was given.
#[derive(Debug)]
pub(crate) struct ReadRow {
    pub(crate) told: FactId,
    pub(crate) place: Place,
    pub(crate) read: Result<RowFacts, DecodeError>,
    /// Which fields it shows.
    pub(crate) mask: Option<Mask>,
}

/// What the rules are told, one after the other.
#[derive(Debug)]
pub(crate) enum Observation<'e> {
    /// A line, before what follows from it. `Holds`, `Rows` and `Dumped` come as the three below.
    Event(Option<NodeId>, &'e Event),
    /// A row or a withheld run in a dump.
    Row(HeldRow),
    /// All of a log in a dump.
    Log(Box<HeldLog>),
    /// All of a dump; whether it is the last one.
    Dumped(NodeId, bool),
    /// A row before a reader.
    Read(NodeId, ReadRow),
    /// Two histories of a log.
    Split(Split),
    /// The end of the history.
    End,
}

#[derive(Debug)]
struct Node {
    name: String,
    domain: DomainId,
    state: State,
    entitled: Vec<Scope>,
    stance: Stance,
    requests: BTreeSet<u64>,
    open_requests: BTreeSet<u64>,
    meetings: BTreeSet<NodeId>,
    was_restored: bool,
    dump: Option<Dump>,
    is_over: bool,
    recent: VecDeque<(u64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Down,
    Left,
    Running,
}

/// The world as far as it was read.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) header: Header,
    pub(crate) now: Moment,
    nodes: Vec<Node>,
    by_name: BTreeMap<String, NodeId>,
    logs: BTreeMap<LogId, Branches>,
    /// What rows have shown of each fact, all taken together.
    facts: BTreeMap<(Place, FactId), Disclosed>,
    proofs: Proofs,
    healed_at: Option<u64>,
    has_ended: bool,
}

impl World {
    pub(crate) fn new(header: Header) -> Self {
        Self {
            header,
            now: Moment::default(),
            nodes: Vec::new(),
            by_name: BTreeMap::new(),
            logs: BTreeMap::new(),
            facts: BTreeMap::new(),
            proofs: Proofs::default(),
            healed_at: None,
            has_ended: false,
        }
    }

    pub(crate) fn name(&self, node: NodeId) -> &str {
        &self.nodes[node.0].name
    }

    pub(crate) fn node(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn domain(&self, node: NodeId) -> DomainId {
        self.nodes[node.0].domain
    }

    pub(crate) fn healed_at(&self) -> Option<u64> {
        self.healed_at
    }

    /// All nodes that have started.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The rules of a node about a domain from a moment on.
    pub(crate) fn in_force(
        &self,
        node: NodeId,
        about: DomainId,
        from: u64,
        reading: Reading,
    ) -> Vec<InForce<'_>> {
        self.nodes[node.0].stance.in_force(about, from, reading)
    }

    /// The rules that a node may have had about a domain at a moment.
    pub(crate) fn rules_at(
        &self,
        node: NodeId,
        about: DomainId,
        at: u64,
        reading: Reading,
    ) -> Vec<InForce<'_>> {
        self.nodes[node.0].stance.at(about, at, reading)
    }

    /// What rows have shown of the facts at a place: of one, unless the log has two histories.
    pub(crate) fn facts_at(&self, place: Place) -> impl Iterator<Item = &Disclosed> {
        let [least, most] = [0, u8::MAX].map(|byte| (place, FactId([byte; 32])));
        self.facts.range(least..=most).map(|(_, fact)| fact)
    }

    /// What rows have shown of a fact.
    pub(crate) fn fact(&self, place: &Place, id: &FactId) -> Option<&Disclosed> {
        self.facts.get(&(*place, *id))
    }

    /// The nodes that have not left.
    pub(crate) fn present(&self) -> impl Iterator<Item = NodeId> {
        let nodes = self.nodes.iter().enumerate();
        let present = nodes.filter(|(_, node)| node.state != State::Left);
        present.map(|(index, _)| NodeId(index))
    }

    pub(crate) fn has_left(&self, node: NodeId) -> bool {
        self.nodes[node.0].state == State::Left
    }

    pub(crate) fn is_entitled(&self, node: NodeId, log: &LogId) -> bool {
        self.nodes[node.0]
            .entitled
            .iter()
            .any(|scope| scope.has(log))
    }

    /// Whether a node writes a log, as the page defines it.
    pub(crate) fn writes(&self, node: NodeId, log: &LogId) -> bool {
        let acknowledged = self
            .logs
            .get(log)
            .is_some_and(|known| known.writers.contains(&node));
        let of_origin = |other: &&Node| other.domain == log.origin;
        let mut siblings = self.nodes.iter().filter(of_origin);
        let is_alone = siblings.next().is_some() && siblings.next().is_none();
        acknowledged || (is_alone && self.domain(node) == log.origin)
    }

    /// Whether a node that writes the log was restored.
    pub(crate) fn writer_was_restored(&self, log: &LogId) -> bool {
        let restored = |node: &NodeId| self.nodes[node.0].was_restored;
        self.nodes()
            .any(|node| restored(&node) && self.writes(node, log))
    }

    pub(crate) fn is_noticed(&self, log: &LogId) -> bool {
        self.logs
            .get(log)
            .is_some_and(|known| known.noticed.is_some())
    }

    pub(crate) fn is_split(&self, log: &LogId) -> bool {
        self.logs.get(log).is_some_and(Branches::is_split)
    }

    pub(crate) fn logs(&self) -> impl Iterator<Item = &LogId> {
        self.logs.keys()
    }

    /// How many positions of a log a node has shown, and still has.
    pub(crate) fn size_at(&self, node: NodeId, log: &LogId) -> u64 {
        self.logs.get(log).map_or(0, |known| known.size_at(node))
    }

    /// When this was first shown at a place, by anybody.
    pub(crate) fn first_shown(&self, place: &Place, id: &FactId) -> Option<Moment> {
        let first = self.logs.get(&place.log)?.first_shown(place.position, id);
        first.map(|first| first.when)
    }

    /// Where two nodes that have not left have shown different histories of a log, which both still have.
    pub(crate) fn differ(&self, a: NodeId, b: NodeId, log: &LogId) -> Option<Spot> {
        let spot = self.logs.get(log)?.differ(a, b);
        spot.filter(|_| !self.has_left(a) && !self.has_left(b))
    }

    /// The last events of some nodes, in order.
    pub(crate) fn story(&self, nodes: &[NodeId]) -> Vec<String> {
        let nodes: BTreeSet<_> = nodes.iter().collect();
        let recent = nodes.iter().flat_map(|node| &self.nodes[node.0].recent);
        let lines: BTreeMap<_, _> = recent.map(|(line, text)| (line, text)).collect();
        let skipped = lines.len().saturating_sub(STORY_LINES_MAX);
        lines.into_values().skip(skipped).cloned().collect()
    }
}

/// One line after the other.
impl World {
    /// Takes in a line; what follows from it for the rules, in order.
    ///
    /// # Errors
    ///
    /// When this cannot have happened.
    pub(crate) fn apply<'e>(
        &mut self,
        line: u64,
        entry: &'e Entry,
    ) -> Result<Vec<Observation<'e>>, HistoryError> {
        if self.has_ended {
            return Err(HistoryError::AfterEnd);
        }
        if entry.at < self.now.at {
            return Err(HistoryError::TimeRunsBack {
                before: self.now.at,
                at: entry.at,
            });
        }
        let now = Moment { line, at: entry.at };
        self.now = now;
        let node = self.node_of(entry)?;
        if let Some(node) = node {
            let summary = story::line(now, self.name(node), &entry.event);
            if let Some(summary) = summary {
                let recent = &mut self.nodes[node.0].recent;
                recent.push_back((line, summary));
                if recent.len() > RECENT_LINES_MAX {
                    recent.pop_front();
                }
            }
        }
        let mut seen = vec![Observation::Event(node, &entry.event)];
        match node {
            Some(node) => self.node_event(node, &entry.event, &mut seen)?,
            None => self.world_event(&entry.event, &mut seen)?,
        }
        Ok(seen)
    }

    /// Checks that the history is whole.
    ///
    /// # Errors
    ///
    /// When it has no end.
    pub(crate) fn finish(&self) -> Result<(), HistoryError> {
        self.has_ended.then_some(()).ok_or(HistoryError::CutOff)
    }

    fn node_of(&mut self, entry: &Entry) -> Result<Option<NodeId>, HistoryError> {
        match (&entry.event, &entry.node) {
            (Event::Healed {} | Event::End {}, Some(_)) => Err(HistoryError::NodeUnexpected),
            (Event::Healed {} | Event::End {} | Event::Note { .. }, None) => Ok(None),
            (_, None) => Err(HistoryError::NodeMissing),
            (Event::Started { domain }, Some(name)) => self.start(name, *domain).map(Some),
            (_, Some(name)) => self.known(name).map(Some),
        }
    }

    fn known(&self, name: &str) -> Result<NodeId, HistoryError> {
        self.node(name)
            .ok_or_else(|| HistoryError::UnknownNode(name.to_owned()))
    }

    fn start(&mut self, name: &str, domain: DomainId) -> Result<NodeId, HistoryError> {
        if self.by_name.contains_key(name) {
            return Err(HistoryError::Misplaced("a node starts once"));
        }
        let node = NodeId(self.nodes.len());
        self.by_name.insert(name.to_owned(), node);
        self.nodes.push(Node {
            name: name.to_owned(),
            domain,
            state: State::Running,
            entitled: Vec::new(),
            stance: Stance::default(),
            requests: BTreeSet::new(),
            open_requests: BTreeSet::new(),
            meetings: BTreeSet::new(),
            was_restored: false,
            dump: None,
            is_over: false,
            recent: VecDeque::new(),
        });
        Ok(node)
    }

    fn world_event(
        &mut self,
        event: &Event,
        seen: &mut Vec<Observation<'_>>,
    ) -> Result<(), HistoryError> {
        match event {
            Event::Healed {} if self.healed_at.is_some() => {
                return Err(HistoryError::Misplaced("a world heals once"));
            }
            Event::Healed {} => self.healed_at = Some(self.now.at),
            Event::End {} => {
                let is_over = |node: &Node| node.is_over || node.state == State::Left;
                if !self.nodes.iter().all(is_over) {
                    let expected = "each node that has not left is dumped with `final`";
                    return Err(HistoryError::Misplaced(expected));
                }
                if self.header.mode == Mode::Liveness && self.healed_at.is_none() {
                    let expected = "a liveness history has `healed` before its end";
                    return Err(HistoryError::Misplaced(expected));
                }
                self.has_ended = true;
                seen.push(Observation::End);
            }
            _ => {}
        }
        Ok(())
    }

    fn node_event(
        &mut self,
        id: NodeId,
        event: &Event,
        seen: &mut Vec<Observation<'_>>,
    ) -> Result<(), HistoryError> {
        if matches!(event, Event::Note { .. }) {
            return Ok(());
        }
        let now = self.now;
        let node = &mut self.nodes[id.0];
        node.expect(event)?;
        match event {
            Event::Started { .. } => {}
            Event::Entitled { to } => node.entitled.clone_from(to),
            Event::Crashed {} | Event::Stopped {} => {
                node.state = State::Down;
                node.open_requests.clear();
                node.meetings.clear();
            }
            Event::Restarted {} => {
                node.state = State::Running;
                node.stance.obeys(now.at);
            }
            Event::Policy {
                peer,
                out,
                kept,
                taken,
            } => {
                let policy = Policy {
                    out: out.clone(),
                    kept: kept.clone(),
                    taken: taken.clone(),
                };
                node.stance.tell(*peer, policy, now.at);
            }
            Event::Obeys {} => node.stance.obeys(now.at),
            Event::Clock { shows, rate } => node.stance.set_clock(*shows, *rate, now.at),
            Event::Left {} => node.state = State::Left,
            Event::Restored { logs, .. } => {
                node.was_restored = true;
                for (log, known) in &mut self.logs {
                    let extent = logs.iter().find(|extent| extent.log == *log);
                    known.set_back(id, extent.map_or(0, |extent| extent.size));
                }
            }
            Event::Appended { request, .. } => {
                if !node.requests.insert(*request) {
                    return Err(HistoryError::Misplaced("a request has a number of its own"));
                }
                node.open_requests.insert(*request);
            }
            Event::Acknowledged { request, facts } => {
                if !node.open_requests.remove(request) {
                    let expected = "an acknowledgement answers a request that is open";
                    return Err(HistoryError::Misplaced(expected));
                }
                for fact in facts {
                    let Some(place) = fact.place else { continue };
                    let known = self.logs.entry(place.log).or_default();
                    known.writers.insert(id);
                    self.shows(
                        id,
                        &place.log,
                        Spot::Position(place.position),
                        fact.id.0,
                        seen,
                    );
                }
            }
            Event::Durable {
                log, size, root, ..
            } => {
                let known = self.logs.entry(*log).or_default();
                known.has(id, *size);
                if let Some(root) = root {
                    self.shows(id, log, Spot::Size(*size), root.0, seen);
                }
            }
            Event::Seen { facts } => self.read(id, facts, seen),
            Event::Meets { peer, .. } => {
                let peer = self.known(peer)?;
                self.nodes[id.0].meetings.insert(peer);
            }
            Event::Met { peer } => {
                let peer = self.known(peer)?;
                if !self.nodes[id.0].meetings.remove(&peer) {
                    return Err(HistoryError::Misplaced("a `met` follows its `meets`"));
                }
            }
            Event::LaneStopped { log, .. } | Event::ForkNoticed { log, .. } => {
                let known = self.logs.entry(*log).or_default();
                known.noticed.get_or_insert(now);
            }
            Event::Holds { .. } | Event::Rows { .. } | Event::Dumped { .. } => {
                self.dump(id, event, seen)?;
            }
            Event::Note { .. } | Event::Healed {} | Event::End {} => {}
        }
        Ok(())
    }

    fn read(&mut self, node: NodeId, facts: &[Seen], seen: &mut Vec<Observation<'_>>) {
        for fact in facts {
            let Place { log, position } = fact.place;
            let read = row::read(&log.origin, &fact.row.0);
            let disclosed = read.and_then(|_| Disclosed::read(&fact.row.0)).ok();
            let mask = disclosed.as_ref().map(Disclosed::mask);
            if let Ok(read) = read {
                self.shows(node, &log, Spot::Position(position), read.id.0, seen);
                self.discloses(fact.place, read.id, disclosed);
            }
            let row = ReadRow {
                told: fact.id,
                place: fact.place,
                read,
                mask,
            };
            seen.push(Observation::Read(node, row));
        }
    }

    fn dump(
        &mut self,
        id: NodeId,
        event: &Event,
        seen: &mut Vec<Observation<'_>>,
    ) -> Result<(), HistoryError> {
        let mut dump = self.nodes[id.0].dump.take().unwrap_or_default();
        let mut rows = Vec::new();
        let finished = match event {
            Event::Holds { .. } => dump.begin(id, event, &mut self.proofs)?,
            Event::Rows { from, rows: stored } => {
                let log = dump.log().ok_or(HistoryError::Misplaced(
                    "`rows` follow the `holds` of their log",
                ))?;
                let known = self.logs.entry(log).or_default();
                rows = dump.extend(*from, stored, |size| known.is_root_said(size))?;
                None
            }
            _ => dump.end(),
        };
        for mut row in rows {
            if let Some((size, root)) = row.root_behind {
                self.shows(id, &row.place.log, Spot::Size(size), root.0, seen);
            }
            if let Some(Ok(read)) = row.read {
                let spot = Spot::Position(row.place.position);
                self.shows(id, &row.place.log, spot, read.id.0, seen);
                self.discloses(row.place, read.id, row.disclosed.take());
            }
            seen.push(Observation::Row(row));
        }
        if let Some(log) = finished {
            self.logs.entry(log.log).or_default().has(id, log.size);
            if let Some(root) = log.root.filter(|_| log.size > 0) {
                self.shows(id, &log.log, Spot::Size(log.size), root.0, seen);
            }
            seen.push(Observation::Log(Box::new(log)));
        }
        let node = &mut self.nodes[id.0];
        match event {
            Event::Dumped { is_final } => {
                node.is_over = *is_final;
                seen.push(Observation::Dumped(id, *is_final));
            }
            _ => node.dump = Some(dump),
        }
        Ok(())
    }

    fn discloses(&mut self, place: Place, id: FactId, disclosed: Option<Disclosed>) {
        let Some(disclosed) = disclosed else { return };
        match self.facts.entry((place, id)) {
            Slot::Occupied(mut known) => known.get_mut().merge(disclosed),
            Slot::Vacant(free) => drop(free.insert(disclosed)),
        }
    }

    /// Remembers what a node showed; tells the rules if it is the first of another history.
    fn shows(
        &mut self,
        node: NodeId,
        log: &LogId,
        spot: Spot,
        value: [u8; 32],
        seen: &mut Vec<Observation<'_>>,
    ) {
        let when = self.now;
        let second = Witness { node, when };
        let known = self.logs.entry(*log).or_default();
        if let Some(before) = known.show(spot, value, second) {
            seen.push(Observation::Split(Split {
                log: *log,
                spot,
                values: [before.value, value],
                witnesses: [before.first, second],
            }));
        }
    }
}

impl Node {
    /// Whether this may happen to a node in its state.
    fn expect(&self, event: &Event) -> Result<(), HistoryError> {
        let is_dump = matches!(
            event,
            Event::Holds { .. } | Event::Rows { .. } | Event::Dumped { .. }
        );
        let fits = match event {
            Event::Started { .. }
            | Event::Entitled { .. }
            | Event::Policy { .. }
            | Event::Clock { .. }
            | Event::Left {} => true,
            Event::Restarted {} | Event::Restored { .. } => self.state == State::Down,
            _ if is_dump => true,
            _ => self.state == State::Running,
        };
        let expected = if self.state == State::Left {
            "nothing happens to a node that has left"
        } else if self.is_over {
            "nothing happens to a node after its last dump"
        } else if self.dump.is_some() && !is_dump {
            "a dump shows one moment: `dumped` comes before other events of the node"
        } else if !fits && self.state == State::Down {
            "the node does not run"
        } else if !fits {
            "the node runs"
        } else {
            return Ok(());
        };
        Err(HistoryError::Misplaced(expected))
    }
}

/// How many of its last events are kept of each node, for stories.
const RECENT_LINES_MAX: usize = 16;
/// How many lines a story has at most.
const STORY_LINES_MAX: usize = 32;
