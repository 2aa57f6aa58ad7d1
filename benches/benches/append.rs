//! Informs how many facts the engine should take into one append: what salting, hashing, the tree and one signature cost a fact
//! in appends of 1, 64 and 1000. The store answers at once and writes nothing, so this is the engine alone.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::ops::Range;
use std::sync::Arc;

use causality_benches::{content, keys, resource};
use causality_sync::{
    Draft, Engine, Event, Input, Load, Loaded, Output, RequestId, Restored, StoreState,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

criterion_group!(benches, append);
criterion_main!(benches);

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for size in [1, 64, 1000] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("{size} facts under one signature"), |b| {
            let mut domain = Domain::new();
            let mut next = 0;
            let drafts = || {
                next += size;
                drafts(next - size..next)
            };
            b.iter_batched(
                drafts,
                |drafts| domain.append(drafts),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Each about a resource of its own.
fn drafts(numbers: Range<u64>) -> Vec<Draft> {
    let draft = |number| {
        let resource = resource(number).parse().unwrap();
        let content = [content(number)].into();
        Draft {
            content,
            ..Draft::new("observation".parse().unwrap(), resource)
        }
    };
    numbers.map(draft).collect()
}

/// An engine, and what stands in for its store.
struct Domain {
    engine: Engine,
    now_ms: u64,
}

impl Domain {
    fn new() -> Self {
        let restored = Restored::from_store(StoreState::default()).unwrap();
        let random = Box::new(ChaCha20Rng::seed_from_u64(3));
        Self {
            engine: Engine::new(Arc::new(keys()), restored, random),
            now_ms: 0,
        }
    }

    fn append(&mut self, drafts: Vec<Draft>) -> usize {
        self.now_ms += 1;
        let request = RequestId(self.now_ms);
        self.handle(Input::Append {
            request,
            compartment: "public".to_owned(),
            drafts,
        });
        let mut appended = 0;
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Load {
                    ticket,
                    load: Load::Append { marks, keys, .. },
                } => {
                    let marks = vec![None; marks.len()];
                    let keys = vec![Vec::new(); keys.len()];
                    self.handle(Input::Loaded {
                        ticket,
                        result: Ok(Loaded::Append { marks, keys }),
                    });
                }
                Output::Commit { ticket, .. } => {
                    self.handle(Input::Committed {
                        ticket,
                        result: Ok(()),
                    });
                }
                Output::Event(Event::Appended { result, .. }) => appended = result.unwrap().len(),
                _ => {}
            }
        }
        appended
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.now_ms, input);
    }
}
