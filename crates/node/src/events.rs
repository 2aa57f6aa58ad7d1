//! What a node tells those who watch it: a bounded queue for each of them, which counts what did not fit.

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_store::StoreError;
use causality_sync::RoundReport;
use causality_sync::Side;
use causality_sync::SyncError;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::problem::LogProblem;

/// How many events wait for a watcher; of more the oldest are dropped, and counted.
pub const EVENTS_MAX: usize = 1024;

/// Something that happened in a node and that nobody had asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A round of catching up that this node began is done: all that either side owed the other is durable there.
    CaughtUp {
        /// The peer.
        peer: DomainId,
        /// What went each way.
        report: RoundReport,
        /// The trigger of the strategy that began it, if one fired.
        trigger: Option<String>,
    },
    /// A trigger of a peer's strategy fired, and the peer began to catch up for it.
    Triggered {
        /// The peer.
        peer: DomainId,
        /// What the trigger is called there.
        trigger: String,
    },
    /// A log has new durable facts, own ones or those of others.
    Grown {
        /// The log.
        log: LogId,
        /// How many positions of it are durable.
        size: u64,
        /// The peer that gave them; `None` for own facts.
        from: Option<DomainId>,
    },
    /// A peer had kept back facts, or had said that it had only their hashes, and another one showed them.
    Contradicted {
        /// The log.
        log: LogId,
        /// The peer that kept them back.
        peer: DomainId,
        /// The peer that showed them.
        shown_by: DomainId,
        /// How many.
        facts: u64,
    },
    /// More of facts is known, and durable, whose hashes or parts were held before.
    Revealed {
        /// The log.
        log: LogId,
        /// Of how many.
        facts: u64,
    },
    /// Facts of a log that waited for their causes are to be seen.
    Visible {
        /// The log.
        log: LogId,
    },
    /// A fact is to be seen without all of its causes: it has waited for them too long.
    CausesMissing {
        /// Its log.
        log: LogId,
        /// Its position.
        position: u64,
    },
    /// The watcher was slower than the node, which has dropped this many events since the one before.
    Missed(u64),
    /// A log is not brought up to date with a peer. If it is [`Problem::LaneAhead`](crate::Problem::LaneAhead), or
    /// [`Problem::Forked`](crate::Problem::Forked) of an own lane, the store was set back: the node writes to another lane from
    /// now on, and whoever runs it should find out what was lost.
    Problem {
        /// The peer.
        peer: DomainId,
        /// The log, and what is wrong with it.
        problem: LogProblem,
    },
    /// A session with a peer began.
    SessionBegan {
        /// The peer.
        peer: DomainId,
        /// Which end of it this is.
        side: Side,
    },
    /// A session with a peer ended.
    SessionEnded {
        /// The peer.
        peer: DomainId,
        /// Why; [`SyncError::Closed`] and [`SyncError::Goodbye`] are nobody's fault.
        error: SyncError,
    },
    /// The store failed: all sessions ended, and open requests were answered with the error. The node starts again from
    /// what is durable.
    StoreFailed(StoreError),
}

/// The events of a node from when they were asked for.
#[derive(Debug)]
pub struct NodeEvents(pub(crate) broadcast::Receiver<NodeEvent>);

impl NodeEvents {
    /// The next event; `None` once the node has stopped.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(NodeEvent::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}
