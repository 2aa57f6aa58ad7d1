//! The Merkle tree of RFC 6962 (unchanged in RFC 9162) over SHA-256, whose leaves are fact ids.
//!
//! Each of its nodes is an aligned [`Subtree`], clipped at the size of the tree. `docs/src/spec/tree.md` gives the bytes.

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;
use thiserror::Error;

use crate::id::FactId;

mod block;
mod compact;
mod proof;
mod subtree;

pub use block::BLOCK_LEAVES;
pub use block::BLOCK_LEVEL;
pub use block::BlockRoots;
pub use block::blocks_of;
pub use block::root_from_blocks;
pub use compact::CompactRange;
pub use proof::consistency_path;
pub use proof::inclusion_path;
pub use proof::verify_consistency;
pub use proof::verify_inclusion;
pub use subtree::Subtree;
pub use subtree::decompose;

/// The most leaves that a tree has; positions are below it.
pub const MAX_TREE_SIZE: u64 = 1 << 63;

/// A hash in a tree: of a leaf, of a subtree, or of the whole (its root).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// How many bytes it has.
    pub const LENGTH: usize = 32;

    /// The root of the tree without leaves: SHA-256 of the empty string.
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Any bytes may stand for a hash; a verification says whether they are one.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl AsRef<[u8]> for TreeHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Lower-case hexadecimal; with `{:.8}` the first eight digits only.
impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// What a checkpoint says about its log: how many leaves, and the root over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a claim: any values are legal until verified"
)]
pub struct TreeHead {
    /// How many leaves the tree has.
    pub size: u64,
    /// The root over all of them.
    pub root: TreeHash,
}

/// Why hashes, sizes or proofs do not fit a tree.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// Another number of hashes than the size of the tree asks for.
    #[error("expected {expected} hashes, found {actual}")]
    HashCount {
        /// How many the size asks for.
        expected: u64,
        /// How many were given.
        actual: u64,
    },
    /// A leaf at or behind the end of the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    IndexBeyondSize {
        /// The leaf asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A subtree higher than what it has to fit in.
    #[error("a subtree of level {level} does not fit, the limit is {limit}")]
    LevelTooHigh {
        /// The level given.
        level: u8,
        /// The highest level that fits.
        limit: u8,
    },
    /// A subtree of 2^level leaves can only start at a multiple of 2^level.
    #[error("a subtree of level {level} cannot start at leaf {start}")]
    NotAligned {
        /// Where the subtree would start.
        start: u64,
        /// Its level.
        level: u8,
    },
    /// Subtrees leave a gap, overlap, or say too much or too little.
    #[error("the subtrees do not cover leaves {start}..{end} exactly: expected otherwise at {at}")]
    NotCovering {
        /// The first leaf to cover.
        start: u64,
        /// The leaf behind the last one to cover.
        end: u64,
        /// Up to where they do cover.
        at: u64,
    },
    /// A path with another length than the proof has to have.
    #[error("expected a path of {expected} hashes, found {actual}")]
    PathLength {
        /// The only length that proves it.
        expected: usize,
        /// The length found.
        actual: usize,
    },
    /// The hashes lead to another root than claimed.
    #[error("the hashes do not lead to the root of the tree of {size} leaves")]
    RootMismatch {
        /// The size of the tree whose root was claimed.
        size: u64,
    },
    /// A tree cannot be a prefix of a smaller one.
    #[error("a tree of {old} leaves is no prefix of one of {new}")]
    Shrinks {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later tree.
        new: u64,
    },
    /// A tree above [`MAX_TREE_SIZE`] leaves.
    #[error("a tree of {size} leaves is above the limit of {MAX_TREE_SIZE}")]
    SizeTooLarge {
        /// The size asked for.
        size: u64,
    },
}

/// The hash of the leaf for a fact: SHA-256(0x00 ‖ id) (RFC 9162, 2.1.1).
pub fn leaf_hash(id: &FactId) -> TreeHash {
    leaf_hash_of_bytes(id.as_bytes())
}

/// The hash of the node above two: SHA-256(0x01 ‖ left ‖ right) (RFC 9162, 2.1.1).
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let hash = Sha256::new()
        .chain_update([1])
        .chain_update(left.0)
        .chain_update(right.0);
    TreeHash(hash.finalize().into())
}

/// The root over leaves, or over roots of subtrees of one level of which only the last may be clipped.
pub fn root_of(hashes: &[TreeHash]) -> TreeHash {
    let mut range = CompactRange::new();
    hashes.iter().for_each(|hash| range.merge(0, *hash));
    range.root()
}

// The published reference vectors have leaves of any length.
fn leaf_hash_of_bytes(leaf: &[u8]) -> TreeHash {
    TreeHash(
        Sha256::new()
            .chain_update([0])
            .chain_update(leaf)
            .finalize()
            .into(),
    )
}

fn check_size(size: u64) -> Result<(), TreeError> {
    if size > MAX_TREE_SIZE {
        return Err(TreeError::SizeTooLarge { size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight leaves that the implementations of Certificate Transparency test with.
    pub(super) fn reference_leaves() -> Vec<TreeHash> {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        leaves.map(leaf_hash_of_bytes).to_vec()
    }

    /// Leaves of a made-up log: fact `i` has the id `i`.
    pub(super) fn leaves(count: u64) -> Vec<TreeHash> {
        let id = |i: u64| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&i.to_le_bytes());
            FactId::new(id)
        };
        (0..count).map(|i| leaf_hash(&id(i))).collect()
    }

    /// The definition in RFC 9162, 2.1.1, word for word.
    pub(super) fn naive_root(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash::empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    pub(super) fn hash(text: &str) -> TreeHash {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        TreeHash::new(bytes.try_into().unwrap())
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(root_of(&reference_leaves()[..size]), hash(root));
        }
    }

    #[test]
    fn roots_follow_the_definition() {
        let leaves = leaves(600);
        for size in 0..=600 {
            assert_eq!(
                root_of(&leaves[..size]),
                naive_root(&leaves[..size]),
                "{size}"
            );
        }
    }

    #[test]
    fn a_hash_is_written_as_hexadecimal() {
        let hash = TreeHash::new([0xa5; 32]);
        assert_eq!(hash.to_string(), "a5".repeat(32));
        assert_eq!(format!("{hash:.8}"), "a5a5a5a5");
        assert_eq!(format!("{hash:?}"), format!("TreeHash({hash})"));
    }
}
