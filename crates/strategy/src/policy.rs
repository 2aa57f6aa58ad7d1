//! Policies: what is shared with whom, and what stays whatever else is said (`docs/src/policies.md`).
//!
//! Sync policies grant and security policies restrict. Grants add up, restrictions add up, and restrictions win, so the
//! order of the rules means nothing.

mod check;
mod conditions;
mod decision;
mod error;
mod explain;
mod file;
mod moment;
mod terms;
mod volume;

use causality_fact::DomainId;
use causality_fact::DomainPattern;
use causality_fact::FactType;
use causality_fact::Pattern;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domains::Domains;
use crate::domains::Party;

pub use check::Finding;
pub use check::Known;
pub use check::Pointless;
pub use conditions::SyncWindow;
pub use conditions::Window;
pub use decision::Decision;
pub use decision::PeerPolicy;
pub use decision::PolicyDigest;
pub use decision::Refusal;
pub use decision::Share;
pub use decision::Subject;
pub use error::InvalidPolicy;
pub use error::PolicyError;
pub use error::suggest;
pub use explain::DecidingRule;
pub use file::BATCH_FACTS_MAX;
pub use file::DURATION_MS_MAX;
pub use file::PolicyFile;
pub use file::REPEAT_MS_MIN;
pub use file::RETRIES_MAX;
pub use file::TRIGGERS_MAX;
pub use terms::Terms;
pub use volume::Meter;
pub use volume::Meters;
pub use volume::Volume;

use conditions::Conditions;

/// The longest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
/// The most rules and strategies of a policy file.
pub const RULES_MAX: usize = 1024;
/// The most entries of one list, groups spelled out.
pub const LIST_MAX: usize = 1024;
/// The longest name of a rule or strategy, and the longest id of a trigger, in bytes.
pub const RULE_NAME_BYTES_MAX: usize = 64;
/// The longest meaning of a type of resources, in bytes.
pub const MEANING_BYTES_MAX: usize = 512;

/// Which way facts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there are two ways")]
pub enum Flow {
    /// From a peer to this domain.
    In,
    /// From this domain to a peer.
    Out,
}

/// The keys under which a fact travels at least. Nothing travels unencrypted, so there is no level below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a message is sealed to a key that lasts or to one that is forgotten"
)]
pub enum Protection {
    /// The peer's long-term key is enough, so a message may wait for it somewhere.
    #[default]
    Sealed,
    /// Keys of one session only: what was recorded cannot be opened later.
    Session,
}

/// What the rules of both kinds have: who and what they are about.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    name: String,
    line: usize,
    peers: Domains,
    conditions: Conditions,
    /// The text of the filter, for whoever shows the rule.
    filter: Option<String>,
}

/// A rule that grants: facts that a peer may have, or that are taken from it.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncPolicy {
    rule: Rule,
    volume: Option<Volume>,
}

impl SyncPolicy {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// The line of the file in which it begins; 0 for one that is in no file.
    pub fn line(&self) -> usize {
        self.rule.line
    }

    /// Whether facts of a type are meant.
    pub fn allows_fact_type(&self, fact_type: &FactType) -> bool {
        self.rule.conditions.allows_fact_type(fact_type)
    }

    /// Whether facts about resources of a type are meant. The type is part of the resource's name, which is signed.
    pub fn allows_resource_type(&self, resource_type: &str) -> bool {
        self.rule.conditions.allows_resource_type(resource_type)
    }

    /// Facts of which times are meant, and when the rule is in force.
    pub fn get_sync_window(&self) -> &SyncWindow {
        &self.rule.conditions.window
    }

    /// How much may travel for its sake, if that is limited.
    pub fn volume(&self) -> Option<&Volume> {
        self.volume.as_ref()
    }
}

/// A rule that restricts what leaves, whatever the sync policies say.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityPolicy {
    rule: Rule,
    refuses: bool,
    withholds: BTreeSet<Pattern>,
    protection: Protection,
}

impl SecurityPolicy {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.rule.name
    }

    /// The line of the file in which it begins.
    pub fn line(&self) -> usize {
        self.rule.line
    }

    /// Whether it lets nothing out.
    pub fn refuses(&self) -> bool {
        self.refuses
    }

    /// Whether it keeps back a field.
    pub fn withholds(&self, field: &str) -> bool {
        self.withholds.iter().any(|pattern| pattern.matches(field))
    }

    /// The protection that it asks for.
    pub fn protection(&self) -> Protection {
        self.protection
    }
}

/// All rules of a domain, as a policy file has them. None by default: what no rule grants is not shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncPolicies {
    inward: Vec<Arc<SyncPolicy>>,
    outward: Vec<Arc<SyncPolicy>>,
    security: Vec<Arc<SecurityPolicy>>,
}

impl SyncPolicies {
    /// Reads the rules of a policy file, and checks the rest of it.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        PolicyFile::parse(text).map(|file| file.policies)
    }

    /// Adds a rule that grants a peer, or lets in from it, whole compartments: what an address book says beside the file.
    /// The rule has no line. Nothing is added for no compartments.
    pub fn grant<'a>(
        &mut self,
        flow: Flow,
        name: &str,
        peer: DomainId,
        compartments: impl IntoIterator<Item = &'a str>,
    ) {
        let compartments: BTreeSet<_> = compartments.into_iter().map(Pattern::new).collect();
        if compartments.is_empty() {
            return;
        }
        let rule = Rule {
            name: name.to_owned(),
            line: 0,
            peers: Domains::new([DomainPattern::Id(peer)]),
            conditions: Conditions {
                compartments: Some(compartments),
                ..Conditions::default()
            },
            filter: None,
        };
        let rules = match flow {
            Flow::In => &mut self.inward,
            Flow::Out => &mut self.outward,
        };
        rules.push(Arc::new(SyncPolicy { rule, volume: None }));
    }

    /// The rules that grant, in the order of the file.
    pub fn sync_policies(&self, flow: Flow) -> &[Arc<SyncPolicy>] {
        match flow {
            Flow::In => &self.inward,
            Flow::Out => &self.outward,
        }
    }

    /// The rules that restrict, in the order of the file.
    pub fn security_policies(&self) -> &[Arc<SecurityPolicy>] {
        &self.security
    }

    /// The rules about one peer of the domain `own`, ready to decide. What it is called here is asked once: make it again
    /// when the address book changes.
    pub fn get_policy_for_domain(&self, flow: Flow, own: DomainId, peer: &Party<'_>) -> PeerPolicy {
        let concerns = |rule: &Rule| rule.peers.matches(peer);
        let sync = self.sync_policies(flow).iter();
        let sync = sync.filter(|policy| concerns(&policy.rule)).cloned();
        let security = self.security.iter();
        let security = security.filter(|policy| flow == Flow::Out && concerns(&policy.rule));
        PeerPolicy::new(
            flow,
            [own, peer.domain],
            sync.collect(),
            security.cloned().collect(),
        )
    }
    /// Rules that decide nothing, given who and what is known here.
    pub fn check(&self, known: &Known<'_>) -> Vec<Finding> {
        check::rules(self, known)
    }
}

#[cfg(test)]
mod tests;
