//! What is known of the exchanges with one peer, and when the next one is due: what strategies plan, put together.

use causality_fact::FactFilter;
use causality_fact::TemporalFact;
use causality_fact::Truth;
use causality_strategy::About;
use causality_strategy::FactSynchronizationModel;
use causality_strategy::Party;
use causality_strategy::SyncContext;
use causality_strategy::SyncMode;
use causality_strategy::SyncPlan;
use causality_strategy::SyncStrategy;
use causality_strategy::SyncView;
use causality_strategy::When;
use std::collections::BTreeMap;

/// In each of them another strategy may be chosen.
const MODES: [SyncMode; 4] = [
    SyncMode::Bidirectional,
    SyncMode::EventDriven,
    SyncMode::Pull,
    SyncMode::Push,
];

/// The exchanges with one peer. Strategies decide; what they may look at is kept here.
#[derive(Debug, Default)]
pub(super) struct Route {
    waiting_since_ms: Option<u64>,
    last_ms: Option<u64>,
    last_batch: u32,
    failures: u32,
    idle: u32,
    due: Option<Due>,
    under_way: Option<UnderWay>,
    /// The exchange that failed last, until one goes well.
    failed: Option<Due>,
}

/// An exchange that is to take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at_ms: u64,
    /// The strategy that planned it.
    pub(super) strategy: String,
    /// The trigger that fired, if one did.
    pub(super) trigger: Option<String>,
}

/// An exchange that takes place.
#[derive(Debug)]
struct UnderWay {
    due: Due,
    waiting_since_ms: Option<u64>,
    /// For each strategy whose trigger fired meanwhile the first fact that made it: when that is due depends on when this
    /// exchange ends.
    fired: BTreeMap<String, TemporalFact>,
}

/// Whom to ask, and what about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) model: &'a FactSynchronizationModel,
    pub(super) source: Party<'a>,
    pub(super) target: Party<'a>,
    pub(super) now_ms: u64,
    pub(super) random: u64,
}

impl<'a> Asking<'a> {
    fn context(&self, mode: SyncMode, about: Option<About<'a>>) -> SyncContext<'a> {
        SyncContext {
            source: self.source,
            target: self.target,
            about,
            mode,
            auth: None,
        }
    }

    /// The strategies that may be chosen, each with the mode for which it is.
    fn all(&self) -> impl Iterator<Item = (&'a dyn SyncStrategy, SyncContext<'a>)> {
        MODES.into_iter().flat_map(|mode| {
            let context = self.context(mode, None);
            let found = self.model.strategies_for_context(&context).into_iter();
            found.map(move |strategy| (strategy, context))
        })
    }

    /// Whether there is a strategy for the exchanges at all.
    pub(super) fn is_answered(&self) -> bool {
        self.all().next().is_some()
    }
}

impl Route {
    /// A fact occurred that the peer may have.
    pub(super) fn fact(&mut self, asking: &Asking<'_>, fact: &TemporalFact) {
        for mode in MODES {
            let context = asking.context(mode, Some(About::of(fact.core())));
            if let Some(strategy) = asking.model.get_strategy_for_context(&context) {
                self.fact_for(asking, strategy, &context, fact);
            }
        }
    }

    fn fact_for(
        &mut self,
        asking: &Asking<'_>,
        strategy: &dyn SyncStrategy,
        context: &SyncContext<'_>,
        fact: &TemporalFact,
    ) {
        let view = SyncView {
            fact: Some(fact),
            waiting_since_ms: self.waiting_since_ms.or(Some(asking.now_ms)),
            ..self.view(asking)
        };
        let plan = strategy.plan(&view, context);
        let is_meant = |scope: &FactFilter| scope.evaluate(fact) == Truth::True;
        if plan.scope.is_some_and(|scope| !is_meant(scope)) || !waits(&plan) {
            return;
        }
        self.waiting_since_ms = view.waiting_since_ms;
        match &mut self.under_way {
            Some(under_way) if plan.trigger.is_some() => {
                let fired = under_way.fired.entry(strategy.id().to_owned());
                fired.or_insert_with(|| fact.clone());
            }
            _ => self.take(asking, strategy, &plan),
        }
    }

    /// There may be something for the peer, but nobody knows what.
    pub(super) fn anything(&mut self, asking: &Asking<'_>) {
        for (strategy, context) in asking.all() {
            let view = SyncView {
                waiting_since_ms: self.waiting_since_ms.or(Some(asking.now_ms)),
                ..self.view(asking)
            };
            let plan = strategy.plan(&view, &context);
            if waits(&plan) {
                self.waiting_since_ms = view.waiting_since_ms;
            }
            self.take(asking, strategy, &plan);
        }
    }

    /// The exchange that is due, which is under way from now on.
    pub(super) fn begin(&mut self, now_ms: u64) -> Option<Due> {
        if self.under_way.is_some() {
            return None;
        }
        let mut due = self.due.take_if(|due| due.at_ms <= now_ms)?;
        let failed = self.failed.take();
        due.trigger = due.trigger.or(failed.and_then(|failed| failed.trigger));
        self.under_way = Some(UnderWay {
            due: due.clone(),
            waiting_since_ms: self.waiting_since_ms.take(),
            fired: BTreeMap::new(),
        });
        Some(due)
    }

    /// The exchange that was under way has ended: how many facts went out and came in, if it went well.
    pub(super) fn ended(&mut self, asking: &Asking<'_>, facts: Option<(u64, u64)>) {
        let Some(under_way) = self.under_way.take() else {
            return;
        };
        self.last_ms = Some(asking.now_ms);
        match facts {
            Some((sent, received)) => {
                self.failures = 0;
                self.last_batch = u32::try_from(sent).unwrap_or(u32::MAX);
                self.idle = if received == 0 {
                    self.idle.saturating_add(1)
                } else {
                    0
                };
            }
            None => {
                self.failures = self.failures.saturating_add(1);
                self.last_batch = 0;
                self.waiting_since_ms = under_way.waiting_since_ms.or(self.waiting_since_ms);
                self.failed = Some(under_way.due);
            }
        }
        // What was planned meanwhile knew nothing of this end.
        self.due = None;
        for (strategy, context) in asking.all() {
            let fact = under_way.fired.get(strategy.id());
            let view = SyncView {
                fact,
                ..self.view(asking)
            };
            let about = fact.map(|fact| About::of(fact.core()));
            let plan = strategy.plan(&view, &SyncContext { about, ..context });
            self.take(asking, strategy, &plan);
        }
    }

    /// The peer was heard of: whatever failed before may go now.
    pub(super) fn reached(&mut self, asking: &Asking<'_>) {
        if let Some(failed) = &self.failed {
            self.failures = 0;
            self.due = Some(Due {
                at_ms: asking.now_ms,
                ..failed.clone()
            });
        }
    }

    /// When the next exchange begins, unless something happens before.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let due = self.due.as_ref().filter(|_| self.under_way.is_none());
        due.map(|due| due.at_ms)
    }

    fn view<'a>(&self, asking: &Asking<'_>) -> SyncView<'a> {
        SyncView {
            now_ms: asking.now_ms,
            random: asking.random,
            fact: None,
            waiting_since_ms: self.waiting_since_ms,
            last_ms: self.last_ms,
            last_batch: self.last_batch,
            failures: self.failures,
            idle: self.idle,
        }
    }

    /// Of two plans the earlier one is performed.
    fn take(&mut self, asking: &Asking<'_>, strategy: &dyn SyncStrategy, plan: &SyncPlan<'_>) {
        let at_ms = match plan.when {
            When::Now => asking.now_ms,
            When::At(at_ms) => at_ms,
            When::OnTrigger | When::OnRequest => return,
        };
        if self.due.as_ref().is_none_or(|due| at_ms < due.at_ms) {
            self.due = Some(Due {
                at_ms,
                strategy: strategy.id().to_owned(),
                trigger: plan.trigger.map(str::to_owned),
            });
        }
    }
}

/// Whether what occasioned a plan waits for its exchange. Nothing waits to be asked for, nor for a trigger that did not fire.
fn waits(plan: &SyncPlan<'_>) -> bool {
    match plan.mode {
        SyncMode::Bidirectional | SyncMode::Push => true,
        SyncMode::EventDriven => plan.trigger.is_some(),
        SyncMode::Pull => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::ContentHash;
    use causality_fact::DomainId;
    use causality_fact::FactCore;
    use causality_fact::FactType;
    use causality_fact::Hlc;
    use causality_fact::Onward;
    use causality_fact::References;
    use causality_fact::Seed;
    use causality_fact::ValidTime;
    use causality_fact::WholeContent;
    use causality_strategy::PolicyFile;

    fn fact() -> TemporalFact {
        let core = FactCore {
            onward: Onward::Audience,
            label: causality_fact::Label::default(),
            origin: DomainId::new([1; 32]),
            fact_type: FactType::Observation,
            resource: "event/1".parse().unwrap(),
            aspect: causality_fact::Aspect::default(),
            hlc: Hlc::from_millis(1),
            valid: ValidTime::since(0),
            requires: References::default(),
            supersedes: References::default(),
            content_root: ContentHash::new([0; 32]),
        };
        let content = WholeContent::new(Seed::new([7; 16]), BTreeMap::new()).unwrap();
        TemporalFact::new(core, content).unwrap()
    }

    /// A route, and what asks about it at a time.
    struct Story {
        model: FactSynchronizationModel,
        route: Route,
    }

    impl Story {
        fn new(strategies: &str) -> Self {
            Self {
                model: PolicyFile::parse(strategies).unwrap().model(),
                route: Route::default(),
            }
        }

        fn at(&mut self, now_ms: u64, ask: impl FnOnce(&mut Route, &Asking<'_>)) {
            let party = |id| Party {
                domain: DomainId::new([id; 32]),
                name: None,
            };
            let asking = Asking {
                model: &self.model,
                source: party(1),
                target: party(2),
                now_ms,
                random: 0,
            };
            ask(&mut self.route, &asking);
        }

        fn fact(&mut self, now_ms: u64) {
            self.at(now_ms, |route, asking| route.fact(asking, &fact()));
        }

        fn ended(&mut self, now_ms: u64, facts: Option<(u64, u64)>) {
            self.at(now_ms, |route, asking| route.ended(asking, facts));
        }
    }

    #[test]
    fn a_pause_begins_when_an_exchange_ends_also_for_what_occurred_meanwhile() {
        let mut story = Story::new(
            r#"
            [[strategy]]
            name = "events"
            mode = "event-driven"
            pause = "1s"
            [[strategy.trigger]]
            id = "any"
            "#,
        );
        story.fact(10_000);
        let due = story.route.begin(10_000).unwrap();
        assert_eq!(due.trigger.as_deref(), Some("any"));
        story.fact(10_001);
        assert_eq!(
            (story.route.begin(20_000), story.route.due_ms()),
            (None, None)
        );
        story.ended(15_000, Some((1, 0)));
        assert_eq!(story.route.due_ms(), Some(16_000));
        assert_eq!(story.route.begin(15_999), None);
        let due = story.route.begin(16_000).unwrap();
        assert_eq!(due.trigger.as_deref(), Some("any"));
        story.ended(17_000, Some((1, 0)));
        assert_eq!(story.route.due_ms(), None);
    }

    #[test]
    fn what_waits_during_an_exchange_goes_with_the_next_one() {
        let mut story = Story::new("[[strategy]]\nname = \"push\"\nmode = \"push\"");
        story.at(0, |route, asking| route.anything(asking));
        assert!(story.route.begin(0).is_some());
        story.fact(1);
        story.ended(2, Some((0, 0)));
        assert!(story.route.begin(2).is_some());
        story.ended(3, Some((1, 0)));
        assert_eq!(story.route.due_ms(), None);
    }

    #[test]
    fn of_several_strategies_the_earliest_plan_is_performed_and_a_failure_keeps_the_trigger() {
        let mut story = Story::new(
            r#"
            [[strategy]]
            name = "poll"
            mode = "pull"
            polling = { interval = "1min", max = "1min" }
            retry = { base = "4s", jitter_percent = 0 }
            [[strategy]]
            name = "events"
            mode = "event-driven"
            retry = { base = "2s", jitter_percent = 0 }
            [[strategy.trigger]]
            id = "any"
            debounce = "500ms"
            "#,
        );
        story.at(0, |route, asking| route.anything(asking));
        assert_eq!(story.route.begin(0).unwrap().strategy, "poll");
        story.ended(1_000, Some((0, 1)));
        assert_eq!(story.route.due_ms(), Some(61_000));
        story.fact(2_000);
        let due = story.route.begin(2_500).unwrap();
        assert_eq!(
            (due.strategy.as_str(), due.trigger.as_deref()),
            ("events", Some("any"))
        );
        story.ended(3_000, None);
        let due = story.route.begin(5_000).unwrap();
        assert_eq!(
            (due.strategy.as_str(), due.trigger.as_deref()),
            ("events", Some("any"))
        );
        story.ended(6_000, Some((1, 0)));
        assert_eq!(story.route.due_ms(), Some(66_000));
    }
}
