//! Connections to peers: dialling, accepting, and the Hello that makes a session of either.

use causality_envelope::DomainKeys;
use causality_fact::DomainId;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::Party;
use causality_strategy::SyncPolicies;
use causality_sync::Connected;
use causality_sync::Direction;
use causality_sync::Input;
use causality_sync::PeerPolicies;
use causality_sync::SessionId;
use causality_sync::Side;
use causality_transport::Connection;
use causality_transport::CrossDomainTransport;
use causality_transport::DROPPED_CODE;
use causality_transport::TransportError;
use causality_wire::GoodbyeReason;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use tokio::sync::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::clock::Entropy;
use crate::config::Limits;
use crate::config::PeerConfig;
use crate::connection;
use crate::connection::ConnectError;
use crate::connection::DONE_CODE;
use crate::connection::Greeted;
use crate::connection::UNKNOWN_PEER_CODE;
use crate::connection::VIOLATION_CODE;
use crate::driver::Command;
use crate::error::NodeError;
use crate::routes::is_routed;

/// Makes sessions of connections: dials peers, answers those who call, and refuses whoever is not known.
pub struct CrossDomainMessenger {
    transport: Option<Arc<dyn CrossDomainTransport>>,
    keys: Arc<DomainKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    rules: watch::Sender<Rules>,
    /// Held while they are replaced.
    replacing: Mutex<()>,
    commands: mpsc::Sender<Command>,
    inputs: mpsc::Sender<Input>,
    next_session: AtomicU64,
}

/// Who is known, what else than its compartments each may have and give, and when and how that travels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) peers: BTreeMap<DomainId, PeerConfig>,
    pub(crate) policies: Arc<SyncPolicies>,
    pub(crate) strategies: Arc<FactSynchronizationModel>,
}

impl Rules {
    /// Whether a strategy decides when the domain `own` calls a peer.
    pub(crate) fn routes(&self, own: DomainId, peer: &PeerConfig) -> bool {
        is_routed(&self.strategies, own, &peer.party())
    }
}

/// What of the rules is replaced.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    pub(crate) peers: Option<Vec<PeerConfig>>,
    pub(crate) policies: Option<SyncPolicies>,
    pub(crate) strategies: Option<FactSynchronizationModel>,
}

/// A session that was made, and the connection under it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) connection: Arc<dyn Connection>,
}

impl CrossDomainMessenger {
    pub(crate) fn new(
        config: &crate::config::NodeConfig,
        commands: mpsc::Sender<Command>,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        Self {
            transport: config.transport.clone(),
            keys: Arc::clone(&config.keys),
            clock: Arc::clone(&config.clock),
            entropy: Arc::clone(&config.entropy),
            limits: config.limits,
            rules: watch::Sender::default(),
            replacing: Mutex::default(),
            commands,
            inputs,
            next_session: AtomicU64::new(0),
        }
    }

    /// Where this node listens, if it has a network.
    pub fn local_address(&self) -> Option<String> {
        self.transport
            .as_ref()
            .map(|transport| transport.local_address())
    }

    /// Who is known.
    pub fn peers(&self) -> Vec<PeerConfig> {
        self.rules.borrow().peers.values().cloned().collect()
    }

    /// Wakes whenever they have changed.
    pub(crate) fn rules(&self) -> watch::Receiver<Rules> {
        self.rules.subscribe()
    }

    /// Whether a strategy decides when a peer is called.
    pub(crate) fn routes(&self, peer: &PeerConfig) -> bool {
        self.rules.borrow().routes(self.keys.domain(), peer)
    }

    /// Dials a peer at its addresses, one after the other, until one answers as that peer.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        peer: &PeerConfig,
        direction: Direction,
    ) -> Result<Option<Session>, NodeError> {
        let transport = self.transport.as_ref().ok_or(NodeError::NoNetwork)?;
        let mut failure = NodeError::NoAddress {
            peer: peer.name.clone(),
        };
        for address in &peer.addresses {
            match self.dial(&**transport, peer, address, direction).await {
                Ok(session) => return Ok(session),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn dial(
        &self,
        transport: &dyn CrossDomainTransport,
        peer: &PeerConfig,
        address: &str,
        direction: Direction,
    ) -> Result<Option<Session>, NodeError> {
        let wrong = |error| dial_error(peer, address, error);
        let connection = transport
            .connect(address)
            .await
            .map_err(|e| wrong(e.into()))?;
        let (now_ms, random) = (self.now_ms(), self.entropy.generator());
        let hello = connection::greet(&*connection, &self.keys, peer.domain, now_ms, random);
        let Ok(greeted) = tokio::time::timeout(self.limits.hello, hello).await else {
            return Err(NodeError::TimedOut {
                peer: peer.name.clone(),
            });
        };
        match greeted {
            Ok(greeted) => {
                let connection = Arc::from(connection);
                Ok(self
                    .open(connection, greeted, Side::Dialer, direction)
                    .await)
            }
            Err(error) => {
                // Why the peer closed says more than that a stream broke.
                let error = match error {
                    ConnectError::Transport(_) => connection.closed().await.into(),
                    error => error,
                };
                connection.close(VIOLATION_CODE, "the Hello failed");
                Err(wrong(error))
            }
        }
    }

    /// Answers whoever calls, until the transport is closed.
    pub(crate) async fn accept(self: Arc<Self>) {
        let Some(transport) = self.transport.clone() else {
            return;
        };
        let hellos = Arc::new(Semaphore::new(self.limits.hellos_max));
        while let Ok(connection) = transport.accept().await {
            // Whoever comes while all places are taken waits in the transport's own bounds.
            let Ok(place) = Arc::clone(&hellos).acquire_owned().await else {
                return;
            };
            let messenger = Arc::clone(&self);
            tokio::spawn(async move {
                messenger.answer(Arc::from(connection)).await;
                drop(place);
            });
        }
    }

    async fn answer(&self, connection: Arc<dyn Connection>) {
        let random = self.entropy.generator();
        let hello = connection::answer(&*connection, &self.keys, self.now_ms(), random);
        let address = connection.remote_address();
        match tokio::time::timeout(self.limits.hello, hello).await {
            Ok(Ok(greeted)) => {
                let domain = greeted.established.peer.domain();
                if self.peer(domain).is_some() {
                    self.open(connection, greeted, Side::Acceptor, Direction::Both)
                        .await;
                } else {
                    tracing::warn!(%domain, address, "refused a domain that is not a peer");
                    connection.close(UNKNOWN_PEER_CODE, "this domain is not a peer here");
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, address, "a Hello failed");
                connection.close(VIOLATION_CODE, "the Hello failed");
            }
            Err(_) => connection.close(VIOLATION_CODE, "the Hello took too long"),
        }
    }

    /// Hands a session to the engine; `None` when there is one with this peer already.
    async fn open(
        &self,
        connection: Arc<dyn Connection>,
        greeted: Greeted,
        side: Side,
        direction: Direction,
    ) -> Option<Session> {
        let Greeted {
            mut established,
            send,
            recv,
        } = greeted;
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let inputs = &self.inputs;
        let (begin, begun) = oneshot::channel();
        let ends = (send, recv);
        let streams = connection::run(id, &connection, &mut established, ends, inputs, begun)?;
        let (peer, keys) = (established.peer, established.keys);
        let connected = Box::new(Connected {
            session: id,
            peer,
            keys,
            side,
            direction,
        });
        let (taken, is_taken) = oneshot::channel();
        let command = Command::Connected {
            connected,
            streams,
            connection: Arc::clone(&connection),
            taken,
        };
        self.commands.send(command).await.ok()?;
        if !is_taken.await.ok()? {
            return None;
        }
        begin.send(()).ok()?;
        Some(Session { id, connection })
    }

    pub(crate) fn peer(&self, domain: DomainId) -> Option<PeerConfig> {
        self.rules.borrow().peers.get(&domain).cloned()
    }

    /// Replaces who is known, what they may have and give, and when that travels. Sessions with those who are not known any
    /// more end. Goes on to its end also when the caller does not wait for it: who is forgotten by half is served on, and
    /// cannot be removed any more.
    pub(crate) async fn replace(self: &Arc<Self>, by: Replacement) -> Result<(), NodeError> {
        let messenger = Arc::clone(self);
        let replaced = tokio::spawn(async move { messenger.replace_now(by).await });
        replaced.await.unwrap_or(Err(NodeError::Stopped))
    }

    async fn replace_now(&self, by: Replacement) -> Result<(), NodeError> {
        let _one_at_a_time = self.replacing.lock().await;
        let mut rules = self.rules.borrow().clone();
        let mut old = rules.peers.clone();
        if let Some(peers) = by.peers {
            rules.peers = peers.into_iter().map(|peer| (peer.domain, peer)).collect();
        }
        rules.policies = by.policies.map_or(rules.policies, Arc::new);
        rules.strategies = by.strategies.map_or(rules.strategies, Arc::new);
        self.rules.send_replace(rules.clone());
        old.retain(|peer, _| !rules.peers.contains_key(peer));
        let own = self.keys.domain();
        for (peer, config) in &rules.peers {
            let policies = config.policies(&rules.policies, own);
            self.send_policies(*peer, policies).await?;
        }
        for peer in old.into_keys() {
            let party = Party {
                domain: peer,
                name: None,
            };
            let none = PeerPolicies::new(&SyncPolicies::default(), own, &party);
            self.send_policies(peer, none).await?;
            let end = self.commands.send(Command::EndPeer { peer });
            end.await.map_err(|_| NodeError::Stopped)?;
        }
        Ok(())
    }

    async fn send_policies(&self, peer: DomainId, policies: PeerPolicies) -> Result<(), NodeError> {
        let policies = Box::new(policies);
        let command = Command::Policies { peer, policies };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| NodeError::Stopped)
    }

    pub(crate) async fn close(&self) {
        if let Some(transport) = &self.transport {
            transport.close().await;
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_ms()).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for CrossDomainMessenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrossDomainMessenger({:.8})", self.keys.domain())
    }
}

fn dial_error(peer: &PeerConfig, address: &str, error: ConnectError) -> NodeError {
    let (name, address) = (peer.name.clone(), address.to_owned());
    match error {
        ConnectError::Transport(error) => closed_error(peer, &address, error),
        ConnectError::Hello(error) => NodeError::WrongPeer {
            peer: name,
            address,
            error,
        },
        ConnectError::Ended | ConnectError::TooLong(_) => NodeError::TimedOut { peer: name },
    }
}

/// What the end of a connection says about the peer.
pub(crate) fn closed_error(peer: &PeerConfig, address: &str, error: TransportError) -> NodeError {
    let name = peer.name.clone();
    let code = match error {
        TransportError::ClosedByPeer { code, .. } => Some(code),
        _ => None,
    };
    let reason = match code {
        Some(UNKNOWN_PEER_CODE) => return NodeError::UnknownToPeer { peer: name },
        Some(VIOLATION_CODE) => GoodbyeReason::Violation,
        Some(DONE_CODE) => GoodbyeReason::Done,
        Some(DROPPED_CODE) => GoodbyeReason::Shutdown,
        _ => {
            return NodeError::Unreachable {
                peer: name,
                address: address.to_owned(),
                error,
            };
        }
    };
    NodeError::Goodbye { peer: name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_closes_a_connection_was_reached_and_said_why() {
        let peer = PeerConfig {
            domain: DomainId::new([1; 32]),
            name: "b".into(),
            addresses: Vec::new(),
            send: Vec::new(),
            receive: Vec::new(),
        };
        let closed = |code| {
            let reason = String::new();
            let error = TransportError::ClosedByPeer { code, reason };
            closed_error(&peer, "a:1", error).to_string()
        };
        for (code, said) in [
            (UNKNOWN_PEER_CODE, "b does not know this domain"),
            (VIOLATION_CODE, "this one broke the protocol"),
            (DONE_CODE, "it is needed no more"),
            (DROPPED_CODE, "the other side stops"),
            (99, "b cannot be reached at a:1"),
        ] {
            assert!(closed(code).contains(said), "{code}: {}", closed(code));
        }
        let silent = closed_error(&peer, "a:1", TransportError::TimedOut);
        assert!(matches!(silent, NodeError::Unreachable { .. }), "{silent}");
    }
}
