//! Judge.

mod codec;
pub mod history;
mod id;
mod keys;
mod row;
mod tree;

pub use codec::DecodeError;
pub use id::{Bytes, CompartmentId, DomainId, FactId, LaneId, LogId, Stored, TextError, TreeHash};
pub use keys::{Checkpoint, KeyError, KeyLog};
pub use row::{RowFacts, read as read_row};
pub use tree::{GrowingTree, leaf_hash};

#[cfg(test)]
mod tests;
