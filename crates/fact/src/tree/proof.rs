//! Inclusion and consistency proofs, RFC 9162, 2.1.3 and 2.1.4.
//!
//! A prover asks which subtrees make up a path and fetches their hashes wherever it keeps them; a verifier needs the
//! hashes alone.

use super::Subtree;
use super::TreeError;
use super::TreeHash;
use super::TreeHead;
use super::check_size;
use super::node_hash;

/// The subtrees, clipped at `size`, whose hashes prove that the leaf `index` is in the tree: the siblings on the way
/// from the leaf up to the root.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`], or [`TreeError::IndexBeyondSize`] unless `index` is below `size`.
pub fn inclusion_path(index: u64, size: u64) -> Result<Vec<Subtree>, TreeError> {
    check_index(index, size)?;
    Ok(siblings(index, size, 0).map(Sibling::subtree).collect())
}

/// Checks that `leaf` is the leaf `index` of the tree with this head.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`], [`TreeError::IndexBeyondSize`], [`TreeError::PathLength`] for a path of any other length
/// than the only possible one, [`TreeError::RootMismatch`] when it leads elsewhere.
pub fn verify_inclusion(
    index: u64,
    leaf: &TreeHash,
    path: &[TreeHash],
    head: &TreeHead,
) -> Result<(), TreeError> {
    check_index(index, head.size)?;
    check_length(siblings(index, head.size, 0).count(), path)?;
    let up = siblings(index, head.size, 0).zip(path);
    let root = up.fold(*leaf, |hash, (sibling, other)| sibling.join(&hash, other));
    check_root(root, head)
}

/// The subtrees, clipped at `new_size`, whose hashes prove that the tree of `old_size` is a prefix of that of
/// `new_size`. Nothing needs a proof when the sizes are equal or the old tree is empty.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`], or [`TreeError::Shrinks`] when `old_size` is above `new_size`.
pub fn consistency_path(old_size: u64, new_size: u64) -> Result<Vec<Subtree>, TreeError> {
    check_growth(old_size, new_size)?;
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let (last, level) = (old_size - 1, full_level(old_size));
    let base = (!old_size.is_power_of_two()).then(|| Subtree::around(last, level));
    let up = siblings(last, new_size, level).map(Sibling::subtree);
    Ok(base.into_iter().chain(up).collect())
}

/// Checks that the tree of `old` is a prefix of that of `new`: nothing was changed or taken away. An empty tree is a
/// prefix of each; RFC 9162 leaves that case out.
///
/// # Errors
///
/// [`TreeError::SizeTooLarge`], [`TreeError::Shrinks`], [`TreeError::PathLength`] for a path of any other length than the
/// only possible one, [`TreeError::RootMismatch`] with the size of the head to which it does not lead.
pub fn verify_consistency(
    old: &TreeHead,
    new: &TreeHead,
    path: &[TreeHash],
) -> Result<(), TreeError> {
    check_growth(old.size, new.size)?;
    if old.size == 0 || old.size == new.size {
        check_length(0, path)?;
        let base = if old.size == 0 {
            TreeHash::empty()
        } else {
            new.root
        };
        return check_root(base, old);
    }
    // The path begins with the largest full subtree at the end of the old tree, unless that is all of it.
    let (last, level) = (old.size - 1, full_level(old.size));
    let is_whole = old.size.is_power_of_two();
    let expected = usize::from(!is_whole) + siblings(last, new.size, level).count();
    check_length(expected, path)?;
    let (base, path) = match path.split_first() {
        Some((base, path)) if !is_whole => (*base, path),
        _ => (old.root, path),
    };
    let (mut old_root, mut new_root) = (base, base);
    for (sibling, other) in siblings(last, new.size, level).zip(path) {
        // Whatever stands to the right of the old tree's last leaf is new.
        if sibling.is_left {
            old_root = sibling.join(&old_root, other);
        }
        new_root = sibling.join(&new_root, other);
    }
    check_root(old_root, old)?;
    check_root(new_root, new)
}

struct Sibling {
    index: u64,
    level: u8,
    is_left: bool,
}

impl Sibling {
    fn subtree(self) -> Subtree {
        Subtree::around(self.index, self.level)
    }

    fn join(&self, hash: &TreeHash, sibling: &TreeHash) -> TreeHash {
        if self.is_left {
            node_hash(sibling, hash)
        } else {
            node_hash(hash, sibling)
        }
    }
}

/// The siblings on the way up from the subtree of `level` around the leaf `index` in a tree of `size`, `index` < `size`.
fn siblings(index: u64, size: u64, level: u8) -> impl Iterator<Item = Sibling> {
    // Below the level where the ways from `index` and from the last leaf meet, each node has a sibling; above, only
    // nodes on the right have one: those on the left are promoted, since the tree has ended.
    let meet = u64::BITS - (index ^ (size - 1)).leading_zeros();
    (level..64).filter_map(move |level| {
        let is_left = index >> level & 1 == 1;
        (is_left || u32::from(level) < meet).then_some(Sibling {
            index: index ^ (1 << level),
            level,
            is_left,
        })
    })
}

/// The level of the smallest subtree in the decomposition of `0..size`, `size` above 0.
fn full_level(size: u64) -> u8 {
    size.trailing_zeros() as u8
}

fn check_index(index: u64, size: u64) -> Result<(), TreeError> {
    check_size(size)?;
    if index >= size {
        return Err(TreeError::IndexBeyondSize { index, size });
    }
    Ok(())
}

fn check_growth(old: u64, new: u64) -> Result<(), TreeError> {
    check_size(new)?;
    if old > new {
        return Err(TreeError::Shrinks { old, new });
    }
    Ok(())
}

fn check_length(expected: usize, path: &[TreeHash]) -> Result<(), TreeError> {
    if path.len() != expected {
        return Err(TreeError::PathLength {
            expected,
            actual: path.len(),
        });
    }
    Ok(())
}

fn check_root(root: TreeHash, head: &TreeHead) -> Result<(), TreeError> {
    if root != head.root {
        return Err(TreeError::RootMismatch { size: head.size });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MAX_TREE_SIZE;
    use super::super::root_of;
    use super::super::tests::hash;
    use super::super::tests::leaves;
    use super::super::tests::naive_root;
    use super::super::tests::reference_leaves;
    use super::*;

    fn head(leaves: &[TreeHash]) -> TreeHead {
        TreeHead {
            size: leaves.len() as u64,
            root: root_of(leaves),
        }
    }

    fn hashes(path: Vec<Subtree>, leaves: &[TreeHash]) -> Vec<TreeHash> {
        let size = leaves.len() as u64;
        let range = |subtree: Subtree| subtree.range_in(size);
        path.into_iter()
            .map(range)
            .map(|range| root_of(&leaves[range.start as usize..range.end as usize]))
            .collect()
    }

    fn inclusion(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
        hashes(
            inclusion_path(index as u64, leaves.len() as u64).unwrap(),
            leaves,
        )
    }

    fn consistency(old: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
        hashes(
            consistency_path(old as u64, leaves.len() as u64).unwrap(),
            leaves,
        )
    }

    /// PATH(m, D[n]) as RFC 9162, 2.1.3.1 defines it.
    fn naive_inclusion(m: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
        if leaves.len() == 1 {
            return vec![];
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(k);
        let (mut path, other) = match m < k {
            true => (naive_inclusion(m, left), right),
            false => (naive_inclusion(m - k, right), left),
        };
        path.push(naive_root(other));
        path
    }

    /// SUBPROOF(m, D[n], whole) as RFC 9162, 2.1.4.1 defines it.
    fn naive_consistency(m: usize, leaves: &[TreeHash], whole: &str) -> Vec<TreeHash> {
        if m == leaves.len() {
            return if whole == "whole" {
                vec![]
            } else {
                vec![naive_root(leaves)]
            };
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(k);
        let (mut path, other) = match m <= k {
            true => (naive_consistency(m, left, whole), right),
            false => (naive_consistency(m - k, right, "part"), left),
        };
        path.push(naive_root(other));
        path
    }

    #[test]
    fn paths_are_those_of_certificate_transparency() {
        let leaves = reference_leaves();
        let check = |path: Vec<TreeHash>, expected: &[&str]| {
            assert_eq!(
                path,
                expected.iter().map(|text| hash(text)).collect::<Vec<_>>()
            );
        };
        check(inclusion(0, &leaves[..1]), &[]);
        check(
            inclusion(0, &leaves),
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            inclusion(5, &leaves),
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(
            inclusion(2, &leaves[..3]),
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        );
        check(consistency(1, &leaves[..1]), &[]);
        check(
            consistency(1, &leaves),
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            consistency(6, &leaves),
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(
            consistency(2, &leaves[..5]),
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_by_the_defined_path() {
        let leaves = leaves(70);
        for size in 1..=70 {
            let leaves = &leaves[..size];
            for (index, leaf) in leaves.iter().enumerate() {
                let path = inclusion(index, leaves);
                assert_eq!(path, naive_inclusion(index, leaves), "{index} of {size}");
                let proven = verify_inclusion(index as u64, leaf, &path, &head(leaves));
                assert_eq!(proven, Ok(()));
            }
        }
    }

    #[test]
    fn every_prefix_of_every_small_tree_is_proven_by_the_defined_path() {
        let leaves = leaves(70);
        for size in 1..=70 {
            let new = &leaves[..size];
            for old in 1..=size {
                let path = consistency(old, new);
                assert_eq!(
                    path,
                    naive_consistency(old, new, "whole"),
                    "{old} of {size}"
                );
                assert_eq!(
                    verify_consistency(&head(&new[..old]), &head(new), &path),
                    Ok(())
                );
            }
        }
    }

    #[test]
    fn a_leaf_elsewhere_is_not_proven() {
        let leaves = leaves(13);
        for (index, leaf) in leaves.iter().enumerate() {
            for other in (0..13).filter(|other| *other != index) {
                let path = inclusion(other, &leaves);
                let error = verify_inclusion(other as u64, leaf, &path, &head(&leaves));
                assert_eq!(error, Err(TreeError::RootMismatch { size: 13 }));
            }
        }
    }

    #[test]
    fn paths_of_another_length_are_refused() {
        let leaves = leaves(13);
        let (head, old) = (head(&leaves), head(&leaves[..6]));
        for (index, leaf) in leaves.iter().enumerate() {
            let mut path = inclusion(index, &leaves);
            let expected = path.len();
            path.push(TreeHash::empty());
            for actual in [expected + 1, expected - 1, 0] {
                let error = verify_inclusion(index as u64, leaf, &path[..actual], &head);
                assert_eq!(error, Err(TreeError::PathLength { expected, actual }));
            }
        }
        let path = consistency(6, &leaves);
        let longer = [path.as_slice(), &[head.root]].concat();
        let error = TreeError::PathLength {
            expected: 4,
            actual: 5,
        };
        assert_eq!(verify_consistency(&old, &head, &longer), Err(error));
        let error = TreeError::PathLength {
            expected: 4,
            actual: 3,
        };
        assert_eq!(verify_consistency(&old, &head, &path[1..]), Err(error));
        let error = TreeError::PathLength {
            expected: 0,
            actual: 1,
        };
        assert_eq!(verify_consistency(&head, &head, &[head.root]), Err(error));
    }

    #[test]
    fn a_leaf_behind_the_tree_is_refused() {
        let head = head(&leaves(13));
        for index in [13, u64::MAX] {
            let error = TreeError::IndexBeyondSize { index, size: 13 };
            assert_eq!(inclusion_path(index, 13), Err(error.clone()));
            assert_eq!(verify_inclusion(index, &head.root, &[], &head), Err(error));
        }
        let error = TreeError::IndexBeyondSize { index: 0, size: 0 };
        assert_eq!(inclusion_path(0, 0), Err(error));
    }

    #[test]
    fn a_tree_that_shrank_is_refused() {
        let leaves = leaves(13);
        let error = TreeError::Shrinks { old: 13, new: 12 };
        assert_eq!(consistency_path(13, 12), Err(error.clone()));
        let shrunk = verify_consistency(&head(&leaves), &head(&leaves[..12]), &[]);
        assert_eq!(shrunk, Err(error));
    }

    #[test]
    fn equal_sizes_need_equal_roots() {
        let leaves = leaves(13);
        let head = head(&leaves);
        assert_eq!(verify_consistency(&head, &head, &[]), Ok(()));
        let other = TreeHead {
            root: TreeHash::empty(),
            ..head
        };
        let error = TreeError::RootMismatch { size: 13 };
        assert_eq!(verify_consistency(&other, &head, &[]), Err(error));
    }

    #[test]
    fn the_empty_tree_is_a_prefix_of_each() {
        let head = head(&leaves(13));
        let empty = TreeHead {
            size: 0,
            root: TreeHash::empty(),
        };
        assert_eq!(consistency_path(0, 13), Ok(vec![]));
        assert_eq!(verify_consistency(&empty, &head, &[]), Ok(()));
        assert_eq!(verify_consistency(&empty, &empty, &[]), Ok(()));
        let not_empty = TreeHead {
            size: 0,
            root: head.root,
        };
        let error = TreeError::RootMismatch { size: 0 };
        assert_eq!(verify_consistency(&not_empty, &head, &[]), Err(error));
    }

    #[test]
    fn the_largest_tree_is_proven_and_one_larger_refused() {
        // All leaves are one hash, so that a node is known by its level alone.
        let mut level = vec![leaves(1)[0]];
        for below in 0..63 {
            level.push(node_hash(&level[below], &level[below]));
        }
        let head = TreeHead {
            size: MAX_TREE_SIZE,
            root: level[63],
        };
        for index in [0, 1, 1 << 40, MAX_TREE_SIZE - 1] {
            assert_eq!(
                verify_inclusion(index, &level[0], &level[..63], &head),
                Ok(())
            );
        }
        let old = TreeHead {
            size: 1 << 62,
            root: level[62],
        };
        assert_eq!(verify_consistency(&old, &head, &level[62..63]), Ok(()));

        let size = MAX_TREE_SIZE + 1;
        let head = TreeHead {
            size,
            root: level[63],
        };
        let error = TreeError::SizeTooLarge { size };
        assert_eq!(
            verify_inclusion(0, &level[0], &level, &head),
            Err(error.clone())
        );
        assert_eq!(verify_consistency(&old, &head, &level), Err(error.clone()));
        assert_eq!(consistency_path(1, size), Err(error.clone()));
        assert_eq!(inclusion_path(1, size), Err(error));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_an_inclusion_proof_is_refused(
            size in 2..200usize, index: prop::sample::Index, bit: prop::sample::Index,
        ) {
            let leaves = leaves(size as u64);
            let index = index.index(size);
            let mut path = inclusion(index, &leaves);
            let bit = bit.index(path.len() * 256);
            path[bit / 256] = flipped(path[bit / 256], bit % 256);
            let error = verify_inclusion(index as u64, &leaves[index], &path, &head(&leaves));
            prop_assert_eq!(error, Err(TreeError::RootMismatch { size: size as u64 }));
        }

        #[test]
        fn any_flipped_bit_of_a_consistency_proof_is_refused(
            size in 2..200usize, old: prop::sample::Index, bit: prop::sample::Index,
        ) {
            let leaves = leaves(size as u64);
            let old = 1 + old.index(size - 1);
            let mut path = consistency(old, &leaves);
            let bit = bit.index(path.len() * 256);
            path[bit / 256] = flipped(path[bit / 256], bit % 256);
            let error = verify_consistency(&head(&leaves[..old]), &head(&leaves), &path);
            let refused = matches!(error, Err(TreeError::RootMismatch { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn no_claim_makes_verification_panic(
            index: u64, sizes: [u64; 2], path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let path: Vec<_> = path.into_iter().map(TreeHash::new).collect();
            let [old, new] = sizes.map(|size| TreeHead { size, root: TreeHash::empty() });
            prop_assert!(verify_inclusion(index, &old.root, &path, &new).is_err());
            prop_assert!(old.size == 0 || verify_consistency(&old, &new, &path).is_err());
            drop((inclusion_path(index, old.size), consistency_path(old.size, new.size)));
        }
    }

    fn flipped(hash: TreeHash, bit: usize) -> TreeHash {
        let mut bytes = *hash.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        TreeHash::new(bytes)
    }
}
