//! The words of stories: who is in them, how they begin and end, and what is done in them again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use causality_fact::Label;
use causality_judge::history::Rule;
use causality_node::{Completeness, Draft, LogDigest, NodeError, NodeEvent, NodeEvents};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::Options;
use crate::clients::draft;
use crate::happening::Happening;
use crate::history::PUBLIC;
use crate::link::Conditions;
use crate::rules::Terms;
use crate::run::{AGREEMENT_MAX, Stage, judge};
use crate::script::{Action, Index, Mode};
use crate::trace::Trace;
use crate::world::{Plan, Shape, Sharing, World};

/// Who is in stories.
pub(super) const AMBER: Index = Index(0);
pub(super) const BASIL: Index = Index(1);
pub(super) const CEDAR: Index = Index(2);

/// A seed, and the record of what happens.
pub(super) type Cast = (u64, Trace);

/// Tells a story with the world of a seed.
pub(super) fn tell<T, S: Future<Output = Result<T>>>(
    options: &Options,
    seed: u64,
    story: impl FnOnce(Cast) -> S,
) -> Result<T> {
    Stage::new(options.print)?.run(|trace| story((seed, trace)))
}

/// Two domains that know each other and share everything, and nobody who works with them.
pub(super) async fn pair((seed, trace): Cast, mode: Mode) -> Result<World> {
    World::new(plan(seed, mode), trace).await
}

/// The pair, with 5 facts of amber that both hold.
pub(super) async fn settled(cast: Cast, mode: Mode) -> Result<World> {
    let mut world = pair(cast, mode).await?;
    append(&mut world, AMBER, 5).await??;
    world.converge(AGREEMENT_MAX).await?;
    Ok(world)
}

/// The pair, with 12 facts of amber that both hold, and a backup of amber that has 5 of them.
pub(super) async fn ahead_of_a_backup(cast: Cast, mode: Mode) -> Result<World> {
    let mut world = settled(cast, mode).await?;
    world.perform(Action::Backup(AMBER)).await?;
    append(&mut world, AMBER, 7).await??;
    world.converge(AGREEMENT_MAX).await?;
    Ok(world)
}

/// So many domains that go by rules, which let everything through both ways until somebody says otherwise.
pub(super) async fn ruled((seed, trace): Cast, domains: usize, shape: Shape) -> Result<World> {
    let plan = Plan {
        domains,
        shape,
        sharing: Sharing::Rules,
        ..plan(seed, Mode::Liveness)
    };
    let mut world = World::new(plan, trace).await?;
    for (a, b) in shape.pairs(domains) {
        for way in [(a, b), (b, a)] {
            rule(&mut world, (Index(way.0), Index(way.1)), everything()).await?;
        }
    }
    Ok(world)
}

fn plan(seed: u64, mode: Mode) -> Plan {
    Plan {
        seed,
        domains: 2,
        shape: Shape::Full,
        mode,
        sharing: Sharing::Public,
        has_clients: false,
    }
}

/// Everything goes both ways.
pub(super) fn everything() -> Terms {
    Terms {
        out: vec![Rule::all_of(PUBLIC)],
        kept: Vec::new(),
        taken: vec![Rule::all_of(PUBLIC)],
    }
}

/// From here on one goes by other rules about another, and has for a moment, so that it is later than any earlier rules.
pub(super) async fn rule(
    world: &mut World,
    (of, about): (Index, Index),
    terms: Terms,
) -> Result<()> {
    world.change_rules(of.0, about.0, |_, _| terms).await?;
    world.run(Duration::from_millis(50)).await
}

/// Everything works again, and all come to hold the same.
pub(super) async fn agree(world: &mut World) -> Result<()> {
    world.heal().await?;
    world.converge(AGREEMENT_MAX).await
}

/// Ends the world and has its history judged, which is returned.
pub(super) async fn conclude(world: World) -> Result<String> {
    let (history, _) = world.end().await?;
    let history = history.text();
    judge(&history)?;
    Ok(history)
}

/// Everything works again, all come to hold the same, and the judge finds nothing. Returns the history.
pub(super) async fn ends_well(mut world: World) -> Result<String> {
    agree(&mut world).await?;
    conclude(world).await
}

/// Appends random facts at a node that runs.
pub(super) async fn append(
    world: &mut World,
    at: Index,
    count: usize,
) -> Result<Result<(), NodeError>> {
    append_labelled(world, at, count, "").await
}

/// Appends random facts with a label.
pub(super) async fn append_labelled(
    world: &mut World,
    at: Index,
    count: usize,
    label: &str,
) -> Result<Result<(), NodeError>> {
    let mut random = ChaCha8Rng::seed_from_u64(world.history().text().len() as u64);
    let label = Label::new(label)?;
    let labelled = |draft| Draft {
        label: label.clone(),
        ..draft
    };
    let drafts = (0..count).filter_map(|_| draft(&mut random).map(labelled));
    let drafts = drafts.collect();
    let (name, clients) = (world.machine(at).name, world.clients());
    let circle = &clients.book.circles_of(at.0)[0];
    let Ok(node) = world.node(at) else {
        return Ok(Err(NodeError::Stopped));
    };
    Ok(clients.append((name, circle), node, drafts).await)
}

/// Cuts amber and basil off from each other, or mends that.
pub(super) async fn cut(world: &mut World, is_cut: bool) -> Result<()> {
    let conditions = Conditions {
        is_cut,
        ..Conditions::GOOD
    };
    weather(world, (AMBER, BASIL), conditions).await
}

/// Both ways between two behave so from here on.
pub(super) async fn weather(
    world: &mut World,
    (a, b): (Index, Index),
    conditions: Conditions,
) -> Result<()> {
    world.perform(Action::Link(a, b, conditions)).await?;
    world.perform(Action::Link(b, a, conditions)).await
}

/// Shows the judge what a node that runs holds, and what it says of that.
pub(super) async fn show(world: &mut World, at: Index) -> Result<()> {
    let is_shown = world.dump(at.0, false).await?;
    ensure!(is_shown, "{} is down or busy", world.machine(at).name);
    Ok(())
}

/// How many facts one holds of the other.
pub(super) async fn held_of(world: &World, at: Index, of: Index) -> Result<u64> {
    let origin = world.machine(of).domain();
    let digest = world.node(at)?.registry().digest(Some(origin)).await?;
    Ok(digest.logs.iter().map(|log| log.held).sum())
}

/// Of how many facts of another one has only a hash, and what its node says of the log, if there is one.
pub(super) async fn lacks(
    world: &World,
    at: Index,
    of: Index,
) -> Result<(u64, Option<Completeness>)> {
    let origin = world.machine(of).domain();
    let mut holdings = world.node(at)?.holdings().await?;
    holdings.retain(|log| log.log.origin == origin);
    let hidden = holdings.iter().map(|log| log.hidden).sum();
    Ok((hidden, holdings.first().map(|log| log.completeness)))
}

/// The lanes of another, and how many facts of each one holds.
pub(super) async fn lanes(world: &World, at: Index, of: Index) -> Result<BTreeMap<String, u64>> {
    let origin = world.machine(of).domain();
    let digest = world.node(at)?.registry().digest(Some(origin)).await?;
    let lane = |log: LogDigest| (format!("{:.8}", log.lane), log.held);
    Ok(digest.logs.into_iter().map(lane).collect())
}

/// How many facts of each of its lanes one holds, the fewest first.
pub(super) async fn own_lanes(world: &World, at: Index) -> Result<Vec<u64>> {
    let mut sizes: Vec<_> = lanes(world, at, at).await?.into_values().collect();
    sizes.sort_unstable();
    Ok(sizes)
}

/// How often something has happened.
pub(super) fn happened(world: &World, what: Happening) -> u64 {
    let happened = world.trace().happened();
    happened.get(&what).copied().unwrap_or_default()
}

/// What a node has said by now that nobody has heard yet.
pub(super) async fn said(events: &mut NodeEvents) -> Vec<NodeEvent> {
    let mut said = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        said.push(event);
    }
    said
}
