//! The task that owns the engine: it feeds it, performs its effects, and answers who asked.

use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_fact::LogId;
use causality_store::BATCH_ENTRIES_MAX;
use causality_store::Batch;
use causality_store::FactStore;
use causality_store::StoreError;
use causality_sync::AppendError;
use causality_sync::Appended;
use causality_sync::Connected;
use causality_sync::Draft;
use causality_sync::Engine;
use causality_sync::Event;
use causality_sync::Input;
use causality_sync::Loaded;
use causality_sync::Output;
use causality_sync::PeerPolicies;
use causality_sync::RequestId;
use causality_sync::Restored;
use causality_sync::RoundReport;
use causality_sync::SessionId;
use causality_sync::SyncError;
use causality_sync::Ticket;
use causality_transport::Connection;
use causality_transport::ConnectionStats;
use causality_wire::Goodbye;
use causality_wire::GoodbyeReason;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::clock::Entropy;
use crate::config::Limits;
use crate::connection::DONE_CODE;
use crate::connection::Streams;
use crate::connection::VIOLATION_CODE;
use crate::error::NodeError;
use crate::error::goodbye;
use crate::events::NodeEvent;
use crate::load::perform_load;
use crate::problem::LogProblem;
use crate::problem::Problem;
use crate::state::owner_of;
use crate::state::read_state;

/// How many commands and messages wait for the engine.
pub(crate) const INPUTS_MAX: usize = 256;
/// No new appends are taken up while this many bytes wait to be written.
const UNWRITTEN_BYTES_MAX: usize = 8 << 20;
/// How many appends wait meanwhile, while everything else that is asked goes on. Behind more nothing is heard.
const PUT_OFF_MAX: usize = INPUTS_MAX;
/// Batches that wait are written together up to so many bytes: enough for what a commit costs, and little enough that
/// what is made of them on the way to the disk takes little memory.
const TOGETHER_BYTES_MAX: usize = 4 << 20;
/// How long a peer may take to hear the end of a session.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
/// How long the node waits for a time at which rules change, at least and at most: the clock may be set meanwhile.
const WAKE_MIN: Duration = Duration::from_millis(100);
const WAKE_MAX: Duration = Duration::from_secs(60);

/// What others ask of the task.
pub(crate) enum Command {
    Append {
        compartment: String,
        drafts: Vec<Draft>,
        answer: Answer<Vec<Appended>, AppendFailure>,
    },
    Connected {
        connected: Box<Connected>,
        streams: Streams,
        connection: Arc<dyn Connection>,
        taken: oneshot::Sender<bool>,
    },
    Policies {
        peer: DomainId,
        policies: Box<PeerPolicies>,
    },
    StartRound {
        session: SessionId,
        /// The trigger that fired, if that is why.
        trigger: Option<String>,
        answer: Answer<CaughtUp, RoundFailure>,
    },
    EndSession {
        session: SessionId,
    },
    EndPeer {
        peer: DomainId,
    },
    Inspect(Look),
    Stop(oneshot::Sender<()>),
}

/// A look at what the task owns.
pub(crate) struct Look(pub(crate) Box<dyn FnOnce(View<'_>) + Send>);

/// What the task owns, to be looked at.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) sessions: &'a Sessions,
}

/// Where an answer goes.
pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// What a round did, and which logs it did not bring up to date.
#[derive(Debug)]
pub(crate) struct CaughtUp {
    pub(crate) report: RoundReport,
    pub(crate) problems: Vec<LogProblem>,
}

/// Why an append was not made.
#[derive(Debug)]
pub(crate) enum AppendFailure {
    Refused(AppendError),
    Store(StoreError),
}

/// Why a round was not finished.
#[derive(Debug)]
pub(crate) enum RoundFailure {
    Ended(SyncError),
    Store(StoreError),
}

/// The sessions that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: BTreeMap<SessionId, OpenSession>,
    /// What the sessions that have ended had cost.
    ended: ConnectionStats,
}

/// One open session.
#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) peer: DomainId,
    pub(crate) dialer: DomainId,
    pub(crate) connection: Arc<dyn Connection>,
    streams: Streams,
    /// What was met with this peer, and stands.
    problems: BTreeMap<LogId, LogProblem>,
}

/// Who waits for the end of a round.
struct OpenRound {
    session: SessionId,
    trigger: Option<String>,
    answer: Answer<CaughtUp, RoundFailure>,
}

impl Sessions {
    /// The session with a peer, if one is open.
    pub(crate) fn with(&self, peer: DomainId) -> Option<(SessionId, &OpenSession)> {
        self.open
            .iter()
            .find(|(_, open)| open.peer == peer)
            .map(|(id, open)| (*id, open))
    }

    /// The problems of the session with a peer, if one is open.
    fn problems_with(&mut self, peer: DomainId) -> Option<&mut BTreeMap<LogId, LogProblem>> {
        let open = self.open.values_mut().find(|open| open.peer == peer);
        open.map(|open| &mut open.problems)
    }

    /// UDP payload bytes sent and received since the node started.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let open = self.open.values().map(|open| open.connection.stats());
        open.chain([self.ended])
            .fold((0, 0), |(sent, received), stats| {
                (
                    sent + stats.udp_sent_bytes,
                    received + stats.udp_received_bytes,
                )
            })
    }

    /// Takes a session out.
    fn take(&mut self, session: SessionId) -> Option<OpenSession> {
        let open = self.open.remove(&session)?;
        let stats = open.connection.stats();
        self.ended.udp_sent_bytes += stats.udp_sent_bytes;
        self.ended.udp_received_bytes += stats.udp_received_bytes;
        Some(open)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

/// The parts that the task works with.
pub(crate) struct Driver {
    pub(crate) store: Arc<dyn FactStore>,
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    watchers: broadcast::Sender<NodeEvent>,
    engine: Engine,
    /// Set while the store cannot be read after it has failed. The engine may be ahead of it then, and does nothing.
    failed: Option<StoreError>,
    /// Nothing is written since the store failed: a disk that is full stays so for a while. Whoever wants something ends that.
    is_resting: bool,
    policies: BTreeMap<DomainId, PeerPolicies>,
    sessions: Sessions,
    limits: Limits,
    appends: BTreeMap<RequestId, Answer<Vec<Appended>, AppendFailure>>,
    rounds: BTreeMap<RequestId, OpenRound>,
    next_request: u64,
    unwritten: VecDeque<(Ticket, Batch)>,
    unwritten_bytes: usize,
    /// Appends that wait until there is room for them.
    put_off: VecDeque<Command>,
    /// The commit under way, and the loads: with `generation` to pass over those of an engine that was given up.
    writing: JoinSet<(u64, Vec<Ticket>, Result<(), StoreError>)>,
    loading: JoinSet<(u64, Ticket, Result<Loaded, StoreError>)>,
    generation: u64,
    /// Sessions that have ended here, until their peers have heard of it.
    parting: JoinSet<()>,
}

impl Driver {
    /// Reads the store and makes an engine over it.
    pub(crate) async fn start(
        store: Arc<dyn FactStore>,
        keys: Arc<DomainKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        watchers: broadcast::Sender<NodeEvent>,
        limits: Limits,
    ) -> Result<Self, NodeError> {
        let mut engine = engine(&*store, &keys, &*entropy).await?;
        engine.set_patience(limits.patience.map(milliseconds));
        Ok(Self {
            store,
            keys,
            clock,
            entropy,
            watchers,
            engine,
            failed: None,
            is_resting: false,
            policies: BTreeMap::new(),
            sessions: Sessions::default(),
            limits,
            appends: BTreeMap::new(),
            rounds: BTreeMap::new(),
            next_request: 0,
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            put_off: VecDeque::new(),
            writing: JoinSet::new(),
            loading: JoinSet::new(),
            generation: 0,
            parting: JoinSet::new(),
        })
    }

    /// Runs until it is told to stop, or nobody can ask any more.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut inputs: mpsc::Receiver<Input>,
    ) {
        // Whose turn it is when both wait: no peer talks so much that nobody else is heard.
        let mut is_turn_of_commands = false;
        loop {
            // What peers send shall keep nobody from narrowing the rules, or ending it.
            let has_room = self.unwritten_bytes < UNWRITTEN_BYTES_MAX;
            let may_append = has_room && !self.put_off.is_empty();
            // Nobody is told that something waits which was only not looked at yet.
            let is_opening = self.failed.is_none() && self.engine.is_opening();
            let may_hear = self.put_off.len() < PUT_OFF_MAX && !is_opening;
            let is_asked = may_append || (may_hear && !commands.is_empty());
            let commands_first = is_turn_of_commands && is_asked;
            is_turn_of_commands = !commands_first;
            let wake = self.wake_in();
            tokio::select! {
                biased;
                Some(Ok(written)) = self.writing.join_next() => self.written(written),
                Some(Ok((generation, ticket, result))) = self.loading.join_next() => {
                    if generation == self.generation {
                        self.handle(Input::Loaded { ticket, result });
                    }
                }
                Some(_) = self.parting.join_next() => {}
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {
                    self.is_resting = false;
                    self.handle(Input::Time);
                }
                Some(input) = inputs.recv(), if !commands_first => {
                    self.is_resting = false;
                    self.handle(input);
                }
                () = std::future::ready(()), if may_append => {
                    if let Some(append) = self.put_off.pop_front() {
                        self.is_resting = false;
                        self.read_again().await;
                        self.command(append);
                    }
                }
                command = commands.recv(), if may_hear => match command {
                    Some(append @ Command::Append { .. }) if may_append || !has_room => {
                        self.put_off.push_back(append);
                    }
                    Some(Command::Stop(stopped)) => {
                        self.stop().await;
                        let _ = stopped.send(());
                        return;
                    }
                    Some(command) => {
                        self.is_resting = false;
                        self.read_again().await;
                        self.command(command);
                    }
                    None => return,
                },
            }
            if let Some(error) = self.perform() {
                self.start_over(error).await;
                // What the new engine reads is read at once: nobody is heard before.
                let _ = self.perform();
            }
        }
    }

    /// How long until the engine wants to hear that time has gone on. The clock may run differently, so it is asked again.
    fn wake_in(&self) -> Option<Duration> {
        let wakes_at = self.engine.wakes_at().filter(|_| self.failed.is_none())?;
        let wait = Duration::from_millis(wakes_at.saturating_sub(self.clock.now_ms()));
        Some(wait.clamp(WAKE_MIN, WAKE_MAX))
    }

    fn handle(&mut self, input: Input) {
        if self.failed.is_none() {
            self.engine.handle(self.clock.now_ms(), input);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Append {
                compartment,
                drafts,
                answer,
            } => {
                if let Some(error) = self.failed.clone() {
                    let _ = answer.send(Err(AppendFailure::Store(error)));
                    return;
                }
                let request = self.request();
                self.appends.insert(request, answer);
                self.handle(Input::Append {
                    request,
                    compartment,
                    drafts,
                });
            }
            Command::Connected {
                connected,
                streams,
                connection,
                taken,
            } => {
                let is_taken = self.connected(connected, streams, connection);
                let _ = taken.send(is_taken);
            }
            Command::Policies { peer, policies } => {
                self.policies.insert(peer, (*policies).clone());
                self.handle(Input::Policies { peer, policies });
            }
            Command::StartRound {
                session,
                trigger,
                answer,
            } => self.start_round(session, trigger, answer),
            Command::EndSession { session } => self.handle(Input::EndSession { session }),
            Command::EndPeer { peer } => {
                while let Some((session, _)) = self.sessions.with(peer) {
                    self.handle(Input::EndSession { session });
                    if self.perform().is_some() || self.sessions.open.contains_key(&session) {
                        return;
                    }
                }
            }
            Command::Inspect(Look(look)) => {
                // What holds is a matter of time.
                self.handle(Input::Time);
                look(View {
                    engine: &self.engine,
                    sessions: &self.sessions,
                });
            }
            // Taken out by the loop.
            Command::Stop(stopped) => drop(stopped.send(())),
        }
    }

    fn start_round(
        &mut self,
        session: SessionId,
        trigger: Option<String>,
        answer: Answer<CaughtUp, RoundFailure>,
    ) {
        let Some(open) = self.sessions.open.get_mut(&session) else {
            let _ = answer.send(Err(RoundFailure::Ended(SyncError::Closed)));
            return;
        };
        if self.rounds.values().all(|round| round.session != session) {
            open.problems.retain(|_, met| !met.problem.may_pass());
        }
        let request = self.request();
        let round = OpenRound {
            session,
            trigger: trigger.clone(),
            answer,
        };
        self.rounds.insert(request, round);
        self.handle(Input::StartRound {
            session,
            request,
            trigger,
        });
    }

    /// Takes a session, unless there is one with this peer that stays. Both sides keep the same one of two: that which
    /// the smaller domain id dialled, and of one dialler the later.
    fn connected(
        &mut self,
        connected: Box<Connected>,
        streams: Streams,
        connection: Arc<dyn Connection>,
    ) -> bool {
        let peer = connected.peer.domain();
        let side = connected.side;
        let dialer = match side {
            causality_sync::Side::Dialer => self.engine.domain(),
            causality_sync::Side::Acceptor => peer,
        };
        if let Some((session, open)) = self.sessions.with(peer) {
            if open.dialer < dialer {
                return false;
            }
            self.handle(Input::EndSession { session });
            if self.perform().is_some() {
                return false;
            }
        }
        if self.failed.is_some() || self.sessions.len() >= self.limits.sessions_max {
            return false;
        }
        let session = connected.session;
        let open = OpenSession {
            peer,
            dialer,
            connection,
            streams,
            problems: BTreeMap::new(),
        };
        self.sessions.open.insert(session, open);
        self.tell(NodeEvent::SessionBegan { peer, side });
        self.handle(Input::Connected(connected));
        true
    }

    /// Performs the engine's effects; returns the error when its store has failed.
    fn perform(&mut self) -> Option<StoreError> {
        if self.failed.is_some() {
            return None;
        }
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Commit { ticket, batch } => {
                    self.unwritten_bytes += batch.bytes();
                    self.unwritten.push_back((ticket, batch));
                }
                Output::Load { ticket, load } => {
                    let (store, own) = (Arc::clone(&self.store), self.engine.domain());
                    let generation = self.generation;
                    self.loading.spawn(async move {
                        (generation, ticket, perform_load(&*store, own, load).await)
                    });
                }
                Output::Send {
                    session,
                    stream,
                    message,
                } => {
                    let Some(open) = self.sessions.open.get(&session) else {
                        continue;
                    };
                    if !open.streams.send(stream, message) {
                        open.connection
                            .close(VIOLATION_CODE, "the peer does not read");
                    }
                }
                Output::Close { session, reason } => self.close(session, reason),
                Output::Event(Event::StoreFailed(error)) => return Some(error),
                Output::Event(event) => self.event(event),
            }
        }
        if !self.is_resting {
            self.write_next();
        }
        None
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Appended { request, result } => {
                if let Some(answer) = self.appends.remove(&request) {
                    let _ = answer.send(result.map_err(AppendFailure::Refused));
                }
            }
            Event::CaughtUp { request, report } => {
                if let Some(round) = self.rounds.remove(&request) {
                    let OpenRound {
                        session,
                        trigger,
                        answer,
                    } = round;
                    let open = self.sessions.open.get(&session);
                    if let Some(peer) = open.map(|open| open.peer) {
                        self.tell(NodeEvent::CaughtUp {
                            peer,
                            report,
                            trigger,
                        });
                    }
                    let problems = open.map(|open| open.problems.values().cloned().collect());
                    let problems = problems.unwrap_or_default();
                    let _ = answer.send(Ok(CaughtUp { report, problems }));
                }
            }
            Event::Ended { session, error } => self.ended(session, error),
            Event::Declined { log, peer, reason } => {
                self.problem(log, peer, Problem::Declined(reason));
            }
            Event::Forked { log, peer } => self.problem(log, peer, Problem::Forked),
            Event::LaneAhead { log, peer } => self.problem(log, peer, Problem::LaneAhead),
            Event::Refused { log, peer, error } => {
                self.problem(log, peer, Problem::Refused(error));
            }
            Event::TooFarBehind { log, peer } => self.problem(log, peer, Problem::TooFarBehind),
            Event::Revealed { log, positions } => {
                let facts = positions.len() as u64;
                tracing::debug!(%log, facts, "facts of a log were revealed");
                self.tell(NodeEvent::Revealed { log, facts });
            }
            Event::Visible { log } => self.tell(NodeEvent::Visible { log }),
            Event::CausesMissing { log, position } => {
                tracing::warn!(%log, position, "a fact is shown without all of its causes");
                self.tell(NodeEvent::CausesMissing { log, position });
            }
            Event::NotTaken { log, peer, facts } => {
                tracing::info!(%log, %peer, facts, "facts were not taken: the rules refuse them");
            }
            Event::Contradicted {
                log,
                peer,
                shown_by,
                positions,
            } => {
                let facts = positions.len() as u64;
                tracing::warn!(%log, %peer, %shown_by, facts, "a peer kept back what another one shows");
                self.tell(NodeEvent::Contradicted {
                    log,
                    peer,
                    shown_by,
                    facts,
                });
            }
            Event::Grown { log, size, from } => {
                tracing::debug!(%log, size, "a log has grown");
                self.tell(NodeEvent::Grown { log, size, from });
            }
            Event::Triggered { peer, trigger } => {
                tracing::info!(%peer, trigger, "a trigger of a peer fired");
                self.tell(NodeEvent::Triggered { peer, trigger });
            }
            _ => {}
        }
    }

    fn ended(&mut self, session: SessionId, error: Option<SyncError>) {
        // Without an error it was this side that needed the session no more.
        let error = error.unwrap_or(SyncError::Goodbye(GoodbyeReason::Done));
        match &error {
            SyncError::Closed => {
                tracing::info!(?session, "a session ended: its connection is gone")
            }
            SyncError::Goodbye(reason) => {
                tracing::info!(?session, "a session ended: {}", goodbye(*reason));
            }
            error => tracing::warn!(?session, %error, "a session was ended"),
        }
        if let Some(open) = self.sessions.take(session) {
            self.tell(NodeEvent::SessionEnded {
                peer: open.peer,
                error: error.clone(),
            });
            open.connection.close(DONE_CODE, "the session is over");
        }
        let is_of = |_: &RequestId, round: &mut OpenRound| round.session == session;
        for (_, round) in self.rounds.extract_if(.., is_of) {
            let _ = round.answer.send(Err(RoundFailure::Ended(error.clone())));
        }
    }

    fn problem(&mut self, log: LogId, peer: DomainId, problem: Problem) {
        tracing::warn!(%log, %peer, %problem, "a log cannot be brought up to date with a peer");
        let compartment = self.engine.compartment_name(log.compartment);
        let met = LogProblem {
            log,
            compartment: compartment.map(str::to_owned),
            problem,
        };
        self.tell(NodeEvent::Problem {
            peer,
            problem: met.clone(),
        });
        if let Some(problems) = self.sessions.problems_with(peer) {
            problems.insert(log, met);
        }
    }

    /// Tells whoever watches.
    fn tell(&self, event: NodeEvent) {
        // Nobody may be watching.
        let _ = self.watchers.send(event);
    }

    /// Says goodbye, lets what was sent before arrive, then closes.
    fn close(&mut self, session: SessionId, reason: GoodbyeReason) {
        let Some(OpenSession {
            peer,
            streams,
            connection,
            ..
        }) = self.sessions.take(session)
        else {
            return;
        };
        let error = SyncError::Goodbye(reason);
        self.tell(NodeEvent::SessionEnded { peer, error });
        let goodbye = SyncMessage::Goodbye(Goodbye { reason });
        streams.send(causality_sync::StreamNumber::CONTROL, goodbye);
        // Without it the streams end behind what was queued.
        drop(streams);
        self.parting.spawn(async move {
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, connection.closed()).await;
            connection.close(DONE_CODE, "the session is over");
        });
    }

    /// Starts the next commit, if none is under way: everything that waits goes into one.
    fn write_next(&mut self) {
        if !self.writing.is_empty() {
            return;
        }
        let Some((first, mut batch)) = self.unwritten.pop_front() else {
            return;
        };
        let (mut tickets, mut bytes) = (vec![first], batch.bytes());
        while let Some((_, next)) = self.unwritten.front() {
            let entries = batch.entries.len() + next.entries.len();
            if bytes + next.bytes() > TOGETHER_BYTES_MAX || entries > BATCH_ENTRIES_MAX {
                break;
            }
            let Some((ticket, next)) = self.unwritten.pop_front() else {
                break;
            };
            bytes += next.bytes();
            tickets.push(ticket);
            batch.entries.extend(next.entries);
            batch.side.extend(next.side);
            batch.time = next.time;
        }
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(bytes);
        let (store, generation) = (Arc::clone(&self.store), self.generation);
        self.writing
            .spawn(async move { (generation, tickets, store.commit(batch).await.map(drop)) });
    }

    fn written(
        &mut self,
        (generation, tickets, result): (u64, Vec<Ticket>, Result<(), StoreError>),
    ) {
        if generation != self.generation {
            return;
        }
        for ticket in tickets {
            self.handle(Input::Committed {
                ticket,
                result: result.clone(),
            });
        }
    }

    /// The store failed: what is in the engine may be ahead of it. Everybody is told, all sessions end, and a new engine
    /// starts from what is durable, as soon as the store can be read.
    async fn start_over(&mut self, error: StoreError) {
        tracing::error!(%error, "the store failed");
        self.tell(NodeEvent::StoreFailed(error.clone()));
        self.generation += 1;
        for (_, answer) in std::mem::take(&mut self.appends) {
            let _ = answer.send(Err(AppendFailure::Store(error.clone())));
        }
        for (_, round) in std::mem::take(&mut self.rounds) {
            let _ = round.answer.send(Err(RoundFailure::Store(error.clone())));
        }
        let sessions: Vec<_> = self.sessions.open.keys().copied().collect();
        for session in sessions {
            self.close(session, GoodbyeReason::Failed);
        }
        self.unwritten.clear();
        self.unwritten_bytes = 0;
        // What is being written must have ended before the store is read.
        while self.writing.join_next().await.is_some() {}
        self.failed = Some(error);
        self.is_resting = true;
        self.read_again().await;
    }

    /// Makes a new engine from what is durable, if the one before was given up.
    async fn read_again(&mut self) {
        if self.failed.is_none() {
            return;
        }
        match engine(&*self.store, &self.keys, &*self.entropy).await {
            Ok(mut engine) => {
                engine.set_patience(self.limits.patience.map(milliseconds));
                let unnoted = std::mem::replace(&mut self.engine, engine).unnoted();
                self.failed = None;
                self.handle(Input::GiveUp(unnoted));
                for (peer, policies) in self.policies.clone() {
                    let policies = Box::new(policies);
                    self.handle(Input::Policies { peer, policies });
                }
            }
            Err(error) => tracing::error!(%error, "the store cannot be read"),
        }
    }

    /// Finishes what is being written, says goodbye to everybody, and lets it arrive.
    async fn stop(&mut self) {
        loop {
            self.write_next();
            let Some(done) = self.writing.join_next().await else {
                break;
            };
            if let Ok(written) = done {
                self.written(written);
            }
            if self.perform().is_some() {
                break;
            }
        }
        let sessions: Vec<_> = self.sessions.open.keys().copied().collect();
        for session in sessions {
            self.close(session, GoodbyeReason::Shutdown);
        }
        while self.parting.join_next().await.is_some() {}
    }

    fn request(&mut self) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        request
    }
}

fn milliseconds(patience: Duration) -> u64 {
    u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)
}

async fn engine(
    store: &dyn FactStore,
    keys: &Arc<DomainKeys>,
    entropy: &dyn Entropy,
) -> Result<Engine, NodeError> {
    let state = read_state(store).await?;
    if let Some(found) = owner_of(&state)?.filter(|found| *found != keys.domain()) {
        return Err(NodeError::OtherDomain { found });
    }
    let restored = Restored::from_store(state)?;
    Ok(Engine::new(Arc::clone(keys), restored, entropy.generator()))
}
