//! The one way in for what comes from others: keys, checkpoint, roots, rows are verified, then made durable.
//!
//! Nothing here trusts the peer that brings something; all trust is in what the origin signed.

use causality_fact::BlockRoots;
use causality_fact::Checkpoint;
use causality_fact::Chunk;
use causality_fact::ChunkError;
use causality_fact::CompartmentId;
use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::Extension;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::RowCore;
use causality_fact::SignedBlocks;
use causality_fact::SignedKeyRecord;
use causality_fact::TreeHash;
use causality_fact::Verified;
use causality_fact::leaf_hash;
use causality_store::Batch;
use causality_store::NewEntry;
use causality_store::SideWrite;
use causality_wire::Announce;
use std::sync::Arc;

use crate::effect::LogError;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::holes::Extent;
use crate::holes::insert;
use crate::logbook::ANNOUNCED_BLOCKS_MAX;
use crate::logbook::Durable;
use crate::logbook::KEY_RECORDS;
use crate::logbook::LOGS_MAX;
use crate::logbook::LOGS_OF_ORIGIN_MAX;
use crate::logbook::LOGS_OF_STRANGERS_MAX;
use crate::logbook::LogState;
use crate::logbook::Signed;
use crate::logbook::numbered;
use crate::peers::Declined;
use crate::peers::Rules;
use crate::upgrade::mask_write;
use crate::visible::Let;

/// What a peer announced of a log, verified. Nothing of it is in the engine before facts under it are.
#[derive(Debug)]
pub(crate) struct Announced {
    blocks: Verified<SignedBlocks>,
    signed: Arc<Signed>,
    /// The origin's keys, when the peer brought records that are not known yet.
    keys: Option<KeyLog>,
}

/// What an announcement comes to.
#[derive(Debug)]
pub(crate) enum Announcement {
    /// There are facts to come under it.
    New(Box<Announced>),
    /// More than its size is held.
    Held(u64),
}

/// A chunk on its way to the store.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) log: LogId,
    /// How many new facts it has.
    pub(crate) facts: u64,
    /// Whether the peer showed all of each fact.
    is_whole: bool,
    /// The positions of which less than all is held.
    extents: Vec<(u64, Extent)>,
    pub(crate) taken: Taken,
    pub(crate) rows: Let,
    /// The log once it is durable.
    durable: Durable,
}

/// Who brings something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bringer<'a> {
    pub(crate) peer: DomainId,
    /// What the peer calls the compartment.
    pub(crate) told: Option<&'a str>,
}

/// Why something is not taken.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The peer is at fault: the session ends.
    Peer(SyncError),
    /// The origin may be at fault: the log is left alone, the session goes on.
    Log(LogError),
}

impl From<SyncError> for Fault {
    fn from(error: SyncError) -> Self {
        Self::Peer(error)
    }
}

impl Announced {
    /// Verifies keys, checkpoint and roots.
    pub(crate) fn verify(
        engine: &Engine,
        log: LogId,
        announce: &Announce,
    ) -> Result<Announcement, Fault> {
        let keys = learned(engine, &log, announce).map_err(|error| key_fault(log, error))?;
        let key_log = keys.as_ref().or_else(|| engine.key_logs.get(&log.origin));
        let key_log = key_log.ok_or_else(|| key_fault(log, KeyError::NotGenesis))?;
        let checkpoint = Checkpoint::from_bytes(&announce.checkpoint)
            .map_err(|error| chunk_fault(log, error.into()))?;
        if checkpoint.log != log {
            return Err(SyncError::Violation("a checkpoint of another log").into());
        }
        let checkpoint = key_log
            .verify_checkpoint(checkpoint)
            .map_err(|error| key_fault(log, error))?;
        let none = BlockRoots::new();
        let state = engine.logs.get(&log);
        let tree = state.map_or(&none, |state| &state.tree);
        if checkpoint.size > tree.size() {
            if key_log.is_revoked(checkpoint.key) {
                return Err(Fault::Log(LogError::Revoked(checkpoint.key)));
            }
            let newest = state.and_then(|state| state.newest.as_ref());
            newest.map_or(Ok(()), |newest| {
                follows(&newest.checkpoint, &checkpoint).map_err(Fault::Log)
            })?;
        }
        let held = tree.closed().len() as u64;
        let Some(roots) = later_roots(announce, held) else {
            return Err(SyncError::Violation("roots that start behind what is held").into());
        };
        if roots.len() > ANNOUNCED_BLOCKS_MAX {
            return Err(Fault::Log(LogError::Limit));
        }
        match SignedBlocks::verify(checkpoint, tree, roots) {
            Ok(blocks) => Ok(Announcement::New(Box::new(Self {
                signed: Arc::new(signed(&blocks, held)),
                blocks,
                keys,
            }))),
            Err(ChunkError::Behind { size, .. }) => Ok(Announcement::Held(size)),
            Err(error) => Err(chunk_fault(log, error)),
        }
    }

    /// The size of the checkpoint.
    pub(crate) fn size(&self) -> u64 {
        self.blocks.checkpoint().size
    }

    /// How many bytes it takes in memory, but for what is of fixed size.
    pub(crate) fn bytes(&self) -> usize {
        let records = self.keys.as_ref().map_or(0, |keys| {
            keys.records_from(0).iter().map(Vec::len).sum::<usize>()
        });
        let roots = self.blocks.roots_from(0).unwrap_or_default().len() + self.signed.roots.len();
        records + roots * TreeHash::LENGTH
    }

    /// Verifies a chunk and prepares it for the store; `None` when all of it is held. Of facts that the rules do not take
    /// from the peer the hashes are stored.
    pub(crate) fn extend(
        &self,
        engine: &mut Engine,
        bringer: Bringer<'_>,
        chunk: &Chunk,
    ) -> Result<Option<(Batch, Ingested)>, Fault> {
        let log = self.blocks.checkpoint().log;
        let wrong = |error| chunk_fault(log, error);
        let none = LogState::default();
        let state = engine.logs.get(&log).unwrap_or(&none);
        let verified = Extension::verify(chunk, &self.blocks, &state.tree, state.last_hlc);
        let extension = match verified {
            Err(ChunkError::OutOfPlace { end, held, .. }) if end <= held => return Ok(None),
            verified => verified.map_err(wrong)?,
        };
        if extension.entries().iter().any(is_coarse) {
            return Err(SyncError::Violation("withheld facts without the hash of each").into());
        }
        let is_new = log.origin != engine.domain() && !engine.logs.contains_key(&log);
        if is_new && !engine.has_room_for(&log) {
            return Err(Fault::Log(LogError::TooManyLogs));
        }
        let mut side = Vec::new();
        if let Some(keys) = &self.keys {
            engine
                .learn_keys(keys)
                .map_err(|error| key_fault(log, error))?;
        }
        side.extend(unstored_keys(engine, log.origin));
        let first = extension.from();
        let taken = engine.take(bringer, &log, (first..).zip(extension.entries()))?;
        side.extend(name_compartment(engine, log, bringer.told));
        let state = engine.logs.entry(log).or_default();
        let closed = state.tree.closed().len();
        extension.apply(&mut state.tree).map_err(wrong)?;
        state.last_hlc = extension.last_hlc();
        side.extend(state.advance(&self.signed, closed));
        let durable = state.snapshot();
        let mut entries: Vec<_> = place(log, first, extension.into_entries()).collect();
        let is_whole = entries.iter().all(|new| is_whole(&new.entry));
        for new in &mut entries {
            if taken.not_taken.binary_search(&new.position).is_ok() {
                new.entry = hidden(&new.entry);
            }
        }
        let extents = entries.iter().filter_map(|new| match &new.entry {
            Entry::Withheld { .. } => Some((new.position, Extent::Hidden)),
            Entry::Row(row) => Some((new.position, Extent::Partial(row.mask()?))),
        });
        let extents: Vec<_> = extents.collect();
        let masks = extents
            .iter()
            .filter_map(|(position, extent)| mask_write(&log, *position, *extent, Extent::Hidden));
        side.extend(masks);
        note_own_heads(engine, log, &entries);
        let (rows, waiting) = engine.let_through(log, &entries);
        side.extend(waiting);
        let facts = entries
            .iter()
            .filter(|new| matches!(new.entry, Entry::Row(_)));
        let facts = facts.count() as u64;
        let time = i64::try_from(engine.now_ms).unwrap_or(i64::MAX);
        let batch = Batch {
            entries,
            side,
            time,
        };
        let ingested = Ingested {
            log,
            facts,
            is_whole,
            extents,
            taken,
            rows,
            durable,
        };
        Ok(Some((batch, ingested)))
    }
}

impl Ingested {
    /// How many positions are durable once it is.
    pub(crate) fn size(&self) -> u64 {
        self.durable.size()
    }

    /// Whether the peer showed all of each fact.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Its facts are durable: publishes them.
    pub(crate) fn finish(&self, engine: &mut Engine) {
        let state = engine.logs.entry(self.log).or_default();
        state.durable = self.durable.clone();
        for (position, extent) in &self.extents {
            state.holes.set(*position..*position + 1, *extent);
        }
    }
}

/// What the rules take of what a peer brings.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The positions of the rows that are not taken, in ascending order.
    pub(crate) not_taken: Vec<u64>,
    /// By which rules, if there are any.
    pub(crate) rules: Option<Rules>,
}

impl Engine {
    /// Asks the rules which rows of a log are taken from a peer.
    pub(crate) fn take<'a>(
        &mut self,
        bringer: Bringer<'_>,
        log: &LogId,
        entries: impl Iterator<Item = (u64, &'a Entry)>,
    ) -> Result<Taken, Fault> {
        let Bringer { peer, told } = bringer;
        let policies = self.policies(peer);
        let name = self.taken_as(peer, log, told).map(str::to_owned);
        let Some((policies, name)) = policies.zip(name) else {
            return Err(Fault::Log(LogError::NotGranted));
        };
        let policy = &policies.inward;
        if policy.shares_whole(&name, self.now_ms) {
            return Ok(Taken::default());
        }
        let (mut not_taken, mut until_ms) = (Vec::new(), u64::MAX);
        let [mut declined, mut undetermined, mut put_off] = <[PositionSet; 3]>::default();
        for (position, entry) in entries {
            if let Entry::Row(row) = entry
                && let Err(until) = self.takes_row((peer, policy), (log, &name), row)
            {
                not_taken.push(position);
                let range = position..position + 1;
                match until {
                    None => insert(&mut undetermined, range),
                    Some(u64::MAX) => insert(&mut declined, range),
                    Some(until) => {
                        insert(&mut declined, range.clone());
                        insert(&mut put_off, range);
                        until_ms = until_ms.min(until);
                    }
                }
            }
        }
        self.wake_at(until_ms, peer);
        if not_taken.is_empty() {
            return Ok(Taken::default());
        }
        let rules = Rules::of(policy, self.now_ms);
        let declined = Declined {
            rules,
            positions: declined,
            undetermined,
            put_off,
            room_ms: until_ms,
        };
        self.decline(peer, log, declined);
        Ok(Taken {
            not_taken,
            rules: Some(rules.until(until_ms)),
        })
    }

    /// Whether a new log of another domain can be taken up.
    fn has_room_for(&self, log: &LogId) -> bool {
        let all = self.logs.len();
        if all >= LOGS_MAX || self.count_logs_of(log.origin) >= LOGS_OF_ORIGIN_MAX {
            return false;
        }
        if self.policies.contains_key(&log.origin) {
            return true;
        }
        let known = self.policies.keys().copied().chain([self.domain()]);
        let known: usize = known.map(|domain| self.count_logs_of(domain)).sum();
        all.saturating_sub(known) < LOGS_OF_STRANGERS_MAX
    }

    fn count_logs_of(&self, origin: DomainId) -> usize {
        let first = LogId {
            origin,
            compartment: CompartmentId::new([0; 16]),
            lane: LaneId::new([0; 16]),
        };
        let behind = self.logs.range(first..);
        behind.take_while(|(log, _)| log.origin == origin).count()
    }

    /// Adds to what was not taken from a peer by the rules of now.
    fn decline(&mut self, peer: DomainId, log: &LogId, more: Declined) {
        let holds = self.not_taken(peer, log).is_some();
        match self.declined.get_mut(&(peer, *log)) {
            Some(before) if holds => before.add(&more),
            _ => drop(self.declined.insert((peer, *log), more)),
        }
        self.weigh_stubs();
    }
}

/// Whether a checkpoint with more positions may follow another one.
fn follows(newest: &Checkpoint, next: &Checkpoint) -> Result<(), LogError> {
    if next.epoch < newest.epoch && next.size > newest.size {
        return Err(LogError::EpochRunsBack {
            held: newest.epoch,
            found: next.epoch,
        });
    }
    if newest.closing && next.size > newest.size {
        return Err(LogError::Closed { size: newest.size });
    }
    Ok(())
}

/// An origin that forks its key log shows different records to different domains: whoever relays either is honest.
fn key_fault(log: LogId, error: KeyError) -> Fault {
    match error {
        KeyError::BrokenChain { .. } | KeyError::UnknownKey { .. } => {
            Fault::Log(LogError::Keys(error))
        }
        error => Fault::Peer(SyncError::Keys {
            log,
            error: Box::new(error),
        }),
    }
}

/// Likewise for an origin that forks its log.
fn chunk_fault(log: LogId, error: ChunkError) -> Fault {
    match error {
        ChunkError::WrongRoot { .. } | ChunkError::WrongBlock { .. } => {
            Fault::Log(LogError::Other(error))
        }
        error => Fault::Peer(SyncError::Log {
            log,
            error: Box::new(error),
        }),
    }
}

/// The origin's keys with the records that a peer sent; `None` when none of them is new. Those that are known already must
/// be the same: two records of one epoch are a fork of the key log.
fn learned(engine: &Engine, log: &LogId, announce: &Announce) -> Result<Option<KeyLog>, KeyError> {
    let records: Vec<_> = announce
        .key_records
        .iter()
        .map(|record| &record[..])
        .collect();
    let known = engine.key_logs.get(&log.origin);
    let is_held = engine
        .logs
        .get(log)
        .is_some_and(|state| state.tree.size() > 0);
    let known = match known {
        Some(known) if is_held => known,
        // Of a log that is not held all records have to come, also of an origin that is known: nobody shall find out by
        // leaving some out whether it is.
        known => {
            let keys = KeyLog::verify(records.iter().copied())?;
            if keys.domain() != log.origin {
                return Err(KeyError::OtherDomain {
                    expected: log.origin,
                    found: keys.domain(),
                });
            }
            match known {
                Some(known) => known,
                None => return Ok(Some(keys)),
            }
        }
    };
    let mut keys = known.clone();
    for record in records {
        let epoch = SignedKeyRecord::from_bytes(record)?.record.epoch;
        match keys.record(epoch) {
            Some(same) if same.to_bytes() == record => {}
            Some(_) => return Err(KeyError::BrokenChain { epoch }),
            None => keys.extend(record)?,
        }
    }
    Ok((keys.len() > known.len()).then_some(keys))
}

/// The rows of a domain's key records that the store does not have yet.
pub(crate) fn unstored_keys(engine: &mut Engine, domain: DomainId) -> Vec<SideWrite> {
    let Some(keys) = engine.key_logs.get(&domain) else {
        return Vec::new();
    };
    let stored = engine.stored_keys.insert(domain, keys.len()).unwrap_or(0);
    let row = |(epoch, record): (u64, Vec<u8>)| SideWrite {
        table: KEY_RECORDS,
        key: numbered(domain.as_bytes(), epoch),
        value: Some(record),
    };
    (stored as u64..)
        .zip(keys.records_from(stored))
        .map(row)
        .collect()
}

fn name_compartment(engine: &mut Engine, log: LogId, told: Option<&str>) -> Option<SideWrite> {
    let unknown = engine.compartments.name(log.compartment).is_none();
    unknown.then(|| {
        engine
            .compartments
            .add(log.compartment, told.unwrap_or_default())
    })
}

/// Own facts that come back count among the own heads of their keys.
pub(crate) fn note_own_heads(engine: &mut Engine, log: LogId, entries: &[NewEntry]) {
    if log.origin != engine.domain() {
        return;
    }
    for new in entries {
        if let Entry::Row(row) = &new.entry
            && let RowCore::Known(core) = row.core()
            && let Some(heads) = engine
                .heads
                .get_mut(&(log.compartment, core.conflict_key()))
        {
            heads.add(row.id(), core);
        }
    }
}

fn is_whole(entry: &Entry) -> bool {
    matches!(entry, Entry::Row(row) if row.mask().is_none())
}

/// Whoever holds a log knows the hash of each position, so that all of it can be shown to others.
fn is_coarse(entry: &Entry) -> bool {
    matches!(entry, Entry::Withheld { level: 1.., .. })
}

/// An entry without what it tells of its fact.
fn hidden(entry: &Entry) -> Entry {
    match entry {
        Entry::Row(row) => Entry::Withheld {
            level: 0,
            hash: leaf_hash(&row.id()),
        },
        withheld @ Entry::Withheld { .. } => withheld.clone(),
    }
}

fn later_roots(announce: &Announce, held: u64) -> Option<Vec<TreeHash>> {
    let skip = usize::try_from(held.checked_sub(announce.first_block)?).ok()?;
    Some(announce.block_roots.iter().skip(skip).collect())
}

fn signed(blocks: &Verified<SignedBlocks>, first_block: u64) -> Signed {
    let roots = blocks.roots_from(first_block).unwrap_or_default().to_vec();
    Signed {
        checkpoint: Checkpoint::clone(blocks.checkpoint()),
        first_block,
        roots,
    }
}

fn place(log: LogId, first: u64, entries: Vec<Entry>) -> impl Iterator<Item = NewEntry> {
    (first..)
        .zip(entries)
        .map(move |(position, entry)| NewEntry {
            log,
            position,
            entry,
            mark: None,
        })
}
