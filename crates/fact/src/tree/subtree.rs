//! Aligned subtrees: the nodes of a tree, and the unit in which runs of positions are hashed and checked.

use std::ops::Range;

use super::BLOCK_LEVEL;
use super::CompactRange;
use super::TreeError;
use super::TreeHash;
use super::check_size;

/// A level above it would be a tree beyond [`MAX_TREE_SIZE`](super::MAX_TREE_SIZE).
pub(super) const MAX_LEVEL: u8 = 63;

/// The leaves `start..start + 2^level`, where `start` is a multiple of 2^`level`. In a tree that ends inside it, the
/// subtree is *clipped*: it has the leaves up to that end, and its hash is the root over those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subtree {
    start: u64,
    level: u8,
}

impl Subtree {
    /// The subtree of `level` that starts at the leaf `start`.
    ///
    /// # Errors
    ///
    /// [`TreeError::LevelTooHigh`] above level 63, [`TreeError::NotAligned`] unless `start` is a multiple of 2^`level`,
    /// [`TreeError::SizeTooLarge`] when it would end above [`MAX_TREE_SIZE`](super::MAX_TREE_SIZE).
    pub fn new(start: u64, level: u8) -> Result<Self, TreeError> {
        if level > MAX_LEVEL {
            return Err(TreeError::LevelTooHigh {
                level,
                limit: MAX_LEVEL,
            });
        }
        if !start.is_multiple_of(1 << level) {
            return Err(TreeError::NotAligned { start, level });
        }
        check_size(start.saturating_add(1 << level))?;
        Ok(Self { start, level })
    }

    /// The block with the given number, counted from 0.
    ///
    /// # Errors
    ///
    /// [`TreeError::SizeTooLarge`] for a block that no tree has.
    pub fn block(number: u64) -> Result<Self, TreeError> {
        Self::new(number.saturating_mul(1 << BLOCK_LEVEL), BLOCK_LEVEL).map_err(|_| {
            TreeError::SizeTooLarge {
                size: number.saturating_add(1).saturating_mul(1 << BLOCK_LEVEL),
            }
        })
    }

    /// The subtree of `level` around the leaf `index`; both are known to be in range.
    pub(super) fn around(index: u64, level: u8) -> Self {
        Self {
            start: index >> level << level,
            level,
        }
    }

    /// Its first leaf.
    pub fn start(self) -> u64 {
        self.start
    }

    /// The logarithm of how many leaves it has, unclipped; at most 63.
    pub fn level(self) -> u8 {
        self.level
    }

    /// Its leaves in a tree of `size`; empty when the tree ends before it.
    pub fn range_in(self, size: u64) -> Range<u64> {
        self.start.min(size)..self.end().min(size)
    }

    /// Derives its hash in a tree of `size` from the hashes of smaller subtrees, which have to cover it in ascending
    /// order without gap or overlap; the last one may be clipped. This is how the parts of a block are checked against
    /// its root before any of them is stored: the parts are right if the caller finds the result to be that root.
    ///
    /// # Errors
    ///
    /// [`TreeError::IndexBeyondSize`] when the tree ends before this subtree, [`TreeError::NotCovering`] and
    /// [`TreeError::LevelTooHigh`] for parts that are not such a cover.
    pub fn hash_from(self, size: u64, parts: &[(Self, TreeHash)]) -> Result<TreeHash, TreeError> {
        check_size(size)?;
        if self.start >= size {
            return Err(TreeError::IndexBeyondSize {
                index: self.start,
                size,
            });
        }
        let Range { start, end } = self.range_in(size);
        let (mut at, mut whole, mut clipped) = (start, CompactRange::new(), None);
        for (part, hash) in parts {
            if part.start != at || at == end {
                return Err(TreeError::NotCovering { start, end, at });
            }
            if part.level > self.level {
                return Err(TreeError::LevelTooHigh {
                    level: part.level,
                    limit: self.level,
                });
            }
            at = part.end().min(end);
            if part.end() > end {
                clipped = Some(*hash);
            } else {
                // `whole` counts from `start`, which is aligned at least as high as the part.
                whole.merge(part.level, *hash);
            }
        }
        if at != end {
            return Err(TreeError::NotCovering { start, end, at });
        }
        Ok(clipped.map_or_else(|| whole.root(), |tail| whole.root_with(tail)))
    }

    fn end(self) -> u64 {
        self.start + (1 << self.level)
    }
}

/// The shortest list of subtrees that are together exactly the leaves of `range`, in ascending order: each is the
/// largest aligned one that fits at its start. None is clipped, so that their hashes hold in every tree that has these
/// leaves. For `0..size` it is what a [`CompactRange`] keeps; it has at most 124 entries. A range that runs backwards
/// is empty.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`] when the range ends above [`MAX_TREE_SIZE`](super::MAX_TREE_SIZE).
pub fn decompose(range: Range<u64>) -> Result<Vec<Subtree>, TreeError> {
    check_size(range.end)?;
    let Range { start: mut at, end } = range;
    let mut subtrees = Vec::new();
    while at < end {
        // Both are at most 63.
        let level = at.trailing_zeros().min((end - at).ilog2()) as u8;
        let subtree = Subtree { start: at, level };
        subtrees.push(subtree);
        at = subtree.end();
    }
    Ok(subtrees)
}

#[cfg(test)]
mod tests {
    use super::super::MAX_TREE_SIZE;
    use super::super::root_of;
    use super::super::tests::leaves;
    use super::*;

    fn subtree(start: u64, level: u8) -> Subtree {
        Subtree::new(start, level).unwrap()
    }

    fn parts(of: &[Subtree], leaves: &[TreeHash]) -> Vec<(Subtree, TreeHash)> {
        let hash = |subtree: &Subtree| {
            let range = subtree.range_in(leaves.len() as u64);
            (
                *subtree,
                root_of(&leaves[range.start as usize..range.end as usize]),
            )
        };
        of.iter().map(hash).collect()
    }

    #[test]
    fn a_subtree_starts_at_a_multiple_of_its_leaves() {
        assert_eq!(subtree(24, 3).range_in(100), 24..32);
        assert_eq!(subtree(24, 3).range_in(27), 24..27);
        assert_eq!(subtree(24, 3).range_in(5), 5..5);
        assert_eq!((subtree(24, 3).start(), subtree(24, 3).level()), (24, 3));
        assert_eq!(
            Subtree::new(24, 4),
            Err(TreeError::NotAligned {
                start: 24,
                level: 4
            })
        );
    }

    #[test]
    fn subtrees_end_where_the_largest_tree_does() {
        assert_eq!(subtree(0, 63).range_in(u64::MAX), 0..MAX_TREE_SIZE);
        assert_eq!(
            subtree(MAX_TREE_SIZE - 1, 0).range_in(u64::MAX).end,
            MAX_TREE_SIZE
        );
        let error = Subtree::new(MAX_TREE_SIZE, 0);
        assert_eq!(
            error,
            Err(TreeError::SizeTooLarge {
                size: MAX_TREE_SIZE + 1
            })
        );
        assert_eq!(
            Subtree::new(0, 64),
            Err(TreeError::LevelTooHigh {
                level: 64,
                limit: 63
            })
        );
        assert_eq!(
            Subtree::block(3).map(|block| block.range_in(15_000)),
            Ok(12_288..15_000)
        );
        let last = (MAX_TREE_SIZE >> BLOCK_LEVEL) - 1;
        assert_eq!(Subtree::block(last).map(Subtree::end), Ok(MAX_TREE_SIZE));
        let size = MAX_TREE_SIZE + 4096;
        assert_eq!(
            Subtree::block(last + 1),
            Err(TreeError::SizeTooLarge { size })
        );
        assert_eq!(
            Subtree::block(u64::MAX),
            Err(TreeError::SizeTooLarge { size: u64::MAX })
        );
    }

    #[test]
    fn decomposition_covers_exactly_and_as_short_as_can_be() {
        for start in 0..70u64 {
            for end in start..70 {
                let subtrees = decompose(start..end).unwrap();
                let mut at = start;
                for subtree in &subtrees {
                    assert_eq!(Subtree::new(subtree.start, subtree.level), Ok(*subtree));
                    assert_eq!(subtree.start, at);
                    at = subtree.end();
                }
                assert_eq!(at, end);
                // Minimal: no two neighbours are the halves of one aligned subtree.
                let halves = |pair: &[Subtree]| {
                    pair[0].level == pair[1].level
                        && pair[0].start.is_multiple_of(2 << pair[0].level)
                };
                assert!(!subtrees.windows(2).any(halves), "{start}..{end}");
            }
        }
    }

    #[test]
    fn a_decomposition_appends_to_a_compact_range() {
        let leaves = leaves(200);
        for (start, end) in [(0, 200), (1, 200), (77, 130), (128, 129), (64, 64)] {
            let mut range = CompactRange::new();
            leaves[..start]
                .iter()
                .for_each(|leaf| range.push(*leaf).unwrap());
            for (part, hash) in parts(&decompose(start as u64..end as u64).unwrap(), &leaves) {
                range.push_subtree(part.level, hash).unwrap();
            }
            assert_eq!(range.root(), root_of(&leaves[..end]));
        }
    }

    #[test]
    fn the_longest_decomposition_stays_short() {
        assert_eq!(
            decompose(1..MAX_TREE_SIZE - 1).map(|list| list.len()),
            Ok(124)
        );
        assert_eq!(decompose(0..MAX_TREE_SIZE), Ok(vec![subtree(0, 63)]));
        assert_eq!(decompose(Range { start: 5, end: 3 }), Ok(vec![]));
        let size = MAX_TREE_SIZE + 1;
        assert_eq!(decompose(0..size), Err(TreeError::SizeTooLarge { size }));
    }

    #[test]
    fn parts_lead_to_the_hash_of_a_whole_or_clipped_subtree() {
        let all = leaves(64);
        for size in 33..=64 {
            let leaves = &all[..size];
            let size = size as u64;
            let node = subtree(32, 5);
            let expected = Ok(root_of(&leaves[32..]));
            let exact = parts(&decompose(node.range_in(size)).unwrap(), leaves);
            assert_eq!(node.hash_from(size, &exact), expected);
            for level in 0..=5 {
                let starts = (32..size).step_by(1 << level);
                let even: Vec<_> = starts.map(|start| subtree(start, level)).collect();
                assert_eq!(node.hash_from(size, &parts(&even, leaves)), expected);
            }
        }
    }

    #[test]
    fn parts_with_a_gap_an_overlap_a_surplus_or_a_lack_are_refused() {
        let leaves = leaves(14);
        let node = subtree(8, 3);
        let check = |list: &[(u64, u8)], at| {
            let list: Vec<_> = list
                .iter()
                .map(|(start, level)| subtree(*start, *level))
                .collect();
            let error = TreeError::NotCovering {
                start: 8,
                end: 14,
                at,
            };
            assert_eq!(node.hash_from(14, &parts(&list, &leaves)), Err(error));
        };
        check(&[(8, 1), (12, 1)], 10);
        check(&[(8, 2), (11, 0), (12, 1)], 12);
        check(&[(8, 2), (8, 2)], 12);
        check(&[(8, 2), (12, 1), (14, 1)], 14);
        check(&[(8, 2), (12, 2), (16, 0)], 14);
        check(&[(8, 2)], 12);
        check(&[], 8);
        check(&[(0, 2), (8, 2), (12, 1)], 8);
    }

    #[test]
    fn parts_above_the_subtree_or_behind_the_tree_are_refused() {
        let leaves = leaves(14);
        let above = parts(&[subtree(0, 4)], &leaves);
        let error = TreeError::LevelTooHigh { level: 4, limit: 3 };
        assert_eq!(subtree(0, 3).hash_from(14, &above), Err(error));
        let error = TreeError::IndexBeyondSize {
            index: 16,
            size: 16,
        };
        assert_eq!(subtree(16, 2).hash_from(16, &[]), Err(error));
        let size = MAX_TREE_SIZE + 1;
        assert_eq!(
            subtree(16, 2).hash_from(size, &[]),
            Err(TreeError::SizeTooLarge { size })
        );
    }

    #[test]
    fn a_changed_part_leads_to_another_hash() {
        let leaves = leaves(14);
        let node = subtree(8, 3);
        let mut changed = parts(&decompose(8..14).unwrap(), &leaves);
        changed[1].1 = TreeHash::empty();
        assert_ne!(node.hash_from(14, &changed), Ok(root_of(&leaves[8..])));
    }
}
