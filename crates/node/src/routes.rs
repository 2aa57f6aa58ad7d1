//! When and how peers are brought up to date: performs what strategies plan.
//!
//! Of the peers for which there is a strategy this task decides when an exchange begins. It watches what occurs in the
//! node, asks the strategies, and waits. Each exchange is a round of catching up like any other.

mod route;

use causality_fact::CompartmentId;
use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::LogId;
use causality_fact::Row;
use causality_store::FactStore;
use causality_store::StoreError;
use causality_strategy::Decision;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::Party;
use causality_strategy::Subject;
use causality_sync::Direction;
use causality_sync::PeerPolicies;
use causality_sync::Side;
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::driver::Command;
use crate::driver::Look;
use crate::driver::View;
use crate::error::NodeError;
use crate::events::NodeEvent;
use crate::events::NodeEvents;
use crate::messenger::Rules;
use crate::node::Machine;
use crate::synchronizer::FactSynchronizer;
use crate::synchronizer::SyncReport;
use route::Asking;
use route::Route;

/// How many bytes of rows are read at once when a log has grown.
const SCAN_BYTES: usize = 1 << 20;
/// How long the task waits at least and at most before it looks at the clock again, which may be set meanwhile.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether there is a strategy for the exchanges with a peer.
pub(crate) fn is_routed(model: &FactSynchronizationModel, own: DomainId, peer: &Party<'_>) -> bool {
    let asking = Asking {
        model,
        source: nameless(own),
        target: *peer,
        now_ms: 0,
        random: 0,
    };
    asking.is_answered()
}

/// This domain has no name in its own address book.
fn nameless(domain: DomainId) -> Party<'static> {
    Party { domain, name: None }
}

/// The task that performs what strategies plan.
pub(crate) struct Router {
    own: DomainId,
    store: Arc<dyn FactStore>,
    clock: Arc<dyn Clock>,
    random: Box<dyn CryptoRng + Send>,
    synchronizer: FactSynchronizer,
    commands: mpsc::Sender<Command>,
    rules: Rules,
    policies: BTreeMap<DomainId, PeerPolicies>,
    routes: BTreeMap<DomainId, Route>,
    exchanges: JoinSet<(DomainId, Result<SyncReport, NodeError>)>,
    /// Up to where each log was looked at.
    seen: BTreeMap<LogId, u64>,
    compartments: BTreeMap<CompartmentId, String>,
    /// When rules change by themselves, or a volume is free again; and the last such time that has come.
    opens_ms: Option<u64>,
    opened_ms: u64,
}

impl Router {
    pub(crate) fn new(
        own: DomainId,
        machine: &Machine,
        synchronizer: FactSynchronizer,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self {
            own,
            store: Arc::clone(&machine.store),
            clock: Arc::clone(&machine.clock),
            random: machine.entropy.generator(),
            synchronizer,
            commands,
            rules: Rules::default(),
            policies: BTreeMap::new(),
            routes: BTreeMap::new(),
            exchanges: JoinSet::new(),
            seen: BTreeMap::new(),
            compartments: BTreeMap::new(),
            opens_ms: None,
            opened_ms: 0,
        }
    }

    /// Runs until the node has stopped.
    pub(crate) async fn run(mut self, mut changes: watch::Receiver<Rules>, mut events: NodeEvents) {
        let Some(sizes) = sizes(&self.commands).await else {
            return;
        };
        self.seen = sizes;
        let rules = changes.borrow_and_update().clone();
        self.take_rules(rules);
        loop {
            self.begin_due();
            let wait = self.wait();
            tokio::select! {
                biased;
                () = self.commands.closed() => return,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let rules = changes.borrow_and_update().clone();
                    self.take_rules(rules);
                    self.look_for_openings().await;
                }
                Some(Ok((peer, result))) = self.exchanges.join_next() => {
                    self.ended(peer, &result);
                    self.look_for_openings().await;
                }
                event = events.next() => match event {
                    Some(event) => self.event(event).await,
                    None => return,
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    let now_ms = self.clock.now_ms();
                    if let Some(opens_ms) = self.opens_ms.take_if(|at| *at <= now_ms) {
                        self.opened_ms = opens_ms;
                        self.anything(|_, _| true);
                        self.look_for_openings().await;
                    }
                }
            }
        }
    }

    /// Other peers, policies or strategies than before: whoever may have more gets it.
    fn take_rules(&mut self, rules: Rules) {
        let parties = rules.peers.values().map(|peer| {
            let policies = peer.policies(&rules.policies, self.own);
            (peer.domain, policies)
        });
        self.policies = parties.collect();
        let is_routed = |peer: &DomainId| {
            let peer = rules.peers.get(peer);
            peer.is_some_and(|peer| !peer.addresses.is_empty() && rules.routes(self.own, peer))
        };
        self.routes.retain(|peer, _| is_routed(peer));
        for peer in rules.peers.keys().filter(|peer| is_routed(peer)) {
            self.routes.entry(*peer).or_default();
        }
        self.rules = rules;
        self.anything(|_, _| true);
    }

    async fn event(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Grown { log, size, from } => self.grown(log, size, from).await,
            NodeEvent::Missed(_) => {
                for (log, size) in sizes(&self.commands).await.unwrap_or_default() {
                    self.grown(log, size, None).await;
                }
                self.anything(|_, _| true);
            }
            NodeEvent::Revealed { log, .. } => {
                let Some(name) = self.compartment(log.compartment).await else {
                    return;
                };
                self.anything(|policies, now_ms| {
                    policies.outward.shares_compartment(&name, now_ms)
                });
            }
            NodeEvent::CaughtUp { peer, .. }
            | NodeEvent::SessionBegan {
                peer,
                side: Side::Acceptor,
            } => self.with_route(peer, |route, asking| route.reached(asking)),
            _ => {}
        }
    }

    /// A log has grown: what is new in it may be what a strategy waits for.
    async fn grown(&mut self, log: LogId, size: u64, from: Option<DomainId>) {
        let seen = self.seen.entry(log).or_default();
        let mut at = std::mem::replace(seen, size.max(*seen));
        // Whoever gave it, or said it, has it.
        let concerns = |peer: &DomainId| *peer != log.origin && Some(*peer) != from;
        if at >= size || !self.routes.keys().any(concerns) {
            return;
        }
        let Some(name) = self.compartment(log.compartment).await else {
            return;
        };
        while at < size {
            match facts(&*self.store, &log, &mut at, size).await {
                Ok(rows) => {
                    let peers: Vec<_> = self.routes.keys().copied().filter(concerns).collect();
                    for peer in peers {
                        self.occurred(peer, log.origin, &name, &rows);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, %log, "what is new cannot be read");
                    return self.anything(|_, _| true);
                }
            }
        }
    }

    /// Facts occurred: asks what that means for a peer, as far as it may have them.
    fn occurred(&mut self, peer: DomainId, origin: DomainId, compartment: &str, rows: &[Row]) {
        let Some(policies) = self.policies.get(&peer).cloned() else {
            return;
        };
        let now_ms = self.clock.now_ms();
        let may_have = |row: &&Row| {
            let subject = Subject {
                origin,
                compartment,
                row,
            };
            let decision = policies.outward.should_synchronize_fact(&subject, now_ms);
            matches!(decision, Decision::Share(_))
        };
        self.with_route(peer, |route, asking| {
            for row in rows.iter().filter(may_have) {
                match row.fact() {
                    Some(fact) => route.fact(asking, &fact),
                    // Of a version that cannot be read yet: it travels all the same.
                    None => route.anything(asking),
                }
            }
        });
    }

    /// There may be something for peers whose policies say so.
    fn anything(&mut self, concerns: impl Fn(&PeerPolicies, u64) -> bool) {
        let now_ms = self.clock.now_ms();
        let concerned = self.policies.iter();
        let concerned = concerned.filter(|(_, policies)| concerns(policies, now_ms));
        let peers: Vec<_> = concerned.map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.with_route(peer, |route, asking| route.anything(asking));
        }
    }

    fn with_route(&mut self, peer: DomainId, ask: impl FnOnce(&mut Route, &Asking<'_>)) {
        let (Some(route), Some(config)) = (self.routes.get_mut(&peer), self.rules.peers.get(&peer))
        else {
            return;
        };
        let asking = Asking {
            model: &self.rules.strategies,
            source: nameless(self.own),
            target: config.party(),
            now_ms: self.clock.now_ms(),
            random: self.random.next_u64(),
        };
        ask(route, &asking);
    }

    /// Begins the exchanges whose time has come.
    fn begin_due(&mut self) {
        let now_ms = self.clock.now_ms();
        for (peer, route) in &mut self.routes {
            let Some(due) = route.begin(now_ms) else {
                continue;
            };
            let (synchronizer, peer) = (self.synchronizer.clone(), *peer);
            let name = self.rules.peers.get(&peer).map(|peer| peer.name.clone());
            let (strategy, trigger) = (due.strategy, due.trigger);
            tracing::debug!(peer = name, strategy, trigger, "an exchange begins");
            self.exchanges.spawn(async move {
                let result = synchronizer
                    .sync_because(peer, Direction::Both, trigger.as_deref(), &mut |_| {})
                    .await;
                match &result {
                    Ok(SyncReport {
                        facts_sent: sent,
                        facts_received: received,
                        ..
                    }) => tracing::info!(peer = name, strategy, trigger, sent, received, "exchanged"),
                    Err(error) => {
                        tracing::info!(peer = name, strategy, trigger, %error, "an exchange failed");
                    }
                }
                (peer, result)
            });
        }
    }

    fn ended(&mut self, peer: DomainId, result: &Result<SyncReport, NodeError>) {
        let report = result.as_ref().ok();
        let facts = report.map(|report| (report.facts_sent, report.facts_received));
        self.with_route(peer, |route, asking| route.ended(asking, facts));
    }

    /// How long until something is to be done, unless something happens before.
    fn wait(&self) -> Option<Duration> {
        let due = self.routes.values().filter_map(Route::due_ms);
        let at_ms = due.chain(self.opens_ms).min()?;
        let wait = Duration::from_millis(at_ms.saturating_sub(self.clock.now_ms()));
        Some(wait.clamp(WAIT_MIN, WAIT_MAX))
    }

    /// Without a session nobody else sends what a time has opened.
    async fn look_for_openings(&mut self) {
        let opened_ms = self.opened_ms;
        let wakes_at = look(&self.commands, |View { engine, .. }| engine.wakes_at()).await;
        self.opens_ms = wakes_at.flatten().filter(|at| *at > opened_ms);
    }

    async fn compartment(&mut self, id: CompartmentId) -> Option<String> {
        if let Some(name) = self.compartments.get(&id) {
            return Some(name.clone());
        }
        let name =
            move |View { engine, .. }: View<'_>| engine.compartment_name(id).map(str::to_owned);
        let name = look(&self.commands, name).await.flatten()?;
        self.compartments.insert(id, name.clone());
        Some(name)
    }
}

/// The logs that are held, and how far.
async fn sizes(commands: &mpsc::Sender<Command>) -> Option<BTreeMap<LogId, u64>> {
    let sizes = |View { engine, .. }: View<'_>| {
        let logs = engine.logs();
        logs.map(|(log, size)| (*log, size)).collect()
    };
    look(commands, sizes).await
}

/// Reads on in a log: the facts of which something is held there.
async fn facts(
    store: &dyn FactStore,
    log: &LogId,
    at: &mut u64,
    size: u64,
) -> Result<Vec<Row>, StoreError> {
    let entries = store.scan(log, *at..size, SCAN_BYTES).await?;
    *at = entries.last().map_or(size, |last| last.range().end);
    let mut rows = Vec::with_capacity(entries.len());
    for entry in &entries {
        if let Entry::Row(row) = entry.entry(log.origin)? {
            rows.push(row);
        }
    }
    Ok(rows)
}

async fn look<T: Send + 'static>(
    commands: &mpsc::Sender<Command>,
    look: impl FnOnce(View<'_>) -> T + Send + 'static,
) -> Option<T> {
    let (answer, seen) = oneshot::channel();
    let look = move |view: View<'_>| drop(answer.send(look(view)));
    let command = Command::Inspect(Look(Box::new(look)));
    commands.send(command).await.ok()?;
    seen.await.ok()
}
