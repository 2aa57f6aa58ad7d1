//! Sessions that are lost, commits that fail, domains that start again: nothing is lost, nothing durable is sent again.

use causality_sync::{Event, SyncError};

use crate::world::{World, draft};

/// A world in which each of two domains has something for the other.
fn two_domains(seed: u64) -> World {
    let mut world = World::new(2, seed);
    world.append_many(0, 4500);
    world.append_many(1, 20);
    world
}

/// How many steps a first round takes.
fn steps_of_a_round(seed: u64) -> usize {
    let mut world = two_domains(seed);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    (0..).find(|_| !world.step()).unwrap()
}

#[test]
fn a_session_that_is_lost_at_any_step_is_made_up_for_by_the_next() {
    for lost_after in 0..steps_of_a_round(1) {
        let mut world = two_domains(1);
        let session = world.connect(0, 1);
        world.start_round(0, session);
        world.take_steps(lost_after);
        world.hang_up(session);
        assert_eq!(world.end_of(0, session), Some(&SyncError::Closed));
        world.run();
        world.sync(1, 0);
        world.assert_equal();
    }
}

#[test]
fn a_domain_that_loses_its_power_at_any_step_goes_on_from_what_is_durable() {
    for lost_after in 0..steps_of_a_round(2) {
        let mut world = two_domains(2);
        let session = world.connect(0, 1);
        world.start_round(0, session);
        world.take_steps(lost_after);
        world.restart(1);
        world.run();
        let log = world.own_log(0);
        let durable = world.engine(1).log(&log).map_or(0, |view| view.durable);
        let before = world.rows(0, 1);
        world.sync(1, 0);
        assert_eq!(world.rows(0, 1) - before, 4500 - durable);
        world.assert_equal();
        world.restart(0);
        world.restart(1);
        world.assert_equal();
    }
}

#[test]
fn a_commit_that_fails_loses_nothing_that_was_acknowledged() {
    for commits_left in 0..8 {
        let mut world = two_domains(3);
        world.domains[1].commits_left = Some(commits_left);
        let session = world.connect(0, 1);
        let request = world.start_round(0, session);
        world.run();
        if world.has_event(1, |e| matches!(e, Event::StoreFailed(_))) {
            assert!(world.report(0, request).is_none());
            assert_eq!(world.end_of(0, session), Some(&SyncError::Closed));
        }
        world.sync(0, 1);
        world.assert_equal();
    }
}

#[test]
fn an_append_that_fails_in_the_store_left_nothing_in_the_log() {
    let mut world = World::new(2, 4);
    world.append(0, vec![draft(1)]);
    world.domains[0].commits_left = Some(0);
    world.begin_append(0, "public", vec![draft(2)]);
    world.begin_append(0, "public", vec![draft(3)]);
    world.run();
    assert!(world.has_event(0, |e| matches!(e, Event::StoreFailed(_))));
    assert!(!world.has_event(0, |e| matches!(e, Event::Appended { .. })));
    assert_eq!(world.count(0), 1);
    world.append(0, vec![draft(4)]);
    world.sync(1, 0);
    world.assert_equal();
}

#[test]
fn a_round_ends_only_when_the_other_side_has_it_durably() {
    let mut world = World::new(2, 5);
    world.append_many(0, 10);
    let session = world.connect(0, 1);
    let request = world.start_round(0, session);
    world.run_without_commits(1);
    assert!(world.report(0, request).is_none());
    assert_eq!(world.engine(0).session_counts(session), Some((0, 0)));
    world.run();
    assert!(world.report(0, request).is_some());
    assert_eq!(world.engine(0).session_counts(session), Some((10, 0)));
    assert_eq!(world.engine(1).session_counts(session), Some((0, 10)));
}

#[test]
fn what_is_on_its_way_from_one_peer_is_not_claimed_towards_another() {
    let mut world = World::new(3, 6);
    world.append_many(0, 10);
    let first = world.connect(0, 1);
    world.start_round(0, first);
    world.run_without_commits(1);
    // The second holds nothing durably: the third must not be told that it does.
    let session = world.connect(2, 1);
    let request = world.start_round(2, session);
    world.run_without_commits(1);
    assert_eq!(world.report(2, request).unwrap().facts_received, 0);
    world.restart(1);
    assert_eq!(world.count(1), 0);
}

#[test]
fn a_message_for_a_session_that_has_ended_is_nothing() {
    let mut world = World::new(2, 7);
    world.append_many(0, 10);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    world.step();
    world.handle(1, causality_sync::Input::EndSession { session });
    world.run();
    assert_eq!(
        world.end_of(0, session),
        Some(&SyncError::Goodbye(causality_wire::GoodbyeReason::Done))
    );
    world.handle(
        1,
        causality_sync::Input::Received {
            session,
            stream: causality_sync::StreamNumber::CONTROL,
            message: causality_wire::SyncMessage::CaughtUp(causality_wire::CaughtUp {
                round: 0,
                facts: 0,
                bytes: 0,
            }),
        },
    );
    let request = world.start_round(1, session);
    world.run();
    assert!(world.report(1, request).is_none());
    world.sync(0, 1);
    world.assert_equal();
}
