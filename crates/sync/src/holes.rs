//! What of a log is held, position by position: what this domain lacks, what a peer said that it holds, and what is kept
//! back from a peer (`docs/src/spec/sync.md`, sections "Sets" and "Holes").

use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::Encoder;
use causality_fact::FieldMask;
use causality_fact::KeptBack;
use causality_fact::PositionSet;
use causality_fact::TaggedHash;
use causality_wire::BoundedBytes;
use causality_wire::Held;
use causality_wire::LogNumber;
use causality_wire::Page;
use causality_wire::SET_BYTES_MAX;
use causality_wire::Sets;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

/// How many runs a set from outside may have.
pub(crate) const RUNS_MAX: usize = 1 << 20;
/// How many masks the partial positions from outside may have.
const MASKS_MAX: usize = 1 << 16;

/// How much of a fact is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its hash in the tree.
    Hidden,
    /// Some of its fields.
    Partial(FieldMask),
    /// All of its fields, or all that there is of a fact that cannot be read.
    Full,
}

/// Positions of which some fields are held: from the start of a run to its end and the fields. Runs do not overlap, and
/// neighbours differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial(BTreeMap<u64, (u64, FieldMask)>);

impl Partial {
    fn set(&mut self, range: Range<u64>, mask: Option<FieldMask>) {
        let Range { mut start, mut end } = range;
        let below = self.0.range(..end).rev();
        let overlapping = below.take_while(|(_, (until, _))| *until > start);
        let overlapping: Vec<_> = overlapping.map(|(at, run)| (*at, *run)).collect();
        for (at, (until, before)) in overlapping {
            self.0.remove(&at);
            if at < start {
                self.0.insert(at, (start, before));
            }
            if until > end {
                self.0.insert(end, (until, before));
            }
        }
        let Some(mask) = mask else {
            return;
        };
        if let Some((&at, &(until, before))) = self.0.range(..start).next_back()
            && (until, before) == (start, mask)
        {
            self.0.remove(&at);
            start = at;
        }
        if let Some(&(until, before)) = self.0.get(&end)
            && before == mask
        {
            self.0.remove(&end);
            end = until;
        }
        self.0.insert(start, (end, mask));
    }

    fn get(&self, position: u64) -> Option<FieldMask> {
        let (_, (until, mask)) = self.0.range(..=position).next_back()?;
        (position < *until).then_some(*mask)
    }

    fn runs(&self) -> impl Iterator<Item = (Range<u64>, FieldMask)> {
        self.0
            .iter()
            .map(|(at, (until, mask))| (*at..*until, *mask))
    }

    fn positions(&self) -> PositionSet {
        let mut positions = PositionSet::new();
        self.runs().for_each(|(run, _)| insert(&mut positions, run));
        positions
    }

    fn within(&self, range: Range<u64>) -> Self {
        let mut within = self.clone();
        within.set(0..range.start, None);
        within.0.split_off(&range.end);
        if let Some(mut last) = within.0.last_entry() {
            last.get_mut().0 = last.get().0.min(range.end);
        }
        within
    }

    fn encode(&self) -> Vec<u8> {
        let mut by_mask: BTreeMap<FieldMask, PositionSet> = BTreeMap::new();
        for (run, mask) in self.runs() {
            insert(by_mask.entry(mask).or_default(), run);
        }
        let mut to = Encoder::new();
        to.length(by_mask.len());
        for (mask, held) in by_mask {
            mask.encode(&mut to);
            to.bytes(&held.encode());
        }
        to.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::exactly(bytes, |from| {
            let count = from.length("number of masks", MASKS_MAX)?;
            let (mut partial, mut last) = (Self::default(), None);
            for _ in 0..count {
                let at = from.at();
                let mask = FieldMask::decode(from)?;
                let held = from.bytes("length of a set", SET_BYTES_MAX)?;
                let held = PositionSet::decode(held, RUNS_MAX)?;
                let is_new = held.runs().all(|run| partial.is_free(&run));
                if last.is_some_and(|last| last >= mask) || held.is_empty() || !is_new {
                    let rule = "masks ascend, each with positions that no other one has";
                    return Err(DecodeError::NotCanonical { at, rule });
                }
                last = Some(mask);
                let runs = held.runs().map(|run| (run.start, (run.end, mask)));
                partial.0.extend(runs);
            }
            Ok(partial)
        })
    }

    fn is_free(&self, range: &Range<u64>) -> bool {
        let below = self.0.range(..range.end).next_back();
        below.is_none_or(|(_, (until, _))| *until <= range.start)
    }

    /// How many different masks and runs there are.
    fn is_small(&self) -> bool {
        let masks: BTreeSet<_> = self.runs().map(|(_, mask)| mask).collect();
        masks.len() <= MASKS_MAX && self.0.len() <= RUNS_MAX
    }
}

/// What of a log is durable here, other than in full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holes {
    hidden: PositionSet,
    partial: Partial,
    /// The digests of what is held in full and in part, at a size of the log.
    digests: OnceLock<(u64, [[u8; 16]; 2])>,
}

impl Holes {
    pub(crate) fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.partial.0.is_empty()
    }

    pub(crate) fn set(&mut self, range: Range<u64>, extent: Extent) {
        self.digests = OnceLock::new();
        self.hidden.remove(range.clone());
        let mask = match extent {
            Extent::Partial(mask) => Some(mask),
            Extent::Hidden | Extent::Full => None,
        };
        if mask.is_some() || !self.partial.0.is_empty() {
            self.partial.set(range.clone(), mask);
        }
        if extent == Extent::Hidden {
            insert(&mut self.hidden, range);
        }
    }

    pub(crate) fn extent(&self, position: u64) -> Extent {
        if self.hidden.contains(position) {
            return Extent::Hidden;
        }
        self.partial
            .get(position)
            .map_or(Extent::Full, Extent::Partial)
    }

    /// The positions of which only a hash is held.
    pub(crate) fn hidden(&self) -> &PositionSet {
        &self.hidden
    }

    /// The positions of which some fields are held.
    pub(crate) fn partial(&self) -> PositionSet {
        self.partial.positions()
    }

    /// The positions of a range of which there is a row.
    pub(crate) fn rows(&self, range: Range<u64>) -> PositionSet {
        let mut rows = PositionSet::new();
        insert(&mut rows, range);
        rows.difference(&self.hidden)
    }

    /// What is held of a log of a size, for a peer from which some was declined.
    pub(crate) fn holdings(&self, size: u64, declined: &PositionSet) -> Holdings {
        let partial = self.partial.within(0..size);
        let rows = self.rows(0..size);
        Holdings {
            full: rows.difference(&partial.positions()),
            partial,
            declined: declined.intersection(&prefix(size)),
        }
    }

    /// The same in a few bytes.
    pub(crate) fn held(&self, size: u64, declined: Option<&PositionSet>) -> Held {
        let declined = declined.filter(|declined| !declined.is_empty());
        if self.is_empty() && declined.is_none() {
            return Held::Complete;
        }
        let fresh = || {
            let held = self.holdings(size, &PositionSet::new());
            (size, [held.full.digest(), digest(&held.partial)])
        };
        let cached = self.digests.get_or_init(fresh);
        let [full, partial] = if cached.0 == size {
            cached.1
        } else {
            fresh().1
        };
        Held::Sets {
            full,
            partial,
            declined: declined.map_or_else(|| PositionSet::new().digest(), PositionSet::digest),
        }
    }
}

/// What a domain holds of a log, as it tells a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    full: PositionSet,
    partial: Partial,
    declined: PositionSet,
}

impl Holdings {
    /// The sets of the positions from one on and below `size`, or below less where these are too large for a message.
    pub(crate) fn message(&self, log: LogNumber, from: u64, size: u64) -> Sets {
        let mut until = size.max(from);
        loop {
            let part = self.within(from..until);
            let bytes = |bytes: Vec<u8>| BoundedBytes::new(bytes).ok();
            let full = bytes(part.full.encode());
            let partial = bytes(part.partial.encode());
            let declined = bytes(part.declined.encode());
            if let (Some(full), Some(partial), Some(declined)) = (full, partial, declined)
                && part.is_small()
                && full.len() + partial.len() + declined.len() <= SET_BYTES_MAX
            {
                return Sets {
                    log,
                    from,
                    until,
                    last: if until < size { Page::More } else { Page::Last },
                    full,
                    partial,
                    declined,
                };
            }
            until = from + (until - from) / 2;
        }
    }

    /// What a peer says, if it is canonical: sets without common positions, within what they are about.
    pub(crate) fn from_message(sets: &Sets) -> Option<Self> {
        let holdings = Self {
            full: PositionSet::decode(&sets.full, RUNS_MAX).ok()?,
            partial: Partial::decode(&sets.partial).ok()?,
            declined: PositionSet::decode(&sets.declined, RUNS_MAX).ok()?,
        };
        let partial = holdings.partial.positions();
        let is_within = |set: &PositionSet| {
            let (first, last) = (set.runs().next(), set.runs().last());
            first.is_none_or(|run| run.start >= sets.from)
                && last.is_none_or(|run| run.end <= sets.until)
        };
        let is_legal = holdings.full.intersection(&partial).is_empty()
            && [&holdings.full, &partial, &holdings.declined]
                .into_iter()
                .all(is_within);
        is_legal.then_some(holdings)
    }

    /// What its holder does not take.
    pub(crate) fn declined(&self) -> &PositionSet {
        &self.declined
    }

    /// Whether a peer takes sets of so many runs.
    fn is_small(&self) -> bool {
        let sets = [&self.full, &self.declined];
        self.partial.is_small() && sets.into_iter().all(|set| set.run_count() <= RUNS_MAX)
    }

    /// The same of some positions.
    fn within(&self, range: Range<u64>) -> Self {
        let mut within = PositionSet::new();
        insert(&mut within, range.clone());
        Self {
            full: self.full.intersection(&within),
            partial: self.partial.within(range),
            declined: self.declined.intersection(&within),
        }
    }

    /// The same of the positions below one.
    pub(crate) fn below(&self, until: u64) -> Self {
        self.within(0..until)
    }

    /// Adds what is held of positions behind all that is known.
    pub(crate) fn append(&mut self, part: Self) {
        // Run by run: a union would go through all that is known.
        part.full.runs().for_each(|run| insert(&mut self.full, run));
        self.partial.0.extend(part.partial.0);
        let declined = part.declined.runs();
        declined.for_each(|run| insert(&mut self.declined, run));
    }

    /// Notes that its holder got to hold more.
    pub(crate) fn add(&mut self, position: u64, extent: Extent) {
        let range = position..position + 1;
        match extent {
            Extent::Hidden => {}
            Extent::Partial(_) if self.full.contains(position) => {}
            Extent::Partial(mask) => {
                let held = self.partial.get(position).unwrap_or_default();
                self.partial.set(range, Some(held.union(mask)));
            }
            Extent::Full => {
                self.partial.set(range.clone(), None);
                insert(&mut self.full, range);
            }
        }
    }

    /// Whether its holder has no use for so much of a fact.
    pub(crate) fn covers(&self, position: u64, extent: Extent) -> bool {
        let has_fields = |mask| {
            let held = self.partial.get(position);
            held.is_some_and(|held| held.covers(mask))
        };
        self.full.contains(position)
            || self.declined.contains(position)
            || match extent {
                Extent::Hidden => true,
                Extent::Partial(mask) => has_fields(mask),
                Extent::Full => false,
            }
    }

    /// Of `rows`, of which `holes` says how much is held, those that its holder may have a use for.
    pub(crate) fn lacks(&self, rows: &PositionSet, holes: &Holes) -> PositionSet {
        let mut lacks = rows.difference(&self.full).difference(&self.declined);
        for (run, mine) in holes.partial.runs() {
            let theirs = &self.partial.0;
            let first = theirs.range(..=run.start).next_back();
            let first = first.map_or(run.start, |(at, _)| *at);
            for (at, (until, theirs)) in theirs.range(first..run.end) {
                if theirs.covers(mine) {
                    lacks.remove((*at).max(run.start)..(*until).min(run.end));
                }
            }
        }
        lacks
    }
}

/// What was decided about a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    Shown,
    ShownInPart,
    Deferred,
    Withheld,
}

/// Notes what was decided; says whether that is new.
pub(crate) fn note(kept: &mut KeptBack, position: u64, decided: Decided) -> bool {
    let sets = [
        (&mut kept.withheld, Decided::Withheld),
        (&mut kept.deferred, Decided::Deferred),
        (&mut kept.partial, Decided::ShownInPart),
    ];
    let mut is_new = false;
    for (set, meaning) in sets {
        let is_in = set.contains(position);
        is_new |= is_in != (meaning == decided);
        match meaning == decided {
            true if !is_in => insert(set, position..position + 1),
            false if is_in => set.remove(position..position + 1),
            _ => {}
        }
    }
    is_new
}

/// Whether what is kept back has so few runs that it can be read again, here and by a peer.
pub(crate) fn is_small(kept: &KeptBack) -> bool {
    let sets = [&kept.withheld, &kept.deferred, &kept.partial];
    sets.into_iter().all(|set| set.run_count() <= RUNS_MAX)
}

/// Reads the three sets of what is kept back.
pub(crate) fn decode_kept(from: &mut Decoder<'_>) -> Result<KeptBack, DecodeError> {
    let mut set = || decode_set(from.bytes("length of a set", SET_BYTES_MAX)?);
    Ok(KeptBack {
        withheld: set()?,
        deferred: set()?,
        partial: set()?,
    })
}

/// Writes the three sets of what is kept back.
pub(crate) fn encode_kept(kept: &KeptBack, to: &mut Encoder) {
    for set in [&kept.withheld, &kept.deferred, &kept.partial] {
        to.bytes(&set.encode());
    }
}

fn digest(partial: &Partial) -> [u8; 16] {
    let hash = TaggedHash::new("causality/0/partial")
        .chain(partial.encode())
        .finish();
    *hash.first_chunk().expect("16 bytes are fewer than 32")
}

pub(crate) fn prefix(until: u64) -> PositionSet {
    let mut prefix = PositionSet::new();
    insert(&mut prefix, 0..until);
    prefix
}

/// Positions of logs are far below what a set can hold.
pub(crate) fn insert(set: &mut PositionSet, range: Range<u64>) {
    let inserted = set.insert(range);
    debug_assert!(inserted.is_ok(), "a position of a log");
}

pub(crate) fn decode_set(bytes: &[u8]) -> Result<PositionSet, DecodeError> {
    PositionSet::decode(bytes, RUNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model(partial: &Partial) -> BTreeMap<u64, FieldMask> {
        let runs = partial.runs();
        runs.flat_map(|(run, mask)| run.map(move |at| (at, mask)))
            .collect()
    }

    proptest! {
        #[test]
        fn positions_in_part_are_what_was_set_last(
            sets in prop::collection::vec((0..40_u64, 0..12_u64, prop::option::of(0..3_u128)), 0..30),
        ) {
            let (mut partial, mut expected) = (Partial::default(), BTreeMap::new());
            for (start, length, mask) in sets {
                let mask = mask.map(FieldMask::new);
                if length > 0 {
                    partial.set(start..start + length, mask);
                }
                for at in start..start + length {
                    match mask {
                        Some(mask) => drop(expected.insert(at, mask)),
                        None => drop(expected.remove(&at)),
                    }
                }
                prop_assert_eq!(&model(&partial), &expected);
            }
            for at in 0..60 {
                prop_assert_eq!(partial.get(at), expected.get(&at).copied());
            }
            let again = Partial::decode(&partial.encode()).unwrap();
            prop_assert_eq!(model(&again), model(&partial));
            let below: BTreeMap<_, _> = expected.range(5..17).map(|(at, mask)| (*at, *mask)).collect();
            prop_assert_eq!(model(&partial.within(5..17)), below);
        }
    }

    #[test]
    fn sets_that_are_too_large_for_a_message_are_told_in_parts() {
        let odd = |from: u64, until: u64| {
            let mut set = PositionSet::new();
            (from..until).for_each(|at| insert(&mut set, 2 * at + 1..2 * at + 2));
            set
        };
        let runs = u64::try_from(RUNS_MAX).unwrap();
        for (count, expected) in [(runs, 1), (runs + 1, 2), (3 * runs, 4)] {
            let mut partial = Partial::default();
            partial.set(0..1, Some(FieldMask::new(5)));
            partial.set(4 * runs..4 * runs + 1, Some(FieldMask::new(1)));
            let held = Holdings {
                full: odd(0, count),
                partial,
                declined: odd(count, count + 1),
            };
            let size = 8 * runs;
            let (mut told, mut from, mut parts) = (Holdings::default(), 0, 0);
            loop {
                let sets = held.message(LogNumber(1), from, size);
                assert_eq!(sets.from, from);
                told.append(Holdings::from_message(&sets).unwrap());
                (from, parts) = (sets.until, parts + 1);
                if sets.last == Page::Last {
                    break;
                }
            }
            assert_eq!((from, parts), (size, expected));
            assert!(told == held);
        }
    }
}
