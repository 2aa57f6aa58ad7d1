//! The canonical encoding of everything that is signed or hashed (`docs/src/spec/fact.md`, section "Encoding").
//!
//! Fixed field order, minimal LEB128 integers, strictly sorted sets. A decoder accepts exactly the bytes that the
//! encoder writes: for every byte string `b`, `encode(decode(b)) == b` or `b` is refused.

use thiserror::Error;

/// Why bytes are not a canonical encoding. `at` is the offset of the offending byte.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end at offset {at} inside a value")]
    Truncated {
        /// Length of the input.
        at: usize,
    },
    /// Bytes follow the value.
    #[error("{extra} bytes follow the value that ends at offset {at}")]
    Trailing {
        /// Where the value ends.
        at: usize,
        /// How many bytes follow.
        extra: usize,
    },
    /// A value has a second, canonical spelling, or breaks a rule of its type.
    #[error("not canonical at offset {at}: {rule}")]
    NotCanonical {
        /// Where the value starts.
        at: usize,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A length or count is above its limit.
    #[error("{what} at offset {at} is {actual}, the limit is {limit}")]
    LimitExceeded {
        /// Where the value starts.
        at: usize,
        /// What is limited.
        what: &'static str,
        /// The value found.
        actual: u64,
        /// The largest value allowed.
        limit: u64,
    },
    /// A code that this version does not define.
    #[error("unknown {what} {code} at offset {at}")]
    UnknownCode {
        /// Where the code stands.
        at: usize,
        /// What the code selects.
        what: &'static str,
        /// The code found.
        code: u8,
    },
    /// A string that is not UTF-8.
    #[error("the string at offset {at} is not UTF-8")]
    NotUtf8 {
        /// Where the string starts.
        at: usize,
    },
}

/// Appends canonical values to a byte vector.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoder with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// An unsigned integer as minimal LEB128.
    pub fn uint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// A length or count as minimal LEB128.
    pub fn length(&mut self, value: usize) -> &mut Self {
        self.uint(value as u64)
    }

    /// A signed integer as zigzag LEB128.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.uint(((value << 1) ^ (value >> 63)) as u64)
    }

    /// Eight bytes, little endian.
    pub fn fixed_u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Bytes as they are, their length known from the context.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A length, then that many bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).raw(bytes)
    }

    /// A string as its UTF-8 bytes.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// How many bytes have been written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads canonical values from a byte slice; never panics, never allocates before a limit is checked.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Decodes one value with `read` and refuses bytes behind it.
    pub fn exactly<T>(
        input: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut decoder = Self::new(input);
        let value = read(&mut decoder)?;
        decoder.end()?;
        Ok(value)
    }

    /// Bytes as they are.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.input.len());
        let Some(end) = end else {
            return Err(DecodeError::Truncated {
                at: self.input.len(),
            });
        };
        let bytes = &self.input[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// Bytes of a length known at compile time.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// A minimal LEB128 integer of at most 64 bits.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(DecodeError::NotCanonical {
                    at: start,
                    rule: "an integer has 64 bits",
                });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    let rule = "an integer takes as few bytes as it can";
                    return Err(DecodeError::NotCanonical { at: start, rule });
                }
                return Ok(value);
            }
        }
        unreachable!("the tenth byte either ends the integer or is above 1")
    }

    /// An unsigned integer of at most `limit`.
    pub fn uint_up_to(&mut self, what: &'static str, limit: u64) -> Result<u64, DecodeError> {
        let at = self.at;
        match self.uint()? {
            value if value <= limit => Ok(value),
            actual => Err(DecodeError::LimitExceeded {
                at,
                what,
                actual,
                limit,
            }),
        }
    }

    /// A length or count of at most `limit`.
    pub fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let length = self.uint_up_to(what, limit as u64)?;
        Ok(usize::try_from(length).expect("at most `limit`, which is a usize"))
    }

    /// A zigzag LEB128 integer.
    pub fn int(&mut self) -> Result<i64, DecodeError> {
        let value = self.uint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The version of a format, of which one is known.
    pub(crate) fn version(&mut self, what: &'static str, known: u8) -> Result<(), DecodeError> {
        let at = self.at;
        match self.u8()? {
            code if code == known => Ok(()),
            code => Err(DecodeError::UnknownCode { at, what, code }),
        }
    }

    /// Eight bytes, little endian.
    pub fn fixed_u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length of at most `limit`, then that many bytes.
    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.length(what, limit)?;
        self.raw(length)
    }

    /// A string of at most `limit` bytes.
    pub fn string(&mut self, what: &'static str, limit: usize) -> Result<&'a str, DecodeError> {
        let at = self.at;
        let bytes = self.bytes(what, limit)?;
        str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8 { at })
    }

    /// Refuses bytes behind the value.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.input.len() - self.at {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { at: self.at, extra }),
        }
    }

    /// The offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// The bytes read since offset `start`.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.input[start..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uint(bytes: &[u8]) -> Result<u64, DecodeError> {
        Decoder::exactly(bytes, Decoder::uint)
    }

    #[test]
    fn integers_survive_and_take_as_few_bytes_as_they_can() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut encoder = Encoder::new();
            encoder.uint(value);
            assert_eq!(encoder.len(), value.max(1).ilog2() as usize / 7 + 1);
            assert_eq!(uint(&encoder.finish()), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut encoder = Encoder::new();
            encoder.int(value);
            assert_eq!(Decoder::exactly(&encoder.finish(), Decoder::int), Ok(value));
        }
    }

    #[test]
    fn other_spellings_of_an_integer_are_refused() {
        let rule = "an integer takes as few bytes as it can";
        assert_eq!(
            uint(&[0x80, 0x00]),
            Err(DecodeError::NotCanonical { at: 0, rule })
        );
        let rule = "an integer has 64 bits";
        let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(uint(&long), Err(DecodeError::NotCanonical { at: 0, rule }));
        assert_eq!(
            uint(&[0xff; 11]),
            Err(DecodeError::NotCanonical { at: 0, rule })
        );
        assert_eq!(uint(&[0x80]), Err(DecodeError::Truncated { at: 1 }));
        assert_eq!(
            uint(&[0x01, 0x01]),
            Err(DecodeError::Trailing { at: 1, extra: 1 })
        );
    }

    #[test]
    fn lengths_are_checked_before_anything_is_read() {
        let mut decoder = Decoder::new(&[3, b'a', b'b', b'c']);
        assert_eq!(decoder.clone().string("name", 3), Ok("abc"));
        let error = decoder.string("name", 2);
        let limit = DecodeError::LimitExceeded {
            at: 0,
            what: "name",
            actual: 3,
            limit: 2,
        };
        assert_eq!(error, Err(limit));
        assert_eq!(
            Decoder::new(&[2, 0xff, 0xff]).string("name", 9),
            Err(DecodeError::NotUtf8 { at: 0 })
        );
    }
}
