//! A running domain: drives the protocol over store, network, clock and randomness.
//!
//! [`Node`] puts the parts together: the engine of `causality-sync` in a task of its own, a store, a transport, a clock.
//! [`FactRegistry`] registers, finds and proves facts; [`FactSynchronizer`] brings peers up to date;
//! [`CrossDomainMessenger`] makes sessions of connections.
//!
//! What this crate deliberately does not do: it decides nothing about the protocol, which is in `causality-sync`, and
//! opens no files and sockets: store and transport are given to it. It is the only library crate that tells the time and
//! draws randomness, in one file, and both are replaceable.
//!
//! ```
//! use causality_envelope::DomainKeys;
//! use causality_node::{Draft, Limits, Node, NodeConfig, SystemClock, SystemEntropy};
//! use causality_store::MemoryStore;
//! use causality_strategy::{FactSynchronizationModel, SyncPolicies};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = DomainKeys::generate(&mut rand_core::UnwrapErr(getrandom::SysRng), 0..i64::MAX)?;
//! let node = Node::start(NodeConfig {
//!     keys: Arc::new(keys),
//!     store: Arc::new(MemoryStore::new()),
//!     transport: None,
//!     clock: Arc::new(SystemClock),
//!     entropy: Arc::new(SystemEntropy),
//!     peers: Vec::new(),
//!     policies: SyncPolicies::default(),
//!     strategies: FactSynchronizationModel::new(),
//!     limits: Limits::STANDARD,
//! })
//! .await?;
//!
//! let draft = Draft::new("observation".parse()?, "earthquake/ak18247005".parse()?);
//! let fact = node.registry().register_fact("public", draft).await?;
//! let proof = node.registry().prove(fact.id).await?;
//! assert!(causality_fact::Exhibit::verify(&proof.to_bytes()).is_ok());
//! # Ok(())
//! # }
//! ```

mod node;

mod messenger;
mod openmetrics;
mod registry;
mod routes;
mod standing;
mod synchronizer;

mod connection;
mod driver;
mod load;
mod problem;
mod state;

mod clock;
mod config;
mod error;
mod events;

pub use causality_sync::{
    AppendError, AppendOutcome, Appended, Completeness, Direction, Draft, DraftError, LogError,
    ReadContext, Reference, RoundReport, Side, Supersedes, SyncError, SyncMetrics, SyncStatus,
    VisibleCut, Waits,
};
pub use causality_wire::{GoodbyeReason, RefusalReason};
pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use config::{Limits, NodeConfig, PeerConfig};
pub use error::NodeError;
pub use events::EVENTS_MAX;
pub use events::NodeEvent;
pub use events::NodeEvents;
pub use messenger::CrossDomainMessenger;
pub use node::{Node, Status};
pub use openmetrics::{LAGS_MAX, LOGS_MAX, OPENMETRICS_TYPE};
pub use problem::{LogProblem, Problem};
pub use registry::{Digest, FactPage, FactRecord, FactRegistry, FactView, LogDigest, VerifyReport};
pub use standing::{Hole, Kept, Lag, LogHoldings, Unconfirmed};
pub use state::{read_state, store_owner};
pub use synchronizer::{FactSynchronizer, SyncReport};
