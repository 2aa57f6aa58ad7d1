//! Why a network operation failed, and whose fault that was.

use thiserror::Error;

/// Why an operation on a transport, a connection or a stream failed.
///
/// The variants say whose fault it was. *Caller*: [`AddressInvalid`](Self::AddressInvalid),
/// [`Closed`](Self::Closed), [`StreamClosed`](Self::StreamClosed). *Environment*:
/// [`BindFailed`](Self::BindFailed), [`Failed`](Self::Failed), [`Unreachable`](Self::Unreachable),
/// [`TimedOut`](Self::TimedOut). *Peer, lawfully*: [`ClosedByPeer`](Self::ClosedByPeer),
/// [`Forgotten`](Self::Forgotten), [`Refused`](Self::Refused), [`Reset`](Self::Reset),
/// [`Stopped`](Self::Stopped). *Peer, misbehaving*: [`Truncated`](Self::Truncated),
/// [`Violated`](Self::Violated).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The address to dial or to listen on is not `host:port`, or names no address.
    #[error("address {address:?} is not usable: {reason}")]
    AddressInvalid {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket could not be opened.
    #[error("cannot listen on {address:?}: {reason}")]
    BindFailed {
        /// The address that was asked for.
        address: String,
        /// What the operating system said, such as a port in use.
        reason: String,
    },
    /// This side closed the connection or the transport.
    #[error("closed by this side")]
    Closed,
    /// The peer closed the connection.
    #[error("closed by the peer with code {code}: {reason:?}")]
    ClosedByPeer {
        /// The peer's code; codes above 32 bits read as `u32::MAX`.
        code: u32,
        /// The peer's words, at most [`REASON_BYTES_MAX`](crate::REASON_BYTES_MAX) bytes; untrusted
        /// text.
        reason: String,
    },
    /// The network of this side broke: the socket failed or a local resource ran out.
    #[error("the network of this side failed: {reason}")]
    Failed {
        /// What broke.
        reason: String,
    },
    /// The peer does not know this connection any more, as after a restart. Dial again.
    #[error("the peer does not know this connection any more")]
    Forgotten,
    /// The peer, or the machinery in front of it, answered and refused: too busy, other protocol,
    /// key not accepted.
    #[error("refused by the peer: {reason}")]
    Refused {
        /// What the peer said; untrusted text.
        reason: String,
    },
    /// The peer gave up sending on this stream.
    #[error("stream reset by the peer with code {code}")]
    Reset {
        /// The peer's code; codes above 32 bits read as `u32::MAX`.
        code: u32,
    },
    /// The peer wants no more bytes on this stream.
    #[error("stream stopped by the peer with code {code}")]
    Stopped {
        /// The peer's code; codes above 32 bits read as `u32::MAX`.
        code: u32,
    },
    /// This side already finished, reset or stopped the stream.
    #[error("stream already ended by this side")]
    StreamClosed,
    /// An established connection heard nothing for the idle timeout.
    #[error("the peer fell silent")]
    TimedOut,
    /// The stream ended in the middle of what was to be read.
    #[error("stream ended after {received} of {expected} bytes")]
    Truncated {
        /// Bytes asked for.
        expected: usize,
        /// Bytes that came; at least one, otherwise it is a clean end.
        received: usize,
    },
    /// Nobody answered at this address.
    #[error("{address:?} is unreachable: {reason}")]
    Unreachable {
        /// The address that was dialled.
        address: String,
        /// Why, such as no answer in time.
        reason: String,
    },
    /// The peer broke the rules of the transport, for instance by a key that is none.
    #[error("the peer broke the protocol: {reason}")]
    Violated {
        /// Which rule.
        reason: String,
    },
}
