//! Informs whether a receiver can afford to compute every id and every content root again: decoding and hashing a row has
//! a budget of 1.5 µs. And what it costs an origin to make a fact, and a relay to withhold a field.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::hint::black_box;

use causality_benches::{Log, content, fact};
use causality_fact::{Row, Seed, TemporalFact, WholeContent};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

criterion_group!(benches, rows, facts);
criterion_main!(benches);

fn rows(c: &mut Criterion) {
    let log = Log::write(1);
    let origin = log.keys.domain();
    let whole = log.facts[0].to_row();
    let withheld = log.facts[0].redact(|_| false).to_row();
    let mut group = c.benchmark_group("fact/row");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode and hash, 256 bytes of content", |b| {
        b.iter(|| Row::from_bytes(black_box(&whole), origin).unwrap());
    });
    group.bench_function("decode and hash, content withheld", |b| {
        b.iter(|| Row::from_bytes(black_box(&withheld), origin).unwrap());
    });
    group.finish();
}

fn facts(c: &mut Criterion) {
    let log = Log::write(1);
    let made = fact(&log.checkpoint.log, 7);
    let mut group = c.benchmark_group("fact/fact");
    group.throughput(Throughput::Elements(1));
    let parts = || {
        let content = WholeContent::new(Seed::new([7; 16]), [content(7)].into()).unwrap();
        (made.core().clone(), content)
    };
    group.bench_function("make", |b| {
        b.iter_batched(
            parts,
            |(core, content)| TemporalFact::new(core, content).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("id of a core", |b| b.iter(|| black_box(made.core()).id()));
    group.bench_function("withhold a field", |b| {
        b.iter(|| black_box(&made).redact(|_| false))
    });
    group.finish();
}
