//! The policy file: checked, shown, in force, and wrong.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{
    Home, PATIENCE, exit, lines, observation, observations, pair, run_with, send, values,
};

const WRONG: &str = "[[out]]\nname = \"a\"\npeer = [\"b\"]\ncompartments = [\"public\"]\n";

/// A rule of `[[out]]` or `[[in]]` about everybody.
fn rule(section: &str, name: &str, compartment: &str) -> String {
    format!("[[{section}]]\nname = {name:?}\npeers = [\"*\"]\ncompartments = [{compartment:?}]\n")
}

fn write(home: &Home, policy: &str) {
    std::fs::write(home.dir().join("policy.toml"), policy).unwrap();
}

/// `policy check -o json` of the home's own file: how it ended, and what it found.
fn check(home: &Home, code: i32) -> Value {
    let outcome = home.run(&["-o", "json", "policy", "check"]);
    assert_eq!(outcome.code, code, "{}", outcome.err);
    assert_eq!(outcome.err.is_empty(), code == exit::OK, "{}", outcome.err);
    values(&outcome.text()).remove(0)
}

#[test]
fn a_policy_that_is_wrong_is_named_with_line_column_and_what_was_meant() {
    let home = Home::new("a");
    write(&home, WRONG);
    let checked = check(&home, exit::USAGE);
    let error = &checked["error"];
    assert_eq!((&error["line"], &error["column"]), (&json!(3), &json!(1)));
    assert_eq!(error["suggestion"], "peers");
    let said = home.run(&["policy", "check"]).failed(exit::USAGE);
    for part in ["policy.toml", "line 3, column 1", "`peer`", "`peers`"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn rules_without_effect_are_found_and_are_no_errors() {
    let (a, _b) = pair();
    assert_eq!(check(&a, exit::OK)["missing"], true);
    write(&a, &rule("out", "fine", "public"));
    assert_eq!(check(&a, exit::OK)["rules"], 1);
    let nobody = rule("out", "nobody", "public").replace("\"*\"", "\"bb\"");
    let nowhere = rule("out", "nowhere", "pubic");
    let narrow = rule("out", "narrow", "public").replace("\"*\"", "\"b\"") + "labels = [\"x\"]\n";
    write(&a, &(nobody + &nowhere + &narrow));
    let checked = check(&a, exit::PARTIAL);
    let found = checked["findings"].as_array().unwrap();
    let kinds: Vec<_> = found
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["unknown_peer", "unknown_compartment", "covered"]);
    let meant: Vec<_> = found
        .iter()
        .map(|finding| finding["suggestion"].as_str())
        .collect();
    assert_eq!(meant, [Some("b"), Some("public"), None]);
    assert_eq!(found[2]["by"], "address book: b");
    let text = a.run(&["policy", "check"]);
    assert_eq!((text.code, text.text().lines().count()), (exit::PARTIAL, 3));
}

#[test]
fn a_daemon_that_starts_warns_of_rules_without_effect() {
    let (a, _b) = pair();
    let nobody = rule("security", "internals", "public").replace("\"*\"", "\"bb\"");
    write(&a, &(nobody + "refuse = true\n"));
    let mut child = a.spawn(&["serve"], Stdio::null());
    let ready = lines(child.stdout.take().unwrap());
    ready.recv_timeout(PATIENCE).unwrap();
    send("TERM", child.id());
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    for part in ["WARN", "\"internals\" never applies: no known peer", "`b`"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn any_file_can_be_checked_before_it_takes_its_place() {
    let home = Home::new("a");
    write(&home, WRONG);
    let file = home.beside("new.toml");
    let check =
        |file: &str, input: &str| home.run_with(&["policy", "check", file], input.as_bytes());
    std::fs::write(&file, WRONG).unwrap();
    let file = file.to_str().unwrap();
    assert!(
        check(file, "")
            .failed(exit::USAGE)
            .contains("new.toml, line 3")
    );
    assert!(
        check("-", WRONG)
            .failed(exit::USAGE)
            .contains("standard input, line 3")
    );
    std::fs::write(file, [0x23, 0xff]).unwrap();
    assert!(
        check(file, "")
            .failed(exit::USAGE)
            .contains("line 1, column 2")
    );
    std::fs::write(file, "").unwrap();
    assert_eq!(check(file, "").code, exit::OK);
    check("no/such/file", "").failed(exit::NOT_FOUND);
    check(home.dir().to_str().unwrap(), "").failed(exit::USAGE);
    let large = "#".repeat((1 << 20) + 1);
    assert!(check("-", &large).failed(exit::USAGE).contains("limit"));
    let _daemon = {
        write(&home, "");
        home.serve()
    };
    std::fs::write(file, WRONG).unwrap();
    assert!(
        check(file, "")
            .failed(exit::USAGE)
            .contains("new.toml, line 3")
    );
    assert!(check("-", &large).failed(exit::USAGE).contains("limit"));
}

#[test]
fn the_rules_about_a_peer_are_shown_with_the_grants_of_the_address_book() {
    let (a, _b) = pair();
    write(
        &a,
        &(rule("out", "more", "ops") + &rule("in", "letters", "letters")),
    );
    let shown = a.json(&["policy", "show"]);
    assert_eq!(shown, a.json(&["policy", "show", "--peer", "b"]));
    let peer = &shown["peers"][0];
    let names = |way: &str| -> Vec<_> {
        let rules = peer[way].as_array().unwrap().iter();
        rules
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("out"), ["more", "address book: b"]);
    assert_eq!(names("in"), ["letters", "address book: b"]);
    assert_eq!(
        (&peer["out"][0]["line"], &peer["out"][1]["line"]),
        (&json!(1), &Value::Null)
    );
    let text = a.ok(&["policy", "show", "--peer", "b"]);
    for line in [
        "everything in ops (\"more\", line 1)",
        "everything in public (address book)",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    a.run(&["policy", "show", "--peer", "nobody"])
        .failed(exit::NOT_FOUND);
    write(&a, WRONG);
    let said = a.run(&["policy", "show"]).failed(exit::USAGE);
    assert!(said.contains("line 3, column 1"), "{said}");
}

#[test]
fn what_a_rule_grants_goes_without_a_grant_of_the_address_book() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &[]);
    b.add_peer(&a, &[]);
    write(&a, &rule("out", "some", "ops"));
    write(&b, &rule("in", "some", "ops"));
    let mut line: Value = serde_json::from_str(&observation("sensor/1", json!({}))).unwrap();
    line["compartment"] = json!("ops");
    a.import(&line.to_string());
    let _daemon = b.serve();
    let outcome = a.run(&["sync", "b"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (exit::OK, ""));
    assert_eq!(b.json(&["digest"])["logs"][0]["compartment"], "ops");
}

#[test]
fn a_daemon_reads_the_policy_anew_when_it_is_told_to() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &[]);
    b.add_peer(&a, &["--receive", "public"]);
    a.import(&observations("sensor", 3));
    let daemon = a.serve();
    let pull = || b.json(&["sync", "a"])["facts_received"].clone();
    write(&a, &rule("out", "all", "public"));
    assert_eq!(pull(), 0, "a file that nobody has read is in force");
    let outcome = a.run(&["policy", "show"]);
    assert!(outcome.err.contains("has changed since"), "{}", outcome.err);
    let reloaded = a.json(&["policy", "reload"]);
    assert_eq!(
        (&reloaded["rules"], &reloaded["reloaded"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(pull(), 3);

    // A file that has gone leaves the grants of the address book.
    std::fs::remove_file(a.dir().join("policy.toml")).unwrap();
    let outcome = a.run(&["policy", "reload"]);
    assert_eq!(outcome.code, exit::OK);
    assert!(
        outcome.text().starts_with("there is no "),
        "{}",
        outcome.text()
    );
    assert_eq!(a.json(&["policy", "reload"])["missing"], true);
    write(&a, &rule("out", "all", "public"));
    assert!(a.json(&["policy", "reload"]).get("missing").is_none());

    // A wrong file changes nothing, and that is said.
    write(&a, WRONG);
    let said = a.run(&["policy", "reload"]).failed(exit::USAGE);
    for part in ["policy.toml, line 3, column 1", "`peers`", "stays in force"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    a.import(&observations("pump", 2));
    assert_eq!(pull(), 2);
    let outcome = a.run(&["policy", "show"]);
    assert_eq!(outcome.code, exit::OK);
    assert!(
        outcome.text().contains("(\"all\", line 1)"),
        "{}",
        outcome.text()
    );
    assert!(outcome.err.contains("in force"), "{}", outcome.err);

    // Whoever is met under another name from now on is under other rules.
    write(&a, &rule("out", "all", "public").replace("\"*\"", "\"c\""));
    let said = a.run(&["policy", "reload"]).failed(exit::PARTIAL);
    for part in ["no known peer is meant", "stays in force", "--anyway"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    a.import(&observations("fan", 1));
    assert_eq!(pull(), 1);
    let outcome = a.run(&["policy", "reload", "--anyway"]);
    assert_eq!(outcome.code, exit::OK);
    assert!(
        outcome.err.contains("no known peer is meant"),
        "{}",
        outcome.err
    );
    a.import(&observations("valve", 1));
    assert_eq!(pull(), 0);
    a.ok(&["peer", "add", &b.ticket(), "--as", "c"]);
    assert_eq!(pull(), 1);
    assert_eq!(daemon.stop("TERM"), exit::OK);
}

#[test]
fn without_a_daemon_a_policy_is_only_checked() {
    let home = Home::new("a");
    write(&home, "");
    let outcome = home.run(&["-o", "json", "policy", "reload"]);
    assert_eq!(outcome.code, exit::OK);
    assert!(outcome.err.contains("no daemon runs"), "{}", outcome.err);
    assert_eq!(values(&outcome.text())[0]["reloaded"], false);
    write(&home, WRONG);
    let said = home.run(&["policy", "reload"]).failed(exit::USAGE);
    assert!(
        said.contains("line 3, column 1") && said.contains("no daemon"),
        "{said}"
    );
}

#[test]
fn nobody_synchronises_with_a_wrong_policy_and_all_else_goes_on() {
    let (a, b) = pair();
    write(&a, WRONG);
    a.import(&observations("sensor", 1));
    let _daemon = b.serve();
    for args in [&["serve"][..], &["sync", "b"]] {
        let said = a.run(args).err_of(exit::USAGE, &format!("{args:?}"));
        for part in ["policy.toml, line 3, column 1", "`peers`"] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
    assert_eq!(b.held(), 0);
    for args in [
        &["status"][..],
        &["fact", "list"],
        &["peer", "list"],
        &["digest"],
    ] {
        a.ok(args);
    }
    write(&a, "");
    a.ok(&["sync", "b"]);
    assert_eq!(b.held(), 1);
}

#[test]
fn a_policy_is_a_file_and_no_longer_than_its_limit() {
    let home = Home::new("a");
    write(&home, &"#".repeat((1 << 20) + 1));
    let said = home.run(&["policy", "check"]).failed(exit::USAGE);
    assert!(said.contains("limit is 1048576"), "{said}");
    let policy = home.dir().join("policy.toml");
    std::fs::remove_file(&policy).unwrap();
    std::fs::create_dir(&policy).unwrap();
    home.run(&["policy", "check"]).failed(exit::OTHER);
    let outcome = run_with(home.command(&["serve"]), b"");
    outcome.failed(exit::OTHER);
}
