//! Stories of disks that fail, fill up, lose power and lie.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causality_node::NodeError;
use causality_store::StoreError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::Options;
use super::words::{AMBER, BASIL, Cast, append, conclude, cut, ends_well, pair, settled, tell};
use crate::disk::DiskState;
use crate::run::AGREEMENT_MAX;
use crate::script::{Action, Mode};
use crate::world::World;

pub(super) async fn disk_fails(cast: Cast) -> Result<String> {
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
    ends_well(world).await?;
    Ok(format!(
        "{refused} appends were refused, and all others kept"
    ))
}

pub(super) async fn disk_full(cast: Cast) -> Result<String> {
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
    ends_well(world).await?;
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

pub(super) fn power_cuts(options: &Options) -> Result<String> {
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
    ends_well(world).await?;
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

pub(super) fn lying_fsync(options: &Options) -> Result<String> {
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
    conclude(world).await?;
    Ok(())
}

/// How many cuts one world lives through, and how many liars the control has.
const CUTS_IN_A_WORLD: u32 = 40;
const LIARS: u64 = 5;
