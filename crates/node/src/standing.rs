//! Where a domain and its peers stand: what is held of each log, how far peers have it, and what is missing and why.

use causality_fact::ConvergenceReceipt;
use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::FactId;
use causality_fact::Hlc;
use causality_fact::KeptBack;
use causality_fact::KeyLog;
use causality_fact::LogId;
use causality_fact::RowCore;
use causality_fact::leaf_hash;
use causality_store::Place;
use causality_sync::Completeness;
use causality_sync::Engine;
use causality_sync::SyncMetrics;
use causality_sync::SyncStatus;

use crate::error::NodeError;
use crate::node::Node;

/// What is held of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogHoldings {
    /// The log.
    pub log: LogId,
    /// What this domain calls its compartment.
    pub compartment: String,
    /// Of how many positions at least a hash is held.
    pub size: u64,
    /// Of how many a fact is held in part.
    pub partial: u64,
    /// Of how many a hash only.
    pub hidden: u64,
    /// Whether that is all that this domain may have, and who says so.
    pub completeness: Completeness,
}

/// How far a peer is with a log that it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// The peer.
    pub peer: DomainId,
    /// The log.
    pub log: LogId,
    /// What the peer has not confirmed; `None` if it never said how far it is since this node began, and nothing was kept
    /// of earlier sessions.
    pub unconfirmed: Option<Unconfirmed>,
    /// How many positions of the log the peer holds that this domain knows nothing of yet.
    pub missing_here: u64,
}

/// Facts of which a peer has not confirmed that it holds or refuses them, or that they are kept back from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unconfirmed {
    /// How many.
    pub facts: u64,
    /// When the oldest of them was said; `None` if there are none, or it cannot be read.
    pub oldest: Option<Hlc>,
    /// Whether the peer wants the log. Otherwise nothing is sent.
    pub is_wanted: bool,
}

/// What is known of a position of which not all is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hole {
    /// What this domain calls the compartment.
    pub compartment: String,
    /// Whether a part of the fact is held, and not a hash only.
    pub is_partial: bool,
    /// Which peers said what of it.
    pub sources: Vec<(DomainId, Kept)>,
}

/// What a peer says of a fact that it keeps back, or this domain of one that it did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kept {
    /// The rules of this domain did not take it from the peer.
    Declined,
    /// The peer will show it when a time has come.
    Deferred,
    /// The peer shows some fields.
    Partial,
    /// The peer does not show it.
    Withheld,
}

impl Node {
    /// What is held of each log, in the order of their ids.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn holdings(&self) -> Result<Vec<LogHoldings>, NodeError> {
        let look = |engine: &Engine| {
            let logs = engine.logs().filter_map(|(log, size)| {
                let (hidden, partial) = engine.holes(log)?;
                Some(LogHoldings {
                    log: *log,
                    compartment: compartment(engine, log),
                    size,
                    partial: partial.len(),
                    hidden: hidden.len(),
                    completeness: engine.completeness(log),
                })
            });
            logs.collect()
        };
        self.registry().inspect(look).await
    }

    /// What the protocol has counted of its peers since the node started, or its store failed last.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn metrics(&self) -> Result<SyncMetrics, NodeError> {
        self.registry()
            .inspect(|engine| engine.metrics().clone())
            .await
    }

    /// What this domain and a peer have signed about what their exchanges led to, as far as it is kept.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn receipts(&self, peer: DomainId) -> Result<Vec<ConvergenceReceipt>, NodeError> {
        let look = move |engine: &Engine| engine.receipts(peer).cloned().collect();
        self.registry().inspect(look).await
    }

    /// The keys of a domain: this one, or one that proved who it is or whose facts are held.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn key_log(&self, domain: DomainId) -> Result<Option<KeyLog>, NodeError> {
        let look = move |engine: &Engine| engine.key_log(domain).cloned();
        self.registry().inspect(look).await
    }

    /// How far each peer is with each log that it may have, peer by peer.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn lags(&self) -> Result<Vec<Lag>, NodeError> {
        let peers = self.messenger().peers();
        let look = move |engine: &Engine| {
            let peers = peers.iter().map(|peer| peer.domain);
            let lags = peers.flat_map(|peer| {
                let logs = engine
                    .logs()
                    .filter(move |(log, _)| engine.may_send(peer, log));
                logs.map(move |(log, size)| lag(engine, peer, log, size))
            });
            lags.collect::<Vec<_>>()
        };
        let mut lags = Vec::new();
        for (mut lag, oldest) in self.registry().inspect(look).await? {
            if let (Some(unconfirmed), Some(position)) = (&mut lag.unconfirmed, oldest) {
                unconfirmed.oldest = self.said_at(&lag.log, position).await?;
            }
            lags.push(lag);
        }
        Ok(lags)
    }

    /// When the fact at a position was said.
    async fn said_at(&self, log: &LogId, position: u64) -> Result<Option<Hlc>, NodeError> {
        let entries = self.registry().store().at(log, &[position], 1).await?;
        let entry = entries.first().map(|entry| entry.entry(log.origin));
        let Some(Entry::Row(row)) = entry.transpose()? else {
            return Ok(None);
        };
        Ok(match row.core() {
            RowCore::Known(core) => Some(core.hlc),
            RowCore::Unsupported(_) => None,
        })
    }

    /// What became of the fact at a place at a peer; `None` if nothing is known of how far the peer has its log.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn sync_status(
        &self,
        peer: DomainId,
        place: Place,
    ) -> Result<Option<SyncStatus>, NodeError> {
        let look = move |engine: &Engine| {
            let progress = engine.progress(peer, &place.log)?;
            Some(progress.status(place.position))
        };
        self.registry().inspect(look).await
    }

    /// The place of a fact of which a hash only is held.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn find_hole(&self, id: FactId) -> Result<Option<Place>, NodeError> {
        let wanted = leaf_hash(&id);
        let look = |engine: &Engine| {
            let logs = engine.logs().filter_map(|(log, _)| {
                let (hidden, _) = engine.holes(log)?;
                Some((*log, hidden.runs().collect::<Vec<_>>()))
            });
            logs.collect::<Vec<_>>()
        };
        for (log, runs) in self.registry().inspect(look).await? {
            for mut run in runs {
                while !run.is_empty() {
                    let leaves = self.registry().store().leaves(&log, run.clone()).await?;
                    let found = leaves.iter().find(|(_, hash)| *hash == wanted);
                    if let Some((subtree, _)) = found {
                        let position = subtree.start();
                        return Ok(Some(Place { log, position }));
                    }
                    // The hash of a row has gone for a fact of which there is one now.
                    let Some((last, _)) = leaves.last() else {
                        break;
                    };
                    run.start = last.range_in(u64::MAX).end;
                }
            }
        }
        Ok(None)
    }

    /// What is known of a place of which not all is held; `None` if all is, or nothing.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn hole(&self, place: Place) -> Result<Option<Hole>, NodeError> {
        let peers = self.messenger().peers();
        let look = move |engine: &Engine| {
            let Place { log, position } = place;
            let (hidden, partial) = engine.holes(&log)?;
            let is_partial = partial.contains(position);
            (is_partial || hidden.contains(position)).then(|| {
                let said = |peer: DomainId| Some((peer, kept(engine, peer, place)?));
                let peers = peers.iter().map(|peer| peer.domain);
                Hole {
                    compartment: compartment(engine, &log),
                    is_partial,
                    sources: peers.filter_map(said).collect(),
                }
            })
        };
        self.registry().inspect(look).await
    }
}

fn compartment(engine: &Engine, log: &LogId) -> String {
    let name = engine.compartment_name(log.compartment);
    name.unwrap_or_default().to_owned()
}

/// How far a peer is with a log, and the first position that it has not confirmed.
fn lag(engine: &Engine, peer: DomainId, log: &LogId, size: u64) -> (Lag, Option<u64>) {
    let progress = engine.progress(peer, log);
    let unconfirmed = progress
        .as_ref()
        .map(|progress| (progress.is_wanted, engine.unconfirmed(log, progress)));
    let oldest = unconfirmed
        .as_ref()
        .and_then(|(_, positions)| positions.runs().next());
    let lag = Lag {
        peer,
        log: *log,
        unconfirmed: unconfirmed.map(|(is_wanted, positions)| Unconfirmed {
            facts: positions.len(),
            oldest: None,
            is_wanted,
        }),
        missing_here: progress.map_or(0, |progress| progress.reach.saturating_sub(size)),
    };
    (lag, oldest.map(|run| run.start))
}

/// What a peer says of a place, or what was decided here of what it showed.
fn kept(engine: &Engine, peer: DomainId, place: Place) -> Option<Kept> {
    let Place { log, position } = place;
    if engine
        .declined(peer, &log)
        .is_some_and(|declined| declined.contains(position))
    {
        return Some(Kept::Declined);
    }
    let (_, said) = engine.kept_by(peer, &log)?;
    let KeptBack {
        withheld,
        deferred,
        partial,
    } = said;
    let sets = [
        (withheld, Kept::Withheld),
        (deferred, Kept::Deferred),
        (partial, Kept::Partial),
    ];
    let found = sets.into_iter().find(|(set, _)| set.contains(position));
    found.map(|(_, kept)| kept)
}
