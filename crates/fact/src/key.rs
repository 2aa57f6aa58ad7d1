//! Key records: the hash-chained log of a domain's keys, from the genesis record that gives the domain its id
//! (`docs/src/spec/keys.md`). The pre-commitment to the next keys follows KERI; signing by old and new follows TUF.

use crate::checkpoint::Checkpoint;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use crate::convergence::ConvergenceReceipt;
use crate::hash::TaggedHash;
use crate::hash::tagged_message;
use crate::id::DomainId;
use crate::id::KeyId;
use crate::verified::Verified;
use crate::withheld::WithheldStatement;
use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use std::fmt;
use thiserror::Error;

/// The version of key records that this crate writes.
pub const KEY_RECORD_VERSION: u8 = 0;
/// The most signing keys, and transport keys, of one record: one a node.
pub const KEYS_MAX: usize = 8;
/// The most keys that one record revokes.
pub const REVOKED_MAX: usize = 64;
/// The most records of one domain.
pub const KEY_RECORDS_MAX: usize = 1024;

const RECORD_TAG: &str = "causality/0/key-record";

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// From its bytes; admission into a key log checks that it is a good one.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), data_encoding::HEXLOWER.encode(&self.0))
            }
        }
    };
}

public_key!(
    /// An Ed25519 public key (RFC 8032) that signs checkpoints and key records.
    SigningPublicKey
);
public_key!(
    /// An X25519 public key (RFC 7748) to which messages are sealed.
    EncryptionPublicKey
);
public_key!(
    /// An Ed25519 public key that a node proves in TLS (RFC 7250) and signs its Hello with.
    TransportPublicKey
);

impl SigningPublicKey {
    /// Its id.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }
}

/// What one key record says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct KeyRecord {
    /// 0 for the genesis record, then one more each.
    pub epoch: u32,
    /// The hash of the record before; zeros in the genesis record.
    pub previous: [u8; 32],
    /// 1 to [`KEYS_MAX`] keys, strictly ascending.
    pub signing: Vec<SigningPublicKey>,
    /// To whom sealed messages are addressed.
    pub encryption: EncryptionPublicKey,
    /// 1 to [`KEYS_MAX`] keys, strictly ascending.
    pub transport: Vec<TransportPublicKey>,
    /// The commitment to the next record's signing keys: [`KeyRecord::commitment`] of them.
    pub next: [u8; 32],
    /// From when sessions and sealed messages may use the keys, in ms since 1970. Says nothing about history.
    pub not_before: i64,
    /// Until when they may.
    pub not_after: i64,
    /// Keys of earlier records that are revoked, strictly ascending, at most [`REVOKED_MAX`].
    pub revoked: Vec<KeyId>,
}

impl KeyRecord {
    /// The commitment to signing keys that a later record will carry.
    pub fn commitment(keys: &[SigningPublicKey]) -> [u8; 32] {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        let mut bytes = Encoder::new();
        bytes.length(sorted.len());
        for key in &sorted {
            bytes.raw(&key.0);
        }
        TaggedHash::new("causality/0/next-keys")
            .chain(bytes.finish())
            .finish()
    }

    /// The hash of the record, which the next one names; of the genesis record it is the domain's id.
    pub fn hash(&self) -> [u8; 32] {
        TaggedHash::new("causality/0/key-record-id")
            .chain(self.body())
            .finish()
    }

    /// What its signatures cover.
    pub fn signed_message(&self) -> Vec<u8> {
        tagged_message(RECORD_TAG, &self.body())
    }

    fn body(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(KEY_RECORD_VERSION)
            .uint(u64::from(self.epoch))
            .raw(&self.previous);
        to.length(self.signing.len());
        for key in &self.signing {
            to.raw(&key.0);
        }
        to.raw(&self.encryption.0).length(self.transport.len());
        for key in &self.transport {
            to.raw(&key.0);
        }
        to.raw(&self.next)
            .int(self.not_before)
            .int(self.not_after)
            .length(self.revoked.len());
        for key in &self.revoked {
            to.raw(key.as_ref());
        }
        to.finish()
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = from.at();
        from.version("key record version", KEY_RECORD_VERSION)?;
        let epoch = from.length("key epoch", KEY_RECORDS_MAX - 1)?;
        let record = Self {
            epoch: u32::try_from(epoch).expect("the limit fits"),
            previous: from.array()?,
            signing: keys(from, "number of signing keys")?
                .into_iter()
                .map(SigningPublicKey)
                .collect(),
            encryption: EncryptionPublicKey(from.array()?),
            transport: keys(from, "number of transport keys")?
                .into_iter()
                .map(TransportPublicKey)
                .collect(),
            next: from.array()?,
            not_before: from.int()?,
            not_after: from.int()?,
            revoked: ascending(from, "number of revoked keys", REVOKED_MAX)?
                .into_iter()
                .map(KeyId::new)
                .collect(),
        };
        if record.not_before >= record.not_after {
            let rule = "a key record ends after it starts";
            return Err(DecodeError::NotCanonical { at, rule });
        }
        Ok(record)
    }
}

fn keys(from: &mut Decoder<'_>, what: &'static str) -> Result<Vec<[u8; 32]>, DecodeError> {
    let at = from.at();
    let keys = ascending(from, what, KEYS_MAX)?;
    if keys.is_empty() {
        return Err(DecodeError::NotCanonical {
            at,
            rule: "a key record has a key of each kind",
        });
    }
    Ok(keys)
}

fn ascending<const N: usize>(
    from: &mut Decoder<'_>,
    what: &'static str,
    limit: usize,
) -> Result<Vec<[u8; N]>, DecodeError> {
    let at = from.at();
    let count = from.length(what, limit)?;
    let items = (0..count)
        .map(|_| from.array())
        .collect::<Result<Vec<_>, _>>()?;
    if !items.is_sorted_by(|one, next| one < next) {
        return Err(DecodeError::NotCanonical {
            at,
            rule: "keys are in strictly ascending order",
        });
    }
    Ok(items)
}

/// A key record with its signatures: one by each of its own signing keys in their order and, but for the genesis record,
/// one by a signing key of the record before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "closed by the specification of version 0"
)]
pub struct SignedKeyRecord {
    /// The record.
    pub record: KeyRecord,
    /// The signatures of its own keys.
    pub own: Vec<[u8; 64]>,
    /// The signature of a key of the record before.
    pub previous: Option<(KeyId, [u8; 64])>,
}

impl SignedKeyRecord {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.raw(&self.record.body());
        for signature in &self.own {
            to.raw(signature);
        }
        if let Some((key, signature)) = &self.previous {
            to.raw(key.as_ref()).raw(signature);
        }
        to.finish()
    }

    /// Reads canonical bytes; verifies nothing.
    ///
    /// # Errors
    ///
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::exactly(bytes, |from| {
            let record = KeyRecord::decode(from)?;
            let own = record
                .signing
                .iter()
                .map(|_| from.array())
                .collect::<Result<_, _>>()?;
            let previous = match record.epoch {
                0 => None,
                _ => Some((KeyId::decode(from)?, from.array()?)),
            };
            Ok(Self {
                record,
                own,
                previous,
            })
        })
    }
}

/// Why a key record, or a signature under one, is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not a key record.
    #[error("malformed key record: {0}")]
    Malformed(#[from] DecodeError),
    /// A key is weak, of small order, or not a point of the prime-order group.
    #[error("a key is weak or malformed")]
    BadKey,
    /// The log does not start with a genesis record.
    #[error("a key log starts with epoch 0 and no record before it")]
    NotGenesis,
    /// A record does not follow the one before it by epoch and hash.
    #[error("key record {epoch} does not follow the record before it")]
    BrokenChain {
        /// Its epoch.
        epoch: u32,
    },
    /// A record's signing keys are not the ones that the record before committed to.
    #[error("key record {epoch} has other signing keys than the record before committed to")]
    NotCommitted {
        /// Its epoch.
        epoch: u32,
    },
    /// More records than a domain may have.
    #[error("more than {KEY_RECORDS_MAX} key records")]
    TooManyRecords,
    /// No such key in that epoch.
    #[error("key {key} is unknown in epoch {epoch}")]
    UnknownKey {
        /// The key.
        key: KeyId,
        /// The epoch.
        epoch: u32,
    },
    /// A signature does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// Signed by another domain than this key log's.
    #[error("signed for domain {found}, these are the keys of {expected}")]
    OtherDomain {
        /// The domain of the key log.
        expected: DomainId,
        /// The domain that the signed object names.
        found: DomainId,
    },
}

/// The verified key records of one domain, from genesis to the newest known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLog {
    domain: DomainId,
    records: Vec<SignedKeyRecord>,
}

impl KeyLog {
    /// Verifies records from genesis on.
    ///
    /// # Errors
    ///
    /// When there is none, or one does not verify or follow.
    pub fn verify<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, KeyError> {
        let mut records = records.into_iter();
        let genesis = SignedKeyRecord::from_bytes(records.next().ok_or(KeyError::NotGenesis)?)?;
        if genesis.record.epoch != 0 || genesis.record.previous != [0; 32] {
            return Err(KeyError::NotGenesis);
        }
        verify_own(&genesis)?;
        let domain = DomainId::new(genesis.record.hash());
        let mut log = Self {
            domain,
            records: vec![genesis],
        };
        records.try_for_each(|record| log.extend(record))?;
        Ok(log)
    }

    /// Verifies and appends the next record; after an error the log is as it was.
    ///
    /// # Errors
    ///
    /// When it does not verify, or does not follow.
    pub fn extend(&mut self, record: &[u8]) -> Result<(), KeyError> {
        if self.records.len() == KEY_RECORDS_MAX {
            return Err(KeyError::TooManyRecords);
        }
        let next = SignedKeyRecord::from_bytes(record)?;
        let head = self.head();
        let epoch = next.record.epoch;
        if epoch != head.epoch + 1 || next.record.previous != head.hash() {
            return Err(KeyError::BrokenChain { epoch });
        }
        if KeyRecord::commitment(&next.record.signing) != head.next {
            return Err(KeyError::NotCommitted { epoch });
        }
        verify_own(&next)?;
        let (signer, signature) = next.previous.ok_or(KeyError::BrokenChain { epoch })?;
        let key = self.signing_key(head.epoch, signer)?;
        verify_strict(&key.0, &next.record.signed_message(), &signature)?;
        self.records.push(next);
        Ok(())
    }

    /// The domain whose keys these are.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// The newest record.
    pub fn head(&self) -> &KeyRecord {
        &self
            .records
            .last()
            .expect("a log has a genesis record")
            .record
    }

    /// How many records there are; the newest has this epoch less one.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Never: a log has a genesis record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record of an epoch.
    pub fn record(&self, epoch: u32) -> Option<&SignedKeyRecord> {
        self.records.get(epoch as usize)
    }

    /// The bytes of the records from an epoch on.
    pub fn records_from(&self, epoch: usize) -> Vec<Vec<u8>> {
        self.records
            .iter()
            .skip(epoch)
            .map(SignedKeyRecord::to_bytes)
            .collect()
    }

    /// Whether a transport key stands in the newest record.
    pub fn lists_transport(&self, key: &TransportPublicKey) -> bool {
        self.head().transport.contains(key)
    }

    /// Whether a key is revoked by any record.
    pub fn is_revoked(&self, key: KeyId) -> bool {
        self.records
            .iter()
            .any(|signed| signed.record.revoked.contains(&key))
    }

    /// Verifies the signature of a checkpoint of this domain.
    ///
    /// # Errors
    ///
    /// When it is of another domain, names a key that its epoch does not have, or was not signed by it.
    pub fn verify_checkpoint(
        &self,
        checkpoint: Checkpoint,
    ) -> Result<Verified<Checkpoint>, KeyError> {
        let signer = (checkpoint.epoch, checkpoint.key);
        self.check_domain(checkpoint.log.origin)?;
        self.check_signature(signer, &checkpoint.signed_message(), &checkpoint.signature)?;
        Ok(Verified::new(checkpoint))
    }

    /// Verifies the signature of a withheld statement about a log of this domain.
    ///
    /// # Errors
    ///
    /// As [`verify_checkpoint`](Self::verify_checkpoint).
    pub fn verify_withheld_statement(
        &self,
        said: WithheldStatement,
    ) -> Result<Verified<WithheldStatement>, KeyError> {
        self.check_domain(said.log.origin)?;
        self.check_signature(
            (said.epoch, said.key),
            &said.signed_message(),
            &said.signature,
        )?;
        Ok(Verified::new(said))
    }

    /// Verifies the signature of a convergence receipt of this domain.
    ///
    /// # Errors
    ///
    /// As [`verify_checkpoint`](Self::verify_checkpoint).
    pub fn verify_convergence_receipt(
        &self,
        receipt: ConvergenceReceipt,
    ) -> Result<Verified<ConvergenceReceipt>, KeyError> {
        let signer = (receipt.epoch, receipt.key);
        self.check_domain(receipt.signer)?;
        self.check_signature(signer, &receipt.signed_message(), &receipt.signature)?;
        Ok(Verified::new(receipt))
    }

    /// How many positions of a lane stand, given its checkpoints of all epochs that are known: those covered by a key
    /// that is not revoked, and of those covered by revoked keys only the ones below the first checkpoint of a later
    /// epoch, the *cut*. Cuts apply from the highest epoch down. Positions from the result on are void.
    pub fn standing(&self, checkpoints: &[Verified<Checkpoint>]) -> u64 {
        let mut by_epoch: Vec<_> = checkpoints.iter().collect();
        by_epoch.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.epoch));
        let (mut standing, mut cut) = (0, u64::MAX);
        for group in by_epoch.chunk_by(|one, next| one.epoch == next.epoch) {
            let effective = |checkpoint: &&Verified<Checkpoint>| {
                let limit = if self.is_revoked(checkpoint.key) {
                    cut
                } else {
                    u64::MAX
                };
                checkpoint.size.min(limit)
            };
            let sizes: Vec<_> = group.iter().map(effective).collect();
            standing = sizes.iter().copied().fold(standing, u64::max);
            cut = sizes.into_iter().fold(cut, u64::min);
        }
        standing
    }

    fn check_domain(&self, found: DomainId) -> Result<(), KeyError> {
        let expected = self.domain;
        if found != expected {
            return Err(KeyError::OtherDomain { expected, found });
        }
        Ok(())
    }

    /// Whether a key of an epoch signed a message.
    fn check_signature(
        &self,
        (epoch, key): (u32, KeyId),
        message: &[u8],
        signature: &[u8; 64],
    ) -> Result<(), KeyError> {
        let key = self.signing_key(epoch, key)?;
        verify_strict(&key.0, message, signature)
    }

    fn signing_key(&self, epoch: u32, key: KeyId) -> Result<SigningPublicKey, KeyError> {
        let record = self.records.get(epoch as usize);
        let mut keys = record
            .into_iter()
            .flat_map(|signed| signed.record.signing.iter());
        keys.find(|candidate| candidate.id() == key)
            .copied()
            .ok_or(KeyError::UnknownKey { key, epoch })
    }
}

fn verify_own(signed: &SignedKeyRecord) -> Result<(), KeyError> {
    let record = &signed.record;
    record
        .signing
        .iter()
        .try_for_each(|key| check_ed25519(&key.0))?;
    record
        .transport
        .iter()
        .try_for_each(|key| check_ed25519(&key.0))?;
    // A point of small order gives zero under every scalar (RFC 7748, section 6.1).
    if x25519_dalek::x25519([1; 32], record.encryption.0) == [0; 32] {
        return Err(KeyError::BadKey);
    }
    let message = record.signed_message();
    let mut pairs = record.signing.iter().zip(&signed.own);
    pairs.try_for_each(|(key, signature)| verify_strict(&key.0, &message, signature))
}

/// Refuses Ed25519 keys outside of the prime-order group, so that no signature verifies under two rules differently. No
/// point within it has a second spelling.
fn check_ed25519(key: &[u8; 32]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| KeyError::BadKey)?;
    if key.is_weak() || !key.to_edwards().is_torsion_free() {
        return Err(KeyError::BadKey);
    }
    Ok(())
}

/// Verifies an Ed25519 signature by the one rule that is used everywhere (RFC 8032, strict: no small-order points, no
/// malleable S).
///
/// # Errors
///
/// [`KeyError::BadKey`] when the bytes are not a key, [`KeyError::BadSignature`] when the signature does not verify.
pub fn verify_strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| KeyError::BadKey)?;
    key.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_| KeyError::BadSignature)
}

#[cfg(test)]
mod tests;
