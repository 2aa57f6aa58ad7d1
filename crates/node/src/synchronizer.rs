//! Synchronising with peers: on request, and all the time.

use causality_fact::DomainId;
use causality_sync::Direction;
use causality_sync::SessionId;
use causality_sync::SyncError;
use causality_transport::Connection;
use causality_transport::ConnectionStats;
use causality_wire::GoodbyeReason;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::config::Limits;
use crate::config::PeerConfig;
use crate::driver::CaughtUp;
use crate::driver::Command;
use crate::driver::Look;
use crate::driver::RoundFailure;
use crate::driver::View;
use crate::error::NodeError;
use crate::messenger::CrossDomainMessenger;
use crate::messenger::Session;
use crate::messenger::closed_error;
use crate::problem::LogProblem;

/// How often a sync whose session was given up for another one is tried.
const TRIES: u32 = 3;

/// How often a synchronisation tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(10);

/// Brings this domain and its peers up to date with each other.
#[derive(Clone, Debug)]
pub struct FactSynchronizer {
    messenger: Arc<CrossDomainMessenger>,
    commands: mpsc::Sender<Command>,
    limits: Limits,
    /// Whether the node serves: then sessions stay, whoever opened them.
    serves: Arc<AtomicBool>,
}

/// What a synchronisation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct SyncReport {
    /// Facts sent and confirmed as durable.
    pub facts_sent: u64,
    /// Facts received and durable.
    pub facts_received: u64,
    /// UDP payload bytes sent, handshake included, probes of the path not.
    pub bytes_sent: u64,
    /// UDP payload bytes received.
    pub bytes_received: u64,
    /// UDP payload bytes that only probed the path.
    pub mtu_probe_bytes: u64,
    /// How often this side had to wait for an answer, after the Hello.
    pub round_trips: u32,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The logs that were not brought up to date.
    pub problems: Vec<LogProblem>,
}

impl FactSynchronizer {
    pub(crate) fn new(
        messenger: Arc<CrossDomainMessenger>,
        commands: mpsc::Sender<Command>,
        limits: Limits,
    ) -> Self {
        Self {
            messenger,
            commands,
            limits,
            serves: Arc::default(),
        }
    }

    /// From now on sessions stay open.
    pub(crate) fn keep_sessions(&self) {
        self.serves.store(true, Ordering::Relaxed);
    }

    /// Catches up with a peer: returns when all that either side owed the other when it began is durable there.
    /// Uses the session that is open; without one it dials, and ends the session when done, unless the node serves and has no
    /// strategy for the peer. The direction is that of a session which it makes for itself; others go both ways. `progress` is told how much
    /// went each way while it runs.
    ///
    /// # Errors
    ///
    /// When the peer is not known, cannot be reached, is somebody else, does not know this domain, or ends the session.
    pub async fn sync(
        &self,
        peer: DomainId,
        direction: Direction,
        mut progress: impl FnMut(&SyncReport) + Send,
    ) -> Result<SyncReport, NodeError> {
        self.sync_because(peer, direction, None, &mut progress)
            .await
    }

    /// The same, for the sake of a trigger that has fired.
    pub(crate) async fn sync_because(
        &self,
        peer: DomainId,
        direction: Direction,
        trigger: Option<&str>,
        progress: &mut (impl FnMut(&SyncReport) + Send),
    ) -> Result<SyncReport, NodeError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.sync_once(peer, direction, trigger, progress).await {
                // Of two sessions one goes: the other carries on.
                Err(NodeError::Goodbye {
                    reason: GoodbyeReason::Done,
                    ..
                }) if tries < TRIES => {}
                outcome => return outcome,
            }
        }
    }

    async fn sync_once(
        &self,
        peer: DomainId,
        direction: Direction,
        trigger: Option<&str>,
        progress: &mut (impl FnMut(&SyncReport) + Send),
    ) -> Result<SyncReport, NodeError> {
        let config = self
            .messenger
            .peer(peer)
            .ok_or(NodeError::PeerNotFound(peer))?;
        let serves = self.serves.load(Ordering::Relaxed);
        let direction = if serves { Direction::Both } else { direction };
        let started = tokio::time::Instant::now();
        let (session, before, is_own) = match self.open_session(peer).await? {
            Some(open) => {
                let before = open.connection.stats();
                (open, before, false)
            }
            None => match self.messenger.connect(&config, direction).await? {
                Some(session) => (session, ConnectionStats::default(), true),
                // Somebody else was faster.
                None => match self.open_session(peer).await? {
                    Some(open) => {
                        let before = open.connection.stats();
                        (open, before, false)
                    }
                    None => return Err(NodeError::TimedOut { peer: config.name }),
                },
            },
        };
        let counted = if is_own {
            (0, 0)
        } else {
            self.counts(session.id).await
        };
        let round = self.round(session.id, trigger).await?;
        tokio::pin!(round);
        let mut ticks = tokio::time::interval(PROGRESS_EVERY);
        let mut report = SyncReport::default();
        let result = loop {
            tokio::select! {
                biased;
                result = &mut round => break result,
                _ = ticks.tick() => {
                    let (sent, received) = self.counts(session.id).await;
                    report.facts_sent = sent.saturating_sub(counted.0);
                    report.facts_received = received.saturating_sub(counted.1);
                    progress(&report);
                }
            }
        };
        let CaughtUp {
            report: outcome,
            problems,
        } = match result {
            Ok(Ok(caught_up)) => caught_up,
            Ok(Err(RoundFailure::Store(error))) => return Err(error.into()),
            Ok(Err(RoundFailure::Ended(error))) => {
                return Err(self.ended(&config, &*session.connection, error).await);
            }
            Err(_) => return Err(NodeError::Stopped),
        };
        if is_own && (!serves || self.messenger.routes(&config)) {
            let end = Command::EndSession {
                session: session.id,
            };
            self.commands
                .send(end)
                .await
                .map_err(|_| NodeError::Stopped)?;
        }
        let after = session.connection.stats();
        let probes = after.mtu_probe_sent_bytes - before.mtu_probe_sent_bytes;
        Ok(SyncReport {
            facts_sent: outcome.facts_sent,
            facts_received: outcome.facts_received,
            bytes_sent: after.udp_sent_bytes - before.udp_sent_bytes - probes,
            bytes_received: after.udp_received_bytes - before.udp_received_bytes,
            mtu_probe_bytes: probes,
            round_trips: outcome.round_trips,
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            problems,
        })
    }

    /// Keeps a session with a peer that has an address: dials until there is one, and again when it is gone.
    pub(crate) async fn keep(self, peer: DomainId) {
        let (first, longest) = self.limits.redial;
        let mut pause = first;
        while let Some(config) = self
            .messenger
            .peer(peer)
            .filter(|c| !c.addresses.is_empty())
        {
            let Ok(open) = self.open_session(peer).await else {
                return;
            };
            let session = match open {
                Some(session) => Some(session),
                None => match self.messenger.connect(&config, Direction::Both).await {
                    Ok(session) => session,
                    Err(NodeError::Stopped) => return,
                    Err(error) => {
                        tracing::info!(peer = config.name, %error, "dialling again in {pause:?}");
                        None
                    }
                },
            };
            if let Some(session) = session {
                if let Ok(round) = self.round(session.id, None).await
                    && matches!(round.await, Ok(Ok(_)))
                {
                    tracing::info!(peer = config.name, "caught up, live");
                    pause = first;
                }
                session.connection.closed().await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn round(
        &self,
        session: SessionId,
        trigger: Option<&str>,
    ) -> Result<oneshot::Receiver<Result<CaughtUp, RoundFailure>>, NodeError> {
        let (answer, outcome) = oneshot::channel();
        let command = Command::StartRound {
            session,
            trigger: trigger.map(str::to_owned),
            answer,
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| NodeError::Stopped)?;
        Ok(outcome)
    }

    async fn open_session(&self, peer: DomainId) -> Result<Option<Session>, NodeError> {
        let (answer, open) = oneshot::channel();
        let look = move |View { sessions, .. }: View<'_>| {
            let open = sessions.with(peer);
            let session = open.map(|(id, open)| Session {
                id,
                connection: Arc::clone(&open.connection),
            });
            let _ = answer.send(session);
        };
        let command = Command::Inspect(Look(Box::new(look)));
        self.commands
            .send(command)
            .await
            .map_err(|_| NodeError::Stopped)?;
        open.await.map_err(|_| NodeError::Stopped)
    }

    /// How much has gone each way since the session began.
    async fn counts(&self, session: SessionId) -> (u64, u64) {
        let (answer, counts) = oneshot::channel();
        let look = move |View { engine, .. }: View<'_>| {
            let _ = answer.send(engine.session_counts(session));
        };
        if self
            .commands
            .send(Command::Inspect(Look(Box::new(look))))
            .await
            .is_err()
        {
            return (0, 0);
        }
        counts.await.ok().flatten().unwrap_or_default()
    }

    async fn ended(
        &self,
        peer: &PeerConfig,
        connection: &dyn Connection,
        error: SyncError,
    ) -> NodeError {
        let address = connection.remote_address();
        let name = peer.name.clone();
        match error {
            SyncError::Closed => {}
            SyncError::Goodbye(reason) => return NodeError::Goodbye { peer: name, reason },
            error => return NodeError::Session { peer: name, error },
        }
        match tokio::time::timeout(self.limits.hello, connection.closed()).await {
            Ok(causality_transport::TransportError::Closed) | Err(_) => {
                NodeError::Session { peer: name, error }
            }
            Ok(closed) => closed_error(peer, &address, closed),
        }
    }
}
