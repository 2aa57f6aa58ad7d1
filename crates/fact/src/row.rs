//! A row: one position of a log as it is stored and as it travels (`docs/src/spec/fact.md`, section "Rows").
//!
//! A row leaves out what its log says (the origin) and what hashing yields (the content root).

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::content::Content;
use crate::content::PartialContent;
use crate::content::WholeContent;
use crate::core::AnyCore;
use crate::core::CoreHeader;
use crate::core::FactCore;
use crate::core::core_id;
use crate::id::DomainId;
use crate::id::FactId;
use crate::mask::FieldMask;
use thiserror::Error;

/// The most bytes of a whole fact: its row with all content.
pub const FACT_BYTES_MAX: usize = 60_000;

/// The most bytes of any row. One of kind partial has a salt for each field, so it may be larger than the whole.
pub const ROW_BYTES_MAX: usize = 65_000;

/// Room for most rows, so that encoding one allocates once.
const ROW_BYTES_USUAL: usize = 512;

const WHOLE: u8 = 0;
const PARTIAL: u8 = 1;
const RAW: u8 = 2;

/// How much of a fact a row holds; the order is that of upgrades. Of a withheld fact there is no row, only a hash of
/// the log's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum RowState {
    /// The core and some of the content, with single salts; or all of it, where the seed is not known.
    Partial,
    /// Everything, with the seed.
    Full,
}

/// A fact: its core and what is known of its content.
#[derive(Clone, Debug, PartialEq)]
pub struct TemporalFact {
    id: FactId,
    core: FactCore,
    content: Content,
}

/// The fact is larger than [`FACT_BYTES_MAX`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the fact has {actual} bytes, the limit is {FACT_BYTES_MAX}")]
#[expect(clippy::exhaustive_structs, reason = "one way to fail")]
pub struct FactTooLarge {
    /// Its bytes.
    pub actual: usize,
}

impl TemporalFact {
    /// Makes a fact of a core and whole content; the core's content root becomes that of the content.
    ///
    /// # Errors
    ///
    /// When it is larger than [`FACT_BYTES_MAX`].
    pub fn new(mut core: FactCore, content: WholeContent) -> Result<Self, FactTooLarge> {
        core.content_root = content.root();
        let fact = Self {
            id: core.id(),
            core,
            content: Content::Whole(content),
        };
        let actual = fact.to_row().len();
        if actual > FACT_BYTES_MAX {
            Err(FactTooLarge { actual })
        } else {
            Ok(fact)
        }
    }

    /// Its id.
    pub fn id(&self) -> FactId {
        self.id
    }

    /// Its core.
    pub fn core(&self) -> &FactCore {
        &self.core
    }

    /// What is known of its content.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The same fact with only the fields that `disclose` names.
    #[must_use]
    pub fn redact(&self, disclose: impl Fn(&str) -> bool) -> Self {
        let content = match &self.content {
            Content::Whole(whole) if whole.fields().keys().all(|name| disclose(name)) => {
                self.content.clone()
            }
            Content::Whole(whole) => Content::Partial(whole.redact(disclose)),
            Content::Partial(partial) => Content::Partial(partial.redact(disclose)),
        };
        Self {
            id: self.id,
            core: self.core.clone(),
            content,
        }
    }

    /// The fact with what either discloses, whole if either is. `None` when the ids differ, or when no row has room for
    /// it, which can only be where the origin committed to more than a fact may have.
    pub fn merge(&self, other: &Self) -> Option<Self> {
        if self.id != other.id {
            return None;
        }
        // The id covers the root, so the contents are parts of one.
        let merged = Self {
            id: self.id,
            core: self.core.clone(),
            content: self.content.merge(&other.content),
        };
        (merged.to_row().len() <= ROW_BYTES_MAX).then_some(merged)
    }

    /// Its row.
    pub fn to_row(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(ROW_BYTES_USUAL);
        match &self.content {
            Content::Whole(whole) => {
                to.u8(WHOLE);
                self.core.encode_compact(&mut to);
                whole.encode(&mut to);
            }
            Content::Partial(partial) => {
                to.u8(PARTIAL);
                self.core.encode_compact(&mut to);
                partial.encode(&mut to);
            }
        }
        to.finish()
    }
}

/// A row whose bytes were checked and whose id was computed; that the id stands in a signed log is for
/// [`crate::Verified`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    id: FactId,
    core: RowCore,
    // Of a row with withheld fields, which ones are disclosed.
    mask: Option<FieldMask>,
    bytes: Vec<u8>,
}

/// What a row says of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum RowCore {
    /// A core that this crate knows; the content may be partial.
    Known(Box<FactCore>),
    /// A newer core: kept and relayed as it is, not visible, never matched by a conditional rule.
    Unsupported(CoreHeader),
}

impl Row {
    /// Reads the row of a log of `origin`.
    ///
    /// # Errors
    ///
    /// When the bytes are too many, or not canonical. A row that decodes encodes to the same bytes.
    pub fn from_bytes(bytes: &[u8], origin: DomainId) -> Result<Self, DecodeError> {
        let limit = if bytes.first() == Some(&PARTIAL) {
            ROW_BYTES_MAX
        } else {
            FACT_BYTES_MAX
        };
        if bytes.len() > limit {
            let (actual, limit) = (bytes.len() as u64, limit as u64);
            return Err(DecodeError::LimitExceeded {
                at: 0,
                what: "row length",
                actual,
                limit,
            });
        }
        let mut mask = None;
        let (id, core) = Decoder::exactly(bytes, |from| Self::read(from, origin, &mut mask))?;
        Ok(Self {
            id,
            core,
            mask,
            bytes: bytes.to_vec(),
        })
    }

    fn read(
        from: &mut Decoder<'_>,
        origin: DomainId,
        mask: &mut Option<FieldMask>,
    ) -> Result<(FactId, RowCore), DecodeError> {
        let known = |(id, core)| (id, RowCore::Known(Box::new(core)));
        match from.u8()? {
            WHOLE => FactCore::decode_compact(from, origin, WholeContent::skim).map(known),
            PARTIAL => {
                let root = |from: &mut Decoder<'_>| {
                    let content = PartialContent::decode(from)?;
                    *mask = (content.withheld() > 0).then(|| content.mask());
                    Ok(content.root())
                };
                FactCore::decode_compact(from, origin, root).map(known)
            }
            RAW => Self::read_raw(from),
            code => Err(unknown_kind(code)),
        }
    }

    fn read_raw(from: &mut Decoder<'_>) -> Result<(FactId, RowCore), DecodeError> {
        let core = from.bytes("core length", FACT_BYTES_MAX)?;
        from.bytes("content length", FACT_BYTES_MAX)?;
        match AnyCore::from_bytes(core)? {
            AnyCore::Unsupported(header) => Ok((core_id(core), RowCore::Unsupported(header))),
            AnyCore::Known(_) => {
                let rule = "a core of a known version is not written raw";
                Err(DecodeError::NotCanonical { at: 0, rule })
            }
        }
    }

    /// The row of a fact whose core this crate does not know, for tests of what meets one.
    ///
    /// # Errors
    ///
    /// When the core is known, or its header is not canonical.
    pub fn unsupported(core: &[u8], content: &[u8]) -> Result<Self, DecodeError> {
        let mut to = Encoder::new();
        to.u8(RAW).bytes(core).bytes(content);
        Self::from_bytes(&to.finish(), DomainId::new([0; 32]))
    }

    /// The fact's id, computed from the bytes.
    pub fn id(&self) -> FactId {
        self.id
    }

    /// What it says of the core.
    pub fn core(&self) -> &RowCore {
        &self.core
    }

    /// How much of the fact it holds.
    pub fn state(&self) -> RowState {
        if self.bytes.first() == Some(&PARTIAL) {
            RowState::Partial
        } else {
            RowState::Full
        }
    }

    /// Which fields it discloses, where it withholds some. `None` when it discloses all of them, or the core is not
    /// supported: such a row tells all there is.
    pub fn mask(&self) -> Option<FieldMask> {
        self.mask
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fact, where the core is known.
    pub fn fact(&self) -> Option<TemporalFact> {
        let RowCore::Known(core) = &self.core else {
            return None;
        };
        let mut from = Decoder::new(&self.bytes);
        let kind = from.u8().ok()?;
        FactCore::decode_compact(&mut from, core.origin, |_| Ok(core.content_root)).ok()?;
        let content = match kind {
            WHOLE => Content::Whole(WholeContent::decode(&mut from).ok()?),
            _ => Content::Partial(PartialContent::decode(&mut from).ok()?),
        };
        Some(TemporalFact {
            id: self.id,
            core: (**core).clone(),
            content,
        })
    }
}

/// What the core of an encoded row starts with, whatever its version: enough to relay the row as its origin wants. Reads
/// no further, so it costs next to nothing, and says nothing about the rest.
///
/// # Errors
///
/// When the bytes do not start as a row does.
pub fn peek_row(bytes: &[u8]) -> Result<CoreHeader, DecodeError> {
    let mut from = Decoder::new(bytes);
    match from.u8()? {
        WHOLE | PARTIAL => CoreHeader::decode(&mut from),
        RAW => {
            let core = from.bytes("core length", FACT_BYTES_MAX)?;
            CoreHeader::decode(&mut Decoder::new(core))
        }
        code => Err(unknown_kind(code)),
    }
}

impl From<TemporalFact> for Row {
    fn from(fact: TemporalFact) -> Self {
        let (mask, bytes) = (withholding_mask(&fact.content), fact.to_row());
        Self {
            id: fact.id,
            core: RowCore::Known(Box::new(fact.core)),
            mask,
            bytes,
        }
    }
}

impl From<&TemporalFact> for Row {
    fn from(fact: &TemporalFact) -> Self {
        let core = RowCore::Known(Box::new(fact.core.clone()));
        Self {
            id: fact.id,
            core,
            mask: withholding_mask(&fact.content),
            bytes: fact.to_row(),
        }
    }
}

fn unknown_kind(code: u8) -> DecodeError {
    DecodeError::UnknownCode {
        at: 0,
        what: "kind of row",
        code,
    }
}

fn withholding_mask(content: &Content) -> Option<FieldMask> {
    content.is_partial().then(|| content.mask())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentHash;
    use crate::content::Seed;
    use crate::core::Onward;
    use crate::core::References;
    use crate::core::ValidTime;
    use crate::hlc::Hlc;
    use crate::name::Aspect;
    use crate::name::FactType;
    use crate::name::Label;
    use crate::value::Value;

    const ORIGIN: DomainId = DomainId::new([1; 32]);

    fn fact(bytes: usize) -> Result<TemporalFact, FactTooLarge> {
        let core = FactCore {
            onward: Onward::Any,
            label: Label::default(),
            origin: ORIGIN,
            fact_type: FactType::Operation,
            resource: "a/b".parse().unwrap(),
            aspect: Aspect::default(),
            hlc: Hlc::from_millis(1),
            valid: ValidTime::since(0),
            requires: References::default(),
            supersedes: References::default(),
            content_root: ContentHash::new([0; 32]),
        };
        let fields = [
            ("data".to_owned(), Value::Bytes(vec![0xd7; bytes])),
            ("note".to_owned(), Value::String("kept".into())),
        ];
        let content = WholeContent::new(Seed::new([5; 16]), fields.into()).unwrap();
        TemporalFact::new(core, content)
    }

    #[test]
    fn rows_of_whole_and_redacted_facts_have_the_same_id() {
        let whole = fact(20).unwrap();
        let partial = whole.redact(|name| name == "note");
        assert!(partial.content().is_partial());
        for fact in [&whole, &partial, &partial.redact(|_| false)] {
            let row = Row::from_bytes(&fact.to_row(), ORIGIN).unwrap();
            assert_eq!(row.id(), whole.id());
            assert_eq!(row.fact().as_ref(), Some(fact));
            assert_eq!(Row::from(fact), row);
        }
        assert_eq!(Row::from(&whole).state(), RowState::Full);
        assert_eq!(Row::from(&partial).state(), RowState::Partial);
        assert!(RowState::Partial < RowState::Full);
    }

    #[test]
    fn a_row_has_a_mask_where_it_withholds() {
        let whole = fact(20).unwrap();
        assert_eq!(Row::from(&whole).mask(), None);
        assert_eq!(whole.content().mask(), FieldMask::all(2));
        for (disclosed, bits) in [("data", 0b01), ("note", 0b10), ("", 0)] {
            let fact = whole.redact(|name| name == disclosed);
            let mask = FieldMask::new(bits);
            assert_eq!(fact.content().mask(), mask);
            assert_eq!(Row::from(&fact).mask(), Some(mask));
            let read = Row::from_bytes(&fact.to_row(), ORIGIN).unwrap();
            assert_eq!(read.mask(), Some(mask));
            assert_eq!(Row::from(fact), read);
        }
        let mut newer = whole.core().to_bytes();
        newer[0] = 9;
        assert_eq!(Row::unsupported(&newer, b"").unwrap().mask(), None);
    }

    #[test]
    fn another_origin_or_content_is_another_id() {
        let whole = fact(20).unwrap();
        let other = Row::from_bytes(&whole.to_row(), DomainId::new([2; 32])).unwrap();
        assert_ne!(other.id(), whole.id());
        let mut bytes = whole.to_row();
        *bytes.last_mut().unwrap() ^= 1;
        assert_ne!(Row::from_bytes(&bytes, ORIGIN).unwrap().id(), whole.id());
    }

    #[test]
    fn a_fact_has_at_most_its_limit_of_bytes() {
        let overhead = fact(60_000).unwrap_err().actual - 60_000;
        let largest = FACT_BYTES_MAX - overhead;
        let row = fact(largest).unwrap().to_row();
        assert_eq!(row.len(), FACT_BYTES_MAX);
        assert!(Row::from_bytes(&row, ORIGIN).is_ok());
        assert_eq!(
            fact(largest + 1).unwrap_err(),
            FactTooLarge { actual: 60_001 }
        );
        let error = DecodeError::LimitExceeded {
            at: 0,
            what: "row length",
            actual: 60_001,
            limit: 60_000,
        };
        assert_eq!(Row::from_bytes(&[0; 60_001], ORIGIN), Err(error));
    }

    #[test]
    fn a_partial_row_has_at_most_its_limit_of_bytes() {
        let core = fact(0).unwrap().core().clone();
        let row = |bytes: usize| {
            let mut to = Encoder::new();
            to.u8(PARTIAL);
            core.encode_compact(&mut to);
            to.length(2).u8(0).raw(&[0; 32]);
            to.u8(1).raw(&[1; 32]).string("data");
            Value::Bytes(vec![0; bytes]).encode(&mut to);
            to.finish()
        };
        let largest = ROW_BYTES_MAX - (row(60_000).len() - 60_000);
        assert_eq!(row(largest).len(), ROW_BYTES_MAX);
        assert!(Row::from_bytes(&row(largest), ORIGIN).is_ok());
        let error = DecodeError::LimitExceeded {
            at: 0,
            what: "row length",
            actual: 65_001,
            limit: 65_000,
        };
        assert_eq!(Row::from_bytes(&row(largest + 1), ORIGIN), Err(error));
    }

    #[test]
    fn no_redaction_of_the_largest_fact_is_above_the_limit() {
        // The fields with the least room for a salt or a digest: many, with short names and no value.
        let (mut fields, seed) = (std::collections::BTreeMap::new(), Seed::new([5; 16]));
        for n in 0..crate::content::FIELDS_MAX - 1 {
            fields.insert(format!("{n:x}"), Value::Null);
        }
        let with = |bytes: usize| {
            let mut fields = fields.clone();
            fields.insert("z".to_owned(), Value::Bytes(vec![0; bytes]));
            let content = WholeContent::new(seed, fields).unwrap();
            TemporalFact::new(fact(0).unwrap().core().clone(), content)
        };
        let overhead = with(60_000).unwrap_err().actual - 60_000;
        let largest = with(FACT_BYTES_MAX - overhead).unwrap();
        assert_eq!(largest.to_row().len(), FACT_BYTES_MAX);
        for disclosed in ["z", "0"] {
            let row = largest.redact(|name| name >= disclosed).to_row();
            assert!(Row::from_bytes(&row, ORIGIN).is_ok(), "{}", row.len());
        }
        let (one, rest) = (
            largest.redact(|name| name == "z"),
            largest.redact(|name| name != "z"),
        );
        let all = one.merge(&rest).unwrap();
        assert_eq!(Row::from_bytes(&all.to_row(), ORIGIN).unwrap().mask(), None);
    }

    #[test]
    fn parts_merge_up_to_the_whole() {
        let whole = fact(20).unwrap();
        let [data, note] = ["data", "note"].map(|field| whole.redact(|name| name == field));
        let all = data.merge(&note).unwrap();
        assert_eq!(note.merge(&data).as_ref(), Some(&all));
        let row = Row::from_bytes(&all.to_row(), ORIGIN).unwrap();
        assert_eq!((row.id(), row.mask()), (whole.id(), None));
        assert_eq!(row.state(), RowState::Partial, "nobody here knows the seed");
        assert_eq!(row.fact().as_ref(), Some(&all));
        assert!(!all.content().is_partial());
        assert_eq!(all.redact(|name| name == "note"), note);
        assert_eq!(all.merge(&whole).as_ref(), Some(&whole));
        assert_eq!(whole.merge(&data).as_ref(), Some(&whole));
        assert_eq!(data.merge(&fact(21).unwrap()), None);
    }

    #[test]
    fn parts_of_what_is_too_large_for_a_row_do_not_merge() {
        // Its origin never had such a fact: each part has room, together they have none.
        let fields = ["a", "b", "c"].map(|name| (name.to_owned(), Value::Bytes(vec![0; 30_000])));
        let content = WholeContent::new(Seed::new([5; 16]), fields.into()).unwrap();
        let mut core = fact(0).unwrap().core().clone();
        core.content_root = content.root();
        let part = |withheld: &str| TemporalFact {
            id: core.id(),
            core: core.clone(),
            content: Content::Partial(content.redact(|name| name != withheld)),
        };
        let (one, other) = (part("a"), part("b"));
        assert!(Row::from_bytes(&one.to_row(), ORIGIN).is_ok());
        assert_eq!(one.merge(&one).as_ref(), Some(&one));
        assert_eq!(one.merge(&other), None);
    }

    #[test]
    fn the_head_of_a_row_is_read_without_the_rest() {
        let whole = fact(1).unwrap();
        let head = CoreHeader {
            version: 0,
            onward: Onward::Any,
            label: Label::default(),
        };
        assert_eq!(peek_row(&whole.to_row()[..4]), Ok(head.clone()));
        let part = whole.redact(|_| false).to_row();
        assert_eq!(peek_row(&part[..4]), Ok(head.clone()));
        let mut newer = whole.core().to_bytes();
        newer[0] = 9;
        let raw = Row::unsupported(&newer, b"opaque").unwrap();
        assert_eq!(peek_row(raw.bytes()), Ok(CoreHeader { version: 9, ..head }));
        assert_eq!(peek_row(&part[..3]), Err(DecodeError::Truncated { at: 3 }));
        assert_eq!(
            peek_row(&[RAW, 1, 0]),
            Err(DecodeError::Truncated { at: 1 })
        );
        assert_eq!(
            peek_row(&[RAW, 9, 0]),
            Err(DecodeError::Truncated { at: 3 })
        );
        assert_eq!(peek_row(&[]), Err(DecodeError::Truncated { at: 0 }));
        assert_eq!(peek_row(&[3]), Err(unknown_kind(3)));
    }

    #[test]
    fn the_content_of_a_raw_row_is_not_covered_by_its_id() {
        let mut newer = fact(1).unwrap().core().to_bytes();
        newer[0] = 9;
        let one = Row::unsupported(&newer, b"one").unwrap();
        let other = Row::unsupported(&newer, b"other").unwrap();
        assert_eq!(one.id(), other.id());
        assert_eq!(one.state(), RowState::Full);
    }

    #[test]
    fn newer_cores_are_kept_raw_and_known_ones_are_not() {
        let mut newer = fact(1).unwrap().core().to_bytes();
        newer[0] = 9;
        let row = Row::unsupported(&newer, b"opaque").unwrap();
        assert_eq!(row.id(), core_id(&newer));
        assert_eq!(row.fact(), None);
        assert_eq!(Row::from_bytes(row.bytes(), ORIGIN), Ok(row));
        let known = fact(1).unwrap().core().to_bytes();
        assert!(matches!(
            Row::unsupported(&known, b""),
            Err(DecodeError::NotCanonical { at: 0, .. })
        ));
        let error = DecodeError::UnknownCode {
            at: 0,
            what: "kind of row",
            code: 3,
        };
        assert_eq!(Row::from_bytes(&[3], ORIGIN), Err(error));
    }
}
