//! Which fields of a content are disclosed (`docs/src/spec/fact.md`, section "Content").

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::content::FIELDS_MAX;

const BYTES_MAX: usize = FIELDS_MAX / 8;

/// Which fields of a content are disclosed: bit *i* stands for field *i* in the order of names. Masks of one fact compare
/// field by field; their order is that of numbers, for sorted collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldMask(u128);

impl FieldMask {
    /// From its bits; the lowest is the first field.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// All of so many fields; of more than [`FIELDS_MAX`], those.
    pub const fn all(fields: usize) -> Self {
        match fields {
            0..FIELDS_MAX => Self((1 << fields) - 1),
            _ => Self(u128::MAX),
        }
    }

    /// Its bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whether it discloses every field that the other does.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The fields that either discloses.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Appends its bytes: a count, then as many bytes as there are up to the last that is not 0, the lowest first.
    pub fn encode(self, to: &mut Encoder) {
        let bytes = self.0.to_le_bytes();
        let length = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        to.bytes(&bytes[..length]);
    }

    /// Reads the bytes that [`encode`](Self::encode) writes.
    ///
    /// # Errors
    ///
    /// For all other bytes.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        let bytes = from.bytes("bytes of a mask", BYTES_MAX)?;
        if bytes.last() == Some(&0) {
            let rule = "a mask has no bytes behind the last disclosed field";
            return Err(DecodeError::NotCanonical { at, rule });
        }
        let mut bits = [0; BYTES_MAX];
        bits[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(u128::from_le_bytes(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(mask: FieldMask) -> Vec<u8> {
        let mut to = Encoder::new();
        mask.encode(&mut to);
        to.finish()
    }

    #[test]
    fn a_mask_takes_as_few_bytes_as_it_can() {
        for (bits, expected) in [
            (0, &[0][..]),
            (0b101, &[1, 0b101]),
            (0x100, &[2, 0, 1]),
            (1 << 127, &[&[16][..], &[0; 15], &[0x80]].concat()),
        ] {
            assert_eq!(bytes(FieldMask::new(bits)), expected);
        }
    }

    #[test]
    fn other_spellings_of_a_mask_are_refused() {
        let decode = |bytes: &[u8]| Decoder::exactly(bytes, FieldMask::decode).unwrap_err();
        let rule = "a mask has no bytes behind the last disclosed field";
        for padded in [&[1, 0][..], &[2, 5, 0]] {
            assert_eq!(decode(padded), DecodeError::NotCanonical { at: 0, rule });
        }
        assert_eq!(decode(&[2, 5]), DecodeError::Truncated { at: 2 });
        let error = DecodeError::LimitExceeded {
            at: 0,
            what: "bytes of a mask",
            actual: 17,
            limit: 16,
        };
        assert_eq!(decode(&[&[17][..], &[1; 17]].concat()), error);
    }

    #[test]
    fn all_fields_are_as_many_as_there_are() {
        assert_eq!(FieldMask::all(0), FieldMask::default());
        assert_eq!(FieldMask::all(3).bits(), 0b111);
        assert_eq!(FieldMask::all(127).bits(), u128::MAX >> 1);
        assert_eq!(FieldMask::all(128).bits(), u128::MAX);
        assert_eq!(FieldMask::all(129).bits(), u128::MAX);
    }

    proptest! {
        #[test]
        fn a_mask_is_a_set_of_fields(one: u128, other: u128) {
            let (a, b) = (FieldMask::new(one), FieldMask::new(other));
            let has = |mask: FieldMask, field: u32| mask.bits() >> field & 1 == 1;
            prop_assert!((0..128).all(|i| has(a.union(b), i) == (has(a, i) || has(b, i))));
            let subset = (0..128).all(|i| has(a, i) || !has(b, i));
            prop_assert_eq!(a.covers(b), subset);
            prop_assert!(a.union(b).covers(a) && a.union(b).covers(b));
            prop_assert_eq!(Decoder::exactly(&bytes(a), FieldMask::decode), Ok(a));
        }

        #[test]
        fn masks_obey_the_codec_law(given in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(mask) = Decoder::exactly(&given, FieldMask::decode) {
                prop_assert_eq!(bytes(mask), given);
            }
        }
    }
}
