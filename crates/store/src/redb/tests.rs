//! The redb store passes the conformance suite, however small its steps are and wherever its work runs; what only it
//! promises is tested here too.

use std::ops::Deref;

use super::*;
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

mod damage;
mod model;
mod power;
