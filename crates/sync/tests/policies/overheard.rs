//! What went over the links of a world, looked at from outside: which logs it is about, rows, and requests.

use causality_fact::{Entry, LogId, Row, decode_entries, decode_reveal};
use causality_sync::SessionId;
use causality_wire::{LogName, LogNumber, LogState, SyncMessage};
use std::collections::BTreeMap;

use crate::world::{Sent, World};

impl World {
    /// What was sent since the last call, or since the world began.
    pub(crate) fn hear(&mut self) -> Vec<Sent> {
        self.overheard.replace(Vec::new()).unwrap_or_default()
    }
}

/// A message, and the logs that it is about.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) sent: Sent,
    pub(crate) logs: Vec<LogId>,
}

impl Heard {
    /// The rows that it carries, at their positions.
    pub(crate) fn rows(&self) -> Vec<(u64, Row)> {
        let entries = self.entries().into_iter();
        let row = |(position, entry)| match entry {
            Entry::Row(row) => Some((position, row)),
            Entry::Withheld { .. } => None,
        };
        entries.filter_map(row).collect()
    }

    /// What it says of positions, at a hash or in a row.
    pub(crate) fn entries(&self) -> Vec<(u64, Entry)> {
        match &self.sent.message {
            SyncMessage::FactSync(chunk) => {
                let entries = decode_entries(&chunk.entries, self.logs[0].origin).unwrap();
                (chunk.from..).zip(entries).collect()
            }
            SyncMessage::Reveal(reveal) => {
                let rows = decode_reveal(&reveal.rows, self.logs[0].origin).unwrap();
                let entry = |(position, row)| (position, Entry::Row(row));
                rows.into_iter().map(entry).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Which logs the numbers of sessions stand for.
#[derive(Debug, Default)]
pub(crate) struct Numbers(BTreeMap<(SessionId, LogNumber), LogId>);

impl Numbers {
    /// Finds the logs of a message. All have to come, in the order in which they were sent.
    pub(crate) fn hear(&mut self, sent: Sent) -> Heard {
        let numbers = match &sent.message {
            SyncMessage::Frontier(frontier) => {
                let mut number = |state: &LogState| {
                    if let LogName::New { number, log, .. } = state.log {
                        let before = self.0.insert((sent.session, number), log);
                        assert_eq!(before, None, "a number stands for one log: {sent:?}");
                    }
                    state.log.number()
                };
                frontier.logs.iter().map(&mut number).collect()
            }
            SyncMessage::SetsRequest(asked) => vec![asked.log],
            SyncMessage::Sets(sets) => vec![sets.log],
            SyncMessage::Announce(announce) => vec![announce.log],
            SyncMessage::FactSync(chunk) => vec![chunk.log],
            SyncMessage::Receipt(receipt) => vec![receipt.log],
            SyncMessage::Reveal(reveal) => vec![reveal.log],
            SyncMessage::Holes(holes) => vec![holes.log],
            SyncMessage::CaughtUp(_) | SyncMessage::Goodbye(_) | SyncMessage::Convergence(_) => {
                Vec::new()
            }
        };
        let log = |number| self.0[&(sent.session, number)];
        let logs = numbers.into_iter().map(log).collect();
        Heard { sent, logs }
    }
}

/// Whether a message asks for sets.
pub(crate) fn is_request(message: &SyncMessage) -> bool {
    matches!(message, SyncMessage::SetsRequest(_))
}
