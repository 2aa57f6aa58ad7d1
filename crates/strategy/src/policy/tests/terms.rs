//! Rules shown in the words of their file.

use super::*;

#[test]
fn a_rule_is_shown_in_the_words_of_its_file() {
    let text = r#"
        [groups]
        papers = ["press.*", "0202020202020202020202020202020202020202020202020202020202020202"]

        [[out]]
        name = "some"
        peers = ["@papers", "radio"]
        compartments = ["public", "o*"]
        fact_types = ["observation", "custom:*"]
        resource_types = ["event"]
        labels = ["", "reviewed"]
        onward = ["any", "audience"]
        valid = { from = 2018-01-30 }
        where = 'mag >= 2.5'
        volume = { facts = 1, bytes = 2, seconds = 3 }

        [[security]]
        name = "kept"
        peers = ["*"]
        withhold = ["sig", "felt*"]
        in_force = { until = 2018-01-30 }
    "#;
    let policies = SyncPolicies::parse(text).unwrap();
    let some = &policies.sync_policies(Flow::Out)[0];
    let terms = some.terms();
    let id = PRESS.to_string();
    let lists = [
        ("peers", vec![id.as_str(), "press.*", "radio"]),
        ("compartments", vec!["o*", "public"]),
        ("fact_types", vec!["custom:*", "observation"]),
        ("resource_types", vec!["event"]),
        ("labels", vec!["", "reviewed"]),
        ("onward", vec!["audience", "any"]),
    ];
    assert_eq!(terms.lists.len(), lists.len());
    for ((key, entries), (expected_key, expected)) in terms.lists.iter().zip(lists) {
        assert_eq!((*key, entries.len()), (expected_key, expected.len()));
        assert!(
            expected
                .iter()
                .all(|e| entries.iter().any(|entry| entry == e)),
            "{entries:?}"
        );
    }
    assert_eq!(terms.filter, Some("mag >= 2.5"));
    assert_eq!(terms.window, some.get_sync_window());
    assert!(terms.window.valid.from.is_some());
    let volume = some.volume().unwrap();
    assert_eq!(
        (volume.facts(), volume.bytes(), volume.seconds()),
        (1, 2, 3)
    );

    let kept = &policies.security_policies()[0];
    assert_eq!(kept.terms().lists, [("peers", vec!["*".to_owned()])]);
    assert_eq!(kept.terms().filter, None);
    assert!(kept.terms().window.in_force.until.is_some());
    assert!(kept.withheld().eq(["felt*", "sig"]));

    assert!(policies.compartments(Flow::Out).into_iter().eq(["public"]));
    assert!(policies.compartments(Flow::In).is_empty());
}

#[test]
fn the_rules_about_a_peer_are_those_of_the_file_and_its_grants() {
    let text = rule("out", "all", "")
        + &rule("out", "others", "").replace("\"*\"", "\"radio\"")
        + &rule("security", "kept", "refuse = true");
    let mut policies = SyncPolicies::parse(&text).unwrap();
    policies.grant(Flow::Out, "granted", PRESS, ["ops"]);
    let names = |flow| {
        let policy = policies.get_policy_for_domain(flow, OWN, &PEER);
        let sync = policy
            .sync_policies()
            .iter()
            .map(|rule| rule.name().to_owned());
        let security = policy.security_policies().iter();
        let security = security.map(|rule| rule.name().to_owned());
        (sync.collect::<Vec<_>>(), security.collect::<Vec<_>>())
    };
    let (sync, security) = names(Flow::Out);
    assert_eq!(
        (sync, security),
        (vec!["all".into(), "granted".into()], vec!["kept".into()])
    );
    assert_eq!(names(Flow::In), (Vec::new(), Vec::new()));
}
