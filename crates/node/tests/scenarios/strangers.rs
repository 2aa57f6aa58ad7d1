//! Whoever is not known, not there, or somebody else.

use causality_node::Direction;
use causality_node::NodeError;
use causality_node::PeerConfig;
use causality_node::store_owner;

use crate::world::Network;
use crate::world::append;
use crate::world::serve;

const PUBLIC: &[&str] = &["public"];

#[tokio::test]
async fn a_caller_who_is_not_a_peer_is_told_so() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, PUBLIC)]).await;
        let b = basil.start(Vec::new()).await;
        serve(&b);
        append(&a, "public", 10).await;
        let error = a
            .synchronizer()
            .sync(basil.id(), Direction::Both, |_| {})
            .await
            .unwrap_err();
        assert!(
            matches!(error, NodeError::UnknownToPeer { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn somebody_else_at_the_address_is_refused() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let cedar = network.domain("cedar", 3).await;
        let wrong = PeerConfig {
            addresses: cedar.peer(&[], &[]).addresses,
            ..basil.peer(PUBLIC, &[])
        };
        let a = amber.start(vec![wrong]).await;
        let c = cedar.start(vec![amber.peer(PUBLIC, PUBLIC)]).await;
        serve(&c);
        let error = a
            .synchronizer()
            .sync(basil.id(), Direction::Both, |_| {})
            .await
            .unwrap_err();
        assert!(matches!(error, NodeError::WrongPeer { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_known_or_not_there_is_named() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(Vec::new()).await;
        let sync = |node: &causality_node::Node| {
            let node = node.clone();
            let peer = basil.id();
            async move {
                node.synchronizer()
                    .sync(peer, Direction::Both, |_| {})
                    .await
                    .unwrap_err()
            }
        };
        assert!(matches!(sync(&a).await, NodeError::PeerNotFound(_)));
        let nowhere = PeerConfig {
            addresses: Vec::new(),
            ..basil.peer(PUBLIC, &[])
        };
        a.set_peers(vec![nowhere]).await.unwrap();
        assert!(matches!(sync(&a).await, NodeError::NoAddress { .. }));
        let silent = PeerConfig {
            addresses: vec!["127.0.0.1:9".into()],
            ..basil.peer(PUBLIC, &[])
        };
        a.set_peers(vec![silent]).await.unwrap();
        let error = sync(&a).await;
        assert!(matches!(error, NodeError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn the_store_of_another_domain_is_refused() {
    let network = Network::all().into_iter().next().unwrap();
    let mut amber = network.domain("amber", 1).await;
    let basil = network.domain("basil", 2).await;
    let b = basil.start(Vec::new()).await;
    assert_eq!(store_owner(&*basil.store).await.unwrap(), None);
    append(&b, "public", 3).await;
    assert_eq!(store_owner(&*basil.store).await.unwrap(), Some(basil.id()));
    b.shutdown().await;
    amber.store = basil.store;
    let error = amber.try_start(Vec::new()).await.unwrap_err();
    assert!(
        matches!(error, NodeError::OtherDomain { found } if found == basil.keys.domain()),
        "{error:?}"
    );
}
