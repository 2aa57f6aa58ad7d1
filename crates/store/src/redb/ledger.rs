//! What of a store is kept in memory while it is open: logs, what is held of them, the end of the journal.

use std::collections::BTreeMap;
use std::ops::Range;

use causality_fact::{Decoder, LogId, RowState};
use redb::{ReadTransaction, ReadableTable as _};

use super::held::{Held, Level, Run};
use super::tables::{JOURNAL, LOGS, RUNS, place_of};
use crate::answer::HeldLog;
use crate::error::StoreError;

/// The writer has one and changes it as it plans; readers see another, to which the same edits are made once they are
/// durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// By their numbers.
    logs: Vec<(LogId, Held)>,
    numbers: BTreeMap<LogId, u32>,
    /// The number of the last journal entry.
    pub(super) journal: u64,
}

/// A change of a ledger.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// The next log.
    Log(LogId),
    /// Positions of a log that are held at a level.
    Held {
        log: u32,
        range: Range<u64>,
        level: Level,
    },
}

impl Ledger {
    pub(super) fn load(tx: &ReadTransaction) -> Result<Self, StoreError> {
        let mut ledger = Self::default();
        for row in tx.open_table(LOGS)?.iter()? {
            let (number, id) = row?;
            if number.value() as usize != ledger.logs.len() {
                return Err(StoreError::corrupt("a log has no number"));
            }
            ledger.add_log(read_log_id(id.value())?);
        }
        for row in tx.open_table(RUNS)?.iter()? {
            let (key, value) = row?;
            let ((log, start), (end, code)) = (place_of(key.value()), value.value());
            let run = Level::from_code(code)
                .filter(|_| end > start)
                .map(|level| Run { end, level });
            let log = ledger.logs.get_mut(log as usize);
            let (Some((_, held)), Some(run)) = (log, run) else {
                return Err(StoreError::corrupt(format!("the run at position {start}")));
            };
            held.load(start, run);
        }
        let journal = tx.open_table(JOURNAL)?;
        ledger.journal = journal.last()?.map_or(0, |(number, _)| number.value());
        Ok(ledger)
    }

    /// Makes a change, and tells `changed` each row of the runs that it changes.
    pub(super) fn edit(&mut self, edit: &Edit, changed: &mut impl FnMut(u32, u64, Option<Run>)) {
        match edit {
            Edit::Log(id) => self.add_log(*id),
            Edit::Held { log, range, level } => {
                if let Some((_, held)) = self.logs.get_mut(*log as usize) {
                    held.set(range.clone(), *level, &mut |start, run| {
                        changed(*log, start, run)
                    });
                }
            }
        }
    }

    fn add_log(&mut self, id: LogId) {
        self.numbers.insert(id, self.logs.len() as u32);
        self.logs.push((id, Held::default()));
    }

    pub(super) fn number(&self, log: &LogId) -> Option<u32> {
        self.numbers.get(log).copied()
    }

    pub(super) fn log(&self, number: u32) -> Option<LogId> {
        self.logs.get(number as usize).map(|(id, _)| *id)
    }

    pub(super) fn held(&self, number: u32) -> Option<&Held> {
        self.logs.get(number as usize).map(|(_, held)| held)
    }

    pub(super) fn log_count(&self) -> usize {
        self.logs.len()
    }

    /// Logs and their numbers, in order of the logs.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (LogId, u32)> {
        self.numbers.iter().map(|(id, number)| (*id, *number))
    }

    pub(super) fn held_logs(&self) -> Result<Vec<HeldLog>, StoreError> {
        let one = |(log, number): (LogId, u32)| {
            let (_, held) = &self.logs[number as usize];
            let positions = |level| {
                let set = held.positions(level);
                set.map_err(|error| StoreError::corrupt(error.to_string()))
            };
            Ok(HeldLog {
                log,
                full: positions(RowState::Full.into())?,
                partial: positions(RowState::Partial.into())?,
                withheld: positions(Level::Withheld)?,
            })
        };
        self.in_order().map(one).collect()
    }
}

pub(super) fn read_log_id(bytes: &[u8; 64]) -> Result<LogId, StoreError> {
    Decoder::exactly(bytes, LogId::decode)
        .map_err(|error| StoreError::corrupt(format!("the id of a log: {error}")))
}
