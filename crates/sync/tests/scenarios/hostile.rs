//! What a hostile peer may send: each lie meets its name, nothing of it is stored, and the victim goes on.

use causality_envelope::DomainKeys;
use causality_fact::{
    Checkpoint, ChunkError, CompactRange, Encoder, Entry, Hlc, KeyError, LOG_SIZE_MAX, LaneId,
    TreeHash, TreeHead, leaf_hash, root_of,
};
use causality_sync::{LogError, StreamNumber};
use causality_wire::{
    BoundedBytes, BoundedString, BoundedVec, CaughtUp, FrontierPart, Goodbye, GoodbyeReason,
    Hashes, Held, LogName, LogNumber, Page, Receipt, Receives, Sets, SetsRequest, SyncMessage,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeSet;

use crate::forge::{Forge, LIAR, VICTIM, frontier, leaves};
use crate::world::{World, draft};

fn caught_up(round: u32) -> SyncMessage {
    SyncMessage::CaughtUp(CaughtUp {
        round,
        facts: 0,
        bytes: 0,
    })
}

fn receipt(log: LogNumber, size: u64) -> SyncMessage {
    SyncMessage::Receipt(Receipt {
        log,
        size,
        reveals: 0,
        held: Held::Complete,
        refused: BoundedVec::default(),
        credit: 0,
    })
}

// Streams and rounds.

#[test]
fn messages_on_the_stream_of_others_end_the_session() {
    let goodbye = || {
        SyncMessage::Goodbye(Goodbye {
            reason: GoodbyeReason::Done,
        })
    };
    let mut forge = Forge::offered();
    forge.say_on(StreamNumber(1), goodbye());
    forge.ends("a message on the stream of others");
    for stream in [StreamNumber::CONTROL, StreamNumber(2), StreamNumber(9)] {
        let mut forge = Forge::offered();
        let announce = SyncMessage::Announce(forge.announce(&forge.rows(1..3)));
        forge.say_on(stream, announce);
        forge.ends("a message on the stream of others");
    }
}

#[test]
fn sets_travel_only_where_there_is_a_reason() {
    let mut forge = Forge::offered();
    let log = forge.number;
    // Once for each time that the peer heard of the log.
    forge.say(SyncMessage::SetsRequest(SetsRequest { log, from: 0 }));
    forge.say(SyncMessage::SetsRequest(SetsRequest { log, from: 0 }));
    forge.ends("a question about sets without reason");
    let mut forge = Forge::offered();
    forge.say(SyncMessage::Sets(Sets {
        log,
        from: 0,
        until: 0,
        last: Page::Last,
        full: BoundedBytes::default(),
        partial: BoundedBytes::default(),
        declined: BoundedBytes::default(),
    }));
    forge.ends("sets that nobody asked for");
    let mut forge = Forge::new();
    let mut state = forge.state(9);
    state.held = Held::Incomplete;
    forge.say(forge.open(0, vec![state]));
    forge.ends("a state without its digests");
}

#[test]
fn a_wish_that_changes_ends_the_session() {
    let mut forge = Forge::offered();
    let SyncMessage::Frontier(mut open) = forge.open(2, Vec::new()) else {
        unreachable!()
    };
    open.receives = Receives::Nothing;
    forge.say(SyncMessage::Frontier(open));
    forge.ends("another wish within a session");
}

#[test]
fn a_trigger_is_that_of_a_round_that_begins() {
    for part in [FrontierPart::Answer, FrontierPart::Reply] {
        let mut forge = Forge::offered();
        let SyncMessage::Frontier(mut late) = frontier(0, part, Page::Last, Vec::new()) else {
            unreachable!()
        };
        late.trigger = BoundedString::new("strong").unwrap();
        forge.say(SyncMessage::Frontier(late));
        forge.ends("a trigger of a round that is open");
    }
}

#[test]
fn a_log_of_the_largest_size_may_be_claimed_and_one_above_not() {
    let mut forge = Forge::new();
    forge.say(forge.open(0, vec![forge.state(LOG_SIZE_MAX)]));
    assert!(forge.world.is_open(forge.session));
    let mut forge = Forge::new();
    forge.say(forge.open(0, vec![forge.state(LOG_SIZE_MAX + 1)]));
    forge.ends("a log above the largest size");
}

#[test]
fn a_round_has_a_number_of_its_side_and_is_alone() {
    let mut forge = Forge::new();
    forge.say(forge.open(1, Vec::new()));
    forge.ends("a round number of the other side");
    // A page of a second round before the last of the first.
    let mut forge = Forge::new();
    forge.say(frontier(0, FrontierPart::Open, Page::More, Vec::new()));
    forge.say(frontier(2, FrontierPart::Open, Page::More, Vec::new()));
    forge.ends("two rounds at once");
    // A second round while the victim awaits an answer in the first.
    let mut forge = Forge::new();
    forge.world.append(VICTIM, vec![draft(1)]);
    forge.say(forge.open(0, Vec::new()));
    forge.say(forge.open(2, Vec::new()));
    let held = forge.world.count(VICTIM);
    assert_eq!(held, 1);
    let error = forge
        .world
        .end_of(VICTIM, forge.session)
        .unwrap()
        .to_string();
    assert_eq!(error, "the peer broke the protocol: two rounds at once");
}

#[test]
fn replies_answers_and_ends_of_no_round_end_the_session() {
    let mut forge = Forge::offered();
    forge.say(frontier(1, FrontierPart::Reply, Page::Last, Vec::new()));
    forge.ends("a reply to no round");
    let mut forge = Forge::offered();
    forge.say(frontier(0, FrontierPart::Answer, Page::Last, Vec::new()));
    forge.ends("an answer in no round");
    for round in [1, 2] {
        let mut forge = Forge::offered();
        forge.say(caught_up(round));
        forge.ends("caught up in no round");
    }
    // The victim's own round: it has not been replied to.
    let mut forge = Forge::offered();
    let (session, victim) = (forge.session, VICTIM);
    forge.world.start_round(victim, session);
    forge.say(caught_up(1));
    forge.ends("caught up in no round");
}

#[test]
fn a_goodbye_ends_the_session_without_a_word() {
    let mut forge = Forge::offered();
    forge.say(SyncMessage::Goodbye(Goodbye {
        reason: GoodbyeReason::Overloaded,
    }));
    let error = forge
        .world
        .end_of(VICTIM, forge.session)
        .unwrap()
        .to_string();
    assert_eq!(error, "the peer ended the session: Overloaded");
}

// Names.

#[test]
fn log_numbers_are_given_once_and_by_their_side() {
    let mut forge = Forge::new();
    forge.number = LogNumber(1);
    forge.say(forge.open(0, vec![forge.state(9)]));
    forge.ends("a log number that is taken");

    let mut forge = Forge::offered();
    forge.log.lane = LaneId::new([2; 16]);
    forge.say(forge.open(2, vec![forge.state(9)]));
    forge.ends("a log number that is taken");

    let mut forge = Forge::new();
    let mut state = forge.state(9);
    state.log = LogName::Known(LogNumber(4));
    forge.say(forge.open(0, vec![state]));
    forge.ends("a log number that was never given");
}

#[test]
fn to_claim_more_or_other_of_the_victims_lanes_ends_the_session() {
    // Both lanes in which the victim has written: more than it has, or as much, but another log; at once, or in two sessions.
    for (size, calls_again) in [(1_000, false), (1, false), (1_000, true), (1, true)] {
        let mut forge = Forge::new();
        forge.world.append(VICTIM, vec![draft(1)]);
        let first = forge.world.own_log(VICTIM);
        let claim = |number: u32, log| {
            let mut state = Forge::new().state(size);
            state.log = LogName::New {
                number: LogNumber(number),
                log,
                compartment: BoundedString::new("public").unwrap(),
            };
            (state.offered, state.wanted) = (false, true);
            frontier(0, FrontierPart::Open, Page::More, vec![state])
        };
        forge.say(claim(0, first));
        assert!(forge.world.is_open(forge.session));
        forge.world.append(VICTIM, vec![draft(2)]);
        let lanes = forge.world.engine(VICTIM).logs().map(|(log, _)| *log);
        let second = lanes.into_iter().find(|log| *log != first).unwrap();
        if calls_again {
            forge.world.hang_up(forge.session);
            forge.session = forge.world.connect_liar(LIAR, VICTIM);
        }
        forge.say(claim(2, second));
        let error = forge.world.end_of(VICTIM, forge.session);
        let error = error.unwrap().to_string();
        assert!(
            error.ends_with("a second lane that is not the own"),
            "{error}"
        );
        // The second lane goes on.
        forge.world.append(VICTIM, vec![draft(3)]);
        assert_eq!(forge.world.engine(VICTIM).log(&second).unwrap().durable, 2);
    }
}

// Receipts.

#[test]
fn receipts_for_what_was_not_sent_end_the_session() {
    let mut forge = Forge::offered();
    forge.say(receipt(forge.number, 0));
    forge.say(receipt(forge.number, 10));
    forge.ends("a receipt for what was not sent");

    let mut forge = Forge::new();
    forge.world.grant(VICTIM, LIAR, &[], &["public"]);
    forge.say(forge.open(0, vec![forge.state(9)]));
    forge.say(receipt(forge.number, 0));
    forge.ends("a receipt for a log that was not sent");

    let mut forge = Forge::offered();
    forge.say(receipt(LogNumber(2), 0));
    forge.ends("a log number that was never given");
}

#[test]
fn credit_that_is_given_in_excess_is_worth_nothing() {
    let mut world = World::new(2, 7);
    world.append_many(0, 100_000);
    world.tamper = Some((
        1,
        Box::new(|message| {
            if let SyncMessage::Receipt(receipt) = message {
                receipt.credit = u64::MAX;
            }
        }),
    ));
    let session = world.connect(1, 0);
    world.start_round(1, session);
    while world.is_open(session) {
        let waiting = world.under_way(session, 1);
        let bytes = |m: &&mut SyncMessage| match m {
            SyncMessage::FactSync(chunk) => chunk.entries.len() as u64,
            _ => 0,
        };
        let under_way: u64 = waiting.iter().map(bytes).sum();
        assert!(under_way <= causality_sync::CREDIT_BYTES + causality_sync::OVERDRAFT_BYTES_MAX);
        if !world.step() {
            break;
        }
    }
    world.assert_equal();
}

// Announcements.

#[test]
fn forged_signatures_end_the_session() {
    let rows = Forge::new().rows(1..4);
    let mut forge = Forge::offered();
    let mut announce = forge.announce(&rows);
    let mut bytes = announce.checkpoint.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    announce.checkpoint = BoundedBytes::new(bytes).unwrap();
    forge.say(SyncMessage::Announce(announce));
    forge.ends("a signature does not verify");

    // By another key of the domain than the one that is named.
    let mut random = ChaCha20Rng::seed_from_u64(5);
    let mut forge = Forge::offered();
    let next = forge
        .keys
        .rotate(&mut random, 0..i64::MAX, &BTreeSet::new());
    let (next, _) = next.unwrap();
    let announce = forge.announce_by(&next, &rows, Hlc::from_millis(9));
    let mut checkpoint = Checkpoint::from_bytes(&announce.checkpoint).unwrap();
    (checkpoint.epoch, checkpoint.key) = (0, forge.keys.key_log().head().signing[0].id());
    let announce =
        forge.announce_with(&next, &checkpoint.to_bytes(), announce.block_roots.to_vec());
    forge.say(SyncMessage::Announce(announce));
    forge.ends("a signature does not verify");

    // A key record that its owner did not sign.
    let mut forge = Forge::offered();
    let mut announce = forge.announce_by(&next, &rows, Hlc::from_millis(9));
    let mut records = next.key_log().records_from(0);
    *records[1].last_mut().unwrap() ^= 1;
    let records = records.into_iter().map(|r| BoundedBytes::new(r).unwrap());
    announce.key_records = BoundedVec::new(records.collect()).unwrap();
    forge.say(SyncMessage::Announce(announce));
    forge.ends("a signature does not verify");
}

#[test]
fn a_checkpoint_that_is_none_ends_the_session() {
    let mut forge = Forge::offered();
    let mut announce = forge.announce(&forge.rows(1..4));
    announce.checkpoint = BoundedBytes::new([1, 2, 3]).unwrap();
    forge.say(SyncMessage::Announce(announce));
    let error = forge
        .world
        .end_of(VICTIM, forge.session)
        .unwrap()
        .to_string();
    assert!(error.contains("unknown checkpoint version"), "{error}");
}

#[test]
fn keys_of_an_origin_that_is_not_known_have_to_be_its_own() {
    let other = DomainKeys::generate(&mut ChaCha20Rng::seed_from_u64(99), 0..i64::MAX).unwrap();
    let offered = || {
        let mut forge = Forge::new();
        // A log of an origin that the victim has never met.
        forge.log.origin = other.domain();
        forge.say(forge.open(0, vec![forge.state(9)]));
        forge
    };
    let bytes = |forge: &Forge| {
        let head = TreeHead {
            size: 1,
            root: TreeHash::new([1; 32]),
        };
        let checkpoint = other.sign_checkpoint(forge.log, head, Hlc::from_millis(1));
        checkpoint.unwrap().to_bytes()
    };
    let root = vec![TreeHash::new([1; 32])];

    let mut forge = offered();
    let mut announce = forge.announce_with(&other, &bytes(&forge), root.clone());
    announce.key_records = BoundedVec::default();
    forge.say(SyncMessage::Announce(announce));
    forge.ends("a key log starts with epoch 0 and no record before it");

    let mut forge = offered();
    let announce = forge.announce_with(&forge.keys, &bytes(&forge), root.clone());
    forge.say(SyncMessage::Announce(announce));
    let (expected, found) = (other.domain(), forge.keys.domain());
    forge.ends(&format!(
        "signed for domain {found}, these are the keys of {expected}"
    ));

    let mut forge = offered();
    let mut announce = forge.announce_with(&other, &bytes(&forge), root);
    announce.key_records = BoundedVec::new(vec![BoundedBytes::new([1, 2, 3]).unwrap()]).unwrap();
    forge.say(SyncMessage::Announce(announce));
    let error = forge
        .world
        .end_of(VICTIM, forge.session)
        .unwrap()
        .to_string();
    assert!(error.contains("malformed key record"), "{error}");
    // Nothing of it is remembered.
    let engine = forge.world.engine(VICTIM);
    assert!(engine.key_log(other.domain()).is_none());
    assert!(engine.logs().next().is_none());
}

#[test]
fn keys_are_remembered_with_the_first_facts_and_not_before() {
    let other = DomainKeys::generate(&mut ChaCha20Rng::seed_from_u64(99), 0..i64::MAX).unwrap();
    let mut forge = Forge::new();
    forge.log.origin = other.domain();
    forge.say(forge.open(0, vec![forge.state(9)]));
    let rows = forge.rows(1..4);
    let announce = forge.announce_by(&other, &rows, Hlc::from_millis(9));
    forge.say(SyncMessage::Announce(announce));
    assert!(forge.world.engine(VICTIM).key_log(other.domain()).is_none());
    let chunk = forge.chunk(0, &rows, &rows);
    forge.say(SyncMessage::FactSync(chunk));
    assert_eq!(forge.held(), 3);
    assert!(forge.world.engine(VICTIM).key_log(other.domain()).is_some());
}

#[test]
fn a_checkpoint_of_another_log_ends_the_session() {
    let mut forge = Forge::offered();
    let rows = forge.rows(1..4);
    let lane = forge.log.lane;
    forge.log.lane = LaneId::new([7; 16]);
    let announce = forge.announce(&rows);
    forge.log.lane = lane;
    forge.say(SyncMessage::Announce(announce));
    forge.ends("a checkpoint of another log");
}

#[test]
fn roots_in_the_wrong_place_or_number_end_the_session() {
    let mut forge = Forge::offered();
    let mut announce = forge.announce(&forge.rows(1..4));
    announce.first_block = 1;
    forge.say(SyncMessage::Announce(announce));
    forge.ends("roots that start behind what is held");

    for count in [0, 2] {
        let mut forge = Forge::offered();
        let mut announce = forge.announce(&forge.rows(1..4));
        announce.block_roots = Hashes::new(&vec![TreeHash::new([1; 32]); count]).unwrap();
        forge.say(SyncMessage::Announce(announce));
        forge.ends(&format!("expected 1 hashes, found {count}"));
    }
}

#[test]
fn a_log_of_2_to_the_48_positions_cannot_be_announced() {
    let mut forge = Forge::offered();
    let root = TreeHash::new([1; 32]);
    let head = TreeHead {
        size: LOG_SIZE_MAX,
        root,
    };
    let checkpoint = forge
        .keys
        .sign_checkpoint(forge.log, head, Hlc::from_millis(1));
    let bytes = checkpoint.unwrap().to_bytes();
    let announce = forge.announce_with(&forge.keys, &bytes, vec![root; 30_000]);
    forge.say(SyncMessage::Announce(announce));
    forge.ends("expected 68719476736 hashes, found 30000");
}

#[test]
fn a_wrong_root_is_refused() {
    let mut forge = Forge::offered();
    let mut announce = forge.announce(&forge.rows(1..4));
    announce.block_roots = Hashes::new(&[TreeHash::new([1; 32])]).unwrap();
    forge.say(SyncMessage::Announce(announce));
    forge.refuses(&LogError::Other(ChunkError::WrongRoot { size: 3 }));
}

#[test]
fn a_log_that_is_not_the_one_held_is_refused() {
    let mine = Forge::new().rows(1..4);
    let mut forge = Forge::followed(&mine);
    let other = forge.rows([1, 2, 9]);
    let announce = forge.announce(&other);
    forge.say(SyncMessage::Announce(announce));
    forge.refuses(&LogError::Other(ChunkError::WrongRoot { size: 3 }));

    let mut forge = Forge::followed(&mine);
    let other = forge.rows([1, 2, 9, 10]);
    forge.say(SyncMessage::Announce(forge.announce(&other)));
    forge.say(SyncMessage::FactSync(forge.chunk(3, &other[3..], &other)));
    forge.refuses(&LogError::Other(ChunkError::WrongBlock { from: 3 }));
}

#[test]
fn a_key_log_that_forks_is_refused() {
    let mut random = ChaCha20Rng::seed_from_u64(5);
    let mut forge = Forge::new();
    let (first, _) = forge
        .keys
        .rotate(&mut random, 0..i64::MAX, &BTreeSet::new())
        .unwrap();
    let (second, _) = forge
        .keys
        .rotate(&mut random, 0..i64::MAX - 1, &BTreeSet::new())
        .unwrap();
    forge.say(forge.open(0, vec![forge.state(9)]));
    let rows = forge.rows(1..8);
    let announce = forge.announce_by(&first, &rows[..3], Hlc::from_millis(100));
    forge.say(SyncMessage::Announce(announce));
    forge.say(SyncMessage::FactSync(forge.chunk(
        0,
        &rows[..3],
        &rows[..3],
    )));
    assert_eq!(forge.held(), 3);
    let announce = forge.announce_by(&second, &rows, Hlc::from_millis(100));
    forge.say(SyncMessage::Announce(announce));
    forge.refuses(&LogError::Keys(KeyError::BrokenChain { epoch: 1 }));
}

#[test]
fn a_checkpoint_by_a_key_that_no_record_has_is_refused() {
    let mut random = ChaCha20Rng::seed_from_u64(5);
    let mut forge = Forge::offered();
    let (next, _) = forge
        .keys
        .rotate(&mut random, 0..i64::MAX, &BTreeSet::new())
        .unwrap();
    let rows = forge.rows(1..4);
    let mut announce = forge.announce_by(&next, &rows, Hlc::from_millis(100));
    announce.key_records = forge.announce(&rows).key_records;
    forge.say(SyncMessage::Announce(announce));
    let key = next.key_log().head().signing[0].id();
    forge.refuses(&LogError::Keys(KeyError::UnknownKey { key, epoch: 1 }));
}

#[test]
fn a_key_epoch_that_goes_backwards_is_refused() {
    let mut random = ChaCha20Rng::seed_from_u64(5);
    let mut forge = Forge::offered();
    let (next, _) = forge
        .keys
        .rotate(&mut random, 0..i64::MAX, &BTreeSet::new())
        .unwrap();
    let rows = forge.rows(1..8);
    let announce = forge.announce_by(&next, &rows[..3], Hlc::from_millis(100));
    forge.say(SyncMessage::Announce(announce));
    forge.say(SyncMessage::FactSync(forge.chunk(
        0,
        &rows[..3],
        &rows[..3],
    )));
    // Somebody has the old key, and goes on with the log.
    let announce = forge.announce_by(&forge.keys, &rows, Hlc::from_millis(200));
    forge.say(SyncMessage::Announce(announce));
    forge.refuses(&LogError::EpochRunsBack { held: 1, found: 0 });
}

#[test]
fn a_revoked_key_adds_nothing() {
    let mut random = ChaCha20Rng::seed_from_u64(5);
    let mut forge = Forge::offered();
    let stolen = forge.keys.key_log().head().signing[0].id();
    let revoked = BTreeSet::from([stolen]);
    let (next, _) = forge
        .keys
        .rotate(&mut random, 0..i64::MAX, &revoked)
        .unwrap();
    let rows = forge.rows(1..4);
    let mut announce = forge.announce(&rows);
    let records = next.key_log().records_from(0).into_iter();
    let records = records.map(|record| BoundedBytes::new(record).unwrap());
    announce.key_records = BoundedVec::new(records.collect()).unwrap();
    forge.say(SyncMessage::Announce(announce));
    forge.refuses(&LogError::Revoked(stolen));
}

#[test]
fn nothing_comes_behind_a_checkpoint_that_closes_the_lane() {
    let mut forge = Forge::offered();
    let rows = forge.rows(1..8);
    let head = TreeHead {
        size: 3,
        root: root_of(&leaves(&rows[..3])),
    };
    let closing = forge
        .keys
        .sign_closing_checkpoint(forge.log, head, Hlc::from_millis(100));
    let bytes = closing.unwrap().to_bytes();
    let announce = forge.announce_with(&forge.keys, &bytes, vec![head.root]);
    forge.say(SyncMessage::Announce(announce));
    forge.say(SyncMessage::FactSync(forge.chunk(
        0,
        &rows[..3],
        &rows[..3],
    )));
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    forge.refuses(&LogError::Closed { size: 3 });
}

#[test]
fn whoever_sends_more_of_a_log_that_was_seen_to_be_forked_hears_of_it() {
    // The log of the peer has grown since the state that showed the fork, so that it cannot see the fork by itself. It
    // would wait for ever for what nobody confirms.
    let mut forge = Forge::followed(&Forge::new().rows(1..3));
    let mut other = forge.state(2);
    other.log = LogName::Known(forge.number);
    forge.say(forge.open(2, vec![other]));
    let rows = forge.rows(1..5);
    let announce = SyncMessage::Announce(forge.announce(&rows));
    forge
        .world
        .inject(forge.session, VICTIM, StreamNumber(1), announce);
    forge.world.deliver(forge.session, VICTIM, StreamNumber(1));
    let heard = forge.world.under_way(forge.session, LIAR);
    let is_refusal = |message: &&mut SyncMessage| matches!(message, SyncMessage::Receipt(receipt) if receipt.refused.len() == 1);
    assert!(heard.iter().any(is_refusal), "{heard:?}");
    assert_eq!(forge.held(), 2);
}

// Chunks.

#[test]
fn facts_that_nobody_asked_for_end_the_session() {
    // Not named at all, and named by nobody but the peer, who wants it.
    let mut forge = Forge::new();
    let rows = forge.rows(1..4);
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    forge.ends("a log number that was never given");

    let mut forge = Forge::new();
    let mut state = forge.state(9);
    (state.offered, state.wanted) = (false, true);
    forge.say(forge.open(0, vec![state]));
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    forge.ends("facts that nobody asked for");
}

#[test]
fn chunks_out_of_turn_end_the_session() {
    let rows = Forge::new().rows(1..8);
    let mut forge = Forge::offered();
    forge.say(SyncMessage::FactSync(forge.chunk(0, &rows, &rows)));
    forge.ends("facts before what proves them");

    let mut forge = Forge::followed(&rows);
    let more = forge.rows(1..10);
    forge.say(SyncMessage::FactSync(forge.chunk(7, &more[7..], &more)));
    forge.ends("facts behind what was announced");

    let mut forge = Forge::offered();
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    let mut chunk = forge.chunk(0, &rows, &rows);
    chunk.entries = BoundedBytes::default();
    forge.say(SyncMessage::FactSync(chunk));
    forge.ends("a chunk without entries");
}

#[test]
fn rows_that_are_skipped_repeated_or_swapped_are_found() {
    let rows = Forge::new().rows(1..8);
    let announced = || {
        let mut forge = Forge::offered();
        forge.say(SyncMessage::Announce(forge.announce(&rows)));
        forge
    };
    let mut forge = announced();
    forge.say(SyncMessage::FactSync(forge.chunk(2, &rows[2..], &rows)));
    forge.ends("the chunk covers 2 to 7, 0 positions are held");

    let wrong = LogError::Other(ChunkError::WrongBlock { from: 0 });
    let mut forge = announced();
    let mut other = rows.clone();
    other[3] = other[2].clone();
    forge.say(SyncMessage::FactSync(forge.chunk(0, &other, &rows)));
    forge.refuses(&wrong);

    let mut forge = announced();
    let mut other = rows.clone();
    other.swap(2, 3);
    forge.say(SyncMessage::FactSync(forge.chunk(0, &other, &rows)));
    forge.refuses(&wrong);

    let mut forge = announced();
    let mut chunk = forge.chunk(0, &rows[..3], &rows);
    let mut right = chunk.right.to_vec();
    right[0] = TreeHash::new([1; 32]);
    chunk.right = Hashes::new(&right).unwrap();
    forge.say(SyncMessage::FactSync(chunk));
    forge.refuses(&wrong);

    let mut forge = announced();
    let mut chunk = forge.chunk(0, &rows[..3], &rows);
    chunk.right = Hashes::new(&[]).unwrap();
    forge.say(SyncMessage::FactSync(chunk));
    forge.ends("expected 3 hashes, found 0");

    // More than there is.
    let mut forge = announced();
    let more = forge.rows(1..12);
    let mut chunk = forge.chunk(0, &more, &more);
    chunk.right = Hashes::new(&[]).unwrap();
    forge.say(SyncMessage::FactSync(chunk));
    forge.ends("the chunk covers 0 to 11, 0 positions are held");
}

#[test]
fn rows_that_are_held_already_change_nothing_when_they_come_again() {
    let rows = Forge::new().rows(1..8);
    let mut forge = Forge::followed(&rows);
    for _ in 0..3 {
        forge.say(SyncMessage::FactSync(forge.chunk(0, &rows, &rows)));
        forge.say(SyncMessage::Announce(forge.announce(&rows)));
        forge.say(SyncMessage::Announce(forge.announce(&rows[..3])));
        forge.say(SyncMessage::FactSync(forge.chunk(
            0,
            &rows[..3],
            &rows[..3],
        )));
    }
    assert!(forge.world.is_open(forge.session));
    assert_eq!(forge.held(), 7);
    let more = forge.rows(1..10);
    forge.say(SyncMessage::Announce(forge.announce(&more)));
    forge.say(SyncMessage::FactSync(forge.chunk(5, &more[5..], &more)));
    assert_eq!(forge.held(), 9);
}

#[test]
fn an_entry_that_is_no_row_ends_the_session() {
    let mut forge = Forge::offered();
    let rows = forge.rows(1..4);
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    let mut chunk = forge.chunk(0, &rows, &rows);
    chunk.entries = BoundedBytes::new([3, 9, 9, 9]).unwrap();
    forge.say(SyncMessage::FactSync(chunk));
    let error = forge
        .world
        .end_of(VICTIM, forge.session)
        .unwrap()
        .to_string();
    assert!(error.contains("malformed entry"), "{error}");
}

#[test]
fn times_that_run_back_end_the_session() {
    for times in [[5, 4, 6], [5, 5, 6], [5, 6, 2_000]] {
        let mut forge = Forge::offered();
        let rows = forge.rows(times);
        let announce = forge.announce_by(&forge.keys, &rows, Hlc::from_millis(1_000));
        forge.say(SyncMessage::Announce(announce));
        forge.say(SyncMessage::FactSync(forge.chunk(0, &rows, &rows)));
        let position = if times[2] == 2_000 { 2 } else { 1 };
        forge.ends(&format!(
            "the time of position {position} is not after the one before it"
        ));
    }
}

#[test]
fn hashes_of_several_positions_are_not_taken() {
    // Whoever took them could not show the log to somebody who holds one of the two positions.
    let mut forge = Forge::offered();
    let rows = forge.rows(1..4);
    forge.say(SyncMessage::Announce(forge.announce(&rows)));
    let leaves = [&rows[0], &rows[1]].map(|row| leaf_hash(&row.id()));
    let mut tree = CompactRange::new();
    leaves.into_iter().for_each(|leaf| tree.push(leaf).unwrap());
    let mut to = Encoder::new();
    Entry::Withheld {
        level: 1,
        hash: tree.root(),
    }
    .encode(&mut to);
    Entry::Row(rows[2].clone()).encode(&mut to);
    let mut chunk = forge.chunk(0, &rows, &rows);
    chunk.entries = BoundedBytes::new(to.finish()).unwrap();
    forge.say(SyncMessage::FactSync(chunk));
    forge.ends("withheld facts without the hash of each");
}
