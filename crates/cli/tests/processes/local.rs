//! One home alone: import, export, list, show, verify, digest.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Home, exit, observation, observations, pair, string, values};

#[test]
fn importing_twice_adds_nothing() {
    let home = Home::new("a");
    let lines = observations("sensor", 50);
    home.import(&lines);
    let before = home.logs();
    home.import(&lines);
    assert_eq!(home.logs(), before);
    assert_eq!(home.held(), 50);
}

#[test]
fn the_same_line_with_another_ref_is_another_fact() {
    let home = Home::new("a");
    let line = |label: &str| {
        json!({ "ref": label, "type": "operation", "resource": "pump/1", "content": { "on": true } }).to_string() + "\n"
    };
    home.import(&(line("x") + &line("y")));
    assert_eq!(home.held(), 2);
    home.import(&line("x"));
    assert_eq!(home.held(), 2);
}

/// A stream that uses everything an import line can say.
fn everything() -> String {
    let lines = [
        json!({ "ref": "one", "type": "state_change", "resource": "valve/7", "aspect": "position",
                "valid_from": "2018-01-30T12:00:00.123Z", "valid_until": "2018-01-31T00:00:00Z",
                "content": { "open": true, "by": null, "turns": 10.0, "angle": -1.5, "note": "ä \u{1f30b}",
                             "list": [1, "x", [null]], "map": { "k": { "$bytes": "AAEC/w==" } } } }),
        json!({ "ref": "two", "type": "validation", "resource": "valve/7", "aspect": "check", "valid_from": -5,
                "requires": ["one"], "content": {} }),
        json!({ "ref": "three", "type": "state_change", "resource": "valve/7", "aspect": "position",
                "valid_from": "2018-01-30T18:00:00Z", "content": { "open": false } }),
        json!({ "type": "custom:inspection", "resource": "valve/8", "supersedes": [], "requires": ["two", "three"],
                "content": { "big": i64::MAX, "small": i64::MIN } }),
    ];
    lines.iter().map(|line| line.to_string() + "\n").collect()
}

#[test]
fn export_and_import_elsewhere_restates_the_content() {
    let (home, other) = (Home::new("a"), Home::new("b"));
    home.import(&everything());
    let first = home.ok(&["fact", "export"]);
    other.import(&first);
    let (first, second) = (values(&first), other.export());
    assert_eq!(first.len(), 4);
    assert_eq!(numbered(&second), numbered(&first));
    assert!(
        second
            .iter()
            .all(|line| first.iter().all(|other| other["ref"] != line["ref"]))
    );
    other.import(&home.ok(&["fact", "export"]));
    assert_eq!(other.held(), 4);
}

/// Lines with each id replaced by the number of its line: what may differ between two domains is gone.
fn numbered(lines: &[Value]) -> Vec<String> {
    let ids: Vec<String> = lines.iter().map(|line| string(line, "ref")).collect();
    let renamed = |line: &Value| {
        ids.iter()
            .enumerate()
            .fold(line.to_string(), |text, (number, id)| {
                text.replace(id, &format!("#{number}"))
            })
    };
    lines.iter().map(renamed).collect()
}

#[test]
fn an_export_has_causes_first_and_references_by_id() {
    let home = Home::new("a");
    home.import(&everything());
    let lines = home.export();
    let ids: Vec<String> = lines.iter().map(|line| string(line, "ref")).collect();
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line["supersedes"].is_array(),
            "`supersedes` is always written: {line}"
        );
        let references = ["requires", "supersedes"]
            .iter()
            .filter_map(|key| line[*key].as_array())
            .flatten();
        for reference in references {
            let place = ids.iter().position(|id| reference == id.as_str());
            assert!(
                place.is_some_and(|place| place < number),
                "{reference} does not come before {line}"
            );
        }
    }
    let whole = lines
        .iter()
        .find(|line| line["content"]["turns"] != Value::Null)
        .unwrap();
    assert_eq!(whole["content"]["turns"].to_string(), "10");
}

#[test]
fn without_supersedes_the_own_head_is_superseded_and_an_empty_list_is_literal() {
    let home = Home::new("a");
    let line = |number: u64, more: &str| {
        format!(r#"{{"type":"state_change","resource":"lamp/1","content":{{"n":{number}}}{more}}}"#)
            + "\n"
    };
    home.import(&(line(1, "") + &line(2, "") + &line(3, r#","supersedes":[]"#)));
    let lines = home.export();
    let find = |number: u64| {
        lines
            .iter()
            .find(|line| line["content"]["n"] == number)
            .unwrap()
    };
    assert_eq!(find(1)["supersedes"], json!([]));
    assert_eq!(find(2)["supersedes"], json!([find(1)["ref"]]));
    assert_eq!(find(3)["supersedes"], json!([]));
}

#[test]
fn an_export_is_narrowed_by_resource_and_by_origin() {
    let home = Home::new("a");
    home.import(&(observations("sensor", 3) + &observations("pump", 2)));
    let count = |args: &[&str]| values(&home.ok(&[&["fact", "export"], args].concat())).len();
    assert_eq!(count(&["--resource", "sensor/*"]), 3);
    assert_eq!(count(&["--resource", "pump/000001"]), 1);
    assert_eq!(count(&["--resource", "none/*"]), 0);
    assert_eq!(count(&["--origin", "a"]), 5);
    assert_eq!(
        home.run(&["fact", "export", "--origin", "nobody"]).code,
        exit::NOT_FOUND
    );
}

#[test]
fn facts_are_listed_shown_and_verified_by_id() {
    let home = Home::new("a");
    home.import(&observation("sensor/1", json!({ "value": 41 })));
    let id = string(&home.export()[0], "ref");
    assert!(home.ok(&["-o", "jsonl", "fact", "list"]).contains(&id));
    let shown = home.json(&["fact", "show", &id]);
    assert!(
        shown.to_string().contains("sensor/1") && shown.to_string().contains("41"),
        "{shown}"
    );
    home.ok(&["fact", "verify", &id]);
    home.ok(&["fact", "verify", "--all"]);
}

#[test]
fn an_id_is_known_by_its_first_digits_if_they_are_enough() {
    let (a, b) = pair();
    a.import(&observations("sensor", 20));
    let id = string(&a.export()[0], "ref");
    let shown = a.json(&["fact", "show", &id]);
    assert_eq!(a.json(&["fact", "show", &id[..8]]), shown);
    assert_eq!(a.json(&["fact", "show", &id[..33]]), shown);
    a.ok(&["fact", "verify", &id[..12]]);
    assert!(!a.run(&["fact", "prove", &id[..12]]).out.is_empty());
    a.run(&["fact", "show", &id[..7]]).failed(exit::USAGE);
    a.run(&["fact", "show", &id.to_uppercase()])
        .failed(exit::USAGE);
    let other = if id.starts_with('0') { "1" } else { "0" };
    let said = a.run(&["fact", "show", &(other.repeat(4) + &id[4..12])]);
    assert!(said.failed(exit::NOT_FOUND).contains("begins with"));
    let peer = string(&b.json(&["status"]), "id");
    assert_eq!(
        a.json(&["digest", "--origin", &peer[..12]])["logs"],
        json!([])
    );
    a.ok(&["peer", "remove", &peer[..12]]);
    a.run(&["peer", "remove", &peer[..12]])
        .failed(exit::NOT_FOUND);
}

#[test]
fn a_list_tells_which_facts_newer_ones_have_replaced() {
    let home = Home::new("a");
    let line = |number: u64| {
        format!(r#"{{"type":"state_change","resource":"lamp/1","content":{{"n":{number}}}}}"#)
            + "\n"
    };
    home.import(&(line(1) + &line(2) + &observations("sensor", 1)));
    let lines = home.export();
    let first = lines.iter().find(|line| line["content"]["n"] == 1).unwrap();
    let listed = home.json(&["fact", "list"]);
    for fact in listed.as_array().unwrap() {
        let expected = fact["id"] == first["ref"];
        assert_eq!(
            fact["superseded"].as_bool().unwrap_or(false),
            expected,
            "{fact}"
        );
    }
    let table = home.ok(&["fact", "list", "--resource", "lamp/*"]);
    assert_eq!(
        table.lines().filter(|line| line.contains(" yes ")).count(),
        1,
        "{table}"
    );
}

#[test]
fn a_digest_has_its_documented_keys() {
    let home = Home::new("a");
    home.import(&observations("sensor", 7));
    let digest = home.json(&["digest"]);
    assert!(digest["digest"].is_string());
    let log = &digest["logs"][0];
    for key in [
        "origin",
        "compartment",
        "lane",
        "size",
        "root",
        "held",
        "held_digest",
    ] {
        assert!(!log[key].is_null(), "no {key:?} in {log}");
    }
    assert_eq!((&log["size"], &log["held"]), (&json!(7), &json!(7)));
    assert_eq!(
        home.json(&["digest", "--origin", "a"])["logs"],
        digest["logs"]
    );
}

#[test]
fn data_goes_to_standard_output_and_nothing_moves_when_piped() {
    let home = Home::new("a");
    let outcome = home.run_with(
        &["fact", "import", "-"],
        observations("sensor", 500).as_bytes(),
    );
    assert_eq!(outcome.code, exit::OK);
    assert!(
        !outcome.err.contains('\r') && !outcome.err.contains('\u{1b}'),
        "{:?}",
        outcome.err
    );
    let outcome = home.run(&["fact", "export"]);
    assert_eq!(values(&outcome.text()).len(), 500);
    assert!(
        !outcome.err.contains('\r') && !outcome.err.contains('\u{1b}'),
        "{:?}",
        outcome.err
    );
}

#[test]
fn a_backup_restores_into_a_home_that_writes_a_lane_of_its_own() {
    let home = Home::new("a");
    home.import(&observations("sensor", 5));
    let backup = home.beside("backup");
    home.ok(&["store", "backup", backup.to_str().unwrap()]);
    home.ok(&["store", "check"]);
    home.import(&observations("pump", 1));
    let mode = std::fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the backup");
    let kept = home.dir().join("store.before-restore.redb");
    let said = home.ok(&["store", "restore", backup.to_str().unwrap()]);
    assert!(said.contains(kept.to_str().unwrap()), "{said}");
    assert!(kept.exists());
    assert_eq!(home.held(), 5);
    home.import(&observations("valve", 1));
    assert_eq!((home.logs().len(), home.held()), (2, 6));
    home.ok(&["fact", "verify", "--all"]);
}
