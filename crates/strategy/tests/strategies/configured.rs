//! Strategies as a policy file has them: each mode, key and kind of trigger does what its page says.

use super::*;
use causality_strategy::{Finding, Known, Pointless, PolicyFile};

/// A file with one strategy of a mode and more lines of it.
fn file(mode: &str, lines: &str) -> PolicyFile {
    let groups = format!("[groups]\nreaders = [\"press.*\", \"{}\"]\n", PRESS.domain);
    let text = format!("{groups}[[strategy]]\nname = \"a\"\nmode = \"{mode}\"\n{lines}\n");
    PolicyFile::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const MODES: [(&str, SyncMode); 4] = [
    ("bidirectional", SyncMode::Bidirectional),
    ("event-driven", SyncMode::EventDriven),
    ("pull", SyncMode::Pull),
    ("push", SyncMode::Push),
];

/// What the one strategy of a file plans for an event.
fn plan_of<T>(
    (mode, lines): (&str, &str),
    event: &Event,
    view: &SyncView<'_>,
    part: impl Fn(&SyncPlan<'_>) -> T,
) -> T {
    let (_, of) = MODES[MODES.iter().position(|(name, _)| *name == mode).unwrap()];
    let (model, context) = (file(mode, lines).model(), event.context(of));
    let strategy = model.get_strategy_for_context(&context).unwrap();
    part(&strategy.plan(view, &context))
}

fn when_of(strategy: (&str, &str), view: &SyncView<'_>) -> When {
    plan_of(strategy, &Event::quake(), view, |plan| plan.when)
}

const WAITING: SyncView<'static> = SyncView {
    waiting_since_ms: Some(900),
    ..QUIET
};

fn rested(last_ms: u64) -> SyncView<'static> {
    SyncView {
        last_ms: Some(last_ms),
        ..QUIET
    }
}

#[test]
fn each_word_for_a_mode_is_a_strategy_of_that_mode() {
    let event = Event::quake();
    for (word, mode) in MODES {
        let model = file(word, "").model();
        for (_, other) in MODES {
            let context = event.context(other);
            let found = model.get_strategy_for_context(&context);
            assert_eq!(found.is_some(), mode == other, "{word}");
            let planned = found.map(|strategy| strategy.plan(&QUIET, &context).mode);
            assert!(planned.is_none_or(|planned| planned == mode), "{word}");
        }
    }
}

#[test]
fn each_condition_of_a_key_is_met_or_not() {
    let event = Event::quake();
    let found = |line: &str| {
        let model = file("push", line).model();
        let found = model.get_strategy_for_context(&event.context(SyncMode::Push));
        found.is_some()
    };
    let id = PRESS.domain;
    for (met, not_met) in [
        ("source = [\"seismo.us.uw\"]", "source = [\"seismo.us.ak\"]"),
        ("source = [\"x\", \"seismo.*\"]", "source = [\"press.*\"]"),
        ("target = [\"press.*\"]", "target = [\"seismo.*\"]"),
        ("target = [\"@readers\"]", "source = [\"@readers\"]"),
        (
            &format!("target = [\"{id}\"]"),
            &format!("source = [\"{id}\"]"),
        ),
        ("fact_type = \"observation\"", "fact_type = \"operation\""),
        ("fact_type = \"*\"", "fact_type = \"custom:*\""),
        ("resource = \"event/*\"", "resource = \"station/*\""),
        ("label = \"rev*\"", "label = \"\""),
    ] {
        assert!(found(met), "{met}");
        assert!(!found(not_met), "{not_met}");
    }
}

#[test]
fn push_sends_at_once_what_waits() {
    assert_eq!(when_of(("push", ""), &WAITING), When::Now);
    assert_eq!(when_of(("push", ""), &QUIET), When::OnTrigger);
}

#[test]
fn polling_begins_with_its_interval_and_ends_with_its_maximum() {
    let polling = "polling = { interval = \"2s\", max = \"5s\" }";
    for mode in ["pull", "bidirectional"] {
        assert_eq!(when_of((mode, polling), &QUIET), When::Now);
        let idle = |idle| {
            when_of(
                (mode, polling),
                &SyncView {
                    idle,
                    ..rested(1_000)
                },
            )
        };
        assert_eq!(
            [0, 1, 2, 9].map(idle),
            [3_000, 5_000, 6_000, 6_000].map(When::At),
            "{mode}"
        );
        // As the page says where the file does not.
        let usual = |idle| {
            when_of(
                (mode, ""),
                &SyncView {
                    idle,
                    ..rested(1_000)
                },
            )
        };
        assert_eq!([0, 60].map(usual), [6_000, 301_000].map(When::At), "{mode}");
    }
    assert_eq!(when_of(("bidirectional", polling), &WAITING), When::Now);
}

#[test]
fn retries_are_as_the_file_has_them() {
    let after = |lines, failures, random| {
        let view = SyncView {
            failures,
            random,
            ..rested(1_000)
        };
        MODES.map(|(mode, _)| when_of((mode, lines), &view))
    };
    let retry = "retry = { base = \"2s\", max = \"5s\", attempts = 3, jitter_percent = 10 }";
    assert_eq!(after(retry, 1, 0), [When::At(3_000); 4]);
    assert_eq!(after(retry, 2, 0), [When::At(5_000); 4]);
    assert_eq!(after(retry, 3, 0), [When::At(6_000); 4]);
    assert_eq!(after(retry, 4, 0), [When::OnRequest; 4]);
    assert_eq!(after(retry, 1, 200), [When::At(2_800); 4]);
    assert_eq!(after(retry, 1, 201), [When::At(3_000); 4]);
    // As the page says where the file does not.
    assert_eq!(after("", 1, 0), [When::At(1_250); 4]);
    assert_eq!(after("", 1, 125), [When::At(1_125); 4]);
    assert_eq!(after("", 1, 126), [When::At(1_250); 4]);
    assert_eq!(after("", 10, 0), [When::At(61_000); 4]);
    assert_eq!(after("", 11, 0), [When::OnRequest; 4]);
}

#[test]
fn batches_grow_up_to_the_size_of_the_file() {
    let batch = |lines, last_batch| {
        let view = SyncView {
            last_batch,
            ..QUIET
        };
        MODES.map(|(mode, _)| {
            plan_of((mode, lines), &Event::quake(), &view, |plan| {
                plan.batch_facts_max
            })
        })
    };
    assert_eq!(batch("batch = 100", 0), [BATCH_FACTS_FIRST; 4]);
    assert_eq!(batch("batch = 100", 64), [100; 4]);
    assert_eq!(batch("batch = 1", 0), [1; 4]);
    assert_eq!(batch("", 1_000_000), [10_000; 4]);
}

#[test]
fn a_filter_is_the_scope_of_every_plan() {
    for (mode, _) in MODES {
        let scope = |lines| {
            plan_of((mode, lines), &Event::quake(), &QUIET, |plan| {
                plan.scope.cloned()
            })
        };
        assert_eq!(
            scope("where = 'mag >= 3'"),
            Some(parse_filter("mag >= 3").unwrap())
        );
        assert_eq!(scope(""), None);
    }
}

/// When the one trigger of a strategy lets it exchange because of an event, if it fires.
fn fires(lines: &str, of_trigger: &str, event: &Event, view: &SyncView<'_>) -> Option<When> {
    let lines = format!("{lines}\n[[strategy.trigger]]\nid = \"t\"\n{of_trigger}");
    let fact = Some(&event.fact);
    let view = SyncView { fact, ..*view };
    let strategy = ("event-driven", lines.as_str());
    let (when, trigger) = plan_of(strategy, event, &view, |plan| {
        (plan.when, plan.trigger.map(str::to_owned))
    });
    assert_eq!(trigger.is_some(), when != When::OnTrigger);
    assert!(trigger.is_none_or(|id| id == "t"));
    Some(when).filter(|when| *when != When::OnTrigger)
}

#[test]
fn each_kind_of_trigger_fires_for_what_it_waits_for_and_nothing_else() {
    let quake = Event::quake();
    let others = [
        Event::new("station/uw", "reviewed", 4.1),
        Event::new("event/1", "draft", 4.1),
        Event::new("event/1", "reviewed", 3.9),
    ];
    for (condition, expected) in [
        ("", [true, true, true]),
        ("fact_type = \"observation\"", [true, true, true]),
        ("fact_type = \"obs*\"", [true, true, true]),
        ("resource = \"event/*\"", [false, true, true]),
        ("label = \"reviewed\"", [true, false, true]),
        ("where = 'mag >= 4'", [true, true, false]),
        (
            "where = 'mag >= 4'\nlabel = \"reviewed\"\nresource = \"event/*\"",
            [false; 3],
        ),
        // What the origin calls a condition of type, resource or label may be part of the filter as well.
        (
            "where = 'label is \"reviewed\" and resource is \"event/*\"'",
            [false, false, true],
        ),
    ] {
        assert_eq!(
            fires("", condition, &quake, &QUIET),
            Some(When::Now),
            "{condition}"
        );
        let fired = others
            .each_ref()
            .map(|event| fires("", condition, event, &QUIET).is_some());
        assert_eq!(fired, expected, "{condition}");
    }
    for never in [
        "fact_type = \"retraction\"",
        "where = 'exists depth'",
        "label = \"\"",
    ] {
        assert_eq!(fires("", never, &quake, &QUIET), None, "{never}");
    }
}

#[test]
fn a_trigger_gathers_and_a_strategy_pauses_as_the_file_says() {
    let station = Event::new("station/uw", "", 0.0);
    let at = |lines, of_trigger, waiting_since_ms, last_ms| {
        let view = SyncView {
            waiting_since_ms,
            last_ms,
            ..QUIET
        };
        fires(lines, of_trigger, &station, &view).unwrap()
    };
    assert_eq!(
        at("", "debounce = \"300ms\"", Some(900), Some(999)),
        When::At(1_200)
    );
    assert_eq!(at("", "", Some(900), Some(999)), When::Now);
    assert_eq!(
        at("pause = \"2s\"", "", Some(900), Some(500)),
        When::At(2_500)
    );
    assert_eq!(
        at("pause = \"2s\"", "debounce = \"10s\"", Some(900), Some(500)),
        When::At(10_900)
    );
}

#[test]
fn the_first_trigger_that_a_fact_meets_names_the_cause() {
    let lines = "[[strategy.trigger]]\nid = \"strong\"\nwhere = 'mag >= 4'\n[[strategy.trigger]]\nid = \"any\"";
    let named = |event: &Event| {
        let fact = Some(&event.fact);
        let view = SyncView { fact, ..QUIET };
        plan_of(("event-driven", lines), event, &view, |plan| {
            plan.trigger.map(str::to_owned)
        })
    };
    assert_eq!(named(&Event::quake()).as_deref(), Some("strong"));
    assert_eq!(
        named(&Event::new("event/1", "", 1.0)).as_deref(),
        Some("any")
    );
}

#[test]
fn the_most_specific_strategy_of_a_file_is_chosen_wherever_it_stands() {
    let strategy = |name: &str, key: &str| {
        format!("[[strategy]]\nname = \"{name}\"\nmode = \"push\"\n{key}\n")
    };
    let text = strategy("rest", "")
        + &strategy("readers", "target = [\"press.*\"]")
        + &strategy("later", "label = \"rev*\"")
        + &strategy("herald", "target = [\"press.herald\"]");
    let choose = |text: &str, event: &Event| {
        let model = PolicyFile::parse(text).unwrap().model();
        let found = model.get_strategy_for_context(&event.context(SyncMode::Push));
        found.map(|strategy| strategy.id().to_owned())
    };
    assert_eq!(choose(&text, &Event::quake()).as_deref(), Some("herald"));
    let text = text.replace("press.herald", "press.times");
    assert_eq!(choose(&text, &Event::quake()).as_deref(), Some("readers"));
    let text = text.replace("press.*", "radio.*");
    assert_eq!(choose(&text, &Event::quake()).as_deref(), Some("later"));
    assert_eq!(
        choose(&text, &Event::new("event/1", "draft", 1.0)).as_deref(),
        Some("rest")
    );
}

fn check(text: &str) -> Vec<(String, usize, Pointless)> {
    let file = PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let findings = file.check(&Known {
        peers: &[PRESS, UW],
        compartments: &["public"],
    });
    let parts = |Finding { rule, line, why }| (rule, line, why);
    findings.into_iter().map(parts).collect()
}

#[test]
fn strategies_that_do_nothing_are_named_among_the_rules_that_decide_nothing() {
    let strategy = |name: &str, mode: &str, key: &str| {
        format!("[[strategy]]\nname = \"{name}\"\nmode = \"{mode}\"\n{key}\n")
    };
    let trigger = "[[strategy.trigger]]\nid = \"t\"\n";
    let text = strategy("first", "push", "target = [\"press.*\"]\nlabel = \"*\"")
        + &strategy("same", "push", "target = [\"press.*\"]\nlabel = \"dr*\"")
        + "[[out]]\nname = \"nobody\"\npeers = [\"radio\"]\ncompartments = [\"*\"]\n"
        + &strategy(
            "more exact",
            "push",
            "target = [\"press.herald\"]\nlabel = \"dr*\"",
        )
        + &strategy(
            "of another mode",
            "pull",
            "target = [\"press.*\"]\nlabel = \"*\"",
        )
        + &strategy("wider", "push", "target = [\"*\"]\nlabel = \"*\"")
        + &strategy("nobody's", "push", "target = [\"radio.*\"]")
        + &strategy("deaf", "event-driven", "")
        + &strategy(
            "listening",
            "event-driven",
            &format!("label = \"x\"\n{trigger}"),
        );
    let shadowed = Pointless::Shadowed("first".into());
    assert_eq!(
        check(&text),
        [
            ("same".into(), 6, shadowed),
            ("nobody".into(), 11, Pointless::UnknownPeer),
            ("nobody's".into(), 30, Pointless::UnknownPeer),
            ("deaf".into(), 34, Pointless::NoTrigger),
        ]
    );
    let file = PolicyFile::parse(&text).unwrap();
    let known = Known {
        peers: &[PRESS, UW],
        compartments: &["public"],
    };
    let said: Vec<_> = file.check(&known).iter().map(ToString::to_string).collect();
    assert_eq!(
        said[0],
        "line 6: \"same\" is never chosen: \"first\" comes first for all that it is for"
    );
    assert_eq!(said[3], "line 34: \"deaf\" never fires: it has no trigger");
}

/// The lines of a key, from any to exact, by the numbers given.
fn lines([source, target, fact_type, resource, label]: [usize; 5]) -> String {
    let parts = [
        [
            "source = [\"seismo.us.uw\"]",
            "source = [\"seismo.*\", \"press.*\"]",
            "source = [\"*\"]",
            "",
        ][source],
        [
            "target = [\"press.herald\"]",
            "target = [\"press.*\"]",
            "target = [\"*\"]",
            "",
        ][target],
        [
            "fact_type = \"observation\"",
            "fact_type = \"obs*\"",
            "fact_type = \"*\"",
            "",
        ][fact_type],
        [
            "resource = \"event/x\"",
            "resource = \"event/*\"",
            "resource = \"*\"",
            "",
        ][resource],
        [
            "label = \"reviewed\"",
            "label = \"rev*\"",
            "label = \"*\"",
            "",
        ][label],
    ];
    parts.join("\n")
}

proptest! {
    #[test]
    fn what_check_calls_shadowed_is_chosen_for_nothing(
        keys in prop::collection::vec(prop::array::uniform5(0..4_usize), 0..9),
        resource in prop::sample::select(&["event/uw61345817", "event/x", "station/x"][..]),
        label in prop::sample::select(&["reviewed", "revised", "draft"][..]),
    ) {
        let strategies = keys.iter().enumerate().map(|(number, key)| {
            format!("[[strategy]]\nname = \"{number}\"\nmode = \"push\"\n{}\n", lines(*key))
        });
        let text: String = strategies.collect();
        let model = PolicyFile::parse(&text).unwrap().model();
        let event = Event::new(resource, label, 1.0);
        let chosen = model.get_strategy_for_context(&event.context(SyncMode::Push));
        let chosen = chosen.map(SyncStrategy::id);
        for (name, _, why) in check(&text) {
            prop_assert_ne!(Some(name.as_str()), chosen, "{}", why);
        }
        // Two of one key: the second is found.
        let twice = text.clone() + &text.replace("name = \"", "name = \"again ");
        prop_assert!(check(&twice).len() >= keys.len());
    }
}
