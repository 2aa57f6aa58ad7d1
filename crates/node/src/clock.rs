//! The two things that a node takes from the machine it runs on: time and randomness. The only file that may.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_core::CryptoRng;
use std::fmt::Debug;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970. May stand still or jump; a lane's own time never goes back.
    fn now_ms(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Makes generators of randomness, each independent of the others.
pub trait Entropy: Debug + Send + Sync {
    /// A new generator.
    fn generator(&self) -> Box<dyn CryptoRng + Send>;
}

/// ChaCha20 generators, each seeded by the operating system: salts are drawn a fact, and a call of the system for each
/// would take as long as hashing it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn generator(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(ChaCha20Rng::from_rng(&mut rand_core::UnwrapErr(
            getrandom::SysRng,
        )))
    }
}
