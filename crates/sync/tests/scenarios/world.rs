//! A small world: engines over stores in memory, and links that deliver in order on each stream and in any order between
//! them. All that is delayed waits until the world is told to go on; a seed decides what comes first.

use causality_envelope::{Acceptor, Dialer, DomainKeys, ExpectedPeer, Party, SessionKeys};
use causality_fact::{
    Decoder, DomainId, Entry, FactCore, FactId, LogId, ROW_BYTES_MAX, RowCore, TreeHead, Value,
};
use causality_store::FactReader as _;
use causality_strategy::{self as strategy, Flow, SyncPolicies};
use causality_sync::{
    Appended, Connected, Direction, Draft, Engine, Event, Input, Load, Loaded, Output,
    PeerPolicies, RequestId, RoundReport, SessionId, Side, StreamNumber, SyncError,
};
use causality_wire::{GoodbyeReason, SyncMessage};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::domain::{Domain, now};

/// Every domain gives and takes these unless a story says otherwise.
pub(crate) const PUBLIC: &str = "public";

pub(crate) struct World {
    pub(crate) domains: Vec<Domain>,
    links: BTreeMap<SessionId, Link>,
    next_link: u64,
    next_request: u64,
    pub(crate) random: ChaCha20Rng,
    pub(crate) now_ms: u64,
    /// Rows that went from one domain to another.
    pub(crate) rows: BTreeMap<(usize, usize), u64>,
    /// Changes what a domain sends.
    pub(crate) tamper: Option<(usize, Tamper)>,
    /// What was sent since somebody began to listen, in that order.
    pub(crate) overheard: Option<Vec<Sent>>,
}

/// A message as it left a domain.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) session: SessionId,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) message: SyncMessage,
}

pub(crate) type Tamper = Box<dyn FnMut(&mut SyncMessage)>;

struct Link {
    ends: [usize; 2],
    /// Messages on their way, by the domain that they go to and the stream.
    queues: BTreeMap<(usize, StreamNumber), VecDeque<SyncMessage>>,
}

#[derive(Clone, Copy)]
enum Step {
    Load(usize, usize),
    Commit(usize),
    Deliver(SessionId, usize, StreamNumber),
}

impl World {
    pub(crate) fn new(domains: usize, seed: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let domain = |_| {
            let keys = DomainKeys::generate(&mut random, 0..i64::MAX).unwrap();
            Domain::new(Arc::new(keys), random.next_u64())
        };
        let mut world = Self {
            domains: (0..domains).map(domain).collect(),
            links: BTreeMap::new(),
            next_link: 0,
            next_request: 0,
            random,
            now_ms: 1_000,
            rows: BTreeMap::new(),
            tamper: None,
            overheard: None,
        };
        for one in 0..domains {
            for other in 0..domains {
                world.grant(one, other, &[PUBLIC], &[PUBLIC]);
            }
        }
        world
    }

    pub(crate) fn id(&self, domain: usize) -> DomainId {
        self.domains[domain].keys.domain()
    }

    pub(crate) fn engine(&self, domain: usize) -> &Engine {
        &self.domains[domain].engine
    }

    pub(crate) fn grant(&mut self, domain: usize, peer: usize, send: &[&str], receive: &[&str]) {
        let id = self.id(peer);
        let mut policies = SyncPolicies::default();
        policies.grant(Flow::Out, "send", id, send.iter().copied());
        policies.grant(Flow::In, "receive", id, receive.iter().copied());
        self.set_policies(domain, peer, &policies);
    }

    /// Sets what a domain gives to and takes from a peer, which it calls `d` and its number.
    pub(crate) fn set_policies(&mut self, domain: usize, peer: usize, policies: &SyncPolicies) {
        let name = format!("d{peer}");
        let peer = self.id(peer);
        let party = strategy::Party {
            domain: peer,
            name: Some(&name),
        };
        let policies = PeerPolicies::new(policies, self.id(domain), &party);
        self.domains[domain].policies.insert(peer, policies.clone());
        let policies = Box::new(policies);
        self.handle(domain, Input::Policies { peer, policies });
    }

    // Appending.

    pub(crate) fn set_patience(&mut self, domain: usize, patience_ms: Option<u64>) {
        let domain = &mut self.domains[domain];
        domain.patience_ms = patience_ms;
        domain.engine.set_patience(patience_ms);
    }

    pub(crate) fn append(&mut self, domain: usize, drafts: Vec<Draft>) -> Vec<Appended> {
        self.append_to(domain, PUBLIC, drafts)
    }

    /// Appends and lets everything come to rest.
    pub(crate) fn append_to(
        &mut self,
        domain: usize,
        compartment: &str,
        drafts: Vec<Draft>,
    ) -> Vec<Appended> {
        let request = self.begin_append(domain, compartment, drafts);
        self.run();
        self.appended(domain, request).unwrap()
    }

    /// Appends `count` numbered facts, a thousand at a time.
    pub(crate) fn append_many(&mut self, domain: usize, count: u64) {
        for start in (0..count).step_by(1000) {
            let drafts = (start..count.min(start + 1000)).map(draft).collect();
            self.append(domain, drafts);
        }
    }

    pub(crate) fn begin_append(
        &mut self,
        domain: usize,
        compartment: &str,
        drafts: Vec<Draft>,
    ) -> RequestId {
        self.now_ms += 1;
        let request = self.request();
        let compartment = compartment.to_owned();
        let append = Input::Append {
            request,
            compartment,
            drafts,
        };
        self.handle(domain, append);
        request
    }

    pub(crate) fn appended(
        &mut self,
        domain: usize,
        request: RequestId,
    ) -> Result<Vec<Appended>, causality_sync::AppendError> {
        let events = &mut self.domains[domain].events;
        let is_it = |e: &Event| matches!(e, Event::Appended { request: of, .. } if *of == request);
        let found = events.iter().position(is_it).expect("no answer");
        let Event::Appended { result, .. } = events.remove(found) else {
            unreachable!()
        };
        result
    }

    // Sessions.

    pub(crate) fn connect(&mut self, dialer: usize, acceptor: usize) -> SessionId {
        self.connect_for(dialer, acceptor, Direction::Both)
    }

    pub(crate) fn connect_for(
        &mut self,
        dialer: usize,
        acceptor: usize,
        direction: Direction,
    ) -> SessionId {
        let session = SessionId(self.next_link);
        self.next_link += 1;
        let ends = [dialer, acceptor];
        let queues = BTreeMap::new();
        self.links.insert(session, Link { ends, queues });
        let keys = [dialer, acceptor].map(|n| Arc::clone(&self.domains[n].keys));
        let [at_dialer, at_acceptor] = greet(&keys[0], &keys[1], &mut self.random);
        let sides = [
            (dialer, acceptor, Side::Dialer, direction, at_dialer),
            (
                acceptor,
                dialer,
                Side::Acceptor,
                Direction::Both,
                at_acceptor,
            ),
        ];
        for (own, peer, side, direction, keys) in sides {
            let connected = Connected {
                session,
                peer: self.domains[peer].keys.key_log().clone(),
                keys,
                side,
                direction,
            };
            self.handle(own, Input::Connected(Box::new(connected)));
        }
        session
    }

    /// Connects a domain to a dialer that has its keys, but whose engine knows nothing of it.
    pub(crate) fn connect_liar(&mut self, liar: usize, victim: usize) -> SessionId {
        let session = SessionId(self.next_link);
        self.next_link += 1;
        let ends = [liar, victim];
        let queues = BTreeMap::new();
        self.links.insert(session, Link { ends, queues });
        let keys = [liar, victim].map(|n| Arc::clone(&self.domains[n].keys));
        let [_, at_victim] = greet(&keys[0], &keys[1], &mut self.random);
        let connected = Connected {
            session,
            peer: keys[0].key_log().clone(),
            keys: at_victim,
            side: Side::Acceptor,
            direction: Direction::Both,
        };
        self.handle(victim, Input::Connected(Box::new(connected)));
        session
    }

    pub(crate) fn start_round(&mut self, domain: usize, session: SessionId) -> RequestId {
        let request = self.request();
        self.handle(
            domain,
            Input::StartRound {
                session,
                request,
                trigger: None,
            },
        );
        request
    }

    /// Connects two domains and lets the first catch up; all comes to rest.
    pub(crate) fn sync(&mut self, dialer: usize, acceptor: usize) -> RoundReport {
        self.sync_for(dialer, acceptor, Direction::Both)
    }

    pub(crate) fn sync_for(
        &mut self,
        dialer: usize,
        acceptor: usize,
        direction: Direction,
    ) -> RoundReport {
        let session = self.connect_for(dialer, acceptor, direction);
        let report = self.round(dialer, session);
        self.hang_up(session);
        report
    }

    pub(crate) fn round(&mut self, domain: usize, session: SessionId) -> RoundReport {
        let request = self.start_round(domain, session);
        self.run();
        self.report(domain, request).expect("the round has ended")
    }

    pub(crate) fn report(&self, domain: usize, request: RequestId) -> Option<RoundReport> {
        self.domains[domain].events.iter().find_map(|e| match e {
            Event::CaughtUp {
                request: of,
                report,
            } if *of == request => Some(*report),
            _ => None,
        })
    }

    pub(crate) fn hang_up(&mut self, session: SessionId) {
        let Some(link) = self.links.remove(&session) else {
            return;
        };
        for end in link.ends {
            self.handle(end, Input::Disconnected { session });
        }
    }

    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.links.contains_key(&session)
    }

    /// How the session ended at a domain.
    pub(crate) fn end_of(&self, domain: usize, session: SessionId) -> Option<&SyncError> {
        self.domains[domain].events.iter().find_map(|e| match e {
            Event::Ended { session: of, error } if *of == session => error.as_ref(),
            _ => None,
        })
    }

    /// Puts a message on the way as if a domain had sent it.
    pub(crate) fn inject(
        &mut self,
        session: SessionId,
        to: usize,
        stream: StreamNumber,
        message: SyncMessage,
    ) {
        let link = self.links.get_mut(&session).expect("the session is open");
        link.queues
            .entry((to, stream))
            .or_default()
            .push_back(message);
    }

    /// Messages on their way to a domain, to be looked at or changed.
    pub(crate) fn under_way(&mut self, session: SessionId, to: usize) -> Vec<&mut SyncMessage> {
        let link = self.links.get_mut(&session).expect("the session is open");
        let queues = link.queues.iter_mut().filter(|((of, _), _)| *of == to);
        queues.flat_map(|(_, queue)| queue.iter_mut()).collect()
    }

    /// The feed on which something is on its way to a domain.
    pub(crate) fn feed_under_way(&self, session: SessionId, to: usize) -> StreamNumber {
        let queues = self.links[&session].queues.iter();
        let mut busy = queues.filter(|((of, _), queue)| *of == to && !queue.is_empty());
        let feed = busy.find(|((_, stream), _)| *stream != StreamNumber::CONTROL);
        feed.expect("something is on its way").0.1
    }

    /// How many reads of a domain are under way.
    pub(crate) fn loads_under_way(&self, domain: usize) -> usize {
        self.domains[domain].loads.len()
    }

    /// Goes on, with this answer to all reads of chunks.
    pub(crate) fn answer_chunk_loads(
        &mut self,
        domain: usize,
        answer: &Loaded,
        is_answered: impl Fn(&Load) -> bool,
    ) {
        loop {
            for (ticket, load) in std::mem::take(&mut self.domains[domain].loads) {
                assert!(matches!(load, Load::Chunk { .. }));
                if !is_answered(&load) {
                    continue;
                }
                let result = Ok(answer.clone());
                self.handle(domain, Input::Loaded { ticket, result });
            }
            let is_read = |step: &Step| matches!(step, Step::Load(of, _) if *of == domain);
            match self.steps().into_iter().find(|step| !is_read(step)) {
                Some(step) => self.perform(step),
                None if self.domains[domain].loads.is_empty() => return,
                None => {}
            }
        }
    }

    // Failures.

    /// A domain loses its engine and what was on its way to the store, and starts again.
    pub(crate) fn restart(&mut self, domain: usize) {
        let sessions: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.ends.contains(&domain))
            .map(|(id, _)| *id)
            .collect();
        self.domains[domain].restart();
        for session in sessions {
            self.hang_up(session);
        }
        for (peer, policies) in self.domains[domain].policies.clone() {
            let policies = Box::new(policies);
            self.handle(domain, Input::Policies { peer, policies });
        }
    }

    // Going on.

    /// Goes on until nothing is under way.
    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    /// Does one thing that is under way, whichever; `false` when nothing is.
    pub(crate) fn step(&mut self) -> bool {
        let steps = self.steps();
        if steps.is_empty() {
            return false;
        }
        let chosen = steps[(self.random.next_u64() % steps.len() as u64) as usize];
        self.perform(chosen);
        true
    }

    /// Does at most so many things.
    pub(crate) fn take_steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Goes on without any feed message of these sessions to a domain.
    pub(crate) fn run_without_feeds(&mut self, sessions: &[SessionId], domain: usize) {
        let is_feed = |step: &Step| match step {
            Step::Deliver(session, to, stream) => {
                sessions.contains(session) && *to == domain && *stream != StreamNumber::CONTROL
            }
            _ => false,
        };
        while let Some(step) = self.steps().into_iter().find(|step| !is_feed(step)) {
            self.perform(step);
        }
    }

    /// Goes on without letting any commit of a domain happen.
    pub(crate) fn run_without_commits(&mut self, domain: usize) {
        while let Some(step) = self
            .steps()
            .into_iter()
            .find(|step| !matches!(step, Step::Commit(of) if *of == domain))
        {
            self.perform(step);
        }
    }

    /// Goes on without delivering anything on the control stream to a domain.
    pub(crate) fn run_without_control(&mut self, domain: usize) {
        let is_held = |step: &Step| matches!(step, Step::Deliver(_, to, StreamNumber::CONTROL) if *to == domain);
        while let Some(step) = self.steps().into_iter().find(|step| !is_held(step)) {
            self.perform(step);
        }
    }

    /// Does one thing that is under way, but delivers nothing of any other session.
    pub(crate) fn step_of(&mut self, session: SessionId) {
        let is_its = |step: &Step| !matches!(step, Step::Deliver(of, ..) if *of != session);
        let step = self.steps().into_iter().find(is_its);
        self.perform(step.expect("something is under way"));
    }

    /// Goes on without delivering anything to a domain.
    pub(crate) fn run_without_deliveries(&mut self, domain: usize) {
        let is_held = |step: &Step| matches!(step, Step::Deliver(_, to, _) if *to == domain);
        while let Some(step) = self.steps().into_iter().find(|step| !is_held(step)) {
            self.perform(step);
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, domain) in self.domains.iter().enumerate() {
            steps.extend((0..domain.loads.len()).map(|index| Step::Load(number, index)));
            steps.extend((!domain.commits.is_empty()).then_some(Step::Commit(number)));
        }
        for (session, link) in &self.links {
            let waiting = link.queues.iter().filter(|(_, queue)| !queue.is_empty());
            steps.extend(waiting.map(|((to, stream), _)| Step::Deliver(*session, *to, *stream)));
        }
        steps
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Load(domain, index) => {
                let (ticket, load) = self.domains[domain].loads.remove(index);
                let result = Ok(self.domains[domain].load(load));
                self.handle(domain, Input::Loaded { ticket, result });
            }
            Step::Commit(domain) => {
                let (ticket, batch) = self.domains[domain].commits.pop_front().unwrap();
                let result = self.domains[domain].commit(batch);
                self.handle(domain, Input::Committed { ticket, result });
            }
            Step::Deliver(session, to, stream) => self.deliver(session, to, stream),
        }
    }

    /// Delivers the next message of a stream to a domain.
    pub(crate) fn deliver(&mut self, session: SessionId, to: usize, stream: StreamNumber) {
        let Some(link) = self.links.get_mut(&session) else {
            return;
        };
        let from = link.ends[usize::from(link.ends[0] == to)];
        let Some(message) = link
            .queues
            .get_mut(&(to, stream))
            .and_then(VecDeque::pop_front)
        else {
            return;
        };
        if let SyncMessage::FactSync(chunk) = &message {
            *self.rows.entry((from, to)).or_default() += rows_in(&chunk.entries);
        }
        let bytes = message.fact_bytes();
        if bytes > 0 {
            self.handle(from, Input::Flushed { session, bytes });
        }
        let received = Input::Received {
            session,
            stream,
            message,
        };
        self.handle(to, received);
    }

    pub(crate) fn handle(&mut self, domain: usize, input: Input) {
        let now_ms = self.now_ms;
        self.domains[domain].engine.handle(now_ms, input);
        while let Some(output) = self.domains[domain].engine.poll_output() {
            match output {
                Output::Commit { ticket, batch } => {
                    self.domains[domain].writes += 1;
                    self.domains[domain].commits.push_back((ticket, batch));
                }
                Output::Load { ticket, load } => {
                    self.domains[domain].reads += 1;
                    self.domains[domain].loads.push((ticket, load));
                }
                Output::Send {
                    session,
                    stream,
                    mut message,
                } => {
                    match &mut self.tamper {
                        Some((liar, tamper)) if *liar == domain => tamper(&mut message),
                        _ => {}
                    }
                    if let Some(link) = self.links.get_mut(&session) {
                        let to = link.ends[usize::from(link.ends[0] == domain)];
                        if let Some(overheard) = &mut self.overheard {
                            overheard.push(Sent {
                                session,
                                from: domain,
                                to,
                                message: message.clone(),
                            });
                        }
                        let queue = link.queues.entry((to, stream)).or_default();
                        queue.push_back(message);
                    }
                }
                Output::Close { session, reason } => self.close(domain, session, reason),
                Output::Event(event) => self.event(domain, event),
            }
        }
    }

    /// A goodbye arrives behind what was sent before on the control stream; the rest is lost.
    fn close(&mut self, domain: usize, session: SessionId, reason: GoodbyeReason) {
        let Some(mut link) = self.links.remove(&session) else {
            return;
        };
        let to = link.ends[usize::from(link.ends[0] == domain)];
        let control = link.queues.remove(&(to, StreamNumber::CONTROL));
        let goodbye = SyncMessage::Goodbye(causality_wire::Goodbye { reason });
        for message in control.unwrap_or_default().into_iter().chain([goodbye]) {
            let received = Input::Received {
                session,
                stream: StreamNumber::CONTROL,
                message,
            };
            self.handle(to, received);
        }
        self.handle(to, Input::Disconnected { session });
    }

    fn event(&mut self, domain: usize, event: Event) {
        let failed = matches!(event, Event::StoreFailed(_));
        if let Event::Ended { session, .. } = &event {
            let session = *session;
            self.domains[domain].events.push(event);
            self.hang_up(session);
        } else {
            self.domains[domain].events.push(event);
        }
        if failed {
            self.restart(domain);
        }
    }

    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    // Looking.

    /// What a domain holds and can prove, by log.
    pub(crate) fn digest(&self, domain: usize) -> BTreeMap<LogId, TreeHead> {
        let Domain { engine, store, .. } = &self.domains[domain];
        let mut digest = BTreeMap::new();
        for held in now(store.logs()).unwrap() {
            let view = engine.log(&held.log).unwrap();
            assert_eq!(held.full.is_prefix(), Some(view.durable));
            assert_eq!(view.durable, view.checkpoint.size);
            assert_eq!(view.provable, view.durable);
            let (size, root) = (view.checkpoint.size, view.checkpoint.root);
            digest.insert(held.log, TreeHead { size, root });
        }
        digest
    }

    pub(crate) fn assert_equal(&self) {
        for other in 1..self.domains.len() {
            assert_eq!(self.digest(0), self.digest(other), "domain {other}");
        }
    }

    /// How many facts a domain holds.
    pub(crate) fn count(&self, domain: usize) -> u64 {
        self.digest(domain).values().map(|head| head.size).sum()
    }

    /// Rows that went from one domain to another.
    pub(crate) fn rows(&self, from: usize, to: usize) -> u64 {
        self.rows.get(&(from, to)).copied().unwrap_or(0)
    }

    /// The log that a domain has in a compartment, if it has exactly one.
    pub(crate) fn own_log(&self, domain: usize) -> LogId {
        let origin = self.id(domain);
        let mut logs = self
            .engine(domain)
            .logs()
            .filter(|(log, _)| log.origin == origin);
        let (log, _) = logs.next().expect("it has appended");
        assert!(logs.next().is_none());
        *log
    }

    pub(crate) fn facts(&self, domain: usize, log: &LogId) -> Vec<FactId> {
        let store = &self.domains[domain].store;
        let (mut facts, mut at) = (Vec::new(), 0);
        loop {
            let entries = now(store.scan(log, at..u64::MAX >> 2, 1 << 20)).unwrap();
            let Some(last) = entries.last() else {
                return facts;
            };
            at = last.range().end;
            facts.extend(entries.iter().map(|entry| match entry.entry(log.origin) {
                Ok(Entry::Row(row)) => row.id(),
                other => panic!("{other:?}"),
            }));
        }
    }

    pub(crate) fn core(&self, domain: usize, id: FactId) -> FactCore {
        let store = &self.domains[domain].store;
        let found = now(store.get(&[id])).unwrap().remove(0).expect("held");
        match found.row.core() {
            RowCore::Known(core) => (**core).clone(),
            RowCore::Unsupported(_) => panic!("unsupported"),
        }
    }

    pub(crate) fn has_event(&self, domain: usize, is_it: impl Fn(&Event) -> bool) -> bool {
        self.domains[domain].events.iter().any(is_it)
    }
}

/// The session keys of both ends.
pub(crate) fn greet(
    dialer: &DomainKeys,
    acceptor: &DomainKeys,
    random: &mut ChaCha20Rng,
) -> [SessionKeys; 2] {
    let exporter = [7; 32];
    let party = |keys| Party {
        keys,
        parameters: b"",
        exporter: &exporter,
        now_ms: 1_000,
    };
    let expected = ExpectedPeer {
        domain: acceptor.domain(),
        tls_key: acceptor.transport_key(),
    };
    let (here, first) = Dialer::start(random);
    let (there, second) = Acceptor::answer(&first, &party(acceptor), random).unwrap();
    let (here, third) = here
        .finish(&second, &party(dialer), &expected, random)
        .unwrap();
    let there = there.finish(&third).unwrap();
    [here.keys, there.keys]
}

/// A numbered observation.
pub(crate) fn draft(number: u64) -> Draft {
    let resource = format!("thing/{number}").parse().unwrap();
    let mut draft = Draft::new("observation".parse().unwrap(), resource);
    let value = Value::Int(number as i64);
    draft.content.insert("number".to_owned(), value);
    draft
}

/// An observation with a field of so many bytes.
pub(crate) fn large_draft(number: u64, bytes: usize) -> Draft {
    let mut draft = draft(number);
    let value = Value::Bytes(vec![number as u8; bytes]);
    draft.content.insert("data".to_owned(), value);
    draft
}

fn rows_in(entries: &[u8]) -> u64 {
    let (mut from, mut rows) = (Decoder::new(entries), 0);
    while from.remaining() > 0 {
        if from.bytes("row", ROW_BYTES_MAX).is_err() {
            break;
        }
        rows += 1;
    }
    rows
}
