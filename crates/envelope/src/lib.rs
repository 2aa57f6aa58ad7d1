//! The secrets of a domain: key files, signing, session keys and sealed frames.
//!
//! Everything that needs a secret happens here, composed from reviewed crates on published standards: Ed25519 (RFC 8032),
//! HPKE (RFC 9180) over X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439), HMAC-SHA256 (RFC 2104). The bytes are written down
//! in `docs/src/spec/keys.md` and `docs/src/spec/session.md`.
//!
//! What this crate deliberately does not do: it opens no files and no sockets, reads no clock, has no randomness of its own
//! and is not async; bytes, times and a generator are arguments. It decides nothing about whom to trust: it says who a peer
//! is, the caller says what that peer may do. Secrets are wiped when dropped, are never printed, and cannot be cloned.
//!
//! [`DomainKeys`] holds a domain's secrets and signs for it. [`Dialer`] and [`Acceptor`] are the two sides of the Hello that
//! decides identity on a fresh connection, and end in [`Established`]. Its [`SessionKeys`] make one [`FrameSealer`] or
//! [`FrameOpener`] for each direction of each stream.
//!
//! ```
//! use causality_envelope::{Acceptor, Dialer, DomainKeys, ExpectedPeer, Party};
//! # use rand_chacha::ChaCha20Rng;
//! # use rand_chacha::rand_core::SeedableRng as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = ChaCha20Rng::from_seed([1; 32]);
//! let [amber, basil] = [
//!     DomainKeys::generate(&mut rng, 0..2_000_000_000_000)?,
//!     DomainKeys::generate(&mut rng, 0..2_000_000_000_000)?,
//! ];
//! // What both ends of one TLS session export; the transport supplies it.
//! let exporter = [7; 32];
//! let party = |keys| Party { keys, parameters: b"", exporter: &exporter, now_ms: 1_000 };
//! let expected = ExpectedPeer { domain: basil.domain(), tls_key: basil.transport_key() };
//!
//! let (dialer, first) = Dialer::start(&mut rng);
//! let (acceptor, second) = Acceptor::answer(&first, &party(&basil), &mut rng)?;
//! let (mut at_amber, third) = dialer.finish(&second, &party(&amber), &expected, &mut rng)?;
//! let mut at_basil = acceptor.finish(&third)?;
//! assert_eq!(at_basil.peer.domain(), amber.domain());
//!
//! let frame = at_amber.keys.sealer(0)?.seal(b"what amber knows")?;
//! let body = frame[4..].to_vec(); // behind the length
//! assert_eq!(at_basil.keys.opener(0)?.open(body)?, b"what amber knows");
//! # Ok(())
//! # }
//! ```

mod key_file;
mod keys;

mod hello;
mod hello_message;

mod session;
mod suite;

pub use hello::{Acceptor, Dialer, Established, ExpectedPeer, HELLO_VERSIONS, HelloError, Party};
pub use hello_message::{HELLO_BYTES_MAX, PARAMETERS_BYTES_MAX};
pub use key_file::{KEY_FILE_VERSION, KeyFileError};
pub use keys::{DomainKeys, SignError};
pub use session::{
    FRAME_BYTES_MAX, FRAME_TAG_BYTES, FRAMES_MAX, FrameOpener, FrameSealer, OpenError,
    STREAM_RUNS_MAX, SealError, SessionKeys, StreamError,
};
