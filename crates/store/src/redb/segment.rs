//! Segments: runs of neighbouring entries of a log in one value (`docs/src/spec/store.md`, section "Segments").

use causality_fact::{
    BLOCK_LEVEL, DecodeError, Decoder, Encoder, Entry, FactId, ROW_BYTES_MAX, RowState, Subtree,
    TreeHash, leaf_hash,
};

use super::held::Level;
use crate::answer::{StoredBody, StoredEntry};
use crate::error::StoreError;

/// The most bytes of a segment: with its key it fits into 64 KiB, and redb rounds values up to a power of two.
pub(super) const SEGMENT_BYTES_MAX: usize = 65_300;

/// An entry inside a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    pub(super) position: u64,
    pub(super) body: Body<'a>,
}

/// What stands in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    Row {
        id: FactId,
        state: RowState,
        row: &'a [u8],
    },
    Withheld {
        level: u8,
        hash: TreeHash,
    },
}

impl<'a> Slot<'a> {
    /// The slot of an entry.
    pub(super) fn of(position: u64, entry: &'a Entry) -> Self {
        let body = match entry {
            Entry::Row(row) => Body::Row {
                id: row.id(),
                state: row.state(),
                row: row.bytes(),
            },
            Entry::Withheld { level, hash } => Body::Withheld {
                level: *level,
                hash: *hash,
            },
        };
        Self { position, body }
    }

    pub(super) fn end(&self) -> u64 {
        match self.body {
            Body::Row { .. } => self.position + 1,
            Body::Withheld { level, .. } => self.position + (1 << level),
        }
    }

    pub(super) fn level(&self) -> Level {
        match self.body {
            Body::Row { state, .. } => state.into(),
            Body::Withheld { .. } => Level::Withheld,
        }
    }

    /// The subtree that it stands for, and its hash.
    pub(super) fn leaf(&self) -> Result<(Subtree, TreeHash), StoreError> {
        let (level, hash) = match self.body {
            Body::Row { id, .. } => (0, leaf_hash(&id)),
            Body::Withheld { level, hash } => (level, hash),
        };
        let subtree = Subtree::new(self.position, level);
        Ok((
            subtree.map_err(|error| StoreError::corrupt(error.to_string()))?,
            hash,
        ))
    }

    pub(super) fn to_stored(self) -> StoredEntry {
        let body = match self.body {
            Body::Row { id, state, row } => StoredBody::Row {
                id,
                state,
                bytes: row.to_vec(),
            },
            Body::Withheld { level, hash } => StoredBody::Withheld { level, hash },
        };
        StoredEntry {
            position: self.position,
            body,
        }
    }
}

/// Walks the entries of a segment whose first position is `first`; ends after an error.
pub(super) fn slots(first: u64, segment: &[u8]) -> Slots<'_> {
    Slots {
        position: first,
        segment,
        at: 0,
    }
}

/// The walk.
#[derive(Debug)]
pub(super) struct Slots<'a> {
    position: u64,
    segment: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Slots<'a> {
    type Item = Result<Slot<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self
            .segment
            .get(self.at..)
            .filter(|rest| !rest.is_empty())?;
        let mut from = Decoder::new(rest);
        match read(&mut from) {
            Ok(body) => {
                self.at += from.at();
                let position = self.position;
                let slot = Slot { position, body };
                self.position = slot.end();
                Some(Ok(slot))
            }
            Err(error) => {
                self.at = self.segment.len();
                let what = format!("a segment near position {}: {error}", self.position);
                Some(Err(StoreError::corrupt(what)))
            }
        }
    }
}

fn read<'a>(from: &mut Decoder<'a>) -> Result<Body<'a>, DecodeError> {
    let code = from.u8()?;
    let row = |from: &mut Decoder<'a>, state| {
        let id = FactId::decode(from)?;
        let row = from.bytes("row length", ROW_BYTES_MAX)?;
        Ok(Body::Row { id, state, row })
    };
    match Level::from_code(code) {
        Some(Level::Full) => row(from, RowState::Full),
        Some(Level::Partial) => row(from, RowState::Partial),
        Some(Level::Withheld) => {
            let at = from.at();
            let level = from.length("level of a subtree", BLOCK_LEVEL.into())? as u8;
            if level == 0 {
                let rule = "a leaf is in a block of holes";
                return Err(DecodeError::NotCanonical { at, rule });
            }
            let hash = TreeHash::new(from.array()?);
            Ok(Body::Withheld { level, hash })
        }
        None => Err(DecodeError::UnknownCode {
            at: 0,
            what: "kind of entry",
            code,
        }),
    }
}

/// Packs rows and subtrees into segments, each as full as it gets.
#[derive(Debug, Default)]
pub(super) struct Packer {
    done: Vec<(u64, Vec<u8>)>,
    first: u64,
    end: u64,
    open: Encoder,
}

impl Packer {
    /// Adds a row or a withheld subtree behind those before it; a gap starts a new segment.
    pub(super) fn add(&mut self, slot: &Slot<'_>) {
        let length = match slot.body {
            Body::Row { row, .. } => row.len() + ROW_OVERHEAD_MAX,
            Body::Withheld { .. } => WITHHELD_BYTES,
        };
        if slot.position != self.end || self.open.len() + length > SEGMENT_BYTES_MAX {
            self.close();
        }
        if self.open.is_empty() {
            self.first = slot.position;
        }
        self.end = slot.end();
        let to = self.open.u8(slot.level() as u8);
        match slot.body {
            Body::Row { id, row, .. } => to.raw(id.as_bytes()).bytes(row),
            Body::Withheld { level, hash } => to.u8(level).raw(hash.as_bytes()),
        };
    }

    /// Takes out the segments that are full, with their first positions.
    pub(super) fn full(&mut self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.done.drain(..)
    }

    /// The segments that were not taken out, with their first positions.
    pub(super) fn finish(mut self) -> Vec<(u64, Vec<u8>)> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let segment = std::mem::take(&mut self.open).finish();
            self.done.push((self.first, segment));
        }
    }
}

/// Kind, id and the longest length of a row.
const ROW_OVERHEAD_MAX: usize = 1 + FactId::LENGTH + 3;
/// Kind, level and hash.
const WITHHELD_BYTES: usize = 1 + 1 + TreeHash::LENGTH;
const _: () = assert!(ROW_BYTES_MAX + ROW_OVERHEAD_MAX <= SEGMENT_BYTES_MAX);
