//! Byte strings, strings and lists with a limit, which is checked before anything is allocated.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use causality_fact::TreeHash;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::DeserializeOwned;
use serde::de::Error;
use serde::de::SeqAccess;
use serde::de::Visitor;
use thiserror::Error as ThisError;

use crate::message::LogState;
use crate::message::Refusal;
use crate::message::SyncMessage;

/// A type that may be decoded from a peer's bytes. It is sealed: each type that has it was checked by hand to be not
/// recursive, to have no elements that take no bytes, and to hold every byte string, string and list in a type of this
/// module, so that decoding takes time and memory in proportion to the bytes that arrived.
///
/// ```compile_fail,E0277
/// fn travels<T: causality_wire::WireSafe>() {}
/// travels::<Vec<u8>>();
/// ```
pub trait WireSafe: Serialize + DeserializeOwned + sealed::Sealed {}

pub(crate) mod sealed {
    /// Lets [`WireSafe`](super::WireSafe) be implemented in this crate only.
    #[expect(unnameable_types, reason = "nobody outside is to name it")]
    pub trait Sealed {}
}

impl sealed::Sealed for LogState {}
impl WireSafe for LogState {}
impl sealed::Sealed for Refusal {}
impl WireSafe for Refusal {}
impl sealed::Sealed for SyncMessage {}
impl WireSafe for SyncMessage {}
impl<const MAX: usize> sealed::Sealed for BoundedBytes<MAX> {}
impl<const MAX: usize> WireSafe for BoundedBytes<MAX> {}

/// More bytes or elements than a limit allows.
#[derive(Clone, Copy, Debug, ThisError, PartialEq, Eq)]
#[error("{actual} {what}, the limit is {limit}")]
#[non_exhaustive]
pub struct TooLong {
    /// What is counted.
    pub what: &'static str,
    /// How many there are.
    pub actual: usize,
    /// How many there may be.
    pub limit: usize,
}

impl TooLong {
    fn check(what: &'static str, actual: usize, limit: usize) -> Result<(), Self> {
        let too_long = Self {
            what,
            actual,
            limit,
        };
        if actual > limit {
            Err(too_long)
        } else {
            Ok(())
        }
    }
}

/// At most `MAX` bytes. Decoding copies them once; JSON has them as hexadecimal digits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> BoundedBytes<MAX> {
    /// Takes the bytes.
    ///
    /// # Errors
    ///
    /// When there are more than `MAX`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, TooLong> {
        let bytes = bytes.into();
        TooLong::check("bytes", bytes.len(), MAX)?;
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Tells the number of bytes only: they may be content.
impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundedBytes({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Serialize for BoundedBytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedBytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (what, unit) = ("bytes", 1);
        deserialize_bytes(
            deserializer,
            BytesVisitor {
                what,
                unit,
                max: MAX,
            },
        )
        .map(Self)
    }
}

/// At most `MAX` hashes of 32 bytes, packed as one byte string.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hashes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Hashes<MAX> {
    /// Packs the hashes.
    ///
    /// # Errors
    ///
    /// When there are more than `MAX`.
    pub fn new(hashes: &[TreeHash]) -> Result<Self, TooLong> {
        TooLong::check("hashes", hashes.len(), MAX)?;
        let mut bytes = Vec::with_capacity(hashes.len() * TreeHash::LENGTH);
        for hash in hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        Ok(Self(bytes))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() / TreeHash::LENGTH
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hashes in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TreeHash> + '_ {
        let (hashes, _) = self.0.as_chunks();
        hashes.iter().copied().map(TreeHash::new)
    }

    /// The hashes in order.
    pub fn to_vec(&self) -> Vec<TreeHash> {
        self.iter().collect()
    }
}

impl<const MAX: usize> fmt::Debug for Hashes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashes({})", self.len())
    }
}

impl<const MAX: usize> Serialize for Hashes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Hashes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (what, unit) = ("hashes", TreeHash::LENGTH);
        deserialize_bytes(
            deserializer,
            BytesVisitor {
                what,
                unit,
                max: MAX,
            },
        )
        .map(Self)
    }
}

fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
    visitor: BytesVisitor,
) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(visitor)
    } else {
        deserializer.deserialize_bytes(visitor)
    }
}

/// Takes at most `max` units of `unit` bytes each.
struct BytesVisitor {
    what: &'static str,
    unit: usize,
    max: usize,
}

impl BytesVisitor {
    fn check<E: Error>(&self, length: usize) -> Result<(), E> {
        TooLong::check(self.what, length.div_ceil(self.unit), self.max).map_err(E::custom)?;
        if length.is_multiple_of(self.unit) {
            return Ok(());
        }
        let Self { what, unit, .. } = self;
        Err(E::custom(format_args!(
            "{length} bytes are not a whole number of {what} of {unit} bytes"
        )))
    }
}

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} {}", self.max, self.what)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        self.check(bytes.len())?;
        Ok(bytes.to_vec())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        self.check(text.len() / 2)?;
        let bytes = HEXLOWER.decode(text.as_bytes());
        bytes.map_err(|_| E::custom("not lower-case hexadecimal"))
    }
}

/// A string of at most `MAX` bytes of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundedString<const MAX: usize>(String);

impl<const MAX: usize> BoundedString<MAX> {
    /// Takes the text.
    ///
    /// # Errors
    ///
    /// When it has more than `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        TooLong::check("bytes", text.len(), MAX)?;
        Ok(Self(text))
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> Deref for BoundedString<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Serialize for BoundedString<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedString<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StringVisitor)
    }
}

struct StringVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for StringVisitor<MAX> {
    type Value = BoundedString<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of at most {MAX} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        TooLong::check("bytes", text.len(), MAX).map_err(E::custom)?;
        Ok(BoundedString(text.to_owned()))
    }
}

/// At most `MAX` elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// Takes the elements.
    ///
    /// # Errors
    ///
    /// When there are more than `MAX`.
    pub fn new(elements: Vec<T>) -> Result<Self, TooLong> {
        TooLong::check("elements", elements.len(), MAX)?;
        Ok(Self(elements))
    }

    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for BoundedVec<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: WireSafe, const MAX: usize> Serialize for BoundedVec<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: WireSafe, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const { assert!(size_of::<T>() > 0, "elements take no bytes") };
        deserializer.deserialize_seq(VecVisitor(PhantomData))
    }
}

/// How many elements are reserved on the word of a count alone. Further room is made as elements arrive, so that what is
/// reserved stays within a small factor of the bytes that came.
const RESERVED_MAX: usize = 16;

struct VecVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: WireSafe, const MAX: usize> Visitor<'de> for VecVisitor<T, MAX> {
    type Value = BoundedVec<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let claimed = seq.size_hint().unwrap_or(0);
        TooLong::check("elements", claimed, MAX).map_err(A::Error::custom)?;
        let mut elements = Vec::with_capacity(claimed.min(RESERVED_MAX));
        while let Some(element) = seq.next_element()? {
            elements.push(element);
            TooLong::check("elements", elements.len(), MAX).map_err(A::Error::custom)?;
        }
        Ok(BoundedVec(elements))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeSeed;
    use serde::de::value;

    use super::*;

    #[test]
    fn limits_hold_at_construction() {
        assert_eq!(BoundedBytes::<4>::new([7; 4]).unwrap().into_vec(), [7; 4]);
        assert_eq!(&*BoundedString::<4>::new("äb!").unwrap(), "äb!");
        assert_eq!(BoundedVec::<u8, 4>::new(vec![7; 4]).unwrap().len(), 4);
        let hashes = [TreeHash::new([1; 32]), TreeHash::new([2; 32])];
        assert_eq!(Hashes::<2>::new(&hashes).unwrap().to_vec(), hashes);

        let too_long = |what| TooLong {
            what,
            actual: 5,
            limit: 4,
        };
        assert_eq!(BoundedBytes::<4>::new([7; 5]), Err(too_long("bytes")));
        assert_eq!(BoundedString::<4>::new("ääb"), Err(too_long("bytes")));
        assert_eq!(
            BoundedVec::<u8, 4>::new(vec![7; 5]),
            Err(too_long("elements"))
        );
        assert_eq!(Hashes::<4>::new(&[hashes[0]; 5]), Err(too_long("hashes")));
    }

    #[test]
    fn limits_hold_in_json() {
        fn check<T: DeserializeOwned>(json: &str, expected: Result<(), &str>) {
            let actual = serde_json::from_str::<T>(json).map(drop);
            let actual = actual.map_err(|error| error.to_string());
            assert!(
                match expected {
                    Ok(()) => actual.is_ok(),
                    Err(part) => actual.as_ref().is_err_and(|error| error.contains(part)),
                },
                "{json}: {actual:?}"
            );
        }
        check::<BoundedBytes<2>>("\"00ff\"", Ok(()));
        check::<BoundedBytes<2>>("\"00ff00\"", Err("3 bytes, the limit is 2"));
        check::<BoundedBytes<2>>("\"00f\"", Err("hexadecimal"));
        check::<BoundedBytes<2>>("\"00FF\"", Err("hexadecimal"));
        check::<BoundedBytes<2>>("[0, 255]", Err("at most 2 bytes"));
        check::<BoundedString<2>>("\"ab\"", Ok(()));
        check::<BoundedString<2>>("\"abc\"", Err("3 bytes, the limit is 2"));
        check::<BoundedVec<BoundedBytes<1>, 2>>("[\"00\", \"01\"]", Ok(()));
        let three = "[\"00\", \"01\", \"02\"]";
        check::<BoundedVec<BoundedBytes<1>, 2>>(three, Err("3 elements, the limit is 2"));
        check::<Hashes<1>>(&format!("\"{}\"", "00".repeat(32)), Ok(()));
        let short = format!("\"{}\"", "00".repeat(31));
        check::<Hashes<1>>(&short, Err("31 bytes are not a whole number of hashes"));
        let long = format!("\"{}\"", "00".repeat(33));
        check::<Hashes<1>>(&long, Err("2 hashes, the limit is 1"));
    }

    /// A sequence that claims a length and counts what is taken from it.
    struct Claims {
        length: usize,
        elements: usize,
        taken: usize,
    }

    impl<'de> SeqAccess<'de> for &mut Claims {
        type Error = value::Error;

        fn next_element_seed<S: DeserializeSeed<'de>>(
            &mut self,
            seed: S,
        ) -> Result<Option<S::Value>, value::Error> {
            if self.taken == self.elements {
                return Ok(None);
            }
            self.taken += 1;
            seed.deserialize(value::BytesDeserializer::new(&[7]))
                .map(Some)
        }

        fn size_hint(&self) -> Option<usize> {
            Some(self.length)
        }
    }

    type Element = BoundedBytes<1>;

    #[test]
    fn a_count_above_the_limit_is_refused_before_an_element_is_read() {
        for length in [1025, 1 << 40, usize::MAX] {
            let mut claims = Claims {
                length,
                elements: 1,
                taken: 0,
            };
            let visitor = VecVisitor::<Element, 1024>(PhantomData);
            let error = visitor.visit_seq(&mut claims).unwrap_err().to_string();
            assert_eq!(error, format!("{length} elements, the limit is 1024"));
            assert_eq!(claims.taken, 0);
        }
    }

    #[test]
    fn more_elements_than_claimed_stop_at_the_limit() {
        let mut claims = Claims {
            length: 0,
            elements: 100,
            taken: 0,
        };
        let visitor = VecVisitor::<Element, 3>(PhantomData);
        assert!(visitor.visit_seq(&mut claims).is_err());
        assert_eq!(claims.taken, 4);
    }

    #[test]
    fn memory_follows_what_arrives_and_not_what_is_claimed() {
        for elements in [0, 1, 16, 17, 100, 1024] {
            let mut claims = Claims {
                length: 1024,
                elements,
                taken: 0,
            };
            let visitor = VecVisitor::<Element, 1024>(PhantomData);
            let BoundedVec(read) = visitor.visit_seq(&mut claims).unwrap();
            assert_eq!(read.len(), elements);
            assert!(read.capacity() <= RESERVED_MAX.max(2 * elements));
        }
        let BoundedBytes(bytes) = Element::new([7]).unwrap();
        assert_eq!(bytes.capacity(), 1);
    }

    #[test]
    fn debug_tells_no_content() {
        let bytes = BoundedBytes::<4>::new(*b"abcd").unwrap();
        assert_eq!(format!("{bytes:?}"), "BoundedBytes(4 bytes)");
        let hashes = Hashes::<1>::new(&[TreeHash::new([1; 32])]).unwrap();
        assert_eq!(format!("{hashes:?}"), "Hashes(1)");
    }
}
