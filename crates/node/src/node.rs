//! The node: its parts put together.

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_store::FactStore;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::SyncPolicies;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::clock::Entropy;
use crate::config::NodeConfig;
use crate::config::PeerConfig;
use crate::driver::Command;
use crate::driver::Driver;
use crate::driver::INPUTS_MAX;
use crate::driver::Look;
use crate::driver::View;
use crate::error::NodeError;
use crate::events::EVENTS_MAX;
use crate::events::NodeEvent;
use crate::events::NodeEvents;
use crate::messenger::CrossDomainMessenger;
use crate::messenger::Replacement;
use crate::registry::FactRegistry;
use crate::routes::Router;
use crate::synchronizer::FactSynchronizer;

/// A running domain. A handle: clones are the same node.
#[derive(Clone, Debug)]
pub struct Node {
    domain: DomainId,
    registry: FactRegistry,
    synchronizer: FactSynchronizer,
    messenger: Arc<CrossDomainMessenger>,
    commands: mpsc::Sender<Command>,
    watchers: broadcast::WeakSender<NodeEvent>,
    machine: Machine,
}

/// What the tasks of a node take from the machine it runs on.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) store: Arc<dyn FactStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// A node at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The domain.
    pub domain: DomainId,
    /// Where it listens, if it has a network.
    pub address: Option<String>,
    /// The logs held, and how many positions of each are durable.
    pub logs: BTreeMap<LogId, u64>,
    /// UDP payload bytes sent to peers since the node started.
    pub bytes_sent: u64,
    /// UDP payload bytes received from them.
    pub bytes_received: u64,
    /// The peers known, and the address of each that is connected.
    pub peers: Vec<(PeerConfig, Option<String>)>,
}

impl Node {
    /// Starts a node over what its store holds. It works on its store at once; others are reached by
    /// [`FactSynchronizer::sync`], or all the time by [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or is damaged.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let (commands, commands_in) = mpsc::channel(INPUTS_MAX);
        let (inputs, inputs_in) = mpsc::channel(INPUTS_MAX);
        let messenger = CrossDomainMessenger::new(&config, commands.clone(), inputs);
        let NodeConfig {
            keys,
            store,
            clock,
            entropy,
            peers,
            policies,
            strategies,
            limits,
            ..
        } = config;
        let domain = keys.domain();
        let registry = FactRegistry::new(Arc::clone(&store), commands.clone());
        let machine = Machine {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let watchers = events.downgrade();
        let driver = Driver::start(store, keys, clock, entropy, events, limits).await?;
        tokio::spawn(driver.run(commands_in, inputs_in));
        let messenger = Arc::new(messenger);
        let rules = Replacement {
            peers: Some(peers),
            policies: Some(policies),
            strategies: Some(strategies),
        };
        messenger.replace(rules).await?;
        let synchronizer = FactSynchronizer::new(Arc::clone(&messenger), commands.clone(), limits);
        Ok(Self {
            domain,
            registry,
            synchronizer,
            messenger,
            commands,
            watchers,
            machine,
        })
    }

    /// The domain.
    pub fn domain(&self) -> DomainId {
        self.domain
    }

    /// Its facts.
    pub fn registry(&self) -> &FactRegistry {
        &self.registry
    }

    /// Its synchronisation.
    pub fn synchronizer(&self) -> &FactSynchronizer {
        &self.synchronizer
    }

    /// Its connections.
    pub fn messenger(&self) -> &CrossDomainMessenger {
        &self.messenger
    }

    /// What happens in the node from now on, for one watcher more; `None` after the end.
    pub fn events(&self) -> Option<NodeEvents> {
        let watchers = self.watchers.upgrade()?;
        Some(NodeEvents(watchers.subscribe()))
    }

    /// Replaces who is known. Counts at once for what is sent and received from now on; sessions with those who are not
    /// known any more end.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn set_peers(&self, peers: Vec<PeerConfig>) -> Result<(), NodeError> {
        let by = Replacement {
            peers: Some(peers),
            ..Replacement::default()
        };
        self.messenger.replace(by).await
    }

    /// Replaces what peers may have and give beside the grants of [`PeerConfig`]. Counts at once for what is sent and
    /// received from now on.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn set_policies(&self, policies: SyncPolicies) -> Result<(), NodeError> {
        let by = Replacement {
            policies: Some(policies),
            ..Replacement::default()
        };
        self.messenger.replace(by).await
    }

    /// Replaces when and how peers are brought up to date. Counts at once while the node [serves](Self::serve).
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn set_strategies(
        &self,
        strategies: FactSynchronizationModel,
    ) -> Result<(), NodeError> {
        let by = Replacement {
            strategies: Some(strategies),
            ..Replacement::default()
        };
        self.messenger.replace(by).await
    }

    /// The node at a glance.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn status(&self) -> Result<Status, NodeError> {
        let peers = self.messenger.peers();
        let (domain, address) = (self.domain, self.messenger.local_address());
        let (answer, status) = oneshot::channel();
        let look = move |View { engine, sessions }: View<'_>| {
            let connected = |peer: PeerConfig| {
                let open = sessions.with(peer.domain);
                let address = open.map(|(_, open)| open.connection.remote_address());
                (peer, address)
            };
            let logs = engine.logs().map(|(log, size)| (*log, size)).collect();
            let peers = peers.into_iter().map(connected).collect();
            let (bytes_sent, bytes_received) = sessions.bytes();
            let _ = answer.send(Status {
                bytes_sent,
                bytes_received,
                domain,
                address,
                logs,
                peers,
            });
        };
        let command = Command::Inspect(Look(Box::new(look)));
        self.commands
            .send(command)
            .await
            .map_err(|_| NodeError::Stopped)?;
        status.await.map_err(|_| NodeError::Stopped)
    }

    /// Answers peers and brings those up to date that have an address, until the node stops: when a strategy says so, and
    /// those for which there is none all the time, in sessions that are kept. New peers and rules count at once.
    pub async fn serve(&self) {
        self.synchronizer.keep_sessions();
        let accepting = tokio::spawn(Arc::clone(&self.messenger).accept());
        let mut changes = self.messenger.rules();
        let Some(events) = self.events() else {
            return accepting.abort();
        };
        let router = self.router().run(self.messenger.rules(), events);
        let routing = tokio::spawn(router);
        let mut kept: BTreeMap<DomainId, JoinHandle<()>> = BTreeMap::new();
        while !self.commands.is_closed() {
            kept.retain(|_, keeping| !keeping.is_finished());
            for peer in self.messenger.peers() {
                if self.messenger.routes(&peer) {
                    if let Some(keeping) = kept.remove(&peer.domain) {
                        keeping.abort();
                        let end = Command::EndPeer { peer: peer.domain };
                        let _ = self.commands.send(end).await;
                    }
                    continue;
                }
                let keep = || tokio::spawn(self.synchronizer.clone().keep(peer.domain));
                kept.entry(peer.domain).or_insert_with(keep);
            }
            tokio::select! {
                biased;
                () = self.commands.closed() => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        accepting.abort();
        routing.abort();
        kept.into_values().for_each(|keeping| keeping.abort());
    }

    fn router(&self) -> Router {
        let (synchronizer, commands) = (self.synchronizer.clone(), self.commands.clone());
        Router::new(self.domain, &self.machine, synchronizer, commands)
    }

    /// The time by the node's clock.
    pub(crate) fn now_ms(&self) -> u64 {
        self.machine.clock.now_ms()
    }

    /// Finishes what is being written, says goodbye to everybody, and stops.
    pub async fn shutdown(&self) {
        let (stopped, has_stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(stopped)).await.is_ok() {
            let _ = has_stopped.await;
        }
        self.messenger.close().await;
    }
}
