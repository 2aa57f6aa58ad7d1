//! The words of an expression: one is looked at, the rest is ahead.

use causality_fact::Comparison;
use causality_fact::Value;

use super::ExpressionError;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word<'a> {
    And,
    Close,
    /// A comparison; `None` for `!=`, which filters know as a negation.
    Compare(Option<Comparison>),
    End,
    Exists,
    Is,
    Name(&'a str),
    Not,
    Number(Value),
    Open,
    Or,
    String(String),
}

/// Longer symbols stand before those that they start with.
const SYMBOLS: [(&str, Word<'_>); 8] = [
    ("(", Word::Open),
    (")", Word::Close),
    ("!=", Word::Compare(None)),
    ("<=", Word::Compare(Some(Comparison::LessOrEqual))),
    (">=", Word::Compare(Some(Comparison::GreaterOrEqual))),
    ("=", Word::Compare(Some(Comparison::Equal))),
    ("<", Word::Compare(Some(Comparison::Less))),
    (">", Word::Compare(Some(Comparison::Greater))),
];

/// A text, word by word.
#[derive(Debug)]
pub(super) struct Words<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    word: Word<'a>,
}

impl<'a> Words<'a> {
    /// Looks at the first word.
    pub(super) fn new(text: &'a str) -> Result<Self, ExpressionError> {
        let mut words = Self {
            text,
            start: 0,
            end: 0,
            word: Word::End,
        };
        words.next()?;
        Ok(words)
    }

    pub(super) fn word(&self) -> &Word<'a> {
        &self.word
    }

    /// Where the word starts.
    pub(super) fn at(&self) -> usize {
        self.start
    }

    /// That the word cannot stand here.
    pub(super) fn unexpected(&self, expected: &'static str) -> ExpressionError {
        let found = match self.word {
            Word::End => "the end".to_owned(),
            _ => format!("`{}`", &self.text[self.start..self.end]),
        };
        ExpressionError::Unexpected {
            at: self.start,
            expected,
            found,
        }
    }

    /// Looks at the next word.
    pub(super) fn next(&mut self) -> Result<(), ExpressionError> {
        let rest = self.text[self.end..].trim_start();
        self.start = self.text.len() - rest.len();
        let (length, word) = read(rest, self.start)?;
        self.end = self.start + length;
        self.word = word;
        Ok(())
    }
}

/// The first word of a text that starts without blanks, and its length.
fn read(text: &str, at: usize) -> Result<(usize, Word<'_>), ExpressionError> {
    let Some(first) = text.chars().next() else {
        return Ok((0, Word::End));
    };
    if let Some((symbol, word)) = SYMBOLS.iter().find(|(symbol, _)| text.starts_with(symbol)) {
        return Ok((symbol.len(), word.clone()));
    }
    let run = |allowed: fn(char) -> bool| {
        let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
        &text[..end]
    };
    match first {
        '"' => string(text).ok_or(ExpressionError::String { at }),
        '-' | '0'..='9' => {
            let number = run(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let value = value(number).ok_or_else(|| ExpressionError::Number {
                at,
                number: number.to_owned(),
            })?;
            Ok((number.len(), Word::Number(value)))
        }
        c if c.is_alphabetic() || c == '_' => {
            let name = run(|c| c.is_alphanumeric() || c == '_');
            Ok((name.len(), keyword(name)))
        }
        character => Err(ExpressionError::Character { at, character }),
    }
}

fn keyword(name: &str) -> Word<'_> {
    match name {
        "and" => Word::And,
        "exists" => Word::Exists,
        "is" => Word::Is,
        "not" => Word::Not,
        "or" => Word::Or,
        name => Word::Name(name),
    }
}

/// A whole number keeps all its digits; only one with a fraction or an exponent goes through a float.
fn value(number: &str) -> Option<Value> {
    match number.parse() {
        Ok(whole) => Some(Value::Int(whole)),
        Err(_) if number.contains(['.', 'e', 'E']) => Value::number(number.parse().ok()?).ok(),
        Err(_) => None,
    }
}

fn string(text: &str) -> Option<(usize, Word<'_>)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    loop {
        match characters.next()? {
            (end, '"') => return Some((end + 1, Word::String(value))),
            (_, '\\') => match characters.next()? {
                (_, escaped @ ('"' | '\\')) => value.push(escaped),
                _ => return None,
            },
            (_, character) => value.push(character),
        }
    }
}
