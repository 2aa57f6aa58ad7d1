//! Who: a domain under the name that it has here, and patterns that mean several.

use causality_fact::DomainId;
use causality_fact::DomainPattern;
use causality_fact::Pattern;
use std::collections::BTreeSet;

/// A domain, and what the local address book calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any id goes with any name")]
pub struct Party<'a> {
    /// Its id.
    pub domain: DomainId,
    /// Its petname here, if it has one.
    pub name: Option<&'a str>,
}

/// Which domains: those that one of the patterns matches. A group of a policy file is nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(BTreeSet<DomainPattern>);

impl Domains {
    /// The domains that one of the patterns matches; the order of the patterns means nothing.
    pub fn new(patterns: impl IntoIterator<Item = DomainPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether a domain is one of them.
    pub fn matches(&self, party: &Party<'_>) -> bool {
        let matches = |pattern: &DomainPattern| pattern.matches(party.domain, party.name);
        self.0.iter().any(matches)
    }

    /// The patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &DomainPattern> {
        self.0.iter()
    }

    /// Whether no pattern has a wildcard.
    pub(crate) fn is_exact(&self) -> bool {
        self.0.iter().all(|pattern| match pattern {
            DomainPattern::Id(_) => true,
            DomainPattern::Named(name) => name.literal().is_some(),
        })
    }

    /// Whether each of the others is certainly one of these, by the patterns alone.
    pub(crate) fn cover(&self, others: &Self) -> bool {
        self.cover_known(others, &[])
    }

    /// The same, by the patterns and the names of those who are known.
    pub(crate) fn cover_known(&self, others: &Self, known: &[Party<'_>]) -> bool {
        let is_called = |id: &DomainId, is_meant: &dyn Fn(&str) -> bool| {
            let mut known = known.iter().filter(|party| party.domain == *id);
            known.any(|party| party.name.is_some_and(is_meant))
        };
        others.0.iter().all(|other| {
            self.0.iter().any(|mine| match (mine, other) {
                (DomainPattern::Named(mine), DomainPattern::Named(other)) => covers(mine, other),
                (DomainPattern::Named(mine), DomainPattern::Id(id)) => {
                    is_called(id, &|name| mine.matches(name))
                }
                (DomainPattern::Id(id), DomainPattern::Named(other)) => {
                    is_called(id, &|name| other.literal() == Some(name))
                }
                (DomainPattern::Id(mine), DomainPattern::Id(other)) => mine == other,
            })
        })
    }
}

/// Whether one pattern certainly matches all that another one does.
pub(crate) fn covers(mine: &Pattern, other: &Pattern) -> bool {
    let is_matched = |literal| mine.matches(literal);
    mine == other || mine.as_str() == "*" || other.literal().is_some_and(is_matched)
}

/// Whether a condition, if there is one, is certainly met by what meets another one, if there is one.
pub(crate) fn covers_given<T>(
    mine: Option<T>,
    other: Option<T>,
    covers: impl Fn(T, T) -> bool,
) -> bool {
    match (mine, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(mine), Some(other)) => covers(mine, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_meant_by_its_id_its_name_or_a_glob() {
        let id = DomainId::new([1; 32]);
        let known = Party {
            domain: id,
            name: Some("seismo.us.uw"),
        };
        let nameless = Party {
            name: None,
            ..known
        };
        let domains =
            |patterns: &[&str]| Domains::new(patterns.iter().map(|p| DomainPattern::new(p)));
        assert!(domains(&["press.*", "seismo.*"]).matches(&known));
        assert!(domains(&["seismo.us.uw"]).matches(&known));
        assert!(!domains(&["press.*"]).matches(&known));
        assert!(domains(&[&id.to_string()]).matches(&nameless));
        assert!(!domains(&["*"]).matches(&nameless));
        assert!(!Domains::default().matches(&known));
    }

    #[test]
    fn covering_is_claimed_only_where_it_is_certain() {
        let domains =
            |patterns: &[&str]| Domains::new(patterns.iter().map(|p| DomainPattern::new(p)));
        let covers = |mine: &[&str], others: &[&str], known: &[Party<'_>]| {
            domains(mine).cover_known(&domains(others), known)
        };
        assert!(covers(&["*"], &["a.*", "b"], &[]));
        assert!(covers(&["a.*"], &["a.b", "a.*"], &[]));
        assert!(!covers(&["a.*"], &["a.b", "c"], &[]));
        let domain = DomainId::new([1; 32]);
        let id = domain.to_string();
        for (mine, other, name, expected) in [
            ("*", id.as_str(), None, false),
            ("*", &id, Some("a.b"), true),
            ("c.*", &id, Some("a.b"), false),
            (&id, "a.b", Some("a.b"), true),
            (&id, "a.b", None, false),
            (&id, "a.*", Some("a.b"), false),
            (&id, &id, None, true),
        ] {
            let known = [Party { domain, name }];
            assert_eq!(
                covers(&[mine], &[other], &known),
                expected,
                "{mine} {other} {name:?}"
            );
        }
    }
}
