//! What a node is made of. Every part can be replaced by another of its kind.

use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_store::FactStore;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::Flow;
use causality_strategy::Party;
use causality_strategy::SyncPolicies;
use causality_sync::PeerPolicies;
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
    /// Who is known, and which compartments each may have and give as a whole.
    pub peers: Vec<PeerConfig>,
    /// What else each may have and give.
    pub policies: SyncPolicies,
    /// When and how it travels; with a peer for which there is no strategy a session is kept, in which everything goes at
    /// once.
    pub strategies: FactSynchronizationModel,
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
    /// Compartments of which it may have everything.
    pub send: Vec<String>,
    /// Compartments of which everything is taken from it.
    pub receive: Vec<String>,
}

impl PeerConfig {
    /// What the rules of the domain `own` say about this peer: those of its policies, and what is granted here.
    pub fn policies(&self, policies: &SyncPolicies, own: DomainId) -> PeerPolicies {
        let mut policies = policies.clone();
        self.grant(&mut policies);
        PeerPolicies::new(&policies, own, &self.party())
    }

    /// The peer under its name here.
    pub(crate) fn party(&self) -> Party<'_> {
        Party {
            domain: self.domain,
            name: Some(&self.name),
        }
    }

    /// Adds what is granted here to the rules of a domain.
    pub fn grant(&self, policies: &mut SyncPolicies) {
        let name = format!("address book: {}", self.name);
        for (flow, compartments) in [(Flow::Out, &self.send), (Flow::In, &self.receive)] {
            let compartments = compartments.iter().map(String::as_str);
            policies.grant(flow, &name, self.domain, compartments);
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
    /// How long a fact waits for its causes before it is to be seen without them, with a mark; `None`: for ever.
    pub patience: Option<Duration>,
}

impl Limits {
    /// For nodes on the Internet: 5 s and 64 for Hellos, 1024 sessions, dialling again after 250 ms up to 30 s, ten minutes
    /// for causes.
    pub const STANDARD: Self = Self {
        hello: Duration::from_secs(5),
        hellos_max: 64,
        sessions_max: 1024,
        redial: (Duration::from_millis(250), Duration::from_secs(30)),
        patience: Some(Duration::from_secs(600)),
    };
}
