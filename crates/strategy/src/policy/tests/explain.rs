//! Decisions in words.

use super::*;

/// What is said of a fact that `own` holds, with the rules of a text about the press.
fn explain(text: &str, flow: Flow, fact: &TemporalFact, now_ms: u64) -> String {
    let policies = SyncPolicies::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let policy = policies.get_policy_for_domain(flow, OWN, &PEER);
    let (origin, compartment, row) = (fact.core().origin, "public", &Row::from(fact));
    let subject = Subject {
        origin,
        compartment,
        row,
    };
    policy.explain(&subject, now_ms)
}

fn check(text: &str, expected: &str) {
    let said = explain(text, Flow::Out, &fact(|_| ()), 0);
    assert_eq!(said, expected, "{text}");
}

#[test]
fn what_is_shared_names_the_rule_that_grants_it() {
    let all = rule("out", "never", "labels = [\"draft\"]") + &rule("out", "all", "");
    check(&all, "It is shared: the rule \"all\" (line 6) grants it.");
    let said = explain(&rule("in", "networks", ""), Flow::In, &fact(|_| ()), 0);
    assert_eq!(
        said,
        "It is taken: the rule \"networks\" (line 1) grants it."
    );
}

#[test]
fn a_grant_that_is_in_no_file_has_no_line() {
    let parsed = SyncPolicies::parse(&rule("out", "address book: press.herald", "")).unwrap();
    let mut grant = SyncPolicy::clone(&parsed.outward[0]);
    grant.rule.line = 0;
    let deciding = DecidingRule::Sync(&grant);
    assert_eq!(
        deciding.to_string(),
        "the grant \"address book: press.herald\""
    );
    assert_eq!(
        (deciding.name(), deciding.line()),
        ("address book: press.herald", 0)
    );
}

#[test]
fn withheld_fields_and_session_keys_are_named_with_who_asks_for_them() {
    let text = rule("out", "all", "")
        + &rule("security", "internals", "withhold = [\"felt\", \"sig\"]")
        + &rule(
            "security",
            "more",
            "withhold = [\"*\"]\nprotection = \"session\"",
        )
        + &rule(
            "security",
            "others",
            "withhold = [\"mag\"]\nlabels = [\"draft\"]",
        );
    check(
        &text,
        "It is shared: the rule \"all\" (line 1) grants it. Without \"felt\" and \"sig\", says the security policy \
         \"internals\" (line 6). Without \"mag\", says the security policy \"more\" (line 11). Under the keys of a session \
         only, says the security policy \"more\" (line 11).",
    );
    let three = rule("out", "all", "") + &rule("security", "none", "withhold = [\"*\"]");
    check(
        &three,
        "It is shared: the rule \"all\" (line 1) grants it. Without \"felt\", \"mag\" and \"sig\", says the security policy \
         \"none\" (line 6).",
    );
}

#[test]
fn only_fields_that_are_visible_here_are_named() {
    let text =
        rule("out", "all", "") + &rule("security", "internals", "withhold = [\"felt\", \"sig\"]");
    let part = fact(|_| ()).redact(|field| field != "sig");
    assert_eq!(
        explain(&text, Flow::Out, &part, 0),
        "It is shared: the rule \"all\" (line 1) grants it. Without \"felt\", says the security policy \"internals\" \
         (line 6).",
    );
    let none = fact(|_| ()).redact(|_| false);
    let said = explain(&text, Flow::Out, &none, 0);
    assert_eq!(said, "It is shared: the rule \"all\" (line 1) grants it.");
}

#[test]
fn what_no_rule_grants_says_so() {
    check("", "It is not shared: no rule grants it.");
    let said = explain(&rule("out", "all", ""), Flow::In, &fact(|_| ()), 0);
    assert_eq!(said, "It is not taken: no rule grants it.");
}

#[test]
fn what_its_origin_keeps_says_so() {
    let private = fact(|core| core.onward = Onward::None);
    let said = explain(&rule("out", "all", ""), Flow::Out, &private, 0);
    assert_eq!(said, "It is not shared: its origin lets nobody pass it on.");
}

#[test]
fn what_a_security_policy_keeps_names_it() {
    let text = rule("out", "all", "") + &rule("security", "secret", "refuse = true");
    check(
        &text,
        "It is not shared: the security policy \"secret\" (line 6) keeps it here.",
    );
}

#[test]
fn what_depends_on_the_unseen_names_the_rule_that_asks() {
    let text = rule("out", "deep", "where = 'depth > 10'");
    check(
        &text,
        "It is not shared: what is visible of it here does not tell whether the rule \"deep\" (line 1) grants it.",
    );
    let text =
        rule("out", "all", "") + &rule("security", "deep", "refuse = true\nwhere = 'depth > 10'");
    check(
        &text,
        "It is not shared: what is visible of it here does not tell whether the security policy \"deep\" (line 6) keeps it \
         here.",
    );
}

#[test]
fn what_opens_by_itself_says_when() {
    let embargo = rule("out", "all", "")
        + &rule(
            "security",
            "embargo",
            "refuse = true\nin_force = { until = 2018-02-01T12:00:00+01:00 }",
        );
    check(
        &embargo,
        "It is not shared: the security policy \"embargo\" (line 6) keeps it here. It will be from 2018-02-01T11:00:00Z on, \
         if nothing else changes.",
    );
    let later = rule(
        "in",
        "later",
        "in_force = { from = 1970-01-01T00:00:00.005Z }",
    );
    assert_eq!(
        explain(&later, Flow::In, &fact(|_| ()), 4),
        "It is not taken: no rule grants it. It will be from 1970-01-01T00:00:00.005Z on, if nothing else changes.",
    );
}
