//! Synchronisations that reach the peer and still do not bring everything up to date: said, counted, and no success.

use serde_json::{Value, json};

use crate::support::{
    Home, Outcome, causality, exit, introduce, observation, observations, pair, run_with, string,
    values, with_full_disk,
};

/// The only problem of `sync -o json`, which ended with this code.
fn problem(outcome: &Outcome, code: i32) -> Value {
    assert_eq!(outcome.code, code, "{}", outcome.err);
    let report = values(&outcome.text()).remove(0);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{report}");
    for key in ["origin", "compartment", "lane", "kind", "message"] {
        assert!(problems[0][key].is_string(), "no {key:?} in {report}");
    }
    problems[0].clone()
}

/// A home that was copied, and both wrote on: two versions of one log. A synchronisation with either ended with 0.
fn forked() -> (Home, Home, Home) {
    let (a, b) = pair();
    a.import(&observations("sensor", 2));
    let copy = a.copied();
    a.import(&observations("pump", 1));
    copy.import(&observations("valve", 1));
    (a, copy, b)
}

#[test]
fn a_fork_of_the_own_log_is_told_and_new_facts_go_to_a_new_log() {
    let (a, copy, b) = forked();
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    let outcome = copy.run(&["-o", "json", "sync", "b"]);
    let met = problem(&outcome, exit::INTEGRITY);
    assert_eq!(
        (&met["kind"], &met["origin_name"], &met["compartment"]),
        (&json!("forked"), &json!("a"), &json!("public"))
    );
    for said in ["log", " of a in public", "two stores", "only one"] {
        assert!(outcome.err.contains(said), "no {said:?}: {}", outcome.err);
    }
    // The log that was given up stays forked; what is new goes its way.
    copy.import(&observations("lamp", 1));
    problem(&copy.run(&["-o", "json", "sync", "b"]), exit::INTEGRITY);
    assert!(b.resources().contains(&"lamp/000000".to_owned()));
}

#[test]
fn a_fork_of_somebody_elses_log_is_told_with_its_origin() {
    let (a, copy, b) = forked();
    let c = Home::new("c");
    introduce(&copy, &c);
    introduce(&b, &c);
    {
        // Daemons would tell each other at once.
        let _b = b.serve();
        a.ok(&["sync", "b"]);
    }
    let _c = c.serve();
    copy.ok(&["sync", "c"]);
    let outcome = b.run(&["-o", "json", "sync", "c"]);
    let met = problem(&outcome, exit::INTEGRITY);
    assert_eq!(
        (&met["kind"], &met["origin_name"]),
        (&json!("forked"), &json!("a"))
    );
    assert!(
        outcome.err.contains("ask a which one holds"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_longer_fork_is_refused_by_who_holds_the_other_and_both_are_told() {
    let (a, copy, b) = forked();
    let c = Home::new("c");
    introduce(&copy, &c);
    introduce(&b, &c);
    copy.import(&observations("lamp", 1));
    {
        let _c = c.serve();
        copy.ok(&["sync", "c"]);
    }
    {
        let _b = b.serve();
        a.ok(&["sync", "b"]);
        // It is its own log: whoever refuses it tells it that there is another.
        let forked = problem(&copy.run(&["-o", "json", "sync", "b"]), exit::INTEGRITY);
        assert_eq!(forked["kind"], "forked");
    }
    let _c = c.serve();
    let refused = problem(&b.run(&["-o", "json", "sync", "c"]), exit::INTEGRITY);
    assert_eq!(
        (&refused["kind"], &refused["origin_name"]),
        (&json!("refused"), &json!("a"))
    );
    b.ok(&["fact", "verify", "--all"]);
}

#[test]
fn it_is_told_through_a_daemon_as_often_as_one_asks() {
    let (a, copy, b) = forked();
    let _b = b.serve();
    a.ok(&["sync", "b"]);
    let _copy = copy.serve();
    for _ in 0..2 {
        let outcome = copy.run(&["-o", "json", "sync", "b"]);
        assert_eq!(problem(&outcome, exit::INTEGRITY)["kind"], "forked");
    }
}

#[test]
fn that_nothing_came_at_all_is_told_with_what_may_be_missing_there() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &["--receive", "public"]);
    b.add_peer(&a, &[]);
    b.import(&observations("sensor", 3));
    let daemon = b.serve();
    let outcome = a.run(&["sync", "b"]);
    assert_eq!(outcome.code, exit::OK);
    assert!(outcome.err.contains("b has to grant it"), "{}", outcome.err);
    drop(daemon);
    b.add_peer(&a, &["--send", "public"]);
    let _daemon = b.serve();
    let outcome = a.run(&["sync", "b"]);
    assert!(!outcome.err.contains("grant"), "{}", outcome.err);
    assert_eq!(a.run(&["sync", "b"]).code, exit::OK);
}

#[test]
fn that_nothing_is_granted_is_told_with_the_command_that_grants_it() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &[]);
    b.add_peer(&a, &["--receive", "public"]);
    a.import(&observations("sensor", 3));
    let _daemon = b.serve();
    let outcome = a.run(&["sync", "b"]);
    assert_eq!(outcome.code, exit::OK);
    let (said, told) = outcome.err.split_once("to grant it: causality").unwrap();
    assert!(said.contains("nothing goes to or from b"), "{said}");
    let mut command = causality();
    command.args(told.split_whitespace());
    assert_eq!(run_with(command, b"").code, exit::OK);
    let outcome = a.run(&["sync", "b"]);
    assert_eq!((b.held(), outcome.err.as_str()), (3, ""));
}

#[test]
fn what_is_granted_the_other_way_stays_in_the_command_that_is_told() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &["--receive", "public"]);
    b.add_peer(&a, &[]);
    let _daemon = b.serve();
    let said = a.run(&["sync", "b", "--pull"]).err;
    assert!(!said.contains("nothing goes"), "{said}");
    let said = a.run(&["sync", "b", "--push"]).err;
    assert!(said.contains("nothing goes to b"), "{said}");
    assert!(said.contains("--send public --receive public"), "{said}");
}

/// The disk of the peer was full, and the caller was told that the peer cannot be reached.
#[test]
fn a_peer_whose_disk_is_full_is_said_to_be_unable_to_go_on() {
    let (a, b) = pair();
    let large = |number: u64| {
        observation(
            &format!("large/{number}"),
            json!({ "text": "x".repeat(50_000) }),
        )
    };
    a.import(&(0..400).map(large).collect::<String>());
    let blocks = std::fs::metadata(b.store()).unwrap().len() / 512 + 2048;
    let daemon = b.serve_by(with_full_disk(blocks, &b.command(&["serve"])));
    let said = a.run(&["sync", "b"]).failed(exit::OTHER);
    assert!(
        said.contains("could not go on") && said.contains("nothing is wrong here"),
        "{said}"
    );
    drop(daemon);
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    assert_eq!(a.logs(), b.logs());
}

/// Field names went to the terminal as they are.
#[test]
fn what_a_fact_says_has_no_power_over_the_terminal_of_a_reader() {
    let a = Home::new("a");
    let name = "\u{1b}]0;owned\u{7}\u{9b}2J\nid           forged";
    a.import(&observation("sensor/1", json!({ name: "\u{9b}31m" })));
    let id = string(&a.export()[0], "ref");
    let proof = a.beside("proof");
    std::fs::write(&proof, a.run(&["fact", "prove", &id]).out).unwrap();
    for args in [
        &["fact", "show", &id][..],
        &["fact", "list"],
        &["fact", "verify", "--proof", proof.to_str().unwrap()],
    ] {
        let text = a.ok(args);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{args:?}: {text:?}"
        );
        assert!(!text.contains("\nid           forged"), "{text:?}");
    }
    assert!(a.ok(&["fact", "show", &id]).contains("\\u{1b}]0;owned"));
    let said = a.run(&["sync", name]).failed(exit::NOT_FOUND);
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(
        !said.contains('\u{1b}') && !said.contains('\u{9b}'),
        "{said:?}"
    );
}
