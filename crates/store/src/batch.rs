//! What goes into a store: batches of log entries and side writes, all or nothing.

use std::fmt;

use causality_fact::{Entry, LogId};

use crate::error::StoreError;

/// The most entries of one batch.
pub const BATCH_ENTRIES_MAX: usize = 1 << 16;
/// The most bytes of one batch: of its rows, and of the keys and values of its side writes.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// The most bytes of a key of a side table.
pub const SIDE_KEY_BYTES_MAX: usize = 1024;
/// The most bytes of a value of a side table.
pub const SIDE_VALUE_BYTES_MAX: usize = 1 << 20;

/// What is written in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a caller states all of it; commit checks it"
)]
pub struct Batch {
    /// Entries of logs, in any order; at most [`BATCH_ENTRIES_MAX`].
    pub entries: Vec<NewEntry>,
    /// Writes to side tables, done in this order.
    pub side: Vec<SideWrite>,
    /// When the entries were received, in milliseconds since 1970, by the caller's clock.
    pub time: i64,
}

impl Batch {
    /// Its bytes, as [`BATCH_BYTES_MAX`] counts them.
    pub fn bytes(&self) -> usize {
        let rows = self.entries.iter().map(|new| match &new.entry {
            Entry::Row(row) => row.bytes().len(),
            Entry::Withheld { .. } => 0,
        });
        let side = self.side.iter().map(|write| {
            write
                .key
                .len()
                .saturating_add(write.value.as_ref().map_or(0, Vec::len))
        });
        rows.chain(side).fold(0, usize::saturating_add)
    }

    pub(crate) fn check_limits(&self) -> Result<(), StoreError> {
        let limit = StoreError::check_limit;
        limit("number of entries", self.entries.len(), BATCH_ENTRIES_MAX)?;
        limit("batch length", self.bytes(), BATCH_BYTES_MAX)?;
        for write in &self.side {
            limit("side key length", write.key.len(), SIDE_KEY_BYTES_MAX)?;
            let length = write.value.as_ref().map_or(0, Vec::len);
            limit("side value length", length, SIDE_VALUE_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// One entry for a log.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a caller states all of it; commit checks it"
)]
pub struct NewEntry {
    /// The log.
    pub log: LogId,
    /// Its position, or its first one; with all it covers below [`causality_fact::LOG_SIZE_MAX`].
    pub position: u64,
    /// What stands there.
    pub entry: Entry,
    /// Where it came from, if that should be found again.
    pub mark: Option<Mark>,
}

/// The caller's digest of where a row came from, such as the line of an import; a second import finds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark([u8; 16]);

impl Mark {
    /// Any bytes are a mark.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// One of 256 tables of opaque rows; the callers give the numbers their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SideTable(u8);

impl SideTable {
    /// The table in which the store itself leaves word for its callers: see [`RESTORED_KEY`].
    pub const STORE: Self = Self(u8::MAX);

    /// The table of a number; that of [`SideTable::STORE`] is taken.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The key in [`SideTable::STORE`] that is there when the store was restored from a backup and nobody has dealt with
/// that yet. Who does, by opening new lanes, removes it in the same batch.
pub const RESTORED_KEY: &[u8] = b"restored";

/// Names a row of a side table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any key names a row")]
pub struct SideKey {
    /// The table.
    pub table: SideTable,
    /// The key in it.
    pub key: Vec<u8>,
}

/// A change of one row of a side table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a caller states all of it; commit checks it"
)]
pub struct SideWrite {
    /// The table.
    pub table: SideTable,
    /// The key, at most [`SIDE_KEY_BYTES_MAX`] bytes.
    pub key: Vec<u8>,
    /// The new value, at most [`SIDE_VALUE_BYTES_MAX`] bytes; `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// What a commit changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the four numbers that a commit yields"
)]
pub struct Committed {
    /// Entries at positions of which nothing was held.
    pub added: u64,
    /// Entries that tell more than what was held.
    pub upgraded: u64,
    /// Entries that tell nothing new; they were not written.
    pub duplicate: u64,
    /// The number of the last journal entry once the batch was in.
    pub journal: u64,
}
