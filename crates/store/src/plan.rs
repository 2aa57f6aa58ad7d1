//! What a batch changes, decided before anything is written: the rules that all stores share.

use std::cmp::Ordering;
use std::ops::Range;

use causality_fact::{
    BLOCK_LEVEL, Entry, FactQuery, LOG_SIZE_MAX, LogId, Row, RowCore, RowState, Subtree, TreeHash,
    leaf_hash,
};

use crate::answer::{StoredBody, StoredEntry, parse};
use crate::batch::NewEntry;
use crate::error::StoreError;

/// What a store holds, as far as a plan needs it.
pub(crate) trait View {
    /// Whether nothing is held in the range.
    fn is_free(&self, log: &LogId, range: Range<u64>) -> bool;

    /// The entries that overlap the range, in order.
    fn overlapping(&self, log: &LogId, range: Range<u64>) -> Result<Vec<StoredEntry>, StoreError>;
}

/// Which entries of a batch, by their index, are to be written. Both lists are in order of log and position.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Nothing is held there.
    pub(crate) add: Vec<usize>,
    /// Each replaces what is held there, or is one of the parts that replace a withheld subtree.
    pub(crate) upgrade: Vec<usize>,
    /// How many entries tell nothing new.
    pub(crate) duplicate: u64,
}

/// Decides what the entries change.
///
/// # Errors
///
/// When one of them is not legal, or contradicts what is held or another of them.
pub(crate) fn plan(entries: &[NewEntry], view: &impl View) -> Result<Plan, StoreError> {
    entries.iter().try_for_each(check_entry)?;
    let mut plan = Plan::default();
    let order = in_order(entries, &mut plan.duplicate)?;
    let mut rest = order.as_slice();
    while let Some(first) = rest.first() {
        let (span, behind) = rest.split_at(span_length(entries, rest));
        let NewEntry { log, position, .. } = &entries[*first];
        let end = span
            .last()
            .map_or(*position, |last| range(&entries[*last]).end);
        if view.is_free(log, *position..end) {
            plan.add.extend(span);
        } else {
            let held = view.overlapping(log, *position..end)?;
            compare(entries, span, &held, &mut plan)?;
        }
        rest = behind;
    }
    Ok(plan)
}

/// Whether a row meets a query; the compartment is that of its log.
pub(crate) fn matches(query: &FactQuery, log: &LogId, row: &Row) -> bool {
    match row.core() {
        RowCore::Known(core) => query.matches(core, log.compartment),
        RowCore::Unsupported(_) => false,
    }
}

/// Whether a row tells more than another one of the same fact: the whole more than a part, of two parts the one that
/// discloses more fields.
pub(crate) fn is_fuller(row: &Row, other: &Row) -> bool {
    let fields = |row: &Row| {
        row.fact()
            .map_or(0, |fact| fact.content().disclosed().count())
    };
    match row.state().cmp(&other.state()) {
        Ordering::Equal => row.state() == RowState::Partial && fields(row) > fields(other),
        order => order.is_gt(),
    }
}

/// The positions of an entry.
pub(crate) fn range(new: &NewEntry) -> Range<u64> {
    new.position..new.position.saturating_add(new.entry.positions())
}

fn check_entry(new: &NewEntry) -> Result<(), StoreError> {
    let NewEntry { log, position, .. } = *new;
    match &new.entry {
        Entry::Row(row) => {
            if let RowCore::Known(core) = row.core()
                && core.origin != log.origin
            {
                return Err(StoreError::WrongOrigin { log, position });
            }
        }
        Entry::Withheld { level, .. } => {
            let (level, limit) = (*level, BLOCK_LEVEL);
            StoreError::check_limit("level of a subtree", level.into(), limit.into())?;
            if !position.is_multiple_of(1 << level) {
                return Err(StoreError::NotAligned { position, level });
            }
        }
    }
    let actual = position.saturating_add(new.entry.positions());
    if actual > LOG_SIZE_MAX {
        let (what, limit) = ("end of an entry", LOG_SIZE_MAX);
        return Err(StoreError::TooLarge {
            what,
            actual,
            limit,
        });
    }
    Ok(())
}

/// The indexes in order of log and position, with the fullest of several entries at one position only.
fn in_order(entries: &[NewEntry], repeated: &mut u64) -> Result<Vec<usize>, StoreError> {
    let mut sorted: Vec<usize> = (0..entries.len()).collect();
    sorted.sort_by_key(|index| (entries[*index].log, entries[*index].position));
    let mut order: Vec<usize> = Vec::with_capacity(sorted.len());
    for index in sorted {
        let new = &entries[index];
        let before = order.last().map(|last| &entries[*last]);
        let Some(before) = before.filter(|b| b.log == new.log && range(b).end > new.position)
        else {
            order.push(index);
            continue;
        };
        let NewEntry { log, position, .. } = *new;
        if range(before) != range(new) {
            return Err(StoreError::Overlap { log, position });
        }
        let held = StoredEntry::new(position, &before.entry);
        if is_better(&new.entry, &held, &log)? {
            order.pop();
            order.push(index);
        }
        *repeated += 1;
    }
    Ok(order)
}

/// How many of the first entries are of one log and leave no gap.
fn span_length(entries: &[NewEntry], order: &[usize]) -> usize {
    let gap = order.windows(2).position(|pair| {
        let (one, next) = (&entries[pair[0]], &entries[pair[1]]);
        one.log != next.log || range(one).end != next.position
    });
    gap.map_or(order.len(), |at| at + 1)
}

/// Compares a span of entries with what is held there. Subtrees are aligned, so that of two that overlap one contains
/// the other.
fn compare(
    entries: &[NewEntry],
    mut span: &[usize],
    mut held: &[StoredEntry],
    plan: &mut Plan,
) -> Result<(), StoreError> {
    while let [first, rest @ ..] = span {
        let new = &entries[*first];
        let NewEntry { log, position, .. } = *new;
        let wanted = range(new);
        let behind = held.partition_point(|held| held.range().end <= wanted.start);
        held = &held[behind..];
        let overlapping = held.partition_point(|held| held.position < wanted.end);
        match &held[..overlapping] {
            [] => plan.add.push(*first),
            [one] if one.range() == wanted => {
                if is_better(&new.entry, one, &log)? {
                    plan.upgrade.push(*first);
                } else {
                    plan.duplicate += 1;
                }
            }
            [one] if one.range().end >= wanted.end && one.position <= wanted.start => {
                let end = one.range().end;
                let count = span.partition_point(|index| entries[*index].position < end);
                let (parts, behind) = span.split_at(count);
                check_parts(entries, parts, one, &log)?;
                plan.upgrade.extend(parts);
                span = behind;
                continue;
            }
            finer => {
                let parts: Result<Vec<_>, StoreError> = finer
                    .iter()
                    .map(|part| Ok((part.subtree()?, part.hash())))
                    .collect();
                if hash_of(&wanted, &parts?, &log)? != entry_hash(&new.entry) {
                    return Err(StoreError::PositionTaken { log, position });
                }
                plan.duplicate += 1;
            }
        }
        span = rest;
    }
    Ok(())
}

/// Checks that the parts are what the withheld subtree stands for.
fn check_parts(
    entries: &[NewEntry],
    parts: &[usize],
    withheld: &StoredEntry,
    log: &LogId,
) -> Result<(), StoreError> {
    let parts: Vec<_> = parts
        .iter()
        .filter_map(|index| {
            let part = StoredEntry::new(entries[*index].position, &entries[*index].entry);
            Some((part.subtree().ok()?, part.hash()))
        })
        .collect();
    if hash_of(&withheld.range(), &parts, log)? == withheld.hash() {
        Ok(())
    } else {
        let (log, position) = (*log, withheld.position);
        Err(StoreError::PositionTaken { log, position })
    }
}

/// The hash of the subtree of a range, from that of parts which have to cover it.
fn hash_of(
    range: &Range<u64>,
    parts: &[(Subtree, TreeHash)],
    log: &LogId,
) -> Result<TreeHash, StoreError> {
    // The length of a range that an entry stands for is a power of two.
    let level = (range.end - range.start).trailing_zeros() as u8;
    Subtree::new(range.start, level)
        .and_then(|subtree| subtree.hash_from(range.end, parts))
        .map_err(|_| StoreError::Overlap {
            log: *log,
            position: range.start,
        })
}

fn entry_hash(entry: &Entry) -> TreeHash {
    match entry {
        Entry::Row(row) => leaf_hash(&row.id()),
        Entry::Withheld { hash, .. } => *hash,
    }
}

/// Whether an entry tells more than another one of the same positions.
fn is_better(new: &Entry, held: &StoredEntry, log: &LogId) -> Result<bool, StoreError> {
    let (same, better) = match (new, &held.body) {
        (Entry::Row(new), StoredBody::Row { id, state, bytes }) => {
            let same = new.id() == *id;
            let better = match new.state().cmp(state) {
                Ordering::Greater => true,
                Ordering::Equal if same && *state == RowState::Partial => {
                    discloses_more(new, &parse(held.position, *id, bytes, log.origin)?)
                }
                _ => false,
            };
            (same, better)
        }
        (Entry::Row(new), StoredBody::Withheld { hash, .. }) => {
            (leaf_hash(&new.id()) == *hash, true)
        }
        (Entry::Withheld { hash, .. }, _) => (held.hash() == *hash, false),
    };
    if same {
        Ok(better)
    } else {
        let (log, position) = (*log, held.position);
        Err(StoreError::PositionTaken { log, position })
    }
}

/// Whether a row shows every field that the other shows, and one more.
fn discloses_more(new: &Row, held: &Row) -> bool {
    match (new.mask(), held.mask()) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(new), Some(held)) => new != held && new.covers(held),
    }
}
