//! What an engine starts from: rows that are not what an engine wrote are found.

use causality_fact::{DecodeError, KeyError};
use causality_sync::{RestoreError, Restored, StoreState};

use crate::domain::read_state;
use crate::world::{PUBLIC, World, draft};

/// What a store has after some work: two blocks of an own log, facts of a peer, a compartment of its own.
fn state() -> StoreState {
    let mut world = World::new(2, 1);
    world.append_many(0, 4100);
    world.append_many(1, 3);
    world.append_to(0, "ops", vec![draft(1)]);
    world.sync(0, 1);
    read_state(&world.domains[0].store)
}

fn restore(change: impl Fn(&mut StoreState)) -> RestoreError {
    let mut state = state();
    change(&mut state);
    Restored::from_store(state).unwrap_err()
}

#[track_caller]
fn row_of(table: &str, error: &RestoreError) {
    assert!(
        matches!(error, RestoreError::Row { table: of, .. } if *of == table),
        "{error:?}"
    );
}

#[test]
fn what_was_written_is_read_again() {
    assert!(Restored::from_store(state()).is_ok());
    assert!(Restored::from_store(StoreState::default()).is_ok());
}

#[test]
fn malformed_rows_name_their_table() {
    row_of("log heads", &restore(|s| s.log_heads.0[0].0.truncate(63)));
    row_of("log heads", &restore(|s| s.log_heads.0[0].1.truncate(63)));
    row_of(
        "block roots",
        &restore(|s| s.block_roots.0[0].0.truncate(71)),
    );
    row_of(
        "block roots",
        &restore(|s| s.block_roots.0[0].1.truncate(31)),
    );
    row_of(
        "key records",
        &restore(|s| s.key_records.0[0].0.truncate(39)),
    );
    row_of(
        "compartments",
        &restore(|s| s.compartments.0[0].0.truncate(15)),
    );
    row_of(
        "compartments",
        &restore(|s| s.compartments.0[0].1 = vec![0xff]),
    );
    row_of("lanes", &restore(|s| s.lanes.0[0].0.truncate(15)));
    row_of("lanes", &restore(|s| s.lanes.0[0].1.truncate(15)));
    let version = DecodeError::UnknownCode {
        at: 0,
        what: "log state version",
        code: 1,
    };
    let error = restore(|s| s.log_heads.0[0].1[0] = 1);
    let table = "log heads";
    assert_eq!(
        error,
        RestoreError::Row {
            table,
            error: version
        }
    );
}

#[test]
fn keys_that_do_not_verify_are_found() {
    let error = restore(|s| {
        let record = &mut s.key_records.0[0].1;
        *record.last_mut().unwrap() ^= 1;
    });
    let RestoreError::Keys { error, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(error, KeyError::BadSignature);
}

#[test]
fn trees_that_do_not_give_the_signed_root_are_found() {
    row_of("log heads", &restore(|s| s.block_roots.0[0].1[7] ^= 1));
    row_of("log heads", &restore(|s| drop(s.block_roots.0.remove(0))));
    // One byte of a hash in the open block of the own log.
    let misfit = restore(|s| {
        for (_, head) in &mut s.log_heads.0 {
            let end = head.len() - 3;
            head[end] ^= 1;
        }
    });
    row_of("log heads", &misfit);
}

#[test]
fn another_number_of_facts_than_the_state_says_is_found() {
    let error = restore(|s| s.held.clear());
    let RestoreError::Held { held, expected, .. } = error else {
        panic!("{error:?}");
    };
    assert!(held == 0 && expected > 0);
    let error = restore(|s| s.log_heads.0.clear());
    assert!(
        matches!(error, RestoreError::Held { expected: 0, .. }),
        "{error:?}"
    );
    let error = restore(|s| {
        s.held[0].full.remove(0..1);
    });
    assert!(
        matches!(error, RestoreError::Held { held, expected, .. } if held + 1 == expected),
        "{error:?}"
    );
}

#[test]
fn a_transfer_that_is_under_way_is_restored_with_the_roots_that_it_goes_on_with() {
    let mut world = World::new(2, 2);
    world.append_many(0, 10_000);
    let session = world.connect(1, 0);
    world.start_round(1, session);
    while world.engine(1).logs().next().is_none() {
        assert!(world.step());
    }
    world.restart(1);
    let state = read_state(&world.domains[1].store);
    if state.open_roots.0.is_empty() {
        panic!("the transfer had ended");
    }
    let mut without = state.clone();
    without.open_roots.0.clear();
    row_of("log heads", &Restored::from_store(without).unwrap_err());
    let mut other = state;
    let root = other.open_roots.0[0].1.last_mut().unwrap();
    *root ^= 1;
    row_of("log heads", &Restored::from_store(other).unwrap_err());
    world.append_to(1, PUBLIC, vec![draft(1)]);
    world.sync(1, 0);
    world.assert_equal();
}
