//! The vector files. Everything in them is made again from the randomness that they give and has to come out the same;
//! session keys are derived a second time, from the specification. What has to be refused declares the class of the
//! refusal. With `CAUSALITY_BLESS=1` in the environment the files are written instead.

mod keys;
mod session;

use causality_envelope::{DomainKeys, ExpectedPeer, HelloError, KeyFileError};
use causality_fact::{Checkpoint, DomainId, KeyError, KeyLog, TransportPublicKey, Verified};
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::forge::{Pair, body};

#[test]
fn keys_records_and_files_are_as_given() {
    compare("keys", &keys::vectors());
}

#[test]
fn hello_session_keys_and_frames_are_as_given() {
    compare("session", &session::vectors());
}

/// ChaCha20-Poly1305 under the stream key that was derived from the specification.
#[test]
fn frames_open_under_the_given_stream_keys() {
    let vectors = read("session");
    for vector in list(&vectors["frames"]) {
        let direction = &vectors[vector["direction"].as_str().unwrap()];
        let mut keys = list(&direction["stream_keys"]).iter();
        let key = keys.find(|key| key["stream"] == vector["stream"]).unwrap();
        let cipher = ChaCha20Poly1305::new(&bytes_32(&key["key"]).into());
        let mut nonce = [0; 12];
        nonce[0] = vector["number"].as_u64().unwrap() as u8;
        let frame = bytes(&vector["frame"]);
        let (length, body) = frame.split_at(4);
        assert_eq!(length, (body.len() as u32).to_le_bytes());
        let opened = cipher.decrypt(&nonce.into(), body).unwrap();
        assert_eq!(opened, bytes(&vector["plaintext"]));
    }
}

#[test]
fn key_records_that_do_not_verify_declare_their_class() {
    for vector in list(&read("keys")["records_refused"]) {
        let records: Vec<_> = list(&vector["records"]).iter().map(bytes).collect();
        let log = KeyLog::verify(records.iter().map(Vec::as_slice));
        assert_eq!(key_class(log.map(drop)), vector["class"], "{vector}");
    }
}

#[test]
fn checkpoints_that_do_not_verify_declare_their_class() {
    for vector in list(&read("keys")["checkpoints_refused"]) {
        let records: Vec<_> = list(&vector["records"]).iter().map(bytes).collect();
        let log = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap();
        let verified = Checkpoint::from_bytes(&bytes(&vector["checkpoint"]))
            .map_err(KeyError::from)
            .and_then(|checkpoint| log.verify_checkpoint(checkpoint));
        assert_eq!(key_class(verified.map(drop)), vector["class"], "{vector}");
    }
}

#[test]
fn checkpoints_stand_as_far_as_given() {
    for vector in list(&read("keys")["standing"]) {
        let records: Vec<_> = list(&vector["records"]).iter().map(bytes).collect();
        let log = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap();
        let verified = |value: &Value| {
            let checkpoint = Checkpoint::from_bytes(&bytes(value)).unwrap();
            log.verify_checkpoint(checkpoint).unwrap()
        };
        let checkpoints: Vec<Verified<Checkpoint>> =
            list(&vector["checkpoints"]).iter().map(verified).collect();
        assert_eq!(log.standing(&checkpoints), vector["standing"], "{vector}");
    }
}

#[test]
fn files_that_are_no_key_files_declare_their_class() {
    for vector in list(&read("keys")["files_refused"]) {
        let file = vector["file"].as_str().unwrap();
        let class = match DomainKeys::from_file(file.as_bytes()).map(drop) {
            Ok(()) => "accepted",
            Err(KeyFileError::Damaged) => "damaged",
            Err(KeyFileError::Malformed { .. }) => "malformed",
            Err(KeyFileError::NewerVersion { .. }) => "newer_version",
            Err(KeyFileError::NotAKeyFile) => "not_a_key_file",
            Err(KeyFileError::NotPublished { .. }) => "not_published",
            Err(KeyFileError::Records(_)) => "records",
            Err(_) => "unexpected",
        };
        assert_eq!(class, vector["class"], "{vector}");
    }
}

#[test]
fn hellos_that_end_without_a_session_declare_their_class() {
    let pair = Pair::new();
    for vector in list(&read("session")["hellos_refused"]) {
        let message = bytes(&vector["message"]);
        let result = match vector["step"].as_str().unwrap() {
            "opening" => pair.answer(&message).map(drop),
            "answer" => {
                let expected = ExpectedPeer {
                    domain: DomainId::new(bytes_32(&vector["dialed"])),
                    tls_key: TransportPublicKey::new(bytes_32(&vector["tls_key"])),
                };
                pair.prove_to(&message, &expected).map(drop)
            }
            _ => pair.accept(&message).map(drop),
        };
        assert_eq!(hello_class(result), vector["class"], "{vector}");
    }
}

#[test]
fn frames_that_do_not_open_are_refused() {
    for vector in list(&read("session")["frames_refused"]) {
        let (_, _, mut basil) = Pair::new().handshake();
        let stream = vector["stream"].as_u64().unwrap();
        let mut opener = basil.keys.opener(stream).unwrap();
        let mut frames: Vec<_> = list(&vector["frames"]).iter().map(bytes).collect();
        let last = frames.pop().unwrap();
        for frame in frames {
            assert!(opener.open(body(&frame)).is_ok(), "{vector}");
        }
        assert!(opener.open(body(&last)).is_err(), "{vector}");
    }
}
fn key_class(result: Result<(), KeyError>) -> &'static str {
    match result {
        Ok(()) => "accepted",
        Err(KeyError::BadKey) => "bad_key",
        Err(KeyError::BadSignature) => "bad_signature",
        Err(KeyError::BrokenChain { .. }) => "broken_chain",
        Err(KeyError::Malformed(_)) => "malformed",
        Err(KeyError::NotCommitted { .. }) => "not_committed",
        Err(KeyError::NotGenesis) => "not_genesis",
        Err(KeyError::OtherDomain { .. }) => "other_domain",
        Err(KeyError::UnknownKey { .. }) => "unknown_key",
        Err(_) => "unexpected",
    }
}

fn hello_class(result: Result<(), HelloError>) -> &'static str {
    match result {
        Ok(()) => "accepted",
        Err(HelloError::BadEphemeral) => "bad_ephemeral",
        Err(HelloError::BadSignature) => "bad_signature",
        Err(HelloError::Expired { .. }) => "expired",
        Err(HelloError::Key(_)) => "key",
        Err(HelloError::Malformed(_)) => "malformed",
        Err(HelloError::NotListed { .. }) => "not_listed",
        Err(HelloError::OtherTlsKey { .. }) => "other_tls_key",
        Err(HelloError::VersionMismatch { .. }) => "version_mismatch",
        Err(HelloError::WrongDomain { .. }) => "wrong_domain",
        Err(_) => "unexpected",
    }
}

fn path(name: &str) -> String {
    format!("{}/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

fn compare(name: &str, made: &Value) {
    if std::env::var_os("CAUSALITY_BLESS").is_some() {
        let text = serde_json::to_string_pretty(made).unwrap();
        std::fs::write(path(name), text + "\n").unwrap();
    }
    let given = read(name);
    for (key, value) in given.as_object().unwrap() {
        assert_eq!(&made[key], value, "{key}");
    }
    assert_eq!(
        made.as_object().unwrap().len(),
        given.as_object().unwrap().len()
    );
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn bytes_32(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn hexes(items: &[Vec<u8>]) -> Vec<String> {
    items.iter().map(|item| hex(item)).collect()
}
