//! What readers see before its causes.

use causality_judge::Stored;
use causality_judge::history::Mode;

use crate::policies::{Said, but, has, labelled, number, say, tell, three};
use crate::world::{Policy, clean};

/// `a` says something red, and what follows from it; by `rules` from one to another the readers of `b` see first what `shows`
/// says, and later, when everything goes both ways, both.
fn broken_by(
    rules: Option<(&str, &str, Policy)>,
    shows: fn(&Said, &Said) -> Vec<Stored>,
) -> Vec<&'static str> {
    let mut world = three(Mode::Safety);
    if let Some((from, to, policy)) = &rules {
        tell(&mut world, from, to, policy.clone());
    }
    let cause = say(&mut world, number().labelled("red"));
    let effect = say(&mut world, number().because(cause.id));
    has(&mut world, "b", shows(&cause, &effect));
    world.read("b");
    if let Some((from, to, _)) = &rules {
        tell(&mut world, from, to, Policy::whole());
    }
    has(&mut world, "b", vec![cause.whole(), effect.whole()]);
    world.read("b");
    world.broken()
}

fn effect_alone(cause: &Said, effect: &Said) -> Vec<Stored> {
    vec![cause.hidden(), effect.whole()]
}

#[test]
fn an_effect_that_is_seen_before_its_cause_is_found() {
    let broken = broken_by(None, effect_alone);
    assert_eq!(broken, ["causes_are_seen_first"]);
}

#[test]
fn what_is_seen_with_its_cause_or_behind_it_passes() {
    let both = broken_by(None, |cause, effect| vec![cause.whole(), effect.whole()]);
    assert_eq!(both, clean());
    let cause_first = broken_by(None, |cause, _| vec![cause.whole()]);
    assert_eq!(cause_first, clean());
}

#[test]
fn a_cause_that_was_withheld_or_declined_may_be_seen_later() {
    let keeps = but(labelled("red"), None);
    assert_eq!(
        broken_by(Some(("a", "b", keeps.clone())), effect_alone),
        clean()
    );
    let declines = Policy {
        taken: vec![labelled("")],
        ..Policy::whole()
    };
    assert_eq!(broken_by(Some(("b", "a", declines)), effect_alone), clean());
    // What others keep from each other is no reason.
    let broken = broken_by(Some(("c", "b", keeps)), effect_alone);
    assert_eq!(broken, ["causes_are_seen_first"]);
}
