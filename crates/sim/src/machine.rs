//! A machine: what of a domain survives its node, and the node while it runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_judge::history::Extent;
use causality_node::{Limits, Node, NodeConfig, PeerConfig};
use causality_quic::{QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret};
use causality_store::{
    Batch, FactStore as _, RedbConfig, RedbStore, SideWrite, StoreError, inline,
};
use causality_strategy::FactSynchronizationModel;
use causality_strategy::SyncPolicies;
use causality_sync::COMPARTMENTS;
use rand_chacha::rand_core::Rng as _;
use tokio::task::JoinSet;

use crate::book::Circle;
use crate::clients::Memory;
use crate::clock::{SeededEntropy, SimClock};
use crate::disk::Disk;
use crate::meddler::{Meddled, Meddler};
use crate::network::Network;
use crate::power::Power;
use crate::slow::{SlowStore, Slowness};
use crate::trace::Trace;

/// What of a domain survives its node.
#[derive(Debug)]
pub struct Machine {
    /// What it is called.
    pub name: &'static str,
    /// The domain's keys.
    pub keys: Arc<DomainKeys>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its disk.
    pub disk: Disk,
    /// How slow the disk is.
    pub slowness: Slowness,
    /// Who sits between the node and its transport.
    pub meddler: Meddler,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// What its reader has seen.
    pub memory: Memory,
    /// The node, while it runs.
    pub running: Option<Running>,
    /// The last backup of its store.
    pub backup: Option<Backup>,
    /// How often it was started.
    pub starts: u64,
    pub(crate) seed: u64,
}

/// A node that runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Running {
    /// The node.
    pub node: Node,
    /// Its store.
    pub store: Arc<SlowStore<RedbStore>>,
    /// The power since the start.
    pub power: Power,
    /// Those who work with the node; they end with this.
    pub tasks: JoinSet<()>,
}

/// A copy of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backup {
    /// When it was begun, in milliseconds of the world.
    pub taken_at: u64,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub logs: Vec<Extent>,
}

impl Machine {
    /// A machine that was never started.
    pub fn new(index: usize, seed: u64, trace: &Trace) -> Result<Self> {
        let name = *NAMES.get(index).context("more domains than names")?;
        let seed = seed.wrapping_mul(MACHINES_MAX).wrapping_add(index as u64);
        let mut random = SeededEntropy::new(seed).next();
        let last = u8::try_from(index + 1)?;
        Ok(Self {
            name,
            keys: Arc::new(DomainKeys::generate(&mut random, 0..i64::MAX)?),
            address: SocketAddr::from(([10, 0, 0, last], 4433)),
            disk: Disk::new(seed, trace),
            slowness: Slowness::default(),
            meddler: Meddler::default(),
            clock: Arc::new(SimClock::new(trace)),
            memory: Memory::default(),
            running: None,
            backup: None,
            starts: 0,
            seed,
        })
    }

    /// The domain.
    pub fn domain(&self) -> DomainId {
        self.keys.domain()
    }

    /// As a peer that is given these compartments as a whole, and of which those are taken.
    pub fn as_peer(&self, send: Vec<String>, receive: Vec<String>) -> PeerConfig {
        PeerConfig {
            domain: self.domain(),
            name: self.name.to_owned(),
            addresses: vec![self.address.to_string()],
            send,
            receive,
        }
    }

    /// Teaches a store that was never opened the names of circles: whoever is in one has been told.
    pub async fn join(&self, circles: &[Circle]) -> Result<()> {
        let named = |circle: &Circle| SideWrite {
            table: COMPARTMENTS,
            key: circle.id.0.to_vec(),
            value: Some(circle.name.clone().into_bytes()),
        };
        let batch = Batch {
            side: circles.iter().map(named).collect(),
            ..Batch::default()
        };
        let store = self.open_store(&Power::default())?;
        store.commit(batch).await?;
        store.close().await?;
        Ok(())
    }

    /// Opens the store on the disk.
    pub fn open_store(&self, power: &Power) -> Result<RedbStore, StoreError> {
        let (disk, power) = (self.disk.clone(), power.clone());
        RedbStore::open_backend(
            move || disk.backend(&power),
            store_config(),
            Arc::new(inline),
        )
    }

    /// Starts the node over what the disk has. Whatever it is given is fresh: the randomness too, or it would draw the
    /// same lanes and salts again.
    pub async fn start(
        &mut self,
        network: &Network,
        (peers, policies): (Vec<PeerConfig>, SyncPolicies),
        trace: &Trace,
    ) -> Result<&mut Running> {
        let power = Power::default();
        let store = SlowStore::new(
            self.open_store(&power)?,
            self.slowness.clone(),
            trace.clone(),
        );
        let store = Arc::new(store);
        self.starts += 1;
        let entropy = Arc::new(SeededEntropy::new(
            self.seed.wrapping_mul(STARTS_MAX).wrapping_add(self.starts),
        ));
        let mut drawn = entropy.next();
        let randomness = Randomness::new(move || {
            let mut bytes = [0; 32];
            drawn.fill_bytes(&mut bytes);
            bytes
        });
        let secret = TransportSecret::from_bytes(*self.keys.transport_secret());
        let transport = QuicTransport::with_socket(
            QuicConfig::new(secret, QUIC_LIMITS, randomness)?,
            network.socket(self.address, &power),
            Arc::new(quinn::TokioRuntime),
        )?;
        let node = Node::start(NodeConfig {
            keys: Arc::clone(&self.keys),
            store: Arc::clone(&store) as Arc<_>,
            transport: Some(Arc::new(Meddled::new(
                transport,
                self.meddler.clone(),
                trace.clone(),
            ))),
            clock: Arc::clone(&self.clock) as Arc<_>,
            entropy,
            peers,
            policies,
            strategies: FactSynchronizationModel::new(),
            limits: LIMITS,
        })
        .await?;
        Ok(self.running.insert(Running {
            node,
            store,
            power,
            tasks: JoinSet::new(),
        }))
    }

    /// Cuts the power: disk and socket are dead before anybody can do anything about it, and what was not synced may be
    /// lost. Returns whether there was a node.
    pub fn lose_power(&mut self) -> bool {
        let Some(running) = self.running.take() else {
            return false;
        };
        running.power.cut();
        self.disk.lose_power();
        drop(running.tasks);
        // What is left of the node winds itself up, without being able to touch anything.
        let node = running.node;
        tokio::spawn(async move { node.shutdown().await });
        true
    }

    /// Stops the node in good order. Returns whether there was one.
    pub async fn stop(&mut self) -> bool {
        let Some(running) = self.running.take() else {
            return false;
        };
        drop(running.tasks);
        running.node.shutdown().await;
        // It has given its last answer; whether its store can be closed is between it and its disk.
        let _ = running.store.store().close().await;
        running.power.cut();
        self.disk.lose_power();
        true
    }
}

/// A store whose background work begins early, so that little data exercises all of it.
pub fn store_config() -> RedbConfig {
    let mut config = RedbConfig::new("simulated");
    config.cache_bytes = 64 << 10;
    config.index_pending_max = 256;
    config.index_step_keys = 32;
    config
}

/// What the machines of a world are called.
pub const NAMES: [&str; 8] = [
    "amber", "basil", "cedar", "daisy", "elder", "fennel", "ginger", "hazel",
];

/// Deadlines that let a world of a minute see many of them pass. Causes are waited for for ever: the judge counts nothing else.
const LIMITS: Limits = Limits {
    hello: Duration::from_secs(3),
    redial: (Duration::from_millis(250), Duration::from_secs(4)),
    patience: None,
    ..Limits::STANDARD
};
const QUIC_LIMITS: QuicLimits = QuicLimits {
    idle_timeout_ms: 6_000,
    keep_alive_ms: 2_000,
    connect_deadline_ms: 3_000,
    handshake_deadline_ms: 3_000,
    ..QuicLimits::STANDARD
};

/// Seeds are spread so that no two machines, and no two starts of one, share theirs.
const MACHINES_MAX: u64 = 16;
const STARTS_MAX: u64 = 1 << 16;
