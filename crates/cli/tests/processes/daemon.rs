//! Every command works the same whether or not a daemon runs on its home.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Home, exit, free_port, observations, pair, string};

#[test]
fn commands_say_the_same_with_and_without_a_daemon() {
    let (a, _b) = pair();
    a.import(&observations("sensor", 30));
    let id = string(&a.export()[0], "ref");
    let commands: Vec<Vec<&str>> = vec![
        vec!["digest"],
        vec!["digest", "--origin", "a"],
        vec!["digest", "--origin", "nobody"],
        vec!["fact", "export"],
        vec!["fact", "export", "--resource", "sensor/00000*"],
        vec!["fact", "list"],
        vec!["fact", "prove", &id],
        vec!["fact", "show", &id],
        vec!["fact", "show", "nonsense"],
        vec!["fact", "verify", &id],
        vec!["fact", "verify", "--all"],
        vec!["peer", "list"],
        vec!["peer", "ticket"],
    ];
    let all = || -> Vec<_> {
        let formats = ["table", "json", "jsonl"];
        let runs = commands
            .iter()
            .flat_map(|command| formats.iter().map(move |format| (command, *format)));
        let run = |(command, format): (&Vec<&str>, &str)| {
            let outcome = a.run(&[&["-o", format], command.as_slice()].concat());
            (
                command.join(" "),
                format.to_owned(),
                outcome.code,
                String::from_utf8_lossy(&outcome.out).into_owned(),
            )
        };
        runs.map(run).collect()
    };
    let without = all();
    let daemon = a.serve();
    let with = all();
    assert_eq!(daemon.stop("TERM"), exit::OK);
    for (without, with) in without.iter().zip(&with) {
        assert_eq!(without, with);
    }
}

#[test]
fn what_is_written_through_the_daemon_is_what_is_written_without() {
    let home = Home::new("a");
    home.import(&observations("sensor", 10));
    let daemon = home.serve();
    home.import(&observations("sensor", 10));
    home.import(&observations("pump", 10));
    let through = (home.logs(), home.export());
    assert_eq!(daemon.stop("TERM"), exit::OK);
    assert_eq!((home.logs(), home.export()), through);
    assert_eq!(home.held(), 20);
}

#[test]
fn a_peer_added_while_the_daemon_runs_is_known_at_once() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    let _daemon = b.serve();
    a.add_peer(&b, &["--send", "public"]);
    a.import(&observations("sensor", 2));
    assert_eq!(a.run(&["sync", "b"]).code, exit::DENIED);
    b.add_peer(&a, &["--receive", "public"]);
    a.ok(&["sync", "b"]);
    assert_eq!(b.held(), 2);
}

#[test]
fn a_home_with_a_path_longer_than_a_socket_address_works() {
    let path: PathBuf = ["deep"; 40].iter().collect();
    assert!(path.as_os_str().len() > 108);
    let home = Home::below("a", &path, free_port());
    let daemon = home.serve();
    home.import(&observations("sensor", 3));
    assert_eq!(home.held(), 3);
    home.run(&["serve"]).failed(exit::LOCKED);
    assert_eq!(daemon.stop("TERM"), exit::OK);
    assert_eq!(home.held(), 3);
}

#[test]
fn a_daemon_that_was_killed_leaves_nothing_in_the_way() {
    let home = Home::new("a");
    let mut daemon = home.serve();
    home.import(&observations("sensor", 3));
    daemon.kill();
    assert_eq!(home.held(), 3);
    let daemon = home.serve();
    assert_eq!(home.held(), 3);
    assert_eq!(daemon.stop("TERM"), exit::OK);
}

#[test]
fn setting_up_a_home_twice_changes_nothing() {
    let home = Home::new("a");
    home.import(&observations("sensor", 1));
    let (keys, held) = (key_files(&home), home.held());
    assert_ne!(home.run(&["init", "--name", "other"]).code, exit::OK);
    assert_eq!((key_files(&home), home.held()), (keys, held));
}

#[test]
fn key_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new("a");
    let keys = key_files(&home);
    assert!(!keys.is_empty(), "no key files found");
    for (path, _) in keys {
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
    }
}

fn key_files(home: &Home) -> Vec<(PathBuf, Vec<u8>)> {
    let named = |path: &Path| {
        path.strip_prefix(home.dir())
            .unwrap()
            .to_string_lossy()
            .contains("key")
    };
    home.files()
        .into_iter()
        .filter(|(path, _)| named(path))
        .collect()
}

#[test]
fn a_daemon_without_descriptors_goes_on_when_there_are_some_again() {
    let home = Home::new("a");
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_causality");
    command
        .args(["-c", "ulimit -n 40 && exec \"$@\"", "sh", program, "--home"])
        .arg(home.dir())
        .arg("serve");
    let daemon = home.serve_by(command);
    let path = home.dir().join("control");
    let held: Vec<_> = (0..100)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    // One more than it can take waits in the queue, and is answered when the others have gone.
    let waiting = home.spawn(&["peer", "list"], Stdio::null());
    drop(held);
    let outcome = waiting.wait_with_output().unwrap();
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(daemon.stop("TERM"), exit::OK);
}
