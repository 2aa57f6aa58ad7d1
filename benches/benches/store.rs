//! Informs whether the store keeps up with a session (at least 60 k facts/s, durable) and what of its cost is the index,
//! the fsync and the merge; whether reads are cheap enough for a catch-up; and what a log costs of which a peer may see
//! one fact in a hundred, when one in a hundred more is disclosed later.
//!
//! Facts have rows of some 330 bytes, 256 of them incompressible; batches have 1000 of them unless the name says
//! otherwise. Each round starts with an empty store in a new file.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::hint::black_box;
use std::sync::Arc;

use causality_fact::{Entry, FactId, LOG_SIZE_MAX, LogId, Row, leaf_hash};
use causality_store::conformance::{log, sized_fact};
use causality_store::{Batch, FactReader, FactStore, NewEntry, RedbConfig, RedbStore};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const FACTS: u64 = 100_000;
const BATCH: usize = 1000;
const CONTENT_BYTES: usize = 256;
const IN_FLIGHT: usize = 8;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = ingest, single_rows, reads, holes
}
criterion_main!(benches);

fn ingest(c: &mut Criterion) {
    let runtime = runtime();
    let entries = entries(FACTS);
    let mut group = c.benchmark_group("store/ingest");
    group.throughput(Throughput::Elements(FACTS));
    let setup = || (open(), batches(&entries, BATCH));
    group.bench_function("one batch at a time", |b| {
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(commit_each(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("8 batches at a time", |b| {
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(commit_pipelined(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("8 batches at a time, and the whole index", |b| {
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(async {
                    commit_pipelined(&home.store, batches).await;
                    home.store.flush().await.unwrap();
                });
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn single_rows(c: &mut Criterion) {
    const ROWS: u64 = 2000;
    let runtime = runtime();
    let entries = entries(ROWS);
    let mut group = c.benchmark_group("store/single rows");
    group.throughput(Throughput::Elements(ROWS));
    let setup = || (open(), batches(&entries, 1));
    group.bench_function("one at a time", |b| {
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(commit_each(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("8 at a time", |b| {
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(commit_pipelined(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn reads(c: &mut Criterion) {
    let runtime = runtime();
    let home = open();
    let entries = entries(FACTS);
    runtime.block_on(async {
        commit_pipelined(&home.store, batches(&entries, BATCH)).await;
        home.store.flush().await.unwrap();
    });
    let log = bench_log();
    let mut group = c.benchmark_group("store/read");
    group.throughput(Throughput::Bytes(1 << 20));
    group.bench_function("scan 1 MiB", |b| {
        b.iter(|| {
            let scan = home
                .store
                .scan(black_box(&log), 40_000..LOG_SIZE_MAX, 1 << 20);
            runtime.block_on(scan).unwrap()
        });
    });
    let ids: Vec<FactId> = (0..1000).map(|n| id(&entries, n * 97)).collect();
    group.throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("get 1000 facts", |b| {
        b.iter(|| runtime.block_on(home.store.get(black_box(&ids))).unwrap());
    });
    group.throughput(Throughput::Elements(4096));
    group.bench_function("leaves of a block", |b| {
        b.iter(|| {
            let leaves = home.store.leaves(black_box(&log), 8192..12_288);
            runtime.block_on(leaves).unwrap()
        });
    });
    group.finish();
}

fn holes(c: &mut Criterion) {
    const EVERY: usize = 100;
    let runtime = runtime();
    let rows = entries(FACTS);
    let mostly_holes: Vec<NewEntry> = rows
        .iter()
        .enumerate()
        .map(|(number, row)| {
            if number % EVERY == 0 {
                return row.clone();
            }
            let hash = leaf_hash(&id(&rows, number));
            let entry = Entry::Withheld { level: 0, hash };
            NewEntry {
                entry,
                ..row.clone()
            }
        })
        .collect();
    let disclosed: Vec<NewEntry> = rows.into_iter().skip(EVERY / 2).step_by(EVERY).collect();
    let filled = || {
        let home = open();
        runtime.block_on(commit_each(&home.store, batches(&mostly_holes, BATCH)));
        home
    };
    let mut group = c.benchmark_group("store/holes");
    group.throughput(Throughput::Elements(FACTS));
    group.bench_function("commit, one row in 100", |b| {
        let setup = || (open(), batches(&mostly_holes, BATCH));
        b.iter_batched(
            setup,
            |(home, batches)| {
                runtime.block_on(commit_each(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    let home = filled();
    let log = bench_log();
    group.bench_function("leaves", |b| {
        b.iter(|| {
            let (one, two) = (0..FACTS / 2, FACTS / 2..FACTS);
            let leaves = async |range| home.store.leaves(black_box(&log), range).await.unwrap();
            runtime.block_on(async { (leaves(one).await, leaves(two).await) })
        });
    });
    group.throughput(Throughput::Elements(disclosed.len() as u64));
    let positions: Vec<u64> = disclosed.iter().map(|new| new.position).collect();
    group.bench_function("read 1000 scattered", |b| {
        b.iter(|| {
            let at = home.store.at(black_box(&log), &positions, usize::MAX);
            runtime.block_on(at).unwrap()
        });
    });
    group.bench_function("disclose 1000 scattered", |b| {
        b.iter_batched(
            || (filled(), batches(&disclosed, BATCH)),
            |(home, batches)| {
                runtime.block_on(commit_each(&home.store, batches));
                home
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

struct Home {
    store: Arc<RedbStore>,
    _folder: TempDir,
}

fn open() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let config = RedbConfig::new(folder.path().join("store.redb"));
    let blocking = |job: Box<dyn FnOnce() + Send>| {
        tokio::task::spawn_blocking(job);
    };
    let store = Arc::new(RedbStore::open(config, Arc::new(blocking)).unwrap());
    Home {
        store,
        _folder: folder,
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
}

fn bench_log() -> LogId {
    log(1, 1)
}

fn entries(count: u64) -> Vec<NewEntry> {
    let entry = |position| {
        let fact = sized_fact(&bench_log(), position, CONTENT_BYTES);
        let entry = Entry::Row(Row::from(&fact));
        NewEntry {
            log: bench_log(),
            position,
            entry,
            mark: None,
        }
    };
    (0..count).map(entry).collect()
}

fn id(entries: &[NewEntry], index: usize) -> FactId {
    match &entries[index].entry {
        Entry::Row(row) => row.id(),
        Entry::Withheld { .. } => unreachable!("entries are rows"),
    }
}

fn batches(entries: &[NewEntry], size: usize) -> Vec<Batch> {
    let batch = |entries: &[NewEntry]| Batch {
        entries: entries.to_vec(),
        ..Batch::default()
    };
    entries.chunks(size).map(batch).collect()
}

async fn commit_each(store: &RedbStore, batches: Vec<Batch>) {
    for batch in batches {
        store.commit(batch).await.unwrap();
    }
}

async fn commit_pipelined(store: &Arc<RedbStore>, batches: Vec<Batch>) {
    let mut tasks = tokio::task::JoinSet::new();
    for batch in batches {
        if tasks.len() >= IN_FLIGHT {
            tasks.join_next().await.unwrap().unwrap();
        }
        let store = Arc::clone(store);
        tasks.spawn(async move { store.commit(batch).await.unwrap() });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
