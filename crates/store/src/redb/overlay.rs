//! Index keys that are not in the table yet: in memory, visible to reads at once, written sorted in the background.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use super::tables::INDEX_BYTES;

/// Two sets of keys: those that arrive, and those that are being written.
///
/// A set is frozen together with the number of the last journal entry then. Once all of it is in the table, the journal
/// is indexed up to that entry; after a crash the rest is made again from the journal.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Sorted lists, each more than twice as long as the next: merged as they come, they cost a fraction of a tree.
    active: Vec<Vec<[u8; INDEX_BYTES]>>,
    /// Such lists as well; as one they would need as much memory again while they are merged.
    frozen: Vec<Vec<[u8; INDEX_BYTES]>>,
    /// The frozen keys up to this one are in the table.
    written_to: Option<[u8; INDEX_BYTES]>,
    frozen_to: u64,
}

/// The next keys to write, in order.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) keys: Vec<[u8; INDEX_BYTES]>,
    /// Once they are written: the journal is indexed up to this entry.
    pub(super) indexed: Option<u64>,
}

impl Overlay {
    /// Adds keys, in any order.
    pub(super) fn add(&mut self, mut keys: Vec<[u8; INDEX_BYTES]>) {
        keys.sort_unstable();
        keys.dedup();
        while let Some(last) = self.active.pop_if(|last| last.len() <= 2 * keys.len()) {
            keys = merge(&last, &keys);
        }
        if !keys.is_empty() {
            keys.shrink_to_fit();
            self.active.push(keys);
        }
    }

    /// How many keys there are; one that was added again may count twice.
    pub(super) fn len(&self) -> usize {
        self.active_len() + self.unwritten().map(<[_]>::len).sum::<usize>()
    }

    pub(super) fn active_len(&self) -> usize {
        self.active.iter().map(Vec::len).sum()
    }

    pub(super) fn is_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// The keys in a range, in no order; a key may come twice.
    pub(super) fn range(
        &self,
        range: &RangeInclusive<[u8; INDEX_BYTES]>,
    ) -> impl Iterator<Item = [u8; INDEX_BYTES]> {
        let lists = self.active.iter().chain(&self.frozen);
        lists.flat_map(move |list| within(list, range)).copied()
    }

    /// At most `limit` of the frozen keys. When there are none, freezes the others; `journal` is the last entry so far.
    pub(super) fn chunk(&mut self, limit: usize, journal: u64) -> Chunk {
        if self.frozen.is_empty() {
            self.frozen = std::mem::take(&mut self.active);
            self.frozen_to = journal;
        }
        let mut lists: Vec<_> = self.unwritten().collect();
        let mut keys = Vec::with_capacity(limit.min(lists.iter().map(|list| list.len()).sum()));
        while keys.len() < limit
            && let Some(next) = lists.iter().filter_map(|list| list.first()).min().copied()
        {
            keys.push(next);
            for list in &mut lists {
                *list = list.strip_prefix(&[next]).unwrap_or(list);
            }
        }
        let is_rest = lists.iter().all(|list| list.is_empty());
        let indexed = is_rest.then_some(self.frozen_to);
        Chunk { keys, indexed }
    }

    /// The keys of the chunk are in the table.
    pub(super) fn written(&mut self, chunk: &Chunk) {
        self.written_to = chunk.keys.last().copied();
        if chunk.indexed.is_some() {
            (self.frozen, self.written_to) = (Vec::new(), None);
        }
    }

    /// What is left of the frozen lists.
    fn unwritten(&self) -> impl Iterator<Item = &[[u8; INDEX_BYTES]]> {
        let is_written = |key: &[u8; INDEX_BYTES]| Some(*key) <= self.written_to;
        self.frozen
            .iter()
            .map(move |list| &list[list.partition_point(is_written)..])
    }
}

/// The part of a sorted list that is in a range, which mostly is none.
fn within<'a>(
    list: &'a [[u8; INDEX_BYTES]],
    range: &RangeInclusive<[u8; INDEX_BYTES]>,
) -> &'a [[u8; INDEX_BYTES]] {
    let list = &list[list.partition_point(|key| key < range.start())..];
    let length = list.iter().take_while(|key| *key <= range.end()).count();
    &list[..length]
}

/// The keys of two sorted lists, each once.
fn merge(left: &[[u8; INDEX_BYTES]], right: &[[u8; INDEX_BYTES]]) -> Vec<[u8; INDEX_BYTES]> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match a.cmp(b) {
            Ordering::Less => merged.extend(left.next()),
            Ordering::Greater => merged.extend(right.next()),
            Ordering::Equal => {
                merged.extend(left.next());
                right.next();
            }
        }
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> [u8; INDEX_BYTES] {
        [number; INDEX_BYTES]
    }

    #[test]
    fn keys_stay_visible_until_they_are_written_and_only_then_the_journal_is_indexed() {
        let mut overlay = Overlay::default();
        overlay.add(vec![key(3), key(1), key(2)]);
        let one = overlay.chunk(2, 10);
        assert_eq!(one.keys, [key(1), key(2)]);
        assert_eq!(one.indexed, None);
        overlay.add(vec![key(0)]);
        assert_eq!(overlay.range(&(key(0)..=key(9))).count(), 4);
        overlay.written(&one);
        let two = overlay.chunk(2, 11);
        assert_eq!(
            (two.keys.as_slice(), two.indexed),
            ([key(3)].as_slice(), Some(10))
        );
        overlay.written(&two);
        assert!(!overlay.is_frozen());
        let three = overlay.chunk(2, 11);
        assert_eq!(
            (three.keys.as_slice(), three.indexed),
            ([key(0)].as_slice(), Some(11))
        );
        overlay.written(&three);
        assert_eq!((overlay.len(), overlay.active_len()), (0, 0));
    }

    proptest! {
        #[test]
        fn an_overlay_is_a_set(
            added in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..40),
            start: u8,
            end: u8,
            limit in 1..20_usize,
        ) {
            let mut overlay = Overlay::default();
            let mut model = BTreeSet::new();
            for numbers in added {
                overlay.add(numbers.iter().map(|number| key(*number)).collect());
                model.extend(numbers.into_iter().map(key));
                let lengths: Vec<_> = overlay.active.iter().map(Vec::len).collect();
                prop_assert!(lengths.windows(2).all(|pair| pair[0] > 2 * pair[1]));
            }
            let range = key(start)..=key(end.max(start));
            let found: BTreeSet<_> = overlay.range(&range).collect();
            prop_assert!(found.iter().eq(model.range(range)));
            let mut written = Vec::new();
            while overlay.len() > 0 {
                let chunk = overlay.chunk(limit, 1);
                prop_assert!(chunk.keys.len() <= limit);
                overlay.written(&chunk);
                prop_assert_eq!(chunk.indexed.is_some(), !overlay.is_frozen());
                written.extend(chunk.keys);
            }
            prop_assert!(written.iter().eq(&model));
        }
    }
}
