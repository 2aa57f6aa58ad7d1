//! The redb store passes the conformance suite, however small its steps are and wherever its work runs; what only it
//! promises is tested here too.

use std::ops::Deref;

use super::*;
use crate::batch::{SIDE_VALUE_BYTES_MAX, SideTable, SideWrite};
use crate::conformance::{batch, full, log};
use crate::inline;

/// A store in a folder that goes with it.
struct Home {
    store: RedbStore,
    _folder: tempfile::TempDir,
}

impl Deref for Home {
    type Target = RedbStore;

    fn deref(&self) -> &RedbStore {
        &self.store
    }
}

fn open(executor: Arc<dyn Executor>, change: impl FnOnce(&mut RedbConfig)) -> Home {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RedbConfig::new(folder.path().join("store.redb"));
    change(&mut config);
    let store = RedbStore::open(config, executor).unwrap();
    Home {
        store,
        _folder: folder,
    }
}

fn inline_store() -> Home {
    open(Arc::new(inline), |_| {})
}

/// Writes the index after every few keys and keeps next to nothing in memory.
fn eager_store() -> Home {
    open(Arc::new(inline), |config| {
        config.index_pending_max = 4;
        config.index_step_keys = 3;
        config.group_bytes_max = 1;
        config.cache_bytes = 1 << 20;
    })
}

fn threaded_store() -> Home {
    let thread = |job: Box<dyn FnOnce() + Send>| {
        std::thread::spawn(job);
    };
    open(Arc::new(thread), |_| {})
}

crate::conformance_tests!(inline_work, inline_store);
crate::conformance_tests!(small_steps, eager_store);
crate::conformance_tests!(threads, threaded_store);

#[tokio::test]
async fn ids_are_found_by_what_they_begin_with() {
    let store = eager_store();
    let logs = [log(1, 1), log(1, 2)];
    let entries = logs
        .iter()
        .flat_map(|log| (0..20).map(|number| full(*log, number)));
    store.commit(batch(entries)).await.unwrap();
    // The same facts once more, in another lane of the same origin.
    let copies = (0..20).map(|number| NewEntry {
        log: log(1, 3),
        ..full(logs[0], number)
    });
    store.commit(batch(copies)).await.unwrap();
    let all = FactId::new([0; 32])..=FactId::new([0xff; 32]);
    let ids = store.ids(all.clone(), 100).await.unwrap();
    assert_eq!(ids.len(), 40);
    assert!(ids.is_sorted());
    assert_eq!(store.ids(all, 7).await.unwrap().len(), 7);
    for id in &ids {
        assert_eq!(store.ids(*id..=*id, 2).await, Ok(vec![*id]));
        let mut end = *id.as_bytes();
        end[31] = 0xff;
        let mut start = end;
        start[31] = id.as_bytes()[31].wrapping_add(1);
        // The index holds the first half of an id only.
        let near = FactId::new(start)..=FactId::new(end);
        let expected: Vec<_> = ids.iter().filter(|id| near.contains(id)).copied().collect();
        assert_eq!(store.ids(near, 2).await, Ok(expected));
    }
}

/// Runs jobs once the caller waits, so that batches queue up and the background works between their commits.
fn later(job: Box<dyn FnOnce() + Send>) {
    tokio::spawn(async { job() });
}

#[tokio::test]
async fn commits_wait_while_the_queue_is_full() {
    let home = open(Arc::new(later), |config| config.queue_bytes_max = 0);
    let free = home.room.available_permits();
    let batch = || {
        let value = Some(vec![0; SIDE_VALUE_BYTES_MAX]);
        let write = |key| SideWrite {
            table: SideTable::new(0),
            key: vec![key],
            value: value.clone(),
        };
        Batch {
            side: (0..12).map(write).collect(),
            ..Batch::default()
        }
    };
    let watch = async {
        // All commits were polled before this; there is room for two.
        let waiting = |queue: &mut drain::Queue| assert_eq!(queue.batches.len(), 2);
        assert!(!home.inner.enqueue(waiting));
    };
    let commit = || home.commit(batch());
    let (one, two, three, ()) = tokio::join!(commit(), commit(), commit(), watch);
    assert_eq!(
        [one, two, three],
        [(); 3].map(|()| Ok(Committed::default()))
    );
    assert_eq!(home.room.available_permits(), free);
}

#[tokio::test]
async fn index_keys_in_memory_stay_below_their_bound() {
    let home = open(Arc::new(later), |config| {
        config.index_pending_max = 100;
        config.index_step_keys = 1;
        config.group_bytes_max = 1;
    });
    let log = log(1, 1);
    for round in 0..40 {
        let commit = |n: u64| home.commit(batch([full(log, round * 3 + n)]));
        let (one, two, three) = tokio::join!(commit(0), commit(1), commit(2));
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        let pending = home
            .inner
            .with(|engine| Ok(engine.shared().overlay.len()))
            .unwrap();
        assert!(pending < 100, "{pending} keys");
    }
}

mod damage;
mod holes;
mod model;
mod power;
