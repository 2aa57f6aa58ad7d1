//! What nodes may show each other: what goes by their rules passes, and whatever leaks or is missing is found.

use causality_judge::history::{
    AtLeast, Completeness, Event, Kept, Mode, Place, Rule, Seen, Window,
};
use causality_judge::{Bytes, CompartmentId, FactId, Stored, leaf_hash, read_row};

use crate::statement::Statement;
use crate::world::{Backup, PUBLIC, Policy, World, clean};

/// A fact that `a` wrote.
pub(crate) struct Said {
    statement: Statement,
    time: u64,
    pub(crate) id: FactId,
}

impl Said {
    pub(crate) fn whole(&self) -> Stored {
        Stored::Row(Bytes(self.statement.whole(self.time)))
    }

    pub(crate) fn showing(&self, fields: &[&str]) -> Stored {
        Stored::Row(Bytes(self.statement.partial(self.time, fields)))
    }

    /// Only that there is one.
    pub(crate) fn hidden(&self) -> Stored {
        let hash = leaf_hash(&self.id);
        Stored::Withheld { level: 0, hash }
    }
}

/// `a`, `b` and `c`; what is not said about rules goes both ways.
pub(crate) fn three(mode: Mode) -> World {
    World::new(mode, &["a", "b", "c"])
}

pub(crate) fn say(world: &mut World, statement: Statement) -> Said {
    let request = world.ask("a");
    let time = (world.now() << 16) | 1;
    let id = world.write_row("a", request, (time, statement.whole(time)));
    Said {
        statement,
        time,
        id,
    }
}

/// A number that everybody may see.
pub(crate) fn number() -> Statement {
    Statement::of(&[("n", 5), ("x", 1)])
}

/// `to` has these of the lane of `a`.
pub(crate) fn has(world: &mut World, to: &str, rows: Vec<Stored>) {
    let lane = world.lane("a");
    let mut held = world.held("a", "a").clone();
    held.rows = rows;
    held.sign(&lane, held.checkpoint.time, 0);
    held.completeness = Completeness::Incomplete;
    world.store(to).insert(lane, held);
    // Shown now, and not only at the end.
    world.dump(to, false);
}

pub(crate) fn tell(world: &mut World, from: &str, to: &str, policy: Policy) {
    let peer = world.domain(to);
    world.tell(from, peer, policy);
}

/// The only grant is this.
fn only(rule: Rule) -> Policy {
    Policy {
        out: vec![rule],
        ..Policy::whole()
    }
}

/// Everything, but for this.
pub(crate) fn but(of: Rule, fields: Option<&[&str]>) -> Policy {
    let fields = fields.map(|fields| fields.iter().map(|name| (*name).to_owned()).collect());
    Policy {
        kept: vec![Kept { of, fields }],
        ..Policy::whole()
    }
}

pub(crate) fn labelled(label: &str) -> Rule {
    Rule {
        labels: Some(vec![label.to_owned()]),
        ..Rule::all_of(PUBLIC)
    }
}

pub(crate) fn at_least(least: i64) -> Rule {
    let field = "n".to_owned();
    Rule {
        at_least: Some(AtLeast { field, least }),
        ..Rule::all_of(PUBLIC)
    }
}

pub(crate) fn in_force(from: Option<u64>, until: Option<u64>) -> Rule {
    Rule {
        in_force: Some(Window { from, until }),
        ..Rule::all_of(PUBLIC)
    }
}

/// The rules broken when `b` has a fact of `a`, whole, under these rules of `a` about it.
fn whole_under(policy: Policy, statement: Statement) -> Vec<&'static str> {
    let mut world = three(Mode::Safety);
    tell(&mut world, "a", "b", policy);
    tell(&mut world, "a", "c", Policy::nothing());
    tell(&mut world, "c", "b", Policy::nothing());
    let said = say(&mut world, statement);
    has(&mut world, "b", vec![said.whole()]);
    world.broken()
}

const LEAKED: [&str; 1] = ["held_is_permitted"];
const LACKING: [&str; 1] = ["entitled_is_held"];

#[test]
fn what_rules_grant_may_be_held_and_nothing_else() {
    let cases = [
        (Policy::whole(), true),
        (Policy::nothing(), false),
        (only(Rule::all_of(CompartmentId([1; 16]))), false),
        (only(labelled("red")), true),
        (only(labelled("blue")), false),
        (only(at_least(5)), true),
        (only(at_least(6)), false),
        (only(at_least(-5)), true),
        (but(labelled("red"), None), false),
        (but(labelled("blue"), None), true),
        (but(at_least(5), None), false),
        (but(at_least(6), None), true),
        (but(labelled("red"), Some(&["x"])), false),
        (but(labelled("red"), Some(&["y"])), true),
        (but(labelled("blue"), Some(&["x"])), true),
    ];
    for (policy, is_granted) in cases {
        let expected = if is_granted { clean() } else { LEAKED.to_vec() };
        let broken = whole_under(policy.clone(), number().labelled("red"));
        assert_eq!(broken, expected, "{policy:?}");
    }
}

#[test]
fn grants_add_up_and_restrictions_win() {
    let mut policy = only(labelled("blue"));
    policy.out.push(labelled("red"));
    let red = || number().labelled("red");
    assert_eq!(whole_under(policy.clone(), red()), clean());
    policy.kept = but(at_least(9), None).kept;
    policy.kept.extend(but(labelled("red"), Some(&["x"])).kept);
    assert_eq!(whole_under(policy, red()), LEAKED);
}

#[test]
fn a_condition_on_a_field_that_a_fact_lacks_grants_nothing_and_restricts() {
    let without = || Statement::of(&[("x", 1)]);
    assert_eq!(whole_under(only(at_least(0)), without()), LEAKED);
    assert_eq!(whole_under(but(at_least(9), None), without()), LEAKED);
    assert_eq!(whole_under(but(at_least(9), None), number()), clean());
}

#[test]
fn a_fact_that_cannot_be_read_is_shown_as_a_whole_or_not_at_all() {
    let shown = |policy: Policy| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "a", "b", policy);
        tell(&mut world, "c", "b", Policy::nothing());
        // Of version 1, to the audience, labelled red.
        let row = b"\x02\x06\x01\x01\x03red\x00".to_vec();
        let request = world.ask("a");
        let time = (world.now() << 16) | 1;
        world.write_row("a", request, (time, row.clone()));
        has(&mut world, "b", vec![Stored::Row(Bytes(row))]);
        world.broken()
    };
    assert_eq!(shown(Policy::whole()), clean());
    assert_eq!(shown(only(labelled("red"))), clean());
    assert_eq!(shown(only(labelled("blue"))), LEAKED);
    assert_eq!(shown(only(at_least(0))), LEAKED);
    assert_eq!(shown(but(at_least(0), Some(&[]))), clean());
    assert_eq!(shown(but(labelled("red"), Some(&["x"]))), LEAKED);
    assert_eq!(shown(but(labelled("blue"), Some(&["x"]))), clean());
}

#[test]
fn a_field_that_is_kept_and_held_is_found_and_named() {
    let shown = |fields: &[&str]| {
        let mut world = three(Mode::Safety);
        tell(
            &mut world,
            "a",
            "b",
            but(Rule::all_of(PUBLIC), Some(&["x"])),
        );
        tell(&mut world, "c", "b", Policy::nothing());
        let said = say(&mut world, number());
        has(&mut world, "b", vec![said.showing(fields)]);
        world.end();
        world.verdict()
    };
    assert!(shown(&["n"]).is_clean());
    assert!(shown(&[]).is_clean());
    let verdict = shown(&["x"]);
    let [violation] = verdict.violations.as_slice() else {
        panic!("{verdict:?}");
    };
    assert_eq!(violation.rule, "held_is_permitted");
    assert!(violation.sentence.contains("b holds the fields x of fact"));
}

#[test]
fn what_was_lost_with_a_field_may_have_been_permitted_by_it() {
    let lost = |policy: Policy| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "a", "b", policy);
        tell(&mut world, "c", "b", Policy::nothing());
        let said = say(&mut world, number());
        let store = Backup {
            taken_at: 0,
            store: Default::default(),
        };
        has(&mut world, "b", vec![said.showing(&["x"])]);
        world.restore("a", &store, true);
        world.broken()
    };
    assert_eq!(lost(only(at_least(3))), clean());
    assert_eq!(lost(but(at_least(3), None)), clean());
    assert_eq!(lost(only(labelled("red"))), LEAKED);
}

#[test]
fn what_one_keeps_back_another_may_give() {
    let through_c = |gives: Policy, takes: Policy| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "a", "b", Policy::nothing());
        tell(&mut world, "c", "b", gives);
        tell(&mut world, "b", "c", takes);
        let said = say(&mut world, number());
        has(&mut world, "c", vec![said.whole()]);
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(through_c(Policy::whole(), Policy::whole()), clean());
    assert_eq!(through_c(Policy::nothing(), Policy::whole()), LEAKED);
    assert_eq!(through_c(Policy::whole(), Policy::nothing()), LEAKED);
}

#[test]
fn parts_of_a_fact_come_together_from_two() {
    let mut world = three(Mode::Safety);
    tell(
        &mut world,
        "a",
        "b",
        but(Rule::all_of(PUBLIC), Some(&["x"])),
    );
    tell(
        &mut world,
        "c",
        "b",
        but(Rule::all_of(PUBLIC), Some(&["n"])),
    );
    let said = say(&mut world, number());
    has(&mut world, "b", vec![said.whole()]);
    assert_eq!(world.broken(), clean());
}

#[test]
fn whoever_cannot_see_a_field_passes_nothing_on_by_it() {
    let sees = |fields: &[&str]| {
        let kept: Vec<_> = ["n", "x"]
            .into_iter()
            .filter(|name| !fields.contains(name))
            .collect();
        let mut world = three(Mode::Safety);
        tell(&mut world, "a", "b", Policy::nothing());
        tell(&mut world, "a", "c", but(Rule::all_of(PUBLIC), Some(&kept)));
        tell(&mut world, "c", "b", only(at_least(5)));
        let said = say(&mut world, number());
        has(&mut world, "c", vec![said.showing(fields)]);
        has(&mut world, "b", vec![said.showing(fields)]);
        world.broken()
    };
    assert_eq!(sees(&["n"]), clean());
    assert_eq!(sees(&["x"]), LEAKED);
}

#[test]
fn what_only_its_origin_gives_is_found_at_a_third_domain() {
    let statement = || Statement {
        onward: 0,
        ..number()
    };
    let direct = |is_direct: bool| {
        let mut world = three(Mode::Safety);
        if !is_direct {
            tell(&mut world, "a", "b", Policy::nothing());
        }
        let said = say(&mut world, statement());
        has(&mut world, "c", vec![said.whole()]);
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(direct(true), clean());
    assert_eq!(direct(false), LEAKED);
}

#[test]
fn an_origin_gets_back_what_only_it_gives() {
    let mut world = three(Mode::Liveness);
    let said = say(
        &mut world,
        Statement {
            onward: 0,
            ..number()
        },
    );
    let backup = Backup {
        taken_at: 0,
        store: Default::default(),
    };
    for to in ["b", "c"] {
        has(&mut world, to, vec![said.whole()]);
    }
    world.restore("a", &backup, true);
    assert_eq!(world.broken(), ["entitled_is_held", "equal_after_heal"]);
}

#[test]
fn a_rule_binds_what_is_said_after_it() {
    let narrowed = |is_before: bool| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        let early = say(&mut world, number());
        tell(&mut world, "a", "b", only(labelled("red")));
        let late = say(&mut world, number());
        let second = if is_before {
            late.hidden()
        } else {
            late.whole()
        };
        has(&mut world, "b", vec![early.whole(), second]);
        world.broken()
    };
    assert_eq!(narrowed(true), clean());
    assert_eq!(narrowed(false), LEAKED);
}

#[test]
fn new_rules_may_take_a_while_until_the_node_says_that_it_goes_by_them() {
    let late = |obeys: bool| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        tell(&mut world, "a", "b", Policy::nothing());
        if !obeys {
            let last = world.entries.pop();
            assert!(matches!(last.unwrap().event, Event::Obeys {}));
        }
        let said = say(&mut world, number());
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(late(false), clean());
    assert_eq!(late(true), LEAKED);
}

#[test]
fn a_node_that_runs_again_goes_by_what_it_was_told_last() {
    let mut world = three(Mode::Safety);
    tell(&mut world, "c", "b", Policy::nothing());
    tell(&mut world, "a", "b", Policy::nothing());
    world.entries.pop();
    world.crash("a");
    let said = say(&mut world, number());
    has(&mut world, "b", vec![said.whole()]);
    assert_eq!(world.broken(), LEAKED);
}

#[test]
fn a_wider_rule_permits_nothing_before_it() {
    let widened = |is_held_before: bool| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        tell(&mut world, "a", "b", only(labelled("red")));
        let said = say(&mut world, number());
        if is_held_before {
            has(&mut world, "b", vec![said.whole()]);
        }
        tell(&mut world, "a", "b", Policy::whole());
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(widened(false), clean());
    assert_eq!(widened(true), LEAKED);
}

#[test]
fn what_a_reader_was_shown_was_held() {
    let mut world = three(Mode::Safety);
    tell(
        &mut world,
        "a",
        "b",
        but(Rule::all_of(PUBLIC), Some(&["x"])),
    );
    tell(&mut world, "c", "b", Policy::nothing());
    let said = say(&mut world, number());
    let place = Place {
        log: world.lane("a"),
        position: 0,
    };
    let row = Bytes(said.statement.whole(said.time));
    let id = read_row(&place.log.origin, &row.0).unwrap().id;
    let facts = vec![Seen { id, place, row }];
    world.push("b", Event::Seen { facts });
    has(&mut world, "b", vec![said.showing(&["n"])]);
    assert_eq!(world.broken(), LEAKED);
}

#[test]
fn what_a_domain_does_not_take_and_holds_all_the_same_is_found() {
    let takes = |rule: Rule| {
        let mut world = three(Mode::Safety);
        let policy = || Policy {
            taken: vec![rule.clone()],
            ..Policy::whole()
        };
        tell(&mut world, "b", "a", policy());
        tell(&mut world, "b", "c", policy());
        let said = say(&mut world, number().labelled("red"));
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(takes(labelled("red")), clean());
    assert_eq!(takes(labelled("blue")), LEAKED);
    assert_eq!(takes(at_least(6)), LEAKED);
}

#[test]
fn a_log_that_nobody_may_know_of_is_found_though_its_facts_are_hidden() {
    let known = |policy: Policy| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "a", "b", policy);
        tell(&mut world, "c", "b", Policy::nothing());
        let said = say(&mut world, number());
        has(&mut world, "b", vec![said.hidden()]);
        world.broken()
    };
    assert_eq!(known(only(labelled("blue"))), clean());
    assert_eq!(known(but(labelled("blue"), None)), clean());
    assert_eq!(known(Policy::nothing()), LEAKED);
    assert_eq!(known(but(Rule::all_of(PUBLIC), None)), LEAKED);
}

#[test]
fn windows_open_by_the_clock_of_whoever_decides() {
    // Shown at about 300 ms.
    let shown = |policy: Policy, clock: Option<(u64, u64)>| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        if let Some((shows, rate)) = clock {
            world.push("a", Event::Clock { shows, rate });
        }
        tell(&mut world, "a", "b", policy);
        let said = say(&mut world, number());
        assert!((200..400).contains(&world.now()), "{}", world.now());
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    let opens = |at| only(in_force(Some(at), None));
    let ended = |at| only(in_force(None, Some(at)));
    let embargo = |until| but(in_force(None, Some(until)), None);
    assert_eq!(shown(opens(100), None), clean());
    assert_eq!(shown(opens(600), None), LEAKED);
    assert_eq!(shown(ended(600), None), clean());
    assert_eq!(shown(ended(100), None), LEAKED);
    assert_eq!(shown(embargo(100), None), clean());
    assert_eq!(shown(embargo(600), None), LEAKED);
    assert_eq!(shown(opens(600), Some((580, 1_000_000))), clean());
    assert_eq!(
        shown(opens(600), Some((599, 0))),
        clean(),
        "too close to tell"
    );
    assert_eq!(shown(opens(600), Some((500, 0))), LEAKED);
    assert_eq!(shown(opens(600), Some((100, 20_000_000))), clean());
    assert_eq!(shown(opens(600), Some((100, 500_000))), LEAKED);
}

#[test]
fn a_jump_of_the_clock_opens_a_window_from_then_on() {
    let jumped = |is_before: bool| {
        let mut world = three(Mode::Safety);
        tell(&mut world, "c", "b", Policy::nothing());
        tell(&mut world, "a", "b", only(in_force(Some(5_000), None)));
        let said = say(&mut world, number());
        if is_before {
            has(&mut world, "b", vec![said.whole()]);
        }
        let clock = Event::Clock {
            shows: 6_000,
            rate: 1_000_000,
        };
        world.push("a", clock);
        has(&mut world, "b", vec![said.whole()]);
        world.broken()
    };
    assert_eq!(jumped(false), clean());
    assert_eq!(jumped(true), LEAKED);
}

/// The rules broken when `b` ends with this of a fact of `a`, which `c` does not show it.
fn ends_with(of_a: Policy, of_b: Policy, shown: impl Fn(&Said) -> Stored) -> Vec<&'static str> {
    let mut world = three(Mode::Liveness);
    for name in ["a", "b", "c"] {
        world.push(name, Event::Entitled { to: vec![] });
    }
    tell(&mut world, "c", "b", Policy::nothing());
    tell(&mut world, "b", "c", Policy::nothing());
    tell(&mut world, "a", "b", of_a);
    tell(&mut world, "b", "a", of_b);
    let said = say(&mut world, number().labelled("red"));
    has(&mut world, "b", vec![shown(&said)]);
    has(&mut world, "c", vec![said.whole()]);
    world.broken()
}

#[test]
fn whatever_rules_let_through_both_ways_is_held_in_the_end() {
    let everything = || Policy::whole();
    assert_eq!(ends_with(everything(), everything(), Said::whole), clean());
    assert_eq!(ends_with(everything(), everything(), Said::hidden), LACKING);
    let only_n = |said: &Said| said.showing(&["n"]);
    assert_eq!(ends_with(everything(), everything(), only_n), LACKING);
    let without_x = || but(labelled("red"), Some(&["x"]));
    assert_eq!(ends_with(without_x(), everything(), only_n), clean());
    assert_eq!(ends_with(without_x(), everything(), Said::hidden), LACKING);
    let blue = || only(labelled("blue"));
    assert_eq!(ends_with(blue(), everything(), Said::hidden), clean());
    let takes_blue = || Policy {
        taken: vec![labelled("blue")],
        ..Policy::whole()
    };
    assert_eq!(ends_with(everything(), takes_blue(), Said::hidden), clean());
    // What it does not see of a fact it cannot take it by.
    let takes_five = || Policy {
        taken: vec![at_least(5)],
        ..Policy::whole()
    };
    let without_n = || but(labelled("red"), Some(&["n"]));
    assert_eq!(ends_with(everything(), takes_five(), Said::hidden), LACKING);
    assert_eq!(ends_with(without_n(), takes_five(), Said::hidden), clean());
}

#[test]
fn windows_that_opened_before_the_healing_have_been_used_in_the_end() {
    // The log may be known all the time.
    let red = |from, until| Rule {
        in_force: Some(Window { from, until }),
        ..labelled("red")
    };
    let opens = |at| {
        let mut policy = only(labelled("blue"));
        policy.out.push(red(Some(at), None));
        policy
    };
    let embargo = |until| but(red(None, Some(until)), None);
    let whole = Policy::whole;
    assert_eq!(ends_with(opens(100), whole(), Said::hidden), LACKING);
    assert_eq!(ends_with(opens(9_000), whole(), Said::hidden), clean());
    assert_eq!(ends_with(embargo(100), whole(), Said::hidden), LACKING);
    assert_eq!(ends_with(embargo(9_000), whole(), Said::hidden), clean());
}

#[test]
fn a_fact_that_is_lacking_is_named_with_who_could_give_it() {
    let mut world = three(Mode::Liveness);
    let said = say(&mut world, number());
    has(&mut world, "b", vec![said.showing(&["n"])]);
    has(&mut world, "c", vec![said.whole()]);
    world.end();
    let verdict = world.verdict();
    let told: Vec<_> = verdict.violations.iter().map(|of| &of.sentence).collect();
    let lacking = told.iter().find(|told| told.contains("b lacks"));
    let lacking = lacking.unwrap();
    assert!(
        lacking.contains(&format!("the fields x of fact {}", said.id)),
        "{lacking}"
    );
    assert!(lacking.contains("a holds that"), "{lacking}");
}

#[test]
fn a_relay_gives_what_it_still_holds() {
    // a has narrowed its rules since, which binds only the future.
    let relayed = |is_given: bool| {
        let mut world = three(Mode::Liveness);
        for name in ["a", "b", "c"] {
            world.push(name, Event::Entitled { to: vec![] });
        }
        let said = say(&mut world, number());
        has(&mut world, "c", vec![said.whole()]);
        tell(&mut world, "a", "b", Policy::nothing());
        tell(&mut world, "a", "c", Policy::nothing());
        let shown = if is_given {
            said.whole()
        } else {
            said.hidden()
        };
        has(&mut world, "b", vec![shown]);
        world.broken()
    };
    assert_eq!(relayed(true), clean());
    assert_eq!(relayed(false), LACKING);
}

#[test]
fn nobody_is_owed_what_a_node_held_that_has_left() {
    let mut world = three(Mode::Liveness);
    say(&mut world, number());
    world.leave("a");
    assert_eq!(world.broken(), clean());
}
