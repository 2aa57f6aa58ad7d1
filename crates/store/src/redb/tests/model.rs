//! Memory and redb do the same, whatever is committed in whatever order, across reopening.

use std::path::Path;

use causality_fact::{Entry, FactQuery, LOG_SIZE_MAX, LogId, Subtree, TreeHash};
use proptest::prelude::*;

use super::*;
use crate::batch::{NewEntry, SideTable, SideWrite};
use crate::conformance::{fact, log, partial, sized_fact, subtree};
use crate::{JournalEntry, MemoryStore, Page, StoredRow};

pub(super) const LOGS: u8 = 3;
pub(super) const POSITIONS: u64 = 48;
/// The first position: a block of holes ends and another begins among them.
pub(super) const FIRST: u64 = 104;
pub(super) const MARKS: u8 = 6;

/// Everything that can be read from a store.
#[derive(Debug, PartialEq)]
pub(super) struct Dump {
    logs: Vec<HeldLog>,
    entries: Vec<Vec<StoredEntry>>,
    scattered: Vec<Vec<StoredEntry>>,
    leaves: Vec<Vec<(Subtree, TreeHash)>>,
    journal: Vec<JournalEntry>,
    pub(super) facts: Vec<Option<StoredRow>>,
    keys: Vec<Vec<Place>>,
    marks: Vec<Option<Place>>,
    side: Vec<(Vec<u8>, Vec<u8>)>,
    query: Page,
}

pub(super) async fn dump(store: &dyn FactReader) -> Result<Dump, StoreError> {
    let logs = store.logs().await?;
    let (mut entries, mut leaves, mut facts, mut keys) = (vec![], vec![], vec![], vec![]);
    let mut scattered = Vec::new();
    for held in &logs {
        for step in [1, 3, 7] {
            let positions: Vec<u64> = (FIRST - 3..FIRST + POSITIONS + 9).step_by(step).collect();
            scattered.push(store.at(&held.log, &positions, 20_000 * step).await?);
        }
        let all = held.full.union(&held.partial).union(&held.withheld);
        for run in all.runs() {
            entries.push(store.scan(&held.log, run.clone(), usize::MAX).await?);
            leaves.push(store.leaves(&held.log, run.start..LOG_SIZE_MAX).await?);
        }
        let positions = FIRST..FIRST + POSITIONS;
        let of_log: Vec<_> = positions.map(|n| row_fact(&held.log, n)).collect();
        let ids: Vec<_> = of_log.iter().map(|fact| fact.id()).collect();
        facts.extend(store.get(&ids).await?);
        let of_log: Vec<_> = of_log
            .iter()
            .map(|fact| fact.core().conflict_key())
            .collect();
        keys.extend(store.by_key(&of_log).await?);
    }
    let marks: Vec<_> = (0..MARKS).map(|mark| Mark::new([mark; 16])).collect();
    let side = SideRange {
        table: SideTable::new(7),
        prefix: vec![],
        after: None,
        limit: 999,
    };
    Ok(Dump {
        logs,
        entries,
        scattered,
        leaves,
        journal: store.journal(0, usize::MAX).await?,
        facts,
        keys,
        marks: store.by_mark(&marks).await?,
        side: store.side_scan(side).await?,
        query: store.query(&FactQuery::default(), None, usize::MAX).await?,
    })
}

/// Now and then a large one, so that segments fill.
fn row_fact(log: &LogId, number: u64) -> causality_fact::TemporalFact {
    if number % 4 == 1 {
        sized_fact(log, number, 9_000)
    } else {
        fact(log, number)
    }
}

/// One of the entries that may stand at a position, counted from [`FIRST`]; one in many is forged.
pub(super) fn entry(of: u8, position: u64, kind: u8, mark: Option<u8>) -> NewEntry {
    let (log, position) = (log(of, of), FIRST + position);
    let whole = |number| {
        let entry = Entry::Row((&row_fact(&log, number)).into());
        NewEntry {
            log,
            position,
            entry,
            mark: None,
        }
    };
    let mut new = match kind {
        0..=7 => whole(position),
        8 if position % 4 != 1 => partial(log, position, "a"),
        9 if position % 4 != 1 => partial(log, position, "ab"),
        10 => whole(position + 1),
        _ => {
            let level = kind % 4;
            let start = position >> level << level;
            let mut new = subtree(log, start, 0);
            if let Entry::Withheld { level: of, hash } = &mut new.entry {
                *of = level;
                *hash = tree_hash(&log, start, level);
            }
            new
        }
    };
    new.mark = mark.map(|mark| Mark::new([mark; 16]));
    new
}

fn tree_hash(log: &LogId, start: u64, level: u8) -> TreeHash {
    let leaf = |n| causality_fact::leaf_hash(&row_fact(log, n).id());
    causality_fact::root_of(&(start..start + (1 << level)).map(leaf).collect::<Vec<_>>())
}

fn side_write((key, value): (u8, Option<u8>)) -> SideWrite {
    SideWrite {
        table: SideTable::new(7),
        key: vec![key],
        value: value.map(|value| vec![value]),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Batch),
    Flush,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (
        0..LOGS,
        0..POSITIONS,
        0..16u8,
        prop::option::weighted(0.2, 0..MARKS),
    );
    let one = one.prop_map(|(log, position, kind, mark)| entry(log, position, kind, mark));
    let run = (0..LOGS, 0..POSITIONS, 1..20u64).prop_map(|(log, start, count)| {
        let positions = start..(start + count).min(POSITIONS);
        positions
            .map(|position| entry(log, position, 0, None))
            .collect::<Vec<_>>()
    });
    let entries = prop_oneof![prop::collection::vec(one, 0..4), run];
    let side = (0..5u8, prop::option::of(any::<u8>())).prop_map(side_write);
    let commit = (entries, prop::collection::vec(side, 0..2), any::<i64>());
    let commit = commit.prop_map(|(entries, side, time)| Batch {
        entries,
        side,
        time,
    });
    let step = prop_oneof![
        20 => commit.prop_map(Step::Commit),
        1 => Just(Step::Flush),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

fn open_small(path: &Path) -> RedbStore {
    let mut config = RedbConfig::new(path);
    config.index_pending_max = 40;
    config.index_step_keys = 7;
    config.cache_bytes = 1 << 20;
    RedbStore::open(config, Arc::new(inline)).unwrap()
}

async fn compare(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let memory = MemoryStore::new();
    let mut redb = open_small(&path);
    for step in steps {
        match step {
            Step::Commit(batch) => {
                let expected = memory.commit(batch.clone()).await;
                prop_assert_eq!(redb.commit(batch).await, expected);
            }
            Step::Flush => redb.flush().await.unwrap(),
            Step::Reopen => {
                drop(redb);
                redb = open_small(&path);
            }
        }
    }
    prop_assert_eq!(dump(&redb).await, dump(&memory).await);
    let report = redb.check().await.unwrap();
    prop_assert_eq!(report.findings, Vec::<String>::new());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_and_redb_do_the_same(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(steps))?;
    }
}
