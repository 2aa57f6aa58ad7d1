//! What the engine counts, by peer: plain numbers that only grow, for whoever wants to look.
//!
//! Only domains that proved who they are have counters, at most [`METRICS_PEERS_MAX`] of them; others are counted together.

use causality_fact::DomainId;
use causality_wire::GoodbyeReason;
use causality_wire::RefusalReason;
use std::collections::BTreeMap;

use crate::effect::Event;
use crate::effect::LogError;
use crate::effect::RoundReport;
use crate::effect::SyncError;

/// How many peers have counters of their own.
pub const METRICS_PEERS_MAX: usize = 1024;
/// The upper bounds of the buckets of [`Histogram`]; what is above the last one is in a bucket of its own.
pub const BATCH_BOUNDS: [u64; 8] = [1, 4, 16, 64, 256, 1024, 4096, 16_384];

/// How often each of a closed list of things happened, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

/// What an engine has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncMetrics {
    peers: BTreeMap<DomainId, PeerMetrics>,
    others: PeerMetrics,
}

/// What was counted of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerMetrics {
    /// Sessions that began.
    pub sessions: u64,
    /// How the sessions ended that have.
    pub sessions_ended: Counts,
    /// Rounds of catch-up that this side opened.
    pub attempts: u64,
    /// How these ended: `caught_up`, or why the session ended before.
    pub outcomes: Counts,
    /// How often this side waited for an answer in the rounds that ended well.
    pub round_trips: u64,
    /// To the peer.
    pub sent: Traffic,
    /// From the peer.
    pub received: Traffic,
    /// Facts of which a hash was sent since the rules keep them back; each time that it was decided so.
    pub kept_back: u64,
    /// Facts that were not taken from the peer since the rules refuse them.
    pub not_taken: u64,
    /// Logs of which the peer takes nothing more, by its reason.
    pub declined: Counts,
    /// Logs of which nothing more is taken from the peer, by what is wrong with them.
    pub refused: Counts,
    /// What somebody should look at: `contradicted`, `forked`, `lane_ahead`, `receipts_forked`, `too_far_behind`.
    pub alarms: Counts,
    /// How often the peer was asked which positions it holds.
    pub sets_asked: u64,
    /// How often the peer asked that.
    pub sets_told: u64,
}

/// What went one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Facts, whole or in part; those received are durable.
    pub facts: u64,
    /// Bytes of entries and of rows.
    pub bytes: u64,
    /// How many of the facts were at positions that were known by a hash, or held in part.
    pub revealed: u64,
    /// How many facts came in one message.
    pub batches: Histogram,
}

/// How many values fell into each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BATCH_BOUNDS.len() + 1],
    sum: u64,
}

impl SyncMetrics {
    /// The peers that have counters of their own.
    pub fn peers(&self) -> impl Iterator<Item = (DomainId, &PeerMetrics)> {
        self.peers.iter().map(|(peer, counted)| (*peer, counted))
    }

    /// What was counted of a peer.
    pub fn peer(&self, peer: DomainId) -> Option<&PeerMetrics> {
        self.peers.get(&peer)
    }

    /// What was counted of all others.
    pub fn others(&self) -> &PeerMetrics {
        &self.others
    }

    /// A round of catch-up with a peer was opened.
    pub(crate) fn record_sync_attempt(&mut self, peer: DomainId) {
        self.of(peer).attempts += 1;
    }

    pub(crate) fn of(&mut self, peer: DomainId) -> &mut PeerMetrics {
        if self.peers.len() >= METRICS_PEERS_MAX && !self.peers.contains_key(&peer) {
            return &mut self.others;
        }
        self.peers.entry(peer).or_default()
    }

    pub(crate) fn record_event(&mut self, event: &Event) {
        match event {
            Event::NotTaken { peer, facts, .. } => self.of(*peer).not_taken += facts,
            Event::Declined { peer, reason, .. } => {
                self.of(*peer).declined.add(refusal_name(*reason));
            }
            Event::Refused { peer, error, .. } => {
                self.of(*peer).refused.add(error.name());
            }
            Event::Contradicted { peer, .. } => self.alarm(*peer, "contradicted"),
            Event::Forked { peer, .. } => self.alarm(*peer, "forked"),
            Event::LaneAhead { peer, .. } => self.alarm(*peer, "lane_ahead"),
            Event::ReceiptsForked { peer } => self.alarm(*peer, "receipts_forked"),
            Event::TooFarBehind { peer, .. } => self.alarm(*peer, "too_far_behind"),
            _ => {}
        }
    }

    fn alarm(&mut self, peer: DomainId, name: &'static str) {
        self.of(peer).alarms.add(name);
    }
}

impl PeerMetrics {
    pub(crate) fn caught_up(&mut self, report: &RoundReport) {
        self.outcomes.add("caught_up");
        self.round_trips += u64::from(report.round_trips);
    }

    /// A session ended, within a round of this side or not.
    pub(crate) fn ended(&mut self, error: Option<&SyncError>, is_in_round: bool) {
        let name = error.map_or("done", SyncError::name);
        self.sessions_ended.add(name);
        if is_in_round {
            self.outcomes.add(name);
        }
    }
}

impl Traffic {
    pub(crate) fn batch(&mut self, facts: u64) {
        self.facts += facts;
        self.batches.add(facts);
    }
}

impl Counts {
    /// What happened, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }

    /// How often a thing happened.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }
}

impl Histogram {
    /// How many values were at most a bound, for each of [`BATCH_BOUNDS`].
    pub fn at_most(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut count = 0;
        let bounds = BATCH_BOUNDS.into_iter().zip(&self.buckets);
        bounds.map(move |(bound, bucket)| {
            count += bucket;
            (bound, count)
        })
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    pub(crate) fn add(&mut self, value: u64) {
        let bucket = BATCH_BOUNDS.partition_point(|bound| *bound < value);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }
}

impl SyncError {
    /// A short name of what went wrong, without values.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed(_) => "failed",
            Self::Goodbye(reason) => goodbye_name(*reason),
            Self::Keys { .. } => "keys",
            Self::Log { .. } => "log",
            Self::Violation(_) => "violation",
        }
    }
}

impl LogError {
    /// A short name of what is wrong, without values.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CalledOtherwise => "called_otherwise",
            Self::Closed { .. } => "closed",
            Self::EpochRunsBack { .. } => "epoch_runs_back",
            Self::Keys(_) => "keys",
            Self::Limit => "limit",
            Self::NotGranted => "not_granted",
            Self::Other(_) => "other",
            Self::Revoked(_) => "revoked",
            Self::TooManyLogs => "too_many_logs",
        }
    }
}

fn refusal_name(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Malformed => "malformed",
        RefusalReason::Key => "key",
        RefusalReason::Void => "void",
        RefusalReason::Policy => "policy",
        RefusalReason::Limit => "limit",
        RefusalReason::Unsupported => "unsupported",
        RefusalReason::RetryLater => "retry_later",
    }
}

fn goodbye_name(reason: GoodbyeReason) -> &'static str {
    match reason {
        GoodbyeReason::Done => "peer_done",
        GoodbyeReason::Shutdown => "peer_shutdown",
        GoodbyeReason::UnknownPeer => "peer_unknown",
        GoodbyeReason::Violation => "peer_violation",
        GoodbyeReason::Overloaded => "peer_overloaded",
        GoodbyeReason::Failed => "peer_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_first_bucket_that_holds_them() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 4, 5, 16_384, 16_385, 1 << 40] {
            histogram.add(value);
        }
        let counts: Vec<_> = histogram.at_most().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 4, 5, 5, 5, 5, 5, 6]);
        assert_eq!(histogram.count(), 8);
        assert_eq!(histogram.sum(), 12 + 16_384 + 16_385 + (1 << 40));
    }

    #[test]
    fn peers_beyond_the_limit_are_counted_together() {
        let mut metrics = SyncMetrics::default();
        let peer = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            DomainId::new(id)
        };
        for number in 0..METRICS_PEERS_MAX + 2 {
            metrics.record_sync_attempt(peer(number));
        }
        metrics.record_sync_attempt(peer(0));
        assert_eq!(metrics.peers().count(), METRICS_PEERS_MAX);
        assert_eq!(metrics.peer(peer(0)).unwrap().attempts, 2);
        assert_eq!(metrics.others().attempts, 2);
    }
}
