//! What can go wrong with a request to a node, by whose fault it was.

use causality_envelope::HelloError;
use causality_fact::DomainId;
use causality_fact::FactId;
use causality_store::StoreError;
use causality_sync::AppendError;
use causality_sync::RestoreError;
use causality_sync::SyncError;
use causality_transport::TransportError;
use thiserror::Error;

/// Why a request to a node failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The caller's drafts cannot become facts.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// No such fact is held.
    #[error("fact {0} is not held here")]
    FactNotFound(FactId),
    /// No such peer is known.
    #[error("domain {0} is not a peer")]
    PeerNotFound(DomainId),
    /// The peer is known, but not where it is.
    #[error("no address of {peer} is known, and it is not connected")]
    NoAddress {
        /// Its name here.
        peer: String,
    },
    /// The peer does not know this domain, and ended the session.
    #[error("{peer} does not know this domain")]
    UnknownToPeer {
        /// Its name here.
        peer: String,
    },
    /// Somebody else answers at the peer's address.
    #[error("{address} is not {peer}: {error}")]
    WrongPeer {
        /// The peer's name here.
        peer: String,
        /// The address.
        address: String,
        /// What was shown instead.
        error: HelloError,
    },
    /// The peer cannot be reached.
    #[error("{peer} cannot be reached at {address}: {error}")]
    Unreachable {
        /// Its name here.
        peer: String,
        /// The address tried last.
        address: String,
        /// Why.
        error: TransportError,
    },
    /// The peer was reached and did not answer in time.
    #[error("{peer} does not answer")]
    TimedOut {
        /// Its name here.
        peer: String,
    },
    /// The session ended before the request was answered.
    #[error("the session with {peer} ended: {error}")]
    Session {
        /// Its name here.
        peer: String,
        /// Why.
        error: SyncError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's tables are damaged.
    #[error("the store is damaged: {0}")]
    Damaged(#[from] RestoreError),
    /// A fact is not what its origin signed.
    #[error("{0}")]
    Integrity(String),
    /// The fact stands in a log whose transfer is not complete, so it cannot be proven to others yet.
    #[error("the transfer of its log is not complete; sync again")]
    NotProvable,
    /// No transport was given, so nothing can be dialled.
    #[error("this node has no network")]
    NoNetwork,
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}
