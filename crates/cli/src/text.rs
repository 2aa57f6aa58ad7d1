//! Items and summaries as JSON and as text for people. The keys of the JSON are documented in `docs/src/cli.md`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::output::table;
use crate::plain::plain;
use crate::protocol::{
    CheckSummary, CopySummary, CreatedSummary, DigestSummary, FactItem, ImportSummary, InitSummary,
    Item, PeerItem, ReadySummary, Summary, SyncSummary, VerifySummary,
};

/// Digits of an id that people need to tell one from another.
const ID_DIGITS: usize = 12;

impl Item {
    /// Whether it is a result, and not only news of a command that goes on.
    pub(crate) fn is_result(&self) -> bool {
        match self {
            Self::Peer(_) | Self::Fact(_) => true,
            Self::Imported(_) | Self::Moved(_) => false,
        }
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::Peer(peer) => json(peer),
            Self::Fact(fact) => json(fact),
            Self::Imported(imported) => json(imported),
            Self::Moved(moved) => json(moved),
        }
    }

    pub(crate) fn headers(&self) -> &'static [&'static str] {
        match self {
            Self::Peer(_) => &["NAME", "ID", "ADDRESSES", "SEND", "RECEIVE"],
            Self::Fact(_) => &[
                "ID",
                "ORIGIN",
                "TYPE",
                "RESOURCE",
                "VALID FROM",
                "VALID UNTIL",
                "COMPARTMENT",
                "SUPERSEDED",
                "WAITS",
            ],
            Self::Imported(_) | Self::Moved(_) => &[],
        }
    }

    pub(crate) fn cells(&self) -> Vec<String> {
        match self {
            Self::Peer(peer) => peer_cells(peer),
            Self::Fact(fact) => fact_cells(fact),
            Self::Imported(_) | Self::Moved(_) => Vec::new(),
        }
    }
}

fn peer_cells(peer: &PeerItem) -> Vec<String> {
    vec![
        peer.name.clone(),
        short(&peer.id),
        list(&peer.addresses),
        list(&peer.send),
        list(&peer.receive),
    ]
}

fn fact_cells(fact: &FactItem) -> Vec<String> {
    let resource = match fact.aspect.as_str() {
        "" => fact.resource.clone(),
        aspect => format!("{} ({aspect})", fact.resource),
    };
    vec![
        fact.id.clone(),
        fact.origin.clone(),
        fact.fact_type.clone(),
        resource,
        fact.valid_from.clone(),
        fact.valid_until.clone().unwrap_or_else(|| "-".to_owned()),
        fact.compartment.clone(),
        if fact.superseded { "yes" } else { "-" }.to_owned(),
        fact.sight.text().unwrap_or_else(|| "-".to_owned()),
    ]
}

impl Summary {
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::List | Self::Nothing => Ok(String::new()),
            Self::Initialised(summary) => json(summary),
            Self::Ready(summary) => json(summary),
            Self::Status(summary) => json(summary),
            Self::Receipts(summary) => json(summary),
            Self::PeerAdded(peer) | Self::PeerRemoved(peer) => json(peer),
            Self::Imported(summary) => json(summary),
            Self::Fact(summary) => json(summary),
            Self::Verified(summary) => json(summary),
            Self::Synced(summary) => json(summary),
            Self::Digest(summary) => json(summary),
            Self::PolicyChecked(summary) => json(summary),
            Self::PolicyShown(summary) => json(summary),
            Self::PolicyReloaded(summary) => json(summary),
            Self::Explained(summary) => json(summary),
            Self::StoreChecked(summary) => json(summary),
            Self::StoreCopied(summary) => json(summary),
            Self::StoreCreated(summary) => json(summary),
        }
    }

    /// Lines for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::List | Self::Nothing => String::new(),
            Self::Initialised(summary) => initialised(summary),
            Self::Ready(ReadySummary {
                id,
                name,
                listening,
            }) => {
                let [id, name, listening] = [id, name, listening].map(|text| plain(text));
                format!("listening on {listening} as {name} {id}\n")
            }
            Self::Status(summary) => summary.text(),
            Self::Receipts(summary) => summary.text(),
            Self::PeerAdded(peer) => peer_added(peer),
            Self::PeerRemoved(peer) => {
                let name = plain(&peer.name);
                format!("{name} is not a peer any more; what it sent stays\n")
            }
            Self::Imported(summary) => imported(summary),
            Self::Fact(summary) => summary.text(),
            Self::Verified(summary) => verified(summary),
            Self::Synced(summary) => synced(summary),
            Self::Digest(summary) => digest(summary),
            Self::PolicyChecked(summary) => summary.text(),
            Self::PolicyShown(summary) => summary.text(),
            Self::PolicyReloaded(summary) => summary.text(),
            Self::Explained(summary) => summary.text(),
            Self::StoreChecked(summary) => checked(summary),
            Self::StoreCopied(summary) => copied(summary),
            Self::StoreCreated(CreatedSummary { store }) => {
                format!("{} is an empty store now\n", plain(store))
            }
        }
    }
}

fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value)
}

fn initialised(summary: &InitSummary) -> String {
    let InitSummary {
        id,
        name,
        home,
        listen,
        keys,
    } = summary;
    let [id, name, home, listen, keys] = [id, name, home, listen, keys].map(|text| plain(text));
    format!(
        "{name} is set up in {home}\n\n  id      {id}\n  listen  {listen}\n\n\
         Back up {keys} now, to a place that only you can read. Whoever has this file can speak for {name};\n\
         without it nobody can. Back up the facts with `causality store backup FILE`.\n"
    )
}

fn peer_added(peer: &PeerItem) -> String {
    let PeerItem {
        name,
        id,
        send,
        receive,
        ..
    } = peer;
    let way = |compartments: &[String]| match compartments {
        [] => "nothing".to_owned(),
        some => list(some),
    };
    let (send, receive) = (way(send), way(receive));
    let [id, name, send, receive] = [id, name, &send, &receive].map(|text| plain(text));
    format!("{name} {id} is a peer: it is sent {send}, and {receive} is received from it\n")
}

fn imported(summary: &ImportSummary) -> String {
    let ImportSummary {
        lines,
        added,
        known,
        skipped,
    } = summary;
    let mut text = format!("{} added", count(*added, "fact"));
    if *known > 0 {
        let _ = write!(text, ", {known} there already");
    }
    if *skipped > 0 {
        let _ = write!(text, ", {} skipped", count(*skipped, "line"));
    }
    text + &format!(", {} read\n", count(*lines, "line"))
}

fn verified(summary: &VerifySummary) -> String {
    let VerifySummary {
        logs,
        facts,
        fact,
        proven,
        findings,
    } = summary;
    if let Some(proven) = proven {
        return proven.text();
    }
    if let Some(fact) = fact {
        let FactItem {
            id,
            origin,
            fact_type,
            resource,
            ..
        } = fact;
        let [id, resource, fact_type, origin] =
            [id, resource, fact_type, origin].map(|text| plain(text));
        return format!(
            "{resource} is as its origin signed it\n  id      {id}\n  type    {fact_type}\n  origin  {origin}\n"
        );
    }
    if findings.is_empty() {
        let (facts, logs) = (count(*facts, "fact"), count(*logs, "log"));
        return format!("all is as it was signed: {facts} in {logs}\n");
    }
    lines(findings)
}

fn synced(summary: &SyncSummary) -> String {
    let SyncSummary {
        facts_sent,
        facts_received,
        bytes_sent,
        bytes_received,
        round_trips,
        duration_ms,
        problems,
        ..
    } = summary;
    let text = format!(
        "{} sent, {facts_received} received; {} sent, {bytes_received} received, {}, {duration_ms:.1} ms\n",
        count(*facts_sent, "fact"),
        count(*bytes_sent, "byte"),
        count((*round_trips).into(), "round trip"),
    );
    match problems.len() {
        0 => text,
        problems => format!("{text}not up to date: {}\n", count(problems as u64, "log")),
    }
}

fn digest(summary: &DigestSummary) -> String {
    let rows = summary.logs.iter().map(|log| {
        vec![
            short(&log.origin),
            log.compartment.clone(),
            short(&log.lane),
            log.size.to_string(),
            short(&log.root),
            log.held.to_string(),
            short(&log.held_digest),
        ]
    });
    let header = [
        "ORIGIN",
        "COMPARTMENT",
        "LANE",
        "SIZE",
        "ROOT",
        "HELD",
        "HELD DIGEST",
    ];
    format!(
        "{}digest {}\n",
        table(Some(&header), rows),
        plain(&summary.digest)
    )
}

fn checked(summary: &CheckSummary) -> String {
    let CheckSummary {
        rows,
        segments,
        findings,
        finding_count,
        ..
    } = summary;
    if *finding_count == 0 {
        let (rows, segments) = (count(*rows, "fact"), count(*segments, "segment"));
        return format!("the store is sound: {rows} in {segments}\n");
    }
    format!("{}{}\n", lines(findings), count(*finding_count, "finding"))
}

/// How many there are of what a noun names.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

fn copied(summary: &CopySummary) -> String {
    let CopySummary {
        from,
        to,
        bytes,
        kept,
    } = summary;
    let [from, to] = [from, to].map(|path| plain(path));
    let mut text = format!("copied {from} to {to}: {}\n", count(*bytes, "byte"));
    if let Some(kept) = kept {
        let _ = writeln!(text, "what was there is kept as {}", plain(kept));
    }
    text
}

fn lines(findings: &[String]) -> String {
    findings
        .iter()
        .map(|finding| format!("{}\n", plain(finding)))
        .collect()
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

pub(crate) fn short(id: &str) -> String {
    id.get(..ID_DIGITS).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        CheckpointItem, DigestLog, ImportedItem, MovedItem, PeerLog, ProblemKind, ProvenSummary,
        Sight, StatusLog, StatusPeer, StatusSummary, SyncProblem,
    };
    use insta::assert_snapshot;
    use serde_json::Value;

    fn id(digit: &str) -> String {
        digit.repeat(64)
    }

    fn peer() -> PeerItem {
        PeerItem {
            name: "b".into(),
            id: id("b"),
            addresses: vec!["127.0.0.1:4772".into()],
            send: vec!["public".into()],
            receive: Vec::new(),
        }
    }

    fn log() -> DigestLog {
        DigestLog {
            origin: id("a"),
            compartment: "public".into(),
            lane: "1".repeat(32),
            size: 7,
            root: id("c"),
            held: 7,
            held_digest: "2".repeat(32),
        }
    }

    fn home() -> Summary {
        let log = StatusLog {
            origin: id("a"),
            origin_name: Some("a".into()),
            compartment: "public".into(),
            lane: "1".repeat(32),
            facts: 7,
            partial: 2,
            withheld: 3,
            completeness: "attested".into(),
        };
        let its_log = PeerLog {
            origin: id("a"),
            origin_name: Some("a".into()),
            compartment: "public".into(),
            lane: "1".repeat(32),
            wanted: Some(true),
            lag_facts: Some(2),
            lag_seconds: Some(1.25),
            missing_here: 4,
        };
        let connected = Some("127.0.0.1:4772".into());
        Summary::Status(StatusSummary {
            id: id("a"),
            name: "a".into(),
            home: "/srv/a".into(),
            serving: true,
            listen: "127.0.0.1:4771".into(),
            facts: 7,
            bytes_sent: 900,
            bytes_received: 80,
            logs: vec![log],
            peers: vec![StatusPeer {
                name: "b".into(),
                id: id("b"),
                connected,
                logs: vec![its_log],
            }],
        })
    }

    fn moved() -> Summary {
        Summary::Synced(SyncSummary {
            facts_sent: 3,
            facts_received: 1,
            bytes_sent: 500,
            bytes_received: 100,
            mtu_probe_bytes: 50,
            round_trips: 2,
            duration_ms: 1.5,
            problems: vec![SyncProblem {
                origin: id("a"),
                origin_name: Some("a".into()),
                compartment: Some("public".into()),
                lane: "1".repeat(32),
                kind: ProblemKind::Forked,
                message: "m".into(),
            }],
        })
    }

    #[test]
    fn one_is_not_many() {
        let counts = [0, 1, 2].map(|number| count(number, "fact"));
        assert_eq!(counts, ["0 facts", "1 fact", "2 facts"]);
    }

    fn json(summary: &Summary) -> String {
        summary.json().unwrap()
    }

    #[test]
    fn the_keys_of_items_are_those_that_are_documented() {
        let keys = |item: Item| item.json().unwrap();
        assert_snapshot!(keys(Item::Peer(peer())), @r#"{"name":"b","id":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","addresses":["127.0.0.1:4772"],"send":["public"],"receive":[]}"#);
        let imported = ImportedItem {
            id: "a".into(),
            line: 3,
            known: false,
        };
        assert_snapshot!(keys(Item::Imported(imported)), @r#"{"id":"a","line":3,"known":false}"#);
        let so_far = MovedItem {
            facts_sent: 2,
            facts_received: 1,
        };
        assert_snapshot!(keys(Item::Moved(so_far)), @r#"{"facts_sent":2,"facts_received":1}"#);
    }

    #[test]
    fn the_keys_of_results_are_those_that_are_documented() {
        let (id, name) = ("a".to_owned(), "n".to_owned());
        let new = InitSummary {
            id: id.clone(),
            name: name.clone(),
            home: "/h".into(),
            listen: "l:1".into(),
            keys: "/h/keys".into(),
        };
        assert_snapshot!(json(&Summary::Initialised(new)), @r#"{"id":"a","name":"n","home":"/h","listen":"l:1","keys":"/h/keys"}"#);
        let ready = ReadySummary {
            id,
            name,
            listening: "l:1".into(),
        };
        assert_snapshot!(json(&Summary::Ready(ready)), @r#"{"id":"a","name":"n","listening":"l:1"}"#);
        assert_snapshot!(json(&home()), @r#"{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","name":"a","home":"/srv/a","serving":true,"listen":"127.0.0.1:4771","facts":7,"bytes_sent":900,"bytes_received":80,"logs":[{"origin":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","origin_name":"a","compartment":"public","lane":"11111111111111111111111111111111","facts":7,"partial":2,"withheld":3,"completeness":"attested"}],"peers":[{"name":"b","id":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","connected":"127.0.0.1:4772","logs":[{"origin":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","origin_name":"a","compartment":"public","lane":"11111111111111111111111111111111","wanted":true,"lag_facts":2,"lag_seconds":1.25,"missing_here":4}]}]}"#);
        let import = ImportSummary {
            lines: 4,
            added: 2,
            known: 1,
            skipped: 1,
        };
        assert_snapshot!(json(&Summary::Imported(import)), @r#"{"lines":4,"added":2,"known":1,"skipped":1}"#);
        assert_snapshot!(json(&moved()), @r#"{"facts_sent":3,"facts_received":1,"bytes_sent":500,"bytes_received":100,"mtu_probe_bytes":50,"round_trips":2,"duration_ms":1.5,"problems":[{"origin":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","origin_name":"a","compartment":"public","lane":"11111111111111111111111111111111","kind":"forked","message":"m"}]}"#);
        let digest = DigestSummary {
            logs: vec![log()],
            digest: "d".into(),
        };
        assert_snapshot!(json(&Summary::Digest(digest)), @r#"{"logs":[{"origin":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","compartment":"public","lane":"11111111111111111111111111111111","size":7,"root":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","held":7,"held_digest":"22222222222222222222222222222222"}],"digest":"d"}"#);
        let check = CheckSummary {
            rows: 7,
            withheld: 0,
            segments: 1,
            findings: Vec::new(),
            finding_count: 0,
        };
        assert_snapshot!(json(&Summary::StoreChecked(check)), @r#"{"rows":7,"withheld":0,"segments":1,"findings":[],"finding_count":0}"#);
        let copy = CopySummary {
            from: "x".into(),
            to: "y".into(),
            bytes: 9,
            kept: Some("z".into()),
        };
        assert_snapshot!(json(&Summary::StoreCopied(copy)), @r#"{"from":"x","to":"y","bytes":9,"kept":"z"}"#);
        let created = CreatedSummary { store: "s".into() };
        assert_snapshot!(json(&Summary::StoreCreated(created)), @r#"{"store":"s"}"#);
    }

    #[test]
    fn people_read_lines_and_tables() {
        assert_snapshot!(home().text(), @r"
        a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          home    /srv/a
          daemon  listening on 127.0.0.1:4771
          facts   7
          wire    900 bytes sent, 80 received

        ORIGIN  COMPARTMENT  LANE          FACTS  IN PART  WITHHELD  COMPLETENESS
        a       public       111111111111  7      2        3         attested

        PEER  ID            CONNECTED       LAG
        b     bbbbbbbbbbbb  127.0.0.1:4772  2 facts, 1.2 s
        ");
        assert_snapshot!(moved().text(), @r"
        3 facts sent, 1 received; 500 bytes sent, 100 received, 2 round trips, 1.5 ms
        not up to date: 1 log
        ");
        let added = Summary::PeerAdded(peer()).text();
        assert_snapshot!(added, @"b bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb is a peer: it is sent public, and nothing is received from it");
    }

    /// Text as somebody might put it into a fact to write on the terminals of others.
    const HOSTILE: &str = "\u{1b}[31m\r\n\u{9b}2J\u{202e}\u{7f}";

    /// One of each result, with what others have a say in.
    fn every_summary() -> Vec<Summary> {
        let (fact, text) = (crate::tests::shown(), || "x".to_owned());
        let item = FactItem {
            id: id("a"),
            origin: text(),
            fact_type: text(),
            resource: text(),
            aspect: text(),
            valid_from: text(),
            valid_until: Some(text()),
            compartment: text(),
            superseded: true,
            sight: Sight {
                waits_for: vec![text()],
                ..Sight::default()
            },
        };
        let verified = |fact, proven, findings| {
            Summary::Verified(VerifySummary {
                logs: 1,
                facts: 1,
                fact,
                proven,
                findings,
            })
        };
        let proven = ProvenSummary {
            fact: fact.clone(),
            checkpoint: CheckpointItem {
                size: 1,
                root: text(),
                signed: text(),
                epoch: 0,
            },
        };
        vec![
            Summary::List,
            Summary::Nothing,
            Summary::Initialised(InitSummary {
                id: text(),
                name: text(),
                home: text(),
                listen: text(),
                keys: text(),
            }),
            Summary::Ready(ReadySummary {
                id: text(),
                name: text(),
                listening: text(),
            }),
            home(),
            Summary::PeerAdded(peer()),
            Summary::PeerRemoved(peer()),
            Summary::Imported(ImportSummary {
                lines: 1,
                added: 1,
                known: 1,
                skipped: 1,
            }),
            Summary::Fact(Box::new(fact)),
            verified(Some(item), None, Vec::new()),
            verified(None, Some(Box::new(proven)), Vec::new()),
            verified(None, None, vec![text(), text()]),
            moved(),
            Summary::Digest(DigestSummary {
                logs: vec![log()],
                digest: text(),
            }),
            Summary::StoreChecked(CheckSummary {
                rows: 1,
                withheld: 0,
                segments: 1,
                findings: vec![text()],
                finding_count: 1,
            }),
            Summary::StoreCopied(CopySummary {
                from: text(),
                to: text(),
                bytes: 1,
                kept: Some(text()),
            }),
            Summary::StoreCreated(CreatedSummary { store: text() }),
            crate::policy::tests::checked(),
            crate::policy::tests::shown(),
            crate::policy::tests::reloaded(),
            crate::explain::tests::explained(),
            crate::receipts::tests::receipts(),
        ]
    }

    /// The kinds of results: a new one does not compile before it has a number here, and a sample above.
    fn kind(summary: &Summary) -> usize {
        match summary {
            Summary::List => 0,
            Summary::Nothing => 1,
            Summary::Initialised(_) => 2,
            Summary::Ready(_) => 3,
            Summary::Status(_) => 4,
            Summary::PeerAdded(_) => 5,
            Summary::PeerRemoved(_) => 6,
            Summary::Imported(_) => 7,
            Summary::Fact(_) => 8,
            Summary::Verified(_) => 9,
            Summary::Synced(_) => 10,
            Summary::Digest(_) => 11,
            Summary::StoreChecked(_) => 12,
            Summary::StoreCopied(_) => 13,
            Summary::StoreCreated(_) => 14,
            Summary::PolicyChecked(_) => 15,
            Summary::PolicyShown(_) => 16,
            Summary::PolicyReloaded(_) => 17,
            Summary::Explained(_) => 18,
            Summary::Receipts(_) => 19,
        }
    }

    /// The same with every text made hostile, and the names of fields.
    fn hostile<T: Serialize + serde::de::DeserializeOwned>(of: &T) -> T {
        fn spoil(value: &mut Value, is_content: bool) {
            match value {
                Value::String(text) => text.push_str(HOSTILE),
                Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, is_content)),
                Value::Object(members) => {
                    for (name, mut member) in std::mem::take(members) {
                        if name != "kind" {
                            spoil(&mut member, is_content || name == "content");
                        }
                        let name = if is_content { name + HOSTILE } else { name };
                        members.insert(name, member);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut value = serde_json::to_value(of).unwrap();
        // A variant without fields is its name.
        if !value.is_string() {
            spoil(&mut value, false);
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn nothing_that_others_say_has_power_over_a_terminal() {
        let summaries = every_summary();
        let kinds: std::collections::BTreeSet<_> = summaries.iter().map(kind).collect();
        assert!(kinds.into_iter().eq(0..20), "a result without a sample");
        let is_harmless = |text: &str| plain(&text.replace('\n', "")) == text.replace('\n', "");
        for summary in summaries {
            let (text, spoilt) = (summary.text(), hostile(&summary).text());
            assert!(is_harmless(&spoilt), "{spoilt:?}");
            assert_eq!(spoilt.lines().count(), text.lines().count(), "{spoilt:?}");
            let has_text = !matches!(
                summary,
                Summary::List | Summary::Nothing | Summary::Imported(_) | Summary::Synced(_)
            );
            assert_eq!(spoilt.contains("\\u{1b}"), has_text, "{spoilt:?}");
        }
        let fact = match &every_summary()[9] {
            Summary::Verified(VerifySummary {
                fact: Some(fact), ..
            }) => fact.clone(),
            other => panic!("no fact in {other:?}"),
        };
        for item in [Item::Peer(peer()), Item::Fact(fact)] {
            let spoilt = table(Some(item.headers()), [hostile(&item).cells()]);
            assert!(is_harmless(&spoilt), "{spoilt:?}");
            assert_eq!(spoilt.lines().count(), 2, "{spoilt:?}");
        }
    }
}
