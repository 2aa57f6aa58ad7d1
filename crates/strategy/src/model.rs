//! Strategies and the router that finds one.

use causality_fact::FactFilter;
use causality_fact::TemporalFact;
use std::fmt;

use crate::context::SyncContext;
use crate::context::SyncContextKey;
use crate::context::SyncMode;
use crate::retry::RetryPolicy;

/// When and how a context is synchronised. A strategy plans; whoever asked performs.
///
/// A plan is a function of its arguments: the same view and context give the same plan.
pub trait SyncStrategy: fmt::Debug + Send + Sync {
    /// What it is called, in plans and explanations.
    fn id(&self) -> &str;

    /// Whether it wants a context for which its key already spoke. The router goes on to the next one if not.
    fn applies_to(&self, context: &SyncContext<'_>) -> bool;

    /// What to do now. It is asked when a fact occurs, and when an exchange ended. A plan for a time is performed then,
    /// without asking again; of two plans that were not performed yet, the earlier one is.
    fn plan<'a>(&'a self, view: &SyncView<'_>, context: &SyncContext<'_>) -> SyncPlan<'a>;
}

/// What a strategy may look at. Whoever asks keeps it for each peer.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller states all of it")]
pub struct SyncView<'a> {
    /// The time.
    pub now_ms: u64,
    /// Fresh random bits, for jitter.
    pub random: u64,
    /// The fact that occasions the question, if one does.
    pub fact: Option<&'a TemporalFact>,
    /// Since when something waits for the next exchange.
    pub waiting_since_ms: Option<u64>,
    /// When the last exchange ended, well or not.
    pub last_ms: Option<u64>,
    /// How many facts the last batch carried; 0 after a failure.
    pub last_batch: u32,
    /// How many exchanges in a row failed.
    pub failures: u32,
    /// How many exchanges in a row brought nothing.
    pub idle: u32,
}

/// What to do, when and how.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a strategy states all of it")]
pub struct SyncPlan<'a> {
    /// When.
    pub when: When,
    /// Which way.
    pub mode: SyncMode,
    /// Which of the facts that the policies permit; `None` for all of them.
    pub scope: Option<&'a FactFilter>,
    /// How many facts a batch may have.
    pub batch_facts_max: u32,
    /// What to do after failures.
    pub retry: RetryPolicy,
    /// The id of the trigger that fired, to travel along.
    pub trigger: Option<&'a str>,
}

/// When a plan is to be performed. Ordered: the smaller is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "at once, at a time, when something happens, or when somebody says so"
)]
pub enum When {
    /// At once.
    Now,
    /// At a time in the future.
    At(u64),
    /// When the next fact occurs.
    OnTrigger,
    /// When somebody asks for it.
    OnRequest,
}

impl When {
    /// At a time, or at once if that is over.
    pub fn at(time_ms: u64, now_ms: u64) -> Self {
        if time_ms <= now_ms {
            Self::Now
        } else {
            Self::At(time_ms)
        }
    }
}

/// The router: strategies under keys, the most specific key first, ties in the order in which they were added.
#[derive(Debug, Default)]
pub struct FactSynchronizationModel {
    routes: Vec<(SyncContextKey, Box<dyn SyncStrategy>)>,
}

impl FactSynchronizationModel {
    /// A router that knows no strategy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a strategy for the contexts that a key matches, behind those whose keys are as specific.
    pub fn add(&mut self, key: SyncContextKey, strategy: Box<dyn SyncStrategy>) {
        let specificity = key.specificity();
        let is_before = |(other, _): &(SyncContextKey, _)| other.specificity() >= specificity;
        let place = self.routes.partition_point(is_before);
        self.routes.insert(place, (key, strategy));
    }

    /// The first strategy whose key matches and that applies; `None` where nothing was said, and so nothing is done.
    pub fn get_strategy_for_context(&self, context: &SyncContext<'_>) -> Option<&dyn SyncStrategy> {
        let found = self
            .routes
            .iter()
            .find(|(key, strategy)| key.matches(context) && strategy.applies_to(context));
        found.map(|(_, strategy)| &**strategy)
    }

    /// The strategies that may be found for a context once it is known which fact it is about: all whose key matches and
    /// that apply, but for those before which another one always comes.
    pub fn strategies_for_context(&self, context: &SyncContext<'_>) -> Vec<&dyn SyncStrategy> {
        let mut found: Vec<&(SyncContextKey, Box<dyn SyncStrategy>)> = Vec::new();
        for route in &self.routes {
            let (key, strategy) = route;
            let is_behind = || found.iter().any(|(other, _)| other.cover_facts(key));
            if key.matches(context) && strategy.applies_to(context) && !is_behind() {
                found.push(route);
            }
        }
        found.into_iter().map(|(_, strategy)| &**strategy).collect()
    }
}
