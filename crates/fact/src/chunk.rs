//! Chunks: how a log travels, and the check that a run of its positions is what the origin signed
//! (`docs/src/spec/log.md`, section "Chunks").
//!
//! A receiver first learns a checkpoint with the roots of the blocks it lacks. Each chunk then extends the receiver's
//! tree within one block and carries the hashes to its right, so that it verifies against the root of that block by
//! itself, before anything of it is stored, whatever comes later.

use crate::checkpoint::Checkpoint;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::core::FactCore;
use crate::hlc::Hlc;
use crate::id::DomainId;
use crate::row::ROW_BYTES_MAX;
use crate::row::Row;
use crate::row::RowCore;
use crate::tree::BLOCK_LEAVES;
use crate::tree::BLOCK_LEVEL;
use crate::tree::BlockRoots;
use crate::tree::CompactRange;
use crate::tree::Subtree;
use crate::tree::TreeError;
use crate::tree::TreeHash;
use crate::tree::blocks_of;
use crate::tree::decompose;
use crate::tree::leaf_hash;
use crate::tree::root_from_blocks;
use crate::verified::Verified;
use thiserror::Error;

/// The most bytes of the entries of one chunk, unless it is one fact.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// One or more positions of a log, held or withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum Entry {
    /// One position, with what is known of its fact.
    Row(Row),
    /// The positions of an aligned subtree that are withheld: their hash in the tree.
    Withheld {
        /// The logarithm of how many positions there are; at most [`BLOCK_LEVEL`].
        level: u8,
        /// Their hash; of one position its leaf hash, which does not tell the id.
        hash: TreeHash,
    },
}

impl Entry {
    /// How many positions it stands for.
    pub fn positions(&self) -> u64 {
        match self {
            Self::Row(_) => 1,
            Self::Withheld { level, .. } => 1 << level,
        }
    }

    /// Appends its bytes: the length of a row and the row, or 0, the level and the hash.
    pub fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Row(row) => to.bytes(row.bytes()),
            Self::Withheld { level, hash } => to.uint(0).u8(*level).raw(hash.as_bytes()),
        };
    }

    /// Reads one entry of a log of `origin`.
    ///
    /// # Errors
    ///
    /// When the bytes are not canonical.
    pub fn decode(from: &mut Decoder<'_>, origin: DomainId) -> Result<Self, DecodeError> {
        let row = from.bytes("row length", ROW_BYTES_MAX)?;
        if !row.is_empty() {
            return Row::from_bytes(row, origin).map(Self::Row);
        }
        let at = from.at();
        let level = from.u8()?;
        if level > BLOCK_LEVEL {
            let (actual, limit) = (u64::from(level), u64::from(BLOCK_LEVEL));
            return Err(DecodeError::LimitExceeded {
                at,
                what: "level of a subtree",
                actual,
                limit,
            });
        }
        Ok(Self::Withheld {
            level,
            hash: TreeHash::new(from.array()?),
        })
    }

    fn push(&self, to: &mut CompactRange) -> Result<(), TreeError> {
        match self {
            Self::Row(row) => to.push(leaf_hash(&row.id())),
            Self::Withheld { level, hash } => to.push_subtree(*level, *hash),
        }
    }
}

/// Why a checkpoint, its roots or a chunk do not extend a log.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkError {
    /// An entry is not canonical.
    #[error("malformed entry: {0}")]
    Malformed(#[from] DecodeError),
    /// Hashes do not fit the tree.
    #[error("the hashes do not fit the tree: {0}")]
    Tree(#[from] TreeError),
    /// The roots of the blocks do not give the signed root: this log and the sender's are different.
    #[error("the blocks do not give the root that the origin signed for size {size}")]
    WrongRoot {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The entries do not give the root of their block.
    #[error("the chunk at position {from} does not give the root of its block")]
    WrongBlock {
        /// The first position.
        from: u64,
    },
    /// The checkpoint ends before what is held.
    #[error("the checkpoint ends at {size}, {held} positions are held")]
    Behind {
        /// The size of the checkpoint.
        size: u64,
        /// How many positions are held.
        held: u64,
    },
    /// The chunk does not follow what is held.
    #[error("the chunk covers {from} to {end}, {held} positions are held")]
    OutOfPlace {
        /// The first position.
        from: u64,
        /// The position behind the last.
        end: u64,
        /// How many positions are held.
        held: u64,
    },
    /// The tree is not the one that the chunk, or its checkpoint, was checked against.
    #[error("the tree of {size} positions is not the one that was checked against")]
    OtherTree {
        /// How many positions it has.
        size: u64,
    },
    /// The times of a lane do not increase.
    #[error("the time of position {position} is not after the one before it")]
    TimeRunsBack {
        /// The position.
        position: u64,
    },
}

/// A checkpoint together with the roots of its blocks, which give its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBlocks {
    checkpoint: Verified<Checkpoint>,
    // Of all blocks, from the first one on.
    roots: Vec<TreeHash>,
}

impl SignedBlocks {
    /// Checks that the full blocks of `held`, and `later` behind them, give the root of the checkpoint.
    ///
    /// # Errors
    ///
    /// [`ChunkError::WrongRoot`] when they do not, [`ChunkError::Behind`] when the checkpoint ends before `held`, and
    /// [`ChunkError::Tree`] for another number of roots.
    pub fn verify(
        checkpoint: Verified<Checkpoint>,
        held: &BlockRoots,
        later: Vec<TreeHash>,
    ) -> Result<Verified<Self>, ChunkError> {
        let size = checkpoint.size;
        if size < held.size() {
            return Err(ChunkError::Behind {
                size,
                held: held.size(),
            });
        }
        let roots = [held.closed(), &later].concat();
        let forked = held.size() == size && held.root() != checkpoint.root;
        if forked || root_from_blocks(size, &roots)? != checkpoint.root {
            return Err(ChunkError::WrongRoot { size });
        }
        Ok(Verified::new(Self { checkpoint, roots }))
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &Verified<Checkpoint> {
        &self.checkpoint
    }

    /// The roots of the blocks from `block` on, the last one clipped; `None` when the log ends before that block.
    pub fn roots_from(&self, block: u64) -> Option<&[TreeHash]> {
        self.roots.get(usize::try_from(block).ok()?..)
    }
}

/// A run of positions within one block as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a claim: any values are legal until verified"
)]
pub struct Chunk {
    /// The first position.
    pub from: u64,
    /// The entries in order of their positions, each as [`Entry::encode`] writes it.
    pub entries: Vec<u8>,
    /// The hashes of the largest aligned subtrees behind the last entry, up to the end of the block or of the log.
    pub right: Vec<TreeHash>,
}

/// The entries of a chunk that were not held, proven to stand in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    from: u64,
    // The root of the first `from` positions.
    before: TreeHash,
    end: u64,
    entries: Vec<Entry>,
    open: CompactRange,
    last_hlc: Hlc,
}

impl Extension {
    /// Checks that a chunk extends `held` to something that the origin signed. Entries that are held already are
    /// passed over unchecked. `held` has to be a tree whose full blocks are those of `signed`.
    ///
    /// `last_hlc` is the time of the last fact held, which the first new one must be after.
    ///
    /// # Errors
    ///
    /// When the entries are malformed, do not follow what is held, or do not give the root of their block, and
    /// [`ChunkError::OtherTree`] when `held` is not a tree that `signed` continues.
    pub fn verify(
        chunk: &Chunk,
        signed: &Verified<SignedBlocks>,
        held: &BlockRoots,
        last_hlc: Hlc,
    ) -> Result<Verified<Self>, ChunkError> {
        let all = decode_entries(&chunk.entries, signed.checkpoint.log.origin)?;
        let end = chunk
            .from
            .saturating_add(all.iter().map(Entry::positions).sum());
        let block = held.size() / BLOCK_LEAVES;
        let block_end = ((block + 1) * BLOCK_LEAVES).min(signed.checkpoint.size);
        let new = behind(all, chunk.from, held.size());
        let Some(entries) = new.filter(|new| !new.is_empty() && end <= block_end) else {
            return Err(ChunkError::OutOfPlace {
                from: chunk.from,
                end,
                held: held.size(),
            });
        };
        if !signed.roots.starts_with(held.closed()) {
            return Err(ChunkError::OtherTree { size: held.size() });
        }
        let mut open = held.open().clone();
        entries.iter().try_for_each(|entry| entry.push(&mut open))?;
        let root = close(&open, &chunk.right, block_end - block * BLOCK_LEAVES)?;
        if signed.roots.get(held.closed().len()) != Some(&root) {
            return Err(ChunkError::WrongBlock { from: chunk.from });
        }
        let from = held.size();
        let last_hlc = check_times(&entries, from, last_hlc, signed.checkpoint.hlc)?;
        Ok(Verified::new(Self {
            from,
            before: held.root(),
            end,
            entries,
            open,
            last_hlc,
        }))
    }

    /// The first new position.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The position behind the last.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The new entries in order of their positions.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The time of the last fact, held before or new.
    pub fn last_hlc(&self) -> Hlc {
        self.last_hlc
    }
}

impl Verified<Extension> {
    /// Extends the tree that the chunk was checked against; returns the root of the block if it is full now.
    ///
    /// # Errors
    ///
    /// [`ChunkError::OtherTree`] when `held` is another tree, or has grown since; it is then as before.
    pub fn apply(&self, held: &mut BlockRoots) -> Result<Option<TreeHash>, ChunkError> {
        if (held.size(), held.root()) != (self.from, self.before) {
            return Err(ChunkError::OtherTree { size: held.size() });
        }
        Ok(held.replace_open(self.open.clone()))
    }

    /// The new entries.
    pub fn into_entries(self) -> Vec<Entry> {
        self.into_inner().entries
    }
}

/// The right-hand hashes of a chunk that ends at `end`: of the largest aligned subtrees from there up to the end of the
/// block, or of the log when it ends at `size` before that. `leaves` are the leaf hashes from `end` on.
///
/// # Errors
///
/// When there are fewer leaves than that, or they do not fit a tree.
pub fn right_hashes(end: u64, size: u64, leaves: &[TreeHash]) -> Result<Vec<TreeHash>, TreeError> {
    let block_end = block_end(end, size);
    let hash = |subtree: Subtree| {
        let range = subtree.range_in(block_end);
        let within = (range.start - end) as usize..(range.end - end) as usize;
        let expected = block_end - end;
        let leaves = leaves.get(within).ok_or(TreeError::HashCount {
            expected,
            actual: leaves.len() as u64,
        })?;
        Ok(crate::tree::root_of(leaves))
    };
    decompose(end..block_end.max(end))?
        .into_iter()
        .map(hash)
        .collect()
}

/// The right-hand hashes of a chunk as [`right_hashes`] gives them, for a sender that holds some positions behind `end`
/// as hashes of withheld subtrees: `parts` are leaves and subtrees in order from `end` on.
///
/// # Errors
///
/// [`TreeError::NotCovering`] when the parts leave a gap, overlap, or end too early.
pub fn right_hashes_of_parts(
    end: u64,
    size: u64,
    parts: &[(Subtree, TreeHash)],
) -> Result<Vec<TreeHash>, TreeError> {
    let block_end = block_end(end, size);
    let hash = |subtree: Subtree| {
        let range = subtree.range_in(block_end);
        let before = |limit: u64| parts.partition_point(|(part, _)| part.start() < limit);
        let within = parts.get(before(range.start)..before(range.end));
        subtree.hash_from(block_end, within.unwrap_or_default())
    };
    decompose(end..block_end.max(end))?
        .into_iter()
        .map(hash)
        .collect()
}

/// Where the block of the position before `end` ends.
fn block_end(end: u64, size: u64) -> u64 {
    let block_end = end.div_ceil(BLOCK_LEAVES).saturating_mul(BLOCK_LEAVES);
    block_end.min(size)
}

/// How many blocks a log of `size` has that a holder of `held` positions lacks or has in part.
pub fn blocks_behind(held: u64, size: u64) -> u64 {
    blocks_of(size).saturating_sub(held / BLOCK_LEAVES)
}

/// The entries of a chunk of a log of `origin`, one after the other.
///
/// # Errors
///
/// When one of them is not canonical.
pub fn decode_entries(bytes: &[u8], origin: DomainId) -> Result<Vec<Entry>, DecodeError> {
    let mut from = Decoder::new(bytes);
    let mut entries = Vec::new();
    while from.remaining() > 0 {
        entries.push(Entry::decode(&mut from, origin)?);
    }
    Ok(entries)
}

/// The entries from position `held` on, when `held` is the start of one of them or their end.
fn behind(entries: Vec<Entry>, mut at: u64, held: u64) -> Option<Vec<Entry>> {
    let mut rest = entries.into_iter().peekable();
    while at < held {
        at = at.checked_add(rest.next()?.positions())?;
    }
    (at == held).then(|| rest.collect())
}

/// The root of a block of `size` leaves from those on the left and the subtrees behind them.
fn close(open: &CompactRange, right: &[TreeHash], size: u64) -> Result<TreeHash, TreeError> {
    let left = decompose(0..open.size())?
        .into_iter()
        .zip(open.hashes().iter().copied());
    let behind = decompose(open.size()..size)?;
    if behind.len() != right.len() {
        let (expected, actual) = (behind.len() as u64, right.len() as u64);
        return Err(TreeError::HashCount { expected, actual });
    }
    let parts: Vec<_> = left
        .chain(behind.into_iter().zip(right.iter().copied()))
        .collect();
    Subtree::block(0)?.hash_from(size, &parts)
}

fn check_times(
    entries: &[Entry],
    from: u64,
    mut last: Hlc,
    newest: Hlc,
) -> Result<Hlc, ChunkError> {
    let mut position = from;
    for entry in entries {
        if let Some(core) = known_core(entry) {
            if core.hlc <= last || core.hlc > newest {
                return Err(ChunkError::TimeRunsBack { position });
            }
            last = core.hlc;
        }
        position += entry.positions();
    }
    Ok(last)
}

fn known_core(entry: &Entry) -> Option<&FactCore> {
    match entry {
        Entry::Row(row) => match row.core() {
            RowCore::Known(core) => Some(core),
            RowCore::Unsupported(_) => None,
        },
        Entry::Withheld { .. } => None,
    }
}

#[cfg(test)]
mod tests;
