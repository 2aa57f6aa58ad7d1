//! The vectors of `vectors/messages.json`, which were written down from the specification without bincode.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::{Encoder, FieldMask, PositionSet, TaggedHash};
use causality_wire::{
    AcceptedFormats, BincodeSerializer, DeserializeError, FRAME_BYTES_MAX, FrameError, FrameReader,
    JsonSerializer, MessageSerializer, write_frame,
};
use data_encoding::HEXLOWER;
use serde_json::Value;

fn vectors(list: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors/messages.json")).unwrap();
    all[list].as_array().unwrap().clone()
}

fn bytes(hexadecimal: &Value) -> Vec<u8> {
    HEXLOWER
        .decode(hexadecimal.as_str().unwrap().as_bytes())
        .unwrap()
}

#[test]
fn messages_have_the_specified_bytes() {
    for vector in vectors("messages") {
        let name = &vector["name"];
        let json = vector["json"].to_string();
        let message = JsonSerializer.deserialize(json.as_bytes()).unwrap();
        let body = BincodeSerializer.serialize(&message).unwrap();
        assert_eq!(
            HEXLOWER.encode(&body),
            vector["bytes"].as_str().unwrap(),
            "{name}"
        );
        assert_eq!(
            BincodeSerializer.deserialize(&body),
            Ok(message.clone()),
            "{name}"
        );
        let written: Value =
            serde_json::from_slice(&JsonSerializer.serialize(&message).unwrap()).unwrap();
        assert_eq!(written, vector["json"], "{name}");
    }
}

#[test]
fn every_message_has_a_vector() {
    let kinds: std::collections::BTreeSet<_> = vectors("messages")
        .iter()
        .map(|vector| bytes(&vector["bytes"])[0])
        .collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    );
}

fn set(runs: &[(u64, u64)]) -> PositionSet {
    let mut set = PositionSet::new();
    for (start, end) in runs {
        set.insert(*start..*end).unwrap();
    }
    set
}

fn json(name: &str) -> Value {
    let mut all = vectors("messages").into_iter();
    let vector = all.find(|vector| vector["name"] == name).unwrap();
    vector["json"].clone()
}

#[test]
fn sets_have_the_encodings_and_digests_of_the_model() {
    let full = set(&[(2, 5), (6, 7), (10, 14)]);
    let declined = set(&[(0, 1)]);
    let mut partial = Encoder::new();
    partial.length(2);
    FieldMask::new(0b101).encode(&mut partial);
    partial.bytes(&set(&[(5, 6)]).encode());
    FieldMask::new(1 << 8).encode(&mut partial);
    partial.bytes(&set(&[(7, 9)]).encode());
    let partial = partial.finish();
    let digest = TaggedHash::new("causality/0/partial")
        .chain(&partial)
        .finish();

    let sets = &json("sets")["sets"];
    assert_eq!(bytes(&sets["full"]), full.encode());
    assert_eq!(bytes(&sets["partial"]), partial);
    assert_eq!(bytes(&sets["declined"]), declined.encode());
    let held = &json("a receipt for all that was announced")["receipt"]["held"]["sets"];
    assert_eq!(bytes(&held["full"]), full.digest());
    assert_eq!(bytes(&held["partial"]), digest[..16]);
    assert_eq!(bytes(&held["declined"]), declined.digest());

    let holes = &json("holes")["holes"];
    assert_eq!(bytes(&holes["withheld"]), set(&[(1, 2)]).encode());
    assert_eq!(bytes(&holes["deferred"]), set(&[(9, 10)]).encode());
    assert_eq!(bytes(&holes["partial"]), set(&[(5, 6), (7, 9)]).encode());
}

#[test]
fn other_bodies_are_refused_for_the_right_reason() {
    for vector in vectors("refused") {
        let name = &vector["name"];
        let error = BincodeSerializer.deserialize(&bytes(&vector["bytes"]));
        let class = match error.expect_err(&name.to_string()) {
            DeserializeError::Truncated { .. } => "truncated",
            DeserializeError::Trailing { .. } => "trailing",
            DeserializeError::Invalid { .. } => "invalid",
            DeserializeError::LengthExceeded { .. } => "length exceeded",
            DeserializeError::NotUtf8 => "not utf-8",
            other => panic!("{name}: {other}"),
        };
        assert_eq!(class, vector["class"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn a_refusal_tells_the_values() {
    let message = |name: &str| {
        let all = vectors("refused");
        let vector = all.iter().find(|vector| vector["name"] == name).unwrap();
        let error = BincodeSerializer.deserialize(&bytes(&vector["bytes"]));
        error.unwrap_err().to_string()
    };
    assert_eq!(
        message("257 refusals"),
        "invalid value: 257 elements, the limit is 256"
    );
    assert_eq!(
        message("25 hashes to the right"),
        "invalid value: 25 hashes, the limit is 24"
    );
    assert!(message("an unknown message").contains("`11`"));
    assert_eq!(
        message("a statement of 513 bytes"),
        "invalid value: 513 bytes, the limit is 512"
    );
    assert_eq!(
        message("a byte behind the message"),
        "1 bytes follow the message, which has 8"
    );
}

#[test]
fn a_peer_that_sends_json_is_refused() {
    for vector in vectors("messages") {
        let json = vector["json"].to_string();
        let refused = AcceptedFormats::Bincode.deserialize(json.as_bytes());
        assert!(matches!(
            refused,
            Err(DeserializeError::FormatRefused { .. })
        ));
        assert!(
            AcceptedFormats::BincodeAndJson
                .deserialize(json.as_bytes())
                .is_ok()
        );
    }
}

fn read(mut stream: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    let mut bodies = Vec::new();
    while let Some(body) = reader.read(&mut stream)? {
        bodies.push(body);
    }
    reader.finish().map(|()| bodies)
}

#[test]
fn frames_have_the_specified_bytes() {
    for vector in vectors("frames") {
        let bodies: Vec<_> = vector["bodies"]
            .as_array()
            .unwrap()
            .iter()
            .map(bytes)
            .collect();
        let mut stream = Vec::new();
        for body in &bodies {
            write_frame(body, &mut stream).unwrap();
        }
        assert_eq!(stream, bytes(&vector["stream"]));
        assert_eq!(read(&stream), Ok(bodies));
    }
}

#[test]
fn other_streams_are_refused_for_the_right_reason() {
    for vector in vectors("refused_frames") {
        let class = match read(&bytes(&vector["stream"])).unwrap_err() {
            FrameError::Empty => "empty",
            FrameError::TooLong { .. } => "too long",
            FrameError::Truncated { .. } => "truncated",
            other => panic!("{other}"),
        };
        assert_eq!(
            class,
            vector["class"].as_str().unwrap(),
            "{}",
            vector["name"]
        );
    }
}
