//! The vectors of what domains sign about their logs, which a second implementation reads as well. What has to be refused
//! declares the class of the refusal.

#![expect(clippy::unwrap_used, reason = "the vectors are part of this crate")]

use causality_fact::ConvergenceReceipt;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Frontiers;
use causality_fact::Hlc;
use causality_fact::KeptBack;
use causality_fact::KeyError;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::PositionSet;
use causality_fact::TreeHash;
use causality_fact::TreeHead;
use causality_fact::WithheldStatement;
use causality_fact::frontier_digest;
use data_encoding::HEXLOWER;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use serde_json::Value as Json;
use std::collections::BTreeMap;

const LOG: &str = include_str!("../vectors/log.json");
const STATEMENTS: &str = include_str!("../vectors/statements.json");

#[test]
fn withheld_statements_are_as_given() {
    let keys = key_log(&parse(LOG)["key_records"]);
    for vector in list(&parse(STATEMENTS)["withheld"]) {
        let given = &vector["statement"];
        let kept = KeptBack {
            withheld: set(&given["withheld"]),
            deferred: set(&given["deferred"]),
            partial: set(&given["partial"]),
        };
        let mut statement = WithheldStatement {
            log: log_of(&parse(LOG)["log"]["bytes"]),
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
        assert_eq!(
            verify_statement(&keys, &bytes(&vector["bytes"])),
            Ok(statement)
        );
    }
    refused("withheld_refused", |bytes| verify_statement(&keys, bytes));
}

#[test]
fn withheld_statements_contradict_each_other_as_given() {
    let keys = key_log(&parse(LOG)["key_records"]);
    for vector in list(&parse(STATEMENTS)["withheld_contradictions"]) {
        let read = |given: &Json| verify_statement(&keys, &bytes(given)).unwrap();
        let [one, other] = [0, 1].map(|index| read(&vector["statements"][index]));
        assert_eq!(one.contradicts(&other), vector["contradict"], "{vector}");
        assert_eq!(other.contradicts(&one), vector["contradict"], "{vector}");
    }
}

fn verify_statement(keys: &KeyLog, bytes: &[u8]) -> Result<WithheldStatement, KeyError> {
    let statement = WithheldStatement::from_bytes(bytes)?;
    Ok(keys.verify_withheld_statement(statement)?.into_inner())
}

#[test]
fn frontiers_have_the_given_digests() {
    for vector in list(&parse(STATEMENTS)["frontiers"]) {
        let head = |given: &Json| TreeHead {
            size: number(&given["size"]),
            root: TreeHash::new(array(&given["root"])),
        };
        let logs = vector["logs"].as_array().unwrap().iter();
        let logs: BTreeMap<_, _> = logs
            .map(|given| (log_of(&given["log"]), head(given)))
            .collect();
        assert_eq!(frontier_digest(&logs)[..], bytes(&vector["digest"]));
    }
}

#[test]
fn convergence_receipts_are_as_given() {
    let statements = parse(STATEMENTS);
    let own = list(&statements["receipts"]).iter();
    for vector in own.chain(list(&statements["receipts_of_the_peer"])) {
        let given = &vector["receipt"];
        let mut receipt = ConvergenceReceipt {
            signer: DomainId::new(array(&given["signer"])),
            peer: DomainId::new(array(&given["peer"])),
            scope: array(&given["scope"]),
            frontiers: Frontiers {
                signer: array(&given["signer_frontier"]),
                peer: array(&given["peer_frontier"]),
            },
            hlc: hlc(given),
            previous: array(&given["previous"]),
            epoch: number(&given["epoch"]) as u32,
            key: given["key"].as_str().unwrap().parse().unwrap(),
            signature: [0; 64],
        };
        let message = receipt.signed_message();
        assert_eq!(message, bytes(&vector["signed_message"]));
        assert_eq!(receipt.hash()[..], bytes(&vector["hash"]));
        receipt.signature = secret(given).sign(&message).to_bytes();
        assert_eq!(receipt.to_bytes(), bytes(&vector["bytes"]));
        assert_eq!(verified_receipt(&vector["bytes"]), receipt);
    }
    let keys = key_log(&parse(LOG)["key_records"]);
    refused("receipts_refused", |bytes| verify_receipt(&keys, bytes));
}

#[test]
fn convergence_receipts_agree_and_follow_as_given() {
    let statements = parse(STATEMENTS);
    for vector in list(&statements["receipts_agree"]) {
        let [one, other] = [0, 1].map(|index| verified_receipt(&vector["receipts"][index]));
        assert_eq!(one.agrees_with(&other), vector["agree"], "{vector}");
        assert_eq!(other.agrees_with(&one), vector["agree"], "{vector}");
    }
    for vector in list(&statements["receipts_follow"]) {
        let previous = &vector["previous"];
        let previous = (!previous.is_null()).then(|| verified_receipt(previous));
        let next = verified_receipt(&vector["next"]);
        assert_eq!(
            next.follows(previous.as_ref()),
            vector["follows"],
            "{vector}"
        );
    }
}

/// A receipt under the keys of whichever of the two domains signed it.
fn verified_receipt(given: &Json) -> ConvergenceReceipt {
    let domains = [
        &parse(LOG)["key_records"],
        &parse(STATEMENTS)["peer_key_records"],
    ]
    .map(key_log);
    let mut verified = domains
        .iter()
        .filter_map(|keys| verify_receipt(keys, &bytes(given)).ok());
    verified.next().unwrap()
}

fn verify_receipt(keys: &KeyLog, bytes: &[u8]) -> Result<ConvergenceReceipt, KeyError> {
    let receipt = ConvergenceReceipt::from_bytes(bytes)?;
    Ok(keys.verify_convergence_receipt(receipt)?.into_inner())
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

fn key_log(records: &Json) -> KeyLog {
    let records: Vec<_> = list(records).iter().map(bytes).collect();
    KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap()
}

fn log_of(given: &Json) -> LogId {
    Decoder::exactly(&bytes(given), LogId::decode).unwrap()
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
