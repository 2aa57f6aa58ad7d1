//! A receiver follows a log in chunks, whatever they are cut like, and takes nothing that the origin did not sign.

use super::*;
use crate::tests::Writer;
use crate::tests::checkpoint;
use crate::tests::fact;
use crate::tests::keys;
use crate::tests::log;
use proptest::prelude::*;

const NOTHING: fn(u64) -> bool = |_| false;

/// What a receiver keeps of a log.
#[derive(Clone, Debug, Default)]
struct Receiver {
    held: BlockRoots,
    last: Hlc,
    rows: Vec<Row>,
}

impl Receiver {
    /// Holds the first `size` positions of a log.
    fn holding(writer: &Writer, size: u64) -> Self {
        let mut receiver = Self::default();
        for leaf in &writer.leaves[..size as usize] {
            receiver.held.push(*leaf);
        }
        receiver.last = Hlc::from_millis(size);
        receiver
    }

    fn signed(&self, writer: &Writer, size: u64) -> Verified<SignedBlocks> {
        let later = writer.later_roots(self.held.size(), size);
        SignedBlocks::verify(writer.checkpoint(size), &self.held, later).unwrap()
    }

    fn verify(
        &self,
        chunk: &Chunk,
        signed: &Verified<SignedBlocks>,
    ) -> Result<Verified<Extension>, ChunkError> {
        Extension::verify(chunk, signed, &self.held, self.last)
    }

    fn take(&mut self, chunk: &Chunk, signed: &Verified<SignedBlocks>) -> Result<(), ChunkError> {
        let extension = self.verify(chunk, signed)?;
        extension.apply(&mut self.held)?;
        assert_eq!(extension.end(), self.held.size());
        self.last = extension.last_hlc();
        for entry in extension.into_entries() {
            if let Entry::Row(row) = entry {
                self.rows.push(row);
            }
        }
        Ok(())
    }
}

/// A receiver of the first `held` positions of a log of `size`, and the chunk of the rest.
fn rest(held: u64, size: u64) -> (Writer, Receiver, Verified<SignedBlocks>, Chunk) {
    let writer = Writer::new(size);
    let receiver = Receiver::holding(&writer, held);
    let signed = receiver.signed(&writer, size);
    let chunk = writer.chunk(held..size, size, NOTHING);
    (writer, receiver, signed, chunk)
}

#[test]
fn a_log_follows_in_chunks_of_any_split() {
    for size in 1..=13 {
        let writer = Writer::new(size);
        for one in 0..size {
            for other in one..size {
                let mut receiver = Receiver::default();
                let signed = receiver.signed(&writer, size);
                for range in [0..one, one..other, other..size] {
                    if !range.is_empty() {
                        let chunk = writer.chunk(range, size, NOTHING);
                        receiver.take(&chunk, &signed).unwrap();
                    }
                }
                assert_eq!(receiver.held.root(), signed.checkpoint().root);
                assert_eq!(receiver.rows, writer.rows);
                assert_eq!(receiver.last, Hlc::from_millis(size));
            }
        }
    }
}

proptest! {
    #[test]
    fn holes_growth_and_overlap_change_nothing(
        withheld in prop::collection::vec(any::<bool>(), 40),
        steps in prop::collection::vec((1..9u64, 0..9u64, 0..5u64), 1..12),
    ) {
        let writer = Writer::new(40);
        let hidden = |position: u64| withheld[position as usize];
        let mut receiver = Receiver::default();
        let mut size = 1;
        for (length, overlap, growth) in steps {
            size = (size + growth).min(40);
            let held = receiver.held.size();
            let signed = receiver.signed(&writer, size);
            let range = held.saturating_sub(overlap)..(held + length).min(size);
            if range.end <= held {
                continue;
            }
            // What is held may start inside a subtree of this chunk: then it has to be cut another way.
            let chunk = writer.chunk(range.clone(), size, hidden);
            if let Err(error) = receiver.take(&chunk, &signed) {
                let out_of_place = matches!(error, ChunkError::OutOfPlace { .. });
                prop_assert!(out_of_place, "{}", error);
                let chunk = writer.chunk(held..range.end, size, hidden);
                receiver.take(&chunk, &signed).unwrap();
            }
            prop_assert_eq!(receiver.held.size(), range.end);
        }
        let held = receiver.held.size();
        prop_assert_eq!(receiver.held.root(), crate::tree::root_of(&writer.leaves[..held as usize]));
        let shown = (0..held).filter(|position| !hidden(*position));
        let shown: Vec<_> = shown.map(|position| writer.rows[position as usize].clone()).collect();
        prop_assert_eq!(receiver.rows, shown);
    }

    #[test]
    fn any_bytes_are_refused_without_panic(from: u64, entries: Vec<u8>, right: Vec<[u8; 32]>, held in 0..6u64) {
        let (_, receiver, signed, _) = rest(held, 7);
        let right = right.into_iter().map(TreeHash::new).collect();
        let chunk = Chunk { from, entries, right };
        prop_assert!(receiver.verify(&chunk, &signed).is_err());
    }
}

#[test]
fn blocks_are_followed_one_after_the_other() {
    let size = BLOCK_LEAVES + 5;
    let writer = Writer::new(size);
    let hidden = |position: u64| position < BLOCK_LEAVES - 2;
    let mut receiver = Receiver::default();
    let signed = receiver.signed(&writer, size);
    assert_eq!(signed.roots_from(1).map(<[_]>::len), Some(1));
    assert_eq!(signed.roots_from(3), None);
    let across = writer.chunk(0..size, size, hidden);
    let (from, end, held) = (0, size, 0);
    let error = ChunkError::OutOfPlace { from, end, held };
    assert_eq!(receiver.take(&across, &signed), Err(error));

    let first = writer.chunk(0..BLOCK_LEAVES, size, hidden);
    assert_eq!(first.right, []);
    let extension = receiver.verify(&first, &signed).unwrap();
    let closed = extension.apply(&mut receiver.held).unwrap();
    assert_eq!(closed, signed.roots_from(0).map(|roots| roots[0]));
    receiver.last = extension.last_hlc();
    // Under the checkpoint from before, and under one taken up after the first block.
    for signed in [signed, receiver.signed(&writer, size)] {
        let mut receiver = receiver.clone();
        let second = writer.chunk(BLOCK_LEAVES..size, size, NOTHING);
        receiver.take(&second, &signed).unwrap();
        assert_eq!(receiver.held.root(), signed.checkpoint().root);
    }
}

#[test]
fn a_whole_block_withheld_is_one_entry() {
    let writer = Writer::new(BLOCK_LEAVES);
    let chunk = writer.chunk(0..BLOCK_LEAVES, BLOCK_LEAVES, |_| true);
    assert_eq!(chunk.entries.len(), 34);
    let mut receiver = Receiver::default();
    let signed = receiver.signed(&writer, BLOCK_LEAVES);
    receiver.take(&chunk, &signed).unwrap();
    assert_eq!(receiver.held.root(), signed.checkpoint().root);
}

#[test]
fn any_flipped_bit_is_refused() {
    let writer = Writer::new(9);
    let receiver = Receiver::holding(&writer, 2);
    let signed = receiver.signed(&writer, 9);
    let good = writer.chunk(2..6, 9, |position| position == 4);
    assert!(receiver.verify(&good, &signed).is_ok());
    assert_eq!(good.right.len(), 2);
    for bit in 0..good.entries.len() * 8 {
        let mut chunk = good.clone();
        chunk.entries[bit / 8] ^= 1 << (bit % 8);
        assert!(receiver.verify(&chunk, &signed).is_err(), "entries {bit}");
    }
    for bit in 0..512 {
        let mut chunk = good.clone();
        let mut hash = *chunk.right[bit / 256].as_bytes();
        hash[bit / 8 % 32] ^= 1 << (bit % 8);
        chunk.right[bit / 256] = TreeHash::new(hash);
        let error = ChunkError::WrongBlock { from: 2 };
        assert_eq!(receiver.verify(&chunk, &signed), Err(error));
    }
    for bit in 0..64 {
        let mut chunk = good.clone();
        chunk.from ^= 1 << bit;
        assert!(receiver.verify(&chunk, &signed).is_err(), "from {bit}");
    }
}

#[test]
fn malformed_entries_are_refused() {
    let (_, receiver, signed, good) = rest(0, 3);
    let check = |entries: &[u8]| {
        let chunk = Chunk {
            entries: entries.to_vec(),
            ..good.clone()
        };
        match receiver.verify(&chunk, &signed) {
            Err(ChunkError::Malformed(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let level = DecodeError::LimitExceeded {
        at: 1,
        what: "level of a subtree",
        actual: 13,
        limit: 12,
    };
    assert_eq!(check(&[&[0, 13][..], &[0; 32]].concat()), level);
    let length = DecodeError::LimitExceeded {
        at: 0,
        what: "row length",
        actual: 65_001,
        limit: 65_000,
    };
    assert_eq!(check(&[0xe9, 0xfb, 0x03]), length);
    assert_eq!(check(&[0xe8, 0xfb, 0x03]), DecodeError::Truncated { at: 3 });
    assert_eq!(check(&good.entries[..9]), DecodeError::Truncated { at: 9 });
}

#[test]
fn hashes_that_do_not_fit_the_tree_are_refused() {
    let (writer, receiver, signed, mut chunk) = rest(1, 7);
    chunk.right.push(TreeHash::empty());
    let (expected, actual) = (0, 1);
    let error = TreeError::HashCount { expected, actual };
    assert_eq!(
        receiver.verify(&chunk, &signed),
        Err(ChunkError::Tree(error))
    );
    let mut to = Encoder::new();
    let (level, hash) = (1, TreeHash::empty());
    Entry::Withheld { level, hash }.encode(&mut to);
    let chunk = Chunk {
        from: 1,
        entries: to.finish(),
        right: vec![],
    };
    let error = TreeError::NotAligned { start: 1, level: 1 };
    assert_eq!(
        receiver.verify(&chunk, &signed),
        Err(ChunkError::Tree(error))
    );
    let mut later = writer.later_roots(1, 7);
    later.push(TreeHash::empty());
    let (expected, actual) = (1, 2);
    let error = TreeError::HashCount { expected, actual };
    assert_eq!(
        SignedBlocks::verify(writer.checkpoint(7), &receiver.held, later),
        Err(ChunkError::Tree(error))
    );
}

#[test]
fn roots_that_the_origin_did_not_sign_are_refused() {
    let writer = Writer::new(5);
    let other = Writer::of(Writer::new(6).rows[1..].to_vec());
    let wrong = Err(ChunkError::WrongRoot { size: 5 });
    let verify = |held: &BlockRoots, later| SignedBlocks::verify(writer.checkpoint(5), held, later);
    let none = BlockRoots::new();
    assert_eq!(verify(&none, other.later_roots(0, 5)), wrong);
    // A fork at the same size shows in what is held, although the roots are right.
    let forked = Receiver::holding(&other, 5);
    assert_eq!(verify(&forked.held, writer.later_roots(5, 5)), wrong);
    let same = Receiver::holding(&writer, 5);
    assert!(verify(&same.held, writer.later_roots(5, 5)).is_ok());
}

#[test]
fn a_checkpoint_that_ends_before_what_is_held_is_refused() {
    let writer = Writer::new(5);
    let receiver = Receiver::holding(&writer, 5);
    let error = SignedBlocks::verify(writer.checkpoint(4), &receiver.held, vec![]);
    assert_eq!(error, Err(ChunkError::Behind { size: 4, held: 5 }));
}

#[test]
fn a_fork_behind_what_is_held_is_refused() {
    let writer = Writer::new(5);
    let other = Writer::of(Writer::new(6).rows[1..].to_vec());
    let receiver = Receiver::holding(&other, 2);
    let signed = receiver.signed(&writer, 5);
    let chunk = writer.chunk(2..5, 5, NOTHING);
    assert_eq!(
        receiver.verify(&chunk, &signed),
        Err(ChunkError::WrongBlock { from: 2 })
    );
}

#[test]
fn chunks_out_of_place_are_refused() {
    let (writer, receiver, signed, _) = rest(3, 7);
    let check = |chunk: Chunk, from, end| {
        let held = 3;
        let error = ChunkError::OutOfPlace { from, end, held };
        assert_eq!(receiver.verify(&chunk, &signed), Err(error));
    };
    check(writer.chunk(4..7, 7, NOTHING), 4, 7);
    check(writer.chunk(0..3, 7, NOTHING), 0, 3);
    check(writer.chunk(0..2, 7, NOTHING), 0, 2);
    check(writer.chunk(0..7, 7, |position| position < 4), 0, 7);
    let mut beyond = writer.chunk(3..7, 7, NOTHING);
    beyond.from = 4;
    check(beyond, 4, 8);
    let nothing = Chunk {
        from: 3,
        entries: vec![],
        right: vec![],
    };
    check(nothing, 3, 3);
    let end_of_time = Chunk {
        from: u64::MAX,
        ..writer.chunk(3..7, 7, NOTHING)
    };
    check(end_of_time, u64::MAX, u64::MAX);
    // Held by now is more than the checkpoint has.
    let grown = Receiver::holding(&Writer::new(9), 8);
    let (from, end, held) = (8, 9, 8);
    let chunk = Writer::new(9).chunk(8..9, 9, NOTHING);
    let error = ChunkError::OutOfPlace { from, end, held };
    assert_eq!(grown.verify(&chunk, &signed), Err(error));
}

#[test]
fn a_checkpoint_of_one_log_does_not_extend_another() {
    // Both are at a block's border, where the entries alone do not tell them apart.
    let writer = Writer::new(BLOCK_LEAVES + 1);
    let size = writer.leaves.len() as u64;
    let receiver = Receiver::holding(&writer, BLOCK_LEAVES);
    let signed = receiver.signed(&writer, size);
    let chunk = writer.chunk(BLOCK_LEAVES..size, size, NOTHING);
    let mut other = receiver.clone();
    let stranger = CompactRange::from_parts(4095, vec![TreeHash::empty(); 12]).unwrap();
    other.held = BlockRoots::from_parts(vec![], stranger).unwrap();
    other.held.push(TreeHash::empty());
    assert_eq!(other.held.size(), BLOCK_LEAVES);
    let error = ChunkError::OtherTree { size: BLOCK_LEAVES };
    assert_eq!(other.verify(&chunk, &signed), Err(error.clone()));
    let extension = receiver.verify(&chunk, &signed).unwrap();
    let before = other.held.clone();
    assert_eq!(extension.apply(&mut other.held), Err(error));
    assert_eq!(other.held, before);
}

#[test]
fn an_extension_applies_once() {
    let (_, mut receiver, signed, chunk) = rest(3, 7);
    let extension = receiver.verify(&chunk, &signed).unwrap();
    assert_eq!((extension.from(), extension.end()), (3, 7));
    assert_eq!(extension.entries().len(), 4);
    assert_eq!(extension.apply(&mut receiver.held), Ok(None));
    let grown = receiver.held.clone();
    let error = ChunkError::OtherTree { size: 7 };
    assert_eq!(extension.apply(&mut receiver.held), Err(error));
    assert_eq!(receiver.held, grown);
}

#[test]
fn times_that_do_not_increase_are_refused() {
    let check = |times: &[u64], last: u64, expected: Option<u64>| {
        let rows = times.iter().map(|time| Row::from(&fact(*time, &[])));
        let writer = Writer::of(rows.collect());
        let size = times.len() as u64;
        let receiver = Receiver {
            last: Hlc::from_millis(last),
            ..Receiver::default()
        };
        // The checkpoint's time is its size, in milliseconds.
        let signed = receiver.signed(&writer, size);
        let found = receiver.verify(&writer.chunk(0..size, size, NOTHING), &signed);
        let expected = expected.map(|position| ChunkError::TimeRunsBack { position });
        assert_eq!(found.err(), expected);
    };
    check(&[1, 2, 3], 0, None);
    check(&[1, 3, 2], 0, Some(2));
    check(&[1, 1], 0, Some(1));
    check(&[1, 2], 1, Some(0));
    check(&[0, 1], 0, Some(0));
    check(&[1, 3], 0, Some(1));
}

#[test]
fn facts_of_unknown_type_have_no_time_to_check() {
    let mut newer = crate::tests::core(1).to_bytes();
    newer[2 + 8 + 1 + 32] = 9;
    let unsupported = Row::unsupported(&newer, b"").unwrap();
    let rows = vec![
        Row::from(&fact(1, &[])),
        unsupported,
        Row::from(&fact(2, &[])),
    ];
    let writer = Writer::of(rows);
    let receiver = Receiver::default();
    let signed = receiver.signed(&writer, 3);
    let extension = receiver.verify(&writer.chunk(0..3, 3, NOTHING), &signed);
    assert_eq!(extension.unwrap().last_hlc(), Hlc::from_millis(2));
}

#[test]
fn right_hashes_follow_from_leaves_or_from_parts() {
    let writer = Writer::new(23);
    for end in 1..=23 {
        let leaves = &writer.leaves[end as usize..];
        let expected = right_hashes(end, 23, leaves).unwrap();
        let part = |range: std::ops::Range<u64>, subtree: Subtree| {
            let leaves = &writer.leaves[range.start as usize..range.end as usize];
            (subtree, crate::tree::root_of(leaves))
        };
        let single = (end..23).map(|at| part(at..at + 1, Subtree::new(at, 0).unwrap()));
        let single: Vec<_> = single.collect();
        assert_eq!(
            right_hashes_of_parts(end, 23, &single).as_ref(),
            Ok(&expected)
        );
        for middle in end..=23 {
            let mut parts = single[..(middle - end) as usize].to_vec();
            let rest = decompose(middle..23).unwrap().into_iter();
            parts.extend(rest.map(|subtree| part(subtree.range_in(23), subtree)));
            assert_eq!(
                right_hashes_of_parts(end, 23, &parts).as_ref(),
                Ok(&expected)
            );
        }
        if end < 23 {
            let fewer = right_hashes(end, 23, &leaves[1..]);
            assert!(matches!(fewer, Err(TreeError::HashCount { .. })));
            let gap = right_hashes_of_parts(end, 23, &single[1..]);
            assert!(matches!(gap, Err(TreeError::NotCovering { .. })));
        }
    }
    assert_eq!(
        right_hashes(BLOCK_LEAVES, BLOCK_LEAVES + 9, &[]),
        Ok(vec![])
    );
    assert_eq!((blocks_behind(0, 0), blocks_behind(4095, 4096)), (0, 1));
    assert_eq!(
        (blocks_behind(4096, 4096), blocks_behind(4097, 8193)),
        (0, 2)
    );
}

#[test]
fn a_log_without_positions_has_a_checkpoint_too() {
    // A rotation makes a node sign all its lanes.
    let signed = checkpoint(0, TreeHash::empty(), 0, 1);
    assert_eq!(signed.log, log());
    let verified = keys().verify_checkpoint(signed).unwrap();
    let blocks = SignedBlocks::verify(verified, &BlockRoots::new(), vec![]);
    assert_eq!(blocks.unwrap().roots_from(0), Some(&[][..]));
}
