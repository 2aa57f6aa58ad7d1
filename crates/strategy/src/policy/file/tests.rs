//! Policy files that are none: each error, where it is, and what was probably meant.

use super::*;
use crate::expression::ExpressionError;
use causality_fact::FactType;
use causality_fact::NameError;

fn parse(text: &str) -> Result<SyncPolicies, InvalidPolicy> {
    SyncPolicies::parse(text)
}

/// A rule of `[[out]]` with one more line, which is line 5.
fn with(line: &str) -> String {
    format!("[[out]]\nname = \"a\"\npeers = [\"*\"]\ncompartments = [\"public\"]\n{line}\n")
}

fn error(text: &str) -> (usize, usize, PolicyError) {
    let invalid = parse(text).unwrap_err();
    (invalid.line, invalid.column, invalid.error)
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_key_with_a_slip_is_named_with_its_place_and_what_was_meant() {
    let text = with("fact_type = [\"observation\"]");
    let key = "fact_type".to_owned();
    assert_eq!(error(&text), (5, 1, PolicyError::UnknownKey(key)));
    let expected = "line 5, column 1: there is no key `fact_type` here; did you mean `fact_types`?";
    assert_eq!(message(&text), expected);
    assert_eq!(
        message("[[outt]]\n"),
        "line 1, column 3: there is no key `outt` here; did you mean `out`?"
    );
    assert_eq!(
        message(&with("valid = { form = 2018-01-30 }")),
        "line 5, column 11: there is no key `form` here; did you mean `from`?"
    );
    assert_eq!(
        message(&with("colour = 1")),
        "line 5, column 1: there is no key `colour` here"
    );
}

#[test]
fn what_is_not_toml_or_of_another_type_is_refused_at_its_place() {
    assert!(matches!(error("[[out]\n"), (1, _, PolicyError::Toml(_))));
    for (line, expected) in [
        (
            "labels = \"reviewed\"",
            "column 10: invalid type: string \"reviewed\", expected a list, which stands in brackets",
        ),
        (
            "labels = [1]",
            "column 11: invalid type: integer `1`, expected a text in quotes",
        ),
        (
            "valid = { from = \"2018-01-01\" }",
            "column 18: invalid type: string \"2018-01-01\", expected a moment, which stands without quotes",
        ),
        (
            "in_force = 2018-01-01",
            "column 12: a moment stands in a window, such as { from = 2018-01-30 }",
        ),
    ] {
        assert_eq!(message(&with(line)), format!("line 5, {expected}"));
    }
    assert_eq!(
        message("[out]\nname = \"a\"\n"),
        "line 1, column 1: invalid type: one table, expected a list of them: a section stands in double brackets, \
         such as [[out]]"
    );
    let volume = error(&with("volume = { facts = 1, bytes = 2 }"));
    assert!(
        matches!(&volume, (5, 10, PolicyError::Toml(message)) if message.contains("seconds")),
        "{volume:?}"
    );
    assert!(matches!(
        error(&with("valid = { from = 2018-02-30 }")),
        (5, _, PolicyError::Toml(_))
    ));
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_begin() {
    let invalid = PolicyFile::from_bytes("[groups]\n# \u{f6}\u{f6}\u{ff}".as_bytes());
    assert_eq!(invalid, Ok(PolicyFile::default()));
    let invalid = PolicyFile::from_bytes(b"[groups]\n# \xc3\xb6\xff").unwrap_err();
    let place = (invalid.line, invalid.column);
    assert_eq!((place, invalid.error), ((2, 4), PolicyError::NotUtf8));
}

#[test]
fn words_that_a_key_does_not_know_are_named_with_what_was_meant() {
    let text = with("onward = [\"audiance\"]");
    let wrong = PolicyError::UnknownWord {
        key: "onward",
        word: "audiance".into(),
        known: "none, audience, any".into(),
    };
    assert_eq!(error(&text), (5, 11, wrong));
    assert_eq!(
        message(&text),
        "line 5, column 11: `onward` is one of none, audience, any, not \"audiance\"; did you mean `audience`?"
    );

    let text = with("fact_types = [\"operation\", \"observatoin\"]");
    let unknown = NameError::UnknownType("observatoin".into());
    assert_eq!(error(&text), (5, 28, PolicyError::FactType(unknown)));
    assert!(message(&text).ends_with("did you mean `observation`?"));

    let groups = "[groups]\nnetworks = [\"seismo.*\"]\n";
    let text = format!("{groups}{}", with("").replace("\"*\"", "\"@netwroks\""));
    let unknown = PolicyError::UnknownGroup("netwroks".into());
    assert_eq!(error(&text), (5, 10, unknown));
    assert!(message(&text).ends_with("did you mean `@networks`?"));
}

#[test]
fn a_group_within_a_group_is_refused_also_where_no_rule_uses_it() {
    let text = "[groups]\na = [\"seismo.*\"]\nb = [\"press.*\", \"@a\"]\n";
    let nested = PolicyError::NestedGroup("@a".into());
    assert_eq!(error(text), (3, 17, nested));
}

#[test]
fn a_filter_is_refused_at_the_character_that_is_wrong() {
    let (at, expected, found) = (6, "a value", "`)`".to_owned());
    let wrong = PolicyError::Expression(ExpressionError::Unexpected {
        at,
        expected,
        found,
    });
    assert_eq!(error(&with("where = 'mag >=)'")), (5, 16, wrong.clone()));
    assert_eq!(error(&with("where = '''\nmag >=)'''")), (6, 7, wrong));
    // With escapes, the value's own start is as near as it gets.
    assert_eq!(error(&with("where = \"a = \\\"x\\\" )\"")).1, 9);
}

#[test]
fn rules_have_what_they_need_and_nothing_else() {
    let missing = |key, section| PolicyError::Missing { key, section };
    assert_eq!(
        error("\n[[out]]\npeers = [\"*\"]\n"),
        (2, 1, missing("compartments", "out"))
    );
    assert_eq!(
        error("[[in]]\ncompartments = [\"*\"]\npeers = [\"*\"]\n"),
        (1, 1, missing("name", "in"))
    );
    assert_eq!(
        error("[[security]]\nname = \"a\"\nrefuse = true\n"),
        (1, 1, missing("peers", "security"))
    );
    for (key, line) in [
        ("refuse", "refuse = true"),
        ("withhold", "withhold = [\"sig\"]"),
        ("protection", "protection = \"session\""),
    ] {
        let hint = "it belongs into a rule of [[security]]";
        let section = "out";
        let (_, _, wrong) = error(&with(line));
        assert_eq!(wrong, PolicyError::Misplaced { key, section, hint });
    }
    let security = "[[security]]\nname = \"a\"\npeers = [\"*\"]\n";
    let (line, _, wrong) = error(&format!(
        "{security}volume = {{ facts = 1, bytes = 1, seconds = 1 }}\n"
    ));
    assert!(matches!(
        (line, wrong),
        (4, PolicyError::Misplaced { key: "volume", .. })
    ));
    assert_eq!(error(security), (1, 1, PolicyError::NoEffect));
    assert_eq!(
        error(&format!("{security}refuse = false\n")).2,
        PolicyError::NoEffect
    );
}

#[test]
fn names_of_rules_are_short_printable_and_their_own() {
    let named = |name: &str| with("").replace("\"a\"", &format!("{name:?}"));
    assert!(parse(&named(&"n".repeat(RULE_NAME_BYTES_MAX))).is_ok());
    for name in [&"n".repeat(RULE_NAME_BYTES_MAX + 1), "", "a\nb"] {
        assert_eq!(error(&named(name)), (2, 8, PolicyError::RuleName));
    }
    let twice = with("") + &with("").replace("out", "in");
    assert_eq!(
        error(&twice),
        (7, 8, PolicyError::DuplicateName("a".into()))
    );
}

#[test]
fn moments_say_where_they_are() {
    let (line, _, wrong) = error(&with("valid = { from = 2018-01-30T12:00:00 }"));
    assert_eq!(
        (line, wrong),
        (5, PolicyError::Moment("2018-01-30T12:00:00".into()))
    );
}

#[test]
fn empty_lists_and_volumes_of_nothing_are_refused() {
    for key in ["fact_types", "resource_types", "labels", "onward"] {
        assert_eq!(
            error(&with(&format!("{key} = []"))).2,
            PolicyError::EmptyList(key)
        );
    }
    assert!(message(&with("labels = []")).ends_with("leave the key out to mean everything"));
    for text in [
        with("").replace("[\"public\"]", "[]"),
        "[[security]]\nname = \"a\"\npeers = [\"*\"]\nwithhold = []\n".to_owned(),
    ] {
        assert!(message(&text).ends_with("write [\"*\"] to mean everything"));
    }
    let group = format!("[groups]\ng = []\n{}", with("").replace("\"*\"", "\"@g\""));
    assert!(message(&group).ends_with("leave the group out, or say who belongs to it"));
    let empty = with("").replace("[\"*\"]", "[]");
    assert_eq!(error(&empty), (3, 9, PolicyError::EmptyList("peers")));
    let zero = with("volume = { facts = 0, bytes = 1, seconds = 1 }");
    assert_eq!(error(&zero), (5, 10, PolicyError::ZeroVolume));
}

#[test]
fn digits_that_are_no_id_are_refused_since_nobody_is_called_so() {
    let peers =
        |peers: &str| format!("[[security]]\nname = \"a\"\npeers = [\"{peers}\"]\nrefuse = true\n");
    let id = "4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d";
    assert!(parse(&peers(id)).is_ok());
    let upper = id.to_ascii_uppercase();
    let expected = format!(
        "line 3, column 10: {upper:?} is no id; an id has 64 hexadecimal digits, in lower case; did you mean `{id}`?"
    );
    assert_eq!(message(&peers(&upper)), expected);
    for cut in [32, 63] {
        let found = error(&peers(&id[..cut]));
        assert_eq!(found, (3, 10, PolicyError::Id(id[..cut].to_owned())));
    }
    for name in ["cafe", "press.herald", &id[..31], "4f0b*"] {
        assert!(parse(&peers(name)).is_ok(), "{name}");
    }
}

#[test]
fn a_restriction_that_would_never_restrict_is_refused() {
    let rule = |section: &str, key: &str, window: &str| {
        format!(
            "[[{section}]]\nname = \"a\"\npeers = [\"*\"]\ncompartments = [\"*\"]\n{key} = {window}\n"
        )
    };
    let security = |key: &str, window: &str| rule("security", key, window) + "refuse = true\n";
    for key in ["valid", "known", "in_force"] {
        for until in ["2018-01-01", "2018-02-01"] {
            let window = format!("{{ from = 2018-02-01, until = {until} }}");
            let column = key.len() + 13;
            let expected = (5, column, PolicyError::EmptyWindow);
            assert_eq!(error(&security(key, &window)), expected);
            // What grants nothing opens nothing; a check names it.
            assert!(parse(&rule("out", key, &window)).is_ok());
        }
        assert!(parse(&security(key, "{ from = 2018-01-01, until = 2018-02-01 }")).is_ok());
    }
}

#[test]
fn policy_files_have_limits() {
    let blank = |length| " ".repeat(length);
    assert!(parse(&blank(POLICY_BYTES_MAX)).is_ok());
    let long = error(&blank(POLICY_BYTES_MAX + 1)).2;
    assert_eq!(long, PolicyError::FileTooLong(POLICY_BYTES_MAX + 1));

    let rule = |n| format!("[[out]]\nname=\"{n}\"\npeers=[\"*\"]\ncompartments=[\"*\"]\n");
    let rules = |count| (0..count).map(rule).collect::<String>();
    assert!(parse(&rules(RULES_MAX)).is_ok());
    assert_eq!(
        error(&rules(RULES_MAX + 1)).2,
        PolicyError::TooManyRules(RULES_MAX + 1)
    );

    let list = |count| with(&format!("labels = [{}]", "\"x\",".repeat(count)));
    assert!(parse(&list(LIST_MAX)).is_ok());
    assert_eq!(
        error(&list(LIST_MAX + 1)).2,
        PolicyError::ListTooLong(LIST_MAX + 1)
    );

    let names = |from, to| (from..to).map(|n| format!("\"d{n}\",")).collect::<String>();
    let groups = |last| {
        let groups = format!(
            "[groups]\na=[{}]\nb=[{}]\n",
            names(0, 600),
            names(500, last)
        );
        groups + &with("").replace("\"*\"", "\"@a\", \"@b\"")
    };
    assert!(parse(&groups(LIST_MAX)).is_ok());
    assert_eq!(
        error(&groups(LIST_MAX + 1)).2,
        PolicyError::ListTooLong(LIST_MAX + 1)
    );

    let pattern = |length: usize| with(&format!("labels = [\"{}\"]", "x".repeat(length)));
    assert!(parse(&pattern(PATTERN_BYTES_MAX)).is_ok());
    let long = PolicyError::PatternTooLong(PATTERN_BYTES_MAX + 1);
    assert_eq!(error(&pattern(PATTERN_BYTES_MAX + 1)).2, long);
}

#[test]
fn values_in_values_without_end_are_refused() {
    const DEPTH: usize = POLICY_BYTES_MAX / 8;
    for (open, close) in [("[", "]"), ("{a=", "}"), ("a.", "")] {
        let nested = open.repeat(DEPTH) + "a = 1" + &close.repeat(DEPTH);
        for text in [format!("a = {nested}"), nested.clone(), with(&nested)] {
            assert!(parse(&text).is_err(), "{open}");
        }
    }
}

#[test]
fn types_of_resources_have_names_and_meanings() {
    let of = |entry: &str| format!("[resource_types]\n{entry}\n");
    let longest = "m".repeat(MEANING_BYTES_MAX);
    assert!(parse(&of(&format!("event = \"{longest}\""))).is_ok());
    for meaning in [longest + "m", String::new(), "a\tb".into()] {
        let text = of(&format!("event = {meaning:?}"));
        assert_eq!(error(&text), (2, 9, PolicyError::Meaning));
    }
    let (line, column, wrong) = error(&of("event = \"e\"\n  \"event/x\" = \"e\""));
    assert_eq!((line, column), (3, 3));
    let what = "resource type";
    let character = '/';
    let slash = NameError::Character { what, character };
    assert_eq!(wrong, PolicyError::ResourceType(slash));
    let types = |count| {
        of(&(0..count)
            .map(|n| format!("t{n} = \"t\"\n"))
            .collect::<String>())
    };
    assert!(parse(&types(LIST_MAX)).is_ok());
    let many = LIST_MAX + 1;
    assert_eq!(error(&types(many)).2, PolicyError::ListTooLong(many));
}

#[test]
fn every_type_that_is_suggested_exists() {
    for name in FACT_TYPES {
        assert!(name.parse::<FactType>().is_ok(), "{name}");
    }
}

/// The keys of a table, by what the parser of TOML says where another one stands.
fn keys<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let error = toml::from_str::<T>("no_such_key = 1").err().unwrap();
    let quoted = error.message().split('`').skip(1).step_by(2).skip(1);
    quoted.map(str::to_owned).collect()
}

#[test]
fn every_key_has_a_row_on_its_page() {
    let policies = include_str!("../../../../../docs/src/policies.md");
    let strategies = include_str!("../../../../../docs/src/strategies.md");
    for (page, prefix, keys) in [
        (policies, "", keys::<RawRule>()),
        (strategies, "", keys::<raw::RawStrategy>()),
        (strategies, "retry.", keys::<raw::RawRetry>()),
        (strategies, "polling.", keys::<raw::RawPolling>()),
        (strategies, "", keys::<raw::RawTrigger>()),
    ] {
        assert!(keys.len() >= 2, "{keys:?}");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
        let rows: Vec<_> = rows.filter_map(|row| row.split(" |").next()).collect();
        for key in keys.iter().filter(|key| *key != "polling") {
            let key = format!("`{prefix}{key}`");
            assert!(rows.iter().any(|row| row.contains(&key)), "{key}");
        }
    }
}

#[test]
fn a_file_without_rules_grants_nothing() {
    assert_eq!(parse(""), Ok(SyncPolicies::default()));
}
