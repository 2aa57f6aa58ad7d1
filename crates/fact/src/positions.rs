//! Sets of positions in a log: which ones a domain holds, wants or declines.
//!
//! A set is a list of runs, so that a log held whole costs nothing; `docs/src/spec/tree.md` gives its one encoding.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;

use thiserror::Error;

use crate::codec::DecodeError;
use crate::hash::TaggedHash;
use crate::tree::MAX_TREE_SIZE;

mod code;

/// Positions of a log, below [`MAX_TREE_SIZE`], as maximal runs: no two of them touch.
///
/// Finding and adding a run takes time logarithmic in the number of runs; operations on two sets, the encoding and the
/// digest take linear time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionSet {
    // From the start of a run to its end. A run is not empty and ends before the next one starts, with a gap.
    runs: BTreeMap<u64, u64>,
}

/// A position at or above [`MAX_TREE_SIZE`], which no log has.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("positions up to {end} are asked for, they have to stay below {MAX_TREE_SIZE}")]
#[non_exhaustive]
pub struct PositionTooLarge {
    /// The end of the range asked for.
    pub end: u64,
}

impl PositionSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes a set of at most `max_runs` runs from exactly the bytes that [`encode`](Self::encode) writes for it.
    /// Allocates at most 256 bytes for each byte of the input.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for all other bytes; `LimitExceeded` for more runs than `max_runs`.
    pub fn decode(bytes: &[u8], max_runs: usize) -> Result<Self, DecodeError> {
        let set = Self {
            runs: code::decode(bytes, max_runs)?.into_iter().collect(),
        };
        // The set is right; what can still differ is the choice of the parameters, and the padding.
        let canonical = set.encode();
        match iter::zip(&canonical, bytes).position(|(canonical, byte)| canonical != byte) {
            Some(at) => Err(DecodeError::NotCanonical {
                at,
                rule: code::SHORTEST,
            }),
            None if canonical.len() != bytes.len() => Err(DecodeError::NotCanonical {
                at: canonical.len(),
                rule: code::SHORTEST,
            }),
            None => Ok(set),
        }
    }

    /// Adds the positions of a range; one that runs backwards is empty.
    ///
    /// # Errors
    ///
    /// [`PositionTooLarge`] when it ends above [`MAX_TREE_SIZE`]; the set is then as before.
    pub fn insert(&mut self, range: Range<u64>) -> Result<(), PositionTooLarge> {
        let Range { mut start, mut end } = range;
        if end > MAX_TREE_SIZE {
            return Err(PositionTooLarge { end });
        }
        if start >= end {
            return Ok(());
        }
        // Swallow, from the last one down, the runs that overlap the range or touch it.
        while let Some((&other_start, &other_end)) = self.runs.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.runs.remove(&other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.runs.insert(start, end);
        Ok(())
    }

    /// Takes the positions of a range out of the set; one that runs backwards is empty.
    pub fn remove(&mut self, range: Range<u64>) {
        let Range { start, end } = range;
        if start >= end {
            return;
        }
        while let Some((&other_start, &other_end)) = self.runs.range(..end).next_back() {
            if other_end <= start {
                return;
            }
            self.runs.remove(&other_start);
            if other_end > end {
                self.runs.insert(end, other_end);
            }
            if other_start < start {
                self.runs.insert(other_start, start);
                return;
            }
        }
    }

    /// Whether the position is in the set.
    pub fn contains(&self, position: u64) -> bool {
        self.runs
            .range(..=position)
            .next_back()
            .is_some_and(|(_, end)| position < *end)
    }

    /// Whether no position is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many positions are in the set. Takes time linear in the number of runs.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }

    /// The runs in ascending order; between two of them there is at least one position that is not in the set.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> + Clone {
        self.runs.iter().map(|(start, end)| *start..*end)
    }

    /// How many runs the set has.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// `Some(n)` when the set is exactly `0..n`: a log held without holes.
    pub fn is_prefix(&self) -> Option<u64> {
        match self.runs.first_key_value() {
            None => Some(0),
            Some((0, end)) if self.runs.len() == 1 => Some(*end),
            Some(_) => None,
        }
    }

    /// The positions in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        collect(complement(overlap(
            complement(self.runs()),
            complement(other.runs()),
        )))
    }

    /// The positions in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        collect(overlap(self.runs(), other.runs()))
    }

    /// The positions in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        collect(overlap(self.runs(), complement(other.runs())))
    }

    /// The one encoding of the set: gaps and runs, each in a Rice code of the best parameter.
    pub fn encode(&self) -> Vec<u8> {
        code::encode(&self.runs)
    }

    /// The tagged hash of the encoding: equal for equal sets only.
    pub fn hash(&self) -> [u8; 32] {
        TaggedHash::new("causality/0/positions")
            .chain(self.encode())
            .finish()
    }

    /// The first 16 bytes of the [`hash`](Self::hash), for what two sides compare and nobody signs.
    pub fn digest(&self) -> [u8; 16] {
        let hash = self.hash();
        *hash.first_chunk().expect("16 bytes are fewer than 32")
    }
}

fn collect(runs: impl Iterator<Item = Range<u64>>) -> PositionSet {
    PositionSet {
        runs: runs.map(|run| (run.start, run.end)).collect(),
    }
}

/// The runs of the positions that are in no run given.
fn complement(runs: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    let mut end = 0;
    let behind = iter::once(MAX_TREE_SIZE..MAX_TREE_SIZE);
    runs.chain(behind).filter_map(move |run| {
        let gap = end..run.start;
        end = run.end;
        (!gap.is_empty()).then_some(gap)
    })
}

/// The runs of the positions that are in a run of either side.
fn overlap(
    mut left: impl Iterator<Item = Range<u64>>,
    mut right: impl Iterator<Item = Range<u64>>,
) -> impl Iterator<Item = Range<u64>> {
    let (mut a, mut b) = (left.next(), right.next());
    iter::from_fn(move || {
        loop {
            let (one, other) = (a.clone()?, b.clone()?);
            if one.end <= other.end {
                a = left.next();
            } else {
                b = right.next();
            }
            let both = one.start.max(other.start)..one.end.min(other.end);
            if !both.is_empty() {
                return Some(both);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    pub(super) fn set(runs: &[(u64, u64)]) -> PositionSet {
        let mut set = PositionSet::new();
        runs.iter()
            .for_each(|(start, end)| set.insert(*start..*end).unwrap());
        set
    }

    fn runs(set: &PositionSet) -> Vec<(u64, u64)> {
        set.runs().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn runs_that_touch_or_overlap_become_one() {
        assert_eq!(
            runs(&set(&[(5, 7), (1, 2), (9, 12)])),
            [(1, 2), (5, 7), (9, 12)]
        );
        assert_eq!(runs(&set(&[(5, 7), (7, 9)])), [(5, 9)]);
        assert_eq!(runs(&set(&[(7, 9), (5, 7)])), [(5, 9)]);
        assert_eq!(runs(&set(&[(1, 2), (5, 7), (9, 12), (2, 9)])), [(1, 12)]);
        assert_eq!(
            runs(&set(&[(1, 2), (5, 7), (9, 12), (6, 10)])),
            [(1, 2), (5, 12)]
        );
        assert_eq!(runs(&set(&[(1, 12), (3, 4)])), [(1, 12)]);
        assert_eq!(runs(&set(&[(5, 5), (9, 3)])), []);
    }

    #[test]
    fn positions_stay_below_the_largest_tree() {
        let mut set = set(&[(MAX_TREE_SIZE - 1, MAX_TREE_SIZE)]);
        let end = MAX_TREE_SIZE + 1;
        assert_eq!(set.insert(0..end), Err(PositionTooLarge { end }));
        assert_eq!((set.len(), set.contains(MAX_TREE_SIZE - 1)), (1, true));
        set.insert(0..MAX_TREE_SIZE).unwrap();
        assert_eq!(set.is_prefix(), Some(MAX_TREE_SIZE));
        assert_eq!(PositionSet::new().difference(&set).len(), 0);
        assert_eq!(set.difference(&PositionSet::new()), set);
    }

    #[test]
    fn a_prefix_is_one_run_from_zero_or_nothing() {
        assert_eq!(PositionSet::new().is_prefix(), Some(0));
        assert_eq!(set(&[(0, 9)]).is_prefix(), Some(9));
        assert_eq!(set(&[(1, 9)]).is_prefix(), None);
        assert_eq!(set(&[(0, 9), (10, 11)]).is_prefix(), None);
    }

    #[test]
    fn a_digest_tells_sets_apart() {
        assert_eq!(set(&[(0, 5), (5, 9)]).digest(), set(&[(0, 9)]).digest());
        assert_ne!(set(&[(0, 8)]).digest(), set(&[(0, 9)]).digest());
    }

    #[test]
    fn encodings_stay_near_the_entropy() {
        let whole = set(&[(0, 4096)]).encode();
        assert_eq!(whole.len(), 5);
        assert_eq!(set(&[(4096, 8192)]).encode().len(), 7);
        for (holes, limit) in [(1_000, 2_500), (100_000, 70_000)] {
            let set = with_random_holes(1_000_000, holes);
            let bytes = set.encode();
            assert!(
                bytes.len() < limit,
                "{holes} holes take {} bytes",
                bytes.len()
            );
            assert_eq!(PositionSet::decode(&bytes, holes + 1), Ok(set));
        }
    }

    fn with_random_holes(size: u64, holes: usize) -> PositionSet {
        let random = |seed: u64| {
            let digest = TaggedHash::new("causality/0/test")
                .chain(seed.to_le_bytes())
                .finish();
            u64::from_le_bytes(*digest.first_chunk().unwrap()) % size
        };
        let mut positions = BTreeSet::new();
        (0..)
            .map(random)
            .find(|position| positions.insert(*position) && positions.len() == holes);
        collect(complement(positions.into_iter().map(|hole| hole..hole + 1)))
            .intersection(&set(&[(0, size)]))
    }

    fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec(
            (0..200u64, 0..20u64).prop_map(|(start, len)| (start, start + len)),
            0..20,
        )
    }

    fn model(ranges: &[(u64, u64)]) -> BTreeSet<u64> {
        ranges
            .iter()
            .flat_map(|(start, end)| *start..*end)
            .collect()
    }

    fn check(set: &PositionSet, model: BTreeSet<u64>) {
        assert_eq!(
            set.runs().flatten().collect::<Vec<_>>(),
            Vec::from_iter(model.clone())
        );
        assert!((0..230).all(|position| set.contains(position) == model.contains(&position)));
        assert_eq!(
            (set.len(), set.is_empty()),
            (model.len() as u64, model.is_empty())
        );
        let runs = runs(set);
        assert!(
            runs.windows(2).all(|pair| pair[0].1 < pair[1].0),
            "runs are maximal"
        );
        assert_eq!(set.run_count(), runs.len());
        let is_prefix = model.iter().copied().eq(0..model.len() as u64);
        assert_eq!(set.is_prefix(), is_prefix.then_some(model.len() as u64));
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(a in ranges(), b in ranges()) {
            let (left, right) = (set(&a), set(&b));
            let (a, b) = (model(&a), model(&b));
            check(&left, a.clone());
            check(&left.union(&right), &a | &b);
            check(&left.intersection(&right), &a & &b);
            check(&left.difference(&right), &a - &b);
            prop_assert_eq!(left == right, a == b);
            prop_assert_eq!(left.digest() == right.digest(), a == b);
        }
    }
}
