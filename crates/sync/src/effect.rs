//! What goes into the engine and what comes out: the whole vocabulary between it and its driver.

use causality_envelope::SessionKeys;
use causality_fact::ConflictKey;
use causality_fact::DomainId;
use causality_fact::FactCore;
use causality_fact::FactId;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_store::Batch;
use causality_store::Mark;
use causality_store::StoreError;
use causality_store::StoredEntry;
use causality_wire::GoodbyeReason;
use causality_wire::SyncMessage;
use std::collections::BTreeSet;

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

/// What this domain gives to and takes from a peer: names of compartments. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any two sets are a policy")]
pub struct Grants {
    /// Compartments whose logs the peer may have.
    pub send: BTreeSet<String>,
    /// Compartments whose logs are taken from the peer.
    pub receive: BTreeSet<String>,
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
    /// What a peer may have and give changed.
    Grants {
        /// The peer.
        peer: DomainId,
        /// From now on.
        grants: Grants,
    },
    /// A peer proved its identity on a connection.
    Connected(Box<Connected>),
    /// Catch up with a session's peer; answered by [`Event::CaughtUp`], or [`Event::Ended`] of the session.
    StartRound {
        /// The session.
        session: SessionId,
        /// Comes back with the answer.
        request: RequestId,
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
    /// Messages of this many bytes of entries have left for the network.
    Flushed {
        /// The session.
        session: SessionId,
        /// The bytes.
        bytes: usize,
    },
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
        /// Marks that may be in the store.
        marks: Vec<Mark>,
        /// Conflict keys whose own facts count.
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
        /// For each key the own facts of it.
        keys: Vec<Vec<(FactId, FactCore)>>,
    },
    /// For [`Load::Chunk`].
    Chunk {
        /// The entries; empty when nothing is held there.
        entries: Vec<StoredEntry>,
        /// The hashes behind them.
        behind: Vec<(Subtree, TreeHash)>,
    },
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
    },
    /// Two domains hold different trees under one size of a log: somebody forked it.
    Forked {
        /// The log.
        log: LogId,
        /// The peer that holds another one.
        peer: DomainId,
    },
    /// A peer refused a log: it holds another tree of it.
    Refused {
        /// The log.
        log: LogId,
        /// The peer.
        peer: DomainId,
    },
    /// A peer holds positions of a lane of this domain that this store does not: it was set back, by a restored
    /// backup or worse. Nothing is written to the lane any more.
    LaneAhead {
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
    /// How often this side had to wait for an answer.
    pub round_trips: u32,
}

/// Why a session ended. All but the last are the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Violation(&'static str),
    /// A key record or signature of the peer's, or of an origin that it relays, does not hold.
    #[error("keys of log {log} do not verify: {error}")]
    Keys {
        /// The log.
        log: LogId,
        /// What is wrong.
        error: Box<causality_fact::KeyError>,
    },
    /// A log does not match what its origin signed.
    #[error("log {log} does not verify: {error}")]
    Log {
        /// The log.
        log: LogId,
        /// What is wrong.
        error: Box<causality_fact::ChunkError>,
    },
    /// The peer ended the session.
    #[error("the peer ended the session: {0:?}")]
    Goodbye(GoodbyeReason),
    /// The session is gone, or was replaced.
    #[error("the session is closed")]
    Closed,
}
