//! The commands `peer ticket`, `peer add`, `peer list` and `peer remove`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use causality_node::PeerConfig;
use causality_strategy::suggest;
use tokio::sync::{MutexGuard, mpsc};

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, Network, done, send as reply};
use crate::home::Peer;
use crate::name;
use crate::protocol::{Item, PeerItem, Reply, Summary};
use crate::ticket::Ticket;

/// Writes the ticket of this domain, in every format as it is.
pub(crate) async fn ticket(
    context: &Context,
    address: Option<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let ticket = own_ticket(context, address)?;
    if ticket.addresses.is_empty() {
        let note = "this ticket has no address, since the domain listens on every interface: whoever gets it can be \
                    called but cannot call; name an address with --address HOST:PORT";
        reply(replies, Reply::Note(note.to_owned())).await?;
    }
    reply(
        replies,
        Reply::Bytes(format!("{}\n", ticket.to_text()).into_bytes()),
    )
    .await?;
    done(replies, Summary::Nothing).await
}

/// What others need to add this domain: where it is reached is `address`, or where it listens if that means anything
/// elsewhere.
pub(crate) fn own_ticket(context: &Context, address: Option<String>) -> Result<Ticket, Failure> {
    if let Some(address) = &address {
        name::check_address(address)?;
    }
    let listens = || match context.network {
        Network::Listens => context.node.messenger().local_address(),
        Network::Dials | Network::None => Some(context.config.listen.clone()),
    };
    let address = address.or_else(|| listens().filter(|address| can_be_dialled(address)));
    Ok(Ticket {
        domain: context.node.domain(),
        name: context.config.name.clone(),
        addresses: address.into_iter().collect(),
    })
}

/// Neither the wildcard nor a port that the system is to choose.
fn can_be_dialled(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    port != "0" && !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// Adds a peer, or replaces what is known of it.
pub(crate) async fn add(
    context: &Context,
    ticket: &str,
    name: Option<String>,
    (send, receive): (Vec<String>, Vec<String>),
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let ticket = Ticket::parse(ticket)?;
    if ticket.domain == context.node.domain() {
        return Err(Failure::usage("this is the ticket of this domain itself")
            .advise("give it to the other side, and add the ticket that the other side has"));
    }
    let name = name.unwrap_or(ticket.name);
    name::check_domain_name(&name)?;
    send.iter()
        .chain(&receive)
        .try_for_each(|compartment| name::check_compartment(compartment))?;
    let mut peers = context.peers().await;
    name::check_free(&context.config, &peers, (&name, ticket.domain))?;
    let known = &context.compartments(&peers).await?;
    let new = |is_sent| move |name: &String| note_if_new(name, is_sent, known);
    let notes = send.iter().filter_map(new(true));
    let notes: Vec<_> = notes.chain(receive.iter().filter_map(new(false))).collect();
    for note in notes {
        reply(replies, Reply::Note(note)).await?;
    }
    let peer = Peer {
        name,
        id: ticket.domain,
        addresses: ticket.addresses,
        send,
        receive,
    };
    let item = PeerItem::from(&peer);
    let mut changed = peers.clone();
    match changed.iter_mut().find(|known| known.id == peer.id) {
        Some(known) => *known = peer,
        None => changed.push(peer),
    }
    replace(context, &mut peers, changed).await?;
    done(replies, Summary::PeerAdded(item)).await
}

/// What to say of a compartment that is not known here yet: one to be sent is made by that. One to be received may well
/// be known by then only, unless there is one of nearly the same name.
fn note_if_new(name: &str, is_sent: bool, known: &BTreeSet<String>) -> Option<String> {
    if known.contains(name) {
        return None;
    }
    let near = suggest(name, known.iter().map(String::as_str));
    let what = if is_sent {
        "facts that are imported into it make it"
    } else if near.is_some() {
        "facts that come from this peer make it"
    } else {
        return None;
    };
    let meant = near.map_or_else(String::new, |near| format!("; is {near:?} meant?"));
    Some(format!(
        "no compartment is called {name:?} here yet, {what}{meant}"
    ))
}

/// Lists the peers in the order in which they were added.
pub(crate) async fn list(context: &Context, replies: &mpsc::Sender<Reply>) -> Result<(), Failure> {
    let items: Vec<_> = context.peers().await.iter().map(PeerItem::from).collect();
    for item in items {
        reply(replies, Reply::Item(Item::Peer(item))).await?;
    }
    done(replies, Summary::List).await
}

/// Forgets a peer; an open session with it ends.
pub(crate) async fn remove(
    context: &Context,
    said: &str,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let mut peers = context.peers().await;
    let peer = name::peer(&peers, said)?.clone();
    let changed = peers
        .iter()
        .filter(|known| known.id != peer.id)
        .cloned()
        .collect();
    replace(context, &mut peers, changed).await?;
    done(replies, Summary::PeerRemoved(PeerItem::from(&peer))).await
}

/// First the file, then the node: what counts now counts after the next start too.
async fn replace(
    context: &Context,
    peers: &mut MutexGuard<'_, Vec<Peer>>,
    changed: Vec<Peer>,
) -> Result<(), Failure> {
    let (home, written) = (context.home.clone(), changed.clone());
    let written = tokio::task::spawn_blocking(move || home.set_peers(written)).await;
    written.map_err(|error| Failure::new(ExitCode::Other, error))??;
    peers.clone_from(&changed);
    let configs = changed.into_iter().map(PeerConfig::from).collect();
    Ok(context.node.set_peers(configs).await?)
}

impl From<&Peer> for PeerItem {
    fn from(peer: &Peer) -> Self {
        let Peer {
            name,
            id,
            addresses,
            send,
            receive,
        } = peer.clone();
        Self {
            name,
            id: id.to_string(),
            addresses,
            send,
            receive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compartment_that_is_new_here_is_noted_with_the_one_that_was_meant() {
        let known = BTreeSet::from(["public".to_owned(), "ops".to_owned()]);
        let note = |name: &str, is_sent| note_if_new(name, is_sent, &known).unwrap_or_default();
        for is_sent in [true, false] {
            assert_eq!(note("public", is_sent), "");
            let said = note("pubic", is_sent);
            assert!(said.contains("\"pubic\" here yet"), "{said}");
            assert!(said.ends_with("is \"public\" meant?"), "{said}");
        }
        assert_eq!(note("weather", false), "");
        assert!(note("weather", true).ends_with("make it"));
    }

    #[test]
    fn an_address_that_means_nothing_elsewhere_is_not_handed_out() {
        for address in ["127.0.0.1:4770", "[::1]:4770", "example.org:4770"] {
            assert!(can_be_dialled(address), "{address}");
        }
        for address in ["0.0.0.0:4770", "[::]:4770", "127.0.0.1:0", "nothing"] {
            assert!(!can_be_dialled(address), "{address}");
        }
    }
}
