//! Filters: conditions over facts as a peer writes them, evaluated on what that peer may see
//! (`docs/src/spec/fact.md`, section "Filters").
//!
//! A filter is a flat list in postfix order: no recursive type travels, and a hostile one has nothing to overflow.

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::core::ValidTime;
use crate::id::DomainId;
use crate::name::FactType;
use crate::query::FactTypePattern;
use crate::query::Pattern;
use crate::row::TemporalFact;
use crate::value::Value;
use crate::value::ValueError;
use crate::value::check_name;
use crate::value::decode_name;
use std::cmp::Ordering;
use std::ops::Not;
use thiserror::Error;

/// The version of filters that this crate writes.
pub const FILTER_VERSION: u8 = 0;
/// The most nodes of a filter.
pub const FILTER_NODES_MAX: usize = 256;
/// How deep a filter nests: a condition alone has depth 1.
pub const FILTER_DEPTH_MAX: usize = 16;
/// The most bytes of a filter.
pub const FILTER_BYTES_MAX: usize = 16_384;
/// The longest pattern in a filter, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;

/// What a filter says of a fact (Kleene's three values). Ordered from false to true: `and` is the least of its
/// operands, `or` the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "three values by definition")]
pub enum Truth {
    /// It does not match.
    False,
    /// What is disclosed does not tell. Never delivers.
    Unknown,
    /// It matches.
    True,
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

/// How a field's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum Comparison {
    /// The same type and value.
    Equal,
    /// Numbers, strings and byte strings below the given one; likewise the next three.
    Less,
    /// Below or equal.
    LessOrEqual,
    /// Above.
    Greater,
    /// Above or equal.
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [Self; 5] = [
        Self::Equal,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    fn holds(self, field: &Value, wanted: &Value) -> Truth {
        if self == Self::Equal {
            return (field == wanted).into();
        }
        let Some(order) = order(field, wanted) else {
            return Truth::Unknown;
        };
        let holds = match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        };
        holds.into()
    }
}

/// The order of two numbers, strings (by their bytes) or byte strings; nothing else has one.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other),
        (Value::Int(int), Value::Float(fraction)) => Some(order_of_int(*int, fraction.get())),
        (Value::Float(fraction), Value::Int(int)) => {
            Some(order_of_int(*int, fraction.get()).reverse())
        }
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bytes(one), Value::Bytes(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

// A number that is not whole is below 2^52 in size, so its floor is exact.
fn order_of_int(int: i64, fraction: f64) -> Ordering {
    if int <= fraction.floor() as i64 {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// One node of a filter: a condition, or an operator over the nodes before it.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum FilterNode {
    /// Every fact.
    True,
    /// Facts of a type.
    Type(FactTypePattern),
    /// Facts about a resource whose `type/name` matches.
    Resource(Pattern),
    /// Facts whose aspect matches.
    Aspect(Pattern),
    /// Facts whose handling label matches.
    Label(Pattern),
    /// Facts of a domain.
    Origin(DomainId),
    /// Facts that are true at some moment of this time.
    Valid(ValidTime),
    /// Facts that disclose a field of this name; of others it is unknown.
    Exists(String),
    /// Facts that disclose a field whose value compares so; unknown where the field is withheld or absent, and where
    /// the two values have no order.
    Field {
        /// The name of the field.
        name: String,
        /// How it is compared.
        comparison: Comparison,
        /// With what.
        value: Value,
    },
    /// The opposite of the node before.
    Not,
    /// Whether all of the last so many operands hold; at least 2.
    And(u8),
    /// Whether one of the last so many operands holds; at least 2.
    Or(u8),
}

/// Why nodes are not a filter.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FilterError {
    /// The bytes are not canonical.
    #[error("malformed filter: {0}")]
    Malformed(#[from] DecodeError),
    /// A name or value breaks a rule of content.
    #[error("node {at}: {error}")]
    Value {
        /// The node.
        at: usize,
        /// What is wrong.
        error: ValueError,
    },
    /// A pattern is longer than [`PATTERN_BYTES_MAX`].
    #[error("node {at}: a pattern of {actual} bytes, the limit is {PATTERN_BYTES_MAX}")]
    PatternTooLong {
        /// The node.
        at: usize,
        /// Its bytes.
        actual: usize,
    },
    /// More nodes than [`FILTER_NODES_MAX`].
    #[error("{0} nodes, the limit is {FILTER_NODES_MAX}")]
    TooManyNodes(usize),
    /// More bytes than [`FILTER_BYTES_MAX`].
    #[error("{0} bytes, the limit is {FILTER_BYTES_MAX}")]
    TooLong(usize),
    /// It nests deeper than [`FILTER_DEPTH_MAX`].
    #[error("node {at} nests deeper than {FILTER_DEPTH_MAX}")]
    TooDeep {
        /// The node.
        at: usize,
    },
    /// An operator lacks operands or has fewer than 2, or nodes are left over at the end.
    #[error("the nodes are not one expression: wrong at node {at}")]
    Unbalanced {
        /// The node, or how many there are.
        at: usize,
    },
}

/// A condition over facts: 1 to [`FILTER_NODES_MAX`] nodes that are one expression in postfix order.
#[derive(Clone, Debug, PartialEq)]
pub struct FactFilter {
    nodes: Vec<FilterNode>,
}

impl FactFilter {
    /// Takes nodes in postfix order: an operator stands behind its operands.
    ///
    /// # Errors
    ///
    /// When they are not one expression, or break a limit.
    pub fn new(nodes: Vec<FilterNode>) -> Result<Self, FilterError> {
        if nodes.len() > FILTER_NODES_MAX {
            return Err(FilterError::TooManyNodes(nodes.len()));
        }
        for (at, node) in nodes.iter().enumerate() {
            node.check(at)?;
        }
        check_shape(&nodes)?;
        let filter = Self { nodes };
        let length = filter.to_bytes().len();
        if length > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong(length));
        }
        Ok(filter)
    }

    /// The nodes.
    pub fn nodes(&self) -> &[FilterNode] {
        &self.nodes
    }

    /// What the filter says of what is disclosed of a fact. Give it the fact as the filter's author may see it: it
    /// could read the rest off the answer. A fact of unknown type or version matches no filter.
    pub fn evaluate(&self, fact: &TemporalFact) -> Truth {
        let mut stack: Vec<Truth> = Vec::new();
        for node in &self.nodes {
            let operands = stack.split_off(stack.len().saturating_sub(node.operands()));
            stack.push(node.evaluate(fact, &operands));
        }
        stack.pop().unwrap_or(Truth::Unknown)
    }

    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(FILTER_VERSION).length(self.nodes.len());
        self.nodes.iter().for_each(|node| node.encode(&mut to));
        to.finish()
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// When they are not canonical, or not a filter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FilterError> {
        if bytes.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong(bytes.len()));
        }
        let nodes = Decoder::exactly(bytes, |from| {
            from.version("filter version", FILTER_VERSION)?;
            let count = from.length("number of nodes", FILTER_NODES_MAX)?;
            (0..count).map(|_| FilterNode::decode(from)).collect()
        })?;
        Self::new(nodes)
    }
}

fn check_shape(nodes: &[FilterNode]) -> Result<(), FilterError> {
    let mut depths: Vec<usize> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(rest) = depths.len().checked_sub(node.operands()) else {
            return Err(FilterError::Unbalanced { at });
        };
        let below = depths.split_off(rest).into_iter().max();
        let depth = below.unwrap_or(0) + 1;
        if depth > FILTER_DEPTH_MAX {
            return Err(FilterError::TooDeep { at });
        }
        depths.push(depth);
    }
    match depths.len() {
        1 => Ok(()),
        _ => Err(FilterError::Unbalanced { at: nodes.len() }),
    }
}

const TRUE: u8 = 0;
const TYPE: u8 = 1;
const RESOURCE: u8 = 2;
const ASPECT: u8 = 3;
const LABEL: u8 = 4;
const ORIGIN: u8 = 5;
const VALID: u8 = 6;
const EXISTS: u8 = 7;
const FIELD: u8 = 8;
const NOT: u8 = 9;
const AND: u8 = 10;
const OR: u8 = 11;

const ANY_TYPE: u8 = 0;
const ONE_TYPE: u8 = 1;
const NAMED_TYPE: u8 = 2;

impl FilterNode {
    fn operands(&self) -> usize {
        match self {
            Self::Not => 1,
            Self::And(count) | Self::Or(count) => usize::from(*count),
            _ => 0,
        }
    }

    fn evaluate(&self, fact: &TemporalFact, operands: &[Truth]) -> Truth {
        let core = fact.core();
        let disclosed = |name: &str| fact.content().field(name);
        let least = operands.iter().copied().min();
        match self {
            Self::True => Truth::True,
            Self::Type(pattern) => pattern.matches(&core.fact_type).into(),
            Self::Resource(pattern) => pattern.matches(&core.resource.to_string()).into(),
            Self::Aspect(pattern) => pattern.matches(core.aspect.as_str()).into(),
            Self::Label(pattern) => pattern.matches(core.label.as_str()).into(),
            Self::Origin(origin) => (*origin == core.origin).into(),
            Self::Valid(time) => time.overlaps(&core.valid).into(),
            Self::Exists(name) => disclosed(name).map_or(Truth::Unknown, |_| Truth::True),
            Self::Field {
                name,
                comparison,
                value,
            } => disclosed(name).map_or(Truth::Unknown, |field| comparison.holds(field, value)),
            Self::Not => least.map_or(Truth::Unknown, Not::not),
            Self::And(_) => least.unwrap_or(Truth::Unknown),
            Self::Or(_) => operands.iter().copied().max().unwrap_or(Truth::Unknown),
        }
    }

    fn check(&self, at: usize) -> Result<(), FilterError> {
        let wrong = |error| FilterError::Value { at, error };
        match self {
            Self::Resource(pattern) | Self::Aspect(pattern) | Self::Label(pattern) => {
                check_pattern(pattern, at)
            }
            Self::Type(FactTypePattern::Named(pattern)) => check_pattern(pattern, at),
            Self::Exists(name) => check_name(name).map_err(wrong),
            Self::Field { name, value, .. } => {
                check_name(name).and_then(|()| value.check()).map_err(wrong)
            }
            Self::And(0 | 1) | Self::Or(0 | 1) => Err(FilterError::Unbalanced { at }),
            _ => Ok(()),
        }
    }

    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::True => drop(to.u8(TRUE)),
            Self::Type(pattern) => encode_type(pattern, to.u8(TYPE)),
            Self::Resource(pattern) => drop(to.u8(RESOURCE).string(pattern.as_str())),
            Self::Aspect(pattern) => drop(to.u8(ASPECT).string(pattern.as_str())),
            Self::Label(pattern) => drop(to.u8(LABEL).string(pattern.as_str())),
            Self::Origin(origin) => drop(to.u8(ORIGIN).raw(origin.as_ref())),
            Self::Valid(time) => time.encode(to.u8(VALID)),
            Self::Exists(name) => drop(to.u8(EXISTS).string(name)),
            Self::Field {
                name,
                comparison,
                value,
            } => value.encode(to.u8(FIELD).string(name).u8(*comparison as u8)),
            Self::Not => drop(to.u8(NOT)),
            Self::And(operands) => drop(to.u8(AND).u8(*operands)),
            Self::Or(operands) => drop(to.u8(OR).u8(*operands)),
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        Ok(match from.u8()? {
            TRUE => Self::True,
            TYPE => Self::Type(decode_type(from)?),
            RESOURCE => Self::Resource(decode_pattern(from)?),
            ASPECT => Self::Aspect(decode_pattern(from)?),
            LABEL => Self::Label(decode_pattern(from)?),
            ORIGIN => Self::Origin(DomainId::decode(from)?),
            VALID => Self::Valid(ValidTime::decode(from)?),
            EXISTS => Self::Exists(decode_field_name(from)?),
            FIELD => Self::Field {
                name: decode_field_name(from)?,
                comparison: decode_comparison(from)?,
                value: Value::decode(from)?,
            },
            NOT => Self::Not,
            AND => Self::And(from.u8()?),
            OR => Self::Or(from.u8()?),
            code => {
                let what = "filter node";
                return Err(DecodeError::UnknownCode { at, what, code });
            }
        })
    }
}

fn encode_type(pattern: &FactTypePattern, to: &mut Encoder) {
    match pattern {
        FactTypePattern::Any => drop(to.u8(ANY_TYPE)),
        FactTypePattern::Is(fact_type) => fact_type.encode(to.u8(ONE_TYPE)),
        FactTypePattern::Named(pattern) => drop(to.u8(NAMED_TYPE).string(pattern.as_str())),
    }
}

fn decode_type(from: &mut Decoder<'_>) -> Result<FactTypePattern, DecodeError> {
    let at = from.at();
    match from.u8()? {
        ANY_TYPE => Ok(FactTypePattern::Any),
        ONE_TYPE => FactType::decode(from).map(FactTypePattern::Is),
        NAMED_TYPE => decode_pattern(from).map(FactTypePattern::Named),
        code => {
            let what = "pattern of types";
            Err(DecodeError::UnknownCode { at, what, code })
        }
    }
}

fn decode_pattern(from: &mut Decoder<'_>) -> Result<Pattern, DecodeError> {
    from.string("pattern length", PATTERN_BYTES_MAX)
        .map(Pattern::new)
}

fn decode_field_name(from: &mut Decoder<'_>) -> Result<String, DecodeError> {
    decode_name(from, &mut None).map(str::to_owned)
}

fn decode_comparison(from: &mut Decoder<'_>) -> Result<Comparison, DecodeError> {
    let at = from.at();
    let code = from.u8()?;
    let known = Comparison::ALL.get(usize::from(code)).copied();
    let what = "comparison";
    known.ok_or(DecodeError::UnknownCode { at, what, code })
}

fn check_pattern(pattern: &Pattern, at: usize) -> Result<(), FilterError> {
    match pattern.as_str().len() {
        actual if actual > PATTERN_BYTES_MAX => Err(FilterError::PatternTooLong { at, actual }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
