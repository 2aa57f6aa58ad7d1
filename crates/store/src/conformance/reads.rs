//! What is read of logs: entries, hashes and facts.

use causality_fact::{
    Aspect, Entry, FactQuery, FactType, FactTypePattern, LOG_SIZE_MAX, Pattern, Row, Subtree,
    ValidTime, leaf_hash,
};

use super::sample::{fact, full, log, new_entry, partial, row, sized_fact, subtree, withheld};
use super::{commit, held, set};
use crate::answer::{ANSWER_ENTRIES_MAX, Place};
use crate::batch::NewEntry;
use crate::error::StoreError;
use crate::joint::FactStore;

/// A scan ends at the first gap, at the end of the range, and once it has enough bytes.
pub async fn a_scan_has_no_gaps_and_is_bounded(store: &dyn FactStore) {
    let log = log(1, 1);
    let entries = (0..10)
        .chain(12..15)
        .map(|n| full(log, n))
        .chain([subtree(log, 16, 2)]);
    commit(store, entries).await.unwrap();
    let scan = async |range, bytes_max| {
        let entries = store.scan(&log, range, bytes_max).await.unwrap();
        entries
            .iter()
            .map(|entry| entry.position)
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(0..100, usize::MAX).await, Vec::from_iter(0..10));
    assert_eq!(scan(3..5, usize::MAX).await, [3, 4]);
    assert_eq!(scan(10..100, usize::MAX).await, []);
    assert_eq!(scan(13..100, usize::MAX).await, [13, 14]);
    assert_eq!(scan(18..100, usize::MAX).await, [16]);
    assert_eq!(scan(4..100, 0).await, [4]);
    let two = fact(&log, 0).to_row().len() * 2;
    assert_eq!(scan(0..100, two).await, [0, 1]);
    assert_eq!(scan(0..100, two - 1).await, [0]);
    assert_eq!(scan(5..5, usize::MAX).await, []);
    let unknown = store.scan(&super::log(9, 9), 0..9, 9).await;
    assert_eq!(unknown, Ok(vec![]));
}

/// Entries are read at scattered positions, each once, up to a bound.
pub async fn entries_are_read_at_scattered_positions(store: &dyn FactStore) {
    let log = log(1, 1);
    let entries = (2..6)
        .chain([9])
        .map(|n| full(log, n))
        .chain([subtree(log, 12, 2), partial(log, 16, "a")])
        .chain((20..24).map(|n| withheld(log, n)))
        .chain([row(log, 30, &sized_fact(&log, 30, 50_000))])
        .chain([row(log, 31, &sized_fact(&log, 31, 50_000))]);
    let entries: Vec<NewEntry> = entries.collect();
    commit(store, entries.clone()).await.unwrap();
    let at = async |positions: &[u64], bytes_max| {
        let found = store.at(&log, positions, bytes_max).await.unwrap();
        let found = found.into_iter().map(|found| {
            let new = entries.iter().find(|new| new.position == found.position);
            let entry = found.entry(log.origin).unwrap();
            assert_eq!(Some(&entry), new.map(|new| &new.entry));
            found.position
        });
        found.collect::<Vec<_>>()
    };
    let all: Vec<u64> = (0..40).collect();
    let held = [2, 3, 4, 5, 9, 12, 16, 20, 21, 22, 23, 30, 31];
    assert_eq!(at(&all, usize::MAX).await, held);
    assert_eq!(at(&[3, 5, 9, 22], usize::MAX).await, [3, 5, 9, 22]);
    assert_eq!(at(&[13, 15, 21, 31], usize::MAX).await, [12, 21, 31]);
    let nothing = [0, 1, 6, 8, 10, 11, 17, 24, 32, LOG_SIZE_MAX, u64::MAX];
    assert_eq!(at(&nothing, usize::MAX).await, [0; 0]);
    assert_eq!(at(&[], usize::MAX).await, [0; 0]);

    assert_eq!(at(&[4, 5, 9], 0).await, [4]);
    assert_eq!(at(&[14, 20, 21, 31], 0).await, [12, 20, 21]);
    let two = fact(&log, 2).to_row().len() * 2;
    assert_eq!(at(&[2, 5, 9, 21], two).await, [2, 5]);
    assert_eq!(at(&[2, 5, 9, 21], two - 1).await, [2]);
    assert_eq!(at(&[30, 31], 60_000).await, [30]);

    let unknown = store.at(&super::log(9, 9), &[0, 1], 9).await;
    assert_eq!(unknown, Ok(vec![]));
    for positions in [[5, 5], [5, 4]] {
        let position = positions[1];
        let result = store.at(&log, &positions, 9).await;
        assert_eq!(result, Err(StoreError::NotAscending { position }));
    }
    let most = ANSWER_ENTRIES_MAX as u64;
    let positions: Vec<u64> = (30..=30 + most).collect();
    assert_eq!(at(&positions[1..], usize::MAX).await, [31]);
    let result = store.at(&log, &positions, 9).await;
    let (actual, limit) = (most + 1, most);
    assert_eq!(
        result,
        Err(StoreError::TooLarge {
            what: "number of positions",
            actual,
            limit
        })
    );
}

/// Leaves are those of the tree of the log.
pub async fn leaves_give_the_hashes_of_the_tree(store: &dyn FactStore) {
    let log = log(1, 1);
    let entries = (0..4)
        .map(|n| full(log, n))
        .chain([subtree(log, 4, 2), partial(log, 8, "a")]);
    commit(store, entries).await.unwrap();
    let leaves = store.leaves(&log, 0..8).await.unwrap();
    assert_eq!(leaves.len(), 5);
    let whole = Subtree::new(0, 3).unwrap();
    let Entry::Withheld { hash, .. } = subtree(log, 0, 3).entry else {
        unreachable!("a subtree is withheld")
    };
    assert_eq!(whole.hash_from(8, &leaves), Ok(hash));
    let leaves = store.leaves(&log, 6..100).await.unwrap();
    assert_eq!(
        leaves[1],
        (Subtree::new(8, 0).unwrap(), leaf_hash(&fact(&log, 8).id()))
    );
    assert_eq!(
        (leaves[0].0, leaves.len()),
        (Subtree::new(4, 2).unwrap(), 2)
    );
}

/// Queries find what matches, page by page, in order of the places.
pub async fn queries_find_what_matches_page_by_page(store: &dyn FactStore) {
    let logs = [log(2, 1), log(1, 1), log(1, 2)];
    for log in logs {
        commit(store, (0..40).map(|n| full(log, n))).await.unwrap();
    }
    commit(store, [withheld(logs[0], 40), partial(logs[0], 41, "a")])
        .await
        .unwrap();
    let all = FactQuery::default();
    let sensor = |name: &str| Some(Pattern::new(name));
    let cases = [
        (all.clone(), 121),
        (
            FactQuery {
                origin: Some(logs[0].origin),
                ..all.clone()
            },
            41,
        ),
        (
            FactQuery {
                compartment: Some(logs[2].compartment),
                ..all.clone()
            },
            40,
        ),
        (
            FactQuery {
                resource: sensor("sensor/*"),
                ..all.clone()
            },
            121,
        ),
        (
            FactQuery {
                resource: sensor("sensor/1"),
                ..all.clone()
            },
            13,
        ),
        (
            FactQuery {
                resource: sensor("no resource"),
                ..all.clone()
            },
            0,
        ),
        (
            FactQuery {
                aspect: Some(Aspect::default()),
                ..all.clone()
            },
            121,
        ),
        (
            FactQuery {
                aspect: Some(Aspect::new("x").unwrap()),
                ..all.clone()
            },
            0,
        ),
        (
            FactQuery {
                resource: sensor("sensor/1"),
                aspect: Some(Aspect::default()),
                ..all.clone()
            },
            13,
        ),
        (
            FactQuery {
                resource: sensor("sensor/1"),
                aspect: Some(Aspect::default()),
                origin: Some(logs[1].origin),
                fact_type: Some(FactTypePattern::Is(FactType::Validation)),
                ..all.clone()
            },
            2,
        ),
        (
            FactQuery {
                valid: Some(ValidTime::since(45)),
                ..all.clone()
            },
            13,
        ),
    ];
    for (query, expected) in cases {
        for limit in [0, 1, 7, 1_000_000] {
            let found = query_all(store, &query, limit).await;
            assert_eq!(found.len(), expected, "{query:?}");
            assert!(found.is_sorted());
        }
    }
}

async fn query_all(store: &dyn FactStore, query: &FactQuery, limit: usize) -> Vec<Place> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.query(query, after, limit).await.unwrap();
        assert!(page.rows.len() <= limit.max(1));
        found.extend(page.rows.iter().map(|row| row.place));
        assert!(page.next.is_none() || page.next > after);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// A fact in several lanes is found in its fullest form, and by its key and its id at each place.
pub async fn a_fact_in_two_lanes_is_found_in_its_fullest_form(store: &dyn FactStore) {
    let (first, second) = (log(1, 1), log(1, 3));
    let fact = fact(&first, 4);
    commit(store, [row(first, 4, &fact.redact(|name| name == "a"))])
        .await
        .unwrap();
    commit(store, [row(second, 0, &fact)]).await.unwrap();
    let found = store.get(&[fact.id()]).await.unwrap();
    let place = Place {
        log: second,
        position: 0,
    };
    assert_eq!(found[0].as_ref().unwrap().place, place);
    let both = vec![
        Place {
            log: first,
            position: 4,
        },
        place,
    ];
    let places = store.by_key(&[fact.core().conflict_key()]).await.unwrap();
    assert_eq!(places.first(), Some(&both));
    let unknown = causality_fact::FactId::new([9; 32]);
    let places = store.places(&[unknown, fact.id()]).await.unwrap();
    assert_eq!(places, [vec![], both]);
}

/// Of partial rows of one fact the one that discloses most fields is found, the first of several.
pub async fn of_partial_rows_the_one_with_most_fields_is_found(store: &dyn FactStore) {
    let logs = [log(1, 1), log(1, 7), log(1, 5)];
    let fact = fact(&logs[0], 4);
    for (log, shown) in logs.into_iter().zip(["b", "ab", "bc"]) {
        let part = fact.redact(|name| shown.contains(name));
        commit(store, [row(log, 0, &part)]).await.unwrap();
        let found = store.get(&[fact.id()]).await.unwrap().remove(0).unwrap();
        assert_eq!((found.place.log, found.row), (log, Row::from(&part)));
    }
    commit(store, [row(logs[1], 0, &fact)]).await.unwrap();
    let found = store.get(&[fact.id()]).await.unwrap().remove(0).unwrap();
    assert_eq!((found.place.log, found.row), (logs[1], Row::from(&fact)));
}

/// Partial rows are found in every way, with what they disclose and nothing else.
pub async fn partial_rows_are_found_as_such(store: &dyn FactStore) {
    let log = log(1, 1);
    let mut entries = vec![
        partial(log, 1, "a"),
        full(log, 2),
        withheld(log, 3),
        partial(log, 11, "bc"),
        partial(log, 21, ""),
    ];
    commit(store, entries.clone()).await.unwrap();
    let one = FactQuery {
        resource: Some(Pattern::new("sensor/1")),
        ..FactQuery::default()
    };
    for upgrade in [None, Some(partial(log, 1, "ab")), Some(full(log, 1))] {
        if let Some(upgrade) = upgrade {
            commit(store, [upgrade.clone()]).await.unwrap();
            entries[0] = upgrade;
        }
        let keyed = FactQuery {
            aspect: Some(Aspect::default()),
            ..one.clone()
        };
        for (query, expected) in [
            (FactQuery::default(), [1, 2, 11, 21].as_slice()),
            (one.clone(), &[1, 11, 21]),
            (keyed, &[1, 11, 21]),
        ] {
            let page = store.query(&query, None, usize::MAX).await.unwrap();
            let places = page.rows.iter().map(|found| found.place.position);
            assert_eq!(places.collect::<Vec<_>>(), expected);
            for found in page.rows {
                let new = entries
                    .iter()
                    .find(|new| new.position == found.place.position);
                assert_eq!(Some(&Entry::Row(found.row)), new.map(|new| &new.entry));
            }
        }
        let ids = [1, 3, 11].map(|number| fact(&log, number).id());
        let found = store.get(&ids).await.unwrap();
        let rows = found
            .into_iter()
            .map(|found| found.map(|found| Entry::Row(found.row)));
        let expected = [Some(&entries[0]), None, Some(&entries[3])];
        let expected = expected.map(|new| new.map(|new| new.entry.clone()));
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        let key = fact(&log, 1).core().conflict_key();
        let places = store.by_key(&[key]).await.unwrap();
        let positions = places[0].iter().map(|place| place.position);
        assert_eq!(positions.collect::<Vec<_>>(), [1, 11, 21]);
    }
}

/// Rows of unknown versions are kept and found by id, and never match.
pub async fn rows_of_unknown_versions_are_kept(store: &dyn FactStore) {
    let log = log(1, 1);
    // A version, onward sharing `any`, an empty label, and what only that version knows.
    let row = Row::unsupported(&[200, 2, 0, 1, 2, 3], b"content").unwrap();
    let id = row.id();
    commit(store, [new_entry(log, 0, Entry::Row(row.clone()))])
        .await
        .unwrap();
    let found = store.get(&[id]).await.unwrap();
    assert_eq!(found[0].as_ref().map(|found| &found.row), Some(&row));
    assert_eq!(query_all(store, &FactQuery::default(), 9).await, []);
    assert_eq!(held(store, &log).await.full, set(&[(0, 1)]));
}
