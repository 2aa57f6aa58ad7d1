//! Why a fact is where it is, or is not: told with rules, lines and what the peer has said.

use serde_json::{Value, json};

use crate::support::{Daemon, Home, exit, introduce, observation, pair, string};

const POLICY: &str = r#"
[[out]]
name = "strong"
peers = ["press"]
compartments = ["public"]
where = 'mag >= 2.5'

[[security]]
name = "internals"
peers = ["press"]
withhold = ["sig"]

[[security]]
name = "embargo"
peers = ["press"]
labels = ["embargoed"]
in_force = { until = 2100-01-01 }
refuse = true
"#;

const TAKES: &str = "[[in]]\nname = \"all\"\npeers = [\"uw\"]\ncompartments = [\"public\"]\n";

fn write(home: &Home, policy: &str) {
    std::fs::write(home.dir().join("policy.toml"), policy).unwrap();
}

/// A network that gives a newspaper what is strong, without what is internal; it holds four facts, and serves.
fn world() -> (Home, Home, Daemon) {
    let (uw, press) = (Home::new("uw"), Home::new("press"));
    uw.add_peer(&press, &[]);
    press.add_peer(&uw, &[]);
    write(&uw, POLICY);
    write(&press, TAKES);
    let event = |name: &str, mag: f64| {
        observation(&format!("event/{name}"), json!({ "mag": mag, "sig": 7 }))
    };
    let mut embargoed: Value = serde_json::from_str(&event("embargoed", 5.5)).unwrap();
    embargoed["label"] = json!("embargoed");
    uw.import(&(event("strong", 5.5) + &event("weak", 0.5) + &embargoed.to_string()));
    let daemon = uw.serve();
    press.ok(&["sync", "uw"]);
    (uw, press, daemon)
}

/// The id of the fact about an event.
fn id(home: &Home, event: &str) -> String {
    let resource = format!("event/{event}");
    let lines = home.export();
    let line = lines
        .iter()
        .find(|line| line["resource"] == resource.as_str());
    string(line.unwrap_or_else(|| panic!("no {event}")), "ref")
}

#[test]
fn a_fact_that_a_peer_has_is_explained_by_the_rule_and_what_it_keeps_back() {
    let (uw, press, _daemon) = world();
    let strong = id(&uw, "strong");
    let explained = uw.json(&["explain", &strong, "--peer", "press"]);
    assert_eq!(explained["out"]["granted"], true);
    assert_eq!(
        explained["out"]["rule"],
        json!({ "name": "strong", "line": 2 })
    );
    let withheld = json!([{ "field": "sig", "rule": { "name": "internals", "line": 8 } }]);
    assert_eq!(explained["out"]["withheld"], withheld);
    assert_eq!(
        (&explained["at_peer"], &explained["held"]),
        (&json!("received"), &json!("whole"))
    );
    assert_eq!(
        explained["in"],
        Value::Null,
        "a domain takes its own facts from nobody"
    );
    let text = uw.ok(&["explain", &strong[..8], "--peer", "press"]);
    for said in [
        "\"strong\" (line 2)",
        "\"sig\"",
        "\"internals\" (line 8)",
        "press has confirmed",
    ] {
        assert!(text.contains(said), "no {said:?} in {text}");
    }

    // On the other side: by which rule it was taken, and who keeps back the rest of it.
    let explained = press.json(&["explain", &strong, "--peer", "uw"]);
    assert_eq!(explained["in"]["rule"], json!({ "name": "all", "line": 1 }));
    assert_eq!(
        (&explained["held"], &explained["at_peer"]),
        (&json!("part"), &json!("own"))
    );
    let sources = json!([{ "peer": "uw", "says": "partial" }]);
    assert_eq!(explained["hole"]["sources"], sources);
    assert_eq!(
        explained["out"],
        Value::Null,
        "nothing goes back to where it came from"
    );
}

#[test]
fn a_fact_that_a_peer_has_not_is_explained_by_what_keeps_it_here_and_until_when() {
    let (uw, _press, _daemon) = world();
    let weak = uw.json(&["explain", &id(&uw, "weak"), "--peer", "press"]);
    assert_eq!(
        (&weak["out"]["granted"], &weak["out"]["reason"]),
        (&json!(false), &json!("no_rule"))
    );
    assert_eq!(weak["at_peer"], "withheld");
    let embargoed = id(&uw, "embargoed");
    let explained = uw.json(&["explain", &embargoed, "--peer", "press"]);
    let out = &explained["out"];
    assert_eq!(
        (&out["reason"], &out["rule"]["name"]),
        (&json!("security"), &json!("embargo"))
    );
    assert_eq!(out["opens"], "2100-01-01T00:00:00Z");
    let text = uw.ok(&["explain", &embargoed, "--peer", "press"]);
    assert!(text.contains("2100-01-01"), "{text}");
}

#[test]
fn what_is_missing_here_is_explained_by_who_keeps_it_back() {
    let (uw, press, _daemon) = world();
    let weak = id(&uw, "weak");
    let explained = press.json(&["explain", &weak, "--peer", "uw"]);
    assert_eq!(
        (&explained["held"], &explained["fact"]),
        (&json!("hash"), &json!(weak))
    );
    assert_eq!(
        explained["hole"]["sources"],
        json!([{ "peer": "uw", "says": "withheld" }])
    );
    let embargoed = press.json(&["explain", &id(&uw, "embargoed"), "--peer", "uw"]);
    assert_eq!(embargoed["hole"]["sources"][0]["says"], "deferred");

    // Whoever does not know the id names the position.
    let (lane, position) = (
        string(&explained, "lane"),
        explained["position"].to_string(),
    );
    let at = press.json(&[
        "explain",
        &format!("{}:{position}", &lane[..8]),
        "--peer",
        "uw",
    ]);
    assert_eq!(
        (&at["hole"], &at["fact"]),
        (&explained["hole"], &Value::Null)
    );
    let text = press.ok(&["explain", &format!("{lane}:{position}"), "--peer", "uw"]);
    assert!(
        text.contains("Only its hash is held") && text.contains("uw withholds it"),
        "{text}"
    );
    let own = uw.json(&["explain", &format!("{lane}:{position}"), "--peer", "press"]);
    assert_eq!(
        (&own["fact"], &own["held"]),
        (&json!(weak), &json!("whole"))
    );
}

#[test]
fn what_a_peer_refused_and_what_was_not_taken_from_it_is_told() {
    let (uw, press, daemon) = world();
    write(&press, &(TAKES.to_owned() + "where = 'mag < 1'\n"));
    write(&uw, &POLICY.replace("where = 'mag >= 2.5'", ""));
    uw.ok(&["policy", "reload"]);
    uw.import(&observation("event/other", json!({ "mag": 3.5 })));
    press.ok(&["sync", "uw"]);
    let other = id(&uw, "other");
    let explained = uw.json(&["explain", &other, "--peer", "press"]);
    assert_eq!(
        (&explained["out"]["granted"], &explained["at_peer"]),
        (&json!(true), &json!("refused"))
    );
    let here = press.json(&["explain", &other, "--peer", "uw"]);
    assert_eq!(here["hole"]["sources"][0]["says"], "declined");
    assert_eq!(daemon.stop("TERM"), exit::OK);
}

#[test]
fn a_peer_of_which_nothing_is_known_is_said_so_and_it_is_the_same_without_a_daemon() {
    let (a, b) = pair();
    a.import(&observation("event/1", json!({})));
    let explain = || a.json(&["explain", &id(&a, "1"), "--peer", "b"]);
    let explained = explain();
    assert_eq!(explained["at_peer"], "unknown");
    assert_eq!(
        explained["out"]["rule"],
        json!({ "name": "address book: b" })
    );
    let daemon = a.serve();
    assert_eq!(explain(), explained);
    drop(daemon);
    let _ = b;
}

#[test]
fn what_cannot_be_explained_is_refused_with_what_to_do() {
    let (a, _b) = pair();
    a.import(&observation("event/1", json!({})));
    let id = id(&a, "1");
    let lane = string(&a.json(&["status"])["logs"][0], "lane");
    let explain =
        |fact: &str, peer: &str, code| a.run(&["explain", fact, "--peer", peer]).err_of(code, fact);
    explain(&id, "nobody", exit::NOT_FOUND);
    explain(&"ab".repeat(32), "b", exit::NOT_FOUND);
    explain("abcd", "b", exit::USAGE);
    explain(&format!("{}:0", &lane[..7]), "b", exit::USAGE);
    explain(&format!("{lane}:x"), "b", exit::USAGE);
    explain(&format!("{lane}:-1"), "b", exit::USAGE);
    explain(&format!("{}:0", "ab".repeat(16)), "b", exit::NOT_FOUND);
    let said = explain(&format!("{lane}:1"), "b", exit::NOT_FOUND);
    assert!(said.contains("1 of this log"), "{said}");
    a.run(&["explain", &id]).failed(exit::USAGE);
}

#[test]
fn status_tells_how_far_each_peer_is_and_how_complete_each_log() {
    let (uw, press, daemon) = world();
    let log = press.json(&["status"])["logs"][0].clone();
    assert_eq!(
        (&log["facts"], &log["partial"], &log["withheld"]),
        (&json!(1), &json!(1), &json!(2))
    );
    assert_eq!(log["completeness"], "attested");
    assert_eq!(uw.json(&["status"])["logs"][0]["completeness"], "proven");

    let lag = || uw.json(&["status"])["peers"][0]["logs"][0].clone();
    assert_eq!(
        (&lag()["lag_facts"], &lag()["wanted"]),
        (&json!(0), &json!(true))
    );
    uw.import(&observation("event/new", json!({ "mag": 4 })));
    let behind = lag();
    assert_eq!(behind["lag_facts"], 1);
    assert!(behind["lag_seconds"].as_f64().unwrap() < 1000.0, "{behind}");
    let text = uw.ok(&["status"]);
    assert!(text.contains("1 fact, "), "{text}");
    press.ok(&["sync", "uw"]);
    assert_eq!(lag()["lag_facts"], 0);
    assert_eq!(daemon.stop("TERM"), exit::OK);
    // What was settled with a peer is known without a daemon too.
    uw.import(&observation("event/newer", json!({ "mag": 4 })));
    assert_eq!(lag()["lag_facts"], 1);
}

#[test]
fn of_a_relay_it_is_not_known_whether_it_keeps_back_what_it_may_not_have_either() {
    let (uw, press, daemon) = world();
    let reader = Home::new("reader");
    introduce(&press, &reader);
    write(
        &press,
        &(TAKES.to_owned()
            + "[[out]]\nname = \"on\"\npeers = [\"reader\"]\ncompartments = [\"public\"]\n"),
    );
    let _press = press.serve();
    reader.ok(&["sync", "press"]);
    let status = reader.json(&["status"]);
    assert_eq!(status["logs"][0]["completeness"], "incomplete", "{status}");
    let weak = reader.json(&["explain", &id(&uw, "weak"), "--peer", "press"]);
    assert_eq!(weak["hole"]["sources"], json!([]));
    let advice = weak["hole"]["advice"][0].as_str().unwrap();
    assert!(advice.contains("no peer has said why"), "{advice}");
    assert_eq!(daemon.stop("TERM"), exit::OK);
}
