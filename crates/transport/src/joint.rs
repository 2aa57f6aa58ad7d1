//! The traits that an implementation of a network provides, and the words they share.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::TransportError;
use crate::key::{ExporterValue, TransportKey};

/// One endpoint in a network: it listens on its address and dials others from it.
///
/// Dropping it closes it without waiting.
#[async_trait]
pub trait CrossDomainTransport: Debug + Send + Sync {
    /// Dials `host:port` and proves both keys. Names are resolved, and each of their addresses is
    /// tried.
    ///
    /// A connection may come back before the peer has accepted it; only what the peer sends
    /// confirms it.
    ///
    /// # Errors
    /// `AddressInvalid`, `Unreachable`, `Refused`, `Violated`, `Failed`; `Closed` after
    /// [`close`](Self::close).
    async fn connect(&self, address: &str) -> Result<Box<dyn Connection>, TransportError>;

    /// Waits for the next connection whose keys are proven. A peer that fails to become one is not
    /// an error.
    ///
    /// May be awaited by several tasks and dropped at any time without losing a connection.
    ///
    /// # Errors
    /// `Closed` once closed, `Failed` when the socket broke; both are final.
    async fn accept(&self) -> Result<Box<dyn Connection>, TransportError>;

    /// The address on which this endpoint listens, with the port that the system chose if none was
    /// given.
    fn local_address(&self) -> String;

    /// Closes all connections with code [`DROPPED_CODE`], takes no more, and waits until the peers
    /// have been told or given up. Calling it again only waits.
    async fn close(&self);
}

/// One connection, both of whose ends proved a key.
///
/// Dropping it, and all of its streams, closes it with code [`DROPPED_CODE`] and no reason.
#[async_trait]
pub trait Connection: Debug + Send + Sync {
    /// The key that the peer proved. A dialler presents a new key on every connection, an acceptor
    /// its long-term one.
    fn peer_key(&self) -> TransportKey;

    /// The secret that both ends of this connection share, different for every connection.
    fn exporter(&self) -> &ExporterValue;

    /// Which end this is.
    fn side(&self) -> Side;

    /// The address of the peer, for people; it may change while the connection lasts and proves
    /// nothing.
    fn remote_address(&self) -> String;

    /// Opens a stream both ways. Waits while the peer allows no more.
    ///
    /// The peer learns of it from the first byte, finish or reset: whoever opens speaks first.
    ///
    /// # Errors
    /// As [`closed`](Self::closed), once the connection is closed.
    async fn open_bi(&self) -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError>;

    /// Waits for the next stream both ways that the peer opened, in the order of opening.
    ///
    /// # Errors
    /// As [`closed`](Self::closed), once the connection is closed.
    async fn accept_bi(&self)
    -> Result<(Box<dyn SendStream>, Box<dyn RecvStream>), TransportError>;

    /// Opens a stream to the peer; otherwise as [`open_bi`](Self::open_bi).
    ///
    /// # Errors
    /// As [`closed`](Self::closed), once the connection is closed.
    async fn open_uni(&self) -> Result<Box<dyn SendStream>, TransportError>;

    /// Waits for the next stream from the peer; otherwise as [`accept_bi`](Self::accept_bi).
    ///
    /// # Errors
    /// As [`closed`](Self::closed), once the connection is closed.
    async fn accept_uni(&self) -> Result<Box<dyn RecvStream>, TransportError>;

    /// Lets the peer have so many of its own streams open at once. Before the first call: one `bi`,
    /// no `uni`.
    ///
    /// For the moment when the peer is known. Limits only rise; a smaller number changes nothing.
    fn allow_streams(&self, bi: u32, uni: u32);

    /// Closes at once and tells the peer. Bytes that the peer has not read yet may be lost: finish
    /// the streams and let the peer confirm first. The reason is cut to [`REASON_BYTES_MAX`] at a
    /// character; later calls do nothing.
    fn close(&self, code: u32, reason: &str);

    /// Waits until the connection is closed and says why: `Closed`, `ClosedByPeer`, `Forgotten`,
    /// `Refused`, `TimedOut`, `Violated` or `Failed`. All other operations return the same from
    /// then on.
    async fn closed(&self) -> TransportError;

    /// What this connection has cost so far.
    fn stats(&self) -> ConnectionStats;
}

/// The sending half of a stream. Dropped before [`finish`](Self::finish), it resets with
/// [`DROPPED_CODE`], so that an abandoned message never looks complete.
#[async_trait]
pub trait SendStream: Debug + Send + Sync {
    /// Writes all bytes, waiting while the peer does not read. `Ok` means buffered, not delivered.
    ///
    /// Not to be used again after it was dropped halfway: nobody knows how much was written.
    ///
    /// # Errors
    /// `Stopped`, `StreamClosed`, or as [`Connection::closed`]; all are final.
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), TransportError>;

    /// Ends the stream cleanly after what was written. Does not wait for delivery.
    ///
    /// # Errors
    /// `StreamClosed` when it was finished or reset before. That the peer stopped the stream is no
    /// error here.
    fn finish(&mut self) -> Result<(), TransportError>;

    /// Gives up: the peer's reads fail with `Reset` and this code.
    ///
    /// # Errors
    /// `StreamClosed` when it was finished or reset before.
    fn reset(&mut self, code: u32) -> Result<(), TransportError>;
}

/// The receiving half of a stream. Dropped before its end, it stops with [`DROPPED_CODE`].
#[async_trait]
pub trait RecvStream: Debug + Send + Sync {
    /// Fills the whole buffer, or tells that the stream had already ended cleanly. An empty buffer
    /// is always filled.
    ///
    /// Not to be used again after it was dropped halfway: bytes may be lost.
    ///
    /// # Errors
    /// `Truncated` when the end comes inside the buffer, `Reset`, `StreamClosed` after
    /// [`stop`](Self::stop), or as [`Connection::closed`]; all are final, and the buffer's content
    /// is then meaningless.
    async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<ReadExact, TransportError>;

    /// Wants no more: the peer's writes fail with `Stopped` and this code.
    ///
    /// # Errors
    /// `StreamClosed` when it was stopped before or its end was read.
    fn stop(&mut self, code: u32) -> Result<(), TransportError>;
}

/// How [`RecvStream::read_exact`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a read that did not fail has these two outcomes"
)]
#[must_use]
pub enum ReadExact {
    /// The buffer is full.
    Filled,
    /// The stream ended cleanly before its first byte; the buffer is untouched.
    Finished,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Side {
    /// The end that waited.
    Acceptor,
    /// The end that dialled.
    Dialler,
}

impl Side {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Acceptor => Self::Dialler,
            Self::Dialler => Self::Acceptor,
        }
    }
}

/// What a connection has cost so far, handshake included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain numbers, any of which is legal"
)]
pub struct ConnectionStats {
    /// UDP payload bytes sent, probes included. Without UDP: bytes written to streams.
    pub udp_sent_bytes: u64,
    /// UDP payload bytes received, probes included. Without UDP: bytes that the peer wrote to
    /// streams.
    pub udp_received_bytes: u64,
    /// Part of `udp_sent_bytes` that only probed how large a datagram the path carries (RFC 8899).
    pub mtu_probe_sent_bytes: u64,
    /// Best present estimate of the time to the peer and back.
    pub round_trip: Duration,
}

/// Label of the TLS exporter behind [`ExporterValue`].
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-causality/1";

/// Code with which a connection or stream ends when its owner drops it.
pub const DROPPED_CODE: u32 = 0;

/// Longest close reason in bytes; longer ones are cut at a character boundary.
pub const REASON_BYTES_MAX: usize = 256;
