//! Seeded inputs for the criterion benches: a domain, the log that it wrote, and a chunk of it.
//!
//! The documentation tests of this crate are the Rust examples of the README and of the book.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::ops::Range;

use causality_envelope::DomainKeys;
use causality_fact::{
    Aspect, BLOCK_LEAVES, BlockRoots, CHUNK_BYTES_MAX, Checkpoint, Chunk, CompartmentId,
    ContentHash, Encoder, Entry, FactCore, FactType, Hlc, Label, LaneId, LogId, Onward, References,
    Row, Seed, SignedBlocks, TemporalFact, TreeHash, TreeHead, ValidTime, Value, Verified,
    WholeContent, leaf_hash, right_hashes,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// The content of each fact: one value of so many bytes, which does not compress.
pub const CONTENT_BYTES: usize = 256;

/// The keys of one domain, always the same.
pub fn keys() -> DomainKeys {
    DomainKeys::generate(&mut ChaCha20Rng::seed_from_u64(1), 0..i64::MAX).unwrap()
}

/// The fields of fact number `number`.
pub fn content(number: u64) -> (String, Value) {
    let mut noise = vec![0; CONTENT_BYTES];
    ChaCha20Rng::seed_from_u64(number).fill_bytes(&mut noise);
    ("value".to_owned(), Value::Bytes(noise))
}

/// The resource of fact number `number`, of 16 characters.
pub fn resource(number: u64) -> String {
    format!("sensor/{number:09}")
}

/// A log as its origin wrote it, under one checkpoint.
#[derive(Debug)]
#[non_exhaustive]
pub struct Log {
    /// Its keys.
    pub keys: DomainKeys,
    /// Its facts.
    pub facts: Vec<TemporalFact>,
    /// The hashes of its leaves.
    pub leaves: Vec<TreeHash>,
    /// What its origin signed.
    pub checkpoint: Checkpoint,
}

impl Log {
    /// Writes so many facts.
    pub fn write(count: u64) -> Self {
        let keys = keys();
        let log = LogId {
            origin: keys.domain(),
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([3; 16]),
        };
        let facts: Vec<_> = (0..count).map(|number| fact(&log, number)).collect();
        let leaves: Vec<_> = facts.iter().map(|fact| leaf_hash(&fact.id())).collect();
        let tree = tree(&leaves);
        let head = TreeHead {
            size: tree.size(),
            root: tree.root(),
        };
        let hlc = Hlc::from_millis(count);
        let checkpoint = keys.sign_checkpoint(log, head, hlc).unwrap();
        Self {
            keys,
            facts,
            leaves,
            checkpoint,
        }
    }

    /// The checkpoint with the roots of all blocks, verified by whoever holds nothing of the log.
    pub fn signed(&self) -> Verified<SignedBlocks> {
        let checkpoint = self
            .keys
            .key_log()
            .verify_checkpoint(self.checkpoint.clone());
        let roots = tree(&self.leaves).roots();
        SignedBlocks::verify(checkpoint.unwrap(), &BlockRoots::new(), roots).unwrap()
    }

    /// The first chunk for whoever holds nothing of the log, and how many facts it has.
    pub fn first_chunk(&self) -> (Chunk, u64) {
        let mut entries = Encoder::new();
        let mut bytes = 0;
        let block = self.facts.iter().take(BLOCK_LEAVES as usize).map(Row::from);
        let fits = |row: &Row| {
            bytes += row.bytes().len() + 2;
            bytes <= CHUNK_BYTES_MAX
        };
        let rows: Vec<_> = block.take_while(fits).collect();
        let count = rows.len() as u64;
        rows.into_iter()
            .for_each(|row| Entry::Row(row).encode(&mut entries));
        let behind = &self.leaves[as_index(count..self.leaves.len() as u64)];
        let chunk = Chunk {
            from: 0,
            entries: entries.finish(),
            right: right_hashes(count, self.checkpoint.size, behind).unwrap(),
        };
        (chunk, count)
    }
}

/// The tree over leaves.
pub fn tree(leaves: &[TreeHash]) -> BlockRoots {
    let mut tree = BlockRoots::new();
    for leaf in leaves {
        let _ = tree.push(*leaf);
    }
    tree
}

fn as_index(positions: Range<u64>) -> Range<usize> {
    positions.start as usize..positions.end as usize
}

/// Fact number `number` of a log.
pub fn fact(log: &LogId, number: u64) -> TemporalFact {
    let core = FactCore {
        onward: Onward::Audience,
        label: Label::default(),
        origin: log.origin,
        fact_type: FactType::Observation,
        resource: resource(number).parse().unwrap(),
        aspect: Aspect::default(),
        hlc: Hlc::from_millis(number + 1),
        valid: ValidTime::since(number as i64),
        requires: References::default(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    };
    let seed = Seed::new([number as u8; 16]);
    TemporalFact::new(
        core,
        WholeContent::new(seed, [content(number)].into()).unwrap(),
    )
    .unwrap()
}

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}

/// The examples of the page on concepts.
#[cfg(doctest)]
#[doc = include_str!("../docs/src/concepts.md")]
pub mod concepts {}

/// The examples of the page on the architecture.
#[cfg(doctest)]
#[doc = include_str!("../docs/src/architecture.md")]
pub mod architecture {}
