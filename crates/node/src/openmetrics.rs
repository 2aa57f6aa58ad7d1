//! Writes where a node stands and what it counts in the text format of OpenMetrics 1.0, as monitoring systems read it.

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_sync::Completeness;
use causality_sync::Counts;
use causality_sync::Histogram;
use causality_sync::PeerMetrics;
use causality_sync::SyncMetrics;
use causality_sync::Traffic;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fmt::Write as _;

use crate::config::PeerConfig;
use crate::error::NodeError;
use crate::node::Node;
use crate::node::Status;
use crate::standing::Lag;
use crate::standing::LogHoldings;

/// The media type of [`Node::openmetrics`].
pub const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Of how many logs the text tells what is held; a gauge tells how many are left out.
pub const LOGS_MAX: usize = 1024;
/// Of how many pairs of a peer and a log the text tells the lag: those with the largest.
pub const LAGS_MAX: usize = 4096;

/// The value of the label `peer` for all that have no counters of their own.
const OTHERS: &str = "(others)";

impl Node {
    /// Where the node stands and what it has counted, as the text of OpenMetrics 1.0.
    ///
    /// # Errors
    ///
    /// When the store fails, or the node has stopped.
    pub async fn openmetrics(&self) -> Result<String, NodeError> {
        let snapshot = Snapshot {
            status: self.status().await?,
            logs: self.holdings().await?,
            lags: self.lags().await?,
            counted: self.metrics().await?,
            now_ms: self.now_ms(),
        };
        Ok(snapshot.text())
    }
}

/// What is written.
struct Snapshot {
    status: Status,
    logs: Vec<LogHoldings>,
    lags: Vec<Lag>,
    counted: SyncMetrics,
    now_ms: u64,
}

impl Snapshot {
    fn text(mut self) -> String {
        let names = names(&self.status.peers);
        let left_out = [
            ("lags", self.lags.len().saturating_sub(LAGS_MAX)),
            ("logs", self.logs.len().saturating_sub(LOGS_MAX)),
        ];
        let logs = self.logs.iter();
        let compartments = logs.map(|held| (held.log, held.compartment.clone()));
        let compartments: BTreeMap<_, _> = compartments.collect();
        self.logs.truncate(LOGS_MAX);
        let unconfirmed = |lag: &Lag| lag.unconfirmed.map(|unconfirmed| unconfirmed.facts);
        self.lags.sort_by_key(|lag| Reverse(unconfirmed(lag)));
        self.lags.truncate(LAGS_MAX);

        let mut text = Text::default();
        self.write_node(&mut text, &names);
        text.family(&LEFT_OUT);
        for (of, count) in left_out {
            text.sample("", &[("of", of)], count);
        }
        self.write_logs(&mut text);
        self.write_lags(&mut text, &names, &compartments);
        self.write_counted(&mut text, &names);
        text.finish()
    }

    fn write_node(&self, to: &mut Text, names: &BTreeMap<DomainId, String>) {
        let status = &self.status;
        to.family(&UDP_BYTES);
        to.sample("_total", &[("direction", "sent")], status.bytes_sent);
        let received = [("direction", "received")];
        to.sample("_total", &received, status.bytes_received);
        to.family(&PEER_CONNECTED);
        for (peer, address) in &status.peers {
            let name = name_of(names, peer.domain);
            to.sample("", &[("peer", &name)], u8::from(address.is_some()));
        }
    }

    fn write_logs(&self, to: &mut Text) {
        to.family(&LOG_POSITIONS);
        for held in &self.logs {
            let labels = LogLabels::new(&held.log, &held.compartment);
            let whole = held.size.saturating_sub(held.partial + held.hidden);
            for (how, positions) in [
                ("whole", whole),
                ("part", held.partial),
                ("hash", held.hidden),
            ] {
                to.sample("", &labels.and(&[("held", how)]), positions);
            }
        }
        to.family(&LOG_COMPLETENESS);
        for held in &self.logs {
            let labels = LogLabels::new(&held.log, &held.compartment);
            for (state, word) in [
                (Completeness::Attested, "attested"),
                (Completeness::Incomplete, "incomplete"),
                (Completeness::Proven, "proven"),
            ] {
                let labels = labels.and(&[(LOG_COMPLETENESS.name, word)]);
                to.sample("", &labels, u8::from(state == held.completeness));
            }
        }
    }

    fn write_lags(
        &self,
        to: &mut Text,
        names: &BTreeMap<DomainId, String>,
        compartments: &BTreeMap<LogId, String>,
    ) {
        for family in [&LAG_FACTS, &LAG_SECONDS, &MISSING_POSITIONS] {
            to.family(family);
            for lag in &self.lags {
                let compartment = compartments.get(&lag.log).map_or("", |name| name);
                let labels = LogLabels::new(&lag.log, compartment);
                let peer = name_of(names, lag.peer);
                let labels = labels.and(&[("peer", &peer)]);
                // What a peer has not said is not known, and what it does not want it does not lack.
                let unconfirmed = lag.unconfirmed.filter(|unconfirmed| unconfirmed.is_wanted);
                if family.name == MISSING_POSITIONS.name {
                    to.sample("", &labels, lag.missing_here);
                    continue;
                }
                let Some(unconfirmed) = unconfirmed else {
                    continue;
                };
                if family.name == LAG_FACTS.name {
                    to.sample("", &labels, unconfirmed.facts);
                    continue;
                }
                let said_ms = unconfirmed.oldest.map(|said| said.millis());
                let nothing = (unconfirmed.facts == 0).then_some(self.now_ms);
                if let Some(since_ms) = said_ms.or(nothing) {
                    let ms = self.now_ms.saturating_sub(since_ms);
                    let seconds = format_args!("{}.{:03}", ms / 1000, ms % 1000);
                    to.sample("", &labels, seconds);
                }
            }
        }
    }

    fn write_counted(&self, to: &mut Text, names: &BTreeMap<DomainId, String>) {
        let named = self.counted.peers();
        let named = named.map(|(peer, counted)| (name_of(names, peer), counted));
        let mut all: Vec<_> = named.collect();
        if *self.counted.others() != PeerMetrics::default() {
            all.push((OTHERS.to_owned(), self.counted.others()));
        }
        for (family, number) in &NUMBERS {
            to.family(family);
            for (peer, counted) in &all {
                to.sample("_total", &[("peer", peer)], number(counted));
            }
        }
        for (family, label, counts) in &COUNTS {
            to.family(family);
            for (peer, counted) in &all {
                for (what, count) in counts(counted).iter() {
                    to.sample("_total", &[("peer", peer), (label, what)], count);
                }
            }
        }
        for (family, number) in &TRAFFIC {
            to.family(family);
            for (peer, counted) in &all {
                for (direction, traffic) in ways(counted) {
                    let labels = [("peer", &peer[..]), ("direction", direction)];
                    to.sample("_total", &labels, number(traffic));
                }
            }
        }
        to.family(&BATCH_FACTS);
        for (peer, counted) in &all {
            for (direction, traffic) in ways(counted) {
                let labels = [("peer", &peer[..]), ("direction", direction)];
                to.histogram(&labels, &traffic.batches);
            }
        }
    }
}

fn ways(counted: &PeerMetrics) -> [(&'static str, &Traffic); 2] {
    [("sent", &counted.sent), ("received", &counted.received)]
}

/// What each peer is called in the text, so that no two are called the same: one whose name another has, or that might be
/// taken for an id or for [`OTHERS`], is not in it.
fn names(peers: &[(PeerConfig, Option<String>)]) -> BTreeMap<DomainId, String> {
    let mut taken = BTreeSet::from([OTHERS]);
    let mut names = BTreeMap::new();
    for (PeerConfig { domain, name, .. }, _) in peers {
        if name.parse::<DomainId>().is_err() && taken.insert(name) {
            names.insert(*domain, name.clone());
        }
    }
    names
}

/// The name of a peer, or its id.
fn name_of(names: &BTreeMap<DomainId, String>, peer: DomainId) -> String {
    names
        .get(&peer)
        .map_or_else(|| peer.to_string(), String::clone)
}

/// The labels that say which log is meant.
struct LogLabels<'a> {
    origin: String,
    compartment: &'a str,
    lane: String,
}

impl<'a> LogLabels<'a> {
    fn new(log: &LogId, compartment: &'a str) -> Self {
        Self {
            origin: log.origin.to_string(),
            compartment,
            lane: log.lane.to_string(),
        }
    }

    /// Them, and others behind them.
    fn and<'b>(&'b self, others: &[(&'b str, &'b str)]) -> Vec<(&'b str, &'b str)> {
        let own = [
            ("origin", &self.origin[..]),
            ("compartment", self.compartment),
            ("lane", &self.lane[..]),
        ];
        own.iter().chain(others).copied().collect()
    }
}

/// A family of samples. One with a unit ends in its name.
struct Family {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    let kind = "counter";
    Family {
        name,
        kind,
        unit,
        help,
    }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    let kind = "gauge";
    Family {
        name,
        kind,
        unit,
        help,
    }
}

/// The text, family by family.
#[derive(Debug, Default)]
struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// All samples up to the next family are of this one.
    fn family(&mut self, family: &Family) {
        let Family {
            name,
            kind,
            unit,
            help,
        } = family;
        self.family = name;
        self.line(format_args!("# TYPE {name} {kind}"));
        if !unit.is_empty() {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let family = self.family;
        self.line(format_args!("{family}{suffix}{{{labels}}} {value}"));
    }

    fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let all = histogram.count();
        let buckets = histogram.at_most();
        let buckets = buckets.map(|(bound, count)| (format!("{bound}.0"), count));
        for (bound, count) in buckets.chain([("+Inf".to_owned(), all)]) {
            let labels = [labels, &[("le", &bound[..])]].concat();
            self.sample("_bucket", &labels, count);
        }
        self.sample("_count", labels, all);
        self.sample("_sum", labels, histogram.sum());
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

/// The value of a label as the format wants it.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A family, and where its number is.
type Number<T> = (Family, fn(&T) -> u64);
/// A family, the label that tells its counts apart, and where they are.
type CountsBy = (Family, &'static str, fn(&PeerMetrics) -> &Counts);

const UDP_BYTES: Family = counter(
    "causality_udp_bytes",
    "bytes",
    "UDP payload exchanged with peers.",
);
const PEER_CONNECTED: Family = gauge(
    "causality_peer_connected",
    "",
    "Whether there is a session with a peer.",
);
const LEFT_OUT: Family = gauge(
    "causality_metrics_left_out",
    "",
    "Logs, and pairs of a peer and a log, that are too many for this text.",
);
const LOG_POSITIONS: Family = gauge(
    "causality_log_positions",
    "positions",
    "Durable positions of a log, by how much is held of them.",
);
const LOG_COMPLETENESS: Family = Family {
    name: "causality_log_completeness",
    kind: "stateset",
    unit: "",
    help: "Whether all of a log is held that this domain may have, and who says so.",
};
const LAG_FACTS: Family = gauge(
    "causality_lag_facts",
    "facts",
    "Facts of a log that a peer wants, may have, and has not confirmed.",
);
const LAG_SECONDS: Family = gauge(
    "causality_lag_seconds",
    "seconds",
    "Since when the oldest of these has been said, by its origin's clock.",
);
const MISSING_POSITIONS: Family = gauge(
    "causality_missing_positions",
    "positions",
    "Positions of a log that a peer holds and of which nothing is known here.",
);
const BATCH_FACTS: Family = Family {
    name: "causality_sync_batch_facts",
    kind: "histogram",
    unit: "facts",
    help: "Facts in one message.",
};

/// What is counted of a peer.
const NUMBERS: [Number<PeerMetrics>; 7] = [
    (
        counter("causality_sessions", "", "Sessions that began."),
        |peer| peer.sessions,
    ),
    (
        counter(
            "causality_sync_attempts",
            "",
            "Rounds of catch-up that this side opened.",
        ),
        |peer| peer.attempts,
    ),
    (
        counter(
            "causality_sync_round_trips",
            "",
            "Answers that this side waited for in rounds that ended well.",
        ),
        |peer| peer.round_trips,
    ),
    (
        counter(
            "causality_kept_back_facts",
            "facts",
            "Facts of which a peer was sent the hash only, since the rules keep them back.",
        ),
        |peer| peer.kept_back,
    ),
    (
        counter(
            "causality_not_taken_facts",
            "facts",
            "Facts of a peer that were not taken, since the rules refuse them.",
        ),
        |peer| peer.not_taken,
    ),
    (
        counter(
            "causality_sets_asked",
            "",
            "Questions to a peer which positions it holds.",
        ),
        |peer| peer.sets_asked,
    ),
    (
        counter("causality_sets_told", "", "Such questions of a peer."),
        |peer| peer.sets_told,
    ),
];

/// What is counted of a peer by what happened: with the label that says it.
const COUNTS: [CountsBy; 5] = [
    (
        counter("causality_sync_outcomes", "", "How these rounds ended."),
        "outcome",
        |peer| &peer.outcomes,
    ),
    (
        counter("causality_sessions_ended", "", "How sessions ended."),
        "reason",
        |peer| &peer.sessions_ended,
    ),
    (
        counter(
            "causality_logs_declined",
            "",
            "Logs of which a peer takes nothing more, by its reason.",
        ),
        "reason",
        |peer| &peer.declined,
    ),
    (
        counter(
            "causality_logs_refused",
            "",
            "Logs of which nothing more is taken from a peer, by what is wrong with them.",
        ),
        "reason",
        |peer| &peer.refused,
    ),
    (
        counter(
            "causality_alarms",
            "",
            "What somebody should look at, by what it is.",
        ),
        "kind",
        |peer| &peer.alarms,
    ),
];

/// What is counted of a peer each way.
const TRAFFIC: [Number<Traffic>; 3] = [
    (
        counter(
            "causality_sync_facts",
            "facts",
            "Facts, whole or in part; those received are durable.",
        ),
        |way| way.facts,
    ),
    (
        counter(
            "causality_sync_revealed_facts",
            "facts",
            "Those of them of which less was known before.",
        ),
        |way| way.revealed,
    ),
    (
        counter(
            "causality_sync_bytes",
            "bytes",
            "Bytes of entries and of rows.",
        ),
        |way| way.bytes,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::CompartmentId;
    use causality_fact::LaneId;

    fn peer(id: u8, name: &str) -> (PeerConfig, Option<String>) {
        let config = PeerConfig {
            domain: DomainId::new([id; 32]),
            name: name.to_owned(),
            addresses: Vec::new(),
            send: Vec::new(),
            receive: Vec::new(),
        };
        (config, None)
    }

    fn log(number: usize) -> LogId {
        let mut lane = [0; 16];
        lane[..8].copy_from_slice(&number.to_le_bytes());
        LogId {
            origin: DomainId::new([1; 32]),
            compartment: CompartmentId::new([2; 16]),
            lane: LaneId::new(lane),
        }
    }

    fn snapshot(lags: usize, logs: usize) -> String {
        let held = |number| LogHoldings {
            log: log(number),
            compartment: "public".to_owned(),
            size: 9,
            partial: 2,
            hidden: 3,
            completeness: Completeness::Attested,
        };
        let lag = |number| Lag {
            peer: DomainId::new([1; 32]),
            log: log(number),
            unconfirmed: Some(crate::standing::Unconfirmed {
                facts: number as u64,
                oldest: None,
                is_wanted: true,
            }),
            missing_here: 0,
        };
        let status = Status {
            domain: DomainId::new([9; 32]),
            address: None,
            logs: BTreeMap::new(),
            bytes_sent: 0,
            bytes_received: 0,
            peers: vec![peer(1, "a")],
        };
        let snapshot = Snapshot {
            status,
            logs: (0..logs).map(held).collect(),
            lags: (0..lags).map(lag).collect(),
            counted: SyncMetrics::default(),
            now_ms: 7,
        };
        snapshot.text()
    }

    #[test]
    fn no_two_peers_are_called_the_same() {
        let id = DomainId::new([2; 32]).to_string();
        let peers = [
            peer(1, "a"),
            peer(2, "a"),
            peer(3, OTHERS),
            peer(4, &id),
            peer(5, "b"),
        ];
        let names = names(&peers);
        let called = |id: u8| name_of(&names, DomainId::new([id; 32]));
        assert_eq!((called(1), called(5)), ("a".to_owned(), "b".to_owned()));
        for nameless in 2..5 {
            assert_eq!(called(nameless), DomainId::new([nameless; 32]).to_string());
        }
    }

    #[test]
    fn as_many_logs_and_lags_are_told_as_the_limits_say_and_the_largest_lags_first() {
        let count = |text: &str, of: &str| text.lines().filter(|line| line.starts_with(of)).count();
        for above in [0, 1] {
            let text = snapshot(LAGS_MAX + above, LOGS_MAX + above);
            assert_eq!(count(&text, "causality_lag_facts{"), LAGS_MAX);
            assert_eq!(count(&text, "causality_log_positions{"), 3 * LOGS_MAX);
            for of in ["lags", "logs"] {
                let left_out = format!("causality_metrics_left_out{{of=\"{of}\"}} {above}\n");
                assert!(text.contains(&left_out), "{left_out}");
            }
        }
        let largest = format!("lane=\"{}\",peer=\"a\"}} {LAGS_MAX}\n", log(LAGS_MAX).lane);
        assert!(snapshot(LAGS_MAX + 1, 1).contains(&largest));
    }

    #[test]
    fn how_old_a_lag_is_stands_in_the_text_only_if_it_is_known() {
        let text = snapshot(2, 1);
        let seconds = |line: &&str| line.starts_with("causality_lag_seconds{");
        let lines: Vec<_> = text.lines().filter(seconds).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(" 0.000"));
    }
}
