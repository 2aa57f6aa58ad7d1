//! What a peer may have and give changes while a session is open.

use causality_sync::{Event, LogError};
use causality_wire::{FrontierPart, Page, RefusalReason, SyncMessage};

use crate::forge::{Forge, LIAR, VICTIM, frontier};
use crate::world::{PUBLIC, World, draft};

#[test]
fn nothing_is_given_or_taken_by_default() {
    let mut world = World::new(2, 1);
    world.grant(0, 1, &[], &[]);
    world.append_many(0, 10);
    world.append_many(1, 10);
    let report = world.sync(0, 1);
    assert_eq!((report.facts_sent, report.facts_received), (0, 0));
    assert_eq!((world.count(0), world.count(1)), (10, 10));
}

#[test]
fn a_grant_that_is_withdrawn_stops_what_is_being_sent() {
    let mut world = World::new(2, 2);
    world.append_many(0, 50_000);
    let session = world.connect(0, 1);
    let request = world.start_round(0, session);
    while world.rows(0, 1) == 0 {
        assert!(world.step());
    }
    world.grant(0, 1, &[], &[PUBLIC]);
    let queued = world.under_way(session, 1).len() as u64;
    let before = world.rows(0, 1);
    world.run();
    // What the network had goes on; nothing follows, and the round ends.
    assert!(world.rows(0, 1) <= before + queued * 4096);
    assert!(world.rows(0, 1) < 50_000);
    assert!(world.report(0, request).is_some());
    assert!(world.is_open(session));
    // Granted again, the rest arrives by itself.
    world.grant(0, 1, &[PUBLIC], &[PUBLIC]);
    world.run();
    world.assert_equal();
    assert_eq!(world.rows(0, 1), 50_000);
}

#[test]
fn a_grant_that_is_withdrawn_stops_what_is_being_received() {
    let mut world = World::new(2, 3);
    world.append_many(0, 50_000);
    let session = world.connect(0, 1);
    let request = world.start_round(0, session);
    while world.rows(0, 1) == 0 {
        assert!(world.step());
    }
    world.grant(1, 0, &[PUBLIC], &[]);
    world.run_without_commits(1);
    world.run();
    let log = world.own_log(0);
    let held = world.engine(1).log(&log).map_or(0, |view| view.durable);
    assert!(held <= 4096, "{held}");
    assert!(world.report(0, request).is_some());
    let refused = |e: &Event| {
        matches!(
            e,
            Event::Refused {
                error: LogError::NotGranted,
                ..
            }
        )
    };
    assert!(world.has_event(1, refused));
    let declined = |e: &Event| {
        matches!(
            e,
            Event::Declined {
                reason: RefusalReason::Policy,
                ..
            }
        )
    };
    assert!(world.has_event(0, declined));
    world.grant(1, 0, &[PUBLIC], &[PUBLIC]);
    world.run();
    world.assert_equal();
}

#[test]
fn a_widened_grant_counts_at_once_in_a_live_session() {
    for giver in [0, 1] {
        let mut world = World::new(2, 4);
        world.grant(giver, 1 - giver, &[], &[PUBLIC]);
        world.append_many(0, 10);
        world.append_many(1, 10);
        let session = world.connect(0, 1);
        world.round(0, session);
        assert_eq!(world.rows(giver, 1 - giver), 0);
        world.grant(giver, 1 - giver, &[PUBLIC], &[PUBLIC]);
        world.run();
        world.assert_equal();
    }
}

#[test]
fn a_compartment_that_is_taken_from_now_on_arrives_in_a_live_session() {
    for taker in [0, 1] {
        let mut world = World::new(2, 5);
        world.grant(taker, 1 - taker, &[PUBLIC], &[]);
        world.append_many(1 - taker, 10);
        let session = world.connect(0, 1);
        world.round(0, session);
        assert_eq!(world.count(taker), 0);
        world.grant(taker, 1 - taker, &[PUBLIC], &[PUBLIC]);
        world.run();
        world.assert_equal();
    }
}

#[test]
fn grants_that_change_while_a_round_opens_are_not_forgotten() {
    for steps in 0..12 {
        let mut world = World::new(2, 6);
        world.grant(0, 1, &[], &[]);
        world.append_many(0, 10);
        world.append_many(1, 10);
        let session = world.connect(0, 1);
        world.start_round(0, session);
        world.take_steps(steps);
        world.grant(0, 1, &[PUBLIC], &[PUBLIC]);
        world.run();
        world.assert_equal();
    }
}

#[test]
fn a_domain_that_gives_a_log_and_does_not_take_it_refuses_what_it_lacks() {
    // Each gives the log to the other; the first takes nothing. It has less of it, and the second cannot know that it
    // does not want the rest.
    let mut world = World::new(2, 7);
    world.append_many(1, 10);
    world.sync(0, 1);
    world.append_many(1, 10);
    world.grant(0, 1, &[PUBLIC], &[]);
    let session = world.connect(0, 1);
    for _ in 0..2 {
        assert_eq!(world.round(0, session).facts_received, 0);
        world.round(1, session);
    }
    assert!(world.is_open(session));
    assert_eq!((world.count(0), world.count(1)), (10, 20));
}

#[test]
fn a_compartment_that_a_peer_may_not_have_is_not_named_to_it() {
    let mut world = World::new(2, 8);
    world.append_to(0, "secret", vec![draft(1)]);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    for message in world.under_way(session, 1) {
        let SyncMessage::Frontier(frontier) = message else {
            panic!("{message:?}");
        };
        assert!(frontier.logs.is_empty());
    }
    // Nor when the other side opens the round.
    world.run();
    world.overheard = Some(Vec::new());
    world.round(1, session);
    for sent in world.overheard.take().unwrap() {
        match sent.message {
            SyncMessage::Frontier(frontier) if (sent.from, sent.to) == (0, 1) => {
                assert!(frontier.logs.is_empty());
            }
            _ => {}
        }
    }
}

#[test]
fn what_a_peer_calls_a_compartment_does_not_open_another() {
    // The second calls its "secret" compartment like one that the first takes; the first has it under its own name.
    let mut world = World::new(2, 9);
    world.grant(0, 1, &[], &["secret"]);
    world.grant(1, 0, &["secret"], &[]);
    world.append_to(1, "secret", vec![draft(1)]);
    world.sync(0, 1);
    world.append_to(1, "secret", vec![draft(2)]);
    world.grant(0, 1, &[], &["ops"]);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    let lie = |message: &mut SyncMessage| {
        if let SyncMessage::Frontier(frontier) = message {
            let mut logs = std::mem::take(&mut frontier.logs).into_vec();
            for state in &mut logs {
                if let causality_wire::LogName::New { compartment, .. } = &mut state.log {
                    *compartment = causality_wire::BoundedString::new("ops").unwrap();
                }
            }
            frontier.logs = causality_wire::BoundedVec::new(logs).unwrap();
        }
    };
    loop {
        world.under_way(session, 0).into_iter().for_each(lie);
        if !world.step() {
            break;
        }
    }
    assert_eq!(world.count(0), 1);
}

#[test]
fn the_word_of_a_peer_about_a_log_that_it_may_not_have_counts_for_nothing() {
    let mut world = World::new(2, 10);
    world.append(0, vec![draft(1)]);
    let backup = world.domains[0].backup();
    world.append(0, vec![draft(2)]);
    world.sync(0, 1);
    world.domains[0].store = backup;
    world.grant(0, 1, &[], &[]);
    world.restart(0);
    // It has more of the lane; but it is not asked, and so that is not heard.
    world.sync(1, 0);
    assert!(!world.has_event(0, |e| matches!(e, Event::LaneAhead { .. })));
    let session = world.connect(1, 0);
    world.start_round(1, session);
    world.run();
    assert_eq!(world.count(0), 1);
}

#[test]
fn a_log_that_only_one_side_may_have_goes_on_when_it_comes_from_elsewhere() {
    // The first gives to the second and takes nothing from it, and gets the log of the third while the two are live:
    // the second named that log when the first did not hold it.
    for dialer in [0, 1] {
        let mut world = World::new(3, 11);
        world.grant(0, 1, &[PUBLIC], &[]);
        world.append_many(2, 10);
        world.sync(2, 1);
        let session = world.connect(dialer, 1 - dialer);
        world.round(dialer, session);
        world.round(1 - dialer, session);
        assert_eq!((world.count(0), world.count(1)), (0, 10));
        world.append_many(2, 10);
        world.sync(2, 0);
        assert!(world.is_open(session), "{:?}", world.end_of(1, session));
        world.assert_equal();
    }
}

#[test]
fn a_grant_that_comes_between_the_pages_of_an_open_is_not_forgotten() {
    // The first page was read under the old grants; the reply behind the last one then counted for the new ones as well.
    let mut forge = Forge::new();
    forge.world.grant(VICTIM, LIAR, &[], &[]);
    let offer = forge.state(9);
    forge.say(frontier(0, FrontierPart::Open, Page::More, vec![offer]));
    forge.world.grant(VICTIM, LIAR, &[], &[PUBLIC]);
    let last = frontier(0, FrontierPart::Open, Page::Last, vec![]);
    let control = causality_sync::StreamNumber::CONTROL;
    forge.world.inject(forge.session, VICTIM, control, last);
    forge.world.deliver(forge.session, VICTIM, control);
    let heard = forge.world.under_way(forge.session, LIAR);
    let is_open = |m: &&mut SyncMessage| matches!(m, SyncMessage::Frontier(f) if f.part == FrontierPart::Open);
    assert!(heard.iter().any(is_open), "{heard:?}");
}

#[test]
fn of_a_log_that_it_does_not_hold_a_domain_does_not_tell_that_it_knows_the_origin() {
    // The second has keys of the first, for it holds a log that the third must not know of. Asked about the public log
    // of the first, it told how many.
    let mut world = World::new(3, 12);
    world.grant(0, 1, &["secret"], &[]);
    world.grant(1, 0, &[], &["secret"]);
    world.append_to(0, "secret", vec![draft(1)]);
    world.sync(1, 0);
    assert_eq!(world.count(1), 1);
    world.append(0, vec![draft(2)]);
    world.sync(2, 0);
    world.overheard = Some(Vec::new());
    world.sync(2, 1);
    let mut states = 0;
    for sent in world.overheard.take().unwrap() {
        if let (SyncMessage::Frontier(frontier), 1) = (sent.message, sent.from) {
            assert!(frontier.logs.iter().all(|state| state.keys == 0));
            states += frontier.logs.len();
        }
    }
    assert_eq!(states, 1);
    // It gets the log all the same, and the keys once more.
    assert_eq!(world.count(1), 2);
}
