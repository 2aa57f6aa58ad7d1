//! Catching up: push, pull, both, again, and over relays.

use causality_fact::FactQuery;
use causality_node::Direction;

use crate::world::Network;
use crate::world::append;
use crate::world::digest;
use crate::world::draft;
use crate::world::held;
use crate::world::serve;
use crate::world::sync;

const PUBLIC: &[&str] = &["public"];

#[tokio::test]
async fn facts_go_to_a_peer_that_has_none_and_not_a_second_time() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&b);
        append(&a, "public", 10_000).await;
        let report = sync(&a, &basil, Direction::Push).await;
        assert_eq!((report.facts_sent, report.facts_received), (10_000, 0));
        assert_eq!(digest(&a, &amber).await, digest(&b, &amber).await);
        let again = sync(&a, &basil, Direction::Push).await;
        assert_eq!((again.facts_sent, again.round_trips), (0, 1));
        append(&a, "public", 1).await;
        assert_eq!(sync(&a, &basil, Direction::Push).await.facts_sent, 1);
        assert_eq!(digest(&a, &amber).await, digest(&b, &amber).await);
        assert_eq!(
            b.registry().verify_all(|_| {}).await.unwrap().findings,
            [""; 0]
        );
    }
}

#[tokio::test]
async fn facts_are_pulled_from_a_peer_that_never_calls() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(PUBLIC, PUBLIC)]).await;
        serve(&a);
        append(&a, "public", 5_000).await;
        append(&b, "public", 10).await;
        let report = sync(&b, &amber, Direction::Pull).await;
        assert_eq!((report.facts_sent, report.facts_received), (0, 5_000));
        assert_eq!(digest(&a, &amber).await, digest(&b, &amber).await);
        assert_eq!(held(&a, &basil).await, 0);
    }
}

#[tokio::test]
async fn both_sides_catch_up_in_one_round() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, PUBLIC)]).await;
        let b = basil.start(vec![amber.peer(PUBLIC, PUBLIC)]).await;
        serve(&b);
        append(&a, "public", 4_500).await;
        append(&b, "public", 9_000).await;
        let report = sync(&a, &basil, Direction::Both).await;
        assert_eq!((report.facts_sent, report.facts_received), (4_500, 9_000));
        for origin in [&amber, &basil] {
            assert_eq!(digest(&a, origin).await, digest(&b, origin).await);
        }
    }
}

#[tokio::test]
async fn only_granted_compartments_travel_and_only_where_both_sides_want_it() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(&["ops", "hidden"], &[])]).await;
        let b = basil.start(vec![amber.peer(&[], &["ops", "public"])]).await;
        serve(&b);
        append(&a, "public", 10).await;
        append(&a, "ops", 20).await;
        append(&a, "hidden", 30).await;
        assert_eq!(sync(&a, &basil, Direction::Both).await.facts_sent, 20);
        let logs = b.registry().digest(None).await.unwrap().logs;
        assert_eq!(logs.len(), 1);
        assert_eq!(logs[0].compartment_name, "ops");
    }
}

#[tokio::test]
async fn a_relay_passes_on_what_it_holds_with_the_origins_keys() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let cedar = network.domain("cedar", 3).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil
            .start(vec![amber.peer(&[], PUBLIC), cedar.peer(PUBLIC, &[])])
            .await;
        let c = cedar.start(vec![basil.peer(&[], PUBLIC)]).await;
        serve(&b);
        serve(&c);
        append(&a, "public", 6_000).await;
        append(&b, "public", 7).await;
        sync(&a, &basil, Direction::Push).await;
        sync(&b, &cedar, Direction::Push).await;
        assert_eq!(digest(&a, &amber).await, digest(&c, &amber).await);
        assert_eq!(digest(&b, &basil).await, digest(&c, &basil).await);
        let report = c.registry().verify_all(|_| {}).await.unwrap();
        assert_eq!((report.facts, report.findings.len()), (6_007, 0));
        let query = FactQuery {
            origin: Some(amber.id()),
            ..FactQuery::default()
        };
        let page = c.registry().query_facts(&query, None, 1).await.unwrap();
        let proof = c.registry().prove(page.facts[0].row.id()).await.unwrap();
        assert!(causality_fact::Exhibit::verify(&proof.to_bytes()).is_ok());
    }
}

#[tokio::test]
async fn facts_written_one_by_one_arrive_like_those_written_at_once() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&b);
        for number in 0..300 {
            a.registry()
                .register_fact("public", draft(number % 7, number))
                .await
                .unwrap();
        }
        assert_eq!(sync(&a, &basil, Direction::Push).await.facts_sent, 300);
        assert_eq!(digest(&a, &amber).await, digest(&b, &amber).await);
    }
}

#[tokio::test]
async fn a_domain_that_starts_again_goes_on_where_it_was() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&b);
        let first = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        append(&first, "public", 4_097).await;
        sync(&first, &basil, Direction::Push).await;
        let second = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        append(&second, "public", 10).await;
        assert_eq!(sync(&second, &basil, Direction::Push).await.facts_sent, 10);
        let logs = second.registry().digest(None).await.unwrap().logs;
        assert_eq!((logs.len(), logs[0].size), (1, 4_107));
        assert_eq!(digest(&second, &amber).await, digest(&b, &amber).await);
    }
}

/// Each side counted what was overdrawn in its own way, so that a sender with a right to send was cut off as a violator
/// once in a few large transfers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn far_more_than_the_credit_arrives_over_several_logs_at_once() {
    const COMPARTMENTS: &[&str] = &["one", "two", "three", "public"];
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(COMPARTMENTS, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], COMPARTMENTS)]).await;
        serve(&b);
        for compartment in COMPARTMENTS {
            let drafts = (0..1_000).map(|number| {
                let mut draft = draft(number, number);
                let bytes = causality_fact::Value::Bytes(vec![number as u8; 13_000]);
                draft.content.insert("bytes".to_owned(), bytes);
                draft
            });
            a.registry()
                .register_facts(compartment, drafts.collect())
                .await
                .unwrap();
        }
        assert_eq!(sync(&a, &basil, Direction::Push).await.facts_sent, 4_000);
        assert_eq!(digest(&a, &amber).await, digest(&b, &amber).await);
    }
}

#[tokio::test]
async fn both_sides_count_what_went_and_sign_what_it_led_to() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&b);
        append(&a, "public", 3).await;
        sync(&a, &basil, Direction::Push).await;
        let counted = a.metrics().await.unwrap();
        assert_eq!(counted.peer(b.domain()).unwrap().sent.facts, 3);
        let receipts = a.receipts(b.domain()).await.unwrap();
        let [mine, theirs] = &receipts[..] else {
            panic!("{receipts:?}");
        };
        assert_eq!((mine.signer, theirs.signer), (a.domain(), b.domain()));
        assert!(mine.agrees_with(theirs));
        // Nothing new has nothing to sign.
        sync(&a, &basil, Direction::Push).await;
        assert_eq!(a.receipts(b.domain()).await.unwrap(), receipts);
    }
}
