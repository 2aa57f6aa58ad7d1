//! Stories of rules that end by themselves, and of relays that fill what others keep back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causality_judge::history::{Kept, Rule, Window};
use causality_node::Completeness;

use super::words::{
    AMBER, BASIL, CEDAR, Cast, append_labelled, cut, ends_well, everything, happened, lacks, rule,
    ruled, show, weather,
};
use crate::clock::EPOCH_MS;
use crate::happening::Happening;
use crate::history::PUBLIC;
use crate::link::{Conditions, PerMille};
use crate::rules::Terms;
use crate::run::judge;
use crate::script::{Action, Index};
use crate::world::{Shape, World};

pub(super) async fn embargo_ends(cast: Cast) -> Result<String> {
    let mut embargo = Embargo::nearly_over(cast).await?;
    let took = embargo.ends().await?;
    embargo.was_kept().await?;
    Ok(format!(
        "{EMBARGOED} facts came {took} ms after the moment, and a longer embargo would have been broken"
    ))
}

pub(super) async fn embargo_ends_apart(cast: Cast) -> Result<String> {
    let mut embargo = Embargo::nearly_over(cast).await?;
    let world = &mut embargo.world;
    cut(world, true).await?;
    world.run(CLOSE + Duration::from_secs(15)).await?;
    ensure!(
        happened(world, Happening::DatagramCut) > 0,
        "nothing met the cut links"
    );
    is_deferred(world).await?;
    cut(world, false).await?;
    let took = embargo.ends().await?;
    embargo.was_kept().await?;
    Ok(format!(
        "{EMBARGOED} facts came {took} ms after the moment, once the two could reach each other again"
    ))
}

pub(super) async fn relay_permitted(cast: Cast) -> Result<String> {
    // Amber itself has signed what it keeps back from cedar, and goes on to.
    let (shape, kept) = (Shape::Full, [(AMBER, CEDAR), (BASIL, CEDAR)]);
    let cuts = filled_later(cast, shape, &kept, Completeness::Attested).await?;
    Ok(format!(
        "{EMBARGOED} facts came from the relay alone, over {cuts} power cuts"
    ))
}

pub(super) async fn relay_filled(cast: Cast) -> Result<String> {
    // A relay cannot attest what it lacks.
    let (shape, kept) = (Shape::Line, [(AMBER, BASIL)]);
    let cuts = filled_later(cast, shape, &kept, Completeness::Incomplete).await?;
    Ok(format!(
        "{EMBARGOED} facts came by way of the relay, over {cuts} power cuts"
    ))
}

/// Everything but what is labelled red, for ever or until a moment.
fn but_red(until: Option<u64>) -> Terms {
    let red = Rule {
        labels: Some(vec!["red".to_owned()]),
        in_force: until.map(|_| Window { from: None, until }),
        ..Rule::all_of(PUBLIC)
    };
    Terms {
        kept: vec![Kept {
            of: red,
            fields: None,
        }],
        ..everything()
    }
}

/// Amber says something blue and something red, and whoever may have it gets the time to.
async fn say(world: &mut World) -> Result<()> {
    append_labelled(world, AMBER, 6, "blue").await??;
    append_labelled(world, AMBER, EMBARGOED, "red").await??;
    append_labelled(world, AMBER, 6, "blue").await??;
    world.run(Duration::from_secs(5)).await
}

/// Somebody has a hash only of what is red, and the judge is shown that. Returns what his node says of amber's log.
async fn is_hidden_from(world: &mut World, at: Index) -> Result<Completeness> {
    show(world, at).await?;
    let (hidden, says) = lacks(world, at, AMBER).await?;
    ensure!(
        hidden == EMBARGOED as u64,
        "{hidden} facts are hidden, not {EMBARGOED}"
    );
    says.context("amber has no log")
}

/// Basil has a hash only of what is red, and has been told that a moment will come.
async fn is_deferred(world: &mut World) -> Result<()> {
    let says = is_hidden_from(world, BASIL).await?;
    ensure!(
        says == Completeness::Attested,
        "amber has signed what it keeps back from basil, which says {says:?}"
    );
    ensure!(
        happened(world, Happening::FactDeferred) > 0,
        "amber has not said that a moment will come"
    );
    Ok(())
}

/// An embargo of amber about what is red, which basil may have from a moment on.
struct Embargo {
    world: World,
    /// When it ends, in the time of the world.
    end: Duration,
    /// How often rules had changed when it began.
    rules: u64,
}

impl Embargo {
    /// Amber has said something red, and the moment is close.
    async fn nearly_over(cast: Cast) -> Result<Self> {
        let mut world = ruled(cast, 2, Shape::Full).await?;
        let end = Duration::from_millis(20_000);
        rule(&mut world, (AMBER, BASIL), but_red(Some(shown_at(end)))).await?;
        say(&mut world).await?;
        is_deferred(&mut world).await?;
        let left = end.saturating_sub(world.trace().now());
        world.run(left.saturating_sub(CLOSE)).await?;
        is_deferred(&mut world).await?;
        let rules = world.clients().book.changes();
        Ok(Self { world, end, rules })
    }

    /// Waits until basil has everything; how many milliseconds after the moment that was.
    async fn ends(&mut self) -> Result<u128> {
        let Self { world, end, .. } = self;
        let most = *end + Duration::from_secs(40);
        is_filled(world, BASIL, most).await?;
        let now = world.trace().now();
        ensure!(now > *end, "they came before the moment");
        show(world, BASIL).await?;
        Ok((now - *end).as_millis())
    }

    /// Nobody changed a rule, the judge finds nothing, and in the same history would find that a longer embargo was broken.
    async fn was_kept(self) -> Result<()> {
        let rules = self.world.clients().book.changes();
        ensure!(rules == self.rules, "rules have changed meanwhile");
        let history = ends_well(self.world).await?;
        let ends = |end| format!(r#""until":{}"#, shown_at(end));
        let longer = self.end + Duration::from_secs(3_600);
        let longer = history.replace(&ends(self.end), &ends(longer));
        ensure!(longer != history, "the history does not tell the embargo");
        let found = judge(&longer).err().map(|found| found.to_string());
        ensure!(
            found.is_some_and(|found| found.contains("held_is_permitted")),
            "the judge does not see what was held before it was permitted"
        );
        Ok(())
    }
}

/// What a clock that is right shows at a moment of the world.
fn shown_at(moment: Duration) -> u64 {
    EPOCH_MS + u64::try_from(moment.as_millis()).unwrap_or(u64::MAX)
}

/// Some keep what is red back from others, so that cedar has only a hash of it and `says` so. Then the last of them does no
/// more, on a line that loses a fifth of what it is given, while the power of both goes off again and again. Waits until
/// cedar has everything, without other rules of its own; how often the power went off.
async fn filled_later(
    cast: Cast,
    shape: Shape,
    kept: &[(Index, Index)],
    says: Completeness,
) -> Result<u64> {
    let mut world = ruled(cast, 3, shape).await?;
    for pair in kept {
        rule(&mut world, *pair, but_red(None)).await?;
    }
    say(&mut world).await?;
    let said = is_hidden_from(&mut world, CEDAR).await?;
    ensure!(said == says, "cedar says {said:?}, not {says:?}");

    let (of, to) = *kept.last().context("nobody keeps anything back")?;
    let bad = Conditions {
        loss: PerMille(200),
        ..Conditions::GOOD
    };
    weather(&mut world, (of, to), bad).await?;
    rule(&mut world, (of, to), everything()).await?;
    for (victim, operations) in [(to, 0), (of, 3), (to, 6)] {
        let cut = Action::CutPower(victim, Some(operations));
        world.perform(cut).await?;
        world.run(Duration::from_secs(4)).await?;
    }
    let cuts = happened(&world, Happening::PowerCutWriting);
    ensure!(cuts > 0, "the power never went off");
    ensure!(
        happened(&world, Happening::DatagramLost) > 0,
        "no datagram was lost"
    );
    let most = world.trace().now() + Duration::from_secs(40);
    is_filled(&mut world, CEDAR, most).await?;
    ends_well(world).await?;
    Ok(cuts)
}

/// Waits until a moment at most for somebody to have all that amber has said, and to say so.
async fn is_filled(world: &mut World, at: Index, most: Duration) -> Result<()> {
    let mut left = None;
    while left != Some((0, Some(Completeness::Proven))) {
        ensure!(world.trace().now() < most, "it stays so: {left:?}");
        world.run(Duration::from_millis(20)).await?;
        if world.machine(at).running.is_some() {
            left = lacks(world, at, AMBER).await.ok();
        }
    }
    Ok(())
}

/// How many facts are kept back.
const EMBARGOED: usize = 6;

/// It is looked so shortly before an embargo ends what has come.
const CLOSE: Duration = Duration::from_millis(200);
