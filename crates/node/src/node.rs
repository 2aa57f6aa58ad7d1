//! The node: its parts put together.

use causality_fact::DomainId;
use causality_fact::LogId;
use causality_strategy::SyncPolicies;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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
use crate::registry::FactRegistry;
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
            limits,
            ..
        } = config;
        let domain = keys.domain();
        let registry = FactRegistry::new(Arc::clone(&store), commands.clone());
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let watchers = events.downgrade();
        let sessions_max = limits.sessions_max;
        let driver = Driver::start(store, keys, clock, entropy, events, sessions_max).await?;
        tokio::spawn(driver.run(commands_in, inputs_in));
        let messenger = Arc::new(messenger);
        messenger.replace(Some(peers), Some(policies)).await?;
        let synchronizer = FactSynchronizer::new(Arc::clone(&messenger), commands.clone(), limits);
        Ok(Self {
            domain,
            registry,
            synchronizer,
            messenger,
            commands,
            watchers,
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
        self.messenger.replace(Some(peers), None).await
    }

    /// Replaces what peers may have and give beside the grants of [`PeerConfig`]. Counts at once for what is sent and
    /// received from now on.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn set_policies(&self, policies: SyncPolicies) -> Result<(), NodeError> {
        self.messenger.replace(None, Some(policies)).await
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

    /// Answers peers and keeps sessions with those that have an address, until the node stops. New peers count at once.
    pub async fn serve(&self) {
        self.synchronizer.keep_sessions();
        let accepting = tokio::spawn(Arc::clone(&self.messenger).accept());
        let mut kept: BTreeMap<DomainId, JoinHandle<()>> = BTreeMap::new();
        let mut changes = self.messenger.changes();
        while !self.commands.is_closed() {
            kept.retain(|_, keeping| !keeping.is_finished());
            for peer in self.messenger.peers() {
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
        kept.into_values().for_each(|keeping| keeping.abort());
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
