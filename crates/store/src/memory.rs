//! The store in memory: the model of what a store does, and the twin for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causality_fact::{
    ConflictKey, Entry, FactId, FactQuery, LogId, PositionSet, RowCore, RowState, Subtree, TreeHash,
};

use crate::answer::{
    ANSWER_BYTES_MAX, ANSWER_ENTRIES_MAX, Change, Entries, HeldLog, JournalEntry, Page, Place,
    QUERY_ROWS_MAX, QUERY_WORK_MAX, SideRange, StoredBody, StoredEntry, StoredRow, check_positions,
    parse,
};
use crate::batch::{Batch, Committed, Mark, NewEntry, SideKey};
use crate::error::StoreError;
use crate::joint::{FactReader, FactStore};
use crate::plan::{View, is_fuller, matches, plan, range};

/// A store in memory. Durable as long as it lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl FactStore for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        batch.check_limits()?;
        let mut state = self.state();
        let plan = plan(&batch.entries, &*state)?;
        let entries = |indexes: &[usize]| indexes.iter().map(|i| &batch.entries[*i]).collect();
        state.write(entries(&plan.add), Change::Added, batch.time);
        state.write(entries(&plan.upgrade), Change::Upgraded, batch.time);
        for write in batch.side {
            let (table, key) = (write.table, write.key);
            match write.value {
                Some(value) => state.side.insert(SideKey { table, key }, value),
                None => state.side.remove(&SideKey { table, key }),
            };
        }
        Ok(Committed {
            added: plan.add.len() as u64,
            upgraded: plan.upgrade.len() as u64,
            duplicate: plan.duplicate,
            journal: state.journal.len() as u64,
        })
    }
}

#[async_trait]
impl FactReader for MemoryStore {
    async fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError> {
        let state = self.state();
        let one = |id: &FactId| {
            let mut found: Option<StoredRow> = None;
            for place in state.ids.get(id).into_iter().flatten() {
                let Some(row) = state.row(*place)? else {
                    continue;
                };
                if found
                    .as_ref()
                    .is_none_or(|found| is_fuller(&row.row, &found.row))
                {
                    found = Some(row);
                }
            }
            Ok(found)
        };
        ids.iter().map(one).collect()
    }

    async fn places(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError> {
        let state = self.state();
        let places = |id| state.ids.get(id).into_iter().flatten().copied().collect();
        Ok(ids.iter().map(places).collect())
    }

    async fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let state = self.state();
        let mut entries = Entries::new(bytes_max);
        for entry in state.run(log, range) {
            if entries.take(entry.clone()).is_break() {
                break;
            }
        }
        Ok(entries.finish())
    }

    async fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        check_positions(positions)?;
        let state = self.state();
        let (mut entries, mut end) = (Entries::new(bytes_max), 0);
        for position in positions {
            let range = *position..position.saturating_add(1);
            let Some(entry) = state.overlapping_iter(log, range).next() else {
                continue;
            };
            // One that ends no later was taken for a position before.
            if entry.range().end > end {
                end = entry.range().end;
                if entries.take(entry.clone()).is_break() {
                    break;
                }
            }
        }
        Ok(entries.finish())
    }

    async fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError> {
        let state = self.state();
        let run = state.run(log, range).take(ANSWER_ENTRIES_MAX);
        run.map(|entry| Ok((entry.subtree()?, entry.hash())))
            .collect()
    }

    async fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let state = self.state();
        let limit = limit.clamp(1, QUERY_ROWS_MAX);
        let (mut page, mut bytes) = (Page::default(), 0);
        let behind = |place: &Place| after.is_none_or(|after| *place > after);
        for (work, place) in state.places().filter(behind).enumerate() {
            if work == QUERY_WORK_MAX || page.rows.len() == limit || bytes >= ANSWER_BYTES_MAX {
                return Ok(page);
            }
            if let Some(found) = state.row(place)?
                && matches(query, &place.log, &found.row)
            {
                bytes += found.row.bytes().len();
                page.rows.push(found);
            }
            page.next = Some(place);
        }
        page.next = None;
        Ok(page)
    }

    async fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError> {
        let state = self.state();
        let places = |key| state.keys.get(key).into_iter().flatten().copied().collect();
        Ok(keys.iter().map(places).collect())
    }

    async fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError> {
        let state = self.state();
        let first = |mark| state.marks.get(mark)?.first().copied();
        Ok(marks.iter().map(first).collect())
    }

    async fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let state = self.state();
        Ok(keys
            .iter()
            .map(|key| state.side.get(key).cloned())
            .collect())
    }

    async fn side_scan(&self, range: SideRange) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let state = self.state();
        let key = |key| SideKey {
            table: range.table,
            key,
        };
        let start = match range.after {
            Some(after) if after >= range.prefix => Bound::Excluded(key(after)),
            _ => Bound::Included(key(range.prefix.clone())),
        };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (key, value) in state.side.range((start, Bound::Unbounded)) {
            let inside = key.table == range.table && key.key.starts_with(&range.prefix);
            let full = rows.len() >= range.limit.min(ANSWER_ENTRIES_MAX);
            if !inside || full || bytes >= ANSWER_BYTES_MAX {
                break;
            }
            bytes += value.len();
            let (key, value) = (key.key.clone(), value.clone());
            rows.push((key, value));
        }
        Ok(rows)
    }

    async fn logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        let state = self.state();
        Ok(state
            .logs
            .iter()
            .map(|(log, held)| held_log(*log, held))
            .collect())
    }

    async fn journal(&self, after: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let limit = limit.min(ANSWER_ENTRIES_MAX);
        Ok(self
            .state()
            .journal
            .iter()
            .skip(after)
            .take(limit)
            .cloned()
            .collect())
    }
}

#[derive(Debug, Default)]
struct State {
    logs: BTreeMap<LogId, BTreeMap<u64, StoredEntry>>,
    ids: BTreeMap<FactId, BTreeSet<Place>>,
    keys: BTreeMap<ConflictKey, BTreeSet<Place>>,
    marks: BTreeMap<Mark, BTreeSet<Place>>,
    side: BTreeMap<SideKey, Vec<u8>>,
    journal: Vec<JournalEntry>,
}

impl View for State {
    fn is_free(&self, log: &LogId, range: Range<u64>) -> bool {
        self.overlapping_iter(log, range).next().is_none()
    }

    fn overlapping(&self, log: &LogId, range: Range<u64>) -> Result<Vec<StoredEntry>, StoreError> {
        Ok(self.overlapping_iter(log, range).cloned().collect())
    }
}

impl State {
    /// Writes planned entries, which are in order.
    fn write(&mut self, entries: Vec<&NewEntry>, change: Change, time: i64) {
        let first = self.journal.len();
        for new in entries {
            let place = Place {
                log: new.log,
                position: new.position,
            };
            let held = self.logs.entry(new.log).or_default();
            let before = held.range(..=new.position).next_back();
            let replaced = before.filter(|(_, before)| before.range().end > new.position);
            if let Some(start) = replaced.map(|(start, _)| *start) {
                held.remove(&start);
            }
            held.insert(new.position, StoredEntry::new(new.position, &new.entry));
            self.index(new, place);
            self.record(new, change, time, first);
        }
    }

    fn index(&mut self, new: &NewEntry, place: Place) {
        if let Entry::Row(row) = &new.entry {
            self.ids.entry(row.id()).or_default().insert(place);
            if let RowCore::Known(core) = row.core() {
                self.keys
                    .entry(core.conflict_key())
                    .or_default()
                    .insert(place);
            }
        }
        if let Some(mark) = new.mark {
            self.marks.entry(mark).or_default().insert(place);
        }
    }

    /// Adds an entry to the journal, or to its last one, if that is not before `first` and is continued.
    fn record(&mut self, new: &NewEntry, change: Change, time: i64, first: usize) {
        let positions = range(new);
        if let Some(last) = self.journal[first..].last_mut()
            && (last.log, last.positions.end) == (new.log, positions.start)
        {
            last.positions.end = positions.end;
            return;
        }
        self.journal.push(JournalEntry {
            number: self.journal.len() as u64 + 1,
            time,
            log: new.log,
            positions,
            change,
        });
    }

    fn overlapping_iter(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> impl Iterator<Item = &StoredEntry> {
        let held = self.logs.get(log);
        let before = held.and_then(|held| held.range(..range.start).next_back());
        let before = before.filter(|(_, entry)| entry.range().end > range.start);
        let range = range.start..range.end.max(range.start);
        let inside = held
            .into_iter()
            .flat_map(move |held| held.range(range.clone()));
        before.into_iter().chain(inside).map(|(_, entry)| entry)
    }

    /// The entries from the start of the range to the first gap.
    fn run(&self, log: &LogId, range: Range<u64>) -> impl Iterator<Item = &StoredEntry> {
        let mut at = range.start;
        self.overlapping_iter(log, range).take_while(move |entry| {
            let fits = entry.position <= at;
            at = entry.range().end;
            fits
        })
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let of_log = |(log, held): (&LogId, &BTreeMap<u64, StoredEntry>)| {
            let log = *log;
            let rows = held
                .values()
                .filter(|e| matches!(e.body, StoredBody::Row { .. }));
            let places = rows.map(|entry| Place {
                log,
                position: entry.position,
            });
            places.collect::<Vec<_>>()
        };
        self.logs.iter().flat_map(of_log)
    }

    fn row(&self, place: Place) -> Result<Option<StoredRow>, StoreError> {
        let entry = self
            .logs
            .get(&place.log)
            .and_then(|held| held.get(&place.position));
        let Some(StoredBody::Row { id, bytes, .. }) = entry.map(|entry| &entry.body) else {
            return Ok(None);
        };
        let row = parse(place.position, *id, bytes, place.log.origin)?;
        Ok(Some(StoredRow { place, row }))
    }
}

fn held_log(log: LogId, held: &BTreeMap<u64, StoredEntry>) -> HeldLog {
    let (mut full, mut partial, mut withheld) = Default::default();
    for entry in held.values() {
        let set: &mut PositionSet = match &entry.body {
            StoredBody::Row {
                state: RowState::Full,
                ..
            } => &mut full,
            StoredBody::Row { .. } => &mut partial,
            StoredBody::Withheld { .. } => &mut withheld,
        };
        set.insert(entry.range())
            .expect("a plan lets nothing end above the largest tree");
    }
    HeldLog {
        log,
        full,
        partial,
        withheld,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Box<MemoryStore> {
        Box::default()
    }

    crate::conformance_tests!(in_memory, store);
}
