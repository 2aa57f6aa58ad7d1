//! What is wrong with a policy file, where, and what was probably meant.

use causality_fact::NameError;
use causality_fact::PATTERN_BYTES_MAX;
use thiserror::Error;

use crate::expression::ExpressionError;
use crate::policy::LIST_MAX;
use crate::policy::MEANING_BYTES_MAX;
use crate::policy::POLICY_BYTES_MAX;
use crate::policy::RULE_NAME_BYTES_MAX;
use crate::policy::RULES_MAX;
use crate::policy::TRIGGERS_MAX;

/// A policy file that is none. The policy that was in force stays so.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("line {line}, column {column}: {error}{}", meant(.suggestion.as_deref()))]
#[non_exhaustive]
pub struct InvalidPolicy {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub error: PolicyError,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

pub(super) fn meant(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

/// How everything is meant: not each key can be left out, and of some that means nothing.
fn instead_of_nothing(key: &str) -> &'static str {
    match key {
        "groups" => "leave the group out, or say who belongs to it",
        "compartments" | "peers" | "withhold" => "write [\"*\"] to mean everything",
        _ => "leave the key out to mean everything",
    }
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PolicyError {
    /// A second rule of a name.
    #[error("a second rule called {0:?}")]
    DuplicateName(String),
    /// A second trigger of an id, in one strategy.
    #[error("a second trigger {0:?} of this strategy")]
    DuplicateTrigger(String),
    /// A duration that is none.
    #[error(
        "{0:?} is no duration; write a whole number and ms, s, min, h or d, such as 250ms or 2min"
    )]
    Duration(String),
    /// A list without entries, which nothing would match.
    #[error("`{0}` is an empty list, which means nothing at all; {meant}", meant = instead_of_nothing(.0))]
    EmptyList(&'static str),
    /// A security policy that is never in force, or about facts of no time: it would keep back nothing.
    #[error("a window ends before it begins, so the rule would keep back nothing")]
    EmptyWindow,
    /// A filter that is none.
    #[error("`where`: {0}")]
    Expression(#[from] ExpressionError),
    /// A fact type that does not exist.
    #[error("{0}")]
    FactType(NameError),
    /// A file that is too long.
    #[error("a file of {0} bytes, the limit is {POLICY_BYTES_MAX}")]
    FileTooLong(usize),
    /// Hexadecimal digits that are no id, and would be taken for the name of somebody.
    #[error("{0:?} is no id; an id has 64 hexadecimal digits, in lower case")]
    Id(String),
    /// A list with too many entries.
    #[error("{0} entries in a list, the limit is {LIST_MAX}")]
    ListTooLong(usize),
    /// A bound that is shorter than what grows up to it.
    #[error("`max` is shorter than `{0}`")]
    MaxTooShort(&'static str),
    /// A key that a rule of this section has not.
    #[error("a rule of [[{section}]] has no `{key}`; {hint}")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The section.
        section: &'static str,
        /// Where it belongs.
        hint: &'static str,
    },
    /// A meaning that is none.
    #[error("a meaning has 1 to {MEANING_BYTES_MAX} bytes without control characters")]
    Meaning,
    /// A key that must be there.
    #[error("each [[{section}]] needs `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
        /// The section.
        section: &'static str,
    },
    /// A group among the members of a group.
    #[error("a group names no other groups, and this one names {0:?}; write out who is meant")]
    NestedGroup(String),
    /// A security policy that restricts nothing.
    #[error(
        "a security policy says `refuse`, `withhold` or `protection`, and this one says none of them"
    )]
    NoEffect,
    /// Bytes that are no text.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// A number or duration that is too small or too large.
    #[error("`{key}` is {allowed}, not {value}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The smallest and the largest.
        allowed: String,
    },
    /// A pattern that is too long.
    #[error("a pattern of {0} bytes, the limit is {PATTERN_BYTES_MAX}")]
    PatternTooLong(usize),
    /// A type of resources that cannot be one.
    #[error("{0}")]
    ResourceType(NameError),
    /// A name that nothing can have.
    #[error("a name has 1 to {RULE_NAME_BYTES_MAX} bytes without control characters")]
    RuleName,
    /// Not TOML, or a value of another type.
    #[error("{0}")]
    Toml(String),
    /// Too many rules and strategies.
    #[error("{0} rules and strategies, the limit is {RULES_MAX}")]
    TooManyRules(usize),
    /// Too many triggers of one strategy.
    #[error("{0} triggers of a strategy, the limit is {TRIGGERS_MAX}")]
    TooManyTriggers(usize),
    /// A moment that is none.
    #[error(
        "{0} is no moment; write a date such as 2018-01-30, or a date and time with its offset, such as 2018-01-30T12:00:00Z"
    )]
    Moment(String),
    /// A group that the file does not define.
    #[error("there is no group `{0}`")]
    UnknownGroup(String),
    /// A key that does not exist.
    #[error("there is no key `{0}` here")]
    UnknownKey(String),
    /// A word that a key does not know.
    #[error("`{key}` is one of {known}, not {word:?}")]
    UnknownWord {
        /// The key.
        key: &'static str,
        /// The word.
        word: String,
        /// The words that it knows.
        known: String,
    },
    /// A key that a strategy of this mode has not.
    #[error("`{key}` is for a strategy whose mode is {modes}")]
    WrongMode {
        /// The key.
        key: &'static str,
        /// The modes that have it.
        modes: &'static str,
    },
    /// A volume of no facts, no bytes or no time.
    #[error("a volume of 0")]
    ZeroVolume,
}

/// The word that was probably meant: the nearest to one with a slip of the finger or two. Where the lengths differ by more, nothing is compared:
/// that takes time in proportion to their product.
pub fn suggest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let length = word.chars().count();
    if length > SUGGESTION_CHARACTERS_MAX {
        return None;
    }
    let slips = (length / 2).clamp(1, 3);
    let words = words.into_iter();
    let words = words.filter(|other| other.chars().count().abs_diff(length) <= slips);
    let near = words.map(|other| (distance(word, other), other));
    let nearest = near.filter(|(distance, _)| *distance <= slips).min();
    nearest.map(|(_, other)| other.to_owned())
}

/// Nothing is suggested for a longer word.
const SUGGESTION_CHARACTERS_MAX: usize = 128;

/// How many characters have to be inserted, left out or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, character) in (1..).zip(one.chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], above);
        for (column, candidate) in (1..).zip(&other) {
            let replaced = diagonal + usize::from(character != *candidate);
            diagonal = row[column];
            row[column] = replaced.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[other.len()]
}

/// Line and column, counted from 1, of an offset in a text.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.matches('\n').count();
    (line, 1 + before[line_start..].chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_characters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("fact_type", "fact_types", 1),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let words = ["labels", "fact_types", "peers"];
        assert_eq!(suggest("label", words), Some("labels".into()));
        assert_eq!(suggest("facttypes", words), Some("fact_types".into()));
        assert_eq!(suggest("colour", words), None);
        let long = |length| "a".repeat(length);
        let words = [long(128), long(129)];
        let words = || words.iter().map(String::as_str);
        assert_eq!(suggest(&long(127), words()), Some(long(128)));
        assert_eq!(suggest(&long(129), words()), None);
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a\nöb\n";
        let places = [0, 1, 2, 4, 5, 6].map(|offset| place(text, offset));
        assert_eq!(places, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1)]);
    }
}
