//! How far each peer is with each log, and what that says about single facts: ranges a peer and log, not a row a fact.
//!
//! What a peer says that it holds overrules what is noted here.

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_fact::MAX_TREE_SIZE;
use causality_fact::PositionSet;
use causality_wire::Refusal;
use std::collections::BTreeMap;

use crate::completeness::Completeness;
use crate::engine::Engine;
use crate::holes::insert;
use crate::peers::Settlement;

/// How many runs of refused positions are kept of a peer and log; of more the first ones are forgotten.
pub const REFUSED_RUNS_MAX: usize = 1 << 12;

/// How far a fact is on its way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SyncStatus {
    /// It waits for a session, or for its turn in one; what the peer may see of it is decided then.
    Queued,
    /// It is not held here: the peer says that it holds it, and was asked for it.
    Requested,
    /// It is on its way, or was when the session broke.
    Sent,
    /// The peer has said that it holds it, or as much of it as it may see.
    Received,
    /// The rules here do not let the peer see it, or not yet.
    Withheld,
    /// It is not sent: this domain holds its hash only, or the peer does not want the log.
    Skipped,
    /// The peer did not take it.
    Refused,
}

/// What a peer lacks of a log that it may have and wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// How many positions it lacks, as far as it has said.
    pub positions: u64,
    /// For how long it has lacked some, in milliseconds; 0 when it lacks none.
    pub age_ms: u64,
    /// Whether all of the log is held here.
    pub completeness: Completeness,
}

/// How far a peer is with a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether it wants the log.
    pub(crate) is_wanted: bool,
    /// How many positions it was sent, or had.
    pub(crate) sent: u64,
    /// How many it has said that it holds at least by their hashes.
    pub(crate) confirmed: u64,
}

#[derive(Debug, Default)]
struct Record {
    progress: Progress,
    /// Since when it has lacked something.
    behind_since_ms: Option<u64>,
    refused: PositionSet,
}

/// How far all peers are.
#[derive(Debug, Default)]
pub(crate) struct FactSyncRegistry(BTreeMap<(LogId, DomainId), Record>);

impl FactSyncRegistry {
    /// What was settled before a restart.
    pub(crate) fn restore(settlements: &BTreeMap<(DomainId, LogId), Settlement>) -> Self {
        let record = |((peer, log), settled): (&(DomainId, LogId), &Settlement)| {
            let progress = Progress {
                is_wanted: true,
                sent: settled.size,
                confirmed: settled.size,
            };
            let record = Record {
                progress,
                behind_since_ms: None,
                refused: settled.refused.clone(),
            };
            ((*log, *peer), record)
        };
        Self(settlements.iter().map(record).collect())
    }

    /// Notes how far a peer is with a log of which `size` positions are durable here.
    pub(crate) fn record_sync(
        &mut self,
        (peer, log): (DomainId, LogId),
        progress: Progress,
        size: u64,
        now_ms: u64,
    ) {
        let record = self.0.entry((log, peer)).or_default();
        record.progress = progress;
        record.note_size(size, now_ms);
    }

    /// A log has grown.
    pub(crate) fn log_grown(&mut self, log: LogId, size: u64, now_ms: u64) {
        let (first, last) = (DomainId::new([0; 32]), DomainId::new([u8::MAX; 32]));
        let records = self.0.range_mut((log, first)..=(log, last));
        records.for_each(|(_, record)| record.note_size(size, now_ms));
    }

    /// A peer did not take these.
    pub(crate) fn refused(&mut self, peer: DomainId, log: LogId, refused: &[Refusal]) {
        if refused.is_empty() {
            return;
        }
        let record = self.0.entry((log, peer)).or_default();
        for Refusal { from, to, .. } in refused {
            let range = *from..(*to).min(MAX_TREE_SIZE);
            if !range.is_empty() {
                insert(&mut record.refused, range);
            }
        }
        while record.refused.run_count() > REFUSED_RUNS_MAX {
            let Some(first) = record.refused.runs().next() else {
                return;
            };
            record.refused.remove(first);
        }
    }

    /// A peer is offered these again, or holds them.
    pub(crate) fn not_refused(&mut self, peer: DomainId, log: LogId, range: std::ops::Range<u64>) {
        if let Some(record) = self.0.get_mut(&(log, peer)) {
            record.refused.remove(range);
        }
    }

    /// What a peer did not take.
    pub(crate) fn refused_by(&self, peer: DomainId, log: &LogId) -> Option<&PositionSet> {
        let record = self.0.get(&(*log, peer))?;
        Some(&record.refused)
    }
}

impl Record {
    fn note_size(&mut self, size: u64, now_ms: u64) {
        if self.progress.confirmed >= size {
            self.behind_since_ms = None;
        } else {
            self.behind_since_ms.get_or_insert(now_ms);
        }
    }
}

impl Engine {
    /// How far a fact is on its way to a peer; `None` of a position that neither holds, as far as is known.
    pub fn sync_status(&self, peer: DomainId, log: &LogId, position: u64) -> Option<SyncStatus> {
        let session = self.session_with(peer);
        let state = self.logs.get(log);
        let Some(state) = state.filter(|state| position < state.durable.size()) else {
            let is_asked = session.is_some_and(|session| session.has_asked_for(log, position));
            return is_asked.then_some(SyncStatus::Requested);
        };
        if !self.may_send(peer, log) {
            return Some(SyncStatus::Withheld);
        }
        let Some(record) = self.registry.0.get(&(*log, peer)) else {
            return Some(SyncStatus::Queued);
        };
        let gaps = session.and_then(|session| session.gaps(log));
        let settled = self.settlements.get(&(peer, *log)).map(|s| &s.kept);
        let kept = gaps.map(|gaps| gaps.kept()).or(settled);
        let is_kept = |set: &PositionSet| set.contains(position);
        let progress = &record.progress;
        Some(if record.refused.contains(position) {
            SyncStatus::Refused
        } else if state.holes.hidden().contains(position) {
            SyncStatus::Skipped
        } else if kept.is_some_and(|kept| is_kept(&kept.withheld) || is_kept(&kept.deferred)) {
            SyncStatus::Withheld
        } else if gaps.is_some_and(|gaps| gaps.open().contains(position)) {
            SyncStatus::Queued
        } else if position < progress.confirmed {
            SyncStatus::Received
        } else if position < progress.sent {
            SyncStatus::Sent
        } else if progress.is_wanted {
            SyncStatus::Queued
        } else {
            SyncStatus::Skipped
        })
    }

    /// What a peer lacks of the logs that it may have and wants, at the time of the last input.
    pub fn lag(&self, peer: DomainId) -> BTreeMap<LogId, Lag> {
        let session = self.session_with(peer);
        let records = self.registry.0.iter();
        let wanted = records.filter(|((log, of), record)| {
            *of == peer && record.progress.is_wanted && self.may_send(peer, log)
        });
        let lag = |((log, _), record): (&(LogId, DomainId), &Record)| {
            let size = self.logs.get(log)?.durable.size();
            let behind = size.saturating_sub(record.progress.confirmed);
            let gaps = session.and_then(|session| session.gaps(log));
            let positions = behind + gaps.map_or(0, |gaps| gaps.open().len());
            let since = record.behind_since_ms.unwrap_or(self.now_ms);
            let lag = Lag {
                positions,
                age_ms: self.now_ms.saturating_sub(since),
                completeness: self.completeness(log),
            };
            Some((*log, lag))
        };
        wanted.filter_map(lag).collect()
    }
}
