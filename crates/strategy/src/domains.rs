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
        others.0.iter().all(|other| {
            self.0.iter().any(|mine| match (mine, other) {
                (DomainPattern::Named(mine), DomainPattern::Named(other)) => covers(mine, other),
                _ => mine == other,
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
        assert!(domains(&["*"]).cover(&domains(&["a.*", "b"])));
        assert!(domains(&["a.*"]).cover(&domains(&["a.b", "a.*"])));
        assert!(!domains(&["a.*"]).cover(&domains(&["a.b", "c"])));
        let id = DomainId::new([1; 32]).to_string();
        assert!(!domains(&["*"]).cover(&domains(&[&id])));
    }
}
