//! Queries over facts: what to look for, and patterns of text.

use crate::core::Aspect;
use crate::core::FactCore;
use crate::core::FactType;
use crate::core::ValidTime;
use crate::id::CompartmentId;
use crate::id::DomainId;

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
    fn types_match_by_kind_or_name() {
        let custom: FactType = "custom:reading".parse().unwrap();
        assert!(FactTypePattern::Any.matches(&custom));
        assert!(FactTypePattern::Named(Pattern::new("custom:*")).matches(&custom));
        assert!(!FactTypePattern::Is(FactType::Operation).matches(&custom));
    }
}
