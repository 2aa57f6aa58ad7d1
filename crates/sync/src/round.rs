//! Rounds of catch-up: how far each has come.

use causality_fact::LogId;
use causality_wire::LogState as StateMessage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::effect::RequestId;

/// A round that this side opened.
#[derive(Debug)]
pub(crate) struct MyRound {
    pub(crate) number: u32,
    pub(crate) requests: Vec<RequestId>,
    /// `None` until the reply has come: the logs that the peer named first.
    pub(crate) answered: Option<usize>,
    pub(crate) named: Vec<StateMessage>,
    pub(crate) owed: Owed,
    pub(crate) peer_is_done: bool,
    pub(crate) received_before: u64,
}

/// A round that the peer opened.
#[derive(Debug)]
pub(crate) struct TheirRound {
    pub(crate) number: u32,
    pub(crate) opened: Vec<StateMessage>,
    /// Logs that this side named first and whose state at the peer has to come.
    pub(crate) awaited: BTreeSet<LogId>,
    pub(crate) has_replied: bool,
    pub(crate) owed: Owed,
}

/// What this side has to send in a round: the size that each log had when the round began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    pub(crate) targets: BTreeMap<LogId, u64>,
    pub(crate) is_done: bool,
    pub(crate) facts_before: u64,
    pub(crate) bytes_before: u64,
}

impl TheirRound {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            opened: Vec::new(),
            awaited: BTreeSet::new(),
            has_replied: false,
            owed: Owed::default(),
        }
    }
}
