//! Causes before effects: what readers see while causes are on their way, kept back, or never come.

use std::collections::BTreeMap;

use causality_fact::{Entry, FactId, LogId, RowCore};
use causality_store::{FactReader as _, Place};
use causality_strategy::SyncPolicies;
use causality_sync::{Event, Input, Reference, Waits};
use proptest::prelude::*;

use crate::domain::now;
use crate::world::{World, draft};

/// Appends a fact that requires others.
fn append(world: &mut World, domain: usize, number: u64, causes: &[FactId]) -> FactId {
    let mut draft = draft(number);
    draft.requires = causes.iter().copied().map(Reference::Fact).collect();
    world.append(domain, vec![draft])[0].id
}

fn place(world: &World, domain: usize, of: usize, position: u64) -> (Place, bool) {
    let log = world.own_log(of);
    let place = Place { log, position };
    (place, world.engine(domain).is_visible(&place))
}

/// Which facts of a domain another one shows.
fn seen(world: &World, domain: usize, of: usize) -> Vec<bool> {
    let log = world.own_log(of);
    let engine = world.engine(domain);
    let size = engine
        .logs()
        .find(|(held, _)| **held == log)
        .map_or(0, |(_, size)| size);
    let cut = engine.visible_cut();
    let seen = (0..size).map(|position| {
        let place = Place { log, position };
        assert_eq!(cut.contains(&place), engine.is_visible(&place));
        cut.contains(&place)
    });
    seen.collect()
}

fn rules(world: &mut World, (domain, peer): (usize, usize), out: &str, takes: &str) {
    let id = world.id(peer);
    let text = format!(
        "[[out]]\nname = \"out\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n{out}\n
         [[in]]\nname = \"in\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n{takes}"
    );
    world.set_policies(domain, peer, &SyncPolicies::parse(&text).unwrap());
}

#[test]
fn an_effect_is_seen_when_its_cause_is_and_what_stands_behind_it_too() {
    for restarts in [false, true] {
        let mut world = World::new(3, 1);
        let cause = append(&mut world, 0, 0, &[]);
        world.sync(0, 1);
        append(&mut world, 1, 1, &[]);
        append(&mut world, 1, 2, &[cause]);
        append(&mut world, 1, 3, &[]);
        assert_eq!(seen(&world, 1, 1), [true; 3]);
        world.sync(1, 2);
        // The relay has what it relays, and the third domain gets the cause with it.
        assert_eq!(seen(&world, 2, 1), [true; 3]);

        let mut world = World::new(3, 2);
        world.grant(1, 2, &[], &[]);
        let cause = append(&mut world, 0, 0, &[]);
        world.sync(0, 1);
        append(&mut world, 1, 1, &[]);
        append(&mut world, 1, 2, &[cause]);
        append(&mut world, 1, 3, &[]);
        rules(&mut world, (1, 2), "where = 'number >= 1'", "");
        world.sync(1, 2);
        assert_eq!(seen(&world, 2, 1), [true, false, false]);
        let (effect, _) = place(&world, 2, 1, 1);
        let waits = world.engine(2).waits(&effect);
        assert_eq!(waits, Some(Waits::ForCauses([cause].into())));
        let (behind, _) = place(&world, 2, 1, 2);
        assert_eq!(world.engine(2).waits(&behind), Some(Waits::Behind(1)));
        assert_eq!(world.engine(2).waiting_count(), 2);
        if restarts {
            world.restart(2);
            world.handle(2, Input::Time);
            world.run();
            assert_eq!(seen(&world, 2, 1), [true, false, false]);
            assert_eq!(world.engine(2).waits(&effect), waits);
        }
        world.sync(0, 2);
        assert_eq!(seen(&world, 2, 1), [true; 3]);
        assert!(world.has_event(
            2,
            |e| matches!(e, Event::Visible { log } if *log == effect.log)
        ));
        world.restart(2);
        world.handle(2, Input::Time);
        world.run();
        assert_eq!(seen(&world, 2, 1), [true; 3]);
        assert_eq!(world.engine(2).waiting_count(), 0);
    }
}

#[test]
fn a_cause_that_its_origin_withholds_or_that_is_not_taken_holds_up_nothing() {
    for (out, takes) in [("where = 'number >= 1'", ""), ("", "where = 'number >= 1'")] {
        for cause_first in [true, false] {
            let mut world = World::new(3, 3);
            world.grant(1, 2, &["public"], &["public"]);
            rules(&mut world, (0, 2), out, "");
            rules(&mut world, (2, 0), "", takes);
            rules(&mut world, (1, 2), "where = 'number >= 1'", "");
            let cause = append(&mut world, 0, 0, &[]);
            append(&mut world, 0, 1, &[]);
            world.sync(0, 1);
            append(&mut world, 1, 2, &[cause]);
            let order = if cause_first { [0, 1] } else { [1, 0] };
            world.sync(order[0], 2);
            if !cause_first {
                assert_eq!(seen(&world, 2, 1), [false]);
            }
            world.sync(order[1], 2);
            assert_eq!(seen(&world, 2, 0), [false, true], "{out} {takes}");
            assert_eq!(seen(&world, 2, 1), [true], "{out} {takes} {cause_first}");
            assert_eq!(world.engine(2).waiting_count(), 0);
        }
    }
}

#[test]
fn a_cause_that_is_withheld_while_its_effect_arrives_holds_up_nothing() {
    for seed in 0..300 {
        let mut world = World::new(3, seed);
        rules(&mut world, (0, 2), "where = 'number >= 1'", "");
        rules(&mut world, (1, 2), "where = 'number >= 1'", "");
        let cause = append(&mut world, 0, 0, &[]);
        world.sync(0, 1);
        append(&mut world, 1, 2, &[cause]);
        let sessions = [(0, world.connect(2, 0)), (1, world.connect(2, 1))];
        for (peer, session) in sessions {
            world.start_round(peer, session);
        }
        world.run();
        assert_eq!(seen(&world, 2, 1), [true], "seed {seed}");
        assert_eq!(world.engine(2).waiting_count(), 0);
    }
}

#[test]
fn a_cause_that_a_relay_has_not_is_waited_for_until_another_shows_it() {
    let mut world = World::new(4, 4);
    // Domain 1 may not have the cause; what it relays of the log of 0 has a hole there.
    rules(&mut world, (0, 1), "where = 'number >= 1'", "");
    world.grant(2, 0, &[], &[]);
    let cause = append(&mut world, 0, 0, &[]);
    append(&mut world, 0, 1, &[]);
    world.sync(0, 1);
    world.sync(0, 3);
    append(&mut world, 3, 2, &[cause]);
    rules(&mut world, (3, 1), "where = 'number = 2'", "");
    world.sync(3, 1);
    world.sync(1, 2);
    assert_eq!(seen(&world, 2, 0), [false, true]);
    assert_eq!(seen(&world, 2, 3), [false]);
    world.sync(3, 2);
    assert_eq!(seen(&world, 2, 0), [true; 2]);
    assert_eq!(seen(&world, 2, 3), [true]);
}

#[test]
fn patience_ends_with_a_mark_and_is_not_asked_of_readers_twice() {
    let mut world = World::new(2, 5);
    for domain in [0, 1] {
        world.set_patience(domain, Some(5_000));
    }
    let never = FactId::new([7; 32]);
    append(&mut world, 0, 0, &[]);
    append(&mut world, 0, 1, &[never]);
    append(&mut world, 0, 2, &[]);
    world.sync(0, 1);
    assert_eq!(seen(&world, 1, 0), [true, false, false]);
    assert_eq!(world.engine(1).wakes_at(), Some(world.now_ms + 5_000));
    world.now_ms += 4_999;
    world.handle(1, Input::Time);
    world.run();
    assert_eq!(seen(&world, 1, 0), [true, false, false]);
    world.now_ms += 1;
    world.handle(1, Input::Time);
    world.run();
    let (late, _) = place(&world, 1, 0, 1);
    for restarts in [false, true] {
        if restarts {
            world.restart(1);
            world.handle(1, Input::Time);
            world.run();
        }
        assert_eq!(seen(&world, 1, 0), [true; 3]);
        let flagged = (0..3).map(|position| {
            let place = Place { position, ..late };
            world.engine(1).is_flagged(&place)
        });
        assert_eq!(flagged.collect::<Vec<_>>(), [false, true, false]);
    }
    assert!(world.has_event(1, |e| matches!(e, Event::CausesMissing { position: 1, .. })));
}

/// Every fact that is held, by its id: its causes, and whether it is seen.
fn held(world: &World, domain: usize) -> BTreeMap<FactId, (Vec<FactId>, bool)> {
    let engine = world.engine(domain);
    let mut held = BTreeMap::new();
    let logs: Vec<LogId> = engine.logs().map(|(log, _)| *log).collect();
    for log in logs {
        let store = &world.domains[domain].store;
        for stored in now(store.scan(&log, 0..1 << 40, 1 << 24)).unwrap() {
            let position = stored.position;
            if let Entry::Row(row) = stored.entry(log.origin).unwrap()
                && let RowCore::Known(core) = row.core()
            {
                let is_seen = engine.is_visible(&Place { log, position });
                let causes = core.requires.as_slice().to_vec();
                held.insert(row.id(), (causes, is_seen));
            }
        }
    }
    held
}

fn assert_causes_are_seen(world: &World, domain: usize) {
    let held = held(world, domain);
    for (id, (causes, is_seen)) in &held {
        for cause in causes.iter().filter(|_| *is_seen) {
            let cause_is_seen = held.get(cause).is_some_and(|(_, is_seen)| *is_seen);
            assert!(cause_is_seen, "{domain} shows {id} before {cause}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Domains read what they see, say what follows from it, meet in pairs of which some may not have all, lose their power
    /// at any step, and see nothing before its causes; in the end they see everything.
    #[test]
    fn nobody_sees_an_effect_before_its_cause(
        seed: u64, steps in prop::collection::vec((0..5_u8, 0..4_usize, 0..4_usize, 0..40_usize), 1..60)
    ) {
        let mut world = World::new(4, seed);
        for (one, other) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
            // What is passed on is what is said here: causes come from elsewhere, or later.
            let own = format!("where = 'origin is \"{}\"'", world.id(one));
            rules(&mut world, (one, other), &own, "");
        }
        let mut number = 0;
        for (kind, one, other, count) in steps {
            match kind {
                0 | 1 => {
                    let seen = held(&world, one).into_iter().filter(|(_, (_, is_seen))| *is_seen);
                    let seen: Vec<_> = seen.map(|(id, _)| id).collect();
                    let causes: Vec<_> = seen.into_iter().rev().skip(count / 4).take(count % 4).collect();
                    append(&mut world, one, number, &causes);
                    number += 1;
                }
                2 if one != other => {
                    world.sync(one, other);
                }
                3 if one != other => {
                    let session = world.connect(one, other);
                    world.start_round(one, session);
                    world.take_steps(count);
                    world.hang_up(session);
                    world.run();
                }
                _ => {
                    world.restart(one);
                    world.handle(one, Input::Time);
                    world.run();
                }
            }
            for domain in 0..4 {
                assert_causes_are_seen(&world, domain);
            }
        }
        for _ in 0..3 {
            for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                world.sync(one, other);
            }
        }
        for domain in 0..4 {
            let held = held(&world, domain);
            prop_assert_eq!(held.len() as u64, number);
            prop_assert!(held.values().all(|(_, is_seen)| *is_seen));
        }
    }
}
