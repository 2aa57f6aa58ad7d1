//! What withheld positions cost: in the file, and when some of them are disclosed.

use std::path::PathBuf;

use causality_fact::{Entry, TreeHash};
use redb::{Database, ReadableTableMetadata as _};

use super::*;
use crate::conformance::{batch, full, log, withheld};
use crate::redb::holes::BLOCK_POSITIONS;
use crate::redb::tables::{HOLES, SEGMENTS};

/// A store at a path, and the folder that goes with it.
fn store() -> (RedbStore, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = RedbStore::open(RedbConfig::new(&path), Arc::new(inline)).unwrap();
    (store, path, folder)
}

/// What the tables of a closed store take: rows of segments and of holes, and pages of 4 KiB in all.
fn tables(path: &Path) -> (u64, u64, u64) {
    let db = Database::open(path).unwrap();
    let tx = db.begin_write().unwrap();
    let segments = tx.open_table(SEGMENTS).unwrap().len().unwrap();
    let holes = tx.open_table(HOLES).unwrap().len().unwrap();
    (segments, holes, tx.stats().unwrap().allocated_pages())
}

#[tokio::test]
async fn a_withheld_position_takes_at_most_40_bytes_however_small_the_batches() {
    const POSITIONS: u64 = 60_000;
    for length in [60_000, 1_000, 300] {
        let (store, path, _folder) = store();
        let log = log(1, 1);
        let entry = |position: u64| {
            if position % 100 == 50 {
                return full(log, position);
            }
            let mut hash = [position as u8; 32];
            hash[..8].copy_from_slice(&position.to_le_bytes());
            let hash = TreeHash::new(hash);
            NewEntry {
                log,
                position,
                entry: Entry::Withheld { level: 0, hash },
                mark: None,
            }
        };
        for start in (0..POSITIONS).step_by(length) {
            let positions = start..start + length as u64;
            store.commit(batch(positions.map(entry))).await.unwrap();
        }
        store.close().await.unwrap();
        let (segments, holes, pages) = tables(&path);
        assert_eq!(segments, POSITIONS / 100);
        assert_eq!(holes, POSITIONS.div_ceil(BLOCK_POSITIONS));
        let bytes = pages * 4096;
        assert!(
            bytes <= 40 * POSITIONS,
            "{bytes} bytes in batches of {length}"
        );
    }
}

#[tokio::test]
async fn hashes_stay_until_a_block_is_disclosed_and_then_go() {
    let (store, path, _folder) = store();
    let log = log(1, 1);
    let count = 3 * BLOCK_POSITIONS;
    store
        .commit(batch((0..count).map(|n| withheld(log, n))))
        .await
        .unwrap();
    let last = 2 * BLOCK_POSITIONS - 1;
    let rows = (5..last).map(|n| full(log, n));
    store.commit(batch(rows)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(tables(&path).1, 3);
    let store = RedbStore::open(RedbConfig::new(&path), Arc::new(inline)).unwrap();
    let leaves = store.leaves(&log, 0..count).await.unwrap();
    assert_eq!(leaves.len() as u64, count);
    store.commit(batch([full(log, last)])).await.unwrap();
    assert_eq!(store.leaves(&log, 0..count).await, Ok(leaves));
    store.close().await.unwrap();
    assert_eq!(tables(&path).1, 2);
}
