//! Decisions: what the rules about one peer say of one fact, and why.

use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::Label;
use causality_fact::Onward;
use causality_fact::Pattern;
use causality_fact::Row;
use causality_fact::RowCore;
use causality_fact::TaggedHash;
use causality_fact::TemporalFact;
use causality_fact::Truth;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::policy::Flow;
use crate::policy::Protection;
use crate::policy::SecurityPolicy;
use crate::policy::SyncPolicy;
use crate::policy::conditions::SyncWindow;
use crate::policy::conditions::as_moment;
use crate::policy::conditions::encode_texts;
use crate::policy::explain::DecidingRule;

/// A fact about which a decision is wanted, as this domain holds it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct Subject<'a> {
    /// The origin of its log. A row leaves it out.
    pub origin: DomainId,
    /// What the compartment of its log is called here.
    pub compartment: &'a str,
    /// The fact.
    pub row: &'a Row,
}

/// What is to happen to a fact.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is shared or it is not")]
pub enum Decision<'a> {
    /// It is shared.
    Share(Share<'a>),
    /// It is not.
    Refuse {
        /// The rule that decided, if one did.
        rule: Option<DecidingRule<'a>>,
        /// Why.
        reason: Refusal,
    },
}

/// On what terms a fact is shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Share<'a> {
    policy: &'a SyncPolicy,
    /// More rules that grant it; only where each has a volume.
    others: Vec<&'a SyncPolicy>,
    restrictions: Vec<&'a SecurityPolicy>,
}

impl<'a> Share<'a> {
    /// The rule that grants it: the first in the file without a volume, else the first.
    pub fn policy(&self) -> &'a SyncPolicy {
        self.policy
    }

    /// All rules that grant it, as far as it matters: one without a volume, or each that has one.
    pub(super) fn policies(&self) -> impl Iterator<Item = &'a SyncPolicy> {
        [self.policy].into_iter().chain(self.others.iter().copied())
    }

    /// The rule that keeps back a field, if one does.
    pub fn withheld_by(&self, field: &str) -> Option<&'a SecurityPolicy> {
        let mut restrictions = self.restrictions.iter();
        restrictions.find(|policy| policy.withholds(field)).copied()
    }

    /// What of the fact may be shown: the fact without what is withheld.
    pub fn redact(&self, fact: &TemporalFact) -> TemporalFact {
        fact.redact(|field| self.withheld_by(field).is_none())
    }

    /// The security policies that apply to it, or might.
    pub(super) fn restrictions(&self) -> &[&'a SecurityPolicy] {
        &self.restrictions
    }

    /// Whether fields may be kept back.
    pub fn withholds(&self) -> bool {
        let mut restrictions = self.restrictions.iter();
        restrictions.any(|policy| !policy.withholds.is_empty())
    }

    /// The least protection under which it travels.
    pub fn protection(&self) -> Protection {
        let asked = self.restrictions.iter().map(|policy| policy.protection);
        asked.max().unwrap_or_default()
    }
}

/// Why a fact is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "closed: explanations name each")]
pub enum Refusal {
    /// No rule grants it.
    NoRule,
    /// Its origin lets nobody pass it on.
    Onward,
    /// A security policy lets it not out.
    Security,
    /// Whether the rule applies depends on what this domain cannot see of the fact.
    Undetermined,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoRule => "no rule grants it",
            Self::Onward => "its origin lets nobody pass it on",
            Self::Security => "a security policy keeps it here",
            Self::Undetermined => "what is visible of it here does not tell",
        })
    }
}

/// Names the meaning of the rules about one peer: equal for rules that decide alike by their text, in any order and under
/// any names. Two times at which it and the edges passed are the same, the same facts are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyDigest([u8; 32]);

impl PolicyDigest {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The rules about one peer, one way.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPolicy {
    flow: Flow,
    own: DomainId,
    peer: DomainId,
    sync: Vec<Arc<SyncPolicy>>,
    security: Vec<Arc<SecurityPolicy>>,
    digest: PolicyDigest,
}

impl PeerPolicy {
    /// Of the rules that are about the second of two domains, for the first.
    pub(super) fn new(
        flow: Flow,
        [own, peer]: [DomainId; 2],
        sync: Vec<Arc<SyncPolicy>>,
        security: Vec<Arc<SecurityPolicy>>,
    ) -> Self {
        let digest = digest(flow, &sync, &security);
        Self {
            flow,
            own,
            peer,
            sync,
            security,
            digest,
        }
    }

    /// Which way it is about.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// The rules that grant, in the order of the file.
    pub fn sync_policies(&self) -> &[Arc<SyncPolicy>] {
        &self.sync
    }

    /// The rules that restrict, in the order of the file; none the way in.
    pub fn security_policies(&self) -> &[Arc<SecurityPolicy>] {
        &self.security
    }

    /// What names the meaning of these rules.
    pub fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// The next time after `now_ms` at which a rule comes into force or goes out of it: until then, and with the same
    /// digest, the same facts are shared.
    pub fn next_edge(&self, now_ms: u64) -> Option<u64> {
        self.edges().filter(|edge| *edge > now_ms).min()
    }

    /// The last time, `now_ms` at the latest, at which a rule came into force or went out of it: since then, and with the
    /// same digest, the same facts are shared. A clock that is set back beyond it shows a time of other rules.
    pub fn last_edge(&self, now_ms: u64) -> Option<u64> {
        self.edges().filter(|edge| *edge <= now_ms).max()
    }

    fn edges(&self) -> impl Iterator<Item = u64> {
        let sync = self.sync.iter().map(|policy| &policy.rule);
        let rules = sync.chain(self.security.iter().map(|policy| &policy.rule));
        rules.flat_map(|rule| rule.conditions.window.edges())
    }

    /// Whether a peer may learn that there is a log of a compartment: some rule grants facts of it now, and no security
    /// policy keeps all of it.
    pub fn shares_compartment(&self, compartment: &str, now_ms: u64) -> bool {
        let grants =
            |policy: &Arc<SyncPolicy>| policy.rule.conditions.concerns(compartment, now_ms);
        let keeps_all = |policy: &Arc<SecurityPolicy>| {
            let conditions = &policy.rule.conditions;
            policy.refuses
                && conditions.takes_whole_compartments()
                && conditions.concerns(compartment, now_ms)
        };
        self.sync.iter().any(grants) && !self.security.iter().any(keeps_all)
    }

    /// Whether a fact is shared at `now_ms`, on what terms, and by which rule.
    ///
    /// Unknown never delivers: a rule that grants counts only if it certainly applies, and one that restricts counts
    /// unless it certainly does not.
    pub fn should_synchronize_fact(&self, subject: &Subject<'_>, now_ms: u64) -> Decision<'_> {
        let seen = Seen::new(subject);
        let decided = self.grant(&seen, now_ms).and_then(|granted| {
            let restrictions = self.restrictions(&seen, now_ms)?;
            Ok(Decision::Share(Share {
                restrictions,
                ..granted
            }))
        });
        decided.unwrap_or_else(|refusal| refusal)
    }

    /// When a fact that is not shared at `now_ms` will be, if nothing else changes than what is in force; `None` for one
    /// that is shared, or never will be.
    pub fn opens_at(&self, subject: &Subject<'_>, now_ms: u64) -> Option<u64> {
        let seen = Seen::new(subject);
        if self.keeps_onward(&seen) {
            return None;
        }
        // What each rule says of the fact does not change, so it is asked once; only when it says so does.
        let sync = self.sync.iter().map(|policy| &policy.rule.conditions);
        let grants = sync.filter(|conditions| conditions.means(&seen) == Truth::True);
        let grants: Vec<_> = grants.map(|conditions| &conditions.window).collect();
        let security = self
            .security
            .iter()
            .filter(|policy| seen.is_kept_by(policy));
        let security = security.map(|policy| &policy.rule.conditions);
        let refuses = security.filter(|conditions| conditions.means(&seen) != Truth::False);
        let refuses: Vec<_> = refuses.map(|conditions| &conditions.window).collect();

        let is_shared = |ms: &u64| {
            let is_in_force = |window: &&SyncWindow| window.in_force.contains(as_moment(*ms));
            grants.iter().any(is_in_force) && !refuses.iter().any(is_in_force)
        };
        if is_shared(&now_ms) {
            return None;
        }
        let begin = grants.iter().filter_map(|window| window.in_force.from);
        let end = refuses.iter().filter_map(|window| window.in_force.until);
        let edges = begin.chain(end).filter_map(|edge| u64::try_from(edge).ok());
        edges.filter(|edge| *edge > now_ms).filter(is_shared).min()
    }

    /// Whether every fact of a compartment is shared as it is held and counts against no volume, so that nobody need look
    /// at them one by one; but of an origin whose facts are [passed on](Self::passes_on), those with [`Onward::None`] are
    /// not shared.
    ///
    /// It is so where a rule without further conditions grants the compartment, and no security policy might apply.
    pub fn shares_whole(&self, compartment: &str, now_ms: u64) -> bool {
        let grants = |policy: &Arc<SyncPolicy>| {
            let conditions = &policy.rule.conditions;
            policy.volume.is_none()
                && conditions.takes_whole_compartments()
                && conditions.concerns(compartment, now_ms)
        };
        let restricts =
            |policy: &Arc<SecurityPolicy>| policy.rule.conditions.concerns(compartment, now_ms);
        self.sync.iter().any(grants) && !self.security.iter().any(restricts)
    }

    /// The rules with a volume.
    pub(super) fn limited(&self) -> impl Iterator<Item = &SyncPolicy> {
        let policies = self.sync.iter().map(|policy| &**policy);
        policies.filter(|policy| policy.volume.is_some())
    }

    /// Whether sharing facts of an origin is passing them on: then its word about that holds, whatever the rules say.
    pub fn passes_on(&self, origin: DomainId) -> bool {
        self.flow == Flow::Out && ![self.own, self.peer].contains(&origin)
    }

    /// Whether nothing keeps a fact from being shared, should a rule grant it.
    pub fn can_share_fact(&self, subject: &Subject<'_>, now_ms: u64) -> bool {
        self.restrictions(&Seen::new(subject), now_ms).is_ok()
    }

    /// Which rules grant a fact, or that none does: one without a volume if there is one, so that a limit more takes
    /// nothing away.
    fn grant(&self, seen: &Seen<'_>, now_ms: u64) -> Result<Share<'_>, Decision<'_>> {
        let share = |policy, others| Share {
            policy,
            others,
            restrictions: Vec::new(),
        };
        let (mut first, mut others, mut undetermined) = (None, Vec::new(), None);
        for policy in &self.sync {
            match policy.rule.conditions.matches(seen, now_ms) {
                Truth::True if policy.volume.is_none() => return Ok(share(policy, Vec::new())),
                Truth::True if first.is_none() => first = Some(policy),
                Truth::True => others.push(&**policy),
                Truth::Unknown => undetermined = undetermined.or(Some(DecidingRule::Sync(policy))),
                Truth::False => {}
            }
        }
        first
            .map(|first| share(first, others))
            .ok_or(Decision::Refuse {
                rule: undetermined,
                reason: undetermined.map_or(Refusal::NoRule, |_| Refusal::Undetermined),
            })
    }

    /// What restricts a fact, or that it is not shared at all.
    fn restrictions(
        &self,
        seen: &Seen<'_>,
        now_ms: u64,
    ) -> Result<Vec<&SecurityPolicy>, Decision<'_>> {
        let refuse = |rule, reason| Decision::Refuse { rule, reason };
        if self.keeps_onward(seen) {
            return Err(refuse(None, Refusal::Onward));
        }
        let mut restrictions = Vec::new();
        for policy in &self.security {
            let reason = match policy.rule.conditions.matches(seen, now_ms) {
                Truth::False => continue,
                Truth::True if policy.refuses => Refusal::Security,
                Truth::True | Truth::Unknown => Refusal::Undetermined,
            };
            if seen.is_kept_by(policy) {
                return Err(refuse(Some(DecidingRule::Security(policy)), reason));
            }
            restrictions.push(&**policy);
        }
        Ok(restrictions)
    }

    /// Whether a fact is not passed on because its origin says so.
    fn keeps_onward(&self, seen: &Seen<'_>) -> bool {
        self.passes_on(seen.subject.origin) && seen.header().0 == Onward::None
    }
}

/// A fact as the conditions look at it: its content is read once, and only if one asks.
pub(super) struct Seen<'a> {
    subject: &'a Subject<'a>,
    fact: OnceCell<Option<TemporalFact>>,
}

impl<'a> Seen<'a> {
    fn new(subject: &'a Subject<'a>) -> Self {
        let fact = OnceCell::new();
        Self { subject, fact }
    }

    pub(super) fn compartment(&self) -> &str {
        self.subject.compartment
    }

    pub(super) fn core(&self) -> &RowCore {
        self.subject.row.core()
    }

    /// What every core says, also one that cannot be read.
    pub(super) fn header(&self) -> (Onward, &Label) {
        match self.core() {
            RowCore::Known(core) => (core.onward, &core.label),
            RowCore::Unsupported(header) => (header.onward, &header.label),
        }
    }

    /// Whether a policy that applies lets nothing of the fact out: where fields cannot be told apart, none can be withheld
    /// alone.
    fn is_kept_by(&self, policy: &SecurityPolicy) -> bool {
        let is_opaque = matches!(self.core(), RowCore::Unsupported(_));
        policy.refuses || (is_opaque && !policy.withholds.is_empty())
    }

    pub(super) fn fact(&self) -> Option<&TemporalFact> {
        self.fact.get_or_init(|| self.subject.row.fact()).as_ref()
    }
}

/// Names are left out: they change what is said, not what is shared. Volumes are not: whoever was put off by one is looked at
/// again when it is another.
fn digest(flow: Flow, sync: &[Arc<SyncPolicy>], security: &[Arc<SecurityPolicy>]) -> PolicyDigest {
    let sync = sync.iter().map(|policy| {
        let mut to = Encoder::new();
        let volume = policy.volume.as_ref();
        let limits = volume.map(|volume| [volume.facts(), volume.bytes(), volume.seconds()]);
        for limit in limits.unwrap_or_default() {
            to.uint(limit);
        }
        policy.rule.conditions.encode(&mut to);
        to.finish()
    });
    let security = security.iter().map(|policy| {
        let mut to = Encoder::new();
        to.u8(u8::from(policy.refuses)).u8(policy.protection as u8);
        encode_texts(Some(policy.withholds.iter().map(Pattern::as_str)), &mut to);
        policy.rule.conditions.encode(&mut to);
        to.finish()
    });
    let mut to = Encoder::new();
    to.u8(flow as u8);
    for rules in [sync.collect::<BTreeSet<_>>(), security.collect()] {
        to.length(rules.len());
        for rule in rules {
            to.bytes(&rule);
        }
    }
    PolicyDigest(
        TaggedHash::new("causality/0/policy")
            .chain(to.finish())
            .finish(),
    )
}
