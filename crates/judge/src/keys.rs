//! Key records, key logs and checkpoints, as `docs/src/spec/keys.md` and `log.md` have them.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::codec::{DecodeError, Reader, ascends, tagged_hash, tagged_message, uint_bytes};
use crate::id::{DomainId, LogId, TreeHash};

/// Why key records or a checkpoint prove nothing; the classes are those of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A key that nobody may use.
    BadKey,
    /// A signature does not hold.
    BadSignature,
    /// A record does not follow the one before.
    BrokenChain,
    /// The bytes are not a record, or not a checkpoint.
    Malformed(DecodeError),
    /// Other keys than the record before has committed to.
    NotCommitted,
    /// The first record is not a first one.
    NotGenesis,
    /// The checkpoint, or the key log, is of another domain.
    OtherDomain,
    /// More records than a key log may have.
    TooManyRecords,
    /// There is no such key in that record.
    UnknownKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey => f.write_str("bad_key"),
            Self::BadSignature => f.write_str("bad_signature"),
            Self::BrokenChain => f.write_str("broken_chain"),
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            Self::NotCommitted => f.write_str("not_committed"),
            Self::NotGenesis => f.write_str("not_genesis"),
            Self::OtherDomain => f.write_str("other_domain"),
            Self::TooManyRecords => f.write_str("too_many_records"),
            Self::UnknownKey => f.write_str("unknown_key"),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<DecodeError> for KeyError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The verified signing keys of a domain, epoch by epoch.
#[derive(Debug, Clone)]
pub struct KeyLog {
    domain: DomainId,
    epochs: Vec<Vec<[u8; 32]>>,
}

impl KeyLog {
    /// Verifies the records of a domain from genesis on.
    ///
    /// # Errors
    ///
    /// The first check of the page that fails.
    pub fn verify<'b>(records: impl IntoIterator<Item = &'b [u8]>) -> Result<Self, KeyError> {
        let mut records = records.into_iter();
        let genesis = Record::read(records.next().ok_or(KeyError::NotGenesis)?)?;
        if genesis.epoch != 0 || genesis.previous != [0; 32] {
            return Err(KeyError::NotGenesis);
        }
        genesis.check_keys()?;
        genesis.check_own_signatures()?;
        let mut keys = Self {
            domain: DomainId(genesis.hash()),
            epochs: vec![genesis.signing.clone()],
        };
        let mut head = genesis;
        for bytes in records {
            if keys.epochs.len() == RECORDS_MAX {
                return Err(KeyError::TooManyRecords);
            }
            let record = Record::read(bytes)?;
            record.check_successor_of(&head)?;
            keys.epochs.push(record.signing.clone());
            head = record;
        }
        Ok(keys)
    }

    /// Whose keys these are: the hash of the first record.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// Verifies the signature of a key of an epoch, which is to be this domain's, under something for a purpose.
    pub(crate) fn check(
        &self,
        (signer, epoch, key): (DomainId, u64, [u8; 16]),
        (tag, signed): (&str, &[u8]),
        signature: &[u8; 64],
    ) -> Result<(), KeyError> {
        if signer != self.domain {
            return Err(KeyError::OtherDomain);
        }
        let epoch = usize::try_from(epoch).ok();
        let signing = epoch.and_then(|epoch| self.epochs.get(epoch));
        let key = signing.and_then(|signing| find(signing, key));
        let message = tagged_message(tag, &[signed]);
        check_signature(key.ok_or(KeyError::UnknownKey)?, &message, signature)
    }
}

/// What an origin signed about a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which log.
    pub log: LogId,
    /// How many positions.
    pub size: u64,
    /// The root of that size.
    pub root: TreeHash,
    /// When it was signed.
    pub time: u64,
    /// The key record whose key signs.
    pub epoch: u64,
    /// Whether it closes the lane.
    pub is_closing: bool,
}

impl Checkpoint {
    /// Reads a checkpoint and verifies it under the keys of its origin.
    ///
    /// # Errors
    ///
    /// When the bytes are not a checkpoint, or no signed one of this domain.
    pub fn verify(keys: &KeyLog, bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        reader.code(0)?;
        let log = LogId::read(&mut reader)?;
        let size = reader.uint_at_most(LOG_SIZE_MAX)?;
        let root = TreeHash(reader.array()?);
        let time = reader.u64()?;
        let epoch = reader.uint_at_most(EPOCH_MAX)?;
        let key = reader.array()?;
        let is_closing = reader.code(1)? == 1;
        let signed = reader.since(Reader::new(bytes));
        let signature = reader.array()?;
        reader.finish()?;
        keys.check(
            (log.origin, epoch, key),
            ("causality/0/checkpoint", signed),
            &signature,
        )?;
        Ok(Self {
            log,
            size,
            root,
            time,
            epoch,
            is_closing,
        })
    }
}

#[derive(Debug)]
struct Record<'b> {
    body: &'b [u8],
    epoch: u64,
    previous: [u8; 32],
    signing: Vec<[u8; 32]>,
    encryption: [u8; 32],
    transport: Vec<[u8; 32]>,
    next: [u8; 32],
    own_signatures: Vec<[u8; 64]>,
    before: Option<([u8; 16], [u8; 64])>,
}

impl<'b> Record<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.code(0)?;
        let epoch = reader.uint_at_most(EPOCH_MAX)?;
        let previous = reader.array()?;
        let signing = key_set(&mut reader)?;
        let encryption = reader.array()?;
        let transport = key_set(&mut reader)?;
        let next = reader.array()?;
        let (not_before, not_after) = (reader.int()?, reader.int()?);
        if not_after <= not_before {
            return Err(DecodeError::NotCanonical);
        }
        let mut revoked = None;
        for _ in 0..reader.uint_at_most(REVOKED_MAX)? {
            ascends(&mut revoked, reader.array::<16>()?)?;
        }
        let body = reader.since(Reader::new(bytes));
        let own_signatures = signing
            .iter()
            .map(|_| reader.array())
            .collect::<Result<_, _>>()?;
        let before = match epoch {
            0 => None,
            _ => Some((reader.array()?, reader.array()?)),
        };
        reader.finish()?;
        Ok(Self {
            body,
            epoch,
            previous,
            signing,
            encryption,
            transport,
            next,
            own_signatures,
            before,
        })
    }

    fn check_successor_of(&self, head: &Record<'_>) -> Result<(), KeyError> {
        if self.epoch != head.epoch + 1 || self.previous != head.hash() {
            return Err(KeyError::BrokenChain);
        }
        if self.commitment() != head.next {
            return Err(KeyError::NotCommitted);
        }
        self.check_keys()?;
        self.check_own_signatures()?;
        let (id, signature) = self.before.as_ref().ok_or(KeyError::BrokenChain)?;
        let key = find(&head.signing, *id).ok_or(KeyError::UnknownKey)?;
        check_signature(key, &self.message(), signature)
    }

    fn check_keys(&self) -> Result<(), KeyError> {
        let mut ed25519 = self.signing.iter().chain(&self.transport);
        if !ed25519.all(is_good_ed25519) || is_small_x25519(self.encryption) {
            return Err(KeyError::BadKey);
        }
        Ok(())
    }

    fn check_own_signatures(&self) -> Result<(), KeyError> {
        let message = self.message();
        let mut pairs = self.signing.iter().zip(&self.own_signatures);
        pairs.try_for_each(|(key, signature)| check_signature(key, &message, signature))
    }

    fn message(&self) -> Vec<u8> {
        tagged_message("causality/0/key-record", &[self.body])
    }

    fn hash(&self) -> [u8; 32] {
        tagged_hash("causality/0/key-record-id", &[self.body])
    }

    fn commitment(&self) -> [u8; 32] {
        let count = uint_bytes(self.signing.len() as u64);
        tagged_hash(
            "causality/0/next-keys",
            &[&count, self.signing.as_flattened()],
        )
    }
}

fn key_set(reader: &mut Reader<'_>) -> Result<Vec<[u8; 32]>, DecodeError> {
    let count = reader.uint_at_most(KEYS_MAX)?;
    if count == 0 {
        return Err(DecodeError::NotCanonical);
    }
    let mut before = None;
    let mut keys = Vec::new();
    for _ in 0..count {
        let key = reader.array()?;
        ascends(&mut before, key)?;
        keys.push(key);
    }
    Ok(keys)
}

fn find(signing: &[[u8; 32]], id: [u8; 16]) -> Option<&[u8; 32]> {
    signing.iter().find(|key| key_id(key) == id)
}

/// The id of a signing key.
pub(crate) fn key_id(key: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    let hash = tagged_hash("causality/0/key-id", &[key]);
    id.copy_from_slice(&hash[..16]);
    id
}

fn check_signature(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| KeyError::BadKey)?;
    key.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_| KeyError::BadSignature)
}

/// A point of the curve whose order is the large prime.
fn is_good_ed25519(key: &[u8; 32]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(key) else {
        return false;
    };
    !key.is_weak() && key.to_edwards().is_torsion_free()
}

/// RFC 7748 ignores the top bit, and reads numbers above the prime p as what they are modulo p.
fn is_small_x25519(mut key: [u8; 32]) -> bool {
    key[31] &= 0x7f;
    SMALL_X25519.contains(&key)
}

/// All spellings, but for the top bit, of the five u coordinates of small order: 0, 1, p − 1, and two of order 8.
const SMALL_X25519: [[u8; 32]; 7] = [
    [0; 32],
    single(1),
    below_2_255(0xec),
    below_2_255(0xed),
    below_2_255(0xee),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
];

const fn single(low: u8) -> [u8; 32] {
    let mut key = [0; 32];
    key[0] = low;
    key
}

/// The prime is 2^255 − 19, so p − 1 ends in `ec`, p in `ed`.
const fn below_2_255(low: u8) -> [u8; 32] {
    let mut key = [0xff; 32];
    key[0] = low;
    key[31] = 0x7f;
    key
}

const RECORDS_MAX: usize = 1024;
pub(crate) const EPOCH_MAX: u64 = 1023;
const KEYS_MAX: u64 = 8;
const REVOKED_MAX: u64 = 64;
pub(crate) const LOG_SIZE_MAX: u64 = 1 << 48;
