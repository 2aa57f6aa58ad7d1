//! Messages between two domains: what they are, how they become bytes, and how bytes are cut into frames.
//!
//! What this crate deliberately does not do: it verifies nothing, holds no secrets, does no I/O and is not async. A
//! message is what a peer *claims*; keys, checkpoints, sets and rows travel as bounded byte strings in the canonical
//! encoding of `causality-fact`, which reads and verifies them. Frames are sealed in `causality-envelope`; here they are
//! lengths only. Nothing that is signed or hashed is encoded here.
//!
//! [`SyncMessage`] is the closed list of messages. A [`MessageSerializer`] turns one into bytes: [`BincodeSerializer`]
//! between peers, [`JsonSerializer`] for dumps and the control socket; [`AcceptedFormats`] is what a receiver takes.
//! [`FrameReader`] cuts a stream into bodies. Every length and count is checked against its limit before anything is
//! allocated, and a decoded message encodes to exactly the bytes it came from. The bytes are in `docs/src/spec/wire.md`.
//!
//! ```
//! use causality_wire::{
//!     AcceptedFormats, BincodeSerializer, CaughtUp, FRAME_BYTES_MAX, FrameReader, MessageSerializer, SyncMessage,
//!     write_frame,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let message = SyncMessage::CaughtUp(CaughtUp { round: 2, facts: 100, bytes: 38_000 });
//! let mut stream = Vec::new();
//! write_frame(&BincodeSerializer.serialize(&message)?, &mut stream)?;
//!
//! let mut reader = FrameReader::new(FRAME_BYTES_MAX);
//! let mut arrived = &stream[..];
//! let body = reader.read(&mut arrived)?.expect("the whole frame has arrived");
//! assert_eq!(AcceptedFormats::Bincode.deserialize(&body)?, message);
//! # Ok(())
//! # }
//! ```

mod message;

mod bounded;
mod fixed;

mod codec;
mod serializer;

mod frame;

pub use bounded::{BoundedBytes, BoundedString, BoundedVec, Hashes, TooLong, WireSafe};
pub use codec::MESSAGE_BYTES_MAX;
pub use frame::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameError, FrameReader, frame_header, write_frame,
};
pub use message::{
    Announce, BLOCK_ROOTS_MAX, CHECKPOINT_BYTES_MAX, COMPARTMENT_NAME_BYTES_MAX,
    CONVERGENCE_BYTES_MAX, CaughtUp, Convergence, ENTRIES_BYTES_MAX, FactSync, Frontier,
    FrontierPart, Goodbye, GoodbyeReason, Held, Holes, KEY_RECORD_BYTES_MAX,
    KEY_RECORDS_PER_ANNOUNCE_MAX, LOGS_PER_FRONTIER_MAX, LogName, LogNumber, LogState, Page,
    REFUSALS_MAX, RIGHT_HASHES_MAX, Receipt, Receives, Refusal, RefusalReason, Reveal,
    SET_BYTES_MAX, STATEMENT_BYTES_MAX, Sets, SetsRequest, SyncMessage, TRIGGER_BYTES_MAX,
};
pub use serializer::{
    AcceptedFormats, BincodeSerializer, DeserializeError, JSON_BYTES_MAX, JsonSerializer,
    MessageFormat, MessageSerializer, SerializeError,
};
