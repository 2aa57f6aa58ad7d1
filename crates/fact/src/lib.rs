//! Temporal facts: the model, its canonical bytes, and the verification of signed logs.
//!
//! A *fact* is an immutable statement of a domain about a resource, true over a stretch of time. Its core is hashed into
//! its id; its content is committed to field by field, so that fields can be withheld while id and proofs hold. Facts
//! stand in append-only *logs* (RFC 6962 trees); an origin signs *checkpoints* of them, and whoever has a checkpoint can
//! check any fact below it. Formats are written down byte by byte in `docs/src/spec`.
//!
//! What this crate deliberately does not do: it holds no secrets, signs nothing, reads no clock, draws no randomness, does
//! no I/O and is not async. Signing is in `causality-envelope`, storage in `causality-store`.
//!
//! [`Verified`] marks what passed verification and is made nowhere else; [`Row`] is a fact as it is stored and travels.
//! [`SignedBlocks`] and [`Extension`] follow a log, [`Exhibit`] proves one fact offline, [`KeyLog`] holds the keys of a
//! domain; [`FactQuery`], [`FactFilter`] and [`TimeMap`] say which facts are meant.
//!
//! ```
//! use causality_fact::{
//!     Aspect, ContentHash, DomainId, FactCore, FactType, Hlc, Label, Onward, References, Row, Seed, TemporalFact,
//!     ValidTime, Value, WholeContent,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fields = [
//!     ("mag".to_owned(), Value::number(2.3)?),
//!     ("place".to_owned(), Value::String("81km WNW of Skagway, Alaska".into())),
//! ];
//! let content = WholeContent::new(Seed::new([7; 16]), fields.into())?;
//! let core = FactCore {
//!     onward: Onward::Audience,
//!     label: Label::new("automatic")?,
//!     origin: DomainId::new([1; 32]),
//!     fact_type: FactType::Observation,
//!     resource: "earthquake/ak18247005".parse()?,
//!     aspect: Aspect::default(),
//!     hlc: Hlc::from_millis(1_517_365_391_235),
//!     valid: ValidTime::since(1_517_365_101_235),
//!     requires: References::default(),
//!     supersedes: References::default(),
//!     content_root: ContentHash::new([0; 32]),
//! };
//! let fact = TemporalFact::new(core, content)?;
//!
//! // The newspaper may know the magnitude only. The id, and with it every proof, is the same.
//! let shown = fact.redact(|field| field == "mag");
//! let received = Row::from_bytes(&shown.to_row(), fact.core().origin)?;
//! assert_eq!(received.id(), fact.id());
//! # Ok(())
//! # }
//! ```

mod codec;
mod hash;
mod id;

mod content;
mod core;
mod hlc;
mod mask;
mod name;
mod row;
mod value;

mod checkpoint;
mod chunk;
mod convergence;
mod exhibit;
mod key;
mod positions;
mod reveal;
mod tree;
mod verified;
mod withheld;

mod filter;
mod query;
mod time_map;

#[cfg(test)]
mod tests;

pub use checkpoint::{CHECKPOINT_VERSION, Checkpoint, LOG_SIZE_MAX, LogId};
pub use chunk::{
    CHUNK_BYTES_MAX, Chunk, ChunkError, Entry, Extension, SignedBlocks, blocks_behind,
    decode_entries, right_hashes, right_hashes_of_parts,
};
pub use codec::{DecodeError, Decoder, Encoder};
pub use content::{
    Content, ContentError, ContentHash, FIELDS_MAX, PartialContent, Salt, Seed, WholeContent,
};
pub use convergence::{
    CONVERGENCE_RECEIPT_VERSION, ConvergenceReceipt, Frontiers, frontier_digest,
};
pub use core::{
    AnyCore, CORE_VERSION, CoreHeader, FactCore, Onward, REQUIRES_MAX, References, SUPERSEDES_MAX,
    TooManyReferences, ValidTime, conflict_key, core_id,
};
pub use exhibit::{EXHIBIT_BYTES_MAX, EXHIBIT_MAGIC, EXHIBIT_VERSION, Exhibit, ExhibitError};
pub use filter::{
    Comparison, FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_NODES_MAX, FILTER_VERSION, FactFilter,
    FilterError, FilterNode, PATTERN_BYTES_MAX, Truth,
};
pub use hash::{TaggedHash, tagged_message};
pub use hlc::Hlc;
pub use id::{CompartmentId, ConflictKey, DomainId, FactId, KeyId, LaneId, ParseIdError};
pub use key::{
    EncryptionPublicKey, KEY_RECORD_VERSION, KEY_RECORDS_MAX, KEYS_MAX, KeyError, KeyLog,
    KeyRecord, REVOKED_MAX, SignedKeyRecord, SigningPublicKey, TransportPublicKey, verify_strict,
};
pub use mask::FieldMask;
pub use name::{
    Aspect, CustomType, FactType, Label, NAME_BYTES_MAX, NameError, RESOURCE_NAME_BYTES_MAX,
    Resource,
};
pub use positions::{PositionSet, PositionTooLarge};
pub use query::{DomainPattern, FactQuery, FactTypePattern, Pattern};
pub use reveal::{decode_reveal, encode_reveal};
pub use row::{
    FACT_BYTES_MAX, FactTooLarge, ROW_BYTES_MAX, Row, RowCore, RowState, TemporalFact, peek_row,
};
pub use time_map::{TIME_MAP_LOGS_MAX, TIME_MAP_VERSION, TimeMap, TimeMapError};
pub use tree::{
    BLOCK_LEAVES, BLOCK_LEVEL, BlockRoots, CompactRange, MAX_TREE_SIZE, Subtree, TreeError,
    TreeHash, TreeHead, blocks_of, consistency_path, decompose, inclusion_path, leaf_hash,
    node_hash, root_from_blocks, root_of, verify_consistency, verify_inclusion,
};
pub use value::{DEPTH_MAX, FIELD_NAME_BYTES_MAX, Fraction, Value, ValueError};
pub use verified::Verified;
pub use withheld::{KeptBack, WITHHELD_STATEMENT_VERSION, WithheldStatement};
