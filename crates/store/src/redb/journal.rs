//! Entries of the receipt journal as bytes (`docs/src/spec/store.md`, section "Journal").

use std::ops::Range;

use causality_fact::{DecodeError, Decoder, Encoder, LOG_SIZE_MAX};

use crate::answer::Change;
use crate::batch::{BATCH_ENTRIES_MAX, Mark};
use crate::error::StoreError;

/// An entry of the journal, with the marks that only it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) time: i64,
    pub(super) log: u32,
    pub(super) positions: Range<u64>,
    pub(super) change: Change,
    pub(super) marks: Vec<(u64, Mark)>,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Range { start, end } = self.positions;
        let mut to = Encoder::new();
        to.int(self.time)
            .uint(self.log.into())
            .uint(start)
            .uint(end - start);
        to.u8(self.change as u8).length(self.marks.len());
        for (position, mark) in &self.marks {
            to.uint(position - start).raw(mark.as_bytes());
        }
        to.finish()
    }

    pub(super) fn from_bytes(number: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        Decoder::exactly(bytes, Self::decode)
            .map_err(|error| StoreError::corrupt(format!("journal entry {number}: {error}")))
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let time = from.int()?;
        let log = from.length("number of a log", u32::MAX as usize)? as u32;
        let start = from.length("position", LOG_SIZE_MAX as usize)? as u64;
        let count = from.length("number of positions", (LOG_SIZE_MAX - start) as usize)? as u64;
        let at = from.at();
        let change = match from.u8()? {
            0 => Change::Added,
            1 => Change::Upgraded,
            code => {
                return Err(DecodeError::UnknownCode {
                    at,
                    what: "change",
                    code,
                });
            }
        };
        let mut marks = Vec::new();
        for _ in 0..from.length("number of marks", BATCH_ENTRIES_MAX)? {
            let offset = from.length("position of a mark", count as usize)? as u64;
            marks.push((start + offset, Mark::new(from.array()?)));
        }
        Ok(Self {
            time,
            log,
            positions: start..start + count,
            change,
            marks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_bytes_and_others_are_refused() {
        let marks = vec![
            (1_000_000, Mark::new([3; 16])),
            (1_000_004, Mark::new([4; 16])),
        ];
        let positions = 1_000_000..1_000_005;
        let record = Record {
            time: -5,
            log: 300,
            positions,
            change: Change::Upgraded,
            marks,
        };
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(1, &bytes), Ok(record));
        for length in 0..bytes.len() {
            let error = Record::from_bytes(7, &bytes[..length]);
            assert!(matches!(error, Err(StoreError::Corrupt { .. })));
        }
    }
}
