//! The numbers by which both sides of a session name logs.

use causality_fact::LogId;
use causality_wire::BoundedString;
use causality_wire::LogName;
use causality_wire::LogNumber;
use std::collections::BTreeMap;

use super::SESSION_LOGS_MAX;
use crate::compartment::is_name;
use crate::effect::Side;
use crate::effect::SyncError;
use crate::engine::Engine;

/// The logs that were named in a session. A log has several numbers when both sides named it before they heard of each
/// other's, or when one wants it again that had refused it.
#[derive(Debug)]
pub(super) struct Names {
    /// The number of the next log that this side names; its parity is that of the side.
    next: u32,
    by_number: BTreeMap<LogNumber, LogId>,
    /// The number that this side uses.
    numbers: BTreeMap<LogId, LogNumber>,
    /// What the peer calls the compartments of the logs that it named.
    told: BTreeMap<LogId, String>,
    /// How many names the peer has given.
    given: usize,
}

impl Names {
    pub(super) fn new(side: Side) -> Self {
        Self {
            next: match side {
                Side::Dialer => 0,
                Side::Acceptor => 1,
            },
            by_number: BTreeMap::new(),
            numbers: BTreeMap::new(),
            told: BTreeMap::new(),
            given: 0,
        }
    }

    /// The name of a log; the first time with all that it stands for.
    pub(super) fn name(&mut self, engine: &Engine, log: LogId) -> Result<LogName, SyncError> {
        match self.numbers.get(&log) {
            Some(number) => Ok(LogName::Known(*number)),
            None => self.name_anew(engine, log),
        }
    }

    /// Gives a log a number of this side that was not used before.
    pub(super) fn name_anew(&mut self, engine: &Engine, log: LogId) -> Result<LogName, SyncError> {
        // The numbers of this side are every second one.
        if self.next as usize / 2 >= SESSION_LOGS_MAX {
            return Err(SyncError::Failed("more logs than a session may have"));
        }
        let number = LogNumber(self.next);
        self.next += 2;
        self.numbers.insert(log, number);
        self.by_number.insert(number, log);
        let name = engine.compartment_name(log.compartment).unwrap_or_default();
        let compartment = BoundedString::new(name).unwrap_or_default();
        Ok(LogName::New {
            number,
            log,
            compartment,
        })
    }

    /// Notes how the peer names a log; says which it is.
    pub(super) fn learn(&mut self, name: &LogName) -> Result<LogId, SyncError> {
        let LogName::New {
            number,
            log,
            compartment,
        } = name
        else {
            return self.log(name.number());
        };
        let is_mine = number.0 % 2 == self.next % 2;
        if is_mine || self.by_number.contains_key(number) {
            return Err(SyncError::Violation("a log number that is taken"));
        }
        if self.given >= SESSION_LOGS_MAX {
            return Err(SyncError::Violation("more logs than a session may have"));
        }
        self.given += 1;
        self.by_number.insert(*number, *log);
        self.numbers.entry(*log).or_insert(*number);
        // Whoever does not know the compartment yet tells no name.
        if is_name(compartment) {
            self.told.insert(*log, compartment.to_string());
        }
        Ok(*log)
    }

    /// The log of a number.
    pub(super) fn log(&self, number: LogNumber) -> Result<LogId, SyncError> {
        let log = self.by_number.get(&number).copied();
        log.ok_or(SyncError::Violation("a log number that was never given"))
    }

    /// The number that this side uses for a log.
    pub(super) fn number(&self, log: &LogId) -> Option<LogNumber> {
        self.numbers.get(log).copied()
    }

    /// What the peer calls the compartment of a log that it named.
    pub(super) fn told(&self, log: &LogId) -> Option<&str> {
        self.told.get(log).map(String::as_str)
    }
}
