//! Performs the reads that the engine asks for.

use causality_fact::BLOCK_LEAVES;
use causality_fact::CHUNK_BYTES_MAX;
use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::LogId;
use causality_fact::Row;
use causality_fact::RowCore;
use causality_fact::TreeHash;
use causality_store::FactStore;
use causality_store::Place;
use causality_store::StoreError;
use causality_store::StoredBody;
use causality_sync::Load;
use causality_sync::Loaded;
use std::collections::BTreeSet;

/// Reads for the engine of the domain `own`.
pub(crate) async fn perform_load(
    store: &dyn FactStore,
    own: DomainId,
    load: Load,
) -> Result<Loaded, StoreError> {
    match load {
        Load::Append {
            compartment,
            marks,
            keys,
        } => {
            let (places, of_keys) = tokio::try_join!(store.by_mark(&marks), store.by_key(&keys))?;
            let found: Vec<_> = places.iter().flatten().copied().collect();
            let mut rows = rows_at(store, &found).await?.into_iter();
            let id = |place: Option<Place>| {
                place
                    .and_then(|_| rows.next().flatten())
                    .map(|row| row.id())
            };
            let ids = places.into_iter().map(id).collect();
            let mut facts = Vec::with_capacity(keys.len());
            for places in of_keys {
                let own: Vec<_> = places
                    .into_iter()
                    .filter(|place| place.log.origin == own)
                    .filter(|place| Some(place.log.compartment) == compartment)
                    .collect();
                let mut of_key = Vec::with_capacity(own.len());
                for row in rows_at(store, &own).await?.into_iter().flatten() {
                    if let RowCore::Known(core) = row.core() {
                        of_key.push((row.id(), (**core).clone()));
                    }
                }
                facts.push(of_key);
            }
            Ok(Loaded::Append {
                marks: ids,
                keys: facts,
            })
        }
        Load::Places(ids) => store.places(&ids).await.map(Loaded::Places),
        Load::Withheld { hashes, logs } => {
            let found = find_withheld(store, hashes, logs).await?;
            Ok(Loaded::Withheld(found))
        }
        Load::Chunk { log, from, until } => {
            let end = ((from / BLOCK_LEAVES + 1) * BLOCK_LEAVES).min(until);
            let entries = store.scan(&log, from..end, CHUNK_BYTES_MAX).await?;
            let at = entries.last().map_or(from, |last| last.range().end);
            let behind = if at < end {
                store.leaves(&log, at..end).await?
            } else {
                Vec::new()
            };
            Ok(Loaded::Chunk { entries, behind })
        }
        Load::Entries {
            log,
            positions,
            bytes_max,
        } => {
            let (mut entries, mut rest, mut bytes) = (Vec::new(), &positions[..], bytes_max);
            while !rest.is_empty() && bytes > 0 {
                let page = store.at(&log, rest, bytes).await?;
                let Some(last) = page.last() else {
                    break;
                };
                let behind = rest.partition_point(|position| *position < last.range().end);
                rest = &rest[behind..];
                let read = page.iter().map(|entry| match &entry.body {
                    StoredBody::Row { bytes, .. } => bytes.len(),
                    StoredBody::Withheld { .. } => 0,
                });
                bytes = bytes.saturating_sub(read.sum());
                entries.extend(page);
            }
            Ok(Loaded::Entries(entries))
        }
    }
}

/// Where single positions of logs have some of these hashes.
async fn find_withheld(
    store: &dyn FactStore,
    hashes: Vec<TreeHash>,
    logs: Vec<(LogId, u64)>,
) -> Result<Vec<(TreeHash, Place)>, StoreError> {
    let (mut wanted, mut found) = (BTreeSet::from_iter(hashes), Vec::new());
    for (log, size) in logs {
        let mut at = 0;
        while at < size && !wanted.is_empty() {
            let leaves = store.leaves(&log, at..size).await?;
            let Some((last, _)) = leaves.last() else {
                break;
            };
            at = last.range_in(size).end;
            for (part, hash) in &leaves {
                if part.level() == 0 && wanted.remove(hash) {
                    let position = part.start();
                    found.push((*hash, Place { log, position }));
                }
            }
        }
    }
    Ok(found)
}

/// The rows at these places; those that follow each other are read at once.
async fn rows_at(store: &dyn FactStore, places: &[Place]) -> Result<Vec<Option<Row>>, StoreError> {
    let mut rows = Vec::with_capacity(places.len());
    let follows = |one: &Place, next: &Place| {
        one.log == next.log && next.position == one.position.saturating_add(1)
    };
    for run in places.chunk_by(follows) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let (mut at, end) = (first.position, last.position.saturating_add(1));
        while at < end {
            let entries = store.scan(&first.log, at..end, CHUNK_BYTES_MAX).await?;
            if entries.is_empty() {
                rows.push(None);
                at += 1;
            }
            for stored in entries {
                let covered = stored.range().end.min(end);
                let entry = stored.entry(first.log.origin)?;
                while at < covered {
                    at += 1;
                    rows.push(match &entry {
                        Entry::Row(row) => Some(row.clone()),
                        Entry::Withheld { .. } => None,
                    });
                }
            }
        }
    }
    Ok(rows)
}
