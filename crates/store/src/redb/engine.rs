//! An open file: what is kept in memory beside it, and the steps of its writer.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Mutex, MutexGuard, PoisonError};

use causality_fact::{Row, RowCore};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _};
use redb::{TableHandle as _, WriteTransaction};

use super::config::RedbConfig;
use super::group::{Change, Group};
use super::journal::Record;
use super::ledger::Ledger;
use super::merge;
use super::overlay::Overlay;
use super::read::{self, each_segment};
use super::segment::{Body, slots};
use super::tables::{
    Digest, FORMAT, HOLES, INDEX, INDEX_BYTES, JOURNAL, LOGS, MERGED, META, META_FORMAT,
    META_INDEXED, RUNS, SEGMENTS, SIDE,
};
use crate::answer::parse;
use crate::batch::{Batch, Committed};
use crate::error::StoreError;

/// One open database. Only one job at a time writes; any number read.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) db: Database,
    writer: Mutex<Writer>,
    shared: Mutex<Shared>,
}

/// What the writer alone knows: a ledger that is ahead of the one that readers see.
#[derive(Debug)]
struct Writer {
    ledger: Ledger,
    /// Bytes that each log has gained since its last merge.
    gained: Vec<usize>,
}

/// What readers see beside the file.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) overlay: Overlay,
}

/// What a background step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    NothingToDo,
}

impl Engine {
    /// Takes over a database: makes an empty one a store, and rebuilds what is kept in memory of a full one.
    pub(super) fn open(db: Database, config: &RedbConfig) -> Result<Self, StoreError> {
        prepare(&db, config)?;
        let tx = db.begin_read()?;
        let ledger = Ledger::load(&tx)?;
        let mut overlay = Overlay::default();
        overlay.add(keys_behind(&tx, &ledger)?);
        drop(tx);
        // Small segments may be left over from earlier; the first step of each log finds out.
        let gained = vec![merge::DUE_BYTES; ledger.log_count()];
        Ok(Self {
            db,
            writer: Mutex::new(Writer {
                ledger: ledger.clone(),
                gained,
            }),
            shared: Mutex::new(Shared { ledger, overlay }),
        })
    }

    /// Commits batches in one transaction, each all or nothing. The inner errors are refusals of single batches.
    pub(super) fn commit(
        &self,
        batches: &[Batch],
        config: &RedbConfig,
    ) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
        let mut writer = lock(&self.writer);
        let tx = self.db.begin_write()?;
        let result = write(&tx, &mut writer.ledger, batches, config);
        let committed = result.and_then(|(results, change)| {
            if change.is_empty() {
                tx.abort()?;
            } else {
                tx.commit()?;
            }
            Ok((results, change))
        });
        match committed {
            Ok((results, change)) => {
                self.publish(&mut writer, change);
                Ok(results)
            }
            Err(error) => {
                writer.ledger = lock(&self.shared).ledger.clone();
                Err(error)
            }
        }
    }

    fn publish(&self, writer: &mut Writer, change: Change) {
        writer.gained.resize(writer.ledger.log_count(), 0);
        for (log, bytes) in change.gained {
            if let Some(gained) = writer.gained.get_mut(log as usize) {
                *gained = gained.saturating_add(bytes);
            }
        }
        let mut shared = self.shared();
        for edit in &change.edits {
            shared.ledger.edit(edit, &mut |_, _, _| {});
        }
        shared.ledger.journal = writer.ledger.journal;
        shared.overlay.add(change.keys);
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    pub(super) fn read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.db.begin_read()?)
    }

    /// Writes at most `limit` keys to the index.
    pub(super) fn flush_step(&self, limit: usize) -> Result<Step, StoreError> {
        let chunk = {
            let shared = &mut *self.shared();
            shared.overlay.chunk(limit, shared.ledger.journal)
        };
        if chunk.keys.is_empty() {
            return Ok(Step::NothingToDo);
        }
        let mut tx = self.db.begin_write()?;
        {
            let mut index = tx.open_table(INDEX)?;
            for key in &chunk.keys {
                index.insert(key, ())?;
            }
            if let Some(indexed) = chunk.indexed {
                tx.open_table(META)?.insert(META_INDEXED, indexed)?;
            }
        }
        if chunk.indexed.is_none() {
            lazily(&mut tx)?;
        }
        tx.commit()?;
        self.shared().overlay.written(&chunk);
        Ok(Step::Done)
    }

    /// Merges small segments of one log that has gained enough.
    pub(super) fn merge_step(&self) -> Result<Step, StoreError> {
        let mut writer = lock(&self.writer);
        let due = writer
            .gained
            .iter()
            .position(|bytes| *bytes >= merge::DUE_BYTES);
        let Some(log) = due else {
            return Ok(Step::NothingToDo);
        };
        let mut tx = self.db.begin_write()?;
        let outcome = match merge::merge(&tx, log as u32) {
            // Whoever reads the damaged segment is told; to leave it as it is harms nobody.
            Err(StoreError::Corrupt { .. }) => merge::Outcome::GIVEN_UP,
            outcome => outcome?,
        };
        if outcome.changed {
            lazily(&mut tx)?;
            tx.commit()?;
        } else {
            tx.abort()?;
        }
        if outcome.finished {
            writer.gained[log] = 0;
        }
        Ok(Step::Done)
    }

    /// Whether a background step has something to do that is worth it.
    pub(super) fn is_due(&self, config: &RedbConfig) -> bool {
        self.index_is_due(config)
            || lock(&self.writer)
                .gained
                .iter()
                .any(|bytes| *bytes >= merge::DUE_BYTES)
    }

    /// Whether it is worth it to write the index.
    pub(super) fn index_is_due(&self, config: &RedbConfig) -> bool {
        let overlay = &self.shared().overlay;
        overlay.is_frozen() || overlay.active_len() >= config.index_pending_max / 2
    }

    /// The keys of the index in a range, in order: from the overlay and from the table.
    pub(super) fn index_keys(
        &self,
        ranges: &[RangeInclusive<[u8; INDEX_BYTES]>],
    ) -> Result<Vec<Vec<[u8; INDEX_BYTES]>>, StoreError> {
        // First the overlay: what leaves it meanwhile is in the table by then.
        let mut found: Vec<Vec<_>> = {
            let shared = self.shared();
            ranges
                .iter()
                .map(|range| shared.overlay.range(range).collect())
                .collect()
        };
        let index = self.read()?.open_table(INDEX)?;
        for (range, keys) in ranges.iter().zip(&mut found) {
            for row in index.range::<&[u8; INDEX_BYTES]>(range.start()..=range.end())? {
                keys.push(*row?.0.value());
            }
            keys.sort_unstable();
            keys.dedup();
        }
        Ok(found)
    }
}

/// Locks; what is guarded is whole even after a panic elsewhere, which becomes an error of the operation.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the transaction durable with the next one that is; until then it may be lost, not torn.
fn lazily(tx: &mut WriteTransaction) -> Result<(), StoreError> {
    tx.set_durability(Durability::None)
        .map_err(|error| StoreError::corrupt(error.to_string()))
}

fn write(
    tx: &WriteTransaction,
    ledger: &mut Ledger,
    batches: &[Batch],
    config: &RedbConfig,
) -> Result<(Vec<Result<Committed, StoreError>>, Change), StoreError> {
    let mut group = Group::new(tx, ledger, config.logs_max)?;
    let results: Result<Vec<_>, StoreError> =
        batches.iter().map(|batch| group.add(batch)).collect();
    Ok((results?, group.finish()?))
}

/// Checks that the database is a store of a format that is known; makes it one when it is empty.
fn prepare(db: &Database, config: &RedbConfig) -> Result<(), StoreError> {
    let not_a_store = || StoreError::NotAStore {
        path: config.path.clone(),
    };
    let tx = db.begin_read()?;
    let tables: Vec<_> = tx
        .list_tables()?
        .map(|table| table.name().to_owned())
        .collect();
    if tables.is_empty() {
        return create(db);
    }
    if !tables.iter().any(|name| name == META.name()) {
        return Err(not_a_store());
    }
    let meta = tx.open_table(META).map_err(|_| not_a_store())?;
    let found = meta.get(META_FORMAT)?.ok_or_else(not_a_store)?.value();
    if found > FORMAT {
        return Err(StoreError::Newer {
            found,
            supported: FORMAT,
        });
    }
    Ok(())
}

/// Makes the tables of an empty store.
pub(super) fn create(db: &Database) -> Result<(), StoreError> {
    let tx = db.begin_write()?;
    create_tables(&tx)?;
    tx.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    tx.commit()?;
    Ok(())
}

/// Makes all tables but [`META`], so that reads find them.
pub(super) fn create_tables(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(LOGS)?;
    tx.open_table(MERGED)?;
    tx.open_table(RUNS)?;
    tx.open_table(SEGMENTS)?;
    tx.open_table(HOLES)?;
    tx.open_table(INDEX)?;
    tx.open_table(JOURNAL)?;
    tx.open_table(SIDE)?;
    Ok(())
}

/// Makes again the index keys of all journal entries that are not known to be in the index.
fn keys_behind(
    tx: &ReadTransaction,
    ledger: &Ledger,
) -> Result<Vec<[u8; INDEX_BYTES]>, StoreError> {
    let indexed = read::indexed(tx)?;
    let segments = tx.open_table(SEGMENTS)?;
    let mut keys = Vec::new();
    for row in tx.open_table(JOURNAL)?.range(indexed + 1..)? {
        let (number, value) = row?;
        let record = Record::from_bytes(number.value(), value.value())?;
        let log = ledger
            .log(record.log)
            .ok_or_else(|| StoreError::corrupt("the journal names a log that there is not"))?;
        keys.extend(
            record
                .marks
                .iter()
                .map(|(at, mark)| Digest::from(mark).at(record.log, *at)),
        );
        each_segment(
            &segments,
            record.log,
            record.positions.clone(),
            |first, segment| {
                for slot in slots(first, segment) {
                    let slot = slot?;
                    if record.positions.contains(&slot.position)
                        && let Body::Row { id, row, .. } = slot.body
                    {
                        let row = parse(slot.position, id, row, log.origin)?;
                        keys.extend(keys_of(&row, record.log, slot.position));
                    }
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
    }
    Ok(keys)
}

/// The index keys of a row.
pub(super) fn keys_of(
    row: &Row,
    log: u32,
    position: u64,
) -> impl Iterator<Item = [u8; INDEX_BYTES]> {
    let conflict = match row.core() {
        RowCore::Known(core) => Some(Digest::from(&core.conflict_key()).at(log, position)),
        RowCore::Unsupported(_) => None,
    };
    [Digest::from(&row.id()).at(log, position)]
        .into_iter()
        .chain(conflict)
}
