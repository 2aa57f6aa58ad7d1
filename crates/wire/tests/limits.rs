//! Each limit of a message at its value and one above, through the bytes a peer would send.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::{CompartmentId, DomainId, LaneId, LogId, TreeHash};
use causality_wire::{
    Announce, BLOCK_ROOTS_MAX, BincodeSerializer, BoundedBytes, BoundedString, BoundedVec,
    CHECKPOINT_BYTES_MAX, COMPARTMENT_NAME_BYTES_MAX, CONVERGENCE_BYTES_MAX, Convergence,
    DeserializeError, ENTRIES_BYTES_MAX, FactSync, Frontier, FrontierPart, Hashes, Held, Holes,
    JSON_BYTES_MAX, JsonSerializer, KEY_RECORD_BYTES_MAX, KEY_RECORDS_PER_ANNOUNCE_MAX,
    LOGS_PER_FRONTIER_MAX, LogName, LogNumber, LogState, MESSAGE_BYTES_MAX, MessageSerializer,
    Page, REFUSALS_MAX, RIGHT_HASHES_MAX, Receipt, Receives, Refusal, RefusalReason, Reveal,
    SET_BYTES_MAX, STATEMENT_BYTES_MAX, SerializeError, Sets, SyncMessage, TRIGGER_BYTES_MAX,
};

const LOG: LogNumber = LogNumber(2);

fn survives(message: SyncMessage) {
    for serializer in [
        &BincodeSerializer as &dyn MessageSerializer,
        &JsonSerializer,
    ] {
        let body = serializer.serialize(&message).unwrap();
        assert_eq!(serializer.deserialize(&body), Ok(message.clone()));
    }
}

fn bytes<const MAX: usize>(length: usize) -> BoundedBytes<MAX> {
    BoundedBytes::new(vec![7; length]).unwrap()
}

/// The body with one length or count, that stands at `at`, raised by 1, and `more` elements put in behind it.
fn raised(message: SyncMessage, at: usize, more: usize) -> Result<SyncMessage, DeserializeError> {
    let mut body = BincodeSerializer.serialize(&message).unwrap();
    let field = body[at..].first_chunk_mut().unwrap();
    *field = (u64::from_le_bytes(*field) + 1).to_le_bytes();
    body.splice(at + 8..at + 8, vec![0; more]);
    BincodeSerializer.deserialize(&body)
}

fn is_too_long_to_send(message: &SyncMessage) {
    let (actual, limit) = (MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX);
    for serializer in [
        &BincodeSerializer as &dyn MessageSerializer,
        &JsonSerializer,
    ] {
        assert_eq!(
            serializer.serialize(message),
            Err(SerializeError::TooLong { actual, limit })
        );
    }
}

#[track_caller]
fn is_above(refused: Result<SyncMessage, DeserializeError>, what: &str, limit: usize) {
    let reason = format!("{} {what}, the limit is {limit}", limit + 1);
    assert_eq!(refused, Err(DeserializeError::Invalid { reason }));
}

fn announce(key_records: usize, record: usize, checkpoint: usize, roots: usize) -> SyncMessage {
    SyncMessage::Announce(Announce {
        log: LOG,
        key_records: BoundedVec::new(vec![bytes(record); key_records]).unwrap(),
        checkpoint: bytes(checkpoint),
        first_block: 0,
        block_roots: Hashes::new(&vec![TreeHash::new([7; 32]); roots]).unwrap(),
    })
}

#[test]
fn key_records_are_limited_in_number_and_size() {
    survives(announce(KEY_RECORDS_PER_ANNOUNCE_MAX, 0, 0, 0));
    let refused = raised(announce(KEY_RECORDS_PER_ANNOUNCE_MAX, 0, 0, 0), 8, 8);
    is_above(refused, "elements", KEY_RECORDS_PER_ANNOUNCE_MAX);
    survives(announce(1, KEY_RECORD_BYTES_MAX, 0, 0));
    let refused = raised(announce(1, KEY_RECORD_BYTES_MAX, 0, 0), 16, 1);
    is_above(refused, "bytes", KEY_RECORD_BYTES_MAX);
}

#[test]
fn a_checkpoint_is_limited() {
    survives(announce(0, 0, CHECKPOINT_BYTES_MAX, 0));
    let refused = raised(announce(0, 0, CHECKPOINT_BYTES_MAX, 0), 16, 1);
    is_above(refused, "bytes", CHECKPOINT_BYTES_MAX);
}

#[test]
fn block_roots_are_limited() {
    survives(announce(0, 0, 0, BLOCK_ROOTS_MAX));
    let refused = raised(announce(0, 0, 0, BLOCK_ROOTS_MAX), 32, 1);
    is_above(refused, "hashes", BLOCK_ROOTS_MAX);
}

fn fact_sync(entries: usize, right: usize) -> SyncMessage {
    SyncMessage::FactSync(FactSync {
        log: LOG,
        from: 0,
        entries: bytes(entries),
        right: Hashes::new(&vec![TreeHash::new([7; 32]); right]).unwrap(),
    })
}

#[test]
fn a_chunk_is_limited_in_entries_and_hashes() {
    survives(fact_sync(ENTRIES_BYTES_MAX, RIGHT_HASHES_MAX));
    is_above(
        raised(fact_sync(ENTRIES_BYTES_MAX, 0), 16, 1),
        "bytes",
        ENTRIES_BYTES_MAX,
    );
    is_above(
        raised(fact_sync(0, RIGHT_HASHES_MAX), 24, 1),
        "hashes",
        RIGHT_HASHES_MAX,
    );
}

fn sets(full: usize, partial: usize, declined: usize) -> SyncMessage {
    SyncMessage::Sets(Sets {
        log: LOG,
        from: 0,
        until: 0,
        last: Page::Last,
        full: bytes(full),
        partial: bytes(partial),
        declined: bytes(declined),
    })
}

#[test]
fn sets_are_limited_each_and_together() {
    survives(sets(SET_BYTES_MAX, 0, 0));
    is_above(
        raised(sets(SET_BYTES_MAX, 0, 0), 28, 1),
        "bytes",
        SET_BYTES_MAX,
    );
    is_above(
        raised(sets(0, SET_BYTES_MAX, 0), 36, 1),
        "bytes",
        SET_BYTES_MAX,
    );
    is_above(
        raised(sets(0, 0, SET_BYTES_MAX), 44, 1),
        "bytes",
        SET_BYTES_MAX,
    );

    let rest = MESSAGE_BYTES_MAX - SET_BYTES_MAX - 52;
    survives(sets(SET_BYTES_MAX, rest, 0));
    is_too_long_to_send(&sets(SET_BYTES_MAX, rest, 1));
}

fn reveal(rows: usize) -> SyncMessage {
    SyncMessage::Reveal(Reveal {
        log: LOG,
        rows: bytes(rows),
    })
}

#[test]
fn the_rows_of_a_reveal_are_limited() {
    survives(reveal(ENTRIES_BYTES_MAX));
    is_above(
        raised(reveal(ENTRIES_BYTES_MAX), 8, 1),
        "bytes",
        ENTRIES_BYTES_MAX,
    );
}

fn holes(withheld: usize, deferred: usize, partial: usize, statement: usize) -> SyncMessage {
    SyncMessage::Holes(Holes {
        log: LOG,
        size: 0,
        withheld: bytes(withheld),
        deferred: bytes(deferred),
        partial: bytes(partial),
        statement: bytes(statement),
    })
}

#[test]
fn convergence_receipts_are_limited() {
    let message = SyncMessage::Convergence(Convergence {
        round: 1,
        receipt: bytes(CONVERGENCE_BYTES_MAX),
    });
    survives(message.clone());
    is_above(raised(message, 8, 1), "bytes", CONVERGENCE_BYTES_MAX);
}

#[test]
fn holes_are_limited_each_and_together() {
    for (at, message, limit) in [
        (16, holes(SET_BYTES_MAX, 0, 0, 0), SET_BYTES_MAX),
        (24, holes(0, SET_BYTES_MAX, 0, 0), SET_BYTES_MAX),
        (32, holes(0, 0, SET_BYTES_MAX, 0), SET_BYTES_MAX),
        (40, holes(0, 0, 0, STATEMENT_BYTES_MAX), STATEMENT_BYTES_MAX),
    ] {
        survives(message.clone());
        is_above(raised(message, at, 1), "bytes", limit);
    }

    let rest = MESSAGE_BYTES_MAX - SET_BYTES_MAX - STATEMENT_BYTES_MAX - 48;
    survives(holes(rest, 0, SET_BYTES_MAX, STATEMENT_BYTES_MAX));
    is_too_long_to_send(&holes(rest, 1, SET_BYTES_MAX, STATEMENT_BYTES_MAX));
}

#[test]
fn json_cannot_carry_more_than_a_message_has() {
    let (full, partial) = ("00".repeat(SET_BYTES_MAX), "00".repeat(1 << 18));
    let json = format!(
        r#"{{"sets":{{"log":2,"from":0,"until":0,"last":"last","full":"{full}","partial":"{partial}","declined":""}}}}"#
    );
    assert!(json.len() <= JSON_BYTES_MAX);
    let actual = 28 + 3 * 8 + SET_BYTES_MAX + (1 << 18);
    let limit = MESSAGE_BYTES_MAX;
    let refused = JsonSerializer.deserialize(json.as_bytes());
    assert_eq!(refused, Err(DeserializeError::TooLong { actual, limit }));
}

fn receipt(refusals: usize) -> SyncMessage {
    let refusal = Refusal {
        from: 0,
        to: 1,
        reason: RefusalReason::RetryLater,
    };
    SyncMessage::Receipt(Receipt {
        log: LOG,
        size: 1,
        reveals: 0,
        held: Held::Incomplete,
        refused: BoundedVec::new(vec![refusal; refusals]).unwrap(),
        credit: 0,
    })
}

#[test]
fn refusals_are_limited() {
    survives(receipt(REFUSALS_MAX));
    is_above(
        raised(receipt(REFUSALS_MAX), 28, 20),
        "elements",
        REFUSALS_MAX,
    );
}

fn frontier(logs: usize, compartment: &str) -> SyncMessage {
    let log = LogId {
        origin: DomainId::new([0xff; 32]),
        compartment: CompartmentId::new([0xff; 16]),
        lane: LaneId::new([0xff; 16]),
    };
    let state = LogState {
        log: LogName::New {
            number: LogNumber(u32::MAX),
            log,
            compartment: BoundedString::new(compartment).unwrap(),
        },
        size: u64::MAX,
        tag: [0xff; 8],
        held: Held::Sets {
            full: [0xff; 16],
            partial: [0xff; 16],
            declined: [0xff; 16],
        },
        keys: u32::MAX,
        offered: true,
        wanted: false,
    };
    SyncMessage::Frontier(Frontier {
        round: 0,
        part: FrontierPart::Answer,
        trigger: BoundedString::default(),
        receives: Receives::Everything,
        last: Page::Last,
        logs: BoundedVec::new(vec![state; logs]).unwrap(),
    })
}

#[test]
fn logs_of_a_frontier_are_limited() {
    survives(frontier(LOGS_PER_FRONTIER_MAX, ""));
    let refused = raised(frontier(LOGS_PER_FRONTIER_MAX, ""), 28, 0);
    is_above(refused, "elements", LOGS_PER_FRONTIER_MAX);
}

#[test]
fn the_largest_frontier_fits_even_where_json_needs_most() {
    let name = "\u{1}".repeat(COMPARTMENT_NAME_BYTES_MAX);
    survives(frontier(LOGS_PER_FRONTIER_MAX, &name));
}

#[test]
fn names_of_compartments_are_limited() {
    let name = "a".repeat(COMPARTMENT_NAME_BYTES_MAX);
    survives(frontier(1, &name));
    let refused = raised(frontier(1, &name), 36 + 8 + 64, 1);
    is_above(refused, "bytes", COMPARTMENT_NAME_BYTES_MAX);
}

#[test]
fn ids_of_triggers_are_limited() {
    let SyncMessage::Frontier(frontier) = frontier(0, "") else {
        unreachable!("that is what it makes");
    };
    let trigger = BoundedString::new("a".repeat(TRIGGER_BYTES_MAX)).unwrap();
    let longest = SyncMessage::Frontier(Frontier {
        trigger,
        ..frontier
    });
    survives(longest.clone());
    is_above(raised(longest, 12, 1), "bytes", TRIGGER_BYTES_MAX);
}
