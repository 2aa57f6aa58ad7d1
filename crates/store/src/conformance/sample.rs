//! Facts, entries and batches to fill stores with.

use causality_fact::{
    Aspect, CompactRange, CompartmentId, ContentHash, DomainId, Entry, FactCore, FactType, Hlc,
    Label, LaneId, LogId, Onward, References, Row, Seed, TemporalFact, ValidTime, Value,
    WholeContent, leaf_hash,
};

use crate::batch::{Batch, NewEntry};

/// A log of domain `origin`, one for each number.
pub fn log(origin: u8, number: u8) -> LogId {
    LogId {
        origin: DomainId::new([origin; 32]),
        compartment: CompartmentId::new([number % 2; 16]),
        lane: LaneId::new([number; 16]),
    }
}

/// The fact with a number in a log: one of ten resources `sensor/0` to `sensor/9`, the fields `a`, `b` and `c`.
///
/// # Panics
///
/// Never: all of it is within the limits.
pub fn fact(log: &LogId, number: u64) -> TemporalFact {
    sized_fact(log, number, 20)
}

/// As [`fact`], with a value of so many bytes that does not compress.
///
/// # Panics
///
/// When it is too large for a fact.
pub fn sized_fact(log: &LogId, number: u64, bytes: usize) -> TemporalFact {
    let mut state = number ^ u64::from(log.lane.as_bytes()[0]) << 48;
    let noise = std::iter::repeat_with(|| {
        // SplitMix64 (Steele et al., 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u8
    });
    let fields = [
        ("a".to_owned(), Value::Bytes(noise.take(bytes).collect())),
        ("b".to_owned(), Value::Int(number as i64)),
        ("c".to_owned(), Value::Null),
    ];
    let content = WholeContent::new(Seed::new([7; 16]), fields.into()).unwrap();
    let core = FactCore {
        onward: Onward::Any,
        label: Label::default(),
        origin: log.origin,
        fact_type: if number.is_multiple_of(3) {
            FactType::Validation
        } else {
            FactType::Observation
        },
        resource: format!("sensor/{}", number % 10).parse().unwrap(),
        aspect: Aspect::default(),
        hlc: Hlc::from_millis(1_000 + number),
        valid: ValidTime::between(number as i64, number as i64 + 10).unwrap(),
        requires: References::default(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    };
    TemporalFact::new(core, content).unwrap()
}

/// The whole row of [`fact`] at the position of its number.
pub fn full(log: LogId, number: u64) -> NewEntry {
    row(log, number, &fact(&log, number))
}

/// The row of [`fact`] with some fields only.
pub fn partial(log: LogId, number: u64, fields: &str) -> NewEntry {
    row(
        log,
        number,
        &fact(&log, number).redact(|name| fields.contains(name)),
    )
}

/// The row of [`fact`] with all fields and without the seed, as it is merged from parts.
///
/// # Panics
///
/// Never: parts of one fact merge.
pub fn all_fields(log: LogId, number: u64) -> NewEntry {
    let fact = fact(&log, number);
    let [a, rest] = [true, false].map(|a| fact.redact(|name| (name == "a") == a));
    row(log, number, &a.merge(&rest).unwrap())
}

/// The leaf of [`fact`] only.
pub fn withheld(log: LogId, number: u64) -> NewEntry {
    subtree(log, number, 0)
}

/// The subtree over the [`fact`]s from a position on.
///
/// # Panics
///
/// When there is no such subtree.
pub fn subtree(log: LogId, position: u64, level: u8) -> NewEntry {
    let mut range = CompactRange::new();
    for number in position..position + (1 << level) {
        range.push(leaf_hash(&fact(&log, number).id())).unwrap();
    }
    let hash = range.root();
    new_entry(log, position, Entry::Withheld { level, hash })
}

/// A batch of entries.
pub fn batch(entries: impl IntoIterator<Item = NewEntry>) -> Batch {
    Batch {
        entries: entries.into_iter().collect(),
        side: Vec::new(),
        time: 5,
    }
}

pub(super) fn row(log: LogId, position: u64, fact: &TemporalFact) -> NewEntry {
    new_entry(log, position, Entry::Row(Row::from(fact)))
}

pub(super) fn new_entry(log: LogId, position: u64, entry: Entry) -> NewEntry {
    NewEntry {
        log,
        position,
        entry,
        mark: None,
    }
}
