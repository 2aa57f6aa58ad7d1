//! What a store says to files that are no stores, damaged, newer or in use, and its copies.

use std::fs;
use std::path::PathBuf;

use causality_fact::FactQuery;
use redb::{Database, ReadableTable as _, TableDefinition};

use super::model::{FIRST, dump, entry};
use super::*;
use crate::batch::{RESTORED_KEY, SideKey, SideTable, SideWrite};
use crate::conformance::{batch, full, log, withheld};
use crate::redb::tables::{HOLES, INDEX, JOURNAL, META, META_FORMAT, RUNS, SEGMENTS, place_key};

/// A closed store with some facts of two logs.
async fn closed_store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open_at(&path).unwrap();
    for of in [1, 2] {
        let entries = (0..40).map(|n| entry(of, n, 0, (n < 3).then_some(n as u8)));
        store.commit(batch(entries)).await.unwrap();
    }
    store.close().await.unwrap();
    (folder, path)
}

fn open_at(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(RedbConfig::new(path), Arc::new(inline))
}

/// The error, of a store that should not open.
fn refused(path: &Path) -> StoreError {
    open_at(path).map(|_| "a store").unwrap_err()
}

#[tokio::test]
async fn a_store_in_use_is_locked_until_it_is_closed() {
    let (_folder, path) = closed_store().await;
    let first = open_at(&path).unwrap();
    assert_eq!(refused(&path), StoreError::Locked { path: path.clone() });
    first.close().await.unwrap();
    let second = open_at(&path).unwrap();
    assert_eq!(first.logs().await, Err(StoreError::Closed));
    assert_eq!(first.commit(batch([])).await, Err(StoreError::Closed));
    assert_eq!(first.flush().await, Err(StoreError::Closed));
    assert_eq!(second.logs().await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_executor_that_drops_its_jobs_closes_the_store_to_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    let config = RedbConfig::new(folder.path().join("store.redb"));
    let gone = |job: Box<dyn FnOnce() + Send>| drop(job);
    let store = RedbStore::open(config, Arc::new(gone)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            store.commit(batch([full(log(1, 1), 0)])).await,
            Err(StoreError::Closed)
        );
        assert_eq!(store.logs().await, Err(StoreError::Closed));
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (_folder, path) = closed_store().await;
    change(&path, |tx| {
        tx.open_table(META)
            .unwrap()
            .insert(META_FORMAT, FORMAT + 1)
            .unwrap();
    });
    let (found, supported) = (FORMAT + 1, FORMAT);
    assert_eq!(refused(&path), StoreError::Newer { found, supported });
}

#[tokio::test]
async fn other_files_are_no_stores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    for content in [vec![b'x'; 10], vec![b'x'; 100_000], vec![0; 1_000_000]] {
        fs::write(&path, &content).unwrap();
        assert_eq!(refused(&path), StoreError::NotAStore { path: path.clone() });
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    change(&path, |tx| {
        tx.open_table(TableDefinition::<u8, u8>::new("other"))
            .unwrap();
    });
    assert_eq!(refused(&path), StoreError::NotAStore { path: path.clone() });
    change(&path, |tx| {
        tx.open_table(TableDefinition::<u8, u8>::new("meta"))
            .unwrap();
    });
    assert_eq!(refused(&path), StoreError::NotAStore { path: path.clone() });
    let missing = folder.path().join("no/store.redb");
    assert!(matches!(refused(&missing), StoreError::Io { .. }));
}

#[tokio::test]
async fn errors_of_the_disk_and_of_damage_name_the_file() {
    let (folder, path) = closed_store().await;
    let name = path.display().to_string();
    change(&path, |tx| {
        let mut table = tx.open_table(SEGMENTS).unwrap();
        let (key, mut segment) = {
            let (key, value) = table.first().unwrap().unwrap();
            (*key.value(), value.value().to_vec())
        };
        // In the id of the first row.
        segment[20] ^= 1;
        table.insert(&key, segment.as_slice()).unwrap();
    });
    let store = open_at(&path).unwrap();
    let said = store
        .query(&FactQuery::default(), None, 9)
        .await
        .unwrap_err();
    let row = format!("row {FIRST} of a log of 01010101 is another fact than was stored there");
    assert_eq!(
        said.to_string(),
        format!("the store is damaged: {name}: {row}")
    );
    drop(store);

    let sound = fs::read(&path).unwrap();
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    let said = refused(&path).to_string();
    let start = format!("the store is damaged: {name}: ");
    assert!(said.starts_with(&start), "{said}");

    let missing = folder.path().join("no/store.redb");
    let said = refused(&missing).to_string();
    let start = format!("the disk of the store failed: {}: ", missing.display());
    assert!(said.starts_with(&start), "{said}");
    assert!(said.ends_with("; its folder has to be there"), "{said}");
}

/// Changes the file of a closed store behind its back.
fn change(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = Database::create(path).unwrap();
    let tx = db.begin_write().unwrap();
    change(&tx);
    tx.commit().unwrap();
}

async fn findings(path: &Path) -> String {
    let store = open_at(path).unwrap();
    let report = store.check().await.unwrap();
    assert_eq!(report.finding_count, report.findings.len() as u64);
    report.findings.join("; ")
}

#[tokio::test]
async fn a_check_of_a_sound_store_finds_nothing_and_counts() {
    let (_folder, path) = closed_store().await;
    let store = open_at(&path).unwrap();
    let report = store.check().await.unwrap();
    assert_eq!((report.rows, report.withheld, report.journal), (80, 0, 2));
    assert_eq!((report.finding_count, report.findings), (0, vec![]));
}

#[tokio::test]
async fn a_check_finds_what_is_missing_or_changed() {
    let (_folder, path) = closed_store().await;
    let sound = fs::read(&path).unwrap();
    let check = async |expected: &str, damage: &dyn Fn(&redb::WriteTransaction)| {
        fs::write(&path, &sound).unwrap();
        change(&path, damage);
        let found = findings(&path).await;
        assert!(found.contains(expected), "{found:?} is not {expected:?}");
    };
    let runs =
        "the segments of the log 02020202/00000000/02020202 are not those that its runs tell";
    check(runs, &|tx| {
        tx.open_table(SEGMENTS).unwrap().pop_last().unwrap();
    })
    .await;
    check(runs, &|tx| {
        let mut table = tx.open_table(RUNS).unwrap();
        let key = *table.last().unwrap().unwrap().0.value();
        table.insert(&key, (FIRST + 41, 2)).unwrap();
    })
    .await;
    check("is not in the index", &|tx| {
        tx.open_table(INDEX).unwrap().pop_first().unwrap();
    })
    .await;
    check("the mark of position 106 is not in the index", &|tx| {
        tx.open_table(INDEX).unwrap().pop_last().unwrap();
    })
    .await;
    check("the journal does not tell what is held", &|tx| {
        tx.open_table(JOURNAL).unwrap().pop_last().unwrap();
    })
    .await;
    check("journal entry 1 is missing", &|tx| {
        tx.open_table(JOURNAL).unwrap().pop_first().unwrap();
    })
    .await;
    for at in [0, 20, 50, 300] {
        check("log", &|tx| {
            let mut table = tx.open_table(SEGMENTS).unwrap();
            let (key, mut segment) = {
                let (key, value) = table.first().unwrap().unwrap();
                (*key.value(), value.value().to_vec())
            };
            segment[at] ^= 0x40;
            table.insert(&key, segment.as_slice()).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_check_finds_damaged_and_needless_blocks_of_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open_at(&path).unwrap();
    let log = log(1, 1);
    let (holes, rows) = ((0..300).map(|n| withheld(log, n)), [full(log, 7)]);
    store.commit(batch(holes)).await.unwrap();
    store.commit(batch(rows)).await.unwrap();
    let report = store.check().await.unwrap();
    assert_eq!((report.rows, report.withheld), (1, 299));
    assert_eq!(report.findings, [""; 0]);
    store.close().await.unwrap();
    let sound = fs::read(&path).unwrap();
    let check = async |expected: &str, of: u32, change_block: &dyn Fn(&mut Vec<u8>)| {
        fs::write(&path, &sound).unwrap();
        change(&path, |tx| {
            let mut table = tx.open_table(HOLES).unwrap();
            let mut block = table.first().unwrap().unwrap().1.value().to_vec();
            change_block(&mut block);
            table.insert(&place_key(of, 0), block.as_slice()).unwrap();
        });
        let found = findings(&path).await;
        assert!(found.contains(expected), "{found:?} is not {expected:?}");
    };
    let runs = "the segments of the log 01010101/01010101/01010101 are not those";
    check(runs, 0, &|block| {
        block[1] ^= 1;
        block.truncate(block.len() - 32);
    })
    .await;
    check("the hashes from position 0: the bytes end", 0, &|block| {
        block.pop();
    })
    .await;
    check("the hashes from position 0: not canonical", 0, &|block| {
        block[15] = 0xff;
    })
    .await;
    let missing = "a block of hashes is of log 1, which there is not";
    check(missing, 1, &|_| {}).await;

    fs::write(&path, &sound).unwrap();
    let store = open_at(&path).unwrap();
    let rows = (126..252).map(|n| full(log, n));
    store.commit(batch(rows)).await.unwrap();
    store.close().await.unwrap();
    change(&path, |tx| {
        let mut table = tx.open_table(HOLES).unwrap();
        let first = table.first().unwrap().unwrap().1.value().to_vec();
        table.insert(&place_key(0, 126), first.as_slice()).unwrap();
    });
    let needless = "no hash from position 126 of the log 01010101/01010101/01010101 is needed";
    assert_eq!(findings(&path).await, needless);
}

#[tokio::test]
async fn a_report_lists_so_many_findings_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open_at(&path).unwrap();
    let count = FINDINGS_MAX as u64 / 2 + 1;
    store
        .commit(batch((0..count).map(|n| full(log(1, 1), n))))
        .await
        .unwrap();
    store.close().await.unwrap();
    change(&path, |tx| {
        tx.open_table(INDEX).unwrap().retain(|_, ()| false).unwrap()
    });
    let report = open_at(&path).unwrap().check().await.unwrap();
    assert_eq!(
        (report.findings.len(), report.finding_count),
        (FINDINGS_MAX, 2 * count)
    );
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_found_or_changes_nothing() {
    let (_folder, path) = closed_store().await;
    let sound = fs::read(&path).unwrap();
    let expected = dump(&open_at(&path).unwrap()).await.unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut found, mut harmless) = (0, 0);
    for at in (0..=used).step_by(used / 150) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, damaged).unwrap();
        let mut config = RedbConfig::new(&path);
        config.verify_on_open = true;
        let Ok(store) = RedbStore::open(config, Arc::new(inline)) else {
            found += 1;
            continue;
        };
        match store.check().await {
            Ok(report) if report.finding_count == 0 => {
                assert_eq!(dump(&store).await.as_ref(), Ok(&expected), "byte {at}");
                harmless += 1;
            }
            _ => found += 1,
        }
    }
    assert!(found > harmless, "{found} found, {harmless} harmless");
}

#[tokio::test]
async fn a_flipped_byte_of_a_row_is_never_read_as_a_fact() {
    let (_folder, path) = closed_store().await;
    let sound = fs::read(&path).unwrap();
    let expected = dump(&open_at(&path).unwrap()).await.unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..=used).step_by(used / 150) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, damaged).unwrap();
        let Ok(store) = open_at(&path) else { continue };
        for fact in &expected.facts {
            let Some(fact) = fact else { continue };
            if let Ok(found) = store.get(&[fact.row.id()]).await {
                let found = found[0].as_ref().map(|found| &found.row);
                assert!(found.is_none_or(|row| *row == fact.row), "byte {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_backup_is_the_store_as_it_was() {
    let (folder, path) = closed_store().await;
    let copy = folder.path().join("copy.redb");
    let store = open_at(&path).unwrap();
    store.commit(batch([full(log(3, 3), 0)])).await.unwrap();
    let before = dump(&store).await;
    store.backup(&copy).await.unwrap();
    store.commit(batch([full(log(3, 3), 1)])).await.unwrap();
    assert_eq!(
        store.backup(&copy).await,
        Err(StoreError::Exists { path: copy.clone() })
    );
    let copied = open_at(&copy).unwrap();
    assert_eq!(dump(&copied).await, before);
    assert_eq!(copied.check().await.unwrap().findings, [""; 0]);
    assert_eq!(restored(&copied).await, None);
}

#[tokio::test]
async fn a_restored_store_says_so_until_somebody_has_dealt_with_it() {
    let (folder, path) = closed_store().await;
    let to = folder.path().join("restored.redb");
    RedbStore::restore(&path, &to).unwrap();
    assert_eq!(
        RedbStore::restore(&path, &to),
        Err(StoreError::Exists { path: to.clone() })
    );
    let store = open_at(&to).unwrap();
    assert_eq!(dump(&store).await, dump(&open_at(&path).unwrap()).await);
    assert!(restored(&store).await.is_some());
    let (table, key) = (SideTable::STORE, RESTORED_KEY.to_vec());
    let side = vec![SideWrite {
        table,
        key,
        value: None,
    }];
    store
        .commit(Batch {
            side,
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(restored(&store).await, None);
}

async fn restored(store: &RedbStore) -> Option<Vec<u8>> {
    let key = SideKey {
        table: SideTable::STORE,
        key: RESTORED_KEY.to_vec(),
    };
    store.side_get(&[key]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_copy_that_fails_names_both_files() {
    let (folder, path) = closed_store().await;
    let to = folder.path().join("no/copy.redb");
    let told = |error: StoreError| {
        let StoreError::Io { message, .. } = error else {
            panic!("{error}")
        };
        let files = format!("{} or {}: ", path.display(), to.display());
        assert!(message.starts_with(&files), "{message}");
    };
    told(RedbStore::restore(&path, &to).unwrap_err());
    told(open_at(&path).unwrap().backup(&to).await.unwrap_err());
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let not_a_store = StoreError::NotAStore { path: from.clone() };
    assert_eq!(RedbStore::restore(&from, &to), Err(not_a_store.clone()));
    fs::write(&from, b"something else").unwrap();
    assert_eq!(RedbStore::restore(&from, &to), Err(not_a_store));
    assert!(!to.exists());
}

#[tokio::test]
async fn logs_are_taken_in_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RedbConfig::new(folder.path().join("store.redb"));
    config.logs_max = 2;
    let store = RedbStore::open(config, Arc::new(inline)).unwrap();
    store
        .commit(batch([full(log(1, 1), 0), full(log(1, 2), 0)]))
        .await
        .unwrap();
    let what = "number of logs";
    let error = StoreError::TooLarge {
        what,
        actual: 3,
        limit: 2,
    };
    assert_eq!(store.commit(batch([full(log(1, 3), 0)])).await, Err(error));
    assert_eq!(
        store
            .commit(batch([full(log(1, 2), 1)]))
            .await
            .unwrap()
            .added,
        1
    );
}

#[tokio::test]
async fn single_rows_are_merged_into_full_segments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open_at(&path).unwrap();
    for position in 0..600 {
        store
            .commit(batch([full(log(1, 1), position)]))
            .await
            .unwrap();
    }
    store.flush().await.unwrap();
    let report = store.check().await.unwrap();
    assert_eq!((report.rows, report.findings), (600, vec![]));
    assert!(report.segments < 600 / 2, "{} segments", report.segments);
}
