//! The canonical code of a position set: alternating lengths of gaps and runs in two Rice codes.

use std::collections::BTreeMap;

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::tree::MAX_TREE_SIZE;

/// The rule that bytes break which mean a set but are not its encoding.
pub(super) const SHORTEST: &str =
    "the parameters are the smallest that give the fewest bits, and the padding is zero";

/// Lengths are below 2^63, so a larger parameter never gives fewer bits.
const MAX_PARAMETER: u8 = 62;

pub(super) fn encode(runs: &BTreeMap<u64, u64>) -> Vec<u8> {
    let (gaps, lengths) = lengths(runs);
    let (gap_parameter, gap_bits) = best_parameter(&gaps);
    let (run_parameter, run_bits) = best_parameter(&lengths);
    let mut header = Encoder::new();
    header
        .length(runs.len())
        .u8(gap_parameter)
        .u8(run_parameter);
    let mut bits = BitWriter::after(header.finish(), gap_bits + run_bits);
    for (gap, length) in gaps.into_iter().zip(lengths) {
        bits.rice(gap, gap_parameter);
        bits.rice(length, run_parameter);
    }
    bits.finish()
}

/// The lengths of the gaps and of the runs, less one where they cannot be 0: all but the first gap.
fn lengths(runs: &BTreeMap<u64, u64>) -> (Vec<u64>, Vec<u64>) {
    // As if a run had ended one before position 0, the first gap is one longer.
    let mut next = 0;
    let split = |(start, end): (&u64, &u64)| {
        let gap = start - next;
        next = end + 1;
        (gap, end - start - 1)
    };
    runs.iter().map(split).unzip()
}

/// The smallest parameter that gives the fewest bits, and how many these are.
fn best_parameter(values: &[u64]) -> (u8, u64) {
    let bits = |parameter: u8| {
        let quotients: u64 = values.iter().map(|value| value >> parameter).sum();
        quotients + values.len() as u64 * (u64::from(parameter) + 1)
    };
    // The number of bits is convex in the parameter: the first one that the next does not improve on is the best.
    let (mut best, mut fewest) = (0, bits(0));
    while best < MAX_PARAMETER {
        let next = bits(best + 1);
        if next >= fewest {
            break;
        }
        (best, fewest) = (best + 1, next);
    }
    (best, fewest)
}

/// The runs, ascending and maximal, as (start, end). Whether the bytes are the shortest is left to the caller.
pub(super) fn decode(bytes: &[u8], max_runs: usize) -> Result<Vec<(u64, u64)>, DecodeError> {
    let mut header = Decoder::new(bytes);
    let count = header.length("number of position runs", max_runs)?;
    let (gap_parameter, run_parameter) = (parameter(&mut header)?, parameter(&mut header)?);
    let mut bits = BitReader {
        bytes,
        at: header.at() as u64 * 8,
    };
    // A gap and a run take at least one bit each, so that the input pays for what is allocated.
    if count > header.remaining() * 4 {
        return Err(DecodeError::Truncated { at: bytes.len() });
    }
    let mut runs = Vec::with_capacity(count);
    let mut next = 0;
    for _ in 0..count {
        let start = bits.rice(gap_parameter, next)?;
        let end = bits.rice(run_parameter, start + 1)?;
        runs.push((start, end));
        next = end + 1;
    }
    let mut rest = Decoder::new(bytes);
    rest.raw(bits.at.div_ceil(8) as usize)?;
    rest.end()?;
    Ok(runs)
}

fn parameter(header: &mut Decoder<'_>) -> Result<u8, DecodeError> {
    let at = header.at();
    let parameter = header.u8()?;
    if parameter > MAX_PARAMETER {
        return Err(DecodeError::NotCanonical {
            at,
            rule: "a parameter is at most 62",
        });
    }
    Ok(parameter)
}

/// Writes bits into bytes, the lowest bit of each first.
struct BitWriter {
    bytes: Vec<u8>,
    // Fewer than 64 bits between calls.
    pending: u128,
    filled: u32,
}

impl BitWriter {
    fn after(mut bytes: Vec<u8>, bits: u64) -> Self {
        bytes.reserve_exact(bits.div_ceil(8) as usize + 8);
        Self {
            bytes,
            pending: 0,
            filled: 0,
        }
    }

    /// The quotient by 2^parameter as that many zeros and a one, then the remainder.
    fn rice(&mut self, value: u64, parameter: u8) {
        let mut zeros = value >> parameter;
        while zeros >= 63 {
            self.write(0, 63);
            zeros -= 63;
        }
        self.write(1 << zeros, zeros as u32 + 1);
        self.write(value & ((1 << parameter) - 1), u32::from(parameter));
    }

    /// Writes the lowest `count` bits, at most 64, of a value that has no others.
    fn write(&mut self, value: u64, count: u32) {
        self.pending |= u128::from(value) << self.filled;
        self.filled += count;
        if self.filled >= 64 {
            self.bytes
                .extend_from_slice(&(self.pending as u64).to_le_bytes());
            self.pending >>= 64;
            self.filled -= 64;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let pending = self.pending.to_le_bytes();
        self.bytes
            .extend_from_slice(&pending[..self.filled.div_ceil(8) as usize]);
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
struct BitReader<'a> {
    bytes: &'a [u8],
    // In bits.
    at: u64,
}

impl BitReader<'_> {
    /// The position that a Rice-coded value leads to from `from`, which is at most 2^63 + 1.
    fn rice(&mut self, parameter: u8, from: u64) -> Result<u64, DecodeError> {
        let at = (self.at / 8) as usize;
        let mut zeros = 0;
        let mut window = self.window();
        while window == 0 {
            self.skip(64)?;
            zeros += 64;
            window = self.window();
        }
        self.skip(window.trailing_zeros() + 1)?;
        zeros += u64::from(window.trailing_zeros());
        let remainder = self.window() & ((1 << parameter) - 1);
        self.skip(u32::from(parameter))?;
        let value = (zeros <= u64::MAX >> parameter).then_some(zeros << parameter | remainder);
        let position = value.and_then(|value| from.checked_add(value));
        position
            .filter(|position| *position <= MAX_TREE_SIZE)
            .ok_or(DecodeError::NotCanonical {
                at,
                rule: "positions are below 2^63",
            })
    }

    /// The next 64 bits; behind the end there are zeros.
    fn window(&self) -> u64 {
        let rest = self.bytes.get((self.at / 8) as usize..).unwrap_or_default();
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 16];
            word[..rest.len()].copy_from_slice(rest);
            word
        });
        (u128::from_le_bytes(word) >> (self.at % 8)) as u64
    }

    fn skip(&mut self, bits: u32) -> Result<(), DecodeError> {
        self.at += u64::from(bits);
        if self.at > self.bytes.len() as u64 * 8 {
            return Err(DecodeError::Truncated {
                at: self.bytes.len(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::PositionSet;
    use super::super::tests::set;
    use super::*;

    const NO_LIMIT: usize = usize::MAX;

    fn refused(bytes: &[u8]) -> DecodeError {
        PositionSet::decode(bytes, NO_LIMIT).unwrap_err()
    }

    #[test]
    fn encodings_are_as_in_the_specification() {
        let check = |set: PositionSet, bytes: &[u8]| {
            assert_eq!(set.encode(), bytes);
            assert_eq!(PositionSet::decode(bytes, NO_LIMIT), Ok(set));
        };
        check(set(&[]), &[0, 0, 0]);
        check(set(&[(0, 1)]), &[1, 0, 0, 0b11]);
        check(set(&[(0, 4096)]), &[1, 0, 11, 0b1111_1101, 0b11_1111]);
        check(
            set(&[(2, 5), (6, 7), (10, 14)]),
            &[3, 0, 0, 0b1110_0100, 0b0100_0100],
        );
        let last = set(&[(MAX_TREE_SIZE - 1, MAX_TREE_SIZE)]);
        check(
            last,
            &[1, 62, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        );
    }

    #[test]
    fn the_best_parameter_is_the_smallest_of_all() {
        let cases: [&[u64]; 7] = [
            &[],
            &[0],
            &[1],
            &[4095],
            &[0, 0, 0, 1000],
            &[MAX_TREE_SIZE - 1],
            &[1, 2, 3, 1 << 40],
        ];
        for values in cases {
            let bits = |parameter: u64| -> u128 {
                values
                    .iter()
                    .map(|value| u128::from(value >> parameter) + 1 + u128::from(parameter))
                    .sum()
            };
            let best = (0..=63)
                .min_by_key(|parameter| (bits(*parameter), *parameter))
                .unwrap();
            assert_eq!(
                best_parameter(values),
                (best as u8, bits(best) as u64),
                "{values:?}"
            );
        }
    }

    #[test]
    fn more_runs_than_allowed_are_refused() {
        let bytes = set(&[(0, 1), (2, 3), (4, 5)]).encode();
        assert!(PositionSet::decode(&bytes, 3).is_ok());
        let what = "number of position runs";
        let error = DecodeError::LimitExceeded {
            at: 0,
            what,
            actual: 3,
            limit: 2,
        };
        assert_eq!(PositionSet::decode(&bytes, 2), Err(error));
    }

    #[test]
    fn a_count_that_the_input_cannot_hold_is_refused_before_allocating() {
        let mut bytes = Encoder::new();
        bytes
            .uint(u64::from(u32::MAX))
            .raw(&[0, 0])
            .raw(&[0xff; 100]);
        let bytes = bytes.finish();
        assert_eq!(refused(&bytes), DecodeError::Truncated { at: bytes.len() });
        // Four runs a byte is what fits.
        assert!(PositionSet::decode(&[4, 0, 0, 0b1111_1111], 4).is_ok());
        assert_eq!(
            refused(&[5, 0, 0, 0b1111_1111]),
            DecodeError::Truncated { at: 4 }
        );
    }

    #[test]
    fn endless_zeros_are_refused() {
        let bytes = [&[1, 0, 0][..], &[0; 1000]].concat();
        assert_eq!(refused(&bytes), DecodeError::Truncated { at: bytes.len() });
    }

    #[test]
    fn positions_above_the_largest_are_refused() {
        let rule = "positions are below 2^63";
        // Parameter 62 and a quotient of 2: a run would start at 2^63.
        let bytes = [1, 62, 0, 0b100, 0, 0, 0, 0, 0, 0, 0, 0b10];
        assert_eq!(refused(&bytes), DecodeError::NotCanonical { at: 11, rule });
        // A quotient of 3 leads beyond even that.
        let bytes = [1, 62, 0, 0b1000, 0, 0, 0, 0, 0, 0, 0, 0b100];
        assert_eq!(refused(&bytes), DecodeError::NotCanonical { at: 3, rule });
        // A quotient that would be shifted out of 64 bits.
        let bytes = [1, 62, 0, 0b1_0000, 0, 0, 0, 0, 0, 0, 0, 0b11_0000];
        assert_eq!(refused(&bytes), DecodeError::NotCanonical { at: 3, rule });
        assert_eq!(
            refused(&[0, 63, 0]),
            DecodeError::NotCanonical {
                at: 1,
                rule: "a parameter is at most 62"
            }
        );
    }

    #[test]
    fn other_encodings_of_a_set_are_refused() {
        // The set {0}: with a larger parameter, with a set padding bit, with an over-long count, with a byte behind.
        assert_eq!(
            refused(&[1, 1, 0, 0b101]),
            DecodeError::NotCanonical {
                at: 1,
                rule: SHORTEST
            }
        );
        assert_eq!(
            refused(&[1, 0, 0, 0b111]),
            DecodeError::NotCanonical {
                at: 3,
                rule: SHORTEST
            }
        );
        let rule = "an integer takes as few bytes as it can";
        assert_eq!(
            refused(&[0x81, 0, 0, 0, 0b11]),
            DecodeError::NotCanonical { at: 0, rule }
        );
        assert_eq!(
            refused(&[1, 0, 0, 0b11, 0]),
            DecodeError::Trailing { at: 4, extra: 1 }
        );
        assert_eq!(
            refused(&[0, 0, 1]),
            DecodeError::NotCanonical {
                at: 2,
                rule: SHORTEST
            }
        );
    }

    fn sets() -> impl Strategy<Value = PositionSet> {
        let scale = prop_oneof![Just(2u64), Just(30), Just(5000), Just(1 << 57)];
        let steps =
            scale.prop_flat_map(|scale| prop::collection::vec((0..scale, 1..=scale), 0..20));
        steps.prop_map(|steps| {
            let (mut set, mut at) = (PositionSet::new(), 0);
            for (gap, length) in steps {
                set.insert(at + gap..at + gap + length).unwrap();
                at += gap + length;
            }
            set
        })
    }

    fn is_refused_or_canonical(bytes: &[u8]) {
        if let Ok(set) = PositionSet::decode(bytes, NO_LIMIT) {
            assert_eq!(set.encode(), bytes);
        }
    }

    proptest! {
        #[test]
        fn a_set_survives_its_encoding(set in sets()) {
            prop_assert_eq!(PositionSet::decode(&set.encode(), set.run_count()), Ok(set));
        }

        #[test]
        fn truncated_encodings_are_refused(set in sets()) {
            let bytes = set.encode();
            for end in 0..bytes.len() {
                prop_assert_eq!(refused(&bytes[..end]), DecodeError::Truncated { at: end });
            }
        }

        #[test]
        fn random_bytes_are_refused_or_canonical(
            count in 0..4u8, parameters in [0..4u8, 0..4u8], body: Vec<u8>, any: Vec<u8>,
        ) {
            is_refused_or_canonical(&any);
            is_refused_or_canonical(&[&[count][..], &parameters, &body].concat());
        }
    }

    // Each case tries thousands of byte strings.
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn mutated_encodings_are_refused_or_canonical(set in sets()) {
            let mut bytes = set.encode();
            for at in 0..bytes.len() {
                let original = bytes[at];
                for changed in 0..=255 {
                    bytes[at] = changed;
                    is_refused_or_canonical(&bytes);
                }
                bytes[at] = original;
            }
        }
    }
}
