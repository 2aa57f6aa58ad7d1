//! Makes what `vectors/keys.json` has.

use std::collections::BTreeSet;

use causality_envelope::DomainKeys;
use causality_fact::{
    Checkpoint, CompartmentId, EncryptionPublicKey, Hlc, KeyId, LaneId, LogId, SignedKeyRecord,
    TaggedHash, TransportPublicKey, TreeHash, TreeHead,
};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use super::{hex, hexes};
use crate::forge::{self, AMBER, BASIL, Tape, VALID_MS, bytes_from, domain};

pub(super) fn vectors() -> Value {
    let first = domain(BASIL);
    let randomness = bytes_from(0x33, 96);
    let revoked = signing_id(&first);
    let (second, record) = first
        .rotate(
            &mut Tape::new(&randomness),
            VALID_MS,
            &BTreeSet::from([revoked]),
        )
        .unwrap();
    let head = first.key_log().head();
    json!({
        "about": "Keys of docs/src/spec/keys.md. Bytes are hexadecimal. Randomness is what is drawn, in its order: signing, next, encryption, transport; in a rotation without the first.",
        "genesis": {
            "randomness": hex(&bytes_from(BASIL, 128)),
            "valid_ms": [VALID_MS.start, VALID_MS.end],
            "signing": hex(head.signing[0].as_bytes()),
            "signing_id": hex(revoked.as_ref()),
            "encryption": hex(head.encryption.as_bytes()),
            "transport": hex(head.transport[0].as_bytes()),
            "next": hex(&head.next),
            "signed_message": hex(&head.signed_message()),
            "record": hex(&first.key_log().records_from(0)[0]),
            "domain": hex(first.domain().as_ref()),
            "file": String::from_utf8(first.to_file().to_vec()).unwrap(),
        },
        "rotation": {
            "randomness": hex(&randomness),
            "revoked": [hex(revoked.as_ref())],
            "record": hex(&record.to_bytes()),
            "record_hash": hex(&record.record.hash()),
            "file": String::from_utf8(second.to_file().to_vec()).unwrap(),
        },
        "checkpoints": [checkpoint_vector(&first, 3, Closing::No), checkpoint_vector(&second, 300, Closing::Yes)],
        "records_refused": records_refused(&first, &record),
        "checkpoints_refused": checkpoints_refused(&first, &second),
        "standing": standing(&first, &second),
        "files_refused": files_refused(&first),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Yes,
}

pub(super) fn log_of(keys: &DomainKeys) -> LogId {
    LogId {
        origin: keys.domain(),
        compartment: CompartmentId::PUBLIC,
        lane: LaneId::new([0x1a; 16]),
    }
}

pub(super) fn head(size: u64) -> TreeHead {
    let root = TreeHash::new([0x0e; 32]);
    TreeHead { size, root }
}

fn signed(keys: &DomainKeys, size: u64, closing: Closing) -> Checkpoint {
    let hlc = Hlc::from_bits(Hlc::from_millis(1_517_365_391_235).to_bits() + 2);
    match closing {
        Closing::No => keys.sign_checkpoint(log_of(keys), head(size), hlc),
        Closing::Yes => keys.sign_closing_checkpoint(log_of(keys), head(size), hlc),
    }
    .unwrap()
}

fn checkpoint_vector(keys: &DomainKeys, size: u64, closing: Closing) -> Value {
    let checkpoint = signed(keys, size, closing);
    json!({
        "log": hex(&checkpoint.log.to_bytes()),
        "size": size,
        "root": hex(checkpoint.root.as_bytes()),
        "hlc_millis": checkpoint.hlc.millis(),
        "hlc_counter": checkpoint.hlc.counter(),
        "epoch": checkpoint.epoch,
        "key": hex(checkpoint.key.as_ref()),
        "closing": checkpoint.closing,
        "bytes": hex(&checkpoint.to_bytes()),
    })
}

fn records_refused(keys: &DomainKeys, rotation: &SignedKeyRecord) -> Value {
    let genesis_bytes = keys.key_log().records_from(0).remove(0);
    let genesis = SignedKeyRecord::from_bytes(&genesis_bytes).unwrap();
    let secret = SigningKey::from_bytes(&bytes_from(BASIL, 32).try_into().unwrap());
    let next = SigningKey::from_bytes(&bytes_from(BASIL + 32, 32).try_into().unwrap());
    let as_genesis = |change: &dyn Fn(&mut SignedKeyRecord)| {
        let mut signed = genesis.clone();
        change(&mut signed);
        signed.own = vec![secret.sign(&signed.record.signed_message()).to_bytes()];
        json!([hex(&signed.to_bytes())])
    };
    let as_second = |change: &dyn Fn(&mut SignedKeyRecord)| {
        let mut signed = rotation.clone();
        change(&mut signed);
        let message = signed.record.signed_message();
        signed.own = vec![next.sign(&message).to_bytes()];
        let (id, _) = signed.previous.unwrap();
        signed.previous = Some((id, secret.sign(&message).to_bytes()));
        json!([hex(&genesis_bytes), hex(&signed.to_bytes())])
    };
    let second = |change: &dyn Fn(&mut SignedKeyRecord)| {
        let mut signed = rotation.clone();
        change(&mut signed);
        json!([hex(&genesis_bytes), hex(&signed.to_bytes())])
    };
    let zeros = EncryptionPublicKey::new([0; 32]);
    let transport = forge::hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    let transport = TransportPublicKey::new(transport);
    let flipped = |offset: usize| {
        let mut bytes = genesis_bytes.clone();
        bytes[offset] ^= 1;
        json!([hex(&bytes)])
    };
    let cases = [
        ("no record", json!([]), "not_genesis"),
        (
            "a later record alone",
            json!([hex(&rotation.to_bytes())]),
            "not_genesis",
        ),
        (
            "a genesis record that names one before it",
            as_genesis(&|signed| signed.record.previous[0] = 1),
            "not_genesis",
        ),
        (
            "a transport key of order 8",
            as_genesis(&|signed| signed.record.transport = vec![transport]),
            "bad_key",
        ),
        (
            "an encryption key of zeros",
            as_genesis(&|signed| signed.record.encryption = zeros),
            "bad_key",
        ),
        ("another version", flipped(0), "malformed"),
        (
            "ends before it starts",
            as_genesis(&|signed| signed.record.not_after = 0),
            "malformed",
        ),
        (
            "one key twice",
            as_genesis(&|signed| {
                signed
                    .record
                    .transport
                    .extend_from_slice(&genesis.record.transport)
            }),
            "malformed",
        ),
        (
            "a byte short",
            json!([hex(&genesis_bytes[..genesis_bytes.len() - 1])]),
            "malformed",
        ),
        (
            "a byte more",
            json!([hex(&[genesis_bytes.as_slice(), &[0]].concat())]),
            "malformed",
        ),
        (
            "a flipped bit in the signature",
            flipped(genesis_bytes.len() - 1),
            "bad_signature",
        ),
        (
            "genesis twice",
            json!([hex(&genesis_bytes), hex(&genesis_bytes)]),
            "broken_chain",
        ),
        (
            "a skipped epoch",
            as_second(&|signed| signed.record.epoch = 2),
            "broken_chain",
        ),
        (
            "another record before",
            as_second(&|signed| signed.record.previous[0] ^= 1),
            "broken_chain",
        ),
        (
            "a signing key without commitment",
            second(&|signed| signed.record.signing.clone_from(&genesis.record.signing)),
            "not_committed",
        ),
        (
            "signed by a key that the record before does not have",
            second(&|signed| {
                let (_, signature) = signed.previous.unwrap();
                signed.previous = Some((KeyId::new([7; 16]), signature));
            }),
            "unknown_key",
        ),
        (
            "not signed by the key before",
            second(&|signed| {
                let (id, _) = signed.previous.unwrap();
                signed.previous = Some((id, signed.own[0]));
            }),
            "bad_signature",
        ),
    ];
    Value::Array(cases.map(|(about, records, class)| json!({"about": about, "records": records, "class": class})).to_vec())
}

fn checkpoints_refused(first: &DomainKeys, second: &DomainKeys) -> Value {
    let good = signed(first, 3, Closing::No);
    let change = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = good.clone();
        change(&mut checkpoint);
        checkpoint.to_bytes()
    };
    let good_bytes = good.to_bytes();
    let mut closing = good_bytes.clone();
    closing[good_bytes.len() - 65] = 2;
    let amber = domain(AMBER);
    let cases = [
        (
            first,
            "another domain",
            signed(&amber, 3, Closing::No).to_bytes(),
            "other_domain",
        ),
        (
            first,
            "another size",
            change(&|checkpoint| checkpoint.size = 4),
            "bad_signature",
        ),
        (
            first,
            "another lane",
            change(&|checkpoint| checkpoint.log.lane = LaneId::new([0; 16])),
            "bad_signature",
        ),
        (
            first,
            "made a closing one",
            change(&|checkpoint| checkpoint.closing = true),
            "bad_signature",
        ),
        (
            second,
            "another epoch",
            change(&|checkpoint| checkpoint.epoch = 1),
            "unknown_key",
        ),
        (
            first,
            "an epoch that is not known yet",
            signed(second, 3, Closing::No).to_bytes(),
            "unknown_key",
        ),
        (first, "a closing flag of 2", closing, "malformed"),
        (
            first,
            "a byte short",
            good_bytes[..good_bytes.len() - 1].to_vec(),
            "malformed",
        ),
        (
            first,
            "a byte more",
            [good_bytes.as_slice(), &[0]].concat(),
            "malformed",
        ),
    ];
    let vector = |(keys, about, bytes, class): (&DomainKeys, &str, Vec<u8>, &str)| {
        let records = hexes(&keys.key_log().records_from(0));
        json!({"about": about, "records": records, "checkpoint": hex(&bytes), "class": class})
    };
    Value::Array(cases.map(vector).to_vec())
}

fn standing(first: &DomainKeys, second: &DomainKeys) -> Value {
    let records = hexes(&second.key_log().records_from(0));
    let cases: [(&[u64], &[u64], u64); 4] = [
        (&[9], &[], 9),
        (&[9], &[5], 5),
        (&[9], &[5, 7], 7),
        (&[3], &[5], 5),
    ];
    let vector = |(by_first, by_second, standing): (&[u64], &[u64], u64)| {
        let early = by_first
            .iter()
            .map(|size| signed(first, *size, Closing::No).to_bytes());
        let late = by_second
            .iter()
            .map(|size| signed(second, *size, Closing::No).to_bytes());
        let checkpoints = hexes(&early.chain(late).collect::<Vec<_>>());
        json!({"records": records, "checkpoints": checkpoints, "standing": standing})
    };
    Value::Array(cases.map(vector).to_vec())
}

fn files_refused(keys: &DomainKeys) -> Value {
    let file = String::from_utf8(keys.to_file().to_vec()).unwrap();
    let other = String::from_utf8(domain(AMBER).to_file().to_vec()).unwrap();
    let again = |from: &str, to: &str| {
        let body = file.replace(from, to);
        let body = &body[..body.rfind("checksum").unwrap()];
        let checksum = TaggedHash::new("causality/key-file").chain(body).finish();
        format!("{body}checksum: {}\n", hex(&checksum))
    };
    let line = |file: &str, number: usize| file.lines().nth(number).unwrap().to_owned();
    let cases = [
        ("nothing", String::new(), "not_a_key_file"),
        ("another file", "{}\n".to_owned(), "not_a_key_file"),
        (
            "the first half",
            file[..file.len() / 2].to_owned(),
            "damaged",
        ),
        ("other line ends", file.replace('\n', "\r\n"), "damaged"),
        (
            "version 1, changed by hand",
            file.replace("version 0", "version 1"),
            "damaged",
        ),
        (
            "version 1",
            again("version 0", "version 1"),
            "newer_version",
        ),
        (
            "a line with another name",
            again("next: ", "nest: "),
            "malformed",
        ),
        (
            "the signing key of another domain",
            again(&line(&file, 1), &line(&other, 1)),
            "not_published",
        ),
        (
            "the records of another domain",
            again(&line(&file, 5), &line(&other, 5)),
            "not_published",
        ),
        (
            "no records",
            again(&format!("{}\n", line(&file, 5)), ""),
            "records",
        ),
    ];
    Value::Array(
        cases
            .map(|(about, file, class)| json!({"about": about, "file": file, "class": class}))
            .to_vec(),
    )
}

fn signing_id(keys: &DomainKeys) -> KeyId {
    keys.key_log().head().signing[0].id()
}
