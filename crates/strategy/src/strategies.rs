//! The strategies that come with the crate: push, pull, both, and on events.

use causality_fact::FactFilter;
use causality_fact::TemporalFact;
use causality_fact::Truth;

use crate::context::SyncContext;
use crate::context::SyncMode;
use crate::model::SyncPlan;
use crate::model::SyncStrategy;
use crate::model::SyncView;
use crate::model::When;
use crate::retry::RetryPolicy;
use crate::retry::backoff_ms;
use crate::retry::next_batch;

/// What each strategy has: its name, what it moves, and how it goes about failures.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct Manner {
    /// What it is called.
    pub id: String,
    /// Which of the facts that the policies permit it moves; `None` for all of them.
    pub scope: Option<FactFilter>,
    /// The most facts of a batch.
    pub batch_facts_max: u32,
    /// How it tries again.
    pub retry: RetryPolicy,
}

impl Manner {
    /// A plan to go `mode` at the time that `otherwise` says, or after failures when the retry policy says.
    fn plan(&self, view: &SyncView<'_>, mode: SyncMode, otherwise: When) -> SyncPlan<'_> {
        let when = match self.retry.delay_ms(view.failures, view.random) {
            _ if view.failures == 0 => otherwise,
            Some(delay) => {
                let last = view.last_ms.unwrap_or(view.now_ms);
                When::at(last.saturating_add(delay), view.now_ms)
            }
            None => When::OnRequest,
        };
        SyncPlan {
            when,
            mode,
            scope: self.scope.as_ref(),
            batch_facts_max: next_batch(view.last_batch, self.batch_facts_max),
            retry: self.retry,
            trigger: None,
        }
    }
}

/// Sends what there is as soon as there is any. What occurs while a batch is under way goes with the next one.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct PushSyncStrategy {
    /// How.
    pub manner: Manner,
}

impl PushSyncStrategy {
    fn when(view: &SyncView<'_>) -> When {
        match view.waiting_since_ms {
            Some(_) => When::Now,
            None => When::OnTrigger,
        }
    }
}

impl SyncStrategy for PushSyncStrategy {
    fn id(&self) -> &str {
        &self.manner.id
    }

    fn applies_to(&self, context: &SyncContext<'_>) -> bool {
        context.mode == SyncMode::Push
    }

    fn plan<'a>(&'a self, view: &SyncView<'_>, _: &SyncContext<'_>) -> SyncPlan<'a> {
        self.manner.plan(view, SyncMode::Push, Self::when(view))
    }
}

/// How often to ask when nobody tells. The interval doubles with each time that brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct Polling {
    /// The interval while there is something new each time.
    pub interval_ms: u64,
    /// No interval is longer.
    pub interval_ms_max: u64,
}

impl Polling {
    fn when(&self, view: &SyncView<'_>) -> When {
        let Some(last) = view.last_ms else {
            return When::Now;
        };
        let interval = backoff_ms(self.interval_ms, self.interval_ms_max, view.idle);
        When::at(last.saturating_add(interval), view.now_ms)
    }
}

/// Asks now and then for what is new.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct PullSyncStrategy {
    /// How.
    pub manner: Manner,
    /// How often.
    pub polling: Polling,
}

impl SyncStrategy for PullSyncStrategy {
    fn id(&self) -> &str {
        &self.manner.id
    }

    fn applies_to(&self, context: &SyncContext<'_>) -> bool {
        context.mode == SyncMode::Pull
    }

    fn plan<'a>(&'a self, view: &SyncView<'_>, _: &SyncContext<'_>) -> SyncPlan<'a> {
        self.manner
            .plan(view, SyncMode::Pull, self.polling.when(view))
    }
}

/// Sends what there is at once, and asks now and then for what is new; both in one exchange.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct BidirectionalSyncStrategy {
    /// How.
    pub manner: Manner,
    /// How often to ask while there is nothing to send.
    pub polling: Polling,
}

impl SyncStrategy for BidirectionalSyncStrategy {
    fn id(&self) -> &str {
        &self.manner.id
    }

    fn applies_to(&self, context: &SyncContext<'_>) -> bool {
        context.mode == SyncMode::Bidirectional
    }

    fn plan<'a>(&'a self, view: &SyncView<'_>, _: &SyncContext<'_>) -> SyncPlan<'a> {
        let when = PushSyncStrategy::when(view).min(self.polling.when(view));
        self.manner.plan(view, SyncMode::Bidirectional, when)
    }
}

/// What an event-driven strategy waits for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct EventTrigger {
    /// What it is called; it travels with what it caused.
    pub id: String,
    /// Which facts fire it: a condition on type, resource, label and fields.
    pub on: FactFilter,
    /// How long to gather: what occurs so soon after the first fact goes together with it.
    pub debounce_ms: u64,
}

impl EventTrigger {
    /// Whether a fact fires it. What is withheld of the fact fires nothing.
    pub fn applies_to(&self, fact: &TemporalFact) -> bool {
        self.on.evaluate(fact) == Truth::True
    }
}

/// Synchronises when a fact occurs that one of its triggers waits for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct EventDrivenSyncStrategy {
    /// How.
    pub manner: Manner,
    /// What it waits for; the first that applies fires.
    pub triggers: Vec<EventTrigger>,
    /// The rate limit: so long after an exchange there is no other.
    pub pause_ms: u64,
}

impl SyncStrategy for EventDrivenSyncStrategy {
    fn id(&self) -> &str {
        &self.manner.id
    }

    fn applies_to(&self, context: &SyncContext<'_>) -> bool {
        context.mode == SyncMode::EventDriven
    }

    fn plan<'a>(&'a self, view: &SyncView<'_>, _: &SyncContext<'_>) -> SyncPlan<'a> {
        let fired = view.fact.and_then(|fact| {
            self.triggers
                .iter()
                .find(|trigger| trigger.applies_to(fact))
        });
        let when = fired.map_or(When::OnTrigger, |trigger| {
            let first = view.waiting_since_ms.unwrap_or(view.now_ms);
            let gathered = first.saturating_add(trigger.debounce_ms);
            let rested = view
                .last_ms
                .map_or(0, |last| last.saturating_add(self.pause_ms));
            When::at(gathered.max(rested), view.now_ms)
        });
        SyncPlan {
            trigger: fired.map(|trigger| trigger.id.as_str()),
            ..self.manner.plan(view, SyncMode::EventDriven, when)
        }
    }
}
