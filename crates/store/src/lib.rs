//! Durable storage of log rows: the [`FactStore`] joint, in memory and on redb.
//!
//! A store keeps entries of logs at their positions, opaque side tables, and a journal of what was received when, and
//! changes them in transactions: what [`FactStore::commit`] has acknowledged survives a loss of power. It is idempotent:
//! the same entry again changes nothing, one that tells more replaces one that tells less.
//!
//! What this crate deliberately does not do: it lies below trust. It verifies no signature and no checkpoint, knows no
//! policy and no peer, resolves no conflicts, and does not say what is visible. It reads no clock. It keeps content in
//! the clear.
//!
//! [`FactReader`] and [`FactStore`] are the joint; [`MemoryStore`] and [`RedbStore`] implement it; a [`Batch`] goes in.
//!
//! ```
//! use causality_fact::{
//!     CompartmentId, DomainId, Entry, LaneId, LogId, TreeHash,
//! };
//! use causality_store::{Batch, FactReader, FactStore, MemoryStore, NewEntry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), causality_store::StoreError> {
//! let origin = DomainId::new([1; 32]);
//! let log = LogId { origin, compartment: CompartmentId::PUBLIC, lane: LaneId::new([2; 16]) };
//! let entry = Entry::Withheld { level: 0, hash: TreeHash::new([3; 32]) };
//! let batch = Batch {
//!     entries: vec![NewEntry { log, position: 0, entry, mark: None }],
//!     time: 1_517_365_391_235,
//!     ..Batch::default()
//! };
//!
//! let store = MemoryStore::new();
//! assert_eq!(store.commit(batch.clone()).await?.added, 1);
//! assert_eq!(store.commit(batch).await?.duplicate, 1);
//! assert_eq!(store.logs().await?[0].withheld.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Features: `test-util` adds the module `conformance`, the suite that every implementation of the joint passes.

mod joint;

mod answer;
mod batch;
mod error;
mod executor;

mod plan;

mod memory;
mod redb;

#[cfg(any(test, feature = "test-util"))]
pub mod conformance;

pub use answer::{
    ANSWER_BYTES_MAX, ANSWER_ENTRIES_MAX, Change, HeldLog, JournalEntry, Page, Place,
    QUERY_ROWS_MAX, QUERY_WORK_MAX, SideRange, StoredBody, StoredEntry, StoredRow,
};
pub use batch::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, Committed, Mark, NewEntry, RESTORED_KEY,
    SIDE_KEY_BYTES_MAX, SIDE_VALUE_BYTES_MAX, SideKey, SideTable, SideWrite,
};
pub use error::StoreError;
pub use executor::{Executor, inline};
pub use joint::{FactReader, FactStore};
pub use memory::MemoryStore;
pub use redb::{CheckReport, FINDINGS_MAX, FORMAT, RedbConfig, RedbStore};
