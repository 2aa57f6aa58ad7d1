//! Import lines and tickets that are wrong: line, column, what was expected; what came before stays.

use serde_json::{Value, json};

use crate::support::{Home, exit, observation, observations};

/// A line that is an object with these keys, on top of a good line's.
fn with(changes: Value) -> String {
    let mut line = json!({ "type": "observation", "resource": "sensor/2", "content": { "a": 1 } });
    for (key, value) in changes.as_object().unwrap() {
        if value == "absent" {
            line.as_object_mut().unwrap().remove(key);
        } else {
            line[key] = value.clone();
        }
    }
    line.to_string()
}

/// Wrong lines with a word that the message must have.
fn wrong_lines() -> Vec<(String, &'static str)> {
    let deep = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    vec![
        ("nonsense".to_owned(), "column"),
        ("{".to_owned(), "column"),
        ("[]".to_owned(), "object"),
        (
            r#"{"type":"observation","resource":"sensor/2","content":{"a":01}}"#.to_owned(),
            "column",
        ),
        (
            r#"{"type":"observation","type":"observation","resource":"sensor/2","content":{}}"#
                .to_owned(),
            "type",
        ),
        (
            r#"{"type":"observation","resource":"sensor/2","content":{"a":1,"a":2}}"#.to_owned(),
            "a",
        ),
        (
            r#"{"type":"observation","resource":"sensor/2","content":{"a":9223372036854775808}}"#
                .to_owned(),
            "64",
        ),
        (
            r#"{"type":"observation","resource":"sensor/2","content":{"a":-9223372036854775809}}"#
                .to_owned(),
            "64",
        ),
        (
            r#"{"type":"observation","resource":"sensor/2","content":{"a":1e999}}"#.to_owned(),
            "column",
        ),
        (with(json!({ "type": "absent" })), "type"),
        (with(json!({ "type": "opinion" })), "opinion"),
        (with(json!({ "type": 7 })), "type"),
        (with(json!({ "resource": "absent" })), "resource"),
        (with(json!({ "resource": "sensor" })), "resource"),
        (with(json!({ "resource": "" })), "resource"),
        (with(json!({ "content": "absent" })), "content"),
        (with(json!({ "content": [1] })), "content"),
        (
            with(json!({ "content": { "a": { "$bytes": "!" } } })),
            "bytes",
        ),
        (
            with(json!({ "content": { "a": { "$bytes": "AA==", "b": 1 } } })),
            "bytes",
        ),
        (with(json!({ "content": { "a": deep(5) } })), "depth"),
        (
            with(json!({ "content": { "a": "x".repeat(60_001) } })),
            "60000",
        ),
        (with(json!({ "colour": "red" })), "colour"),
        (with(json!({ "valid_from": "yesterday" })), "valid_from"),
        (
            with(json!({ "valid_from": "2018-01-30T00:00:00.0001Z" })),
            "millisecond",
        ),
        (with(json!({ "valid_from": 0.5 })), "valid_from"),
        (
            with(json!({ "valid_from": 10, "valid_until": 5 })),
            "valid_until",
        ),
        (
            with(json!({ "requires": ["nothing-known"] })),
            "nothing-known",
        ),
        (with(json!({ "requires": "x" })), "requires"),
        (
            with(json!({ "supersedes": ["nothing-known"] })),
            "nothing-known",
        ),
        (with(json!({ "compartment": "nowhere" })), "nowhere"),
    ]
}

#[test]
fn a_wrong_line_is_named_and_those_before_it_stay() {
    for (line, word) in wrong_lines() {
        let home = Home::new("a");
        let input =
            observation("sensor/1", json!({})) + &line + "\n" + &observation("sensor/3", json!({}));
        let said = home
            .run_with(&["fact", "import", "-"], input.as_bytes())
            .err_of(exit::USAGE, &line);
        assert!(said.contains("line 2"), "no line in {said:?} for {line}");
        assert!(
            said.replace(['_', ','], "")
                .contains(&word.replace('_', "")),
            "no {word:?} in {said:?} for {line}"
        );
        assert_eq!(home.resources(), ["sensor/1"], "{line}");
    }
}

#[test]
fn wrong_lines_are_skipped_if_so_told() {
    let home = Home::new("a");
    let wrong: String = wrong_lines()
        .into_iter()
        .map(|(line, _)| line + "\n")
        .collect();
    let input = observations("before", 1) + &wrong + &observations("after", 1);
    let outcome = home.run_with(&["fact", "import", "-", "--skip-invalid"], input.as_bytes());
    assert_eq!(outcome.code, exit::PARTIAL, "{}", outcome.err);
    assert_eq!(home.resources(), ["after/000000", "before/000000"]);
}

#[test]
fn too_many_causes_are_refused_at_one_above_the_limit() {
    let home = Home::new("a");
    let label = |number: u64| {
        format!(
            r#"{{"ref":"r{number}","type":"operation","resource":"pump/{number}","content":{{}}}}"#
        )
    };
    let labels: String = (0..17).map(|number| label(number) + "\n").collect();
    let requires = |count: u64| {
        (0..count)
            .map(|number| format!("r{number}"))
            .collect::<Vec<_>>()
    };
    home.import(&(labels.clone() + &with(json!({ "requires": requires(16) })) + "\n"));
    let input = labels + &with(json!({ "resource": "sensor/4", "requires": requires(17) })) + "\n";
    let said = home
        .run_with(&["fact", "import", "-"], input.as_bytes())
        .failed(exit::USAGE);
    assert!(said.contains("line 18") && said.contains("16"), "{said}");
}

#[test]
fn a_garbage_file_is_refused() {
    let home = Home::new("a");
    let file = home.beside("garbage");
    std::fs::write(&file, [0xff, 0xfe, 0x00, 0x80, b'\n', 0xc3]).unwrap();
    let said = home
        .run(&["fact", "import", file.to_str().unwrap()])
        .failed(exit::USAGE);
    assert!(said.contains("line 1"), "{said}");
    assert_eq!(home.held(), 0);
}

#[test]
fn an_endless_line_is_refused_before_it_fills_the_memory() {
    let home = Home::new("a");
    let said = home
        .run_with(&["fact", "import", "-"], &vec![b'x'; 64 << 20])
        .failed(exit::USAGE);
    assert!(said.contains("line 1"), "{said}");
}

#[test]
fn every_mistyped_character_of_a_ticket_is_noticed() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    let ticket = b.ticket();
    for (at, letter) in ticket
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_alphanumeric())
    {
        let other = if letter.eq_ignore_ascii_case(&'q') {
            "p"
        } else {
            "q"
        };
        let wrong = format!("{}{other}{}", &ticket[..at], &ticket[at + 1..]);
        a.run(&["peer", "add", &wrong]).err_of(exit::USAGE, &wrong);
    }
    for wrong in ["", &ticket[..ticket.len() / 2], &ticket[1..]] {
        a.run(&["peer", "add", wrong]).err_of(exit::USAGE, wrong);
    }
    a.ok(&["peer", "add", &ticket]);
}

#[test]
fn a_directory_is_no_input_and_a_backup_needs_one() {
    let home = Home::new("a");
    let directory = home.beside("directory");
    std::fs::create_dir(&directory).unwrap();
    let said = home
        .run(&["fact", "import", directory.to_str().unwrap()])
        .failed(exit::USAGE);
    assert!(said.contains("is a directory"), "{said}");
    let nowhere = directory.join("nowhere").join("backup");
    let said = home
        .run(&["store", "backup", nowhere.to_str().unwrap()])
        .failed(exit::NOT_FOUND);
    assert!(said.contains("there is no directory"), "{said}");
}
