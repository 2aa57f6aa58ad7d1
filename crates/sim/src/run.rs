//! One world from one seed, from its first moment to its judgement.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::fault::FaultKind;
use crate::script::{Mode, Script};
use crate::trace::{Fingerprint, Trace};
use crate::world::{Plan, Shape, World};

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
    /// How often each fault had an effect.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How long it took, in its own time.
    pub simulated: Duration,
    /// How long it took from when everything worked again until all agreed.
    pub agreed_after: Option<Duration>,
    /// The history, for a judge.
    pub history: String,
}

/// Runs the world of a seed. Each line of what happens is given to `print`.
pub fn seed(seed: u64, print: fn(&str)) -> Result<Outcome> {
    runtime()?.block_on(world_of(seed, print))
}

/// A runtime for one world: one thread, and time that passes when nobody has anything to do.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("no runtime")
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
        has_clients: true,
    }
}

async fn world_of(seed: u64, print: fn(&str)) -> Result<Outcome> {
    let (trace, plan) = (Trace::new(print), plan(seed));
    let mut agreed_after = None;
    let lived = live(plan, trace.clone(), &mut agreed_after).await;
    let (judged, history) = match lived {
        Ok(history) => (judge(&history).err(), history),
        Err(error) => (Some(error), String::new()),
    };
    // A task that panics takes nobody with it, so nobody else would notice.
    let panics = PANICS.take().into_iter().next();
    let failure = panics.or_else(|| trace.first_wrong());
    let failure = failure.or(judged.map(|error| format!("{error:#}")));
    Ok(Outcome {
        seed,
        mode: plan.mode,
        failure,
        story: trace.story(),
        fingerprint: trace.fingerprint(),
        faults: trace.faults(),
        simulated: trace.now(),
        agreed_after,
        history,
    })
}

async fn live(plan: Plan, trace: Trace, agreed_after: &mut Option<Duration>) -> Result<String> {
    let mut world = World::new(plan, trace).await?;
    world.follow(Script::random(plan.seed, plan.domains, LENGTH, plan.mode));
    world.run(LENGTH).await?;
    if plan.mode == Mode::Liveness {
        let healed = world.trace().now();
        world.heal().await?;
        world.converge(AGREEMENT_MAX).await?;
        *agreed_after = Some(world.trace().now() - healed);
    }
    let (history, _) = world.end().await?;
    Ok(history.text())
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
