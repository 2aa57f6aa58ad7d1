//! Index keys that are not in the table yet: in memory, visible to reads at once, written sorted in the background.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::tables::INDEX_BYTES;

/// Two sets of keys: those that arrive, and those that are being written.
///
/// A set is frozen together with the number of the last journal entry then. Once all of it is in the table, the journal
/// is indexed up to that entry; after a crash the rest is made again from the journal.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    active: BTreeSet<[u8; INDEX_BYTES]>,
    frozen: BTreeSet<[u8; INDEX_BYTES]>,
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
    pub(super) fn add(&mut self, keys: impl IntoIterator<Item = [u8; INDEX_BYTES]>) {
        self.active.extend(keys);
    }

    pub(super) fn len(&self) -> usize {
        self.active.len() + self.frozen.len()
    }

    pub(super) fn is_frozen(&self) -> bool {
        !self.frozen.is_empty()
    }

    pub(super) fn active_len(&self) -> usize {
        self.active.len()
    }

    /// The keys in a range; those of the two sets may be the same.
    pub(super) fn range(
        &self,
        range: &RangeInclusive<[u8; INDEX_BYTES]>,
    ) -> impl Iterator<Item = [u8; INDEX_BYTES]> {
        let active = self.active.range(range.clone());
        active.chain(self.frozen.range(range.clone())).copied()
    }

    /// At most `limit` of the frozen keys. When none are left, freezes the others; `journal` is the last entry so far.
    pub(super) fn chunk(&mut self, limit: usize, journal: u64) -> Chunk {
        if self.frozen.is_empty() {
            self.frozen = std::mem::take(&mut self.active);
            self.frozen_to = journal;
        }
        let keys: Vec<_> = self.frozen.iter().take(limit).copied().collect();
        let indexed = (keys.len() == self.frozen.len()).then_some(self.frozen_to);
        Chunk { keys, indexed }
    }

    /// The keys of the chunk are in the table.
    pub(super) fn written(&mut self, chunk: &Chunk) {
        match chunk.keys.last() {
            Some(last) if chunk.indexed.is_none() => {
                self.frozen = self.frozen.split_off(last);
                self.frozen.remove(last);
            }
            _ => self.frozen.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_visible_until_they_are_written_and_only_then_the_journal_is_indexed() {
        let mut overlay = Overlay::default();
        let key = |number| [number; INDEX_BYTES];
        overlay.add([key(3), key(1), key(2)]);
        let one = overlay.chunk(2, 10);
        assert_eq!(
            (one.keys.as_slice(), one.indexed),
            ([key(1), key(2)].as_slice(), None)
        );
        overlay.add([key(0)]);
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
}
