//! A node whose disk is slower than its peers.

use async_trait::async_trait;
use causality_fact::ConflictKey;
use causality_fact::FactId;
use causality_fact::FactQuery;
use causality_fact::LogId;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_fact::Value;
use causality_node::Direction;
use causality_store::Batch;
use causality_store::Committed;
use causality_store::FactReader;
use causality_store::FactStore;
use causality_store::HeldLog;
use causality_store::JournalEntry;
use causality_store::Mark;
use causality_store::MemoryStore;
use causality_store::Page;
use causality_store::Place;
use causality_store::SideKey;
use causality_store::SideRange;
use causality_store::StoreError;
use causality_store::StoredEntry;
use causality_store::StoredRow;
use causality_strategy::SyncPolicies;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::timeout;

use crate::world::Network;
use crate::world::append;
use crate::world::draft;
use crate::world::held;
use crate::world::serve;

const PUBLIC: &[&str] = &["public"];

/// A store in memory that commits nothing while somebody holds its gate.
#[derive(Debug)]
struct Gated {
    store: MemoryStore,
    gate: Arc<RwLock<()>>,
}

#[async_trait]
impl FactStore for Gated {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let _open = self.gate.read().await;
        self.store.commit(batch).await
    }
}

#[async_trait]
impl FactReader for Gated {
    async fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError> {
        self.store.get(ids).await
    }

    async fn places(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError> {
        self.store.places(ids).await
    }

    async fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.store.scan(log, range, bytes_max).await
    }

    async fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.store.at(log, positions, bytes_max).await
    }

    async fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError> {
        self.store.leaves(log, range).await
    }

    async fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.store.query(query, after, limit).await
    }

    async fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError> {
        self.store.by_key(keys).await
    }

    async fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError> {
        self.store.by_mark(marks).await
    }

    async fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.store.side_get(keys).await
    }

    async fn side_scan(&self, range: SideRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.store.side_scan(range).await
    }

    async fn logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        self.store.logs().await
    }

    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        self.store.journal(after, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_send_faster_than_the_disk_keep_nobody_from_changing_the_rules() {
    const FACTS_EACH: usize = 145;
    const FACT_BYTES: usize = 50_000;
    let network = Network::all().into_iter().next().unwrap();
    let gate = Arc::new(RwLock::new(()));
    let mut busy = network.domain("busy", 1).await;
    busy.store = Arc::new(Gated {
        store: MemoryStore::new(),
        gate: Arc::clone(&gate),
    });
    let senders = [
        network.domain("amber", 2).await,
        network.domain("basil", 3).await,
    ];
    let peers = senders.iter().map(|peer| peer.peer(&[], PUBLIC));
    let node = busy.start(peers.collect()).await;
    serve(&node);
    append(&node, "public", 1).await;
    let closed = gate.clone().write_owned().await;
    let mut exchanges = Vec::new();
    for sender in &senders {
        let from = sender.start(vec![busy.peer(PUBLIC, &[])]).await;
        let drafts = (0..FACTS_EACH).map(|number| {
            let mut draft = draft(number, number);
            let data = Value::Bytes(vec![number as u8; FACT_BYTES]);
            draft.content.insert("data".to_owned(), data);
            draft
        });
        let drafts = drafts.collect();
        let registry = from.registry();
        registry.register_facts("public", drafts).await.unwrap();
        let to = busy.id();
        exchanges.push(tokio::spawn(async move {
            let synchronizer = from.synchronizer();
            synchronizer.sync(to, Direction::Both, |_| {}).await
        }));
    }
    let asked = async {
        // All of it has come, and nothing of it can be written.
        loop {
            let metrics = node.metrics().await.unwrap();
            let received = metrics.peers().map(|(_, counted)| counted.received.bytes);
            if received.sum::<u64>() > (2 * FACTS_EACH * FACT_BYTES) as u64 {
                break;
            }
            tokio::task::yield_now().await;
        }
        node.set_policies(SyncPolicies::default()).await.unwrap();
    };
    let asked = timeout(Duration::from_secs(60), asked).await;
    assert!(asked.is_ok(), "nobody is heard");
    let registry = node.clone();
    let appended = tokio::spawn(async move {
        let registry = registry.registry();
        registry.register_facts("public", vec![draft(2, 2)]).await
    });
    node.status().await.unwrap();
    drop(closed);
    assert_eq!(appended.await.unwrap().unwrap().len(), 1);
    for exchange in exchanges {
        let report = exchange.await.unwrap().unwrap();
        assert_eq!(report.facts_sent, FACTS_EACH as u64);
    }
    assert_eq!(held(&node, &busy).await, 2);
}
