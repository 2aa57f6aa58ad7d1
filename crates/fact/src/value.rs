//! Values of content fields, and their canonical bytes.

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use std::collections::BTreeMap;
use thiserror::Error;

/// How deep lists and maps nest: a value inside `DEPTH_MAX` of them is a scalar.
pub const DEPTH_MAX: usize = 4;

/// The longest name of a field, and key of a map, in bytes.
pub const FIELD_NAME_BYTES_MAX: usize = 64;

/// The value of a field, or of an element within one.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number that is not whole.
    Float(Fraction),
    /// UTF-8 text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

/// A finite number that is not whole. A whole number is an integer however it was written, so one value has one
/// encoding, and −0 is 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fraction(f64);

impl Fraction {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Why something is not a value.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ValueError {
    /// Not a finite number.
    #[error("{0} is not a finite number")]
    NotFinite(f64),
    /// A whole number that does not fit 64 signed bits.
    #[error("the whole number {0} does not fit 64 signed bits")]
    IntegerRange(f64),
    /// Lists and maps nest too deep.
    #[error("lists and maps nest deeper than {DEPTH_MAX}")]
    TooDeep,
    /// The name of a field, or the key of a map, is too long.
    #[error("a name has {0} bytes, the limit is {FIELD_NAME_BYTES_MAX}")]
    NameTooLong(usize),
}

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;
const STRING: u8 = 5;
const BYTES: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;

impl Value {
    /// The value of a number: an integer where it is whole.
    ///
    /// # Errors
    ///
    /// For what is not finite, and for whole numbers outside of `i64`.
    pub fn number(number: f64) -> Result<Self, ValueError> {
        if !number.is_finite() {
            return Err(ValueError::NotFinite(number));
        }
        if number.fract() != 0.0 {
            return Ok(Self::Float(Fraction(number)));
        }
        // Both bounds are powers of two, hence exact.
        if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
            return Ok(Self::Int(number as i64));
        }
        Err(ValueError::IntegerRange(number))
    }

    /// Checks depth and names, which the type does not.
    ///
    /// # Errors
    ///
    /// [`ValueError::TooDeep`] and [`ValueError::NameTooLong`].
    pub fn check(&self) -> Result<(), ValueError> {
        self.check_below(DEPTH_MAX)
    }

    // The recursion is bounded by `DEPTH_MAX`.
    fn check_below(&self, depth: usize) -> Result<(), ValueError> {
        let deeper = || depth.checked_sub(1).ok_or(ValueError::TooDeep);
        match self {
            Self::List(items) => {
                let depth = deeper()?;
                items.iter().try_for_each(|item| item.check_below(depth))
            }
            Self::Map(entries) => {
                let depth = deeper()?;
                entries.iter().try_for_each(|(key, value)| {
                    check_name(key)?;
                    value.check_below(depth)
                })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Null => to.u8(NULL),
            Self::Bool(false) => to.u8(FALSE),
            Self::Bool(true) => to.u8(TRUE),
            Self::Int(number) => to.u8(INT).int(*number),
            Self::Float(number) => to.u8(FLOAT).fixed_u64(number.0.to_bits()),
            Self::String(text) => to.u8(STRING).string(text),
            Self::Bytes(bytes) => to.u8(BYTES).bytes(bytes),
            Self::List(items) => {
                to.u8(LIST).length(items.len());
                items.iter().for_each(|item| item.encode(to));
                to
            }
            Self::Map(entries) => {
                to.u8(MAP).length(entries.len());
                for (key, value) in entries {
                    to.string(key);
                    value.encode(to);
                }
                to
            }
        };
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::decode_below(from, DEPTH_MAX)
    }

    // The recursion is bounded by `DEPTH_MAX`, and the loops by the input: an element takes at least one byte, and no
    // space is reserved ahead of it.
    fn decode_below(from: &mut Decoder<'_>, depth: usize) -> Result<Self, DecodeError> {
        let at = from.at();
        let deeper = || {
            let rule = "lists and maps nest at most four deep";
            depth
                .checked_sub(1)
                .ok_or(DecodeError::NotCanonical { at, rule })
        };
        Ok(match from.u8()? {
            NULL => Self::Null,
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            INT => Self::Int(from.int()?),
            FLOAT => Self::Float(decode_fraction(from)?),
            STRING => Self::String(from.string("string", usize::MAX)?.to_owned()),
            BYTES => Self::Bytes(from.bytes("byte string", usize::MAX)?.to_vec()),
            LIST => {
                let depth = deeper()?;
                let count = from.uint()?;
                (0..count)
                    .map(|_| Self::decode_below(from, depth))
                    .collect::<Result<_, _>>()
                    .map(Self::List)?
            }
            MAP => {
                let depth = deeper()?;
                let count = from.uint()?;
                let mut entries = BTreeMap::new();
                let mut last = None;
                for _ in 0..count {
                    let key = decode_name(from, &mut last)?;
                    entries.insert(key.to_owned(), Self::decode_below(from, depth)?);
                }
                Self::Map(entries)
            }
            code => {
                return Err(DecodeError::UnknownCode {
                    at,
                    what: "value",
                    code,
                });
            }
        })
    }

    /// Checks one encoded value without building it.
    pub(crate) fn skip(from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let mut probe = from.clone();
        match probe.u8()? {
            STRING => drop(probe.string("string", usize::MAX)?),
            BYTES => drop(probe.bytes("byte string", usize::MAX)?),
            _ => return Self::decode(from).map(drop),
        }
        *from = probe;
        Ok(())
    }
}

fn decode_fraction(from: &mut Decoder<'_>) -> Result<Fraction, DecodeError> {
    let at = from.at();
    let number = f64::from_bits(from.fixed_u64()?);
    if !number.is_finite() || number.fract() == 0.0 {
        let rule = "a float is finite and not whole";
        return Err(DecodeError::NotCanonical { at, rule });
    }
    Ok(Fraction(number))
}

/// Reads a name that must come after `last` in byte order, and becomes it.
pub(crate) fn decode_name<'a>(
    from: &mut Decoder<'a>,
    last: &mut Option<&'a str>,
) -> Result<&'a str, DecodeError> {
    let at = from.at();
    let name = from.string("name", FIELD_NAME_BYTES_MAX)?;
    if last.is_some_and(|last| last >= name) {
        let rule = "names are in strictly ascending byte order";
        return Err(DecodeError::NotCanonical { at, rule });
    }
    *last = Some(name);
    Ok(name)
}

pub(crate) fn check_name(name: &str) -> Result<(), ValueError> {
    if name.len() > FIELD_NAME_BYTES_MAX {
        return Err(ValueError::NameTooLong(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |value, _| Value::List(vec![value]))
    }

    fn encode(value: &Value) -> Vec<u8> {
        let mut encoder = Encoder::new();
        value.encode(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_was_written() {
        assert_eq!(Value::number(10.0), Ok(Value::Int(10)));
        assert_eq!(Value::number(-0.0), Ok(Value::Int(0)));
        assert_eq!(
            Value::number(-9_223_372_036_854_775_808.0),
            Ok(Value::Int(i64::MIN))
        );
        assert_eq!(
            Value::number(9_223_372_036_854_775_808.0),
            Err(ValueError::IntegerRange(9_223_372_036_854_775_808.0))
        );
        assert!(matches!(
            Value::number(f64::NAN),
            Err(ValueError::NotFinite(_))
        ));
        let Ok(Value::Float(half)) = Value::number(0.5) else {
            panic!("a half is not whole")
        };
        assert_eq!(half.get(), 0.5);
    }

    #[test]
    fn a_float_that_is_whole_or_not_finite_is_refused() {
        for number in [0.0, -0.0, 1.0, 1e300, f64::NAN, f64::INFINITY] {
            let bytes = [&[FLOAT][..], &number.to_bits().to_le_bytes()].concat();
            let rule = "a float is finite and not whole";
            let error = DecodeError::NotCanonical { at: 1, rule };
            assert_eq!(Decoder::exactly(&bytes, Value::decode), Err(error));
        }
    }

    #[test]
    fn values_nest_four_deep_and_no_deeper() {
        let deepest = nested(DEPTH_MAX);
        assert_eq!(deepest.check(), Ok(()));
        assert_eq!(
            Decoder::exactly(&encode(&deepest), Value::decode),
            Ok(deepest)
        );
        let deeper = nested(DEPTH_MAX + 1);
        assert_eq!(deeper.check(), Err(ValueError::TooDeep));
        assert!(matches!(
            Decoder::exactly(&encode(&deeper), Value::decode),
            Err(DecodeError::NotCanonical { at: 8, .. })
        ));
    }

    #[test]
    fn keys_of_a_map_are_sorted_unique_and_short() {
        let key = |length: usize| Value::Map([("k".repeat(length), Value::Null)].into());
        assert_eq!(key(FIELD_NAME_BYTES_MAX).check(), Ok(()));
        assert_eq!(key(65).check(), Err(ValueError::NameTooLong(65)));
        assert!(matches!(
            Decoder::exactly(&encode(&key(65)), Value::decode),
            Err(DecodeError::LimitExceeded {
                actual: 65,
                limit: 64,
                ..
            })
        ));
        for keys in [b"ba", b"aa"] {
            let bytes = [MAP, 2, 1, keys[0], NULL, 1, keys[1], NULL];
            let error = Decoder::exactly(&bytes, Value::decode);
            assert!(matches!(
                error,
                Err(DecodeError::NotCanonical { at: 5, .. })
            ));
        }
    }

    #[test]
    fn an_unknown_value_code_is_refused() {
        let error = DecodeError::UnknownCode {
            at: 0,
            what: "value",
            code: 9,
        };
        assert_eq!(Decoder::exactly(&[9], Value::decode), Err(error));
    }
}
