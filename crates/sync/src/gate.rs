//! Causes before effects: which of the facts that are held readers may see (`docs/src/spec/sync.md`, section "Visible
//! facts").
//!
//! In each log a fact waits for those before it that wait, and for the facts that it requires. So only the first that waits
//! is looked at: what there is to remember of a log is a set of positions and the causes of one fact, however many wait
//! behind it. This is the state machine alone; it reads and asks nothing by itself.

use causality_fact::FactId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::holes::insert;

/// How many waiting facts of a log are read at once, and of all logs may be in memory; beyond that one of each log is.
const AHEAD_MAX: usize = 32;
const AHEAD_ALL_MAX: usize = 1 << 14;

/// What waits, and for what.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The logs of which something waits.
    lanes: BTreeMap<LogId, Lane>,
    /// By a cause that is not visible, the logs whose first waiting fact requires it.
    waiters: BTreeMap<FactId, BTreeSet<LogId>>,
    /// The logs that have to be looked at.
    due: BTreeSet<LogId>,
    /// How many facts are read ahead, of all logs.
    ahead: usize,
    /// The number of the next read or question.
    next: u64,
}

/// What waits of a log.
#[derive(Debug, Default)]
struct Lane {
    waiting: PositionSet,
    /// The first of them, as far as they were read.
    ahead: VecDeque<Fact>,
    first: First,
}

/// A fact that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) position: u64,
    pub(crate) id: FactId,
    pub(crate) requires: Vec<FactId>,
}

/// What is known of the first fact that waits.
#[derive(Debug, Default)]
enum First {
    #[default]
    Unknown,
    /// It is being read, with this number.
    Read(u64),
    /// Whether its causes are visible is asked, with this number; of these it is not known yet.
    Asked(u64, BTreeSet<FactId>),
    /// It waits for these, as the answer to the question of this number was.
    Waits(u64, BTreeSet<FactId>),
}

impl First {
    fn causes(&self) -> Option<&BTreeSet<FactId>> {
        match self {
            Self::Asked(_, causes) | Self::Waits(_, causes) => Some(causes),
            Self::Unknown | Self::Read(_) => None,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read the facts at these positions: answered by [`Gate::read`].
    Read {
        log: LogId,
        number: u64,
        positions: Vec<u64>,
    },
    /// Find out which of these are visible: answered by [`Gate::answered`].
    Ask {
        log: LogId,
        number: u64,
        causes: Vec<FactId>,
    },
    /// A fact is visible.
    Visible { log: LogId, fact: Fact },
}

impl Gate {
    /// Positions of a log wait, from now on and until a step says otherwise.
    pub(crate) fn hold(&mut self, log: LogId, positions: &PositionSet) {
        let Some(first) = positions.runs().next() else {
            return;
        };
        let lane = self.lanes.entry(log).or_default();
        let last = lane.waiting.runs().last();
        let is_behind = last.is_none_or(|last| last.end <= first.start);
        for run in positions.runs() {
            insert(&mut lane.waiting, run);
        }
        if !is_behind {
            self.start_anew(log);
        }
        self.due.insert(log);
    }

    /// Something of a log became durable, or may be looked at again.
    pub(crate) fn look(&mut self, log: LogId) {
        if self.lanes.contains_key(&log) {
            self.due.insert(log);
        }
    }

    /// The positions of a log that wait.
    pub(crate) fn waiting(&self, log: &LogId) -> Option<&PositionSet> {
        self.lanes.get(log).map(|lane| &lane.waiting)
    }

    /// The logs of which something waits, with their positions.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&LogId, &PositionSet)> {
        self.lanes.iter().map(|(log, lane)| (log, &lane.waiting))
    }

    /// For what the first waiting fact of a log waits, if that is known.
    pub(crate) fn causes(&self, log: &LogId) -> Option<&BTreeSet<FactId>> {
        self.lanes.get(log)?.first.causes()
    }

    /// Whether something waits for a fact.
    pub(crate) fn is_cause(&self, id: &FactId) -> bool {
        self.waiters.contains_key(id)
    }

    /// Whether nothing is to be done, read or asked.
    pub(crate) fn is_settled(&self) -> bool {
        let is_settled = |lane: &Lane| !matches!(lane.first, First::Read(_) | First::Asked(..));
        self.is_idle() && self.lanes.values().all(is_settled)
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_idle(&self) -> bool {
        self.due.is_empty()
    }

    /// What is to be done next, given which positions are durable.
    pub(crate) fn next(&mut self, is_durable: impl Fn(&LogId, u64) -> bool) -> Option<Step> {
        while let Some(log) = self.due.pop_first() {
            let Some(lane) = self.lanes.get_mut(&log) else {
                continue;
            };
            match &lane.first {
                First::Read(_) | First::Asked(..) => continue,
                First::Waits(_, causes) if !causes.is_empty() => continue,
                First::Waits(..) => match self.pass(log) {
                    None => continue,
                    step => return step,
                },
                First::Unknown => {}
            }
            let Some(first) = lane.waiting.runs().next().map(|run| run.start) else {
                self.lanes.remove(&log);
                continue;
            };
            if !is_durable(&log, first) {
                continue;
            }
            let number = self.next;
            self.next += 1;
            let Some(fact) = lane.ahead.front() else {
                lane.first = First::Read(number);
                let count = if self.ahead < AHEAD_ALL_MAX {
                    AHEAD_MAX
                } else {
                    1
                };
                let positions = lane.waiting.runs().flatten().take(count);
                let positions = positions.take_while(|position| is_durable(&log, *position));
                let positions = positions.collect();
                return Some(Step::Read {
                    log,
                    number,
                    positions,
                });
            };
            if fact.requires.is_empty() {
                return self.pass(log);
            }
            let causes = fact.requires.clone();
            lane.first = First::Asked(number, causes.iter().copied().collect());
            for cause in &causes {
                self.waiters.entry(*cause).or_default().insert(log);
            }
            return Some(Step::Ask {
                log,
                number,
                causes,
            });
        }
        None
    }

    /// What was read at positions of a log; those at which there is no fact that could be seen are `None`.
    pub(crate) fn read(&mut self, log: LogId, number: u64, facts: Vec<(u64, Option<Fact>)>) {
        let lane = self.lanes.get_mut(&log);
        let Some(lane) = lane.filter(|lane| matches!(lane.first, First::Read(of) if of == number))
        else {
            return;
        };
        lane.first = First::Unknown;
        for (position, fact) in facts {
            match fact {
                Some(fact) => {
                    lane.ahead.push_back(fact);
                    self.ahead += 1;
                }
                None => lane.waiting.remove(position..position + 1),
            }
        }
        self.due.insert(log);
    }

    /// How many facts are waited for.
    pub(crate) fn cause_count(&self) -> usize {
        self.waiters.len()
    }

    /// Which of the causes that were asked for are satisfied; says whether the fact waits for others.
    pub(crate) fn answered(
        &mut self,
        log: LogId,
        number: u64,
        is_satisfied: impl Fn(&FactId) -> bool,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(&log) else {
            return false;
        };
        let causes = match &mut lane.first {
            First::Asked(of, causes) if *of == number => std::mem::take(causes),
            _ => return false,
        };
        let (satisfied, rest): (BTreeSet<_>, BTreeSet<_>) =
            causes.into_iter().partition(is_satisfied);
        let waits = !rest.is_empty();
        lane.first = First::Waits(number, rest);
        self.forget(log, satisfied);
        self.due.insert(log);
        waits
    }

    /// Whether the first waiting fact of a log still waits since the answer to a question.
    pub(crate) fn waits_since(&self, log: &LogId, number: u64) -> bool {
        let first = self.lanes.get(log).map(|lane| &lane.first);
        matches!(first, Some(First::Waits(of, causes)) if *of == number && !causes.is_empty())
    }

    /// A cause is satisfied: nothing waits for it any more.
    pub(crate) fn satisfied(&mut self, cause: &FactId) {
        for log in self.waiters.remove(cause).into_iter().flatten() {
            if let Some(Lane {
                first: First::Asked(_, causes) | First::Waits(_, causes),
                ..
            }) = self.lanes.get_mut(&log)
            {
                causes.remove(cause);
            }
            self.due.insert(log);
        }
    }

    /// The first waiting fact of a log is visible, for what it waits or not; `None` if it is not known.
    pub(crate) fn pass(&mut self, log: LogId) -> Option<Step> {
        let lane = self.lanes.get_mut(&log)?;
        let fact = lane.ahead.pop_front()?;
        self.ahead -= 1;
        lane.waiting.remove(fact.position..fact.position + 1);
        let first = std::mem::take(&mut lane.first);
        if let First::Asked(_, causes) | First::Waits(_, causes) = first {
            self.forget(log, causes);
        }
        self.due.insert(log);
        self.satisfied(&fact.id);
        Some(Step::Visible { log, fact })
    }

    /// What was read of a log may not be the first that waits any more.
    fn start_anew(&mut self, log: LogId) {
        let Some(lane) = self.lanes.get_mut(&log) else {
            return;
        };
        self.ahead -= lane.ahead.len();
        lane.ahead.clear();
        let first = std::mem::take(&mut lane.first);
        if let First::Asked(_, causes) | First::Waits(_, causes) = first {
            self.forget(log, causes);
        }
    }

    /// A log does not wait for these any more.
    fn forget(&mut self, log: LogId, causes: BTreeSet<FactId>) {
        for cause in causes {
            if let Some(logs) = self.waiters.get_mut(&cause) {
                logs.remove(&log);
                if logs.is_empty() {
                    self.waiters.remove(&cause);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::CompartmentId;
    use causality_fact::DomainId;
    use causality_fact::LaneId;
    use proptest::prelude::*;

    fn log(number: u8) -> LogId {
        LogId {
            origin: DomainId::new([number; 32]),
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([number; 16]),
        }
    }

    fn id(number: usize) -> FactId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        FactId::new(bytes)
    }

    fn positions(range: std::ops::Range<u64>) -> PositionSet {
        let mut set = PositionSet::new();
        insert(&mut set, range);
        set
    }

    /// Facts in logs, of which the first so many of each are held; the gate, and what it has shown.
    #[derive(Default)]
    struct Store {
        logs: Vec<Vec<Fact>>,
        held: Vec<usize>,
        gate: Gate,
        shown: Vec<FactId>,
        reads: usize,
        asks: usize,
    }

    impl Store {
        fn new(logs: Vec<Vec<Fact>>) -> Self {
            Self {
                held: vec![0; logs.len()],
                logs,
                ..Self::default()
            }
        }

        fn receive(&mut self, lane: usize, count: usize) {
            let from = self.held[lane];
            let until = (from + count).min(self.logs[lane].len());
            self.gate
                .hold(log(lane as u8), &positions(from as u64..until as u64));
            self.held[lane] = until;
        }

        fn run(&mut self) {
            loop {
                let held = self.held.clone();
                let step = self.gate.next(|log, position| {
                    position < held[usize::from(log.lane.as_bytes()[0])] as u64
                });
                match step {
                    None => return,
                    Some(Step::Read {
                        log,
                        number,
                        positions,
                    }) => {
                        self.reads += 1;
                        let lane = &self.logs[usize::from(log.lane.as_bytes()[0])];
                        let facts = positions
                            .into_iter()
                            .map(|position| (position, Some(lane[position as usize].clone())));
                        let facts = facts.collect();
                        self.gate.read(log, number, facts);
                    }
                    Some(Step::Ask {
                        log,
                        number,
                        causes,
                    }) => {
                        self.asks += 1;
                        let visible: BTreeSet<_> = causes
                            .into_iter()
                            .filter(|cause| self.shown.contains(cause))
                            .collect();
                        self.gate
                            .answered(log, number, |cause| visible.contains(cause));
                    }
                    Some(Step::Visible { fact, .. }) => self.shown.push(fact.id),
                }
            }
        }

        /// What is to be seen, by the definition: again and again whatever has nothing before it that is not, and no cause.
        fn model(&self) -> BTreeSet<FactId> {
            let mut visible = BTreeSet::new();
            loop {
                let before = visible.len();
                for (lane, held) in self.logs.iter().zip(&self.held) {
                    for fact in &lane[..*held] {
                        if !fact.requires.iter().all(|cause| visible.contains(cause)) {
                            break;
                        }
                        visible.insert(fact.id);
                    }
                }
                if visible.len() == before {
                    return visible;
                }
            }
        }
    }

    /// Facts one after the other: the log of each, and how far before it the facts are that it requires.
    fn worlds() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
        prop::collection::vec(
            (0..5_usize, prop::collection::vec(1..30_usize, 0..3)),
            1..120,
        )
    }

    fn logs(world: &[(usize, Vec<usize>)]) -> Vec<Vec<Fact>> {
        let mut logs = vec![Vec::new(); 5];
        for (number, (lane, back)) in world.iter().enumerate() {
            // One that looks back further than there is requires what never comes.
            let requires = back.iter().map(|back| id(number.wrapping_sub(*back)));
            let lane: &mut Vec<Fact> = &mut logs[*lane];
            lane.push(Fact {
                position: lane.len() as u64,
                id: id(number),
                requires: requires.collect(),
            });
        }
        logs
    }

    proptest! {
        #[test]
        fn what_is_seen_is_what_the_definition_says(world in worlds(), steps: Vec<(u8, u8)>) {
            let mut store = Store::new(logs(&world));
            for (lane, count) in steps {
                store.receive(usize::from(lane) % 5, usize::from(count) % 40);
                store.run();
                let shown: BTreeSet<_> = store.shown.iter().copied().collect();
                prop_assert_eq!(&shown, &store.model());
                prop_assert_eq!(shown.len(), store.shown.len());
            }
            for (place, seen) in store.shown.iter().enumerate() {
                let all = store.logs.iter().flatten();
                let fact = all.into_iter().find(|fact| fact.id == *seen).unwrap();
                for cause in &fact.requires {
                    prop_assert!(store.shown[..place].contains(cause));
                }
            }
        }
    }

    #[test]
    fn what_comes_below_what_waits_is_looked_at_first() {
        let fact = |position: u64, requires: Vec<FactId>| Fact {
            position,
            id: id(position as usize),
            requires,
        };
        let lane = vec![fact(0, vec![id(9)]), fact(1, vec![]), fact(2, vec![id(8)])];
        let mut store = Store::new(vec![lane]);
        store.held[0] = 3;
        store.gate.hold(log(0), &positions(2..3));
        store.run();
        store.gate.hold(log(0), &positions(0..2));
        store.run();
        assert_eq!(store.gate.causes(&log(0)), Some(&BTreeSet::from([id(9)])));
        store.gate.satisfied(&id(8));
        store.run();
        assert_eq!(store.shown, []);
        store.gate.satisfied(&id(9));
        store.shown.push(id(8));
        store.run();
        assert_eq!(store.shown, [id(8), id(0), id(1), id(2)]);
        assert!(store.gate.waiting(&log(0)).is_none() && store.gate.ahead == 0);
    }

    #[test]
    fn what_waits_costs_as_much_memory_however_much_waits_behind_it() {
        let lane = |lane: usize| {
            (0..1_000).map(move |position| Fact {
                position,
                id: id(lane * 1_000 + position as usize),
                requires: vec![id(1_000_000 + lane)],
            })
        };
        let mut store = Store::new((0..100).map(|number| lane(number).collect()).collect());
        for lane in 0..100 {
            store.receive(lane, 1_000);
        }
        store.run();
        assert!(store.gate.ahead <= 100 * AHEAD_MAX);
        assert_eq!((store.gate.waiters.len(), store.reads), (100, 100));
        for lane in 0..100 {
            store.shown.push(id(1_000_000 + lane));
            store.gate.satisfied(&id(1_000_000 + lane));
        }
        store.run();
        assert_eq!(store.shown.len(), 100 * 1_001);
        assert!(store.gate.lanes.is_empty() && store.gate.waiters.is_empty());
        assert_eq!(store.gate.ahead, 0);
    }
}
