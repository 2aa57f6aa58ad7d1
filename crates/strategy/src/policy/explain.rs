//! Decisions in words: which rule decides, what it withholds, and when that changes by itself.

use std::fmt;

use crate::policy::Flow;
use crate::policy::Protection;
use crate::policy::Rule;
use crate::policy::SecurityPolicy;
use crate::policy::SyncPolicy;
use crate::policy::decision::Decision;
use crate::policy::decision::PeerPolicy;
use crate::policy::decision::Refusal;
use crate::policy::decision::Share;
use crate::policy::decision::Subject;
use crate::policy::moment;

/// A rule that decided.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "rules grant or restrict")]
pub enum DecidingRule<'a> {
    /// One that grants.
    Sync(&'a SyncPolicy),
    /// One that restricts.
    Security(&'a SecurityPolicy),
}

impl<'a> DecidingRule<'a> {
    /// What it is called.
    pub fn name(&self) -> &'a str {
        &self.rule().name
    }

    /// The line of the file in which it begins; 0 for one that is in no file.
    pub fn line(&self) -> usize {
        self.rule().line
    }

    fn rule(&self) -> &'a Rule {
        match self {
            Self::Sync(policy) => &policy.rule,
            Self::Security(policy) => &policy.rule,
        }
    }
}

impl fmt::Display for DecidingRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Sync(_) if self.line() == 0 => "the grant",
            Self::Sync(_) => "the rule",
            Self::Security(_) => "the security policy",
        };
        write!(f, "{kind} {:?}", self.name())?;
        match self.line() {
            0 => Ok(()),
            line => write!(f, " (line {line})"),
        }
    }
}

impl PeerPolicy {
    /// Why a fact is shared at `now_ms`, or why not, in plain sentences: the rule that decides, what it keeps back of the
    /// fields that are visible here, and when it will be shared if nothing else changes.
    pub fn explain(&self, subject: &Subject<'_>, now_ms: u64) -> String {
        let verb = match self.flow() {
            Flow::In => "taken",
            Flow::Out => "shared",
        };
        match self.should_synchronize_fact(subject, now_ms) {
            Decision::Share(share) => {
                let rule = DecidingRule::Sync(share.policy());
                format!("It is {verb}: {rule} grants it.{}", terms(&share, subject))
            }
            Decision::Refuse { rule, reason } => {
                let why = why(rule, reason);
                let opens = self.opens_at(subject, now_ms).map(|ms| {
                    let moment = moment::text(ms);
                    format!(" It will be from {moment} on, if nothing else changes.")
                });
                format!("It is not {verb}: {why}.{}", opens.unwrap_or_default())
            }
        }
    }
}

/// On what terms a fact is shared, a sentence each.
fn terms(share: &Share<'_>, subject: &Subject<'_>) -> String {
    let fact = subject.row.fact();
    let fields = fact.iter().flat_map(|fact| fact.content().disclosed());
    let fields: Vec<_> = fields.map(|(name, _)| name).collect();
    let mut terms = String::new();
    for policy in share.restrictions() {
        let is_first =
            |other: Option<&SecurityPolicy>| other.is_some_and(|o| std::ptr::eq(o, *policy));
        let withheld = fields
            .iter()
            .filter(|field| is_first(share.withheld_by(field)));
        let withheld: Vec<_> = withheld.map(|field| format!("{field:?}")).collect();
        let rule = DecidingRule::Security(policy);
        if let Some((last, others)) = withheld.split_last() {
            let and = if others.is_empty() { "" } else { " and " };
            terms += &format!(" Without {}{and}{last}, says {rule}.", others.join(", "));
        }
        if policy.protection() == Protection::Session {
            terms += &format!(" Under the keys of a session only, says {rule}.");
        }
    }
    terms
}

fn why(rule: Option<DecidingRule<'_>>, reason: Refusal) -> String {
    match (rule, reason) {
        (Some(rule), Refusal::Undetermined) => {
            let does = match rule {
                DecidingRule::Sync(_) => "grants it",
                DecidingRule::Security(_) => "keeps it here",
            };
            format!("{reason} whether {rule} {does}")
        }
        (Some(rule), _) => format!("{rule} keeps it here"),
        (None, _) => reason.to_string(),
    }
}
