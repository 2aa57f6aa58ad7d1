//! Content: named fields under one commitment, so that each can be disclosed or withheld alone while the id of the
//! fact and its proofs hold (the idea of RFC 9901, in binary).

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::hash::TaggedHash;
use crate::mask::FieldMask;
use crate::value::Value;
use crate::value::ValueError;
use crate::value::check_name;
use crate::value::decode_name;
use std::collections::BTreeMap;
use std::fmt;

/// The most fields that a fact has.
pub const FIELDS_MAX: usize = 128;

/// A commitment: the root over all leaf digests, or the digest of one field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// From its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ContentHash({})",
            data_encoding::HEXLOWER.encode(&self.0)
        )
    }
}

/// Sixteen random bytes a fact, from which the salts of its fields derive. Whoever has the seed can confirm a guess
/// of any field, so it travels with whole content only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    /// From fresh random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    fn salt(self, index: usize) -> Salt {
        let mut position = Encoder::new();
        position.length(index);
        Salt(
            TaggedHash::new("causality/0/salt")
                .chain(self.0)
                .chain(position.finish())
                .finish(),
        )
    }
}

/// Prints the name of the type only.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// The salt of one field, which discloses that field alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

/// Prints the name of the type only.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// What is known of a fact's content.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum Content {
    /// All fields, with the seed of their salts.
    Whole(WholeContent),
    /// Some fields, or all of them, with a salt each; of the others the digest.
    Partial(PartialContent),
}

impl Content {
    /// The commitment to all fields, disclosed or not.
    pub fn root(&self) -> ContentHash {
        match self {
            Self::Whole(whole) => whole.root(),
            Self::Partial(partial) => partial.root(),
        }
    }

    /// A disclosed field by name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Whole(whole) => whole.fields.get(name),
            Self::Partial(partial) => partial
                .disclosed()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v),
        }
    }

    /// The disclosed fields in order of their names.
    pub fn disclosed(&self) -> Box<dyn Iterator<Item = (&str, &Value)> + '_> {
        match self {
            Self::Whole(whole) => Box::new(whole.fields.iter().map(|(n, v)| (n.as_str(), v))),
            Self::Partial(partial) => Box::new(partial.disclosed()),
        }
    }

    /// Which fields are disclosed.
    pub fn mask(&self) -> FieldMask {
        match self {
            Self::Whole(whole) => FieldMask::all(whole.fields.len()),
            Self::Partial(partial) => partial.mask(),
        }
    }

    /// What either discloses, given that both have the same root; whole, if either is.
    pub(crate) fn merge(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Whole(_), _) => self.clone(),
            (_, Self::Whole(_)) => other.clone(),
            (Self::Partial(one), Self::Partial(other)) => Self::Partial(one.merge(other)),
        }
    }

    /// Whether a field is withheld.
    pub fn is_partial(&self) -> bool {
        matches!(self, Self::Partial(partial) if partial.withheld() > 0)
    }
}

/// All fields of a fact and the seed of their salts. At most [`FIELDS_MAX`] fields, with checked names and values.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeContent {
    seed: Seed,
    fields: BTreeMap<String, Value>,
}

impl WholeContent {
    /// Takes fields under a seed.
    ///
    /// # Errors
    ///
    /// When a name is too long, values nest too deep, or there are too many fields.
    pub fn new(seed: Seed, fields: BTreeMap<String, Value>) -> Result<Self, ContentError> {
        if fields.len() > FIELDS_MAX {
            return Err(ContentError::TooManyFields(fields.len()));
        }
        for (name, value) in &fields {
            let wrong = |error| ContentError::Field {
                name: name.clone(),
                error,
            };
            check_name(name).map_err(wrong)?;
            value.check().map_err(wrong)?;
        }
        Ok(Self { seed, fields })
    }

    /// The fields in order of their names.
    pub fn fields(&self) -> &BTreeMap<String, Value> {
        &self.fields
    }

    /// The commitment to the fields.
    pub fn root(&self) -> ContentHash {
        let digests: Vec<_> = self
            .leaves()
            .map(|(salt, name, value)| leaf(salt, name, value))
            .collect();
        root(&digests)
    }

    /// Keeps the fields that `disclose` names and the digests of the others; the seed is left behind.
    pub fn redact(&self, disclose: impl Fn(&str) -> bool) -> PartialContent {
        let leaves = self.leaves().map(|(salt, name, value)| {
            if disclose(name) {
                Leaf::Disclosed {
                    salt,
                    name: name.to_owned(),
                    value: value.clone(),
                }
            } else {
                Leaf::Withheld(leaf(salt, name, value))
            }
        });
        PartialContent {
            leaves: leaves.collect(),
        }
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.raw(&self.seed.0).length(self.fields.len());
        for (name, value) in &self.fields {
            to.string(name);
            value.encode(to);
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let seed = Seed(from.array()?);
        let count = from.length("number of fields", FIELDS_MAX)?;
        let mut fields = BTreeMap::new();
        let mut last = None;
        for _ in 0..count {
            let name = decode_name(from, &mut last)?;
            fields.insert(name.to_owned(), Value::decode(from)?);
        }
        Ok(Self { seed, fields })
    }

    /// Checks encoded whole content and computes its root without building it.
    pub(crate) fn skim(from: &mut Decoder<'_>) -> Result<ContentHash, DecodeError> {
        let seed = Seed(from.array()?);
        let count = from.length("number of fields", FIELDS_MAX)?;
        let mut digests = Vec::with_capacity(count);
        let mut last = None;
        for index in 0..count {
            let start = from.at();
            decode_name(from, &mut last)?;
            Value::skip(from)?;
            digests.push(leaf_of_bytes(seed.salt(index), from.since(start)));
        }
        Ok(root(&digests))
    }

    fn leaves(&self) -> impl Iterator<Item = (Salt, &str, &Value)> {
        let numbered = self.fields.iter().enumerate();
        numbered.map(|(index, (name, value))| (self.seed.salt(index), name.as_str(), value))
    }
}

/// Some fields of a fact, with a salt each: there is at least one field, disclosed or not. All of them may be disclosed
/// by who has merged what several others showed. Disclosed names ascend strictly, so none is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialContent {
    leaves: Vec<Leaf>,
}

/// One field, disclosed or withheld.
#[derive(Clone, Debug, PartialEq)]
enum Leaf {
    Disclosed {
        salt: Salt,
        name: String,
        value: Value,
    },
    Withheld(ContentHash),
}

const WITHHELD: u8 = 0;
const DISCLOSED: u8 = 1;

impl PartialContent {
    /// The commitment to all fields.
    pub fn root(&self) -> ContentHash {
        let digest = |field: &Leaf| match field {
            Leaf::Disclosed { salt, name, value } => leaf(*salt, name, value),
            Leaf::Withheld(digest) => *digest,
        };
        root(&self.leaves.iter().map(digest).collect::<Vec<_>>())
    }

    /// The disclosed fields in order of their names.
    pub fn disclosed(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.leaves.iter().filter_map(|leaf| match leaf {
            Leaf::Disclosed { name, value, .. } => Some((name.as_str(), value)),
            Leaf::Withheld(_) => None,
        })
    }

    /// Withholds of the disclosed fields those that `disclose` does not name.
    pub fn redact(&self, disclose: impl Fn(&str) -> bool) -> Self {
        let leaves = self.leaves.iter().map(|field| match field {
            Leaf::Disclosed { salt, name, value } if !disclose(name) => {
                Leaf::Withheld(leaf(*salt, name, value))
            }
            kept => kept.clone(),
        });
        Self {
            leaves: leaves.collect(),
        }
    }

    fn merge(&self, other: &Self) -> Self {
        let leaves = std::iter::zip(&self.leaves, &other.leaves);
        let shown = leaves.map(|(one, other)| match one {
            Leaf::Disclosed { .. } => one.clone(),
            Leaf::Withheld(_) => other.clone(),
        });
        Self {
            leaves: shown.collect(),
        }
    }

    /// Which fields are disclosed.
    pub fn mask(&self) -> FieldMask {
        let disclosed = |leaf: &Leaf| u128::from(matches!(leaf, Leaf::Disclosed { .. }));
        let leaves = self.leaves.iter().enumerate();
        FieldMask::new(leaves.fold(0, |bits, (field, leaf)| bits | disclosed(leaf) << field))
    }

    /// How many fields are withheld.
    pub fn withheld(&self) -> usize {
        self.leaves
            .iter()
            .filter(|leaf| matches!(leaf, Leaf::Withheld(_)))
            .count()
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.length(self.leaves.len());
        for leaf in &self.leaves {
            match leaf {
                Leaf::Withheld(digest) => drop(to.u8(WITHHELD).raw(&digest.0)),
                Leaf::Disclosed { salt, name, value } => {
                    to.u8(DISCLOSED).raw(&salt.0).string(name);
                    value.encode(to);
                }
            }
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let start = from.at();
        let count = from.length("number of fields", FIELDS_MAX)?;
        let mut leaves = Vec::with_capacity(count);
        let mut last = None;
        for _ in 0..count {
            let at = from.at();
            leaves.push(match from.u8()? {
                WITHHELD => Leaf::Withheld(ContentHash(from.array()?)),
                DISCLOSED => Leaf::Disclosed {
                    salt: Salt(from.array()?),
                    name: decode_name(from, &mut last)?.to_owned(),
                    value: Value::decode(from)?,
                },
                code => {
                    return Err(DecodeError::UnknownCode {
                        at,
                        what: "field state",
                        code,
                    });
                }
            });
        }
        if leaves.is_empty() {
            let rule = "content without fields is whole";
            return Err(DecodeError::NotCanonical { at: start, rule });
        }
        Ok(Self { leaves })
    }
}

/// Why fields are not content.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ContentError {
    /// A field's name or value breaks a rule.
    #[error("field {name:?}: {error}")]
    Field {
        /// The field.
        name: String,
        /// What is wrong.
        error: ValueError,
    },
    /// More fields than a fact may have.
    #[error("{0} fields, the limit is {FIELDS_MAX}")]
    TooManyFields(usize),
}

/// Room for most fields, so that encoding one allocates once.
const FIELD_BYTES_USUAL: usize = 512;

fn leaf(salt: Salt, name: &str, value: &Value) -> ContentHash {
    let mut encoder = Encoder::with_capacity(FIELD_BYTES_USUAL);
    encoder.string(name);
    value.encode(&mut encoder);
    leaf_of_bytes(salt, &encoder.finish())
}

fn leaf_of_bytes(salt: Salt, name_and_value: &[u8]) -> ContentHash {
    ContentHash(
        TaggedHash::new("causality/0/field")
            .chain(salt.0)
            .chain(name_and_value)
            .finish(),
    )
}

fn root(digests: &[ContentHash]) -> ContentHash {
    let mut count = Encoder::new();
    count.length(digests.len());
    let start = TaggedHash::new("causality/0/content").chain(count.finish());
    ContentHash(
        digests
            .iter()
            .fold(start, |hash, digest| hash.chain(digest.0))
            .finish(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(fields: &[(&str, Value)]) -> WholeContent {
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        WholeContent::new(Seed::new([7; 16]), fields.collect()).unwrap()
    }

    fn bytes(encode: impl FnOnce(&mut Encoder)) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encode(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn every_redaction_keeps_the_root_and_hides_what_it_withholds() {
        let secret = Value::String("a withheld value of sixteen bytes and more".into());
        let content = whole(&[("a", Value::Int(1)), ("b", secret), ("c", Value::Null)]);
        for mask in 0..8u8 {
            let disclose = |name: &str| mask & (1 << (name.as_bytes()[0] - b'a')) != 0;
            let partial = content.redact(disclose);
            assert_eq!(partial.root(), content.root());
            let encoded = bytes(|to| partial.encode(to));
            assert_eq!(
                Decoder::exactly(&encoded, PartialContent::decode),
                Ok(partial)
            );
            let shown = encoded.windows(16).any(|w| w == b"a withheld value");
            assert_eq!(shown, disclose("b"));
            assert!(
                !encoded.windows(16).any(|w| w == [7; 16]),
                "the seed stays behind"
            );
        }
    }

    #[test]
    fn merged_parts_show_what_either_shows() {
        let content = whole(&[
            ("a", Value::Int(1)),
            ("b", Value::Null),
            ("c", Value::Int(3)),
        ]);
        let part = |mask: u8| {
            let disclose = |name: &str| mask & (1 << (name.as_bytes()[0] - b'a')) != 0;
            Content::Partial(content.redact(disclose))
        };
        for (one, other) in (0..64).map(|pair| (pair / 8, pair % 8)) {
            let merged = part(one).merge(&part(other));
            assert_eq!(merged, part(one | other));
            assert_eq!(merged.mask().bits(), u128::from(one | other));
            assert_eq!(merged.root(), content.root());
            let whole = Content::Whole(content.clone());
            assert_eq!(part(one).merge(&whole), whole);
            assert_eq!(whole.merge(&part(one)), whole);
        }
    }

    #[test]
    fn skimming_gives_the_root_of_what_is_decoded() {
        let list = Value::List(vec![Value::number(0.25).unwrap(), Value::Bytes(vec![1, 2])]);
        let content = whole(&[("list", list), ("text", Value::String("x".into()))]);
        let encoded = bytes(|to| content.encode(to));
        assert_eq!(
            Decoder::exactly(&encoded, WholeContent::decode),
            Ok(content.clone())
        );
        assert_eq!(
            Decoder::exactly(&encoded, WholeContent::skim),
            Ok(content.root())
        );
    }

    #[test]
    fn a_disclosed_field_under_another_name_changes_the_root() {
        let content = whole(&[("a", Value::Int(1)), ("b", Value::Int(2))]);
        let encoded = bytes(|to| content.redact(|name| name == "a").encode(to));
        let renamed: Vec<u8> = encoded
            .iter()
            .map(|byte| if *byte == b'a' { b'x' } else { *byte })
            .collect();
        let partial = Decoder::exactly(&renamed, PartialContent::decode).unwrap();
        assert_ne!(partial.root(), content.root());
    }

    #[test]
    fn repeated_fields_and_unknown_states_are_refused() {
        let salt = [9; 32];
        let field = [&[DISCLOSED][..], &salt, &[1, b'a', 0]].concat();
        let twice = [&[3][..], &field, &field, &[WITHHELD], &salt].concat();
        let error = Decoder::exactly(&twice, PartialContent::decode);
        assert!(
            matches!(error, Err(DecodeError::NotCanonical { at: 70, .. })),
            "{error:?}"
        );
        let rule = "content without fields is whole";
        let error = DecodeError::NotCanonical { at: 0, rule };
        assert_eq!(Decoder::exactly(&[0], PartialContent::decode), Err(error));
        let error = DecodeError::UnknownCode {
            at: 1,
            what: "field state",
            code: 2,
        };
        assert_eq!(
            Decoder::exactly(&[1, 2], PartialContent::decode),
            Err(error)
        );
    }

    #[test]
    fn fields_have_limits() {
        let many = |count: usize| (0..count).map(|i| (i.to_string(), Value::Null)).collect();
        let seed = Seed::new([0; 16]);
        assert!(WholeContent::new(seed, many(FIELDS_MAX)).is_ok());
        let error = WholeContent::new(seed, many(FIELDS_MAX + 1));
        assert_eq!(error, Err(ContentError::TooManyFields(129)));
        let long = [("n".repeat(65), Value::Null)].into();
        let error = ContentError::Field {
            name: "n".repeat(65),
            error: ValueError::NameTooLong(65),
        };
        assert_eq!(WholeContent::new(seed, long), Err(error));
    }

    #[test]
    fn secrets_do_not_print() {
        let shown = format!("{:?}", whole(&[]).redact(|_| true));
        assert!(!shown.contains('7'), "{shown}");
        assert_eq!(
            format!("{:?} {:?}", Seed([1; 16]), Salt([2; 32])),
            "Seed Salt"
        );
    }
}
