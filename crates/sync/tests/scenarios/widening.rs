//! A policy that is widened sends what it opens, to the fact, and then there is nothing to do any more.

use causality_fact::decode_reveal;
use causality_sync::{Completeness, SessionId};
use causality_wire::{BincodeSerializer, MessageSerializer as _, SyncMessage};

use crate::holes::{ABOVE, rules};
use crate::world::{Sent, World, draft};

/// What the first domain shows: facts with such a number and above.
fn show_from(world: &mut World, limit: u64) {
    let limit = limit.to_string();
    rules(world, 0, 1, &ABOVE.replace("LIMIT", &limit));
}

/// What was sent since the last call.
fn heard(world: &mut World) -> Vec<Sent> {
    world.overheard.replace(Vec::new()).unwrap()
}

/// The positions that reveals bring; nothing else has facts in it, or announces any.
#[track_caller]
fn revealed(world: &World, sent: &[Sent], from: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    for sent in sent.iter().filter(|sent| sent.from == from) {
        match &sent.message {
            SyncMessage::Reveal(reveal) => {
                let rows = decode_reveal(&reveal.rows, world.id(0)).unwrap();
                positions.extend(rows.into_iter().map(|(position, _)| position));
            }
            SyncMessage::FactSync(_) | SyncMessage::Announce(_) => panic!("{sent:?}"),
            _ => {}
        }
    }
    positions
}

/// A round in which nothing is new: no fact, no question, nothing read or written, and few and short messages, of one session.
#[track_caller]
fn assert_settled(world: &mut World, caller: usize) -> (usize, usize) {
    let effects = |world: &World| {
        let of = |domain: &crate::domain::Domain| (domain.reads, domain.writes);
        world.domains.iter().map(of).collect::<Vec<_>>()
    };
    let before = effects(world);
    heard(world);
    let report = world.sync(caller, 1 - caller);
    assert_eq!((report.facts_sent, report.facts_received), (0, 0));
    assert_eq!(effects(world), before);
    let sent = heard(world);
    let is_short = |sent: &Sent| {
        matches!(
            &sent.message,
            SyncMessage::Frontier(_) | SyncMessage::CaughtUp(_)
        )
    };
    assert!(sent.iter().all(is_short), "{sent:#?}");
    let sessions: Vec<SessionId> = sent.iter().map(|sent| sent.session).collect();
    assert!(sessions.iter().all(|session| *session == sessions[0]));
    let bytes = |sent: &Sent| BincodeSerializer.serialize(&sent.message).unwrap().len();
    (sent.len(), sent.iter().map(bytes).sum())
}

#[test]
fn a_rule_that_opens_so_many_facts_sends_so_many_and_nothing_else() {
    let mut settled = Vec::new();
    for (facts, opened) in [(20, 1), (20, 7), (3_000, 1), (3_000, 2_500)] {
        for is_live in [false, true] {
            let mut world = World::new(2, 1);
            let shown_from = facts - 5;
            show_from(&mut world, shown_from);
            world.append_many(0, facts);
            world.overheard = Some(Vec::new());
            let session = is_live.then(|| world.connect(1, 0));
            match session {
                Some(session) => drop(world.round(1, session)),
                None => drop(world.sync(1, 0)),
            }
            assert_settled_unless_live(&mut world, is_live);
            heard(&mut world);
            show_from(&mut world, shown_from - opened);
            world.run();
            if !is_live {
                assert!(heard(&mut world).is_empty(), "nobody is there to be told");
                world.sync(1, 0);
            }
            let sent = heard(&mut world);
            let expected: Vec<_> = (shown_from - opened..shown_from).collect();
            assert_eq!(
                revealed(&world, &sent, 0),
                expected,
                "{facts} {opened} {is_live}"
            );
            assert!(revealed(&world, &sent, 1).is_empty());
            if let Some(session) = session {
                world.hang_up(session);
            }
            settled.push(assert_settled(&mut world, 1));
            settled.push(assert_settled(&mut world, 0));
        }
    }
    // As many messages, and as short ones, whatever the size of the log and of its holes.
    settled.dedup();
    assert!(
        settled.len() == 1 && settled[0].0 <= 5 && settled[0].1 < 600,
        "{settled:?}"
    );
}

fn assert_settled_unless_live(world: &mut World, is_live: bool) {
    if !is_live {
        assert_settled(world, 1);
    }
}

#[test]
fn a_field_that_is_not_withheld_any_more_goes_to_whoever_lacks_it() {
    let mut world = World::new(2, 2);
    let withhold = |fields: &str| {
        format!(
            "[[out]]\nname = \"shown\"\npeers = [\"PEER\"]\ncompartments = [\"public\"]\n[[security]]\nname = \"few\"\npeers = [\"PEER\"]\nwhere = 'number < 4'\nwithhold = [{fields}]\n"
        )
    };
    let with_other = |number| {
        let mut draft = draft(number);
        let value = causality_fact::Value::Bool(true);
        draft.content.insert("other".to_owned(), value);
        draft
    };
    rules(&mut world, 0, 1, &withhold("\"other\", \"number\""));
    world.append(0, (0..10).map(with_other).collect());
    world.sync(1, 0);
    let log = world.own_log(0);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Attested);
    world.overheard = Some(Vec::new());
    assert_settled(&mut world, 1);
    for (fields, completeness) in [
        ("\"other\"", Completeness::Attested),
        ("\"nothing\"", Completeness::Proven),
    ] {
        heard(&mut world);
        rules(&mut world, 0, 1, &withhold(fields));
        world.sync(1, 0);
        let sent = heard(&mut world);
        assert_eq!(revealed(&world, &sent, 0), [0, 1, 2, 3]);
        assert_eq!(world.engine(1).completeness(&log), completeness);
        assert_settled(&mut world, 1);
    }
    // What is withheld again is not taken back, and not sent again when it is shown once more.
    for fields in ["\"other\"", "\"nothing\""] {
        rules(&mut world, 0, 1, &withhold(fields));
        world.sync(1, 0);
        let sent = heard(&mut world);
        assert!(revealed(&world, &sent, 0).is_empty());
        assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    }
}

#[test]
fn what_came_from_elsewhere_meanwhile_is_not_sent_when_a_rule_opens_it() {
    let mut world = World::new(3, 3);
    show_from(&mut world, 15);
    world.append_many(0, 20);
    world.sync(1, 0);
    // The third has all of it, and shows the second what the first does not show yet, from 12 on.
    world.sync(2, 0);
    rules(&mut world, 2, 1, &ABOVE.replace("LIMIT", "12"));
    world.sync(1, 2);
    world.overheard = Some(Vec::new());
    show_from(&mut world, 10);
    world.sync(1, 0);
    let sent = heard(&mut world);
    assert_eq!(revealed(&world, &sent, 0), [10, 11]);
}
