//! Facts that a domain's rules do not let in, and what becomes of them when these rules change.

use std::ops::Range;

use causality_fact::{LaneId, decode_reveal};
use causality_strategy::SyncPolicies;
use causality_sync::{Completeness, Input, RequestId, StreamNumber, SyncError};
use causality_wire::{FrontierPart, LogNumber, Page, Receipt, RefusalReason, SyncMessage};

use crate::forge::{Forge, LIAR, VICTIM, frontier};
use crate::holes::fields_held;
use crate::world::{PUBLIC, Sent, World, draft};

const WITHOUT_NUMBER: &str = "
[[security]]
name = \"number\"
peers = [\"*\"]
withhold = [\"number\"]
";

/// What a domain gives to a peer, but for what is added, and takes from it.
fn rules(world: &mut World, (domain, peer): (usize, usize), more: &str, takes: &str) {
    let id = world.id(peer);
    let text = format!(
        "[[out]]\nname = \"out\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n
         [[in]]\nname = \"in\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n{takes}\n{more}"
    );
    let policies = SyncPolicies::parse(&text).unwrap();
    world.set_policies(domain, peer, &policies);
}

/// The positions of domain 0's log that were shown behind chunks, of all messages since somebody began to listen.
fn revealed_rows(world: &mut World) -> Vec<u64> {
    let origin = world.id(0);
    let overheard = world.overheard.take().unwrap_or_default();
    let rows = overheard.into_iter().filter_map(|sent| match sent.message {
        SyncMessage::Reveal(reveal) => Some(decode_reveal(&reveal.rows, origin).unwrap()),
        _ => None,
    });
    rows.flatten().map(|(position, _)| position).collect()
}

fn count_held(world: &World, domain: usize, of: usize) -> usize {
    let held = fields_held(world, domain, of);
    held.iter().filter(|fields| fields.is_some()).count()
}

#[test]
fn what_was_not_shown_enough_of_is_offered_again_when_the_rules_change() {
    let mut world = World::new(2, 1);
    rules(&mut world, (0, 1), WITHOUT_NUMBER, "");
    rules(&mut world, (1, 0), "", "where = 'number >= 5'");
    world.append_many(0, 10);
    world.sync(1, 0);
    assert_eq!(count_held(&world, 1, 0), 0);
    // It is settled: what the rules cannot tell of is not offered each time.
    let before = world.rows[&(0, 1)];
    world.sync(1, 0);
    assert_eq!(world.rows[&(0, 1)], before);
    world.restart(1);
    world.sync(1, 0);
    assert_eq!(world.rows[&(0, 1)], before);
    rules(&mut world, (1, 0), "", "");
    world.sync(1, 0);
    assert_eq!(count_held(&world, 1, 0), 10);
}

#[test]
fn a_receipt_under_new_rules_settles_nothing_that_the_old_ones_declined() {
    for seed in 0..400 {
        let mut world = World::new(2, seed);
        rules(&mut world, (1, 0), "", "where = 'number >= 5'");
        world.append_many(0, 10);
        let session = world.connect(0, 1);
        world.start_round(0, session);
        world.run();
        assert_eq!(count_held(&world, 1, 0), 5);
        // A state under the old rules, facts, and receipts under the new ones are on their way at once.
        let _ = world.begin_append(0, PUBLIC, vec![draft(10)]);
        world.start_round(1, session);
        world.take_steps(seed as usize % 20);
        rules(&mut world, (1, 0), "", "");
        world.run();
        world.sync(1, 0);
        assert_eq!(count_held(&world, 1, 0), 11, "seed {seed}");
    }
}

#[test]
fn a_log_is_not_proven_by_what_one_peer_may_not_give_and_its_origin_may() {
    let mut world = World::new(3, 3);
    rules(&mut world, (1, 2), "", "where = 'number >= 5'");
    world.append_many(0, 10);
    world.sync(0, 2);
    world.sync(2, 1);
    let log = world.own_log(0);
    assert_eq!(count_held(&world, 1, 0), 5);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Incomplete);
    world.sync(0, 1);
    assert_eq!(count_held(&world, 1, 0), 10);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    // What the origin may not give either is not wanted; nor is what nobody else can give.
    for origin_is_peer in [true, false] {
        let mut world = World::new(3, 3);
        rules(&mut world, (1, 2), "", "where = 'number >= 5'");
        rules(&mut world, (1, 0), "", "where = 'number >= 5'");
        if !origin_is_peer {
            world.grant(1, 0, &[], &[]);
        }
        world.append_many(0, 10);
        world.sync(0, 2);
        world.sync(2, 1);
        world.sync(0, 1);
        assert_eq!(count_held(&world, 1, 0), 5);
        let log = world.own_log(0);
        assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    }
}

#[test]
fn a_log_is_not_proven_while_some_of_it_is_put_off() {
    let mut world = World::new(2, 4);
    let volume = "volume = { facts = 5, bytes = 100000, seconds = 60 }";
    rules(&mut world, (1, 0), "", volume);
    world.append_many(0, 8);
    world.sync(0, 1);
    let log = world.own_log(0);
    assert_eq!(count_held(&world, 1, 0), 5);
    // Its origin has told that it keeps nothing back, and so it is not attested either.
    assert_eq!(world.engine(1).completeness(&log), Completeness::Incomplete);
    world.now_ms += 60_000;
    world.sync(0, 1);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
}

#[test]
fn when_there_is_room_again_what_was_put_off_travels_and_not_what_the_rules_refuse() {
    let volume = "where = 'number >= 10'\nvolume = { facts = 5, bytes = 100000, seconds = 60 }";
    for restarts in [false, true] {
        let mut world = World::new(2, 4);
        rules(&mut world, (1, 0), "", volume);
        world.append_many(0, 22);
        let mut revealed = Vec::new();
        for _ in 0..4 {
            world.overheard = Some(Vec::new());
            for _ in 0..2 {
                world.sync(0, 1);
            }
            revealed.push(revealed_rows(&mut world));
            if restarts {
                world.restart(1);
            }
            world.now_ms += 60_000;
        }
        let put_off = |numbers: Range<u64>| numbers.collect::<Vec<_>>();
        assert_eq!(revealed, [vec![], put_off(15..22), put_off(20..22), vec![]]);
        assert_eq!(count_held(&world, 1, 0), 12);
        let log = world.own_log(0);
        assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    }
}

#[test]
fn what_rules_declined_is_not_declined_by_a_clock_that_shows_a_time_before_them() {
    let mut world = World::new(2, 5);
    let rule = "where = 'number >= 5'\nin_force = { from = 1970-01-01T00:10:00Z }";
    rules(&mut world, (1, 0), "", rule);
    world.now_ms = 600_000;
    world.append_many(0, 10);
    world.sync(0, 1);
    let log = world.own_log(0);
    assert_eq!(count_held(&world, 1, 0), 5);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    for restarts in [false, true] {
        if restarts {
            world.restart(1);
        }
        for (now_ms, is_proven) in [(599_999, false), (600_000, true)] {
            world.now_ms = now_ms;
            world.handle(1, Input::Time);
            let completeness = world.engine(1).completeness(&log);
            assert_eq!(completeness == Completeness::Proven, is_proven, "{now_ms}");
        }
    }
}

#[test]
fn a_part_from_elsewhere_does_not_confirm_what_is_on_its_way() {
    let mut world = World::new(3, 1);
    rules(&mut world, (2, 1), WITHOUT_NUMBER, "");
    let direct = world.connect(0, 1);
    let relayed = world.connect(2, 1);
    let between = world.connect(0, 2);
    world.append_many(0, 3);
    for (dialer, session) in [(0, direct), (0, between), (2, relayed)] {
        world.round(dialer, session);
    }
    let _ = world.begin_append(0, PUBLIC, vec![draft(3)]);
    world.run_without_feeds(&[direct, relayed], 1);
    let feed = world.feed_under_way(direct, 1);
    world.deliver(direct, 1, feed);
    assert!(matches!(
        world.under_way(direct, 1)[..],
        [SyncMessage::FactSync(_)]
    ));
    // It is announced. Before it comes whole, the relay brings it in part; then the session is gone.
    world.start_round(1, direct);
    world.run_without_feeds(&[direct], 1);
    assert_eq!(fields_held(&world, 1, 0).last(), Some(&Some(vec![])));
    world.hang_up(direct);
    world.run();
    world.sync(0, 1);
    let number = vec!["number".to_owned()];
    assert_eq!(fields_held(&world, 1, 0), vec![Some(number); 4]);
}

#[test]
fn a_state_from_before_a_chunk_does_not_hide_what_became_known_behind_it() {
    for seed in 0..400 {
        let mut world = World::new(3, seed);
        rules(&mut world, (2, 0), WITHOUT_NUMBER, "");
        world.append_many(2, 3);
        let origin = world.connect(0, 2);
        world.round(0, origin);
        assert_eq!(fields_held(&world, 0, 2), vec![Some(vec![]); 3]);
        let relayed = world.connect(0, 1);
        world.start_round(1, relayed);
        world.start_round(0, relayed);
        world.take_steps(seed as usize % 25);
        rules(&mut world, (2, 0), "", "");
        world.run();
        world.hang_up(relayed);
        world.sync(0, 1);
        let number = vec!["number".to_owned()];
        assert_eq!(
            fields_held(&world, 1, 2),
            vec![Some(number); 3],
            "seed {seed}"
        );
    }
}

/// A session of the victim with somebody honest, whose facts are on their way, beside that with a liar.
struct Busy {
    forge: Forge,
    request: RequestId,
}

const HONEST: usize = 2;
const HONEST_FACTS: u64 = 3_000;

impl Busy {
    /// The victim takes these facts of the liar, who has named his log.
    fn new(takes: &str) -> Self {
        let mut forge = Forge::new();
        let world = &mut forge.world;
        rules(world, (VICTIM, LIAR), "", takes);
        world.append_many(HONEST, HONEST_FACTS);
        let open = forge.open(0, vec![forge.state(99)]);
        forge.say(open);
        let world = &mut forge.world;
        let session = world.connect(HONEST, VICTIM);
        let request = world.start_round(HONEST, session);
        Self { forge, request }
    }

    /// What the liar hears in receipts for his facts, which come in between those of somebody honest.
    fn says(&mut self, messages: impl IntoIterator<Item = SyncMessage>) -> Vec<Receipt> {
        let world = &mut self.forge.world;
        world.overheard = Some(Vec::new());
        while world.rows(HONEST, VICTIM) == 0 {
            assert!(world.step());
        }
        assert!(world.report(HONEST, self.request).is_none());
        for message in messages {
            world.inject(self.forge.session, VICTIM, StreamNumber(1), message);
        }
        world.run();
        // All that is honest has arrived.
        assert_eq!(world.rows(HONEST, VICTIM), HONEST_FACTS);
        let report = world.report(HONEST, self.request).unwrap();
        assert_eq!(report.facts_sent, HONEST_FACTS);
        let heard = world.overheard.take().unwrap().into_iter();
        let receipt = |sent: Sent| match sent.message {
            SyncMessage::Receipt(receipt) if sent.session == self.forge.session => Some(receipt),
            _ => None,
        };
        heard.filter_map(receipt).collect()
    }
}

/// What was refused, in all receipts together.
fn refused(receipts: &[Receipt]) -> Vec<(u64, u64, RefusalReason)> {
    let all = receipts.iter().flat_map(|receipt| receipt.refused.iter());
    all.map(|refusal| (refusal.from, refusal.to, refusal.reason))
        .collect()
}

#[test]
fn what_exceeds_a_volume_is_put_off_with_a_word_while_others_are_served() {
    let mut busy = Busy::new("volume = { facts = 5, bytes = 100000, seconds = 60 }");
    let rows = busy.forge.rows(1..13);
    let announce = SyncMessage::Announce(busy.forge.announce(&rows));
    let chunk = SyncMessage::FactSync(busy.forge.chunk(0, &rows, &rows));
    let receipts = busy.says([announce, chunk]);
    assert_eq!(refused(&receipts), [(5, 12, RefusalReason::Policy)]);
    let forge = &busy.forge;
    let hidden = forge
        .world
        .engine(VICTIM)
        .holes(&forge.log)
        .unwrap()
        .0
        .len();
    assert_eq!((forge.held(), hidden), (12, 7));
    assert!(forge.world.is_open(forge.session));
}

#[test]
fn what_the_rules_refuse_is_refused_with_a_word_while_others_are_served() {
    let mut busy = Busy::new("where = 'number > 3 and number != 7'");
    let rows = busy.forge.rows(1..11);
    let announce = SyncMessage::Announce(busy.forge.announce(&rows));
    let chunk = SyncMessage::FactSync(busy.forge.chunk(0, &rows, &rows));
    let receipts = busy.says([announce, chunk]);
    // Which positions, which the liar knows, and nothing of the rule.
    let policy = RefusalReason::Policy;
    assert_eq!(refused(&receipts), [(0, 3, policy), (6, 7, policy)]);
    let forge = &busy.forge;
    let hidden = forge
        .world
        .engine(VICTIM)
        .holes(&forge.log)
        .unwrap()
        .0
        .len();
    assert_eq!((forge.held(), hidden), (10, 4));
    assert!(forge.world.is_open(forge.session));
}

#[test]
fn what_nobody_asked_for_ends_its_own_session_while_others_are_served() {
    let mut busy = Busy::new("");
    // Of a log that the liar has named, and only wants.
    busy.forge.number = LogNumber(2);
    busy.forge.log.lane = LaneId::new([2; 16]);
    let mut state = busy.forge.state(9);
    (state.offered, state.wanted) = (false, true);
    let open = frontier(2, FrontierPart::Open, Page::Last, vec![state]);
    busy.forge
        .world
        .inject(busy.forge.session, VICTIM, StreamNumber::CONTROL, open);
    busy.forge
        .world
        .deliver(busy.forge.session, VICTIM, StreamNumber::CONTROL);
    let rows = busy.forge.rows(1..4);
    let announce = busy.forge.announce(&rows);
    let world = &mut busy.forge.world;
    world.inject(
        busy.forge.session,
        VICTIM,
        StreamNumber(3),
        SyncMessage::Announce(announce),
    );
    assert_eq!(busy.says([]), []);
    let forge = &busy.forge;
    let error = forge.world.end_of(VICTIM, forge.session).unwrap();
    assert_eq!(*error, SyncError::Violation("facts that nobody asked for"));
    assert_eq!(forge.held(), 0);
}
