//! One world from one seed, from its first moment to its judgement.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::happening::Happening;
use crate::script::{Mode, Script};
use crate::trace::{Fingerprint, Trace};
use crate::world::{Plan, Shape, Sharing, World};

/// How many domains a world has.
pub const DOMAINS: usize = 5;
/// How long faults happen.
pub const LENGTH: Duration = Duration::from_secs(60);
/// How long a world that was healed may take to agree.
pub const AGREEMENT_MAX: Duration = Duration::from_secs(30);

/// How the world of a seed ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was expected of it.
    pub mode: Mode,
    /// What is wrong, if anything.
    pub failure: Option<String>,
    /// The last of what happened.
    pub story: Vec<String>,
    /// Equal for equal seeds.
    pub fingerprint: Fingerprint,
    /// How often what happened.
    pub happened: BTreeMap<Happening, u64>,
    /// How long it took, in its own time.
    pub simulated: Duration,
    /// How long it took from when everything worked again until all agreed.
    pub agreed_after: Option<Duration>,
    /// The history, for a judge.
    pub history: String,
}

/// Runs the world of a seed. Each line of what happens is given to `print`.
pub fn seed(seed: u64, print: fn(&str)) -> Result<Outcome> {
    let (stage, plan) = (Stage::new(print)?, plan(seed));
    let (judged, history, agreed_after) = match stage.run(|trace| live(plan, trace)) {
        Ok((history, agreed_after)) => (judge(&history).err(), history, agreed_after),
        Err(error) => (Some(error), String::new(), None),
    };
    // A task that panics takes nobody with it, so nobody else would notice.
    let panics = PANICS.take().into_iter().next();
    let failure = panics.or(judged.map(|error| format!("{error:#}")));
    Ok(Outcome {
        seed,
        mode: plan.mode,
        failure,
        story: stage.trace.story(),
        fingerprint: stage.trace.fingerprint(),
        happened: stage.trace.happened(),
        simulated: stage.now(),
        agreed_after,
        history,
    })
}

/// Where one world runs: on one thread, in time that passes when nobody has anything to do.
#[derive(Debug)]
pub struct Stage {
    runtime: tokio::runtime::Runtime,
    trace: Trace,
}

impl Stage {
    /// For a world that begins now. Each line of what happens in it is given to `print`.
    pub fn new(print: fn(&str)) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .context("no runtime")?;
        let inside = runtime.enter();
        let trace = Trace::new(print);
        drop(inside);
        Ok(Self { runtime, trace })
    }

    /// Runs the world to its end.
    ///
    /// # Errors
    ///
    /// Those of the world; and when it spins, panics, or has come to what no world may have.
    pub fn run<T, W>(&self, world: impl FnOnce(Trace) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let watched = async {
            tokio::select! {
                biased;
                spins = self.trace.spins() => Err(anyhow!(spins)),
                ended = world(self.trace.clone()) => ended,
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(watched)));
        let ended = ended.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied());
            bail!("{}", said.unwrap_or("the world panicked"))
        });
        match self.trace.first_wrong() {
            Some(wrong) => bail!(wrong),
            None => ended,
        }
    }

    fn now(&self) -> Duration {
        let _inside = self.runtime.enter();
        self.trace.now()
    }
}

/// What the world of a seed is made of.
pub fn plan(seed: u64) -> Plan {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ PLAN_SEEDS);
    let shapes = [Shape::Full, Shape::Line, Shape::Ring, Shape::Star];
    Plan {
        seed,
        domains: DOMAINS,
        shape: shapes[random.next_u32() as usize % shapes.len()],
        mode: if random.next_u32().is_multiple_of(2) {
            Mode::Liveness
        } else {
            Mode::Safety
        },
        sharing: if random.next_u32().is_multiple_of(2) {
            Sharing::Circles
        } else {
            Sharing::Rules
        },
        has_clients: true,
    }
}

/// The history of a world, and how long it took to agree once everything worked again.
async fn live(plan: Plan, trace: Trace) -> Result<(String, Option<Duration>)> {
    let mut agreed_after = None;
    let mut world = World::new(plan, trace).await?;
    world.follow(Script::random(&plan, LENGTH));
    world.run(LENGTH).await?;
    if plan.mode == Mode::Liveness {
        let broken = world.trace().now();
        world.heal().await?;
        let healed = world.trace().now();
        agreed_after = Some(if plan.sharing == Sharing::Rules {
            healed - broken + world.settle(AGREEMENT_MAX).await?
        } else {
            world.converge(AGREEMENT_MAX).await?;
            world.trace().now() - broken
        });
    }
    let (history, _) = world.end().await?;
    Ok((history.text(), agreed_after))
}

/// Asks the judge what it thinks of a history.
///
/// # Errors
///
/// What it found, rule by rule.
pub fn judge(history: &str) -> Result<()> {
    let verdict = causality_judge::judge(history.as_bytes())?;
    if verdict.is_clean() {
        return Ok(());
    }
    let told: Vec<_> = verdict.violations.iter().map(ToString::to_string).collect();
    bail!("{}", told.join("\n"))
}

/// From now on a panic in a world makes it fail.
pub fn note_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
        before(panic);
    }));
}

thread_local! {
    /// What has panicked in this thread: a world lives in one.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Plans draw from other seeds than the worlds that they are for.
const PLAN_SEEDS: u64 = 0x91a4_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use causality_node::Clock as _;

    use crate::clock::SimClock;

    /// How a world ends in which somebody does nothing but look at a clock.
    fn end_of_spinning(yields: bool) -> String {
        let stage = Stage::new(|_| {}).unwrap();
        let world = async |trace: Trace| {
            let clock = SimClock::new(&trace);
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            tokio::spawn(async move {
                loop {
                    clock.now_ms();
                    if yields {
                        tokio::task::yield_now().await;
                    }
                }
            });
            tokio::time::sleep(LENGTH).await;
            Ok(())
        };
        stage.run(world).unwrap_err().to_string()
    }

    #[test]
    fn a_world_that_spins_is_stopped() {
        for yields in [true, false] {
            let told = end_of_spinning(yields);
            assert!(told.starts_with("the world spins: "), "{told}");
            assert!(told.contains(" at 1.500 s"), "{told}");
        }
    }

    #[test]
    fn a_panic_of_a_world_is_what_is_wrong_with_it() {
        let stage = Stage::new(|_| {}).unwrap();
        let number = stage.now().as_secs();
        let world = async |_| -> Result<()> { panic!("number {number}") };
        let error = stage.run(world).unwrap_err();
        assert_eq!(error.to_string(), "number 0");
    }
}
