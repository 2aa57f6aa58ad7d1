//! A domain's secrets and what is done with them: genesis, signing, rotation (`docs/src/spec/keys.md`).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::CryptoRng;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use causality_fact::{
    Checkpoint, ConvergenceReceipt, DomainId, EncryptionPublicKey, Frontiers, Hlc, KeptBack,
    KeyError, KeyId, KeyLog, KeyRecord, LOG_SIZE_MAX, LogId, SignedKeyRecord, SigningPublicKey,
    TransportPublicKey, TreeHead, WithheldStatement,
};

/// The secrets of a domain that has one node, with the records that publish their public halves.
///
/// The newest record lists exactly the public keys of these secrets, and commits to the next signing key. Wiped when
/// dropped, never printed, not to be cloned; [`to_file`](Self::to_file) is the one way out.
pub struct DomainKeys {
    pub(crate) secrets: Secrets,
    pub(crate) log: KeyLog,
}

impl DomainKeys {
    /// Draws all keys of a new domain, and makes its genesis record. Sessions and sealed messages may use the keys in
    /// the given milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] when the range is empty.
    pub fn generate(rng: &mut impl CryptoRng, valid_ms: Range<i64>) -> Result<Self, KeyError> {
        let secrets = Secrets::draw(draw_signing(rng), rng);
        let genesis = secrets.record(0, [0; 32], valid_ms, &BTreeSet::new());
        let genesis = secrets.sign_record(genesis, None).to_bytes();
        let log = KeyLog::verify([genesis.as_slice()])?;
        Ok(Self { secrets, log })
    }

    /// The keys of the next epoch and the record that announces them: the committed next key signs from there on, all
    /// others are new. `revoked` names keys of earlier epochs that were stolen; a key that is only rotated out stays
    /// good for what it signed.
    ///
    /// These keys stay as they are, so that the caller can write the new ones down before dropping them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] when the range is empty or more keys are revoked than a record has room for,
    /// [`KeyError::TooManyRecords`] when the domain has no epoch left.
    pub fn rotate(
        &self,
        rng: &mut impl CryptoRng,
        valid_ms: Range<i64>,
        revoked: &BTreeSet<KeyId>,
    ) -> Result<(Self, SignedKeyRecord), KeyError> {
        let committed = SigningKey::from_bytes(self.secrets.next.as_bytes());
        let secrets = Secrets::draw(committed, rng);
        let head = self.log.head();
        let record = secrets.record(head.epoch + 1, head.hash(), valid_ms, revoked);
        let record = secrets.sign_record(record, Some(&self.secrets.signing));
        let mut log = self.log.clone();
        log.extend(&record.to_bytes())?;
        Ok((Self { secrets, log }, record))
    }

    /// Signs what a log of this domain has come to. `hlc` is the time of signing, not before the last fact below.
    ///
    /// What is below has to be durable first: a signature cannot be taken back.
    ///
    /// # Errors
    ///
    /// When the log is another domain's, or larger than a log may be.
    pub fn sign_checkpoint(
        &self,
        log: LogId,
        head: TreeHead,
        hlc: Hlc,
    ) -> Result<Checkpoint, SignError> {
        self.sign(self.unsigned(log, head, hlc))
    }

    /// Signs the last checkpoint of a lane: positions behind it are void, without blame.
    ///
    /// # Errors
    ///
    /// As [`sign_checkpoint`](Self::sign_checkpoint).
    pub fn sign_closing_checkpoint(
        &self,
        log: LogId,
        head: TreeHead,
        hlc: Hlc,
    ) -> Result<Checkpoint, SignError> {
        self.sign(Checkpoint {
            closing: true,
            ..self.unsigned(log, head, hlc)
        })
    }

    /// Signs what of the first `size` positions of a log of this domain is kept back from an audience at a time.
    ///
    /// # Errors
    ///
    /// As [`sign_checkpoint`](Self::sign_checkpoint), and when the sets overlap or reach above the size.
    pub fn sign_withheld_statement(
        &self,
        log: LogId,
        size: u64,
        audience: DomainId,
        kept: &KeptBack,
        hlc: Hlc,
    ) -> Result<WithheldStatement, SignError> {
        self.check_log(log, size)?;
        if !kept.fits(size) {
            return Err(SignError::Misplaced { size });
        }
        let mut statement = WithheldStatement {
            log,
            size,
            audience,
            withheld: kept.withheld.hash(),
            deferred: kept.deferred.hash(),
            partial: kept.partial.hash(),
            hlc,
            epoch: self.log.head().epoch,
            key: self.secrets.signing_key().id(),
            signature: [0; 64],
        };
        statement.signature = self.sign_message(&statement.signed_message());
        Ok(statement)
    }

    /// Signs for a peer what both hold within a scope, after the receipt of this hash; the first one names zeros.
    pub fn sign_convergence_receipt(
        &self,
        peer: DomainId,
        scope: [u8; 16],
        frontiers: Frontiers,
        hlc: Hlc,
        previous: [u8; 32],
    ) -> ConvergenceReceipt {
        let mut receipt = ConvergenceReceipt {
            signer: self.domain(),
            peer,
            scope,
            frontiers,
            hlc,
            previous,
            epoch: self.log.head().epoch,
            key: self.secrets.signing_key().id(),
            signature: [0; 64],
        };
        receipt.signature = self.sign_message(&receipt.signed_message());
        receipt
    }

    /// The secret of the transport key, for the layer that proves it in TLS.
    pub fn transport_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secrets.transport.to_bytes())
    }

    /// The key that peers see in TLS and in the Hello.
    pub fn transport_key(&self) -> TransportPublicKey {
        self.secrets.transport_key()
    }

    /// The domain: the hash of its genesis record.
    pub fn domain(&self) -> DomainId {
        self.log.domain()
    }

    /// The domain's records, all public.
    pub fn key_log(&self) -> &KeyLog {
        &self.log
    }

    pub(crate) fn sign_transport(&self, message: &[u8]) -> [u8; 64] {
        self.secrets.transport.sign(message).to_bytes()
    }

    fn unsigned(&self, log: LogId, head: TreeHead, hlc: Hlc) -> Checkpoint {
        Checkpoint {
            log,
            size: head.size,
            root: head.root,
            hlc,
            epoch: self.log.head().epoch,
            key: self.secrets.signing_key().id(),
            closing: false,
            signature: [0; 64],
        }
    }

    fn sign(&self, mut checkpoint: Checkpoint) -> Result<Checkpoint, SignError> {
        self.check_log(checkpoint.log, checkpoint.size)?;
        checkpoint.signature = self.sign_message(&checkpoint.signed_message());
        Ok(checkpoint)
    }

    fn check_log(&self, log: LogId, size: u64) -> Result<(), SignError> {
        let (expected, found) = (self.domain(), log.origin);
        if found != expected {
            return Err(SignError::OtherDomain { expected, found });
        }
        if size > LOG_SIZE_MAX {
            return Err(SignError::TooLarge { actual: size });
        }
        Ok(())
    }

    fn sign_message(&self, message: &[u8]) -> [u8; 64] {
        self.secrets.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainKeys")
    }
}

/// Why something about a log is not signed: nobody would accept it. The caller's mistake.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// Positions are kept back in two ways, or lie above the size that is spoken of.
    #[error("the positions kept back overlap, or are not all below {size}")]
    Misplaced {
        /// The size.
        size: u64,
    },
    /// The log belongs to another domain than the keys.
    #[error("the log is of domain {found}, these are the keys of {expected}")]
    OtherDomain {
        /// The domain of the keys.
        expected: DomainId,
        /// The origin of the log.
        found: DomainId,
    },
    /// The log is larger than [`LOG_SIZE_MAX`].
    #[error("the log has {actual} positions, the limit is {LOG_SIZE_MAX}")]
    TooLarge {
        /// Its size.
        actual: u64,
    },
}

/// The secret halves. Each type in it wipes itself.
pub(crate) struct Secrets {
    pub(crate) signing: SigningKey,
    pub(crate) next: SigningKey,
    pub(crate) encryption: StaticSecret,
    pub(crate) transport: SigningKey,
}

impl Secrets {
    /// New keys around a signing key that is given: drawn for a genesis record, committed to for any other.
    fn draw(signing: SigningKey, rng: &mut impl CryptoRng) -> Self {
        Self {
            signing,
            next: draw_signing(rng),
            encryption: StaticSecret::random_from_rng(rng),
            transport: draw_signing(rng),
        }
    }

    pub(crate) fn signing_key(&self) -> SigningPublicKey {
        SigningPublicKey::new(self.signing.verifying_key().to_bytes())
    }

    pub(crate) fn encryption_key(&self) -> EncryptionPublicKey {
        EncryptionPublicKey::new(PublicKey::from(&self.encryption).to_bytes())
    }

    pub(crate) fn transport_key(&self) -> TransportPublicKey {
        TransportPublicKey::new(self.transport.verifying_key().to_bytes())
    }

    /// What a record says of the next signing key until it is used.
    pub(crate) fn commitment(&self) -> [u8; 32] {
        let next = self.next.verifying_key().to_bytes();
        KeyRecord::commitment(&[SigningPublicKey::new(next)])
    }

    fn record(
        &self,
        epoch: u32,
        previous: [u8; 32],
        valid_ms: Range<i64>,
        revoked: &BTreeSet<KeyId>,
    ) -> KeyRecord {
        KeyRecord {
            epoch,
            previous,
            signing: vec![self.signing_key()],
            encryption: self.encryption_key(),
            transport: vec![self.transport_key()],
            next: self.commitment(),
            not_before: valid_ms.start,
            not_after: valid_ms.end,
            revoked: revoked.iter().copied().collect(),
        }
    }

    fn sign_record(&self, record: KeyRecord, before: Option<&SigningKey>) -> SignedKeyRecord {
        let message = record.signed_message();
        let previous = before.map(|key| {
            let id = KeyId::of(&key.verifying_key().to_bytes());
            (id, key.sign(&message).to_bytes())
        });
        SignedKeyRecord {
            record,
            own: vec![self.signing.sign(&message).to_bytes()],
            previous,
        }
    }
}

fn draw_signing(rng: &mut impl CryptoRng) -> SigningKey {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut());
    SigningKey::from_bytes(&seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::{
        CompartmentId, DecodeError, KEY_RECORDS_MAX, LaneId, REVOKED_MAX, TreeHash,
    };
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    fn rng(seed: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([seed; 32])
    }

    fn keys() -> DomainKeys {
        DomainKeys::generate(&mut rng(1), 10..20).unwrap()
    }

    fn log_of(origin: DomainId) -> LogId {
        LogId {
            origin,
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([5; 16]),
        }
    }

    fn head(size: u64) -> TreeHead {
        let root = TreeHash::new([6; 32]);
        TreeHead { size, root }
    }

    fn rotated(keys: &DomainKeys, revoked: &[KeyId]) -> DomainKeys {
        let revoked = revoked.iter().copied().collect();
        keys.rotate(&mut rng(2), 20..30, &revoked).unwrap().0
    }

    #[test]
    fn a_new_domain_is_named_by_its_genesis_record() {
        let keys = keys();
        let head = keys.key_log().head();
        assert_eq!(keys.domain(), DomainId::new(head.hash()));
        assert_eq!((head.not_before, head.not_after), (10, 20));
        assert!(keys.key_log().lists_transport(&keys.transport_key()));
        assert_eq!(format!("{keys:?}"), "DomainKeys");
    }

    #[test]
    fn keys_that_are_never_valid_are_not_made() {
        let rule = "a key record ends after it starts";
        let expected = KeyError::Malformed(DecodeError::NotCanonical { at: 0, rule });
        let empty = DomainKeys::generate(&mut rng(2), 10..10);
        assert_eq!(empty.map(drop), Err(expected));
    }

    #[test]
    fn checkpoints_verify_under_the_key_log() {
        let keys = keys();
        let log = log_of(keys.domain());
        let open = keys.sign_checkpoint(log, head(7), Hlc::from_millis(9));
        let closing = keys.sign_closing_checkpoint(log, head(LOG_SIZE_MAX), Hlc::from_millis(9));
        assert!(!open.as_ref().unwrap().closing && closing.as_ref().unwrap().closing);
        for checkpoint in [open, closing] {
            let checkpoint = checkpoint.unwrap();
            assert!(keys.key_log().verify_checkpoint(checkpoint).is_ok());
        }
    }

    #[test]
    fn a_checkpoint_that_nobody_would_accept_is_not_signed() {
        let keys = keys();
        let (expected, found) = (keys.domain(), DomainId::new([9; 32]));
        let other = keys.sign_checkpoint(log_of(found), head(7), Hlc::default());
        assert_eq!(other, Err(SignError::OtherDomain { expected, found }));
        let actual = LOG_SIZE_MAX + 1;
        let large = keys.sign_checkpoint(log_of(expected), head(actual), Hlc::default());
        assert_eq!(large, Err(SignError::TooLarge { actual }));
    }

    #[test]
    fn a_withheld_statement_verifies_and_speaks_of_its_sets() {
        let keys = keys();
        let (log, audience) = (log_of(keys.domain()), DomainId::new([9; 32]));
        let mut kept = KeptBack::default();
        kept.withheld.insert(0..3).unwrap();
        kept.deferred.insert(5..6).unwrap();
        let sign = |size, kept: &KeptBack| {
            keys.sign_withheld_statement(log, size, audience, kept, Hlc::from_millis(9))
        };
        for size in [6, LOG_SIZE_MAX] {
            let statement = sign(size, &kept).unwrap();
            assert!(statement.is_about(&kept));
            let verified = keys.key_log().verify_withheld_statement(statement);
            assert_eq!(verified.unwrap().audience, audience);
        }
        assert_eq!(sign(5, &kept), Err(SignError::Misplaced { size: 5 }));
        let actual = LOG_SIZE_MAX + 1;
        assert_eq!(sign(actual, &kept), Err(SignError::TooLarge { actual }));
        let (expected, found) = (keys.domain(), audience);
        let other = keys.sign_withheld_statement(log_of(found), 6, audience, &kept, Hlc::default());
        assert_eq!(other, Err(SignError::OtherDomain { expected, found }));
        kept.partial.insert(2..3).unwrap();
        assert_eq!(sign(6, &kept), Err(SignError::Misplaced { size: 6 }));
    }

    #[test]
    fn convergence_receipts_verify_and_are_a_chain_beyond_a_rotation() {
        let old = keys();
        let new = rotated(&old, &[]);
        let peer = DomainId::new([9; 32]);
        let frontiers = Frontiers {
            signer: [1; 32],
            peer: [2; 32],
        };
        let sign = |keys: &DomainKeys, time, previous| {
            let hlc = Hlc::from_millis(time);
            keys.sign_convergence_receipt(peer, [3; 16], frontiers, hlc, previous)
        };
        let first = sign(&old, 5, [0; 32]);
        let second = sign(&new, 6, first.hash());
        assert!(first.follows(None) && second.follows(Some(&first)));
        for receipt in [first, second] {
            let verified = new.key_log().verify_convergence_receipt(receipt);
            assert_eq!(verified.unwrap().signer, old.domain());
        }
    }

    #[test]
    fn rotation_follows_the_commitment_and_changes_every_key() {
        let old = keys();
        let (new, record) = old.rotate(&mut rng(2), 20..30, &BTreeSet::new()).unwrap();
        let (before, after) = (old.key_log().head(), new.key_log().head());
        assert_eq!(new.domain(), old.domain());
        assert_eq!(KeyRecord::commitment(&after.signing), before.next);
        assert_ne!(after.encryption, before.encryption);
        assert_ne!(after.transport, before.transport);
        assert_ne!(after.next, before.next);

        let mut known = old.key_log().clone();
        known.extend(&record.to_bytes()).unwrap();
        assert_eq!(&known, new.key_log());
        let checkpoint = new
            .sign_checkpoint(log_of(new.domain()), head(1), Hlc::default())
            .unwrap();
        assert_eq!(checkpoint.epoch, 1);
        assert!(known.verify_checkpoint(checkpoint.clone()).is_ok());
        let (key, epoch) = (checkpoint.key, 1);
        let unknown = old.key_log().verify_checkpoint(checkpoint).map(drop);
        assert_eq!(unknown, Err(KeyError::UnknownKey { key, epoch }));
    }

    #[test]
    fn a_record_that_skips_the_commitment_or_the_old_signature_is_refused() {
        let old = keys();
        let thief = Secrets::draw(draw_signing(&mut rng(3)), &mut rng(4));
        let record = thief.record(1, old.key_log().head().hash(), 20..30, &BTreeSet::new());
        let record = thief.sign_record(record, Some(&old.secrets.signing));
        let refused = old.key_log().clone().extend(&record.to_bytes());
        assert_eq!(refused, Err(KeyError::NotCommitted { epoch: 1 }));

        let (_, mut record) = old.rotate(&mut rng(2), 20..30, &BTreeSet::new()).unwrap();
        let message = record.record.signed_message();
        let (id, _) = record.previous.unwrap();
        record.previous = Some((id, thief.signing.sign(&message).to_bytes()));
        let refused = old.key_log().clone().extend(&record.to_bytes());
        assert_eq!(refused, Err(KeyError::BadSignature));
    }

    #[test]
    fn a_revoked_key_covers_only_what_lies_below_the_cut() {
        let first = keys();
        let revoked = first.secrets.signing_key().id();
        let second = rotated(&first, &[revoked]);
        assert!(second.key_log().is_revoked(revoked));
        let log = log_of(first.domain());
        let covers = |keys: &DomainKeys, size| {
            let checkpoint = keys.sign_checkpoint(log, head(size), Hlc::default());
            let checkpoint = checkpoint.unwrap();
            second.key_log().verify_checkpoint(checkpoint).unwrap()
        };
        let cases: [(&[u64], &[u64], u64); 5] = [
            (&[9], &[], 9),
            (&[9], &[5], 5),
            (&[9], &[5, 7], 7),
            (&[3], &[5], 5),
            (&[9], &[0], 0),
        ];
        for (by_first, by_second, standing) in cases {
            let early = by_first.iter().map(|size| covers(&first, *size));
            let late = by_second.iter().map(|size| covers(&second, *size));
            let all: Vec<_> = early.chain(late).collect();
            assert_eq!(second.key_log().standing(&all), standing);
        }
        let kept = rotated(&first, &[]);
        assert!(!kept.key_log().is_revoked(revoked));
    }

    #[test]
    fn as_many_keys_are_revoked_as_a_record_has_room_for() {
        let ids = |count: usize| {
            let id = |number: usize| KeyId::of(&[u8::try_from(number).unwrap(); 32]);
            (0..count).map(id).collect::<BTreeSet<_>>()
        };
        let keys = keys();
        assert!(keys.rotate(&mut rng(2), 20..30, &ids(REVOKED_MAX)).is_ok());
        let above = keys.rotate(&mut rng(2), 20..30, &ids(REVOKED_MAX + 1));
        let KeyError::Malformed(DecodeError::LimitExceeded { limit, .. }) = above.unwrap_err()
        else {
            panic!("another error");
        };
        assert_eq!(limit, REVOKED_MAX as u64);
    }

    #[test]
    fn a_domain_rotates_until_its_records_are_used_up() {
        let mut keys = keys();
        for _ in 1..KEY_RECORDS_MAX {
            keys = rotated(&keys, &[]);
        }
        let above = keys.rotate(&mut rng(2), 20..30, &BTreeSet::new());
        assert_eq!(above.map(drop), Err(KeyError::TooManyRecords));
    }
}
