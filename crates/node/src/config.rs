//! What a node is made of. Every part can be replaced by another of its kind.

use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_store::FactStore;
use causality_sync::Grants;
use causality_transport::CrossDomainTransport;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::Entropy;

/// The parts of a node.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct NodeConfig {
    /// The domain's secrets.
    pub keys: Arc<DomainKeys>,
    /// Where facts are kept.
    pub store: Arc<dyn FactStore>,
    /// How peers are reached; `None` for a node that only works on its store.
    pub transport: Option<Arc<dyn CrossDomainTransport>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Who is known, and what each may have and give.
    pub peers: Vec<PeerConfig>,
    /// Deadlines and bounds.
    pub limits: Limits,
}

/// A peer: who it is, where, and what goes each way. Nothing by default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct PeerConfig {
    /// Its id.
    pub domain: DomainId,
    /// Its name here.
    pub name: String,
    /// Where it listens, as `host:port`; none for a peer that only calls.
    pub addresses: Vec<String>,
    /// Compartments whose logs it may have.
    pub send: Vec<String>,
    /// Compartments whose logs are taken from it.
    pub receive: Vec<String>,
}

impl PeerConfig {
    pub(crate) fn grants(&self) -> Grants {
        Grants {
            send: self.send.iter().cloned().collect(),
            receive: self.receive.iter().cloned().collect(),
        }
    }
}

/// Deadlines and bounds of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a caller may set any of it")]
pub struct Limits {
    /// How long a Hello may take.
    pub hello: Duration,
    /// How many connections may be in their Hello at once.
    pub hellos_max: usize,
    /// How many sessions there may be at once.
    pub sessions_max: usize,
    /// How long a peer that was not reached is left alone at first, and at most.
    pub redial: (Duration, Duration),
}

impl Limits {
    /// For nodes on the Internet: 5 s and 64 for Hellos, 1024 sessions, dialling again after 250 ms up to 30 s.
    pub const STANDARD: Self = Self {
        hello: Duration::from_secs(5),
        hellos_max: 64,
        sessions_max: 1024,
        redial: (Duration::from_millis(250), Duration::from_secs(30)),
    };
}
