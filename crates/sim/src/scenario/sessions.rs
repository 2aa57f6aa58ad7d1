//! Stories of sessions that are disturbed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causality_node::NodeEvent;

use super::words::{
    AMBER, BASIL, Cast, agree, append, conclude, cut, ends_well, happened, held_of, pair, said,
    settled, show, weather,
};
use crate::happening::Happening;
use crate::link::Conditions;
use crate::script::{Action, Mode};

pub(super) async fn partition_in_catch_up(cast: Cast) -> Result<String> {
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
    weather(&mut world, (AMBER, BASIL), narrow).await?;
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
    show(&mut world, BASIL).await?;
    let before = held_of(&world, BASIL, AMBER).await?;
    ensure!(
        held > 0 && before > 0 && before < 4_000,
        "the partition was not in the middle: {before} of 4000 facts"
    );
    agree(&mut world).await?;
    let said = said(&mut events).await.into_iter();
    let sizes = said.filter_map(|event| match event {
        NodeEvent::Grown { size, .. } => Some(size),
        _ => None,
    });
    let sizes: Vec<_> = sizes.collect();
    ensure!(
        sizes.is_sorted_by(|a, b| a < b) && sizes.last() == Some(&4_000),
        "basil grew to {sizes:?}"
    );
    conclude(world).await?;
    Ok(format!(
        "interrupted at {before} of 4000 facts, nothing was written twice"
    ))
}

pub(super) async fn frames_repeated(cast: Cast) -> Result<String> {
    let mut world = settled(cast, Mode::Liveness).await?;
    let mut events = world.node(BASIL)?.events().context("basil runs")?;
    world.perform(Action::RepeatFrames(AMBER)).await?;
    append(&mut world, AMBER, 5).await??;
    world.run(Duration::from_secs(1)).await?;
    ensure!(
        happened(&world, Happening::FramesRepeated) > 0,
        "no frames were repeated"
    );
    let is_end = |event: &NodeEvent| matches!(event, NodeEvent::SessionEnded { .. });
    ensure!(
        said(&mut events).await.iter().any(is_end),
        "basil took frames that came a second time"
    );
    ends_well(world).await?;
    Ok("the session ended at the second copy, and the next one went on".to_owned())
}
