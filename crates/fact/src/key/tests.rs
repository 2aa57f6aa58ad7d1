//! Key logs: what they admit and refuse, and which positions stand after a revocation.

use super::*;
use crate::tests::checkpoint;
use crate::tests::genesis;
use crate::tests::keys;
use crate::tests::public;
use crate::tests::record;
use crate::tests::sign;
use crate::tree::TreeHash;
use proptest::prelude::*;

const ROOT: TreeHash = TreeHash::new([5; 32]);

/// The record behind the newest of `log`, whose key is `seed`, signed by `previous`.
fn next(log: &KeyLog, seed: u8, previous: u8) -> SignedKeyRecord {
    let record = record(log.head().epoch + 1, log.head().hash(), seed);
    sign(record, &[seed], Some(previous))
}

/// A log of `count` records with the keys 1, 2, …
fn rotated(count: u8) -> KeyLog {
    let mut log = keys();
    for seed in 2..=count {
        log.extend(&next(&log, seed, seed - 1).to_bytes()).unwrap();
    }
    log
}

fn verify(record: &SignedKeyRecord) -> Result<KeyLog, KeyError> {
    KeyLog::verify([record.to_bytes().as_slice()])
}

#[test]
fn a_log_starts_with_genesis_and_follows_rotations() {
    let log = rotated(3);
    assert_eq!(log.domain(), DomainId::new(genesis().record.hash()));
    assert_eq!((log.len(), log.is_empty(), log.head().epoch), (3, false, 2));
    let records = log.records_from(0);
    assert_eq!(
        KeyLog::verify(records.iter().map(Vec::as_slice)).as_ref(),
        Ok(&log)
    );
    assert_eq!(log.records_from(2), records[2..]);
    assert!(log.lists_transport(&TransportPublicKey::new(*public(200).as_bytes())));
    assert!(!log.lists_transport(&TransportPublicKey::new(*public(1).as_bytes())));
    for bytes in records {
        let record = SignedKeyRecord::from_bytes(&bytes).unwrap();
        assert_eq!(record.to_bytes(), bytes);
    }
}

#[test]
fn a_log_without_genesis_is_refused() {
    assert_eq!(KeyLog::verify([]), Err(KeyError::NotGenesis));
    let later = next(&keys(), 2, 1).to_bytes();
    assert_eq!(
        KeyLog::verify([later.as_slice()]),
        Err(KeyError::NotGenesis)
    );
    let continued = sign(record(0, [1; 32], 1), &[1], None);
    assert_eq!(verify(&continued), Err(KeyError::NotGenesis));
}

#[test]
fn a_record_that_does_not_follow_is_refused_and_changes_nothing() {
    let mut log = rotated(2);
    let before = log.clone();
    let broken = Err(KeyError::BrokenChain { epoch: 3 });
    let skips = sign(record(3, log.head().hash(), 3), &[3], Some(2));
    assert_eq!(log.extend(&skips.to_bytes()), broken);
    let broken = Err(KeyError::BrokenChain { epoch: 2 });
    let fork = sign(record(2, genesis().record.hash(), 3), &[3], Some(2));
    assert_eq!(log.extend(&fork.to_bytes()), broken);
    let broken = Err(KeyError::BrokenChain { epoch: 0 });
    assert_eq!(log.extend(&genesis().to_bytes()), broken);
    let other = next(&log, 4, 2);
    assert_eq!(
        log.extend(&other.to_bytes()),
        Err(KeyError::NotCommitted { epoch: 2 })
    );
    assert_eq!(log, before);
}

#[test]
fn old_and_new_keys_have_to_sign() {
    let mut log = keys();
    let good = next(&log, 2, 1);
    let unsigned = SignedKeyRecord {
        own: vec![[0; 64]],
        ..good.clone()
    };
    assert_eq!(
        log.extend(&unsigned.to_bytes()),
        Err(KeyError::BadSignature)
    );
    let stranger = next(&log, 2, 9);
    let (key, epoch) = (public(9).id(), 0);
    assert_eq!(
        log.extend(&stranger.to_bytes()),
        Err(KeyError::UnknownKey { key, epoch })
    );
    let (_, signature) = stranger.previous.unwrap();
    let borrowed = SignedKeyRecord {
        previous: Some((public(1).id(), signature)),
        ..good.clone()
    };
    assert_eq!(
        log.extend(&borrowed.to_bytes()),
        Err(KeyError::BadSignature)
    );
    assert_eq!(log.extend(&good.to_bytes()), Ok(()));
}

#[test]
fn each_of_several_keys_signs_the_record() {
    let mut seeds = [1, 2, 3];
    seeds.sort_by_key(|seed| public(*seed));
    let mut several = record(0, [0; 32], 1);
    several.signing = seeds.map(public).to_vec();
    let good = sign(several.clone(), &seeds, None);
    assert!(verify(&good).is_ok());
    let swapped = sign(several.clone(), &[seeds[1], seeds[0], seeds[2]], None);
    assert_eq!(verify(&swapped), Err(KeyError::BadSignature));
    let missing = sign(several, &seeds[..2], None);
    assert!(matches!(
        verify(&missing),
        Err(KeyError::Malformed(DecodeError::Truncated { .. }))
    ));
}

#[test]
fn any_flipped_bit_of_a_record_is_refused() {
    let log = keys();
    let good = next(&log, 2, 1).to_bytes();
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(log.clone().extend(&flipped).is_err(), "bit {bit}");
    }
}

/// The encodings of the eight points of small order, and of one that is no point.
const WEAK: [&str; 9] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0200000000000000000000000000000000000000000000000000000000000000",
];

fn bytes32(hex: &str) -> [u8; 32] {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    bytes.try_into().unwrap()
}

#[test]
fn weak_and_malformed_keys_are_refused() {
    let refused = |change: &dyn Fn(&mut KeyRecord)| {
        let mut bad = record(0, [0; 32], 1);
        change(&mut bad);
        assert_eq!(verify(&sign(bad, &[1], None)), Err(KeyError::BadKey));
    };
    for weak in WEAK.map(bytes32) {
        refused(&|record| record.signing = vec![SigningPublicKey::new(weak)]);
        refused(&|record| record.transport = vec![TransportPublicKey::new(weak)]);
    }
    // A good point plus one of order two: verifies under cofactored rules, not under others.
    let torsion = VerifyingKey::from_bytes(&bytes32(WEAK[1])).unwrap();
    let good = VerifyingKey::from_bytes(public(1).as_bytes()).unwrap();
    let mixed = (good.to_edwards() + torsion.to_edwards()).compress();
    refused(&|record| record.signing = vec![SigningPublicKey::new(mixed.to_bytes())]);
    refused(&|record| record.transport = vec![TransportPublicKey::new(mixed.to_bytes())]);
}

#[test]
fn a_point_has_one_spelling() {
    // y is at or above the prime 2^255 - 19, which leaves it a second, smaller spelling.
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (low, high);
            assert_eq!(
                check_ed25519(&key),
                Err(KeyError::BadKey),
                "{low:x} {high:x}"
            );
        }
    }
}

#[test]
fn encryption_keys_of_small_order_are_refused() {
    // The points of small order of Curve25519 and its twist, and their second spellings (RFC 7748, section 6.1).
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for weak in weak.map(bytes32) {
        let mut bad = record(0, [0; 32], 1);
        bad.encryption = EncryptionPublicKey::new(weak);
        assert_eq!(verify(&sign(bad, &[1], None)), Err(KeyError::BadKey));
    }
}

#[test]
fn records_have_limits() {
    let keys = |count: u8| {
        let mut keys: Vec<_> = (1..=count).map(public).collect();
        keys.sort_unstable();
        keys
    };
    let check = |change: &dyn Fn(&mut KeyRecord), expected: Option<(&'static str, u64, u64)>| {
        let mut changed = record(0, [0; 32], 1);
        change(&mut changed);
        let own = vec![[0; 64]; changed.signing.len()];
        let signed = SignedKeyRecord {
            record: changed,
            own,
            previous: None,
        };
        let found = match SignedKeyRecord::from_bytes(&signed.to_bytes()) {
            Err(DecodeError::LimitExceeded {
                what,
                actual,
                limit,
                ..
            }) => Some((what, actual, limit)),
            other => {
                assert_eq!(other, Ok(signed));
                None
            }
        };
        assert_eq!(found, expected);
    };
    check(&|record| record.signing = keys(8), None);
    check(
        &|record| record.signing = keys(9),
        Some(("number of signing keys", 9, 8)),
    );
    let transport = |count| {
        let keys = keys(count).into_iter();
        keys.map(|key| TransportPublicKey::new(*key.as_bytes()))
            .collect()
    };
    check(&|record| record.transport = transport(8), None);
    check(
        &|record| record.transport = transport(9),
        Some(("number of transport keys", 9, 8)),
    );
    let revoked = |count: u8| (0..count).map(|n| KeyId::new([n; 16])).collect();
    check(&|record| record.revoked = revoked(64), None);
    check(
        &|record| record.revoked = revoked(65),
        Some(("number of revoked keys", 65, 64)),
    );
    let last = sign(record(1023, [1; 32], 1), &[1], Some(1));
    assert_eq!(
        SignedKeyRecord::from_bytes(&last.to_bytes()),
        Ok(last.clone())
    );
    let mut beyond = last;
    beyond.record.epoch = 1024;
    let error = DecodeError::LimitExceeded {
        at: 1,
        what: "key epoch",
        actual: 1024,
        limit: 1023,
    };
    assert_eq!(SignedKeyRecord::from_bytes(&beyond.to_bytes()), Err(error));
}

#[test]
fn other_spellings_of_a_record_are_refused() {
    let check = |change: &dyn Fn(&mut KeyRecord), expected: &str| {
        let mut changed = record(0, [0; 32], 1);
        change(&mut changed);
        let error = SignedKeyRecord::from_bytes(&sign(changed, &[1], None).to_bytes());
        let Err(DecodeError::NotCanonical { rule, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(rule, expected);
    };
    let ascending = "keys are in strictly ascending order";
    check(&|record| record.signing = vec![public(1); 2], ascending);
    check(
        &|record| record.revoked = vec![KeyId::new([2; 16]), KeyId::new([1; 16])],
        ascending,
    );
    check(
        &|record| record.signing = vec![],
        "a key record has a key of each kind",
    );
    check(
        &|record| record.transport = vec![],
        "a key record has a key of each kind",
    );
    check(
        &|record| record.not_after = record.not_before,
        "a key record ends after it starts",
    );
    let mut newer = genesis().to_bytes();
    newer[0] = 1;
    let (what, code) = ("key record version", 1);
    let error = DecodeError::UnknownCode { at: 0, what, code };
    assert_eq!(SignedKeyRecord::from_bytes(&newer), Err(error));
}

#[test]
fn a_log_has_at_most_its_limit_of_records() {
    // Always the same key: it is what the record before commits to.
    let same = |epoch, previous| {
        let mut same = record(epoch, previous, 1);
        same.next = KeyRecord::commitment(&[public(1)]);
        sign(same, &[1], (epoch > 0).then_some(1))
    };
    let genesis = same(0, [0; 32]).to_bytes();
    let mut log = KeyLog::verify([genesis.as_slice()]).unwrap();
    while log.len() < KEY_RECORDS_MAX {
        let next = same(log.head().epoch + 1, log.head().hash());
        log.extend(&next.to_bytes()).unwrap();
    }
    assert_eq!(log.extend(&genesis), Err(KeyError::TooManyRecords));
}

#[test]
fn commitments_do_not_depend_on_order() {
    let (one, other) = (public(1), public(2));
    let commitment = KeyRecord::commitment(&[one, other]);
    assert_eq!(commitment, KeyRecord::commitment(&[other, one]));
    assert_ne!(commitment, KeyRecord::commitment(&[one]));
}

#[test]
fn a_checkpoint_is_verified_with_the_key_of_its_epoch() {
    let log = rotated(2);
    for (epoch, seed) in [(0, 1), (1, 2)] {
        let signed = checkpoint(7, ROOT, epoch, seed);
        let verified = log.verify_checkpoint(signed.clone()).unwrap();
        assert_eq!(verified.into_inner(), signed);
    }
    let unknown = |epoch, seed| {
        let key = public(seed).id();
        Err(KeyError::UnknownKey { key, epoch })
    };
    let error = log.verify_checkpoint(checkpoint(7, ROOT, 1, 1));
    assert_eq!(error, unknown(1, 1));
    let error = log.verify_checkpoint(checkpoint(7, ROOT, 2, 3));
    assert_eq!(error, unknown(2, 3));

    let mut other = checkpoint(7, ROOT, 0, 1);
    other.log.origin = DomainId::new([9; 32]);
    let error = KeyError::OtherDomain {
        expected: log.domain(),
        found: other.log.origin,
    };
    assert_eq!(log.verify_checkpoint(other), Err(error));

    let mut changed = checkpoint(7, ROOT, 0, 1);
    changed.size = 8;
    assert_eq!(log.verify_checkpoint(changed), Err(KeyError::BadSignature));
}

#[test]
fn a_signature_with_a_second_spelling_of_s_is_refused() {
    let message = b"message";
    let signature = sign_bytes(1, message);
    let key = *public(1).as_bytes();
    assert_eq!(verify_strict(&key, message, &signature), Ok(()));
    // The order of the group, added to S.
    let order = bytes32("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let mut malleable = signature;
    for (byte, add) in malleable[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(
        verify_strict(&key, message, &malleable),
        Err(KeyError::BadSignature)
    );
    let no_point = bytes32(WEAK[8]);
    assert_eq!(
        verify_strict(&no_point, message, &signature),
        Err(KeyError::BadKey)
    );
}

fn sign_bytes(seed: u8, message: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer as _;
    crate::tests::secret(seed).sign(message).to_bytes()
}

/// A log of four epochs with the keys 1 to 4, in which the last record revokes those that `revoked` names.
fn with_revoked(revoked: &[u8]) -> KeyLog {
    let mut log = rotated(3);
    let mut last = record(3, log.head().hash(), 4);
    last.revoked = revoked.iter().map(|seed| public(*seed).id()).collect();
    last.revoked.sort_unstable();
    log.extend(&sign(last, &[4], Some(3)).to_bytes()).unwrap();
    log
}

fn standing(log: &KeyLog, checkpoints: &[(u64, u32)]) -> u64 {
    let verified: Vec<_> = checkpoints
        .iter()
        .map(|(size, epoch)| {
            let signed = checkpoint(*size, ROOT, *epoch, *epoch as u8 + 1);
            log.verify_checkpoint(signed).unwrap()
        })
        .collect();
    log.standing(&verified)
}

#[test]
fn a_revoked_key_stands_up_to_the_first_checkpoint_of_a_later_epoch() {
    let log = with_revoked(&[1]);
    assert!(log.is_revoked(public(1).id()) && !log.is_revoked(public(2).id()));
    // Nothing of a later epoch is known: there is no cut.
    assert_eq!(standing(&log, &[(9, 0)]), 9);
    // The thief went on after the cut, or before it.
    assert_eq!(standing(&log, &[(9, 0), (5, 1)]), 5);
    assert_eq!(standing(&log, &[(3, 0), (5, 1)]), 5);
    // A later checkpoint of the new key covers what was void.
    assert_eq!(standing(&log, &[(9, 0), (5, 1), (9, 1)]), 9);
    // Rotation without revocation cuts nothing.
    assert_eq!(standing(&rotated(2), &[(9, 0), (5, 1)]), 9);
    assert_eq!(standing(&log, &[]), 0);
}

#[test]
fn cuts_apply_from_the_highest_epoch_down() {
    let log = with_revoked(&[1, 2]);
    // Epoch 1 is cut to 4 by epoch 2; its cut at 4, not its claim of 8, cuts epoch 0.
    assert_eq!(standing(&log, &[(9, 0), (8, 1), (4, 2)]), 4);
    // The first checkpoint of epoch 1 at 3 cuts epoch 0; epoch 1 itself stands up to 4.
    assert_eq!(standing(&log, &[(9, 0), (3, 1), (8, 1), (4, 2)]), 4);
    assert_eq!(standing(&log, &[(9, 0), (8, 1)]), 8);
}

proptest! {
    /// The rule, a position at a time: a checkpoint of a revoked key covers a position only if every checkpoint of a
    /// later epoch covers it too, for the first of these is the cut.
    #[test]
    fn standing_is_what_the_rule_says_of_each_position(
        revoked in prop::sample::subsequence(vec![1u8, 2, 3, 4], 0..=4),
        checkpoints in prop::collection::vec((0..6u64, 0..4u32), 0..7),
    ) {
        fn covers(position: u64, (size, epoch): (u64, u32), all: &[(u64, u32)], revoked: &[u8]) -> bool {
            let cut = revoked.contains(&(epoch as u8 + 1));
            let mut later = all.iter().filter(|(_, other)| *other > epoch);
            position < size && (!cut || later.all(|other| covers(position, *other, all, revoked)))
        }
        let stands = |position: &u64| {
            checkpoints.iter().any(|one| covers(*position, *one, &checkpoints, &revoked))
        };
        let expected = (0..6).filter(stands).count() as u64;
        prop_assert_eq!(standing(&with_revoked(&revoked), &checkpoints), expected);
        prop_assert_eq!((0..expected).filter(stands).count() as u64, expected, "no gaps");
    }
}
