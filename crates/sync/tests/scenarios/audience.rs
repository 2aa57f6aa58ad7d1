//! What nobody outside of an audience learns, also when the audience has changed or a peer lies about it.

use causality_fact::{Hlc, LogId, Row, TreeHead, root_of};
use causality_strategy::SyncPolicies;
use causality_sync::{Event, Input, LogError};
use causality_wire::{
    BoundedString, BoundedVec, FrontierPart, Held, LogName, LogNumber, LogState, Page, Receipt,
    SetsRequest, SyncMessage,
};

use crate::forge::{Forge, LIAR, VICTIM, frontier, leaves};
use crate::world::{PUBLIC, World, draft};

/// Calls a compartment that is told by another name.
fn rename(message: &mut SyncMessage, (from, to): (&str, &str)) {
    if let SyncMessage::Frontier(frontier) = message {
        let mut logs = std::mem::take(&mut frontier.logs).into_vec();
        for state in &mut logs {
            match &mut state.log {
                LogName::New { compartment, .. } if **compartment == *from => {
                    *compartment = BoundedString::new(to).unwrap();
                }
                _ => {}
            }
        }
        frontier.logs = BoundedVec::new(logs).unwrap();
    }
}

#[test]
fn a_false_name_for_a_compartment_does_not_share_what_others_give_in_it() {
    // The first has "ops"; the second knows of it. The third shares "news" with the second and takes everything from the first.
    let mut world = World::new(3, 1);
    world.grant(0, 1, &["ops"], &[]);
    world.grant(0, 2, &["ops"], &[]);
    world.grant(1, 0, &[], &["ops"]);
    world.grant(1, 2, &["ops"], &["ops"]);
    world.grant(2, 0, &[], &["*"]);
    world.grant(2, 1, &["news"], &["news"]);
    world.append_to(0, "ops", vec![draft(1)]);
    world.sync(1, 0);
    world.append_to(1, "ops", vec![draft(2)]);
    // What is new in "ops" is not for the second any more.
    world.grant(0, 1, &[], &[]);
    world.append_to(0, "ops", vec![draft(3)]);
    let lie = |message: &mut SyncMessage| rename(message, ("ops", "news"));
    world.tamper = Some((1, Box::new(lie)));
    world.sync(1, 2);
    world.sync(2, 0);
    world.sync(1, 2);
    let log = world.own_log(0);
    let held = world.engine(1).log(&log).map(|view| view.durable);
    assert_eq!(held, Some(1), "it got from the third what is not for it");
}

#[test]
fn a_log_that_both_sides_call_otherwise_is_reported_and_the_others_go_on() {
    let mut world = World::new(2, 2);
    world.grant(0, 1, &["ops", PUBLIC], &[]);
    world.grant(1, 0, &[], &["*"]);
    world.append_to(0, "ops", vec![draft(1)]);
    world.sync(1, 0);
    world.append_to(0, "ops", vec![draft(2)]);
    world.append(0, vec![draft(3)]);
    let lie = |message: &mut SyncMessage| rename(message, ("ops", "news"));
    world.tamper = Some((0, Box::new(lie)));
    world.sync(0, 1);
    assert_eq!(world.count(1), 2);
    let error = LogError::CalledOtherwise;
    assert!(world.has_event(
        1,
        |e| matches!(e, Event::Refused { error: of, .. } if *of == error)
    ));
    world.tamper = None;
    world.sync(0, 1);
    world.assert_equal();
}

/// A session in which the victim has learned that the liar holds much of a log, and holds some of it itself.
fn told_of_much() -> (Forge, Vec<Row>) {
    let mut forge = Forge::offered();
    let rows = forge.rows(1..20);
    bring(&mut forge, &rows, 0..4);
    assert_eq!(forge.held(), 4);
    (forge, rows)
}

/// Announces a log, and sends some of it.
fn bring(forge: &mut Forge, rows: &[Row], range: std::ops::Range<usize>) {
    let announce = forge.announce(rows);
    forge.say(SyncMessage::Announce(announce));
    let chunk = forge.chunk(range.start as u64, &rows[range], rows);
    forge.say(SyncMessage::FactSync(chunk));
}

/// What the victim has said since somebody began to listen.
fn said(world: &mut World, to: usize) -> Vec<SyncMessage> {
    let heard = world.overheard.replace(Vec::new()).unwrap_or_default();
    let said = heard
        .into_iter()
        .filter(|sent| (sent.from, sent.to) == (VICTIM, to));
    said.map(|sent| sent.message).collect()
}

#[test]
fn who_is_not_in_the_audience_any_more_does_not_hear_that_a_log_grows() {
    let (mut forge, rows) = told_of_much();
    forge.world.grant(VICTIM, LIAR, &[], &[]);
    forge.world.run();
    forge.world.overheard = Some(Vec::new());
    let narrowed = forge.session;
    forge.session = forge.world.connect_liar(2, VICTIM);
    let open = forge.open(0, vec![forge.state(19)]);
    forge.say(open);
    bring(&mut forge, &rows, 4..9);
    assert_eq!(forge.held(), 9);
    forge.session = narrowed;
    // Nor does it get to know by sending what is not taken any more, or by asking.
    bring(&mut forge, &rows, 4..9);
    let request = SetsRequest {
        log: forge.number,
        from: 0,
    };
    forge.say(SyncMessage::SetsRequest(request));
    assert!(forge.world.is_open(narrowed));
    let said = said(&mut forge.world, LIAR);
    let sizes = said.iter().map(|message| match message {
        SyncMessage::Receipt(receipt) => receipt.size,
        SyncMessage::Sets(sets) => sets.until,
        other => panic!("{other:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [4, 4, 4, 0]);
}

/// The state of a log that a peer wants, under the number that the victim gave it.
fn wanted(size: u64) -> LogState {
    LogState {
        log: LogName::Known(LogNumber(1)),
        size,
        tag: [0; 8],
        held: Held::Complete,
        keys: 1,
        offered: false,
        wanted: true,
    }
}

/// A session in which the victim has sent some of what it has, and keeps back the rest.
pub(crate) fn sent_in_part() -> (Forge, LogId) {
    let mut forge = Forge::new();
    let liar = forge.world.id(LIAR);
    let text = format!(
        "[[out]]\nname = \"a\"\npeers = [\"{liar}\"]\ncompartments = [\"public\"]\nwhere = 'number >= 15'\n"
    );
    let policies = SyncPolicies::parse(&text).unwrap();
    forge.world.set_policies(VICTIM, LIAR, &policies);
    forge.world.append_many(VICTIM, 20);
    let log = forge.world.own_log(VICTIM);
    let open = forge.open(0, Vec::new());
    forge.say(open);
    let answer = frontier(0, FrontierPart::Answer, Page::Last, vec![wanted(0)]);
    forge.say(answer);
    (forge, log)
}

pub(crate) fn receipt(size: u64, reveals: u64, held: Held) -> SyncMessage {
    SyncMessage::Receipt(Receipt {
        log: LogNumber(1),
        size,
        reveals,
        held,
        refused: BoundedVec::default(),
        credit: 0,
    })
}

#[test]
fn who_is_not_in_the_audience_any_more_hears_of_no_holes() {
    let (mut forge, log) = sent_in_part();
    forge.world.grant(VICTIM, LIAR, &[], &[]);
    forge.world.append_many(VICTIM, 5);
    assert_eq!(forge.world.engine(VICTIM).log(&log).unwrap().durable, 25);
    forge.world.overheard = Some(Vec::new());
    // It claims to hold more than there is, and has got all that was sent.
    let reply = frontier(1, FrontierPart::Reply, Page::Last, vec![wanted(1 << 40)]);
    forge.say(reply);
    forge.say(receipt(1 << 40, 0, Held::Complete));
    assert!(forge.world.is_open(forge.session));
    let said = said(&mut forge.world, LIAR);
    let is_holes = |message: &SyncMessage| matches!(message, SyncMessage::Holes(_));
    assert!(!said.iter().any(is_holes), "{said:?}");
}

#[test]
fn nobody_finds_out_whether_a_domain_is_known_by_claiming_a_log_of_it() {
    let ask = |is_known: bool, with_keys: bool| {
        let mut forge = Forge::new();
        forge.world.grant(VICTIM, 2, &["ops"], &["ops"]);
        forge.world.grant(2, VICTIM, &["ops"], &["ops"]);
        forge.world.append_to(2, "ops", vec![draft(1)]);
        if is_known {
            forge.world.sync(VICTIM, 2);
        }
        forge.world.overheard = Some(Vec::new());
        let keys = std::sync::Arc::clone(&forge.world.domains[2].keys);
        forge.log.origin = keys.domain();
        let open = forge.open(0, vec![forge.state(1)]);
        forge.say(open);
        let root = root_of(&leaves(&forge.rows(1..2)));
        let head = TreeHead { size: 1, root };
        let checkpoint = keys.sign_checkpoint(forge.log, head, Hlc::from_millis(9));
        let checkpoint = checkpoint.unwrap().to_bytes();
        let mut announce = forge.announce_with(&keys, &checkpoint, vec![root]);
        if !with_keys {
            announce.key_records = BoundedVec::default();
        }
        forge.say(SyncMessage::Announce(announce));
        let mut said = said(&mut forge.world, LIAR);
        for message in &mut said {
            if let SyncMessage::Frontier(frontier) = message {
                // The keys of each session are others, and so are its tags.
                let mut logs = std::mem::take(&mut frontier.logs).into_vec();
                logs.iter_mut().for_each(|state| state.tag = [0; 8]);
                frontier.logs = BoundedVec::new(logs).unwrap();
            }
        }
        assert!(!said.is_empty());
        (said, forge.world.is_open(forge.session))
    };
    for with_keys in [false, true] {
        assert_eq!(ask(true, with_keys), ask(false, with_keys));
    }
}

#[test]
fn a_time_at_which_rules_change_is_heard_by_those_whom_they_are_about_alone() {
    let mut world = World::new(3, 7);
    let (embargoed, other) = (0, 2);
    let id = world.id(embargoed);
    let text = format!(
        "[[out]]\nname = \"a\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\nin_force = {{ from = 2040-01-01 }}\n"
    );
    let policies = SyncPolicies::parse(&text).unwrap();
    world.set_policies(VICTIM, embargoed, &policies);
    world.append_many(VICTIM, 3);
    for peer in [embargoed, other] {
        let session = world.connect(peer, VICTIM);
        world.round(peer, session);
    }
    world.overheard = Some(Vec::new());
    world.now_ms = 2_208_988_800_000;
    world.handle(VICTIM, Input::Time);
    world.run();
    let heard = world.overheard.clone().unwrap_or_default();
    let to = |peer| heard.iter().filter(|sent| sent.to == peer).count();
    assert_eq!(world.count(embargoed), 3);
    assert_eq!(to(other), 0);
}
