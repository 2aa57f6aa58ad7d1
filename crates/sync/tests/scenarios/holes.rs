//! Facts that a peer may not see, or not all of: what it holds of them, and what comes when that changes.

use causality_fact::{Content, Entry};
use causality_store::FactReader as _;
use causality_strategy::SyncPolicies;
use causality_sync::Completeness;

use crate::domain::now;
use crate::world::{World, draft, large_draft};

/// What a domain gives by rules, and takes from everybody.
pub(crate) fn rules(world: &mut World, domain: usize, peer: usize, out: &str) {
    let text = format!(
        "{out}\n[[in]]\nname = \"all\"\npeers = [\"{}\"]\ncompartments = [\"public\"]\n",
        world.id(peer)
    );
    let text = text.replace("PEER", &world.id(peer).to_string());
    let policies = SyncPolicies::parse(&text).unwrap();
    world.set_policies(domain, peer, &policies);
}

/// Of each fact of a domain the fields that another one holds, if it holds any of it.
pub(crate) fn fields_held(world: &World, domain: usize, of: usize) -> Vec<Option<Vec<String>>> {
    let log = world.own_log(of);
    let store = &world.domains[domain].store;
    let entries = now(store.scan(&log, 0..1 << 40, 1 << 24)).unwrap();
    let fields = |content: &Content| {
        content
            .disclosed()
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    entries
        .iter()
        .map(|entry| match entry.entry(log.origin).unwrap() {
            Entry::Row(row) => Some(fields(row.fact().unwrap().content())),
            Entry::Withheld { .. } => None,
        })
        .collect()
}

pub(crate) const ABOVE: &str = "[[out]]\nname = \"above\"\npeers = [\"PEER\"]\ncompartments = [\"public\"]\nwhere = 'number >= LIMIT'\n";

#[test]
fn a_peer_gets_what_the_rules_grant_and_the_rest_when_they_widen() {
    let mut world = World::new(2, 1);
    rules(&mut world, 0, 1, &ABOVE.replace("LIMIT", "15"));
    world.append_many(0, 20);
    world.sync(1, 0);
    let held = fields_held(&world, 1, 0);
    assert_eq!(held.iter().filter(|fields| fields.is_some()).count(), 5);
    assert_eq!(held.len(), 20);
    let log = world.own_log(0);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Attested);
    let before = world.rows[&(0, 1)];
    world.sync(1, 0);
    assert_eq!(world.rows[&(0, 1)], before);
    rules(&mut world, 0, 1, &ABOVE.replace("LIMIT", "12"));
    world.run();
    world.sync(1, 0);
    let held = fields_held(&world, 1, 0);
    assert_eq!(held.iter().filter(|fields| fields.is_some()).count(), 8);
    world.append(0, vec![draft(3), draft(30)]);
    world.sync(1, 0);
    let held = fields_held(&world, 1, 0);
    assert_eq!(held.iter().filter(|fields| fields.is_some()).count(), 9);
    rules(&mut world, 0, 1, &ABOVE.replace("LIMIT", "0"));
    world.run();
    world.sync(1, 0);
    assert_eq!(world.engine(1).completeness(&log), Completeness::Proven);
    world.assert_equal();
}

#[test]
fn more_is_revealed_than_waits_for_the_network_at_once() {
    let mut world = World::new(2, 2);
    rules(&mut world, 0, 1, &ABOVE.replace("LIMIT", "1000"));
    world.append(0, (0..120).map(|n| large_draft(n, 50_000)).collect());
    world.append(0, (120..240).map(|n| large_draft(n, 50_000)).collect());
    world.sync(1, 0);
    assert!(fields_held(&world, 1, 0).iter().all(Option::is_none));
    rules(&mut world, 0, 1, &ABOVE.replace("LIMIT", "0"));
    world.run();
    world.sync(1, 0);
    assert!(fields_held(&world, 1, 0).iter().all(Option::is_some));
}
