//! The store in one redb file (`docs/src/spec/store.md`).
//!
//! Commits wait in a queue; whoever finds nobody at work starts a job that commits all that waits in one transaction
//! with one fsync, and between transactions writes the index and merges segments in small steps.

mod backup;
mod check;
mod config;
mod drain;
mod engine;
mod failure;
mod file;
mod group;
mod held;
mod holes;
mod journal;
mod ledger;
mod merge;
mod overlay;
mod read;
mod segment;
mod tables;

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use causality_fact::{ConflictKey, FactId, FactQuery, LogId, Subtree, TreeHash};
use redb::StorageBackend;
use tokio::sync::{Semaphore, oneshot};

use crate::answer::{
    HeldLog, JournalEntry, Page, Place, SideRange, StoredEntry, StoredRow, check_positions,
};
use crate::batch::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, Committed, Mark, NewEntry, SideKey};
use crate::error::StoreError;
use crate::executor::Executor;
use crate::joint::{FactReader, FactStore};
pub use check::{CheckReport, FINDINGS_MAX};
pub use config::RedbConfig;
use drain::{Drain, Inner, Pending, guarded};
use engine::Engine;
pub use tables::FORMAT;

/// A durable store in one file, which one process has open at a time.
///
/// Everything that may block, reads too, runs through the [`Executor`]: calls take many ids, keys or entries at once, so
/// that the way there and back is paid once for all of them, and no caller has to know what is cached.
///
/// After a failure of the disk the file is opened again by the next call.
pub struct RedbStore {
    inner: Arc<Inner>,
    executor: Arc<dyn Executor>,
    /// A permit for each KiB of batches that may wait.
    room: Arc<Semaphore>,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("config", self.inner.config())
            .finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the store in a file, and makes one where there is none. Blocks: after a crash the file
    /// is read as a whole.
    ///
    /// # Errors
    ///
    /// `Locked`, `Newer`, `NotAStore`, `Corrupt`, `Full` and `Io`.
    pub fn open(config: RedbConfig, executor: Arc<dyn Executor>) -> Result<Self, StoreError> {
        Ok(Self::new(Inner::open(config)?, executor))
    }

    /// Opens the store in something else than a file, such as the disk of a simulation; makes one where it is empty.
    /// `backend` is called now, and again whenever the backend before it has failed. A loss of power while the store is
    /// made may leave what is `NotAStore`; in a file that cannot happen.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_backend<B: StorageBackend>(
        backend: impl Fn() -> B + Send + Sync + 'static,
        config: RedbConfig,
        executor: Arc<dyn Executor>,
    ) -> Result<Self, StoreError> {
        Ok(Self::new(Inner::open_backend(backend, config)?, executor))
    }

    fn new(inner: Inner, executor: Arc<dyn Executor>) -> Self {
        let room = inner.config().queue_bytes_max.max(QUEUE_BYTES_MIN) / KIB + 1;
        Self {
            inner: Arc::new(inner),
            executor,
            room: Arc::new(Semaphore::new(room)),
        }
    }

    /// Writes the whole index and merges all segments that are worth it, which otherwise happens in the background.
    ///
    /// # Errors
    ///
    /// As reads.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.start(|queue| queue.flushes.push(reply));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Flushes and closes the file; whoever holds the store gets `Closed` from then on. Not needed for durability, but
    /// the next start is faster, and the file is unlocked once this returns.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); the file is closed all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush().await;
        let closed = |inner: &Inner| {
            inner.close();
            Ok(())
        };
        self.run(closed).await?;
        flushed
    }

    /// The ids in a range of facts that are held, in order, at most `limit`; if there are more, any of them. Costs a read of
    /// the index for the whole range, so it is for narrow ones, such as the ids that begin with the same digits.
    ///
    /// # Errors
    ///
    /// As reads.
    pub async fn ids(
        &self,
        ids: RangeInclusive<FactId>,
        limit: usize,
    ) -> Result<Vec<FactId>, StoreError> {
        self.read(move |engine| engine.ids(&ids, limit)).await
    }

    /// Reads everything and compares it: segments with the runs of what is held, rows with their ids, index and journal
    /// with the rows. Costs a read of the whole file and hashing all facts.
    ///
    /// # Errors
    ///
    /// As reads; damage that can be named is a finding.
    pub async fn check(&self) -> Result<CheckReport, StoreError> {
        self.read(Engine::check).await
    }

    /// Copies the store, as it is at one moment, to a new file while it goes on working.
    ///
    /// # Errors
    ///
    /// `Exists` when there is such a file, and as reads.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.run(move |inner| inner.backup(&to)).await
    }

    /// Copies a backup to a new file and leaves [`crate::RESTORED_KEY`] there. Blocks.
    ///
    /// # Errors
    ///
    /// `Exists` when there is a file at `to`, and as [`open`](Self::open) for the backup.
    pub fn restore(from: &Path, to: &Path) -> Result<(), StoreError> {
        guarded(|| backup::restore(from, to))
    }

    /// Changes the queue, and starts a job to empty it unless one is at work.
    fn start(&self, change: impl FnOnce(&mut drain::Queue)) {
        if self.inner.enqueue(change) {
            let drain = Drain::new(Arc::clone(&self.inner));
            self.executor.run(Box::new(move || drain.run()));
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |inner| inner.with(read)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        self.executor.run(Box::new(move || {
            let result = job(&inner);
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

#[async_trait]
impl FactStore for RedbStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        batch.check_limits()?;
        // The check bounds the bytes, and there are at least as many permits as a batch may need.
        let permits = (batch_memory(&batch) / KIB + 1) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        let room = room.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.start(|queue| queue.batches.push_back(Pending { batch, reply, room }));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

#[async_trait]
impl FactReader for RedbStore {
    async fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |engine| engine.get(&ids)).await
    }

    async fn places(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |engine| engine.places_of(&ids)).await
    }

    async fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let log = *log;
        self.read(move |engine| engine.scan(&log, range, bytes_max))
            .await
    }

    async fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        check_positions(positions)?;
        let (log, positions) = (*log, positions.to_vec());
        self.read(move |engine| engine.at(&log, &positions, bytes_max))
            .await
    }

    async fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError> {
        let log = *log;
        self.read(move |engine| engine.leaves(&log, range)).await
    }

    async fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let query = query.clone();
        self.read(move |engine| engine.query(&query, after, limit))
            .await
    }

    async fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |engine| engine.by_key(&keys)).await
    }

    async fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError> {
        let marks = marks.to_vec();
        self.read(move |engine| engine.by_mark(&marks)).await
    }

    async fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |engine| engine.side_get(&keys)).await
    }

    async fn side_scan(&self, range: SideRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.read(move |engine| engine.side_scan(&range)).await
    }

    async fn logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        self.read(Engine::logs).await
    }

    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        self.read(move |engine| engine.journal(after, limit)).await
    }
}

/// What a batch takes while it waits.
fn batch_memory(batch: &Batch) -> usize {
    batch.bytes() + batch.entries.len() * size_of::<NewEntry>()
}

/// The unit of the room for waiting batches.
const KIB: usize = 1024;
/// One batch at its limits finds room.
const QUEUE_BYTES_MIN: usize = BATCH_BYTES_MAX + BATCH_ENTRIES_MAX * size_of::<NewEntry>();

#[cfg(test)]
mod tests;
