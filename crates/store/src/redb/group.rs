//! Batches on their way into one transaction.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use causality_fact::{Entry, LOG_SIZE_MAX, LogId, TreeHash};
use redb::{ReadableTable as _, Table, WriteTransaction};

use super::engine::keys_of;
use super::held::{Level, Run};
use super::holes::{BLOCK_POSITIONS, Block};
use super::journal::Record;
use super::ledger::{Edit, Ledger};
use super::read::{each_entry, segment_at, side_key};
use super::segment::{Body, Packer, Slot, slots};
use super::tables::{
    Digest, HOLES, INDEX_BYTES, JOURNAL, LOGS, PLACE_BYTES, POSITION_MAX, RUNS, SEGMENTS, SIDE,
    place_key, place_of,
};
use crate::answer::{self, StoredEntry};
use crate::batch::{Batch, Committed, NewEntry, SideWrite};
use crate::error::StoreError;
use crate::plan::{Plan, View, plan, range};

/// The tables of a transaction, and what it changes in memory.
pub(super) struct Group<'a> {
    logs: Table<'a, u32, &'static [u8; 64]>,
    runs: Table<'a, &'static [u8; PLACE_BYTES], (u64, u8)>,
    segments: Table<'a, &'static [u8; PLACE_BYTES], &'static [u8]>,
    holes: Table<'a, &'static [u8; PLACE_BYTES], &'static [u8]>,
    journal: Table<'a, u64, &'static [u8]>,
    side: Table<'a, &'static [u8], &'static [u8]>,
    ledger: &'a mut Ledger,
    logs_max: usize,
    dirty: BTreeMap<[u8; PLACE_BYTES], Option<Run>>,
    change: Change,
}

/// What has to be done in memory once the transaction is durable.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) edits: Vec<Edit>,
    pub(super) keys: Vec<[u8; INDEX_BYTES]>,
    /// Bytes written behind the end of a log.
    pub(super) gained: Vec<(u32, usize)>,
    side: bool,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty() && !self.side
    }
}

impl View for Group<'_> {
    fn is_free(&self, log: &LogId, range: Range<u64>) -> bool {
        let held = self
            .ledger
            .number(log)
            .and_then(|number| self.ledger.held(number));
        held.is_none_or(|held| held.is_free(range))
    }

    fn overlapping(&self, log: &LogId, range: Range<u64>) -> Result<Vec<StoredEntry>, StoreError> {
        let mut found = Vec::new();
        let Some(number) = self.ledger.number(log) else {
            return Ok(found);
        };
        each_entry(&self.segments, &self.holes, number, range, |slot| {
            found.push(slot.to_stored());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

impl<'a> Group<'a> {
    pub(super) fn new(
        tx: &'a WriteTransaction,
        ledger: &'a mut Ledger,
        logs_max: usize,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            logs: tx.open_table(LOGS)?,
            runs: tx.open_table(RUNS)?,
            segments: tx.open_table(SEGMENTS)?,
            holes: tx.open_table(HOLES)?,
            journal: tx.open_table(JOURNAL)?,
            side: tx.open_table(SIDE)?,
            ledger,
            logs_max,
            dirty: BTreeMap::new(),
            change: Change::default(),
        })
    }

    /// Adds a batch. The inner error refuses it, and nothing of it is written; the outer one breaks the transaction.
    pub(super) fn add(
        &mut self,
        batch: &Batch,
    ) -> Result<Result<Committed, StoreError>, StoreError> {
        let plan = match self.plan(batch) {
            Ok(plan) => plan,
            Err(error) if error.is_of_the_disk() => return Err(error),
            Err(error) => return Ok(Err(error)),
        };
        for span in spans(&batch.entries, &plan.add) {
            let log = self.log_number(span.log)?;
            self.append(log, &span)?;
            self.note(log, &span, answer::Change::Added, batch.time)?;
        }
        self.replace(&batch.entries, &plan.upgrade)?;
        for span in spans(&batch.entries, &plan.upgrade) {
            let log = self.log_number(span.log)?;
            self.note(log, &span, answer::Change::Upgraded, batch.time)?;
            self.drop_holes(log, span.positions)?;
        }
        batch
            .side
            .iter()
            .try_for_each(|write| self.write_side(write))?;
        Ok(Ok(Committed {
            added: plan.add.len() as u64,
            upgraded: plan.upgrade.len() as u64,
            duplicate: plan.duplicate,
            journal: self.ledger.journal,
        }))
    }

    /// Writes the runs that have changed.
    pub(super) fn finish(mut self) -> Result<Change, StoreError> {
        for (key, run) in &self.dirty {
            match run {
                Some(run) => self.runs.insert(key, (run.end, run.level as u8))?,
                None => self.runs.remove(key)?,
            };
        }
        Ok(self.change)
    }

    fn plan(&self, batch: &Batch) -> Result<Plan, StoreError> {
        let plan = plan(&batch.entries, self)?;
        let mut logs: Vec<_> = plan
            .add
            .iter()
            .map(|index| batch.entries[*index].log)
            .collect();
        logs.dedup();
        let new = logs
            .iter()
            .filter(|log| self.ledger.number(log).is_none())
            .count();
        if new > 0 {
            let logs = self.ledger.log_count() + new;
            StoreError::check_limit("number of logs", logs, self.logs_max)?;
        }
        Ok(plan)
    }

    fn log_number(&mut self, log: LogId) -> Result<u32, StoreError> {
        if let Some(number) = self.ledger.number(&log) {
            return Ok(number);
        }
        let number = self.ledger.log_count() as u32;
        self.logs.insert(number, &log.to_bytes())?;
        self.edit(Edit::Log(log));
        Ok(number)
    }

    /// Writes entries where nothing is held.
    fn append(&mut self, log: u32, span: &Span<'_>) -> Result<(), StoreError> {
        let held = self.ledger.held(log);
        let at_end = held.is_none_or(|held| held.end() <= span.positions.start);
        let slots = span.entries.iter().map(|new| slot_of(new));
        let bytes = self.write(log, slots)?;
        if at_end {
            self.change.gained.push((log, bytes));
        }
        Ok(())
    }

    /// Writes entries in place of what is held, one segment after the other.
    fn replace(&mut self, entries: &[NewEntry], mut upgrade: &[usize]) -> Result<(), StoreError> {
        while let [first, ..] = upgrade {
            let new = &entries[*first];
            let log = self.log_number(new.log)?;
            let segment = segment_at(&self.segments, log, new.position)?;
            let segment = segment.map(|(start, segment)| (start, segment.value().to_vec()));
            let (start, segment) = segment.unwrap_or_default();
            let held: Result<Vec<Slot<'_>>, _> = slots(start, &segment).collect();
            let held = held?;
            let end = held.last().map_or(start, Slot::end);
            let is_in_segment = new.position < end;
            let end = if is_in_segment {
                end
            } else {
                self.next_segment(log, new.position)?
            };
            let these = upgrade.iter().map(|index| &entries[*index]);
            let these: Vec<&NewEntry> = these
                .take_while(|other| other.log == new.log && other.position < end)
                .collect();
            upgrade = &upgrade[these.len()..];
            if is_in_segment {
                self.segments.remove(&place_key(log, start))?;
                self.write(log, replaced(&held, &these).into_iter())?;
            } else {
                // Only their hashes are held.
                self.write(log, these.into_iter().map(slot_of))?;
            }
        }
        Ok(())
    }

    /// Where the next segment of a log starts behind a position; [`LOG_SIZE_MAX`] when there is none.
    fn next_segment(&self, log: u32, position: u64) -> Result<u64, StoreError> {
        let (start, end) = (place_key(log, position + 1), place_key(log, POSITION_MAX));
        let mut behind = self.segments.range::<&[u8; PLACE_BYTES]>(&start..=&end)?;
        let next = behind.next().transpose()?;
        Ok(next.map_or(LOG_SIZE_MAX, |(key, _)| place_of(key.value()).1))
    }

    /// Writes entries, which are in order, into segments and blocks of holes; no segment has their positions. Tells how
    /// many bytes the segments have.
    fn write<'e>(
        &mut self,
        log: u32,
        entries: impl Iterator<Item = Slot<'e>>,
    ) -> Result<usize, StoreError> {
        let (mut packer, mut holes, mut bytes) = (Packer::default(), Vec::new(), 0);
        let mut insert = |(first, segment): (u64, Vec<u8>)| {
            bytes += segment.len();
            let key = place_key(log, first);
            self.segments.insert(&key, segment.as_slice()).map(drop)
        };
        for slot in entries {
            match slot.body {
                Body::Withheld { level: 0, hash } => holes.push((slot.position, hash)),
                _ => packer.add(&slot),
            }
            packer.full().try_for_each(&mut insert)?;
        }
        packer.finish().into_iter().try_for_each(insert)?;
        self.write_holes(log, &holes)?;
        Ok(bytes)
    }

    fn write_holes(&mut self, log: u32, holes: &[(u64, TreeHash)]) -> Result<(), StoreError> {
        let block_of = |(position, _): &(u64, TreeHash)| Block::first_of(*position);
        for holes in holes.chunk_by(|one, next| block_of(one) == block_of(next)) {
            let first = block_of(&holes[0]);
            let key = place_key(log, first);
            let held = self.holes.get(&key)?;
            let held = held.map(|held| Block::from_bytes(first, held.value()));
            let mut block = held.transpose()?.unwrap_or_else(|| Block::empty(first));
            for (position, hash) in holes {
                block.put(*position, *hash);
            }
            self.holes.insert(&key, block.to_bytes().as_slice())?;
        }
        Ok(())
    }

    /// Removes the blocks of positions none of which is withheld any more.
    fn drop_holes(&mut self, log: u32, positions: Range<u64>) -> Result<(), StoreError> {
        let first = Block::first_of(positions.start);
        for first in (first..positions.end).step_by(BLOCK_POSITIONS as usize) {
            let held = self.ledger.held(log);
            let positions = Block::empty(first).range();
            if held.is_some_and(|held| !held.has(positions, Level::Withheld)) {
                self.holes.remove(&place_key(log, first))?;
            }
        }
        Ok(())
    }

    /// Notes in the journal, in the runs and for the index that the entries of a span are held now.
    fn note(
        &mut self,
        log: u32,
        span: &Span<'_>,
        change: answer::Change,
        time: i64,
    ) -> Result<(), StoreError> {
        let mut marks = Vec::new();
        for new in &span.entries {
            if let Entry::Row(row) = &new.entry {
                self.change.keys.extend(keys_of(row, log, new.position));
            }
            if let Some(mark) = &new.mark {
                self.change
                    .keys
                    .push(Digest::from(mark).at(log, new.position));
                marks.push((new.position, *mark));
            }
        }
        for (range, level) in level_runs(&span.entries) {
            self.edit(Edit::Held { log, range, level });
        }
        self.ledger.journal += 1;
        let positions = span.positions.clone();
        let record = Record {
            time,
            log,
            positions,
            change,
            marks,
        };
        self.journal
            .insert(self.ledger.journal, record.to_bytes().as_slice())?;
        Ok(())
    }

    fn edit(&mut self, edit: Edit) {
        let dirty = &mut self.dirty;
        self.ledger.edit(&edit, &mut |log, start, run| {
            dirty.insert(place_key(log, start), run);
        });
        self.change.edits.push(edit);
    }

    fn write_side(&mut self, write: &SideWrite) -> Result<(), StoreError> {
        let key = side_key(write.table, &write.key);
        match &write.value {
            Some(value) => self.side.insert(key.as_slice(), value.as_slice())?,
            None => self.side.remove(key.as_slice())?,
        };
        self.change.side = true;
        Ok(())
    }
}

/// Entries of one log without a gap between them.
struct Span<'a> {
    log: LogId,
    positions: Range<u64>,
    entries: Vec<&'a NewEntry>,
}

/// Splits planned entries, which are in order, into spans.
fn spans<'a>(entries: &'a [NewEntry], planned: &[usize]) -> Vec<Span<'a>> {
    let mut spans: Vec<Span<'a>> = Vec::new();
    for new in planned.iter().map(|index| &entries[*index]) {
        let positions = range(new);
        match spans.last_mut() {
            Some(last) if (last.log, last.positions.end) == (new.log, positions.start) => {
                last.positions.end = positions.end;
                last.entries.push(new);
            }
            _ => spans.push(Span {
                log: new.log,
                positions,
                entries: vec![new],
            }),
        }
    }
    spans
}

/// The levels of the entries of a span, run by run.
fn level_runs(entries: &[&NewEntry]) -> Vec<(Range<u64>, Level)> {
    let mut runs: Vec<(Range<u64>, Level)> = Vec::new();
    for new in entries {
        let (positions, level) = (range(new), Level::of(&new.entry));
        match runs.last_mut() {
            Some((run, last)) if *last == level => run.end = positions.end,
            _ => runs.push((positions, level)),
        }
    }
    runs
}

fn slot_of(new: &NewEntry) -> Slot<'_> {
    Slot::of(new.position, &new.entry)
}

/// What was held in a segment, with the new entries in place of what they replace.
fn replaced<'a>(held: &[Slot<'a>], new: &[&'a NewEntry]) -> Vec<Slot<'a>> {
    let mut new = new.iter().map(|new| slot_of(new)).peekable();
    let mut slots = Vec::with_capacity(held.len());
    for slot in held {
        let before = slots.len();
        while let Some(new) = new.next_if(|new| new.position < slot.end()) {
            slots.push(new);
        }
        if slots.len() == before {
            slots.push(*slot);
        }
    }
    slots
}
