//! Informs whether a whole set of positions is short and quick enough to be what a domain tells of a log with holes, so that
//! the difference of two is exact after one round trip, or whether something that only approximates it has to come first.
//!
//! With `--figures` it prints the bytes both ways and the median time of each case, for `cargo xtask bench reconcile`.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use causality_fact::{Encoder, PositionSet};
use criterion::{Criterion, criterion_group};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// How many positions the log has; one side holds all of them.
const SIZE: u64 = 1_000_000;
/// How many of them the other side lacks.
const LACKING: [u64; 5] = [0, 10, 1_000, 10_000, 100_000];
/// A side tells so many bytes of a log with holes beside its size: digests of what it holds full, in part, and declines.
const DIGESTS_BYTES: usize = 3 * 16;
/// Within a session a log has a number.
const LOG_NUMBER_BYTES: usize = 4;
const RUNS: usize = 31;

/// What a side was told last, and what that came to.
struct Settlement {
    digest: [u8; 16],
    lacking: PositionSet,
}

criterion_group!(benches, differences);

fn main() {
    if std::env::args().any(|arg| arg == "--figures") {
        print_figures();
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}

fn differences(c: &mut Criterion) {
    let all = all();
    let mut group = c.benchmark_group("reconcile");
    for case in cases() {
        let (held, settled) = (case.held(), case.settlement());
        group.bench_function(case.name(), |b| {
            b.iter(|| Exchange::between(black_box(&held), &all, settled.as_ref()));
        });
    }
    group.finish();
}

/// For each case a line: how many are lacking, which, bytes there and back, round trips behind the frontier, microseconds.
fn print_figures() {
    let all = all();
    let mut out = std::io::stdout().lock();
    for case in cases() {
        let (held, settled) = (case.held(), case.settlement());
        let exchange = || Exchange::between(black_box(&held), &all, settled.as_ref());
        let mut times: Vec<_> = (0..RUNS).map(|_| time(exchange)).collect();
        let exchange = exchange();
        assert_eq!(exchange.lacking.len(), case.lacking);
        times.sort();
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{}\t{}",
            case.lacking,
            case.place(),
            exchange.told,
            exchange.asked,
            u8::from(exchange.asked > 0),
            times[RUNS / 2].as_secs_f64() * 1e6,
        )
        .unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench tells how long something took"
)]
fn time<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(run());
    start.elapsed()
}

#[derive(Clone, Copy, Debug)]
struct Case {
    lacking: u64,
    places: Places,
}

#[derive(Clone, Copy, Debug)]
enum Places {
    Newest,
    Random,
    /// At random, and nothing has changed since the last time.
    Settled,
}

fn cases() -> impl Iterator<Item = Case> {
    let places = [Places::Random, Places::Settled, Places::Newest];
    places
        .into_iter()
        .flat_map(|places| LACKING.map(|lacking| Case { lacking, places }))
}

impl Case {
    fn place(self) -> &'static str {
        match self.places {
            Places::Newest => "newest",
            Places::Random => "random",
            Places::Settled => "settled",
        }
    }

    fn name(self) -> String {
        format!("{} lacking, {}", self.lacking, self.place())
    }

    /// What the side that lacks some holds.
    fn held(self) -> PositionSet {
        let mut lacking = PositionSet::new();
        match self.places {
            Places::Newest => lacking.insert(SIZE - self.lacking..SIZE).unwrap(),
            Places::Random | Places::Settled => {
                let mut random = ChaCha20Rng::seed_from_u64(self.lacking);
                let mut positions = BTreeSet::new();
                while (positions.len() as u64) < self.lacking {
                    positions.insert(random.next_u64() % SIZE);
                }
                for position in positions {
                    lacking.insert(position..position + 1).unwrap();
                }
            }
        }
        all().difference(&lacking)
    }

    fn settlement(self) -> Option<Settlement> {
        let held = self.held();
        matches!(self.places, Places::Settled).then(|| Settlement {
            digest: held.digest(),
            lacking: all().difference(&held),
        })
    }
}

fn all() -> PositionSet {
    let mut all = PositionSet::new();
    all.insert(0..SIZE).unwrap();
    all
}

/// What two sides say of one log until the one that holds more knows what the other lacks.
struct Exchange {
    /// Bytes of the side that lacks some.
    told: usize,
    /// Bytes of the other side.
    asked: usize,
    lacking: PositionSet,
}

impl Exchange {
    fn between(held: &PositionSet, all: &PositionSet, settled: Option<&Settlement>) -> Self {
        let mut frontier = Encoder::new();
        if let Some(size) = held.is_prefix() {
            // Without holes its size says all, in the frontier that opens any round.
            frontier.u8(0).uint(size);
            let mut told = PositionSet::new();
            told.insert(0..size).unwrap();
            return Self {
                told: frontier.len(),
                asked: 0,
                lacking: all.difference(&told),
            };
        }
        frontier.u8(1).uint(SIZE).raw(&[0; DIGESTS_BYTES]);
        if let Some(settled) = settled.filter(|settled| settled.digest == held.digest()) {
            return Self {
                told: frontier.len(),
                asked: 0,
                lacking: settled.lacking.clone(),
            };
        }
        // Digests that are not those of a settlement are asked about. Nothing here is held in part or declined.
        let none = PositionSet::new().encode();
        let mut sets = Encoder::new();
        sets.raw(&[0; LOG_NUMBER_BYTES])
            .bytes(&held.encode())
            .bytes(&none)
            .bytes(&none);
        let bytes = sets.finish();
        let encoded = &bytes[LOG_NUMBER_BYTES..];
        let told = causality_fact::Decoder::new(encoded)
            .bytes("set", encoded.len())
            .and_then(|set| PositionSet::decode(set, SIZE as usize))
            .unwrap();
        Self {
            told: frontier.len() + bytes.len(),
            asked: LOG_NUMBER_BYTES,
            lacking: all.difference(&told),
        }
    }
}
