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
use causality_wire::SET_BYTES_MAX;
use causality_wire::Sets;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

/// How many runs a set from outside may have.
const RUNS_MAX: usize = 1 << 20;
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

/// The positions of each set of fields that is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial(BTreeMap<FieldMask, PositionSet>);

impl Partial {
    fn set(&mut self, range: Range<u64>, mask: Option<FieldMask>) {
        self.0.retain(|_, positions| {
            positions.remove(range.clone());
            !positions.is_empty()
        });
        if let Some(mask) = mask {
            insert(self.0.entry(mask).or_default(), range);
        }
    }

    fn get(&self, position: u64) -> Option<FieldMask> {
        let found = self.0.iter().find(|(_, held)| held.contains(position));
        found.map(|(mask, _)| *mask)
    }

    fn positions(&self) -> PositionSet {
        let none = PositionSet::new();
        self.0.values().fold(none, |all, held| all.union(held))
    }

    fn below(&self, until: u64) -> Self {
        let below = self.0.iter();
        let below = below.map(|(mask, held)| (*mask, held.intersection(&prefix(until))));
        Self(below.filter(|(_, held)| !held.is_empty()).collect())
    }

    fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.length(self.0.len());
        for (mask, held) in &self.0 {
            mask.encode(&mut to);
            to.bytes(&held.encode());
        }
        to.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::exactly(bytes, |from| {
            let count = from.length("number of masks", MASKS_MAX)?;
            let (mut partial, mut all) = (BTreeMap::new(), PositionSet::new());
            for _ in 0..count {
                let at = from.at();
                let mask = FieldMask::decode(from)?;
                let held = from.bytes("length of a set", SET_BYTES_MAX)?;
                let held = PositionSet::decode(held, RUNS_MAX)?;
                let ascends = partial.keys().next_back().is_none_or(|last| *last < mask);
                if !ascends || held.is_empty() || !all.intersection(&held).is_empty() {
                    let rule = "masks ascend, each with positions that no other one has";
                    return Err(DecodeError::NotCanonical { at, rule });
                }
                all = all.union(&held);
                partial.insert(mask, held);
            }
            Ok(Self(partial))
        })
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
        let partial = self.partial.below(size);
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
    /// The sets of the positions below `size`, or below less where these are too large for a message.
    pub(crate) fn message(&self, log: LogNumber, size: u64) -> Sets {
        let mut until = size;
        loop {
            let part = self.below(until);
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
                    until,
                    full,
                    partial,
                    declined,
                };
            }
            until /= 2;
        }
    }

    /// What a peer says, if it is canonical: sets without common positions, below what they are about.
    pub(crate) fn from_message(sets: &Sets) -> Option<Self> {
        let holdings = Self {
            full: PositionSet::decode(&sets.full, RUNS_MAX).ok()?,
            partial: Partial::decode(&sets.partial).ok()?,
            declined: PositionSet::decode(&sets.declined, RUNS_MAX).ok()?,
        };
        let partial = holdings.partial.positions();
        let is_below =
            |set: &PositionSet| set.runs().last().is_none_or(|run| run.end <= sets.until);
        let is_legal = holdings.full.intersection(&partial).is_empty()
            && [&holdings.full, &partial, &holdings.declined]
                .into_iter()
                .all(is_below);
        is_legal.then_some(holdings)
    }

    /// What its holder does not take.
    pub(crate) fn declined(&self) -> &PositionSet {
        &self.declined
    }

    /// Whether a peer takes sets of so many runs.
    fn is_small(&self) -> bool {
        let partial = self.partial.0.values();
        let sets = partial.chain([&self.full, &self.declined]);
        self.partial.0.len() <= MASKS_MAX && sets.into_iter().all(|set| set.run_count() <= RUNS_MAX)
    }

    fn below(&self, until: u64) -> Self {
        let below = prefix(until);
        Self {
            full: self.full.intersection(&below),
            partial: self.partial.below(until),
            declined: self.declined.intersection(&below),
        }
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
        for (mine, mine_at) in &holes.partial.0 {
            for (theirs, theirs_at) in &self.partial.0 {
                if theirs.covers(*mine) {
                    lacks = lacks.difference(&mine_at.intersection(theirs_at));
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
