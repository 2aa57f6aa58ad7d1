//! Filters as people write them: `mag >= 2.5 and not (status = "deleted" or label is "draft*")`.
//!
//! A text becomes the flat postfix list of a [`FactFilter`] in one pass over its words, with a stack instead of recursion
//! (Dijkstra's shunting yard).

use causality_fact::Comparison;
use causality_fact::FactFilter;
use causality_fact::FactTypePattern;
use causality_fact::FilterError;
use causality_fact::FilterNode;
use causality_fact::NameError;
use causality_fact::ParseIdError;
use causality_fact::Pattern;
use causality_fact::Value;
use thiserror::Error;

mod words;

use words::Word;
use words::Words;

/// The longest text of a filter, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 16_384;

/// Why a text is not a filter. `at` is the offset of the offending byte.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Something else was expected here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A character that starts no word.
    #[error("{} means nothing here{}", quoted(*.character), meant_by(*.character))]
    Character {
        /// Where.
        at: usize,
        /// The character.
        character: char,
    },
    /// A string without an end, or with another escape than `\"` and `\\`.
    #[error("a string ends with '\"' and knows the escapes \\\" and \\\\ only")]
    String {
        /// Where it starts.
        at: usize,
    },
    /// A number that is none, is not finite, or does not fit 64 bits.
    #[error("{number} is not a number that a field can have")]
    Number {
        /// Where.
        at: usize,
        /// The text.
        number: String,
    },
    /// `origin is` something that is no id of a domain.
    #[error("an origin is named by its id: {error}")]
    Origin {
        /// Where.
        at: usize,
        /// What is wrong with it.
        error: ParseIdError,
    },
    /// `type is` something that is no type.
    #[error("{error}")]
    FactType {
        /// Where.
        at: usize,
        /// What is wrong with it.
        error: NameError,
    },
    /// Longer than [`EXPRESSION_BYTES_MAX`].
    #[error("a filter of {0} bytes of text, the limit is {EXPRESSION_BYTES_MAX}")]
    TooLong(usize),
    /// It breaks a limit of filters.
    #[error("not a filter: {0}")]
    Filter(#[from] FilterError),
}

/// A character that can be seen, between backticks; of another its number.
fn quoted(character: char) -> String {
    match character.is_control() {
        true => format!("`{}`", character.escape_unicode()),
        false => format!("`{character}`"),
    }
}

/// What a character stands for in other languages, and what stands for that here.
fn meant_by(character: char) -> &'static str {
    match character {
        '\'' => "; a string stands in double quotes",
        '&' => "; write `and`",
        '|' => "; write `or`",
        '!' => "; write `not` or `!=`",
        _ => "",
    }
}

impl ExpressionError {
    /// Where in the text, as an offset in bytes; the start where the whole is wrong.
    pub fn at(&self) -> usize {
        match self {
            Self::Unexpected { at, .. }
            | Self::Character { at, .. }
            | Self::String { at }
            | Self::Number { at, .. }
            | Self::Origin { at, .. }
            | Self::FactType { at, .. } => *at,
            Self::TooLong(_) | Self::Filter(_) => 0,
        }
    }
}

/// Reads a filter as people write it.
///
/// ```text
/// any   = all { "or" all }           all   = one { "and" one }
/// one   = "not" one | "(" any ")" | condition
/// condition = FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) VALUE
///           | "exists" FIELD
///           | ( "type" | "resource" | "aspect" | "label" ) "is" "PATTERN"
///           | "origin" "is" "ID"
/// ```
///
/// A field is a word, or any string in quotes. A value is a number, a string in quotes, `true`, `false` or `null`. In a
/// pattern, `*` stands for any run of characters and `?` for one; a resource is matched as `type/name`.
///
/// # Errors
///
/// When the text is not such an expression, or its filter breaks a limit.
///
/// ```
/// use causality_strategy::parse_filter;
///
/// let filter = parse_filter("mag >= 2.5 and not label is \"draft*\"")?;
/// assert_eq!(filter.nodes().len(), 4);
///
/// let error = parse_filter("mag >= ").unwrap_err();
/// assert_eq!(error.to_string(), "expected a value, found the end");
/// # Ok::<(), causality_strategy::ExpressionError>(())
/// ```
pub fn parse_filter(text: &str) -> Result<FactFilter, ExpressionError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ExpressionError::TooLong(text.len()));
    }
    let mut words = Words::new(text)?;
    let mut yard = Yard::default();
    loop {
        // Before a condition.
        match words.word() {
            Word::Not => yard.push(Operator::Not, &mut words)?,
            Word::Open => yard.push(Operator::Open(words.at()), &mut words)?,
            _ => {
                yard.nodes.extend(condition(&mut words)?);
                while let Word::Close = words.word() {
                    if !yard.close()? {
                        return Err(words.unexpected("`and`, `or` or the end"));
                    }
                    words.next()?;
                }
                match words.word() {
                    Word::And => yard.join(Operator::And(2))?,
                    Word::Or => yard.join(Operator::Or(2))?,
                    Word::End => return yard.finish(&words),
                    _ => return Err(words.unexpected("`and`, `or` or the end")),
                }
                words.next()?;
            }
        }
    }
}

/// Operators that wait for their operands. Counts are of operands so far; `Open` has its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    And(usize),
    Not,
    Open(usize),
    Or(usize),
}

impl Operator {
    /// What binds tighter is larger.
    fn strength(self) -> u8 {
        match self {
            Self::Open(_) => 0,
            Self::Or(_) => 1,
            Self::And(_) => 2,
            Self::Not => 3,
        }
    }

    fn node(self) -> Result<FilterNode, ExpressionError> {
        let count = |operands: usize| {
            let too_many = FilterError::TooManyNodes(operands + 1);
            u8::try_from(operands).map_err(|_| too_many)
        };
        Ok(match self {
            Self::And(operands) => FilterNode::And(count(operands)?),
            Self::Or(operands) => FilterNode::Or(count(operands)?),
            Self::Not | Self::Open(_) => FilterNode::Not,
        })
    }
}

/// The nodes so far, and the operators that come behind them.
#[derive(Default)]
struct Yard {
    nodes: Vec<FilterNode>,
    waiting: Vec<Operator>,
}

impl Yard {
    fn push(&mut self, operator: Operator, words: &mut Words<'_>) -> Result<(), ExpressionError> {
        self.waiting.push(operator);
        words.next()
    }

    /// Takes an `and` or `or`; several of one kind in a row become one with more operands, which keeps filters flat.
    fn join(&mut self, operator: Operator) -> Result<(), ExpressionError> {
        self.settle(operator.strength() + 1)?;
        match (self.waiting.last_mut(), operator) {
            (Some(Operator::And(operands)), Operator::And(_))
            | (Some(Operator::Or(operands)), Operator::Or(_)) => *operands += 1,
            _ => self.waiting.push(operator),
        }
        Ok(())
    }

    /// Whether there was a parenthesis to close.
    fn close(&mut self) -> Result<bool, ExpressionError> {
        self.settle(1)?;
        Ok(self.waiting.pop().is_some())
    }

    /// Puts down the operators that bind at least so tightly.
    fn settle(&mut self, strength: u8) -> Result<(), ExpressionError> {
        while let Some(operator) = self
            .waiting
            .pop_if(|waiting| waiting.strength() >= strength)
        {
            self.nodes.push(operator.node()?);
        }
        Ok(())
    }

    fn finish(mut self, words: &Words<'_>) -> Result<FactFilter, ExpressionError> {
        self.settle(1)?;
        if self.waiting.is_empty() {
            Ok(FactFilter::new(self.nodes)?)
        } else {
            Err(words.unexpected("`)`"))
        }
    }
}

/// One condition: a node, and for `!=` a second one that negates it.
fn condition(words: &mut Words<'_>) -> Result<Vec<FilterNode>, ExpressionError> {
    let name = match words.word().clone() {
        Word::Exists => {
            words.next()?;
            return Ok(vec![FilterNode::Exists(field(words)?)]);
        }
        Word::Name(name @ ("aspect" | "label" | "origin" | "resource" | "type")) => {
            words.next()?;
            return Ok(vec![core_condition(name, words)?]);
        }
        Word::Name(name) => name.to_owned(),
        Word::String(name) => name,
        _ => return Err(words.unexpected("a condition")),
    };
    words.next()?;
    comparison(name, words)
}

/// What stands behind the name of a part of the core.
fn core_condition(part: &str, words: &mut Words<'_>) -> Result<FilterNode, ExpressionError> {
    if *words.word() != Word::Is {
        return Err(words.unexpected("`is` (a field of such a name is written in quotes)"));
    }
    words.next()?;
    let at = words.at();
    let Word::String(text) = words.word().clone() else {
        return Err(words.unexpected("a pattern in quotes"));
    };
    words.next()?;
    Ok(match part {
        "aspect" => FilterNode::Aspect(Pattern::new(text)),
        "label" => FilterNode::Label(Pattern::new(text)),
        "resource" => FilterNode::Resource(Pattern::new(text)),
        "type" => {
            let pattern = fact_type_pattern(&text);
            FilterNode::Type(pattern.map_err(|error| ExpressionError::FactType { at, error })?)
        }
        _ => {
            let origin = text.parse();
            FilterNode::Origin(origin.map_err(|error| ExpressionError::Origin { at, error })?)
        }
    })
}

fn comparison(name: String, words: &mut Words<'_>) -> Result<Vec<FilterNode>, ExpressionError> {
    let Word::Compare(comparison) = *words.word() else {
        return Err(words.unexpected("a comparison"));
    };
    words.next()?;
    let value = match words.word().clone() {
        Word::Number(value) => value,
        Word::String(text) => Value::String(text),
        Word::Name("true") => Value::Bool(true),
        Word::Name("false") => Value::Bool(false),
        Word::Name("null") => Value::Null,
        Word::Name(_) => return Err(words.unexpected("a value (a string stands in double quotes)")),
        _ => return Err(words.unexpected("a value")),
    };
    words.next()?;
    let field = |comparison| FilterNode::Field {
        name,
        comparison,
        value,
    };
    Ok(match comparison {
        Some(comparison) => vec![field(comparison)],
        None => vec![field(Comparison::Equal), FilterNode::Not],
    })
}

fn field(words: &mut Words<'_>) -> Result<String, ExpressionError> {
    let name = match words.word().clone() {
        Word::Name(name) => name.to_owned(),
        Word::String(name) => name,
        _ => return Err(words.unexpected("the name of a field")),
    };
    words.next()?;
    Ok(name)
}

/// Reads which types of facts are meant: one by its name, or with a wildcard those whose name matches.
pub(crate) fn fact_type_pattern(text: &str) -> Result<FactTypePattern, NameError> {
    if text == "*" {
        return Ok(FactTypePattern::Any);
    }
    let pattern = Pattern::new(text);
    match pattern.literal() {
        None => Ok(FactTypePattern::Named(pattern)),
        Some(name) => name.parse().map(FactTypePattern::Is),
    }
}

#[cfg(test)]
mod tests;
