//! The leaf hashes of withheld positions, in blocks apart from the segments (`docs/src/spec/store.md`, section "Holes").
//!
//! A row that is disclosed later goes into a segment, and the hash stays where it is: nothing is written again.

use std::ops::{ControlFlow, Range};

use causality_fact::{DecodeError, Decoder, TreeHash};
use redb::{Range as Rows, ReadableTable};

use super::segment::{Body, Slot};
use super::tables::{PLACE_BYTES, place_key, place_of};
use crate::error::StoreError;

/// The positions of a block: with its key, a full one fills a page of the file, 4 KiB.
pub(super) const BLOCK_POSITIONS: u64 = 126;

/// The leaf hashes of some of the positions of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    first: u64,
    /// A bit for each position whose hash is known.
    known: u128,
    /// In the order of the positions.
    hashes: Vec<TreeHash>,
}

impl Block {
    /// The first position of the block that has a position.
    pub(super) fn first_of(position: u64) -> u64 {
        position - position % BLOCK_POSITIONS
    }

    pub(super) fn empty(first: u64) -> Self {
        Self {
            first,
            known: 0,
            hashes: Vec::new(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.known.to_le_bytes().to_vec();
        bytes.extend(self.hashes.iter().flat_map(TreeHash::as_bytes));
        bytes
    }

    pub(super) fn from_bytes(first: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let block = Decoder::exactly(bytes, |from| Self::decode(first, from));
        block.map_err(|error| {
            StoreError::corrupt(format!("the hashes from position {first}: {error}"))
        })
    }

    fn decode(first: u64, from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let known = u128::from_le_bytes(from.array()?);
        if known == 0 || known >> BLOCK_POSITIONS != 0 || first != Self::first_of(first) {
            let rule = "a block has hashes of its own positions";
            return Err(DecodeError::NotCanonical { at: 0, rule });
        }
        let hashes = (0..known.count_ones()).map(|_| from.array().map(TreeHash::new));
        Ok(Self {
            first,
            known,
            hashes: hashes.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.first..self.first + BLOCK_POSITIONS
    }

    /// Keeps the hash of one of its positions; once known, a hash stays.
    pub(super) fn put(&mut self, position: u64, hash: TreeHash) {
        let (bit, rank) = self.find(position);
        if self.known & bit == 0 {
            self.known |= bit;
            self.hashes.insert(rank, hash);
        }
    }

    /// The hash of one of its positions.
    pub(super) fn get(&self, position: u64) -> Option<TreeHash> {
        let (bit, rank) = self.find(position);
        (self.known & bit != 0).then(|| self.hashes[rank])
    }

    /// The bit of a position, and how many hashes are before it.
    fn find(&self, position: u64) -> (u128, usize) {
        let bit = 1 << (position - self.first);
        (bit, (self.known & (bit - 1)).count_ones() as usize)
    }
}

/// The leaf of a position of which nothing else is held.
fn leaf(position: u64, hash: TreeHash) -> Slot<'static> {
    let body = Body::Withheld { level: 0, hash };
    Slot { position, body }
}

/// Finds single hashes of a log; a block is read once for neighbours.
#[derive(Debug)]
pub(super) struct Lookup<'a, T> {
    holes: &'a T,
    log: u32,
    block: Option<Block>,
}

impl<'a, T: ReadableTable<&'static [u8; PLACE_BYTES], &'static [u8]>> Lookup<'a, T> {
    pub(super) fn new(holes: &'a T, log: u32) -> Self {
        let block = None;
        Self { holes, log, block }
    }

    pub(super) fn leaf(&mut self, position: u64) -> Result<Option<Slot<'static>>, StoreError> {
        let first = Block::first_of(position);
        if self.block.as_ref().is_none_or(|block| block.first != first) {
            let found = self.holes.get(&place_key(self.log, first))?;
            let found = found.map(|bytes| Block::from_bytes(first, bytes.value()));
            self.block = Some(found.transpose()?.unwrap_or_else(|| Block::empty(first)));
        }
        let hash = self.block.as_ref().and_then(|block| block.get(position));
        Ok(hash.map(|hash| leaf(position, hash)))
    }
}

/// A walk through the hashes of a log, which reads each block once.
pub(super) struct Walk<'a> {
    rows: Rows<'a, &'static [u8; PLACE_BYTES], &'static [u8]>,
    block: Option<Block>,
}

impl<'a> Walk<'a> {
    /// Starts at the start of the range.
    pub(super) fn new(
        holes: &'a impl ReadableTable<&'static [u8; PLACE_BYTES], &'static [u8]>,
        log: u32,
        range: &Range<u64>,
    ) -> Result<Self, StoreError> {
        let start = place_key(log, Block::first_of(range.start));
        let end = place_key(log, range.end);
        let rows = holes.range::<&[u8; PLACE_BYTES]>(&start..=&end)?;
        Ok(Self { rows, block: None })
    }

    /// Visits the hashes in a range, which lies behind those before it.
    pub(super) fn visit(
        &mut self,
        range: Range<u64>,
        mut visit: impl FnMut(&Slot<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut at = range.start;
        while at < range.end {
            let passed = |block: &Block| block.range().end <= at;
            if self.block.as_ref().is_none_or(passed) {
                self.block = match self.rows.next() {
                    Some(row) => {
                        let (key, value) = row?;
                        let (_, first) = place_of(key.value());
                        Some(Block::from_bytes(first, value.value())?)
                    }
                    None => return Ok(ControlFlow::Continue(())),
                };
                continue;
            }
            let Some(block) = &self.block else { continue };
            let inside = block.range();
            for position in at.max(inside.start)..inside.end.min(range.end) {
                if let Some(hash) = block.get(position)
                    && visit(&leaf(position, hash))?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            at = inside.end;
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn hash(number: u64) -> TreeHash {
        TreeHash::new([number as u8; 32])
    }

    proptest! {
        #[test]
        fn a_block_is_a_map_and_survives_its_bytes(
            number in 0..(1_u64 << 40),
            puts in prop::collection::vec((0..BLOCK_POSITIONS, any::<u64>()), 1..200),
        ) {
            let first = number * BLOCK_POSITIONS;
            let (mut block, mut model) = (Block::empty(first), BTreeMap::new());
            for (at, number) in puts {
                block.put(first + at, hash(number));
                model.entry(first + at).or_insert(hash(number));
            }
            for position in block.range() {
                prop_assert_eq!(block.get(position), model.get(&position).copied());
                prop_assert_eq!(Block::first_of(position), first);
            }
            let bytes = block.to_bytes();
            prop_assert_eq!(bytes.len(), 16 + 32 * model.len());
            prop_assert_eq!(Block::from_bytes(first, &bytes), Ok(block));
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let first = 3 * BLOCK_POSITIONS;
        let mut block = Block::empty(first);
        assert!(Block::from_bytes(first, &block.to_bytes()).is_err());
        block.put(first, hash(1));
        block.put(first + BLOCK_POSITIONS - 1, hash(2));
        let bytes = block.to_bytes();
        assert_eq!(Block::from_bytes(first, &bytes), Ok(block));
        assert!(Block::from_bytes(first + 1, &bytes).is_err());
        for length in 0..bytes.len() {
            assert!(Block::from_bytes(first, &bytes[..length]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Block::from_bytes(first, &longer).is_err());
        let outside = [&(1_u128 << BLOCK_POSITIONS).to_le_bytes(), &bytes[16..48]].concat();
        assert!(Block::from_bytes(first, &outside).is_err());
    }
}
