//! Stories of stores that are set back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causality_node::{NodeEvent, Problem};

use super::Options;
use super::words::{
    AMBER, BASIL, Cast, agree, ahead_of_a_backup, append, conclude, cut, ends_well, lanes,
    own_lanes, said, tell,
};
use crate::disk::DiskState;
use crate::script::{Action, Mode};
use crate::world::World;

pub(super) async fn backup_slipped_in(cast: Cast) -> Result<String> {
    let mut world = ahead_of_a_backup(cast, Mode::Liveness).await?;
    let basil = world.machine(BASIL).domain();

    world.perform(Action::SlipIn(AMBER)).await?;
    let mut events = world.node(AMBER)?.events().context("amber runs")?;
    world.run(Duration::from_secs(5)).await?;
    let (mut stopped, mut caught_up) = (None, false);
    for event in said(&mut events).await {
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
    agree(&mut world).await?;
    let lanes = lanes(&world, BASIL, AMBER).await?;
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

pub(super) async fn stopped_without_a_note(cast: Cast) -> Result<String> {
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
    let sizes = own_lanes(&world, AMBER).await?;
    ensure!(sizes == [3, 5], "amber holds {sizes:?} facts of its lanes");
    ends_well(world).await?;
    Ok("3 facts went to another lane, although the disk had not taken the note".to_owned())
}

pub(super) fn fork_after_rollback(options: &Options) -> Result<String> {
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
    let before = own_lanes(&world, AMBER).await?;
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
    let after = own_lanes(&world, AMBER).await?;
    ensure!(
        after.len() == before.len() + 1,
        "it went on in its lane: {before:?}, then {after:?}"
    );
    conclude(world).await?;
    Ok(())
}

pub(super) async fn backup_restored(cast: Cast) -> Result<String> {
    let mut world = ahead_of_a_backup(cast, Mode::Liveness).await?;
    cut(&mut world, true).await?;
    world.perform(Action::Restore(AMBER)).await?;
    append(&mut world, AMBER, 3).await??;
    agree(&mut world).await?;
    let sizes = own_lanes(&world, AMBER).await?;
    ensure!(sizes == [3, 12], "amber holds {sizes:?} facts of its lanes");
    conclude(world).await?;
    Ok("3 facts went to another lane, and the 7 lost ones came back".to_owned())
}
