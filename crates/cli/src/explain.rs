//! The command `explain`: why a fact is or is not at a peer, why one that came from there was taken, and who keeps back what
//! is missing here.

use causality_fact::{DomainId, FactId, LogId, Row, RowCore};
use causality_node::{Clock as _, FactRecord, Hole, Kept, PeerConfig, SyncStatus, SystemClock};
use causality_store::{FactReader as _, Place, StoredBody};
use causality_strategy::{DecidingRule, Decision, PeerPolicy, Protection, Refusal, Share, Subject};
use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::facts::fact_id;
use crate::handler::{Context, done};
use crate::name;
use crate::plain::plain;
use crate::protocol::{
    DecisionItem, ExplainSummary, HoleItem, Reply, RuleName, SourceItem, Summary, WithheldItem,
};
use crate::time;

/// The digits of the id of a lane, and the fewest of its first ones that it is known by.
const LANE_DIGITS: usize = 32;
const LANE_DIGITS_MIN: usize = 8;

/// What is explained.
enum Thing {
    /// A fact that is held, or a part of it.
    Fact(Box<FactRecord>),
    /// A position of which a hash only is held, and the id if that was said.
    Hole(Place, Option<FactId>),
}

/// Explains a fact, or a position as `LANE:POSITION`, with a view to a peer.
pub(crate) async fn explain(
    context: &Context,
    said: &str,
    peer: &str,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let peer = name::peer(&context.peers().await, peer)?.clone();
    let thing = match said.split_once(':') {
        Some((lane, position)) => at(context, said, lane, position).await?,
        None => by_id(context, said).await?,
    };
    let place = match &thing {
        Thing::Fact(record) => record.place,
        Thing::Hole(place, _) => *place,
    };
    let own = context.node.domain();
    let config = PeerConfig::from(peer);
    let policies = config.policies(&context.policy().await?.policies, own);
    let (origin, now_ms) = (place.log.origin, SystemClock.now_ms());
    let hole = context.node.hole(place).await?;
    let status = match origin == config.domain {
        true => None,
        false => context.node.sync_status(config.domain, place).await?,
    };
    let compartment = match (&thing, &hole) {
        (Thing::Fact(record), _) => record.compartment.clone(),
        (_, Some(hole)) => hole.compartment.clone(),
        _ => place.log.compartment.to_string(),
    };
    let mut summary = ExplainSummary {
        fact: None,
        resource: None,
        origin: origin.to_string(),
        origin_name: context.name_of(origin).await,
        lane: place.log.lane.to_string(),
        position: place.position,
        held: "hash".to_owned(),
        peer: config.name,
        out: None,
        at_peer: status_word(origin == config.domain, status).to_owned(),
        inward: None,
        hole: None,
        compartment,
    };
    match &thing {
        Thing::Fact(record) => {
            let subject = Subject {
                origin,
                compartment: &record.compartment,
                row: &record.row,
            };
            let decide = |policy| decision(policy, &subject, now_ms);
            summary.fact = Some(record.row.id().to_string());
            if let RowCore::Known(core) = record.row.core() {
                summary.resource = Some(core.resource.to_string());
            }
            let is_partial = hole.as_ref().is_some_and(|hole| hole.is_partial);
            summary.held = if is_partial { "part" } else { "whole" }.to_owned();
            summary.out = (origin != config.domain).then(|| decide(&policies.outward));
            summary.inward = (origin != own).then(|| decide(&policies.inward));
        }
        Thing::Hole(_, id) => summary.fact = id.map(|id| id.to_string()),
    }
    if let Some(hole) = hole {
        summary.hole = Some(hole_item(context, origin, hole).await);
    }
    done(replies, Summary::Explained(Box::new(summary))).await
}

/// The fact of an id, or the place of its hash.
async fn by_id(context: &Context, said: &str) -> Result<Thing, Failure> {
    let id = fact_id(context, said).await?;
    if let Some(record) = context.node.registry().received().get_fact(id).await? {
        return Ok(Thing::Fact(Box::new(record)));
    }
    let place = context.node.find_hole(id).await?;
    let place = place.ok_or_else(|| {
        Failure::not_found(format_args!(
            "fact {id} is not held here, nor its hash in any log that is"
        ))
        .advise("`causality status` shows the logs that are held")
    })?;
    Ok(Thing::Hole(place, Some(id)))
}

/// What is held at a position of a lane.
async fn at(context: &Context, said: &str, lane: &str, position: &str) -> Result<Thing, Failure> {
    let is_lane = (LANE_DIGITS_MIN..=LANE_DIGITS).contains(&lane.len())
        && lane
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Some(position) = position.parse::<u64>().ok().filter(|_| is_lane) else {
        let what = format_args!("{said:?} is no position of a log");
        return Err(Failure::usage(what).advise(
            "write LANE:POSITION, where `causality status -o json` shows lanes; their first 8 digits are enough",
        ));
    };
    let logs = context.node.status().await?.logs;
    let begins = |log: &&LogId| log.lane.to_string().starts_with(lane);
    let log = match logs.keys().filter(begins).collect::<Vec<_>>().as_slice() {
        [] => {
            let what = format_args!("no lane of a log that is held here begins with {lane}");
            return Err(Failure::not_found(what).advise("`causality status` shows lanes"));
        }
        [log] => **log,
        [one, other, ..] => return Err(name::ambiguous(lane, [&one.lane, &other.lane])),
    };
    let entries = context.store.at(&log, &[position], 1).await?;
    let Some(entry) = entries.first() else {
        let size = logs.get(&log).copied().unwrap_or_default();
        let what = format_args!("there is no position {position}: {size} of this log are known");
        return Err(Failure::not_found(what));
    };
    let place = Place { log, position };
    let record = match &entry.body {
        StoredBody::Row { id, .. } => context.node.registry().received().get_fact(*id).await?,
        StoredBody::Withheld { .. } => None,
    };
    Ok(record.map_or(Thing::Hole(place, None), |record| {
        Thing::Fact(Box::new(record))
    }))
}

/// What the rules one way say of a fact.
fn decision(policy: &PeerPolicy, subject: &Subject<'_>, now_ms: u64) -> DecisionItem {
    let words = policy.explain(subject, now_ms);
    let item = DecisionItem {
        granted: false,
        rule: None,
        reason: None,
        withheld: Vec::new(),
        protection: None,
        opens: None,
        words,
    };
    match policy.should_synchronize_fact(subject, now_ms) {
        Decision::Share(share) => DecisionItem {
            granted: true,
            rule: Some(DecidingRule::Sync(share.policy()).into()),
            withheld: withheld(&share, subject.row),
            protection: (share.protection() == Protection::Session).then(|| "session".to_owned()),
            ..item
        },
        Decision::Refuse { rule, reason } => DecisionItem {
            rule: rule.map(RuleName::from),
            reason: Some(reason_word(reason).to_owned()),
            opens: policy
                .opens_at(subject, now_ms)
                .map(|ms| time::format(i64::try_from(ms).unwrap_or(i64::MAX))),
            ..item
        },
    }
}

/// The fields that are held here and are kept back.
fn withheld(share: &Share<'_>, row: &Row) -> Vec<WithheldItem> {
    let fact = row.fact();
    let fields = fact.iter().flat_map(|fact| fact.content().disclosed());
    let item = |(field, _): (&str, _)| {
        let rule = share.withheld_by(field)?;
        Some(WithheldItem {
            field: field.to_owned(),
            rule: DecidingRule::Security(rule).into(),
        })
    };
    fields.filter_map(item).collect()
}

impl From<DecidingRule<'_>> for RuleName {
    fn from(rule: DecidingRule<'_>) -> Self {
        let line = rule.line() as u64;
        Self {
            name: rule.name().to_owned(),
            line: (line > 0).then_some(line),
        }
    }
}

fn reason_word(reason: Refusal) -> &'static str {
    match reason {
        Refusal::NoRule => "no_rule",
        Refusal::Onward => "onward",
        Refusal::Security => "security",
        Refusal::Undetermined => "undetermined",
    }
}

fn status_word(is_its_own: bool, status: Option<SyncStatus>) -> &'static str {
    match status {
        _ if is_its_own => "own",
        Some(SyncStatus::Queued) => "queued",
        Some(SyncStatus::Received) => "received",
        Some(SyncStatus::Refused) => "refused",
        Some(SyncStatus::Sent) => "sent",
        Some(SyncStatus::Skipped) => "skipped",
        Some(SyncStatus::Withheld) => "withheld",
        _ => "unknown",
    }
}

/// Who says what of something that is missing here, and what can be done.
async fn hole_item(context: &Context, origin: DomainId, hole: Hole) -> HoleItem {
    let mut item = HoleItem {
        sources: Vec::new(),
        advice: Vec::new(),
    };
    let mut is_explained = false;
    for (peer, kept) in hole.sources {
        let name = context.name_of(peer).await;
        let peer = name.unwrap_or_else(|| peer.to_string());
        let (says, advice) = match kept {
            Kept::Declined => (
                "declined",
                format!(
                    "the rules of [[in]] here do not take it from {peer}; once they do, sync with {peer}"
                ),
            ),
            Kept::Deferred => (
                "deferred",
                format!("wait: {peer} shares it by itself when a time has come"),
            ),
            Kept::Partial => (
                "partial",
                format!(
                    "{peer} shows some of its fields; whoever runs {peer} decides by its policy about the others"
                ),
            ),
            _ => (
                "withheld",
                format!("{peer} withholds it; whoever runs {peer} decides that by its policy"),
            ),
        };
        is_explained = true;
        item.advice.push(advice);
        let says = says.to_owned();
        item.sources.push(SourceItem { peer, says });
    }
    if !is_explained {
        let name = context.name_of(origin).await;
        let origin = name.unwrap_or_else(|| origin.to_string());
        item.advice.push(format!(
            "no peer has said why; sync with {origin}, which said it, or with another peer that may hold it"
        ));
    }
    item
}

impl ExplainSummary {
    /// The explanation for people.
    pub(crate) fn text(&self) -> String {
        let origin = self.origin_name.as_ref().unwrap_or(&self.origin);
        let what = match (&self.resource, &self.fact) {
            (Some(resource), _) => resource.clone(),
            (None, Some(fact)) => format!("fact {fact}"),
            (None, None) => "a fact of which only the hash is held".to_owned(),
        };
        let mut lines = vec![format!(
            "{what} of {origin}, in {}, lane {}, position {}",
            self.compartment, self.lane, self.position
        )];
        if let Some(fact) = &self.fact {
            lines.push(format!("  {fact}"));
        }
        let peer = &self.peer;
        lines.push(format!("to {peer}"));
        lines.extend(self.out.iter().map(|out| format!("  {}", out.words)));
        lines.push(format!("  {}", self.at_peer_words()));
        if let Some(inward) = &self.inward {
            lines.push(format!("from {peer}"));
            lines.push(format!("  {}", inward.words));
        }
        if let Some(hole) = &self.hole {
            lines.push("here".to_owned());
            let held = match self.held.as_str() {
                "part" => "Only some of its fields are held.",
                _ => "Only its hash is held.",
            };
            lines.push(format!("  {held}"));
            lines.extend(hole.advice.iter().map(|advice| format!("  - {advice}")));
        }
        let lines = lines.iter().map(|line| format!("{}\n", plain(line)));
        lines.collect()
    }

    fn at_peer_words(&self) -> String {
        let peer = &self.peer;
        let is_granted = self.out.as_ref().is_some_and(|out| out.granted);
        match self.at_peer.as_str() {
            "own" => format!("It is {peer}'s own."),
            "queued" if is_granted => format!("It waits to be sent: {peer} has not confirmed it."),
            "queued" => format!("{peer} has confirmed nothing of it."),
            "received" => format!("{peer} has confirmed that it has what it may have of it."),
            "refused" => format!("{peer} did not take it: its own rules refuse it."),
            "sent" => format!("It was sent, and {peer} has not confirmed it yet."),
            "skipped" => format!("{peer} does not want its log."),
            "withheld" if is_granted => format!(
                "{peer} was sent its hash only; the rest goes with a later exchange, when the volume of the rule has room."
            ),
            "withheld" => format!("{peer} was sent its hash only."),
            _ => format!(
                "How far {peer} has its log is not known: no session with it since the node began."
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An explanation that has everything.
    pub(crate) fn explained() -> Summary {
        let text = || "x".to_owned();
        let rule = || RuleName {
            name: text(),
            line: Some(3),
        };
        let decision = || DecisionItem {
            granted: true,
            rule: Some(rule()),
            reason: Some(text()),
            withheld: vec![WithheldItem {
                field: text(),
                rule: rule(),
            }],
            protection: Some(text()),
            opens: Some(text()),
            words: text(),
        };
        Summary::Explained(Box::new(ExplainSummary {
            fact: Some(text()),
            resource: Some(text()),
            origin: text(),
            origin_name: Some(text()),
            compartment: text(),
            lane: text(),
            position: 7,
            held: text(),
            peer: text(),
            out: Some(decision()),
            at_peer: text(),
            inward: Some(decision()),
            hole: Some(HoleItem {
                sources: vec![SourceItem {
                    peer: text(),
                    says: text(),
                }],
                advice: vec![text()],
            }),
        }))
    }

    #[test]
    fn an_explanation_has_documented_keys() {
        insta::assert_snapshot!(explained().json().unwrap(), @r#"{"fact":"x","resource":"x","origin":"x","origin_name":"x","compartment":"x","lane":"x","position":7,"held":"x","peer":"x","out":{"granted":true,"rule":{"name":"x","line":3},"reason":"x","withheld":[{"field":"x","rule":{"name":"x","line":3}}],"protection":"x","opens":"x","words":"x"},"at_peer":"x","in":{"granted":true,"rule":{"name":"x","line":3},"reason":"x","withheld":[{"field":"x","rule":{"name":"x","line":3}}],"protection":"x","opens":"x","words":"x"},"hole":{"sources":[{"peer":"x","says":"x"}],"advice":["x"]}}"#);
    }

    #[test]
    fn every_status_has_a_word_and_a_sentence_of_its_own() {
        let statuses = [
            SyncStatus::Queued,
            SyncStatus::Received,
            SyncStatus::Refused,
            SyncStatus::Sent,
            SyncStatus::Skipped,
            SyncStatus::Withheld,
        ];
        let words = statuses.map(|status| status_word(false, Some(status)));
        let words = words
            .into_iter()
            .chain([status_word(true, None), status_word(false, None)]);
        let sentence = |word: &str| {
            let Summary::Explained(mut summary) = explained() else {
                panic!("no explanation");
            };
            summary.at_peer = word.to_owned();
            summary.at_peer_words()
        };
        let sentences: std::collections::BTreeSet<_> = words.map(sentence).collect();
        assert_eq!(sentences.len(), 8, "{sentences:?}");
    }

    #[test]
    fn what_the_rules_keep_here_is_not_said_to_wait() {
        let Summary::Explained(mut summary) = explained() else {
            panic!("no explanation");
        };
        let mut said = |status: &str, granted: bool| {
            summary.at_peer = status.to_owned();
            summary.out.as_mut().unwrap().granted = granted;
            summary.at_peer_words()
        };
        assert!(said("queued", true).contains("waits to be sent"));
        assert!(!said("queued", false).contains("waits"));
        assert!(said("withheld", true).contains("later exchange"));
        assert!(said("withheld", false).ends_with("its hash only."));
    }
}
