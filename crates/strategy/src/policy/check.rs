//! Rules and strategies that decide nothing: a policy file that is correct and still not what was meant.

use causality_fact::FactFilter;
use causality_fact::FilterNode;
use causality_fact::Pattern;
use std::collections::BTreeSet;
use std::fmt;

use crate::configured::ConfiguredStrategy;
use crate::context::SyncMode;
use crate::domains::Domains;
use crate::domains::Party;
use crate::policy::Flow;
use crate::policy::PolicyFile;
use crate::policy::Rule;
use crate::policy::SyncPolicies;
use crate::policy::SyncPolicy;
use crate::policy::error;
use crate::policy::error::suggest;
use crate::resources::resource_type;

/// What a domain knows, to compare the rules with.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Known<'a> {
    /// The peers.
    pub peers: &'a [Party<'a>],
    /// The names of the compartments.
    pub compartments: &'a [&'a str],
}

/// A rule or strategy that decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "where it is and what it is")]
pub struct Finding {
    /// What it is called.
    pub rule: String,
    /// The line of the file in which it begins.
    pub line: usize,
    /// Why it decides nothing.
    pub why: Pointless,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?} {}", self.line, self.rule, self.why)
    }
}

/// Why a rule or strategy decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pointless {
    /// One of its windows ends before it begins.
    EmptyWindow,
    /// Another rule grants all that it grants.
    Covered(String),
    /// An event-driven strategy that waits for nothing.
    NoTrigger,
    /// A security policy refuses all that it grants.
    Refused(String),
    /// For each context that a strategy is for, the router finds another one of the same mode first.
    Shadowed(String),
    /// No compartment that is known is meant.
    UnknownCompartment,
    /// No peer that is known is meant.
    UnknownPeer,
    /// A type of resources that the file does not declare, though it declares others.
    UnknownResourceType {
        /// The type, or a pattern that no declared one matches.
        named: String,
        /// The declared type that is nearest, if one is near.
        meant: Option<String>,
    },
}

impl fmt::Display for Pointless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyWindow => f.write_str("never applies: a window ends before it begins"),
            Self::Covered(rule) => write!(f, "changes nothing: {rule:?} grants all that it grants"),
            Self::NoTrigger => f.write_str("never fires: it has no trigger"),
            Self::Shadowed(other) => {
                write!(
                    f,
                    "is never chosen: {other:?} comes first for all that it is for"
                )
            }
            Self::Refused(rule) => write!(f, "never applies: {rule:?} refuses all that it grants"),
            Self::UnknownCompartment => f.write_str("never applies: no known compartment is meant"),
            Self::UnknownPeer => f.write_str("never applies: no known peer is meant"),
            Self::UnknownResourceType { named, meant } => {
                let meant = error::meant(meant.as_deref());
                write!(
                    f,
                    "names {named:?}, which is not among [resource_types]{meant}"
                )
            }
        }
    }
}

pub(super) fn file(file: &PolicyFile, known: &Known<'_>) -> Vec<Finding> {
    let mut findings = rules(&file.policies, known);
    for (place, strategy) in file.strategies.iter().enumerate() {
        let knows = |domains: &Domains| known.peers.iter().any(|peer| domains.matches(peer));
        let why = if strategy
            .key
            .target
            .as_ref()
            .is_some_and(|target| !knows(target))
        {
            Some(Pointless::UnknownPeer)
        } else if strategy.mode() == SyncMode::EventDriven && strategy.triggers().is_empty() {
            Some(Pointless::NoTrigger)
        } else {
            let shadow = shadow(strategy, &file.strategies[..place]);
            shadow.map(|other| Pointless::Shadowed(other.name().to_owned()))
        };
        findings.extend(why.map(|why| Finding {
            rule: strategy.name().to_owned(),
            line: strategy.line,
            why,
        }));
    }
    findings.extend(unknown_resource_types(file));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Types of resources that rules and strategies name and the file does not declare.
fn unknown_resource_types(file: &PolicyFile) -> Vec<Finding> {
    let policies = &file.policies;
    let sync = policies.outward.iter().chain(&policies.inward);
    let rules = sync.map(|policy| &policy.rule);
    let rules = rules.chain(policies.security.iter().map(|policy| &policy.rule));
    let of_rules = rules.map(|rule| {
        let types = rule.conditions.resource_types.iter().flatten().cloned();
        let types = types.chain(named_in(rule.conditions.filter.as_ref()));
        (&rule.name, rule.line, types.collect::<BTreeSet<_>>())
    });
    let of_strategies = file.strategies.iter().map(|strategy| {
        let manner = strategy.manner();
        let filters = strategy.triggers().iter().map(|trigger| &trigger.on);
        let types = strategy.key.resource.as_ref().and_then(resource_type);
        let types = types
            .into_iter()
            .chain(named_in(filters.chain(&manner.scope)));
        (&manner.id, strategy.line, types.collect())
    });
    let all = of_rules.chain(of_strategies);
    let findings = all.flat_map(|(name, line, types)| {
        let unknown = types
            .into_iter()
            .filter(|named| file.resource_types.lacks(named));
        unknown.map(move |named| {
            let known = file.resource_types.types().map(|(name, _)| name);
            Finding {
                rule: name.clone(),
                line,
                why: Pointless::UnknownResourceType {
                    meant: suggest(named.as_str(), known),
                    named: named.as_str().to_owned(),
                },
            }
        })
    });
    findings.collect()
}

/// The types of resources that filters name.
fn named_in<'a>(
    filters: impl IntoIterator<Item = &'a FactFilter>,
) -> impl Iterator<Item = Pattern> {
    let nodes = filters.into_iter().flat_map(FactFilter::nodes);
    nodes.filter_map(|node| match node {
        FilterNode::Resource(pattern) => resource_type(pattern),
        _ => None,
    })
}

/// The strategy that is chosen wherever another one could be, among those that were declared before it. One that is declared
/// later comes first only with a key that is more specific, and such a key does not match all that the other one does.
fn shadow<'a>(
    strategy: &ConfiguredStrategy,
    before: &'a [ConfiguredStrategy],
) -> Option<&'a ConfiguredStrategy> {
    before.iter().find(|other| {
        other.mode() == strategy.mode()
            && other.key.specificity() >= strategy.key.specificity()
            && other.key.cover(&strategy.key)
    })
}

pub(super) fn rules(policies: &SyncPolicies, known: &Known<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for flow in [Flow::Out, Flow::In] {
        let all = policies.sync_policies(flow);
        for (place, policy) in all.iter().enumerate() {
            let covered = all.iter().enumerate().find(|(other, grant)| {
                let is_first = place > *other || !covers(policy, grant, known);
                place != *other && is_first && covers(grant, policy, known)
            });
            let covered = covered.map(|(_, grant)| Pointless::Covered(grant.name().to_owned()));
            let refused = || refused(policies, policy, known).filter(|_| flow == Flow::Out);
            // A compartment that is to come from a peer is known by then only.
            let may_come =
                |why: &Pointless| flow == Flow::In && *why == Pointless::UnknownCompartment;
            let alone = alone(&policy.rule, known).filter(|why| !may_come(why));
            let why = alone.or_else(refused).or(covered);
            findings.extend(why.map(|why| finding(&policy.rule, why)));
        }
    }
    for policy in policies.security_policies() {
        findings.extend(alone(&policy.rule, known).map(|why| finding(&policy.rule, why)));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn finding(rule: &Rule, why: Pointless) -> Finding {
    Finding {
        rule: rule.name.clone(),
        line: rule.line,
        why,
    }
}

/// What is wrong with a rule, whatever the others say.
fn alone(rule: &Rule, known: &Known<'_>) -> Option<Pointless> {
    let knows_compartment = |name: &&str| rule.conditions.allows_compartment(name);
    if rule.conditions.window.is_empty() {
        Some(Pointless::EmptyWindow)
    } else if !known.peers.iter().any(|peer| rule.peers.matches(peer)) {
        Some(Pointless::UnknownPeer)
    } else if !known.compartments.iter().any(knows_compartment) {
        Some(Pointless::UnknownCompartment)
    } else {
        None
    }
}

/// Whether one rule grants all that another one does, and without a limit that the other has not.
fn covers(one: &SyncPolicy, other: &SyncPolicy, known: &Known<'_>) -> bool {
    let limits = one.volume.is_none() || one.volume == other.volume;
    limits && applies_to_all(&one.rule, &other.rule, known)
}

fn refused(policies: &SyncPolicies, policy: &SyncPolicy, known: &Known<'_>) -> Option<Pointless> {
    let mut security = policies.security.iter().filter(|security| security.refuses);
    let refusing = security.find(|security| applies_to_all(&security.rule, &policy.rule, known));
    refusing.map(|security| Pointless::Refused(security.name().to_owned()))
}

fn applies_to_all(one: &Rule, other: &Rule, known: &Known<'_>) -> bool {
    one.peers.cover_known(&other.peers, known.peers) && one.conditions.cover(&other.conditions)
}
