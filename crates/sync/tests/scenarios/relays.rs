//! What relays pass on, keep back and are told of, by rules and by what facts say of themselves; and what time changes.

use causality_fact::Onward;
use causality_sync::{Completeness, Event, Input};

use crate::holes::fields_held;
use crate::world::{World, draft};

/// What a domain gives to a peer and takes from it, by the conditions of these two rules and what comes behind them.
fn rules(world: &mut World, (domain, peer): (usize, usize), gives: &str, takes: &str) {
    let id = world.id(peer);
    let rule = |section: &str, more: &str| {
        format!(
            "[[{section}]]\nname = \"{section}\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n{more}\n"
        )
    };
    let text = rule("in", takes) + &rule("out", gives);
    let policies = causality_strategy::SyncPolicies::parse(&text).unwrap();
    world.set_policies(domain, peer, &policies);
}

fn count_held(world: &World, domain: usize, of: usize) -> usize {
    let held = fields_held(world, domain, of);
    held.iter().filter(|fields| fields.is_some()).count()
}

const ABOVE: &str = "where = 'number >= 15'";

#[test]
fn a_relay_that_fills_its_holes_passes_that_on_without_a_new_policy() {
    let mut world = World::new(3, 1);
    rules(&mut world, (0, 2), ABOVE, "");
    world.append_many(0, 20);
    world.sync(0, 2);
    world.sync(2, 1);
    assert_eq!((count_held(&world, 2, 0), count_held(&world, 1, 0)), (5, 5));
    rules(&mut world, (0, 2), "", "");
    world.sync(0, 2);
    let before = world.rows[&(2, 1)];
    world.sync(2, 1);
    assert_eq!(count_held(&world, 1, 0), 20);
    assert_eq!(world.rows[&(2, 1)], before, "holes are filled by reveals");
    world.assert_equal();
}

#[test]
fn a_relay_that_keeps_back_leaves_the_log_incomplete_and_is_named_when_another_shows_it() {
    let mut world = World::new(3, 2);
    world.append_many(0, 20);
    world.sync(0, 2);
    rules(&mut world, (2, 1), ABOVE, "");
    world.sync(2, 1);
    let log = world.own_log(0);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Incomplete);
    world.sync(0, 1);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    let (relay, origin) = (world.id(2), world.id(0));
    let is_named = |event: &Event| matches!(event, Event::Contradicted { peer, shown_by, .. } if (*peer, *shown_by) == (relay, origin));
    assert!(world.has_event(1, is_named));
}

#[test]
fn a_fact_that_is_for_nobody_else_is_not_passed_on() {
    for gives in ["", "onward = [\"any\", \"audience\", \"none\"]"] {
        let mut world = World::new(3, 3);
        rules(&mut world, (2, 1), gives, "");
        let onward = [Onward::None, Onward::Any, Onward::None, Onward::Audience];
        let drafts = onward.iter().zip(0..).map(|(onward, number)| {
            let mut draft = draft(number);
            draft.onward = *onward;
            draft
        });
        world.append(0, drafts.collect());
        world.sync(0, 2);
        world.sync(2, 1);
        assert_eq!(count_held(&world, 2, 0), 4);
        let held = fields_held(&world, 1, 0);
        let is_held: Vec<_> = held.iter().map(Option::is_some).collect();
        assert_eq!(is_held, [false, true, false, true], "{gives}");
        // Its origin may show it all the same.
        world.sync(0, 1);
        assert_eq!(count_held(&world, 1, 0), 4);
    }
}

#[test]
fn three_hops_away_the_facts_are_those_of_an_origin_that_is_no_peer() {
    let mut world = World::new(4, 4);
    world.append_many(0, 30);
    for (from, to) in [(0, 1), (1, 2), (2, 3)] {
        world.sync(from, to);
    }
    let log = world.own_log(0);
    assert_eq!(count_held(&world, 3, 0), 30);
    assert_eq!(world.engine(3).completeness(&log), Completeness::Proven);
    assert!(world.engine(3).key_log(world.id(0)).is_some());
    assert_eq!(world.rows(0, 3), 0);
}

#[test]
fn in_a_loop_of_three_no_fact_goes_twice_over_a_link_in_one_direction() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        for (one, other) in [(0, 1), (1, 2), (2, 0)] {
            let session = world.connect(one, other);
            world.round(one, session);
        }
        for domain in [0, 1, 2, 0] {
            world.append_many(domain, 5);
        }
        world.run();
        world.assert_equal();
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)] {
            assert!(world.rows(from, to) <= 20, "seed {seed}: {from} to {to}");
        }
    }
}

#[test]
fn an_embargo_that_passes_delivers_without_a_new_policy() {
    let mut world = World::new(2, 5);
    let embargo = "\n[[security]]\nname = \"embargo\"\npeers = [\"*\"]\nin_force = { until = 2040-01-01T00:00:00Z }\nrefuse = true\n";
    rules(&mut world, (0, 1), embargo, "");
    world.append_many(0, 10);
    let session = world.connect(0, 1);
    world.round(0, session);
    assert_eq!(count_held(&world, 1, 0), 0);
    let until_ms = 2_208_988_800_000;
    assert_eq!(world.engine(0).wakes_at(), Some(until_ms));
    world.now_ms = until_ms;
    world.handle(0, Input::Time);
    world.run();
    assert_eq!(count_held(&world, 1, 0), 10);
    // So does one that passes while nobody talks.
    rules(&mut world, (0, 1), &embargo.replace("2040", "2050"), "");
    world.append(0, vec![draft(11)]);
    assert_eq!(count_held(&world, 1, 0), 10);
    world.hang_up(session);
    world.now_ms = 2_524_608_000_000;
    world.sync(1, 0);
    assert_eq!(count_held(&world, 1, 0), 11);
}

#[test]
fn whoever_sends_more_than_its_volume_is_put_off_and_nobody_else() {
    let mut world = World::new(3, 6);
    let volume = "volume = { facts = 5, bytes = 100000, seconds = 60 }";
    rules(&mut world, (1, 0), "", volume);
    world.append_many(0, 12);
    world.append_many(2, 12);
    world.sync(0, 1);
    world.sync(2, 1);
    assert_eq!(
        (count_held(&world, 1, 0), count_held(&world, 1, 2)),
        (5, 12)
    );
    for expected in [10, 12] {
        world.now_ms += 60_000;
        world.sync(0, 1);
        assert_eq!(count_held(&world, 1, 0), expected);
    }
}
