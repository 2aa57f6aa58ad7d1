//! What a domain knows of how far its peers are: while a session lasts, after it, and after a restart.

use causality_strategy::SyncPolicies;
use causality_sync::SyncStatus;

use crate::world::World;

const FIVE: &str = "where = 'number >= 5'\n";

/// Domain 0 gives the other what meets a condition, and that one takes what meets another; ten facts are there.
fn world(gives: &str, takes: &str) -> World {
    let mut world = World::new(2, 1);
    for (domain, section, condition) in [(0, "out", gives), (1, "in", takes)] {
        let peer = world.id(1 - domain);
        let text = format!(
            "[[{section}]]\nname = \"some\"\npeers = [\"{peer}\"]\ncompartments = [\"public\"]\n{condition}"
        );
        world.set_policies(domain, 1 - domain, &SyncPolicies::parse(&text).unwrap());
    }
    world.append_many(0, 10);
    world
}

/// What domain 0 knows of the first positions of its log at the other one; nothing if it knows nothing.
fn statuses(world: &World, count: u64) -> Vec<SyncStatus> {
    let (log, peer) = (world.own_log(0), world.id(1));
    let progress = world.engine(0).progress(peer, &log);
    let statuses = progress
        .iter()
        .flat_map(|progress| (0..count).map(|position| progress.status(position)));
    statuses.collect()
}

/// The positions of which the peer may lack something.
fn unconfirmed(world: &World) -> Vec<u64> {
    let (log, peer) = (world.own_log(0), world.id(1));
    let progress = world.engine(0).progress(peer, &log).unwrap();
    let positions = world.engine(0).unconfirmed(&log, &progress);
    positions.runs().flatten().collect()
}

#[test]
fn what_was_shown_has_arrived_and_the_rest_was_withheld() {
    let mut world = world(FIVE, "");
    assert_eq!(statuses(&world, 10), []);
    world.sync(1, 0);
    let expected = [[SyncStatus::Withheld; 5], [SyncStatus::Received; 5]].concat();
    assert_eq!(statuses(&world, 10), expected);
    assert!(unconfirmed(&world).is_empty());

    // The session is over: what comes now waits for the next one.
    world.append_many(0, 2);
    assert_eq!(statuses(&world, 11)[10], SyncStatus::Queued);
    assert_eq!(unconfirmed(&world), [10, 11]);

    // What was settled is known after a restart too.
    world.restart(0);
    assert_eq!(statuses(&world, 10), expected);
    assert_eq!(unconfirmed(&world), [10, 11]);
}

#[test]
fn what_the_peer_did_not_take_was_refused() {
    let mut world = world("", FIVE);
    world.sync(1, 0);
    let expected = [[SyncStatus::Refused; 5], [SyncStatus::Received; 5]].concat();
    assert_eq!(statuses(&world, 10), expected);
    assert!(unconfirmed(&world).is_empty());
    // That stays known in later sessions, in which nobody says it again, and after a restart.
    world.sync(1, 0);
    assert_eq!(statuses(&world, 10), expected);
    world.restart(0);
    assert_eq!(statuses(&world, 10), expected);
    world.sync(1, 0);
    assert_eq!(statuses(&world, 10), expected);
    let peer = world.id(0);
    let all =
        format!("[[in]]\nname = \"all\"\npeers = [\"{peer}\"]\ncompartments = [\"public\"]\n");
    world.set_policies(1, 0, &SyncPolicies::parse(&all).unwrap());
    world.run();
    world.sync(1, 0);
    assert_eq!(statuses(&world, 10), [SyncStatus::Received; 10]);
}

#[test]
fn what_is_under_way_was_sent_and_what_nobody_wants_is_skipped() {
    let mut world = world("", "");
    let session = world.connect(1, 0);
    world.start_round(1, session);
    world.run_without_commits(1);
    assert_eq!(statuses(&world, 10), [SyncStatus::Sent; 10]);
    assert_eq!(unconfirmed(&world), (0..10).collect::<Vec<_>>());
    world.run();
    assert_eq!(statuses(&world, 10), [SyncStatus::Received; 10]);
    // The other side knows how far this one is.
    let (log, peer) = (world.own_log(0), world.id(0));
    assert_eq!(world.engine(1).progress(peer, &log).unwrap().reach, 10);
    world.hang_up(session);

    // Of a log that was held whole nothing is kept beyond a restart.
    world.restart(0);
    assert_eq!(statuses(&world, 10), []);
    world.set_policies(1, 0, &SyncPolicies::default());
    world.append_many(0, 1);
    world.sync(1, 0);
    assert_eq!(statuses(&world, 11), [SyncStatus::Skipped; 11]);
}
