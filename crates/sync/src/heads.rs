//! The origin's own heads of a conflict key: what a new fact of that key replaces unless told otherwise.

use causality_fact::FactCore;
use causality_fact::FactId;
use causality_fact::ValidTime;

/// The own facts of one conflict key that are maximal at some moment, each once for every time in which it is, oldest
/// first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnHeads {
    heads: Vec<(FactId, ValidTime)>,
}

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
        let of_one_fact = |one: &(FactId, _), next: &(FactId, _)| one.0 == next.0;
        self.heads
            .chunk_by(of_one_fact)
            .filter(move |times| times.iter().any(|(_, time)| time.overlaps(&valid)))
            .filter_map(|times| times.first())
            .map(|(id, _)| *id)
    }

    /// Adds a fact, which ends the reign of those it supersedes while it is valid.
    pub(crate) fn add(&mut self, id: FactId, core: &FactCore) {
        // There is one of these for each key that was written lately, most of them with one head.
        let mut heads = Vec::with_capacity(self.heads.len() + 1);
        for (head, time) in &self.heads {
            if core.supersedes.as_slice().binary_search(head).is_ok() {
                heads.extend(without(time, &core.valid).map(|left| (*head, left)));
            } else {
                heads.push((*head, *time));
            }
        }
        heads.push((id, core.valid));
        self.heads = heads;
    }
}

/// What is left of a time without another: nothing, one piece or two.
fn without(time: &ValidTime, taken: &ValidTime) -> impl Iterator<Item = ValidTime> {
    let left = if time.overlaps(taken) {
        let before = ValidTime::between(time.from(), taken.from());
        let after = taken.until().and_then(|start| match time.until() {
            Some(end) => ValidTime::between(start, end),
            None => Some(ValidTime::since(start)),
        });
        [before, after]
    } else {
        [Some(*time), None]
    };
    left.into_iter().flatten()
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
        assert_eq!(heads.heads.len(), 1);
    }

    #[test]
    fn a_sibling_supersedes_nothing() {
        let sibling = |n| (id(n), core(n.into(), ValidTime::since(0), &[]));
        let heads = OwnHeads::rebuild(vec![sibling(2), sibling(1)]);
        assert_eq!(at(&heads, 0), [id(1), id(2)]);
    }
}
