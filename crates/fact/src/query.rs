//! Queries over facts: what to look for, and patterns of text.

use crate::core::FactCore;
use crate::core::ValidTime;
use crate::id::CompartmentId;
use crate::id::DomainId;
use crate::name::Aspect;
use crate::name::FactType;

/// A pattern of text: `*` stands for any run of characters, `?` for one; all else for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` matches. Takes time in proportion to the product of the lengths.
    pub fn matches(&self, text: &str) -> bool {
        if let Some(literal) = self.literal() {
            return literal == text;
        }
        let (pattern, text): (Vec<_>, Vec<_>) = (self.0.chars().collect(), text.chars().collect());
        let (mut p, mut t) = (0, 0);
        // Where the last star stands, and how far it reaches.
        let mut star = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
                _ => match star {
                    Some((at, reach)) => {
                        star = Some((at, reach + 1));
                        (p, t) = (at + 1, reach + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }

    /// The text, when it has no wildcard and so matches itself only.
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(&self.0)
    }
}

/// Which domains: one by its id, or all whose petname matches. Signatures bind ids; a pattern is meant for policies and
/// is matched against the names of the local address book.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a domain is known by its id or by its petname"
)]
pub enum DomainPattern {
    /// The domain with this id, whatever its name.
    Id(DomainId),
    /// The domains whose petname matches; a domain without one matches no pattern, `*` included.
    Named(Pattern),
}

impl DomainPattern {
    /// Reads a text: 64 lower-case hexadecimal digits are an id, all else is a pattern of names.
    pub fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Named(Pattern::new(text)), Self::Id)
    }

    /// Whether a domain, known by this petname if by any, matches.
    pub fn matches(&self, domain: DomainId, name: Option<&str>) -> bool {
        match self {
            Self::Id(wanted) => *wanted == domain,
            Self::Named(pattern) => name.is_some_and(|name| pattern.matches(name)),
        }
    }
}

/// Which facts to find: those that meet every condition that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "any combination of conditions is a query"
)]
pub struct FactQuery {
    /// Of this type.
    pub fact_type: Option<FactTypePattern>,
    /// About a resource whose `type/name` matches.
    pub resource: Option<Pattern>,
    /// Of this aspect.
    pub aspect: Option<Aspect>,
    /// Said by this domain.
    pub origin: Option<DomainId>,
    /// In this compartment.
    pub compartment: Option<CompartmentId>,
    /// True at some moment of this time.
    pub valid: Option<ValidTime>,
}

/// Which types of facts: one, or all custom types whose name matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum FactTypePattern {
    /// Every type.
    Any,
    /// One type.
    Is(FactType),
    /// The types whose name, such as `custom:reading`, matches.
    Named(Pattern),
}

impl FactTypePattern {
    /// Whether a type matches.
    pub fn matches(&self, fact_type: &FactType) -> bool {
        match self {
            Self::Any => true,
            Self::Is(wanted) => wanted == fact_type,
            Self::Named(pattern) => pattern.matches(&fact_type.name()),
        }
    }
}

impl FactQuery {
    /// Whether a fact of a compartment meets every condition.
    pub fn matches(&self, core: &FactCore, compartment: CompartmentId) -> bool {
        self.fact_type
            .as_ref()
            .is_none_or(|pattern| pattern.matches(&core.fact_type))
            && self
                .aspect
                .as_ref()
                .is_none_or(|aspect| *aspect == core.aspect)
            && self.origin.is_none_or(|origin| origin == core.origin)
            && self.compartment.is_none_or(|wanted| wanted == compartment)
            && self.valid.is_none_or(|valid| valid.overlaps(&core.valid))
            && self
                .resource
                .as_ref()
                .is_none_or(|r| r.matches(&core.resource.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let cases = [
            ("seismo.us.ci", "seismo.us.ci", true),
            ("seismo.us.ci", "seismo.us.cix", false),
            ("seismo.*", "seismo.us.ci", true),
            ("*.ci", "seismo.us.ci", true),
            ("*us*", "seismo.us.ci", true),
            ("*us*x", "seismo.us.ci", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*", "", true),
            ("**a**", "bab", true),
            ("é?", "éü", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
        assert_eq!(Pattern::new("a*").literal(), None);
        assert_eq!(Pattern::new("a/b").literal(), Some("a/b"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_no_bomb() {
        let pattern = Pattern::new("*a".repeat(60) + "b");
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }

    #[test]
    fn domains_match_by_id_or_petname() {
        let (one, other) = (DomainId::new([1; 32]), DomainId::new([2; 32]));
        let by_id = DomainPattern::new(&one.to_string());
        assert_eq!(by_id, DomainPattern::Id(one));
        assert!(by_id.matches(one, Some("seismo.us.ci")) && by_id.matches(one, None));
        assert!(!by_id.matches(other, Some(&one.to_string())));
        let by_name = DomainPattern::new("seismo.*");
        assert!(by_name.matches(other, Some("seismo.us.ci")));
        assert!(!by_name.matches(other, Some("press.times")));
        assert!(!DomainPattern::new("*").matches(other, None));
    }

    #[test]
    fn a_query_finds_what_meets_all_its_conditions() {
        let compartment = CompartmentId::new([4; 16]);
        let core = crate::tests::core(7);
        let valid = core.valid;
        let query = FactQuery {
            fact_type: Some(FactTypePattern::Is(core.fact_type.clone())),
            resource: Some(Pattern::new("*/*")),
            aspect: Some(core.aspect.clone()),
            origin: Some(core.origin),
            compartment: Some(compartment),
            valid: Some(ValidTime::since(valid.from())),
        };
        assert!(FactQuery::default().matches(&core, compartment));
        assert!(query.matches(&core, compartment));
        assert!(!query.matches(&core, CompartmentId::PUBLIC));
        let before = ValidTime::between(valid.from() - 1, valid.from());
        let others = [
            FactQuery {
                fact_type: Some(FactTypePattern::Is(FactType::Erasure)),
                ..query.clone()
            },
            FactQuery {
                resource: Some(Pattern::new("other/*")),
                ..query.clone()
            },
            FactQuery {
                aspect: Some(Aspect::new("other").unwrap()),
                ..query.clone()
            },
            FactQuery {
                origin: Some(DomainId::new([9; 32])),
                ..query.clone()
            },
            FactQuery {
                valid: before,
                ..query
            },
        ];
        for other in others {
            assert!(!other.matches(&core, compartment), "{other:?}");
        }
    }

    #[test]
    fn types_match_by_kind_or_name() {
        let custom: FactType = "custom:reading".parse().unwrap();
        assert!(FactTypePattern::Any.matches(&custom));
        assert!(FactTypePattern::Named(Pattern::new("custom:*")).matches(&custom));
        assert!(!FactTypePattern::Is(FactType::Operation).matches(&custom));
    }
}
