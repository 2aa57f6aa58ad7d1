//! What an engine starts from: the rows of the side tables, read by the driver and checked here.

use causality_fact::CompartmentId;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::FieldMask;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::TreeHash;
use causality_store::HeldLog;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use thiserror::Error;

use crate::compartment::Compartments;
use crate::gate::Gate;
use crate::holes::Extent;
use crate::logbook::LogState;
use crate::logbook::number;
use crate::peers::Declined;
use crate::peers::Settlement;
use crate::peers::Source;
use crate::receipts::Receipts;
use crate::visible::Waiting;

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
    /// [`crate::PARTIALS`].
    pub partials: TableRows,
    /// [`crate::DECLINED`].
    pub declined: TableRows,
    /// [`crate::SETTLEMENTS`].
    pub settlements: TableRows,
    /// [`crate::SOURCES`].
    pub sources: TableRows,
    /// [`crate::RECEIPTS`].
    pub receipts: TableRows,
    /// [`crate::WAITING`].
    pub waiting: TableRows,
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
    pub(crate) declined: BTreeMap<(DomainId, LogId), Declined>,
    pub(crate) settlements: BTreeMap<(DomainId, LogId), Settlement>,
    pub(crate) sources: BTreeMap<(LogId, DomainId), Source>,
    pub(crate) receipts: BTreeMap<DomainId, Receipts>,
    pub(crate) gate: Gate,
    pub(crate) flagged: BTreeMap<LogId, PositionSet>,
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
        let mut masks = masks(&state.partials)?;
        for held in &state.held {
            missing.remove(&held.log);
            let masks = masks.remove(&held.log).unwrap_or_default();
            fit(logs.get_mut(&held.log), held, masks)?;
        }
        if let Some(log) = missing.pop_first() {
            let expected = logs.get(&log).map_or(0, |state| state.durable.size());
            return Err(RestoreError::Held {
                log,
                held: 0,
                expected,
            });
        }
        let (gate, flagged) = waiting(&state.waiting, &logs)?;
        let sources = of_peers("sources", &state.sources, Source::decode)?;
        Ok(Self {
            logs,
            key_logs: key_logs(&state.key_records)?,
            compartments: compartments(&state.compartments)?,
            lanes: lanes(&state.lanes)?,
            declined: of_peers("declined", &state.declined, Declined::decode)?,
            settlements: of_peers("settlements", &state.settlements, Settlement::decode)?,
            sources: sources
                .into_iter()
                .map(|((peer, log), source)| ((log, peer), source))
                .collect(),
            receipts: receipts(&state.receipts)?,
            gate,
            flagged,
            marker: state.restored,
        })
    }
}

/// Compares what the store holds of a log with its state, which gets to know its holes.
fn fit(
    state: Option<&mut LogState>,
    held: &HeldLog,
    masks: Vec<(u64, FieldMask)>,
) -> Result<(), RestoreError> {
    let known = held.full.union(&held.partial).union(&held.withheld);
    let expected = state.as_ref().map_or(0, |state| state.durable.size());
    if known.is_prefix() != Some(expected) {
        return Err(RestoreError::Held {
            log: held.log,
            held: known.len(),
            expected,
        });
    }
    if let Some(state) = state {
        for run in held.withheld.runs() {
            state.holes.set(run, Extent::Hidden);
        }
        // A row in parts that shows all of its fields has no mask.
        for (position, mask) in masks {
            if held.partial.contains(position) {
                let range = position..position + 1;
                state.holes.set(range, Extent::Partial(mask));
            }
        }
    }
    Ok(())
}

fn masks(rows: &TableRows) -> Result<BTreeMap<LogId, Vec<(u64, FieldMask)>>, RestoreError> {
    let wrong = |error| RestoreError::Row {
        table: "partials",
        error,
    };
    let mut masks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, mask) in &rows.0 {
        let place = Decoder::exactly(key, |from| {
            let log = LogId::decode(from)?;
            Ok((log, number(from.array()?)))
        });
        let (log, position) = place.map_err(wrong)?;
        let mask = Decoder::exactly(mask, FieldMask::decode).map_err(wrong)?;
        masks.entry(log).or_default().push((position, mask));
    }
    Ok(masks)
}

/// The rows of a table about peers and logs.
fn of_peers<T>(
    table: &'static str,
    rows: &TableRows,
    decode: fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<BTreeMap<(DomainId, LogId), T>, RestoreError> {
    let row = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let key = Decoder::exactly(key, |from| {
            Ok((DomainId::decode(from)?, LogId::decode(from)?))
        })?;
        Ok((key, Decoder::exactly(value, decode)?))
    };
    let rows = rows.0.iter().map(row).collect::<Result<_, _>>();
    rows.map_err(|error| RestoreError::Row { table, error })
}

/// What waits, and what was shown without its causes, of what is held.
fn waiting(
    rows: &TableRows,
    logs: &BTreeMap<LogId, LogState>,
) -> Result<(Gate, BTreeMap<LogId, PositionSet>), RestoreError> {
    let (mut gate, mut flagged) = (Gate::default(), BTreeMap::new());
    for (key, row) in &rows.0 {
        let wrong = |error| RestoreError::Row {
            table: "waiting",
            error,
        };
        let log = Decoder::exactly(key, LogId::decode).map_err(wrong)?;
        let row = Decoder::exactly(row, Waiting::decode).map_err(wrong)?;
        let held = logs.get(&log).map_or_else(PositionSet::new, |state| {
            state.holes.rows(0..state.durable.size())
        });
        gate.hold(log, &row.waiting.intersection(&held));
        let shown = row.flagged.intersection(&held);
        if !shown.is_empty() {
            flagged.insert(log, shown);
        }
    }
    Ok((gate, flagged))
}

fn receipts(rows: &TableRows) -> Result<BTreeMap<DomainId, Receipts>, RestoreError> {
    let row = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let peer = Decoder::exactly(key, DomainId::decode)?;
        Ok((peer, Decoder::exactly(value, Receipts::decode)?))
    };
    let rows = rows.0.iter().map(row).collect::<Result<_, _>>();
    let table = "receipts";
    rows.map_err(|error| RestoreError::Row { table, error })
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
