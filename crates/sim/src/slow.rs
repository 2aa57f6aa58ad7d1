//! A store on a slow disk: whoever waits for it waits longer, in virtual time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causality_fact::{ConflictKey, FactId, FactQuery, LogId, Subtree, TreeHash};
use causality_store::{
    Batch, Committed, FactReader, FactStore, HeldLog, JournalEntry, Mark, Page, Place, SideKey,
    SideRange, StoreError, StoredEntry, StoredRow,
};

use crate::happening::Happening;
use crate::trace::Trace;

/// How slow a disk is. A handle: clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Slowness(Arc<AtomicU64>);

impl Slowness {
    /// From now on each operation takes so much longer.
    pub fn set(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.0.store(milliseconds, Ordering::Relaxed);
    }
}

/// A store whose operations take longer.
#[derive(Debug)]
pub struct SlowStore<S> {
    store: S,
    slowness: Slowness,
    trace: Trace,
}

impl<S> SlowStore<S> {
    /// The store, as slow as its disk is at the time.
    pub fn new(store: S, slowness: Slowness, trace: Trace) -> Self {
        Self {
            store,
            slowness,
            trace,
        }
    }

    /// The store as if its disk were fast.
    pub fn store(&self) -> &S {
        &self.store
    }

    async fn wait(&self) {
        self.trace.step();
        let milliseconds = self.slowness.0.load(Ordering::Relaxed);
        if milliseconds > 0 {
            self.trace.fired(Happening::DiskSlow);
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
    }
}

#[async_trait]
impl<S: FactStore> FactStore for SlowStore<S> {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.wait().await;
        let committed = self.store.commit(batch).await?;
        self.trace.committed();
        Ok(committed)
    }
}

#[async_trait]
impl<S: FactReader> FactReader for SlowStore<S> {
    async fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError> {
        self.wait().await;
        self.store.get(ids).await
    }

    async fn places(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError> {
        self.wait().await;
        self.store.places(ids).await
    }

    async fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.wait().await;
        self.store.scan(log, range, bytes_max).await
    }

    async fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.wait().await;
        self.store.at(log, positions, bytes_max).await
    }

    async fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError> {
        self.wait().await;
        self.store.leaves(log, range).await
    }

    async fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.wait().await;
        self.store.query(query, after, limit).await
    }

    async fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError> {
        self.wait().await;
        self.store.by_key(keys).await
    }

    async fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError> {
        self.wait().await;
        self.store.by_mark(marks).await
    }

    async fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.wait().await;
        self.store.side_get(keys).await
    }

    async fn side_scan(&self, range: SideRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.wait().await;
        self.store.side_scan(range).await
    }

    async fn logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        self.wait().await;
        self.store.logs().await
    }

    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        self.wait().await;
        self.store.journal(after, limit).await
    }
}
