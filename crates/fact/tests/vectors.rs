//! The vector files of facts, logs and keys, which a second implementation reads as well. What has to be refused
//! declares the class of the refusal.

#![expect(clippy::unwrap_used, reason = "the vectors are part of this crate")]

use causality_fact::AnyCore;
use causality_fact::BlockRoots;
use causality_fact::Checkpoint;
use causality_fact::Chunk;
use causality_fact::ChunkError;
use causality_fact::CompartmentId;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::Entry;
use causality_fact::Exhibit;
use causality_fact::ExhibitError;
use causality_fact::Extension;
use causality_fact::FactCore;
use causality_fact::FactFilter;
use causality_fact::FactId;
use causality_fact::FieldMask;
use causality_fact::FilterError;
use causality_fact::Hlc;
use causality_fact::KeyError;
use causality_fact::KeyId;
use causality_fact::KeyLog;
use causality_fact::KeyRecord;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::Onward;
use causality_fact::References;
use causality_fact::Row;
use causality_fact::RowCore;
use causality_fact::RowState;
use causality_fact::Seed;
use causality_fact::SignedBlocks;
use causality_fact::SignedKeyRecord;
use causality_fact::SigningPublicKey;
use causality_fact::TemporalFact;
use causality_fact::TimeMap;
use causality_fact::TreeError;
use causality_fact::TreeHash;
use causality_fact::Truth;
use causality_fact::ValidTime;
use causality_fact::Value;
use causality_fact::WholeContent;
use causality_fact::core_id;
use causality_fact::decode_reveal;
use causality_fact::encode_reveal;
use causality_fact::leaf_hash;
use causality_fact::root_of;
use data_encoding::HEXLOWER;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use serde_json::Value as Json;
use std::collections::BTreeMap;

const FACT: &str = include_str!("../vectors/fact.json");
const KEYS: &str = include_str!("../vectors/keys.json");
const LOG: &str = include_str!("../vectors/log.json");

// Facts.

#[test]
fn integers_have_one_spelling() {
    let fact = parse(FACT);
    for vector in list(&fact["integers"]) {
        let value: u64 = number(&vector["value"]);
        let mut to = Encoder::new();
        to.uint(value);
        assert_eq!(to.finish(), bytes(&vector["bytes"]));
        let decoded = Decoder::exactly(&bytes(&vector["bytes"]), Decoder::uint);
        assert_eq!(decoded, Ok(value));
    }
    for vector in list(&fact["signed_integers"]) {
        let mut to = Encoder::new();
        to.int(number(&vector["value"]));
        assert_eq!(to.finish(), bytes(&vector["bytes"]));
    }
    refused(&fact["integers_refused"], |bytes| {
        Decoder::exactly(bytes, Decoder::uint).map_err(|error| decode_class(&error))
    });
}

#[test]
fn values_are_as_given() {
    let fact = parse(FACT);
    for vector in list(&fact["values"]) {
        let row = row_of_value(value(&vector["value"]));
        assert_eq!(row.1, bytes(&vector["bytes"]), "{vector}");
        let whole = [row.0, row.1].concat();
        assert!(Row::from_bytes(&whole, DomainId::new([0; 32])).is_ok());
    }
    let (start, _) = row_of_value(Value::Null);
    refused(&fact["values_refused"], |bytes| {
        let row = [&start, bytes].concat();
        Row::from_bytes(&row, DomainId::new([0; 32])).map_err(|error| decode_class(&error))
    });
}

/// A row of a fact with this value alone, up to the value, and the value.
fn row_of_value(value: Value) -> (Vec<u8>, Vec<u8>) {
    let mut core = core(&parse(FACT)["cores"][1]["core"]);
    core.origin = DomainId::new([0; 32]);
    let row = |value: Value| {
        let content = WholeContent::new(Seed::new([7; 16]), [(String::new(), value)].into());
        let fact = TemporalFact::new(core.clone(), content.unwrap()).unwrap();
        fact.to_row()
    };
    // Null takes one byte.
    let start = row(Value::Null).len() - 1;
    let mut row = row(value);
    let value = row.split_off(start);
    (row, value)
}

#[test]
fn cores_have_the_given_bytes_and_ids() {
    let fact = parse(FACT);
    for vector in list(&fact["cores"]) {
        let core = core(&vector["core"]);
        let expected = bytes(&vector["bytes"]);
        assert_eq!(core.to_bytes(), expected);
        assert_eq!(core.id().to_string(), vector["id"]);
        assert_eq!(core_id(&expected), core.id());
        assert_eq!(core.conflict_key().to_string(), vector["conflict_key"]);
        let known = AnyCore::Known(Box::new(core));
        assert_eq!(AnyCore::from_bytes(&expected), Ok(known));
    }
    for vector in list(&fact["cores_unsupported"]) {
        let core = bytes(&vector["bytes"]);
        let Ok(AnyCore::Unsupported(header)) = AnyCore::from_bytes(&core) else {
            panic!("{vector}")
        };
        assert_eq!(u64::from(header.version), vector["version"]);
        assert_eq!(header.onward, onward(&vector["onward"]));
        assert_eq!(header.label.as_str(), vector["label"]);
        assert_eq!(core_id(&core).to_string(), vector["id"]);
    }
    refused(&fact["cores_refused"], |bytes| {
        AnyCore::from_bytes(bytes).map_err(|error| decode_class(&error))
    });
}

#[test]
fn contents_have_the_given_roots() {
    for vector in list(&parse(FACT)["contents"]) {
        let content = content(vector);
        assert_eq!(content.root().as_bytes()[..], bytes(&vector["root"]));
        let core = core(&parse(FACT)["cores"][1]["core"]);
        let fact = TemporalFact::new(core, content).unwrap();
        assert!(fact.to_row().ends_with(&bytes(&vector["bytes"])));
        // With all withheld, the leaves are what is left.
        let withheld = fact.redact(|_| false).to_row();
        let leaves = list(&vector["leaves"]).iter();
        let leaves: Vec<u8> = leaves
            .flat_map(|leaf| [vec![0], bytes(leaf)].concat())
            .collect();
        assert!(withheld.ends_with(&leaves) || leaves.is_empty());
    }
}

#[test]
fn masks_are_as_given() {
    let fact = parse(FACT);
    for vector in list(&fact["masks"]) {
        let fields = list(&vector["disclosed"]).iter().map(number::<u32>);
        let mask = FieldMask::new(fields.map(|field| 1 << field).sum());
        assert_eq!(mask_bytes(mask), bytes(&vector["bytes"]));
        let read = Decoder::exactly(&bytes(&vector["bytes"]), FieldMask::decode);
        assert_eq!(read, Ok(mask));
    }
    refused(&fact["masks_refused"], |bytes| {
        Decoder::exactly(bytes, FieldMask::decode).map_err(|error| decode_class(&error))
    });
}

fn mask_bytes(mask: FieldMask) -> Vec<u8> {
    let mut to = Encoder::new();
    mask.encode(&mut to);
    to.finish()
}

#[test]
fn rows_are_as_given() {
    let fact = parse(FACT);
    for vector in list(&fact["rows"]) {
        let row = row(vector);
        assert_eq!(row.id().to_string(), vector["id"]);
        let state = match row.state() {
            RowState::Full => "full",
            RowState::Partial => "partial",
        };
        assert_eq!(state, vector["state"]);
        let mask = row.mask().map(mask_bytes);
        assert_eq!(mask, vector.get("mask").map(bytes));
        let Some(read) = row.fact() else {
            assert!(matches!(row.core(), RowCore::Unsupported(_)));
            continue;
        };
        assert_eq!(
            *read.core(),
            core(&fact["cores"][number::<usize>(&vector["core"])]["core"])
        );
        if let Some(disclosed) = vector["disclosed"].as_object() {
            if read.content().is_partial() {
                let whole = self::row(&fact["rows"][0]).fact().unwrap();
                let redacted = whole.redact(|name| disclosed.contains_key(name));
                assert_eq!(redacted, read);
            }
            assert_eq!(read.content().disclosed().count(), disclosed.len());
            for (name, shown) in disclosed {
                assert_eq!(read.content().field(name), Some(&value(shown)));
            }
        } else {
            let whole = TemporalFact::new(read.core().clone(), content(vector)).unwrap();
            assert_eq!(whole.to_row(), row.bytes());
        }
    }
    refused(&fact["rows_refused"], |bytes| {
        let origin = fact["rows_refused"][0]["origin"].as_str().unwrap();
        Row::from_bytes(bytes, origin.parse().unwrap()).map_err(|error| decode_class(&error))
    });
}

#[test]
fn rows_merge_as_given() {
    let fact = parse(FACT);
    let read = |index: &Json| row(&fact["rows"][number::<usize>(index)]).fact().unwrap();
    for vector in list(&fact["merges"]) {
        let (one, other) = (read(&vector["rows"][0]), read(&vector["rows"][1]));
        let merged = (!vector["merged"].is_null()).then(|| read(&vector["merged"]));
        assert_eq!(one.merge(&other), merged, "{vector}");
        assert_eq!(other.merge(&one), merged, "{vector}");
    }
}

#[test]
fn a_row_has_at_most_its_limit_of_bytes() {
    for vector in list(&parse(FACT)["row_lengths"]) {
        let origin = parse(FACT)["rows"][0]["origin"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let fill = bytes(&vector["fill"])[0];
        let mut row = bytes(&vector["prefix"]);
        row.resize(number(&vector["limit"]), fill);
        let id = Row::from_bytes(&row, origin).unwrap().id();
        assert_eq!(id.to_string(), vector["id"]);
        row.push(fill);
        let error = Row::from_bytes(&row, origin).unwrap_err();
        assert_eq!(decode_class(&error), "limit_exceeded");
    }
}

#[test]
fn filters_say_what_is_given() {
    let fact = parse(FACT);
    let shown = |index: usize| row(&fact["rows"][index]).fact().unwrap();
    let (whole, mag, nothing) = (shown(0), shown(1), shown(4));
    for vector in list(&fact["filters"]) {
        let filter = FactFilter::from_bytes(&bytes(&vector["bytes"])).unwrap();
        assert_eq!(filter.to_bytes(), bytes(&vector["bytes"]));
        assert_eq!(filter.nodes().len(), list(&vector["nodes"]).len());
        let says = |fact: &TemporalFact| match filter.evaluate(fact) {
            Truth::False => "false",
            Truth::True => "true",
            Truth::Unknown => "unknown",
        };
        assert_eq!(says(&whole), vector["whole"], "{vector}");
        assert_eq!(says(&mag), vector["discloses_mag"], "{vector}");
        assert_eq!(says(&nothing), vector["discloses_nothing"], "{vector}");
    }
    refused(&fact["filters_refused"], |bytes| {
        FactFilter::from_bytes(bytes).map_err(|error| match error {
            FilterError::Malformed(error) => decode_class(&error),
            FilterError::TooDeep { .. } => "too_deep",
            FilterError::TooLong(_) => "too_long",
            FilterError::Unbalanced { .. } => "unbalanced",
            _ => "unexpected",
        })
    });
}

// Keys.

#[test]
fn keys_and_commitments_are_as_given() {
    let keys = parse(KEYS);
    for vector in list(&keys["keys"]) {
        let public = secret(&vector["secret"]).verifying_key().to_bytes();
        assert_eq!(public[..], bytes(&vector["public"]));
        assert_eq!(KeyId::of(&public).to_string(), vector["id"]);
    }
    for vector in list(&keys["commitments"]) {
        let keys: Vec<_> = list(&vector["keys"]).iter().map(array).collect();
        let keys: Vec<_> = keys.into_iter().map(SigningPublicKey::new).collect();
        assert_eq!(
            KeyRecord::commitment(&keys)[..],
            bytes(&vector["commitment"])
        );
    }
}

#[test]
fn key_records_are_as_given() {
    let keys = parse(KEYS);
    let records = list(&keys["records"]);
    for vector in records {
        let signed = SignedKeyRecord::from_bytes(&bytes(&vector["bytes"])).unwrap();
        assert_eq!(signed.to_bytes(), bytes(&vector["bytes"]));
        let (record, given) = (&signed.record, &vector["record"]);
        assert_eq!(u64::from(record.epoch), given["epoch"]);
        assert_eq!(record.previous[..], bytes(&given["previous"]));
        let signing: Vec<_> = record
            .signing
            .iter()
            .map(|key| key.as_bytes().to_vec())
            .collect();
        assert_eq!(signing, all(&given["signing"]));
        assert_eq!(
            record.encryption.as_bytes()[..],
            bytes(&given["encryption"])
        );
        let transport: Vec<_> = record
            .transport
            .iter()
            .map(|key| key.as_bytes().to_vec())
            .collect();
        assert_eq!(transport, all(&given["transport"]));
        assert_eq!(record.next[..], bytes(&given["next"]));
        assert_eq!(record.not_before, given["not_before"]);
        assert_eq!(record.not_after, given["not_after"]);
        let revoked: Vec<_> = record
            .revoked
            .iter()
            .map(|key| key.as_bytes().to_vec())
            .collect();
        assert_eq!(revoked, all(&given["revoked"]));
        assert_eq!(record.signed_message(), bytes(&vector["signed_message"]));
        assert_eq!(record.hash()[..], bytes(&vector["hash"]));
    }
    let records: Vec<_> = records
        .iter()
        .map(|vector| bytes(&vector["bytes"]))
        .collect();
    let log = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(log.domain().to_string(), keys["domain"]);
    assert_eq!(log.records_from(0), records);
    refused(&keys["records_refused"], |bytes| {
        SignedKeyRecord::from_bytes(bytes).map_err(|error| decode_class(&error))
    });
}

#[test]
fn key_logs_that_do_not_verify_are_refused() {
    for vector in list(&parse(KEYS)["logs_refused"]) {
        let records = all(&vector["records"]);
        let error = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap_err();
        assert_eq!(key_class(&error), vector["class"], "{}", vector["about"]);
    }
}

// Logs.

#[test]
fn logs_have_the_given_leaves_and_roots() {
    let log = parse(LOG);
    let id = log_id(&log["log"]);
    assert_eq!(id.to_bytes()[..], bytes(&log["log"]["bytes"]));
    for vector in list(&log["rows"]) {
        let row = Row::from_bytes(&bytes(&vector["bytes"]), id.origin).unwrap();
        assert_eq!(row.id().to_string(), vector["id"]);
        assert_eq!(leaf_hash(&row.id()).to_string(), vector["leaf"]);
    }
    for vector in list(&log["roots"]) {
        let leaves = &leaves(&log)[..number(&vector["size"])];
        assert_eq!(root_of(leaves).to_string(), vector["root"]);
    }
}

#[test]
fn checkpoints_are_as_given() {
    let log = parse(LOG);
    let keys = key_log(&log);
    for vector in list(&log["checkpoints"]) {
        let given = &vector["checkpoint"];
        let mut checkpoint = Checkpoint {
            log: log_id(&log["log"]),
            size: number(&given["size"]),
            root: hash(&given["root"]),
            hlc: hlc(given),
            epoch: number(&given["epoch"]),
            key: given["key"].as_str().unwrap().parse().unwrap(),
            closing: number::<u8>(&given["closing"]) == 1,
            signature: [0; 64],
        };
        assert_eq!(
            checkpoint.signed_message(),
            bytes(&vector["signed_message"])
        );
        let keys_of_tests = list(&parse(KEYS)["keys"]).to_vec();
        let signer = keys_of_tests.iter().find(|key| key["id"] == given["key"]);
        let signer = secret(&signer.unwrap()["secret"]);
        checkpoint.signature = signer.sign(&checkpoint.signed_message()).to_bytes();
        assert_eq!(checkpoint.to_bytes(), bytes(&vector["bytes"]));
        let read = Checkpoint::from_bytes(&bytes(&vector["bytes"])).unwrap();
        assert_eq!(
            keys.verify_checkpoint(read).unwrap().into_inner(),
            checkpoint
        );
    }
    refused(&log["checkpoints_refused"], |bytes| {
        let checkpoint = Checkpoint::from_bytes(bytes).map_err(|error| decode_class(&error))?;
        keys.verify_checkpoint(checkpoint)
            .map_err(|error| key_class(&error))
    });
}

#[test]
fn what_stands_after_a_revocation_is_as_given() {
    let log = parse(LOG);
    let keys = key_log(&log);
    for vector in list(&log["standing"]) {
        let signed = list(&vector["checkpoints"]).iter().map(|pair| {
            let epoch: u32 = number(&pair[1]);
            let signer = SigningKey::from_bytes(&[epoch as u8 + 1; 32]);
            let mut checkpoint = Checkpoint {
                log: log_id(&log["log"]),
                size: number(&pair[0]),
                root: TreeHash::empty(),
                hlc: Hlc::default(),
                epoch,
                key: KeyId::of(signer.verifying_key().as_bytes()),
                closing: false,
                signature: [0; 64],
            };
            checkpoint.signature = signer.sign(&checkpoint.signed_message()).to_bytes();
            keys.verify_checkpoint(checkpoint).unwrap()
        });
        let standing = keys.standing(&signed.collect::<Vec<_>>());
        assert_eq!(standing, vector["standing"], "{vector}");
    }
}

/// What a holder of the first `held` positions makes of a chunk of the log of the vectors.
fn follow(log: &Json, vector: &Json) -> Result<(BlockRoots, Vec<Entry>), &'static str> {
    let leaves = leaves(log);
    let size: usize = number(&vector["size"]);
    let held_size: usize = number(&vector["held"]);
    let mut held = BlockRoots::new();
    for leaf in &leaves[..held_size] {
        held.push(*leaf);
    }
    let root = root_of(&leaves[..size]);
    let signer = SigningKey::from_bytes(&[1; 32]);
    let mut checkpoint = Checkpoint {
        log: log_id(&log["log"]),
        size: size as u64,
        root,
        hlc: Hlc::from_millis(size as u64),
        epoch: 0,
        key: KeyId::of(signer.verifying_key().as_bytes()),
        closing: false,
        signature: [0; 64],
    };
    checkpoint.signature = signer.sign(&checkpoint.signed_message()).to_bytes();
    let checkpoint = key_log(log).verify_checkpoint(checkpoint).unwrap();
    let signed = SignedBlocks::verify(checkpoint, &held, vec![root]).unwrap();
    let chunk = Chunk {
        from: number(&vector["from"]),
        entries: bytes(&vector["entries"]),
        right: hashes(&vector["right"]),
    };
    let last = Hlc::from_millis(held_size as u64);
    let extension = Extension::verify(&chunk, &signed, &held, last);
    let extension = extension.map_err(|error| chunk_class(&error))?;
    extension
        .apply(&mut held)
        .map_err(|error| chunk_class(&error))?;
    Ok((held, extension.into_entries()))
}

#[test]
fn chunks_extend_a_log_or_are_refused() {
    let log = parse(LOG);
    for vector in list(&log["chunks"]) {
        let (held, entries) = follow(&log, vector).unwrap();
        let end: usize = number(&vector["end"]);
        assert_eq!(held.size(), end as u64);
        assert_eq!(held.root(), root_of(&leaves(&log)[..end]));
        let mut at: u64 = number(&vector["held"]);
        let mut shown = Vec::new();
        for entry in entries {
            if let Entry::Row(row) = &entry {
                let given = &log["rows"][usize::try_from(at).unwrap()];
                assert_eq!(row.bytes(), bytes(&given["bytes"]));
                shown.push(Json::from(at));
            }
            at += entry.positions();
        }
        assert_eq!(shown, list(&vector["shows"]));
    }
    for vector in list(&log["chunks_refused"]) {
        let class = follow(&log, vector).unwrap_err();
        assert_eq!(class, vector["class"], "{}", vector["about"]);
    }
}

#[test]
fn times_that_run_back_are_refused() {
    let log = parse(LOG);
    for vector in list(&log["times_refused"]) {
        let checkpoint = Checkpoint::from_bytes(&bytes(&vector["checkpoint"])).unwrap();
        let checkpoint = key_log(&log).verify_checkpoint(checkpoint).unwrap();
        let held = BlockRoots::new();
        let signed = SignedBlocks::verify(checkpoint, &held, hashes(&vector["blocks"])).unwrap();
        let chunk = Chunk {
            from: 0,
            entries: bytes(&vector["entries"]),
            right: vec![],
        };
        let last = Hlc::from_millis(number(&vector["last_ms"]));
        let position = number(&vector["position"]);
        let error = ChunkError::TimeRunsBack { position };
        assert_eq!(Extension::verify(&chunk, &signed, &held, last), Err(error));
    }
}

#[test]
fn reveals_are_as_given() {
    let log = parse(LOG);
    let origin = log_id(&log["log"]).origin;
    for vector in list(&log["reveals"]) {
        let rows = decode_reveal(&bytes(&vector["bytes"]), origin).unwrap();
        let given = list(&vector["rows"]);
        assert_eq!(rows.len(), given.len());
        for ((position, row), given) in rows.iter().zip(given) {
            assert_eq!(*position, number::<u64>(&given["position"]));
            assert_eq!(row.id().to_string(), given["id"]);
        }
        let rows = rows.iter().map(|(position, row)| (*position, row.bytes()));
        assert_eq!(encode_reveal(rows), bytes(&vector["bytes"]));
    }
    refused(&log["reveals_refused"], |bytes| {
        decode_reveal(bytes, origin).map_err(|error| decode_class(&error))
    });
}

#[test]
fn exhibits_prove_or_are_refused() {
    let log = parse(LOG);
    for vector in list(&log["exhibits"]) {
        let exhibit = Exhibit::verify(&bytes(&vector["bytes"])).unwrap();
        assert_eq!(exhibit.to_bytes(), bytes(&vector["bytes"]));
        let position = usize::try_from(exhibit.position).unwrap();
        assert_eq!(exhibit.row.id().to_string(), log["rows"][position]["id"]);
    }
    refused(&log["exhibits_refused"], |bytes| {
        Exhibit::verify(bytes).map_err(|error| match error {
            ExhibitError::NotAnExhibit => "not_an_exhibit",
            ExhibitError::Malformed(error) => decode_class(&error),
            ExhibitError::Key(error) => key_class(&error),
            ExhibitError::NotIncluded(error) => tree_class(&error),
            _ => "unexpected",
        })
    });
}

#[test]
fn time_maps_are_as_given() {
    let log = parse(LOG);
    for vector in list(&log["time_maps"]) {
        let mut map = TimeMap::new();
        for pair in list(&vector["sizes"]) {
            let log = Decoder::exactly(&bytes(&pair[0]), LogId::decode).unwrap();
            map.raise(log, number(&pair[1])).unwrap();
        }
        assert_eq!(map.to_bytes(), bytes(&vector["bytes"]));
        assert_eq!(TimeMap::from_bytes(&bytes(&vector["bytes"])), Ok(map));
    }
    refused(&log["time_maps_refused"], |bytes| {
        TimeMap::from_bytes(bytes).map_err(|error| decode_class(&error))
    });
}

// Reading the files.

fn refused<T>(vectors: &Json, decode: impl Fn(&[u8]) -> Result<T, &'static str>) {
    for vector in list(vectors) {
        let class = decode(&bytes(&vector["bytes"])).err().unwrap_or("accepted");
        assert_eq!(class, vector["class"], "{}", vector["about"]);
    }
}

fn decode_class(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::LimitExceeded { .. } => "limit_exceeded",
        DecodeError::NotCanonical { .. } => "not_canonical",
        DecodeError::NotUtf8 { .. } => "not_utf8",
        DecodeError::Trailing { .. } => "trailing",
        DecodeError::Truncated { .. } => "truncated",
        DecodeError::UnknownCode { .. } => "unknown_code",
        _ => "unexpected",
    }
}

fn key_class(error: &KeyError) -> &'static str {
    match error {
        KeyError::BadKey => "bad_key",
        KeyError::BadSignature => "bad_signature",
        KeyError::BrokenChain { .. } => "broken_chain",
        KeyError::Malformed(error) => decode_class(error),
        KeyError::NotCommitted { .. } => "not_committed",
        KeyError::NotGenesis => "not_genesis",
        KeyError::OtherDomain { .. } => "other_domain",
        KeyError::UnknownKey { .. } => "unknown_key",
        _ => "unexpected",
    }
}

fn chunk_class(error: &ChunkError) -> &'static str {
    match error {
        ChunkError::Malformed(error) => decode_class(error),
        ChunkError::OutOfPlace { .. } => "out_of_place",
        ChunkError::Tree(_) => "tree",
        ChunkError::WrongBlock { .. } => "wrong_block",
        _ => "unexpected",
    }
}

fn tree_class(error: &TreeError) -> &'static str {
    match error {
        TreeError::IndexBeyondSize { .. } => "index_beyond_size",
        TreeError::PathLength { .. } => "path_length",
        TreeError::RootMismatch { .. } => "root_mismatch",
        _ => "unexpected",
    }
}

fn core(given: &Json) -> FactCore {
    let text = |key: &str| given[key].as_str().unwrap();
    let from = number(&given["valid_from"]);
    let valid = match &given["valid_until"] {
        Json::Null => ValidTime::since(from),
        until => ValidTime::between(from, number(until)).unwrap(),
    };
    FactCore {
        onward: onward(&given["onward"]),
        label: causality_fact::Label::new(text("label")).unwrap(),
        origin: text("origin").parse().unwrap(),
        fact_type: text("type").parse().unwrap(),
        resource: text("resource").parse().unwrap(),
        aspect: causality_fact::Aspect::new(text("aspect")).unwrap(),
        hlc: hlc(given),
        valid,
        requires: references(&given["requires"]),
        supersedes: references(&given["supersedes"]),
        content_root: causality_fact::ContentHash::new(array(&given["content_root"])),
    }
}

fn references<const MAX: usize>(given: &Json) -> References<MAX> {
    References::new(list(given).iter().map(|id| FactId::new(array(id)))).unwrap()
}

fn onward(given: &Json) -> Onward {
    match given.as_str().unwrap() {
        "none" => Onward::None,
        "audience" => Onward::Audience,
        _ => Onward::Any,
    }
}

fn hlc(given: &Json) -> Hlc {
    let (millis, counter): (u64, u64) = (number(&given["hlc_ms"]), number(&given["hlc_counter"]));
    Hlc::from_bits((millis << 16) | counter)
}

fn content(given: &Json) -> WholeContent {
    let fields = given["fields"].as_object().unwrap().iter();
    let fields: BTreeMap<_, _> = fields
        .map(|(name, given)| (name.clone(), value(given)))
        .collect();
    WholeContent::new(Seed::new(array(&given["seed"])), fields).unwrap()
}

fn value(given: &Json) -> Value {
    if let Some(constant) = given.as_str() {
        return match constant {
            "null" => Value::Null,
            constant => Value::Bool(constant == "true"),
        };
    }
    let (kind, inner) = given.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "int" => Value::Int(number(inner)),
        "float" => Value::number(number(inner)).unwrap(),
        "string" => Value::String(inner.as_str().unwrap().to_owned()),
        "bytes" => Value::Bytes(bytes(inner)),
        "list" => Value::List(list(inner).iter().map(value).collect()),
        _ => {
            let entries = inner.as_object().unwrap().iter();
            Value::Map(
                entries
                    .map(|(key, inner)| (key.clone(), value(inner)))
                    .collect(),
            )
        }
    }
}

fn row(vector: &Json) -> Row {
    let origin = vector["origin"].as_str().unwrap().parse().unwrap();
    Row::from_bytes(&bytes(&vector["bytes"]), origin).unwrap()
}

fn secret(given: &Json) -> SigningKey {
    SigningKey::from_bytes(&[number(given); 32])
}

fn key_log(log: &Json) -> KeyLog {
    let records = all(&log["key_records"]);
    KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap()
}

fn log_id(given: &Json) -> LogId {
    LogId {
        origin: DomainId::new(array(&given["origin"])),
        compartment: CompartmentId::new(array(&given["compartment"])),
        lane: LaneId::new(array(&given["lane"])),
    }
}

fn leaves(log: &Json) -> Vec<TreeHash> {
    list(&log["rows"])
        .iter()
        .map(|row| hash(&row["leaf"]))
        .collect()
}

fn parse(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn list(value: &Json) -> &[Json] {
    value.as_array().unwrap()
}

/// A number, or a number in a string, which JSON keeps whole.
fn number<T: std::str::FromStr>(value: &Json) -> T {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.parse().ok().unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn all(value: &Json) -> Vec<Vec<u8>> {
    list(value).iter().map(bytes).collect()
}

fn array<const N: usize>(value: &Json) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn hash(value: &Json) -> TreeHash {
    TreeHash::new(array(value))
}

fn hashes(value: &Json) -> Vec<TreeHash> {
    list(value).iter().map(hash).collect()
}
