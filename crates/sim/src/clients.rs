//! Those who work with a node while it runs: one appends, one reads, one watches. What they ask and hear goes into the
//! history.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causality_fact::{CompartmentId, DomainId, FactId, FactQuery, Label, LogId, Onward, Value};
use causality_judge::Bytes;
use causality_judge::history::{Acknowledged, Event, Seen};
use causality_node::{
    Draft, FactRecord, GoodbyeReason, LogError, LogProblem, Node, NodeError, NodeEvent, NodeEvents,
    Problem, Reference, SyncError,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::book::{Book, Circle};
use crate::history::{History, fact_id, log_id, place};
use crate::rules::{LABELS, NUMBER, NUMBERS, below};
use crate::trace::Trace;

/// What a reader has seen. A handle: clones are the same reader's.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// The places that it has seen something at.
    places: BTreeSet<(LogId, u64)>,
    /// The facts that it saw last, and of which compartment each is.
    last: VecDeque<(CompartmentId, FactId)>,
}

impl Memory {
    fn is_new(&self, fact: &FactRecord) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (log, position) = (fact.place.log, fact.place.position);
        let is_new = seen.places.insert((log, position));
        if is_new {
            seen.last.push_front((log.compartment, fact.row.id()));
            seen.last.truncate(LAST_FACTS);
        }
        is_new
    }

    /// One of the facts that were seen last which whoever may have facts of a compartment may have too.
    fn recall(&self, compartment: CompartmentId, random: &mut ChaCha8Rng) -> Option<FactId> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_for_all = |of: CompartmentId| of == compartment || of == CompartmentId::PUBLIC;
        let fit = seen.last.iter().filter(|(of, _)| is_for_all(*of));
        let fit: Vec<_> = fit.map(|(_, id)| *id).collect();
        (!fit.is_empty()).then(|| fit[below(random, fit.len())])
    }

    /// Other things may stand there now.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Remembered::default();
    }
}

/// How many facts a reader may have in mind when something is said because of them.
const LAST_FACTS: usize = 64;

/// What the clients of all nodes share.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) trace: Trace,
    pub(crate) history: History,
    /// What everybody shares.
    pub(crate) book: Book,
    /// The names of all domains.
    pub(crate) names: Arc<Vec<(DomainId, &'static str)>>,
    /// Nobody appends by himself any more.
    pub(crate) is_quiet: Arc<AtomicBool>,
    /// Requests of all nodes are numbered together.
    pub(crate) requests: Arc<AtomicU64>,
}

impl Clients {
    /// Appends facts now and then, in one circle or another: few, sometimes many, with little content or more.
    pub(crate) async fn append_now_and_then(
        self,
        (name, circles): (&str, Vec<Circle>),
        (node, memory): (Node, Memory),
        mut random: ChaCha8Rng,
    ) {
        loop {
            tokio::time::sleep(between(&mut random, 50, 1_500)).await;
            if self.is_quiet.load(Ordering::Relaxed) {
                return;
            }
            let count = match random.next_u32() % 16 {
                0 => 1 + random.next_u32() % 60,
                _ => 1 + random.next_u32() % 4,
            };
            let has_rules = self.book.has_rules();
            let drafts = (0..count).filter_map(|_| match has_rules {
                true => labelled_draft(&mut random),
                false => draft(&mut random),
            });
            let mut drafts: Vec<_> = drafts.collect();
            let circle = &circles[random.next_u32() as usize % circles.len()];
            for draft in &mut drafts {
                // One in three is said because of something.
                for _ in 0..below(&mut random, 6).saturating_sub(3) {
                    let cause = memory.recall(CompartmentId::new(circle.id.0), &mut random);
                    draft.requires.extend(cause.map(Reference::Fact));
                }
            }
            // Whether it succeeds is in the history.
            let _ = self.append((name, circle), &node, drafts).await;
        }
    }

    /// Appends facts and waits for the answer.
    pub async fn append(
        &self,
        (name, circle): (&str, &Circle),
        node: &Node,
        drafts: Vec<Draft>,
    ) -> Result<(), NodeError> {
        let (request, count) = (
            self.requests.fetch_add(1, Ordering::Relaxed),
            u32::try_from(drafts.len()).unwrap_or(u32::MAX),
        );
        let asked = Event::Appended {
            request,
            compartment: circle.id,
            facts: count,
        };
        self.history.write(name, asked);
        let registry = node.registry();
        let appended = match registry.register_facts(&circle.name, drafts).await {
            Ok(appended) => appended,
            Err(error) => {
                self.trace.tell(name, &format!("could not append: {error}"));
                return Err(error);
            }
        };
        let mut facts = Vec::new();
        for fact in appended {
            // It is durable, but a node whose disk has just failed cannot show it.
            let found = node.registry().get_fact(fact.id).await.ok().flatten();
            facts.push(Acknowledged {
                id: fact_id(fact.id),
                place: found.map(|found| place(&found.place)),
            });
        }
        self.trace.tell(name, &format!("appended {count} facts"));
        let acknowledged = Event::Acknowledged { request, facts };
        self.history.write(name, acknowledged);
        Ok(())
    }

    /// Reads everything again and again, and notes what was not there before.
    pub(crate) async fn read_now_and_then(
        self,
        name: &str,
        node: Node,
        memory: Memory,
        mut random: ChaCha8Rng,
    ) {
        loop {
            tokio::time::sleep(between(&mut random, 1_000, 8_000)).await;
            let Some(facts) = read_all(&node, &memory).await else {
                continue;
            };
            if !facts.is_empty() {
                let what = format!("a reader saw {} more facts", facts.len());
                self.trace.note(name, &what);
                self.history.write(name, Event::Seen { facts });
            }
        }
    }

    /// Writes down what a node tells.
    pub(crate) async fn watch(self, of: (&str, DomainId), mut events: NodeEvents) {
        let mut meetings = BTreeMap::new();
        while let Some(event) = events.next().await {
            self.heard(of, event, &mut meetings);
        }
    }

    /// `meetings` has whom the node is about to tell what it holds, and by which rules.
    fn heard(
        &self,
        (name, own): (&str, DomainId),
        event: NodeEvent,
        meetings: &mut BTreeMap<DomainId, u64>,
    ) {
        let peer = |domain| self.name(domain).to_owned();
        match event {
            NodeEvent::SessionBegan { peer: with, .. } => {
                self.trace
                    .tell(name, &format!("began a session with {}", self.name(with)));
                meetings.insert(with, self.book.changes());
                let (peer, compartments) = (peer(with), self.book.shared(own, with));
                self.history
                    .write(name, Event::Meets { peer, compartments });
            }
            NodeEvent::SessionEnded { peer, error } => {
                let what = format!("ended the session with {}: {error}", self.name(peer));
                // All nodes are honest here: none has cause to say that another broke a rule.
                if accuses(&error) {
                    self.trace.wrong(name, &what);
                } else {
                    self.trace.tell(name, &what);
                }
            }
            NodeEvent::CaughtUp {
                peer: with, report, ..
            } => {
                let (sent, received) = (report.facts_sent, report.facts_received);
                // What they tell each other may have changed meanwhile.
                let has_met = meetings.remove(&with) == Some(self.book.changes());
                let with = self.name(with);
                let what = format!("caught up with {with}: {sent} facts sent, {received} received");
                self.trace.tell(name, &what);
                if has_met {
                    let peer = with.to_owned();
                    self.history.write(name, Event::Met { peer });
                }
            }
            NodeEvent::Grown { log, size, .. } => {
                self.trace
                    .note(name, &format!("holds {size} facts of {}", self.log(&log)));
                let durable = Event::Durable {
                    log: log_id(&log),
                    size,
                    root: None,
                    peer: None,
                };
                self.history.write(name, durable);
            }
            NodeEvent::Problem { peer, problem } => self.met(name, self.name(peer), &problem),
            other => self.trace.tell(name, &format!("says {other:?}")),
        }
    }

    /// A log is not brought up to date with a peer.
    fn met(&self, name: &str, with: &str, met: &LogProblem) {
        let what = format!("{}, with {with}: {}", self.log(&met.log), met.problem);
        self.trace.tell(name, &what);
        let is_own = self.name(met.log.origin) == name;
        let (is_ahead, is_forked) = match met.problem {
            Problem::LaneAhead => (true, false),
            Problem::Forked | Problem::Refused(LogError::Other(_)) => (false, true),
            _ => (false, false),
        };
        let peer = || Some(with.to_owned());
        let log = log_id(&met.log);
        if is_forked {
            let peer = peer();
            self.history.write(name, Event::ForkNoticed { log, peer });
        }
        // Who says that an own lane is forked writes to it no more.
        if is_ahead || (is_forked && is_own) {
            let peer = peer();
            self.history.write(name, Event::LaneStopped { log, peer });
        }
    }

    fn name(&self, domain: DomainId) -> &'static str {
        let named = self.names.iter().find(|(id, _)| *id == domain);
        named.map_or("somebody", |(_, name)| name)
    }

    fn log(&self, log: &LogId) -> String {
        format!(
            "lane {:.4} of {}",
            log.lane.to_string(),
            self.name(log.origin)
        )
    }
}

/// Whether a session ended because one side says that the other broke a rule.
fn accuses(error: &SyncError) -> bool {
    matches!(
        error,
        SyncError::Violation(_)
            | SyncError::Keys { .. }
            | SyncError::Log { .. }
            | SyncError::Goodbye(GoodbyeReason::Violation)
    )
}

/// A statement about one of a few things, so that later ones replace earlier ones.
pub(crate) fn draft(random: &mut ChaCha8Rng) -> Option<Draft> {
    let resource = format!("thing/{}", random.next_u32() % 20).parse().ok()?;
    let mut draft = Draft::new("observation".parse().ok()?, resource);
    let number = Value::Int(i64::from(random.next_u32()));
    draft.content.insert("number".to_owned(), number);
    if random.next_u32().is_multiple_of(4) {
        let text = "long ".repeat(random.next_u32() as usize % 400);
        draft.content.insert("text".to_owned(), Value::String(text));
    }
    Some(draft)
}

/// The same, for rules to tell apart.
fn labelled_draft(random: &mut ChaCha8Rng) -> Option<Draft> {
    let mut draft = draft(random)?;
    draft.label = Label::new(LABELS[below(random, LABELS.len())]).ok()?;
    draft.onward = match below(random, 6) {
        0 => Onward::None,
        1 => Onward::Any,
        _ => Onward::Audience,
    };
    let number = Value::Int(below(random, NUMBERS) as i64);
    draft.content.insert(NUMBER.to_owned(), number);
    if below(random, 2) == 0 {
        let secret = Value::Int(i64::from(random.next_u32()));
        draft.content.insert("secret".to_owned(), secret);
    }
    Some(draft)
}

/// What a reader sees at one moment, and had not seen before; nothing if it could not read to the end.
async fn read_all(node: &Node, memory: &Memory) -> Option<Vec<Seen>> {
    let view = node.registry().view().await.ok()?;
    let (query, mut after, mut all) = (FactQuery::default(), None, Vec::new());
    loop {
        let page = view.query_facts(&query, after, PAGE_FACTS).await.ok()?;
        all.extend(page.facts);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    all.retain(|fact| memory.is_new(fact));
    let seen = all.into_iter().map(|fact| Seen {
        id: fact_id(fact.row.id()),
        place: place(&fact.place),
        row: Bytes(fact.row.bytes().to_vec()),
    });
    Some(seen.collect())
}

fn between(random: &mut ChaCha8Rng, least_ms: u64, most_ms: u64) -> Duration {
    Duration::from_millis(least_ms + random.next_u64() % (most_ms - least_ms))
}

/// How many facts a reader asks for at once.
const PAGE_FACTS: usize = 500;
