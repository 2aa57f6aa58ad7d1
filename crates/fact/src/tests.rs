//! What the tests of this crate share: facts, keys from seeds, and a writer of logs.

use crate::checkpoint::Checkpoint;
use crate::checkpoint::LogId;
use crate::chunk::Chunk;
use crate::chunk::Entry;
use crate::chunk::right_hashes;
use crate::codec::Encoder;
use crate::content::ContentHash;
use crate::content::Seed;
use crate::content::WholeContent;
use crate::core::FactCore;
use crate::core::Onward;
use crate::core::References;
use crate::core::ValidTime;
use crate::hlc::Hlc;
use crate::id::CompartmentId;
use crate::id::DomainId;
use crate::id::LaneId;
use crate::key::EncryptionPublicKey;
use crate::key::KeyLog;
use crate::key::KeyRecord;
use crate::key::SignedKeyRecord;
use crate::key::SigningPublicKey;
use crate::key::TransportPublicKey;
use crate::name::Aspect;
use crate::name::FactType;
use crate::name::Label;
use crate::row::Row;
use crate::row::TemporalFact;
use crate::tree::BlockRoots;
use crate::tree::TreeHash;
use crate::tree::blocks_of;
use crate::tree::decompose;
use crate::tree::leaf_hash;
use crate::tree::root_of;
use crate::value::Value;
use crate::verified::Verified;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use std::ops::Range;

/// The core of a made-up fact of [`domain`], appended at `millis`.
pub(crate) fn core(millis: u64) -> FactCore {
    FactCore {
        onward: Onward::Audience,
        label: Label::new("reviewed").unwrap(),
        origin: domain(),
        fact_type: FactType::Observation,
        resource: "earthquake/ak18247005".parse().unwrap(),
        aspect: Aspect::new("report").unwrap(),
        hlc: Hlc::from_millis(millis),
        valid: ValidTime::between(1_517_365_101_235, 1_517_365_391_235).unwrap(),
        requires: References::default(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    }
}

/// A fact with these fields, appended at `millis`.
pub(crate) fn fact(millis: u64, fields: &[(&str, Value)]) -> TemporalFact {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    let content = WholeContent::new(Seed::new([7; 16]), fields.collect()).unwrap();
    TemporalFact::new(core(millis), content).unwrap()
}

/// A signing key made from one number.
pub(crate) fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Its public half.
pub(crate) fn public(seed: u8) -> SigningPublicKey {
    SigningPublicKey::new(secret(seed).verifying_key().to_bytes())
}

/// A record in which key `seed` signs and commits to key `seed + 1`.
pub(crate) fn record(epoch: u32, previous: [u8; 32], seed: u8) -> KeyRecord {
    KeyRecord {
        epoch,
        previous,
        signing: vec![public(seed)],
        encryption: EncryptionPublicKey::new([9; 32]),
        transport: vec![TransportPublicKey::new(*public(200).as_bytes())],
        next: KeyRecord::commitment(&[public(seed + 1)]),
        not_before: 0,
        not_after: 1_000,
        revoked: vec![],
    }
}

/// A record signed by its own keys, in their order, and by `previous`.
pub(crate) fn sign(record: KeyRecord, own: &[u8], previous: Option<u8>) -> SignedKeyRecord {
    let message = record.signed_message();
    let signature = |seed: u8| secret(seed).sign(&message).to_bytes();
    SignedKeyRecord {
        own: own.iter().map(|seed| signature(*seed)).collect(),
        previous: previous.map(|seed| (public(seed).id(), signature(seed))),
        record,
    }
}

/// The genesis record of the domain of most tests, whose key is 1.
pub(crate) fn genesis() -> SignedKeyRecord {
    sign(record(0, [0; 32], 1), &[1], None)
}

/// The domain that [`genesis`] makes.
pub(crate) fn domain() -> DomainId {
    DomainId::new(genesis().record.hash())
}

/// Its keys.
pub(crate) fn keys() -> KeyLog {
    KeyLog::verify([genesis().to_bytes().as_slice()]).unwrap()
}

/// A log of [`domain`].
pub(crate) fn log() -> LogId {
    LogId {
        origin: domain(),
        compartment: CompartmentId::PUBLIC,
        lane: LaneId::new([3; 16]),
    }
}

/// A checkpoint of [`log`] signed by key `seed` in `epoch`.
pub(crate) fn checkpoint(size: u64, root: TreeHash, epoch: u32, seed: u8) -> Checkpoint {
    let mut checkpoint = Checkpoint {
        log: log(),
        size,
        root,
        hlc: Hlc::from_millis(size),
        epoch,
        key: public(seed).id(),
        closing: false,
        signature: [0; 64],
    };
    checkpoint.signature = secret(seed).sign(&checkpoint.signed_message()).to_bytes();
    checkpoint
}

/// Writes a log: position `i` has a fact of its own at time `i + 1`.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) rows: Vec<Row>,
    pub(crate) leaves: Vec<TreeHash>,
}

impl Writer {
    pub(crate) fn new(size: u64) -> Self {
        let row = |position| Row::from(&fact(position + 1, &[("n", Value::Int(position as i64))]));
        Self::of((0..size).map(row).collect())
    }

    pub(crate) fn of(rows: Vec<Row>) -> Self {
        let leaves = rows.iter().map(|row| leaf_hash(&row.id())).collect();
        Self { rows, leaves }
    }

    /// A checkpoint of the first `size` positions.
    pub(crate) fn checkpoint(&self, size: u64) -> Verified<Checkpoint> {
        let root = root_of(&self.leaves[..size as usize]);
        keys()
            .verify_checkpoint(checkpoint(size, root, 0, 1))
            .unwrap()
    }

    /// The roots of the blocks of the log of `size` that a holder of `held` positions lacks.
    pub(crate) fn later_roots(&self, held: u64, size: u64) -> Vec<TreeHash> {
        let mut tree = BlockRoots::new();
        for leaf in &self.leaves[..size as usize] {
            tree.push(*leaf);
        }
        let lacks = crate::chunk::blocks_behind(held, size);
        tree.roots()[(blocks_of(size) - lacks) as usize..].to_vec()
    }

    /// The entries of a range; of the positions that `withheld` names their hashes.
    pub(crate) fn entries(&self, range: Range<u64>, withheld: impl Fn(u64) -> bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let run = (at..range.end).take_while(|at| withheld(*at)).count() as u64;
            for subtree in decompose(at..at + run).unwrap() {
                let leaves = subtree.range_in(at + run);
                entries.push(Entry::Withheld {
                    level: subtree.level(),
                    hash: root_of(&self.leaves[leaves.start as usize..leaves.end as usize]),
                });
            }
            at += run;
            if at < range.end {
                entries.push(Entry::Row(self.rows[at as usize].clone()));
                at += 1;
            }
        }
        entries
    }

    /// A chunk of a range of the log of `size`.
    pub(crate) fn chunk(
        &self,
        range: Range<u64>,
        size: u64,
        withheld: impl Fn(u64) -> bool,
    ) -> Chunk {
        let behind = &self.leaves[range.end as usize..size as usize];
        let mut entries = Encoder::new();
        for entry in self.entries(range.clone(), withheld) {
            entry.encode(&mut entries);
        }
        Chunk {
            from: range.start,
            entries: entries.finish(),
            right: right_hashes(range.end, size, behind).unwrap(),
        }
    }
}
