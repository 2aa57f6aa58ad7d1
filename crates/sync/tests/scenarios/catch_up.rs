//! Two or three domains that catch up, with everybody honest.

use causality_fact::{
    BLOCK_LEAVES, BlockRoots, Checkpoint, CompartmentId, Encoder, Entry, Hlc, LaneId, LogId, Row,
    TreeHead, leaf_hash,
};
use causality_store::{Batch, FactStore as _, NewEntry, SideWrite};
use causality_sync::{Completeness, Direction, Event, LOG_HEADS, RoundReport, StreamNumber};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::now;
use crate::world::{PUBLIC, World, draft};

#[test]
fn a_push_brings_what_the_dialer_has_and_nothing_back() {
    let mut world = World::new(2, 1);
    world.append_many(0, 10);
    world.append_many(1, 5);
    let report = world.sync_for(0, 1, Direction::Push);
    assert_eq!((report.facts_sent, report.facts_received), (10, 0));
    assert_eq!((world.count(0), world.count(1)), (10, 15));
    assert_eq!(world.rows(1, 0), 0);
}

#[test]
fn a_pull_brings_what_the_acceptor_has_and_gives_nothing() {
    let mut world = World::new(2, 2);
    world.append_many(0, 10);
    world.append_many(1, 5);
    let report = world.sync_for(0, 1, Direction::Pull);
    assert_eq!((report.facts_sent, report.facts_received), (0, 5));
    assert_eq!((world.count(0), world.count(1)), (15, 5));
    assert_eq!(world.rows(0, 1), 0);
}

#[test]
fn both_ways_in_one_round_and_nothing_in_the_next() {
    let mut world = World::new(2, 3);
    world.append_many(0, 5000);
    world.append_many(1, 4097);
    let report = world.sync(0, 1);
    assert_eq!((report.facts_sent, report.facts_received), (5000, 4097));
    assert_eq!(report.round_trips, 2);
    world.assert_equal();
    let nothing = RoundReport {
        round_trips: 1,
        ..RoundReport::default()
    };
    assert_eq!(world.sync(1, 0), nothing);
    assert_eq!(world.rows(0, 1) + world.rows(1, 0), 9097);
}

#[test]
fn domains_without_facts_catch_up_in_one_round_trip() {
    let mut world = World::new(2, 4);
    assert_eq!(world.sync(0, 1).round_trips, 1);
}

#[test]
fn a_relay_passes_on_what_it_has_from_others() {
    let mut world = World::new(3, 5);
    world.append_many(0, 9000);
    world.sync(0, 1);
    world.sync(2, 1);
    world.assert_equal();
    assert_eq!((world.rows(0, 1), world.rows(1, 2)), (9000, 9000));
    // The keys of the origin came along: the third has never met the first.
    let origin = world.id(0);
    assert_eq!(
        world.engine(2).key_log(origin),
        Some(world.domains[0].keys.key_log())
    );
    world.restart(2);
    world.assert_equal();
}

#[test]
fn a_relay_that_holds_half_of_a_log_passes_on_its_full_blocks() {
    let mut world = World::new(3, 6);
    world.append_many(0, 3 * BLOCK_LEAVES + 5);
    let session = world.connect(1, 0);
    world.start_round(1, session);
    while world
        .engine(1)
        .logs()
        .next()
        .is_none_or(|(_, size)| size < 2 * BLOCK_LEAVES)
    {
        assert!(world.step());
    }
    world.hang_up(session);
    world.run();
    let log = world.own_log(0);
    let held = world.engine(1).log(&log).unwrap().durable;
    assert!(held < 3 * BLOCK_LEAVES + 5);
    let blocks = held / BLOCK_LEAVES * BLOCK_LEAVES;
    assert_eq!(world.sync(2, 1).facts_received, blocks);
    assert_eq!(world.engine(2).log(&log).unwrap().durable, blocks);
    // Both get the rest from the origin.
    world.sync(2, 0);
    world.sync(1, 0);
    world.assert_equal();
}

#[test]
fn an_interrupted_transfer_takes_nothing_from_what_could_be_proven_before() {
    let mut world = World::new(3, 7);
    world.append_many(0, 5000);
    world.sync(1, 0);
    world.append_many(0, 40_000);
    let session = world.connect(1, 0);
    world.start_round(1, session);
    let log = world.own_log(0);
    while world.engine(1).log(&log).unwrap().durable == 5000 {
        assert!(world.step());
    }
    world.hang_up(session);
    world.run();
    assert!(world.engine(1).log(&log).unwrap().durable < 45_000);
    for _ in 0..2 {
        let view = world.engine(1).log(&log).unwrap();
        assert!(view.provable >= 5000);
        let provable = view.provable;
        // Nothing of what is held is missing, but the origin has signed more.
        let complete = world.engine(1).completeness(&log);
        assert_eq!(complete, Completeness::Incomplete);
        world.restart(1);
        assert_eq!(world.engine(1).log(&log).unwrap().provable, provable);
    }
    let received = world.sync(2, 1).facts_received;
    assert!(received >= 5000, "{received}");
}

#[test]
fn rotated_keys_of_an_origin_travel_with_its_facts() {
    let mut world = World::new(3, 8);
    world.append_many(0, 3);
    world.sync(1, 0);
    world.sync(2, 1);
    let (keys, _) = world.domains[0]
        .keys
        .rotate(&mut world.random, 0..i64::MAX, &BTreeSet::new())
        .unwrap();
    world.domains[0].set_keys(keys);
    world.restart(0);
    world.append_many(0, 3);
    assert_eq!(world.count(0), 6);
    world.sync(1, 0);
    let report = world.sync(2, 1);
    assert_eq!(report.facts_received, 3);
    world.assert_equal();
    let origin = world.id(0);
    assert_eq!(world.engine(2).key_log(origin).unwrap().len(), 2);
    world.restart(2);
    assert_eq!(world.engine(2).key_log(origin).unwrap().len(), 2);
}

#[test]
fn a_peer_that_shows_fewer_keys_than_before_is_refused_also_after_a_restart() {
    let mut world = World::new(2, 9);
    let old = Arc::clone(&world.domains[0].keys);
    let (new, _) = old
        .rotate(&mut world.random, 0..i64::MAX, &BTreeSet::new())
        .unwrap();
    world.domains[0].set_keys(new);
    world.restart(0);
    world.sync(1, 0);
    world.restart(1);
    world.domains[0].keys = old;
    world.restart(0);
    let session = world.connect(1, 0);
    assert!(!world.is_open(session));
    let error = world.end_of(1, session).unwrap().to_string();
    assert_eq!(
        error,
        "the peer broke the protocol: a key log that goes back or forks"
    );
}

#[test]
fn rows_of_unknown_versions_are_kept_and_relayed() {
    let mut world = World::new(3, 10);
    let log = unsupported_log(&mut world);
    assert_eq!(world.sync(1, 0).facts_received, 2);
    assert_eq!(world.sync(2, 1).facts_received, 2);
    assert_eq!(world.facts(2, &log), world.facts(0, &log));
    world.assert_equal();
}

/// A log that a newer version has written: domain 0 holds it.
fn unsupported_log(world: &mut World) -> LogId {
    let log = LogId {
        origin: world.id(0),
        compartment: CompartmentId::PUBLIC,
        lane: LaneId::new([9; 16]),
    };
    let row = |content: &[u8]| {
        // Version 9, any sharing, no label; what follows is for those who know the version.
        let core = [&[9, 2, 0], content].concat();
        Row::unsupported(&core, content).unwrap()
    };
    let rows = [row(b"one"), row(b"two")];
    let mut tree = BlockRoots::new();
    for row in &rows {
        tree.push(leaf_hash(&row.id()));
    }
    let head = TreeHead {
        size: 2,
        root: tree.root(),
    };
    let hlc = Hlc::from_millis(5);
    let keys = Arc::clone(&world.domains[0].keys);
    let checkpoint = keys.sign_checkpoint(log, head, hlc).unwrap();
    let entry = |(position, row): (usize, Row)| NewEntry {
        log,
        position: position as u64,
        entry: Entry::Row(row),
        mark: None,
    };
    let batch = Batch {
        entries: rows.into_iter().enumerate().map(entry).collect(),
        side: vec![head_row(&checkpoint, hlc, &tree)],
        time: 5,
    };
    now(world.domains[0].store.commit(batch)).unwrap();
    world.restart(0);
    log
}

/// The state of a log without full blocks, as `docs/src/spec/sync.md` has it.
pub(crate) fn head_row(checkpoint: &Checkpoint, hlc: Hlc, tree: &BlockRoots) -> SideWrite {
    let mut to = Encoder::new();
    to.u8(0)
        .bytes(&checkpoint.to_bytes())
        .fixed_u64(hlc.to_bits())
        .uint(0);
    to.uint(tree.size()).length(tree.open().hashes().len());
    for hash in tree.open().hashes() {
        to.raw(hash.as_bytes());
    }
    to.bytes(&[]);
    SideWrite {
        table: LOG_HEADS,
        key: checkpoint.log.to_bytes().to_vec(),
        value: Some(to.finish()),
    }
}

#[test]
fn facts_may_overtake_the_reply_that_explains_them() {
    // Streams are not ordered among each other: what comes on a feed may be there before the reply on the control stream.
    let mut world = World::new(2, 11);
    world.append_many(0, 10);
    world.sync(1, 0);
    world.append_many(0, 10);
    let session = world.connect(1, 0);
    let request = world.start_round(1, session);
    world.run_without_control(1);
    // It had said before that it wants them.
    assert_eq!((world.rows(0, 1), world.count(1)), (20, 20));
    world.run();
    assert_eq!(world.report(1, request).unwrap().facts_received, 10);
    world.assert_equal();
}

#[test]
fn facts_may_come_between_the_frontiers_of_two_rounds() {
    // Both sides open a round. The announcement of the log comes before anything that the peer says of it, the chunk behind
    // its open.
    let mut world = World::new(2, 12);
    world.append_many(0, 10);
    world.sync(1, 0);
    world.append_many(0, 10);
    let session = world.connect(1, 0);
    let requests = [world.start_round(0, session), world.start_round(1, session)];
    world.run_without_deliveries(1);
    let feed = world.feed_under_way(session, 1);
    world.deliver(session, 1, feed);
    world.deliver(session, 1, StreamNumber::CONTROL);
    world.deliver(session, 1, feed);
    assert_eq!((world.rows(0, 1), world.count(1)), (20, 10));
    world.run();
    assert!(world.is_open(session));
    let received = |domain: usize| {
        world
            .report(domain, requests[domain])
            .unwrap()
            .facts_received
    };
    assert_eq!((received(0), received(1)), (0, 10));
    world.assert_equal();
}

#[test]
fn facts_may_overtake_the_answer_that_explains_them() {
    // The opener got more of a log from elsewhere after its open, which did not name it.
    let mut world = World::new(3, 13);
    world.append_many(2, 10);
    world.sync(1, 2);
    world.append_many(2, 10);
    let session = world.connect(0, 1);
    let request = world.start_round(0, session);
    world.deliver(session, 1, StreamNumber::CONTROL);
    let elsewhere = world.connect(0, 2);
    world.start_round(0, elsewhere);
    while world.count(0) < 20 {
        world.step_of(elsewhere);
    }
    world.run_without_control(1);
    assert_eq!((world.rows(0, 1), world.count(1)), (10, 20));
    world.run();
    assert!(world.is_open(session));
    assert_eq!(world.report(0, request).unwrap().facts_sent, 10);
    world.assert_equal();
}

#[test]
fn two_sessions_that_bring_one_log_do_not_disturb_each_other() {
    for seed in 20..40 {
        let mut world = World::new(3, seed);
        world.append_many(0, 9000);
        world.sync(1, 0);
        let sessions = [world.connect(2, 0), world.connect(2, 1)];
        let requests = sessions.map(|session| world.start_round(2, session));
        world.run();
        for (session, request) in sessions.into_iter().zip(requests) {
            assert!(world.is_open(session), "{:?}", world.end_of(2, session));
            assert!(world.report(2, request).is_some());
        }
        world.assert_equal();
        world.restart(2);
        world.assert_equal();
    }
}

#[test]
fn two_sessions_under_different_checkpoints_leave_a_state_that_starts_again() {
    for seed in 40..60 {
        let mut world = World::new(3, seed);
        world.append_many(0, 5000);
        world.sync(1, 0);
        world.append_many(0, 5000);
        let sessions = [world.connect(2, 0), world.connect(2, 1)];
        for session in sessions {
            world.start_round(2, session);
        }
        // At whatever moment the third one loses its power, it has a log that it can go on with.
        for _ in 0..seed * 3 {
            world.step();
        }
        world.restart(2);
        world.sync(2, 1);
        world.sync(2, 0);
        world.sync(1, 0);
        world.assert_equal();
    }
}

#[test]
fn a_round_that_was_asked_for_twice_is_answered_twice() {
    let mut world = World::new(2, 12);
    world.append_many(0, 10);
    let session = world.connect(0, 1);
    let requests = [
        world.start_round(0, session),
        world.start_round(0, session),
        world.start_round(1, session),
    ];
    world.run();
    assert_eq!(world.report(0, requests[0]).unwrap().facts_sent, 10);
    assert_eq!(world.report(0, requests[1]).unwrap().facts_sent, 0);
    assert!(world.report(1, requests[2]).is_some());
    assert_eq!(world.rows(0, 1), 10);
}

#[test]
fn a_log_that_is_not_wanted_does_not_hold_up_later_rounds() {
    // The second does not take what the first offers: it says so in every round.
    let mut world = World::new(2, 13);
    world.grant(1, 0, &[PUBLIC], &[]);
    world.append_many(0, 10);
    let session = world.connect(1, 0);
    for _ in 0..3 {
        assert_eq!(world.round(1, session).facts_received, 0);
        assert_eq!(world.round(0, session).facts_sent, 0);
    }
    assert_eq!(world.rows(0, 1), 0);
}

#[test]
fn two_compartments_of_one_name_stay_apart() {
    let mut world = World::new(2, 14);
    world.grant(0, 1, &["ops"], &["ops"]);
    world.grant(1, 0, &["ops"], &["ops"]);
    world.append_to(0, "ops", vec![draft(1)]);
    world.append_to(1, "ops", vec![draft(2)]);
    for _ in 0..2 {
        world.sync(0, 1);
        world.append_to(0, "ops", vec![draft(3)]);
        world.append_to(1, "ops", vec![draft(4)]);
    }
    world.sync(1, 0);
    world.assert_equal();
    let other = world.own_log(1).compartment;
    let name = world.engine(0).compartment_name(other).unwrap();
    assert_eq!(name, format!("ops-{other:.8}"));
    assert!(!world.has_event(0, |e| matches!(e, Event::Refused { .. })));
}
