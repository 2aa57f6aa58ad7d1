//! Seeded worlds around real nodes: the code of `sync`, `node`, `quic` and the redb store, in one process, on a network,
//! on disks and under clocks that fail on purpose, in virtual time. The same seed makes the same world.
//!
//! A [`World`] is made of [`Machine`]s in one [`Network`]; a [`Script`] says what happens to it; a [`Trace`] keeps what
//! did, and a [`History`] what the nodes were asked and said, for `causality-judge` to judge. [`run`] puts this together
//! for one seed, [`scenario`] has stories with names.
//!
//! What this crate deliberately does not do: it does not decide whether a history is good, which the judge does without
//! knowing the engine; and it does not replace tests over real processes, since one thread sees no race.
//!
//! ```
//! let outcome = causality_sim::run::seed(7, |_| {})?;
//! assert_eq!(outcome.failure, None);
//! assert!(outcome.simulated >= causality_sim::run::LENGTH);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! Features: none.

pub mod run;
pub mod scenario;

mod book;
mod clients;
mod machine;
mod rules;
mod script;
mod world;

mod clock;
mod disk;
mod link;
mod meddler;
mod network;
mod power;
mod slow;

mod dump;
mod happening;
mod history;
mod trace;

pub use book::{Book, Circle};
pub use clients::{Clients, Memory};
pub use clock::{EPOCH_MS, Rate, SeededEntropy, SimClock};
pub use disk::{Disk, DiskBackend, DiskState, SECTOR_BYTES};
pub use happening::Happening;
pub use history::{History, log_id};
pub use link::{Conditions, Delivery, LinkFault, LinkModel, Passage, PerMille, QUEUE_MAX};
pub use machine::{Backup, Machine, NAMES, Running, store_config};
pub use meddler::{Meddled, Meddler};
pub use network::Network;
pub use power::Power;
pub use rules::Terms;
pub use script::{Action, Index, Mode, Script};
pub use slow::{SlowStore, Slowness};
pub use trace::{Fingerprint, Trace};
pub use world::{Plan, Shape, Sharing, World};
