//! One session with a peer: what comes in, and what of it concerns rounds, sending and receiving
//! (`docs/src/spec/sync.md`).

mod convergence;
mod gaps;
mod names;
mod receiving;
mod rounds;
mod sending;

use causality_envelope::SessionKeys;
use causality_fact::DomainId;
use causality_fact::LogId;
use causality_wire::Announce;
use causality_wire::LogNumber;
use causality_wire::MESSAGE_BYTES_MAX;
use causality_wire::Receives;
use causality_wire::SyncMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::Direction;
use crate::effect::FEEDS;
use crate::effect::SessionId;
use crate::effect::Side;
use crate::effect::StreamNumber;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::progress::Progress;
use crate::session::gaps::SetsDue;
use crate::session::names::Names;
use crate::session::receiving::Receiving;
use crate::session::rounds::Rounds;
use crate::session::sending::Sending;
use crate::upgrade::Upgrade;

pub(crate) use sending::ChunkLoad;
pub(crate) use sending::RevealLoad;

/// The credit with which a session begins, in bytes of feed messages: so much may be sent before the other side has stored
/// some of it.
pub const CREDIT_BYTES: u64 = 8 << 20;
/// How far the credit may be exceeded: an announcement and its chunk are begun while there is any.
pub const OVERDRAFT_BYTES_MAX: u64 = 2 * MESSAGE_BYTES_MAX as u64;
/// No more is read from the store while this many bytes of entries wait for the network.
pub const UNFLUSHED_BYTES_MAX: usize = 4 << 20;
/// How many reads of a session are under way at once.
pub const LOADS_MAX: usize = FEEDS as usize;
/// The most logs that each side names in one session.
pub const SESSION_LOGS_MAX: usize = 1 << 16;
/// The most bytes of announcements that a session keeps while their facts come: block roots and key records.
pub const SESSION_ANNOUNCED_BYTES_MAX: usize = 16 << 20;

/// A session with a peer whose identity is proven.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    peer: DomainId,
    keys: SessionKeys,
    sends: bool,
    receives: bool,
    /// Whether the peer takes anything; `None` before its first frontier.
    peer_receives: Option<Receives>,
    names: Names,
    rounds: Rounds,
    sending: Sending,
    receiving: Receiving,
    /// Logs of which the peer holds another tree.
    forked: BTreeSet<LogId>,
    sets_due: BTreeMap<LogId, SetsDue>,
    /// Rows for known positions that came in this step: the engine takes them up behind it.
    pub(crate) upgrades: Vec<(LogId, Upgrade)>,
    /// Whether both sides have said what they hold: from then on new facts go out by themselves.
    is_live: bool,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        peer: DomainId,
        keys: SessionKeys,
        side: Side,
        direction: Direction,
    ) -> Self {
        Self {
            id,
            peer,
            keys,
            sends: direction != Direction::Pull,
            receives: direction != Direction::Push,
            peer_receives: None,
            names: Names::new(side),
            rounds: Rounds::new(side),
            sending: Sending::default(),
            receiving: Receiving::default(),
            forked: BTreeSet::new(),
            sets_due: BTreeMap::new(),
            upgrades: Vec::new(),
            is_live: false,
        }
    }

    /// How many facts the peer has confirmed as durable, and how many of its are durable here.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sending.facts_confirmed, self.receiving.facts)
    }

    pub(crate) fn peer(&self) -> DomainId {
        self.peer
    }

    /// How far the peer has a log, if it was told of it or has said so.
    pub(crate) fn progress(&self, log: &LogId) -> Option<Progress> {
        let mut progress = self.sending.progress(log).unwrap_or_default();
        let reach = self.receiving.reach(log);
        if progress == Progress::default() && reach.is_none() {
            return None;
        }
        progress.reach = reach.unwrap_or_default();
        Some(progress)
    }

    /// The same of all logs.
    pub(crate) fn all_progress(&self) -> impl Iterator<Item = (LogId, Progress)> {
        let logs: BTreeSet<_> = self.sending.logs().chain(self.receiving.logs()).collect();
        logs.into_iter()
            .filter_map(|log| Some((log, self.progress(&log)?)))
    }

    pub(crate) fn receive(
        &mut self,
        engine: &mut Engine,
        stream: StreamNumber,
        message: SyncMessage,
    ) -> Result<(), SyncError> {
        if stream != stream_of(&message) {
            return Err(SyncError::Violation("a message on the stream of others"));
        }
        match message {
            SyncMessage::Frontier(frontier) => self.frontier(engine, frontier),
            SyncMessage::Announce(_)
            | SyncMessage::FactSync(_)
            | SyncMessage::Reveal(_)
            | SyncMessage::Holes(_) => {
                self.receiving.charge(&message)?;
                self.feed(engine, message)
            }
            SyncMessage::Receipt(receipt) => self.receipt(engine, &receipt),
            SyncMessage::CaughtUp(caught_up) => self.caught_up(engine, caught_up),
            SyncMessage::Goodbye(goodbye) => Err(SyncError::Goodbye(goodbye.reason)),
            SyncMessage::SetsRequest(request) => self.sets_request(engine, request),
            SyncMessage::Sets(sets) => self.sets(engine, &sets),
            SyncMessage::Convergence(receipt) => self.convergence(engine, &receipt),
        }
    }

    /// A log has more durable facts: from a position on, and brought by a session, if not by an append.
    pub(crate) fn log_grown(
        &mut self,
        engine: &mut Engine,
        log: LogId,
        (before, by): (u64, Option<SessionId>),
    ) -> Result<(), SyncError> {
        self.confirm_progress(engine, log);
        if by != Some(self.id) {
            self.log_caught_up(engine, log, before);
        }
        if self.offers(engine, &log) && !self.sending.is_known(&log) {
            // The peer does not know of it yet.
            self.rounds.is_wanted = true;
        }
        self.send_more_of(engine, log);
        self.settle_log(engine, log)?;
        self.open_wanted_round(engine)
    }

    /// What the peer may have and give changed.
    pub(crate) fn policies_changed(&mut self, engine: &mut Engine) -> Result<(), SyncError> {
        self.rounds.is_wanted = true;
        self.settle_all(engine)?;
        self.open_wanted_round(engine)
    }

    /// Whether the peer is offered a log.
    fn offers(&self, engine: &Engine, log: &LogId) -> bool {
        self.sends
            && self.peer_receives != Some(Receives::Nothing)
            && !self.forked.contains(log)
            && self.is_called_alike(engine, log)
            && engine.may_send(self.peer, log)
    }

    /// Whether both sides mean the same by the compartment of a log, as far as the peer has said. Names decide who may have
    /// what: under a false one, facts that others give in it would go to whom they are not for.
    fn is_called_alike(&self, engine: &Engine, log: &LogId) -> bool {
        let told = self.names.told(log);
        told.is_none_or(|told| engine.compartments.is_called(log.compartment, told))
    }

    /// The peer hears of what is held of a log: it may ask for the sets once more.
    fn owe_sets(&mut self, log: LogId) {
        self.sets_due.entry(log).or_default().told();
    }

    /// Whether a log is taken from the peer.
    fn takes(&self, engine: &Engine, log: &LogId) -> bool {
        let told = self.names.told(log);
        self.receives
            && !self.forked.contains(log)
            && self.is_called_alike(engine, log)
            && engine.may_receive(self.peer, log, told)
    }
}

/// On which stream a message travels: those about facts on the feed of their log, all others on the control stream.
fn stream_of(message: &SyncMessage) -> StreamNumber {
    match message {
        SyncMessage::Announce(announce) => feed_of(announce.log),
        SyncMessage::FactSync(chunk) => feed_of(chunk.log),
        SyncMessage::Reveal(reveal) => feed_of(reveal.log),
        SyncMessage::Holes(holes) => feed_of(holes.log),
        _ => StreamNumber::CONTROL,
    }
}

fn feed_of(log: LogNumber) -> StreamNumber {
    StreamNumber(1 + (log.0 % u32::from(FEEDS)) as u8)
}

/// How many bytes of credit a feed message takes: what it carries, and a fixed amount for its rest.
fn cost(message: &SyncMessage) -> u64 {
    match message {
        SyncMessage::Announce(announce) => cost_of_announce(announce),
        SyncMessage::FactSync(chunk) => cost_of_chunk(chunk.entries.len(), chunk.right.len()),
        SyncMessage::Reveal(reveal) => reveal.rows.len() as u64 + COST_BYTES,
        SyncMessage::Holes(holes) => {
            let sets = [&holes.withheld, &holes.deferred, &holes.partial];
            let sets = sets.map(|set| set.len()).into_iter().sum::<usize>();
            (sets + holes.statement.len()) as u64 + COST_BYTES
        }
        _ => 0,
    }
}

fn cost_of_announce(announce: &Announce) -> u64 {
    let records = announce.key_records.iter().map(|record| record.len() + 8);
    let hashes = announce.block_roots.len() * 32;
    (records.sum::<usize>() + announce.checkpoint.len() + hashes) as u64 + COST_BYTES
}

fn cost_of_chunk(entries: usize, right: usize) -> u64 {
    (entries + right * 32) as u64 + COST_BYTES
}

/// What every feed message costs beside what it carries.
const COST_BYTES: u64 = 64;
