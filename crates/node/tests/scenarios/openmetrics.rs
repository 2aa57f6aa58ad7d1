//! The text in which a monitoring system reads a node, here by a reader that takes nothing that OpenMetrics 1.0 does not
//! allow.

use causality_node::Direction;
use causality_node::Node;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::world::Domain;
use crate::world::Network;
use crate::world::append;
use crate::world::serve;
use crate::world::sync;

const PUBLIC: &[&str] = &["public"];
const OPERATORS_PAGE: &str = include_str!("../../../../docs/src/metrics.md");

type Labels = BTreeMap<String, String>;
/// The samples of a text: name and labels, with the value.
type Samples = BTreeMap<(String, Labels), f64>;

/// Where a reader is: the family whose lines these are, and what it has seen.
#[derive(Default)]
struct Reader {
    family: String,
    kind: String,
    /// What was said of the family: `TYPE`, `UNIT`, `HELP`.
    said: BTreeSet<String>,
    has_samples: bool,
    families: BTreeSet<String>,
    samples: Samples,
}

/// Reads a text, or fails. Of the kinds of families it knows those that nodes write.
fn read(text: &str) -> Reader {
    let text = text.strip_suffix("# EOF\n").expect("it ends so");
    assert!(text.is_empty() || text.ends_with('\n'), "a cut line");
    let mut reader = Reader::default();
    for line in text.split_terminator('\n') {
        match line.strip_prefix("# ") {
            Some(metadata) => reader.metadata(metadata),
            None => reader.sample(line),
        }
    }
    for ((name, labels), count) in &reader.samples {
        if let Some(histogram) = name.strip_suffix("_count") {
            check_histogram(&reader.samples, histogram, labels, *count);
        }
    }
    reader
}

impl Reader {
    fn metadata(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').expect(line);
        let (name, said) = rest.split_once(' ').expect(line);
        if name != self.family {
            // Families do not interleave, and none comes twice.
            assert!(self.families.insert(name.to_owned()), "{line}");
            assert!(is_name(name), "{line}");
            self.family = name.to_owned();
            self.kind = "unknown".to_owned();
            self.said.clear();
            self.has_samples = false;
        }
        assert!(!self.has_samples, "{line}: behind samples");
        assert!(self.said.insert(what.to_owned()), "{line}: twice");
        match what {
            "TYPE" => {
                let kinds = ["counter", "gauge", "histogram", "stateset"];
                assert!(kinds.contains(&said), "{line}");
                self.kind = said.to_owned();
            }
            "UNIT" => assert!(name.ends_with(&format!("_{said}")), "{line}"),
            "HELP" => {
                assert!(!said.is_empty() && !said.contains(['\\', '"']), "{line}");
            }
            _ => panic!("{line}"),
        }
        let is_unitless = self.kind == "stateset";
        assert!(!(is_unitless && self.said.contains("UNIT")), "{line}");
    }

    fn sample(&mut self, line: &str) {
        self.has_samples = true;
        let (name, labels, value) = sample(line);
        let suffix = name.strip_prefix(&self.family).expect(line);
        let suffixes: &[&str] = match &self.kind[..] {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
        match &self.kind[..] {
            "counter" | "histogram" => assert!(value >= 0.0, "{line}"),
            "stateset" => {
                assert!(labels.contains_key(&self.family), "{line}");
                assert!(value == 0.0 || value == 1.0, "{line}");
            }
            _ => {}
        }
        let again = self.samples.insert((name, labels), value);
        assert_eq!(again, None, "{line}: twice");
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sample = (name.to_owned(), labels.collect());
        self.samples.get(&sample).copied()
    }
}

/// The buckets of a histogram do not fall, the last one has everything, and there is a sum.
fn check_histogram(samples: &Samples, histogram: &str, of: &Labels, count: f64) {
    let bucket = format!("{histogram}_bucket");
    let buckets = samples.iter().filter_map(|((name, labels), value)| {
        let mut labels = labels.clone();
        let bound = labels.remove("le")?;
        let bound = match &bound[..] {
            "+Inf" => f64::INFINITY,
            // Canonical numbers have a point.
            bound => bound.contains('.').then(|| bound.parse().unwrap())?,
        };
        (*name == bucket && labels == *of).then_some((bound, *value))
    });
    let mut buckets: Vec<_> = buckets.collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.len() > 1);
    assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1));
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)));
    assert!(samples.contains_key(&(format!("{histogram}_sum"), of.clone())));
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (name, mut rest) = line.split_once('{').expect(line);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    while !rest.starts_with('}') {
        let (label, behind) = rest.split_once("=\"").expect(line);
        assert!(is_name(label), "{line}");
        let (value, behind) = quoted(behind);
        assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
        assert!(behind.starts_with([',', '}']), "{line}");
        rest = behind.strip_prefix(',').unwrap_or(behind);
        assert!(
            behind.starts_with('}') || !rest.starts_with('}'),
            "{line}: a comma too many"
        );
    }
    let value = rest.strip_prefix("} ").expect(line);
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    assert!(value.chars().all(is_number), "{line}");
    (name.to_owned(), labels, value.parse().expect(line))
}

/// What stands before the quotation mark that ends it, without its escapes.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next().expect("it ends") {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("{other:?} escaped"),
            }),
            c => value.push(c),
        }
    }
}

/// Two nodes, of which the first has given the other seven facts.
async fn pair(name: &'static str) -> (Domain, Node, Domain, Node) {
    let network = Network::all().into_iter().next().unwrap();
    let amber = network.domain("amber", 1).await;
    let basil = network.domain(name, 2).await;
    let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
    let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
    serve(&b);
    append(&a, "public", 7).await;
    sync(&a, &basil, Direction::Push).await;
    (amber, a, basil, b)
}

async fn scrape(node: &Node) -> Reader {
    read(&node.openmetrics().await.unwrap())
}

#[tokio::test]
async fn what_went_to_a_peer_and_what_it_lacks_is_in_the_text() {
    let (amber, a, basil, b) = pair("basil").await;
    append(&a, "public", 9).await;
    let lag = a.lags().await.unwrap().remove(0);
    let lane = lag.log.lane.to_string();
    let text = scrape(&a).await;
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(text.value(name, labels), Some(expected), "{name}");
    };
    let sent = [("direction", "sent"), ("peer", "basil")];
    is("causality_sync_facts_total", &sent, 7.0);
    is("causality_sync_batch_facts_sum", &sent, 7.0);
    is("causality_sync_attempts_total", &[("peer", "basil")], 1.0);
    let caught_up = [("outcome", "caught_up"), ("peer", "basil")];
    is("causality_sync_outcomes_total", &caught_up, 1.0);
    let round_trips = text.value("causality_sync_round_trips_total", &[("peer", "basil")]);
    assert!(round_trips.unwrap() >= 1.0);
    let bytes = text.value("causality_sync_bytes_total", &sent);
    assert!(bytes.unwrap() > 7.0 * 32.0);

    let origin = amber.id().to_string();
    let log = [
        ("compartment", "public"),
        ("lane", &lane[..]),
        ("origin", &origin[..]),
    ];
    let of_log = |more: (&'static str, &'static str)| [&log[..], &[more]].concat();
    let unconfirmed = lag.unconfirmed.unwrap().facts;
    is(
        "causality_lag_facts",
        &of_log(("peer", "basil")),
        unconfirmed as f64,
    );
    let age = text.value("causality_lag_seconds", &of_log(("peer", "basil")));
    assert!((0.0..1000.0).contains(&age.unwrap()));
    is("causality_log_positions", &of_log(("held", "whole")), 16.0);
    is("causality_log_positions", &of_log(("held", "hash")), 0.0);
    let completeness = "causality_log_completeness";
    is(completeness, &of_log((completeness, "proven")), 1.0);
    is(completeness, &of_log((completeness, "attested")), 0.0);

    let receiver = scrape(&b).await;
    let received = [("direction", "received"), ("peer", "amber")];
    let facts = receiver.value("causality_sync_facts_total", &received);
    assert!(facts.unwrap() >= 7.0);
    drop(basil);
}

#[tokio::test]
async fn a_peer_is_connected_until_its_node_stops() {
    let (_, a, _, b) = pair("basil").await;
    let connected = async |node: &Node, peer: &str| {
        let text = scrape(node).await;
        text.value("causality_peer_connected", &[("peer", peer)])
    };
    assert!(connected(&b, "amber").await.is_some());
    a.shutdown().await;
    let mut events = b.events().unwrap();
    while connected(&b, "amber").await != Some(0.0) {
        events.next().await.unwrap();
    }
    assert_eq!(connected(&b, "nobody").await, None);
}

#[tokio::test]
async fn a_name_with_any_characters_is_read_back() {
    let name = "a\\b\"c\nd,e}=\" é\\n";
    let (_, a, _, _) = pair(name).await;
    let text = scrape(&a).await;
    let attempts = text.value("causality_sync_attempts_total", &[("peer", name)]);
    assert_eq!(attempts, Some(1.0));
}

#[tokio::test]
async fn each_metric_stands_on_the_page_for_operators_and_each_of_that_page_is_written() {
    let (_, a, _, _) = pair("basil").await;
    let families = scrape(&a).await.families;
    let words = OPERATORS_PAGE.split(['`', '{', '[', '(']);
    let told = words.filter(|word| word.starts_with("causality_") && is_name(word));
    let told = told.map(|word| word.strip_suffix("_total").unwrap_or(word).to_owned());
    assert_eq!(told.collect::<BTreeSet<_>>(), families);
}

#[tokio::test]
async fn the_text_of_a_node_that_has_stopped_is_an_error() {
    let (_, a, _, _) = pair("basil").await;
    a.shutdown().await;
    assert!(a.openmetrics().await.is_err());
}
