//! The origin's own heads of a conflict key: what a new fact of that key replaces unless told otherwise.

use std::collections::BTreeMap;
use std::ops::Bound;

use causality_fact::FactCore;
use causality_fact::FactId;
use causality_fact::ValidTime;

/// The own facts of one conflict key that are maximal at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnHeads {
    /// From when on which facts are heads, oldest first, until the next moment; none before the first. Neighbours differ.
    pieces: BTreeMap<i64, Vec<Head>>,
    /// How many facts were added.
    count: u64,
}

/// A fact, and how many were added before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head(u64, FactId);

impl OwnHeads {
    /// From all own facts of the key, in any order.
    pub(crate) fn rebuild(mut facts: Vec<(FactId, FactCore)>) -> Self {
        facts.sort_by_key(|(id, core)| (core.hlc, *id));
        let mut heads = Self::default();
        facts.iter().for_each(|(id, core)| heads.add(*id, core));
        heads
    }

    /// The heads at some moment of `valid`, oldest first.
    pub(crate) fn overlapping(&self, valid: ValidTime) -> impl Iterator<Item = FactId> {
        let (from, until) = moments(&valid);
        let first = self.pieces.range((Bound::Unbounded, from)).next_back();
        let within = self.pieces.range((Bound::Excluded(valid.from()), until));
        let all = first.into_iter().chain(within);
        let mut heads: Vec<_> = all.flat_map(|(_, heads)| heads).copied().collect();
        heads.sort_unstable();
        heads.dedup();
        heads.into_iter().map(|Head(_, id)| id)
    }

    /// Adds a fact, which ends the reign of those it supersedes while it is valid.
    pub(crate) fn add(&mut self, id: FactId, core: &FactCore) {
        let edges = [Some(core.valid.from()), core.valid.until()];
        edges.into_iter().flatten().for_each(|edge| self.cut(edge));
        let superseded = core.supersedes.as_slice();
        for (_, heads) in self.pieces.range_mut(moments(&core.valid)) {
            heads.retain(|Head(_, head)| superseded.binary_search(head).is_err());
            heads.push(Head(self.count, id));
        }
        self.count += 1;
        self.join(&core.valid);
    }

    /// Has a piece begin at a moment.
    fn cut(&mut self, moment: i64) {
        let before = self.pieces.range(..=moment).next_back();
        let heads = before.map_or_else(Vec::new, |(_, heads)| heads.clone());
        self.pieces.entry(moment).or_insert(heads);
    }

    /// Makes neighbours that are equal one, within a time: at its edges nothing is, since the new fact ends there.
    fn join(&mut self, valid: &ValidTime) {
        let mut same = Vec::new();
        let mut before = None;
        for (moment, heads) in self.pieces.range(moments(valid)) {
            if before == Some(heads) {
                same.push(*moment);
            }
            before = Some(heads);
        }
        for moment in same {
            self.pieces.remove(&moment);
        }
    }
}

/// The moments of a time.
fn moments(valid: &ValidTime) -> (Bound<i64>, Bound<i64>) {
    let until = valid.until().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(valid.from()), until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::Aspect;
    use causality_fact::ContentHash;
    use causality_fact::DomainId;
    use causality_fact::FactType;
    use causality_fact::Hlc;
    use causality_fact::Label;
    use causality_fact::Onward;
    use causality_fact::References;
    use proptest::prelude::*;

    fn core(hlc: u64, valid: ValidTime, supersedes: &[u8]) -> FactCore {
        FactCore {
            onward: Onward::Any,
            label: Label::default(),
            origin: DomainId::new([0; 32]),
            fact_type: FactType::StateChange,
            resource: "door/1".parse().unwrap(),
            aspect: Aspect::default(),
            hlc: Hlc::from_millis(hlc),
            valid,
            requires: References::default(),
            supersedes: References::new(supersedes.iter().map(|n| id(*n))).unwrap(),
            content_root: ContentHash::new([0; 32]),
        }
    }

    fn id(n: u8) -> FactId {
        FactId::new([n; 32])
    }

    fn between(from: i64, until: i64) -> ValidTime {
        ValidTime::between(from, until).unwrap()
    }

    fn at(heads: &OwnHeads, moment: i64) -> Vec<FactId> {
        heads.overlapping(between(moment, moment + 1)).collect()
    }

    #[test]
    fn a_successor_rules_only_while_it_is_valid() {
        let facts = vec![
            (id(2), core(2, between(10, 20), &[1])),
            (id(1), core(1, ValidTime::since(0), &[])),
        ];
        let mut heads = OwnHeads::rebuild(facts);
        assert_eq!(at(&heads, 5), [id(1)]);
        assert_eq!(at(&heads, 15), [id(2)]);
        assert_eq!(at(&heads, 25), [id(1)]);
        heads.add(id(3), &core(3, ValidTime::since(0), &[1, 2]));
        for moment in [5, 15, 25] {
            assert_eq!(at(&heads, moment), [id(3)]);
        }
        assert_eq!(heads.pieces.len(), 1);
    }

    #[test]
    fn a_sibling_supersedes_nothing() {
        let sibling = |n| (id(n), core(n.into(), ValidTime::since(0), &[]));
        let heads = OwnHeads::rebuild(vec![sibling(2), sibling(1)]);
        assert_eq!(at(&heads, 0), [id(1), id(2)]);
    }

    /// The same as a list of facts and times, which is plain and slow.
    #[derive(Default)]
    struct Model(Vec<(FactId, ValidTime)>);

    impl Model {
        fn overlapping(&self, valid: ValidTime) -> Vec<FactId> {
            let times = self.0.iter().filter(|(_, time)| time.overlaps(&valid));
            let mut ids: Vec<_> = times.map(|(id, _)| *id).collect();
            ids.dedup();
            ids
        }

        fn add(&mut self, new: FactId, core: &FactCore) {
            let pieces = self.0.iter().flat_map(|(head, time)| {
                let left = match core.supersedes.as_slice().contains(head) {
                    true => without(*time, core.valid),
                    false => vec![*time],
                };
                left.into_iter().map(|time| (*head, time))
            });
            let mut pieces: Vec<_> = pieces.collect();
            pieces.push((new, core.valid));
            self.0 = pieces;
        }
    }

    /// What is left of a time without another.
    fn without(time: ValidTime, taken: ValidTime) -> Vec<ValidTime> {
        if !time.overlaps(&taken) {
            return vec![time];
        }
        let before = ValidTime::between(time.from(), taken.from());
        let after = taken.until().and_then(|start| match time.until() {
            Some(end) => ValidTime::between(start, end),
            None => Some(ValidTime::since(start)),
        });
        before.into_iter().chain(after).collect()
    }

    fn times() -> impl Strategy<Value = ValidTime> {
        (0..20_i64, prop::option::of(1..8_i64)).prop_map(|(from, length)| match length {
            Some(length) => between(from, from + length),
            None => ValidTime::since(from),
        })
    }

    proptest! {
        /// Each fact supersedes some of those that it overlaps, by the bits of a number.
        #[test]
        fn heads_are_those_of_the_model(facts in prop::collection::vec((times(), any::<u64>()), 1..40)) {
            let (mut heads, mut model) = (OwnHeads::default(), Model::default());
            for (number, (valid, bits)) in (0..).zip(facts) {
                let there = model.overlapping(valid);
                prop_assert_eq!(heads.overlapping(valid).collect::<Vec<_>>(), there.clone());
                let superseded = there.iter().zip(0..).filter(|(_, bit)| bits >> (bit % 64) & 1 == 1);
                let superseded: Vec<_> = superseded.map(|(id, _)| id.as_bytes()[0]).collect();
                let core = core(number.into(), valid, &superseded);
                heads.add(id(number), &core);
                model.add(id(number), &core);
                for moment in 0..30 {
                    let valid = between(moment, moment + 1);
                    prop_assert_eq!(heads.overlapping(valid).collect::<Vec<_>>(), model.overlapping(valid));
                }
                let pieces: Vec<_> = heads.pieces.values().collect();
                prop_assert!(pieces.windows(2).all(|two| two[0] != two[1]));
            }
        }
    }

    #[test]
    fn neighbours_in_time_are_looked_at_alone() {
        let mut heads = OwnHeads::default();
        for minute in 0..200_000_u64 {
            let from = minute as i64 * 60_000;
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&minute.to_le_bytes());
            let valid = between(from, from + 60_000);
            assert_eq!(heads.overlapping(valid).count(), 0);
            heads.add(FactId::new(bytes), &core(minute, valid, &[]));
        }
        assert_eq!(heads.pieces.len(), 200_001);
    }
}
