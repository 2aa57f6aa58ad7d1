//! The decoder of this crate against the published vectors: two readers of the same pages agree.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::codec::{Reader, uint_bytes};
use crate::history::Span;
use crate::id::{DomainId, FactId};
use crate::positions;
use crate::row::{core_time, partial_root, value, whole_root};
use crate::{
    Checkpoint, DecodeError, GrowingTree, KeyError, KeyLog, Statement, leaf_hash,
    position_set_hash, read_row,
};

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fact/vectors");
    serde_json::from_slice(&std::fs::read(path.join(name)).unwrap()).unwrap()
}

fn list<'v>(vectors: &'v Value, name: &str) -> &'v [Value] {
    let list = vectors[name].as_array().unwrap();
    assert!(!list.is_empty(), "{name}");
    list
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn all_bytes(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(bytes).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn whole<'b, T>(
    bytes: &'b [u8],
    read: impl FnOnce(&mut Reader<'b>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn is_refused<T>(result: Result<T, DecodeError>, vector: &Value) {
    let class = result.err().map(|error| error.to_string());
    assert_eq!(class.as_deref(), vector["class"].as_str(), "{vector}");
}

fn is_refused_by_keys<T>(result: Result<T, KeyError>, vector: &Value) {
    let class = result.err().map(|error| match error {
        KeyError::Malformed(error) => error.to_string(),
        other => other.to_string(),
    });
    assert_eq!(class.as_deref(), vector["class"].as_str(), "{vector}");
}

#[test]
fn numbers_are_those_of_the_page() {
    let fact = vectors("fact.json");
    for vector in list(&fact, "integers") {
        let value: u64 = text(&vector["value"]).parse().unwrap();
        assert_eq!(whole(&bytes(&vector["bytes"]), Reader::uint), Ok(value));
        assert_eq!(uint_bytes(value), bytes(&vector["bytes"]));
    }
    for vector in list(&fact, "signed_integers") {
        let value = text(&vector["value"]).parse().unwrap();
        assert_eq!(whole(&bytes(&vector["bytes"]), Reader::int), Ok(value));
    }
    for vector in list(&fact, "integers_refused") {
        is_refused(whole(&bytes(&vector["bytes"]), Reader::uint), vector);
    }
}

#[test]
fn values_are_those_of_the_page() {
    let fact = vectors("fact.json");
    for vector in list(&fact, "values") {
        let read = whole(&bytes(&vector["bytes"]), |reader| value(reader, 0));
        assert_eq!(read, Ok(()), "{vector}");
    }
    for vector in list(&fact, "values_refused") {
        let read = whole(&bytes(&vector["bytes"]), |reader| value(reader, 0));
        is_refused(read, vector);
    }
}

#[test]
fn content_has_the_root_of_the_page() {
    for vector in list(&vectors("fact.json"), "contents") {
        let root = whole(&bytes(&vector["bytes"]), whole_root).unwrap();
        assert_eq!(root.to_vec(), bytes(&vector["root"]));
    }
}

#[test]
fn cores_are_those_of_the_page() {
    let fact = vectors("fact.json");
    for vector in list(&fact, "cores") {
        let core = &vector["core"];
        let millis = core["hlc_ms"].as_u64().unwrap();
        let time = (millis << 16) + core["hlc_counter"].as_u64().unwrap();
        assert_eq!(core_time(&bytes(&vector["bytes"])), Ok(Some(time)));
    }
    for vector in list(&fact, "cores_unsupported") {
        assert_eq!(core_time(&bytes(&vector["bytes"])), Ok(None), "{vector}");
    }
    for vector in list(&fact, "cores_refused") {
        is_refused(core_time(&bytes(&vector["bytes"])), vector);
    }
}

#[test]
fn rows_have_the_ids_of_the_page() {
    let fact = vectors("fact.json");
    for vector in list(&fact, "rows") {
        let origin: DomainId = text(&vector["origin"]).parse().unwrap();
        let row = read_row(&origin, &bytes(&vector["bytes"])).unwrap();
        assert_eq!(row.id.to_string(), text(&vector["id"]), "{vector}");
    }
    for vector in list(&fact, "rows_refused") {
        let origin: DomainId = text(&vector["origin"]).parse().unwrap();
        is_refused(read_row(&origin, &bytes(&vector["bytes"])), vector);
    }
    for vector in list(&fact, "row_lengths") {
        let origin = fact["rows"][0]["origin"].as_str().unwrap().parse().unwrap();
        let limit = usize::try_from(vector["limit"].as_u64().unwrap()).unwrap();
        let mut row = bytes(&vector["prefix"]);
        row.resize(limit, bytes(&vector["fill"])[0]);
        let largest = read_row(&origin, &row).unwrap();
        assert_eq!(largest.id.to_string(), text(&vector["id"]));
        row.push(0);
        assert_eq!(read_row(&origin, &row), Err(DecodeError::LimitExceeded));
    }
}

#[test]
fn a_partial_row_may_be_longer_than_a_whole_one() {
    let none = |length| whole(&vec![0_u8; length][..], partial_root);
    assert_eq!(none(0), Err(DecodeError::Truncated));
    let mut row = bytes(&vectors("fact.json")["rows"][1]["bytes"]);
    row.resize(65_001, 0);
    let origin = DomainId([0; 32]);
    assert_eq!(read_row(&origin, &row), Err(DecodeError::LimitExceeded));
    row.pop();
    assert_eq!(read_row(&origin, &row), Err(DecodeError::Trailing));
}

#[test]
fn of_a_core_of_unknown_type_origin_and_type_have_to_be_there() {
    let raw = |core: &[u8]| {
        let length = u8::try_from(core.len()).unwrap();
        let row = [&[2, length], core, &[0]].concat();
        read_row(&DomainId([1; 32]), &row).map(|row| row.time)
    };
    let core = [&[0, 0, 0][..], &[2; 32], &[9]].concat();
    assert_eq!(raw(&core), Ok(None));
    assert_eq!(raw(&core[..35]), Err(DecodeError::Truncated));
    assert_eq!(raw(&core[..34]), Err(DecodeError::Truncated));
}

#[test]
fn key_logs_are_those_of_the_page() {
    let keys = vectors("keys.json");
    let records: Vec<_> = list(&keys, "records")
        .iter()
        .map(|vector| bytes(&vector["bytes"]))
        .collect();
    for known in 1..=records.len() {
        let log = KeyLog::verify(records[..known].iter().map(Vec::as_slice)).unwrap();
        assert_eq!(log.domain().to_string(), text(&keys["domain"]));
    }
    for vector in list(&keys, "records_refused") {
        let record = bytes(&vector["bytes"]);
        is_refused_by_keys(KeyLog::verify([record.as_slice()]), vector);
    }
    for vector in list(&keys, "logs_refused") {
        let records = all_bytes(&vector["records"]);
        is_refused_by_keys(KeyLog::verify(records.iter().map(Vec::as_slice)), vector);
    }
}

#[test]
fn checkpoints_are_those_of_the_page() {
    let log = vectors("log.json");
    let records = all_bytes(&log["key_records"]);
    let keys = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap();
    for vector in list(&log, "checkpoints") {
        let checkpoint = Checkpoint::verify(&keys, &bytes(&vector["bytes"])).unwrap();
        let expected = &vector["checkpoint"];
        assert_eq!(checkpoint.log.origin, keys.domain());
        assert_eq!(Some(checkpoint.size), expected["size"].as_u64());
        assert_eq!(checkpoint.root.to_string(), text(&expected["root"]));
        assert_eq!(Some(checkpoint.epoch), expected["epoch"].as_u64());
        assert_eq!(checkpoint.time >> 16, expected["hlc_ms"].as_u64().unwrap());
    }
    for vector in list(&log, "checkpoints_refused") {
        is_refused_by_keys(Checkpoint::verify(&keys, &bytes(&vector["bytes"])), vector);
    }
}

#[test]
fn withheld_statements_are_those_of_the_page() {
    let records = all_bytes(&vectors("log.json")["key_records"]);
    let keys = KeyLog::verify(records.iter().map(Vec::as_slice)).unwrap();
    let statements = vectors("statements.json");
    for vector in list(&statements, "withheld") {
        let statement = Statement::verify(&keys, &bytes(&vector["bytes"])).unwrap();
        let expected = &vector["statement"];
        assert_eq!(statement.log.origin, keys.domain());
        assert_eq!(Some(statement.size), expected["size"].as_u64());
        assert_eq!(statement.audience.to_string(), text(&expected["audience"]));
        let sets = ["withheld", "deferred", "partial"].map(|name| {
            let hash = position_set_hash(&runs(&expected[name])).unwrap();
            assert_eq!(hash.to_vec(), bytes(&expected[format!("{name}_hash")]));
            hash
        });
        assert_eq!(statement.sets, sets);
    }
    for vector in list(&statements, "withheld_refused") {
        is_refused_by_keys(Statement::verify(&keys, &bytes(&vector["bytes"])), vector);
    }
}

#[test]
fn position_sets_have_the_encodings_of_the_page() {
    for vector in list(&vectors("positions.json"), "sets") {
        let runs = runs(&vector["runs"]);
        let encoding = positions::encoding(&runs).unwrap();
        assert_eq!(encoding, bytes(&vector["encoding"]), "{vector}");
        let hash = position_set_hash(&runs).unwrap();
        assert_eq!(hash[..16].to_vec(), bytes(&vector["digest"]));
    }
}

#[test]
fn runs_that_are_no_set_have_no_encoding() {
    for runs in [
        &[Span(3, 3)][..],
        &[Span(4, 3)],
        &[Span(0, 1), Span(1, 2)],
        &[Span(5, 6), Span(0, 1)],
        &[Span(0, (1 << 63) + 1)],
    ] {
        assert_eq!(positions::encoding(runs), None, "{runs:?}");
    }
}

fn runs(value: &Value) -> Vec<Span> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn logs_have_the_roots_of_the_page() {
    let log = vectors("log.json");
    let origin = text(&log["log"]["origin"]).parse().unwrap();
    let mut tree = GrowingTree::default();
    let mut roots = list(&log, "roots").iter();
    assert_eq!(
        tree.root().to_string(),
        text(&roots.next().unwrap()["root"])
    );
    for vector in list(&log, "rows") {
        let row = read_row(&origin, &bytes(&vector["bytes"])).unwrap();
        assert_eq!(row.id.to_string(), text(&vector["id"]));
        assert_eq!(leaf_hash(&row.id).to_string(), text(&vector["leaf"]));
        tree.push(&row.id);
        assert_eq!(
            tree.root().to_string(),
            text(&roots.next().unwrap()["root"])
        );
    }
}

#[test]
fn trees_have_the_roots_of_the_page() {
    let vectors = vectors("tree.json");
    for vector in list(&vectors, "roots") {
        let size = vector["size"].as_u64().unwrap();
        let mut tree = GrowingTree::default();
        for i in 0..size {
            let mut id = FactId([0; 32]);
            id.0[..8].copy_from_slice(&i.to_le_bytes());
            tree.push(&id);
        }
        assert_eq!(tree.size(), size);
        assert_eq!(tree.root().to_string(), text(&vector["root"]), "{size}");
    }
}

#[test]
fn a_withheld_run_stands_for_its_leaves() {
    let mut leaves = GrowingTree::default();
    let mut runs = GrowingTree::default();
    let ids: Vec<_> = (0..7).map(|i| FactId([i; 32])).collect();
    let root = |ids: &[FactId]| {
        let mut tree = GrowingTree::default();
        ids.iter().for_each(|id| tree.push(id));
        tree.root()
    };
    ids.iter().for_each(|id| leaves.push(id));
    runs.push_subtree(2, root(&ids[..4])).unwrap();
    runs.push(&ids[4]);
    assert_eq!(runs.push_subtree(1, root(&ids[5..])), None);
    runs.push(&ids[5]);
    runs.push_subtree(0, root(&ids[6..])).unwrap();
    assert_eq!(runs.root(), leaves.root());
    assert_eq!(runs.push_subtree(63, root(&ids)), None);
    assert_eq!(runs.push_subtree(64, root(&ids)), None);
}
