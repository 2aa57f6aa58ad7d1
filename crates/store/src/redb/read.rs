//! Reads: each in one snapshot of the file.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range, RangeInclusive};

use causality_fact::{
    ConflictKey, DomainId, FactId, FactQuery, LogId, Resource, Subtree, TreeHash, conflict_key,
};
use redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable};

use super::engine::Engine;
use super::holes::{Lookup, Walk};
use super::journal::Record;
use super::segment::{Body, Slot, slots};
use super::tables::{
    Digest, HOLES, INDEX_BYTES, JOURNAL, META, META_INDEXED, PLACE_BYTES, POSITION_MAX, SEGMENTS,
    SIDE, place_in, place_key, place_of,
};
use crate::answer::{
    ANSWER_BYTES_MAX, ANSWER_ENTRIES_MAX, Entries, HeldLog, JournalEntry, Page, Place,
    QUERY_ROWS_MAX, QUERY_WORK_MAX, SideRange, StoredEntry, StoredRow, parse,
};
use crate::batch::{Mark, SideKey, SideTable};
use crate::error::StoreError;
use crate::plan::{is_fuller, matches};

impl Engine {
    pub(super) fn get(&self, ids: &[FactId]) -> Result<Vec<Option<StoredRow>>, StoreError> {
        let ranges: Vec<_> = ids.iter().map(|id| Digest::from(id).everywhere()).collect();
        let found = self.index_keys(&ranges)?;
        let snapshot = Snapshot::new(self)?;
        let fullest = |(id, keys): (&FactId, &Vec<_>)| {
            let mut fullest: Option<StoredRow> = None;
            for place in self.places(keys) {
                let Some(row) = snapshot.row(place)?.filter(|row| row.id == *id) else {
                    continue;
                };
                let row = row.parse()?;
                if fullest
                    .as_ref()
                    .is_none_or(|held| is_fuller(&row.row, &held.row))
                {
                    fullest = Some(row);
                }
            }
            Ok(fullest)
        };
        ids.iter().zip(&found).map(fullest).collect()
    }

    pub(super) fn places_of(&self, ids: &[FactId]) -> Result<Vec<Vec<Place>>, StoreError> {
        let ranges: Vec<_> = ids.iter().map(|id| Digest::from(id).everywhere()).collect();
        let found = self.index_keys(&ranges)?;
        let snapshot = Snapshot::new(self)?;
        let places = |(id, keys): (&FactId, &Vec<_>)| {
            let mut places = BTreeSet::new();
            for place in self.places(keys) {
                if snapshot.row(place)?.is_some_and(|row| row.id == *id) {
                    places.insert(place);
                }
            }
            Ok(places.into_iter().collect())
        };
        ids.iter().zip(&found).map(places).collect()
    }

    pub(super) fn ids(
        &self,
        ids: &RangeInclusive<FactId>,
        limit: usize,
    ) -> Result<Vec<FactId>, StoreError> {
        let [start, end] = [ids.start(), ids.end()].map(|id| Digest::from(id).everywhere());
        let keys = self.index_keys(&[*start.start()..=*end.end()])?;
        let snapshot = Snapshot::new(self)?;
        let mut found = BTreeSet::new();
        for place in self.places(&keys.concat()) {
            if found.len() == limit {
                break;
            }
            let id = snapshot.row(place)?.map(|row| row.id);
            found.extend(id.filter(|id| ids.contains(id)));
        }
        Ok(found.into_iter().collect())
    }

    pub(super) fn scan(
        &self,
        log: &LogId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Entries::new(bytes_max);
        self.run(log, range, |slot| Ok(entries.take(slot.to_stored())))?;
        Ok(entries.finish())
    }

    pub(super) fn at(
        &self,
        log: &LogId,
        positions: &[u64],
        bytes_max: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = Entries::new(bytes_max);
        let Some(number) = self.shared().ledger.number(log) else {
            return Ok(Vec::new());
        };
        let tx = self.read()?;
        let (segments, holes) = (tx.open_table(SEGMENTS)?, tx.open_table(HOLES)?);
        let mut holes = Lookup::new(&holes, number);
        let (mut rest, mut last) = (positions, None);
        while let [next, behind @ ..] = rest {
            let segment = segment_at(&segments, number, *next)?;
            let Some((first, segment)) = segment.filter(|(first, _)| Some(*first) != last) else {
                // Behind the end of the last segment, or before the first one.
                if let Some(leaf) = holes.leaf(*next)?
                    && entries.take(leaf.to_stored()).is_break()
                {
                    break;
                }
                rest = behind;
                continue;
            };
            last = Some(first);
            for slot in slots(first, segment.value()) {
                let slot = slot?;
                let inside = rest.iter().take_while(|at| **at < slot.end()).count();
                if inside == 0 {
                    continue;
                }
                rest = &rest[inside..];
                if entries.take(slot.to_stored()).is_break() {
                    return Ok(entries.finish());
                }
                if rest.is_empty() {
                    break;
                }
            }
        }
        Ok(entries.finish())
    }

    pub(super) fn leaves(
        &self,
        log: &LogId,
        range: Range<u64>,
    ) -> Result<Vec<(Subtree, TreeHash)>, StoreError> {
        let mut leaves = Vec::new();
        self.run(log, range, |slot| {
            leaves.push(slot.leaf()?);
            let full = leaves.len() >= ANSWER_ENTRIES_MAX;
            Ok(if full {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(leaves)
    }

    /// Visits the entries of a log from the start of the range to the first gap.
    fn run(
        &self,
        log: &LogId,
        range: Range<u64>,
        mut visit: impl FnMut(&Slot<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(number) = self.shared().ledger.number(log) else {
            return Ok(());
        };
        let tx = self.read()?;
        let (segments, holes) = (tx.open_table(SEGMENTS)?, tx.open_table(HOLES)?);
        let mut at = range.start;
        each_entry(&segments, &holes, number, range, |slot| {
            if slot.position > at {
                return Ok(ControlFlow::Break(()));
            }
            at = slot.end();
            visit(slot)
        })
    }

    pub(super) fn query(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let digest = literal_key(query).map(|key| Digest::from(&key));
        let mut answer = Answer::new(query, limit);
        let logs: Vec<(LogId, u32)> = {
            let shared = self.shared();
            let wanted = |(log, _): &(LogId, u32)| {
                query.origin.is_none_or(|origin| origin == log.origin)
                    && query
                        .compartment
                        .is_none_or(|wanted| wanted == log.compartment)
                    && after.is_none_or(|after| after.log <= *log)
            };
            shared.ledger.in_order().filter(wanted).collect()
        };
        for (log, number) in logs {
            let from = match after {
                Some(after) if after.log == log => after.position.saturating_add(1),
                _ => 0,
            };
            let flow = match digest {
                Some(digest) => self.query_index(&mut answer, log, digest.in_log(number, from))?,
                None => self.query_log(&mut answer, log, number, from)?,
            };
            if flow.is_break() {
                return Ok(answer.page);
            }
        }
        answer.page.next = None;
        Ok(answer.page)
    }

    fn query_index(
        &self,
        answer: &mut Answer<'_>,
        log: LogId,
        range: RangeInclusive<[u8; INDEX_BYTES]>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let keys = self.index_keys(&[range])?;
        if keys.iter().all(Vec::is_empty) {
            return Ok(ControlFlow::Continue(()));
        }
        let snapshot = Snapshot::new(self)?;
        for key in keys.iter().flatten() {
            let (number, position) = place_in(key);
            let row = snapshot.row_at(number, position, log)?;
            let Some(row) = row else { continue };
            if answer.take(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn query_log(
        &self,
        answer: &mut Answer<'_>,
        log: LogId,
        number: u32,
        from: u64,
    ) -> Result<ControlFlow<()>, StoreError> {
        let segments = self.read()?.open_table(SEGMENTS)?;
        let mut flow = ControlFlow::Continue(());
        each_segment(
            &segments,
            number,
            from..POSITION_MAX + 1,
            |first, segment| {
                for slot in slots(first, segment) {
                    let slot = slot?;
                    if slot.position >= from
                        && let Some(row) = Found::of(&slot, log)
                        && answer.take(row)?.is_break()
                    {
                        flow = ControlFlow::Break(());
                        return Ok(flow);
                    }
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(flow)
    }

    pub(super) fn by_key(&self, keys: &[ConflictKey]) -> Result<Vec<Vec<Place>>, StoreError> {
        let ranges: Vec<_> = keys
            .iter()
            .map(|key| Digest::from(key).everywhere())
            .collect();
        Ok(self
            .index_keys(&ranges)?
            .iter()
            .map(|keys| self.places(keys))
            .collect())
    }

    pub(super) fn by_mark(&self, marks: &[Mark]) -> Result<Vec<Option<Place>>, StoreError> {
        let ranges: Vec<_> = marks
            .iter()
            .map(|mark| Digest::from(mark).everywhere())
            .collect();
        let first = |keys: &Vec<_>| self.places(keys).first().copied();
        Ok(self.index_keys(&ranges)?.iter().map(first).collect())
    }

    /// The places of index keys, in order. A log that is not known yet belongs to a commit that has not returned.
    fn places(&self, keys: &[[u8; INDEX_BYTES]]) -> Vec<Place> {
        let shared = self.shared();
        let place = |key| {
            let (number, position) = place_in(key);
            shared.ledger.log(number).map(|log| Place { log, position })
        };
        let mut places: Vec<_> = keys.iter().filter_map(place).collect();
        places.sort_unstable();
        places
    }

    pub(super) fn side_get(&self, keys: &[SideKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let side = self.read()?.open_table(SIDE)?;
        let get = |key: &SideKey| {
            let value = side.get(side_key(key.table, &key.key).as_slice())?;
            Ok(value.map(|value| value.value().to_vec()))
        };
        keys.iter().map(get).collect()
    }

    #[expect(clippy::type_complexity, reason = "a list of keys and values")]
    pub(super) fn side_scan(
        &self,
        range: &SideRange,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let side = self.read()?.open_table(SIDE)?;
        let prefix = side_key(range.table, &range.prefix);
        let after = range
            .after
            .as_ref()
            .map(|after| side_key(range.table, after));
        let start = after
            .clone()
            .map_or(prefix.clone(), |after| after.max(prefix.clone()));
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for row in side.range(start.as_slice()..)? {
            let (key, value) = row?;
            let key = key.value();
            let full = rows.len() >= range.limit.min(ANSWER_ENTRIES_MAX);
            if !key.starts_with(&prefix) || full || bytes >= ANSWER_BYTES_MAX {
                break;
            }
            if after.as_deref() != Some(key) {
                bytes += value.value().len();
                let (key, value) = (key[1..].to_vec(), value.value().to_vec());
                rows.push((key, value));
            }
        }
        Ok(rows)
    }

    pub(super) fn logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        self.shared().ledger.held_logs()
    }

    pub(super) fn journal(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let last = self.shared().ledger.journal;
        let journal = self.read()?.open_table(JOURNAL)?;
        let Some(first) = after.checked_add(1).filter(|first| *first <= last) else {
            return Ok(Vec::new());
        };
        let rows = journal
            .range(first..=last)?
            .take(limit.min(ANSWER_ENTRIES_MAX));
        rows.map(|row| {
            let (number, value) = row?;
            self.journal_entry(number.value(), value.value())
        })
        .collect()
    }

    fn journal_entry(&self, number: u64, bytes: &[u8]) -> Result<JournalEntry, StoreError> {
        let Record {
            time,
            log,
            positions,
            change,
            ..
        } = Record::from_bytes(number, bytes)?;
        let log = self.shared().ledger.log(log);
        let log =
            log.ok_or_else(|| StoreError::corrupt("the journal names a log that there is not"))?;
        Ok(JournalEntry {
            number,
            time,
            log,
            positions,
            change,
        })
    }
}

/// The conflict key of a query that names one resource and aspect.
fn literal_key(query: &FactQuery) -> Option<ConflictKey> {
    let resource: Resource = query.resource.as_ref()?.literal()?.parse().ok()?;
    Some(conflict_key(&resource, query.aspect.as_ref()?))
}

/// A page that fills.
struct Answer<'a> {
    query: &'a FactQuery,
    limit: usize,
    page: Page,
    bytes: usize,
    work: usize,
}

impl<'a> Answer<'a> {
    fn new(query: &'a FactQuery, limit: usize) -> Self {
        let limit = limit.clamp(1, QUERY_ROWS_MAX);
        Self {
            query,
            limit,
            page: Page::default(),
            bytes: 0,
            work: 0,
        }
    }

    /// Looks at a row; breaks, without having looked, when the page is full.
    fn take(&mut self, found: Found) -> Result<ControlFlow<()>, StoreError> {
        let full = self.page.rows.len() == self.limit || self.bytes >= ANSWER_BYTES_MAX;
        if full || self.work == QUERY_WORK_MAX {
            return Ok(ControlFlow::Break(()));
        }
        self.work += 1;
        let stored = found.parse()?;
        self.page.next = Some(stored.place);
        if matches(self.query, &stored.place.log, &stored.row) {
            self.bytes += stored.row.bytes().len();
            self.page.rows.push(stored);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Segments as they are at one moment.
struct Snapshot<'a> {
    engine: &'a Engine,
    segments: ReadOnlyTable<&'static [u8; PLACE_BYTES], &'static [u8]>,
}

impl<'a> Snapshot<'a> {
    fn new(engine: &'a Engine) -> Result<Self, StoreError> {
        let segments = engine.read()?.open_table(SEGMENTS)?;
        Ok(Self { engine, segments })
    }

    fn row(&self, place: Place) -> Result<Option<Found>, StoreError> {
        let number = self.engine.shared().ledger.number(&place.log);
        number.map_or(Ok(None), |number| {
            self.row_at(number, place.position, place.log)
        })
    }

    fn row_at(&self, number: u32, position: u64, log: LogId) -> Result<Option<Found>, StoreError> {
        let Some((first, segment)) = segment_at(&self.segments, number, position)? else {
            return Ok(None);
        };
        for slot in slots(first, segment.value()) {
            let slot = slot?;
            if slot.position == position {
                return Ok(Found::of(&slot, log));
            }
        }
        Ok(None)
    }
}

/// A row as it was found, not parsed yet.
#[derive(Debug)]
struct Found {
    place: Place,
    id: FactId,
    bytes: Vec<u8>,
}

impl Found {
    fn of(slot: &Slot<'_>, log: LogId) -> Option<Self> {
        let Body::Row { id, row, .. } = slot.body else {
            return None;
        };
        let place = Place {
            log,
            position: slot.position,
        };
        Some(Self {
            place,
            id,
            bytes: row.to_vec(),
        })
    }

    fn parse(self) -> Result<StoredRow, StoreError> {
        let origin: DomainId = self.place.log.origin;
        let row = parse(self.place.position, self.id, &self.bytes, origin)?;
        Ok(StoredRow {
            place: self.place,
            row,
        })
    }
}

/// Visits the entries of a log that overlap a range, in order.
pub(super) fn each_entry<T: ReadableTable<&'static [u8; PLACE_BYTES], &'static [u8]>>(
    segments: &T,
    holes: &T,
    log: u32,
    range: Range<u64>,
    mut visit: impl FnMut(&Slot<'_>) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    let mut holes = Walk::new(holes, log, &range)?;
    let (mut at, mut flow) = (range.start, ControlFlow::Continue(()));
    each_segment(segments, log, range.clone(), |first, segment| {
        // What is held there by its hash only; such hashes under a segment are from before.
        flow = holes.visit(at..first, &mut visit)?;
        for slot in slots(first, segment) {
            let slot = slot?;
            if flow.is_break() || slot.position >= range.end {
                break;
            }
            if slot.end() > range.start {
                flow = visit(&slot)?;
                at = slot.end();
            }
        }
        Ok(flow)
    })?;
    if flow.is_continue() {
        holes.visit(at..range.end, visit).map(drop)?;
    }
    Ok(())
}

/// Visits the segments of a log that may have entries in the range, in order.
pub(super) fn each_segment(
    segments: &impl ReadableTable<&'static [u8; PLACE_BYTES], &'static [u8]>,
    log: u32,
    range: Range<u64>,
    mut visit: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, StoreError>,
) -> Result<(), StoreError> {
    if range.is_empty() {
        return Ok(());
    }
    let before = segment_at(segments, log, range.start)?;
    let start = place_key(log, before.map_or(range.start, |(first, _)| first));
    let end = place_key(log, range.end - 1);
    for row in segments.range::<&[u8; PLACE_BYTES]>(&start..=&end)? {
        let (key, value) = row?;
        if visit(place_of(key.value()).1, value.value())?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The last segment of a log that does not start behind a position: the only one that may hold it.
#[expect(
    clippy::type_complexity,
    reason = "a position and a value of the table"
)]
pub(super) fn segment_at<'a>(
    segments: &'a impl ReadableTable<&'static [u8; PLACE_BYTES], &'static [u8]>,
    log: u32,
    position: u64,
) -> Result<Option<(u64, AccessGuard<'a, &'static [u8]>)>, StoreError> {
    let (start, end) = (place_key(log, 0), place_key(log, position));
    let last = segments
        .range::<&[u8; PLACE_BYTES]>(&start..=&end)?
        .next_back();
    let Some(row) = last else { return Ok(None) };
    let (key, value) = row?;
    Ok(Some((place_of(key.value()).1, value)))
}

/// The last entry of the journal that is known to be in the index.
pub(super) fn indexed(tx: &ReadTransaction) -> Result<u64, StoreError> {
    let indexed = tx.open_table(META)?.get(META_INDEXED)?;
    Ok(indexed.map_or(0, |indexed| indexed.value()))
}

/// The key of a row of a side table: the number of the table, then the key.
pub(super) fn side_key(table: SideTable, key: &[u8]) -> Vec<u8> {
    [&[table.number()], key].concat()
}
