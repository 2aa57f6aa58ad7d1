//! What those hear who watch a node.

use causality_node::Direction;
use causality_node::EVENTS_MAX;
use causality_node::NodeEvent;
use causality_node::NodeEvents;
use causality_node::Side;
use causality_node::SyncError;

use crate::world::Network;
use crate::world::append;
use crate::world::serve;
use crate::world::sync;

const PUBLIC: &[&str] = &["public"];

async fn until(events: &mut NodeEvents, wanted: impl Fn(&NodeEvent) -> bool) -> NodeEvent {
    loop {
        let event = events.next().await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test]
async fn a_watcher_hears_of_sessions_and_of_logs_that_grow() {
    for network in Network::all() {
        let amber = network.domain("amber", 1).await;
        let basil = network.domain("basil", 2).await;
        let a = amber.start(vec![basil.peer(PUBLIC, &[])]).await;
        let b = basil.start(vec![amber.peer(&[], PUBLIC)]).await;
        serve(&b);
        append(&a, "public", 7).await;
        let mut events = b.events().unwrap();
        let mut caller = a.events().unwrap();
        sync(&a, &basil, Direction::Push).await;
        let caught_up = |event: &NodeEvent| matches!(event, NodeEvent::CaughtUp { .. });
        let NodeEvent::CaughtUp {
            peer: with, report, ..
        } = until(&mut caller, caught_up).await
        else {
            unreachable!("that is what was waited for");
        };
        assert_eq!((with, report.facts_sent), (basil.id(), 7));
        let (peer, side) = (amber.id(), Side::Acceptor);
        assert_eq!(
            events.next().await,
            Some(NodeEvent::SessionBegan { peer, side })
        );
        let grown = |event: &NodeEvent| matches!(event, NodeEvent::Grown { .. });
        let NodeEvent::Grown { log, size, from } = until(&mut events, grown).await else {
            unreachable!("that is what was waited for");
        };
        assert_eq!((log.origin, size, from), (amber.id(), 7, Some(amber.id())));
        let ended = |event: &NodeEvent| matches!(event, NodeEvent::SessionEnded { .. });
        let NodeEvent::SessionEnded { peer: with, error } = until(&mut events, ended).await else {
            unreachable!("that is what was waited for");
        };
        assert_eq!(with, peer);
        assert!(matches!(error, SyncError::Goodbye(_) | SyncError::Closed));
    }
}

#[tokio::test]
async fn a_slow_watcher_is_told_how_much_it_missed() {
    let amber = Network::Quic.domain("amber", 1).await;
    let a = amber.start(Vec::new()).await;
    let (mut fits, mut slow) = (a.events().unwrap(), None);
    for count in 0..=EVENTS_MAX + 2 {
        if count == 2 {
            slow = a.events();
        }
        append(&a, "public", 1).await;
        if count < 2 {
            let size = count as u64 + 1;
            let event = fits.next().await.unwrap();
            assert!(matches!(event, NodeEvent::Grown { size: s, .. } if s == size));
        }
    }
    let missed = slow.unwrap().next().await;
    assert_eq!(missed, Some(NodeEvent::Missed(1)));
}

#[tokio::test]
async fn a_node_that_has_stopped_tells_nothing_more() {
    let amber = Network::Quic.domain("amber", 1).await;
    let a = amber.start(Vec::new()).await;
    let mut events = a.events().unwrap();
    a.shutdown().await;
    assert_eq!(events.next().await, None);
    assert!(a.events().is_none());
}
