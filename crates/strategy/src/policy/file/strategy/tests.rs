//! Strategies that are none: each error, where it is, and what was probably meant.

use super::*;
use crate::policy::PolicyFile;
use crate::policy::RULE_NAME_BYTES_MAX;
use causality_fact::FactTypePattern;
use causality_fact::FilterError;
use causality_fact::Pattern;

/// An event-driven strategy with one trigger and one more line, which is line 5 of the strategy or 8 of the trigger.
fn with(line: &str, of_trigger: &str) -> String {
    format!(
        "[[strategy]]\nname = \"a\"\nmode = \"event-driven\"\n\n{line}\n[[strategy.trigger]]\nid = \"t\"\n{of_trigger}\n"
    )
}

/// A strategy of a mode with one more line, which is line 5, and no trigger.
fn mode(mode: &str, line: &str) -> String {
    format!("[[strategy]]\nname = \"a\"\nmode = \"{mode}\"\n\n{line}\n")
}

fn error(text: &str) -> (usize, usize, PolicyError) {
    let invalid = PolicyFile::parse(text).unwrap_err();
    (invalid.line, invalid.column, invalid.error)
}

fn message(text: &str) -> String {
    PolicyFile::parse(text).unwrap_err().to_string()
}

fn only(text: &str) -> ConfiguredStrategy {
    let file = PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let [strategy] = &file.strategies[..] else {
        panic!("there is one")
    };
    strategy.clone()
}

#[test]
fn a_key_with_a_slip_is_named_with_its_place_and_what_was_meant() {
    for (text, said) in [
        (
            with("targets = [\"*\"]", ""),
            "line 5, column 1: there is no key `targets` here; did you mean `target`?",
        ),
        (
            with("", "debounced = \"1s\""),
            "line 8, column 1: there is no key `debounced` here; did you mean `debounce`?",
        ),
        (
            with("retry = { attempt = 1 }", ""),
            "line 5, column 11: there is no key `attempt` here; did you mean `attempts`?",
        ),
        (
            mode("pull", "polling = { intervall = \"1s\" }"),
            "line 5, column 13: there is no key `intervall` here; did you mean `interval`?",
        ),
        (
            mode("pusch", ""),
            "line 3, column 8: `mode` is one of bidirectional, event-driven, pull, push, not \"pusch\"; did you mean `push`?",
        ),
        (
            with("target = [\"@pres\"]", ""),
            "line 5, column 11: there is no group `pres`",
        ),
        (
            with("where = 'mag >'", ""),
            "line 5, column 15: `where`: expected a value, found the end",
        ),
        (
            with("", "where = 'mag ='"),
            "line 8, column 15: `where`: expected a value, found the end",
        ),
    ] {
        assert_eq!(message(&text), said);
    }
    let types = message(&with("fact_type = \"observatoin\"", ""));
    assert!(types.starts_with("line 5, column 13: \"observatoin\" is no fact type"));
    assert!(types.ends_with("did you mean `observation`?"));
    let types = message(&with("", "fact_type = \"erasures\""));
    assert!(types.starts_with("line 8, column 13:") && types.ends_with("did you mean `erasure`?"));
}

#[test]
fn a_strategy_has_a_name_and_a_mode_and_a_trigger_an_id() {
    let section = "strategy";
    let missing = |key, section| PolicyError::Missing { key, section };
    let error_of = |text| error(text);
    assert_eq!(
        error_of("[[strategy]]\nmode = \"push\"\n"),
        (1, 1, missing("name", section))
    );
    assert_eq!(
        error_of("\n[[strategy]]\nname = \"a\"\n"),
        (2, 1, missing("mode", section))
    );
    let no_id = with("", "").replace("id = \"t\"", "");
    assert_eq!(error_of(&no_id), (6, 1, missing("id", "strategy.trigger")));
    assert_eq!(
        message(&no_id),
        "line 6, column 1: each [[strategy.trigger]] needs `id`"
    );
}

#[test]
fn names_are_the_strategys_own_and_ids_the_triggers() {
    let rule = "[[out]]\nname = \"a\"\npeers = [\"*\"]\ncompartments = [\"*\"]\n";
    let text = rule.to_owned() + &with("", "");
    assert_eq!(error(&text), (6, 8, PolicyError::DuplicateName("a".into())));
    let twice = with("", "[[strategy.trigger]]\nid = \"t\"\n");
    assert_eq!(
        error(&twice),
        (9, 6, PolicyError::DuplicateTrigger("t".into()))
    );
    for id in [&"i".repeat(RULE_NAME_BYTES_MAX + 1), "", "a\tb"] {
        let text = with("", "").replace("\"t\"", &format!("{id:?}"));
        assert_eq!(error(&text), (7, 6, PolicyError::RuleName));
    }
    let longest = with("", "").replace("\"t\"", &format!("{:?}", "i".repeat(RULE_NAME_BYTES_MAX)));
    assert_eq!(only(&longest).triggers()[0].id.len(), RULE_NAME_BYTES_MAX);
}

#[test]
fn keys_of_another_mode_are_refused() {
    let polling = (
        "polling = { interval = \"1s\" }",
        "polling",
        "pull or bidirectional",
    );
    let pause = ("pause = \"1s\"", "pause", "event-driven");
    let trigger = (
        "[[strategy.trigger]]\nid = \"t\"",
        "trigger",
        "event-driven",
    );
    for (of, (line, key, modes)) in [
        ("push", polling),
        ("event-driven", polling),
        ("push", pause),
        ("pull", pause),
        ("bidirectional", pause),
        ("push", trigger),
        ("pull", trigger),
        ("bidirectional", trigger),
    ] {
        let (at, _, wrong) = error(&mode(of, line));
        assert_eq!(
            (at, wrong),
            (5, PolicyError::WrongMode { key, modes }),
            "{of}"
        );
    }
    for of in ["pull", "bidirectional"] {
        only(&mode(of, polling.0));
    }
    only(&mode(
        "event-driven",
        &format!("{}\n{}", pause.0, trigger.0),
    ));
}

#[test]
fn durations_have_a_unit() {
    let of = |written: &str| PolicyError::Duration(written.to_owned());
    assert_eq!(error(&with("pause = \"5\"", "")), (5, 9, of("5")));
    assert_eq!(error(&with("", "debounce = \"fast\"")), (8, 12, of("fast")));
    assert_eq!(
        message(&with("pause = \"5 minutes\"", "")),
        "line 5, column 9: \"5 minutes\" is no duration; write a whole number and ms, s, min, h or d, such as 250ms or 2min; \
         did you mean `5min`?"
    );
    assert!(matches!(
        error(&with("pause = 5", "")),
        (5, 9, PolicyError::Toml(_))
    ));
}

#[test]
fn numbers_and_durations_have_bounds() {
    let longest = duration::text(DURATION_MS_MAX);
    let (most, more) = (DURATION_MS_MAX, DURATION_MS_MAX + 1);
    for (key, at_bounds, beyond) in [
        (
            "batch = ",
            ["1".to_owned(), BATCH_FACTS_MAX.to_string()],
            ["0".to_owned(), (BATCH_FACTS_MAX + 1).to_string()],
        ),
        (
            "retry.attempts = ",
            ["0".into(), RETRIES_MAX.to_string()],
            ["-1".into(), (RETRIES_MAX + 1).to_string()],
        ),
        (
            "retry.jitter_percent = ",
            ["0".into(), "100".into()],
            ["-1".into(), "101".into()],
        ),
        (
            "retry.base = ",
            ["\"100ms\"".into(), format!("\"{most}ms\"")],
            ["\"99ms\"".into(), format!("\"{more}ms\"")],
        ),
        (
            "retry.max = ",
            ["\"100ms\"".into(), format!("\"{longest}\"")],
            ["\"99ms\"".into(), format!("\"{more}ms\"")],
        ),
        (
            "pause = ",
            ["\"0ms\"".into(), format!("\"{most}ms\"")],
            ["\"367d\"".into(), format!("\"{more}ms\"")],
        ),
        (
            "polling.interval = ",
            ["\"100ms\"".into(), format!("\"{most}ms\"")],
            ["\"99ms\"".into(), format!("\"{more}ms\"")],
        ),
        (
            "polling.max = ",
            ["\"100ms\"".into(), format!("\"{most}ms\"")],
            ["\"0s\"".into(), format!("\"{more}ms\"")],
        ),
    ] {
        let of = |value: &str| {
            mode(
                if key.starts_with("polling") {
                    "pull"
                } else {
                    "event-driven"
                },
                &format!("{key}{value}"),
            )
        };
        for value in at_bounds {
            only(&of(&value));
        }
        for value in beyond {
            let (line, column, wrong) = error(&of(&value));
            assert_eq!((line, column), (5, key.len() + 1), "{key}{value}");
            assert!(matches!(wrong, PolicyError::OutOfRange { .. }), "{wrong}");
        }
    }
    for text in ["0ms", "366d"] {
        only(&with("", &format!("debounce = \"{text}\"")));
    }
    assert_eq!(
        message(&with("", "debounce = \"367d\"")),
        "line 8, column 12: `debounce` is 0ms to 366d, not 367d"
    );
    assert_eq!(
        message(&with("batch = 0", "")),
        "line 5, column 9: `batch` is 1 to 1000000, not 0"
    );
}

#[test]
fn what_grows_ends_where_it_began_or_later() {
    let retry = with("retry = { base = \"5s\", max = \"4s\" }", "");
    assert_eq!(error(&retry), (5, 30, PolicyError::MaxTooShort("base")));
    let polling = mode("pull", "polling = { max = \"4s\", interval = \"5s\" }");
    assert_eq!(
        error(&polling),
        (5, 19, PolicyError::MaxTooShort("interval"))
    );
    // The one that is not given fits the other.
    let polling = |line| match only(&mode("pull", line)).strategy {
        Configured::Pull(pull) => pull.polling,
        other => panic!("{other:?}"),
    };
    let of = |interval_ms, interval_ms_max| Polling {
        interval_ms,
        interval_ms_max,
    };
    assert_eq!(
        polling("polling.interval = \"1h\""),
        of(3_600_000, 3_600_000)
    );
    assert_eq!(polling("polling.max = \"1s\""), of(1_000, 1_000));
    assert_eq!(polling("polling.max = \"1h\""), of(INTERVAL_MS, 3_600_000));
    assert_eq!(
        polling("polling.interval = \"1s\""),
        of(1_000, INTERVAL_MS_MAX)
    );
}

#[test]
fn a_strategy_has_so_many_triggers_at_most() {
    let triggers = |count| {
        (0..count)
            .map(|n| format!("[[strategy.trigger]]\nid = \"{n}\"\n"))
            .collect::<String>()
    };
    let text = |count| mode("event-driven", "") + &triggers(count);
    assert_eq!(only(&text(TRIGGERS_MAX)).triggers().len(), TRIGGERS_MAX);
    assert_eq!(
        error(&text(TRIGGERS_MAX + 1)),
        (6, 1, PolicyError::TooManyTriggers(TRIGGERS_MAX + 1))
    );
}

#[test]
fn the_conditions_of_a_trigger_are_one_filter_within_its_limits() {
    let on = |lines| only(&with("", lines)).triggers()[0].on.nodes().to_vec();
    assert_eq!(on(""), [FilterNode::True]);
    assert_eq!(
        on("label = \"draft\""),
        [FilterNode::Label(Pattern::new("draft"))]
    );
    assert_eq!(
        on("where = 'exists a or exists b'\nresource = \"event/*\"\nfact_type = \"*\""),
        [
            FilterNode::Type(FactTypePattern::Any),
            FilterNode::Resource(Pattern::new("event/*")),
            FilterNode::Exists("a".into()),
            FilterNode::Exists("b".into()),
            FilterNode::Or(2),
            FilterNode::And(3),
        ]
    );
    // 255 conditions and their `or` are one filter, but leave no room for more.
    let full = format!("where = '{}'\n", ["exists a"; 255].join(" or "));
    assert_eq!(on(&full).len(), 256);
    let (line, column, wrong) = error(&with("", &(full + "label = \"draft\"")));
    let many = ExpressionError::Filter(FilterError::TooManyNodes(258));
    assert_eq!((line, column, wrong), (6, 1, PolicyError::Expression(many)));
}

#[test]
fn strategies_count_as_rules() {
    let rules = |count| {
        (0..count)
            .map(|n| format!("[[strategy]]\nname = \"{n}\"\nmode = \"push\"\n"))
            .collect::<String>()
    };
    assert!(PolicyFile::parse(&rules(crate::policy::RULES_MAX)).is_ok());
    let many = crate::policy::RULES_MAX + 1;
    assert_eq!(error(&rules(many)).2, PolicyError::TooManyRules(many));
}
