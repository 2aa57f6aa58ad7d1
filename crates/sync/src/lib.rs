//! The synchronisation protocol as state machines without I/O.
//!
//! [`Engine`] is one domain's whole protocol: [`Input`] goes in, [`Output`] comes out, both plain data. It appends facts to
//! the own lanes, verifies what peers bring, and sends what they may have. Reads and writes of the store are effects that
//! the driver performs, so that everything can be run, step by step, without a network, a disk or a clock.
//!
//! What this crate deliberately does not do: no sockets, files, threads, async, clocks or global randomness; it decides
//! nothing about who may have what beyond the [`PeerPolicies`] that it is given. The driver is `causality-node`.
//!
//! ```
//! use causality_envelope::DomainKeys;
//! use causality_sync::{Engine, Restored, StoreState};
//! use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut random = ChaCha20Rng::seed_from_u64(1);
//! let keys = DomainKeys::generate(&mut random, 0..i64::MAX)?;
//! let empty = Restored::from_store(StoreState::default())?;
//! let mut engine = Engine::new(Arc::new(keys), empty, Box::new(random));
//! assert!(engine.poll_output().is_none());
//! # Ok(())
//! # }
//! ```

mod engine;
mod gate;

mod effect;
mod metrics;

mod append;
mod draft;
mod heads;
mod recent;

mod decide;
mod holes;
mod ingest;
mod peers;
mod receipts;
mod session;
mod upgrade;
mod visible;

mod compartment;
mod completeness;
mod logbook;
mod progress;
mod restore;

pub use compartment::{NAME_BYTES_MAX, PUBLIC_NAME};
pub use completeness::Completeness;
pub use draft::{
    APPEND_BYTES_MAX, AppendError, AppendOutcome, Appended, DRAFTS_MAX, Draft, DraftError,
    ReadContext, Reference, Supersedes,
};
pub use effect::{
    Connected, Direction, Event, FEEDS, GivenUp, Input, Load, Loaded, LogError, Output,
    PeerPolicies, RequestId, RoundReport, SessionId, Side, StreamNumber, SyncError, Ticket,
};
pub use engine::{Engine, LogView};
pub use logbook::{
    ANNOUNCED_BLOCKS_MAX, BLOCK_ROOTS, COMPARTMENTS, DECLINED, KEY_RECORDS, LANES, LOG_HEADS,
    LOGS_MAX, LOGS_OF_ORIGIN_MAX, LOGS_OF_STRANGERS_MAX, OPEN_ROOTS, PARTIALS, RECEIPTS,
    SETTLEMENTS, SOURCES, WAITING,
};
pub use metrics::{
    BATCH_BOUNDS, Counts, Histogram, METRICS_PEERS_MAX, PeerMetrics, SyncMetrics, Traffic,
};
pub use progress::{Progress, REFUSED_RUNS_MAX, SyncStatus};
pub use receipts::RECEIPTS_MAX;
pub use restore::{RestoreError, Restored, StoreState, TableRows};
pub use session::{
    CREDIT_BYTES, LOADS_MAX, OVERDRAFT_BYTES_MAX, SESSION_ANNOUNCED_BYTES_MAX, SESSION_LOGS_MAX,
    UNFLUSHED_BYTES_MAX,
};
pub use visible::{VisibleCut, Waits};
