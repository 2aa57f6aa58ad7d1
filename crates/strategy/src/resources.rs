//! The types of resources that a domain knows, by which a check finds slips in rules.

use causality_fact::Pattern;
use std::collections::BTreeMap;

/// The types of resources that a policy file declares, with what each means.
///
/// A resource's type is part of its name, which is signed. So a decision looks nothing up: every fact, of whatever type, is
/// held against [`SyncPolicy::allows_resource_type`](crate::SyncPolicy::allows_resource_type), and a type that nobody
/// declared is one as well. The registry is for people: it says what the types mean, and rules that name another one are
/// found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRegistry(BTreeMap<String, String>);

impl ResourceRegistry {
    /// Of types and their meanings.
    pub fn new(types: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(types.into_iter().collect())
    }

    /// What a type means; `None` for one that is not declared.
    pub fn get_resource_type(&self, resource_type: &str) -> Option<&str> {
        self.0.get(resource_type).map(String::as_str)
    }

    /// The types with their meanings, in their order.
    pub fn types(&self) -> impl Iterator<Item = (&str, &str)> {
        let types = self.0.iter();
        types.map(|(name, meaning)| (name.as_str(), meaning.as_str()))
    }

    /// Whether a pattern of types means none of those that are declared. If none is, nothing can be said.
    pub(crate) fn lacks(&self, resource_type: &Pattern) -> bool {
        !self.0.is_empty() && !self.0.keys().any(|name| resource_type.matches(name))
    }
}

/// The type that all resources have which a pattern of `type/name` matches, if its text tells.
pub(crate) fn resource_type(resource: &Pattern) -> Option<Pattern> {
    let (kind, _) = resource.as_str().split_once('/')?;
    Some(Pattern::new(kind)).filter(|kind| kind.literal().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_what_its_types_mean() {
        let types = [("station", "a seismometer"), ("event", "an earthquake")];
        let owned = types.map(|(name, meaning)| (name.to_owned(), meaning.to_owned()));
        let registry = ResourceRegistry::new(owned);
        assert_eq!(registry.get_resource_type("event"), Some("an earthquake"));
        assert_eq!(registry.get_resource_type("evnt"), None);
        assert_eq!(registry.types().collect::<Vec<_>>(), [types[1], types[0]]);
        assert!(registry.lacks(&Pattern::new("evnt")) && registry.lacks(&Pattern::new("x*")));
        assert!(!registry.lacks(&Pattern::new("st*")));
        assert!(!ResourceRegistry::default().lacks(&Pattern::new("evnt")));
    }

    #[test]
    fn a_pattern_of_resources_tells_a_type_only_where_it_is_written_out() {
        for (pattern, expected) in [
            ("event/*", Some("event")),
            ("event/a/b", Some("event")),
            ("ev*/x", None),
            ("e?ent/x", None),
            ("event", None),
            ("*", None),
        ] {
            let kind = resource_type(&Pattern::new(pattern));
            assert_eq!(kind, expected.map(Pattern::new), "{pattern}");
        }
    }
}
