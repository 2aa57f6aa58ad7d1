//! Convergence receipts: when they are given, what they say, and what happens to wrong ones.

use causality_fact::ConvergenceReceipt;
use causality_sync::{Direction, Event, StreamNumber, SyncError};
use causality_wire::{BoundedBytes, Convergence, GoodbyeReason, SyncMessage};

use crate::world::{World, draft};

/// What a domain and a peer gave each other, seen from the domain.
fn receipts(world: &World, domain: usize, peer: usize) -> Vec<ConvergenceReceipt> {
    let receipts = world.engine(domain).receipts(world.id(peer));
    receipts.cloned().collect()
}

/// The last ones of a domain and its peer.
fn last(world: &World, domain: usize, peer: usize) -> [ConvergenceReceipt; 2] {
    let all = receipts(world, domain, peer);
    [domain, peer].map(|signer| {
        let signer = world.id(signer);
        let found = all.iter().rfind(|receipt| receipt.signer == signer);
        found.expect("it was given").clone()
    })
}

fn is_violation(error: Option<&SyncError>, what: &str) -> bool {
    matches!(error, Some(SyncError::Violation(said)) if said.contains(what))
}

#[test]
fn two_domains_that_have_converged_say_so_once_until_something_changes() {
    let mut world = World::new(2, 1);
    world.append_many(0, 10);
    world.append(1, vec![draft(1)]);
    world.sync(1, 0);
    let [own, theirs] = last(&world, 0, 1);
    assert!(own.agrees_with(&theirs));
    assert_eq!(own.frontiers.signer, own.frontiers.peer);
    let both = |world: &World| [receipts(world, 0, 1), receipts(world, 1, 0)];
    let sorted = |world: &World| {
        both(world).map(|mut all| {
            all.sort_by_key(ConvergenceReceipt::hash);
            all
        })
    };
    let [at_0, at_1] = sorted(&world);
    assert_eq!((at_0.len(), &at_0), (2, &at_1), "both hold the same two");
    let before = both(&world);
    for (dialer, acceptor) in [(0, 1), (1, 0), (0, 1)] {
        world.sync(dialer, acceptor);
        assert_eq!(both(&world), before, "nothing is new");
    }
    world.restart(0);
    world.restart(1);
    assert_eq!(both(&world), before);
    world.sync(0, 1);
    assert_eq!(both(&world), before, "nothing is new after a restart");
    world.append(1, vec![draft(2)]);
    world.sync(0, 1);
    let [next, answer] = last(&world, 0, 1);
    assert!(next.follows(Some(&own)) && answer.follows(Some(&theirs)));
    assert!(next.agrees_with(&answer));
    assert_ne!(next.frontiers, own.frontiers);
    assert_eq!(receipts(&world, 1, 0).len(), 4);
}

#[test]
fn a_round_with_nothing_new_carries_no_receipt_and_one_with_nothing_in_common_neither() {
    let mut world = World::new(2, 2);
    world.sync(0, 1);
    assert_eq!(receipts(&world, 0, 1), []);
    world.grant(0, 1, &[], &[]);
    world.append_many(0, 3);
    world.sync(0, 1);
    assert_eq!(receipts(&world, 0, 1), []);
    world.grant(0, 1, &["public"], &[]);
    world.sync(1, 0);
    let watch = |message: &mut SyncMessage| {
        assert!(!matches!(message, SyncMessage::Convergence(_)));
    };
    for watched in [0, 1] {
        world.tamper = Some((watched, Box::new(watch)));
        world.sync(0, 1);
        world.sync(1, 0);
    }
}

#[test]
fn what_the_other_holds_is_said_as_far_as_it_is_known() {
    let mut world = World::new(3, 3);
    world.append_many(2, 3);
    world.sync(0, 2);
    world.append(2, vec![draft(8)]);
    world.sync(1, 2);
    // It takes from the first, but gives it nothing.
    world.grant(1, 0, &[], &["public"]);
    world.sync(1, 0);
    let [more, less] = last(&world, 1, 0);
    assert_eq!(more.scope, less.scope);
    assert!(!more.agrees_with(&less), "neither knows the other's root");
    assert_ne!(more.frontiers.signer, less.frontiers.signer);
    world.sync(0, 2);
    world.sync(1, 0);
    let [more, less] = last(&world, 1, 0);
    assert!(more.agrees_with(&less));
    assert_eq!(more.frontiers.signer, less.frontiers.signer);
}

#[test]
fn facts_that_go_one_way_are_stated_by_both() {
    for direction in [Direction::Pull, Direction::Push] {
        let mut world = World::new(2, 4);
        world.append_many(0, 3);
        world.append(1, vec![draft(7)]);
        world.sync_for(1, 0, direction);
        let [own, theirs] = last(&world, 1, 0);
        assert!(own.agrees_with(&theirs));
    }
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let mut world = World::new(2, 5);
    world.append_many(0, 3);
    let session = world.connect(1, 0);
    world.start_round(1, session);
    while receipts(&world, 0, 1).len() < 2 {
        assert!(world.step());
    }
    world.hang_up(session);
    world.run();
    assert_eq!(receipts(&world, 1, 0).len(), 1, "it has its own alone");
    world.restart(1);
    world.sync(1, 0);
    assert_eq!(receipts(&world, 1, 0).len(), 2);
    let [own, theirs] = last(&world, 1, 0);
    assert!(own.agrees_with(&theirs));
    assert_eq!(receipts(&world, 0, 1).len(), 2, "the same ones");
}

#[test]
fn a_receipt_leaves_only_when_it_is_durable() {
    let mut world = World::new(2, 6);
    world.append_many(0, 3);
    world.sync(1, 0);
    let [before, _] = last(&world, 0, 1);
    world.append(0, vec![draft(9)]);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    while last(&world, 0, 1)[0] == before {
        assert!(world.step());
    }
    // It is signed, but the crash comes before the disk has it.
    world.restart(0);
    world.run();
    assert_eq!(last(&world, 1, 0)[1], before);
    world.sync(0, 1);
    assert!(last(&world, 1, 0)[1].follows(Some(&before)));
    assert!(!world.has_event(1, |e| matches!(e, Event::ReceiptsForked { .. })));
}

#[test]
fn wrong_receipts_end_the_session() {
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [(&str, Spoil); 3] = [
        ("not canonical", |bytes| bytes.truncate(20)),
        ("somebody else", |bytes| bytes[40] ^= 1),
        ("does not verify", |bytes| bytes[100] ^= 1),
    ];
    for (what, spoil) in spoils {
        for liar in [0, 1] {
            let mut world = World::new(2, 7);
            world.append_many(0, 3);
            let tamper = move |message: &mut SyncMessage| {
                if let SyncMessage::Convergence(convergence) = message {
                    let mut bytes = convergence.receipt.to_vec();
                    spoil(&mut bytes);
                    convergence.receipt = BoundedBytes::new(bytes).unwrap();
                }
            };
            world.tamper = Some((liar, Box::new(tamper)));
            let session = world.connect(0, 1);
            world.start_round(0, session);
            world.run();
            let honest = 1 - liar;
            assert!(is_violation(world.end_of(honest, session), what), "{what}");
            let error = Some(&SyncError::Goodbye(GoodbyeReason::Violation));
            assert_eq!(world.end_of(liar, session), error);
            assert_eq!(world.rows(0, 1), 3, "what came before stays");
            let signer = world.id(liar);
            let held = receipts(&world, honest, liar);
            assert!(held.iter().all(|receipt| receipt.signer != signer));
        }
    }
}

#[test]
fn a_receipt_outside_of_the_end_of_a_round_ends_the_session() {
    for (round, is_after_sync) in [(0, false), (1, false), (0, true), (7, true)] {
        let mut world = World::new(2, 8);
        world.append_many(0, 3);
        let session = world.connect(0, 1);
        if is_after_sync {
            world.round(0, session);
        }
        let receipt = BoundedBytes::new(Vec::new()).unwrap();
        let message = SyncMessage::Convergence(Convergence { round, receipt });
        world.inject(session, 1, StreamNumber::CONTROL, message);
        world.run();
        let what = "in no round that is over";
        assert!(is_violation(world.end_of(1, session), what));
    }
}

#[test]
fn a_domain_that_was_set_back_forks_its_receipts_and_that_is_told() {
    let mut world = World::new(2, 9);
    world.append_many(0, 3);
    world.sync(1, 0);
    let backup = world.domains[0].backup();
    world.append(0, vec![draft(9)]);
    world.sync(1, 0);
    world.domains[0].store = backup;
    world.domains[0].mark_restored();
    world.restart(0);
    world.append(1, vec![draft(5)]);
    world.sync(1, 0);
    let is_told = |e: &Event| matches!(e, Event::ReceiptsForked { .. });
    assert!(world.has_event(1, is_told));
    let counted = world.engine(1).metrics().peer(world.id(0)).unwrap();
    assert_eq!(counted.alarms.of("receipts_forked"), 1);
    // Both are kept, and the chain goes on behind the later one.
    let signer = world.id(0);
    let held = receipts(&world, 1, 0);
    let theirs: Vec<_> = held.iter().filter(|r| r.signer == signer).collect();
    assert_eq!(theirs.len(), 3);
    assert_eq!(theirs[1].previous, theirs[2].previous);
    world.append(1, vec![draft(6)]);
    world.sync(1, 0);
    let [own, next] = last(&world, 1, 0);
    assert!(own.agrees_with(&next));
    let told = world.domains[1].events.iter().filter(|e| is_told(e));
    assert_eq!(told.count(), 1);
}
