//! How far a peer has a log, as this domain knows it: for whoever asks how far behind it is, or whether a fact has arrived.

use causality_fact::DomainId;
use causality_fact::KeptBack;
use causality_fact::LogId;
use causality_fact::PositionSet;
use std::ops::Range;

use crate::engine::Engine;
use crate::holes::insert;

/// How many runs of refused positions are remembered of a log and peer. More are forgotten: a peer that refuses every other
/// fact shall not cost memory without end.
pub const REFUSED_RUNS_MAX: usize = 1 << 12;

/// How far a peer has a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Whether the peer wants the log: nothing is sent unless it does.
    pub is_wanted: bool,
    /// Everything below this was sent, or is held by the peer already.
    pub sent: u64,
    /// Everything below this the peer has confirmed: it holds what it may have of it, or refused it.
    pub confirmed: u64,
    /// Positions below what was sent of which the peer is owed more.
    pub owed: PositionSet,
    /// What was decided not to be shown to it, or not in full.
    pub kept: KeptBack,
    /// What it refused.
    pub refused: PositionSet,
    /// How many positions the peer holds, or has announced: what is beyond that here is not known of it.
    pub reach: u64,
}

/// What became of a fact at a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SyncStatus {
    /// It waits for its turn.
    Queued,
    /// The peer has confirmed that it is durable there.
    Received,
    /// The peer did not take it: its rules refuse it.
    Refused,
    /// It was sent, and not confirmed yet.
    Sent,
    /// The peer does not want its log.
    Skipped,
    /// It was decided not to show it.
    Withheld,
}

impl Progress {
    /// What became of the fact at a position.
    pub fn status(&self, position: u64) -> SyncStatus {
        let KeptBack {
            withheld, deferred, ..
        } = &self.kept;
        if self.refused.contains(position) {
            SyncStatus::Refused
        } else if self.owed.contains(position) {
            SyncStatus::Queued
        } else if withheld.contains(position) || deferred.contains(position) {
            SyncStatus::Withheld
        } else if position < self.confirmed {
            SyncStatus::Received
        } else if position < self.sent {
            SyncStatus::Sent
        } else if self.is_wanted {
            SyncStatus::Queued
        } else {
            SyncStatus::Skipped
        }
    }
}

/// Notes that a peer refused positions, while there is room.
pub(crate) fn note_refused(refused: &mut PositionSet, range: Range<u64>) {
    if refused.run_count() < REFUSED_RUNS_MAX {
        insert(refused, range);
    }
}

impl Engine {
    /// How far a peer has a log: as the session with it tells, or the last one that there was. Without any since this engine
    /// began, what was kept of earlier ones, if it was; `None` if nothing was.
    pub fn progress(&self, peer: DomainId, log: &LogId) -> Option<Progress> {
        let sessions = self.sessions_with(peer);
        let live = sessions.filter_map(|session| session.progress(log));
        live.max_by_key(|progress| (progress.is_wanted, progress.confirmed))
            .or_else(|| self.past.get(&(peer, *log)).cloned())
            .or_else(|| self.settled_progress(peer, log))
    }

    fn settled_progress(&self, peer: DomainId, log: &LogId) -> Option<Progress> {
        let settlement = self.settlements.get(&(peer, *log))?;
        Some(Progress {
            is_wanted: true,
            sent: settlement.size,
            confirmed: settlement.size,
            kept: settlement.kept.clone(),
            refused: settlement.refused.clone(),
            ..Progress::default()
        })
    }

    /// The positions of a log of which a peer has not confirmed what is held here: all that it may lack, as far as that is
    /// known. What of them it may have is not decided yet.
    pub fn unconfirmed(&self, log: &LogId, progress: &Progress) -> PositionSet {
        let Some(state) = self.logs.get(log) else {
            return PositionSet::new();
        };
        let size = state.durable.size();
        let behind = state.holes.rows(progress.confirmed.min(size)..size);
        behind.union(&progress.owed).difference(&progress.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_remembered_up_to_a_number_of_runs() {
        let mut refused = PositionSet::new();
        for run in 0..=REFUSED_RUNS_MAX as u64 {
            note_refused(&mut refused, 2 * run..2 * run + 1);
        }
        let last = 2 * (REFUSED_RUNS_MAX as u64 - 1);
        assert_eq!(refused.run_count(), REFUSED_RUNS_MAX);
        assert!(refused.contains(last) && !refused.contains(last + 2));
    }
}
