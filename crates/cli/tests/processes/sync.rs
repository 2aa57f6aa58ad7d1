//! Two and three domains that synchronise.

use serde_json::{Value, json};

use crate::support::{Home, exit, introduce, observation, observations, pair};

#[test]
fn two_homes_that_synchronised_hold_the_same() {
    let (a, b) = pair();
    a.import(&observations("sensor", 300));
    let _daemon = b.serve();
    let synced = a.json(&["sync", "b"]);
    for key in [
        "facts_sent",
        "facts_received",
        "bytes_sent",
        "bytes_received",
        "round_trips",
        "duration_ms",
    ] {
        assert!(synced[key].is_number(), "no {key:?} in {synced}");
    }
    assert_eq!(
        (&synced["facts_sent"], &synced["facts_received"]),
        (&json!(300), &json!(0))
    );
    assert_eq!(b.logs(), a.logs());
    assert_eq!(b.json(&["digest"])["digest"], a.json(&["digest"])["digest"]);
    b.ok(&["fact", "verify", "--all"]);
}

#[test]
fn a_second_synchronisation_moves_nothing() {
    let (a, b) = pair();
    a.import(&observations("sensor", 100));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    let synced = a.json(&["sync", "b"]);
    assert_eq!(
        (&synced["facts_sent"], &synced["facts_received"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn push_sends_pull_receives_and_both_is_the_default() {
    let (a, b) = pair();
    a.import(&observations("from-a", 3));
    b.import(&observations("from-b", 4));
    let _daemon = b.serve();
    let moved = |args: &[&str]| {
        let synced = a.json(&[&["sync", "b"], args].concat());
        (
            synced["facts_sent"].as_u64().unwrap(),
            synced["facts_received"].as_u64().unwrap(),
        )
    };
    assert_eq!(moved(&["--push"]), (3, 0));
    assert_eq!(moved(&["--pull"]), (0, 4));
    a.import(&observations("more-from-a", 1));
    assert_eq!(moved(&["--both"]), (1, 0));
    b.import(&observations("more-from-b", 2));
    a.import(&observations("still-more-from-a", 5));
    assert_eq!(moved(&[]), (5, 2));
    assert_eq!(a.logs(), b.logs());
}

#[test]
fn it_is_the_same_through_the_daemon_of_the_caller() {
    let (a, b) = pair();
    let (_a, _b) = (a.serve(), b.serve());
    a.import(&observations("sensor", 200));
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
    a.import(&observations("pump", 50));
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
}

#[test]
fn a_grant_of_a_compartment_that_is_not_there_yet_is_noted() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    let ticket = b.ticket();
    let add = |grants: &[&str]| {
        let outcome = a.run(&[&["peer", "add", &ticket], grants].concat());
        assert_eq!(outcome.code, exit::OK, "{}", outcome.err);
        outcome.err
    };
    assert_eq!(add(&["--send", "public", "--receive", "weather"]), "");
    let said = add(&["--send", "pubic"]);
    assert!(said.contains("\"public\" meant?"), "{said}");
    // Now it is known, whether it was meant or not.
    assert_eq!(add(&["--send", "pubic"]), "");
}

#[test]
fn nothing_is_shared_unless_the_sender_says_so() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &[]);
    b.add_peer(&a, &["--receive", "public"]);
    a.import(&observations("sensor", 3));
    let _daemon = b.serve();
    let _ = a.run(&["sync", "b"]);
    assert_eq!(b.held(), 0);
}

#[test]
fn nothing_is_taken_unless_the_receiver_says_so() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &["--send", "public"]);
    b.add_peer(&a, &[]);
    a.import(&observations("sensor", 3));
    let _daemon = b.serve();
    let _ = a.run(&["sync", "b"]);
    assert_eq!(b.held(), 0);
}

#[test]
fn a_fact_travels_over_a_relay_as_its_origin_signed_it() {
    let (a, b) = pair();
    let c = Home::new("c");
    introduce(&b, &c);
    a.import(&observations("sensor", 40));
    b.import(&observations("pump", 2));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    c.ok(&["sync", "b"]);
    assert_eq!(c.logs(), b.logs());
    assert_eq!(c.held(), 42);
    c.ok(&["fact", "verify", "--all"]);
    // Nobody introduced `a` and `c`, and still the proof of `a`'s fact that `c` gives out stands on its own.
    let id = a.export()[0]["ref"].as_str().unwrap().to_owned();
    assert_eq!(c.run(&["fact", "prove", &id]).code, exit::OK);
}

/// All that `b` shares is of others, and that is no reason to think that it shares nothing.
#[test]
fn of_a_relay_it_is_not_said_that_it_grants_nothing() {
    let (a, b) = pair();
    let c = Home::new("c");
    introduce(&b, &c);
    a.import(&observations("sensor", 2));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    c.ok(&["sync", "b"]);
    let outcome = c.run(&["sync", "b"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (exit::OK, ""));
}

#[test]
fn a_peer_that_was_removed_gets_nothing_more() {
    let (a, b) = pair();
    a.import(&observations("sensor", 3));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    b.ok(&["peer", "remove", "a"]);
    a.import(&observations("pump", 3));
    assert_eq!(a.run(&["sync", "b"]).code, exit::DENIED);
    assert_eq!(b.held(), 3);
}

#[test]
fn an_effect_is_listed_when_its_cause_is() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    let both = ["--receive", "public", "--receive", "ops"];
    a.add_peer(&b, &["--send", "public"]);
    a.add_peer(&Home::new("c"), &["--send", "ops"]);
    b.add_peer(&a, &both);
    let mut cause: Value = serde_json::from_str(&observation("sensor/1", json!({}))).unwrap();
    cause["compartment"] = json!("ops");
    a.import(&cause.to_string());
    let cause = a.json(&["fact", "list"])[0]["id"].clone();
    let mut effect: Value = serde_json::from_str(&observation("sensor/2", json!({}))).unwrap();
    effect["requires"] = json!([cause]);
    a.import(&effect.to_string());
    assert_eq!(a.json(&["fact", "list"]).as_array().unwrap().len(), 2);

    let daemon = a.serve();
    b.ok(&["sync", "a"]);
    assert_eq!(b.json(&["fact", "list"]), json!([]));
    assert!(b.export().is_empty());
    let received = b.json(&["fact", "list", "--received"]);
    assert_eq!(received[0]["waits_for"], json!([cause]));
    let id = received[0]["id"].as_str().unwrap();
    let shown = b.ok(&["fact", "show", id]);
    assert!(
        shown.contains(&format!("waits        for {}", cause.as_str().unwrap())),
        "{shown}"
    );
    b.ok(&["fact", "verify", id]);

    a.ok(&[
        "peer",
        "add",
        &b.ticket(),
        "--as",
        "b",
        "--send",
        "public",
        "--send",
        "ops",
    ]);
    b.ok(&["sync", "a"]);
    let listed = b.json(&["fact", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(b.json(&["fact", "list", "--received"]), listed);
    assert_eq!(daemon.stop("TERM"), exit::OK);
}
