//! Strategies decide when peers are brought up to date. Time is paused: it passes when nobody has anything to do.

use causality_node::Clock;
use causality_node::Direction;
use causality_node::Draft;
use causality_node::Node;
use causality_node::NodeConfig;
use causality_node::NodeEvent;
use causality_node::NodeEvents;
use causality_node::PeerConfig;
use causality_strategy::PolicyFile;
use causality_transport::MemoryNetwork;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::world::Domain;
use crate::world::Network;
use crate::world::append;
use crate::world::draft;
use crate::world::held;
use crate::world::serve;
use crate::world::sync;

const PUBLIC: &[&str] = &["public"];

/// Shows the paused time.
#[derive(Debug)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.0.elapsed().as_millis() as u64
    }
}

/// 2018-02-01T00:00:00Z.
const EPOCH_MS: u64 = 1_517_443_200_000;
/// How long a story waits for what must not happen.
const LONG: Duration = Duration::from_secs(3_600);

/// Two domains that share everything, of which amber has a strategy.
struct Pair {
    began: Instant,
    amber: Domain,
    basil: Domain,
    a: Node,
    b: Node,
    /// What amber's node tells.
    events: NodeEvents,
}

impl Pair {
    /// Both serve; basil has no address of amber, so it keeps no session.
    async fn start(file: &str) -> Self {
        let pair = Self::start_as(file, true).await;
        serve(&pair.b);
        pair
    }

    async fn start_as(file: &str, is_known: bool) -> Self {
        let network = Network::Memory(MemoryNetwork::new(7));
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let began = Instant::now();
        let known = if is_known {
            vec![caller(&amber)]
        } else {
            Vec::new()
        };
        let b = start(&basil, known, "", began).await;
        let a = start(&amber, vec![basil.peer(PUBLIC, PUBLIC)], file, began).await;
        let events = a.events().unwrap();
        serve(&a);
        Self {
            began,
            amber,
            basil,
            a,
            b,
            events,
        }
    }

    /// When amber's next exchange has ended, in milliseconds since the beginning, and its trigger.
    async fn next(&mut self) -> (u64, Option<String>) {
        loop {
            if let NodeEvent::CaughtUp { trigger, .. } = self.events.next().await.unwrap() {
                return (self.began.elapsed().as_millis() as u64, trigger);
            }
        }
    }

    /// Amber begins no exchange by itself.
    async fn is_quiet(&mut self) {
        let next = tokio::time::timeout(LONG, self.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    async fn sleep_until(&self, millis: u64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(millis)).await;
    }

    /// Whether there is a session now.
    async fn is_connected(&self) -> bool {
        let status = self.a.status().await.unwrap();
        status.peers.iter().any(|(_, address)| address.is_some())
    }
}

/// A peer that only calls.
fn caller(domain: &Domain) -> PeerConfig {
    PeerConfig {
        addresses: Vec::new(),
        ..domain.peer(PUBLIC, PUBLIC)
    }
}

fn parse(file: &str) -> PolicyFile {
    PolicyFile::parse(file).unwrap_or_else(|error| panic!("{error}\n{file}"))
}

async fn start(domain: &Domain, peers: Vec<PeerConfig>, file: &str, began: Instant) -> Node {
    let file = parse(file);
    let config = NodeConfig {
        clock: Arc::new(PausedClock(began)),
        strategies: file.model(),
        policies: file.policies,
        ..domain.config(peers)
    };
    Node::start(config).await.unwrap()
}

/// A strategy towards basil.
fn strategy(mode: &str, lines: &str) -> String {
    format!("[[strategy]]\nname = \"s\"\nmode = \"{mode}\"\ntarget = [\"basil\"]\n{lines}\n")
}

async fn register(node: &Node, draft: Draft) {
    let registry = node.registry();
    registry.register_fact("public", draft).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn push_exchanges_when_something_waits_and_keeps_no_session() {
    let mut pair = Pair::start(&strategy("push", "")).await;
    // What the peer lacks is not known in the beginning.
    pair.next().await;
    pair.is_quiet().await;
    assert!(!pair.is_connected().await);
    for count in 1..=3 {
        append(&pair.a, "public", 1).await;
        let appended = pair.began.elapsed().as_millis() as u64;
        let (at, trigger) = pair.next().await;
        assert!(at <= appended + 50, "{at} {appended}");
        assert_eq!(trigger, None);
        assert_eq!(held(&pair.b, &pair.amber).await, count);
    }
    pair.is_quiet().await;
    // A compartment that the peer may not have is no occasion.
    append(&pair.a, "ops", 5).await;
    pair.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn pull_asks_more_and_more_rarely_while_there_is_nothing_new() {
    let polling = "polling = { interval = \"2s\", max = \"10s\" }";
    let mut pair = Pair::start(&strategy("pull", polling)).await;
    let (mut last, _) = pair.next().await;
    for interval in [4_000, 8_000, 10_000, 10_000] {
        let (at, _) = pair.next().await;
        assert!(
            (interval..interval + 50).contains(&(at - last)),
            "{at} {last}"
        );
        last = at;
    }
    // Own facts wait until it asks again, then go along.
    append(&pair.a, "public", 1).await;
    append(&pair.b, "public", 1).await;
    for interval in [10_000, 2_000, 4_000] {
        let (at, _) = pair.next().await;
        assert!(
            (interval..interval + 50).contains(&(at - last)),
            "{at} {last}"
        );
        last = at;
    }
    assert_eq!(held(&pair.a, &pair.basil).await, 1);
    assert_eq!(held(&pair.b, &pair.amber).await, 1);
}

#[tokio::test(start_paused = true)]
async fn bidirectional_sends_at_once_and_asks_now_and_then() {
    let polling = "polling = { interval = \"1min\", max = \"1min\" }";
    let mut pair = Pair::start(&strategy("bidirectional", polling)).await;
    pair.next().await;
    pair.sleep_until(10_000).await;
    append(&pair.a, "public", 1).await;
    let (at, _) = pair.next().await;
    assert!((10_000..10_050).contains(&at), "{at}");
    assert_eq!(held(&pair.b, &pair.amber).await, 1);
    append(&pair.b, "public", 1).await;
    let (at, _) = pair.next().await;
    assert!((70_000..70_100).contains(&at), "{at}");
    assert_eq!(held(&pair.a, &pair.basil).await, 1);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_trigger_fires_for_what_it_waits_for_and_its_id_travels() {
    let observation = |resource: &str, label: &str, number: usize| Draft {
        resource: resource.parse().unwrap(),
        label: causality_fact::Label::new(label).unwrap(),
        ..draft(0, number)
    };
    let operation = Draft::new("operation".parse().unwrap(), "thing/1".parse().unwrap());
    for (id, condition, other, meant) in [
        ("type", "fact_type = \"operation\"", draft(1, 1), operation),
        (
            "resource",
            "resource = \"event/*\"",
            observation("station/1", "", 1),
            observation("event/1", "", 1),
        ),
        (
            "label",
            "label = \"reviewed\"",
            observation("event/1", "automatic", 1),
            observation("event/1", "reviewed", 1),
        ),
        ("field", "where = 'number >= 5'", draft(1, 4), draft(1, 5)),
    ] {
        let trigger = format!("[[strategy.trigger]]\nid = \"{id}\"\n{condition}");
        let mut pair = Pair::start(&strategy("event-driven", &trigger)).await;
        let mut heard = pair.b.events().unwrap();
        register(&pair.a, other).await;
        pair.is_quiet().await;
        assert_eq!(held(&pair.b, &pair.amber).await, 0, "{id}");
        register(&pair.a, meant).await;
        assert_eq!(pair.next().await.1.as_deref(), Some(id));
        // What waited goes along.
        assert_eq!(held(&pair.b, &pair.amber).await, 2, "{id}");
        let told = loop {
            if let NodeEvent::Triggered { peer, trigger } = heard.next().await.unwrap() {
                break (peer, trigger);
            }
        };
        assert_eq!(told, (pair.amber.id(), id.to_owned()));
        pair.is_quiet().await;
    }
}

const ANY: &str = "[[strategy.trigger]]\nid = \"any\"";

#[tokio::test(start_paused = true)]
async fn what_occurs_soon_after_the_first_fact_goes_together_with_it() {
    let debounced = format!("{ANY}\ndebounce = \"250ms\"");
    let mut pair = Pair::start(&strategy("event-driven", &debounced)).await;
    for at in [1_000, 1_100, 1_249] {
        pair.sleep_until(at).await;
        append(&pair.a, "public", 1).await;
    }
    let (at, trigger) = pair.next().await;
    assert!((1_250..1_300).contains(&at), "{at}");
    assert_eq!(trigger.as_deref(), Some("any"));
    assert_eq!(held(&pair.b, &pair.amber).await, 3);
    pair.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn exchanges_on_events_keep_their_distance() {
    let paused = format!("pause = \"5s\"\n{ANY}");
    let mut pair = Pair::start(&strategy("event-driven", &paused)).await;
    let (a, began) = (pair.a.clone(), pair.began);
    tokio::spawn(async move {
        for at in [1_000, 2_000, 3_000, 20_000] {
            tokio::time::sleep_until(began + Duration::from_millis(at)).await;
            append(&a, "public", 1).await;
        }
    });
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(pair.next().await.0);
    }
    for (end, expected) in ends.iter().zip([1_000, 6_000, 20_000]) {
        assert!((expected..expected + 100).contains(end), "{ends:?}");
    }
    pair.is_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_more_and_more_rarely() {
    let retry = "retry = { base = \"1s\", max = \"4s\", jitter_percent = 0 }";
    for mode in ["push", "pull", "bidirectional", "event-driven"] {
        let lines = match mode {
            "event-driven" => format!("{retry}\n{ANY}"),
            _ => retry.to_owned(),
        };
        let mut pair = Pair::start_as(&strategy(mode, &lines), false).await;
        serve(&pair.b);
        append(&pair.a, "public", 1).await;
        // It fails at 0, 1, 3 and 7 seconds.
        pair.sleep_until(8_000).await;
        pair.b.set_peers(vec![caller(&pair.amber)]).await.unwrap();
        let (at, trigger) = pair.next().await;
        assert!((11_000..11_200).contains(&at), "{mode}: {at}");
        assert_eq!(trigger.is_some(), mode == "event-driven");
        assert_eq!(held(&pair.b, &pair.amber).await, 1, "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_full_again_when_the_peer_calls() {
    let retry = "retry = { base = \"1s\", max = \"1s\", attempts = 2, jitter_percent = 0 }";
    let lines = format!("{retry}\n{ANY}");
    let mut pair = Pair::start_as(&strategy("event-driven", &lines), false).await;
    serve(&pair.b);
    append(&pair.a, "public", 1).await;
    pair.is_quiet().await;
    append(&pair.a, "public", 1).await;
    pair.b.set_peers(vec![caller(&pair.amber)]).await.unwrap();
    pair.is_quiet().await;
    let known = pair.amber.peer(PUBLIC, PUBLIC);
    pair.b.set_peers(vec![known]).await.unwrap();
    assert_eq!(pair.next().await.1.as_deref(), Some("any"));
}

#[tokio::test(start_paused = true)]
async fn peers_have_strategies_of_their_own_and_those_without_one_a_session() {
    let network = Network::Memory(MemoryNetwork::new(7));
    let amber = network.domain("amber", 1).await;
    let basil = network.domain("basil", 2).await;
    let cedar = network.domain("cedar", 3).await;
    let dill = network.domain("dill", 4).await;
    let began = Instant::now();
    let mut nodes = Vec::new();
    for domain in [&basil, &cedar, &dill] {
        let node = start(domain, vec![caller(&amber)], "", began).await;
        serve(&node);
        nodes.push(node);
    }
    let peers = [&basil, &cedar, &dill].map(|domain| domain.peer(PUBLIC, PUBLIC));
    let file = strategy("push", "")
        + &strategy(
            "event-driven",
            "[[strategy.trigger]]\nid = \"large\"\nwhere = 'number >= 5'",
        )
        .replace("basil", "cedar")
        .replace("\"s\"", "\"t\"");
    let a = start(&amber, peers.to_vec(), &file, began).await;
    serve(&a);
    let held_by_each = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut counts = Vec::new();
        for node in &nodes {
            counts.push(held(node, &amber).await);
        }
        counts
    };
    assert_eq!(held_by_each().await, [0, 0, 0]);
    register(&a, draft(1, 1)).await;
    assert_eq!(held_by_each().await, [1, 0, 1]);
    register(&a, draft(1, 5)).await;
    assert_eq!(held_by_each().await, [2, 2, 2]);
    let status = a.status().await.unwrap();
    let connected = status.peers.iter().filter(|(_, address)| address.is_some());
    let connected: Vec<_> = connected.map(|(peer, _)| peer.name.as_str()).collect();
    assert_eq!(connected, ["dill"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_strategy_does_not_move_is_no_occasion_but_goes_along() {
    let mut pair = Pair::start(&strategy("push", "where = 'number >= 5'")).await;
    pair.next().await;
    register(&pair.a, draft(1, 4)).await;
    pair.is_quiet().await;
    register(&pair.a, draft(1, 5)).await;
    pair.next().await;
    assert_eq!(held(&pair.b, &pair.amber).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_came_from_a_peer_is_no_occasion_to_call_it() {
    let network = Network::Memory(MemoryNetwork::new(7));
    let amber = network.domain("amber", 1).await;
    let basil = network.domain("basil", 2).await;
    let cedar = network.domain("cedar", 3).await;
    let began = Instant::now();
    let push = "[[strategy]]\nname = \"s\"\nmode = \"push\"";
    let peers = [&amber, &basil, &cedar].map(|domain| domain.peer(PUBLIC, PUBLIC));
    let [of_amber, of_basil, of_cedar] = peers;
    let a = start(&amber, vec![of_basil.clone()], push, began).await;
    let b = start(&basil, vec![of_amber, of_cedar], push, began).await;
    let c = start(&cedar, vec![of_basil], push, began).await;
    let mut events = b.events().unwrap();
    [&a, &b, &c].into_iter().for_each(serve);
    tokio::time::sleep(LONG).await;
    append(&a, "public", 1).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(held(&c, &amber).await, 1);
    let mut called = Vec::new();
    let told = async {
        while let Some(event) = events.next().await {
            if let NodeEvent::CaughtUp { peer, .. } = event {
                called.push(peer);
            }
        }
    };
    assert!(tokio::time::timeout(LONG, told).await.is_err());
    // Both in the beginning, then only the one that did not have the fact.
    assert_eq!(called.len(), 3, "{called:?}");
    assert_eq!(called[2], cedar.id());
}

#[tokio::test(start_paused = true)]
async fn what_policies_open_goes_when_they_do() {
    let grant = "[[out]]\nname = \"p\"\npeers = [\"basil\"]\ncompartments = [\"public\"]\n";
    let embargo = "[[security]]\nname = \"embargo\"\npeers = [\"*\"]\nrefuse = true\nin_force = { until = 2018-02-01T00:10:00Z }\n";
    let mut pair = Pair::start(&(strategy("push", "") + embargo)).await;
    pair.next().await;
    append(&pair.a, "public", 1).await;
    assert_eq!(held(&pair.b, &pair.amber).await, 0);
    let (at, _) = pair.next().await;
    assert!((600_000..600_300).contains(&at), "{at}");
    assert_eq!(held(&pair.b, &pair.amber).await, 1);
    // The same by a new policy.
    let none = PeerConfig {
        send: Vec::new(),
        ..pair.basil.peer(&[], PUBLIC)
    };
    pair.a.set_peers(vec![none]).await.unwrap();
    pair.next().await;
    append(&pair.a, "public", 1).await;
    pair.is_quiet().await;
    pair.a.set_policies(parse(grant).policies).await.unwrap();
    pair.next().await;
    assert_eq!(held(&pair.b, &pair.amber).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_kept_ends_when_a_strategy_comes_and_comes_back_without() {
    let mut pair = Pair::start("").await;
    pair.next().await;
    assert!(pair.is_connected().await);
    let push = parse(&strategy("push", "")).model();
    pair.a.set_strategies(push).await.unwrap();
    pair.next().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!pair.is_connected().await);
    // Whoever asks for an exchange gets it, and no session stays.
    sync(&pair.a, &pair.basil, Direction::Both).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!pair.is_connected().await);
    pair.a.set_strategies(parse("").model()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(pair.is_connected().await);
}
