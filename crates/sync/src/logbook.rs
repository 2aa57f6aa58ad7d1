//! What a domain knows of each log: its tree, its newest checkpoint, and how both are kept in the store's side tables
//! (`docs/src/spec/sync.md`, section "Side tables").

use causality_fact::BLOCK_LEAVES;
use causality_fact::BlockRoots;
use causality_fact::Checkpoint;
use causality_fact::CompactRange;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::Hlc;
use causality_fact::LogId;
use causality_fact::TreeHash;
use causality_fact::TreeHead;
use causality_fact::root_from_blocks;
use causality_store::SideTable;
use causality_store::SideWrite;
use std::sync::Arc;

use crate::holes::Holes;
use crate::session::SESSION_LOGS_MAX;

/// Log → its state: newest checkpoint, last time, size, the hashes behind its full blocks.
pub const LOG_HEADS: SideTable = SideTable::new(0);
/// Log and block number (8 bytes, big endian) → the root of that full block.
pub const BLOCK_ROOTS: SideTable = SideTable::new(1);
/// Log → the roots of the blocks behind the full ones, under the newest checkpoint.
pub const OPEN_ROOTS: SideTable = SideTable::new(2);
/// Domain and epoch (8 bytes, big endian) → a key record.
pub const KEY_RECORDS: SideTable = SideTable::new(3);
/// Compartment → its name here.
pub const COMPARTMENTS: SideTable = SideTable::new(4);
/// Compartment → the lane in which this store writes.
pub const LANES: SideTable = SideTable::new(5);

/// Log and position (8 bytes, big endian) → the mask of a fact that is held in part.
pub const PARTIALS: SideTable = SideTable::new(6);
/// Peer and log → the positions that were declined from the peer, and by which rules.
pub const DECLINED: SideTable = SideTable::new(7);
/// Peer and log → how far the peer has what it may have, and by which rules.
pub const SETTLEMENTS: SideTable = SideTable::new(8);
/// Peer and log → what the peer says that it keeps back.
pub const SOURCES: SideTable = SideTable::new(9);
/// Peer → the last convergence receipts that it and this domain gave each other.
pub const RECEIPTS: SideTable = SideTable::new(10);
/// Log → the positions that wait for causes, and those that were shown without them.
pub const WAITING: SideTable = SideTable::new(11);

/// The most blocks of a log that can be announced at once, and so that a peer may be behind.
pub const ANNOUNCED_BLOCKS_MAX: usize = 32_000;

/// With so many logs no new one of another domain is taken up: each can still be named in every session, and there is room
/// for own lanes.
pub const LOGS_MAX: usize = SESSION_LOGS_MAX - (1 << 12);

/// How many logs of one other domain are taken up at most.
pub const LOGS_OF_ORIGIN_MAX: usize = 1 << 12;
/// How many logs are taken up at most, all together, of domains that are no peers. Whoever relays can make up as many domains
/// as it likes; what peers say themselves has room all the same.
pub const LOGS_OF_STRANGERS_MAX: usize = LOGS_MAX / 2;

const STATE_VERSION: u8 = 0;
const CHECKPOINT_BYTES_MAX: usize = 512;
const OPEN_HASHES_MAX: usize = 64;

/// A checkpoint and the roots of its blocks from `first_block` on; the earlier ones are those of full blocks held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) first_block: u64,
    pub(crate) roots: Vec<TreeHash>,
}

/// One log: its tree over all positions whose hash is known, those in the store and those on the way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    pub(crate) tree: BlockRoots,
    /// The time of the last fact in the tree.
    pub(crate) last_hlc: Hlc,
    /// The newest checkpoint under which something is held; its size may be above that of the tree.
    pub(crate) newest: Option<Arc<Signed>>,
    /// The newest checkpoint of which all positions are held.
    pub(crate) whole: Option<Arc<Signed>>,
    /// What of this is durable.
    pub(crate) durable: Durable,
    /// Which of the durable positions are not held in full.
    pub(crate) holes: Holes,
    /// How often positions were upgraded: whoever knows what this domain held at some count knows what it holds now.
    pub(crate) changes: u64,
}

/// A log as the store has it: all that is told to anybody.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) head: TreeHead,
    /// How many upgrades of positions are.
    pub(crate) changes: u64,
    newest: Option<Arc<Signed>>,
    whole: Option<Arc<Signed>>,
}

impl Default for Durable {
    fn default() -> Self {
        Self {
            head: TreeHead {
                size: 0,
                root: TreeHash::empty(),
            },
            changes: 0,
            newest: None,
            whole: None,
        }
    }
}

impl Durable {
    pub(crate) fn size(&self) -> u64 {
        self.head.size
    }

    /// Whether all is held that the newest checkpoint covers. Not while a transfer is under way, or was interrupted.
    pub(crate) fn is_whole(&self) -> bool {
        let newest = self.newest.as_ref();
        newest.is_some_and(|signed| signed.checkpoint.size <= self.size())
    }

    /// How many positions can be proven to others: those under the newest checkpoint that is held whole, or the full
    /// blocks under a newer one.
    pub(crate) fn provable(&self) -> u64 {
        self.whole_size().max(self.full_blocks())
    }

    /// The checkpoint that proves them.
    pub(crate) fn signed(&self) -> Option<&Arc<Signed>> {
        if self.full_blocks() > self.whole_size() {
            self.newest.as_ref()
        } else {
            self.whole.as_ref().or(self.newest.as_ref())
        }
    }

    fn whole_size(&self) -> u64 {
        self.whole
            .as_ref()
            .map_or(0, |signed| signed.checkpoint.size)
    }

    fn full_blocks(&self) -> u64 {
        let blocks = self.head.size / BLOCK_LEAVES * BLOCK_LEAVES;
        self.newest.as_ref().map_or(0, |_| blocks)
    }
}

impl LogState {
    /// The state as it is durable once what is on its way has arrived.
    pub(crate) fn snapshot(&self) -> Durable {
        Durable {
            head: TreeHead {
                size: self.tree.size(),
                root: self.tree.root(),
            },
            changes: self.changes,
            newest: self.newest.clone(),
            whole: self.whole.clone(),
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

    /// Notes the checkpoint under which the tree has just grown, and returns the writes that keep the state as it is now.
    /// `closed` is how many full blocks the store has already.
    pub(crate) fn advance(&mut self, signed: &Arc<Signed>, closed: usize) -> Vec<SideWrite> {
        let size = self.tree.size();
        let is_newer = self
            .newest
            .as_ref()
            .is_none_or(|newest| signed.rank() > newest.rank());
        if is_newer {
            self.newest = Some(Arc::clone(signed));
        }
        let newest = self.newest.as_ref().unwrap_or(signed);
        let ends_here = |one: &&&Arc<Signed>| one.checkpoint.size == size;
        if let Some(whole) = [newest, signed].iter().find(ends_here) {
            let whole = Signed::at_tree(whole.checkpoint.clone(), &self.tree);
            self.whole = Some(Arc::new(whole));
        }
        let key = signed.checkpoint.log.to_bytes().to_vec();
        let new_blocks = self.tree.closed().iter().enumerate().skip(closed);
        let blocks = new_blocks.map(|(number, root)| SideWrite {
            table: BLOCK_ROOTS,
            key: numbered(&key, number as u64),
            value: Some(root.as_bytes().to_vec()),
        });
        let open = (is_newer && signed.checkpoint.size > size).then(|| signed.write());
        let head = self.head_write(newest);
        blocks.chain([head]).chain(open).collect()
    }

    /// Counts an upgrade of positions; returns the write that keeps the count.
    pub(crate) fn change(&mut self) -> Option<SideWrite> {
        self.changes += 1;
        let newest = self.newest.as_ref()?;
        Some(self.head_write(newest))
    }

    fn head_write(&self, newest: &Signed) -> SideWrite {
        let mut to = Encoder::new();
        to.u8(STATE_VERSION)
            .bytes(&newest.checkpoint.to_bytes())
            .fixed_u64(self.last_hlc.to_bits())
            .uint(self.changes);
        to.uint(self.tree.size())
            .length(self.tree.open().hashes().len());
        for hash in self.tree.open().hashes() {
            to.raw(hash.as_bytes());
        }
        match &self.whole {
            Some(whole) if newest.checkpoint.size > self.tree.size() => {
                to.bytes(&whole.checkpoint.to_bytes())
                    .uint(whole.first_block);
                to.length(whole.roots.len());
                for root in &whole.roots {
                    to.raw(root.as_bytes());
                }
            }
            _ => {
                to.bytes(&[]);
            }
        }
        SideWrite {
            table: LOG_HEADS,
            key: newest.checkpoint.log.to_bytes().to_vec(),
            value: Some(to.finish()),
        }
    }

    /// Reads a log's state from its rows in the side tables.
    ///
    /// # Errors
    ///
    /// When they are not what [`LogState::advance`] wrote, or do not lead to the root that was signed.
    pub(crate) fn restore(
        log: &LogId,
        head: &[u8],
        closed: Vec<TreeHash>,
        open_roots: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let head = Decoder::exactly(head, Head::read)?;
        let open = CompactRange::from_parts(head.size % BLOCK_LEAVES, head.open).map_err(misfit)?;
        let tree = BlockRoots::from_parts(closed, open).map_err(misfit)?;
        let mut state = Self {
            tree,
            last_hlc: head.last_hlc,
            changes: head.changes,
            ..Self::default()
        };
        if state.tree.size() != head.size {
            return Err(misfit(()));
        }
        if head.checkpoint.size > head.size {
            let row = open_roots.ok_or_else(|| misfit(()))?;
            let (first_block, roots) = Decoder::exactly(row, read_roots)?;
            state.newest = Some(Arc::new(Signed {
                checkpoint: head.checkpoint,
                first_block,
                roots,
            }));
            state.whole = head.whole.map(Arc::new);
        } else {
            let newest = Arc::new(Signed::at_tree(head.checkpoint, &state.tree));
            (state.newest, state.whole) = (Some(Arc::clone(&newest)), Some(newest));
        }
        for signed in state.newest.iter().chain(&state.whole) {
            state.check(log, signed)?;
        }
        state.durable = state.snapshot();
        Ok(state)
    }

    fn check(&self, log: &LogId, signed: &Signed) -> Result<(), DecodeError> {
        let Checkpoint { size, root, .. } = signed.checkpoint;
        let is_held = signed.first_block <= self.tree.closed().len() as u64;
        let found = root_from_blocks(size, &self.roots_under(signed, 0)).map_err(misfit)?;
        if signed.checkpoint.log != *log || !is_held || found != root {
            return Err(misfit(()));
        }
        Ok(())
    }
}

/// The row of a log in [`LOG_HEADS`].
struct Head {
    checkpoint: Checkpoint,
    last_hlc: Hlc,
    changes: u64,
    size: u64,
    open: Vec<TreeHash>,
    whole: Option<Signed>,
}

impl Head {
    fn read(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let code = from.u8()?;
        if code != STATE_VERSION {
            return Err(DecodeError::UnknownCode {
                at: 0,
                what: "log state version",
                code,
            });
        }
        let mut checkpoint = || from.bytes("checkpoint length", CHECKPOINT_BYTES_MAX);
        let newest = Checkpoint::from_bytes(checkpoint()?)?;
        Ok(Self {
            checkpoint: newest,
            last_hlc: Hlc::from_bits(from.fixed_u64()?),
            changes: from.uint()?,
            size: from.uint()?,
            open: hashes(from, OPEN_HASHES_MAX)?,
            whole: read_whole(from)?,
        })
    }
}

fn read_whole(from: &mut Decoder<'_>) -> Result<Option<Signed>, DecodeError> {
    let checkpoint = from.bytes("checkpoint length", CHECKPOINT_BYTES_MAX)?;
    if checkpoint.is_empty() {
        return Ok(None);
    }
    let checkpoint = Checkpoint::from_bytes(checkpoint)?;
    let (first_block, roots) = read_roots(from)?;
    Ok(Some(Signed {
        checkpoint,
        first_block,
        roots,
    }))
}

fn read_roots(from: &mut Decoder<'_>) -> Result<(u64, Vec<TreeHash>), DecodeError> {
    Ok((from.uint()?, hashes(from, ANNOUNCED_BLOCKS_MAX)?))
}

fn misfit<T>(_: T) -> DecodeError {
    DecodeError::NotCanonical {
        at: 0,
        rule: "the state of a log fits its size and checkpoint",
    }
}

/// The key of what concerns a peer and a log.
pub(crate) fn of_peer(peer: DomainId, log: &LogId) -> Vec<u8> {
    [&peer.as_bytes()[..], &log.to_bytes()].concat()
}

/// The key of a numbered row behind `prefix`, so that rows lie in the order of their numbers.
pub(crate) fn numbered(prefix: &[u8], number: u64) -> Vec<u8> {
    let ordered = (0..8).rev().map(|byte| (number >> (8 * byte)) as u8);
    prefix.iter().copied().chain(ordered).collect()
}

/// The number that [`numbered`] wrote behind its prefix.
pub(crate) fn number(bytes: [u8; 8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Signed {
    /// Of two checkpoints of one log the newer one ranks higher.
    fn rank(&self) -> (u64, u32, Hlc) {
        let Checkpoint {
            size, epoch, hlc, ..
        } = self.checkpoint;
        (size, epoch, hlc)
    }

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
    fn write(&self) -> SideWrite {
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
