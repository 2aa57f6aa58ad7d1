//! What a session and an append hold is bounded, whatever a peer does.

use causality_envelope::DomainKeys;
use causality_fact::{
    BLOCK_LEAVES, CompartmentId, Encoder, Hlc, LaneId, LogId, TreeHash, TreeHead, decompose,
    root_of,
};
use causality_store::{FactReader as _, HeldLog};
use causality_sync::{
    ANNOUNCED_BLOCKS_MAX, CREDIT_BYTES, Engine, Event, LOADS_MAX, LOGS_MAX, LOGS_OF_ORIGIN_MAX,
    LOGS_OF_STRANGERS_MAX, Load, Loaded, LogError, OVERDRAFT_BYTES_MAX, Restored,
    SESSION_ANNOUNCED_BYTES_MAX, SESSION_LOGS_MAX, StoreState, SyncError, TableRows,
};
use causality_wire::{
    FrontierPart, GoodbyeReason, LOGS_PER_FRONTIER_MAX, LogName, LogNumber, LogState, Page,
    SyncMessage,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::sync::Arc;

use crate::domain::now;
use crate::forge::{Forge, LIAR, VICTIM, frontier};
use crate::world::{World, draft, large_draft};

#[test]
fn a_peer_names_as_many_logs_as_a_session_may_have_and_no_more() {
    let mut forge = Forge::new();
    let template = forge.state(0);
    let name = |number: u32| {
        let mut lane = [0; 16];
        lane[..4].copy_from_slice(&number.to_le_bytes());
        let LogName::New {
            log, compartment, ..
        } = template.log.clone()
        else {
            unreachable!()
        };
        LogState {
            log: LogName::New {
                number: LogNumber(2 * number),
                log: LogId {
                    lane: LaneId::new(lane),
                    ..log
                },
                compartment,
            },
            ..template.clone()
        }
    };
    let limit = SESSION_LOGS_MAX as u32;
    for start in (0..limit).step_by(LOGS_PER_FRONTIER_MAX) {
        let page = start..start + LOGS_PER_FRONTIER_MAX as u32;
        let logs = page.map(name).collect();
        forge.say(frontier(0, FrontierPart::Open, Page::More, logs));
    }
    assert!(forge.world.is_open(forge.session));
    forge.say(frontier(
        0,
        FrontierPart::Open,
        Page::Last,
        vec![name(limit)],
    ));
    forge.ends("more logs than a session may have");
}

/// A domain that has so many logs of its own, each with one fact.
fn domain_with_logs(world: &mut World, domain: usize, count: u32) {
    let keys = Arc::clone(&world.domains[domain].keys);
    domain_with_logs_of(world, domain, (&keys, count));
}

/// A domain that has so many logs of somebody, each with one fact.
fn domain_with_logs_of(world: &mut World, domain: usize, (keys, count): (&DomainKeys, u32)) {
    let own = Arc::clone(&world.domains[domain].keys);
    let leaf = TreeHash::new([1; 32]);
    let template = held();
    let mut state = StoreState::default();
    for number in 0..count {
        let mut lane = [0; 16];
        lane[..4].copy_from_slice(&[24, 16, 8, 0].map(|shift| (number >> shift) as u8));
        let log = log(keys, lane);
        state.log_heads.0.push(head(keys, log, 1, &[leaf], leaf));
        let mut held = template.clone();
        held.log = log;
        state.held.push(held);
    }
    world.domains[domain].engine = engine(&own, state);
    world.grant(domain, 1 - domain, &["public", "other"], &["public"]);
}

fn log(keys: &DomainKeys, lane: [u8; 16]) -> LogId {
    LogId {
        origin: keys.domain(),
        compartment: CompartmentId::PUBLIC,
        lane: LaneId::new(lane),
    }
}

fn engine(keys: &Arc<DomainKeys>, state: StoreState) -> Engine {
    let random = Box::new(ChaCha20Rng::seed_from_u64(1));
    Engine::new(
        Arc::clone(keys),
        Restored::from_store(state).unwrap(),
        random,
    )
}

/// The row of a log in the table of log heads.
fn head(
    keys: &DomainKeys,
    log: LogId,
    size: u64,
    open: &[TreeHash],
    root: TreeHash,
) -> (Vec<u8>, Vec<u8>) {
    let hlc = Hlc::from_millis(1);
    let checkpoint = keys
        .sign_checkpoint(log, TreeHead { size, root }, hlc)
        .unwrap();
    let mut to = Encoder::new();
    to.u8(0)
        .bytes(&checkpoint.to_bytes())
        .fixed_u64(hlc.to_bits())
        .uint(0);
    to.uint(size).length(open.len());
    for hash in open {
        to.raw(hash.as_bytes());
    }
    to.bytes(&[]);
    (log.to_bytes().to_vec(), to.finish())
}

/// What a store says of a log with one fact; only a store makes it.
fn held() -> HeldLog {
    let mut world = World::new(1, 9);
    world.append(0, vec![draft(1)]);
    now(world.domains[0].store.logs()).unwrap().remove(0)
}

#[test]
fn a_domain_with_more_logs_than_a_session_may_have_says_so() {
    let mut world = World::new(2, 1);
    domain_with_logs(&mut world, 0, SESSION_LOGS_MAX as u32 + 1);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    let error = SyncError::Failed("more logs than a session may have");
    assert_eq!(world.end_of(0, session), Some(&error));
    let goodbye = SyncError::Goodbye(GoodbyeReason::Failed);
    assert_eq!(world.end_of(1, session), Some(&goodbye));
}

#[test]
fn as_many_logs_as_a_session_may_have_fit_into_it() {
    let mut world = World::new(2, 2);
    domain_with_logs(&mut world, 0, SESSION_LOGS_MAX as u32);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    let pages = world.under_way(session, 1).len();
    assert_eq!(pages, SESSION_LOGS_MAX / LOGS_PER_FRONTIER_MAX);
    assert!(world.is_open(session));
}

#[test]
fn no_peer_brings_more_logs_than_can_be_named_in_a_session() {
    // Whoever could would end every session that this domain has with anybody.
    for (count, fits) in [(LOGS_MAX as u32 - 1, true), (LOGS_MAX as u32, false)] {
        let mut world = World::new(2, 5);
        domain_with_logs(&mut world, 1, count);
        world.grant(1, 0, &[], &["public"]);
        world.append(0, vec![draft(1)]);
        let session = world.connect(0, 1);
        let request = world.start_round(0, session);
        world.run();
        let refused = |e: &Event| {
            matches!(
                e,
                Event::Refused {
                    error: LogError::TooManyLogs,
                    ..
                }
            )
        };
        assert_eq!(world.has_event(1, refused), !fits);
        let log = world.own_log(0);
        assert_eq!(world.engine(1).log(&log).is_some(), fits);
        // The round ends, and the own lane still has room.
        assert!(world.report(0, request).is_some());
        assert!(world.is_open(session));
        world.append(1, vec![draft(2)]);
    }
}

/// Whether a log that the liar brings is taken up by the victim, in a session of its own.
fn is_taken_up(forge: &mut Forge, keys: &DomainKeys) -> bool {
    forge.session = forge.world.connect_liar(LIAR, VICTIM);
    forge.log = log(keys, [255; 16]);
    let open = forge.open(0, vec![forge.state(1)]);
    forge.say(open);
    let rows = forge.rows(1..2);
    let announce = forge.announce_by(keys, &rows, Hlc::from_millis(2));
    forge.say(SyncMessage::Announce(announce));
    let chunk = forge.chunk(0, &rows, &rows);
    forge.say(SyncMessage::FactSync(chunk));
    assert!(forge.world.is_open(forge.session));
    let error = LogError::TooManyLogs;
    let of = forge.log;
    let refused = |e: &Event| matches!(e, Event::Refused { log, error: found, .. } if (*log, found) == (of, &error));
    let is_held = forge.held() == 1;
    assert_eq!(forge.world.has_event(VICTIM, refused), !is_held);
    is_held
}

#[test]
fn whoever_makes_up_domains_takes_no_room_from_peers() {
    let mut random = ChaCha20Rng::seed_from_u64(4);
    let mut stranger = || DomainKeys::generate(&mut random, 0..i64::MAX).unwrap();
    let (one, other) = (stranger(), stranger());
    for (count, fits) in [
        (LOGS_OF_STRANGERS_MAX - 1, true),
        (LOGS_OF_STRANGERS_MAX, false),
    ] {
        let mut forge = Forge::new();
        domain_with_logs_of(&mut forge.world, VICTIM, (&one, count as u32));
        assert_eq!(is_taken_up(&mut forge, &other), fits);
        let keys = Arc::clone(&forge.keys);
        assert!(is_taken_up(&mut forge, &keys), "a log of the peer itself");
    }
}

#[test]
fn one_domain_has_so_many_logs_and_no_more() {
    for (count, fits) in [(LOGS_OF_ORIGIN_MAX - 1, true), (LOGS_OF_ORIGIN_MAX, false)] {
        let mut forge = Forge::new();
        let keys = Arc::clone(&forge.keys);
        domain_with_logs_of(&mut forge.world, VICTIM, (&keys, count as u32));
        assert_eq!(is_taken_up(&mut forge, &keys), fits);
        let other = Arc::clone(&forge.world.domains[2].keys);
        forge.world.grant(VICTIM, 2, &[], &["public"]);
        assert!(is_taken_up(&mut forge, &other), "another one has room");
    }
}

#[test]
fn a_log_that_is_too_long_to_be_announced_is_left_out_and_the_session_goes_on() {
    for (blocks, fits) in [
        (ANNOUNCED_BLOCKS_MAX, true),
        (ANNOUNCED_BLOCKS_MAX + 1, false),
    ] {
        let mut world = World::new(2, 3);
        let keys = Arc::clone(&world.domains[0].keys);
        let (state, log) = state_of_blocks(&keys, blocks);
        world.append(0, vec![draft(1)]);
        // The store has other facts than that: what is read of the log is made up.
        let other = world.own_log(0);
        let entries = now(world.domains[0].store.scan(&other, 0..1, 1)).unwrap();
        let behind = decompose(1..BLOCK_LEAVES).unwrap().into_iter();
        let behind = behind.map(|part| (part, TreeHash::new([4; 32]))).collect();
        world.domains[0].engine = engine(&keys, state);
        world.grant(0, 1, &["public", "other"], &["public"]);
        let session = world.connect(0, 1);
        let request = world.start_round(0, session);
        let first = |load: &Load| matches!(load, Load::Chunk { from: 0, .. });
        world.answer_chunk_loads(0, &Loaded::Chunk { entries, behind }, first);
        let too_far = |e: &Event| matches!(e, Event::TooFarBehind { log: of, .. } if *of == log);
        assert_eq!(world.has_event(0, too_far), !fits);
        assert!(world.is_open(session), "{:?}", world.end_of(0, session));
        assert!(world.report(0, request).is_some());
        // What fits arrives, and does not verify.
        let refused = |e: &Event| matches!(e, Event::Refused { log: of, .. } if *of == log);
        assert_eq!(world.has_event(1, refused), fits);
    }
}

#[test]
fn a_lane_that_is_full_is_followed_by_another() {
    const BLOCKS: usize = 1 << 14;
    for (blocks, stays) in [(BLOCKS - 1, true), (BLOCKS, false)] {
        let mut world = World::new(1, 3);
        let keys = Arc::clone(&world.domains[0].keys);
        let (state, log) = state_of_blocks(&keys, blocks);
        world.domains[0].engine = engine(&keys, state);
        world.append(0, vec![draft(1)]);
        let size = world.engine(0).log(&log).unwrap().durable;
        assert_eq!(size, blocks as u64 * BLOCK_LEAVES + u64::from(stays));
        let logs = world.engine(0).logs().count();
        assert_eq!(logs, if stays { 1 } else { 2 });
    }
}

/// The state of a store with a lane of so many full blocks.
fn state_of_blocks(keys: &DomainKeys, blocks: usize) -> (StoreState, LogId) {
    let (log, size) = (log(keys, [5; 16]), blocks as u64 * BLOCK_LEAVES);
    let roots = vec![TreeHash::new([3; 32]); blocks];
    let row = |(number, root): (usize, &TreeHash)| {
        let number = (0..8).rev().map(|byte| (number >> (8 * byte)) as u8);
        let key = log.to_bytes().into_iter().chain(number).collect();
        (key, root.as_bytes().to_vec())
    };
    let mut held = held();
    held.log = log;
    held.full.insert(0..size).unwrap();
    let lane = (
        log.compartment.as_bytes().to_vec(),
        log.lane.as_bytes().to_vec(),
    );
    let state = StoreState {
        log_heads: TableRows(vec![head(keys, log, size, &[], root_of(&roots))]),
        block_roots: TableRows(roots.iter().enumerate().map(row).collect()),
        lanes: TableRows(vec![lane]),
        held: vec![held],
        ..StoreState::default()
    };
    (state, log)
}

#[test]
fn announcements_are_kept_up_to_a_limit_and_the_rest_may_come_later() {
    let mut forge = Forge::new();
    let blocks = 30_000_u64;
    let roots: Vec<_> = (0..blocks).map(|n| TreeHash::new([n as u8; 32])).collect();
    let root = root_of(&roots);
    // Each is kept twice: to check against, and to be stored.
    let each = 2 * blocks as usize * TreeHash::LENGTH;
    let fit = SESSION_ANNOUNCED_BYTES_MAX / each;
    let mut states = Vec::new();
    for number in 0..=fit as u32 {
        forge.number = LogNumber(2 * number);
        forge.log.lane = LaneId::new([number as u8; 16]);
        states.push(forge.state(1));
    }
    forge.say(forge.open(0, states));
    for number in 0..=fit as u32 {
        assert!(forge.world.domains[VICTIM].events.is_empty());
        forge.number = LogNumber(2 * number);
        forge.log.lane = LaneId::new([number as u8; 16]);
        let size = blocks * BLOCK_LEAVES;
        let head = TreeHead { size, root };
        let checkpoint = forge
            .keys
            .sign_checkpoint(forge.log, head, Hlc::from_millis(1));
        let bytes = checkpoint.unwrap().to_bytes();
        let announce = forge.announce_with(&forge.keys, &bytes, roots.clone());
        forge.say(SyncMessage::Announce(announce));
    }
    forge.refuses(&LogError::Limit);
}

#[test]
fn an_announcement_of_more_blocks_than_are_stored_at_once_is_refused() {
    for (blocks, fits) in [
        (ANNOUNCED_BLOCKS_MAX, true),
        (ANNOUNCED_BLOCKS_MAX + 1, false),
    ] {
        let mut forge = Forge::offered();
        let roots = vec![TreeHash::new([3; 32]); blocks];
        let head = TreeHead {
            size: blocks as u64 * BLOCK_LEAVES,
            root: root_of(&roots),
        };
        let checkpoint = forge
            .keys
            .sign_checkpoint(forge.log, head, Hlc::from_millis(1));
        let bytes = checkpoint.unwrap().to_bytes();
        let announce = forge.announce_with(&forge.keys, &bytes, roots);
        forge.say(SyncMessage::Announce(announce));
        if fits {
            assert!(forge.world.domains[VICTIM].events.is_empty());
        } else {
            forge.refuses(&LogError::Limit);
        }
    }
}

#[test]
fn a_peer_that_never_stores_anything_gets_its_credit_and_no_more() {
    let mut world = World::new(2, 4);
    for number in 0..10 {
        let drafts = (0..200)
            .map(|n| large_draft(number * 200 + n, 59_000))
            .collect();
        world.append(0, drafts);
    }
    let session = world.connect(0, 1);
    world.start_round(0, session);
    world.run_without_commits(1);
    let log = world.own_log(0);
    assert!(world.engine(1).log(&log).is_none());
    let sent = world.rows(0, 1) * 59_000;
    assert!(
        sent > CREDIT_BYTES / 2 && sent <= CREDIT_BYTES + OVERDRAFT_BYTES_MAX,
        "{sent}"
    );
    world.run();
    world.assert_equal();
}

#[test]
fn a_peer_that_sends_more_than_was_granted_is_stopped() {
    let mut forge = Forge::offered();
    forge.world.domains[VICTIM].commits_left = None;
    let session = forge.session;
    // What announcements take is given back with the first facts under them.
    let roots = vec![TreeHash::new([3; 32]); 30_000];
    let head = TreeHead {
        size: 30_000 * BLOCK_LEAVES,
        root: root_of(&roots),
    };
    let checkpoint = forge
        .keys
        .sign_checkpoint(forge.log, head, Hlc::from_millis(1));
    let bytes = checkpoint.unwrap().to_bytes();
    let announce = forge.announce_with(&forge.keys, &bytes, roots);
    let each = 30_000 * 32;
    let fit = (CREDIT_BYTES + OVERDRAFT_BYTES_MAX) / (each + 1_000);
    for _ in 0..fit {
        forge.say(SyncMessage::Announce(announce.clone()));
        assert!(forge.world.is_open(session));
    }
    forge.say(SyncMessage::Announce(announce.clone()));
    forge.say(SyncMessage::Announce(announce));
    forge.ends("more than was granted");
}

#[test]
fn reads_and_what_waits_for_the_network_are_bounded() {
    let mut world = World::new(2, 5);
    // Many logs that could all be read at once.
    for number in 0..20 {
        let name = format!("c{number}");
        world.append_to(0, &name, (0..30).map(|n| large_draft(n, 59_000)).collect());
    }
    let names: Vec<_> = (0..20).map(|number| format!("c{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.grant(0, 1, &names, &names);
    world.grant(1, 0, &names, &names);
    let session = world.connect(0, 1);
    let request = world.start_round(0, session);
    loop {
        assert!(world.loads_under_way(0) <= LOADS_MAX);
        if !world.step() {
            break;
        }
    }
    assert_eq!(world.report(0, request).unwrap().facts_sent, 600);
    world.assert_equal();
}

#[test]
fn a_store_that_lacks_what_its_log_has_ends_the_session_as_this_sides_fault() {
    let lacks = Loaded::Chunk {
        entries: Vec::new(),
        behind: Vec::new(),
    };
    let mut world = World::new(2, 6);
    world.append(0, vec![draft(1)]);
    let session = world.connect(0, 1);
    world.start_round(0, session);
    world.answer_chunk_loads(0, &lacks, |_| true);
    let error = SyncError::Failed("the store has a gap");
    assert_eq!(world.end_of(0, session), Some(&error));
    world.sync(0, 1);
    world.assert_equal();
}

#[test]
fn a_store_that_answers_another_question_ends_the_session_as_this_sides_fault() {
    let mut world = World::new(2, 7);
    world.append(0, (0..30).map(|n| large_draft(n, 59_000)).collect());
    let log = world.own_log(0);
    let store = &world.domains[0].store;
    let entries = now(store.scan(&log, 0..30, 1 << 24));
    let gives = Loaded::Chunk {
        entries: entries.unwrap(),
        behind: Vec::new(),
    };
    let session = world.connect(0, 1);
    world.start_round(0, session);
    world.answer_chunk_loads(0, &gives, |_| true);
    // All of it is more than a chunk; the rest is asked for again, and does not begin where it should.
    let error = SyncError::Failed("the store has a gap");
    assert_eq!(world.end_of(0, session), Some(&error));
}
