//! Kill −9 at random moments: nothing acknowledged is missing afterwards, and both sides end up equal.
//!
//! A moment counts only if it is proven to lie between the first and the last acknowledgement: some had been read
//! before the signal was sent, and when the process had gone, some were still missing.

use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use crate::support::{Home, PATIENCE, Random, drain, exit, lines, observation, observations, pair};

/// Moments to be proven, and how many rounds that may take.
const MOMENTS: usize = 20;
const ROUNDS_MAX: usize = 60;

/// Facts a round: large ones, so that they travel in many chunks, each acknowledged by itself.
const FACTS: u64 = 300;
const TEXT_BYTES: usize = 30_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Receiver,
    Sender,
}

#[test]
fn either_side_killed_in_the_middle_of_a_synchronisation_loses_nothing_acknowledged() {
    let (a, b) = pair();
    let mut random = Random(20);
    let mut daemon = b.serve();
    let mut proven = 0;
    for round in 0..ROUNDS_MAX {
        if proven == MOMENTS {
            break;
        }
        a.import(&large(round));
        let (all, before) = (a.held(), b.held());
        let victim = if proven % 2 == 0 {
            Victim::Receiver
        } else {
            Victim::Sender
        };
        let mut sync = Synchronisation::start(&a);
        let target =
            1 + u64::try_from(random.below(usize::try_from(all - before).unwrap() * 3 / 4))
                .unwrap();
        let seen = sync.until(target);
        match victim {
            Victim::Receiver => daemon.kill(),
            Victim::Sender => sync.child.kill().unwrap(),
        }
        let acknowledged = sync.last(seen);
        if victim == Victim::Receiver {
            daemon = b.serve();
        }
        assert!(
            b.held() >= before + acknowledged,
            "{acknowledged} were acknowledged in round {round}"
        );
        assert_eq!(a.held(), all, "the sender keeps what it had");
        proven += usize::from(seen > 0 && acknowledged < all - before);
    }
    assert_eq!(
        proven, MOMENTS,
        "moments between first and last acknowledgement"
    );
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
    for home in [&a, &b] {
        home.ok(&["fact", "verify", "--all"]);
    }
}

#[test]
fn an_import_killed_in_the_middle_keeps_what_it_acknowledged() {
    let home = Home::new("a");
    let mut random = Random(21);
    let count = 20_000;
    let mut proven = 0;
    for round in 0..ROUNDS_MAX {
        if proven == 5 {
            break;
        }
        let file = home.beside("facts.ndjson");
        std::fs::write(&file, observations(&format!("round-{round}"), count)).unwrap();
        let before = home.held();
        let mut child = home.spawn(
            &["-o", "jsonl", "fact", "import", file.to_str().unwrap()],
            Stdio::null(),
        );
        drain(child.stderr.take().unwrap());
        let acknowledged = lines(child.stdout.take().unwrap());
        let target = 1 + random.below(usize::try_from(count).unwrap() / 2);
        let mut ids: Vec<String> = acknowledged
            .iter()
            .take(target)
            .filter_map(|line| id(&line))
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        ids.extend(acknowledged.iter().filter_map(|line| id(&line)));
        let held = home.held() - before;
        assert!(
            held >= u64::try_from(ids.len()).unwrap(),
            "{} acknowledged, {held} held",
            ids.len()
        );
        for id in [ids.first(), ids.last()].into_iter().flatten() {
            home.ok(&["fact", "verify", id]);
        }
        proven += usize::from(!ids.is_empty() && u64::try_from(ids.len()).unwrap() < count);
        // What was cut off is completed by the same import, and only that.
        home.ok(&["fact", "import", file.to_str().unwrap()]);
        assert_eq!(home.held() - before, count);
    }
    assert_eq!(proven, 5, "moments between first and last acknowledgement");
    home.ok(&["fact", "verify", "--all"]);
}

fn id(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    value["id"].as_str().map(str::to_owned)
}

fn large(round: usize) -> String {
    let text = "x".repeat(TEXT_BYTES);
    (0..FACTS)
        .map(|number| observation(&format!("round-{round}/{number}"), json!({ "text": text })))
        .collect()
}

/// A running `sync` that tells what has been acknowledged.
struct Synchronisation {
    child: Child,
    progress: Receiver<String>,
}

impl Synchronisation {
    /// Without a daemon at the sender: this process is the sender.
    fn start(home: &Home) -> Self {
        let mut child = home.spawn(&["-o", "jsonl", "sync", "b", "--push"], Stdio::null());
        drain(child.stderr.take().unwrap());
        let progress = lines(child.stdout.take().unwrap());
        Self { child, progress }
    }

    /// Waits until so many facts are acknowledged; how many were when it looked last.
    fn until(&mut self, target: u64) -> u64 {
        let mut seen = 0;
        while seen < target {
            let Ok(line) = self.progress.recv_timeout(PATIENCE) else {
                break;
            };
            seen = sent(&line).unwrap_or(seen);
        }
        seen
    }

    /// Waits for the end; the last acknowledgement of all.
    fn last(mut self, seen: u64) -> u64 {
        let last = self.progress.iter().filter_map(|line| sent(&line)).last();
        let code = self.child.wait().unwrap().code();
        let last = last.unwrap_or(seen);
        assert!(code != Some(exit::USAGE), "`sync` did not start");
        last
    }
}

fn sent(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?["facts_sent"].as_u64()
}
