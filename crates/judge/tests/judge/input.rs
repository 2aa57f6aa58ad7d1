//! What is no history is refused with its line and what was expected.

use std::io::{self, BufRead, BufReader, Read};

use causality_judge::history::{AtLeast, Entry, Event, Kept, Mode, Rule, Span, Window};
use causality_judge::{
    BadHistory, HistoryError, Judge, KeyError, KeyLog, LINE_BYTES_MAX, LogId, TextError, judge,
};

use crate::world::{World, key_log};

const HEADER: &str = r#"{"causality_history":0,"seed":1,"domains":1,"mode":"safety"}"#;
const LIVENESS: &str = r#"{"causality_history":0,"seed":1,"domains":1,"mode":"liveness"}"#;
const END: &str = r#"{"at":9,"event":"end"}"#;

fn refused(lines: &[&str]) -> BadHistory {
    judge(lines.join("\n").as_bytes()).unwrap_err()
}

/// A line at node `n`, with keys behind the event.
fn line(at: u64, event: &str, keys: &str) -> String {
    format!(r#"{{"at":{at},"node":"n","event":"{event}"{keys}}}"#)
}

fn started() -> String {
    let domain = "00".repeat(32);
    line(1, "started", &format!(r#","domain":"{domain}""#))
}

fn log() -> String {
    let hex = |bytes: usize| "00".repeat(bytes);
    format!("{}/{}/{}", hex(32), hex(16), hex(16))
}

/// The error of the last of some lines behind header and start.
fn misplaced(lines: &[&str]) -> HistoryError {
    let started = started();
    let all = [&[HEADER, &started], lines].concat();
    let bad = refused(&all);
    assert_eq!(bad.line, all.len() as u64, "{bad}");
    bad.error
}

#[test]
fn nothing_is_no_history() {
    let bad = judge(io::empty()).unwrap_err();
    assert_eq!((bad.line, bad.error), (1, HistoryError::Empty));
}

#[test]
fn a_version_that_is_not_known_is_refused() {
    let bad = refused(&[&HEADER.replace(":0", ":7"), END]);
    assert_eq!((bad.line, bad.error), (1, HistoryError::UnknownVersion(7)));
}

#[test]
fn a_history_that_was_cut_off_is_refused() {
    let bad = refused(&[HEADER, &started()]);
    assert_eq!((bad.line, bad.error), (3, HistoryError::CutOff));
    assert!(bad_text(&[HEADER]).contains("line 2: expected `end`"));
}

fn bad_text(lines: &[&str]) -> String {
    refused(lines).to_string()
}

#[test]
fn whatever_follows_the_end_is_refused() {
    let bad = refused(&[HEADER, END, END]);
    assert_eq!((bad.line, bad.error), (3, HistoryError::AfterEnd));
}

#[test]
fn time_that_runs_back_is_refused() {
    let early = END.replace('9', "0");
    let bad = refused(&[HEADER, &started(), &early]);
    let error = HistoryError::TimeRunsBack { before: 1, at: 0 };
    assert_eq!((bad.line, bad.error), (3, error));
}

#[test]
fn an_event_of_a_node_names_it() {
    let crashed = r#"{"at":1,"event":"crashed"}"#;
    assert_eq!(refused(&[HEADER, crashed]).error, HistoryError::NodeMissing);
    let end = line(1, "end", "");
    assert_eq!(refused(&[HEADER, &end]).error, HistoryError::NodeUnexpected);
    let healed = line(1, "healed", "");
    assert_eq!(
        refused(&[HEADER, &healed]).error,
        HistoryError::NodeUnexpected
    );
}

#[test]
fn a_node_that_has_not_started_is_refused() {
    let crashed = line(1, "crashed", "");
    let unknown = |name: &str| HistoryError::UnknownNode(name.to_owned());
    assert_eq!(refused(&[HEADER, &crashed]).error, unknown("n"));
    let meets = line(2, "meets", r#","peer":"m","compartments":[]"#);
    assert_eq!(misplaced(&[&meets]), unknown("m"));
}

/// A line that serde refuses, and what its message says.
fn malformed(text: &str, expected: &str) {
    let bad = refused(&[HEADER, text]);
    assert_eq!(bad.line, 2);
    let HistoryError::Malformed(what) = &bad.error else {
        panic!("{bad}");
    };
    assert!(what.contains(expected), "{what}");
    assert!(bad.to_string().starts_with("line 2: "), "{bad}");
}

#[test]
fn a_line_says_what_was_expected() {
    malformed(" ", "EOF while parsing a value");
    malformed("{", "EOF while parsing an object");
    malformed("[]", "expected");
    malformed("{} {}", "missing field `at`");
    malformed(
        r#"{"at":1,"event":"end"} 7"#,
        "trailing characters (column 24)",
    );
    malformed(r#"{"at":1}"#, "missing field `event`");
    malformed(r#"{"at":-1,"event":"end"}"#, "expected u64");
    malformed(
        r#"{"at":1,"event":"exploded"}"#,
        "unknown variant `exploded`",
    );
    malformed(r#"{"at":1,"event":"end","why":1}"#, "unknown field `why`");
    malformed(&line(1, "started", ""), "missing field `domain`");
    malformed(
        &line(1, "dumped", r#","final":"yes""#),
        "expected a boolean",
    );
    let twice = r#"{"at":1,"at":2,"event":"end"}"#;
    malformed(twice, "duplicate field `at`");
    let bad = judge(&b"{\"causality_history\":0,\"seed\":1,\"domains\":1,\"mode\":\"\xff\"}"[..]);
    assert!(matches!(bad.unwrap_err().error, HistoryError::Malformed(_)));
    let header = HEADER.replace("safety", "hope");
    assert!(
        bad_text(&[&header]).contains("unknown variant `hope`, expected `liveness` or `safety`")
    );
    assert!(bad_text(&[END]).contains("unknown field `at`"));
}

#[test]
fn bytes_and_ids_say_what_was_expected() {
    let domain = |text: &str| line(1, "started", &format!(r#","domain":"{text}""#));
    malformed(&domain("0"), "lower-case hexadecimal");
    malformed(&domain("AB"), "lower-case hexadecimal");
    malformed(&domain("ab"), "expected 32 bytes of hexadecimal, found 1");
    let stopped = |log: &str| line(1, "lane_stopped", &format!(r#","log":"{log}""#));
    malformed(&stopped("00"), "ORIGIN/COMPARTMENT/LANE");
    malformed(&stopped(&(log() + "/")), "ORIGIN/COMPARTMENT/LANE");
    let rows = |row: &str| line(1, "rows", &format!(r#","from":0,"rows":["{row}"]"#));
    malformed(&rows("63:00"), "LEVEL:HASH");
    malformed(&rows("0:00"), "expected 32 bytes");
    malformed(&rows("x"), "lower-case hexadecimal");
    let length = TextError::Length {
        expected: 32,
        found: 1,
    };
    assert_eq!("00/00/00".parse::<LogId>(), Err(length));
    assert_eq!("00".parse::<LogId>(), Err(TextError::NotALog));
    assert_eq!(
        ":".parse::<causality_judge::Stored>(),
        Err(TextError::NotALevel)
    );
    assert_eq!(
        "0".parse::<causality_judge::Bytes>(),
        Err(TextError::NotHex)
    );
}

#[test]
fn what_cannot_happen_is_refused_with_what_was_expected() {
    let check = |lines: &[&str], expected: &str| {
        let HistoryError::Misplaced(found) = misplaced(lines) else {
            panic!("{lines:?}");
        };
        assert!(found.contains(expected), "{found}");
    };
    let event = |event: &str, keys: &str| line(5, event, keys);
    let bare = |name: &str| event(name, "");
    let restored = event("restored", r#","taken_at":1,"marked":true,"logs":[]"#);
    let note = event("note", r#","text":"rain""#);
    let appended = event(
        "appended",
        &format!(
            r#","request":1,"compartment":"{}","facts":1"#,
            "00".repeat(16)
        ),
    );
    let acknowledged = event("acknowledged", r#","request":1,"facts":[]"#);
    let meets = event("meets", r#","peer":"n","compartments":[]"#);
    let met = event("met", r#","peer":"n""#);
    let holds = event(
        "holds",
        &format!(
            r#","log":"{}","size":0,"checkpoint":null,"records":[],"completeness":"incomplete""#,
            log()
        ),
    );
    let rows = |from: u64| event("rows", &format!(r#","from":{from},"rows":["00","00"]"#));
    let dumped = event("dumped", r#","final":false"#);
    let dumped_last = event("dumped", r#","final":true"#);
    let [crashed, stopped, restarted, left] = ["crashed", "stopped", "restarted", "left"].map(bare);

    let obeys = bare("obeys");

    check(&[&started()], "starts once");
    check(&[&crashed, &obeys], "does not run");
    check(&[&restarted], "the node runs");
    check(&[&restored], "the node runs");
    check(&[&crashed, &crashed], "does not run");
    check(&[&stopped, &appended], "does not run");
    check(&[&crashed, &restored, &met], "does not run");
    check(&[&left, &note, &crashed], "has left");
    check(&[&dumped_last, &note, &crashed], "last dump");
    check(&[&holds, &crashed], "one moment");
    check(&[&holds, &holds], "a log once");
    check(&[&rows(0)], "follow the `holds`");
    check(&[&holds, &rows(0), &rows(1)], "go on behind");
    check(&[&holds, &dumped, &rows(0)], "follow the `holds`");
    check(&[&holds, &rows(1 << 48)], "2^48");
    check(&[&appended, &appended], "number of its own");
    check(&[&acknowledged], "request that is open");
    check(
        &[&appended, &crashed, &restarted, &acknowledged],
        "request that is open",
    );
    check(&[&met], "follows its `meets`");
    check(&[&meets, &met, &met], "follows its `meets`");
    check(&[END], "dumped with `final`");
    let healed = r#"{"at":5,"event":"healed"}"#;
    check(&[healed, healed], "heals once");
    let bad = refused(&[LIVENESS, END]);
    assert!(bad.to_string().contains("has `healed`"), "{bad}");
}

#[test]
fn lines_up_to_the_limit_are_read() {
    let of_length = |length: u64| {
        let end = r#"{"at":9,"event":"end"}"#.as_bytes();
        let spaces = io::repeat(b' ').take(length - end.len() as u64 - 1);
        let header = format!("{HEADER}\n");
        let text = io::Cursor::new(header)
            .chain(spaces)
            .chain(end)
            .chain(&b"\n"[..]);
        judge(BufReader::new(text))
    };
    assert!(of_length(LINE_BYTES_MAX).unwrap().is_clean());
    let bad = of_length(LINE_BYTES_MAX + 1).unwrap_err();
    assert_eq!((bad.line, bad.error), (2, HistoryError::LineTooLong));
}

#[test]
fn an_input_that_fails_is_told() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let text = io::Cursor::new(format!("{HEADER}\n")).chain(Failing);
    let bad = judge(BufReader::new(text)).unwrap_err();
    let error = HistoryError::Io(io::ErrorKind::ConnectionReset);
    assert_eq!((bad.line, bad.error), (2, error));
}

#[test]
fn every_event_is_read_as_it_was_written() {
    let mut world = World::new(Mode::Liveness, &["a", "b"]);
    world.append("a");
    world.sync("a", "b");
    let (log, sets) = (world.lane("a"), [vec![Span(0, 1)], vec![], vec![]]);
    let stated = world.state("a", (log, 1), world.domain("b"), sets);
    world.held("b", "a").stated = Some(stated);
    world.read("b");
    let backup = world.backup("a");
    world.restore("a", &backup, true);
    let (log, peer) = (world.lane("a"), Some("b".to_owned()));
    let withheld = format!("3:{}", "ab".repeat(32));
    let text = "rain".to_owned();
    let window = Window {
        from: Some(1),
        until: None,
    };
    let at_least = AtLeast {
        field: "n".to_owned(),
        least: -2,
    };
    for event in [
        Event::Policy {
            peer: log.origin,
            out: vec![Rule {
                labels: Some(vec!["red".to_owned()]),
                in_force: Some(window),
                ..Rule::all_of(log.compartment)
            }],
            kept: vec![Kept {
                of: Rule {
                    at_least: Some(at_least),
                    ..Rule::all_of(log.compartment)
                },
                fields: Some(vec!["n".to_owned()]),
            }],
            taken: vec![Rule::all_of(log.compartment)],
        },
        Event::Obeys {},
        Event::Clock { shows: 7, rate: 0 },
        Event::Stopped {},
        Event::Left {},
        Event::Note { text },
        Event::LaneStopped { log, peer },
        Event::ForkNoticed { log, peer: None },
        Event::Rows {
            from: 2,
            rows: vec![withheld.parse().unwrap()],
        },
    ] {
        world.push("a", event);
    }
    world.end();
    let lines: Vec<Entry> = world
        .text()
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, world.entries);
    assert!(world.text().as_bytes().lines().count() > 30);
}

#[test]
fn a_world_can_be_judged_while_it_runs() {
    let mut world = World::new(Mode::Safety, &["a"]);
    world.append("a");
    world.store("a").clear();
    world.dump("a", false);
    let mut judge = Judge::new(world.header).unwrap();
    for entry in &world.entries {
        judge.observe(entry).unwrap();
    }
    assert_eq!(judge.violations()[0].rule, "acknowledged_is_held");
    assert_eq!(judge.finish().unwrap_err(), HistoryError::CutOff);
}

#[test]
fn a_key_log_has_at_most_1024_records() {
    let records = key_log(1025);
    let verify = |count: usize| KeyLog::verify(records[..count].iter().map(Vec::as_slice));
    assert!(verify(1024).is_ok());
    assert_eq!(verify(1025).err(), Some(KeyError::TooManyRecords));
}
