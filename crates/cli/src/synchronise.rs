//! The command `sync`.

use causality_node::{Direction, NodeError};
use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::handler::{Context, done};
use crate::name;
use crate::peers::own_ticket;
use crate::protocol::{Item, MovedItem, Reply, Summary, SyncDirection, SyncSummary};

/// Catches up with a peer, and tells how far it has come.
pub(crate) async fn sync(
    context: &Context,
    said: &str,
    direction: SyncDirection,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let (peer, name) = {
        let peers = context.peers().await;
        let peer = name::peer(&peers, said)?;
        (peer.id, peer.name.clone())
    };
    let mut last = None;
    let progress = |report: &causality_node::SyncReport| {
        let moved = MovedItem {
            facts_sent: report.facts_sent,
            facts_received: report.facts_received,
        };
        if last.as_ref() != Some(&moved) {
            last = Some(moved.clone());
            // The numbers are cumulative: when the queue is full, the next report says it all.
            let _ = replies.try_send(Reply::Item(Item::Moved(moved)));
        }
    };
    let synced = context
        .node
        .synchronizer()
        .sync(peer, direction.into(), progress)
        .await;
    let report = synced.map_err(|error| explain(context, &name, error))?;
    let summary = SyncSummary {
        facts_sent: report.facts_sent,
        facts_received: report.facts_received,
        bytes_sent: report.bytes_sent + report.mtu_probe_bytes,
        bytes_received: report.bytes_received,
        mtu_probe_bytes: report.mtu_probe_bytes,
        round_trips: report.round_trips,
        duration_ms: report.duration_us as f64 / 1000.0,
    };
    done(replies, Summary::Synced(summary)).await
}

fn explain(context: &Context, peer: &str, error: NodeError) -> Failure {
    let unknown = matches!(error, NodeError::UnknownToPeer { .. });
    let wrong = matches!(error, NodeError::WrongPeer { .. });
    let unreachable = matches!(
        error,
        NodeError::Unreachable { .. } | NodeError::TimedOut { .. }
    );
    let no_address = matches!(error, NodeError::NoAddress { .. });
    let failure = Failure::from(error);
    match own_ticket(context, None) {
        Ok(ticket) if unknown => failure.advise(format_args!(
            "hand over this ticket, to be added there with `causality peer add`: {}",
            ticket.to_text()
        )),
        _ if wrong => failure.advise(format_args!(
            "nothing was told to it; if {peer} has moved, add its new ticket with `causality peer add`"
        )),
        _ if unreachable => failure.advise(format_args!("is `causality serve` running at {peer}?")),
        _ if no_address => failure.advise(format_args!(
            "wait until {peer} calls, or add a ticket of it that has an address"
        )),
        _ => failure,
    }
}

impl From<SyncDirection> for Direction {
    fn from(direction: SyncDirection) -> Self {
        match direction {
            SyncDirection::Push => Self::Push,
            SyncDirection::Pull => Self::Pull,
            SyncDirection::Both => Self::Both,
        }
    }
}
