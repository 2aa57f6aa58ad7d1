//! Each exit code, by the plainest way to it, with a sentence that helps.

use std::path::Path;
use std::process::Stdio;

use crate::support::{
    Home, PATIENCE, causality, exit, free_port, lines, observations, pair, run_with, send, string,
};

/// A well-formed id that no fact has.
fn strange_id(home: &Home) -> String {
    let id = string(&home.export()[0], "ref");
    let other = Home::new("other");
    other.import(&observations("elsewhere", 1));
    let strange = string(&other.export()[0], "ref");
    assert_ne!(id, strange);
    strange
}

#[test]
fn nothing_wrong_is_0() {
    let home = Home::new("a");
    assert_eq!(home.run(&["status"]).code, exit::OK);
    assert_eq!(
        run_with(
            {
                let mut c = causality();
                c.arg("--help");
                c
            },
            b""
        )
        .code,
        exit::OK
    );
}

#[test]
fn a_full_disk_under_an_export_is_1() {
    let home = Home::new("a");
    home.import(&observations("sensor", 5_000));
    let mut command = home.command(&["fact", "export"]);
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit::OTHER), "{err}");
    assert!(err.contains("space"), "{err}");
}

#[test]
fn words_that_make_no_sense_are_2() {
    let home = Home::new("a");
    for args in [
        &["nonsense"][..],
        &["fact", "show"],
        &["-o", "xml", "status"],
        &["peer", "add", "no-ticket"],
    ] {
        home.run(args).failed(exit::USAGE);
    }
}

#[test]
fn an_import_that_skipped_lines_is_3() {
    let home = Home::new("a");
    let lines = observations("sensor", 1) + "nonsense\n" + &observations("pump", 1);
    let outcome = home.run_with(&["fact", "import", "-", "--skip-invalid"], lines.as_bytes());
    assert_eq!(outcome.code, exit::PARTIAL);
    assert!(outcome.err.contains("line 2"), "{}", outcome.err);
    assert_eq!(home.resources(), ["pump/000000", "sensor/000000"]);
}

#[test]
fn what_is_not_there_is_4() {
    let home = Home::new("a");
    home.import(&observations("sensor", 1));
    let id = strange_id(&home);
    for args in [
        &["fact", "show", &id][..],
        &["fact", "verify", &id],
        &["fact", "prove", &id],
        &["fact", "import", "no/such/file"],
        &["sync", "nobody"],
        &["peer", "remove", "nobody"],
        &["digest", "--origin", "nobody"],
    ] {
        home.run(args).failed(exit::NOT_FOUND);
    }
}

#[test]
fn a_home_that_was_never_set_up_is_4_and_says_how() {
    let home = Home::uninitialised("a", Path::new("home"), free_port());
    for args in [&["status"][..], &["serve"], &["fact", "list"], &["digest"]] {
        assert!(
            home.run(args)
                .failed(exit::NOT_FOUND)
                .contains("causality init")
        );
    }
}

#[test]
fn one_ref_for_two_facts_of_a_stream_is_5() {
    let home = Home::new("a");
    let line = |n: u64| {
        format!(r#"{{"ref":"x","type":"operation","resource":"pump/1","content":{{"n":{n}}}}}"#)
            + "\n"
    };
    let outcome = home.run_with(&["fact", "import", "-"], (line(1) + &line(2)).as_bytes());
    let said = outcome.failed(exit::CONTRADICTION);
    assert!(said.contains("line 2") && said.contains('x'), "{said}");
    assert_eq!(home.held(), 1);
}

#[test]
fn a_peer_that_does_not_know_us_is_6_and_the_ticket_to_hand_over_is_said() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    a.add_peer(&b, &["--send", "public"]);
    a.import(&observations("sensor", 1));
    let _daemon = b.serve();
    let said = a.run(&["sync", "b"]).failed(exit::DENIED);
    assert!(
        said.contains(&a.ticket()),
        "no ticket to hand over in: {said}"
    );
    assert_eq!(b.held(), 0);
}

#[test]
fn a_peer_that_is_not_there_is_7() {
    let (a, _b) = pair();
    let said = a.run(&["sync", "b"]).failed(exit::UNREACHABLE);
    assert!(said.contains("127.0.0.1"), "no address in: {said}");
}

#[test]
fn a_damaged_proof_is_8() {
    let home = Home::new("a");
    let file = home.beside("proof");
    std::fs::write(&file, "garbage").unwrap();
    home.run(&["fact", "verify", "--proof", file.to_str().unwrap()])
        .failed(exit::INTEGRITY);
}

#[test]
fn a_second_daemon_on_one_home_is_9() {
    let home = Home::new("a");
    let daemon = home.serve();
    let said = home.run(&["serve"]).failed(exit::LOCKED);
    assert!(said.contains("running") || said.contains("use"), "{said}");
    assert_eq!(home.run(&["status"]).code, exit::OK);
    assert_eq!(daemon.stop("TERM"), exit::OK);
}

#[test]
fn an_interrupted_import_is_130_and_keeps_what_it_acknowledged() {
    let home = Home::new("a");
    let mut child = home.spawn(&["-o", "jsonl", "fact", "import", "-"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    let acknowledged = lines(child.stdout.take().unwrap());
    std::io::Write::write_all(&mut stdin, observations("sensor", 1).as_bytes()).unwrap();
    acknowledged
        .recv_timeout(PATIENCE)
        .expect("a durable line is acknowledged while the input is still open");
    send("INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(exit::INTERRUPTED));
    assert_eq!(home.held(), 1);
}

#[test]
fn a_daemon_stops_cleanly_on_both_signals() {
    let home = Home::new("a");
    for signal in ["TERM", "INT"] {
        assert_eq!(home.serve().stop(signal), exit::OK, "SIG{signal}");
    }
    assert_eq!(home.run(&["status"]).code, exit::OK);
}
