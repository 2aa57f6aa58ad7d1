//! What rules say, in the words of their file: for whoever shows them.

use causality_fact::DomainPattern;
use causality_fact::Onward;
use causality_fact::Pattern;
use std::collections::BTreeSet;

use crate::policy::Flow;
use crate::policy::Rule;
use crate::policy::SecurityPolicy;
use crate::policy::SyncPolicies;
use crate::policy::SyncPolicy;
use crate::policy::conditions::SyncWindow;
use crate::policy::conditions::onward_name;

/// Who and what a rule is about, in the words of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms<'a> {
    /// The lists that the rule has, each under its key; groups are spelled out.
    pub lists: Vec<(&'static str, Vec<String>)>,
    /// Facts of which times are meant, and when the rule is in force.
    pub window: &'a SyncWindow,
    /// The text of the filter, if the rule has one.
    pub filter: Option<&'a str>,
}

impl SyncPolicy {
    /// Who and what it is about.
    pub fn terms(&self) -> Terms<'_> {
        terms(&self.rule)
    }
}

impl SecurityPolicy {
    /// Who and what it is about.
    pub fn terms(&self) -> Terms<'_> {
        terms(&self.rule)
    }

    /// The names and patterns of the fields that it keeps back.
    pub fn withheld(&self) -> impl Iterator<Item = &str> {
        self.withholds.iter().map(Pattern::as_str)
    }
}

impl SyncPolicies {
    /// The compartments that the rules of one way name as they are, without a wildcard.
    pub fn compartments(&self, flow: Flow) -> BTreeSet<&str> {
        let rules = self.sync_policies(flow).iter();
        let patterns = rules.filter_map(|policy| policy.rule.conditions.compartments.as_ref());
        patterns.flatten().filter_map(Pattern::literal).collect()
    }
}

fn terms(rule: &Rule) -> Terms<'_> {
    let conditions = &rule.conditions;
    let texts = |patterns: &Option<BTreeSet<Pattern>>| {
        let patterns = patterns.iter().flatten();
        patterns
            .map(|pattern| pattern.as_str().to_owned())
            .collect()
    };
    let types = conditions.fact_types.iter().flatten();
    let onward = conditions.onward.iter().flatten();
    let mut lists: Vec<(_, Vec<String>)> = vec![
        ("peers", rule.peers.patterns().map(domain).collect()),
        ("compartments", texts(&conditions.compartments)),
        ("fact_types", types.map(|(text, _)| text.clone()).collect()),
        ("resource_types", texts(&conditions.resource_types)),
        ("labels", texts(&conditions.labels)),
        (
            "onward",
            onward
                .map(|onward: &Onward| onward_name(*onward).to_owned())
                .collect(),
        ),
    ];
    // No list is empty, so an empty one is none.
    lists.retain(|(_, entries)| !entries.is_empty());
    Terms {
        lists,
        window: &conditions.window,
        filter: rule.filter.as_deref(),
    }
}

fn domain(pattern: &DomainPattern) -> String {
    match pattern {
        DomainPattern::Id(id) => id.to_string(),
        DomainPattern::Named(name) => name.as_str().to_owned(),
    }
}
