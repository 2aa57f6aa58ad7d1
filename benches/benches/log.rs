//! Informs whether one signature and a tree are cheaper than a signature a fact (41 µs) on the way in, how long the roots of a
//! log of a million facts take to check, and thus whether 4096 positions are a good size of a block.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::hint::black_box;

use causality_benches::{Log, tree};
use causality_fact::{BLOCK_LEAVES, BlockRoots, Extension, Hlc, TreeHash, root_from_blocks};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// As many blocks as a million facts have.
const BLOCKS: u64 = 245;

criterion_group!(benches, trees, checkpoints, chunks);
criterion_main!(benches);

fn trees(c: &mut Criterion) {
    let leaves: Vec<_> = (0..2 * BLOCK_LEAVES).map(hash).collect();
    let mut group = c.benchmark_group("log/tree");
    group.throughput(Throughput::Elements(leaves.len() as u64));
    group.bench_function("append a leaf", |b| b.iter(|| tree(black_box(&leaves))));
    let roots: Vec<_> = (0..BLOCKS).map(hash).collect();
    group.throughput(Throughput::Elements(BLOCKS));
    group.bench_function("root of a million leaves from its blocks", |b| {
        b.iter(|| root_from_blocks(BLOCKS * BLOCK_LEAVES, black_box(&roots)).unwrap());
    });
    group.finish();
}

fn checkpoints(c: &mut Criterion) {
    let log = Log::write(64);
    let Log {
        keys, checkpoint, ..
    } = &log;
    let head = causality_fact::TreeHead {
        size: checkpoint.size,
        root: checkpoint.root,
    };
    let mut group = c.benchmark_group("log/checkpoint");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign", |b| {
        b.iter(|| {
            keys.sign_checkpoint(checkpoint.log, black_box(head), checkpoint.hlc)
                .unwrap()
        });
    });
    group.bench_function("verify", |b| {
        b.iter(|| {
            keys.key_log()
                .verify_checkpoint(black_box(checkpoint).clone())
                .unwrap()
        });
    });
    group.finish();
}

fn chunks(c: &mut Criterion) {
    let log = Log::write(BLOCK_LEAVES);
    let signed = log.signed();
    let (chunk, facts) = log.first_chunk();
    let nothing = BlockRoots::new();
    let mut group = c.benchmark_group("log/chunk");
    group.throughput(Throughput::Elements(facts));
    group.bench_function("verify 1 MiB, a fact", |b| {
        b.iter(|| Extension::verify(black_box(&chunk), &signed, &nothing, Hlc::default()).unwrap());
    });
    group.finish();
}

fn hash(number: u64) -> TreeHash {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    TreeHash::new(bytes)
}
