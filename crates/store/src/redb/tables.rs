//! The tables of the file and their keys (`docs/src/spec/store.md`).

use std::ops::RangeInclusive;

use causality_fact::{ConflictKey, FactId, LOG_SIZE_MAX};
use redb::TableDefinition;

use crate::batch::Mark;

/// The newest format of the file that is read, and the one that is written.
pub const FORMAT: u64 = 0;

/// Numbers about the store as a whole, by name.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In [`META`]: the format. Written last when a store is made, so that half a store is none.
pub(super) const META_FORMAT: &str = "format";
/// In [`META`]: the journal up to this entry is in the index.
pub(super) const META_INDEXED: &str = "indexed";

/// From the number of a log to its id.
pub(super) const LOGS: TableDefinition<'_, u32, &[u8; 64]> = TableDefinition::new("logs");
/// From a log to where its merge of small segments goes on.
pub(super) const MERGED: TableDefinition<'_, u32, u64> = TableDefinition::new("merged");
/// From the place where a run of one level starts to its end and level.
pub(super) const RUNS: TableDefinition<'_, &[u8; PLACE_BYTES], (u64, u8)> =
    TableDefinition::new("runs");
/// From the place of its first entry to a segment.
pub(super) const SEGMENTS: TableDefinition<'_, &[u8; PLACE_BYTES], &[u8]> =
    TableDefinition::new("segments");
/// From the place of its first position to a block of leaf hashes.
pub(super) const HOLES: TableDefinition<'_, &[u8; PLACE_BYTES], &[u8]> =
    TableDefinition::new("holes");
/// The set of index keys.
pub(super) const INDEX: TableDefinition<'_, &[u8; INDEX_BYTES], ()> = TableDefinition::new("index");
/// From its number to an entry of the journal.
pub(super) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
/// From the number of a table and a key in it to a value.
pub(super) const SIDE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("side");

/// A place, ordered as its bytes: the number of the log and the position, big endian.
pub(super) const PLACE_BYTES: usize = 10;
/// A key of the index: what is looked up, the first 16 bytes of it, and a place where it stands.
pub(super) const INDEX_BYTES: usize = 1 + DIGEST_BYTES + PLACE_BYTES;
const DIGEST_BYTES: usize = 16;

/// What is looked up in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    kind: u8,
    bytes: [u8; DIGEST_BYTES],
}

impl From<&FactId> for Digest {
    fn from(id: &FactId) -> Self {
        Self::of(1, id.as_bytes())
    }
}

impl From<&ConflictKey> for Digest {
    fn from(key: &ConflictKey) -> Self {
        Self::of(2, key.as_bytes())
    }
}

impl From<&Mark> for Digest {
    fn from(mark: &Mark) -> Self {
        Self {
            kind: 3,
            bytes: *mark.as_bytes(),
        }
    }
}

impl Digest {
    fn of(kind: u8, bytes: &[u8; 32]) -> Self {
        let bytes = *bytes.first_chunk().expect("16 bytes are fewer than 32");
        Self { kind, bytes }
    }

    /// Its index key at a place.
    pub(super) fn at(self, log: u32, position: u64) -> [u8; INDEX_BYTES] {
        let mut key = [0; INDEX_BYTES];
        key[0] = self.kind;
        key[1..=DIGEST_BYTES].copy_from_slice(&self.bytes);
        key[1 + DIGEST_BYTES..].copy_from_slice(&place_key(log, position));
        key
    }

    /// Its index keys at all places.
    pub(super) fn everywhere(self) -> RangeInclusive<[u8; INDEX_BYTES]> {
        self.at(0, 0)..=self.at(u32::MAX, POSITION_MAX)
    }

    /// Its index keys in one log, from a position on.
    pub(super) fn in_log(self, log: u32, from: u64) -> RangeInclusive<[u8; INDEX_BYTES]> {
        self.at(log, from)..=self.at(log, POSITION_MAX)
    }
}

/// Above every position of a log.
pub(super) const POSITION_MAX: u64 = LOG_SIZE_MAX - 1;

/// The key of a place. A position above [`POSITION_MAX`], which nothing has, becomes that.
#[expect(clippy::big_endian_bytes, reason = "keys are ordered as their bytes")]
pub(super) fn place_key(log: u32, position: u64) -> [u8; PLACE_BYTES] {
    let mut key = [0; PLACE_BYTES];
    key[..4].copy_from_slice(&log.to_be_bytes());
    key[4..].copy_from_slice(&position.min(POSITION_MAX).to_be_bytes()[2..]);
    key
}

/// The number of the log and the position.
#[expect(clippy::big_endian_bytes, reason = "keys are ordered as their bytes")]
pub(super) fn place_of(key: &[u8; PLACE_BYTES]) -> (u32, u64) {
    let [a, b, c, d, position @ ..] = *key;
    let mut wide = [0; 8];
    wide[2..].copy_from_slice(&position);
    (u32::from_be_bytes([a, b, c, d]), u64::from_be_bytes(wide))
}

/// The place in an index key.
pub(super) fn place_in(key: &[u8; INDEX_BYTES]) -> (u32, u64) {
    let place = key.last_chunk().expect("an index key ends with a place");
    place_of(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_places_and_survive() {
        let places = [
            (0, 0),
            (0, 255),
            (0, 256),
            (0, POSITION_MAX),
            (1, 0),
            (256, 7),
        ];
        let keys: Vec<_> = places
            .iter()
            .map(|(log, at)| place_key(*log, *at))
            .collect();
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().map(place_of).collect::<Vec<_>>(), places);
        let digest = Digest::from(&FactId::new([7; 32]));
        assert_eq!(place_in(&digest.at(3, 9)), (3, 9));
        assert!(digest.in_log(3, 9).contains(&digest.at(3, 10)));
        assert!(!digest.in_log(3, 9).contains(&digest.at(4, 0)));
        assert!(
            !digest
                .everywhere()
                .contains(&Digest::from(&Mark::new([7; 16])).at(3, 9))
        );
    }
}
