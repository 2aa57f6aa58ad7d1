//! What a strategy is asked about, and the keys by which the router finds one.

use causality_fact::DomainId;
use causality_fact::FactCore;
use causality_fact::FactType;
use causality_fact::FactTypePattern;
use causality_fact::Label;
use causality_fact::Pattern;
use causality_fact::Resource;
use causality_fact::TransportPublicKey;

use crate::domains::Domains;
use crate::domains::Party;
use crate::domains::covers;
use crate::domains::covers_given;

/// How facts are to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "two directions, both, or when something happens"
)]
pub enum SyncMode {
    /// Both ways.
    Bidirectional,
    /// When a fact occurs that a trigger waits for.
    EventDriven,
    /// From the target to the source.
    Pull,
    /// From the source to the target.
    Push,
}

/// What authenticated the peer of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a Hello proves, all of it")]
pub struct AuthContext {
    /// The transport key whose possession it proved.
    pub transport_key: TransportPublicKey,
    /// The domain whose key log lists that key.
    pub domain: DomainId,
    /// The epoch of the record that lists it.
    pub epoch: u32,
    /// Since when the session stands.
    pub since_ms: u64,
}

/// What a fact says of itself to whoever looks for its strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct About<'a> {
    /// Its type.
    pub fact_type: &'a FactType,
    /// What it is about.
    pub resource: &'a Resource,
    /// How it is to be handled.
    pub label: &'a Label,
}

impl<'a> About<'a> {
    /// What a core says.
    pub fn of(core: &'a FactCore) -> Self {
        Self {
            fact_type: &core.fact_type,
            resource: &core.resource,
            label: &core.label,
        }
    }
}

/// One question to the router: from whom to whom, about what kind of fact, how, and over which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct SyncContext<'a> {
    /// The domain that decides.
    pub source: Party<'a>,
    /// The domain on the other side.
    pub target: Party<'a>,
    /// Which fact; `None` while that is not known, as before it is asked for what is new. Then each condition on facts is
    /// one that they may meet.
    pub about: Option<About<'a>>,
    /// How it is to travel.
    pub mode: SyncMode,
    /// What authenticated the other side, while there is a session with it.
    pub auth: Option<AuthContext>,
}

/// Which contexts a strategy is for: those that meet every condition that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "any combination of conditions is a key"
)]
pub struct SyncContextKey {
    /// From one of these domains.
    pub source: Option<Domains>,
    /// To one of these domains.
    pub target: Option<Domains>,
    /// About facts of this type.
    pub fact_type: Option<FactTypePattern>,
    /// About a resource whose `type/name` matches.
    pub resource: Option<Pattern>,
    /// About facts whose label matches.
    pub label: Option<Pattern>,
}

impl SyncContextKey {
    /// Whether a context meets every condition.
    pub fn matches(&self, context: &SyncContext<'_>) -> bool {
        let domains = |domains: &Option<Domains>, party| {
            domains
                .as_ref()
                .is_none_or(|domains| domains.matches(party))
        };
        let text = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let is_about = |about: &About<'_>| {
            let fact_type = self.fact_type.as_ref();
            fact_type.is_none_or(|pattern| pattern.matches(about.fact_type))
                && text(&self.label, about.label.as_str())
                && (self.resource.is_none() || text(&self.resource, &about.resource.to_string()))
        };
        domains(&self.source, &context.source)
            && domains(&self.target, &context.target)
            && context.about.as_ref().is_none_or(is_about)
    }

    /// Whether each context that another key matches is certainly matched by this one.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        let domains = |mine: &Option<Domains>, other: &Option<Domains>| {
            covers_given(mine.as_ref(), other.as_ref(), Domains::cover)
        };
        domains(&self.source, &other.source)
            && domains(&self.target, &other.target)
            && self.cover_facts(other)
    }

    /// The same between two domains that both keys match.
    pub(crate) fn cover_facts(&self, other: &Self) -> bool {
        let text = |mine: &Option<Pattern>, other: &Option<Pattern>| {
            covers_given(mine.as_ref(), other.as_ref(), covers)
        };
        let types = |mine: &FactTypePattern, other: &FactTypePattern| match (mine, other) {
            (FactTypePattern::Named(mine), FactTypePattern::Named(other)) => covers(mine, other),
            (FactTypePattern::Named(mine), FactTypePattern::Is(other)) => {
                mine.matches(&other.name())
            }
            _ => *mine == FactTypePattern::Any || mine == other,
        };
        covers_given(self.fact_type.as_ref(), other.fact_type.as_ref(), types)
            && text(&self.resource, &other.resource)
            && text(&self.label, &other.label)
    }

    /// How specific it is: how many conditions name something exactly, then how many have a wildcard. Larger is more
    /// specific.
    pub fn specificity(&self) -> Specificity {
        let is_literal = |pattern: &Pattern| pattern.literal().is_some();
        let is_exact = [
            self.source.as_ref().map(Domains::is_exact),
            self.target.as_ref().map(Domains::is_exact),
            self.fact_type.as_ref().and_then(|pattern| match pattern {
                FactTypePattern::Any => None,
                FactTypePattern::Is(_) => Some(true),
                FactTypePattern::Named(pattern) => Some(is_literal(pattern)),
            }),
            self.resource.as_ref().map(is_literal),
            self.label.as_ref().map(is_literal),
        ];
        let count = |wanted| {
            is_exact
                .iter()
                .filter(|exact| **exact == Some(wanted))
                .count()
        };
        Specificity {
            exact: count(true),
            patterns: count(false),
        }
    }
}

/// How specific a key is. The largest that matches wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    exact: usize,
    patterns: usize,
}
