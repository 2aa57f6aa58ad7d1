//! Clocks that go wrong, and randomness from a seed.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use causality_node::{Clock, Entropy};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{CryptoRng, SeedableRng as _};
use tokio::time::Instant;

use crate::trace::Trace;

/// When all worlds begin, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_517_420_174_280;

/// A clock on virtual time that can drift, jump and stand still.
#[derive(Debug)]
pub struct SimClock {
    hands: Mutex<Hands>,
    trace: Trace,
}

#[derive(Debug)]
struct Hands {
    /// What it showed at `since`.
    shown_ms: u64,
    since: Instant,
    rate: Rate,
}

/// How fast a clock goes, in parts of a million: 1 000 000 is right, 0 stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any rate is one")]
pub struct Rate(pub u64);

impl Rate {
    /// As fast as time.
    pub const RIGHT: Self = Self(1_000_000);
    /// Not at all.
    pub const STOPPED: Self = Self(0);
}

impl SimClock {
    /// A clock that is right, from the beginning of the world on.
    pub fn new(trace: &Trace) -> Self {
        let hands = Hands {
            shown_ms: EPOCH_MS,
            since: Instant::now(),
            rate: Rate::RIGHT,
        };
        Self {
            hands: Mutex::new(hands),
            trace: trace.clone(),
        }
    }

    /// From now on it goes so fast.
    pub fn set_rate(&self, rate: Rate) {
        let mut hands = self.hands();
        hands.turn(|shown| shown);
        hands.rate = rate;
    }

    /// Shows another time from one moment to the next: so many milliseconds later, or earlier.
    pub fn jump(&self, by_ms: i64) {
        self.hands()
            .turn(|shown| shown.saturating_add_signed(by_ms));
    }

    /// What it shows, and how fast it goes.
    pub(crate) fn shows(&self) -> (u64, Rate) {
        let hands = self.hands();
        (hands.now_ms(), hands.rate)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hands {
    fn now_ms(&self) -> u64 {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let gone = micros.saturating_mul(self.rate.0) / 1_000_000_000;
        self.shown_ms.saturating_add(gone)
    }

    fn turn(&mut self, to: impl FnOnce(u64) -> u64) {
        self.shown_ms = to(self.now_ms());
        self.since = Instant::now();
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.trace.step();
        self.hands().now_ms()
    }
}

/// Generators from a seed, each another.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededEntropy {
    /// Different seeds give different generators.
    pub fn new(seed: u64) -> Self {
        let drawn = AtomicU64::new(0);
        Self { seed, drawn }
    }

    /// The next generator.
    pub fn next(&self) -> ChaCha20Rng {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&number.to_le_bytes());
        ChaCha20Rng::from_seed(key)
    }
}

impl Entropy for SeededEntropy {
    fn generator(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use rand_chacha::rand_core::Rng as _;

    #[tokio::test(start_paused = true)]
    async fn a_clock_drifts_jumps_and_stands_still() {
        let clock = SimClock::new(&Trace::new(|_| {}));
        let after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            clock.now_ms() as i64 - EPOCH_MS as i64
        };
        assert_eq!(after(1).await, 1_000);
        clock.set_rate(Rate(1_500_000));
        assert_eq!(after(2).await, 4_000);
        clock.jump(-10_000);
        assert_eq!(after(0).await, -6_000);
        clock.set_rate(Rate::STOPPED);
        assert_eq!(after(100).await, -6_000);
        clock.jump(7_000);
        clock.set_rate(Rate::RIGHT);
        assert_eq!(after(1).await, 2_000);
    }

    #[test]
    fn generators_differ_and_repeat_with_the_seed() {
        let drawn = |seed| {
            let entropy = SeededEntropy::new(seed);
            [(); 3].map(|()| entropy.next().next_u64())
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_ne!(drawn(1)[0], drawn(1)[1]);
    }
}
