//! Questions and answers about sets that do not fit into one message, by hand: two honest sides would need a log of millions.

use causality_fact::{PositionSet, decode_reveal};
use causality_wire::{
    BoundedBytes, BoundedString, Held, LogName, LogNumber, Page, Sets, SetsRequest, SyncMessage,
};

use crate::forge::{Forge, LIAR, VICTIM};
use crate::world::draft;

#[track_caller]
fn ends(mut forge: Forge, expected: &str) {
    let error = forge.world.end_of(VICTIM, forge.session);
    let error = error.expect("the session has ended").to_string();
    assert!(error.ends_with(expected), "{error}");
    let held = forge.world.count(VICTIM);
    forge.world.append(2, vec![draft(20)]);
    assert_eq!(forge.world.sync(VICTIM, 2).facts_received, 1);
    assert_eq!(forge.world.count(VICTIM), held + 1);
}

/// A liar that wants a log of eight facts of the victim's, of which it says that it knows six, and was asked which it holds.
fn asked_for_sets() -> Forge {
    let mut forge = Forge::new();
    forge.world.append_many(VICTIM, 8);
    let mut state = forge.state(6);
    state.log = LogName::New {
        number: forge.number,
        log: forge.world.own_log(VICTIM),
        compartment: BoundedString::new("public").unwrap(),
    };
    state.held = Held::Sets {
        full: [1; 16],
        partial: [2; 16],
        declined: [3; 16],
    };
    (state.offered, state.wanted) = (false, true);
    let open = forge.open(0, vec![state]);
    assert_eq!(asked(&mut forge, open), [0]);
    forge
}

/// Says something; what the liar hears then.
fn heard(forge: &mut Forge, message: SyncMessage) -> Vec<SyncMessage> {
    forge.world.overheard = Some(Vec::new());
    forge.say(message);
    let heard = forge.world.overheard.take().unwrap_or_default();
    let to_liar = heard.into_iter().filter(|sent| sent.to == LIAR);
    to_liar.map(|sent| sent.message).collect()
}

/// Says something; from where on the liar is asked for sets then.
fn asked(forge: &mut Forge, message: SyncMessage) -> Vec<u64> {
    let from = |message| match message {
        SyncMessage::SetsRequest(request) if request.log == LogNumber(0) => Some(request.from),
        _ => None,
    };
    heard(forge, message).into_iter().filter_map(from).collect()
}

fn sets_of(from: u64, until: u64, last: Page, full: &[u64]) -> SyncMessage {
    let mut set = PositionSet::new();
    for position in full {
        set.insert(*position..position + 1).unwrap();
    }
    SyncMessage::Sets(Sets {
        log: LogNumber(0),
        from,
        until,
        last,
        full: BoundedBytes::new(set.encode()).unwrap(),
        partial: BoundedBytes::new(vec![0]).unwrap(),
        declined: BoundedBytes::new(PositionSet::new().encode()).unwrap(),
    })
}

#[test]
fn sets_in_several_parts_are_asked_for_part_by_part_and_then_weighed_together() {
    let mut forge = asked_for_sets();
    assert_eq!(asked(&mut forge, sets_of(0, 3, Page::More, &[0, 2])), [3]);
    assert_eq!(asked(&mut forge, sets_of(3, 4, Page::More, &[])), [4]);
    let origin = forge.world.id(VICTIM);
    let rows = |message| match message {
        SyncMessage::Reveal(reveal) => Some(decode_reveal(&reveal.rows, origin).unwrap()),
        _ => None,
    };
    let heard = heard(&mut forge, sets_of(4, 6, Page::Last, &[5]));
    let revealed = heard.into_iter().filter_map(rows).flatten();
    let revealed: Vec<_> = revealed.map(|(position, _)| position).collect();
    assert_eq!(revealed, [1, 3, 4]);
    // The last one may end beyond what was asked about, and need not be the last.
    let mut forge = asked_for_sets();
    assert_eq!(
        asked(
            &mut forge,
            sets_of(0, 9, Page::More, &[0, 1, 2, 3, 4, 5, 8])
        ),
        [0; 0]
    );
    assert!(forge.world.is_open(forge.session));
}

#[test]
fn parts_of_sets_that_do_not_go_on_where_they_were_asked_for_end_the_session() {
    let another = "an answer to another question";
    for (from, until, last) in [
        (1, 6, Page::Last),
        (0, 0, Page::More),
        (u64::MAX, u64::MAX, Page::More),
    ] {
        let mut forge = asked_for_sets();
        forge.say(sets_of(from, until, last, &[]));
        ends(forge, another);
    }
    for (from, until, last) in [(0, 6, Page::Last), (3, 3, Page::More), (3, 2, Page::Last)] {
        let mut forge = asked_for_sets();
        forge.say(sets_of(0, 3, Page::More, &[]));
        forge.say(sets_of(from, until, last, &[]));
        ends(forge, another);
    }
    for full in [&[2][..], &[6]] {
        let mut forge = asked_for_sets();
        forge.say(sets_of(0, 3, Page::More, &[]));
        forge.say(sets_of(3, 6, Page::Last, full));
        ends(forge, "sets that are not canonical");
    }
    // Nobody is asked for the rest of what was told whole.
    let mut forge = Forge::offered();
    let log = forge.number;
    forge.say(SyncMessage::SetsRequest(SetsRequest { log, from: 3 }));
    ends(forge, "a question about sets without reason");
}
