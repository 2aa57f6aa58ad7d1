//! The suite that every implementation of the joint passes, one function a promise, and facts to fill stores with.
//!
//! [`conformance_tests!`](crate::conformance_tests) turns it into tests. Each case panics when the promise is broken.
#![expect(
    clippy::unwrap_used,
    reason = "a suite of tests: a failure is to be reported by panic"
)]

use causality_fact::{Entry, LOG_SIZE_MAX, LogId, PositionSet, Row, TreeHash};

use crate::answer::{Change, HeldLog, Place, SideRange, StoredBody, StoredEntry};
use crate::batch::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, Mark, NewEntry, SIDE_KEY_BYTES_MAX,
    SIDE_VALUE_BYTES_MAX, SideKey, SideTable, SideWrite,
};
use crate::error::StoreError;
use crate::joint::FactStore;

mod reads;
mod sample;

pub use reads::{
    a_fact_in_two_lanes_is_found_in_its_fullest_form, a_scan_has_no_gaps_and_is_bounded,
    entries_are_read_at_scattered_positions, leaves_give_the_hashes_of_the_tree,
    of_partial_rows_the_one_with_most_fields_is_found, partial_rows_are_found_as_such,
    queries_find_what_matches_page_by_page, rows_of_unknown_versions_are_kept,
};
pub use sample::{all_fields, batch, fact, full, log, partial, sized_fact, subtree, withheld};
use sample::{new_entry, row};

async fn commit(
    store: &dyn FactStore,
    entries: impl IntoIterator<Item = NewEntry>,
) -> Result<[u64; 3], StoreError> {
    let done = store.commit(batch(entries)).await?;
    Ok([done.added, done.upgraded, done.duplicate])
}

/// All of a log, from a position to the first gap.
async fn scan_all(store: &dyn FactStore, log: &LogId, from: u64) -> Vec<StoredEntry> {
    store
        .scan(log, from..LOG_SIZE_MAX, usize::MAX)
        .await
        .unwrap()
}

async fn held(store: &dyn FactStore, log: &LogId) -> HeldLog {
    let logs = store.logs().await.unwrap();
    logs.into_iter().find(|held| held.log == *log).unwrap()
}

fn set(runs: &[(u64, u64)]) -> PositionSet {
    let mut set = PositionSet::new();
    runs.iter()
        .for_each(|(start, end)| set.insert(*start..*end).unwrap());
    set
}

/// What was added is found by position, id, key and query.
pub async fn added_facts_are_found_in_every_way(store: &dyn FactStore) {
    let log = log(1, 1);
    assert_eq!(
        commit(store, (0..30).map(|n| full(log, n))).await,
        Ok([30, 0, 0])
    );
    let facts: Vec<_> = (0..30).map(|n| fact(&log, n)).collect();

    let ids = [facts[7].id(), fact(&log, 99).id(), facts[3].id()];
    let found = store.get(&ids).await.unwrap();
    let numbers = found
        .iter()
        .map(|row| row.as_ref().map(|row| row.place.position));
    assert_eq!(numbers.collect::<Vec<_>>(), [Some(7), None, Some(3)]);
    assert_eq!(
        found[0].as_ref().unwrap().row.fact().as_ref(),
        Some(&facts[7])
    );

    let entries = scan_all(store, &log, 0).await;
    assert_eq!(entries.len(), 30);
    for (entry, fact) in entries.iter().zip(&facts) {
        assert_eq!(entry.entry(log.origin), Ok(Entry::Row(Row::from(fact))));
    }

    let keys = [
        facts[4].core().conflict_key(),
        facts[5].core().conflict_key(),
    ];
    let places = store.by_key(&keys).await.unwrap();
    let positions = |places: &[Place]| places.iter().map(|p| p.position).collect::<Vec<_>>();
    assert_eq!(positions(&places[0]), [4, 14, 24]);
    assert_eq!(positions(&places[1]), [5, 15, 25]);
}

/// The same batch again changes nothing.
pub async fn the_same_batch_again_changes_nothing(store: &dyn FactStore) {
    let log = log(1, 1);
    let entries = || (0..10).map(|n| full(log, n)).chain([subtree(log, 12, 2)]);
    assert_eq!(commit(store, entries()).await, Ok([11, 0, 0]));
    let journal = store.journal(0, 100).await.unwrap();
    assert_eq!(commit(store, entries()).await, Ok([0, 0, 11]));
    assert_eq!(
        commit(store, entries().chain(entries())).await,
        Ok([0, 0, 22])
    );
    assert_eq!(store.journal(0, 100).await.unwrap(), journal);
    assert_eq!(scan_all(store, &log, 0).await.len(), 10);
}

/// A repeated entry of one batch is written once, the fullest of them.
pub async fn of_repeated_entries_the_fullest_is_written(store: &dyn FactStore) {
    let log = log(1, 1);
    let entries = [
        withheld(log, 0),
        partial(log, 0, "a"),
        full(log, 0),
        partial(log, 0, "ab"),
    ];
    assert_eq!(commit(store, entries).await, Ok([1, 0, 3]));
    assert_eq!(held(store, &log).await.full, set(&[(0, 1)]));
}

/// What tells more replaces what tells less, and nothing else does.
pub async fn positions_are_upgraded_and_never_downgraded(store: &dyn FactStore) {
    let log = log(1, 1);
    let steps = [
        (withheld(log, 0), [1, 0, 0]),
        (partial(log, 0, "a"), [0, 1, 0]),
        (withheld(log, 0), [0, 0, 1]),
        (partial(log, 0, "b"), [0, 0, 1]),
        (partial(log, 0, "ab"), [0, 1, 0]),
        (partial(log, 0, "a"), [0, 0, 1]),
        (full(log, 0), [0, 1, 0]),
        (partial(log, 0, "ab"), [0, 0, 1]),
        (withheld(log, 0), [0, 0, 1]),
    ];
    for (entry, expected) in steps {
        assert_eq!(commit(store, [entry]).await, Ok(expected));
    }
    let found = store.get(&[fact(&log, 0).id()]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().row, Row::from(&fact(&log, 0)));
    let changes: Vec<_> = store
        .journal(0, 9)
        .await
        .unwrap()
        .iter()
        .map(|e| e.change)
        .collect();
    let upgraded = Change::Upgraded;
    assert_eq!(changes, [Change::Added, upgraded, upgraded, upgraded]);
}

/// A row that shows all fields, but without the seed, stands between one that withholds some and the whole.
pub async fn all_fields_without_the_seed_are_more_than_some_and_less_than_whole(
    store: &dyn FactStore,
) {
    let log = log(1, 1);
    let steps = [
        (partial(log, 0, "a"), [1, 0, 0]),
        (all_fields(log, 0), [0, 1, 0]),
        (partial(log, 0, "ab"), [0, 0, 1]),
        (all_fields(log, 0), [0, 0, 1]),
        (full(log, 0), [0, 1, 0]),
        (all_fields(log, 0), [0, 0, 1]),
    ];
    for (entry, expected) in steps {
        assert_eq!(commit(store, [entry]).await, Ok(expected));
    }
    let entries = [
        partial(log, 1, "ab"),
        all_fields(log, 1),
        partial(log, 1, "c"),
    ];
    assert_eq!(commit(store, entries).await, Ok([1, 0, 2]));
    let held = held(store, &log).await;
    assert_eq!((held.full, held.partial), (set(&[(0, 1)]), set(&[(1, 2)])));
    let found = store.get(&[fact(&log, 1).id()]).await.unwrap();
    let row = &found[0].as_ref().unwrap().row;
    assert_eq!(Entry::Row(row.clone()), all_fields(log, 1).entry);
}

/// A withheld subtree gives way to entries that cover it exactly.
pub async fn a_withheld_subtree_is_split_by_an_exact_cover(store: &dyn FactStore) {
    let log = log(1, 1);
    let around = [full(log, 7), subtree(log, 8, 3), full(log, 16)];
    assert_eq!(commit(store, around).await, Ok([3, 0, 0]));
    let cover = || {
        [
            subtree(log, 8, 1),
            full(log, 10),
            withheld(log, 11),
            subtree(log, 12, 2),
        ]
    };
    assert_eq!(commit(store, cover()).await, Ok([0, 4, 0]));
    assert_eq!(commit(store, [subtree(log, 8, 3)]).await, Ok([0, 0, 1]));
    assert_eq!(
        held(store, &log).await.full,
        set(&[(7, 8), (10, 11), (16, 17)])
    );
    assert_eq!(held(store, &log).await.withheld, set(&[(8, 10), (11, 16)]));
    let entries = scan_all(store, &log, 7).await;
    let starts: Vec<_> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(starts, [7, 8, 10, 11, 12, 16]);
    assert_eq!(commit(store, [full(log, 11)]).await, Ok([0, 1, 0]));
}

/// A part of a withheld subtree, or one that is held in part, is refused.
pub async fn entries_that_overlap_what_is_held_are_refused(store: &dyn FactStore) {
    let log = log(1, 1);
    commit(store, [subtree(log, 8, 3), full(log, 20)])
        .await
        .unwrap();
    for (entries, position) in [
        (vec![full(log, 10)], 8),
        (vec![subtree(log, 8, 2), full(log, 12)], 8),
        (vec![subtree(log, 20, 2)], 20),
        (vec![full(log, 32), subtree(log, 32, 1)], 32),
        (vec![subtree(log, 32, 1), full(log, 33)], 33),
    ] {
        let result = commit(store, entries).await;
        assert_eq!(result, Err(StoreError::Overlap { log, position }));
    }
}

/// A different fact at a held position refuses the whole batch.
pub async fn another_fact_at_a_held_position_refuses_the_batch(store: &dyn FactStore) {
    let log = log(1, 1);
    commit(store, [full(log, 0), withheld(log, 1), subtree(log, 2, 1)])
        .await
        .unwrap();
    let other = |position| row(log, position, &fact(&log, 77));
    let hash = TreeHash::new([9; 32]);
    let wrong = |position, level| new_entry(log, position, Entry::Withheld { level, hash });
    for (entries, position) in [
        (vec![other(0)], 0),
        (vec![other(1)], 1),
        (vec![wrong(0, 0)], 0),
        (vec![wrong(1, 0)], 1),
        (vec![wrong(2, 1)], 2),
        (vec![wrong(0, 1)], 0),
        (vec![full(log, 2), other(3)], 2),
        (vec![full(log, 9), row(log, 9, &fact(&log, 8))], 9),
    ] {
        let before = store.journal(0, 100).await.unwrap();
        let side = SideWrite {
            table: SideTable::new(1),
            key: vec![1],
            value: Some(vec![1]),
        };
        let mut batch = batch([full(log, 50)].into_iter().chain(entries));
        batch.side.push(side);
        let result = store.commit(batch).await;
        assert_eq!(result, Err(StoreError::PositionTaken { log, position }));
        assert_eq!(store.journal(0, 100).await.unwrap(), before);
        assert_eq!(scan_all(store, &log, 50).await, []);
        let key = SideKey {
            table: SideTable::new(1),
            key: vec![1],
        };
        assert_eq!(store.side_get(&[key]).await, Ok(vec![None]));
    }
}

/// Entries that are no entries of their log are refused.
pub async fn entries_that_cannot_be_are_refused(store: &dyn FactStore) {
    let (one, other) = (log(1, 1), log(2, 1));
    let result = commit(store, [row(one, 0, &fact(&other, 0))]).await;
    assert_eq!(
        result,
        Err(StoreError::WrongOrigin {
            log: one,
            position: 0
        })
    );
    let hash = TreeHash::new([9; 32]);
    let odd = new_entry(one, 2, Entry::Withheld { level: 2, hash });
    let result = commit(store, [odd]).await;
    assert_eq!(
        result,
        Err(StoreError::NotAligned {
            position: 2,
            level: 2
        })
    );
}

/// Each limit holds: what is at it passes, what is one above does not.
pub async fn limits_hold_at_their_values(store: &dyn FactStore) {
    fn too_large(result: Result<[u64; 3], StoreError>) -> bool {
        let Err(StoreError::TooLarge { actual, limit, .. }) = result else {
            return false;
        };
        actual == limit + 1
    }
    let log = log(1, 1);
    let hash = TreeHash::new([9; 32]);
    let leaf = |position, level| new_entry(log, position, Entry::Withheld { level, hash });
    assert_eq!(
        commit(store, [leaf(LOG_SIZE_MAX - 1, 0)]).await,
        Ok([1, 0, 0])
    );
    assert!(too_large(commit(store, [leaf(LOG_SIZE_MAX, 0)]).await));
    assert_eq!(commit(store, [leaf(1 << 12, 12)]).await, Ok([1, 0, 0]));
    assert!(too_large(commit(store, [leaf(1 << 13, 13)]).await));

    let entries = |count: usize| (0..count as u64).map(move |n| leaf((1 << 20) + n, 0));
    let most = BATCH_ENTRIES_MAX;
    assert_eq!(commit(store, entries(most)).await, Ok([most as u64, 0, 0]));
    assert!(too_large(commit(store, entries(most + 1)).await));

    let table = SideTable::new(1);
    let write = |key: usize, value: usize| SideWrite {
        table,
        key: vec![0; key],
        value: Some(vec![0; value]),
    };
    let side = async |side: Vec<SideWrite>| {
        let batch = Batch {
            side,
            ..Batch::default()
        };
        let done = store.commit(batch).await;
        done.map(|_| [0; 3])
    };
    let (key, value) = (SIDE_KEY_BYTES_MAX, SIDE_VALUE_BYTES_MAX);
    assert_eq!(side(vec![write(key, value)]).await, Ok([0; 3]));
    assert!(too_large(side(vec![write(key + 1, 0)]).await));
    assert!(too_large(side(vec![write(0, value + 1)]).await));
    let most = BATCH_BYTES_MAX / value;
    assert_eq!(side(vec![write(0, value); most]).await, Ok([0; 3]));
    let above = [vec![write(0, value); most], vec![write(1, 0)]].concat();
    assert!(too_large(side(above).await));
}

/// Marks find the rows that were written with them.
pub async fn marks_find_their_rows(store: &dyn FactStore) {
    let log = log(1, 1);
    let marked = |n: u64, mark: u8| NewEntry {
        mark: Some(Mark::new([mark; 16])),
        ..full(log, n)
    };
    commit(store, [marked(0, 1), full(log, 1), marked(2, 2)])
        .await
        .unwrap();
    commit(store, [marked(3, 1)]).await.unwrap();
    let marks = [Mark::new([2; 16]), Mark::new([3; 16]), Mark::new([1; 16])];
    let place = |position| Some(Place { log, position });
    assert_eq!(
        store.by_mark(&marks).await,
        Ok(vec![place(2), None, place(0)])
    );
}

/// Side tables keep what is written, apart from each other and in order of the keys.
pub async fn side_tables_keep_rows_in_order(store: &dyn FactStore) {
    let (one, two) = (SideTable::new(1), SideTable::new(2));
    let write = |table, key: &[u8], value: Option<&[u8]>| SideWrite {
        table,
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
    };
    let side = vec![
        write(one, b"b1", Some(b"x")),
        write(one, b"a", Some(b"y")),
        write(one, b"b2", Some(b"first")),
        write(one, b"b2", Some(b"second")),
        write(two, b"b1", Some(b"other")),
        write(one, b"c", Some(b"gone")),
        write(one, b"c", None),
        write(one, b"", Some(b"")),
    ];
    store
        .commit(Batch {
            side,
            ..Batch::default()
        })
        .await
        .unwrap();
    let key = |table, key: &[u8]| SideKey {
        table,
        key: key.to_vec(),
    };
    let keys = [
        key(two, b"b1"),
        key(two, b"b2"),
        key(one, b"b2"),
        key(one, b"c"),
        key(one, b""),
    ];
    let values = store.side_get(&keys).await.unwrap();
    let expected = [
        Some(b"other".to_vec()),
        None,
        Some(b"second".to_vec()),
        None,
        Some(vec![]),
    ];
    assert_eq!(values, expected);

    let scan = async |prefix: &[u8], after: Option<&[u8]>, limit| {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let rows = store
            .side_scan(SideRange {
                table: one,
                prefix,
                after,
                limit,
            })
            .await
            .unwrap();
        rows.into_iter()
            .map(|(key, _)| String::from_utf8(key).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", None, 9).await, ["", "a", "b1", "b2"]);
    assert_eq!(scan(b"", Some(b""), 2).await, ["a", "b1"]);
    assert_eq!(scan(b"b", None, 9).await, ["b1", "b2"]);
    assert_eq!(scan(b"b", Some(b"b1"), 9).await, ["b2"]);
    assert_eq!(scan(b"b", Some(b"a"), 9).await, ["b1", "b2"]);
    assert_eq!(scan(b"b", Some(b"c"), 9).await, [""; 0]);
    assert_eq!(scan(b"b", None, 0).await, [""; 0]);
}

/// Logs tell which positions are held, and how.
pub async fn logs_tell_what_is_held(store: &dyn FactStore) {
    let (one, two) = (log(1, 1), log(2, 1));
    commit(store, [full(two, 5), full(two, 4), full(two, 7)])
        .await
        .unwrap();
    commit(
        store,
        [subtree(one, 4, 2), partial(one, 3, "a"), full(one, 2)],
    )
    .await
    .unwrap();
    let logs = store.logs().await.unwrap();
    assert_eq!(
        logs.iter().map(|held| held.log).collect::<Vec<_>>(),
        [one, two]
    );
    assert_eq!(logs[0].full, set(&[(2, 3)]));
    assert_eq!(logs[0].partial, set(&[(3, 4)]));
    assert_eq!(logs[0].withheld, set(&[(4, 8)]));
    assert_eq!(logs[1].full, set(&[(4, 6), (7, 8)]));
}

/// The journal tells what was received when.
pub async fn the_journal_tells_what_was_received(store: &dyn FactStore) {
    let (one, two) = (log(1, 1), log(2, 1));
    let entries = [full(one, 0), full(two, 3), full(one, 1), withheld(one, 5)];
    let done = store
        .commit(Batch {
            time: -7,
            ..batch(entries)
        })
        .await
        .unwrap();
    assert_eq!(done.journal, 3);
    let done = store
        .commit(Batch {
            time: 9,
            ..batch([full(one, 5), full(one, 2)])
        })
        .await;
    assert_eq!(done.unwrap().journal, 5);
    let journal = store.journal(0, 100).await.unwrap();
    let told: Vec<_> = journal
        .iter()
        .map(|e| (e.number, e.time, e.log, e.positions.clone(), e.change))
        .collect();
    let expected = [
        (1, -7, one, 0..2, Change::Added),
        (2, -7, one, 5..6, Change::Added),
        (3, -7, two, 3..4, Change::Added),
        (4, 9, one, 2..3, Change::Added),
        (5, 9, one, 5..6, Change::Upgraded),
    ];
    assert_eq!(told, expected);
    assert_eq!(store.journal(3, 1).await.unwrap(), journal[3..4]);
    assert_eq!(store.journal(5, 9).await, Ok(vec![]));
    assert_eq!(store.journal(u64::MAX, 9).await, Ok(vec![]));
}

/// Of upgraded positions each run of neighbours is an entry of the journal, behind what was added.
pub async fn scattered_upgrades_are_entries_of_the_journal_of_their_own(store: &dyn FactStore) {
    let (one, two) = (log(1, 1), log(2, 1));
    let holes = (0..20).map(|n| withheld(one, n));
    let before = holes.chain([partial(one, 20, "a"), subtree(two, 0, 2)]);
    assert_eq!(commit(store, before).await, Ok([22, 0, 0]));
    let entries = [
        full(two, 1),
        withheld(two, 0),
        subtree(two, 2, 1),
        full(one, 21),
        full(one, 17),
        full(one, 3),
        partial(one, 4, "a"),
        full(one, 5),
        full(one, 8),
        withheld(one, 9),
        full(one, 10),
        full(one, 19),
        full(one, 20),
    ];
    assert_eq!(commit(store, entries).await, Ok([1, 11, 1]));
    let journal = store.journal(2, 100).await.unwrap();
    let told: Vec<_> = journal
        .iter()
        .map(|e| (e.log, e.positions.clone(), e.change))
        .collect();
    let expected = [
        (one, 21..22, Change::Added),
        (one, 3..6, Change::Upgraded),
        (one, 8..9, Change::Upgraded),
        (one, 10..11, Change::Upgraded),
        (one, 17..18, Change::Upgraded),
        (one, 19..21, Change::Upgraded),
        (two, 0..4, Change::Upgraded),
    ];
    assert_eq!(told, expected);
}

/// Facts of the largest size are stored beside small ones.
pub async fn the_largest_facts_are_stored(store: &dyn FactStore) {
    let log = log(1, 1);
    let sizes = [10, 59_700, 59_700, 20, 30_000, 30_000, 30_000, 5];
    let rows = || {
        (0..)
            .zip(sizes)
            .map(|(n, size)| row(log, n, &sized_fact(&log, n, size)))
    };
    assert_eq!(commit(store, rows()).await, Ok([8, 0, 0]));
    let entries = scan_all(store, &log, 0).await;
    assert_eq!(entries.len(), 8);
    for (entry, (n, size)) in entries.iter().zip((0..).zip(sizes)) {
        let StoredBody::Row { id, .. } = entry.body else {
            unreachable!("rows were stored")
        };
        assert_eq!(id, sized_fact(&log, n, size).id());
    }
}

/// Turns the suite into a module of tests: `conformance_tests!(name, store)`, where `store()` gives an empty store behind
/// a smart pointer.
#[macro_export]
macro_rules! conformance_tests {
    ($module:ident, $store:path) => {
        $crate::conformance_tests!(@cases $module, $store,
            a_fact_in_two_lanes_is_found_in_its_fullest_form
            a_scan_has_no_gaps_and_is_bounded
            a_withheld_subtree_is_split_by_an_exact_cover
            added_facts_are_found_in_every_way
            all_fields_without_the_seed_are_more_than_some_and_less_than_whole
            another_fact_at_a_held_position_refuses_the_batch
            entries_are_read_at_scattered_positions
            entries_that_cannot_be_are_refused
            entries_that_overlap_what_is_held_are_refused
            leaves_give_the_hashes_of_the_tree
            limits_hold_at_their_values
            logs_tell_what_is_held
            marks_find_their_rows
            of_partial_rows_the_one_with_most_fields_is_found
            of_repeated_entries_the_fullest_is_written
            partial_rows_are_found_as_such
            positions_are_upgraded_and_never_downgraded
            queries_find_what_matches_page_by_page
            rows_of_unknown_versions_are_kept
            scattered_upgrades_are_entries_of_the_journal_of_their_own
            side_tables_keep_rows_in_order
            the_journal_tells_what_was_received
            the_largest_facts_are_stored
            the_same_batch_again_changes_nothing
        );
    };
    (@cases $module:ident, $store:path, $($case:ident)*) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test]
                async fn $case() {
                    $crate::conformance::$case(&*$store()).await;
                }
            )*
        }
    };
}
