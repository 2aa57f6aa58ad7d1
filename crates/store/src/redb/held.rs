//! What is held of a log, as runs of positions of one level, and how a change of it changes rows of a table.

use std::collections::BTreeMap;
use std::ops::Range;

use causality_fact::{Entry, PositionSet, PositionTooLarge, RowState};

/// How much is held of a position; the order is that of upgrades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Withheld = 0,
    Partial = 1,
    Full = 2,
}

impl Level {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Row(row) => row.state().into(),
            Entry::Withheld { .. } => Self::Withheld,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Withheld, Self::Partial, Self::Full]
            .get(usize::from(code))
            .copied()
    }
}

impl From<RowState> for Level {
    fn from(state: RowState) -> Self {
        match state {
            RowState::Partial => Self::Partial,
            RowState::Full => Self::Full,
        }
    }
}

/// The rest of a run, whose start is its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) end: u64,
    pub(super) level: Level,
}

/// Maximal runs by their start: two that touch are of different levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    runs: BTreeMap<u64, Run>,
}

impl Held {
    /// Takes over a run that was stored; the runs of one table come in order.
    pub(super) fn load(&mut self, start: u64, run: Run) {
        self.runs.insert(start, run);
    }

    /// Whether nothing is held in the range.
    pub(super) fn is_free(&self, range: Range<u64>) -> bool {
        let before = self.runs.range(..range.end).next_back();
        before.is_none_or(|(_, run)| run.end <= range.start)
    }

    /// Whether positions in the range are held at a level.
    pub(super) fn has(&self, range: Range<u64>, level: Level) -> bool {
        let near = self.runs.range(..range.end).rev();
        let mut near = near.take_while(|(_, run)| run.end > range.start);
        near.any(|(_, run)| run.level == level)
    }

    /// The position behind the last one held.
    pub(super) fn end(&self) -> u64 {
        self.runs.last_key_value().map_or(0, |(_, run)| run.end)
    }

    /// Holds the range, which is not empty, at a level; tells `changed` each run that is new, different or gone.
    pub(super) fn set(
        &mut self,
        range: Range<u64>,
        level: Level,
        changed: &mut impl FnMut(u64, Option<Run>),
    ) {
        let Range { mut start, mut end } = range;
        let near = self.runs.range(..=range.end).rev();
        let near = near.take_while(|(_, run)| run.end >= range.start);
        let near: Vec<(u64, Run)> = near.map(|(at, run)| (*at, *run)).collect();
        for (at, run) in near {
            let touches = at == range.end || run.end == range.start;
            if touches && run.level != level {
                continue;
            }
            self.put(at, None, changed);
            if run.level == level {
                (start, end) = (start.min(at), end.max(run.end));
                continue;
            }
            if at < range.start {
                let end = range.start;
                self.put(at, Some(Run { end, ..run }), changed);
            }
            if run.end > range.end {
                self.put(range.end, Some(run), changed);
            }
        }
        self.put(start, Some(Run { end, level }), changed);
    }

    fn put(&mut self, start: u64, run: Option<Run>, changed: &mut impl FnMut(u64, Option<Run>)) {
        match run {
            Some(run) => self.runs.insert(start, run),
            None => self.runs.remove(&start),
        };
        changed(start, run);
    }

    /// The positions of a level.
    pub(super) fn positions(&self, level: Level) -> Result<PositionSet, PositionTooLarge> {
        let mut set = PositionSet::new();
        let runs = self.runs.iter().filter(|(_, run)| run.level == level);
        for (start, run) in runs {
            set.insert(*start..run.end)?;
        }
        Ok(set)
    }

    #[cfg(test)]
    fn runs(&self) -> impl Iterator<Item = (u64, Run)> {
        self.runs.iter().map(|(start, run)| (*start, *run))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn level(code: u8) -> Level {
        Level::from_code(code).unwrap()
    }

    #[test]
    fn levels_survive_their_code() {
        assert_eq!(level(Level::Partial as u8), Level::Partial);
        assert_eq!(Level::from_code(3), None);
        assert!(Level::Withheld < Level::from(RowState::Partial));
    }

    proptest! {
        #[test]
        fn runs_are_maximal_and_the_rows_follow_them(
            changes in prop::collection::vec((0..60u64, 1..9u64, 0..3u8), 0..40),
        ) {
            let (mut held, mut model, mut rows) = (Held::default(), BTreeMap::new(), BTreeMap::new());
            for (start, length, code) in changes {
                let range = start..start + length;
                held.set(range.clone(), level(code), &mut |start, run| {
                    match run {
                        Some(run) => rows.insert(start, run),
                        None => rows.remove(&start),
                    };
                });
                model.extend(range.map(|position| (position, level(code))));
            }
            prop_assert_eq!(&rows, &held.runs);
            let runs: Vec<_> = held.runs().collect();
            let all = runs.iter().flat_map(|(start, run)| (*start..run.end).map(|p| (p, run.level)));
            prop_assert_eq!(all.collect::<Vec<_>>(), Vec::from_iter(model.clone()));
            for pair in runs.windows(2) {
                prop_assert!(pair[0].1.end < pair[1].0 || pair[0].1.level != pair[1].1.level);
            }
            for position in 0..70 {
                prop_assert_eq!(held.is_free(position..position + 1), !model.contains_key(&position));
                for code in 0..3 {
                    let has = model.range(position..position + 5).any(|(_, held)| *held == level(code));
                    prop_assert_eq!(held.has(position..position + 5, level(code)), has);
                }
            }
            prop_assert_eq!(held.end(), model.keys().next_back().map_or(0, |last| last + 1));
        }
    }
}
