//! Own lanes that were set back, and logs that were forked.

use causality_sync::{Direction, Event};

use crate::world::{PUBLIC, World, draft};

/// Domain 0 with ten facts that domain 1 has too, set back to a backup with five of them.
fn set_back(seed: u64) -> World {
    let mut world = World::new(2, seed);
    world.append_many(0, 5);
    let backup = world.domains[0].backup();
    world.append_many(0, 5);
    world.sync(0, 1);
    world.domains[0].store = backup;
    world
}

fn is_ahead(event: &Event) -> bool {
    matches!(event, Event::LaneAhead { .. })
}

#[test]
fn a_restored_domain_opens_a_new_lane_and_gets_its_facts_back() {
    let mut world = set_back(1);
    world.domains[0].mark_restored();
    world.restart(0);
    let old = world.own_log(0);
    world.append(0, vec![draft(100)]);
    assert_eq!(world.engine(0).log(&old).unwrap().durable, 5);
    assert_eq!(world.engine(0).logs().count(), 2);
    // It stays in the new lane, also after another start.
    world.restart(0);
    world.append(0, vec![draft(101)]);
    assert_eq!(world.engine(0).logs().count(), 2);
    assert_eq!(world.sync(0, 1).facts_received, 5);
    assert_eq!(world.count(0), 12);
    world.assert_equal();
}

#[test]
fn a_fact_that_came_back_is_superseded_like_any_own_head() {
    let mut world = World::new(2, 2);
    world.append(0, vec![draft(1)]);
    let backup = world.domains[0].backup();
    let lost = world.append(0, vec![draft(1)]).remove(0).id;
    world.sync(0, 1);
    world.domains[0].store = backup;
    world.domains[0].mark_restored();
    world.restart(0);
    let meanwhile = world.append(0, vec![draft(1)]).remove(0).id;
    world.sync(0, 1);
    let last = world.append(0, vec![draft(1)]).remove(0).id;
    let mut heads = [lost, meanwhile];
    heads.sort();
    assert_eq!(world.core(0, last).supersedes.as_slice(), heads);
}

#[test]
fn a_lane_that_a_peer_is_ahead_in_is_never_written_again() {
    let mut world = set_back(3);
    world.restart(0);
    let old = world.own_log(0);
    // It only pushes: the peer never sends the lost facts, and still the lane is not forked.
    world.sync_for(0, 1, Direction::Push);
    assert!(world.has_event(0, is_ahead));
    world.restart(0);
    world.append(0, vec![draft(100)]);
    assert_eq!(world.engine(0).log(&old).unwrap().durable, 5);
    world.sync(0, 1);
    world.assert_equal();
    assert_eq!(world.count(0), 11);
}

#[test]
fn a_lane_that_a_peer_brings_more_of_is_never_written_again() {
    // The peer offers the lane, and sends it before this store has written anything.
    let mut world = set_back(4);
    world.restart(0);
    let old = world.own_log(0);
    world.sync(0, 1);
    assert!(world.has_event(0, is_ahead));
    world.append(0, vec![draft(100)]);
    assert_eq!(world.engine(0).log(&old).unwrap().durable, 10);
    assert_eq!(world.engine(0).logs().count(), 2);
    world.sync(0, 1);
    world.assert_equal();
}

#[test]
fn a_fork_of_equal_size_is_noticed_by_both_and_the_rest_goes_on() {
    let mut world = set_back(5);
    world.restart(0);
    // The same positions are written again: this is a fork.
    world.append_many(0, 5);
    world.append_many(1, 3);
    let log = world.own_log(0);
    let session = world.connect(0, 1);
    let report = world.round(0, session);
    assert_eq!((report.facts_sent, report.facts_received), (0, 3));
    for domain in [0, 1] {
        let forked = |e: &Event| matches!(e, Event::Forked { log: of, .. } if *of == log);
        let times = world.domains[domain]
            .events
            .iter()
            .filter(|e| forked(e))
            .count();
        assert_eq!(times, 1);
    }
    // What the origin writes from now on is in another lane, and arrives.
    world.append(0, vec![draft(100)]);
    assert_eq!(world.engine(0).log(&log).unwrap().durable, 10);
    assert_eq!(world.count(1), 10 + 3 + 1);
    assert_eq!(world.round(1, session).facts_received, 0);
}

#[test]
fn a_fork_of_another_size_is_refused_and_the_rest_goes_on() {
    for (more, blocks) in [(6, false), (5000, true)] {
        let mut world = set_back(6);
        world.restart(0);
        world.append_many(0, more);
        world.append_to(0, PUBLIC, vec![draft(7)]);
        world.append_many(1, 3);
        let log = world.own_log(0);
        let session = world.connect(0, 1);
        let report = world.round(0, session);
        assert_eq!(report.facts_received, 3, "{blocks}");
        assert!(world.is_open(session));
        let refused = |e: &Event| matches!(e, Event::Refused { log: of, .. } if *of == log);
        assert!(world.has_event(1, refused));
        let forked = |e: &Event| matches!(e, Event::Forked { log: of, .. } if *of == log);
        assert!(world.has_event(0, forked));
        assert_eq!(world.engine(1).log(&log).unwrap().durable, 10);
        // The refused log stays so in later rounds of the session, and nothing of it is sent again.
        let before = world.rows(0, 1);
        world.round(1, session);
        world.round(0, session);
        assert_eq!(world.rows(0, 1), before);
        // What the origin writes from now on is in another lane, and arrives.
        world.append(0, vec![draft(100)]);
        world.round(0, session);
        assert_eq!(world.engine(1).log(&log).unwrap().durable, 10);
        assert_eq!(world.count(1), 10 + 3 + 1);
    }
}

#[test]
fn an_own_lane_that_goes_on_is_not_ahead() {
    let mut world = World::new(2, 7);
    let session = world.connect(0, 1);
    world.round(0, session);
    for number in 0..20 {
        world.begin_append(0, PUBLIC, vec![draft(number)]);
        for _ in 0..number {
            world.step();
        }
        world.start_round(1, session);
        world.start_round(0, session);
    }
    world.run();
    assert!(!world.has_event(0, is_ahead));
    world.own_log(0);
    world.assert_equal();
}
