//! The canonical encoding of `docs/src/spec/fact.md`, read by somebody who has only that page.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Why bytes are refused; the classes are those of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A length, count or number is above its limit.
    LimitExceeded,
    /// Any other spelling than the one.
    NotCanonical,
    /// A string is not UTF-8.
    NotUtf8,
    /// Bytes follow the value.
    Trailing,
    /// The bytes end inside a value.
    Truncated,
    /// A code that version 0 does not define.
    UnknownCode,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LimitExceeded => "limit_exceeded",
            Self::NotCanonical => "not_canonical",
            Self::NotUtf8 => "not_utf8",
            Self::Trailing => "trailing",
            Self::Truncated => "truncated",
            Self::UnknownCode => "unknown_code",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was read of `self` since it was as `before`.
    pub(crate) fn since(&self, before: Self) -> &'b [u8] {
        let read = before.rest.len() - self.rest.len();
        before.rest.get(..read).unwrap_or_default()
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'b [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// A byte from 0 to `last`.
    pub(crate) fn code(&mut self, last: u8) -> Result<u8, DecodeError> {
        let code = self.byte()?;
        if code > last {
            return Err(DecodeError::UnknownCode);
        }
        Ok(code)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let too_long = byte == 0 && shift > 0;
            if too_long || (shift == 63 && byte > 1) {
                return Err(DecodeError::NotCanonical);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::NotCanonical)
    }

    pub(crate) fn uint_at_most(&mut self, limit: u64) -> Result<u64, DecodeError> {
        let value = self.uint()?;
        if value > limit {
            return Err(DecodeError::LimitExceeded);
        }
        Ok(value)
    }

    pub(crate) fn int(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.uint()?;
        let half = (zigzag >> 1).cast_signed();
        Ok(if zigzag & 1 == 0 { half } else { !half })
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of elements of at least `least` bytes each.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.uint()?).map_err(|_| DecodeError::Truncated)?;
        if count > self.rest.len() / least.max(1) {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub(crate) fn string(&mut self) -> Result<&'b str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotUtf8)
    }

    pub(crate) fn string_at_most(&mut self, limit: u64) -> Result<&'b str, DecodeError> {
        let mut ahead = *self;
        ahead.uint_at_most(limit)?;
        self.string()
    }

    pub(crate) fn name_at_most(&mut self, limit: u64) -> Result<&'b str, DecodeError> {
        let name = self.string_at_most(limit)?;
        if name.chars().any(char::is_control) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(name)
    }
}

/// Whether the next element may follow the one before in a sorted set; remembers it.
pub(crate) fn ascends<T: Ord + Copy>(before: &mut Option<T>, next: T) -> Result<(), DecodeError> {
    if before.replace(next).is_some_and(|before| before >= next) {
        return Err(DecodeError::NotCanonical);
    }
    Ok(())
}

/// What a signature for the purpose `tag` is over.
pub(crate) fn tagged_message(tag: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![tag_length(tag)];
    message.extend_from_slice(tag.as_bytes());
    for part in parts {
        message.extend_from_slice(part);
    }
    message
}

pub(crate) fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([tag_length(tag)]);
    hash.update(tag.as_bytes());
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn tag_length(tag: &str) -> u8 {
    u8::try_from(tag.len()).expect("the tags of the pages have less than 256 characters")
}

/// The bytes of a uint.
pub(crate) fn uint_bytes(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
