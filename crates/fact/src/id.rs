//! Identifiers. Each is a type of its own, so that none passes for another.

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::hash::TaggedHash;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Why a text is not an identifier.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text has another length.
    #[error("expected {expected} hexadecimal digits, found {actual} characters")]
    Length {
        /// How many digits the identifier has.
        expected: usize,
        /// How many characters the text has.
        actual: usize,
    },
    /// A character that is not a lower-case hexadecimal digit.
    #[error("expected lower-case hexadecimal digits only")]
    NotHex,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// How many bytes it has.
            pub const LENGTH: usize = $length;

            /// Any bytes are an identifier; whether it names anything is another question.
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Reads its bytes.
            pub fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                decoder.array().map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        /// Lower-case hexadecimal; with `{:.8}` the first eight digits only.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.len() != 2 * $length {
                    let actual = text.chars().count();
                    return Err(ParseIdError::Length { expected: 2 * $length, actual });
                }
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
                bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(ParseIdError::NotHex)
            }
        }
    };
}

identifier!(
    /// Names a domain: the hash of its genesis key record, so that the name certifies the keys.
    DomainId,
    32
);
identifier!(
    /// Names a fact: the hash of its core. An id never confirms a guess of the content, which is salted.
    FactId,
    32
);
identifier!(
    /// Names a compartment, which is an audience: drawn at random by who creates it.
    CompartmentId,
    16
);
identifier!(
    /// Names a lane of a domain: drawn at random by a store when it first writes.
    LaneId,
    16
);
identifier!(
    /// Names a signing key: the first 16 bytes of a hash of it.
    KeyId,
    16
);
identifier!(
    /// Names a conflict key, the pair (resource, aspect): a hash of it, for indexes.
    ConflictKey,
    32
);

impl CompartmentId {
    /// The compartment `public`, whose audience is everybody: the one id that is known everywhere.
    pub const PUBLIC: Self = Self([0; 16]);
}

impl KeyId {
    /// The id of an Ed25519 public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let digest = TaggedHash::new("causality/0/key-id")
            .chain(public_key)
            .finish();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = FactId::new([0xa5; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{id:.8}"), "a5a5a5a5");
        assert_eq!(
            format!("{:?}", LaneId::new([1; 16])),
            format!("LaneId({})", "01".repeat(16))
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let short: Result<LaneId, _> = "00".parse();
        assert_eq!(
            short,
            Err(ParseIdError::Length {
                expected: 32,
                actual: 2
            })
        );
        let upper: Result<LaneId, _> = "AA".repeat(16).parse();
        assert_eq!(upper, Err(ParseIdError::NotHex));
    }
}
