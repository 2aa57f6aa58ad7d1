//! The compact range: all that a follower of a log needs to append to it and to know its root.

use super::MAX_TREE_SIZE;
use super::TreeError;
use super::TreeHash;
use super::check_size;
use super::node_hash;
use super::subtree::MAX_LEVEL;

/// The leaves `0..size` of a tree, kept as the roots of the subtrees that [`decompose`](super::decompose) lists for
/// them: one for each bit set in `size`, the largest first; at most 63 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    // As many as `size` has bits set.
    hashes: Vec<TreeHash>,
}

impl CompactRange {
    /// The range of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A range as it was stored.
    ///
    /// # Errors
    ///
    /// [`TreeError::SizeTooLarge`], or [`TreeError::HashCount`] unless there is one hash for each bit set in `size`.
    pub fn from_parts(size: u64, hashes: Vec<TreeHash>) -> Result<Self, TreeError> {
        check_size(size)?;
        let (expected, actual) = (u64::from(size.count_ones()), hashes.len() as u64);
        if actual != expected {
            return Err(TreeError::HashCount { expected, actual });
        }
        Ok(Self { size, hashes })
    }

    /// Appends one leaf.
    ///
    /// # Errors
    ///
    /// [`TreeError::SizeTooLarge`] when the tree is full.
    pub fn push(&mut self, leaf: TreeHash) -> Result<(), TreeError> {
        self.push_subtree(0, leaf)
    }

    /// Appends the next 2^`level` leaves at once, given the root of the subtree over them.
    ///
    /// # Errors
    ///
    /// [`TreeError::LevelTooHigh`] above level 63, [`TreeError::NotAligned`] unless the size is a multiple of 2^`level`,
    /// [`TreeError::SizeTooLarge`] when they have no room. The range is then as before.
    pub fn push_subtree(&mut self, level: u8, root: TreeHash) -> Result<(), TreeError> {
        if level > MAX_LEVEL {
            return Err(TreeError::LevelTooHigh {
                level,
                limit: MAX_LEVEL,
            });
        }
        let leaves = 1 << level;
        if !self.size.is_multiple_of(leaves) {
            return Err(TreeError::NotAligned {
                start: self.size,
                level,
            });
        }
        if leaves > MAX_TREE_SIZE - self.size {
            return Err(TreeError::SizeTooLarge {
                size: self.size.saturating_add(leaves),
            });
        }
        self.merge(level, root);
        Ok(())
    }

    /// How many leaves the range has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes to store; with [`size`](Self::size) they make the range again.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// The root of the tree over the leaves so far.
    pub fn root(&self) -> TreeHash {
        match self.hashes.split_last() {
            Some((last, left)) => fold(left, *last),
            None => TreeHash::empty(),
        }
    }

    /// The root once a clipped subtree has followed: `tail` is the root over the last leaves, fewer than 2^level for a
    /// level at which the size is aligned.
    pub(super) fn root_with(&self, tail: TreeHash) -> TreeHash {
        fold(&self.hashes, tail)
    }

    /// [`push_subtree`](Self::push_subtree) where the size is known to be aligned and the tree to have room.
    pub(super) fn merge(&mut self, level: u8, root: TreeHash) {
        // Each trailing one is a full left sibling, as when one is added to a binary number.
        let siblings = (self.size >> level).trailing_ones() as usize;
        let left = self.hashes.split_off(self.hashes.len() - siblings);
        self.hashes.push(fold(&left, root));
        self.size += 1 << level;
    }
}

/// Joins subtrees that shrink from left to right.
fn fold(left: &[TreeHash], last: TreeHash) -> TreeHash {
    left.iter()
        .rfold(last, |right, left| node_hash(left, &right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::leaves;
    use super::super::tests::naive_root;
    use super::*;

    #[test]
    fn appending_leaves_yields_each_root_and_survives_storage() {
        let leaves = leaves(600);
        let mut range = CompactRange::new();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(range.root(), naive_root(&leaves[..size]));
            let stored = CompactRange::from_parts(range.size(), range.hashes().to_vec());
            assert_eq!(stored.as_ref(), Ok(&range));
            range.push(*leaf).unwrap();
        }
    }

    #[test]
    fn stored_hashes_of_another_number_are_refused() {
        let hash = TreeHash::empty();
        let error = CompactRange::from_parts(5, vec![hash; 3]);
        assert_eq!(
            error,
            Err(TreeError::HashCount {
                expected: 2,
                actual: 3
            })
        );
        let error = CompactRange::from_parts(0, vec![hash]);
        assert_eq!(
            error,
            Err(TreeError::HashCount {
                expected: 0,
                actual: 1
            })
        );
    }

    #[test]
    fn a_tree_has_at_most_2_to_the_63_leaves() {
        let hash = TreeHash::empty();
        let mut full = CompactRange::from_parts(MAX_TREE_SIZE, vec![hash]).unwrap();
        let size = MAX_TREE_SIZE + 1;
        assert_eq!(full.push(hash), Err(TreeError::SizeTooLarge { size }));
        assert_eq!(
            full.push_subtree(63, hash),
            Err(TreeError::SizeTooLarge { size: u64::MAX })
        );
        let error = CompactRange::from_parts(size, vec![hash; 2]);
        assert_eq!(error, Err(TreeError::SizeTooLarge { size }));

        let mut almost = CompactRange::from_parts(MAX_TREE_SIZE - 1, vec![hash; 63]).unwrap();
        assert_eq!(almost.push(hash), Ok(()));
        assert_eq!((almost.size(), almost.hashes().len()), (MAX_TREE_SIZE, 1));
        assert_eq!(CompactRange::new().push_subtree(63, hash), Ok(()));
    }

    #[test]
    fn a_subtree_is_appended_only_where_it_is_aligned() {
        let hash = TreeHash::empty();
        let mut range = CompactRange::from_parts(4, vec![hash]).unwrap();
        assert_eq!(
            range.push_subtree(3, hash),
            Err(TreeError::NotAligned { start: 4, level: 3 })
        );
        let error = TreeError::LevelTooHigh {
            level: 64,
            limit: 63,
        };
        assert_eq!(range.push_subtree(64, hash), Err(error));
        assert_eq!(range.push_subtree(2, hash), Ok(()));
        assert_eq!(range.size(), 8);
    }

    proptest! {
        #[test]
        fn appending_subtrees_equals_appending_their_leaves(levels in prop::collection::vec(0..7u8, 0..20)) {
            let leaves = leaves(20 * 64);
            let mut range = CompactRange::new();
            for level in levels {
                let start = range.size() as usize;
                let end = start + (1 << level);
                if start.is_multiple_of(1 << level) {
                    range.push_subtree(level, naive_root(&leaves[start..end])).unwrap();
                    prop_assert_eq!(range.root(), naive_root(&leaves[..end]));
                }
            }
        }
    }
}
