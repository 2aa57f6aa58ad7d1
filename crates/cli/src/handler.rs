//! Executes requests against a home, in a daemon or in the process of the command itself: the same either way.

use std::collections::BTreeSet;
use std::sync::Arc;

use causality_fact::DomainId;
use causality_node::{Limits, Node, NodeConfig, PeerConfig, SystemClock, SystemEntropy};
use causality_quic::{QuicConfig, QuicLimits, QuicTransport, Randomness, TransportSecret};
use causality_store::RedbStore;
use causality_strategy::{FactSynchronizationModel, PolicyFile};
use causality_transport::{CrossDomainTransport, TransportError};
use tokio::sync::{Mutex, MutexGuard, mpsc};

use crate::control::nobody_listens;
use crate::exit::{ExitCode, Failure};
use crate::home::{Config, Home, Peer};
use crate::protocol::{DigestLog, DigestSummary, Reply, Request, Summary};
use crate::{
    copies, explain, export, facts, import, metrics, name, peers, policy, receipts, status,
    synchronise,
};

/// A home whose store is open, and the node on it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) node: Node,
    pub(crate) store: Arc<RedbStore>,
    pub(crate) network: Network,
    peers: Mutex<Vec<Peer>>,
    /// As the policy file was when it was read last. One that is wrong matters to those who need it only.
    policy: Mutex<Result<PolicyFile, Failure>>,
}

/// What a node has of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Nothing: it works on its store.
    None,
    /// It can dial.
    Dials,
    /// It listens where the home's configuration says, for a daemon.
    Listens,
}

/// Where a node dials from that does not listen: the first of these that the machine has.
const DIAL_FROM: [&str; 2] = ["[::]:0", "0.0.0.0:0"];

/// For a command that somebody waits for: a peer that has gone is given up sooner than by a daemon.
const DIALLER_LIMITS: QuicLimits = QuicLimits {
    idle_timeout_ms: 10_000,
    keep_alive_ms: 3_000,
    ..QuicLimits::STANDARD
};

impl Context {
    /// Opens the store of a home and starts a node on it.
    pub(crate) async fn open(home: Home, network: Network) -> Result<Self, Failure> {
        let keys = Arc::new(home.keys()?);
        let (config, peers) = (home.config()?, home.peers()?);
        let policy = policy::read_home(&home);
        let in_force = match network {
            // Nothing is shared, and what was settled by these rules is told.
            Network::None => policy.clone().unwrap_or_default(),
            Network::Dials | Network::Listens => policy.clone()?,
        };
        let strategies = match network {
            // Whoever gives a command has decided when.
            Network::None | Network::Dials => FactSynchronizationModel::new(),
            Network::Listens => in_force.model(),
        };
        let blocking: Arc<dyn causality_store::Executor> = Arc::new(|job| {
            tokio::task::spawn_blocking(job);
        });
        let opened = home.clone();
        let opened = tokio::task::spawn_blocking(move || opened.open_store(blocking)).await;
        let store = Arc::new(opened.map_err(|error| Failure::new(ExitCode::Other, error))??);
        let transport = match network {
            Network::None => None,
            Network::Dials => Some(dialler(&keys.transport_secret()).await?),
            Network::Listens => {
                let limits = QuicLimits::STANDARD;
                Some(bind(&keys.transport_secret(), &config.listen, limits).await?)
            }
        };
        let node = Node::start(NodeConfig {
            keys,
            store: Arc::clone(&store) as Arc<dyn causality_store::FactStore>,
            transport,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            peers: peers.iter().cloned().map(PeerConfig::from).collect(),
            policies: in_force.policies,
            strategies,
            limits: Limits::STANDARD,
        })
        .await?;
        Ok(Self {
            home,
            config,
            node,
            store,
            network,
            peers: Mutex::new(peers),
            policy: Mutex::new(policy),
        })
    }

    /// Ends the node and closes the store.
    pub(crate) async fn close(&self) {
        self.node.shutdown().await;
        // Everything acknowledged is durable already; an unclean end only costs the next start a longer look.
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }

    /// The peers; whoever holds them is the only one to change them.
    pub(crate) async fn peers(&self) -> MutexGuard<'_, Vec<Peer>> {
        self.peers.lock().await
    }

    /// What the policy file says, as it is in force if anything is.
    pub(crate) async fn policy(&self) -> Result<PolicyFile, Failure> {
        self.policy.lock().await.clone()
    }

    /// Brings another policy into force.
    pub(crate) async fn set_policy(&self, policy: PolicyFile) -> Result<(), Failure> {
        let mut held = self.policy.lock().await;
        self.node.set_policies(policy.policies.clone()).await?;
        self.node.set_strategies(policy.model()).await?;
        *held = Ok(policy);
        Ok(())
    }

    /// The domain that a name or id means: this one, a peer, or any other by its id.
    pub(crate) async fn origin(&self, said: &str) -> Result<DomainId, Failure> {
        let held = self.node.status().await?.logs;
        name::origin(
            (self.node.domain(), &self.config),
            &self.peers().await,
            held.keys().map(|log| log.origin),
            said,
        )
    }

    /// The compartments that are known here: those of peers, and those of which a log was ever held.
    pub(crate) async fn compartments(&self, peers: &[Peer]) -> Result<BTreeSet<String>, Failure> {
        let mut names = self.node.registry().compartments().await?;
        let granted = peers.iter().flat_map(|peer| [&peer.send, &peer.receive]);
        names.extend(granted.flatten().cloned());
        Ok(names)
    }

    /// What a domain is called here: this one, or a peer.
    pub(crate) async fn name_of(&self, domain: DomainId) -> Option<String> {
        if domain == self.node.domain() {
            return Some(self.config.name.clone());
        }
        let peers = self.peers().await;
        peers
            .iter()
            .find(|peer| peer.id == domain)
            .map(|peer| peer.name.clone())
    }
}

async fn dialler(secret: &[u8; 32]) -> Result<Arc<dyn CrossDomainTransport>, Failure> {
    let mut bound = Err(Failure::new(ExitCode::Other, "this machine has no network"));
    for address in DIAL_FROM {
        bound = bind(secret, address, DIALLER_LIMITS).await;
        if bound.is_ok() {
            break;
        }
    }
    bound
}

async fn bind(
    secret: &[u8; 32],
    address: &str,
    limits: QuicLimits,
) -> Result<Arc<dyn CrossDomainTransport>, Failure> {
    let entropy = SystemEntropy;
    let randomness = Randomness::new(move || {
        let mut drawn = [0; 32];
        causality_node::Entropy::generator(&entropy).fill_bytes(&mut drawn);
        drawn
    });
    let secret = TransportSecret::from_bytes(*secret);
    let config = QuicConfig::new(secret, limits, randomness)
        .map_err(|error| Failure::new(ExitCode::Other, error))?;
    let transport = QuicTransport::bind(config, address).await.map_err(|error| {
        let failure = Failure::new(ExitCode::Other, &error);
        match error {
            TransportError::BindFailed { .. } => failure
                .advise("another program may have the port; `listen` in the home's config.toml names it"),
            _ => failure,
        }
    })?;
    Ok(Arc::new(transport))
}

impl Request {
    /// What a process that executes it by itself needs of the network.
    pub(crate) fn network(&self) -> Network {
        match self {
            Self::Sync { .. } => Network::Dials,
            _ => Network::None,
        }
    }
}

/// Executes a request. `input` is the streamed input of those that have one. Everything that comes of it goes to
/// `replies`, [`Reply::Done`] last; what was done only in part says both `Done` and a failure.
///
/// # Errors
///
/// The failure of the command, with the exit code and the sentence for its user.
pub(crate) async fn handle(
    context: &Context,
    request: Request,
    input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    match request {
        Request::Status => status::status(context, replies).await,
        Request::Metrics => metrics::metrics(context, replies).await,
        Request::Receipts { peer } => receipts::receipts(context, peer, replies).await,
        Request::PeerTicket { address } => peers::ticket(context, address, replies).await,
        Request::PeerAdd {
            ticket,
            name,
            send,
            receive,
        } => peers::add(context, &ticket, name, (send, receive), replies).await,
        Request::PeerList => peers::list(context, replies).await,
        Request::PeerRemove { peer } => peers::remove(context, &peer, replies).await,
        Request::Import(options) => import::import(context, options, input, replies).await,
        Request::Export(options) => export::export(context, options, replies).await,
        Request::FactList { options, received } => {
            facts::list(context, options, received, replies).await
        }
        Request::FactShow { id } => facts::show(context, &id, replies).await,
        Request::FactVerify { id } => facts::verify(context, &id, replies).await,
        Request::FactVerifyAll => facts::verify_all(context, replies).await,
        Request::FactProve { id } => facts::prove(context, &id, replies).await,
        Request::Sync { peer, direction } => {
            synchronise::sync(context, &peer, direction, replies).await
        }
        Request::Digest { origin } => digest(context, origin, replies).await,
        Request::PolicyCheck { file } => policy::check(context, file, input, replies).await,
        Request::PolicyShow { peer } => policy::show(context, peer, replies).await,
        Request::PolicyReload { anyway } => policy::reload(context, anyway, replies).await,
        Request::Explain { fact, peer } => explain::explain(context, &fact, &peer, replies).await,
        Request::StoreCheck => copies::check(context, replies).await,
        Request::StoreBackup { file } => copies::backup(context, &file, replies).await,
    }
}

/// Sends a reply; fails once nobody takes them any more, which ends the command.
pub(crate) async fn send(replies: &mpsc::Sender<Reply>, reply: Reply) -> Result<(), Failure> {
    replies.send(reply).await.map_err(|_| nobody_listens())
}

/// Sends the result that ends a command.
pub(crate) async fn done(replies: &mpsc::Sender<Reply>, summary: Summary) -> Result<(), Failure> {
    send(replies, Reply::Done(summary)).await
}

async fn digest(
    context: &Context,
    origin: Option<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let origin = match origin {
        Some(said) => Some(context.origin(&said).await?),
        None => None,
    };
    let digest = context.node.registry().digest(origin).await?;
    let logs = digest.logs.into_iter().map(|log| DigestLog {
        origin: log.origin.to_string(),
        compartment: log.compartment_name,
        lane: log.lane.to_string(),
        size: log.size,
        root: log.root.to_string(),
        held: log.held,
        held_digest: data_encoding::HEXLOWER.encode(&log.held_digest),
    });
    let summary = DigestSummary {
        logs: logs.collect(),
        digest: data_encoding::HEXLOWER.encode(&digest.digest),
    };
    done(replies, Summary::Digest(summary)).await
}
