//! What `docs/src/spec/wire.md` shows is what the vectors say: each message as bytes, one of them as JSON, and frames.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/src/spec/wire.md");

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/messages.json")).unwrap()
}

/// The blocks of code behind lines that begin with `start`, each with that line.
fn blocks(start: &str) -> Vec<(&str, Vec<&str>)> {
    let lines: Vec<_> = PAGE.lines().collect();
    let starts = (0..lines.len()).filter(|at| lines[*at].starts_with(start));
    let block = |at: usize| {
        let behind = lines[at + 1..].iter();
        let block = behind.skip_while(|line| !line.starts_with("    "));
        let block = block.map_while(|line| line.strip_prefix("    "));
        (lines[at], block.collect())
    };
    starts.map(block).collect()
}

/// The bytes of a block: what stands in each line before two spaces, behind which it is explained.
fn bytes(block: &[&str]) -> String {
    let digits = block.iter().map(|line| {
        let line = line.trim_start();
        line.split_once("  ").map_or(line, |(bytes, _)| bytes)
    });
    digits.collect::<String>().replace(' ', "")
}

/// What is between the stars of a line.
fn name(line: &str) -> &str {
    line.split('*').nth(1).unwrap()
}

fn vector(name: &str) -> Value {
    let all = vectors();
    let found = all["messages"].as_array().unwrap().iter();
    let mut found = found.filter(|vector| vector["name"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no vector {name}"))
        .clone()
}

#[test]
fn each_message_is_shown_with_the_bytes_of_its_vector() {
    let mut kinds = BTreeSet::new();
    for (line, block) in blocks("Example, ") {
        let shown = bytes(&block);
        let vector = vector(name(line));
        let whole = vector["bytes"].as_str().unwrap();
        if line.starts_with("Example, the second log of ") {
            assert!(!shown.is_empty() && whole.ends_with(&shown), "{line}");
        } else {
            assert_eq!(shown, whole, "{line}");
            kinds.insert(HEXLOWER.decode(shown.as_bytes()).unwrap()[0]);
        }
    }
    assert_eq!(kinds, (0..=10).collect());
}

#[test]
fn json_and_frames_are_shown_as_in_their_vectors() {
    let [(line, json)] = &blocks("In JSON, ")[..] else {
        panic!("one message is shown in JSON");
    };
    let shown: Value = serde_json::from_str(&json.concat()).unwrap();
    assert_eq!(shown, vector(name(line))["json"]);

    let [(_, frames)] = &blocks("Two frames, ")[..] else {
        panic!("one stream is shown");
    };
    assert_eq!(vectors()["frames"][1]["name"], "two messages");
    assert_eq!(vectors()["frames"][1]["stream"], bytes(frames));
}
