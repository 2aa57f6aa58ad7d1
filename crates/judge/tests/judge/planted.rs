//! Honest histories pass; each planted violation is seen by its rule, and by no rule that it does not concern.

use causality_judge::history::{Completeness, Event, Mode, Place, Scope};
use causality_judge::{Bytes, CompartmentId, DomainId, FactId, Stored, TreeHash};

use crate::world::{Held, PUBLIC, Policy, World, clean, row, set_back};

/// Three domains; `a` has written 4 facts and `b` 2, all of them everywhere.
fn settled(mode: Mode) -> World {
    let mut world = World::new(mode, &["a", "b", "c"]);
    for _ in 0..2 {
        world.append("a");
        world.append("a");
        world.append("b");
        world.sync("a", "b");
        world.sync("b", "c");
        world.sync("c", "a");
    }
    world
}

#[test]
fn an_honest_history_passes() {
    for mode in [Mode::Liveness, Mode::Safety] {
        let mut world = settled(mode);
        world.read("c");
        world.crash("c");
        world.dump("c", false);
        world.append("c");
        world.sync("c", "a");
        world.sync("a", "b");
        assert_eq!(world.broken(), clean());
    }
}

#[test]
fn two_nodes_of_one_domain_write_two_lanes() {
    let mut world = World::new(Mode::Liveness, &["a", "b"]);
    world.start("c", 0);
    world.append("a");
    world.append("c");
    world.sync("a", "b");
    world.sync("c", "b");
    // The nodes of a domain share in another way than this world does.
    for (from, to) in [("a", "c"), ("c", "a")] {
        let lane = world.lane(from);
        let held = world.held(from, from).clone();
        world.store(to).insert(lane, held);
    }
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_world_at_fault_need_not_have_agreed() {
    let mut world = World::new(Mode::Safety, &["a", "b"]);
    world.append("a");
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_node_that_left_is_asked_for_nothing() {
    let mut world = settled(Mode::Liveness);
    world.append("c");
    world.leave("c");
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_lost_acknowledged_fact_is_found() {
    let mut world = World::new(Mode::Safety, &["a", "b"]);
    world.append("a");
    let id = world.append("a");
    world.crash("a");
    let lane = world.lane("a");
    let held = world.held("a", "a");
    held.rows.pop();
    held.sign(&lane, held.checkpoint.time - 1, 0);
    world.end();
    assert_eq!(world.rules(), ["acknowledged_is_held", "received_is_kept"]);
    let verdict = world.verdict();
    let mut lost = verdict.violations.iter();
    let lost = lost.find(|violation| violation.rule == "acknowledged_is_held");
    let told = lost.unwrap().to_string();
    let acknowledged = format!("a acknowledged fact {id} at position 1 of ");
    assert!(told.contains(&acknowledged), "{told}");
    assert!(told.contains("a: acknowledges request 2"), "{told}");
    assert!(told.contains("a: crashed"), "{told}");
}

#[test]
fn a_lost_fact_of_unknown_place_is_found() {
    let mut world = World::new(Mode::Safety, &["a"]);
    world.append("a");
    world.tamper(|_, event| match event {
        Event::Acknowledged { facts, .. } => {
            facts[0].place = None;
            true
        }
        _ => false,
    });
    world.end();
    assert_eq!(world.rules(), clean());
    world.tamper(|_, event| match event {
        Event::Acknowledged { facts, .. } => {
            facts[0].id = FactId([1; 32]);
            true
        }
        _ => false,
    });
    assert_eq!(world.rules(), ["acknowledged_is_held"]);
}

#[test]
fn a_fact_that_is_gone_for_a_while_is_found() {
    let mut world = World::new(Mode::Safety, &["a"]);
    world.append("a");
    let store = world.store("a").clone();
    world.store("a").clear();
    world.dump("a", false);
    *world.store("a") = store;
    assert_eq!(world.broken(), ["acknowledged_is_held", "received_is_kept"]);
}

#[test]
fn a_restore_withdraws_what_came_after_the_backup() {
    // With a mark, the node opens a new lane and takes nothing back.
    let mut world = World::new(Mode::Safety, &["a"]);
    world.append("a");
    let backup = world.backup("a");
    world.append("a");
    world.read("a");
    world.restore("a", &backup, true);
    world.append("a");
    world.dump("a", false);
    assert_eq!(world.broken(), clean());
}

#[test]
fn a_restore_withdraws_what_was_a_hole_in_the_backup() {
    for is_hole in [true, false] {
        let mut world = settled(Mode::Safety);
        let lane = world.lane("a");
        let mut one = world.held("b", "a").clone();
        one.rows.truncate(1);
        let hash = one.root(&lane);
        let (row, hidden) = (one.rows.remove(0), Stored::Withheld { level: 0, hash });
        let hide = |world: &mut World| {
            world.store("b").get_mut(&lane).unwrap().rows[0] = hidden.clone();
        };
        if is_hole {
            hide(&mut world);
        }
        let backup = world.backup("b");
        world.store("b").get_mut(&lane).unwrap().rows[0] = row;
        world.read("b");
        world.restore("b", &backup, true);
        hide(&mut world);
        assert_eq!(world.broken().contains(&"seen_is_held"), !is_hole);
    }
}

#[test]
fn a_backup_that_lacks_what_was_acknowledged_before_it_is_found() {
    let mut world = World::new(Mode::Safety, &["a"]);
    let backup = world.backup("a");
    world.append("a");
    world.read("a");
    let late = crate::world::Backup {
        taken_at: world.now() + 1,
        ..backup
    };
    world.restore("a", &late, true);
    assert_eq!(
        world.broken(),
        ["acknowledged_is_held", "received_is_kept", "seen_is_held"]
    );
}

#[test]
fn a_restore_of_one_node_withdraws_nothing_of_another() {
    let mut world = set_back(Mode::Safety);
    let lane = world.lane("a");
    world.store("b").remove(&lane);
    assert_eq!(world.broken(), ["received_is_kept"]);
}

#[test]
fn received_facts_that_disappear_are_found() {
    let mut world = settled(Mode::Safety);
    let lane = world.lane("a");
    let held = world.held("c", "a");
    held.rows.truncate(3);
    held.sign(&lane, held.checkpoint.time - 1, 0);
    assert_eq!(world.broken(), ["received_is_kept"]);
}

#[test]
fn a_log_that_shrinks_from_dump_to_dump_is_found() {
    let mut world = settled(Mode::Safety);
    world.tamper(|node, event| {
        let found = node == "c" && matches!(event, Event::Durable { .. });
        if found {
            *event = Event::Note {
                text: "silent".to_owned(),
            };
        }
        found
    });
    world.dump("c", false);
    let lane = world.lane("a");
    let held = world.held("c", "a");
    held.rows.truncate(3);
    held.sign(&lane, held.checkpoint.time - 1, 0);
    assert_eq!(world.broken(), ["received_is_kept"]);
}

#[test]
fn a_root_that_changes_is_found() {
    let mut world = settled(Mode::Safety);
    let lane = world.lane("a");
    world.tamper(|node, event| match event {
        Event::Durable { log, root, .. } if node == "c" && *log == lane => {
            *root = Some(TreeHash([3; 32]));
            true
        }
        _ => false,
    });
    // It is also another history than that of everybody whom c has met.
    assert_eq!(
        world.broken(),
        [
            "fork_is_noticed",
            "forks_follow_restores",
            "received_is_kept"
        ]
    );
}

#[test]
fn what_a_reader_saw_and_is_gone_is_found() {
    let mut world = World::new(Mode::Safety, &["a", "b"]);
    world.append("a");
    let backup = world.backup("a");
    world.copy("a", "b");
    world.read("b");
    world.tamper(|node, event| {
        let found = node == "b" && matches!(event, Event::Durable { .. });
        if found {
            *event = Event::Note {
                text: "silent".to_owned(),
            };
        }
        found
    });
    assert_eq!(backup.store.len(), 1);
    world.store("b").clear();
    assert_eq!(world.broken(), ["seen_is_held"]);
}

/// Tampers with each `holds` of `c`, or with the rows, and expects the rules.
fn with_flaw(change: impl Fn(&mut Held), expected: &[&str]) {
    let mut world = settled(Mode::Safety);
    change(world.held("c", "a"));
    assert_eq!(world.broken(), expected);
}

fn with_event(change: impl Fn(&mut Event) -> bool, expected: &[&str]) {
    let mut world = settled(Mode::Safety);
    world.end();
    world.tamper(|node, event| node == "c" && change(event));
    assert_eq!(world.rules(), expected);
}

#[test]
fn a_flipped_bit_of_a_row_is_found() {
    // The row has another id: another history, under a root that nobody signed.
    with_event(
        |event| match event {
            Event::Rows { rows, .. } => {
                let Stored::Row(row) = &mut rows[0] else {
                    return false;
                };
                *row.0.last_mut().unwrap() ^= 2;
                true
            }
            _ => false,
        },
        &[
            "forks_follow_restores",
            "received_is_kept",
            "stored_verifies",
        ],
    );
}

#[test]
fn bytes_that_are_no_row_are_found() {
    with_event(
        |event| match event {
            Event::Rows { rows, .. } => {
                rows[0] = Stored::Row(Bytes(vec![9]));
                true
            }
            _ => false,
        },
        &["completeness_is_backed", "stored_verifies"],
    );
}

#[test]
fn a_checkpoint_that_was_not_signed_is_found() {
    with_event(
        |event| match event {
            Event::Holds { checkpoint, .. } => {
                let bytes = &mut checkpoint.as_mut().unwrap().0;
                *bytes.last_mut().unwrap() ^= 1;
                true
            }
            _ => false,
        },
        &["stored_verifies"],
    );
}

#[test]
fn a_log_without_checkpoint_is_found() {
    with_event(
        |event| match event {
            Event::Holds { checkpoint, .. } => checkpoint.take().is_some(),
            _ => false,
        },
        &["stored_verifies"],
    );
}

#[test]
fn a_checkpoint_of_another_log_is_found() {
    let mut world = settled(Mode::Safety);
    let (a, b) = (world.lane("a"), world.lane("b"));
    world.end();
    let mut others = None;
    world.tamper(|node, event| match event {
        Event::Holds {
            log, checkpoint, ..
        } if node == "c" && *log == a.min(b) => {
            others = checkpoint.clone();
            true
        }
        _ => false,
    });
    world.tamper(|node, event| match event {
        Event::Holds {
            log, checkpoint, ..
        } if node == "c" && *log == a.max(b) => {
            checkpoint.clone_from(&others);
            true
        }
        _ => false,
    });
    assert_eq!(world.rules(), ["stored_verifies"]);
}

#[test]
fn keys_of_another_domain_are_found() {
    with_event(
        |event| match event {
            Event::Holds { log, .. } => {
                log.origin = DomainId([5; 32]);
                true
            }
            _ => false,
        },
        &["held_is_permitted", "received_is_kept", "stored_verifies"],
    );
}

#[test]
fn no_key_records_are_found() {
    with_event(
        |event| match event {
            Event::Holds { records, .. } => {
                records.clear();
                true
            }
            _ => false,
        },
        &["stored_verifies"],
    );
}

#[test]
fn a_root_that_was_not_signed_is_found() {
    with_flaw(
        |held| held.checkpoint.root = TreeHash([1; 32]),
        &["stored_verifies"],
    );
}

#[test]
fn more_than_was_signed_is_found() {
    with_flaw(|held| held.checkpoint.size = 3, &["stored_verifies"]);
}

#[test]
fn a_size_that_is_not_shown_is_found() {
    with_event(
        |event| match event {
            Event::Holds { size, .. } => {
                *size += 1;
                true
            }
            _ => false,
        },
        &["stored_verifies"],
    );
}

#[test]
fn an_interrupted_transfer_is_a_shorter_log_that_is_not_proven() {
    let shorter = |completeness| {
        let mut world = World::new(Mode::Safety, &["a", "b"]);
        for _ in 0..3 {
            world.append("a");
        }
        let mut held = world.held("a", "a").clone();
        held.rows.truncate(2);
        held.completeness = completeness;
        let lane = world.lane("a");
        world.store("b").insert(lane, held);
        world.broken()
    };
    assert_eq!(shorter(Completeness::Incomplete), clean());
    for said in [Completeness::Proven, Completeness::Attested] {
        assert_eq!(shorter(said), ["completeness_is_backed"]);
    }
}

#[test]
fn withheld_positions_are_held_by_their_hash_and_not_proven() {
    let withheld = |completeness, level: u8| {
        let mut world = World::new(Mode::Safety, &["a", "b"]);
        for _ in 0..3 {
            world.append("a");
        }
        let lane = world.lane("a");
        let mut held = world.held("a", "a").clone();
        let last = held.rows.pop().unwrap();
        let hash = held.root(&lane);
        held.rows = vec![Stored::Withheld { level, hash }, last];
        held.completeness = completeness;
        world.store("b").insert(lane, held);
        world.broken()
    };
    assert_eq!(withheld(Completeness::Incomplete, 1), clean());
    let proven = withheld(Completeness::Proven, 1);
    assert_eq!(proven, ["completeness_is_backed"]);
    // As if the two were one: another root than that of everybody.
    let forked = withheld(Completeness::Incomplete, 0);
    assert_eq!(forked, ["forks_follow_restores"]);
}

#[test]
fn a_withheld_subtree_in_a_wrong_place_is_found() {
    let mut world = settled(Mode::Safety);
    let hash = TreeHash([0; 32]);
    let held = world.held("c", "a");
    held.rows[1] = Stored::Withheld { level: 1, hash };
    held.rows.pop();
    held.completeness = Completeness::Incomplete;
    assert_eq!(world.broken(), ["forks_follow_restores", "stored_verifies"]);
}

#[test]
fn a_row_that_is_not_what_the_reader_was_told_is_found() {
    let planted = |change: fn(&mut causality_judge::history::Seen)| {
        let mut world = settled(Mode::Safety);
        world.read("c");
        world.tamper(|_, event| match event {
            Event::Seen { facts } => {
                change(&mut facts[0]);
                true
            }
            _ => false,
        });
        world.broken()
    };
    assert_eq!(
        planted(|seen| seen.id = FactId([8; 32])),
        ["seen_is_held", "stored_verifies"]
    );
    assert_eq!(
        planted(|seen| seen.row = Bytes(vec![2])),
        ["stored_verifies"]
    );
}

#[test]
fn positions_left_out_are_found() {
    with_event(
        |event| match event {
            Event::Rows { from, rows } => {
                *from = 1;
                rows.remove(0);
                true
            }
            _ => false,
        },
        &["completeness_is_backed", "lane_in_order"],
    );
}

#[test]
fn times_that_do_not_increase_are_found() {
    let two = |times: [u64; 2], signed: u64| {
        let mut world = World::new(Mode::Safety, &["a"]);
        let lane = world.lane("a");
        world.append("a");
        let held = world.held("a", "a");
        held.rows.clear();
        for (number, time) in (1..).zip(times) {
            held.rows.push(Stored::Row(Bytes(row(time, number))));
        }
        held.sign(&lane, signed, 0);
        world.tamper(|_, event| {
            let is_said = matches!(event, Event::Acknowledged { .. } | Event::Durable { .. });
            if is_said {
                *event = Event::Note {
                    text: "silent".to_owned(),
                };
            }
            is_said
        });
        world.broken()
    };
    assert_eq!(two([1, 2], 2), clean());
    assert_eq!(two([0, 2], 2), ["lane_in_order"]);
    assert_eq!(two([2, 2], 2), ["lane_in_order"]);
    assert_eq!(two([2, 1], 2), ["lane_in_order"]);
    assert_eq!(two([1, 3], 2), ["lane_in_order"]);
}

#[test]
fn epochs_and_times_of_checkpoints_that_decrease_are_found() {
    // An epoch and a time for the checkpoint of size 1, and for that of size 2.
    let signed = |first: (u8, u64), second: (u8, u64)| {
        let mut world = World::new(Mode::Safety, &["a"]);
        let lane = world.lane("a");
        for (epoch, time) in [first, second] {
            world.append("a");
            world.held("a", "a").sign(&lane, time, epoch);
            world.dump("a", false);
        }
        world.broken()
    };
    let (early, late) = (1 << 40, 1 << 41);
    assert_eq!(signed((0, early), (0, late)), clean());
    assert_eq!(signed((0, early), (1, early)), clean());
    assert_eq!(signed((1, early), (0, late)), ["lane_in_order"]);
    assert_eq!(signed((0, late), (0, early)), ["lane_in_order"]);
}

#[test]
fn a_rotation_signs_the_same_size_again() {
    let mut world = World::new(Mode::Safety, &["a"]);
    let lane = world.lane("a");
    world.append("a");
    world.dump("a", false);
    world.held("a", "a").sign(&lane, 1 << 40, 1);
    assert_eq!(world.broken(), clean());
}

#[test]
fn unequal_logs_after_the_healing_are_found() {
    let mut world = settled(Mode::Liveness);
    world.append("a");
    world.sync("a", "b");
    world.end();
    assert_eq!(world.rules(), ["entitled_is_held", "equal_after_heal"]);
    let verdict = world.verdict();
    let mut unequal = verdict.violations.iter();
    let unequal = unequal.find(|violation| violation.rule == "equal_after_heal");
    let told = &unequal.unwrap().sentence;
    assert!(told.contains("holds 5 positions"), "{told}");
    assert!(told.contains("c holds 4 positions"), "{told}");
}

#[test]
fn a_log_that_did_not_arrive_is_found() {
    let mut world = settled(Mode::Liveness);
    let lane = world.lane("c");
    world.append("c");
    assert!(!world.store("a").contains_key(&lane));
    assert_eq!(world.broken(), ["entitled_is_held", "equal_after_heal"]);
}

#[test]
fn withheld_facts_among_equals_are_found() {
    let mut world = settled(Mode::Liveness);
    let lane = world.lane("a");
    let held = world.held("c", "a");
    let mut one = held.clone();
    one.rows.truncate(1);
    held.rows[0] = Stored::Withheld {
        level: 0,
        hash: one.root(&lane),
    };
    held.completeness = Completeness::Incomplete;
    assert_eq!(world.broken(), ["entitled_is_held", "equal_after_heal"]);
}

#[test]
fn only_who_is_entitled_has_to_have_a_log() {
    let entitled = |scopes: Vec<Scope>| {
        let mut world = settled(Mode::Liveness);
        world.append("a");
        world.sync("a", "b");
        world.push("c", Event::Entitled { to: scopes });
        // What its peers may show it is for another rule.
        let c = world.domain("c");
        world.tell("a", c, Policy::nothing());
        world.tell("b", c, Policy::nothing());
        world.broken()
    };
    let of = |compartment| Scope {
        origin: None,
        compartment,
    };
    assert_eq!(entitled(vec![]), clean());
    assert_eq!(entitled(vec![of(CompartmentId([1; 16]))]), clean());
    assert_eq!(entitled(vec![of(PUBLIC)]), ["equal_after_heal"]);
    let of_others = Scope {
        origin: Some(DomainId([1; 32])),
        compartment: PUBLIC,
    };
    assert_eq!(entitled(vec![of_others]), clean());
}

#[test]
fn a_rule_tells_so_many_violations_and_counts_the_others() {
    let mut world = World::new(Mode::Safety, &["a"]);
    for _ in 0..20 {
        world.append("a");
    }
    world.end();
    world.tamper(|_, event| match event {
        Event::Rows { rows, .. } => {
            rows.fill(Stored::Row(Bytes(Vec::new())));
            true
        }
        _ => false,
    });
    let verdict = world.verdict();
    let of_rows = verdict
        .violations
        .iter()
        .filter(|of| of.rule == "stored_verifies");
    assert_eq!(of_rows.count(), causality_judge::VIOLATIONS_MAX);
    assert_eq!(verdict.omitted, 4);
    let place = Place {
        log: world.lane("a"),
        position: 0,
    };
    assert!(verdict.violations[0].sentence.contains(&place.to_string()));
}
