//! A reader of one line of JSON (RFC 8259) that keeps numbers exact, and says at which column what was expected.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use causality_fact::{DEPTH_MAX, FIELD_NAME_BYTES_MAX, Value};
use data_encoding::BASE64;

/// Why a line is not what it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    /// Counted in characters, from 1.
    pub(crate) column: usize,
    /// What is wrong, or what was expected.
    pub(crate) message: String,
}

/// A place in a line.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// In bytes, always at the start of a character.
    at: usize,
}

/// The one key of an object that stands for bytes.
pub(crate) const BYTES_KEY: &str = "$bytes";

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next token starts, in bytes.
    pub(crate) fn start(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest
            .iter()
            .take_while(|byte| b" \t\r\n".contains(byte))
            .count();
        self.at
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), LineError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the line")),
        }
    }

    /// Reads an object; `member` reads the value of each key, which is at the place that it is told.
    pub(crate) fn object(
        &mut self,
        what: impl fmt::Display,
        mut member: impl FnMut(&mut Self, usize, Cow<'a, str>) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        self.require(b'{', what)?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let at = self.start();
            let key = self.string("a key in double quotes")?;
            self.require(b':', "':' behind the key")?;
            member(self, at, key)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.require(b',', "',' or '}'")?;
        }
    }

    /// Reads a list; `element` reads each element.
    pub(crate) fn list(
        &mut self,
        what: impl fmt::Display,
        mut element: impl FnMut(&mut Self) -> Result<(), LineError>,
    ) -> Result<(), LineError> {
        self.require(b'[', what)?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.require(b',', "',' or ']'")?;
        }
    }

    /// Reads a string.
    pub(crate) fn string(&mut self, what: impl fmt::Display) -> Result<Cow<'a, str>, LineError> {
        self.require(b'"', what)?;
        let start = self.at;
        let plain = self.plain();
        if self.rest().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            match self.rest().first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => {
                    let message =
                        "a control character in a string is written as an escape, such as \\n";
                    return Err(self.error(self.at, message));
                }
                None => return Err(self.error(self.at, "the string has no closing '\"'")),
            }
            text.push_str(self.plain());
        }
    }

    /// Reads a value of which lists and objects nest to at most [`DEPTH_MAX`].
    pub(crate) fn value(&mut self) -> Result<Value, LineError> {
        self.value_below(DEPTH_MAX)
    }

    /// Reads a number; a whole one is an integer however it is written.
    pub(crate) fn number(&mut self) -> Result<Value, LineError> {
        let at = self.start();
        let number = Number::scan(&self.text[at..]);
        let number = number
            .ok_or_else(|| self.error(at, "a number starts with a digit, or '-' and a digit"))?;
        self.at += number.text.len();
        number.value().map_err(|problem| self.error(at, problem))
    }

    /// An error at a place.
    pub(crate) fn error(&self, at: usize, message: impl fmt::Display) -> LineError {
        let column = self
            .text
            .get(..at)
            .map_or(0, |before| before.chars().count())
            + 1;
        LineError {
            column,
            message: message.to_string(),
        }
    }

    /// An error at the next token.
    pub(crate) fn expected(&mut self, what: impl fmt::Display) -> LineError {
        let at = self.start();
        let found = match self.peek() {
            None => "the line ends".to_owned(),
            Some(b'{') => "found an object".to_owned(),
            Some(b'[') => "found a list".to_owned(),
            Some(b'"') => "found a string".to_owned(),
            Some(b'-' | b'0'..=b'9') => "found a number".to_owned(),
            Some(_) => match self.word() {
                word @ ("true" | "false" | "null") => format!("found {word}"),
                _ => format!(
                    "found {:?}",
                    self.text[at..].chars().next().unwrap_or_default()
                ),
            },
        };
        self.error(at, format_args!("expected {what}, but {found}"))
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.start();
        self.rest().first().copied()
    }

    // The recursion is bounded by `DEPTH_MAX`.
    fn value_below(&mut self, depth: usize) -> Result<Value, LineError> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string("a string")?.into_owned())),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => {
                let depth = self.deeper(depth)?;
                let mut items = Vec::new();
                self.list("a list", |reader| {
                    items.push(reader.value_below(depth)?);
                    Ok(())
                })?;
                Ok(Value::List(items))
            }
            Some(b'{') => self.map_or_bytes(depth),
            _ => self.literal(),
        }
    }

    fn map_or_bytes(&mut self, depth: usize) -> Result<Value, LineError> {
        let start = self.start();
        let mut bytes = None;
        let mut entries = BTreeMap::new();
        self.object("an object", |reader, at, key| {
            if key == BYTES_KEY || bytes.is_some() {
                if bytes.is_some() || !entries.is_empty() {
                    return Err(reader.error(at, "an object with \"$bytes\" has no other key"));
                }
                bytes = Some(reader.bytes()?);
                return Ok(());
            }
            let depth = depth
                .checked_sub(1)
                .ok_or_else(|| too_deep(reader, start))?;
            reader.name(at, &key, |key| entries.contains_key(key))?;
            entries.insert(key.into_owned(), reader.value_below(depth)?);
            Ok(())
        })?;
        match bytes {
            Some(bytes) => Ok(Value::Bytes(bytes)),
            None if depth == 0 => Err(too_deep(self, start)),
            None => Ok(Value::Map(entries)),
        }
    }

    /// Checks the name of a field or key, which stands at a place.
    pub(crate) fn name(
        &self,
        at: usize,
        name: &str,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<(), LineError> {
        if name.len() > FIELD_NAME_BYTES_MAX {
            let actual = name.len();
            let message = format!(
                "a name in the content has at most {FIELD_NAME_BYTES_MAX} bytes, this one has {actual}"
            );
            return Err(self.error(at, message));
        }
        if is_there(name) {
            return Err(self.error(at, format_args!("{name:?} stands here twice")));
        }
        Ok(())
    }

    fn bytes(&mut self) -> Result<Vec<u8>, LineError> {
        const EXPECTED: &str = "base64 with padding (RFC 4648) as the string of \"$bytes\"";
        let at = self.start();
        let text = self.string(EXPECTED)?;
        let wrong = |error| self.error(at, format_args!("expected {EXPECTED}: {error}"));
        BASE64.decode(text.as_bytes()).map_err(wrong)
    }

    fn literal(&mut self) -> Result<Value, LineError> {
        let (word, value) = match self.word() {
            word @ "null" => (word, Value::Null),
            word @ "true" => (word, Value::Bool(true)),
            word @ "false" => (word, Value::Bool(false)),
            _ => return Err(self.expected("a value")),
        };
        self.at += word.len();
        Ok(value)
    }

    fn deeper(&mut self, depth: usize) -> Result<usize, LineError> {
        let at = self.start();
        depth.checked_sub(1).ok_or_else(|| too_deep(self, at))
    }

    /// Takes the characters of a string up to a quote, a backslash, a control character or the end.
    fn plain(&mut self) -> &'a str {
        let start = self.at;
        let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let rest = self.rest();
        self.at += rest.iter().position(stops).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// Reads an escape, which starts with a backslash.
    fn escape(&mut self) -> Result<char, LineError> {
        let start = self.at;
        let code = self.rest().get(1).copied();
        self.at += 2;
        Ok(match code {
            Some(code @ (b'"' | b'\\' | b'/')) => char::from(code),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                let expected = "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX";
                return Err(self.error(start, expected));
            }
        })
    }

    /// Reads the digits of an escape, and the other half of a surrogate pair (RFC 8259, section 7).
    fn unicode(&mut self, start: usize) -> Result<char, LineError> {
        let mut unit = self.unit(start)?;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with(b"\\u") {
            self.at += 2;
            let low = self.unit(start)?;
            if (0xdc00..0xe000).contains(&low) {
                unit = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        // What is left of the surrogates is no character.
        char::from_u32(unit)
            .ok_or_else(|| self.error(start, "half a surrogate pair is no character"))
    }

    fn unit(&mut self, start: usize) -> Result<u32, LineError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit =
            unit.ok_or_else(|| self.error(start, "expected four hexadecimal digits behind \\u"))?;
        self.at += 4;
        Ok(unit)
    }

    /// The letters that come next.
    fn word(&self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        &rest[..end]
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn require(&mut self, byte: u8, what: impl fmt::Display) -> Result<(), LineError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }
}

fn too_deep(reader: &Reader<'_>, at: usize) -> LineError {
    reader.error(
        at,
        format_args!("lists and objects nest to a depth of {DEPTH_MAX} at most"),
    )
}

/// The text of a number (RFC 8259, section 6) and its parts.
#[derive(Debug)]
struct Number<'a> {
    text: &'a str,
    whole: &'a str,
    fraction: &'a str,
    exponent: &'a str,
}

impl<'a> Number<'a> {
    /// The number at the start of a text, if there is one.
    fn scan(text: &'a str) -> Option<Self> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let length = match unsigned.as_bytes().first()? {
            b'0' => 1,
            _ => digits(unsigned),
        };
        let (whole, mut rest) = unsigned.split_at_checked(length).filter(|_| length > 0)?;
        let (mut fraction, mut exponent) = ("", "");
        if let Some(behind) = rest.strip_prefix('.').filter(|behind| digits(behind) > 0) {
            (fraction, rest) = behind.split_at(digits(behind));
        }
        if let Some(behind) = rest.strip_prefix(['e', 'E']) {
            let sign = usize::from(behind.starts_with(['+', '-']));
            let length = digits(&behind[sign..]);
            if length > 0 {
                (exponent, rest) = behind.split_at(sign + length);
            }
        }
        Some(Self {
            text: &text[..text.len() - rest.len()],
            whole,
            fraction,
            exponent,
        })
    }

    fn value(&self) -> Result<Value, String> {
        let too_large = || {
            let shown: String = self.text.chars().take(40).collect();
            format!("whole numbers have 64 signed bits, which {shown} does not fit")
        };
        if self.fraction.is_empty() && self.exponent.is_empty() {
            return self.text.parse().map(Value::Int).map_err(|_| too_large());
        }
        if let Some(digits) = self.exactly_whole() {
            return digits.parse().map(Value::Int).map_err(|_| too_large());
        }
        let number: f64 = self
            .text
            .parse()
            .map_err(|_| "expected a number".to_owned())?;
        Value::number(number).map_err(|_| too_large())
    }

    /// The digits of a number that is whole although it is written with a point or an exponent; of one far beyond
    /// the range enough digits to be beyond it.
    fn exactly_whole(&self) -> Option<String> {
        let digits = [self.whole, self.fraction].concat();
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some("0".to_owned());
        }
        let exponent = match self.exponent {
            "" => 0,
            // One that does not fit is far beyond either way.
            exponent => exponent.parse().unwrap_or(match exponent.starts_with('-') {
                true => i64::MIN,
                false => i64::MAX,
            }),
        };
        let trailing = digits.len() - digits.trim_end_matches('0').len();
        let places = exponent.saturating_add(trailing as i64 - self.fraction.len() as i64);
        let zeros = usize::try_from(places).ok()?.min(DIGITS_BEYOND);
        let sign = if self.text.starts_with('-') { "-" } else { "" };
        Some(format!("{sign}{significant}{}", "0".repeat(zeros)))
    }
}

/// More digits than an integer of 64 bits has.
const DIGITS_BEYOND: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, LineError> {
        let mut reader = Reader::new(text);
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }

    fn refused(text: &str) -> (usize, String) {
        let error = value(text).expect_err(text);
        (error.column, error.message)
    }

    #[test]
    fn whole_numbers_are_integers_however_written() {
        let cases = [
            ("0", 0),
            ("-0", 0),
            ("-0.0", 0),
            ("0e999999999999999999999", 0),
            ("10.0", 10),
            ("1e3", 1000),
            ("1.5e1", 15),
            ("1200E-2", 12),
            ("0.00001e+5", 1),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("9.223372036854775807e18", i64::MAX),
            ("-9223372036854775808.000", i64::MIN),
            ("1e18", 1_000_000_000_000_000_000),
        ];
        for (text, number) in cases {
            assert_eq!(value(text), Ok(Value::Int(number)), "{text}");
        }
    }

    #[test]
    fn whole_numbers_past_64_bits_are_refused() {
        let texts = [
            "9223372036854775808",
            "-9223372036854775809",
            "9223372036854775808.0",
            "9223372036854775807.5",
            "1e19",
            "1e999",
            "-1e99999999999999999999",
            "18446744073709551616",
        ];
        for text in texts {
            let (column, message) = refused(text);
            assert!(
                column == 1 && message.contains("64 signed bits"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn fractions_are_the_nearest_double() {
        for text in [
            "0.1",
            "-1.5",
            "2.2250738585072011e-308",
            "123456.789e-3",
            "5e-324",
        ] {
            let Ok(Value::Float(read)) = value(text) else {
                panic!("{text} is no fraction")
            };
            assert_eq!(read.get(), text.parse::<f64>().unwrap(), "{text}");
        }
        assert_eq!(value("1e-400"), Ok(Value::Int(0)));
    }

    #[test]
    fn strings_have_escapes_and_any_character() {
        let cases = [
            (r#""""#, ""),
            (r#""ä 🌋""#, "ä 🌋"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""a\u00e4\ud83c\udf0bz""#, "aä🌋z"),
            (r#""\u0000""#, "\0"),
        ];
        for (text, string) in cases {
            assert_eq!(value(text), Ok(Value::String(string.into())), "{text}");
        }
        for text in [
            r#""\ud83c""#,
            r#""\udf0b""#,
            r#""\ud83c\u0041""#,
            r#""\ud83c\ud83c""#,
        ] {
            assert!(refused(text).1.contains("surrogate"), "{text}");
        }
        assert_eq!(refused("\"a\tb\"").0, 3);
        assert_eq!(refused(r#"  "a\x""#).0, 5);
        assert!(refused(r#""\u12"#).1.contains("four"));
        assert!(refused(r#""\u12g4""#).1.contains("four"));
        assert!(refused(r#""\u00ä""#).1.contains("four"));
        assert!(refused(r#""abc"#).1.contains("closing"));
        assert!(refused(r#""abc\"#).1.contains("escape"));
    }

    #[test]
    fn lists_and_objects_nest_four_deep() {
        let nested = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert!(value(&nested(4)).is_ok());
        assert_eq!(refused(&nested(5)).0, 5);
        assert!(
            refused(r#"{"a":{"b":{"c":{"d":{"e":1}}}}}"#)
                .1
                .contains("depth of 4")
        );
        assert!(refused(r"[[[[{}]]]]").1.contains("depth of 4"));
        assert!(value(r#"[[[[{"$bytes":""}]]]]"#).is_ok());
        let deep = "[".repeat(100_000);
        assert!(refused(&deep).1.contains("depth of 4"));
    }

    #[test]
    fn bytes_are_base64_in_an_object_of_one_key() {
        assert_eq!(
            value(r#"{"$bytes":"AAEC/w=="}"#),
            Ok(Value::Bytes(vec![0, 1, 2, 255]))
        );
        for text in [
            r#"{"$bytes":"AA=="  ,"b":1}"#,
            r#"{"b":1,"$bytes":"AA=="}"#,
            r#"{"$bytes":"AA==","$bytes":"AA=="}"#,
        ] {
            assert!(refused(text).1.contains("no other key"), "{text}");
        }
        for text in [
            r#"{"$bytes":"!"}"#,
            r#"{"$bytes":"AA"}"#,
            r#"{"$bytes":"AB=="}"#,
            r#"{"$bytes":1}"#,
        ] {
            assert!(refused(text).1.contains("base64"), "{text}");
        }
    }

    #[test]
    fn names_are_unique_and_short() {
        assert_eq!(
            refused(r#"{"a":1, "a":2}"#),
            (9, "\"a\" stands here twice".to_owned())
        );
        let name = |length: usize| format!("{{\"{}\":1}}", "n".repeat(length));
        assert!(value(&name(FIELD_NAME_BYTES_MAX)).is_ok());
        assert!(
            refused(&name(FIELD_NAME_BYTES_MAX + 1))
                .1
                .contains("64 bytes, this one has 65")
        );
    }

    #[test]
    fn syntax_errors_say_where_and_what_was_expected() {
        let cases = [
            ("", 1, "expected a value, but the line ends"),
            ("nonsense", 1, "expected a value, but found 'n'"),
            ("[1,]", 4, "expected a value, but found ']'"),
            ("[1 2]", 4, "expected ',' or ']', but found a number"),
            ("[01]", 3, "expected ',' or ']', but found a number"),
            ("[1.]", 3, "expected ',' or ']', but found '.'"),
            ("[.5]", 2, "expected a value, but found '.'"),
            ("[-]", 2, "a number starts with a digit, or '-' and a digit"),
            ("{a:1}", 2, "expected a key in double quotes, but found 'a'"),
            (
                "{\"ä\" 1}",
                6,
                "expected ':' behind the key, but found a number",
            ),
            ("{\"a\":1", 7, "expected ',' or '}', but the line ends"),
            (
                "{\"a\":1,}",
                8,
                "expected a key in double quotes, but found '}'",
            ),
            (
                "true false",
                6,
                "expected the end of the line, but found false",
            ),
            ("truer", 1, "expected a value, but found 't'"),
            ("1e", 2, "expected the end of the line, but found 'e'"),
        ];
        for (text, column, message) in cases {
            assert_eq!(refused(text), (column, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_another_reader_takes_is_read_alike() {
        let texts = [
            r#"{"a":[1,-2.5,true,null,"x"],"b":{"c":""}} "#,
            "\t[ 1 , 2 , { } , [ ] ]\r",
            r#""\u00e9\\""#,
        ];
        for text in texts {
            let other: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(alike(&value(text).unwrap()), other, "{text}");
        }
    }

    fn alike(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(it) => (*it).into(),
            Value::Int(it) => (*it).into(),
            Value::Float(it) => it.get().into(),
            Value::String(it) => it.as_str().into(),
            Value::Bytes(_) => panic!("not in these texts"),
            Value::List(items) => items.iter().map(alike).collect(),
            Value::Map(entries) => entries.iter().map(|(k, v)| (k.clone(), alike(v))).collect(),
        }
    }
}
