//! What went over the links of a world, looked at from outside: rows, requests, and bytes that should not be there.

use causality_fact::{DomainId, Entry, Row, decode_entries, decode_reveal};
use causality_wire::SyncMessage;

use crate::world::{Sent, World};

impl World {
    /// What was sent since the last call, or since the world began.
    pub(crate) fn hear(&mut self) -> Vec<Sent> {
        self.overheard.replace(Vec::new()).unwrap_or_default()
    }
}

/// The rows that a message carries. Their origin is not said in them, and their ids are not those of their facts if it is
/// another one.
pub(crate) fn rows(message: &SyncMessage, origin: DomainId) -> Vec<Row> {
    match message {
        SyncMessage::FactSync(chunk) => {
            let entries = decode_entries(&chunk.entries, origin).unwrap().into_iter();
            let row = |entry| match entry {
                Entry::Row(row) => Some(row),
                Entry::Withheld { .. } => None,
            };
            entries.filter_map(row).collect()
        }
        SyncMessage::Reveal(reveal) => {
            let rows = decode_reveal(&reveal.rows, origin).unwrap();
            rows.into_iter().map(|(_, row)| row).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a message asks for sets.
pub(crate) fn is_request(message: &SyncMessage) -> bool {
    matches!(message, SyncMessage::SetsRequest(_))
}
