//! The program, as somebody runs it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use causality_judge::history::Mode;

use crate::world::World;

fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_causality-judge"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    // Who refuses the arguments does not read.
    assert!(written.is_ok() || input.is_empty());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn honest() -> World {
    let mut world = World::new(Mode::Safety, &["a"]);
    world.append("a");
    world
}

#[test]
fn an_honest_history_ends_with_0() {
    let mut world = honest();
    world.end();
    let (code, out, err) = run(&["-"], &world.text());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("every promise kept"), "{out}");
}

#[test]
fn a_broken_promise_ends_with_5_and_a_story() {
    let mut world = honest();
    world.store("a").clear();
    world.end();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken.jsonl");
    fs::write(&path, world.text()).unwrap();
    let (code, out, err) = run(&[path.to_str().unwrap()], "");
    assert_eq!((code, err.as_str()), (Some(5), ""));
    assert!(
        out.contains("acknowledged_is_held: a acknowledged fact "),
        "{out}"
    );
    assert!(out.contains("a: is asked to append 1 facts"), "{out}");
    assert!(out.contains("2 violations, 0 of them not shown"), "{out}");
}

#[test]
fn a_bad_history_ends_with_2_and_its_line() {
    let (code, out, err) = run(&["-"], &honest().text());
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        err.contains("causality-judge: -: line 7: expected `end`"),
        "{err}"
    );
}

#[test]
fn a_file_that_is_not_there_ends_with_1() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-history");
    let (code, _, err) = run(&[path.to_str().unwrap()], "");
    assert_eq!(code, Some(1));
    assert!(err.contains("no-such-history: "), "{err}");
    let (code, _, err) = run(&[env!("CARGO_TARGET_TMPDIR")], "");
    assert_eq!(code, Some(1), "a folder: {err}");
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for wrong in [&[][..], &["a", "b"], &["--fast"]] {
        let (code, _, err) = run(wrong, "");
        assert_eq!(code, Some(2));
        assert!(err.contains("--help"), "{err}");
    }
    for help in ["-h", "--help"] {
        let (code, out, err) = run(&[help], "");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("Exit codes:"), "{out}");
    }
}
