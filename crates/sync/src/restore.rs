//! What an engine starts from: the rows of the side tables, read by the driver and checked here.

use causality_fact::CompartmentId;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::TreeHash;
use causality_store::HeldLog;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use thiserror::Error;

use crate::compartment::Compartments;
use crate::logbook::LogState;

/// The rows of one side table, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "any rows may be read; restoring checks them"
)]
pub struct TableRows(pub Vec<(Vec<u8>, Vec<u8>)>);

/// Everything that a store holds for the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the driver reads all of it")]
pub struct StoreState {
    /// [`crate::LOG_HEADS`].
    pub log_heads: TableRows,
    /// [`crate::BLOCK_ROOTS`].
    pub block_roots: TableRows,
    /// [`crate::OPEN_ROOTS`].
    pub open_roots: TableRows,
    /// [`crate::KEY_RECORDS`].
    pub key_records: TableRows,
    /// [`crate::COMPARTMENTS`].
    pub compartments: TableRows,
    /// [`crate::LANES`].
    pub lanes: TableRows,
    /// Whether the store was restored from a backup: [`causality_store::RESTORED_KEY`] is there.
    pub restored: bool,
    /// What is held of each log.
    pub held: Vec<HeldLog>,
}

/// What was read from a store, checked.
#[derive(Debug)]
pub struct Restored {
    pub(crate) logs: BTreeMap<LogId, LogState>,
    pub(crate) key_logs: BTreeMap<DomainId, KeyLog>,
    pub(crate) compartments: Compartments,
    pub(crate) lanes: BTreeMap<CompartmentId, LaneId>,
    pub(crate) marker: bool,
}

/// Why a store's rows are not what an engine wrote. All of them mean a damaged store.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// A row is malformed.
    #[error("a row of the {table} is malformed: {error}")]
    Row {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        error: DecodeError,
    },
    /// Stored keys do not verify.
    #[error("the stored keys of {domain} do not verify: {error}")]
    Keys {
        /// Whose.
        domain: DomainId,
        /// What is wrong.
        error: KeyError,
    },
    /// Other positions are held in full than the log's state says.
    #[error("log {} of {}: {held} positions are held, its state says {expected}", log.lane, log.origin)]
    Held {
        /// The log.
        log: LogId,
        /// How many are held.
        held: u64,
        /// How many should be.
        expected: u64,
    },
}

impl Restored {
    /// Checks the rows against each other.
    ///
    /// # Errors
    ///
    /// When they are not what an engine wrote.
    pub fn from_store(state: StoreState) -> Result<Self, RestoreError> {
        let mut roots = block_roots(&state.block_roots)?;
        let open_roots: BTreeMap<_, _> = state.open_roots.0.into_iter().collect();
        let mut logs = BTreeMap::new();
        for (key, head) in &state.log_heads.0 {
            let wrong = |error| RestoreError::Row {
                table: "log heads",
                error,
            };
            let log = Decoder::exactly(key, LogId::decode).map_err(wrong)?;
            let closed = roots.remove(&log).unwrap_or_default();
            let open = open_roots.get(key).map(Vec::as_slice);
            logs.insert(
                log,
                LogState::restore(&log, head, closed, open).map_err(wrong)?,
            );
        }
        let mut missing: BTreeSet<_> = logs.keys().copied().collect();
        for held in &state.held {
            missing.remove(&held.log);
            fit(&logs, held)?;
        }
        if let Some(log) = missing.pop_first() {
            let expected = logs.get(&log).map_or(0, |state| state.durable.size());
            return Err(RestoreError::Held {
                log,
                held: 0,
                expected,
            });
        }
        Ok(Self {
            logs,
            key_logs: key_logs(&state.key_records)?,
            compartments: compartments(&state.compartments)?,
            lanes: lanes(&state.lanes)?,
            marker: state.restored,
        })
    }
}

/// Compares what the store holds of a log with its state. In this version a log is held whole.
fn fit(logs: &BTreeMap<LogId, LogState>, held: &HeldLog) -> Result<(), RestoreError> {
    let expected = logs.get(&held.log).map_or(0, |state| state.durable.size());
    if held.full.is_prefix() != Some(expected) {
        return Err(RestoreError::Held {
            log: held.log,
            held: held.full.len(),
            expected,
        });
    }
    Ok(())
}

fn block_roots(rows: &TableRows) -> Result<BTreeMap<LogId, Vec<TreeHash>>, RestoreError> {
    let mut roots: BTreeMap<LogId, Vec<TreeHash>> = BTreeMap::new();
    let wrong = |error| RestoreError::Row {
        table: "block roots",
        error,
    };
    for (key, root) in &rows.0 {
        let log = Decoder::exactly(key, |from| {
            let log = LogId::decode(from)?;
            from.raw(8)?;
            Ok(log)
        });
        let root = Decoder::exactly(root, Decoder::array).map_err(wrong)?;
        roots
            .entry(log.map_err(wrong)?)
            .or_default()
            .push(TreeHash::new(root));
    }
    Ok(roots)
}

fn key_logs(rows: &TableRows) -> Result<BTreeMap<DomainId, KeyLog>, RestoreError> {
    let mut records: BTreeMap<DomainId, Vec<&[u8]>> = BTreeMap::new();
    for (key, record) in &rows.0 {
        let domain = Decoder::exactly(key, |from| {
            let domain = DomainId::decode(from)?;
            from.raw(8)?;
            Ok(domain)
        });
        let wrong = |error| RestoreError::Row {
            table: "key records",
            error,
        };
        records
            .entry(domain.map_err(wrong)?)
            .or_default()
            .push(record);
    }
    let verify = |(domain, records): (DomainId, Vec<&[u8]>)| {
        let keys = KeyLog::verify(records).map_err(|error| RestoreError::Keys { domain, error })?;
        Ok((domain, keys))
    };
    records.into_iter().map(verify).collect()
}

fn compartments(rows: &TableRows) -> Result<Compartments, RestoreError> {
    let wrong = |error| RestoreError::Row {
        table: "compartments",
        error,
    };
    let row = |(key, name): &(Vec<u8>, Vec<u8>)| {
        let id = Decoder::exactly(key, CompartmentId::decode)?;
        let name = str::from_utf8(name).map_err(|_| DecodeError::NotUtf8 { at: 0 })?;
        Ok((id, name.to_owned()))
    };
    let rows: Result<Vec<_>, _> = rows.0.iter().map(row).collect();
    Ok(Compartments::restore(rows.map_err(wrong)?))
}

fn lanes(rows: &TableRows) -> Result<BTreeMap<CompartmentId, LaneId>, RestoreError> {
    let wrong = |error| RestoreError::Row {
        table: "lanes",
        error,
    };
    let row = |(key, lane): &(Vec<u8>, Vec<u8>)| {
        let compartment = Decoder::exactly(key, CompartmentId::decode)?;
        Ok((compartment, Decoder::exactly(lane, LaneId::decode)?))
    };
    rows.0
        .iter()
        .map(row)
        .collect::<Result<_, _>>()
        .map_err(wrong)
}
