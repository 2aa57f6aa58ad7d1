//! Hashes of position sets, as `docs/src/spec/tree.md` has them.

use crate::codec::{tagged_hash, uint_bytes};
use crate::history::Span;

/// The hash of the set of these runs; none if they are not maximal runs in ascending order.
#[must_use]
pub fn hash(runs: &[Span]) -> Option<[u8; 32]> {
    Some(tagged_hash("causality/0/positions", &[&encoding(runs)?]))
}

/// The one encoding of a set.
pub(crate) fn encoding(runs: &[Span]) -> Option<Vec<u8>> {
    let (mut gaps, mut lengths) = (Vec::new(), Vec::new());
    let mut before = None;
    for Span(start, end) in runs {
        let gap = match before {
            None => *start,
            // There is one position at least between two runs.
            Some(before) => start.checked_sub(before)?.checked_sub(1)?,
        };
        gaps.push(gap);
        lengths.push(end.checked_sub(*start)?.checked_sub(1)?);
        before = Some(*end);
    }
    if before.is_some_and(|end| end > END_MAX) {
        return None;
    }
    let (of_gaps, of_lengths) = (parameter(&gaps), parameter(&lengths));
    let mut bits = Bits::default();
    for (gap, length) in gaps.iter().zip(&lengths) {
        bits.rice(*gap, of_gaps);
        bits.rice(*length, of_lengths);
    }
    let mut bytes = uint_bytes(runs.len() as u64);
    bytes.extend([of_gaps, of_lengths]);
    bytes.extend(bits.bytes);
    Some(bytes)
}

/// The smallest parameter with which these take the fewest bits.
fn parameter(values: &[u64]) -> u8 {
    let bits = |parameter: &u8| -> u128 {
        let of = |value: &u64| u128::from(value >> parameter) + 1 + u128::from(*parameter);
        values.iter().map(of).sum()
    };
    // Of several that are least this is the first.
    (0..=PARAMETER_MAX).min_by_key(bits).unwrap_or_default()
}

/// Bits that fill each byte from its lowest one up.
#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn rice(&mut self, value: u64, parameter: u8) {
        (0..value >> parameter).for_each(|_| self.push(false));
        self.push(true);
        (0..parameter).for_each(|bit| self.push(value >> bit & 1 == 1));
    }

    fn push(&mut self, is_one: bool) {
        if self.count.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(is_one) << (self.count % 8);
        }
        self.count += 1;
    }
}

/// No run ends above.
const END_MAX: u64 = 1 << 63;
const PARAMETER_MAX: u8 = 62;
