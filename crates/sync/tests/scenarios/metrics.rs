//! What an engine counts, what it knows of how far peers are, and what the two sign about it at the end of a round.

use causality_strategy::SyncPolicies;
use causality_sync::SyncError;
use causality_wire::SyncMessage;

use crate::world::{World, draft};

/// What a domain gives to a peer and takes from it, of the numbers that meet a condition.
fn rules(world: &mut World, domain: usize, peer: usize, out: &str, taken: &str) {
    let rule = |flow: &str, condition: &str| {
        let peer = world.id(peer);
        format!(
            "[[{flow}]]\nname = \"{flow}\"\npeers = [\"{peer}\"]\ncompartments = [\"public\"]\nwhere = '{condition}'\n"
        )
    };
    let text = rule("out", out) + &rule("in", taken);
    let policies = SyncPolicies::parse(&text).unwrap();
    world.set_policies(domain, peer, &policies);
}

const ALL: &str = "number >= 0";

#[test]
fn a_round_is_counted_at_both_sides_with_what_went_each_way() {
    let mut world = World::new(2, 1);
    world.append_many(0, 300);
    world.append(1, vec![draft(1)]);
    let report = world.sync(1, 0);
    let sender = world.engine(0).metrics().peer(world.id(1)).unwrap();
    let receiver = world.engine(1).metrics().peer(world.id(0)).unwrap();
    assert_eq!((report.facts_received, report.facts_sent), (300, 1));
    assert_eq!((sender.sent.facts, sender.received.facts), (300, 1));
    assert_eq!((receiver.sent.facts, receiver.received.facts), (1, 300));
    assert_eq!(sender.sent.bytes, receiver.received.bytes);
    assert!(sender.sent.bytes > 300 * 32);
    assert_eq!(sender.sent.batches.sum(), 300);
    assert_eq!(receiver.received.batches, sender.sent.batches);
    assert_eq!((receiver.attempts, sender.attempts), (1, 0));
    assert_eq!(receiver.outcomes.of("caught_up"), 1);
    assert_eq!(receiver.round_trips, u64::from(report.round_trips));
    assert_eq!(
        (sender.sessions, sender.sessions_ended.of("closed")),
        (1, 1)
    );
    assert_eq!(receiver.outcomes.iter().count(), 1);
}

#[test]
fn a_round_that_a_violation_ends_is_counted_as_one() {
    let mut world = World::new(2, 2);
    world.append_many(0, 3);
    let spoil = |message: &mut SyncMessage| {
        if let SyncMessage::Receipt(receipt) = message {
            receipt.size = 1_000;
        }
    };
    world.tamper = Some((1, Box::new(spoil)));
    let session = world.connect(0, 1);
    world.start_round(0, session);
    world.run();
    assert!(matches!(
        world.end_of(0, session),
        Some(SyncError::Violation(_))
    ));
    let honest = world.engine(0).metrics().peer(world.id(1)).unwrap();
    assert_eq!(honest.outcomes.of("violation"), 1);
    assert_eq!(honest.sessions_ended.of("violation"), 1);
    let liar = world.engine(1).metrics().peer(world.id(0)).unwrap();
    assert_eq!(liar.sessions_ended.of("peer_violation"), 1);
    assert_eq!(liar.outcomes.iter().count(), 0, "it had opened no round");
}

#[test]
fn a_log_that_is_not_granted_is_counted_at_both_sides() {
    let mut world = World::new(2, 3);
    world.append_many(0, 3);
    let session = world.connect(1, 0);
    world.start_round(1, session);
    // It wants the log, then changes its mind while the facts are on their way.
    while world
        .engine(1)
        .metrics()
        .peer(world.id(0))
        .unwrap()
        .received
        .bytes
        == 0
    {
        if world
            .engine(0)
            .metrics()
            .peer(world.id(1))
            .unwrap()
            .sent
            .bytes
            > 0
        {
            world.grant(1, 0, &["public"], &[]);
        }
        assert!(world.step());
    }
    world.run();
    let refuser = world.engine(1).metrics().peer(world.id(0)).unwrap();
    assert_eq!(refuser.refused.of("not_granted"), 1);
    let sender = world.engine(0).metrics().peer(world.id(1)).unwrap();
    assert_eq!(sender.declined.of("policy"), 1);
}

#[test]
fn what_rules_keep_back_and_refuse_and_reveal_later_is_counted() {
    let mut world = World::new(2, 4);
    rules(&mut world, 0, 1, "number >= 15", ALL);
    world.append_many(0, 20);
    world.sync(1, 0);
    let count = |world: &World, domain: usize| {
        let peer = world.id(1 - domain);
        world.engine(domain).metrics().peer(peer).unwrap().clone()
    };
    let sender = count(&world, 0);
    assert_eq!((sender.sent.facts, sender.kept_back), (5, 15));
    assert_eq!(count(&world, 1).not_taken, 0);
    rules(&mut world, 0, 1, "number >= 12", ALL);
    rules(&mut world, 1, 0, ALL, "number != 13");
    world.sync(1, 0);
    let (sender, receiver) = (count(&world, 0), count(&world, 1));
    assert_eq!((sender.sent.facts, sender.sent.revealed), (8, 3));
    assert_eq!(
        (receiver.received.facts, receiver.received.revealed),
        (7, 2)
    );
    assert_eq!(receiver.not_taken, 1);
    assert!(sender.sets_asked >= 1);
    assert_eq!(sender.sets_asked, receiver.sets_told);
}
