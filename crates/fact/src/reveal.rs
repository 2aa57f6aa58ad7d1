//! Reveals: rows at scattered positions of a log, for positions that a receiver holds as hashes or in part
//! (`docs/src/spec/log.md`, section "Reveals").
//!
//! They need no proof: whoever holds a position at least by its hash knows whether a row belongs there.

use crate::checkpoint::LOG_SIZE_MAX;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::id::DomainId;
use crate::row::ROW_BYTES_MAX;
use crate::row::Row;

/// The bytes of rows at their positions, which ascend strictly.
///
/// # Panics
///
/// When they do not ascend.
pub fn encode_reveal<'a>(rows: impl IntoIterator<Item = (u64, &'a [u8])>) -> Vec<u8> {
    let mut to = Encoder::new();
    let mut next = 0;
    for (position, row) in rows {
        assert!(
            position >= next,
            "position {position} of a reveal follows {next}"
        );
        to.uint(position - next).bytes(row);
        next = position + 1;
    }
    to.finish()
}

/// Reads the rows of a reveal in a log of `origin`, in the order of their positions; there is at least one. That they
/// stand in the log is for their leaf hashes to say.
///
/// # Errors
///
/// For all bytes that [`encode_reveal`] does not write.
pub fn decode_reveal(bytes: &[u8], origin: DomainId) -> Result<Vec<(u64, Row)>, DecodeError> {
    let mut from = Decoder::new(bytes);
    let mut rows = Vec::new();
    let mut next = 0;
    loop {
        let position = position(&mut from, next)?;
        let at = from.at();
        let row = from.bytes("row length", ROW_BYTES_MAX)?;
        if row.is_empty() {
            let rule = "a revealed position has a row";
            return Err(DecodeError::NotCanonical { at, rule });
        }
        rows.push((position, Row::from_bytes(row, origin)?));
        next = position + 1;
        if from.remaining() == 0 {
            return Ok(rows);
        }
    }
}

fn position(from: &mut Decoder<'_>, next: u64) -> Result<u64, DecodeError> {
    let at = from.at();
    let position = next.saturating_add(from.uint()?);
    if position >= LOG_SIZE_MAX {
        return Err(DecodeError::LimitExceeded {
            at,
            what: "position",
            actual: position,
            limit: LOG_SIZE_MAX - 1,
        });
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Writer;
    use crate::tests::domain;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<Vec<(u64, Row)>, DecodeError> {
        decode_reveal(bytes, domain())
    }

    fn encode(rows: &[(u64, Row)]) -> Vec<u8> {
        encode_reveal(rows.iter().map(|(position, row)| (*position, row.bytes())))
    }

    fn row() -> Row {
        Writer::new(1).rows.remove(0)
    }

    #[test]
    fn positions_stay_below_the_size_of_the_largest_log() {
        for position in [0, 1, LOG_SIZE_MAX - 1] {
            let rows = [(position, row())];
            assert_eq!(decode(&encode(&rows)).unwrap(), rows);
        }
        let error = |at, actual| DecodeError::LimitExceeded {
            at,
            what: "position",
            actual,
            limit: LOG_SIZE_MAX - 1,
        };
        let above = encode(&[(LOG_SIZE_MAX, row())]);
        assert_eq!(decode(&above), Err(error(0, LOG_SIZE_MAX)));
        let last = encode(&[(LOG_SIZE_MAX - 1, row())]);
        let behind = [&last[..], &encode(&[(0, row())])].concat();
        assert_eq!(decode(&behind), Err(error(last.len(), LOG_SIZE_MAX)));
        let mut gap = Encoder::new();
        gap.uint(u64::MAX);
        let far = [
            &encode(&[(0, row())]),
            &gap.finish()[..],
            &encode(&[(0, row())])[1..],
        ]
        .concat();
        let at = encode(&[(0, row())]).len();
        assert_eq!(decode(&far), Err(error(at, u64::MAX)));
    }

    #[test]
    fn a_reveal_has_rows_only() {
        assert_eq!(decode(&[]), Err(DecodeError::Truncated { at: 0 }));
        let rule = "a revealed position has a row";
        assert_eq!(
            decode(&[0, 0]),
            Err(DecodeError::NotCanonical { at: 1, rule })
        );
        let mut to = Encoder::new();
        to.uint(0).length(ROW_BYTES_MAX + 1);
        let error = DecodeError::LimitExceeded {
            at: 1,
            what: "row length",
            actual: 65_001,
            limit: 65_000,
        };
        assert_eq!(decode(&to.finish()), Err(error));
    }

    proptest! {
        #[test]
        fn a_reveal_survives_its_bytes(positions in prop::collection::btree_set(0..20u64, 1..20)) {
            let rows = Writer::new(20).rows;
            let shown: Vec<_> = positions.iter().map(|at| (*at, rows[*at as usize].clone())).collect();
            prop_assert_eq!(decode(&encode(&shown)), Ok(shown));
        }
    }
}
