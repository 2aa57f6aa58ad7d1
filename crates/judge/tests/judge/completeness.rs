//! What nodes say of how complete a log is: what is backed passes, and whatever is not is found.

use causality_judge::history::{AtLeast, Completeness, Event, Mode, Rule, Span, Stated};
use causality_judge::{CompartmentId, DomainId, LogId, Stored};

use crate::policies::{Said, at_least, but, has, in_force, labelled, number, say, tell, three};
use crate::world::{PUBLIC, Policy, World, clean};

/// The rules broken when `b` has only a hash of the second and the third of five facts of `a`, and a part of the fourth, and
/// says that it has all but what `a` stated: what `change` makes of a statement that says just that.
fn attested(change: impl Fn(&World, &mut Stating)) -> Vec<&'static str> {
    let mut world = three(Mode::Safety);
    let said: Vec<_> = (0..5).map(|_| say(&mut world, number())).collect();
    let rows = vec![
        said[0].whole(),
        said[1].hidden(),
        said[2].hidden(),
        said[3].showing(&["n"]),
        said[4].whole(),
    ];
    let mut stating = Stating {
        signer: "a",
        log: world.lane("a"),
        size: 5,
        audience: world.domain("b"),
        sets: [vec![Span(1, 2)], vec![Span(2, 3)], vec![Span(3, 4)]],
    };
    change(&world, &mut stating);
    has(&mut world, "b", rows);
    let stated = stating.sign(&world);
    let held = world.held("b", "a");
    held.completeness = Completeness::Attested;
    held.stated = Some(stated);
    world.broken()
}

/// What is signed about what is kept back.
struct Stating {
    signer: &'static str,
    log: LogId,
    size: u64,
    audience: DomainId,
    sets: [Vec<Span>; 3],
}

impl Stating {
    fn sign(&self, world: &World) -> Stated {
        let (log, sets) = ((self.log, self.size), self.sets.clone());
        world.state(self.signer, log, self.audience, sets)
    }
}

const UNBACKED: [&str; 1] = ["completeness_is_backed"];

#[test]
fn whoever_says_that_a_log_is_attested_has_a_signed_statement_of_its_origin() {
    assert_eq!(attested(|_, _| {}), clean());
    // Others may have shown what the origin keeps back.
    let more = |_: &World, of: &mut Stating| of.sets = [vec![Span(0, 5)], vec![], vec![]];
    assert_eq!(attested(more), clean());
    let planted: [fn(&World, &mut Stating); 6] = [
        |_, of| of.signer = "c",
        |world, of| of.log = world.lane("c"),
        |world, of| of.audience = world.domain("c"),
        // It has to be about everything that is lacking.
        |_, of| of.sets = [vec![Span(1, 2)], vec![], vec![Span(3, 4)]],
        |_, of| of.sets = [vec![Span(1, 3)], vec![], vec![]],
        // What is shown in part is not kept back.
        |_, of| of.sets = [vec![Span(1, 2)], vec![], vec![Span(2, 4)]],
    ];
    for (number, planted) in planted.into_iter().enumerate() {
        assert_eq!(attested(planted), UNBACKED, "{number}");
    }
}

#[test]
fn a_statement_is_about_the_sets_that_were_signed_and_no_others() {
    let shown = |change: fn(&mut Stated)| {
        let mut world = three(Mode::Safety);
        let said = [(); 2].map(|()| say(&mut world, number()));
        has(&mut world, "b", said.iter().map(Said::hidden).collect());
        let (log, to) = ((world.lane("a"), 2), world.domain("b"));
        let mut stated = world.state("a", log, to, [vec![Span(0, 2)], vec![], vec![]]);
        change(&mut stated);
        let held = world.held("b", "a");
        held.completeness = Completeness::Attested;
        held.stated = Some(stated);
        world.broken()
    };
    assert_eq!(shown(|_| {}), clean());
    assert_eq!(shown(|of| of.withheld = vec![Span(0, 1)]), UNBACKED);
    let split = |of: &mut Stated| of.withheld = vec![Span(0, 1), Span(1, 2)];
    assert_eq!(shown(split), UNBACKED);
    assert_eq!(shown(|of| of.deferred = of.withheld.clone()), UNBACKED);
    let flipped = |of: &mut Stated| of.statement.0[100] ^= 1;
    assert_eq!(shown(flipped), UNBACKED);
    let cut = |of: &mut Stated| of.statement.0.truncate(282);
    assert_eq!(shown(cut), UNBACKED);
}

#[test]
fn sets_of_a_statement_have_no_position_in_common_and_none_beyond_its_size() {
    let sets = |sets: [Vec<Span>; 3], size| {
        attested(|_, of| {
            of.sets.clone_from(&sets);
            of.size = size;
        })
    };
    let one = || vec![Span(1, 3)];
    assert_eq!(sets([one(), vec![], vec![Span(3, 4)]], 4), clean());
    assert_eq!(sets([one(), vec![], vec![Span(3, 4)]], 3), UNBACKED);
    assert_eq!(
        sets([one(), vec![Span(2, 3)], vec![Span(3, 4)]], 5),
        UNBACKED
    );
}

#[test]
fn whoever_says_that_a_log_is_attested_shows_a_statement() {
    let mut world = three(Mode::Safety);
    let said = say(&mut world, number());
    has(&mut world, "b", vec![said.hidden()]);
    world.held("b", "a").completeness = Completeness::Attested;
    assert_eq!(world.broken(), UNBACKED);
}

#[test]
fn what_a_node_declined_is_not_missing_from_a_log_that_is_proven() {
    // How `b` has the only fact of `a`, under the rules of `a` about it, and its own about `a`.
    let proven = |of_a: Policy, of_b: Policy, is_attested: bool| {
        let mut world = three(Mode::Safety);
        // Nobody else gives or takes anything, and never has.
        let is_rule = |event: &Event| matches!(event, Event::Policy { .. });
        world.entries.retain(|entry| !is_rule(&entry.event));
        tell(&mut world, "a", "b", of_a);
        tell(&mut world, "b", "a", of_b);
        let said = say(&mut world, number().labelled("red"));
        has(&mut world, "b", vec![said.hidden()]);
        let (log, to) = ((world.lane("a"), 1), world.domain("b"));
        let nothing = world.state("a", log, to, [vec![], vec![], vec![]]);
        let held = world.held("b", "a");
        held.completeness = Completeness::Proven;
        if is_attested {
            held.completeness = Completeness::Attested;
            held.stated = Some(nothing);
        }
        world.broken()
    };
    let takes = |rule: Rule| Policy {
        taken: vec![rule],
        ..Policy::whole()
    };
    let blue = || takes(labelled("blue"));
    for is_attested in [false, true] {
        let proven = |of_a, of_b| proven(of_a, of_b, is_attested);
        assert_eq!(proven(Policy::whole(), blue()), clean());
        assert_eq!(proven(Policy::whole(), takes(at_least(6))), clean());
        // What is not taken yet is declined, and what was taken once as well.
        let blue_or = |rule| Policy {
            taken: vec![labelled("blue"), rule],
            ..Policy::whole()
        };
        for (rule, expected) in [
            (in_force(Some(9_000), None), clean()),
            (in_force(None, Some(100)), clean()),
            (in_force(None, Some(9_000)), UNBACKED.to_vec()),
        ] {
            assert_eq!(proven(Policy::whole(), blue_or(rule)), expected);
        }
        assert_eq!(proven(Policy::whole(), Policy::whole()), UNBACKED);
        assert_eq!(proven(Policy::whole(), takes(labelled("red"))), UNBACKED);
        // A field that the fact does not have decides nothing: with more of it, it may be taken.
        let unknown = Rule {
            at_least: Some(AtLeast {
                field: "z".to_owned(),
                least: 0,
            }),
            ..Rule::all_of(PUBLIC)
        };
        assert_eq!(proven(Policy::whole(), takes(unknown)), UNBACKED);
        // What it was not shown it has not declined.
        assert_eq!(proven(but(labelled("red"), None), blue()), UNBACKED);
        // Nor what it takes no log of.
        let elsewhere = takes(Rule::all_of(CompartmentId([1; 16])));
        assert!(proven(Policy::whole(), elsewhere).contains(&UNBACKED[0]));
    }
}

#[test]
fn what_was_declined_by_rules_that_are_over_is_missing() {
    let said_after = |is_told: bool| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        tell(&mut world, "b", "c", Policy::nothing());
        let blue = Policy {
            taken: vec![labelled("blue")],
            ..Policy::whole()
        };
        tell(&mut world, "b", "a", blue);
        let said = say(&mut world, number());
        has(&mut world, "b", vec![said.hidden()]);
        if is_told {
            tell(&mut world, "b", "a", Policy::whole());
        }
        world.held("b", "a").completeness = Completeness::Proven;
        world.broken()
    };
    assert_eq!(said_after(false), clean());
    assert_eq!(said_after(true), UNBACKED);
}

#[test]
fn what_was_declined_is_not_while_the_clock_is_set_back() {
    // By its clock the rule that took the fact had ended when `b` declined it; the clock may be set back to before that.
    let set_back = |is_set_back: bool| {
        let mut world = three(Mode::Safety);
        let is_rule = |event: &Event| matches!(event, Event::Policy { .. });
        world.entries.retain(|entry| !is_rule(&entry.event));
        let clock = |shows| Event::Clock {
            shows,
            rate: 1_000_000,
        };
        world.push("b", clock(20_000));
        tell(&mut world, "a", "b", Policy::whole());
        let taken = vec![labelled("blue"), in_force(None, Some(10_000))];
        let until = Policy {
            taken,
            ..Policy::whole()
        };
        tell(&mut world, "b", "a", until);
        let said = say(&mut world, number());
        if is_set_back {
            world.push("b", clock(5_000));
        }
        has(&mut world, "b", vec![said.hidden()]);
        world.held("b", "a").completeness = Completeness::Proven;
        world.broken()
    };
    assert_eq!(set_back(false), clean());
    assert_eq!(set_back(true), UNBACKED);
}

#[test]
fn a_log_of_which_fields_are_withheld_is_not_proven() {
    let said_of = |rows: fn(&Said) -> Stored| {
        let mut world = three(Mode::Safety);
        let said = say(&mut world, number());
        has(&mut world, "b", vec![rows(&said)]);
        world.held("b", "a").completeness = Completeness::Proven;
        world.broken()
    };
    assert_eq!(said_of(Said::whole), clean());
    let partial = said_of(|said| said.showing(&["n"]));
    assert_eq!(partial, ["completeness_is_backed"]);
    assert_eq!(said_of(Said::hidden), ["completeness_is_backed"]);
}

#[test]
fn a_log_without_anything_is_not_proven() {
    let mut world = three(Mode::Safety);
    world.append("a");
    world.dump("b", false);
    let lane = world.lane("a");
    world.end();
    // As if b had said so, with nothing in its hands.
    let dumped = |entry: &causality_judge::history::Entry| {
        entry.node.as_deref() == Some("b")
            && matches!(entry.event, Event::Dumped { is_final: true })
    };
    let at = world.entries.iter().position(dumped).unwrap();
    let mut holds = world.entries[at].clone();
    holds.event = Event::Holds {
        log: lane,
        size: 0,
        checkpoint: None,
        records: Vec::new(),
        completeness: Completeness::Proven,
        stated: None,
    };
    world.entries.insert(at, holds);
    assert_eq!(world.rules(), ["completeness_is_backed"]);
}
