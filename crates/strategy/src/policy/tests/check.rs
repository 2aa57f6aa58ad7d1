//! Rules that decide nothing.

use super::*;

#[test]
fn rules_that_decide_nothing_are_named() {
    let text = rule("out", "all", "")
        + &rule(
            "out",
            "part",
            "labels = [\"reviewed\"]\nvalid = { from = 2018-01-30 }\nwhere = 'mag > 2'",
        )
        + &rule(
            "out",
            "limited",
            "volume = { facts = 1, bytes = 1, seconds = 1 }",
        )
        + &rule("out", "twin", "")
        + &rule(
            "out",
            "empty",
            "known = { from = 2018-01-30, until = 2018-01-30 }",
        )
        + &rule("out", "nobody", "").replace("\"*\"", "\"pres.*\"")
        + &rule("out", "nowhere", "").replace("\"public\"", "\"pubic\"")
        + &rule("in", "may come", "").replace("\"public\"", "\"pubic\"")
        + &rule("out", "other", "fact_types = [\"custom:a\"]").replace("\"public\"", "\"ops\"")
        + &rule(
            "security",
            "kept",
            "refuse = true\nfact_types = [\"custom:*\"]",
        )
        .replace("\"public\"", "\"*\"")
        + &rule("security", "gone", "withhold = [\"x\"]").replace("\"public\"", "\"gone\"");
    let policies = SyncPolicies::parse(&text).unwrap();
    let compartments = &["public", "ops"];
    let findings = policies.check(&Known {
        peers: &[PEER],
        compartments,
    });
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.rule.as_str(), finding.why.clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("part", Pointless::Covered("all".into())),
            ("limited", Pointless::Covered("all".into())),
            ("twin", Pointless::Covered("all".into())),
            ("empty", Pointless::EmptyWindow),
            ("nobody", Pointless::UnknownPeer),
            ("nowhere", Pointless::UnknownCompartment),
            ("other", Pointless::Refused("kept".into())),
            ("gone", Pointless::UnknownCompartment),
        ]
    );
    assert_eq!(
        findings[0].to_string(),
        "line 6: \"part\" changes nothing: \"all\" grants all that it grants"
    );
}

#[test]
fn each_condition_keeps_a_rule_from_covering_one_without_it() {
    for keys in [
        "fact_types = [\"observation\"]",
        "resource_types = [\"event\"]",
        "labels = [\"reviewed\"]",
        "onward = [\"any\"]",
        "valid = { from = 2018-01-30 }",
        "known = { until = 2018-01-30 }",
        "in_force = { from = 2018-01-30 }",
        "where = 'mag > 2'",
        "volume = { facts = 1, bytes = 1, seconds = 1 }",
    ] {
        let known = Known {
            peers: &[PEER],
            compartments: &["public"],
        };
        let check = |text: String| SyncPolicies::parse(&text).unwrap().check(&known);
        let findings = check(rule("out", "narrow", keys) + &rule("out", "wide", ""));
        assert_eq!(findings.len(), 1, "{keys}");
        assert_eq!(findings[0].why, Pointless::Covered("wide".into()), "{keys}");
    }
}
