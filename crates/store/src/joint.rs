//! The joint: what every store can do.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use causality_fact::{ConflictKey, FactId, FactQuery, LogId, Subtree, TreeHash};

use crate::answer::{HeldLog, JournalEntry, Page, Place, SideRange, StoredEntry, StoredRow};
use crate::batch::{Batch, Committed, Mark, SideKey};
use crate::error::StoreError;

/// Writes to a store.
#[async_trait]
pub trait FactStore: FactReader {
    /// Writes a batch, all or nothing. When `Ok`, all of it is durable: it survives a loss of power, and reads that
    /// start from now on see it. May wait for other batches; those of one caller that waits for each are kept in order.
    ///
    /// Idempotent by position. An entry that is held already counts as a duplicate, unless it upgrades: a withheld
    /// position to a partial or full row, a partial row to the full one or to one that discloses the same fields and
    /// more. (Who has two partial rows with different fields merges them before.) A withheld subtree may be replaced
    /// by finer entries that cover it exactly; their hashes have to give its hash.
    ///
    /// A future that is dropped halfway leaves the batch either in the store or not.
    ///
    /// # Errors
    ///
    /// After `PositionTaken`, `Overlap`, `NotAligned`, `WrongOrigin` and `TooLarge`, and likewise `Closed`, nothing of
    /// the batch is in the store and the next batch may be committed; after `Full`, `Io` and `Corrupt` the batch may or
    /// may not be in the store, and the same batch can be committed again once the cause is gone.
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;
}

/// Reads from a store. Each call sees all commits that had returned before it, and of every batch all or nothing of a log.
///
/// All calls fail with `Io`, `Full` or `Corrupt` for what only the operator can mend, and `Closed` after the end.
#[async_trait]
pub trait FactReader: Debug + Send + Sync {
    /// The facts of the ids, in their order. Of several rows of one fact the fullest, then the first: the whole, or
    /// the one that discloses most fields.
    async fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError>;

    /// For each id the places of all rows of that fact, in their order; none for what is not held, or withheld.
    async fn places(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError>;

    /// The entries of a log from the start of the range on, without a gap: up to its end, to the first position that is
    /// not held, or until the rows have `bytes_max` bytes (at most [`crate::ANSWER_BYTES_MAX`]), but at least one.
    /// Withheld subtrees that the range cuts come whole. Empty when nothing is held at the start.
    async fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError>;

    /// The entries at positions of a log, which ascend strictly and are at most [`crate::ANSWER_ENTRIES_MAX`], in their
    /// order. Positions of which nothing is held are left out; a withheld subtree comes once, however many of them it has.
    /// Ends once the rows have `bytes_max` bytes (at most [`crate::ANSWER_BYTES_MAX`]), but not before one entry: go on
    /// with the positions behind the last entry until the answer is empty.
    ///
    /// # Errors
    ///
    /// `NotAscending` and `TooLarge`.
    async fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError>;

    /// The hashes of what [`scan`](Self::scan) would yield, at most [`crate::ANSWER_ENTRIES_MAX`]: of rows those of
    /// their leaves. Reads no row, so it is cheap.
    async fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError>;

    /// The facts that match, in order of their places, behind `after`. A page has at most `limit` rows (at least one,
    /// at most [`crate::QUERY_ROWS_MAX`]) and costs bounded work, so it may be short or empty: go on from
    /// [`Page::next`] until that is `None`. Rows of unknown versions never match.
    async fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// For each key all rows of that conflict key, in order of their places.
    async fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError>;

    /// For each mark the first row that was written with it.
    async fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError>;

    /// The values of side tables under these keys, in their order.
    async fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Keys and values of a part of a side table, in order of the keys; ends early, but not before one row, once the
    /// values have [`crate::ANSWER_BYTES_MAX`] bytes.
    async fn side_scan(&self, range: SideRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError>;

    /// What is held of each log, in order of the logs.
    async fn logs(&self) -> Result<Vec<HeldLog>, StoreError>;

    /// The journal behind entry `after` (0 for all), at most `limit` entries and [`crate::ANSWER_ENTRIES_MAX`].
    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError>;
}
