//! What a domain knows of each log: its tree, its newest checkpoint, and how both are kept in the store's side tables
//! (`docs/src/spec/store.md`, section "Side tables").

use causality_fact::BLOCK_LEAVES;
use causality_fact::BlockRoots;
use causality_fact::Checkpoint;
use causality_fact::CompactRange;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::Encoder;
use causality_fact::Hlc;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::TreeHash;
use causality_store::SideTable;
use causality_store::SideWrite;

/// Log → its newest state: checkpoint, time and tree.
pub const LOG_HEADS: SideTable = SideTable::new(0);
/// Log and block number (8 bytes, big endian) → the root of that full block.
pub const BLOCK_ROOTS: SideTable = SideTable::new(1);
/// Log → the roots of the blocks behind the full ones, under the newest checkpoint.
pub const OPEN_ROOTS: SideTable = SideTable::new(2);
/// Domain and epoch (4 bytes, big endian) → a key record.
pub const KEY_RECORDS: SideTable = SideTable::new(3);
/// Compartment → its name here.
pub const COMPARTMENTS: SideTable = SideTable::new(4);
/// Compartment → the lane in which this store writes.
pub const LANES: SideTable = SideTable::new(5);

const STATE_VERSION: u8 = 0;
const CHECKPOINT_BYTES_MAX: usize = 512;
const BLOCKS_MAX: usize = 1 << 15;

/// A checkpoint and the roots of its blocks from `first_block` on; the earlier ones are those of full blocks held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) first_block: u64,
    pub(crate) roots: Vec<TreeHash>,
}

/// One log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    /// The tree over all positions whose hash is known: those in the store and those on the way there.
    pub(crate) tree: BlockRoots,
    /// The time of the last fact in the tree.
    pub(crate) last_hlc: Hlc,
    /// How many positions are durable.
    pub(crate) durable: u64,
    /// The newest checkpoint that is durable; its size may be above `durable` while a transfer is under way.
    pub(crate) signed: Option<Signed>,
    /// Positions held in part.
    pub(crate) partial: PositionSet,
    /// Positions of which the hash is held only.
    pub(crate) withheld: PositionSet,
}

impl LogState {
    /// How many positions can be proven to others: all of them under the newest checkpoint, or the full blocks while it
    /// is ahead of what is held.
    pub(crate) fn provable(&self) -> u64 {
        match &self.signed {
            Some(signed) if signed.checkpoint.size <= self.durable => signed.checkpoint.size,
            Some(_) => self.durable / BLOCK_LEAVES * BLOCK_LEAVES,
            None => 0,
        }
    }

    /// The roots of the blocks from `block` on under a checkpoint of this log.
    pub(crate) fn roots_under(&self, signed: &Signed, block: u64) -> Vec<TreeHash> {
        let full = self.tree.closed().iter().take(signed.first_block as usize);
        full.chain(&signed.roots)
            .skip(block as usize)
            .copied()
            .collect()
    }

    /// The positions below `size` that are held in full.
    pub(crate) fn full(&self, size: u64) -> PositionSet {
        let mut all = PositionSet::new();
        // A log is far smaller than the largest position.
        let _ = all.insert(0..size);
        all.difference(&self.partial).difference(&self.withheld)
    }

    /// The writes that keep the state of a log as it is in memory now, under a checkpoint. `closed` is how many full
    /// blocks the store has already.
    pub(crate) fn writes(&self, log: &LogId, signed: &Signed, closed: u64) -> Vec<SideWrite> {
        let key = log.to_bytes().to_vec();
        let new_blocks = self.tree.closed().iter().enumerate().skip(closed as usize);
        let blocks = new_blocks.map(|(number, root)| SideWrite {
            table: BLOCK_ROOTS,
            key: numbered(&key, number as u64),
            value: Some(root.as_bytes().to_vec()),
        });
        let head = self.head_write(&key, &signed.checkpoint);
        blocks.chain([head]).collect()
    }

    fn head_write(&self, key: &[u8], checkpoint: &Checkpoint) -> SideWrite {
        let mut to = Encoder::new();
        to.u8(STATE_VERSION)
            .bytes(&checkpoint.to_bytes())
            .fixed_u64(self.last_hlc.to_bits());
        to.uint(self.tree.size())
            .length(self.tree.open().hashes().len());
        for hash in self.tree.open().hashes() {
            to.raw(hash.as_bytes());
        }
        SideWrite {
            table: LOG_HEADS,
            key: key.to_vec(),
            value: Some(to.finish()),
        }
    }

    /// Reads a log's state from its rows in the side tables.
    ///
    /// # Errors
    ///
    /// When they are not what [`LogState::writes`] and [`Signed::write`] wrote.
    pub(crate) fn restore(
        head: &[u8],
        closed: Vec<TreeHash>,
        open_roots: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let misfit = DecodeError::NotCanonical {
            at: 0,
            rule: "a log state fits its size",
        };
        let (checkpoint, last_hlc, size, open) = Decoder::exactly(head, read_head)?;
        let open =
            CompactRange::from_parts(size % BLOCK_LEAVES, open).map_err(|_| misfit.clone())?;
        let tree = BlockRoots::from_parts(closed, open).map_err(|_| misfit.clone())?;
        if tree.size() != size {
            return Err(misfit);
        }
        let signed = match open_roots {
            Some(bytes) if checkpoint.size > size => {
                let read = |from: &mut Decoder<'_>| Ok((from.uint()?, hashes(from, BLOCKS_MAX)?));
                let (first_block, roots) = Decoder::exactly(bytes, read)?;
                Signed {
                    checkpoint,
                    first_block,
                    roots,
                }
            }
            _ => Signed::at_tree(checkpoint, &tree),
        };
        Ok(Self {
            durable: size,
            tree,
            last_hlc,
            signed: Some(signed),
            ..Self::default()
        })
    }
}

fn read_head(from: &mut Decoder<'_>) -> Result<(Checkpoint, Hlc, u64, Vec<TreeHash>), DecodeError> {
    let code = from.u8()?;
    if code != STATE_VERSION {
        return Err(DecodeError::UnknownCode {
            at: 0,
            what: "log state version",
            code,
        });
    }
    let checkpoint =
        Checkpoint::from_bytes(from.bytes("checkpoint length", CHECKPOINT_BYTES_MAX)?)?;
    let last_hlc = Hlc::from_bits(from.fixed_u64()?);
    Ok((checkpoint, last_hlc, from.uint()?, hashes(from, 64)?))
}

/// The key of a numbered row behind `prefix`, so that rows lie in the order of their numbers.
pub(crate) fn numbered(prefix: &[u8], number: u64) -> Vec<u8> {
    let ordered = (0..8).rev().map(|byte| (number >> (8 * byte)) as u8);
    prefix.iter().copied().chain(ordered).collect()
}

impl Signed {
    /// A checkpoint over exactly the leaves of a tree.
    pub(crate) fn at_tree(checkpoint: Checkpoint, tree: &BlockRoots) -> Self {
        let open = tree.open();
        let roots = (open.size() > 0).then(|| open.root()).into_iter().collect();
        Self {
            checkpoint,
            first_block: tree.closed().len() as u64,
            roots,
        }
    }

    /// The write that keeps the roots behind the full blocks.
    pub(crate) fn write(&self) -> SideWrite {
        let mut to = Encoder::new();
        to.uint(self.first_block).length(self.roots.len());
        for root in &self.roots {
            to.raw(root.as_bytes());
        }
        let key = self.checkpoint.log.to_bytes().to_vec();
        SideWrite {
            table: OPEN_ROOTS,
            key,
            value: Some(to.finish()),
        }
    }
}

fn hashes(from: &mut Decoder<'_>, limit: usize) -> Result<Vec<TreeHash>, DecodeError> {
    let count = from.length("number of hashes", limit)?;
    (0..count)
        .map(|_| from.array().map(TreeHash::new))
        .collect()
}
