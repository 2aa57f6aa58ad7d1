//! What goes into the engine and what comes out: the whole vocabulary between it and its driver.

use causality_envelope::SessionKeys;
use causality_fact::ChunkError;
use causality_fact::CompartmentId;
use causality_fact::ConflictKey;
use causality_fact::DomainId;
use causality_fact::FactCore;
use causality_fact::FactId;
use causality_fact::KeyError;
use causality_fact::KeyId;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_store::Batch;
use causality_store::Mark;
use causality_store::Place;
use causality_store::StoreError;
use causality_store::StoredEntry;
use causality_strategy::Flow;
use causality_strategy::Party;
use causality_strategy::PeerPolicy;
use causality_strategy::SyncPolicies;
use causality_wire::GoodbyeReason;
use causality_wire::RefusalReason;
use causality_wire::SyncMessage;
use thiserror::Error;

use crate::draft::AppendError;
use crate::draft::Appended;
use crate::draft::Draft;

/// A session, numbered by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any number is one")]
pub struct SessionId(pub u64);

/// A request of the driver, numbered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any number is one")]
pub struct RequestId(pub u64);

/// A commit or load that the engine asked for, numbered by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any number is one")]
pub struct Ticket(pub u64);

/// A stream of a session: 0 is the control stream, 1 to [`FEEDS`] carry logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any number is one")]
pub struct StreamNumber(pub u8);

impl StreamNumber {
    /// The stream of frontiers, receipts and the end.
    pub const CONTROL: Self = Self(0);
}

/// How many streams each side has for logs; one log always takes the same one.
pub const FEEDS: u8 = 8;

/// Which end of a session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a session has two ends")]
pub enum Side {
    /// It waited.
    Acceptor,
    /// It dialled.
    Dialer,
}

/// Which way facts go in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two ways, and both")]
pub enum Direction {
    /// Both ways.
    Both,
    /// To this domain only.
    Pull,
    /// To the peer only.
    Push,
}

/// What this domain gives to and takes from a peer.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "there are two ways")]
pub struct PeerPolicies {
    /// What the peer may have.
    pub outward: PeerPolicy,
    /// What is taken from it.
    pub inward: PeerPolicy,
}

impl PeerPolicies {
    /// What the rules of the domain `own` say about a peer.
    pub fn new(policies: &SyncPolicies, own: DomainId, peer: &Party<'_>) -> Self {
        let of = |flow| policies.get_policy_for_domain(flow, own, peer);
        Self {
            outward: of(Flow::Out),
            inward: of(Flow::In),
        }
    }
}

/// An own lane that is not written any more, and which peer showed that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two ways to be set back")]
pub enum GivenUp {
    /// The peer holds more of it: [`Event::LaneAhead`].
    Ahead(LogId, DomainId),
    /// The peer holds other facts at the same positions: [`Event::Forked`].
    Forked(LogId, DomainId),
}

impl GivenUp {
    pub(crate) fn log(&self) -> LogId {
        match self {
            Self::Ahead(log, _) | Self::Forked(log, _) => *log,
        }
    }
}

impl From<GivenUp> for Event {
    fn from(given_up: GivenUp) -> Self {
        match given_up {
            GivenUp::Ahead(log, peer) => Self::LaneAhead { log, peer },
            GivenUp::Forked(log, peer) => Self::Forked { log, peer },
        }
    }
}

/// What happened.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the driver and the engine are written against each other"
)]
pub enum Input {
    /// Somebody wants to append drafts to a compartment; answered by [`Event::Appended`].
    Append {
        /// Comes back with the answer.
        request: RequestId,
        /// The compartment by its name here; a new one is made for a new name.
        compartment: String,
        /// At most [`crate::DRAFTS_MAX`].
        drafts: Vec<Draft>,
    },
    /// What a peer may have and give from now on; of a peer without policies nothing is sent and nothing is taken.
    Policies {
        /// The peer.
        peer: DomainId,
        /// From now on.
        policies: Box<PeerPolicies>,
    },
    /// A peer proved its identity on a connection.
    Connected(Box<Connected>),
    /// Catch up with a session's peer; answered by [`Event::CaughtUp`], or [`Event::Ended`] of the session.
    StartRound {
        /// The session.
        session: SessionId,
        /// Comes back with the answer.
        request: RequestId,
        /// The trigger that fired, if that is why: the peer is told, of a long id the first
        /// [`TRIGGER_BYTES_MAX`](causality_wire::TRIGGER_BYTES_MAX) bytes.
        trigger: Option<String>,
    },
    /// A message came in, opened and decoded.
    Received {
        /// The session.
        session: SessionId,
        /// On which stream.
        stream: StreamNumber,
        /// The message.
        message: SyncMessage,
    },
    /// Messages with this many bytes of entries have left for the network.
    Flushed {
        /// The session.
        session: SessionId,
        /// The bytes.
        bytes: usize,
    },
    /// Time has gone on: wanted at [`crate::Engine::wakes_at`].
    Time,
    /// An engine before this one gave up own lanes, and failed before that was durable ([`crate::Engine::unnoted`]).
    GiveUp(Vec<GivenUp>),
    /// A session is not needed any more.
    EndSession {
        /// The session.
        session: SessionId,
    },
    /// A session's connection is gone.
    Disconnected {
        /// The session.
        session: SessionId,
    },
    /// A batch is durable, or failed.
    Committed {
        /// Which.
        ticket: Ticket,
        /// How it went.
        result: Result<(), StoreError>,
    },
    /// Something was read, or not.
    Loaded {
        /// Which.
        ticket: Ticket,
        /// What was read.
        result: Result<Loaded, StoreError>,
    },
}

/// A peer that proved its identity.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the driver states all of it")]
pub struct Connected {
    /// The number of the session.
    pub session: SessionId,
    /// The peer's verified keys.
    pub peer: KeyLog,
    /// The session's keys, for head tags; the driver has taken what seals and opens the streams.
    pub keys: SessionKeys,
    /// Which end this is.
    pub side: Side,
    /// Which way facts may go.
    pub direction: Direction,
}

/// What the driver shall do. Commits are to be made in the order in which they come.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the driver and the engine are written against each other"
)]
pub enum Output {
    /// Make a batch durable, then say so.
    Commit {
        /// Comes back with the outcome.
        ticket: Ticket,
        /// What to write.
        batch: Batch,
    },
    /// Read from the store, then say what was read.
    Load {
        /// Comes back with what was read.
        ticket: Ticket,
        /// What to read.
        load: Load,
    },
    /// Send a message on a stream of a session. Messages of one stream arrive in this order.
    Send {
        /// The session.
        session: SessionId,
        /// On which stream.
        stream: StreamNumber,
        /// The message.
        message: SyncMessage,
    },
    /// End a session once what was sent before is on its way.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        reason: GoodbyeReason,
    },
    /// Tell whoever asked, or whoever watches.
    Event(Event),
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the driver and the engine are written against each other"
)]
pub enum Load {
    /// What an append has to know.
    Append {
        /// The compartment, if it is not new.
        compartment: Option<CompartmentId>,
        /// Marks that may be in the store.
        marks: Vec<Mark>,
        /// Conflict keys whose own facts in the compartment count.
        keys: Vec<ConflictKey>,
    },
    /// A run of a log to send: entries from `from` on, within one block and below `until`, of at most
    /// [`causality_fact::CHUNK_BYTES_MAX`] bytes or one entry; and the hashes behind them up to the end of that block
    /// or `until`.
    Chunk {
        /// The log.
        log: LogId,
        /// The first position.
        from: u64,
        /// The size of the checkpoint under which it is sent.
        until: u64,
    },
    /// The places of all rows of facts.
    Places(Vec<FactId>),
    /// Where single positions of logs have these hashes, of facts that are not held.
    Withheld {
        /// The hashes of leaves.
        hashes: Vec<TreeHash>,
        /// The logs, and up to which position each.
        logs: Vec<(LogId, u64)>,
    },
    /// The entries at positions of a log.
    Entries {
        /// The log.
        log: LogId,
        /// The positions, which ascend.
        positions: Vec<u64>,
        /// No more are wanted once the rows have so many bytes.
        bytes_max: usize,
    },
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the driver and the engine are written against each other"
)]
pub enum Loaded {
    /// For [`Load::Append`].
    Append {
        /// For each mark the fact that has it.
        marks: Vec<Option<FactId>>,
        /// For each key the own facts of it in the compartment.
        keys: Vec<Vec<(FactId, FactCore)>>,
    },
    /// For [`Load::Chunk`].
    Chunk {
        /// The entries; empty when nothing is held there.
        entries: Vec<StoredEntry>,
        /// The hashes behind them.
        behind: Vec<(Subtree, TreeHash)>,
    },
    /// For [`Load::Withheld`], in any order.
    Withheld(Vec<(TreeHash, Place)>),
    /// For [`Load::Places`], in the order of the ids.
    Places(Vec<Vec<Place>>),
    /// For [`Load::Entries`].
    Entries(Vec<StoredEntry>),
}

/// What the driver may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The answer to [`Input::Append`]: all drafts are durable, or none is written.
    Appended {
        /// The request.
        request: RequestId,
        /// The facts in the order of the drafts.
        result: Result<Vec<Appended>, AppendError>,
    },
    /// The answer to [`Input::StartRound`].
    CaughtUp {
        /// The request.
        request: RequestId,
        /// What went each way.
        report: RoundReport,
    },
    /// A session ended; its peer's open requests will not be answered.
    Ended {
        /// The session.
        session: SessionId,
        /// What was wrong, if anything.
        error: Option<SyncError>,
    },
    /// Logs have new durable facts.
    Grown {
        /// The log.
        log: LogId,
        /// How many positions of it are durable.
        size: u64,
        /// The peer that gave them, if one did.
        from: Option<DomainId>,
    },
    /// A peer opened a round for the sake of one of its triggers.
    Triggered {
        /// The peer.
        peer: DomainId,
        /// What the trigger is called there.
        trigger: String,
    },
    /// Positions of a log that were known by their hashes, or held in part, tell more now, and that is durable.
    Revealed {
        /// The log.
        log: LogId,
        /// The positions in ascending order.
        positions: Vec<u64>,
    },
    /// Facts of a log that waited for their causes are visible.
    Visible {
        /// The log.
        log: LogId,
    },
    /// A fact was shown without all of its causes, which it had waited for too long ([`crate::Engine::set_patience`]).
    CausesMissing {
        /// Its log.
        log: LogId,
        /// Its position.
        position: u64,
    },
    /// Some facts of a log were not taken from a peer: the rules about it refuse them. Their hashes are held.
    NotTaken {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
        /// How many.
        facts: u64,
    },
    /// A peer had kept back facts that another one shows.
    Contradicted {
        /// The log.
        log: LogId,
        /// The peer that kept them back, or said that it had only their hashes.
        peer: DomainId,
        /// The peer that shows them.
        shown_by: DomainId,
        /// The positions in ascending order.
        positions: Vec<u64>,
    },
    /// Two domains hold different trees under one size of a log: somebody forked it. It is not synchronised with this peer
    /// in this session.
    Forked {
        /// The log.
        log: LogId,
        /// The peer that holds another one.
        peer: DomainId,
    },
    /// A peer says that it holds positions of the lane in which this store writes that this store does not: it was set
    /// back, by a restored backup or worse. Nothing is written to the lane any more, also after a restart: the next append
    /// opens another. (That is said without proof. To believe a liar costs a new lane, to disbelieve the truth a fork.)
    LaneAhead {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
    },
    /// The peer takes nothing more of a log, in this session or until the next round.
    Declined {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
        /// The reason that it gave.
        reason: RefusalReason,
    },
    /// Nothing more of a log is taken from the peer, in this session or until the next round. The session goes on, since
    /// the origin may be at fault and the peer may not know.
    Refused {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
        /// What is wrong with it.
        error: LogError,
    },
    /// A peer signed two convergence receipts of which only one can be in its chain. Its store may have been set back; both are
    /// kept.
    ReceiptsForked {
        /// The peer.
        peer: DomainId,
    },
    /// The peer lacks more of a log than one announcement can hold ([`crate::ANNOUNCED_BLOCKS_MAX`] blocks, or the origin's
    /// key records): it is not sent.
    TooFarBehind {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
    },
    /// A commit or read failed. The engine is no longer usable: make a new one from the store.
    StoreFailed(StoreError),
}

/// What a round of catch-up did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain numbers")]
pub struct RoundReport {
    /// Facts sent and acknowledged as durable.
    pub facts_sent: u64,
    /// Facts received and durable.
    pub facts_received: u64,
    /// How often this side had to wait for an answer until it was known that all had arrived.
    pub round_trips: u32,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Violation(&'static str),
    /// A key record or signature that the peer sent does not hold, whoever the origin is.
    #[error("keys of log {log} do not verify: {error}")]
    Keys {
        /// The log.
        log: LogId,
        /// What is wrong.
        error: Box<KeyError>,
    },
    /// What the peer sent of a log is malformed or in the wrong place.
    #[error("log {log} does not verify: {error}")]
    Log {
        /// The log.
        log: LogId,
        /// What is wrong.
        error: Box<ChunkError>,
    },
    /// The peer ended the session.
    #[error("the peer ended the session: {0:?}")]
    Goodbye(GoodbyeReason),
    /// This side cannot go on.
    #[error("this side failed: {0}")]
    Failed(&'static str),
    /// The session is gone, or was replaced.
    #[error("the session is closed")]
    Closed,
}

impl SyncError {
    /// What the peer is told; `None` when there is nobody to tell.
    pub(crate) fn goodbye(&self) -> Option<GoodbyeReason> {
        match self {
            Self::Violation(_) | Self::Keys { .. } | Self::Log { .. } => {
                Some(GoodbyeReason::Violation)
            }
            Self::Failed(_) => Some(GoodbyeReason::Failed),
            Self::Goodbye(_) | Self::Closed => None,
        }
    }
}

/// Why nothing more of a log is taken from a peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The peer calls its compartment by another name than the one that it has here, which is not one made from the other.
    #[error("the peer calls its compartment otherwise")]
    CalledOtherwise,
    /// It is behind a checkpoint that closes the lane.
    #[error("the lane was closed at {size}")]
    Closed {
        /// The size of the closing checkpoint.
        size: u64,
    },
    /// A later checkpoint has an earlier key.
    #[error("a checkpoint of key epoch {found} follows one of epoch {held}")]
    EpochRunsBack {
        /// The epoch of the newest checkpoint held.
        held: u32,
        /// The epoch found.
        found: u32,
    },
    /// The origin's key records are others than those that are known, or the key is in none of them.
    #[error("the keys of the origin do not fit those that are known: {0}")]
    Keys(KeyError),
    /// It is, with what else the session has, more than is kept at once; it may come in a later round.
    #[error("more is announced than a session may hold")]
    Limit,
    /// The peer may not give it.
    #[error("it is not taken from this peer")]
    NotGranted,
    /// Its blocks do not give the signed root, or its facts not the root of their block: the peer lies, or the origin has
    /// forked the log.
    #[error("it is another log than the one held: {0}")]
    Other(ChunkError),
    /// New positions stand under a key that was revoked.
    #[error("key {0} was revoked")]
    Revoked(KeyId),
    /// It is a new one, and [`crate::LOGS_MAX`] are held, [`crate::LOGS_OF_ORIGIN_MAX`] of its origin, or
    /// [`crate::LOGS_OF_STRANGERS_MAX`] of such as are no peers.
    #[error("as many logs as can be held are held already")]
    TooManyLogs,
}

impl LogError {
    /// What the peer is told.
    pub(crate) fn reason(&self) -> RefusalReason {
        match self {
            Self::Closed { .. } => RefusalReason::Void,
            Self::EpochRunsBack { .. } | Self::Keys(_) | Self::Revoked(_) => RefusalReason::Key,
            Self::Limit => RefusalReason::RetryLater,
            Self::CalledOtherwise | Self::NotGranted => RefusalReason::Policy,
            Self::Other(_) => RefusalReason::Malformed,
            Self::TooManyLogs => RefusalReason::Limit,
        }
    }
}
