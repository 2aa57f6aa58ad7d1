//! Stores that were set back, the forks and stopped lanes that follow, and what of it is a violation.

use causality_judge::CompartmentId;
use causality_judge::history::{Event, Mode};

use crate::world::{World, clean, set_back};

#[test]
fn a_fork_that_honest_nodes_notice_passes() {
    for mode in [Mode::Liveness, Mode::Safety] {
        // a writes to its rolled back lane before it meets b, which has more of it.
        let mut world = set_back(mode);
        world.append("a");
        world.sync("a", "c");
        world.sync("a", "b");
        world.sync("b", "c");
        world.append("a");
        world.sync("a", "b");
        world.sync("a", "c");
        assert_eq!(world.broken(), clean());
    }
}

#[test]
fn a_fork_that_nobody_notices_is_found_when_its_holders_have_met() {
    let mut world = set_back(Mode::Safety);
    world.append("a");
    world.sync("a", "c");
    world.leave("a");
    world.meets("b", "c");
    world.end();
    assert_eq!(world.rules(), clean(), "nobody has met");

    let mut world = set_back(Mode::Safety);
    world.append("a");
    world.sync("a", "c");
    world.leave("a");
    world.meets("b", "c");
    world.met("b", "c");
    assert_eq!(world.broken(), ["fork_is_noticed"]);
}

#[test]
fn a_fork_that_ends_unnoticed_after_the_healing_is_found() {
    let mut world = set_back(Mode::Liveness);
    world.append("a");
    world.sync("a", "c");
    world.leave("a");
    assert_eq!(
        world.broken(),
        ["entitled_is_held", "equal_after_heal", "fork_is_noticed"]
    );
}

#[test]
fn half_of_a_fork_that_nobody_has_any_more_needs_no_notice() {
    // a alone had what came after the backup.
    let mut world = World::new(Mode::Liveness, &["a", "b"]);
    world.append("a");
    let backup = world.backup("a");
    world.append("a");
    world.restore("a", &backup, false);
    world.append("a");
    world.sync("a", "b");
    assert_eq!(world.broken(), clean());
}

#[test]
fn whoever_shows_only_what_follows_on_half_of_a_fork_stands_on_that() {
    // a alone had what came after the backup; the readers of b do not see what took its place, but what came then.
    let mut world = World::new(Mode::Safety, &["a", "b"]);
    world.append("a");
    let backup = world.backup("a");
    world.append("a");
    world.restore("a", &backup, false);
    world.append("a");
    world.append("a");
    world.sync("a", "b");
    world.read("b");
    let Some(Event::Seen { facts }) = world.entries.last_mut().map(|entry| &mut entry.event) else {
        panic!("b has read");
    };
    facts.retain(|fact| fact.place.position == 2);
    world.meets("a", "b");
    world.met("a", "b");
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_fork_without_a_restore_is_found_though_it_was_noticed() {
    let mut world = World::new(Mode::Liveness, &["a", "b"]);
    world.append("a");
    let before = world.store("a").clone();
    world.append("a");
    world.copy("a", "b");
    // The power went, the disk had lied, and the node writes the position again.
    world.crash("a");
    *world.store("a") = before;
    world.append("a");
    world.sync("a", "b");
    assert_eq!(
        world.broken(),
        [
            "acknowledged_is_held",
            "forks_follow_restores",
            "received_is_kept"
        ]
    );
}

#[test]
fn a_rolled_back_lane_that_is_given_up_passes() {
    for mode in [Mode::Liveness, Mode::Safety] {
        let mut world = set_back(mode);
        world.sync("a", "b");
        world.append("a");
        world.sync("a", "b");
        world.sync("b", "c");
        assert_eq!(world.broken(), clean());
    }
}

#[test]
fn a_rolled_back_lane_that_nobody_has_more_of_goes_on() {
    let mut world = set_back(Mode::Safety);
    world.sync("a", "c");
    world.append("a");
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_rolled_back_lane_that_is_not_given_up_at_first_contact_is_found() {
    let mut world = set_back(Mode::Safety);
    world.meets("a", "b");
    world.met("a", "b");
    assert_eq!(world.broken(), ["stopped_lane_stays"]);
}

#[test]
fn contact_in_another_compartment_shows_nothing() {
    let mut world = set_back(Mode::Safety);
    world.meets("a", "b");
    world.met("a", "b");
    world.tamper(|_, event| match event {
        Event::Meets { compartments, .. } => {
            *compartments = vec![CompartmentId([1; 16])];
            true
        }
        _ => false,
    });
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_rolled_back_lane_that_is_not_given_up_in_the_end_is_found() {
    let world = set_back(Mode::Liveness);
    assert_eq!(
        world.broken(),
        ["entitled_is_held", "equal_after_heal", "stopped_lane_stays"]
    );
}

#[test]
fn writing_to_a_stopped_lane_is_found() {
    let written = |is_told: bool| {
        let mut world = set_back(Mode::Safety);
        let lane = world.lane("a");
        world.push(
            "a",
            Event::LaneStopped {
                log: lane,
                peer: None,
            },
        );
        world.append("a");
        if !is_told {
            world.tamper(|_, event| match event {
                Event::Acknowledged { facts, .. } => facts[0].place.take().is_some(),
                _ => false,
            });
        }
        world.broken()
    };
    assert_eq!(written(true), ["stopped_lane_stays"]);
    assert_eq!(written(false), ["stopped_lane_stays"]);
}

#[test]
fn what_was_asked_for_before_a_lane_stopped_may_still_be_acknowledged() {
    let mut world = set_back(Mode::Safety);
    let lane = world.lane("a");
    let request = world.ask("a");
    world.push(
        "a",
        Event::LaneStopped {
            log: lane,
            peer: None,
        },
    );
    world.write("a", request);
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_marked_restore_that_writes_to_its_old_lane_is_found() {
    let mut world = set_back(Mode::Safety);
    world.tamper(|_, event| match event {
        Event::Restored { marked, .. } => {
            *marked = true;
            true
        }
        _ => false,
    });
    world.append("a");
    assert_eq!(world.broken(), ["stopped_lane_stays"]);
}

#[test]
fn a_second_restore_forgets_that_the_lane_was_stopped() {
    let mut world = World::new(Mode::Safety, &["a", "b"]);
    world.append("a");
    let backup = world.backup("a");
    world.append("a");
    world.sync("a", "b");
    let lane = world.lane("a");
    for _ in 0..2 {
        world.restore("a", &backup, false);
        world.push(
            "a",
            Event::LaneStopped {
                log: lane,
                peer: None,
            },
        );
    }
    world.restore("a", &backup, false);
    world.append("a");
    assert_eq!(world.broken(), clean());
}
