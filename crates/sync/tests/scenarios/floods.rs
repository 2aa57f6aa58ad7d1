//! What a peer says often costs this domain no more than it has room for.

use causality_store::SideTable;
use causality_strategy::SyncPolicies;
use causality_sync::{DECLINED, SETTLEMENTS, StreamNumber};
use causality_wire::{Held, SyncMessage};

use crate::audience::{receipt, sent_in_part};
use crate::forge::{Forge, LIAR, VICTIM};

/// How many writes of a table wait for the victim's store.
fn writes_under_way(forge: &Forge, table: SideTable) -> usize {
    let commits = forge.world.domains[VICTIM].commits.iter();
    let sides = commits.flat_map(|(_, batch)| &batch.side);
    sides.filter(|write| write.table == table).count()
}

#[test]
fn many_small_chunks_that_are_not_taken_write_what_was_declined_once() {
    const CHUNKS: u64 = 300;
    let mut forge = Forge::new();
    let liar = forge.world.id(LIAR);
    let text = format!(
        "[[in]]\nname = \"a\"\npeers = [\"{liar}\"]\ncompartments = [\"public\"]\nwhere = 'number < 0'\n"
    );
    let policies = SyncPolicies::parse(&text).unwrap();
    forge.world.set_policies(VICTIM, LIAR, &policies);
    let open = forge.open(0, vec![forge.state(CHUNKS)]);
    forge.say(open);
    let rows = forge.rows(1..=CHUNKS);
    let announce = forge.announce(&rows);
    forge.say(SyncMessage::Announce(announce));
    for at in 0..CHUNKS {
        let row = &rows[at as usize..][..1];
        let chunk = SyncMessage::FactSync(forge.chunk(at, row, &rows));
        let session = forge.session;
        forge.world.inject(session, VICTIM, StreamNumber(1), chunk);
    }
    forge.world.run_without_commits(VICTIM);
    assert_eq!(writes_under_way(&forge, DECLINED), 1);
    forge.world.run();
    let log = forge.log;
    let declined = |forge: &Forge| {
        let declined = forge.world.engine(VICTIM).declined(liar, &log);
        declined.map_or(0, |declined| declined.len())
    };
    assert_eq!(declined(&forge), CHUNKS);
    // All of it is there after a restart.
    forge.world.restart(VICTIM);
    assert_eq!(declined(&forge), CHUNKS);
}

#[test]
fn receipts_that_all_say_something_else_write_one_settlement_at_a_time() {
    let (mut forge, log) = sent_in_part();
    let held = |number: u8| Held::Sets {
        full: [number; 16],
        partial: [0; 16],
        declined: [0; 16],
    };
    let session = forge.session;
    for number in 0..200 {
        let said = receipt(20, u64::from(number > 0), held(number));
        forge
            .world
            .inject(session, VICTIM, StreamNumber::CONTROL, said);
    }
    forge.world.run_without_commits(VICTIM);
    assert!(forge.world.is_open(session));
    assert_eq!(writes_under_way(&forge, SETTLEMENTS), 1);
    forge.world.run();
    let liar = forge.world.id(LIAR);
    let kept = |forge: &Forge| {
        let kept = forge.world.engine(VICTIM).kept_from(liar, &log);
        kept.map(|(size, kept)| (size, kept.withheld.len()))
    };
    assert_eq!(kept(&forge), Some((20, 15)));
    forge.world.restart(VICTIM);
    assert_eq!(kept(&forge), Some((20, 15)));
}
