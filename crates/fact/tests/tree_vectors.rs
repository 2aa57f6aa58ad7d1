//! The vector files of trees and position sets, which a second implementation reads as well. What has to be refused
//! declares the class of the refusal.

#![expect(clippy::unwrap_used, reason = "the vectors are part of this crate")]

use causality_fact::CompactRange;
use causality_fact::DecodeError;
use causality_fact::FactId;
use causality_fact::PositionSet;
use causality_fact::Subtree;
use causality_fact::TreeError;
use causality_fact::TreeHash;
use causality_fact::TreeHead;
use causality_fact::blocks_of;
use causality_fact::consistency_path;
use causality_fact::decompose;
use causality_fact::inclusion_path;
use causality_fact::leaf_hash;
use causality_fact::node_hash;
use causality_fact::root_from_blocks;
use causality_fact::root_of;
use causality_fact::verify_consistency;
use causality_fact::verify_inclusion;
use data_encoding::HEXLOWER;
use serde_json::Value;

const TREE: &str = include_str!("../vectors/tree.json");
const POSITIONS: &str = include_str!("../vectors/positions.json");

#[test]
fn leaves_nodes_and_roots_are_as_given() {
    let tree = parse(TREE);
    for vector in list(&tree["leaves"]) {
        let id = bytes(&vector["id"]).try_into().map(FactId::new).unwrap();
        assert_eq!(leaf_hash(&id), hash(&vector["hash"]));
    }
    for vector in list(&tree["nodes"]) {
        let node = node_hash(&hash(&vector["left"]), &hash(&vector["right"]));
        assert_eq!(node, hash(&vector["hash"]));
    }
    for vector in list(&tree["roots"]) {
        assert_eq!(
            root_of(&leaves(0..number(&vector["size"]))),
            hash(&vector["root"])
        );
    }
}

#[test]
fn published_vectors_of_certificate_transparency_hold() {
    let reference = &parse(TREE)["reference"];
    let leaves: Vec<_> = list(&reference["leaves"])
        .iter()
        .map(|leaf| hash(&leaf["hash"]))
        .collect();
    let head = |size: u64| {
        let root = hash(&reference["roots"][size as usize]);
        assert_eq!(root_of(&leaves[..size as usize]), root);
        TreeHead { size, root }
    };
    for (size, root) in (0..).zip(list(&reference["roots"])) {
        assert_eq!(head(size).root, hash(root));
    }
    for vector in list(&reference["inclusion"]) {
        let (index, size) = (number(&vector["index"]), number(&vector["size"]));
        let leaf = &leaves[index as usize];
        assert_eq!(
            verify_inclusion(index, leaf, &hashes(&vector["path"]), &head(size)),
            Ok(())
        );
    }
    for vector in list(&reference["consistency"]) {
        let old = head(number(&vector["old_size"]));
        let new = head(number(&vector["new_size"]));
        assert_eq!(
            verify_consistency(&old, &new, &hashes(&vector["path"])),
            Ok(())
        );
    }
}

#[test]
fn compact_ranges_and_blocks_lead_to_the_root() {
    let tree = parse(TREE);
    for vector in list(&tree["compact_ranges"]) {
        let size = number(&vector["size"]);
        let stored = CompactRange::from_parts(size, hashes(&vector["hashes"])).unwrap();
        let mut grown = CompactRange::new();
        leaves(0..size)
            .into_iter()
            .for_each(|leaf| grown.push(leaf).unwrap());
        assert_eq!(grown, stored);
        assert_eq!(stored.root(), hash(&vector["root"]));
    }
    for vector in list(&tree["blocks"]) {
        let (size, roots) = (number(&vector["size"]), hashes(&vector["blocks"]));
        assert_eq!(root_from_blocks(size, &roots), Ok(hash(&vector["root"])));
        for (block, root) in (0..blocks_of(size)).zip(roots) {
            assert_eq!(subtree_hash(Subtree::block(block).unwrap(), size), root);
        }
    }
}

#[test]
fn ranges_decompose_as_given() {
    for vector in list(&parse(TREE)["decompositions"]) {
        let subtrees = decompose(number(&vector["start"])..number(&vector["end"])).unwrap();
        let found: Vec<_> = subtrees
            .iter()
            .map(|part| (part.start(), part.level()))
            .collect();
        let expected = list(&vector["subtrees"]);
        let expected: Vec<_> = expected
            .iter()
            .map(|part| (number(&part[0]), number(&part[1]) as u8))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn subtrees_follow_from_their_parts_or_are_refused() {
    let tree = parse(TREE);
    let derive = |vector: &Value| -> Result<TreeHash, TreeError> {
        let part = |value: &Value| subtree(value).map(|part| (part, hash(&value["hash"])));
        let parts = list(&vector["parts"])
            .iter()
            .map(part)
            .collect::<Result<Vec<_>, _>>()?;
        subtree(vector)?.hash_from(number(&vector["size"]), &parts)
    };
    for vector in list(&tree["subtrees"]) {
        assert_eq!(derive(vector), Ok(hash(&vector["hash"])));
    }
    for vector in list(&tree["subtrees_refused"]) {
        let class = match derive(vector) {
            Ok(derived) if derived != hash(&vector["hash"]) => "other_hash",
            other => class(other.map(drop)),
        };
        assert_eq!(class, vector["class"], "{vector}");
    }
}

#[test]
fn inclusion_is_proven_or_refused() {
    let tree = parse(TREE);
    let verify = |vector: &Value| {
        let (index, leaf) = (number(&vector["index"]), hash(&vector["leaf"]));
        let head = TreeHead {
            size: number(&vector["size"]),
            root: hash(&vector["root"]),
        };
        verify_inclusion(index, &leaf, &hashes(&vector["path"]), &head)
    };
    for vector in list(&tree["inclusion"]) {
        assert_eq!(verify(vector), Ok(()));
        let (index, size) = (number(&vector["index"]), number(&vector["size"]));
        let path = inclusion_path(index, size).unwrap().into_iter();
        let path: Vec<_> = path.map(|sibling| subtree_hash(sibling, size)).collect();
        assert_eq!(path, hashes(&vector["path"]));
    }
    for vector in list(&tree["inclusion_refused"]) {
        assert_eq!(class(verify(vector)), vector["class"], "{vector}");
    }
}

#[test]
fn consistency_is_proven_or_refused() {
    let tree = parse(TREE);
    let verify = |vector: &Value| {
        let old = TreeHead {
            size: number(&vector["old_size"]),
            root: hash(&vector["old_root"]),
        };
        let new = TreeHead {
            size: number(&vector["new_size"]),
            root: hash(&vector["new_root"]),
        };
        verify_consistency(&old, &new, &hashes(&vector["path"]))
    };
    for vector in list(&tree["consistency"]) {
        assert_eq!(verify(vector), Ok(()));
        let (old, new) = (number(&vector["old_size"]), number(&vector["new_size"]));
        let path = consistency_path(old, new).unwrap().into_iter();
        let path: Vec<_> = path.map(|part| subtree_hash(part, new)).collect();
        assert_eq!(path, hashes(&vector["path"]));
    }
    for vector in list(&tree["consistency_refused"]) {
        assert_eq!(class(verify(vector)), vector["class"], "{vector}");
    }
}

#[test]
fn position_sets_have_the_given_bytes_and_digest() {
    for vector in list(&parse(POSITIONS)["sets"]) {
        let mut set = PositionSet::new();
        for run in list(&vector["runs"]) {
            set.insert(number(&run[0])..number(&run[1])).unwrap();
        }
        assert_eq!(set.encode(), bytes(&vector["encoding"]));
        assert_eq!(set.digest().as_slice(), bytes(&vector["digest"]));
        assert_eq!(
            PositionSet::decode(&bytes(&vector["encoding"]), set.run_count()),
            Ok(set)
        );
    }
}

#[test]
fn bytes_that_no_position_set_has_are_refused() {
    for vector in list(&parse(POSITIONS)["refused"]) {
        let max_runs = number(&vector["max_runs"]) as usize;
        let class = match PositionSet::decode(&bytes(&vector["bytes"]), max_runs) {
            Ok(_) => "accepted",
            Err(DecodeError::LimitExceeded { .. }) => "limit_exceeded",
            Err(DecodeError::NotCanonical { .. }) => "not_canonical",
            Err(DecodeError::Trailing { .. }) => "trailing",
            Err(DecodeError::Truncated { .. }) => "truncated",
            Err(_) => "unexpected",
        };
        assert_eq!(class, vector["class"], "{vector}");
    }
}

fn class(result: Result<(), TreeError>) -> &'static str {
    match result {
        Ok(()) => "accepted",
        Err(TreeError::IndexBeyondSize { .. }) => "index_beyond_size",
        Err(TreeError::LevelTooHigh { .. }) => "level_too_high",
        Err(TreeError::NotAligned { .. }) => "not_aligned",
        Err(TreeError::NotCovering { .. }) => "not_covering",
        Err(TreeError::PathLength { .. }) => "path_length",
        Err(TreeError::RootMismatch { .. }) => "root_mismatch",
        Err(TreeError::Shrinks { .. }) => "shrinks",
        Err(TreeError::SizeTooLarge { .. }) => "size_too_large",
        Err(_) => "unexpected",
    }
}

/// The leaves of the log that the vectors are about.
fn leaves(range: std::ops::Range<u64>) -> Vec<TreeHash> {
    let id = |index: u64| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&index.to_le_bytes());
        FactId::new(id)
    };
    range.map(|index| leaf_hash(&id(index))).collect()
}

fn subtree_hash(subtree: Subtree, size: u64) -> TreeHash {
    root_of(&leaves(subtree.range_in(size)))
}

fn subtree(value: &Value) -> Result<Subtree, TreeError> {
    Subtree::new(number(&value["start"]), number(&value["level"]) as u8)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn hash(value: &Value) -> TreeHash {
    TreeHash::new(bytes(value).try_into().unwrap())
}

fn hashes(value: &Value) -> Vec<TreeHash> {
    list(value).iter().map(hash).collect()
}
