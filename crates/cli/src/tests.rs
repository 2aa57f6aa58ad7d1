//! A fact and a node for the tests of this program.

use std::collections::BTreeMap;
use std::sync::Arc;

use causality_envelope::DomainKeys;
use causality_fact::{
    Aspect, ContentHash, DomainId, FactCore, FactId, Hlc, Label, Onward, References, Seed,
    TemporalFact, ValidTime, Value, WholeContent,
};
use causality_node::{Entropy as _, Limits, Node, NodeConfig, SystemClock, SystemEntropy};
use causality_store::MemoryStore;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::SyncPolicies;

use crate::protocol::{FactSummary, Sight};

/// A fact of domain 01…, always the same.
pub(crate) fn fact() -> TemporalFact {
    fact_with(content())
}

pub(crate) fn fact_with(content: BTreeMap<String, Value>) -> TemporalFact {
    let core = FactCore {
        onward: Onward::Audience,
        label: Label::new("reviewed").unwrap(),
        origin: DomainId::new([1; 32]),
        fact_type: "custom:report".parse().unwrap(),
        resource: "event/ak18247005".parse().unwrap(),
        aspect: Aspect::new("magnitude").unwrap(),
        hlc: Hlc::from_millis(1_517_365_391_235),
        valid: ValidTime::between(1_517_365_101_235, i64::MAX).unwrap(),
        requires: References::new([FactId::new([2; 32])]).unwrap(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    };
    TemporalFact::new(
        core,
        WholeContent::new(Seed::new([3; 16]), content).unwrap(),
    )
    .unwrap()
}

/// A value of each kind.
pub(crate) fn content() -> BTreeMap<String, Value> {
    let map = BTreeMap::from([("k".to_owned(), Value::Bytes(vec![0, 255]))]);
    let list = vec![Value::Null, Value::Bool(true), Value::Map(map)];
    [
        ("count".to_owned(), Value::Int(i64::MAX)),
        ("list".to_owned(), Value::List(list)),
        ("mag".to_owned(), Value::number(-0.1).unwrap()),
        ("place".to_owned(), Value::String("\"ä\"\n🌋".to_owned())),
    ]
    .into()
}

/// A fact as `fact show` shows it.
pub(crate) fn shown() -> FactSummary {
    let text = || "x".to_owned();
    FactSummary {
        id: text(),
        origin: text(),
        origin_name: Some(text()),
        fact_type: text(),
        resource: text(),
        aspect: text(),
        valid_from: text(),
        valid_until: Some(text()),
        said: text(),
        requires: vec![text()],
        supersedes: vec![text()],
        label: text(),
        onward: text(),
        compartment: text(),
        lane: text(),
        position: 1,
        withheld: 1,
        sight: Sight {
            waits_for: vec![text()],
            ..Sight::default()
        },
        content: serde_json::Map::from_iter([(
            "x".to_owned(),
            serde_json::json!(["x", {"x": "x"}]),
        )]),
    }
}

/// A node of its own with an empty store in memory.
pub(crate) async fn node() -> (Node, Arc<MemoryStore>) {
    let keys = DomainKeys::generate(&mut SystemEntropy.generator(), 0..i64::MAX).unwrap();
    let store = Arc::new(MemoryStore::new());
    let config = NodeConfig {
        keys: Arc::new(keys),
        store: Arc::<MemoryStore>::clone(&store),
        transport: None,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        peers: Vec::new(),
        policies: SyncPolicies::default(),
        strategies: FactSynchronizationModel::new(),
        limits: Limits::STANDARD,
    };
    (Node::start(config).await.unwrap(), store)
}
