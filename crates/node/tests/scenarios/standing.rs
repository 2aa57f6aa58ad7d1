//! What a node knows of where it and its peers stand.

use causality_node::Completeness;
use causality_node::Direction;
use causality_node::Kept;
use causality_node::Node;
use causality_node::SyncStatus;
use causality_store::Place;
use causality_strategy::SyncPolicies;

use crate::world::Domain;
use crate::world::Network;
use crate::world::append;
use crate::world::draft;
use crate::world::serve;
use crate::world::sync;

/// A node that gives the other what a rule says, and one that takes it by another rule.
async fn pair(out: &str, inward: &str) -> (Domain, Node, Domain, Node) {
    let network = Network::all().into_iter().next().unwrap();
    let (uw, press) = (
        network.domain("uw", 1).await,
        network.domain("press", 2).await,
    );
    let uw_node = uw.start(vec![press.peer(&[], &[])]).await;
    let press_node = press.start(vec![uw.peer(&[], &[])]).await;
    for (node, section, rule) in [(&uw_node, "out", out), (&press_node, "in", inward)] {
        let text = format!(
            "[[{section}]]\nname = \"a\"\npeers = [\"*\"]\ncompartments = [\"public\"]\n{rule}"
        );
        node.set_policies(SyncPolicies::parse(&text).unwrap())
            .await
            .unwrap();
    }
    serve(&uw_node);
    (uw, uw_node, press, press_node)
}

/// The place of the first fact of the only log.
async fn first(node: &Node) -> Place {
    let status = node.status().await.unwrap();
    let log = *status.logs.keys().next().unwrap();
    Place { log, position: 0 }
}

#[tokio::test]
async fn a_domain_knows_what_is_kept_from_it_and_by_whom() {
    let (uw, uw_node, press, press_node) = pair("where = 'number >= 5'", "").await;
    let withheld = uw_node
        .registry()
        .register_fact("public", draft(0, 0))
        .await
        .unwrap();
    append(&uw_node, "public", 9).await;
    sync(&press_node, &uw, Direction::Both).await;

    let held = press_node.holdings().await.unwrap();
    assert_eq!((held[0].size, held[0].hidden, held[0].partial), (10, 6, 0));
    assert_eq!(held[0].completeness, Completeness::Attested);
    assert_eq!(held[0].compartment, "public");
    let own = uw_node.holdings().await.unwrap();
    assert_eq!(
        (own[0].hidden, own[0].completeness),
        (0, Completeness::Proven)
    );

    let place = first(&uw_node).await;
    assert_eq!(
        press_node.find_hole(withheld.id).await.unwrap(),
        Some(place)
    );
    let hole = press_node.hole(place).await.unwrap().unwrap();
    assert_eq!(
        (hole.is_partial, hole.sources),
        (false, vec![(uw.id(), Kept::Withheld)])
    );
    assert_eq!(uw_node.hole(place).await.unwrap(), None);
    assert_eq!(uw_node.find_hole(withheld.id).await.unwrap(), None);
    let at_press = uw_node.sync_status(press.id(), place).await.unwrap();
    assert_eq!(at_press, Some(SyncStatus::Withheld));
}

#[tokio::test]
async fn a_domain_knows_what_it_did_not_take_and_the_peer_knows_it_too() {
    let (uw, uw_node, press, press_node) = pair("", "where = 'number >= 5'").await;
    append(&uw_node, "public", 10).await;
    sync(&press_node, &uw, Direction::Both).await;
    let place = first(&uw_node).await;
    let hole = press_node.hole(place).await.unwrap().unwrap();
    assert_eq!(hole.sources, [(uw.id(), Kept::Declined)]);
    // What the rules here do not let in is not missing.
    assert_eq!(
        press_node.holdings().await.unwrap()[0].completeness,
        Completeness::Proven
    );
    let at_press = uw_node.sync_status(press.id(), place).await.unwrap();
    assert_eq!(at_press, Some(SyncStatus::Refused));
    let last = Place {
        position: 9,
        ..place
    };
    let at_press = uw_node.sync_status(press.id(), last).await.unwrap();
    assert_eq!(at_press, Some(SyncStatus::Received));
}

#[tokio::test]
async fn a_node_knows_how_far_a_peer_is_behind_also_when_it_has_gone() {
    let (uw, uw_node, press, press_node) = pair("", "").await;
    append(&uw_node, "public", 3).await;
    let before = uw_node.lags().await.unwrap();
    assert_eq!(
        (before.len(), before[0].peer, before[0].unconfirmed),
        (1, press.id(), None)
    );
    sync(&press_node, &uw, Direction::Both).await;
    let lag = || async { uw_node.lags().await.unwrap()[0].unconfirmed.unwrap() };
    assert_eq!((lag().await.facts, lag().await.oldest), (0, None));
    press_node.shutdown().await;
    append(&uw_node, "public", 2).await;
    let behind = lag().await;
    assert_eq!((behind.facts, behind.is_wanted), (2, true));
    let log = first(&uw_node).await.log;
    let oldest = uw.store.at(&log, &[3], 1).await.unwrap();
    let causality_fact::Entry::Row(row) = oldest[0].entry(log.origin).unwrap() else {
        panic!("no row");
    };
    assert_eq!(behind.oldest, row.fact().map(|fact| fact.core().hlc));
}
