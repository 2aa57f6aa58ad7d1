//! What a hostile world tries. Numbers are those of the list of attacks; each test names the variant that it meets.

use std::collections::BTreeSet;

use causality_envelope::{
    Acceptor, DomainKeys, ExpectedPeer, HELLO_BYTES_MAX, HELLO_VERSIONS, HelloError, OpenError,
    PARAMETERS_BYTES_MAX, Party, StreamError,
};
use causality_fact::{
    Checkpoint, CompartmentId, DecodeError, Hlc, KEY_RECORDS_MAX, KeyError, KeyId, KeyLog, LaneId,
    LogId, SignedKeyRecord, TransportPublicKey, TreeHash, TreeHead,
};
use ed25519_dalek::VerifyingKey;

use crate::forge::{
    self, BASIL, EXPORTER, Pair, Shown, Tape, VALID_MS, body, bytes_from, domain, hex, small_order,
};

const MALLORY: u8 = 0x40;

fn checkpoint(keys: &DomainKeys) -> Checkpoint {
    let log = LogId {
        origin: keys.domain(),
        compartment: CompartmentId::PUBLIC,
        lane: LaneId::new([5; 16]),
    };
    let root = TreeHash::new([6; 32]);
    let head = TreeHead { size: 7, root };
    keys.sign_checkpoint(log, head, Hlc::from_millis(8))
        .unwrap()
}

/// Attack 1.
#[test]
fn forged_signatures_are_refused() {
    let (basil, mallory) = (domain(BASIL), domain(MALLORY));
    let mut forged = checkpoint(&basil);
    forged.signature = checkpoint(&mallory).signature;
    let verified = basil.key_log().verify_checkpoint(forged).map(drop);
    assert_eq!(verified, Err(KeyError::BadSignature));

    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let signer = mallory.transport_secret();
    let shown = Shown::of(&basil, [9; 32]);
    let forged = forge::answer(&opening, [9; 32], &shown, &signer, EXPORTER);
    assert_eq!(pair.prove(&forged).map(drop), Err(HelloError::BadSignature));
    let shown = Shown::of(&pair.amber, [9; 32]);
    let forged = forge::proof([&opening, &answer], &shown, &signer);
    assert_eq!(
        pair.accept(&forged).map(drop),
        Err(HelloError::BadSignature)
    );
}

/// Attack 2: every bit of a frame.
#[test]
fn a_frame_with_any_flipped_bit_does_not_open() {
    let (_, mut amber, _) = Pair::new().handshake();
    let frame = amber
        .keys
        .sealer(0)
        .unwrap()
        .seal(b"what amber knows")
        .unwrap();
    for bit in 0..8 * (frame.len() - 4) {
        let (_, _, mut basil) = Pair::new().handshake();
        let mut changed = body(&frame);
        changed[bit / 8] ^= 1 << (bit % 8);
        let opened = basil.keys.opener(0).unwrap().open(changed);
        assert_eq!(opened, Err(OpenError), "bit {bit}");
    }
}

/// Attack 2: every bit of the Hello. The dialer's own opening is what it sent; changed on the way, the answer does not fit.
#[test]
fn a_hello_with_any_flipped_bit_ends_without_a_session() {
    let pair = Pair::new();
    let ([opening, answer, proof], ..) = pair.handshake();
    let flipped = |message: &[u8], bit: usize| {
        let mut message = message.to_vec();
        message[bit / 8] ^= 1 << (bit % 8);
        message
    };
    for bit in 0..8 * opening.len() {
        if let Ok((_, answer)) = pair.answer(&flipped(&opening, bit)) {
            assert_eq!(pair.prove(&answer).map(drop), Err(HelloError::BadSignature));
        }
    }
    for bit in 0..8 * answer.len() {
        assert!(pair.prove(&flipped(&answer, bit)).is_err(), "bit {bit}");
    }
    for bit in 0..8 * proof.len() {
        assert!(pair.accept(&flipped(&proof, bit)).is_err(), "bit {bit}");
    }
}

/// Attack 3.
#[test]
fn truncated_messages_and_frames_are_refused() {
    let pair = Pair::new();
    let ([opening, answer, proof], mut amber, _) = pair.handshake();
    let truncated = |at| Err(HelloError::Malformed(DecodeError::Truncated { at }));
    for at in 0..opening.len() {
        assert_eq!(pair.answer(&opening[..at]).map(drop), truncated(at));
    }
    for at in 0..answer.len() {
        assert_eq!(pair.prove(&answer[..at]).map(drop), truncated(at));
    }
    for at in 0..proof.len() {
        assert_eq!(pair.accept(&proof[..at]).map(drop), truncated(at));
    }
    let frame = amber
        .keys
        .sealer(0)
        .unwrap()
        .seal(b"what amber knows")
        .unwrap();
    let frame = body(&frame);
    for length in 0..frame.len() {
        let (_, _, mut basil) = Pair::new().handshake();
        let opened = basil.keys.opener(0).unwrap().open(frame[..length].to_vec());
        assert_eq!(opened, Err(OpenError));
    }
}

/// Attack 4.
#[test]
fn trailing_bytes_are_refused() {
    let pair = Pair::new();
    let ([opening, answer, proof], mut amber, mut basil) = pair.handshake();
    let longer = |message: &[u8]| [message, &[0]].concat();
    let trailing = |message: &[u8]| {
        let at = message.len();
        Err(HelloError::Malformed(DecodeError::Trailing {
            at,
            extra: 1,
        }))
    };
    assert_eq!(pair.answer(&longer(&opening)).map(drop), trailing(&opening));
    assert_eq!(pair.prove(&longer(&answer)).map(drop), trailing(&answer));
    assert_eq!(pair.accept(&longer(&proof)).map(drop), trailing(&proof));
    let frame = amber
        .keys
        .sealer(0)
        .unwrap()
        .seal(b"what amber knows")
        .unwrap();
    let opened = basil.keys.opener(0).unwrap().open(longer(&body(&frame)));
    assert_eq!(opened, Err(OpenError));
}

/// Attack 5.
#[test]
fn another_domains_key_signs_for_nobody_else() {
    let (basil, mallory) = (domain(BASIL), domain(MALLORY));
    let mut checkpoint = checkpoint(&mallory);
    let (expected, found) = (basil.domain(), mallory.domain());
    let verified = basil.key_log().verify_checkpoint(checkpoint.clone());
    assert_eq!(
        verified.map(drop),
        Err(KeyError::OtherDomain { expected, found })
    );
    checkpoint.log.origin = basil.domain();
    let (key, epoch) = (checkpoint.key, checkpoint.epoch);
    let verified = basil.key_log().verify_checkpoint(checkpoint).map(drop);
    assert_eq!(verified, Err(KeyError::UnknownKey { key, epoch }));
}

/// Attack 10: the signature under an answer does not pass for one under a proof, though the same key makes both.
#[test]
fn a_signature_of_one_purpose_does_not_serve_another() {
    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let signer = pair.amber.transport_secret();
    let shown = Shown::of(&pair.amber, [9; 32]);
    let good = forge::proof([&opening, &answer], &shown, &signer);
    let signed = good[..good.len() - 64].to_vec();
    let bytes = [forge::transcript(&[&opening, &answer, &signed]), EXPORTER].concat();
    let same = forge::sign(signed.clone(), "causality/0/hello-dialer", &bytes, &signer);
    assert_eq!(same, good);
    for tag in [
        "causality/0/hello-acceptor",
        "causality/0/checkpoint",
        "causality/0/key-record",
    ] {
        let other = forge::sign(signed.clone(), tag, &bytes, &signer);
        assert_eq!(pair.accept(&other).map(drop), Err(HelloError::BadSignature));
    }
}

/// Attack 11: such keys are refused before any signature is looked at.
#[test]
fn keys_of_small_order_or_with_torsion_are_refused_in_a_record() {
    let genesis = domain(BASIL).key_log().records_from(0).remove(0);
    let order_8 = hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    let good = domain(MALLORY).transport_key();
    let point = |bytes: &[u8; 32]| VerifyingKey::from_bytes(bytes).unwrap().to_edwards();
    let torsion = (point(good.as_bytes()) + point(&order_8))
        .compress()
        .to_bytes();
    let mut identity = [0; 32];
    identity[0] = 1;
    let verify = |change: &dyn Fn(&mut SignedKeyRecord)| {
        let mut signed = SignedKeyRecord::from_bytes(&genesis).unwrap();
        change(&mut signed);
        KeyLog::verify([signed.to_bytes().as_slice()]).map(drop)
    };
    for bad in [order_8, torsion, identity, [2; 32]] {
        let signing = causality_fact::SigningPublicKey::new(bad);
        let changed = verify(&|signed| signed.record.signing = vec![signing]);
        assert_eq!(changed, Err(KeyError::BadKey));
        let transport = TransportPublicKey::new(bad);
        let changed = verify(&|signed| signed.record.transport = vec![transport]);
        assert_eq!(changed, Err(KeyError::BadKey));
    }
    for bad in small_order() {
        let encryption = causality_fact::EncryptionPublicKey::new(bad);
        let changed = verify(&|signed| signed.record.encryption = encryption);
        assert_eq!(changed, Err(KeyError::BadKey));
    }
    let good = causality_fact::SigningPublicKey::new(*good.as_bytes());
    let changed = verify(&|signed| signed.record.signing = vec![good]);
    assert_eq!(changed, Err(KeyError::BadSignature));
}

/// Attack 12: S + L signs the same for a lax verifier (RFC 8032, section 8.4).
#[test]
fn a_malleated_signature_is_refused() {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let basil = domain(BASIL);
    let mut checkpoint = checkpoint(&basil);
    let mut carry = 0;
    for (byte, add) in checkpoint.signature[32..].iter_mut().zip(hex(ORDER)) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    let verified = basil.key_log().verify_checkpoint(checkpoint).map(drop);
    assert_eq!(verified, Err(KeyError::BadSignature));
}

/// Attack 15: mallory shows basil's records, but can prove its own key only.
#[test]
fn an_identity_that_the_transport_key_does_not_prove_is_refused() {
    let (pair, mallory) = (Pair::new(), domain(MALLORY));
    let ([opening, answer, _], ..) = pair.handshake();
    let key = mallory.transport_key();
    let signer = mallory.transport_secret();
    let shown = Shown {
        transport: *key.as_bytes(),
        ..Shown::of(&pair.basil, [9; 32])
    };
    let forged = forge::answer(&opening, [9; 32], &shown, &signer, EXPORTER);
    let expected = ExpectedPeer {
        domain: pair.basil.domain(),
        tls_key: key,
    };
    let domain = pair.basil.domain();
    let error = HelloError::NotListed { domain, key };
    assert_eq!(pair.prove_to(&forged, &expected).map(drop), Err(error));

    let shown = Shown {
        transport: *key.as_bytes(),
        ..Shown::of(&pair.amber, [9; 32])
    };
    let forged = forge::proof([&opening, &answer], &shown, &signer);
    let domain = pair.amber.domain();
    let error = HelloError::NotListed { domain, key };
    assert_eq!(pair.accept(&forged).map(drop), Err(error));
}

/// Attack 15: basil's true answer, passed on by mallory over mallory's own TLS session.
#[test]
fn an_acceptor_that_names_another_key_than_tls_showed_is_refused() {
    let pair = Pair::new();
    let ([_, answer, _], ..) = pair.handshake();
    let (named, shown) = (pair.basil.transport_key(), domain(MALLORY).transport_key());
    let expected = ExpectedPeer {
        domain: pair.basil.domain(),
        tls_key: shown,
    };
    let error = HelloError::OtherTlsKey { named, shown };
    assert_eq!(pair.prove_to(&answer, &expected).map(drop), Err(error));
}

/// Attack 15: an honest domain, but not the one that was dialed.
#[test]
fn another_domain_than_the_one_dialed_is_refused() {
    let pair = Pair::new();
    let ([_, answer, _], ..) = pair.handshake();
    let (expected, found) = (domain(MALLORY).domain(), pair.basil.domain());
    let dialed = ExpectedPeer {
        domain: expected,
        tls_key: pair.basil.transport_key(),
    };
    let error = HelloError::WrongDomain { expected, found };
    assert_eq!(pair.prove_to(&answer, &dialed).map(drop), Err(error));
}

/// Attack 15: without its genesis record a key log names no domain.
#[test]
fn a_key_log_that_does_not_start_at_genesis_is_refused() {
    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let randomness = bytes_from(7, 96);
    let mut tape = Tape::new(&randomness);
    let (rotated, _) = pair
        .amber
        .rotate(&mut tape, VALID_MS, &BTreeSet::new())
        .unwrap();
    let signer = rotated.transport_secret();
    let mut shown = Shown::of(&rotated, [9; 32]);
    shown.records.remove(0);
    let forged = forge::proof([&opening, &answer], &shown, &signer);
    let error = HelloError::Key(KeyError::NotGenesis);
    assert_eq!(pair.accept(&forged).map(drop), Err(error));
    shown.records.clear();
    let forged = forge::proof([&opening, &answer], &shown, &signer);
    let error = HelloError::Key(KeyError::NotGenesis);
    assert_eq!(pair.accept(&forged).map(drop), Err(error));
}

/// Attack 16.
#[test]
fn a_replayed_frame_does_not_open() {
    let (_, mut amber, mut basil) = Pair::new().handshake();
    let frame = amber.keys.sealer(0).unwrap().seal(b"pay 100").unwrap();
    let mut opener = basil.keys.opener(0).unwrap();
    assert_eq!(opener.open(body(&frame)), Ok(b"pay 100".to_vec()));
    assert_eq!(opener.open(body(&frame)), Err(OpenError));
}

/// Attack 18.
#[test]
fn frames_of_another_connection_stream_or_direction_do_not_open() {
    let (_, mut amber, mut basil) = Pair::new().handshake();
    let frame = amber
        .keys
        .sealer(0)
        .unwrap()
        .seal(b"what amber knows")
        .unwrap();
    let (_, _, mut elsewhere) = Pair::again().handshake();
    let opened = elsewhere.keys.opener(0).unwrap().open(body(&frame));
    assert_eq!(opened, Err(OpenError));
    let opened = basil.keys.opener(1).unwrap().open(body(&frame));
    assert_eq!(opened, Err(OpenError));
    let opened = amber.keys.opener(0).unwrap().open(body(&frame));
    assert_eq!(opened, Err(OpenError));
    let opened = basil.keys.opener(0).unwrap().open(body(&frame));
    assert_eq!(opened, Ok(b"what amber knows".to_vec()));
}

/// Attack 19.
#[test]
fn reordered_and_skipped_frames_do_not_open() {
    let (_, mut amber, mut basil) = Pair::new().handshake();
    let mut sealer = amber.keys.sealer(0).unwrap();
    let [_, second] = ["first", "second"].map(|text| sealer.seal(text.as_bytes()).unwrap());
    let opened = basil.keys.opener(0).unwrap().open(body(&second));
    assert_eq!(opened, Err(OpenError));
}

/// Attack 23: neither against another handshake nor against another TLS session.
#[test]
fn a_replayed_hello_is_refused() {
    let ([old_opening, old_answer, old_proof], ..) = Pair::new().handshake();
    let again = Pair::again();
    let bad = |result: Result<(), HelloError>| assert_eq!(result, Err(HelloError::BadSignature));
    bad(again.prove(&old_answer).map(drop));
    bad(again.accept(&old_proof).map(drop));
    let (acceptor, _) = again.answer(&old_opening).unwrap();
    bad(acceptor.finish(&old_proof).map(drop));

    let mut same_ephemerals = Pair::new();
    same_ephemerals.exporter = [0xe2; 32];
    bad(same_ephemerals.prove(&old_answer).map(drop));
    bad(same_ephemerals.accept(&old_proof).map(drop));
}

/// Attack 33.
#[test]
fn ephemeral_keys_of_small_order_are_refused() {
    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let basil = pair.basil.transport_secret();
    let amber = pair.amber.transport_secret();
    let refused = |result: Result<(), HelloError>| {
        assert_eq!(result, Err(HelloError::BadEphemeral));
    };
    for small in small_order() {
        let mut changed = opening.clone();
        changed[11..].copy_from_slice(&small);
        refused(pair.answer(&changed).map(drop));

        let shown = Shown::of(&pair.basil, [9; 32]);
        let changed = forge::answer(&opening, small, &shown, &basil, EXPORTER);
        refused(pair.prove(&changed).map(drop));

        let shown = Shown::of(&pair.basil, small);
        let changed = forge::answer(&opening, [9; 32], &shown, &basil, EXPORTER);
        refused(pair.prove(&changed).map(drop));

        let shown = Shown::of(&pair.amber, small);
        let changed = forge::proof([&opening, &answer], &shown, &amber);
        refused(pair.accept(&changed).map(drop));
    }
}

/// Attack 34.
#[test]
fn versions_cannot_be_talked_down() {
    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let ours = HELLO_VERSIONS;
    let theirs = 1..=3;
    let mut newer = opening.clone();
    (newer[9], newer[10]) = (1, 3);
    let error = HelloError::VersionMismatch { ours, theirs };
    assert_eq!(pair.answer(&newer).map(drop), Err(error));

    let (ours, theirs) = (HELLO_VERSIONS, 1..=1);
    let mut chosen = answer;
    chosen[9] = 1;
    let error = HelloError::VersionMismatch { ours, theirs };
    assert_eq!(pair.prove(&chosen).map(drop), Err(error));

    // A newer dialer is answered in the version of both; had the range been changed on the way, the signature would tell.
    let mut both = opening;
    both[10] = 3;
    let (_, answer) = pair.answer(&both).unwrap();
    assert_eq!(pair.prove(&answer).map(drop), Err(HelloError::BadSignature));
}

/// Attack 36: the second sealer that would begin with nonce 0 again is not to be had.
#[test]
fn two_frames_under_one_nonce_cannot_be_made() {
    let (_, mut amber, mut basil) = Pair::new().handshake();
    let mut sealer = amber.keys.sealer(5).unwrap();
    let taken = StreamError::AlreadyTaken { stream: 5 };
    assert_eq!(amber.keys.sealer(5).map(drop), Err(taken));
    let [one, other] = [0, 1].map(|_| sealer.seal(b"the same").unwrap());
    assert_ne!(one, other);
    let back = basil.keys.sealer(5).unwrap().seal(b"the same").unwrap();
    assert_ne!(one, back);
}

#[test]
fn a_hello_in_other_bytes_is_refused() {
    let pair = Pair::new();
    let ([opening, answer, proof], ..) = pair.handshake();
    let not_canonical = |at, rule| {
        Err(HelloError::Malformed(DecodeError::NotCanonical {
            at,
            rule,
        }))
    };
    let magic = "a hello starts with \"causality\"";
    let mut changed = opening.clone();
    changed[0] ^= 1;
    assert_eq!(pair.answer(&changed).map(drop), not_canonical(0, magic));
    let mut changed = answer;
    changed[0] ^= 1;
    assert_eq!(pair.prove(&changed).map(drop), not_canonical(0, magic));
    let mut changed = opening;
    changed[9] = 1;
    let range = "versions run from the lowest to the highest";
    assert_eq!(pair.answer(&changed).map(drop), not_canonical(9, range));
    let mut changed = proof;
    changed[64] = 0x81;
    changed[65] = 0;
    let spelling = "an integer takes as few bytes as it can";
    assert_eq!(pair.accept(&changed).map(drop), not_canonical(64, spelling));
}

#[test]
fn keys_bind_sessions_only_while_they_are_valid() {
    let pair = Pair::new();
    let (_, opening) = pair.dial();
    let at = |now_ms: i64| {
        let party = Party {
            now_ms,
            ..pair.party(&pair.basil)
        };
        let mut tape = Tape::new(&pair.acceptor_randomness);
        let (acceptor, answer) = Acceptor::answer(&opening, &party, &mut tape)?;
        acceptor.finish(&pair.prove(&answer)?.1).map(drop)
    };
    let expired = |now_ms| {
        Err(HelloError::Expired {
            domain: pair.amber.domain(),
            valid_ms: VALID_MS,
            now_ms,
        })
    };
    assert_eq!(at(VALID_MS.start - 1), expired(VALID_MS.start - 1));
    assert_eq!(at(VALID_MS.start), Ok(()));
    assert_eq!(at(VALID_MS.end - 1), Ok(()));
    assert_eq!(at(VALID_MS.end), expired(VALID_MS.end));
}

#[test]
fn parameters_arrive_up_to_their_limit() {
    let pair = Pair::new();
    let (_, amber, basil) = pair.handshake();
    assert_eq!(
        (amber.parameters, basil.parameters),
        (b"from basil".to_vec(), b"from amber".to_vec())
    );
    let (_, opening) = pair.dial();
    let answer = |length: usize| {
        let parameters = &vec![1; length];
        let party = Party {
            parameters,
            ..pair.party(&pair.basil)
        };
        let mut tape = Tape::new(&pair.acceptor_randomness);
        Acceptor::answer(&opening, &party, &mut tape)
    };
    let (_, longest) = answer(PARAMETERS_BYTES_MAX).unwrap();
    let (at_amber, _) = pair.prove(&longest).unwrap();
    assert_eq!(at_amber.parameters.len(), PARAMETERS_BYTES_MAX);
    let actual = PARAMETERS_BYTES_MAX + 1;
    let error = HelloError::ParametersTooLong { actual };
    assert_eq!(answer(actual).map(drop), Err(error));

    let shown = Shown {
        parameters: vec![1; actual],
        ..Shown::of(&pair.basil, [9; 32])
    };
    let signer = pair.basil.transport_secret();
    let long = forge::answer(&opening, [9; 32], &shown, &signer, EXPORTER);
    let Err(HelloError::Malformed(DecodeError::LimitExceeded { limit, .. })) = pair.prove(&long)
    else {
        panic!("another result");
    };
    assert_eq!(limit, PARAMETERS_BYTES_MAX as u64);
}

#[test]
fn a_hello_is_read_and_written_up_to_its_limit() {
    let pair = Pair::new();
    let ([_, answer, _], ..) = pair.handshake();
    let padded = |length: usize| {
        let mut message = answer.clone();
        message.resize(length, 0);
        pair.prove(&message).map(drop)
    };
    let (at, actual) = (answer.len(), HELLO_BYTES_MAX as u64 + 1);
    let extra = HELLO_BYTES_MAX - at;
    let trailing = HelloError::Malformed(DecodeError::Trailing { at, extra });
    assert_eq!(padded(HELLO_BYTES_MAX), Err(trailing));
    let (what, limit) = ("length of a hello", HELLO_BYTES_MAX as u64);
    let long = DecodeError::LimitExceeded {
        at: 0,
        what,
        actual,
        limit,
    };
    assert_eq!(
        padded(HELLO_BYTES_MAX + 1),
        Err(HelloError::Malformed(long))
    );

    let mut keys = domain(BASIL);
    let (_, opening) = pair.dial();
    let error = loop {
        let mut tape = Tape::new(&pair.acceptor_randomness);
        let party = pair.party(&keys);
        match Acceptor::answer(&opening, &party, &mut tape) {
            Ok((_, answer)) => assert!(answer.len() <= HELLO_BYTES_MAX),
            Err(error) => break error,
        }
        let randomness = bytes_from(keys.key_log().len() as u8, 96);
        let mut tape = Tape::new(&randomness);
        keys = keys
            .rotate(&mut tape, VALID_MS, &BTreeSet::new())
            .unwrap()
            .0;
    };
    let HelloError::RecordsTooLong { actual } = error else {
        panic!("another error: {error}");
    };
    assert!((HELLO_BYTES_MAX + 1..HELLO_BYTES_MAX + 400).contains(&actual));
    assert!(keys.key_log().len() > 150);
}

#[test]
fn more_key_records_than_a_domain_has_are_refused_before_they_are_read() {
    let pair = Pair::new();
    let ([opening, answer, _], ..) = pair.handshake();
    let signer = pair.amber.transport_secret();
    let with = |count: usize| {
        let shown = Shown {
            records: vec![Vec::new(); count],
            ..Shown::of(&pair.amber, [9; 32])
        };
        let proof = forge::proof([&opening, &answer], &shown, &signer);
        pair.accept(&proof).map(drop).unwrap_err()
    };
    let truncated = KeyError::Malformed(DecodeError::Truncated { at: 0 });
    assert_eq!(with(KEY_RECORDS_MAX), HelloError::Key(truncated));
    let HelloError::Malformed(DecodeError::LimitExceeded { what, .. }) = with(KEY_RECORDS_MAX + 1)
    else {
        panic!("another error");
    };
    assert_eq!(what, "number of key records");
}

/// Attack 65: errors and debug output of everything that touches a secret.
#[test]
fn secrets_are_not_printed() {
    let pair = Pair::new();
    let (dialer, opening) = pair.dial();
    let (acceptor, _) = pair.answer(&opening).unwrap();
    let (_, established, _) = pair.handshake();
    let party = pair.party(&pair.amber);
    let printed = format!("{dialer:?} {acceptor:?} {party:?} {:?}", pair.amber);
    assert_eq!(printed, "Dialer Acceptor Party DomainKeys");
    assert!(format!("{established:?}").contains("keys: SessionKeys"));
}

#[test]
fn who_the_peer_is_and_how_it_proved_it_is_told() {
    let pair = Pair::new();
    let (_, at_amber, at_basil) = pair.handshake();
    assert_eq!(&at_amber.peer, pair.basil.key_log());
    assert_eq!(&at_basil.peer, pair.amber.key_log());
    assert_eq!(at_amber.transport, pair.basil.transport_key());
    assert_eq!(at_basil.transport, pair.amber.transport_key());
    assert_eq!((at_amber.version, at_basil.version), (0, 0));
    let key = KeyId::of(at_amber.peer.head().signing[0].as_bytes());
    assert_eq!(checkpoint(&pair.basil).key, key);
}
