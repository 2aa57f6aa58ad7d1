//! After catching up, new facts go out by themselves.

use causality_node::Direction;
use causality_node::Node;

use crate::world::Domain;
use crate::world::Network;
use crate::world::append;
use crate::world::digest;
use crate::world::held;
use crate::world::serve;

const PUBLIC: &[&str] = &["public"];

/// Waits until a node holds so many facts of an origin: the story fails by the runner's patience, not by a clock here.
async fn until_held(node: &Node, origin: &Domain, count: u64) {
    while held(node, origin).await < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_while_connected_arrives_without_gap_or_second_copy() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let cedar = network.domain("cedar", 3).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil
            .start(vec![amber.peer(&[], PUBLIC), cedar.peer(PUBLIC, PUBLIC)])
            .await;
        let c = cedar.start(vec![basil.peer(PUBLIC, PUBLIC)]).await;
        append(&a, "public", 2_000).await;
        [&a, &b, &c].into_iter().for_each(serve);
        for _ in 0..50 {
            append(&a, "public", 1).await;
        }
        until_held(&c, &amber, 2_050).await;
        assert_eq!(digest(&a, &amber).await, digest(&c, &amber).await);
        // A compartment and an origin that nobody knew when the sessions began.
        append(&b, "public", 5).await;
        until_held(&c, &basil, 5).await;
        append(&c, "public", 3).await;
        until_held(&b, &cedar, 3).await;
        assert_eq!(held(&a, &cedar).await, 0);
        let report = b
            .synchronizer()
            .sync(cedar.id(), Direction::Both, |_| {})
            .await
            .unwrap();
        assert_eq!((report.facts_sent, report.facts_received), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_domains_that_call_each_other_end_up_with_one_session() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, PUBLIC)]).await;
        let b = basil.start(vec![amber.peer(PUBLIC, PUBLIC)]).await;
        append(&a, "public", 3_000).await;
        append(&b, "public", 3_000).await;
        serve(&a);
        serve(&b);
        until_held(&a, &basil, 3_000).await;
        until_held(&b, &amber, 3_000).await;
        append(&a, "public", 1).await;
        append(&b, "public", 1).await;
        until_held(&a, &basil, 3_001).await;
        until_held(&b, &amber, 3_001).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_breaks_is_made_again() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&a);
        serve(&b);
        append(&a, "public", 10).await;
        until_held(&b, &amber, 10).await;
        b.set_peers(Vec::new()).await.unwrap();
        append(&a, "public", 10).await;
        b.set_peers(vec![amber.peer(&[], PUBLIC)]).await.unwrap();
        until_held(&b, &amber, 20).await;
    }
}
