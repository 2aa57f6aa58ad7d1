//! The tree of a log as it grows from the left, as `docs/src/spec/tree.md` has it.

use sha2::{Digest as _, Sha256};

use crate::id::{FactId, TreeHash};

/// The leaf hash of a fact.
#[must_use]
pub fn leaf_hash(id: &FactId) -> TreeHash {
    TreeHash(
        Sha256::new()
            .chain_update([0])
            .chain_update(id.0)
            .finalize()
            .into(),
    )
}

fn node(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let hash = Sha256::new()
        .chain_update([1])
        .chain_update(left.0)
        .chain_update(right.0);
    TreeHash(hash.finalize().into())
}

/// What has to be known of the leaves so far to append more: the compact range.
#[derive(Debug, Clone, Default)]
pub struct GrowingTree {
    size: u64,
    /// The subtrees that the bits of `size` stand for, the largest first.
    hashes: Vec<TreeHash>,
}

impl GrowingTree {
    /// Appends a leaf.
    pub fn push(&mut self, id: &FactId) {
        self.append(0, leaf_hash(id));
    }

    /// Appends a subtree of 2^`level` leaves; `None` where one of this level cannot stand.
    pub fn push_subtree(&mut self, level: u8, hash: TreeHash) -> Option<()> {
        let leaves = 1_u64.checked_shl(level.into())?;
        let fits = self.size.is_multiple_of(leaves) && self.size.checked_add(leaves)? <= SIZE_MAX;
        fits.then(|| self.append(level, hash))
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        let mut hashes = self.hashes.iter().rev();
        let Some(last) = hashes.next() else {
            return TreeHash(Sha256::digest([]).into());
        };
        hashes.fold(*last, |right, left| node(left, &right))
    }

    fn append(&mut self, level: u8, mut hash: TreeHash) {
        let leaves = 1_u64 << level;
        let mut carry = leaves;
        while self.size & carry != 0 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node(&left, &hash);
            carry <<= 1;
        }
        self.hashes.push(hash);
        self.size += leaves;
    }
}

/// No tree has more leaves.
const SIZE_MAX: u64 = 1 << 63;
