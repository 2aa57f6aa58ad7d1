//! Which facts readers may see: the [gate](crate::gate) and the engine around it.

use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::Encoder;
use causality_fact::Entry;
use causality_fact::FactId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::Row;
use causality_fact::RowCore;
use causality_fact::TreeHash;
use causality_fact::leaf_hash;
use causality_store::BATCH_BYTES_MAX;
use causality_store::Batch;
use causality_store::NewEntry;
use causality_store::Place;
use causality_store::SideWrite;
use causality_store::StoredBody;
use causality_store::StoredEntry;
use causality_wire::SET_BYTES_MAX;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::Event;
use crate::effect::Load;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::gate::Fact;
use crate::gate::Gate;
use crate::gate::Step;
use crate::holes::Extent;
use crate::holes::RUNS_MAX;
use crate::holes::decode_set;
use crate::holes::insert;
use crate::logbook::WAITING;
use crate::peers::Remembered;
use crate::peers::VERSION;
use crate::peers::version;

/// What of each log readers may see, at one moment: each fact with all of its causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisibleCut(BTreeMap<LogId, VisibleLog>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct VisibleLog {
    size: u64,
    hidden: PositionSet,
}

impl VisibleCut {
    /// Whether the fact at a place is to be seen.
    pub fn contains(&self, place: &Place) -> bool {
        let log = self.0.get(&place.log);
        log.is_some_and(|log| place.position < log.size && !log.hidden.contains(place.position))
    }
}

/// Why a fact that is held is not to be seen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two reasons")]
pub enum Waits {
    /// For facts that it requires; none while that is being found out.
    ForCauses(BTreeSet<FactId>),
    /// For the fact at an earlier position of its log.
    Behind(u64),
}

/// Causes that are waited for and not held, and where their hashes are.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    /// By their leaf hashes those of which none was found yet.
    missing: BTreeMap<TreeHash, FactId>,
    /// Those of them that were not looked for yet among what is held.
    unsought: BTreeSet<TreeHash>,
    /// Whether some are being looked for.
    is_searching: bool,
    /// Where the hashes of the others are.
    places: BTreeMap<FactId, Place>,
}

impl Stubs {
    /// A cause is waited for.
    fn miss(&mut self, cause: FactId) {
        let hash = leaf_hash(&cause);
        if !self.places.contains_key(&cause) && self.missing.insert(hash, cause).is_none() {
            self.unsought.insert(hash);
        }
    }

    /// A hash is at a place.
    fn found(&mut self, hash: &TreeHash, place: Place) {
        if let Some(cause) = self.missing.remove(hash) {
            self.unsought.remove(hash);
            self.places.insert(cause, place);
        }
    }

    fn is_due(&self) -> bool {
        !self.is_searching && !self.unsought.is_empty()
    }

    /// The hashes to be looked for next.
    fn search(&mut self, gate: &Gate) -> Vec<TreeHash> {
        if self.missing.len() + self.places.len() > 2 * gate.cause_count() + STUBS_SLACK {
            self.missing.retain(|_, cause| gate.is_cause(cause));
            self.places.retain(|cause, _| gate.is_cause(cause));
        }
        self.is_searching = true;
        let unsought = std::mem::take(&mut self.unsought).into_iter();
        unsought
            .filter(|hash| self.missing.contains_key(hash))
            .collect()
    }
}

/// How many logs' notes a batch takes along.
const RELEASED_MAX: usize = 16;

/// How many causes that are not waited for any more are remembered before they are forgotten.
const STUBS_SLACK: usize = 1 << 10;

/// Rows on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Let {
    /// Those that are visible as soon as they are durable.
    pub(crate) through: Vec<FactId>,
    /// The hashes of facts that are not among them, and their positions.
    withheld: Vec<(TreeHash, u64)>,
}

impl Engine {
    /// Decides which rows on their way to the store readers may see as soon as they are durable; the others wait. The write
    /// that keeps that goes with them.
    pub(crate) fn let_through(
        &mut self,
        log: LogId,
        entries: &[NewEntry],
    ) -> (Let, Option<SideWrite>) {
        let waiting = self.gate.waiting(&log);
        let first = waiting.and_then(|waiting| waiting.runs().next());
        let mut first = first.map_or(u64::MAX, |run| run.start);
        let (mut through, mut held) = (Let::default(), PositionSet::new());
        let mut known = BTreeSet::new();
        for new in entries {
            let row = match &new.entry {
                Entry::Row(row) => row,
                Entry::Withheld { hash, .. } => {
                    through.withheld.push((*hash, new.position));
                    continue;
                }
            };
            // A fact whose core cannot be read is not seen, and holds up nobody.
            let RowCore::Known(core) = row.core() else {
                continue;
            };
            let causes = core.requires.as_slice();
            if new.position < first && causes.iter().all(|cause| known.contains(cause)) {
                through.through.push(row.id());
                known.insert(row.id());
            } else {
                insert(&mut held, new.position..new.position + 1);
                first = first.min(new.position);
            }
        }
        if held.is_empty() {
            return (through, None);
        }
        self.gate.hold(log, &held);
        (through, Some(self.waiting_write(&log)))
    }

    /// Rows are durable.
    pub(crate) fn came_through(&mut self, log: LogId, rows: &Let) {
        self.are_visible(&rows.through);
        self.gate.look(log);
        // What was looked for meanwhile was not in the store yet.
        for (hash, position) in &rows.withheld {
            let position = *position;
            self.stubs.found(hash, Place { log, position });
        }
        self.weigh_stubs();
    }

    /// Facts are visible that did not wait.
    pub(crate) fn are_visible(&mut self, ids: &[FactId]) {
        for id in ids {
            if self.gate.is_cause(id) {
                self.gate.satisfied(id);
            }
        }
    }

    /// Goes on with whatever waits, as far as that is possible now.
    pub(crate) fn run_gate(&mut self) {
        let mut seen = BTreeSet::new();
        while !self.gate.is_idle() {
            let logs = &self.logs;
            let is_durable = |log: &LogId, position| {
                logs.get(log).is_some_and(|state| {
                    position < state.durable.size()
                        && state.holes.extent(position) != Extent::Hidden
                })
            };
            let Some(step) = self.gate.next(is_durable) else {
                break;
            };
            match step {
                Step::Read {
                    log,
                    number,
                    positions,
                } => {
                    let load = Load::Entries {
                        log,
                        positions,
                        bytes_max: usize::MAX,
                    };
                    let _ = self.load(load, Pending::GateRead(log, number));
                }
                Step::Ask {
                    log,
                    number,
                    causes,
                } => {
                    let load = Load::Places(causes.clone());
                    let _ = self.load(load, Pending::GateAsk(log, number, causes));
                }
                Step::Visible { log, .. } => {
                    seen.insert(log);
                }
            }
        }
        for log in seen {
            self.released.insert(log);
            self.event(Event::Visible { log });
        }
        self.search_stubs();
        self.is_opening = self.is_opening && !self.gate.is_settled();
    }

    /// Takes the notes of what does not wait any more along with a batch. Nothing is written for their sake alone: should they
    /// be lost it is found out again, and an engine that began because its disk is full would only find that it is.
    pub(crate) fn add_released(&mut self, batch: &mut Batch) {
        if batch.bytes() > BATCH_BYTES_MAX / 2 {
            return;
        }
        for _ in 0..RELEASED_MAX {
            let Some(log) = self.released.pop_first() else {
                return;
            };
            batch.side.push(self.waiting_write(&log));
        }
    }

    /// Whether what waited when the engine began was not all looked at yet.
    pub fn is_opening(&self) -> bool {
        self.is_opening
    }

    /// Looks among the hashes that are held for the causes that are not: where one is, the origin has signed that there is
    /// such a fact.
    fn search_stubs(&mut self) {
        if !self.stubs.is_due() {
            return;
        }
        let logs = self.logs.iter();
        let logs = logs.filter(|(_, state)| !state.holes.hidden().is_empty());
        let logs = logs.map(|(log, state)| (*log, state.durable.size()));
        let load = Load::Withheld {
            hashes: self.stubs.search(&self.gate),
            logs: logs.collect(),
        };
        let _ = self.load(load, Pending::GateSearch);
    }

    /// Where hashes are that were looked for.
    pub(crate) fn gate_searched(&mut self, found: &[(TreeHash, Place)]) {
        self.stubs.is_searching = false;
        for (hash, place) in found {
            self.stubs.found(hash, *place);
        }
        self.weigh_stubs();
    }

    /// Shows what waits for facts of which there is only a hash, where that will stay so: the origin says that it withholds
    /// them, or they are not taken.
    pub(crate) fn weigh_stubs(&mut self) {
        self.weigh(self.stubs.places.keys().copied().collect());
    }

    fn weigh(&mut self, causes: Vec<FactId>) {
        for cause in causes {
            let place = self.stubs.places.get(&cause);
            if place.is_some_and(|place| self.stays_away(place)) {
                self.stubs.places.remove(&cause);
                self.gate.satisfied(&cause);
            }
        }
    }

    fn stays_away(&self, place: &Place) -> bool {
        let Place { log, position } = place;
        let source = self.sources.get(&(*log, log.origin));
        let said = source.filter(|source| !source.statement.is_empty());
        said.is_some_and(|source| source.kept.withheld.contains(*position))
            || self.unwanted(log).contains(*position)
    }

    /// What was read for the gate.
    pub(crate) fn gate_read(&mut self, log: LogId, number: u64, entries: &[StoredEntry]) {
        let fact = |stored: &StoredEntry| match stored.body {
            StoredBody::Row { .. } => match stored.entry(log.origin) {
                Ok(Entry::Row(row)) => waiting_fact(stored.position, &row),
                _ => None,
            },
            StoredBody::Withheld { .. } => None,
        };
        let facts = entries.iter().map(|stored| (stored.position, fact(stored)));
        self.gate.read(log, number, facts.collect());
    }

    /// Where causes are that were asked for.
    pub(crate) fn gate_answered(
        &mut self,
        (log, number): (LogId, u64),
        causes: &[FactId],
        places: &[Vec<Place>],
    ) {
        let visible = causes.iter().zip(places);
        let visible = visible.filter(|(_, places)| places.iter().any(|at| self.is_visible(at)));
        let visible: BTreeSet<_> = visible.map(|(cause, _)| *cause).collect();
        let waits = self
            .gate
            .answered(log, number, |cause| visible.contains(cause));
        let missing = self.gate.causes(&log).into_iter().flatten();
        let missing: Vec<_> = missing.copied().collect();
        for cause in &missing {
            self.stubs.miss(*cause);
        }
        self.weigh(missing);
        if let Some(patience_ms) = self.patience_ms.filter(|_| waits) {
            let at = self.now_ms.saturating_add(patience_ms);
            self.patient.insert((at, log, number));
        }
    }

    /// How long a fact waits for its causes before it is shown without them, with a mark; `None`: for ever. Counts for facts
    /// of which it turns out from now on that they wait.
    pub fn set_patience(&mut self, patience_ms: Option<u64>) {
        self.patience_ms = patience_ms;
    }

    /// Shows what has waited too long.
    pub(crate) fn lose_patience(&mut self) {
        while let Some((_, log, number)) = self
            .patient
            .first()
            .copied()
            .filter(|(at, ..)| *at <= self.now_ms)
        {
            self.patient.pop_first();
            if self.gate.waits_since(&log, number)
                && let Some(Step::Visible { log, fact }) = self.gate.pass(log)
            {
                let flagged = self.flagged.entry(log).or_default();
                insert(flagged, fact.position..fact.position + 1);
                self.event(Event::CausesMissing {
                    log,
                    position: fact.position,
                });
                self.remember(Remembered::Waiting(log));
            }
        }
    }

    /// Whether the fact at a place is to be seen though not all of its causes are.
    pub fn is_flagged(&self, place: &Place) -> bool {
        let flagged = self.flagged.get(&place.log);
        flagged.is_some_and(|flagged| flagged.contains(place.position))
    }

    /// Whether readers may see the fact at a place.
    pub fn is_visible(&self, place: &Place) -> bool {
        let state = self.logs.get(&place.log);
        state.is_some_and(|state| {
            place.position < state.durable.size()
                && state.holes.extent(place.position) != Extent::Hidden
        }) && !self.waits_at(place)
    }

    fn waits_at(&self, place: &Place) -> bool {
        let waiting = self.gate.waiting(&place.log);
        waiting.is_some_and(|waiting| waiting.contains(place.position))
    }

    /// What readers may see now.
    pub fn visible_cut(&self) -> VisibleCut {
        let none = PositionSet::new();
        let cut = self.logs.iter().map(|(log, state)| {
            let waiting = self.gate.waiting(log).unwrap_or(&none);
            let visible = VisibleLog {
                size: state.durable.size(),
                hidden: state.holes.hidden().union(waiting),
            };
            (*log, visible)
        });
        VisibleCut(cut.collect())
    }

    /// Why the fact at a place is not to be seen; `None` if it is, or is not held.
    pub fn waits(&self, place: &Place) -> Option<Waits> {
        let waiting = self.gate.waiting(&place.log)?;
        let first = waiting.runs().next()?.start;
        if !waiting.contains(place.position) {
            return None;
        }
        if first < place.position {
            return Some(Waits::Behind(first));
        }
        let causes = self.gate.causes(&place.log).cloned();
        Some(Waits::ForCauses(causes.unwrap_or_default()))
    }

    /// How many facts of all logs wait.
    pub fn waiting_count(&self) -> u64 {
        self.gate.lanes().map(|(_, waiting)| waiting.len()).sum()
    }

    /// The write that keeps what waits of a log, and what was shown without its causes.
    pub(crate) fn waiting_write(&self, log: &LogId) -> SideWrite {
        let kept = Waiting {
            waiting: self.gate.waiting(log).cloned().unwrap_or_default(),
            flagged: self.flagged.get(log).cloned().unwrap_or_default(),
        };
        let is_needed = !(kept.waiting.is_empty() && kept.flagged.is_empty());
        SideWrite {
            table: WAITING,
            key: log.to_bytes().to_vec(),
            value: is_needed.then(|| kept.encode()),
        }
    }
}

/// What of a log waits, and what was shown without its causes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) waiting: PositionSet,
    pub(crate) flagged: PositionSet,
}

impl Waiting {
    fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(VERSION);
        for set in [&self.waiting, &self.flagged] {
            to.bytes(&fitting(set).encode());
        }
        to.finish()
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        version(from)?;
        let mut set = || decode_set(from.bytes("length of a set", SET_BYTES_MAX)?);
        Ok(Self {
            waiting: set()?,
            flagged: set()?,
        })
    }
}

/// A set, or a larger one that has room in a row: what is noted to wait without need is looked at again after a restart.
fn fitting(set: &PositionSet) -> PositionSet {
    if set.run_count() <= WAITING_RUNS_MAX {
        return set.clone();
    }
    let mut all = PositionSet::new();
    let mut runs = set.runs();
    let first = runs.next().map_or(0, |run| run.start);
    insert(
        &mut all,
        first..runs.last().map_or(first + 1, |run| run.end),
    );
    all
}

/// So many runs have room in a row, whatever they are.
const WAITING_RUNS_MAX: usize = RUNS_MAX >> 5;

fn waiting_fact(position: u64, row: &Row) -> Option<Fact> {
    match row.core() {
        RowCore::Known(core) => Some(Fact {
            position,
            id: row.id(),
            requires: core.requires.as_slice().to_vec(),
        }),
        RowCore::Unsupported(_) => None,
    }
}
