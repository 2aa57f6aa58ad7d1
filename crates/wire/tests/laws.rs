//! The law of the codec: what decodes encodes to the same bytes, and what encodes decodes to the same message. Over
//! random messages, random bytes, and every truncation and single-byte change of the vectors.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::{CompartmentId, DomainId, LaneId, LogId, TreeHash};
use causality_wire::{
    Announce, BincodeSerializer, BoundedBytes, BoundedString, BoundedVec, CaughtUp, Convergence,
    DeserializeError, FactSync, Frontier, FrontierPart, Goodbye, GoodbyeReason, Hashes, Held,
    Holes, JsonSerializer, LogName, LogNumber, LogState, MessageSerializer, Page, Receipt,
    Receives, Refusal, RefusalReason, Reveal, Sets, SetsRequest, SyncMessage,
};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

fn vector_bodies() -> Vec<Vec<u8>> {
    let all: Value = serde_json::from_str(include_str!("../vectors/messages.json")).unwrap();
    let vectors = all["messages"].as_array().unwrap().iter();
    let hexadecimal = vectors.map(|vector| vector["bytes"].as_str().unwrap());
    hexadecimal
        .map(|digits| HEXLOWER.decode(digits.as_bytes()).unwrap())
        .collect()
}

/// Whether the body is a message; fails when it is one that has another encoding.
fn is_canonical(body: &[u8]) -> bool {
    match BincodeSerializer.deserialize(body) {
        Ok(message) => {
            assert_eq!(BincodeSerializer.serialize(&message).unwrap(), body);
            true
        }
        Err(_) => false,
    }
}

#[test]
fn every_truncation_is_refused() {
    for body in vector_bodies() {
        for length in 0..body.len() {
            let error = BincodeSerializer.deserialize(&body[..length]).unwrap_err();
            assert!(
                matches!(error, DeserializeError::Truncated { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_canonical_message() {
    for mut body in vector_bodies() {
        let original = BincodeSerializer.deserialize(&body).unwrap();
        for at in 0..body.len() {
            let byte = body[at];
            for other in (0..=u8::MAX).filter(|other| *other != byte) {
                body[at] = other;
                if is_canonical(&body) {
                    assert_ne!(BincodeSerializer.deserialize(&body).unwrap(), original);
                }
            }
            body[at] = byte;
        }
    }
}

fn bytes<const MAX: usize>() -> impl Strategy<Value = BoundedBytes<MAX>> {
    let lengths = 0..=MAX.min(100);
    prop::collection::vec(any::<u8>(), lengths).prop_map(|bytes| BoundedBytes::new(bytes).unwrap())
}

fn list<T: std::fmt::Debug, const MAX: usize>(
    element: impl Strategy<Value = T>,
) -> impl Strategy<Value = BoundedVec<T, MAX>> {
    prop::collection::vec(element, 0..5).prop_map(|list| BoundedVec::new(list).unwrap())
}

fn hashes<const MAX: usize>() -> impl Strategy<Value = Hashes<MAX>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(TreeHash::new), 0..=24)
        .prop_map(|hashes| Hashes::new(&hashes).unwrap())
}

fn number() -> impl Strategy<Value = LogNumber> {
    any::<u32>().prop_map(LogNumber)
}

fn text() -> impl Strategy<Value = BoundedString<64>> {
    "\\PC{0,16}|[\u{0}-\u{7f}]{0,64}".prop_map(|text: String| BoundedString::new(text).unwrap())
}

fn name() -> impl Strategy<Value = LogName> {
    let log = (any::<[u8; 32]>(), any::<[u8; 16]>(), any::<[u8; 16]>());
    let log = log.prop_map(|(origin, compartment, lane)| LogId {
        origin: DomainId::new(origin),
        compartment: CompartmentId::new(compartment),
        lane: LaneId::new(lane),
    });
    let new = (number(), log, text()).prop_map(|(number, log, compartment)| LogName::New {
        number,
        log,
        compartment,
    });
    prop_oneof![number().prop_map(LogName::Known), new]
}

fn held() -> impl Strategy<Value = Held> {
    let sets = any::<[[u8; 16]; 3]>().prop_map(|[full, partial, declined]| Held::Sets {
        full,
        partial,
        declined,
    });
    prop_oneof![Just(Held::Complete), sets, Just(Held::Incomplete)]
}

fn state() -> impl Strategy<Value = LogState> {
    let parts = (
        name(),
        any::<u64>(),
        any::<[u8; 8]>(),
        held(),
        any::<u32>(),
        any::<[bool; 2]>(),
    );
    parts.prop_map(|(log, size, tag, held, keys, [offered, wanted])| LogState {
        log,
        size,
        tag,
        held,
        keys,
        offered,
        wanted,
    })
}

fn frontier() -> impl Strategy<Value = Frontier> {
    let part = select(vec![
        FrontierPart::Open,
        FrontierPart::Reply,
        FrontierPart::Answer,
    ]);
    let receives = select(vec![Receives::Everything, Receives::Nothing]);
    let last = select(vec![Page::More, Page::Last]);
    (any::<u32>(), part, text(), receives, last, list(state())).prop_map(
        |(round, part, trigger, receives, last, logs)| Frontier {
            round,
            part,
            trigger,
            receives,
            last,
            logs,
        },
    )
}

fn sets() -> impl Strategy<Value = Sets> {
    (
        number(),
        any::<[u64; 2]>(),
        select(vec![Page::More, Page::Last]),
        bytes(),
        bytes(),
        bytes(),
    )
        .prop_map(|(log, [from, until], last, full, partial, declined)| Sets {
            log,
            from,
            until,
            last,
            full,
            partial,
            declined,
        })
}

fn announce() -> impl Strategy<Value = Announce> {
    (number(), list(bytes()), bytes(), any::<u64>(), hashes()).prop_map(
        |(log, key_records, checkpoint, first_block, block_roots)| Announce {
            log,
            key_records,
            checkpoint,
            first_block,
            block_roots,
        },
    )
}

fn fact_sync() -> impl Strategy<Value = FactSync> {
    (number(), any::<u64>(), bytes(), hashes()).prop_map(|(log, from, entries, right)| FactSync {
        log,
        from,
        entries,
        right,
    })
}

fn reveal() -> impl Strategy<Value = Reveal> {
    (number(), bytes()).prop_map(|(log, rows)| Reveal { log, rows })
}

fn holes() -> impl Strategy<Value = Holes> {
    let sets = (bytes(), bytes(), bytes());
    (number(), any::<u64>(), sets, bytes()).prop_map(
        |(log, size, (withheld, deferred, partial), statement)| Holes {
            log,
            size,
            withheld,
            deferred,
            partial,
            statement,
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let reason = select(vec![
        RefusalReason::Malformed,
        RefusalReason::Key,
        RefusalReason::Void,
        RefusalReason::Policy,
        RefusalReason::Limit,
        RefusalReason::Unsupported,
        RefusalReason::RetryLater,
    ]);
    let refusal = (any::<u64>(), any::<u64>(), reason).prop_map(|(from, to, reason)| Refusal {
        from,
        to,
        reason,
    });
    let counts = any::<[u64; 3]>();
    (number(), counts, held(), list(refusal)).prop_map(
        |(log, [size, reveals, credit], held, refused)| Receipt {
            log,
            size,
            reveals,
            held,
            refused,
            credit,
        },
    )
}

fn goodbye() -> impl Strategy<Value = Goodbye> {
    select(vec![
        GoodbyeReason::Done,
        GoodbyeReason::Shutdown,
        GoodbyeReason::UnknownPeer,
        GoodbyeReason::Violation,
        GoodbyeReason::Overloaded,
        GoodbyeReason::Failed,
    ])
    .prop_map(|reason| Goodbye { reason })
}

fn caught_up() -> impl Strategy<Value = CaughtUp> {
    any::<(u32, u64, u64)>().prop_map(|(round, facts, bytes)| CaughtUp {
        round,
        facts,
        bytes,
    })
}

fn message() -> impl Strategy<Value = SyncMessage> {
    prop_oneof![
        frontier().prop_map(SyncMessage::Frontier),
        (number(), any::<u64>())
            .prop_map(|(log, from)| SyncMessage::SetsRequest(SetsRequest { log, from })),
        sets().prop_map(SyncMessage::Sets),
        announce().prop_map(SyncMessage::Announce),
        fact_sync().prop_map(SyncMessage::FactSync),
        receipt().prop_map(SyncMessage::Receipt),
        caught_up().prop_map(SyncMessage::CaughtUp),
        goodbye().prop_map(SyncMessage::Goodbye),
        reveal().prop_map(SyncMessage::Reveal),
        holes().prop_map(SyncMessage::Holes),
        (any::<u32>(), bytes()).prop_map(|(round, receipt)| {
            SyncMessage::Convergence(Convergence { round, receipt })
        }),
    ]
}

proptest! {
    #[test]
    fn a_message_survives_both_formats(message in message()) {
        for serializer in [&BincodeSerializer as &dyn MessageSerializer, &JsonSerializer] {
            let body = serializer.serialize(&message).unwrap();
            prop_assert_eq!(serializer.deserialize(&body), Ok(message.clone()));
        }
    }

    #[test]
    fn random_bytes_are_refused_or_canonical(
        kind in 0_u8..13,
        rest in prop::collection::vec(prop_oneof![Just(0), 0..9_u8, any::<u8>()], 0..200),
    ) {
        is_canonical(&rest);
        is_canonical(&[&[kind, 0, 0, 0], &rest[..]].concat());
    }

    #[test]
    fn a_message_with_bytes_changed_is_refused_or_canonical(
        message in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = BincodeSerializer.serialize(&message).unwrap();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        is_canonical(&body);
    }

    #[test]
    fn random_text_is_refused_or_a_message_in_json(text in "[{}\\[\\]\",:a-z0-9_ ]{0,60}") {
        if let Ok(message) = JsonSerializer.deserialize(text.as_bytes()) {
            prop_assert!(BincodeSerializer.serialize(&message).is_ok());
        }
    }
}
