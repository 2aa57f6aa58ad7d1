//! What a node's store has, as a dump shows it: rows become ids, a root and times; checkpoints and keys are verified.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::DecodeError;
use crate::disclosed::{Disclosed, Mask};
use crate::history::{Completeness, Event, Place, Span, Stated};
use crate::id::{Bytes, LogId, Stored, TreeHash};
use crate::keys::{Checkpoint, KeyError, KeyLog, LOG_SIZE_MAX};
use crate::read::HistoryError;
use crate::row::{self, RowFacts};
use crate::statement::KeptBack;
use crate::tree::GrowingTree;
use crate::world::NodeId;

/// One position of a dump, or a run of them that is withheld.
#[derive(Debug)]
pub(crate) struct HeldRow {
    pub(crate) node: NodeId,
    pub(crate) place: Place,
    /// What the row says; none if it is withheld.
    pub(crate) read: Option<Result<RowFacts, DecodeError>>,
    /// What of the fact it shows, and which fields that is.
    pub(crate) disclosed: Option<Disclosed>,
    pub(crate) mask: Option<Mask>,
    /// The time of the last fact before it, 0 for none.
    pub(crate) after: u64,
    /// The root behind it, where somebody has said a root of that size.
    pub(crate) root_behind: Option<(u64, TreeHash)>,
}

/// All of a log in a dump.
#[derive(Debug)]
pub(crate) struct HeldLog {
    pub(crate) node: NodeId,
    pub(crate) log: LogId,
    /// How many positions the store says that it knows.
    pub(crate) told: u64,
    /// How many it showed.
    pub(crate) size: u64,
    /// The root of what it showed; none if a row is no row, or positions are missing.
    pub(crate) root: Option<TreeHash>,
    /// The first position that was left out, and the one after it that was not.
    pub(crate) gap: Option<(u64, u64)>,
    /// A subtree that cannot stand where it was shown.
    pub(crate) misplaced_subtree: Option<u64>,
    /// The positions of which no row is held.
    pub(crate) hidden: Vec<Span>,
    /// Those of which a row is held, but not all fields.
    pub(crate) partial: Vec<Span>,
    pub(crate) last_time: u64,
    /// Over the positions, ids and disclosed fields of all facts.
    pub(crate) ids_digest: [u8; 32],
    pub(crate) proof: Proof,
    pub(crate) completeness: Completeness,
}

/// What vouches for a log.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    /// Whether the records are a key log of the origin.
    pub(crate) keys: Result<(), KeyError>,
    /// The newest checkpoint, if there is one and the keys are some.
    pub(crate) checkpoint: Option<Result<Checkpoint, KeyError>>,
    /// What the origin has signed that it keeps back, if that is shown, or why it has not.
    pub(crate) kept: Option<Result<KeptBack, &'static str>>,
}

impl Proof {
    /// Without keys nothing is proven.
    fn none(error: KeyError) -> Self {
        Self {
            keys: Err(error),
            checkpoint: None,
            kept: None,
        }
    }
}

/// Proofs that were checked before: stores show the same ones again and again.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    keys: BTreeMap<[u8; 32], Result<KeyLog, KeyError>>,
    checkpoints: BTreeMap<[u8; 32], Result<Checkpoint, KeyError>>,
}

impl Proofs {
    fn check(
        &mut self,
        log: &LogId,
        records: &[Bytes],
        (checkpoint, stated): (Option<&Bytes>, Option<&Stated>),
    ) -> Proof {
        let of_records = digest(records);
        let keys = self
            .keys
            .entry(of_records)
            .or_insert_with(|| KeyLog::verify(records.iter().map(|record| record.0.as_slice())));
        let keys = match keys {
            Ok(keys) if keys.domain() == log.origin => keys,
            Ok(_) => {
                return Proof::none(KeyError::OtherDomain);
            }
            Err(error) => {
                return Proof::none(*error);
            }
        };
        let checkpoint = checkpoint.map(|bytes| {
            let of_both = Sha256::new()
                .chain_update(of_records)
                .chain_update(&bytes.0);
            let entry = self.checkpoints.entry(of_both.finalize().into());
            entry
                .or_insert_with(|| Checkpoint::verify(keys, &bytes.0))
                .clone()
        });
        Proof {
            keys: Ok(()),
            checkpoint,
            kept: stated.map(|stated| KeptBack::verify(keys, stated)),
        }
    }
}

fn digest(records: &[Bytes]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for record in records {
        hash.update((record.0.len() as u64).to_le_bytes());
        hash.update(&record.0);
    }
    hash.finalize().into()
}

/// A dump while it is read.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    open: Option<OpenLog>,
    shown: BTreeSet<LogId>,
}

#[derive(Debug)]
struct OpenLog {
    held: HeldLog,
    tree: GrowingTree,
    /// Whether the tree is that of the log so far.
    is_whole: bool,
    ids: Sha256,
}

impl Dump {
    /// The log whose rows come.
    pub(crate) fn log(&self) -> Option<LogId> {
        self.open.as_ref().map(|open| open.held.log)
    }

    /// Takes in a `holds`; the log before it is finished.
    pub(crate) fn begin(
        &mut self,
        node: NodeId,
        event: &Event,
        proofs: &mut Proofs,
    ) -> Result<Option<HeldLog>, HistoryError> {
        let Event::Holds {
            log,
            size,
            checkpoint,
            records,
            completeness,
            stated,
        } = event
        else {
            return Ok(None);
        };
        if !self.shown.insert(*log) {
            return Err(HistoryError::Misplaced("a dump shows a log once"));
        }
        let finished = self.end();
        self.open = Some(OpenLog {
            held: HeldLog {
                node,
                log: *log,
                told: *size,
                size: 0,
                root: None,
                gap: None,
                misplaced_subtree: None,
                hidden: Vec::new(),
                partial: Vec::new(),
                last_time: 0,
                ids_digest: [0; 32],
                proof: proofs.check(log, records, (checkpoint.as_ref(), stated.as_ref())),
                completeness: *completeness,
            },
            tree: GrowingTree::default(),
            is_whole: true,
            ids: Sha256::new(),
        });
        Ok(finished)
    }

    /// Takes in `rows`. Roots are computed at the sizes for which `is_said` says that somebody else has said one.
    pub(crate) fn extend(
        &mut self,
        from: u64,
        rows: &[Stored],
        is_said: impl Fn(u64) -> bool,
    ) -> Result<Vec<HeldRow>, HistoryError> {
        let Some(open) = &mut self.open else {
            return Ok(Vec::new());
        };
        let expected = open.held.size;
        if from < expected {
            return Err(HistoryError::Misplaced(
                "`rows` go on behind those before them",
            ));
        }
        if from > expected {
            open.held.gap.get_or_insert((expected, from));
            extend(&mut open.held.hidden, Span(expected, from));
            open.held.size = from;
            open.is_whole = false;
        }
        rows.iter().map(|row| open.push(row, &is_said)).collect()
    }

    /// The log that was open.
    pub(crate) fn end(&mut self) -> Option<HeldLog> {
        let OpenLog {
            mut held,
            tree,
            is_whole,
            ids,
        } = self.open.take()?;
        held.root = is_whole.then(|| tree.root());
        held.ids_digest = ids.finalize().into();
        Some(held)
    }
}

impl OpenLog {
    fn push(
        &mut self,
        stored: &Stored,
        is_said: impl Fn(u64) -> bool,
    ) -> Result<HeldRow, HistoryError> {
        let held = &mut self.held;
        let (log, position) = (held.log, held.size);
        let after = held.last_time;
        let (read, disclosed, positions) = match stored {
            Stored::Row(bytes) => {
                let read = row::read(&log.origin, &bytes.0);
                let disclosed = read.and_then(|_| Disclosed::read(&bytes.0));
                (Some(read), disclosed.ok(), 1)
            }
            Stored::Withheld { level, .. } => (None, None, 1_u64 << level),
        };
        let mask = disclosed.as_ref().map(Disclosed::mask);
        held.size = position
            .checked_add(positions)
            .filter(|size| *size <= LOG_SIZE_MAX)
            .ok_or(HistoryError::Misplaced("a log has at most 2^48 positions"))?;
        match (stored, &read) {
            (_, Some(Ok(fact))) => {
                self.tree.push(&fact.id);
                self.ids.update(position.to_le_bytes());
                self.ids.update(fact.id.0);
                self.ids.update(mask.unwrap_or_default().to_le_bytes());
                held.last_time = fact.time.unwrap_or(0).max(held.last_time);
            }
            (Stored::Withheld { level, hash }, _) => {
                if self.is_whole && self.tree.push_subtree(*level, *hash).is_none() {
                    held.misplaced_subtree.get_or_insert(position);
                    self.is_whole = false;
                }
            }
            _ => self.is_whole = false,
        }
        let size = held.size;
        match &disclosed {
            Some(row) if row.mask() == row.all() => {}
            Some(_) => extend(&mut held.partial, Span(position, size)),
            None => extend(&mut held.hidden, Span(position, size)),
        }
        let root_behind = (self.is_whole && is_said(size)).then(|| (size, self.tree.root()));
        Ok(HeldRow {
            node: held.node,
            place: Place { log, position },
            read,
            disclosed,
            mask,
            after,
            root_behind,
        })
    }
}

/// Adds positions behind all others.
fn extend(runs: &mut Vec<Span>, span: Span) {
    match runs.last_mut() {
        Some(last) if last.1 == span.0 => last.1 = span.1,
        _ => runs.push(span),
    }
}
