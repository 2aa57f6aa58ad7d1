//! The names of logs within a session: a number each, given by whoever names a log first.

use causality_fact::LogId;
use causality_wire::BoundedString;
use causality_wire::LogName;
use causality_wire::LogNumber;
use causality_wire::LogState as StateMessage;
use std::collections::BTreeMap;

use crate::effect::Side;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::session::SESSION_LOGS_MAX;

/// The logs that were named in a session.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) next: u32,
    pub(crate) by_number: BTreeMap<LogNumber, LogId>,
    pub(crate) numbers: BTreeMap<LogId, LogNumber>,
    /// What the peer calls the compartments of the logs that it named.
    pub(crate) told: BTreeMap<LogId, String>,
}

impl Names {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            next: match side {
                Side::Dialer => 0,
                Side::Acceptor => 1,
            },
            by_number: BTreeMap::new(),
            numbers: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// The name of a log; the first time with all that it stands for.
    pub(crate) fn name(&mut self, engine: &Engine, log: LogId) -> LogName {
        if let Some(number) = self.numbers.get(&log) {
            return LogName::Known(*number);
        }
        let number = LogNumber(self.next);
        self.next += 2;
        self.numbers.insert(log, number);
        self.by_number.insert(number, log);
        let name = engine.compartment_name(log.compartment).unwrap_or_default();
        let compartment = BoundedString::new(name).unwrap_or_default();
        LogName::New {
            number,
            log,
            compartment,
        }
    }

    /// Notes a log that the peer names.
    pub(crate) fn learn(&mut self, state: &StateMessage) -> Result<(), SyncError> {
        match &state.log {
            LogName::Known(number) => self.log(*number).map(drop),
            LogName::New {
                number,
                log,
                compartment,
            } => {
                let is_mine = number.0 % 2 == self.next % 2;
                if is_mine || self.by_number.insert(*number, *log).is_some() {
                    return Err(SyncError::Violation("a log number that is taken"));
                }
                check_count(self.by_number.len())?;
                self.numbers.entry(*log).or_insert(*number);
                self.told.insert(*log, compartment.to_string());
                Ok(())
            }
        }
    }

    pub(crate) fn log(&self, number: LogNumber) -> Result<LogId, SyncError> {
        let log = self.by_number.get(&number).copied();
        log.ok_or(SyncError::Violation("a log number that was never given"))
    }
}

pub(crate) fn check_count(logs: usize) -> Result<(), SyncError> {
    if logs > SESSION_LOGS_MAX {
        return Err(SyncError::Violation("more logs than a session may have"));
    }
    Ok(())
}
