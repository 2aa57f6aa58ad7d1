//! The core of a fact: what is hashed into its id and never withheld.

use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::content::ContentHash;
use crate::hash::TaggedHash;
use crate::hlc::Hlc;
use crate::id::ConflictKey;
use crate::id::DomainId;
use crate::id::FactId;
use crate::name::Aspect;
use crate::name::FACT_TYPE;
use crate::name::FactType;
use crate::name::Label;
use crate::name::Resource;
use thiserror::Error;

/// The version of the core that this crate writes.
pub const CORE_VERSION: u8 = 0;
/// The most facts that a fact requires.
pub const REQUIRES_MAX: usize = 16;
/// The most facts that a fact supersedes.
pub const SUPERSEDES_MAX: usize = 256;
/// Who may pass a fact on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed: every version of the core starts with it"
)]
pub enum Onward {
    /// Nobody but its origin.
    None,
    /// Whoever has it, to the audience of its compartment.
    #[default]
    Audience,
    /// Whoever has it, to anybody.
    Any,
}

/// When a statement is true in the world, in milliseconds since 1970: from the first, until before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidTime {
    from: i64,
    until: Option<i64>,
}

impl ValidTime {
    /// From a moment on.
    pub const fn since(from: i64) -> Self {
        Self { from, until: None }
    }

    /// From a moment until before another; `None` when the end is not after the start.
    pub fn between(from: i64, until: i64) -> Option<Self> {
        (from < until).then_some(Self {
            from,
            until: Some(until),
        })
    }

    /// The first moment.
    pub const fn from(&self) -> i64 {
        self.from
    }

    /// The first moment that is no longer in it.
    pub const fn until(&self) -> Option<i64> {
        self.until
    }

    /// Whether a moment lies within.
    pub fn contains(&self, moment: i64) -> bool {
        self.from <= moment && self.until.is_none_or(|until| moment < until)
    }

    /// Whether a moment lies within both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.from) || other.contains(self.from)
    }

    /// Whether every moment of the other lies within.
    pub fn covers(&self, other: &Self) -> bool {
        let ends_after = match (self.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs <= mine,
        };
        self.from <= other.from && ends_after
    }

    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.int(self.from)
            .uint(self.until.map_or(0, |until| until.abs_diff(self.from)));
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let from = decoder.int()?;
        let at = decoder.at();
        let until = match decoder.uint()? {
            0 => None,
            length => Some(
                from.checked_add_unsigned(length)
                    .ok_or(DecodeError::NotCanonical {
                        at,
                        rule: "valid time ends within 64 signed bits",
                    })?,
            ),
        };
        Ok(Self { from, until })
    }
}

/// What is hashed into the id of a fact, version [`CORE_VERSION`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct FactCore {
    /// Who may pass it on.
    pub onward: Onward,
    /// The handling label.
    pub label: Label,
    /// The domain that says it.
    pub origin: DomainId,
    /// What kind of statement it is.
    pub fact_type: FactType,
    /// What it is about.
    pub resource: Resource,
    /// Which side of the resource.
    pub aspect: Aspect,
    /// When it was appended, by the clock of its lane.
    pub hlc: Hlc,
    /// When it is true.
    pub valid: ValidTime,
    /// Its causes, which are visible before it.
    pub requires: References<REQUIRES_MAX>,
    /// The facts of its conflict key that it replaces.
    pub supersedes: References<SUPERSEDES_MAX>,
    /// The commitment to its content.
    pub content_root: ContentHash,
}

impl FactCore {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(CORE_BYTES_USUAL);
        self.encode_head(&mut to);
        to.raw(self.origin.as_ref());
        self.encode_body(&mut to);
        to.raw(self.content_root.as_bytes());
        to.finish()
    }

    /// Its id.
    pub fn id(&self) -> FactId {
        core_id(&self.to_bytes())
    }

    /// The key under which facts compete: (resource, aspect).
    pub fn conflict_key(&self) -> ConflictKey {
        conflict_key(&self.resource, &self.aspect)
    }

    /// Everything but the origin and the content root, which a log and the content give.
    pub(crate) fn encode_compact(&self, to: &mut Encoder) {
        self.encode_head(to);
        self.encode_body(to);
    }

    /// Reads a compact core, and computes the id that it has with a content root found by `root` behind it.
    pub(crate) fn decode_compact(
        from: &mut Decoder<'_>,
        origin: DomainId,
        root: impl FnOnce(&mut Decoder<'_>) -> Result<ContentHash, DecodeError>,
    ) -> Result<(FactId, Self), DecodeError> {
        let start = from.at();
        let header = CoreHeader::decode(from)?;
        header.expect_known(start)?;
        let head = from.since(start);
        let start = from.at();
        let mut core = Self::decode_body(from, header, origin)?;
        let body = from.since(start);
        core.content_root = root(from)?;
        let hash = TaggedHash::new(FACT_TAG)
            .chain(head)
            .chain(origin)
            .chain(body);
        Ok((
            FactId::new(hash.chain(core.content_root.as_bytes()).finish()),
            core,
        ))
    }

    fn encode_head(&self, to: &mut Encoder) {
        to.u8(CORE_VERSION).u8(self.onward as u8);
        self.label.encode(to);
    }

    fn encode_body(&self, to: &mut Encoder) {
        self.fact_type.encode(to);
        self.resource.encode(to);
        self.aspect.encode(to);
        to.fixed_u64(self.hlc.to_bits());
        self.valid.encode(to);
        self.requires.encode(to);
        self.supersedes.encode(to);
    }

    fn decode_body(
        from: &mut Decoder<'_>,
        header: CoreHeader,
        origin: DomainId,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            onward: header.onward,
            label: header.label,
            origin,
            fact_type: FactType::decode(from)?,
            resource: Resource::decode(from)?,
            aspect: Aspect::decode(from)?,
            hlc: Hlc::from_bits(from.fixed_u64()?),
            valid: ValidTime::decode(from)?,
            requires: References::decode(from, "number of required facts")?,
            supersedes: References::decode(from, "number of superseded facts")?,
            content_root: ContentHash::new([0; 32]),
        })
    }
}

/// What every version of a core starts with: enough to relay it as its origin wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed: every version of the core starts with it"
)]
pub struct CoreHeader {
    /// The version of the core.
    pub version: u8,
    /// Who may pass it on.
    pub onward: Onward,
    /// The handling label.
    pub label: Label,
}

impl CoreHeader {
    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let version = from.u8()?;
        let at = from.at();
        let onward = match from.u8()? {
            0 => Onward::None,
            1 => Onward::Audience,
            2 => Onward::Any,
            code => {
                return Err(DecodeError::UnknownCode {
                    at,
                    what: "onward sharing",
                    code,
                });
            }
        };
        Ok(Self {
            version,
            onward,
            label: Label::decode(from)?,
        })
    }

    fn expect_known(&self, at: usize) -> Result<(), DecodeError> {
        match self.version {
            CORE_VERSION => Ok(()),
            code => Err(DecodeError::UnknownCode {
                at,
                what: CORE_VERSION_CODE,
                code,
            }),
        }
    }
}

const CORE_VERSION_CODE: &str = "core version";

/// A core as it was received: of a version and type that this crate knows, or kept raw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a core is known or it is not")]
pub enum AnyCore {
    /// Of a known version and type.
    Known(Box<FactCore>),
    /// Of a newer version or type: kept and relayed, not interpreted.
    Unsupported(CoreHeader),
}

impl AnyCore {
    /// Reads the full bytes of a core of any version.
    ///
    /// # Errors
    ///
    /// When a known version is not canonical, or the header of an unknown one is not.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        let header = CoreHeader::decode(&mut from)?;
        if header.version != CORE_VERSION {
            return Ok(Self::Unsupported(header));
        }
        let origin = DomainId::decode(&mut from)?;
        match FactCore::decode_body(&mut from, header.clone(), origin) {
            Err(DecodeError::UnknownCode {
                what: FACT_TYPE, ..
            }) => Ok(Self::Unsupported(header)),
            Err(error) => Err(error),
            Ok(mut core) => {
                core.content_root = ContentHash::new(from.array()?);
                from.end()?;
                Ok(Self::Known(Box::new(core)))
            }
        }
    }
}

/// References to other facts: at most `MAX`, in strictly ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References<const MAX: usize>(Vec<FactId>);

/// More references than a fact may have.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{actual} references, the limit is {limit}")]
#[expect(clippy::exhaustive_structs, reason = "one way to fail")]
pub struct TooManyReferences {
    /// How many different ones there are.
    pub actual: usize,
    /// The most a fact may have.
    pub limit: usize,
}

impl<const MAX: usize> References<MAX> {
    /// Takes facts in any order; repeated ones count once.
    ///
    /// # Errors
    ///
    /// When there are more than `MAX`.
    pub fn new(facts: impl IntoIterator<Item = FactId>) -> Result<Self, TooManyReferences> {
        let mut facts: Vec<_> = facts.into_iter().collect();
        facts.sort_unstable();
        facts.dedup();
        if facts.len() > MAX {
            return Err(TooManyReferences {
                actual: facts.len(),
                limit: MAX,
            });
        }
        Ok(Self(facts))
    }

    /// The facts in ascending order.
    pub fn as_slice(&self) -> &[FactId] {
        &self.0
    }

    fn encode(&self, to: &mut Encoder) {
        to.length(self.0.len());
        for fact in &self.0 {
            to.raw(fact.as_ref());
        }
    }

    fn decode(from: &mut Decoder<'_>, what: &'static str) -> Result<Self, DecodeError> {
        let at = from.at();
        let count = from.length(what, MAX)?;
        let facts = (0..count)
            .map(|_| FactId::decode(from))
            .collect::<Result<Vec<_>, _>>()?;
        if !facts.is_sorted_by(|one, next| one < next) {
            let rule = "references are in strictly ascending order";
            return Err(DecodeError::NotCanonical { at, rule });
        }
        Ok(Self(facts))
    }
}

/// The id of a core of any version, over its bytes as received.
pub fn core_id(core: &[u8]) -> FactId {
    FactId::new(TaggedHash::new(FACT_TAG).chain(core).finish())
}

/// The conflict key of a resource and aspect.
pub fn conflict_key(resource: &Resource, aspect: &Aspect) -> ConflictKey {
    let mut bytes = Encoder::new();
    resource.encode(&mut bytes);
    aspect.encode(&mut bytes);
    ConflictKey::new(
        TaggedHash::new("causality/0/conflict-key")
            .chain(bytes.finish())
            .finish(),
    )
}

/// Room for most cores, so that encoding one allocates once.
const CORE_BYTES_USUAL: usize = 512;

const FACT_TAG: &str = "causality/0/fact";

#[cfg(test)]
mod tests {
    use super::*;

    fn core() -> FactCore {
        FactCore {
            onward: Onward::Audience,
            label: Label::new("reviewed").unwrap(),
            origin: DomainId::new([1; 32]),
            fact_type: FactType::Observation,
            resource: "earthquake/ak18247005".parse().unwrap(),
            aspect: Aspect::new("report").unwrap(),
            hlc: Hlc::from_millis(1_517_365_391_235),
            valid: ValidTime::since(1_517_365_101_235),
            requires: References::default(),
            supersedes: References::new([FactId::new([2; 32])]).unwrap(),
            content_root: ContentHash::new([3; 32]),
        }
    }

    fn decode(bytes: &[u8]) -> Result<AnyCore, DecodeError> {
        AnyCore::from_bytes(bytes)
    }

    #[test]
    fn a_core_survives_its_bytes() {
        let core = core();
        assert_eq!(decode(&core.to_bytes()), Ok(AnyCore::Known(Box::new(core))));
    }

    #[test]
    fn the_compact_form_has_the_same_id() {
        let core = core();
        let mut to = Encoder::new();
        core.encode_compact(&mut to);
        let root = core.content_root;
        let compact = to.finish();
        let decoded = Decoder::exactly(&compact, |from| {
            FactCore::decode_compact(from, core.origin, |_| Ok(root))
        });
        assert_eq!(decoded, Ok((core.id(), core)));
    }

    #[test]
    fn a_newer_version_or_type_is_kept_with_its_header() {
        let mut bytes = core().to_bytes();
        bytes[0] = 1;
        bytes.truncate(20);
        let AnyCore::Unsupported(header) = decode(&bytes).unwrap() else {
            panic!()
        };
        assert_eq!((header.version, header.label.as_str()), (1, "reviewed"));
        let mut bytes = core().to_bytes();
        bytes[2 + 9 + 32] = 99;
        assert!(matches!(decode(&bytes), Ok(AnyCore::Unsupported(_))));
        bytes[1] = 3;
        let error = DecodeError::UnknownCode {
            at: 1,
            what: "onward sharing",
            code: 3,
        };
        assert_eq!(decode(&bytes), Err(error));
    }

    #[test]
    fn references_are_sorted_and_limited() {
        let ids = |count: u8| (0..count).map(|n| FactId::new([n; 32]));
        let most = References::<16>::new(ids(16).rev()).unwrap();
        assert!(most.as_slice().is_sorted());
        let error = References::<16>::new(ids(17));
        assert_eq!(
            error,
            Err(TooManyReferences {
                actual: 17,
                limit: 16
            })
        );
        let twice = [&[2][..], &[1; 64]].concat();
        let error = Decoder::exactly(&twice, |from| References::<16>::decode(from, "facts"));
        assert!(matches!(
            error,
            Err(DecodeError::NotCanonical { at: 0, .. })
        ));
    }

    #[test]
    fn valid_times_overlap_and_cover_by_half_open_intervals() {
        let between = |from, until| ValidTime::between(from, until).unwrap();
        assert_eq!(ValidTime::between(5, 5), None);
        assert!(between(0, 10).overlaps(&between(9, 20)));
        assert!(!between(0, 10).overlaps(&between(10, 20)));
        assert!(ValidTime::since(0).covers(&between(0, 10)));
        assert!(!between(0, 10).covers(&ValidTime::since(0)));
        assert!(between(0, 10).covers(&between(0, 10)));
        for valid in [
            between(i64::MIN, i64::MAX),
            between(-5, -4),
            ValidTime::since(i64::MAX),
        ] {
            let mut to = Encoder::new();
            valid.encode(&mut to);
            assert_eq!(Decoder::exactly(&to.finish(), ValidTime::decode), Ok(valid));
        }
        let mut to = Encoder::new();
        to.int(i64::MAX).uint(1);
        let error = Decoder::exactly(&to.finish(), ValidTime::decode);
        assert!(matches!(
            error,
            Err(DecodeError::NotCanonical { at: 10, .. })
        ));
    }
}
