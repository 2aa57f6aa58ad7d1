//! The merge of small segments, as commits of single rows leave them, into full ones.
//!
//! It goes along each log once: neighbours are joined as long as they fit into one segment, so every row is written
//! twice in all, and only segments at the end of a log are looked at again.

use redb::{ReadableTable as _, WriteTransaction};

use super::segment::{SEGMENT_BYTES_MAX, Slot, slots};
use super::tables::{MERGED, POSITION_MAX, SEGMENTS, place_key, place_of};
use crate::error::StoreError;

/// A log is worth a merge once it has gained so many bytes.
pub(super) const DUE_BYTES: usize = SEGMENT_BYTES_MAX;
/// The most bytes that one step joins, and the most segments that it looks at.
const STEP_BYTES_MAX: usize = 1 << 20;
const STEP_SEGMENTS_MAX: usize = 4096;

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) changed: bool,
    /// Nothing is left to do until the log grows.
    pub(super) finished: bool,
}

impl Outcome {
    /// Nothing was changed, and it is not tried again until the log grows.
    pub(super) const GIVEN_UP: Self = Self {
        changed: false,
        finished: true,
    };
}

/// Joins small segments of a log from where the last step ended.
pub(super) fn merge(tx: &WriteTransaction, log: u32) -> Result<Outcome, StoreError> {
    let mut merged = tx.open_table(MERGED)?;
    let mut segments = tx.open_table(SEGMENTS)?;
    let from = merged.get(log)?.map_or(0, |position| position.value());
    let (mut groups, mut open) = (Vec::new(), Neighbours::default());
    let (mut bytes, mut finished) = (0, true);
    let (start, end) = (place_key(log, from), place_key(log, POSITION_MAX));
    for (count, row) in segments.range::<&[u8; _]>(&start..=&end)?.enumerate() {
        if bytes >= STEP_BYTES_MAX || count == STEP_SEGMENTS_MAX {
            finished = false;
            break;
        }
        let (key, value) = row?;
        let (_, first) = place_of(key.value());
        if !open.takes(first, value.value())? {
            let full = std::mem::take(&mut open);
            bytes += full.bytes.len();
            groups.push(full);
            open.takes(first, value.value())?;
        }
    }
    let next = open.first().unwrap_or(from);
    for group in groups.iter().filter(|group| group.firsts.len() > 1) {
        for first in &group.firsts {
            segments.remove(&place_key(log, *first))?;
        }
        segments.insert(&place_key(log, group.firsts[0]), group.bytes.as_slice())?;
    }
    if next != from {
        merged.insert(log, next)?;
    }
    Ok(Outcome {
        changed: next != from,
        finished,
    })
}

/// Segments without a gap between them that fit into one.
#[derive(Debug, Default)]
struct Neighbours {
    firsts: Vec<u64>,
    end: u64,
    bytes: Vec<u8>,
}

impl Neighbours {
    fn first(&self) -> Option<u64> {
        self.firsts.first().copied()
    }

    /// Takes a segment in, unless it does not fit.
    fn takes(&mut self, first: u64, segment: &[u8]) -> Result<bool, StoreError> {
        let fits = self.bytes.len() + segment.len() <= SEGMENT_BYTES_MAX && self.end == first;
        if !self.firsts.is_empty() && !fits {
            return Ok(false);
        }
        let slots: Result<Vec<Slot<'_>>, _> = slots(first, segment).collect();
        self.end = slots?.last().map_or(first, Slot::end);
        self.firsts.push(first);
        self.bytes.extend_from_slice(segment);
        Ok(true)
    }
}
