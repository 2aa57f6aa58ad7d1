//! The check of a whole store: everything that is in it twice is compared, everything that has a hash is hashed.

use std::collections::BTreeMap;
use std::fmt::Display;

use causality_fact::{LogId, PositionSet, RowState};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _};

use super::engine::{Engine, keys_of};
use super::held::{Held, Level, Run};
use super::holes::Block;
use super::journal::Record;
use super::ledger::Ledger;
use super::read;
use super::segment::{Body, Slot, slots};
use super::tables::{Digest, HOLES, INDEX, INDEX_BYTES, JOURNAL, SEGMENTS, place_of};
use crate::answer::parse;
use crate::error::StoreError;

/// The most findings that a report lists; the rest is only counted.
pub const FINDINGS_MAX: usize = 100;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many rows were read and hashed.
    pub rows: u64,
    /// How many withheld leaves and subtrees there are.
    pub withheld: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many entries the journal has.
    pub journal: u64,
    /// What is wrong and where, the first [`FINDINGS_MAX`] of all.
    pub findings: Vec<String>,
    /// How many findings there are in all.
    pub finding_count: u64,
}

impl CheckReport {
    fn find(&mut self, what: impl Display) {
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what.to_string());
        }
    }
}

impl Engine {
    pub(super) fn check(&self) -> Result<CheckReport, StoreError> {
        let tx = self.read()?;
        let mut check = Check::new(&tx)?;
        check.journal(&tx)?;
        check.segments(&tx)?;
        Ok(check.report)
    }
}

struct Check {
    report: CheckReport,
    ledger: Ledger,
    index: ReadOnlyTable<&'static [u8; INDEX_BYTES], ()>,
    /// The journal is indexed up to here.
    indexed: u64,
    /// By the numbers of the logs: what the journal says was received, and which part of it need not be indexed yet.
    received: BTreeMap<u32, PositionSet>,
    pending: BTreeMap<u32, PositionSet>,
}

impl Check {
    fn new(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            report: CheckReport::default(),
            ledger: Ledger::load(tx)?,
            index: tx.open_table(INDEX)?,
            indexed: read::indexed(tx)?,
            received: BTreeMap::new(),
            pending: BTreeMap::new(),
        })
    }

    fn journal(&mut self, tx: &ReadTransaction) -> Result<(), StoreError> {
        for (row, expected) in tx.open_table(JOURNAL)?.iter()?.zip(1_u64..) {
            let (number, value) = row?;
            self.report.journal += 1;
            if number.value() != expected {
                self.report
                    .find(format_args!("journal entry {expected} is missing"));
                return Ok(());
            }
            match Record::from_bytes(expected, value.value()) {
                Ok(record) => self.record(expected, &record)?,
                Err(error) => self.report.find(error),
            }
        }
        Ok(())
    }

    fn record(&mut self, number: u64, record: &Record) -> Result<(), StoreError> {
        let positions = || record.positions.clone();
        let too_large =
            |error: causality_fact::PositionTooLarge| StoreError::corrupt(error.to_string());
        self.received
            .entry(record.log)
            .or_default()
            .insert(positions())
            .map_err(too_large)?;
        if number > self.indexed {
            self.pending
                .entry(record.log)
                .or_default()
                .insert(positions())
                .map_err(too_large)?;
            return Ok(());
        }
        for (position, mark) in &record.marks {
            if self
                .index
                .get(&Digest::from(mark).at(record.log, *position))?
                .is_none()
            {
                self.report.find(format_args!(
                    "the mark of position {position} is not in the index"
                ));
            }
        }
        Ok(())
    }

    fn segments(&mut self, tx: &ReadTransaction) -> Result<(), StoreError> {
        let mut held: Vec<Held> = vec![Held::default(); self.ledger.log_count()];
        for row in tx.open_table(SEGMENTS)?.iter()? {
            let (key, value) = row?;
            let (number, first) = place_of(key.value());
            self.report.segments += 1;
            match (self.ledger.log(number), held.get_mut(number as usize)) {
                (Some(log), Some(held)) => {
                    self.segment(number, log, held, (first, value.value()))?
                }
                _ => self.report.find(format_args!(
                    "a segment is of log {number}, which there is not"
                )),
            }
        }
        for row in tx.open_table(HOLES)?.iter()? {
            let (key, value) = row?;
            let (number, first) = place_of(key.value());
            match held.get_mut(number as usize) {
                Some(held) => self.holes(number, held, (first, value.value())),
                None => self.report.find(format_args!(
                    "a block of hashes is of log {number}, which there is not"
                )),
            }
        }
        for (number, held) in (0..).zip(&held) {
            self.compare_log(number, held);
        }
        Ok(())
    }

    fn segment(
        &mut self,
        number: u32,
        log: LogId,
        held: &mut Held,
        (first, segment): (u64, &[u8]),
    ) -> Result<(), StoreError> {
        if held.end() > first {
            self.report.find(format_args!(
                "two segments hold position {first} of {}",
                name(&log)
            ));
        }
        let mut run: Option<(u64, Run)> = None;
        for slot in slots(first, segment) {
            let slot = match slot {
                Ok(slot) => slot,
                Err(error) => {
                    self.report.find(format_args!("{error}, in {}", name(&log)));
                    break;
                }
            };
            self.slot(number, log, &slot)?;
            let (end, level) = (slot.end(), slot.level());
            match &mut run {
                Some((_, run)) if run.level == level => run.end = end,
                _ => {
                    set(held, run);
                    run = Some((slot.position, Run { end, level }));
                }
            }
        }
        set(held, run);
        Ok(())
    }

    /// Takes in the hashes of a block, where no segment tells more.
    fn holes(&mut self, number: u32, held: &mut Held, (first, block): (u64, &[u8])) {
        let block = match Block::from_bytes(first, block) {
            Ok(block) => block,
            Err(error) => return self.report.find(error),
        };
        for position in block.range() {
            let at = position..position + 1;
            if block.get(position).is_some() && held.is_free(at.clone()) {
                self.report.withheld += 1;
                held.set(at, Level::Withheld, &mut |_, _| {});
            }
        }
        if !held.has(block.range(), Level::Withheld) {
            self.report.find(format_args!(
                "no hash from position {first} of {} is needed",
                self.log_name(number)
            ));
        }
    }

    fn slot(&mut self, number: u32, log: LogId, slot: &Slot<'_>) -> Result<(), StoreError> {
        let Body::Row { id, state, row } = slot.body else {
            self.report.withheld += 1;
            return Ok(());
        };
        self.report.rows += 1;
        let position = slot.position;
        let row = match parse(position, id, row, log.origin) {
            Ok(row) => row,
            Err(error) => {
                self.report.find(error);
                return Ok(());
            }
        };
        if row.state() != state {
            self.report.find(format_args!(
                "row {position} of {} is not {state:?}",
                name(&log)
            ));
        }
        if self
            .pending
            .get(&number)
            .is_some_and(|pending| pending.contains(position))
        {
            return Ok(());
        }
        for key in keys_of(&row, number, position) {
            if self.index.get(&key)?.is_none() {
                self.report.find(format_args!(
                    "row {position} of {} is not in the index",
                    name(&log)
                ));
            }
        }
        Ok(())
    }

    fn log_name(&self, number: u32) -> String {
        let log = self.ledger.log(number);
        log.map(|log| name(&log)).unwrap_or_default()
    }

    fn compare_log(&mut self, number: u32, held: &Held) {
        let log = self.log_name(number);
        if self.ledger.held(number) != Some(held) {
            self.report.find(format_args!(
                "the segments of {log} are not those that its runs tell"
            ));
        }
        let levels = [
            Level::Withheld,
            RowState::Partial.into(),
            RowState::Full.into(),
        ];
        let sets = levels.map(|level| held.positions(level).unwrap_or_default());
        let all = sets
            .iter()
            .fold(PositionSet::new(), |all, set| all.union(set));
        if self.received.remove(&number).unwrap_or_default() != all {
            self.report.find(format_args!(
                "the journal does not tell what is held of {log}"
            ));
        }
    }
}

fn set(held: &mut Held, run: Option<(u64, Run)>) {
    if let Some((start, run)) = run {
        held.set(start..run.end, run.level, &mut |_, _| {});
    }
}

fn name(log: &LogId) -> String {
    format!(
        "the log {:.8}/{:.8}/{:.8}",
        log.origin, log.compartment, log.lane
    )
}
