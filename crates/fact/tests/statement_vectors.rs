//! The vectors of what domains sign about their logs, which a second implementation reads as well. What has to be refused
//! declares the class of the refusal.

#![expect(clippy::unwrap_used, reason = "the vectors are part of this crate")]

use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Hlc;
use causality_fact::KeptBack;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::WithheldStatement;
use data_encoding::HEXLOWER;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use serde_json::Value as Json;

const LOG: &str = include_str!("../vectors/log.json");
const STATEMENTS: &str = include_str!("../vectors/statements.json");

#[test]
fn withheld_statements_are_as_given() {
    let keys = keys();
    for vector in list(&parse(STATEMENTS)["withheld"]) {
        let given = &vector["statement"];
        let kept = KeptBack {
            withheld: set(&given["withheld"]),
            deferred: set(&given["deferred"]),
            partial: set(&given["partial"]),
        };
        let mut statement = WithheldStatement {
            log: log(),
            size: number(&given["size"]),
            audience: DomainId::new(array(&given["audience"])),
            withheld: array(&given["withheld_hash"]),
            deferred: array(&given["deferred_hash"]),
            partial: array(&given["partial_hash"]),
            hlc: hlc(given),
            epoch: number(&given["epoch"]) as u32,
            key: given["key"].as_str().unwrap().parse().unwrap(),
            signature: [0; 64],
        };
        assert!(statement.is_about(&kept), "{vector}");
        let message = statement.signed_message();
        assert_eq!(message, bytes(&vector["signed_message"]));
        statement.signature = secret(given).sign(&message).to_bytes();
        assert_eq!(statement.to_bytes(), bytes(&vector["bytes"]));
        assert_eq!(verify(&keys, &bytes(&vector["bytes"])), Ok(statement));
    }
    refused("withheld_refused", |bytes| verify(&keys, bytes));
}

#[test]
fn withheld_statements_contradict_each_other_as_given() {
    let keys = keys();
    for vector in list(&parse(STATEMENTS)["withheld_contradictions"]) {
        let read = |index: usize| verify(&keys, &bytes(&vector["statements"][index])).unwrap();
        let (one, other) = (read(0), read(1));
        assert_eq!(one.contradicts(&other), vector["contradict"], "{vector}");
        assert_eq!(other.contradicts(&one), vector["contradict"], "{vector}");
    }
}

fn verify(keys: &KeyLog, bytes: &[u8]) -> Result<WithheldStatement, KeyError> {
    let statement = WithheldStatement::from_bytes(bytes)?;
    Ok(keys.verify_withheld_statement(statement)?.into_inner())
}

// Reading the files.

fn refused<T>(vectors: &str, verify: impl Fn(&[u8]) -> Result<T, KeyError>) {
    for vector in list(&parse(STATEMENTS)[vectors]) {
        let class = match verify(&bytes(&vector["bytes"])).err() {
            None => "accepted",
            Some(KeyError::BadSignature) => "bad_signature",
            Some(KeyError::OtherDomain { .. }) => "other_domain",
            Some(KeyError::UnknownKey { .. }) => "unknown_key",
            Some(KeyError::Malformed(error)) => match error {
                DecodeError::LimitExceeded { .. } => "limit_exceeded",
                DecodeError::NotCanonical { .. } => "not_canonical",
                DecodeError::Trailing { .. } => "trailing",
                DecodeError::Truncated { .. } => "truncated",
                DecodeError::UnknownCode { .. } => "unknown_code",
                _ => "unexpected",
            },
            Some(_) => "unexpected",
        };
        assert_eq!(class, vector["class"], "{}", vector["about"]);
    }
}

fn keys() -> KeyLog {
    let log = parse(LOG);
    let records: Vec<_> = list(&log["key_records"]).iter().map(bytes).collect();
    KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap()
}

fn log() -> LogId {
    Decoder::exactly(&bytes(&parse(LOG)["log"]["bytes"]), LogId::decode).unwrap()
}

fn set(given: &Json) -> PositionSet {
    let mut set = PositionSet::new();
    for run in given.as_array().unwrap() {
        set.insert(number(&run[0])..number(&run[1])).unwrap();
    }
    set
}

fn secret(given: &Json) -> SigningKey {
    SigningKey::from_bytes(&[number(&given["secret"]) as u8; 32])
}

fn hlc(given: &Json) -> Hlc {
    Hlc::from_bits(number(&given["hlc_ms"]) << 16 | number(&given["hlc_counter"]))
}

fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Json) -> &[Json] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn number(value: &Json) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Json) -> [u8; N] {
    bytes(value).try_into().unwrap()
}
