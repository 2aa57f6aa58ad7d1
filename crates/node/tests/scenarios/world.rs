//! A small world of domains on one network.

use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_node::Direction;
use causality_node::Draft;
use causality_node::Entropy;
use causality_node::Limits;
use causality_node::Node;
use causality_node::NodeConfig;
use causality_node::NodeError;
use causality_node::PeerConfig;
use causality_node::SyncReport;
use causality_node::SystemClock;
use causality_quic::QuicConfig;
use causality_quic::QuicLimits;
use causality_quic::QuicTransport;
use causality_quic::Randomness;
use causality_quic::TransportSecret;
use causality_store::FactStore;
use causality_store::MemoryStore;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::SyncPolicies;
use causality_transport::CrossDomainTransport;
use causality_transport::MemoryNetwork;
use causality_transport::TransportKey;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::CryptoRng;
use rand_chacha::rand_core::Rng as _;
use rand_chacha::rand_core::SeedableRng as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Seeded generators, each another.
#[derive(Debug)]
pub(crate) struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn generator(&self) -> Box<dyn CryptoRng + Send> {
        Box::new(ChaCha20Rng::seed_from_u64(
            self.0.fetch_add(1, Ordering::Relaxed),
        ))
    }
}

/// A domain: what survives its node.
pub(crate) struct Domain {
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) store: Arc<dyn FactStore>,
    pub(crate) transport: Arc<dyn CrossDomainTransport>,
    pub(crate) name: &'static str,
    seed: u64,
}

/// The network that a story takes place on.
pub(crate) enum Network {
    Memory(MemoryNetwork),
    Quic,
}

impl Network {
    /// One of each kind.
    pub(crate) fn all() -> [Self; 2] {
        [Self::Memory(MemoryNetwork::new(7)), Self::Quic]
    }

    pub(crate) async fn domain(&self, name: &'static str, seed: u64) -> Domain {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let keys = Arc::new(DomainKeys::generate(&mut random, 0..i64::MAX).unwrap());
        let transport: Arc<dyn CrossDomainTransport> = match self {
            Self::Memory(network) => {
                let key = TransportKey::new(*keys.transport_key().as_bytes());
                Arc::new(network.endpoint(name, key).unwrap())
            }
            Self::Quic => {
                let secret = TransportSecret::from_bytes(*keys.transport_secret());
                let randomness = Randomness::new(move || {
                    let mut bytes = [0; 32];
                    random.fill_bytes(&mut bytes);
                    bytes
                });
                let config = QuicConfig::new(secret, QuicLimits::STANDARD, randomness).unwrap();
                Arc::new(QuicTransport::bind(config, "127.0.0.1:0").await.unwrap())
            }
        };
        Domain {
            keys,
            store: Arc::new(MemoryStore::new()),
            transport,
            name,
            seed: seed << 32,
        }
    }
}

impl Domain {
    pub(crate) fn id(&self) -> DomainId {
        self.keys.domain()
    }

    /// Starts a node over the domain's store that knows these peers.
    pub(crate) async fn start(&self, peers: Vec<PeerConfig>) -> Node {
        self.try_start(peers).await.unwrap()
    }

    pub(crate) async fn try_start(&self, peers: Vec<PeerConfig>) -> Result<Node, NodeError> {
        Node::start(self.config(peers)).await
    }

    /// A node over the domain's store that knows these peers.
    pub(crate) fn config(&self, peers: Vec<PeerConfig>) -> NodeConfig {
        NodeConfig {
            keys: Arc::clone(&self.keys),
            store: Arc::clone(&self.store),
            transport: Some(Arc::clone(&self.transport)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Seeded(AtomicU64::new(self.seed))),
            peers,
            policies: SyncPolicies::default(),
            strategies: FactSynchronizationModel::new(),
            limits: Limits::STANDARD,
        }
    }

    /// As a peer of others: `sends` and `receives` from their side.
    pub(crate) fn peer(&self, sends: &[&str], receives: &[&str]) -> PeerConfig {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        PeerConfig {
            domain: self.id(),
            name: self.name.to_owned(),
            addresses: vec![self.transport.local_address()],
            send: list(sends),
            receive: list(receives),
        }
    }
}

pub(crate) fn draft(resource: usize, field: usize) -> Draft {
    let mut draft = Draft::new(
        "observation".parse().unwrap(),
        format!("thing/{resource}").parse().unwrap(),
    );
    let number = causality_fact::Value::Int(field as i64);
    draft.content.insert("number".to_owned(), number);
    draft
}

/// Appends `count` facts, a thousand at a time.
pub(crate) async fn append(node: &Node, compartment: &str, count: usize) {
    for start in (0..count).step_by(1000) {
        let drafts = (start..count.min(start + 1000))
            .map(|n| draft(n, n))
            .collect();
        node.registry()
            .register_facts(compartment, drafts)
            .await
            .unwrap();
    }
}

pub(crate) async fn digest(node: &Node, origin: &Domain) -> [u8; 32] {
    node.registry()
        .digest(Some(origin.id()))
        .await
        .unwrap()
        .digest
}

pub(crate) async fn held(node: &Node, origin: &Domain) -> u64 {
    node.registry()
        .digest(Some(origin.id()))
        .await
        .unwrap()
        .logs
        .iter()
        .map(|log| log.held)
        .sum()
}

pub(crate) async fn sync(node: &Node, peer: &Domain, direction: Direction) -> SyncReport {
    node.synchronizer()
        .sync(peer.id(), direction, |_| {})
        .await
        .unwrap()
}

/// A task that answers callers while the story goes on.
pub(crate) fn serve(node: &Node) {
    let node = node.clone();
    tokio::spawn(async move { node.serve().await });
}
