//! Rules that decide nothing: a policy file that is correct and still not what was meant.

use std::fmt;

use crate::domains::Party;
use crate::policy::Flow;
use crate::policy::Rule;
use crate::policy::SyncPolicies;
use crate::policy::SyncPolicy;

/// What a domain knows, to compare the rules with.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Known<'a> {
    /// The peers.
    pub peers: &'a [Party<'a>],
    /// The names of the compartments.
    pub compartments: &'a [&'a str],
}

/// A rule that decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "where it is and what it is")]
pub struct Finding {
    /// What the rule is called.
    pub rule: String,
    /// The line of the file in which it begins.
    pub line: usize,
    /// Why it decides nothing.
    pub why: Pointless,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: the rule {:?} {}",
            self.line, self.rule, self.why
        )
    }
}

/// Why a rule decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pointless {
    /// One of its windows ends before it begins.
    EmptyWindow,
    /// Another rule grants all that it grants.
    Covered(String),
    /// A security policy refuses all that it grants.
    Refused(String),
    /// No compartment that is known is meant.
    UnknownCompartment,
    /// No peer that is known is meant.
    UnknownPeer,
}

impl fmt::Display for Pointless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyWindow => f.write_str("never applies: a window ends before it begins"),
            Self::Covered(rule) => write!(f, "changes nothing: {rule:?} grants all that it grants"),
            Self::Refused(rule) => write!(f, "never applies: {rule:?} refuses all that it grants"),
            Self::UnknownCompartment => f.write_str("never applies: no known compartment is meant"),
            Self::UnknownPeer => f.write_str("never applies: no known peer is meant"),
        }
    }
}

pub(super) fn check(policies: &SyncPolicies, known: &Known<'_>) -> Vec<Finding> {
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
    one.peers.cover(&other.peers, known.peers) && one.conditions.cover(&other.conditions)
}
