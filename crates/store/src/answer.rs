//! What comes out of a store.

use std::ops::{ControlFlow, Range};

use causality_fact::{
    DomainId, Entry, FactId, LogId, PositionSet, Row, RowState, Subtree, TreeHash, leaf_hash,
};

use crate::batch::SideTable;
use crate::error::StoreError;

/// The most rows that one page of a query has.
pub const QUERY_ROWS_MAX: usize = 10_000;
/// The most rows that a query looks at for one page.
pub const QUERY_WORK_MAX: usize = 20_000;
/// A page of a query, a scan and the values of a side scan end once they have so many bytes.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The most entries that one call for leaves, side rows or the journal yields.
pub const ANSWER_ENTRIES_MAX: usize = 1 << 16;

/// A position of a log. Ordered by log, then position: the order of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_structs,
    reason = "any log and position are a place"
)]
pub struct Place {
    /// The log.
    pub log: LogId,
    /// The position in it.
    pub position: u64,
}

/// A row and where it stands. Its id was computed again from the stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRow {
    /// Where it stands.
    pub place: Place,
    /// The row.
    pub row: Row,
}

/// An entry of a log as it lies in the store: nothing of it was parsed or hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// Its position, or its first one.
    pub position: u64,
    /// What stands there.
    pub body: StoredBody,
}

/// What stands at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum StoredBody {
    /// A row.
    Row {
        /// The id of its fact, as computed when it was stored.
        id: FactId,
        /// How much of the fact it holds.
        state: RowState,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The positions of an aligned subtree, which are withheld.
    Withheld {
        /// The logarithm of how many positions there are.
        level: u8,
        /// Their hash.
        hash: TreeHash,
    },
}

impl StoredEntry {
    pub(crate) fn new(position: u64, entry: &Entry) -> Self {
        let body = match entry {
            Entry::Row(row) => StoredBody::Row {
                id: row.id(),
                state: row.state(),
                bytes: row.bytes().to_vec(),
            },
            Entry::Withheld { level, hash } => StoredBody::Withheld {
                level: *level,
                hash: *hash,
            },
        };
        Self { position, body }
    }

    /// The positions that it stands for.
    pub fn range(&self) -> Range<u64> {
        let positions = match self.body {
            StoredBody::Row { .. } => 1,
            // A level from a damaged file may be anything.
            StoredBody::Withheld { level, .. } => 1_u64.checked_shl(level.into()).unwrap_or(0),
        };
        self.position..self.position.saturating_add(positions)
    }

    /// Its hash in the tree of the log: of a row the hash of its leaf.
    pub fn hash(&self) -> TreeHash {
        match &self.body {
            StoredBody::Row { id, .. } => leaf_hash(id),
            StoredBody::Withheld { hash, .. } => *hash,
        }
    }

    /// The subtree that it stands for; that of a row is one leaf.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when there is no such subtree.
    pub fn subtree(&self) -> Result<Subtree, StoreError> {
        let level = match self.body {
            StoredBody::Row { .. } => 0,
            StoredBody::Withheld { level, .. } => level,
        };
        Subtree::new(self.position, level).map_err(|error| StoreError::corrupt(error.to_string()))
    }

    /// Reads the entry of a log of `origin`, and checks that the row still has the id under which it was stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it has not, or is no row.
    pub fn entry(&self, origin: DomainId) -> Result<Entry, StoreError> {
        match &self.body {
            StoredBody::Row { id, bytes, .. } => {
                parse(self.position, *id, bytes, origin).map(Entry::Row)
            }
            StoredBody::Withheld { level, hash } => Ok(Entry::Withheld {
                level: *level,
                hash: *hash,
            }),
        }
    }
}

/// Entries of an answer that ends once its rows have so many bytes, but not before one entry.
#[derive(Debug)]
pub(crate) struct Entries {
    entries: Vec<StoredEntry>,
    bytes: usize,
    bytes_max: usize,
}

impl Entries {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            bytes_max: bytes_max.min(ANSWER_BYTES_MAX),
        }
    }

    /// Takes the next entry in; breaks, without it, when the answer ends.
    pub(crate) fn take(&mut self, entry: StoredEntry) -> ControlFlow<()> {
        if let StoredBody::Row { bytes, .. } = &entry.body {
            self.bytes = self.bytes.saturating_add(bytes.len());
        }
        if !self.entries.is_empty() && self.bytes > self.bytes_max {
            return ControlFlow::Break(());
        }
        self.entries.push(entry);
        ControlFlow::Continue(())
    }

    pub(crate) fn finish(self) -> Vec<StoredEntry> {
        self.entries
    }
}

/// Checks positions that are asked for: they ascend strictly, and are not too many.
pub(crate) fn check_positions(positions: &[u64]) -> Result<(), StoreError> {
    StoreError::check_limit("number of positions", positions.len(), ANSWER_ENTRIES_MAX)?;
    match positions.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(StoreError::NotAscending { position: pair[1] }),
        None => Ok(()),
    }
}

/// Reads a row and compares its id with the one stored beside it.
pub(crate) fn parse(
    position: u64,
    id: FactId,
    bytes: &[u8],
    origin: DomainId,
) -> Result<Row, StoreError> {
    let row = Row::from_bytes(bytes, origin).map_err(|error| {
        StoreError::corrupt(format!("row {position} of a log of {origin:.8}: {error}"))
    })?;
    if row.id() == id {
        Ok(row)
    } else {
        Err(StoreError::corrupt(format!(
            "row {position} of a log of {origin:.8} is another fact than was stored there"
        )))
    }
}

/// A part of the answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The facts found, in order of their places. There may be none although more follow.
    pub rows: Vec<StoredRow>,
    /// From where to go on; `None` at the end.
    pub next: Option<Place>,
}

/// Which rows of a side table to read, in order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any range may be asked for")]
pub struct SideRange {
    /// The table.
    pub table: SideTable,
    /// What the keys start with.
    pub prefix: Vec<u8>,
    /// Only keys behind this one.
    pub after: Option<Vec<u8>>,
    /// At most so many rows, and never more than [`ANSWER_ENTRIES_MAX`].
    pub limit: usize,
}

/// What is held of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLog {
    /// The log.
    pub log: LogId,
    /// Positions of which everything is held.
    pub full: PositionSet,
    /// Positions of which a part of the content is held.
    pub partial: PositionSet,
    /// Positions of which only a hash is held.
    pub withheld: PositionSet,
}

/// What was received, when: a run of positions that one batch added or upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Counted from 1, without gaps.
    pub number: u64,
    /// The time of the batch, in milliseconds since 1970.
    pub time: i64,
    /// The log.
    pub log: LogId,
    /// The positions.
    pub positions: Range<u64>,
    /// Whether they were new, or told more than what was held.
    pub change: Change,
}

/// How entries changed a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum Change {
    /// Nothing was held there.
    Added,
    /// Less was held there.
    Upgraded,
}
