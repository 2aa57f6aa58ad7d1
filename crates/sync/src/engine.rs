//! The engine: one domain's whole protocol as a state machine. Events go in, effects come out as data.
//!
//! The engine owns what it needs to decide: trees, checkpoints, keys, sessions. It never waits, reads no clock and does
//! no I/O; the same inputs give the same outputs.

use causality_envelope::DomainKeys;
use causality_fact::CHUNK_BYTES_MAX;
use causality_fact::Checkpoint;
use causality_fact::CompartmentId;
use causality_fact::ConflictKey;
use causality_fact::DomainId;
use causality_fact::FactId;
use causality_fact::Hlc;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::TreeHash;
use causality_fact::TreeHead;
use causality_store::Batch;
use causality_store::Mark;
use causality_store::SideWrite;
use causality_store::StoreError;
use causality_strategy::Flow;
use causality_strategy::Meters;
use causality_wire::BoundedString;
use causality_wire::Convergence;
use causality_wire::GoodbyeReason;
use causality_wire::SyncMessage;
use causality_wire::TRIGGER_BYTES_MAX;
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

mod rules;

use crate::append::Append;
use crate::append::Built;
use crate::append::lane_write;
use crate::compartment::Compartments;
use crate::effect::Connected;
use crate::effect::Event;
use crate::effect::GivenUp;
use crate::effect::Input;
use crate::effect::Load;
use crate::effect::Loaded;
use crate::effect::Output;
use crate::effect::PeerPolicies;
use crate::effect::SessionId;
use crate::effect::StreamNumber;
use crate::effect::SyncError;
use crate::effect::Ticket;
use crate::gate::Gate;
use crate::heads::OwnHeads;
use crate::ingest::Ingested;
use crate::ingest::unstored_keys;
use crate::logbook::Durable;
use crate::logbook::LogState;
use crate::metrics::SyncMetrics;
use crate::peers::Declined;
use crate::peers::Remembered;
use crate::peers::Settlement;
use crate::peers::Source;
use crate::progress::Progress;
use crate::receipts::Receipts;
use crate::recent::OpenAppends;
use crate::recent::Recent;
use crate::restore::Restored;
use crate::session::ChunkLoad;
use crate::session::RevealLoad;
use crate::session::Session;
use crate::upgrade::Upgrades;
use crate::visible::Stubs;

/// How many conflict keys a generation of remembered heads has. Whoever writes more keys than that in turn has their facts
/// read again.
const HEADS_GENERATION_KEYS: usize = 1 << 14;
/// How many marks a generation has: few, because those of durable facts are looked up in the store all the same.
const MARKS_GENERATION_KEYS: usize = 1 << 12;

/// One domain's protocol. Feed it with [`handle`](Self::handle), then take outputs until there are none.
pub struct Engine {
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) key_logs: BTreeMap<DomainId, KeyLog>,
    /// How many key records of a domain the store has, or is about to have.
    pub(crate) stored_keys: BTreeMap<DomainId, usize>,
    pub(crate) logs: BTreeMap<LogId, LogState>,
    /// The lanes in which this store writes; those that are behind what a peer holds are not written any more.
    pub(crate) lanes: BTreeMap<CompartmentId, LaneId>,
    /// In which compartments a lane was given up for the word of a peer alone. Stores are set back between two engines.
    pub(crate) doubted: BTreeSet<(DomainId, CompartmentId)>,
    pub(crate) compartments: Compartments,
    pub(crate) restored: bool,
    pub(crate) heads: Recent<(CompartmentId, ConflictKey), OwnHeads>,
    /// Marks of facts that may still be on their way to the store.
    pub(crate) marks: Recent<Mark, FactId>,
    pub(crate) open_appends: OpenAppends,
    pub(crate) random: Box<dyn CryptoRng + Send>,
    pub(crate) policies: BTreeMap<DomainId, Arc<PeerPolicies>>,
    /// Positions that were not taken from a peer.
    pub(crate) declined: BTreeMap<(DomainId, LogId), Declined>,
    pub(crate) settlements: BTreeMap<(DomainId, LogId), Settlement>,
    /// Rows on their way to the store, and whether they have changed since.
    pub(crate) remembering: BTreeMap<Remembered, bool>,
    /// How far peers had logs when the last session with each ended.
    pub(crate) past: BTreeMap<(DomainId, LogId), Progress>,
    /// What peers say that they keep back.
    pub(crate) sources: BTreeMap<(LogId, DomainId), Source>,
    /// Rows on their way to positions that are known.
    pub(crate) upgrades: BTreeMap<LogId, Upgrades>,
    pub(crate) metrics: SyncMetrics,
    pub(crate) receipts: BTreeMap<DomainId, Receipts>,
    /// What has travelled for the sake of rules with a volume.
    pub(crate) meters: BTreeMap<(DomainId, Flow), Meters>,
    /// What of the facts that are held waits for others,
    pub(crate) gate: Gate,
    pub(crate) is_opening: bool,
    pub(crate) stubs: Stubs,
    /// Logs of which the store notes that more waits than does.
    pub(crate) released: BTreeSet<LogId>,
    /// what was shown without them, and for how long they are waited for: until when those of a log are, and since which
    /// answer.
    pub(crate) flagged: BTreeMap<LogId, PositionSet>,
    pub(crate) patience_ms: Option<u64>,
    pub(crate) patient: BTreeSet<(u64, LogId, u64)>,
    /// The time of the last statement about what is kept back.
    pub(crate) last_statement: Hlc,
    /// When rules change by themselves, or a volume is free again, and those about whom.
    wakes: BTreeSet<(u64, DomainId)>,
    /// The time of the last input.
    pub(crate) now_ms: u64,
    sessions: BTreeMap<SessionId, Session>,
    pending: BTreeMap<Ticket, Pending>,
    /// Appends in the order in which they came, with what was read for them: they are built in that order.
    appends: VecDeque<(Ticket, Append, Option<Loaded>)>,
    next_ticket: u64,
    /// Own lanes that were given up, while the note of that is on its way to the store.
    unnoted: VecDeque<GivenUp>,
    outputs: VecDeque<Output>,
}

/// What is known of a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogView<'a> {
    /// The newest durable checkpoint of which all positions are held; while a transfer is under way, the one that proves
    /// most.
    pub checkpoint: &'a Checkpoint,
    /// How many positions are durable; may be below the size of the checkpoint while a transfer is under way.
    pub durable: u64,
    /// How many of them can be proven.
    pub provable: u64,
    /// The roots of all blocks under the checkpoint.
    pub roots: Vec<TreeHash>,
}

/// What a commit or load was for.
pub(crate) enum Pending {
    /// Its append stands in `appends`.
    AppendLoad,
    AppendCommit(Built),
    ChunkLoad(SessionId, ChunkLoad),
    IngestCommit(SessionId, Ingested, u64),
    GateRead(LogId, u64),
    GateAsk(LogId, u64, Vec<FactId>),
    GateSearch,
    SideCommit,
    Remembered(Remembered),
    RevealLoad(SessionId, RevealLoad),
    /// The own receipt that is to be sent behind it.
    Receipt(SessionId, Convergence),
    UpgradeLoad(LogId),
    UpgradeCommit(LogId),
    /// The note of the oldest of the lanes in `unnoted`.
    Note,
}

impl Engine {
    /// An engine over what the store has. `random` salts facts and draws ids.
    pub fn new(
        keys: Arc<DomainKeys>,
        restored: Restored,
        random: Box<dyn CryptoRng + Send>,
    ) -> Self {
        let mut key_logs = restored.key_logs;
        let stored_keys = key_logs
            .iter()
            .map(|(domain, keys)| (*domain, keys.len()))
            .collect();
        key_logs.insert(keys.domain(), keys.key_log().clone());
        Self {
            keys,
            key_logs,
            stored_keys,
            logs: restored.logs,
            lanes: restored.lanes,
            doubted: BTreeSet::new(),
            compartments: restored.compartments,
            restored: restored.marker,
            heads: Recent::new(HEADS_GENERATION_KEYS),
            marks: Recent::new(MARKS_GENERATION_KEYS),
            open_appends: OpenAppends::default(),
            random,
            policies: BTreeMap::new(),
            declined: restored.declined,
            settlements: restored.settlements,
            remembering: BTreeMap::new(),
            past: BTreeMap::new(),
            sources: restored.sources,
            receipts: restored.receipts,
            upgrades: BTreeMap::new(),
            metrics: SyncMetrics::default(),
            meters: BTreeMap::new(),
            is_opening: !restored.gate.is_idle(),
            gate: restored.gate,
            stubs: Stubs::default(),
            released: BTreeSet::new(),
            flagged: restored.flagged,
            patience_ms: None,
            patient: BTreeSet::new(),
            last_statement: Hlc::default(),
            wakes: BTreeSet::new(),
            now_ms: 0,
            sessions: BTreeMap::new(),
            pending: BTreeMap::new(),
            appends: VecDeque::new(),
            next_ticket: 0,
            unnoted: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The domain.
    pub fn domain(&self) -> DomainId {
        self.keys.domain()
    }

    /// Takes in what happened at `now_ms`, in milliseconds since 1970.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        self.now_ms = now_ms;
        if self.wakes_at().is_some_and(|at| at <= now_ms) {
            self.wake();
            self.lose_patience();
        }
        self.take_in(now_ms, input);
        self.run_gate();
    }

    fn take_in(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Append {
                request,
                compartment,
                drafts,
            } => match Append::new(self, now_ms, request, compartment, drafts) {
                Ok((append, load)) => {
                    let ticket = self.load(load, Pending::AppendLoad);
                    self.appends.push_back((ticket, append, None));
                }
                Err(error) => self.event(Event::Appended {
                    request,
                    result: Err(error),
                }),
            },
            Input::Policies { peer, policies } => self.set_policies(peer, *policies),
            Input::Connected(connected) => {
                self.connected(*connected);
            }
            Input::StartRound {
                session,
                request,
                trigger,
            } => {
                let trigger = named(trigger.as_deref().unwrap_or_default());
                self.with_session(session, |session, engine| {
                    session.start_round(engine, request, trigger)
                });
            }
            Input::Received {
                session,
                stream,
                message,
            } => {
                self.with_session(session, |session, engine| {
                    session.receive(engine, stream, message)
                });
            }
            Input::Flushed { session, bytes } => {
                self.with_session(session, |session, engine| session.flushed(engine, bytes));
            }
            Input::Time => {}
            Input::GiveUp(lanes) => lanes.into_iter().for_each(|lane| self.give_up(lane)),
            Input::EndSession { session } => {
                if self.sessions.contains_key(&session) {
                    let reason = GoodbyeReason::Done;
                    self.outputs.push_back(Output::Close { session, reason });
                    self.end(session, None);
                }
            }
            Input::Disconnected { session } => self.end(session, Some(SyncError::Closed)),
            Input::Committed { ticket, result } => self.committed(ticket, result),
            Input::Loaded { ticket, result } => self.loaded(now_ms, ticket, result),
        }
    }

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A log of which something is durable.
    pub fn log(&self, log: &LogId) -> Option<LogView<'_>> {
        let state = self.logs.get(log)?;
        let signed = state.durable.signed()?;
        Some(LogView {
            checkpoint: &signed.checkpoint,
            durable: state.durable.size(),
            provable: state.durable.provable(),
            roots: state.roots_under(signed, 0),
        })
    }

    /// The own lanes that were given up and of which the store has no note yet. When it fails the next engine has to know
    /// ([`Input::GiveUp`]), or it would write to them again.
    pub fn unnoted(&self) -> Vec<GivenUp> {
        self.unnoted.iter().copied().collect()
    }

    pub(crate) fn is_noting(&self) -> bool {
        !self.unnoted.is_empty()
    }

    /// What was counted so far.
    pub fn metrics(&self) -> &SyncMetrics {
        &self.metrics
    }

    /// Goes on counting where an engine ended that failed.
    pub fn count_on(&mut self, failed: Self) {
        self.metrics = failed.metrics;
        let error = SyncError::Failed("the store failed");
        for session in failed.sessions.values() {
            let counted = self.metrics.of(session.peer());
            counted.ended(Some(&error), session.is_in_round());
        }
    }

    /// How many facts of a session the peer has confirmed as durable, and how many of the peer's are durable here;
    /// `None` when it is gone.
    pub fn session_counts(&self, session: SessionId) -> Option<(u64, u64)> {
        self.sessions.get(&session).map(Session::counts)
    }

    /// The verified keys of a domain.
    pub fn key_log(&self, domain: DomainId) -> Option<&KeyLog> {
        self.key_logs.get(&domain)
    }

    /// The name that this domain has for a compartment.
    pub fn compartment_name(&self, id: CompartmentId) -> Option<&str> {
        self.compartments.name(id)
    }

    /// The names that this domain has for compartments.
    pub fn compartment_names(&self) -> impl Iterator<Item = &str> {
        self.compartments.names()
    }

    /// The compartment that this domain calls by a name.
    pub fn compartment_by_name(&self, name: &str) -> Option<CompartmentId> {
        self.compartments.by_name(name)
    }

    /// The logs of which facts are durable, with the number of their positions.
    pub fn logs(&self) -> impl Iterator<Item = (&LogId, u64)> {
        let sizes = self
            .logs
            .iter()
            .map(|(log, state)| (log, state.durable.size()));
        sizes.filter(|(_, size)| *size > 0)
    }

    fn connected(&mut self, connected: Connected) {
        let id = connected.session;
        let domain = connected.peer.domain();
        let known = self
            .key_logs
            .get(&domain)
            .map(|keys| keys.records_from(0))
            .unwrap_or_default();
        let shown = connected.peer.records_from(0);
        if !shown.starts_with(&known) {
            // Fewer records than were seen before, or others: a rollback or fork of the peer's key log.
            let error = Some(SyncError::Violation("a key log that goes back or forks"));
            self.outputs.push_back(Output::Close {
                session: id,
                reason: GoodbyeReason::Violation,
            });
            return self.event(Event::Ended { session: id, error });
        }
        self.key_logs.insert(domain, connected.peer);
        let side = unstored_keys(self, domain);
        if !side.is_empty() {
            // What was shown once counts also after a restart.
            self.commit_side(side, Pending::SideCommit);
        }
        let Connected {
            keys,
            side,
            direction,
            ..
        } = connected;
        self.metrics.of(domain).sessions += 1;
        self.sessions
            .insert(id, Session::new(id, domain, keys, side, direction));
    }

    fn committed(&mut self, ticket: Ticket, result: Result<(), StoreError>) {
        if let Err(error) = result {
            return self.event(Event::StoreFailed(error));
        }
        match self.pending.remove(&ticket) {
            Some(Pending::AppendCommit(built)) => {
                let grown = built.grown();
                let before = grown.map_or(0, |log| self.held(&log).size);
                let ids = built.ids();
                let event = built.finish(self);
                self.event(event);
                self.are_visible(&ids);
                if let Some(log) = grown {
                    self.grown(log, (before, None), None);
                }
            }
            Some(Pending::IngestCommit(session, ingested, cost)) => {
                let log = ingested.log;
                let from = self.sessions.get(&session).map(Session::peer);
                let before = self.held(&log).size;
                ingested.finish(self);
                self.with_session(session, |session, engine| {
                    session.ingested(engine, &ingested, cost);
                    Ok(())
                });
                self.came_through(log, &ingested.rows);
                self.grown(log, (before, Some(session)), from);
            }
            Some(Pending::UpgradeCommit(log)) => self.upgraded(log),
            Some(Pending::Remembered(row)) => self.remembered(row),
            Some(Pending::Receipt(session, receipt)) => {
                self.with_session(session, |session, engine| {
                    session.receipt_written(engine, receipt);
                    Ok(())
                });
            }
            Some(Pending::Note) => {
                if let Some(noted) = self.unnoted.pop_front() {
                    self.event(noted.into());
                }
                for id in self.session_ids() {
                    self.with_session(id, Session::noted);
                }
            }
            _ => {}
        }
    }

    fn loaded(&mut self, now_ms: u64, ticket: Ticket, result: Result<Loaded, StoreError>) {
        let loaded = match result {
            Ok(loaded) => loaded,
            Err(error) => return self.event(Event::StoreFailed(error)),
        };
        match (self.pending.remove(&ticket), loaded) {
            (Some(Pending::AppendLoad), loaded) => {
                if let Some(append) = self.appends.iter_mut().find(|(of, ..)| *of == ticket) {
                    append.2 = Some(loaded);
                }
                self.build_appends(now_ms);
            }
            (Some(Pending::ChunkLoad(session, load)), Loaded::Chunk { entries, behind }) => {
                self.with_session(session, |session, engine| {
                    session.send_chunk(engine, load, &entries, &behind)
                });
            }
            (Some(Pending::RevealLoad(session, load)), Loaded::Entries(entries)) => {
                self.with_session(session, |session, engine| {
                    session.send_reveal(engine, load, &entries)
                });
            }
            (Some(Pending::UpgradeLoad(log)), Loaded::Entries(entries)) => {
                self.upgrade_loaded(log, &entries);
            }
            (Some(Pending::GateRead(log, number)), Loaded::Entries(entries)) => {
                self.gate_read(log, number, &entries);
            }
            (Some(Pending::GateSearch), Loaded::Withheld(found)) => self.gate_searched(&found),
            (Some(Pending::GateAsk(log, number, causes)), Loaded::Places(places)) => {
                self.gate_answered((log, number), &causes, &places);
            }
            _ => {}
        }
    }

    /// Builds the appends whose turn it is.
    fn build_appends(&mut self, now_ms: u64) {
        while let Some((_, append, Some(loaded))) =
            self.appends.pop_front_if(|(_, _, loaded)| loaded.is_some())
        {
            let Loaded::Append { marks, keys } = loaded else {
                continue;
            };
            let request = append.request;
            match append.build(self, now_ms, marks, keys) {
                Ok((built, batch)) => drop(self.commit(batch, Pending::AppendCommit(built))),
                Err(error) => {
                    let result = Err(error);
                    self.event(Event::Appended { request, result });
                }
            }
        }
    }

    /// A log has more durable facts: whoever may have them gets them.
    fn grown(&mut self, log: LogId, new: (u64, Option<SessionId>), from: Option<DomainId>) {
        let size = self.logs.get(&log).map_or(0, |s| s.durable.size());
        self.event(Event::Grown { log, size, from });
        self.next_upgrade(log);
        for id in self.session_ids() {
            self.with_session(id, |session, engine| session.log_grown(engine, log, new));
        }
    }

    pub(crate) fn session_ids(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// Runs a step of a session; a step that fails ends it.
    pub(crate) fn with_session(
        &mut self,
        id: SessionId,
        step: impl FnOnce(&mut Session, &mut Self) -> Result<(), SyncError>,
    ) {
        let Some(mut session) = self.sessions.remove(&id) else {
            return;
        };
        let result = step(&mut session, self);
        let upgrades = std::mem::take(&mut session.upgrades);
        self.sessions.insert(id, session);
        if result.is_ok() {
            upgrades
                .into_iter()
                .for_each(|(log, upgrade)| self.upgrade(log, upgrade));
        }
        if let Err(error) = result {
            if let Some(reason) = error.goodbye() {
                self.outputs.push_back(Output::Close {
                    session: id,
                    reason,
                });
            }
            self.end(id, Some(error));
        }
    }

    fn end(&mut self, session: SessionId, error: Option<SyncError>) {
        if let Some(ended) = self.sessions.remove(&session) {
            let peer = ended.peer();
            let past = ended.all_progress();
            // Of logs that only a peer speaks of there is nothing to tell, and they may be many.
            let held = past.filter(|(log, _)| self.logs.contains_key(log));
            self.past
                .extend(held.map(|(log, progress)| ((peer, log), progress)));
            let counted = self.metrics.of(peer);
            counted.ended(error.as_ref(), ended.is_in_round());
            self.event(Event::Ended { session, error });
        }
    }

    /// The sessions with a peer: one, and for a moment another one.
    pub(crate) fn sessions_with(&self, peer: DomainId) -> impl Iterator<Item = &Session> {
        let sessions = self.sessions.values();
        sessions.filter(move |session| session.peer() == peer)
    }

    /// Whether a peer may have a log.
    pub fn may_send(&self, peer: DomainId, log: &LogId) -> bool {
        let Some(name) = self.compartments.name(log.compartment) else {
            return false;
        };
        let policies = self.policies.get(&peer);
        policies.is_some_and(|policies| policies.outward.shares_compartment(name, self.now_ms))
    }

    /// Whether a log is taken from a peer that calls its compartment `told`.
    pub(crate) fn may_receive(&self, peer: DomainId, log: &LogId, told: Option<&str>) -> bool {
        self.taken_as(peer, log, told).is_some()
    }

    /// By which name of its compartment a log is taken from a peer that calls it `told`.
    pub(crate) fn taken_as<'a>(
        &'a self,
        peer: DomainId,
        log: &LogId,
        told: Option<&'a str>,
    ) -> Option<&'a str> {
        let policies = self.policies.get(&peer)?;
        let is_taken = |name: &str| policies.inward.shares_compartment(name, self.now_ms);
        self.compartments
            .granted_as(is_taken, log.compartment, told)
    }

    pub(crate) fn policies(&self, peer: DomainId) -> Option<Arc<PeerPolicies>> {
        self.policies.get(&peer).cloned()
    }

    /// The logs that a peer may have.
    pub(crate) fn offered(&self, peer: DomainId) -> BTreeSet<LogId> {
        let held = self.logs.iter().filter(|(_, s)| s.durable.size() > 0);
        held.map(|(log, _)| *log)
            .filter(|log| self.may_send(peer, log))
            .collect()
    }

    /// What is durable of a log.
    pub(crate) fn held(&self, log: &LogId) -> TreeHead {
        let state = self.logs.get(log);
        state.map_or_else(|| Durable::default().head, |state| state.durable.head)
    }

    /// Takes up verified keys that go on from those that are known.
    pub(crate) fn learn_keys(&mut self, keys: &KeyLog) -> Result<(), KeyError> {
        let Some(known) = self.key_logs.get(&keys.domain()) else {
            self.key_logs.insert(keys.domain(), keys.clone());
            return Ok(());
        };
        let differ = |epoch: &u32| known.record(*epoch) != keys.record(*epoch);
        let common = known.len().min(keys.len()) as u32;
        if let Some(epoch) = (0..common).find(differ) {
            return Err(KeyError::BrokenChain { epoch });
        }
        if keys.len() > known.len() {
            self.key_logs.insert(keys.domain(), keys.clone());
        }
        Ok(())
    }

    /// Whether this store writes to the log.
    pub(crate) fn writes(&self, log: &LogId) -> bool {
        log.origin == self.domain() && self.lanes.get(&log.compartment) == Some(&log.lane)
    }

    /// Never writes to an own lane again, also after a restart; tells so once that is sure.
    pub(crate) fn give_up(&mut self, given_up: GivenUp) {
        let log = given_up.log();
        let mut side = Vec::new();
        if self.lanes.get(&log.compartment) == Some(&log.lane) {
            self.lanes.remove(&log.compartment);
            side.push(lane_write(log.compartment, None));
        }
        self.unnoted.push_back(given_up);
        self.commit_side(side, Pending::Note);
    }

    pub(crate) fn send(&mut self, session: SessionId, stream: StreamNumber, message: SyncMessage) {
        self.outputs.push_back(Output::Send {
            session,
            stream,
            message,
        });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.metrics.record_event(&event);
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn load_chunk(&mut self, session: SessionId, chunk: ChunkLoad) {
        let load = Load::Chunk {
            log: chunk.log,
            from: chunk.from,
            until: chunk.until(),
        };
        let _ = self.load(load, Pending::ChunkLoad(session, chunk));
    }

    pub(crate) fn commit_ingested(
        &mut self,
        session: SessionId,
        (batch, ingested): (Batch, Ingested),
        cost: u64,
    ) {
        let _ = self.commit(batch, Pending::IngestCommit(session, ingested, cost));
    }

    pub(crate) fn load_reveal(&mut self, session: SessionId, reveal: RevealLoad) {
        let load = Load::Entries {
            log: reveal.log,
            positions: reveal.positions.clone(),
            bytes_max: CHUNK_BYTES_MAX,
        };
        let _ = self.load(load, Pending::RevealLoad(session, reveal));
    }

    pub(crate) fn commit_receipt(
        &mut self,
        session: SessionId,
        write: SideWrite,
        receipt: Convergence,
    ) {
        self.commit_side(vec![write], Pending::Receipt(session, receipt));
    }

    pub(crate) fn commit_side(&mut self, side: Vec<SideWrite>, pending: Pending) {
        let batch = Batch {
            side,
            ..Batch::default()
        };
        let _ = self.commit(batch, pending);
    }

    pub(crate) fn load(&mut self, load: Load, pending: Pending) -> Ticket {
        let ticket = self.ticket(pending);
        self.outputs.push_back(Output::Load { ticket, load });
        ticket
    }

    pub(crate) fn commit(&mut self, mut batch: Batch, pending: Pending) -> Ticket {
        self.add_released(&mut batch);
        let ticket = self.ticket(pending);
        self.outputs.push_back(Output::Commit { ticket, batch });
        ticket
    }

    fn ticket(&mut self, pending: Pending) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.pending.insert(ticket, pending);
        ticket
    }
}

/// The id of a trigger as it travels.
fn named(trigger: &str) -> BoundedString<TRIGGER_BYTES_MAX> {
    let end = trigger.floor_char_boundary(TRIGGER_BYTES_MAX);
    let text = trigger.get(..end).unwrap_or_default();
    BoundedString::new(text).expect("it was cut to TRIGGER_BYTES_MAX")
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (logs, sessions) = (self.logs.len(), self.sessions.len());
        write!(
            f,
            "Engine({:.8}, {logs} logs, {sessions} sessions)",
            self.domain()
        )
    }
}
