//! The one place that calls bincode: exact decoding of the types that are [`WireSafe`].

use bincode::config;
use bincode::config::Config;
use bincode::enc::write::SizeWriter;
use bincode::enc::write::Writer;
use bincode::error::DecodeError;
use bincode::error::EncodeError;
use bincode::serde::borrow_decode_from_slice;
use bincode::serde::encode_into_std_write;
use bincode::serde::encode_into_writer;

use crate::bounded::WireSafe;
use crate::serializer::DeserializeError;
use crate::serializer::SerializeError;

/// The most bytes of one encoded message: a chunk, and 128 KiB for the row that filled it and for what surrounds it.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) + (128 << 10);

/// Decodes a value from exactly the bytes that [`encode`] writes for it.
///
/// bincode by itself ignores bytes behind the value, and a length alone makes it allocate; hence the four steps, the
/// limit, and the trait.
pub(crate) fn decode_exact<T: WireSafe>(bytes: &[u8]) -> Result<T, DeserializeError> {
    let actual = bytes.len();
    if actual > MESSAGE_BYTES_MAX {
        return Err(DeserializeError::TooLong {
            actual,
            limit: MESSAGE_BYTES_MAX,
        });
    }
    let (value, consumed) = borrow_decode_from_slice(bytes, configuration()).map_err(explain)?;
    if consumed != actual {
        return Err(DeserializeError::Trailing {
            consumed,
            extra: actual - consumed,
        });
    }
    if !encodes_to(&value, bytes) {
        return Err(DeserializeError::NotCanonical);
    }
    Ok(value)
}

/// Encodes a value, with one allocation.
pub(crate) fn encode<T: WireSafe>(value: &T) -> Result<Vec<u8>, SerializeError> {
    let actual = encoded_length(value);
    if actual > MESSAGE_BYTES_MAX {
        return Err(SerializeError::TooLong {
            actual,
            limit: MESSAGE_BYTES_MAX,
        });
    }
    let mut bytes = Vec::with_capacity(actual);
    encode_into_std_write(value, &mut bytes, configuration()).expect(INFALLIBLE);
    Ok(bytes)
}

/// How many bytes [`encode`] would write.
pub(crate) fn encoded_length<T: WireSafe>(value: &T) -> usize {
    let mut size = SizeWriter::default();
    encode_into_writer(value, &mut size, configuration()).expect(INFALLIBLE);
    size.bytes_written
}

/// bincode fails to encode when the writer does, or for a sequence of unknown length. Vectors and counters do not fail,
/// and a `BoundedVec` knows its length.
const INFALLIBLE: &str = "a bounded value encodes into memory";

fn configuration() -> impl Config {
    config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<MESSAGE_BYTES_MAX>()
}

fn explain(error: DecodeError) -> DeserializeError {
    match error {
        DecodeError::UnexpectedEnd { additional } => DeserializeError::Truncated {
            missing: additional,
        },
        DecodeError::LimitExceeded => DeserializeError::LengthExceeded {
            limit: MESSAGE_BYTES_MAX,
        },
        DecodeError::Utf8 { .. } => DeserializeError::NotUtf8,
        DecodeError::OtherString(reason) => DeserializeError::Invalid { reason },
        other => DeserializeError::Invalid {
            reason: other.to_string(),
        },
    }
}

/// Whether the value encodes to exactly these bytes. Compares while it encodes and allocates nothing.
fn encodes_to<T: WireSafe>(value: &T, bytes: &[u8]) -> bool {
    let mut rest = Expected(bytes);
    encode_into_writer(value, &mut rest, configuration()).is_ok() && rest.0.is_empty()
}

/// The bytes still expected.
struct Expected<'a>(&'a [u8]);

impl Writer for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.ok_or(EncodeError::Other("differs"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;

    use super::*;
    use crate::bounded::BoundedBytes;
    use crate::bounded::sealed;

    #[test]
    fn a_value_takes_one_allocation_of_its_size() {
        let value = BoundedBytes::<100>::new([7; 100]).unwrap();
        let bytes = encode(&value).unwrap();
        assert_eq!((bytes.len(), bytes.capacity()), (108, 108));
        assert_eq!(decode_exact(&bytes), Ok(value));
    }

    #[test]
    fn the_limit_of_a_message_holds_at_and_above_it() {
        const ONE_ABOVE: usize = MESSAGE_BYTES_MAX - 7;
        let at = BoundedBytes::<ONE_ABOVE>::new(vec![7; ONE_ABOVE - 1]).unwrap();
        let bytes = encode(&at).unwrap();
        assert_eq!(bytes.len(), MESSAGE_BYTES_MAX);
        assert_eq!(decode_exact(&bytes), Ok(at));

        let (actual, limit) = (MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX);
        let above = BoundedBytes::<ONE_ABOVE>::new(vec![7; ONE_ABOVE]).unwrap();
        let refused = encode(&above);
        assert_eq!(refused, Err(SerializeError::TooLong { actual, limit }));
        let refused = decode_exact::<BoundedBytes<ONE_ABOVE>>(&[7; MESSAGE_BYTES_MAX + 1]);
        assert_eq!(refused, Err(DeserializeError::TooLong { actual, limit }));
    }

    /// Reads any number and writes an even one: what a careless wire type would do.
    #[derive(Debug, PartialEq, Eq, Serialize)]
    struct Even(u16);

    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Self(u16::deserialize(deserializer)? & !1))
        }
    }
    impl sealed::Sealed for Even {}
    impl WireSafe for Even {}

    #[test]
    fn bytes_that_would_encode_differently_are_refused() {
        assert_eq!(decode_exact(&[8, 1]), Ok(Even(0x108)));
        let refused = decode_exact::<Even>(&[9, 1]);
        assert_eq!(refused, Err(DeserializeError::NotCanonical));
    }
}
