//! Blocks of 4096 leaves: the grain in which a log is compared, sent and stored.

use super::CompactRange;
use super::Subtree;
use super::TreeError;
use super::TreeHash;
use super::check_size;
use super::root_of;

/// The level of the subtrees that are blocks.
pub const BLOCK_LEVEL: u8 = 12;

/// How many leaves a block has; the last one of a tree may have fewer.
pub const BLOCK_LEAVES: u64 = 1 << BLOCK_LEVEL;

/// How many blocks a tree of `size` has, a clipped last one included.
pub fn blocks_of(size: u64) -> u64 {
    size.div_ceil(BLOCK_LEAVES)
}

/// The root of a tree of `size` from the roots of all its blocks, the last one clipped where the tree ends.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`], or [`TreeError::HashCount`] for another number of roots than the tree has blocks.
pub fn root_from_blocks(size: u64, roots: &[TreeHash]) -> Result<TreeHash, TreeError> {
    check_size(size)?;
    let (expected, actual) = (blocks_of(size), roots.len() as u64);
    if actual != expected {
        return Err(TreeError::HashCount { expected, actual });
    }
    Ok(root_of(roots))
}

/// A growing tree with the roots of its blocks: a hash in memory for each 4096 leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockRoots {
    closed: Vec<TreeHash>,
    // The range over `closed`: its root is found again without hashing all of them.
    above: CompactRange,
    // The leaves behind the closed blocks, fewer than a block.
    open: CompactRange,
}

impl BlockRoots {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree as it was stored: the roots of its full blocks, and the leaves behind them.
    ///
    /// # Errors
    ///
    /// [`TreeError::HashCount`] when `open` has a full block or more.
    pub fn from_parts(closed: Vec<TreeHash>, open: CompactRange) -> Result<Self, TreeError> {
        if open.size() >= BLOCK_LEAVES {
            let (expected, actual) = (BLOCK_LEAVES - 1, open.size());
            return Err(TreeError::HashCount { expected, actual });
        }
        let mut above = CompactRange::new();
        closed.iter().for_each(|root| above.merge(0, *root));
        Ok(Self {
            closed,
            above,
            open,
        })
    }

    /// Appends one leaf; when it fills a block, returns the root of that block. No memory holds the roots of a tree of
    /// [`MAX_TREE_SIZE`](super::MAX_TREE_SIZE), so that there is always room.
    pub fn push(&mut self, leaf: TreeHash) -> Option<TreeHash> {
        let mut open = std::mem::take(&mut self.open);
        open.merge(0, leaf);
        self.replace_open(open)
    }

    /// Replaces the leaves behind the full blocks by `open`, which holds them and more but at most a block; when it is
    /// a full block, returns its root.
    pub(crate) fn replace_open(&mut self, open: CompactRange) -> Option<TreeHash> {
        if open.size() < BLOCK_LEAVES {
            self.open = open;
            return None;
        }
        self.open = CompactRange::new();
        let root = open.root();
        self.closed.push(root);
        self.above.merge(0, root);
        Some(root)
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.closed.len() as u64 * BLOCK_LEAVES + self.open.size()
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        match self.open.size() {
            0 => self.above.root(),
            _ => self.above.root_with(self.open.root()),
        }
    }

    /// The roots of the full blocks.
    pub fn closed(&self) -> &[TreeHash] {
        &self.closed
    }

    /// The leaves behind the full blocks.
    pub fn open(&self) -> &CompactRange {
        &self.open
    }

    /// The roots of all blocks, the last one clipped.
    pub fn roots(&self) -> Vec<TreeHash> {
        let open = (self.open.size() > 0).then(|| self.open.root());
        self.closed.iter().copied().chain(open).collect()
    }

    /// The hash of a subtree in this tree, if it is made of blocks; else the leaves of its one block are needed. Takes
    /// time in proportion to its blocks.
    pub fn hash(&self, subtree: Subtree) -> Option<TreeHash> {
        let range = subtree.range_in(self.size());
        let whole = range.start.is_multiple_of(BLOCK_LEAVES)
            && (range.end.is_multiple_of(BLOCK_LEAVES) || range.end == self.size());
        if range.is_empty() || !whole {
            return None;
        }
        let (first, end) = (range.start / BLOCK_LEAVES, blocks_of(range.end));
        let closed = self
            .closed
            .get(first as usize..self.closed.len().min(end as usize))?;
        let open = (end as usize > self.closed.len()).then(|| self.open.root());
        Some(root_of(
            &closed.iter().copied().chain(open).collect::<Vec<_>>(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_TREE_SIZE;
    use super::super::tests::leaves;
    use super::*;

    #[test]
    fn block_roots_lead_to_the_root_at_every_size() {
        let leaves = leaves(3 * BLOCK_LEAVES + 10);
        let (mut tree, mut range) = (BlockRoots::new(), CompactRange::new());
        for (index, leaf) in leaves.iter().enumerate() {
            let closed = tree.push(*leaf);
            range.push(*leaf).unwrap();
            let size = index as u64 + 1;
            assert_eq!((tree.size(), tree.root()), (size, range.root()));
            assert_eq!(closed.is_some(), size.is_multiple_of(BLOCK_LEAVES));
            assert_eq!(tree.roots().len() as u64, blocks_of(size));
            if size.is_multiple_of(1000) || closed.is_some() {
                assert_eq!(root_from_blocks(size, &tree.roots()), Ok(range.root()));
                let stored = BlockRoots::from_parts(tree.closed().to_vec(), tree.open().clone());
                assert_eq!(stored.as_ref(), Ok(&tree));
            }
        }
        for (block, root) in tree.roots().into_iter().enumerate() {
            let range = Subtree::block(block as u64).unwrap().range_in(tree.size());
            assert_eq!(
                root,
                root_of(&leaves[range.start as usize..range.end as usize])
            );
        }
    }

    #[test]
    fn blocks_answer_for_every_subtree_made_of_them() {
        let leaves = leaves(4 * BLOCK_LEAVES + 2500);
        for size in [
            BLOCK_LEAVES,
            2 * BLOCK_LEAVES,
            3 * BLOCK_LEAVES + 1,
            leaves.len() as u64,
        ] {
            let mut tree = BlockRoots::new();
            for leaf in &leaves[..size as usize] {
                tree.push(*leaf);
            }
            for level in 0..16 {
                for start in (0..size).step_by(1 << level) {
                    let subtree = Subtree::new(start, level).unwrap();
                    let range = subtree.range_in(size);
                    let made_of_blocks = start.is_multiple_of(BLOCK_LEAVES)
                        && (range.end.is_multiple_of(BLOCK_LEAVES) || range.end == size);
                    let expected = made_of_blocks
                        .then(|| root_of(&leaves[start as usize..range.end as usize]));
                    assert_eq!(tree.hash(subtree), expected, "{subtree:?} of {size}");
                }
            }
            let behind = Subtree::block(blocks_of(size)).unwrap();
            assert_eq!(tree.hash(behind), None);
        }
        assert_eq!(BlockRoots::new().hash(Subtree::block(0).unwrap()), None);
    }

    #[test]
    fn the_empty_tree_has_no_blocks() {
        assert_eq!(blocks_of(0), 0);
        assert_eq!(root_from_blocks(0, &[]), Ok(TreeHash::empty()));
        assert_eq!(BlockRoots::new().root(), TreeHash::empty());
    }

    #[test]
    fn another_number_of_block_roots_is_refused() {
        let hash = TreeHash::empty();
        let error = Err(TreeError::HashCount {
            expected: 2,
            actual: 1,
        });
        assert_eq!(root_from_blocks(BLOCK_LEAVES + 1, &[hash]), error);
        let error = Err(TreeError::HashCount {
            expected: 1,
            actual: 2,
        });
        assert_eq!(root_from_blocks(BLOCK_LEAVES, &[hash; 2]), error);
        let size = MAX_TREE_SIZE + 1;
        assert_eq!(
            root_from_blocks(size, &[]),
            Err(TreeError::SizeTooLarge { size })
        );
    }

    #[test]
    fn an_open_block_is_less_than_a_block() {
        let hash = TreeHash::empty();
        let open = CompactRange::from_parts(BLOCK_LEAVES - 1, vec![hash; 12]).unwrap();
        assert!(BlockRoots::from_parts(vec![], open).is_ok());
        let full = CompactRange::from_parts(BLOCK_LEAVES, vec![hash]).unwrap();
        let error = Err(TreeError::HashCount {
            expected: 4095,
            actual: 4096,
        });
        assert_eq!(BlockRoots::from_parts(vec![], full), error);
    }
}
