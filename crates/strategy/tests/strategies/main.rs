//! Strategies and their router, as whoever performs their plans sees them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::{
    Aspect, ContentHash, DomainId, DomainPattern, FactCore, FactFilter, FactType, FactTypePattern,
    Hlc, Label, Onward, Pattern, References, Resource, Seed, TemporalFact, ValidTime, Value,
    WholeContent,
};
use causality_strategy::{
    About, BATCH_FACTS_FIRST, BidirectionalSyncStrategy, Domains, EventDrivenSyncStrategy,
    EventTrigger, FactSynchronizationModel, Manner, Party, Polling, PullSyncStrategy,
    PushSyncStrategy, RetryPolicy, SyncContext, SyncContextKey, SyncMode, SyncPlan, SyncStrategy,
    SyncView, When, parse_filter,
};
use proptest::prelude::*;

mod configured;

const UW: Party<'static> = Party {
    domain: DomainId::new([1; 32]),
    name: Some("seismo.us.uw"),
};
const PRESS: Party<'static> = Party {
    domain: DomainId::new([2; 32]),
    name: Some("press.herald"),
};

/// A fact and what a context says of it.
struct Event {
    fact: TemporalFact,
}

impl Event {
    fn new(resource: &str, label: &str, mag: f64) -> Self {
        let core = FactCore {
            onward: Onward::Audience,
            label: Label::new(label).unwrap(),
            origin: UW.domain,
            fact_type: FactType::Observation,
            resource: resource.parse().unwrap(),
            aspect: Aspect::default(),
            hlc: Hlc::from_millis(1),
            valid: ValidTime::since(0),
            requires: References::default(),
            supersedes: References::default(),
            content_root: ContentHash::new([0; 32]),
        };
        let fields = [("mag".to_owned(), Value::number(mag).unwrap())];
        let content = WholeContent::new(Seed::new([7; 16]), fields.into()).unwrap();
        Self {
            fact: TemporalFact::new(core, content).unwrap(),
        }
    }

    fn quake() -> Self {
        Self::new("event/uw61345817", "reviewed", 4.1)
    }

    fn context(&self, mode: SyncMode) -> SyncContext<'_> {
        let core = self.fact.core();
        SyncContext {
            source: UW,
            target: PRESS,
            about: Some(About::of(core)),
            mode,
            auth: None,
        }
    }
}

/// At time 1000, nothing happened so far.
const QUIET: SyncView<'static> = SyncView {
    now_ms: 1_000,
    random: 0,
    fact: None,
    waiting_since_ms: None,
    last_ms: None,
    last_batch: 0,
    failures: 0,
    idle: 0,
};

fn manner(id: &str) -> Manner {
    Manner {
        id: id.to_owned(),
        scope: None,
        batch_facts_max: 200,
        retry: RetryPolicy {
            delay_ms_first: 100,
            delay_ms_max: 1_000,
            retries_max: 3,
            jitter_percent: 50,
        },
    }
}

fn push(id: &str) -> PushSyncStrategy {
    let manner = manner(id);
    PushSyncStrategy { manner }
}

const POLLING: Polling = Polling {
    interval_ms: 60,
    interval_ms_max: 200,
};

fn when(strategy: &dyn SyncStrategy, view: &SyncView<'_>) -> When {
    plan(strategy, view, &Event::quake().context(SyncMode::Push)).when
}

fn plan<'a>(
    strategy: &'a dyn SyncStrategy,
    view: &SyncView<'_>,
    context: &SyncContext<'_>,
) -> SyncPlan<'a> {
    strategy.plan(view, context)
}

#[test]
fn push_sends_what_waits_at_once_and_then_waits_itself() {
    let push = push("push");
    let waiting_since_ms = Some(900);
    let busy = SyncView {
        waiting_since_ms,
        ..QUIET
    };
    assert_eq!(when(&push, &busy), When::Now);
    assert_eq!(when(&push, &QUIET), When::OnTrigger);
    let plan = plan(&push, &busy, &Event::quake().context(SyncMode::Push));
    assert_eq!(
        (plan.mode, plan.scope, plan.trigger),
        (SyncMode::Push, None, None)
    );
    assert_eq!(plan.batch_facts_max, BATCH_FACTS_FIRST);
}

#[test]
fn batches_grow_with_what_they_carried_up_to_the_largest() {
    let push = push("push");
    let batch = |last_batch| {
        let view = SyncView {
            last_batch,
            ..QUIET
        };
        plan(&push, &view, &Event::quake().context(SyncMode::Push)).batch_facts_max
    };
    assert_eq!([0, 64, 90, 150].map(batch), [64, 128, 180, 200]);
}

#[test]
fn after_failures_a_strategy_waits_longer_and_longer_and_then_until_it_is_asked() {
    let push = push("push");
    let after = |failures, random| {
        let (waiting_since_ms, last_ms) = (Some(1), Some(950));
        when(
            &push,
            &SyncView {
                waiting_since_ms,
                last_ms,
                failures,
                random,
                ..QUIET
            },
        )
    };
    assert_eq!(after(1, 0), When::At(1_050));
    assert_eq!(after(2, 0), When::At(1_150));
    assert_eq!(after(1, 50), When::Now);
    assert_eq!(after(4, 0), When::OnRequest);
}

#[test]
fn pull_asks_more_and_more_rarely_while_there_is_nothing_new() {
    let (manner, polling) = (manner("pull"), POLLING);
    let pull = PullSyncStrategy { manner, polling };
    let idle = |idle| {
        let last_ms = Some(990);
        when(
            &pull,
            &SyncView {
                last_ms,
                idle,
                ..QUIET
            },
        )
    };
    assert_eq!(when(&pull, &QUIET), When::Now);
    assert_eq!(
        [0, 1, 2, 9].map(idle),
        [1_050, 1_110, 1_190, 1_190].map(When::At)
    );
    let overdue = SyncView {
        last_ms: Some(940),
        ..QUIET
    };
    assert_eq!(when(&pull, &overdue), When::Now);
}

#[test]
fn bidirectional_sends_at_once_and_asks_in_its_interval() {
    let (manner, polling) = (manner("both"), POLLING);
    let both = BidirectionalSyncStrategy { manner, polling };
    let rested = SyncView {
        last_ms: Some(990),
        ..QUIET
    };
    assert_eq!(when(&both, &rested), When::At(1_050));
    let busy = SyncView {
        waiting_since_ms: Some(999),
        ..rested
    };
    assert_eq!(when(&both, &busy), When::Now);
    let context = Event::quake();
    let context = context.context(SyncMode::Bidirectional);
    assert!(both.applies_to(&context));
    assert_eq!(plan(&both, &busy, &context).mode, SyncMode::Bidirectional);
}

fn event_driven() -> EventDrivenSyncStrategy {
    let trigger = |id: &str, on: &str, debounce_ms| EventTrigger {
        id: id.to_owned(),
        on: parse_filter(on).unwrap(),
        debounce_ms,
    };
    EventDrivenSyncStrategy {
        manner: Manner {
            scope: Some(parse_filter("type is \"observation\"").unwrap()),
            ..manner("events")
        },
        triggers: vec![
            trigger("strong", "mag >= 4 and label is \"reviewed\"", 0),
            trigger("station", "resource is \"station/*\"", 300),
            trigger("retracted", "type is \"retraction\"", 0),
        ],
        pause_ms: 500,
    }
}

fn on_event(event: &Event, view: &SyncView<'_>) -> (When, Option<String>) {
    let strategy = event_driven();
    let fact = Some(&event.fact);
    let view = SyncView { fact, ..*view };
    let plan = strategy.plan(&view, &event.context(SyncMode::EventDriven));
    assert!(plan.scope.is_some());
    (plan.when, plan.trigger.map(str::to_owned))
}

#[test]
fn an_event_fires_the_first_trigger_that_waits_for_it() {
    let strong = Some("strong".to_owned());
    assert_eq!(
        on_event(&Event::quake(), &QUIET),
        (When::Now, strong.clone())
    );
    let weak = Event::new("event/1", "reviewed", 3.9);
    assert_eq!(on_event(&weak, &QUIET), (When::OnTrigger, None));
    let draft = Event::new("event/1", "draft", 5.0);
    assert_eq!(on_event(&draft, &QUIET), (When::OnTrigger, None));
    let station = Event::new("station/uw", "reviewed", 5.0);
    assert_eq!(on_event(&station, &QUIET), (When::Now, strong));
    assert_eq!(when(&event_driven(), &QUIET), When::OnTrigger);
}

#[test]
fn what_is_withheld_of_a_fact_fires_no_trigger() {
    let mut event = Event::quake();
    event.fact = event.fact.redact(|_| false);
    assert_eq!(on_event(&event, &QUIET), (When::OnTrigger, None));
}

#[test]
fn events_gather_behind_the_first_and_exchanges_keep_their_distance() {
    let station = Event::new("station/uw", "", 0.0);
    let view = |waiting_since_ms, last_ms| SyncView {
        waiting_since_ms,
        last_ms,
        ..QUIET
    };
    let at = |view| on_event(&station, &view).0;
    assert_eq!(at(view(None, None)), When::At(1_300));
    assert_eq!(at(view(Some(900), None)), When::At(1_200));
    assert_eq!(at(view(Some(700), None)), When::Now);
    assert_eq!(at(view(Some(700), Some(800))), When::At(1_300));
}

#[test]
fn of_two_plans_the_earlier_one_is_performed() {
    // An event that gathers others does not hold up one that is due.
    let (strong, station) = (Event::quake(), Event::new("station/uw", "", 0.0));
    let view = SyncView {
        waiting_since_ms: Some(950),
        last_ms: Some(600),
        ..QUIET
    };
    let (due, gathering) = (on_event(&strong, &view).0, on_event(&station, &view).0);
    assert_eq!((due, gathering), (When::At(1_100), When::At(1_250)));
    assert_eq!(due.min(gathering), due);
    let ordered = [
        When::Now,
        When::At(1),
        When::At(2),
        When::OnTrigger,
        When::OnRequest,
    ];
    assert!(ordered.is_sorted());
}

#[test]
fn each_strategy_applies_to_its_own_mode() {
    let event = Event::quake();
    let (polling, quiet) = (
        POLLING,
        [
            SyncMode::Push,
            SyncMode::Pull,
            SyncMode::Bidirectional,
            SyncMode::EventDriven,
        ],
    );
    let strategies: [Box<dyn SyncStrategy>; 4] = [
        Box::new(push("a")),
        Box::new(PullSyncStrategy {
            manner: manner("b"),
            polling,
        }),
        Box::new(BidirectionalSyncStrategy {
            manner: manner("c"),
            polling,
        }),
        Box::new(event_driven()),
    ];
    for (strategy, own) in strategies.iter().zip(quiet) {
        for mode in quiet {
            assert_eq!(strategy.applies_to(&event.context(mode)), mode == own);
        }
    }
}

/// One of each condition, from any to exact, by the numbers given.
fn key([source, target, fact_type, resource, label]: [usize; 5]) -> SyncContextKey {
    let domains = |number: usize, texts: [&str; 2]| {
        let pattern = texts.get(number).map(|text| DomainPattern::new(text));
        pattern.map(|pattern| Domains::new([pattern]))
    };
    let pattern =
        |number: usize, texts: [&str; 2]| texts.get(number).map(|text| Pattern::new(*text));
    SyncContextKey {
        source: domains(source, ["seismo.us.uw", "seismo.*"]),
        target: domains(target, ["press.herald", "press.*"]),
        fact_type: [
            FactTypePattern::Is(FactType::Observation),
            FactTypePattern::Named(Pattern::new("obs*")),
            FactTypePattern::Any,
        ]
        .get(fact_type)
        .cloned(),
        resource: pattern(resource, ["event/uw61345817", "event/*"]),
        label: pattern(label, ["reviewed", "rev*"]),
    }
}

#[test]
fn a_key_matches_what_meets_all_its_conditions() {
    let event = Event::quake();
    let context = event.context(SyncMode::Push);
    let label = Label::new("draft").unwrap();
    let resource: Resource = "station/uw".parse().unwrap();
    let of_event = About::of(event.fact.core());
    let about = |about| SyncContext {
        about: Some(about),
        ..context
    };
    let others = [
        SyncContext {
            source: PRESS,
            ..context
        },
        SyncContext {
            target: UW,
            ..context
        },
        about(About {
            fact_type: &FactType::Erasure,
            ..of_event
        }),
        about(About {
            resource: &resource,
            ..of_event
        }),
        about(About {
            label: &label,
            ..of_event
        }),
    ];
    for exactness in [0, 1] {
        assert!(key([exactness; 5]).matches(&context));
        for other in &others {
            assert!(!key([exactness; 5]).matches(other));
            assert!(SyncContextKey::default().matches(other));
        }
        for (number, other) in others.iter().enumerate() {
            let mut without = [exactness; 5];
            without[number] = 9;
            assert!(key(without).matches(other), "condition {number}");
        }
    }
}

#[test]
fn before_a_fact_is_known_those_strategies_are_found_that_may_be_chosen_for_it() {
    let mut model = FactSynchronizationModel::new();
    model.add(key([9, 9, 9, 9, 9]), Box::new(push("rest")));
    model.add(key([9, 1, 9, 1, 9]), Box::new(push("events")));
    model.add(key([9, 0, 9, 0, 9]), Box::new(push("this event")));
    model.add(key([9, 0, 9, 1, 9]), Box::new(push("herald's events")));
    let found = |context: &SyncContext<'_>| {
        let found = model.strategies_for_context(context).into_iter();
        found.map(|strategy| strategy.id().to_owned()).collect()
    };
    let quake = Event::quake();
    let unknown_fact = SyncContext {
        about: None,
        ..quake.context(SyncMode::Push)
    };
    let names: Vec<String> = found(&unknown_fact);
    // With the herald, "events" comes behind "herald's events" for all that it is for.
    assert_eq!(names, ["this event", "herald's events", "rest"]);
    let pulled = SyncContext {
        mode: SyncMode::Pull,
        ..unknown_fact
    };
    assert_eq!(found(&pulled), Vec::<String>::new());
    let home = SyncContext {
        target: UW,
        ..unknown_fact
    };
    assert_eq!(found(&home), ["rest"]);
}

#[test]
fn the_router_finds_the_most_specific_key_and_then_the_first() {
    let mut model = FactSynchronizationModel::new();
    model.add(SyncContextKey::default(), Box::new(push("default")));
    model.add(key([9, 1, 9, 9, 9]), Box::new(push("group")));
    model.add(key([9, 9, 9, 1, 9]), Box::new(push("tied with group")));
    let find = |model: &FactSynchronizationModel, event: &Event, mode| {
        let found = model.get_strategy_for_context(&event.context(mode));
        found.map(|strategy| strategy.id().to_owned())
    };
    let quake = Event::quake();
    assert_eq!(
        find(&model, &quake, SyncMode::Push),
        Some("group".to_owned())
    );
    model.add(key([1, 1, 1, 1, 9]), Box::new(push("patterns")));
    assert_eq!(
        find(&model, &quake, SyncMode::Push),
        Some("patterns".to_owned())
    );
    model.add(key([9, 0, 9, 9, 9]), Box::new(push("peer")));
    assert_eq!(
        find(&model, &quake, SyncMode::Push),
        Some("peer".to_owned())
    );
    // What does not apply is passed over.
    let (manner, polling) = (manner("pull"), POLLING);
    model.add(
        key([0, 0, 0, 0, 0]),
        Box::new(PullSyncStrategy { manner, polling }),
    );
    assert_eq!(
        find(&model, &quake, SyncMode::Push),
        Some("peer".to_owned())
    );
    assert_eq!(
        find(&model, &quake, SyncMode::Pull),
        Some("pull".to_owned())
    );
    assert_eq!(find(&model, &quake, SyncMode::EventDriven), None);
}

proptest! {
    #[test]
    fn what_the_router_finds_is_the_most_specific_that_matches(
        keys in prop::collection::vec([0..3_usize, 0..3, 0..4, 0..3, 0..3], 0..12),
        resource in prop::sample::select(&["event/uw61345817", "event/x", "station/x"][..]),
        label in prop::sample::select(&["reviewed", "revised", "draft"][..]),
    ) {
        let mut model = FactSynchronizationModel::new();
        for (number, parts) in keys.iter().enumerate() {
            model.add(key(*parts), Box::new(push(&number.to_string())));
        }
        let event = Event::new(resource, label, 1.0);
        let context = event.context(SyncMode::Push);
        let matching = keys.iter().enumerate().filter(|(_, parts)| key(**parts).matches(&context));
        let best = matching.max_by_key(|(number, parts)| {
            (key(**parts).specificity(), std::cmp::Reverse(*number))
        });
        let found = model.get_strategy_for_context(&context).map(|found| found.id().to_owned());
        prop_assert_eq!(found, best.map(|(number, _)| number.to_string()));
    }
}

/// Users bring their own: at night only.
#[derive(Debug)]
struct AtNight(FactFilter);

impl SyncStrategy for AtNight {
    fn id(&self) -> &str {
        "at night"
    }

    fn applies_to(&self, context: &SyncContext<'_>) -> bool {
        context.auth.is_none()
    }

    fn plan<'a>(&'a self, view: &SyncView<'_>, context: &SyncContext<'_>) -> SyncPlan<'a> {
        const DAY_MS: u64 = 86_400_000;
        SyncPlan {
            when: When::at(view.now_ms.next_multiple_of(DAY_MS), view.now_ms),
            mode: context.mode,
            scope: Some(&self.0),
            batch_facts_max: u32::MAX,
            retry: manner("").retry,
            trigger: None,
        }
    }
}

#[test]
fn a_strategy_of_ones_own_is_routed_like_any_other() {
    let mut model = FactSynchronizationModel::new();
    let filter = parse_filter("mag >= 4").unwrap();
    model.add(SyncContextKey::default(), Box::new(AtNight(filter)));
    let event = Event::quake();
    let context = event.context(SyncMode::Push);
    let found = model.get_strategy_for_context(&context).unwrap();
    assert_eq!(plan(found, &QUIET, &context).when, When::At(86_400_000));
}
