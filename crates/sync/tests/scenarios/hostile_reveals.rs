//! Lies about positions that the victim knows already: what does not belong there is refused with one coarse word, changes
//! nothing, and holds up nobody else.

use causality_fact::{
    ChunkError, Encoder, Entry, Hlc, KeptBack, LOG_SIZE_MAX, LaneId, PositionSet, Row, leaf_hash,
};
use causality_store::{SideWrite, StoredEntry};
use causality_strategy::SyncPolicies;
use causality_sync::{Completeness, Event, LogError, SessionId, StreamNumber, SyncError};
use causality_wire::{
    BoundedBytes, FrontierPart, Holes, LogName, LogNumber, Page, Receipt, Refusal, RefusalReason,
    SyncMessage,
};
use std::ops::Range;

use crate::forge::{Forge, LIAR, VICTIM, frontier};
use crate::world::{PUBLIC, World, draft};

/// Who tells the truth to the victim, all the while.
const HONEST: usize = 2;

/// Of ten facts the victim holds these whole, those behind them in part, and of the rest the hashes.
const WHOLE: usize = 4;
const IN_PART: usize = 6;

/// What becomes of a message.
#[derive(Debug)]
enum Fate<'a> {
    /// The session ends, and the victim knows why.
    Ends(&'a str),
    /// The log is refused as malformed, from this session on.
    Refuses(u64),
    /// It tells nothing new.
    Passes,
}

use Fate::{Ends, Passes, Refuses};

/// A liar's log that the victim holds with holes, and a session of the victim with somebody honest.
struct Known {
    forge: Forge,
    rows: Vec<Row>,
    other: SessionId,
}

impl Known {
    fn new() -> Self {
        let rows = Forge::new().rows(1..11);
        Self::of(Forge::offered(), rows)
    }

    fn of(mut forge: Forge, rows: Vec<Row>) -> Self {
        let entries = rows.iter().enumerate().map(|(at, row)| match at {
            ..WHOLE => Entry::Row(row.clone()),
            WHOLE..IN_PART => Entry::Row(only(row, "number")),
            _ => Entry::Withheld {
                level: 0,
                hash: leaf_hash(&row.id()),
            },
        });
        let entries: Vec<_> = entries.collect();
        forge.say(SyncMessage::Announce(forge.announce(&rows)));
        let chunk = forge.chunk_of(0, &entries, &rows);
        forge.say(SyncMessage::FactSync(chunk));
        assert_eq!(forge.held(), rows.len() as u64);
        let other = forge.world.connect(VICTIM, HONEST);
        forge.world.round(VICTIM, other);
        Self { forge, rows, other }
    }

    fn contents(&self) -> (Vec<StoredEntry>, Vec<SideWrite>) {
        self.forge.world.domains[VICTIM].contents(&self.forge.log)
    }

    /// Says something while facts of somebody else are on their way. Returns the receipts for it.
    fn say(&mut self, stream: Option<StreamNumber>, message: SyncMessage) -> Vec<Receipt> {
        let world = &mut self.forge.world;
        world.begin_append(HONEST, PUBLIC, (0..20).map(draft).collect());
        world.take_steps(2);
        world.overheard = Some(Vec::new());
        match stream {
            Some(stream) => self.forge.say_on(stream, message),
            None => self.forge.say(message),
        }
        let heard = self.forge.world.overheard.take().unwrap();
        let to_liar = heard.into_iter().filter(|sent| sent.to == LIAR);
        let receipt = |message| match message {
            SyncMessage::Receipt(receipt) => Some(receipt),
            _ => None,
        };
        to_liar.filter_map(|sent| receipt(sent.message)).collect()
    }

    /// Facts of somebody else arrived meanwhile, more of them do, and the victim starts again with what it has.
    #[track_caller]
    fn others_go_on(&mut self) {
        let world = &mut self.forge.world;
        assert!(world.is_open(self.other));
        world.append(HONEST, vec![draft(20)]);
        let theirs = world.own_log(HONEST);
        let view = |world: &World| world.engine(VICTIM).log(&theirs).unwrap().durable;
        assert_eq!(view(world), 21);
        world.restart(VICTIM);
        assert_eq!(view(world), 21);
        assert_eq!(self.forge.held(), self.rows.len() as u64);
    }

    /// Says it; nothing of it is stored.
    #[track_caller]
    fn meets(mut self, stream: Option<StreamNumber>, message: SyncMessage, fate: &Fate<'_>) {
        let before = self.contents();
        let receipts = self.say(stream, message);
        assert!(self.contents() == before, "{fate:?}");
        let Forge {
            world,
            session,
            log,
            ..
        } = &self.forge;
        let end = world.end_of(VICTIM, *session);
        let refused: Vec<_> = receipts.iter().flat_map(|r| r.refused.iter()).collect();
        match fate {
            Ends(why) => {
                let error = end.expect("the session has ended");
                let is_the_peers = matches!(error, SyncError::Violation(_) | SyncError::Log { .. });
                assert!(is_the_peers && error.to_string().ends_with(why), "{error}");
                assert_eq!(receipts, []);
            }
            Refuses(from) => {
                assert_eq!(end, None);
                let error = LogError::Other(ChunkError::WrongBlock { from: *from });
                let is_it = |e: &Event| matches!(e, Event::Refused { log: of, error: found, .. } if of == log && *found == error);
                assert!(world.has_event(VICTIM, is_it));
                // Not which position, nor why.
                let all = Refusal {
                    from: 10,
                    to: LOG_SIZE_MAX,
                    reason: RefusalReason::Malformed,
                };
                assert_eq!(refused, [&all]);
            }
            Passes => {
                assert_eq!(end, None);
                assert!(refused.is_empty(), "{refused:?}");
                let counted = receipts.last().expect("it is confirmed").reveals;
                assert_eq!(counted, 1);
            }
        }
        // Whatever it was, its bytes are granted again; or there is nobody left to grant them to.
        let credit: u64 = receipts.iter().map(|receipt| receipt.credit).sum();
        assert_eq!(credit > 0, end.is_none());
        self.others_go_on();
    }
}

/// A row with one of its fields.
fn only(row: &Row, field: &str) -> Row {
    Row::from(row.fact().unwrap().redact(|name| name == field))
}

/// A message about the ten facts, and what becomes of it.
#[track_caller]
fn check(message: impl FnOnce(&Forge, &[Row]) -> SyncMessage, fate: &Fate<'_>) {
    let known = Known::new();
    let message = message(&known.forge, &known.rows);
    known.meets(None, message, fate);
}

#[test]
fn a_revealed_row_that_is_not_the_one_at_its_position_is_refused() {
    for position in [0, 4, 6, 9] {
        // One that the origin never wrote there, whole and in part; one that it wrote elsewhere.
        let (forged, from) = (Forge::new().rows([777]).remove(0), Refuses(position));
        check(|forge, _| forge.reveal([(position, &forged)]), &from);
        let part = only(&forged, "other");
        check(|forge, _| forge.reveal([(position, &part)]), &from);
        let elsewhere = (position as usize + 1) % 10;
        let moved = |forge: &Forge, rows: &[Row]| forge.reveal([(position, &rows[elsewhere])]);
        check(moved, &from);
    }
    // The right one beside it is not stored either.
    let forged = Forge::new().rows([777]).remove(0);
    let mixed = |forge: &Forge, rows: &[Row]| forge.reveal([(6, &rows[6]), (8, &forged)]);
    check(mixed, &Refuses(8));
}

#[test]
fn no_row_with_a_flipped_bit_is_stored() {
    // Whole, and in part, where the salts and digests of what is not shown are bytes too.
    let (mut refused, mut ended) = (0, 0);
    for part in [false, true] {
        let whole = Forge::new().rows(1..11).remove(6);
        let row = if part { only(&whole, "other") } else { whole };
        for at in 0..row.bytes().len() {
            let mut known = Known::new();
            let mut bytes = row.bytes().to_vec();
            bytes[at] ^= 1 << (at % 8);
            let mut rows = Encoder::new();
            rows.uint(6).bytes(&bytes);
            let before = known.contents();
            let message = known.forge.reveal_of(rows.finish());
            known.say(None, message);
            assert!(known.contents() == before, "byte {at} of {row:?}");
            match known.forge.world.end_of(VICTIM, known.forge.session) {
                Some(error) => {
                    assert!(matches!(error, SyncError::Log { .. }), "{error}");
                    ended += 1;
                }
                None => refused += 1,
            }
            known.others_go_on();
        }
    }
    assert!(refused > 100 && ended > 10, "{refused} {ended}");
}

#[test]
fn a_row_that_tells_no_more_than_what_is_held_changes_nothing() {
    check(|forge, rows| forge.reveal([(0, &rows[0])]), &Passes);
    let less = |forge: &Forge, rows: &[Row]| forge.reveal([(3, &only(&rows[3], "number"))]);
    check(less, &Passes);
    let same = |forge: &Forge, rows: &[Row]| forge.reveal([(4, &only(&rows[4], "number"))]);
    check(same, &Passes);
    let none = |forge: &Forge, rows: &[Row]| forge.reveal([(5, &only(&rows[5], "neither"))]);
    check(none, &Passes);
}

#[test]
fn what_is_revealed_twice_is_stored_once() {
    let mut known = Known::new();
    let reveal = known
        .forge
        .reveal([(4, &known.rows[4]), (6, &known.rows[6])]);
    known.forge.say(reveal.clone());
    let stored = known.contents();
    assert_eq!(
        stored.0[6].entry(known.forge.log.origin).unwrap(),
        Entry::Row(known.rows[6].clone())
    );
    let revealed = |known: &Known| {
        let events = known.forge.world.domains[VICTIM].events.iter();
        events
            .filter(|e| matches!(e, Event::Revealed { .. }))
            .count()
    };
    assert_eq!(revealed(&known), 1);
    for twice in 2..4 {
        let receipts = known.say(None, reveal.clone());
        assert_eq!(receipts.last().unwrap().reveals, twice);
        assert!(known.contents() == stored);
        assert_eq!(revealed(&known), 1);
    }
    // In one message no position stands twice: it says how far each is from the one before it.
    let rows = known.rows.clone();
    let after = known.forge.reveal([(8, &rows[8]), (9, &rows[8])]);
    let receipts = known.say(None, after);
    let mut refused = receipts.iter().flat_map(|receipt| receipt.refused.iter());
    assert_eq!(refused.next().unwrap().reason, RefusalReason::Malformed);
    assert!(known.contents() == stored);
}

#[test]
fn a_reveal_is_about_positions_and_logs_that_the_victim_has_asked_for() {
    let unknown = Ends("a reveal of what is not known");
    for position in [10, 11, LOG_SIZE_MAX - 1] {
        check(|forge, rows| forge.reveal([(position, &rows[6])]), &unknown);
    }
    let both = |forge: &Forge, rows: &[Row]| forge.reveal([(6, &rows[6]), (10, &rows[6])]);
    check(both, &unknown);
    let unnamed = |forge: &Forge, rows: &[Row]| {
        let mut reveal = forge.reveal([(6, &rows[6])]);
        if let SyncMessage::Reveal(reveal) = &mut reveal {
            reveal.log = LogNumber(2);
        }
        reveal
    };
    check(unnamed, &Ends("a log number that was never given"));
    // Named, and not wanted: it is the victim who offers it.
    let mut known = Known::new();
    known.forge.log.lane = LaneId::new([2; 16]);
    known.forge.number = LogNumber(2);
    let mut state = known.forge.state(10);
    (state.offered, state.wanted) = (false, true);
    let open = frontier(2, FrontierPart::Open, Page::Last, vec![state]);
    known.forge.say(open);
    let reveal = known.forge.reveal([(6, &known.rows[6])]);
    known.forge.log.lane = LaneId::new([1; 16]);
    known.meets(None, reveal, &Ends("facts that nobody asked for"));
}

#[test]
fn a_reveal_that_is_none_ends_the_session() {
    let of = |bytes: Vec<u8>| move |forge: &Forge, _: &[Row]| forge.reveal_of(bytes);
    check(
        of(vec![]),
        &Ends("the bytes end at offset 0 inside a value"),
    );
    check(
        of(vec![6]),
        &Ends("the bytes end at offset 1 inside a value"),
    );
    check(of(vec![6, 0]), &Ends("a revealed position has a row"));
    for stream in [StreamNumber::CONTROL, StreamNumber(2), StreamNumber(9)] {
        let known = Known::new();
        let reveal = known.forge.reveal([(6, &known.rows[6])]);
        known.meets(
            Some(stream),
            reveal,
            &Ends("a message on the stream of others"),
        );
    }
}

#[test]
fn a_reveal_has_as_many_rows_as_it_may_and_no_more() {
    let rows = Forge::new().rows(1..1042);
    let known = || Known::of(Forge::offered(), rows.clone());
    let some = |known: &Known, count: u64| {
        let rows = known.rows.iter().zip(0..).skip(IN_PART);
        let rows = rows.map(|(row, position)| (position, row));
        known.forge.reveal(rows.take(count as usize))
    };
    let mut at = known();
    at.forge.say(some(&at, 1024));
    let hidden = |known: &Known| {
        let holes = known.forge.world.engine(VICTIM).holes(&known.forge.log);
        holes.unwrap().0.len()
    };
    assert_eq!(hidden(&at), 1041 - 6 - 1024);
    let above = known();
    let reveal = some(&above, 1025);
    above.meets(None, reveal, &Ends("more facts than a reveal may have"));
}

#[test]
fn reveals_beyond_the_credit_end_the_session() {
    let rows = large_rows();
    let mut known = Known::of(Forge::offered(), rows);
    let before = known.contents();
    let all = known
        .rows
        .iter()
        .zip(0..)
        .map(|(row, position)| (position, row));
    let reveal = known.forge.reveal(all);
    let bytes = reveal.fact_bytes() as u64;
    let world = &mut known.forge.world;
    let mut sent = 0;
    while world.is_open(known.forge.session) {
        // The victim reads nothing from its store meanwhile, so nothing is paid back.
        world.inject(known.forge.session, VICTIM, StreamNumber(1), reveal.clone());
        world.deliver(known.forge.session, VICTIM, StreamNumber(1));
        sent += bytes;
        assert!(sent < 2 * (causality_sync::CREDIT_BYTES + causality_sync::OVERDRAFT_BYTES_MAX));
    }
    let error = world.end_of(VICTIM, known.forge.session).unwrap();
    assert_eq!(*error, SyncError::Violation("more than was granted"));
    assert!(sent > causality_sync::CREDIT_BYTES);
    assert!(known.contents() == before);
    // What it had accepted before that is done: it is true, whoever brought it.
    known
        .forge
        .world
        .begin_append(HONEST, PUBLIC, (0..20).map(draft).collect());
    known.forge.world.run();
    known.others_go_on();
    let (hidden, partial) = known
        .forge
        .world
        .engine(VICTIM)
        .holes(&known.forge.log)
        .unwrap();
    assert!(hidden.is_empty() && partial.is_empty());
}

/// Ten rows that have 50 kB each.
fn large_rows() -> Vec<Row> {
    use causality_fact::{Seed, TemporalFact, Value, WholeContent};
    let forge = Forge::new();
    let row = |time| {
        let fields = [
            ("number".to_owned(), Value::Int(1)),
            ("other".to_owned(), Value::Bytes(vec![1; 50_000])),
        ];
        let content = WholeContent::new(Seed::new([1; 16]), fields.into()).unwrap();
        let core = forge.fact(time).core().clone();
        Row::from(TemporalFact::new(core, content).unwrap())
    };
    (1..11).map(row).collect()
}

#[test]
fn what_the_rules_do_not_take_is_refused_and_only_its_hash_is_kept() {
    let mut known = Known::new();
    let liar = known.forge.keys.domain();
    let takes = format!(
        "[[in]]\nname = \"few\"\npeers = [\"{liar}\"]\ncompartments = [\"public\"]\nwhere = 'number <= 8'\n"
    );
    let policies = SyncPolicies::parse(&takes).unwrap();
    known.forge.world.set_policies(VICTIM, LIAR, &policies);
    let rows = known.rows.clone();
    let (entries, _) = known.contents();
    for twice in 1..3 {
        // Of one that does not show the number nothing is told, and nothing taken.
        let unclear = only(&rows[6], "other");
        let reveal = [(6, &unclear), (8, &rows[8]), (9, &rows[9])];
        let receipts = known.say(None, known.forge.reveal(reveal));
        let last = receipts.last().unwrap();
        let refused: Vec<_> = last.refused.iter().copied().collect();
        let by_policy = |from, to| Refusal {
            from,
            to,
            reason: RefusalReason::Policy,
        };
        assert_eq!(refused, [by_policy(6, 7), by_policy(8, 10)]);
        assert_eq!(last.reveals, twice);
        assert_eq!(known.contents().0, entries);
    }
    // A lie that is not taken is not even looked at; what is taken still has to be true.
    let forged = Forge::new().rows([777]).remove(0);
    let receipts = known.say(None, known.forge.reveal([(8, &forged)]));
    assert_eq!(
        receipts.last().unwrap().refused[0].reason,
        RefusalReason::Policy
    );
    let reveal = known.forge.reveal([(6, &rows[6]), (9, &rows[9])]);
    known.say(None, reveal);
    let (after, _) = known.contents();
    let changed = entries
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    let changed: Vec<_> = changed.map(|(before, _)| before.position).collect();
    assert_eq!(changed, [6]);
    assert!(known.forge.world.is_open(known.forge.session));
}

#[test]
fn of_a_log_that_was_refused_nothing_more_is_looked_at() {
    let mut known = Known::new();
    let rows = known.rows.clone();
    let forged = Forge::new().rows([777]).remove(0);
    known.say(None, known.forge.reveal([(6, &forged)]));
    let before = known.contents();
    let receipts = known.say(None, known.forge.reveal([(6, &rows[6])]));
    assert!(known.contents() == before);
    let last = receipts.last().unwrap();
    assert_eq!(last.reveals, 1);
    assert!(last.credit > 0);
    // Whoever is honest fills the hole.
    known.forge.world.hang_up(known.forge.session);
    known.forge.session = known.forge.world.connect_liar(LIAR, VICTIM);
    known
        .forge
        .say(known.forge.open(0, vec![known.forge.state(11)]));
    known.forge.say(known.forge.reveal([(6, &rows[6])]));
    let changed = known
        .contents()
        .0
        .iter()
        .zip(&before.0)
        .filter(|(now, then)| now != then)
        .count();
    assert_eq!(changed, 1);
}

#[test]
fn a_lie_about_a_lane_of_the_victim_does_not_stop_it() {
    let mut known = Known::new();
    let world = &mut known.forge.world;
    world.append(VICTIM, vec![draft(1)]);
    let own = world.own_log(VICTIM);
    let mut state = known.forge.state(0);
    state.log = LogName::New {
        number: LogNumber(2),
        log: own,
        compartment: causality_wire::BoundedString::new(PUBLIC).unwrap(),
    };
    known
        .forge
        .say(frontier(2, FrontierPart::Open, Page::Last, vec![state]));
    let before = known.forge.world.domains[VICTIM].contents(&own);
    let forged = known.rows[1].clone();
    known.forge.number = LogNumber(2);
    let receipts = known.say(None, known.forge.reveal([(0, &forged)]));
    assert_eq!(receipts[0].refused[0].reason, RefusalReason::Malformed);
    assert_eq!(known.forge.world.domains[VICTIM].contents(&own), before);
    known.forge.world.append(VICTIM, vec![draft(2)]);
    // The same lane goes on.
    assert_eq!(known.forge.world.own_log(VICTIM), own);
    assert_eq!(
        known.forge.world.engine(VICTIM).log(&own).unwrap().durable,
        2
    );
}

// What is kept back.

fn set(positions: Range<u64>) -> PositionSet {
    let mut set = PositionSet::new();
    set.insert(positions).unwrap();
    set
}

/// What the liar keeps back: some withheld, one deferred, two in part.
fn kept() -> KeptBack {
    KeptBack {
        withheld: set(6..9),
        deferred: set(9..10),
        partial: set(4..6),
    }
}

fn holes(forge: &Forge, kept: &KeptBack, statement: &[u8]) -> Holes {
    let set = |set: &PositionSet| BoundedBytes::new(set.encode()).unwrap();
    Holes {
        log: forge.number,
        size: 10,
        withheld: set(&kept.withheld),
        deferred: set(&kept.deferred),
        partial: set(&kept.partial),
        statement: BoundedBytes::new(statement).unwrap(),
    }
}

/// What the liar signs for somebody about so many positions.
fn statement(forge: &Forge, (audience, size): (usize, u64), kept: &KeptBack) -> Vec<u8> {
    let audience = forge.world.id(audience);
    let hlc = Hlc::from_millis(1_000);
    let said = forge
        .keys
        .sign_withheld_statement(forge.log, size, audience, kept, hlc);
    said.unwrap().to_bytes()
}

#[test]
fn what_is_said_to_be_kept_back_fits_the_log_and_is_signed_for_this_domain() {
    let mut known = Known::new();
    let said = statement(&known.forge, (VICTIM, 10), &kept());
    let honest = holes(&known.forge, &kept(), &said);
    known.forge.say(SyncMessage::Holes(honest));
    let log = known.forge.log;
    let completeness = |known: &Known| known.forge.world.engine(VICTIM).completeness(&log);
    assert_eq!(completeness(&known), Completeness::Attested);

    let check_holes = |make: &dyn Fn(&Forge) -> Holes, why: &str| {
        let message = |forge: &Forge, _: &[Row]| SyncMessage::Holes(make(forge));
        check(message, &Ends(why));
    };
    let with = |change: &dyn Fn(&mut KeptBack)| {
        let mut kept = kept();
        change(&mut kept);
        kept
    };
    let beyond = "sets that overlap, or go beyond the log";
    for kept in [
        with(&|kept| kept.deferred = set(8..10)),
        with(&|kept| kept.partial = set(4..7)),
        with(&|kept| kept.deferred = set(9..11)),
    ] {
        check_holes(&|forge| holes(forge, &kept, &[]), beyond);
    }
    let longer = |forge: &Forge| Holes {
        size: 11,
        ..holes(forge, &kept(), &[])
    };
    check_holes(&longer, beyond);
    let garbage = |forge: &Forge| Holes {
        withheld: BoundedBytes::new([9, 9, 9]).unwrap(),
        ..holes(forge, &kept(), &[])
    };
    check_holes(&garbage, "sets that are not canonical");

    let signed = |about: (usize, u64), other: KeptBack, why: &str| {
        check_holes(
            &|forge| holes(forge, &kept(), &statement(forge, about, &other)),
            why,
        );
    };
    let other = "a statement about something else";
    signed((HONEST, 10), kept(), other);
    signed(
        (VICTIM, 9),
        with(&|kept| kept.deferred = PositionSet::new()),
        other,
    );
    signed((VICTIM, 10), with(&|kept| kept.withheld = set(6..8)), other);
    let flipped = |forge: &Forge| {
        let mut said = statement(forge, (VICTIM, 10), &kept());
        *said.last_mut().unwrap() ^= 1;
        holes(forge, &kept(), &said)
    };
    check_holes(&flipped, "a statement that does not verify");
    let cut = |forge: &Forge| {
        holes(
            forge,
            &kept(),
            &statement(forge, (VICTIM, 10), &kept())[1..],
        )
    };
    check_holes(&cut, "a statement that is not canonical");
}

#[test]
fn what_a_relay_says_in_the_name_of_the_origin_ends_its_session() {
    // The statement is good; but the peer that brings it is not the one who signed it.
    let mut known = Known::new();
    let said = statement(&known.forge, (VICTIM, 10), &kept());
    known.forge.world.hang_up(known.other);
    known.other = known.forge.session;
    known.forge.session = known.forge.world.connect_liar(HONEST, VICTIM);
    let open = known.forge.open(0, vec![known.forge.state(11)]);
    known.forge.say(open);
    let holes = holes(&known.forge, &kept(), &said);
    let before = known.contents();
    known.forge.say(SyncMessage::Holes(holes));
    let error = known
        .forge
        .world
        .end_of(VICTIM, known.forge.session)
        .unwrap();
    assert_eq!(
        *error,
        SyncError::Violation("a statement that is not the peer's")
    );
    assert!(known.contents() == before);
    assert!(known.forge.world.is_open(known.other));
}
