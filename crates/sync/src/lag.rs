//! Since when a peer lacks what it may have of a log. Of each log a few times are kept at which it had grown, and none of a
//! peer: what a peer has not confirmed is known anyway.

use causality_fact::DomainId;
use causality_fact::LogId;
use std::collections::BTreeMap;

use crate::completeness::Completeness;
use crate::engine::Engine;
use crate::logbook::LogState;

/// How many times are kept of a log. Beyond that neighbours are taken together, so that older ones are less exact.
pub const GROWTH_MARKS_MAX: usize = 64;

/// What a peer lacks of a log that it may have and wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLag {
    /// Of how many facts it has not confirmed that it holds or refuses them, or that they are kept back from it.
    pub facts: u64,
    /// How long the first of them has been durable here, in milliseconds; `None` when there is none, or it was there before
    /// this engine began.
    pub age_ms: Option<u64>,
    /// Whether all of the log is held here.
    pub completeness: Completeness,
}

/// When a log has grown, as far as that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    /// How large it was when the engine began.
    start: u64,
    /// Sizes, and the times at which they were reached.
    marks: Vec<(u64, u64)>,
}

impl Growth {
    pub(crate) fn of(logs: &BTreeMap<LogId, LogState>) -> BTreeMap<LogId, Self> {
        let growth = |state: &LogState| Self {
            start: state.durable.size(),
            marks: Vec::new(),
        };
        let growths = logs.iter().map(|(log, state)| (*log, growth(state)));
        growths.collect()
    }

    pub(crate) fn note(&mut self, size: u64, now_ms: u64) {
        match self.marks.last_mut() {
            Some((last, at_ms)) if *at_ms >= now_ms => *last = size,
            _ => self.marks.push((size, now_ms)),
        }
        if self.marks.len() > GROWTH_MARKS_MAX {
            self.merge_two(now_ms);
        }
    }

    /// Takes the two neighbours together that differ least for their age.
    fn merge_two(&mut self, now_ms: u64) {
        let differ = |pair: &[(u64, u64)]| {
            let [(_, first), (_, second)] = pair else {
                return u64::MAX;
            };
            let age = now_ms.saturating_sub(*first).max(1);
            (second - first).saturating_mul(1_000) / age
        };
        let pairs = self.marks.windows(2).enumerate();
        let Some((first, _)) = pairs.min_by_key(|(_, pair)| differ(pair)) else {
            return;
        };
        let (_, since) = self.marks.remove(first);
        if let Some(both) = self.marks.get_mut(first) {
            both.1 = since;
        }
    }

    /// When a position became durable, or a little earlier.
    fn since(&self, position: u64) -> Option<u64> {
        let mark = self.marks.iter().find(|(size, _)| position < *size);
        mark.filter(|_| position >= self.start).map(|(_, at)| *at)
    }
}

impl Engine {
    /// What a peer lacks of each log that it may have and wants, as far as it has said, at the time of the last input.
    pub fn lag(&self, peer: DomainId) -> BTreeMap<LogId, LogLag> {
        let logs = self.logs().map(|(log, _)| log);
        let lag = |log: &LogId| {
            let progress = self.progress(peer, log).filter(|p| p.is_wanted)?;
            let positions = self.unconfirmed(log, &progress);
            let first = positions.runs().next().map(|run| run.start);
            let since = first.and_then(|first| self.growths.get(log)?.since(first));
            let lag = LogLag {
                facts: positions.len(),
                age_ms: since.map(|since| self.now_ms.saturating_sub(since)),
                completeness: self.completeness(log),
            };
            Some((*log, lag))
        };
        let offered = logs.filter(|log| self.may_send(peer, log));
        offered.filter_map(lag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_up_to_a_number_and_then_less_exactly() {
        let mut growth = Growth {
            start: 10,
            marks: Vec::new(),
        };
        growth.note(12, 5);
        growth.note(13, 5);
        assert_eq!(
            [9, 10, 12, 13].map(|at| growth.since(at)),
            [None, Some(5), Some(5), None]
        );
        for time in 6..10_000 {
            growth.note(time + 8, time);
        }
        assert_eq!(growth.marks.len(), GROWTH_MARKS_MAX);
        for time in 6..10_000 {
            let (age, said) = (10_000 - time, 10_000 - growth.since(time + 7).unwrap());
            assert!(
                (age..=age + age / 4 + 1).contains(&said),
                "{said} ms, not {age}"
            );
        }
        assert_eq!(growth.since(10_006), Some(9_999));
    }
}
