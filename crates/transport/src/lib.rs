//! The joint to a network: connections and streams between domains, and an in-memory twin.
//!
//! It does not decide who a peer is: a connection proves possession of a [`TransportKey`] and binds
//! both ends to one [`ExporterValue`]; which domain that key belongs to is settled above. It knows
//! no messages, no retries and no policy, and it never reads a clock.
//!
//! Main types: [`CrossDomainTransport`] dials and accepts, [`Connection`] opens streams,
//! [`SendStream`] and [`RecvStream`] carry bytes, [`TransportError`] says whose fault it was.
//! [`MemoryNetwork`] is the twin for tests: it has names for addresses, bounded buffers, and the
//! endings of the real thing.
//!
//! ```
//! use causality_transport::{
//!     CrossDomainTransport, MemoryNetwork, ReadExact, TransportError, TransportKey,
//! };
//!
//! async fn greet() -> Result<(), TransportError> {
//!     let network = MemoryNetwork::new(1);
//!     let amber = network.endpoint("amber", TransportKey::new([1; 32]))?;
//!     let basil = network.endpoint("basil", TransportKey::new([2; 32]))?;
//!     let (dialled, accepted) = tokio::join!(amber.connect("basil"), basil.accept());
//!     let (dialled, accepted) = (dialled?, accepted?);
//!     assert_eq!(dialled.peer_key(), TransportKey::new([2; 32]));
//!
//!     let (mut send, _answer) = dialled.open_bi().await?;
//!     send.write_all(b"hello").await?;
//!     send.finish()?;
//!
//!     let (_answer, mut receive) = accepted.accept_bi().await?;
//!     let mut greeting = [0; 5];
//!     assert_eq!(receive.read_exact(&mut greeting).await?, ReadExact::Filled);
//!     assert_eq!(&greeting, b"hello");
//!     assert_eq!(receive.read_exact(&mut greeting).await?, ReadExact::Finished);
//!     Ok(())
//! }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(greet())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `test-util` adds the module `conformance`, the suite that every implementation of the
//! joint passes.

mod joint;

mod error;
mod key;

mod memory;

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;

pub use error::TransportError;
pub use joint::{
    Connection, ConnectionStats, CrossDomainTransport, DROPPED_CODE, EXPORTER_LABEL,
    REASON_BYTES_MAX, ReadExact, RecvStream, SendStream, Side,
};
pub use key::{ExporterValue, TransportKey};
pub use memory::{ACCEPT_BACKLOG_MAX, MemoryNetwork, MemoryTransport, STREAM_BUFFER_BYTES_MAX};
