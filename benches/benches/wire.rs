//! Informs whether reading a message, which encodes it once more to see that there was one way to write it, costs little beside
//! opening its frame (1 MiB in about 0.7 ms), so that the stricter rule can stay.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::hint::black_box;

use causality_benches::Log;
use causality_fact::BLOCK_LEAVES;
use causality_wire::{
    AcceptedFormats, BincodeSerializer, BoundedVec, FactSync, Held, LogNumber,
    MessageSerializer as _, Receipt, SyncMessage,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

criterion_group!(benches, messages);
criterion_main!(benches);

fn messages(c: &mut Criterion) {
    let (chunk, _) = Log::write(BLOCK_LEAVES).first_chunk();
    let chunk = SyncMessage::FactSync(FactSync::new(LogNumber(0), chunk).unwrap());
    message(c, "wire/chunk of 1 MiB", &chunk);
    let receipt = Receipt {
        log: LogNumber(0),
        size: 4096,
        reveals: 0,
        held: Held::Complete,
        refused: BoundedVec::default(),
        credit: 1 << 20,
    };
    message(c, "wire/receipt", &SyncMessage::Receipt(receipt));
}

fn message(c: &mut Criterion, name: &str, message: &SyncMessage) {
    let body = BincodeSerializer.serialize(message).unwrap();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode", |b| {
        b.iter(|| BincodeSerializer.serialize(black_box(message)).unwrap());
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            AcceptedFormats::Bincode
                .deserialize(black_box(&body))
                .unwrap()
        });
    });
    group.finish();
}
