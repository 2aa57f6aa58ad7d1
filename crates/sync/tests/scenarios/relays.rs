//! What relays pass on, keep back and are told of, by rules and by what facts say of themselves; and what time changes.

use causality_fact::{Onward, PositionSet};
use causality_sync::{Completeness, Event, Input};
use causality_wire::{BoundedBytes, SyncMessage};

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

/// What one field of the facts is kept back of, beside the rule that gives them.
fn without(field: &str) -> String {
    format!("[[security]]\nname = \"without\"\npeers = [\"*\"]\nwithhold = [\"{field}\"]\n")
}

#[test]
fn parts_of_facts_from_two_relays_make_whole_ones() {
    let mut world = World::new(5, 7);
    let pair = |number| {
        let mut draft = draft(number);
        draft.onward = Onward::Any;
        let value = causality_fact::Value::Bool(true);
        draft.content.insert("other".to_owned(), value);
        draft
    };
    world.append(0, (0..4).map(pair).collect());
    for relay in [1, 2] {
        world.sync(0, relay);
    }
    rules(&mut world, (1, 3), &without("number"), "");
    rules(&mut world, (2, 3), &without("other"), "");
    let log = world.own_log(0);
    let of = |names: &[&str]| vec![Some(names.iter().map(|name| (*name).to_owned()).collect()); 4];
    world.sync(1, 3);
    assert_eq!(fields_held(&world, 3, 0), of(&["other"]));
    assert_eq!(world.engine(3).completeness(&log), Completeness::Incomplete);
    world.sync(2, 3);
    assert_eq!(fields_held(&world, 3, 0), of(&["number", "other"]));
    assert_eq!(world.engine(3).completeness(&log), Completeness::Proven);
    let all =
        |e: &Event| matches!(e, Event::Revealed { positions, .. } if *positions == [0, 1, 2, 3]);
    assert!(world.has_event(3, all));
    // Nobody has anything to add, and both fields go on from there, also after a restart.
    world.restart(3);
    for source in [0, 1, 2] {
        assert_eq!(world.sync(source, 3).facts_sent, 0);
    }
    world.sync(3, 4);
    assert_eq!(fields_held(&world, 4, 0), of(&["number", "other"]));
    assert_eq!(world.engine(4).completeness(&log), Completeness::Proven);
    assert_eq!(world.rows(0, 4), 0);
}

#[test]
fn whole_compartments_over_a_relay_are_proven_log_by_log() {
    let mut world = World::new(4, 8);
    world.append_many(0, 10);
    world.append_many(1, 10);
    for origin in [0, 1] {
        world.sync(origin, 2);
    }
    // Of one log the relay keeps a fact back; that of the other is whole all the same.
    let first = world.id(0);
    let origin = format!("where = 'number >= 1 or not origin is \"{first}\"'");
    rules(&mut world, (2, 3), &origin, "");
    world.sync(2, 3);
    let [kept, whole] = [0, 1].map(|origin| world.own_log(origin));
    let completeness = |world: &World, log| world.engine(3).completeness(log);
    assert_eq!(completeness(&world, &kept), Completeness::Incomplete);
    assert_eq!(completeness(&world, &whole), Completeness::Proven);
    // It stays so, whatever the relay says of it, until the fact comes from elsewhere.
    world.restart(3);
    world.sync(2, 3);
    assert_eq!(completeness(&world, &kept), Completeness::Incomplete);
    world.sync(0, 3);
    assert_eq!(completeness(&world, &kept), Completeness::Proven);
}

#[test]
fn of_several_relays_those_are_named_that_kept_back_what_was_shown_and_no_other() {
    let hides = "where = 'number != 4'";
    // Whether the one that hides it admits that, or says that it has no more than the hash.
    for admits in [true, false] {
        let mut world = World::new(5, 9);
        world.append_many(0, 10);
        for relay in [1, 2] {
            world.sync(0, relay);
        }
        rules(&mut world, (1, 3), hides, "");
        world.tamper = Some((
            1,
            Box::new(move |message| {
                if let SyncMessage::Holes(holes) = message
                    && !admits
                {
                    let none = PositionSet::new().encode();
                    holes.withheld = BoundedBytes::new(none).unwrap();
                }
            }),
        ));
        world.sync(1, 3);
        let log = world.own_log(0);
        let kept = world.engine(3).kept_by(world.id(1), &log).unwrap();
        assert_eq!((kept.0, kept.1.withheld.len()), (10, u64::from(admits)));
        // Neither makes the log any more complete than it is.
        assert_eq!(world.engine(3).completeness(&log), Completeness::Incomplete);
        // Another relay, that shows all, fills the hole.
        world.sync(2, 3);
        assert_eq!(world.engine(3).completeness(&log), Completeness::Proven);
        let contradicted = |event: &Event| match event {
            Event::Contradicted {
                peer,
                shown_by,
                positions,
                ..
            } => Some((*peer, *shown_by, positions.clone())),
            _ => None,
        };
        let events = world.domains[3].events.iter();
        let named: Vec<_> = events.filter_map(contradicted).collect();
        assert_eq!(named, [(world.id(1), world.id(2), vec![4])], "{admits}");
        // The origin has nothing to add, and nobody else is named for that.
        world.sync(0, 3);
        let events = world.domains[3].events.iter();
        assert_eq!(events.filter_map(contradicted).count(), 1);
    }
}
