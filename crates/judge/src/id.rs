//! Ids and bytes as a history spells them: lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::codec::{DecodeError, Reader};

/// Why a text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextError {
    /// Not an even number of lower-case hexadecimal digits.
    NotHex,
    /// Hexadecimal, of another length than so many bytes.
    Length {
        /// How many bytes it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Not three parts between two slashes.
    NotALog,
    /// The level of a withheld subtree is not a number from 0 to 62.
    NotALevel,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("expected pairs of lower-case hexadecimal digits"),
            Self::Length { expected, found } => {
                write!(f, "expected {expected} bytes of hexadecimal, found {found}")
            }
            Self::NotALog => f.write_str("expected a log as ORIGIN/COMPARTMENT/LANE"),
            Self::NotALevel => f.write_str("expected LEVEL:HASH with a level from 0 to 62"),
        }
    }
}

impl std::error::Error for TextError {}

fn bytes_of(text: &str) -> Result<Vec<u8>, TextError> {
    HEXLOWER
        .decode(text.as_bytes())
        .map_err(|_| TextError::NotHex)
}

fn array_of<const N: usize>(text: &str) -> Result<[u8; N], TextError> {
    let bytes = bytes_of(text)?;
    let length = |bytes: Vec<u8>| TextError::Length {
        expected: N,
        found: bytes.len(),
    };
    bytes.try_into().map_err(length)
}

/// Reads and writes a type as the text of its `FromStr` and `Display`.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

macro_rules! fixed {
    ($(#[doc = $doc:literal])+ $name:ident, $length:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(clippy::exhaustive_structs, reason = "any bytes of this length are one")]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl $name {
            /// The first digits, as a story shows it.
            #[must_use]
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                array_of(text).map(Self)
            }
        }

        as_text!($name);
    };
}

fixed! {
    /// A domain: the hash of its first key record.
    DomainId, 32
}
fixed! {
    /// A compartment.
    CompartmentId, 16
}
fixed! {
    /// A lane of a domain.
    LaneId, 16
}
fixed! {
    /// A fact: the hash of its core.
    FactId, 32
}
fixed! {
    /// A hash of a log's tree: of all of it, or of a subtree.
    TreeHash, 32
}

/// A log, in text `ORIGIN/COMPARTMENT/LANE`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "any three ids are one")]
pub struct LogId {
    /// Who writes it.
    pub origin: DomainId,
    /// For whom.
    pub compartment: CompartmentId,
    /// Which of the origin's lanes.
    pub lane: LaneId,
}

impl LogId {
    /// Its canonical bytes.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: DomainId(reader.array()?),
            compartment: CompartmentId(reader.array()?),
            lane: LaneId(reader.array()?),
        })
    }

    /// The first digits of each part, as a story shows it.
    #[must_use]
    pub fn short(&self) -> String {
        let (origin, compartment) = (self.origin.short(), self.compartment.short());
        format!("{origin}/{compartment}/{}", self.lane.short())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.origin, self.compartment, self.lane)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for LogId {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut parts = text.split('/');
        let (Some(origin), Some(compartment), Some(lane), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TextError::NotALog);
        };
        Ok(Self {
            origin: origin.parse()?,
            compartment: compartment.parse()?,
            lane: lane.parse()?,
        })
    }
}

as_text!(LogId);

/// Bytes as somebody stored them.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any bytes are some")]
pub struct Bytes(pub Vec<u8>);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Bytes {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        bytes_of(text).map(Self)
    }
}

as_text!(Bytes);

/// What a store has at a position: a row in hexadecimal, or `LEVEL:HASH` of an aligned subtree that is withheld from it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a position is known by row or by hash"
)]
pub enum Stored {
    /// A fact.
    Row(Bytes),
    /// Positions of which only a hash is known.
    Withheld {
        /// There are 2 to the power of this.
        level: u8,
        /// The hash of the subtree.
        hash: TreeHash,
    },
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(row) => write!(f, "{row}"),
            Self::Withheld { level, hash } => write!(f, "{level}:{hash}"),
        }
    }
}

impl FromStr for Stored {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let Some((level, hash)) = text.split_once(':') else {
            return text.parse().map(Self::Row);
        };
        let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX);
        Ok(Self::Withheld {
            level: level.ok_or(TextError::NotALevel)?,
            hash: hash.parse()?,
        })
    }
}

as_text!(Stored);

/// The highest level of a subtree below 2^63 leaves.
const LEVEL_MAX: u8 = 62;
