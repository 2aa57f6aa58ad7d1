//! The one way in for what comes from others: keys, checkpoint, roots, rows are verified, then made durable.
//!
//! Nothing here trusts the peer that brings something; all trust is in what the origin signed.

use causality_fact::Checkpoint;
use causality_fact::ChunkError;
use causality_fact::Entry;
use causality_fact::Extension;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::SignedBlocks;
use causality_fact::SignedKeyRecord;
use causality_fact::TreeHash;
use causality_fact::Verified;
use causality_store::Batch;
use causality_store::NewEntry;
use causality_store::SideWrite;
use causality_wire::Announce;
use causality_wire::FactSync;

use crate::effect::SyncError;
use crate::engine::Engine;
use crate::logbook::KEY_RECORDS;
use crate::logbook::Signed;
use crate::logbook::numbered;

/// What a peer announced of a log, verified, and what goes to the store with the first facts under it.
#[derive(Debug)]
pub(crate) struct Announced {
    blocks: Verified<SignedBlocks>,
    /// What the peer calls the compartment.
    told_name: Option<String>,
    /// Whether the roots are stored, or on their way.
    are_roots_written: bool,
}

/// A chunk on its way to the store.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) log: LogId,
    /// How many positions are durable once it is.
    pub(crate) size: u64,
    /// How many new facts it has.
    pub(crate) facts: u64,
    /// How many bytes of entries it took.
    pub(crate) bytes: u64,
    signed: Signed,
}

/// What becomes of a chunk.
#[derive(Debug)]
pub(crate) enum Chunked {
    /// All of it is held.
    Held,
    /// It goes to the store.
    New(Batch, Box<Ingested>),
}

impl Announced {
    /// Verifies keys, checkpoint and roots. `None` when the checkpoint is older than what is held.
    pub(crate) fn verify(
        engine: &mut Engine,
        log: LogId,
        told_name: Option<String>,
        announce: Announce,
    ) -> Result<Option<Self>, SyncError> {
        let keys = |error| SyncError::Keys {
            log,
            error: Box::new(error),
        };
        let wrong = |error| SyncError::Log {
            log,
            error: Box::new(error),
        };
        learn_keys(engine, &log, &announce).map_err(keys)?;
        let checkpoint = Checkpoint::from_bytes(&announce.checkpoint)
            .map_err(|e| wrong(ChunkError::Malformed(e)))?;
        if checkpoint.log != log {
            return Err(SyncError::Violation("a checkpoint of another log"));
        }
        let key_log = engine.key_logs.get(&log.origin);
        let key_log = key_log.ok_or_else(|| keys(KeyError::NotGenesis))?;
        let checkpoint = key_log.verify_checkpoint(checkpoint).map_err(keys)?;
        let state = engine.logs.entry(log).or_default();
        let newest = state
            .signed
            .as_ref()
            .map_or(0, |signed| signed.checkpoint.epoch);
        if checkpoint.epoch < newest && checkpoint.size > state.tree.size() {
            return Err(SyncError::Violation("a key epoch that goes backwards"));
        }
        let held = state.tree.closed().len() as u64;
        let Some(roots) = later_roots(&announce, held) else {
            return Err(SyncError::Violation("roots that start behind what is held"));
        };
        match SignedBlocks::verify(checkpoint, &state.tree, roots) {
            Ok(blocks) => Ok(Some(Self {
                blocks,
                told_name,
                are_roots_written: false,
            })),
            Err(ChunkError::Behind { .. }) => Ok(None),
            Err(error) => Err(wrong(error)),
        }
    }

    /// Verifies a chunk and prepares it for the store.
    pub(crate) fn extend(
        &mut self,
        engine: &mut Engine,
        now_ms: u64,
        chunk: FactSync,
    ) -> Result<Chunked, SyncError> {
        let log = self.blocks.checkpoint().log;
        let bytes = chunk.entries.len() as u64;
        let wrong = |error| SyncError::Log {
            log,
            error: Box::new(error),
        };
        let state = engine.logs.entry(log).or_default();
        let chunk = chunk.into_chunk();
        let verified = Extension::verify(&chunk, &self.blocks, &state.tree, state.last_hlc);
        let extension = match verified {
            Err(ChunkError::OutOfPlace { end, held, .. }) if end <= held => {
                return Ok(Chunked::Held);
            }
            verified => verified.map_err(wrong)?,
        };
        let closed = state.tree.closed().len() as u64;
        let first = extension.from();
        let size = extension.end();
        extension.apply(&mut state.tree).map_err(wrong)?;
        state.last_hlc = extension.last_hlc();
        let signed = match &state.signed {
            Some(newer) if newer.checkpoint.size > self.blocks.checkpoint().size => newer.clone(),
            _ => signed(&self.blocks, closed),
        };
        let mut side = state.writes(&log, &signed, closed);
        if !self.are_roots_written && signed.checkpoint.size > size {
            side.push(signed.write());
            self.are_roots_written = true;
        }
        side.extend(name_compartment(engine, log, self.told_name.as_deref()));
        side.extend(unstored_keys(engine, &log));
        let entries: Vec<_> = place(log, first, extension.into_entries()).collect();
        let facts = entries
            .iter()
            .filter(|new| matches!(new.entry, Entry::Row(_)))
            .count() as u64;
        let time = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let ingested = Ingested {
            log,
            size,
            facts,
            bytes,
            signed,
        };
        Ok(Chunked::New(
            Batch {
                entries,
                side,
                time,
            },
            Box::new(ingested),
        ))
    }
}

impl Ingested {
    /// Its facts are durable: publishes them.
    pub(crate) fn finish(&self, engine: &mut Engine) {
        let state = engine.logs.entry(self.log).or_default();
        state.durable = state.durable.max(self.size);
        let newest = state
            .signed
            .as_ref()
            .map_or(0, |signed| signed.checkpoint.size);
        if self.signed.checkpoint.size >= newest {
            state.signed = Some(self.signed.clone());
        }
    }
}

/// Extends what is known of an origin's keys by the records that a peer sent. Those that are known already must be the
/// same: two records of one epoch are a fork of the key log.
fn learn_keys(engine: &mut Engine, log: &LogId, announce: &Announce) -> Result<(), KeyError> {
    let records: Vec<_> = announce
        .key_records
        .iter()
        .map(|record| &record[..])
        .collect();
    if records.is_empty() {
        return Ok(());
    }
    let Some(known) = engine.key_logs.get(&log.origin) else {
        let keys = KeyLog::verify(records)?;
        if keys.domain() != log.origin {
            return Err(KeyError::OtherDomain {
                expected: log.origin,
                found: keys.domain(),
            });
        }
        engine.key_logs.insert(log.origin, keys);
        return Ok(());
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
    engine.key_logs.insert(log.origin, keys);
    Ok(())
}

/// The rows of the origin's key records that the store does not have yet.
fn unstored_keys(engine: &mut Engine, log: &LogId) -> Vec<SideWrite> {
    let Some(keys) = engine.key_logs.get(&log.origin) else {
        return Vec::new();
    };
    let stored = engine
        .stored_keys
        .insert(log.origin, keys.len())
        .unwrap_or(0);
    let row = |(epoch, record): (u64, Vec<u8>)| SideWrite {
        table: KEY_RECORDS,
        key: numbered(log.origin.as_bytes(), epoch),
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

fn later_roots(announce: &Announce, held: u64) -> Option<Vec<TreeHash>> {
    let skip = held.checked_sub(announce.first_block)?;
    Some(
        announce
            .block_roots
            .iter()
            .skip(usize::try_from(skip).ok()?)
            .collect(),
    )
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
    entries.into_iter().scan(first, move |next, entry| {
        let position = *next;
        *next += entry.positions();
        Some(NewEntry {
            log,
            position,
            entry,
            mark: None,
        })
    })
}
