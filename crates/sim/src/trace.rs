//! What happened in a world: folded into one number, by which two runs are compared; counted, kind by kind; and the last of
//! it kept as a story.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::happening::Happening;

/// The record of a run. A handle: clones are the same trace.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    start: Instant,
    hasher: DefaultHasher,
    events: u64,
    datagrams: u64,
    story: VecDeque<String>,
    happened: BTreeMap<Happening, u64>,
    wrong: Option<String>,
    /// How much happened since time passed last, and when that was.
    steps: (u64, Duration),
    spins: Arc<Notify>,
    last_commit: Duration,
    print: fn(&str),
}

/// What a run comes to: equal for equal seeds, in whatever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fingerprint {
    /// Over kind, time, endpoints and length of each datagram, and each line of the story and of the history.
    pub hash: u64,
    /// How many lines the story had.
    pub events: u64,
    /// How many datagrams were sent.
    pub datagrams: u64,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:016x} ({} events, {} datagrams)",
            self.hash, self.events, self.datagrams
        )
    }
}

impl Trace {
    /// A trace that starts now; each of its lines is also given to `print`.
    pub fn new(print: fn(&str)) -> Self {
        Self(Arc::new(Mutex::new(Record {
            start: Instant::now(),
            hasher: DefaultHasher::new(),
            events: 0,
            datagrams: 0,
            story: VecDeque::new(),
            happened: BTreeMap::new(),
            wrong: None,
            steps: (0, Duration::ZERO),
            spins: Arc::default(),
            last_commit: Duration::ZERO,
            print,
        })))
    }

    /// How long the world has existed.
    pub fn now(&self) -> Duration {
        self.record().start.elapsed()
    }

    /// Adds a line to the story: who did what, or what was done to whom.
    pub fn tell(&self, who: &str, what: &str) {
        let mut record = self.record();
        let at = record.start.elapsed();
        (at, who, what).hash(&mut record.hasher);
        record.events += 1;
        let line = line(at, who, what);
        (record.print)(&line);
        if record.story.len() == STORY_LINES_MAX {
            record.story.pop_front();
        }
        record.story.push_back(line);
    }

    /// Adds a line that no world may have.
    pub fn wrong(&self, who: &str, what: &str) {
        self.tell(who, what);
        self.record()
            .wrong
            .get_or_insert_with(|| format!("{who} {what}"));
    }

    /// Notes that somebody did something to the world outside of a node: looked at a clock, asked a store, sent something.
    ///
    /// # Panics
    ///
    /// When the world spins, and nobody who waits for [`spins`](Self::spins) gets to run.
    pub(crate) fn step(&self) {
        let mut record = self.record();
        let now = record.start.elapsed();
        if record.steps.1 != now {
            record.steps = (0, now);
        }
        record.steps.0 += 1;
        if record.steps.0 == STEPS_MAX {
            record.spins.notify_one();
        }
        if record.steps.0 == 2 * STEPS_MAX {
            let wrong = spins_at(now);
            record.wrong.get_or_insert_with(|| wrong.clone());
            panic!("{wrong}");
        }
    }

    /// Waits until the world spins: things go on happening while no time passes. What it is then said to be.
    pub async fn spins(&self) -> String {
        let spins = Arc::clone(&self.record().spins);
        spins.notified().await;
        spins_at(self.now())
    }

    /// The first line that no world may have.
    pub fn first_wrong(&self) -> Option<String> {
        self.record().wrong.clone()
    }

    /// Adds what is too frequent for a story.
    pub fn note(&self, who: &str, what: &str) {
        let mut record = self.record();
        let at = record.start.elapsed();
        (at, who, what).hash(&mut record.hasher);
        record.events += 1;
        (record.print)(&line(at, who, what));
    }

    /// Notes that something became durable somewhere.
    pub(crate) fn committed(&self) {
        let mut record = self.record();
        record.last_commit = record.start.elapsed();
    }

    /// When something became durable last.
    pub(crate) fn last_commit(&self) -> Duration {
        self.record().last_commit
    }

    /// Notes what was written into the history.
    pub(crate) fn history(&self, line: &str) {
        line.hash(&mut self.record().hasher);
    }

    /// Notes that a datagram was sent: by whom, to whom, how long.
    pub(crate) fn datagram(&self, from: &str, to: &str, length: usize) {
        self.step();
        let mut record = self.record();
        let at = record.start.elapsed();
        (at, from, to, length).hash(&mut record.hasher);
        record.datagrams += 1;
    }

    /// Notes that something took effect.
    pub fn fired(&self, what: Happening) {
        self.fired_times(what, 1);
    }

    pub(crate) fn fired_times(&self, what: Happening, count: u64) {
        if count == 0 {
            return;
        }
        let mut record = self.record();
        (what, count).hash(&mut record.hasher);
        *record.happened.entry(what).or_default() += count;
    }

    /// How often what happened.
    pub fn happened(&self) -> BTreeMap<Happening, u64> {
        self.record().happened.clone()
    }

    /// The last lines of the story.
    pub fn story(&self) -> Vec<String> {
        self.record().story.iter().cloned().collect()
    }

    /// What the run comes to so far.
    pub fn fingerprint(&self) -> Fingerprint {
        let record = self.record();
        Fingerprint {
            hash: record.hasher.finish(),
            events: record.events,
            datagrams: record.datagrams,
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spins_at(now: Duration) -> String {
    let at = now.as_secs_f64();
    format!("the world spins: {STEPS_MAX} things have happened at {at:.3} s, and no time passes")
}

fn line(at: Duration, who: &str, what: &str) -> String {
    format!("{:>10.3} s  {who:<8} {what}", at.as_secs_f64())
}

/// Worlds that do not spin stay a hundred times below this at each moment.
const STEPS_MAX: u64 = 100_000;

/// How many lines of a story are kept.
const STORY_LINES_MAX: usize = 40;
