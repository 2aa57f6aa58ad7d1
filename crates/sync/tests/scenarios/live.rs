//! Sessions that stay open: what is appended goes out by itself, once.

use causality_sync::{Direction, Event, Input, RequestId};

use crate::world::{World, draft};

#[test]
fn new_facts_go_out_by_themselves_after_the_first_round() {
    let mut world = World::new(2, 1);
    let session = world.connect(0, 1);
    world.round(0, session);
    for number in 0..5 {
        world.append(0, vec![draft(number)]);
        world.append(1, vec![draft(number)]);
        world.assert_equal();
    }
    assert_eq!((world.rows(0, 1), world.rows(1, 0)), (5, 5));
}

#[test]
fn a_chain_of_live_sessions_carries_each_fact_once() {
    let mut world = World::new(3, 2);
    let sessions = [world.connect(0, 1), world.connect(1, 2)];
    world.round(0, sessions[0]);
    world.round(1, sessions[1]);
    for start in 0..4 {
        world.append(0, (0..100).map(|n| draft(start * 100 + n)).collect());
        world.append(2, vec![draft(start)]);
    }
    world.assert_equal();
    assert_eq!((world.rows(0, 1), world.rows(1, 2)), (400, 400));
    assert_eq!((world.rows(2, 1), world.rows(1, 0)), (4, 4));
}

#[test]
fn the_peer_is_told_the_trigger_of_a_round_as_far_as_there_is_room() {
    let mut world = World::new(2, 4);
    let session = world.connect(0, 1);
    for (number, (trigger, told)) in [
        (None, None),
        (Some("strong".to_owned()), Some("strong".to_owned())),
        (
            Some("a".to_owned() + &"ä".repeat(40)),
            Some("a".to_owned() + &"ä".repeat(31)),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let request = RequestId(1_000 + number as u64);
        let round = Input::StartRound {
            session,
            request,
            trigger,
        };
        world.handle(0, round);
        world.run();
        assert!(world.report(0, request).is_some());
        let id = world.id(0);
        let is_told = |event: &Event| matches!(event, Event::Triggered { peer, trigger } if *peer == id && Some(trigger) == told.as_ref());
        assert_eq!(world.has_event(1, is_told), told.is_some());
    }
    assert!(!world.has_event(0, |event| matches!(event, Event::Triggered { .. })));
}

#[test]
fn nothing_goes_out_by_itself_before_a_round() {
    let mut world = World::new(2, 3);
    let session = world.connect(0, 1);
    world.append(0, vec![draft(1)]);
    assert_eq!(world.count(1), 0);
    world.round(1, session);
    world.assert_equal();
}

#[test]
fn what_is_appended_while_a_round_is_open_arrives_too() {
    for seed in 10..40 {
        let mut world = World::new(2, seed);
        world.append_many(0, 4000);
        let session = world.connect(1, 0);
        let request = world.start_round(1, session);
        for number in 0..20 {
            for _ in 0..seed {
                world.step();
            }
            world.begin_append(0, "public", vec![draft(number), draft(number + 1)]);
            world.begin_append(1, "public", vec![draft(number)]);
        }
        world.run();
        assert!(world.report(1, request).is_some());
        world.assert_equal();
        assert_eq!((world.rows(0, 1), world.rows(1, 0)), (4040, 20));
    }
}

#[test]
fn rounds_of_both_sides_at_once_end_on_both() {
    for seed in 40..60 {
        let mut world = World::new(2, seed);
        world.append_many(0, 50);
        world.append_many(1, 50);
        let session = world.connect(0, 1);
        let at_dialer = world.start_round(0, session);
        let at_acceptor = world.start_round(1, session);
        world.run();
        let sent = world.report(0, at_dialer).unwrap().facts_sent;
        let received = world.report(1, at_acceptor).unwrap().facts_received;
        assert!(sent <= 50 && received <= 50);
        world.assert_equal();
        assert_eq!((world.rows(0, 1), world.rows(1, 0)), (50, 50));
    }
}

#[test]
fn a_log_that_begins_while_the_session_is_live_is_named_by_itself() {
    let mut world = World::new(3, 4);
    world.grant(0, 1, &["public", "ops"], &["public", "ops"]);
    world.grant(1, 0, &["public", "ops"], &["public", "ops"]);
    let session = world.connect(1, 0);
    world.round(1, session);
    world.append_to(0, "ops", vec![draft(1)]);
    world.append_to(1, "ops", vec![draft(2)]);
    // The third joins the first later, and its facts go through.
    world.append(2, vec![draft(3)]);
    let other = world.connect_for(2, 0, Direction::Push);
    world.round(2, other);
    assert_eq!((world.count(0), world.count(1)), (3, 3));
}

#[test]
fn a_push_session_carries_nothing_back_when_it_is_live() {
    let mut world = World::new(2, 5);
    let session = world.connect_for(0, 1, Direction::Push);
    world.round(0, session);
    world.append(0, vec![draft(1)]);
    world.append(1, vec![draft(2)]);
    assert_eq!((world.count(0), world.count(1)), (1, 2));
}
