//! The transport joint on QUIC (RFC 9000) with raw public keys (RFC 7250).
//!
//! TLS accepts *any* well-formed Ed25519 key and proves its possession, both ways; it does not
//! decide whose key it is. There are no certificates, no names in the handshake, no resumption, no
//! early data, no datagrams, and nothing is remembered from one connection to the next. An acceptor
//! proves its long-term transport key, a dialler a key that it makes for the one connection.
//!
//! Main types: [`QuicTransport`] listens and dials, configured by [`QuicConfig`] and
//! [`QuicLimits`].
//!
//! ```
//! use causality_quic::{QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret};
//! use causality_transport::CrossDomainTransport;
//!
//! /// A program takes its bytes from the operating system; an example counts.
//! fn config(name: u8) -> Result<QuicConfig, Box<dyn std::error::Error>> {
//!     let mut drawn = [name; 32];
//!     let randomness = Randomness::new(move || {
//!         drawn[0] = drawn[0].wrapping_add(1);
//!         drawn
//!     });
//!     let secret = TransportSecret::from_bytes([name; 32]);
//!     Ok(QuicConfig::new(secret, QuicLimits::STANDARD, randomness)?)
//! }
//!
//! async fn meet() -> Result<(), Box<dyn std::error::Error>> {
//!     let amber = QuicTransport::bind(config(1)?, "127.0.0.1:0").await?;
//!     let basil = QuicTransport::bind(config(2)?, "127.0.0.1:0").await?;
//!     let address = basil.local_address();
//!     let (dialled, accepted) = tokio::join!(amber.connect(&address), basil.accept());
//!     let (dialled, accepted) = (dialled?, accepted?);
//!     assert_eq!(dialled.peer_key(), TransportSecret::from_bytes([2; 32]).public_key());
//!     assert_eq!(dialled.exporter().as_bytes(), accepted.exporter().as_bytes());
//!     dialled.close(0, "seen you");
//!     amber.close().await;
//!     Ok(())
//! }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(meet())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: none.

mod config;
mod endpoint;

mod admission;
mod connection;
mod error;
mod settings;
mod stream;
mod system;
mod tls;
mod wait;

pub use config::{ConfigError, QuicConfig, QuicLimits, Randomness, TransportSecret};
pub use endpoint::{ADDRESSES_MAX, QuicTransport};
pub use settings::{ALPN, MTU_PROBE_BYTES};
pub use system::SocketBuffers;
