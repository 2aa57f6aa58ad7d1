//! Copies of a whole store.

use std::path::Path;

use redb::{
    Database, Durability, Key, ReadTransaction, ReadableTable as _, TableDefinition, Value,
};

use super::config::RedbConfig;
use super::engine::{Engine, create_tables};
use super::file;
use super::read::side_key;
use super::tables::{HOLES, INDEX, JOURNAL, LOGS, MERGED, META, RUNS, SEGMENTS, SIDE};
use crate::batch::{RESTORED_KEY, SideTable};
use crate::error::StoreError;

/// A transaction of the copy ends once it has so many rows or bytes.
const STEP_ROWS: usize = 1 << 16;
const STEP_BYTES: usize = 4 << 20;
/// The cache of the copy.
const CACHE_BYTES: usize = 16 << 20;

impl Engine {
    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        copy(&self.read()?, to, Kind::Backup)
    }
}

/// Copies a backup to a new file, which then says that it was restored.
pub(super) fn restore(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.is_file() {
        return Err(StoreError::NotAStore {
            path: from.to_owned(),
        });
    }
    let mut config = RedbConfig::new(from);
    config.cache_bytes = CACHE_BYTES;
    let engine = file::open(&config).and_then(|db| Engine::open(db, &config));
    let engine = engine.map_err(|error| error.in_file(from.display()))?;
    let copied = engine.read().and_then(|tx| copy(&tx, to, Kind::Restored));
    copied.map_err(|error| failed_between(error, from, to))
}

/// Names the files of a copy: nobody can tell which of the two a failure of the disk is about, and only the first can be
/// damaged.
pub(super) fn failed_between(error: StoreError, from: &Path, to: &Path) -> StoreError {
    let (from, to) = (from.display(), to.display());
    match error {
        StoreError::Io { .. } => error.in_file(format_args!("{from} or {to}")),
        error => error.in_file(from),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Backup,
    Restored,
}

fn copy(from: &ReadTransaction, path: &Path, kind: Kind) -> Result<(), StoreError> {
    let mut config = RedbConfig::new(path);
    config.cache_bytes = CACHE_BYTES;
    file::create(&config, |to| copy_tables(from, to, kind))?;
    Ok(())
}

fn copy_tables(from: &ReadTransaction, to: &Database, kind: Kind) -> Result<(), StoreError> {
    copy_table(from, to, LOGS)?;
    copy_table(from, to, MERGED)?;
    copy_table(from, to, RUNS)?;
    copy_table(from, to, SEGMENTS)?;
    copy_table(from, to, HOLES)?;
    copy_table(from, to, INDEX)?;
    copy_table(from, to, JOURNAL)?;
    copy_table(from, to, SIDE)?;
    let tx = to.begin_write()?;
    create_tables(&tx)?;
    if kind == Kind::Restored {
        let key = side_key(SideTable::STORE, RESTORED_KEY);
        tx.open_table(SIDE)?
            .insert(key.as_slice(), [1].as_slice())?;
    }
    {
        let mut meta = tx.open_table(META)?;
        for row in from.open_table(META)?.iter()? {
            let (name, value) = row?;
            meta.insert(name.value(), value.value())?;
        }
    }
    tx.commit()?;
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &Database,
    table: TableDefinition<'_, K, V>,
) -> Result<(), StoreError> {
    let from = from.open_table(table)?;
    let mut rows = from.iter()?.peekable();
    while rows.peek().is_some() {
        let mut tx = to.begin_write()?;
        tx.set_durability(Durability::None)
            .map_err(|error| StoreError::corrupt(error.to_string()))?;
        {
            let mut to = tx.open_table(table)?;
            let (mut count, mut bytes) = (0, 0);
            while count < STEP_ROWS && bytes < STEP_BYTES {
                let Some(row) = rows.next() else { break };
                let (key, value) = row?;
                bytes += V::as_bytes(&value.value()).as_ref().len();
                count += 1;
                to.insert(key.value(), value.value())?;
            }
        }
        tx.commit()?;
    }
    Ok(())
}
