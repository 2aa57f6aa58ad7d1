//! What can go wrong with a request to a node, by whose fault it was.

use causality_envelope::HelloError;
use causality_fact::DomainId;
use causality_fact::FactId;
use causality_store::StoreError;
use causality_sync::AppendError;
use causality_sync::RestoreError;
use causality_sync::SyncError;
use causality_transport::TransportError;
use causality_wire::GoodbyeReason;
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
    #[error("{peer} cannot be reached at {address}: {}", reason(.error))]
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
    /// The peer ended the session before the request was answered, and says why.
    #[error("{peer} ended the session: {}", goodbye(*.reason))]
    Goodbye {
        /// Its name here.
        peer: String,
        /// The reason that it gave.
        reason: GoodbyeReason,
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
    /// The store is another domain's: it writes that domain's logs.
    #[error("the store belongs to domain {found}")]
    OtherDomain {
        /// Whose it is.
        found: DomainId,
    },
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

/// What the reason of a goodbye means to the side that hears it.
pub(crate) fn goodbye(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::Done => "it is needed no more",
        GoodbyeReason::Failed => "the other side could not go on, for instance for a full disk",
        GoodbyeReason::Overloaded => "the other side has no room for it now",
        GoodbyeReason::Shutdown => "the other side stops",
        GoodbyeReason::UnknownPeer => "the other side does not know this domain",
        GoodbyeReason::Violation => "the other side says that this one broke the protocol",
    }
}

/// Why a connection failed, without the address, which is said already.
fn reason(error: &TransportError) -> String {
    match error {
        TransportError::Unreachable { reason, .. } => reason.clone(),
        error => error.to_string(),
    }
}
