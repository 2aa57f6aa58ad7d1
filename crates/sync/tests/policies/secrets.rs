//! What policies keep back, by its bytes, and where these are in a message.

use causality_fact::{FactId, LogId, Row, RowCore, TaggedHash, TreeHash, leaf_hash};
use causality_wire::{BincodeSerializer, MessageSerializer as _};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::model::FIELDS;
use crate::overheard::Heard;

/// How many bytes of a secret are looked for. It has at least as many.
const NEEDLE_BYTES: usize = 16;

pub(crate) type Needle = [u8; NEEDLE_BYTES];

/// Something that not everybody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secret {
    /// The value or the salt of a field of a fact of a class.
    Field(usize, u8),
    /// The id of a fact of a class.
    Id(usize),
    /// The seed of the salts of a fact of a class: whoever has it can guess at its fields.
    Seed(usize),
    /// Of a log that only its origin has: compartment, name, lane, ids, leaf hashes, roots.
    Own,
    /// The same of a log that some domains share.
    Shared,
}

/// All secrets by their first bytes.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) by_needle: BTreeMap<Needle, Secret>,
    /// Whether one begins with these two bytes: most of what is looked at does not.
    begins: Vec<bool>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            by_needle: BTreeMap::new(),
            begins: vec![false; 1 << 16],
        }
    }
}

impl Secrets {
    pub(crate) fn add(&mut self, bytes: &[u8], secret: Secret) {
        let needle = needle(bytes);
        self.begins[begin(&needle)] = true;
        self.by_needle.insert(needle, secret);
    }

    /// What the whole row of a fact of a class has in it beside what [`value`] made, and its id.
    pub(crate) fn add_row(&mut self, row: &Row, class: usize) {
        self.add(row.id().as_bytes(), Secret::Id(class));
        let fact = row.fact().unwrap();
        let seed_at = name_at(row.bytes(), 0) - 1 - NEEDLE_BYTES;
        self.add(&row.bytes()[seed_at..], Secret::Seed(class));
        for field in 0..FIELDS {
            let alone = fact.redact(|name| name == crate::agree::field(field));
            let alone = Row::from(alone);
            let salt_at = name_at(alone.bytes(), field) - NEEDLE_BYTES;
            self.add(&alone.bytes()[salt_at..], Secret::Field(class, field));
        }
    }

    /// What tells that a log is there, or what is in it.
    pub(crate) fn add_log(&mut self, log: &LogId, (name, root): (&str, TreeHash), secret: Secret) {
        self.add(log.lane.as_bytes(), secret);
        self.add(log.compartment.as_bytes(), secret);
        self.add(name.as_bytes(), secret);
        self.add(root.as_bytes(), secret);
    }

    pub(crate) fn add_fact_of_log(&mut self, id: FactId, secret: Secret) {
        self.add(id.as_bytes(), secret);
        self.add(leaf_hash(&id).as_bytes(), secret);
    }

    /// The secrets in bytes, and where they are.
    fn in_bytes(&self, bytes: &[u8]) -> Vec<(usize, Needle, Secret)> {
        let windows = bytes.windows(NEEDLE_BYTES).enumerate();
        let windows = windows.filter(|(_, window)| self.begins[begin(window)]);
        let secret = |(at, window)| {
            let needle = needle(window);
            Some((at, needle, *self.by_needle.get(&needle)?))
        };
        windows.filter_map(secret).collect()
    }

    /// The secrets in a message. An id is none inside the bytes of a row whose fact names it: how many of these there are
    /// is said as well.
    pub(crate) fn found(&self, heard: &Heard) -> (Vec<(Needle, Secret)>, u64) {
        let bytes = BincodeSerializer.serialize(&heard.sent.message).unwrap();
        let rows = heard.rows();
        let rows: Vec<_> = rows.iter().map(|(_, row)| naming(&bytes, row)).collect();
        let is_named = |at: usize, needle: &Needle| {
            let mut rows = rows.iter();
            rows.any(|(place, named)| place.contains(&at) && named.contains(needle))
        };
        let (mut found, mut named) = (Vec::new(), 0);
        for (at, needle, secret) in self.in_bytes(&bytes) {
            match secret {
                Secret::Id(_) if is_named(at, &needle) => named += 1,
                _ => found.push((needle, secret)),
            }
        }
        (found, named)
    }
}

/// Where a row is in a message, and the ids that its fact names.
fn naming(bytes: &[u8], row: &Row) -> (Range<usize>, BTreeSet<Needle>) {
    let mut windows = bytes.windows(row.bytes().len());
    let at = windows.position(|window| window == row.bytes());
    let at = at.expect("a row is in the message that carries it");
    let RowCore::Known(core) = row.core() else {
        panic!("a core of this version")
    };
    let (causes, replaced) = (core.requires.as_slice(), core.supersedes.as_slice());
    let named = causes
        .iter()
        .chain(replaced)
        .map(|id| needle(id.as_bytes()))
        .collect();
    (at..at + row.bytes().len(), named)
}

fn begin(bytes: &[u8]) -> usize {
    (usize::from(bytes[0]) << 8) | usize::from(bytes[1])
}

fn needle(bytes: &[u8]) -> Needle {
    *bytes.first_chunk().unwrap()
}

/// Where the name of a field is in a row that shows it, with its length before it and the kind of its value behind. Before
/// it stands what the salts are made of, or its salt.
fn name_at(row: &[u8], field: u8) -> usize {
    const BYTES: u8 = 6;
    let name = crate::agree::field(field);
    let name = [&[name.len() as u8][..], name.as_bytes(), &[BYTES]].concat();
    let mut windows = row.windows(name.len());
    windows.rposition(|window| window == name).unwrap()
}

/// The value of a field: random bytes, of which those of a field that is varied differ between two worlds.
pub(crate) fn value(origin: usize, position: u64, number: u8, varied: bool) -> Vec<u8> {
    let hash = TaggedHash::new("a value of a test")
        .chain((origin as u64).to_le_bytes())
        .chain(position.to_le_bytes())
        .chain([number, u8::from(varied)]);
    hash.finish()[..NEEDLE_BYTES].to_vec()
}

/// A name of a compartment that begins so and that nobody guesses.
pub(crate) fn name(kind: &str, number: usize) -> String {
    let hash = TaggedHash::new("a name of a test").chain((number as u64).to_le_bytes());
    let digits = u64::from_le_bytes(*hash.finish().first_chunk().unwrap());
    format!("{kind}{digits:016x}")
}
