//! Stories with names: faults that are worth telling one by one, each with what has to come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causality_fact::DomainId;
use causality_node::{NodeError, NodeEvent, Problem};
use causality_store::StoreError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::clients::draft;
use crate::disk::DiskState;
use crate::happening::Happening;
use crate::link::Conditions;
use crate::run::{AGREEMENT_MAX, Stage, judge};
use crate::script::{Action, Index, Mode};
use crate::trace::Trace;
use crate::world::{Plan, Shape, Sharing, World};

/// A story.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    run: fn(&Options) -> Result<String>,
}

/// How a story is told.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// How often the power is cut in the story that is about that.
    pub power_cuts: u32,
    /// Gets each line of what happens.
    pub print: fn(&str),
}

impl Scenario {
    /// Tells the story; what it came to, in a sentence.
    ///
    /// # Errors
    ///
    /// When it does not end as it has to.
    pub fn run(&self, options: &Options) -> Result<String> {
        (self.run)(options)
    }

    /// The story of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

/// All stories.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "backup-slipped-in",
        about: "a store set back behind the node's back is noticed at first contact, and no log forks",
        run: |options| tell(options, options.seed, backup_slipped_in),
    },
    Scenario {
        name: "stopped-without-a-note",
        about: "a node that was set back and cannot write that down remembers it, and says so once it can",
        run: |options| tell(options, options.seed, stopped_without_a_note),
    },
    Scenario {
        name: "fork-after-rollback",
        about: "a node that was set back and writes before anybody can tell it forks its lane, and that is noticed",
        run: fork_after_rollback,
    },
    Scenario {
        name: "backup-restored",
        about: "a node restored from an old backup writes to another lane, and gets back what others hold",
        run: |options| tell(options, options.seed, backup_restored),
    },
    Scenario {
        name: "partition-in-catch-up",
        about: "a transfer that a partition interrupts goes on where it was",
        run: |options| tell(options, options.seed, partition_in_catch_up),
    },
    Scenario {
        name: "frames-repeated",
        about: "frames that come a second time end the session, change nothing, and the next session goes on",
        run: |options| tell(options, options.seed, frames_repeated),
    },
    Scenario {
        name: "disk-fails",
        about: "while a disk does not answer nothing is acknowledged, and afterwards nothing is missing",
        run: |options| tell(options, options.seed, disk_fails),
    },
    Scenario {
        name: "disk-full",
        about: "a full disk refuses appends, and takes them again once there is room",
        run: |options| tell(options, options.seed, disk_full),
    },
    Scenario {
        name: "power-cuts",
        about: "power cuts in the middle of appending, receiving, merging and backing up lose nothing acknowledged",
        run: power_cuts,
    },
    Scenario {
        name: "lying-fsync",
        about: "the control: a disk that acknowledges syncs and forgets them is found out",
        run: lying_fsync,
    },
];

/// Two domains that know each other, and nobody who works with them.
async fn pair((seed, trace): Cast, mode: Mode) -> Result<World> {
    let plan = Plan {
        seed,
        domains: 2,
        shape: Shape::Full,
        mode,
        sharing: Sharing::Public,
        has_clients: false,
    };
    World::new(plan, trace).await
}

/// The pair, with 5 facts of amber that both hold.
async fn settled(cast: Cast, mode: Mode) -> Result<World> {
    let mut world = pair(cast, mode).await?;
    append(&mut world, AMBER, 5).await??;
    world.converge(AGREEMENT_MAX).await?;
    Ok(world)
}

/// The pair, with 12 facts of amber that both hold, and a backup of amber that has 5 of them.
async fn ahead_of_a_backup(cast: Cast, mode: Mode) -> Result<World> {
    let mut world = settled(cast, mode).await?;
    world.perform(Action::Backup(AMBER)).await?;
    append(&mut world, AMBER, 7).await??;
    world.converge(AGREEMENT_MAX).await?;
    Ok(world)
}

/// A seed, and the record of what happens.
type Cast = (u64, Trace);

/// Tells a story with the world of a seed.
fn tell<T, S: Future<Output = Result<T>>>(
    options: &Options,
    seed: u64,
    story: impl FnOnce(Cast) -> S,
) -> Result<T> {
    Stage::new(options.print)?.run(|trace| story((seed, trace)))
}

async fn backup_slipped_in(cast: Cast) -> Result<String> {
    let mut world = ahead_of_a_backup(cast, Mode::Liveness).await?;
    let basil = world.machine(BASIL).domain();

    world.perform(Action::SlipIn(AMBER)).await?;
    let mut events = world.node(AMBER)?.events().context("amber runs")?;
    world.run(Duration::from_secs(5)).await?;
    let (mut stopped, mut caught_up) = (None, false);
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        match event {
            NodeEvent::Problem { peer, problem }
                if peer == basil && problem.problem == Problem::LaneAhead =>
            {
                ensure!(!caught_up, "it was said only after the first contact");
                stopped = Some(problem.log);
            }
            NodeEvent::CaughtUp { .. } => caught_up = true,
            _ => {}
        }
    }
    let stopped = stopped.context("amber did not say that it was set back")?;
    append(&mut world, AMBER, 1).await??;
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    let lanes = lanes(&world, BASIL, world.machine(AMBER).domain()).await?;
    let old = format!("{:.8}", stopped.lane);
    ensure!(
        lanes.len() == 2 && lanes.get(&old) == Some(&12),
        "basil holds {lanes:?} of amber, expected 12 in {old} and 1 in another"
    );
    conclude(world).await?;
    Ok(format!(
        "lane {old} was stopped at first contact, with all 12 facts back"
    ))
}

async fn stopped_without_a_note(cast: Cast) -> Result<String> {
    let mut world = ahead_of_a_backup(cast, Mode::Liveness).await?;

    world.perform(Action::SlipIn(AMBER)).await?;
    let stops = |world: &World| world.history().text().matches("lane_stopped").count();
    world
        .perform(Action::Disk(AMBER, DiskState::Failing))
        .await?;
    world.run(Duration::from_secs(1)).await?;
    ensure!(
        stops(&world) == 0,
        "amber said what it could not write down"
    );
    cut(&mut world, true).await?;
    world.run(Duration::from_millis(100)).await?;
    world.perform(Action::Disk(AMBER, DiskState::Good)).await?;
    append(&mut world, AMBER, 3).await??;
    ensure!(stops(&world) > 0, "amber did not say that it was set back");
    let lanes = lanes(&world, AMBER, world.machine(AMBER).domain()).await?;
    let mut sizes: Vec<_> = lanes.into_values().collect();
    sizes.sort_unstable();
    ensure!(sizes == [3, 5], "amber holds {sizes:?} facts of its lanes");
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    conclude(world).await?;
    Ok("3 facts went to another lane, although the disk had not taken the note".to_owned())
}

fn fork_after_rollback(options: &Options) -> Result<String> {
    // The lane was set back from 12 facts to 5: afterwards it has fewer than the peer knows, as many, or more.
    for (seed, written) in (options.seed..).zip([3, 7, 9]) {
        let story = tell(options, seed, |cast| fork_with(cast, written));
        story.with_context(|| format!("with {written} facts written after the rollback"))?;
    }
    Ok("both sides noticed it, and what was written later is in another lane".to_owned())
}

async fn fork_with(cast: Cast, written: usize) -> Result<()> {
    let mut world = ahead_of_a_backup(cast, Mode::Safety).await?;
    cut(&mut world, true).await?;
    world.perform(Action::SlipIn(AMBER)).await?;
    append(&mut world, AMBER, written).await??;
    let before = lanes(&world, AMBER, world.machine(AMBER).domain()).await?;
    cut(&mut world, false).await?;
    world.run(Duration::from_secs(20)).await?;
    let history = world.history().text();
    let said = |name, event| {
        let of = |line: &&str| line.contains(&format!(r#""node":"{name}","event":"{event}""#));
        history.lines().filter(of).count()
    };
    ensure!(
        said("amber", "fork_noticed") + said("amber", "lane_stopped") > 0,
        "the origin does not know that it has forked its lane"
    );
    append(&mut world, AMBER, 1).await??;
    let after = lanes(&world, AMBER, world.machine(AMBER).domain()).await?;
    ensure!(
        after.len() == before.len() + 1,
        "it went on in its lane: {before:?}, then {after:?}"
    );
    conclude(world).await
}

async fn backup_restored(cast: Cast) -> Result<String> {
    let mut world = ahead_of_a_backup(cast, Mode::Liveness).await?;
    cut(&mut world, true).await?;
    world.perform(Action::Restore(AMBER)).await?;
    append(&mut world, AMBER, 3).await??;
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    let lanes = lanes(&world, AMBER, world.machine(AMBER).domain()).await?;
    let mut sizes: Vec<_> = lanes.into_values().collect();
    sizes.sort_unstable();
    ensure!(sizes == [3, 12], "amber holds {sizes:?} facts of its lanes");
    conclude(world).await?;
    Ok("3 facts went to another lane, and the 7 lost ones came back".to_owned())
}

async fn partition_in_catch_up(cast: Cast) -> Result<String> {
    let mut world = pair(cast, Mode::Liveness).await?;
    cut(&mut world, true).await?;
    let mut events = world.node(BASIL)?.events().context("basil runs")?;
    for _ in 0..4 {
        append(&mut world, AMBER, 1_000).await??;
    }
    let narrow = Conditions {
        bytes_per_second: Some(400_000),
        ..Conditions::GOOD
    };
    world.perform(Action::Link(AMBER, BASIL, narrow)).await?;
    world.perform(Action::Link(BASIL, AMBER, narrow)).await?;
    let mut held = 0;
    for _ in 0..400 {
        held = held_of(&world, BASIL, AMBER).await?;
        if held > 0 {
            break;
        }
        world.run(Duration::from_millis(25)).await?;
    }
    cut(&mut world, true).await?;
    world.run(Duration::from_secs(10)).await?;
    let before = held_of(&world, BASIL, AMBER).await?;
    ensure!(
        held > 0 && before > 0 && before < 4_000,
        "the partition was not in the middle: {before} of 4000 facts"
    );
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    let mut sizes = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        if let NodeEvent::Grown { size, .. } = event {
            sizes.push(size);
        }
    }
    ensure!(
        sizes.is_sorted_by(|a, b| a < b) && sizes.last() == Some(&4_000),
        "basil grew to {sizes:?}"
    );
    conclude(world).await?;
    Ok(format!(
        "interrupted at {before} of 4000 facts, nothing was written twice"
    ))
}

async fn frames_repeated(cast: Cast) -> Result<String> {
    let mut world = settled(cast, Mode::Liveness).await?;
    let mut events = world.node(BASIL)?.events().context("basil runs")?;
    world.perform(Action::RepeatFrames(AMBER)).await?;
    append(&mut world, AMBER, 5).await??;
    world.run(Duration::from_secs(1)).await?;
    let repeated = world
        .trace()
        .happened()
        .contains_key(&Happening::FramesRepeated);
    ensure!(repeated, "no frames were repeated");
    let mut has_ended = false;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        has_ended |= matches!(event, NodeEvent::SessionEnded { .. });
    }
    ensure!(has_ended, "basil took frames that came a second time");
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    conclude(world).await?;
    Ok("the session ended at the second copy, and the next one went on".to_owned())
}

async fn disk_fails(cast: Cast) -> Result<String> {
    let mut world = settled(cast, Mode::Liveness).await?;
    let mut refused = 0;
    for round in 0..5 {
        world
            .perform(Action::Disk(AMBER, DiskState::Failing))
            .await?;
        for _ in 0..3 {
            let failed = append(&mut world, AMBER, 2).await?;
            ensure!(
                matches!(failed, Err(NodeError::Store(StoreError::Io { .. }))),
                "round {round}: a failing disk gave {failed:?}"
            );
            refused += 1;
        }
        world.perform(Action::Disk(AMBER, DiskState::Good)).await?;
        append(&mut world, AMBER, 1).await??;
    }
    world.perform(Action::CutPower(AMBER, None)).await?;
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    conclude(world).await?;
    Ok(format!(
        "{refused} appends were refused, and all others kept"
    ))
}

async fn disk_full(cast: Cast) -> Result<String> {
    let mut world = pair(cast, Mode::Liveness).await?;
    append(&mut world, AMBER, 5).await??;
    world.perform(Action::Disk(AMBER, DiskState::Full)).await?;
    let mut taken = 0;
    let refused = loop {
        match append(&mut world, AMBER, 100).await? {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        ensure!(taken < 1_000, "a full disk is never full");
    };
    ensure!(
        matches!(refused, NodeError::Store(StoreError::Full)),
        "a full disk gave {refused:?}"
    );
    world.perform(Action::Disk(AMBER, DiskState::Good)).await?;
    append(&mut world, AMBER, 100).await??;
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    conclude(world).await?;
    Ok(format!(
        "{taken} appends found room, the next was refused, and the one after there was room taken"
    ))
}

/// What is under way when the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Busy {
    Appending,
    BackingUp,
    Merging,
    Receiving,
}

fn power_cuts(options: &Options) -> Result<String> {
    let mut cuts = BTreeMap::new();
    let mut seed = options.seed;
    while cuts.values().sum::<u32>() < options.power_cuts {
        let left = options.power_cuts - cuts.values().sum::<u32>();
        let count = left.min(CUTS_IN_A_WORLD);
        let done = tell(options, seed, |cast| cuts_in_one_world(cast, count));
        let done = done.with_context(|| format!("in the world of seed {seed}"))?;
        done.into_iter()
            .for_each(|(busy, count)| *cuts.entry(busy).or_default() += count);
        seed += 1;
    }
    let counts = cuts.iter().map(|(busy, count)| format!("{count} {busy:?}"));
    Ok(counts.collect::<Vec<_>>().join(", ").to_lowercase())
}

async fn cuts_in_one_world(cast: Cast, count: u32) -> Result<BTreeMap<Busy, u32>> {
    let mut random = ChaCha8Rng::seed_from_u64(cast.0);
    let mut world = pair(cast, Mode::Liveness).await?;
    append(&mut world, AMBER, 300).await??;
    world.converge(AGREEMENT_MAX).await?;
    let mut cuts = BTreeMap::new();
    for number in 0..count {
        let busy = [
            Busy::Appending,
            Busy::BackingUp,
            Busy::Merging,
            Busy::Receiving,
        ];
        let busy = busy[number as usize % busy.len()];
        let victim = if busy == Busy::Receiving {
            BASIL
        } else {
            AMBER
        };
        if busy == Busy::Merging {
            append_one_by_one(&mut world, &mut random).await?;
        }
        let starts = world.machine(victim).starts;
        let operations = u64::from(random.next_u32() % 60);
        world
            .perform(Action::CutPower(victim, Some(operations)))
            .await?;
        let mut tries = 0;
        while world.machine(victim).starts == starts {
            match busy {
                // It is asked while the power lasts; whether it answers is in the history.
                Busy::Appending => drop(append(&mut world, AMBER, 3).await?),
                Busy::Receiving => drop(append(&mut world, AMBER, 20).await?),
                Busy::BackingUp => world.perform(Action::Backup(AMBER)).await?,
                Busy::Merging => {
                    if let Some(running) = &world.machine(AMBER).running {
                        drop(running.store.store().flush().await);
                    }
                    append_one_by_one(&mut world, &mut random).await?;
                }
            }
            world.run(Duration::from_millis(200)).await?;
            tries += 1;
            ensure!(tries < 500, "{busy:?} never came to operation {operations}");
        }
        *cuts.entry(busy).or_default() += 1;
    }
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await?;
    conclude(world).await?;
    Ok(cuts)
}

/// Leaves small segments behind.
async fn append_one_by_one(world: &mut World, random: &mut ChaCha8Rng) -> Result<()> {
    for _ in 0..random.next_u32() % 8 {
        // The power may be off.
        drop(append(world, AMBER, 1).await);
    }
    Ok(())
}

fn lying_fsync(options: &Options) -> Result<String> {
    let mut found = BTreeMap::new();
    for seed in options.seed..options.seed + LIARS {
        let how = match tell(options, seed, lie) {
            Ok(()) => None,
            Err(error) => Some(format!("{error:#}")),
        };
        let how = how.with_context(|| format!("the liar of seed {seed} was not found out"))?;
        let how = if how.contains("acknowledged_is_held") {
            "what was acknowledged is missing"
        } else {
            "the store does not open, or is damaged"
        };
        *found.entry(how).or_insert(0) += 1;
    }
    let found = found
        .iter()
        .map(|(how, count)| format!("{count} times {how}"));
    Ok(found.collect::<Vec<_>>().join(", "))
}

async fn lie(cast: Cast) -> Result<()> {
    let mut world = pair(cast, Mode::Safety).await?;
    append(&mut world, AMBER, 5).await??;
    world.machine(AMBER).disk.lie();
    for _ in 0..10 {
        append(&mut world, AMBER, 5).await??;
    }
    cut(&mut world, true).await?;
    world.perform(Action::CutPower(AMBER, None)).await?;
    world.run(Duration::from_secs(5)).await?;
    conclude(world).await
}

/// Ends the world and has its history judged.
async fn conclude(world: World) -> Result<()> {
    let (history, _) = world.end().await?;
    judge(&history.text())
}

/// Appends random facts at a node that runs.
async fn append(world: &mut World, at: Index, count: usize) -> Result<Result<(), NodeError>> {
    let mut random = ChaCha8Rng::seed_from_u64(world.history().text().len() as u64);
    let drafts = (0..count).filter_map(|_| draft(&mut random)).collect();
    let (name, clients) = (world.machine(at).name, world.clients());
    let circle = &clients.book.circles_of(at.0)[0];
    let Ok(node) = world.node(at) else {
        return Ok(Err(NodeError::Stopped));
    };
    Ok(clients.append((name, circle), node, drafts).await)
}

/// Cuts the two off from each other, or mends that.
async fn cut(world: &mut World, is_cut: bool) -> Result<()> {
    let conditions = Conditions {
        is_cut,
        ..Conditions::GOOD
    };
    world
        .perform(Action::Link(AMBER, BASIL, conditions))
        .await?;
    world.perform(Action::Link(BASIL, AMBER, conditions)).await
}

/// How many facts one holds of the other.
async fn held_of(world: &World, at: Index, of: Index) -> Result<u64> {
    let origin = world.machine(of).domain();
    let digest = world.node(at)?.registry().digest(Some(origin)).await?;
    Ok(digest.logs.iter().map(|log| log.held).sum())
}

/// The lanes of an origin, and how many facts of each are held.
async fn lanes(world: &World, at: Index, origin: DomainId) -> Result<BTreeMap<String, u64>> {
    let digest = world.node(at)?.registry().digest(Some(origin)).await?;
    let lane = |log: causality_node::LogDigest| (format!("{:.8}", log.lane), log.held);
    Ok(digest.logs.into_iter().map(lane).collect())
}

const AMBER: Index = Index(0);
const BASIL: Index = Index(1);

/// How many cuts one world lives through, and how many liars the control has.
const CUTS_IN_A_WORLD: u32 = 40;
const LIARS: u64 = 5;
