//! What the rules of a file say of facts: each condition, each restriction, and the laws that hold for all rules.

use super::*;
use causality_fact::Aspect;
use causality_fact::ContentHash;
use causality_fact::FactCore;
use causality_fact::Hlc;
use causality_fact::Label;
use causality_fact::Onward;
use causality_fact::References;
use causality_fact::Row;
use causality_fact::Seed;
use causality_fact::TemporalFact;
use causality_fact::ValidTime;
use causality_fact::Value;
use causality_fact::WholeContent;

mod check;
mod explain;
mod laws;
mod resources;
mod terms;
mod volume;

const OWN: DomainId = DomainId::new([1; 32]);
const PRESS: DomainId = DomainId::new([2; 32]);
const UW: DomainId = DomainId::new([3; 32]);

const PEER: Party<'static> = Party {
    domain: PRESS,
    name: Some("press.herald"),
};

/// A reviewed observation of `uw` with magnitude 2.3, felt and signed, as OWN holds it.
fn fact(change: impl FnOnce(&mut FactCore)) -> TemporalFact {
    let mut core = FactCore {
        onward: Onward::Audience,
        label: Label::new("reviewed").unwrap(),
        origin: UW,
        fact_type: FactType::Observation,
        resource: "event/uw61345817".parse().unwrap(),
        aspect: Aspect::default(),
        hlc: Hlc::from_millis(1_517_420_174_280),
        valid: ValidTime::between(1_517_396_793_850, 1_517_396_800_000).unwrap(),
        requires: References::default(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    };
    change(&mut core);
    let fields = [("felt", 7.0), ("mag", 2.3), ("sig", 81.0)];
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::number(value).unwrap()));
    let content = WholeContent::new(Seed::new([7; 16]), fields.into()).unwrap();
    TemporalFact::new(core, content).unwrap()
}

/// A rule of a section with a name, for all peers and the compartment `public`.
fn rule(section: &str, name: &str, keys: &str) -> String {
    format!(
        "[[{section}]]\nname = \"{name}\"\npeers = [\"*\"]\ncompartments = [\"public\"]\n{keys}\n"
    )
}

fn policy(text: &str) -> PeerPolicy {
    let policies = SyncPolicies::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    policies.get_policy_for_domain(Flow::Out, OWN, &PEER)
}

fn decide<'a>(policy: &'a PeerPolicy, fact: &TemporalFact, now_ms: u64) -> Decision<'a> {
    let row = &Row::from(fact);
    let (origin, compartment) = (fact.core().origin, "public");
    policy.should_synchronize_fact(
        &Subject {
            origin,
            compartment,
            row,
        },
        now_ms,
    )
}

/// Whether the keys, on the one rule that grants, let a fact pass.
fn passes(keys: &str, fact: &TemporalFact) -> bool {
    matches!(
        decide(&policy(&rule("out", "a", keys)), fact, 0),
        Decision::Share(_)
    )
}

fn refusal(text: &str, fact: &TemporalFact) -> (Option<String>, Refusal) {
    match decide(&policy(text), fact, 0) {
        Decision::Refuse { rule, reason } => (rule.map(|rule| rule.name().to_owned()), reason),
        Decision::Share(share) => panic!("{:?} shares it", share.policy().name()),
    }
}

#[test]
fn what_no_rule_grants_is_not_shared() {
    let fact = fact(|_| ());
    assert_eq!(refusal("", &fact), (None, Refusal::NoRule));
    let other_peer = rule("out", "a", "").replace("\"*\"", "\"seismo.*\"");
    assert_eq!(refusal(&other_peer, &fact), (None, Refusal::NoRule));
    assert_eq!(
        refusal(&rule("in", "a", ""), &fact),
        (None, Refusal::NoRule)
    );
    assert!(passes("", &fact));
}

#[test]
fn each_condition_lets_pass_what_meets_it() {
    let fact = fact(|_| ());
    for (meets, fails) in [
        (
            "fact_types = [\"erasure\", \"observation\"]",
            "fact_types = [\"custom:*\"]",
        ),
        (
            "resource_types = [\"ev*\"]",
            "resource_types = [\"event/*\", \"station\"]",
        ),
        ("labels = [\"reviewed\"]", "labels = [\"\"]"),
        ("onward = [\"audience\", \"any\"]", "onward = [\"any\"]"),
        (
            "valid = { from = 2018-01-31 }",
            "valid = { from = 2018-01-31T11:06:40Z }",
        ),
        (
            "valid = { until = 2018-01-31T11:06:33.851Z }",
            "valid = { until = 2018-01-31T11:06:33.850Z }",
        ),
        (
            "known = { until = 2018-02-01 }",
            "known = { from = 2018-02-01 }",
        ),
        (
            "in_force = { until = 1970-01-02 }",
            "in_force = { from = 1970-01-02 }",
        ),
        ("where = 'mag >= 2.3'", "where = 'mag > 2.3'"),
    ] {
        assert!(passes(meets, &fact), "{meets}");
        assert!(!passes(fails, &fact), "{fails}");
    }
}

#[test]
fn a_compartment_is_granted_by_its_name_here() {
    let text = rule("out", "a", "").replace("\"public\"", "\"ops.*\"");
    let policy = policy(&text);
    let row = &Row::from(fact(|_| ()));
    let origin = UW;
    let decide = |compartment| {
        policy.should_synchronize_fact(
            &Subject {
                origin,
                compartment,
                row,
            },
            0,
        )
    };
    assert!(matches!(decide("ops.uw"), Decision::Share(_)));
    assert!(matches!(decide("public"), Decision::Refuse { .. }));
    assert!(policy.shares_compartment("ops.uw", 0));
    assert!(!policy.shares_compartment("public", 0));
}

#[test]
fn peers_are_meant_by_group_name_or_id() {
    let groups = format!("[groups]\nreaders = [\"press.*\", \"{UW}\"]\n");
    let text = groups + &rule("out", "a", "").replace("\"*\"", "\"@readers\"");
    let policies = SyncPolicies::parse(&text).unwrap();
    let grants = |domain, name| {
        let policy = policies.get_policy_for_domain(Flow::Out, OWN, &Party { domain, name });
        policy.shares_compartment("public", 0)
    };
    assert!(grants(PRESS, Some("press.herald")));
    assert!(!grants(PRESS, Some("seismo.us")));
    assert!(grants(UW, None));
}

#[test]
fn the_first_rule_that_grants_is_named() {
    let text = rule("out", "never", "labels = [\"draft\"]")
        + &rule("out", "first", "")
        + &rule("out", "second", "");
    let policy = policy(&text);
    let Decision::Share(share) = decide(&policy, &fact(|_| ()), 0) else {
        panic!("it is granted")
    };
    assert_eq!((share.policy().name(), share.policy().line()), ("first", 6));
}

#[test]
fn a_rule_without_a_volume_counts_before_one_with() {
    let limit = "volume = { facts = 1, bytes = 1, seconds = 1 }";
    let named = |text: String| match decide(&policy(&text), &fact(|_| ()), 0) {
        Decision::Share(share) => share.policy().name().to_owned(),
        Decision::Refuse { reason, .. } => reason.to_string(),
    };
    let limited = rule("out", "limited", limit) + &rule("out", "too", limit);
    assert_eq!(named(limited.clone()), "limited");
    assert_eq!(named(limited + &rule("out", "all", "")), "all");
}

#[test]
fn a_compartment_is_shared_whole_while_nothing_more_is_asked_of_its_facts() {
    let until = "in_force = { until = 1970-01-01T00:00:00.005Z }";
    let whole = |text: &str, now| policy(text).shares_whole("public", now);
    assert!(!whole("", 0));
    assert!(whole(&rule("out", "a", ""), 0));
    assert!(whole(&rule("out", "a", until), 4) && !whole(&rule("out", "a", until), 5));
    assert!(!whole(
        &rule("out", "a", "").replace("\"public\"", "\"ops\""),
        0
    ));
    for (key, condition) in [
        ("fact_types", "[\"*\"]"),
        ("resource_types", "[\"*\"]"),
        ("labels", "[\"*\"]"),
        ("onward", "[\"any\"]"),
        ("valid", "{ from = 1970-01-01 }"),
        ("known", "{ from = 1970-01-01 }"),
        ("where", "'mag > 2'"),
        ("volume", "{ facts = 1, bytes = 1, seconds = 1 }"),
    ] {
        let narrow = rule("out", "a", &format!("{key} = {condition}"));
        assert!(!whole(&narrow, 0), "{key}");
        // It takes nothing away from a rule that says no more.
        assert!(whole(&(narrow + &rule("out", "all", "")), 0), "{key}");
    }
    let grant = rule("out", "all", "");
    for effect in [
        "refuse = true",
        "withhold = [\"sig\"]",
        "protection = \"session\"",
    ] {
        let security = |more: &str| rule("security", "s", &format!("{effect}\n{more}"));
        assert!(!whole(&(grant.clone() + &security("")), 0), "{effect}");
        assert!(!whole(
            &(grant.clone() + &security("labels = [\"never\"]")),
            0
        ));
        assert!(whole(&(grant.clone() + &security(until)), 5));
        let elsewhere = security("").replace("\"public\"", "\"ops\"");
        assert!(whole(&(grant.clone() + &elsewhere), 0));
    }
}

#[test]
fn a_fact_opens_when_an_embargo_ends_a_window_begins_or_both() {
    let at = |ms: u64| format!("1970-01-01T00:00:00.{ms:03}Z");
    let from = |ms| format!("in_force = {{ from = {} }}\n", at(ms));
    let until = |ms| format!("in_force = {{ until = {} }}\n", at(ms));
    let within = |one, two| format!("in_force = {{ from = {}, until = {} }}\n", at(one), at(two));
    let grant = |name: &str, keys: String| rule("out", name, &keys);
    let embargo = |name: &str, keys: String| rule("security", name, &(keys + "refuse = true"));
    let opens_at = |text: &str, now| {
        let row = &Row::from(fact(|_| ()));
        let (origin, compartment) = (UW, "public");
        let subject = Subject {
            origin,
            compartment,
            row,
        };
        policy(text).opens_at(&subject, now)
    };
    let all = grant("all", String::new());
    // The embargo ends.
    let text = all.clone() + &embargo("e", until(10));
    assert_eq!(
        [0, 9, 10].map(|now| opens_at(&text, now)),
        [Some(10), Some(10), None]
    );
    // The window opens.
    let text = grant("a", from(20));
    assert_eq!(
        [0, 19, 20].map(|now| opens_at(&text, now)),
        [Some(20), Some(20), None]
    );
    // Both, in either order; and what opens while the embargo holds, and closes before it ends, does not help.
    let text = grant("a", from(20)) + &embargo("e", until(30)) + &grant("b", within(5, 30));
    assert_eq!(opens_at(&text, 0), Some(30));
    let text = grant("a", from(20)) + &embargo("e", until(10)) + &embargo("f", within(15, 25));
    assert_eq!(opens_at(&text, 0), Some(25));
    // Already shared, though not always; open again after a second embargo.
    let text = grant("a", until(20)) + &embargo("e", within(5, 8));
    assert_eq!(
        [4, 5, 8, 20].map(|now| opens_at(&text, now)),
        [None, Some(8), None, None]
    );
    // Never: no rule, an embargo without an end, a window that closed, a rule about other facts, a window of nothing.
    for text in [
        String::new(),
        all.clone() + &embargo("e", String::new()),
        grant("a", until(5)),
        grant("a", from(20) + "labels = [\"draft\"]"),
        grant("a", within(20, 10)),
    ] {
        assert_eq!(opens_at(&text, 6), None, "{text}");
    }
    // What is not visible of it opens nothing, and what may be refused stays so.
    let unseen = grant("a", from(20) + "where = 'depth > 3'");
    assert_eq!(opens_at(&unseen, 0), None);
    let refused = all + &embargo("e", from(0) + "where = 'depth > 3'\n");
    assert_eq!(opens_at(&refused, 0), None);
}

#[test]
fn what_its_origin_lets_nobody_pass_on_never_opens() {
    let from = "in_force = { from = 1970-01-02 }";
    let private = |origin| fact(|core| (core.onward, core.origin) = (Onward::None, origin));
    let opens_at = |origin| {
        let row = &Row::from(private(origin));
        let compartment = "public";
        let subject = Subject {
            origin,
            compartment,
            row,
        };
        policy(&rule("out", "a", from)).opens_at(&subject, 0)
    };
    assert_eq!([OWN, UW].map(opens_at), [Some(86_400_000), None]);
}

#[test]
fn facts_of_neither_side_are_passed_on() {
    let text = rule("out", "all", "") + &rule("in", "all of it", "");
    let policies = SyncPolicies::parse(&text).unwrap();
    let passes_on = |flow, origin| {
        policies
            .get_policy_for_domain(flow, OWN, &PEER)
            .passes_on(origin)
    };
    assert_eq!(
        [OWN, PRESS, UW].map(|origin| passes_on(Flow::Out, origin)),
        [false, false, true]
    );
    assert!(!passes_on(Flow::In, UW));
}

#[test]
fn a_security_policy_refuses_withholds_and_asks_for_session_keys() {
    let fact = fact(|_| ());
    let grant = rule("out", "all", "");
    let refuse = grant.clone() + &rule("security", "embargo", "refuse = true\nwhere = 'mag >= 2'");
    assert_eq!(
        refusal(&refuse, &fact),
        (Some("embargo".into()), Refusal::Security)
    );

    let restrict = grant
        + &rule("security", "fields", "withhold = [\"sig\", \"fe*\"]")
        + &rule(
            "security",
            "keys",
            "protection = \"session\"\nlabels = [\"reviewed\"]",
        )
        + &rule("security", "drafts", "refuse = true\nlabels = [\"draft\"]");
    let policy = policy(&restrict);
    let Decision::Share(share) = decide(&policy, &fact, 0) else {
        panic!("it is granted")
    };
    assert_eq!(
        share.withheld_by("felt").map(SecurityPolicy::name),
        Some("fields")
    );
    assert_eq!(share.withheld_by("mag"), None);
    assert_eq!(share.protection(), Protection::Session);
    let shown = share.redact(&fact);
    assert_eq!(
        shown
            .content()
            .disclosed()
            .map(|(name, _)| name)
            .collect::<Vec<_>>(),
        ["mag"]
    );
    assert_eq!(shown.id(), fact.id());
}

#[test]
fn everything_travels_sealed_at_least() {
    let policy = policy(&rule("out", "all", ""));
    let Decision::Share(share) = decide(&policy, &fact(|_| ()), 0) else {
        panic!("it is granted")
    };
    assert_eq!(share.protection(), Protection::Sealed);
}

#[test]
fn security_policies_hold_outwards_only() {
    let text = rule("in", "all", "") + &rule("security", "none", "refuse = true");
    let policies = SyncPolicies::parse(&text).unwrap();
    let policy = policies.get_policy_for_domain(Flow::In, OWN, &PEER);
    assert!(matches!(
        decide(&policy, &fact(|_| ()), 0),
        Decision::Share(_)
    ));
}

#[test]
fn what_is_withheld_here_grants_nothing_and_restricts_all_the_same() {
    let dark = fact(|_| ()).redact(|field| field != "mag");
    let grant = rule("out", "strong", "where = 'mag >= 2'");
    assert_eq!(
        refusal(&grant, &dark),
        (Some("strong".into()), Refusal::Undetermined)
    );
    // Another rule may still grant it.
    assert!(matches!(
        decide(&policy(&(grant + &rule("out", "all", ""))), &dark, 0),
        Decision::Share(_)
    ));

    let refuse =
        rule("out", "all", "") + &rule("security", "weak", "refuse = true\nwhere = 'mag < 2'");
    assert_eq!(
        refusal(&refuse, &dark),
        (Some("weak".into()), Refusal::Undetermined)
    );
    let withhold = rule("out", "all", "")
        + &rule(
            "security",
            "weak",
            "withhold = [\"sig\"]\nwhere = 'mag < 2'",
        );
    let policy = policy(&withhold);
    let Decision::Share(share) = decide(&policy, &dark, 0) else {
        panic!("it is granted")
    };
    assert!(share.withheld_by("sig").is_some());
}

#[test]
fn what_its_origin_lets_nobody_pass_on_goes_to_nobody_else() {
    let all = rule("out", "all", "");
    let private = |origin| fact(|core| (core.onward, core.origin) = (Onward::None, origin));
    assert_eq!(refusal(&all, &private(UW)), (None, Refusal::Onward));
    assert!(matches!(
        decide(&policy(&all), &private(OWN), 0),
        Decision::Share(_)
    ));
    assert!(matches!(
        decide(&policy(&all), &private(PRESS), 0),
        Decision::Share(_)
    ));
    let row = &Row::from(private(UW));
    let (origin, compartment) = (UW, "public");
    assert!(!policy(&all).can_share_fact(
        &Subject {
            origin,
            compartment,
            row
        },
        0
    ));
}

#[test]
fn a_core_that_cannot_be_read_is_granted_by_its_header_alone() {
    let mut core = fact(|_| ()).core().to_bytes();
    core[0] = 1;
    let row = &Row::unsupported(&core, &[]).unwrap();
    let (origin, compartment) = (UW, "public");
    let decide = |keys: &str| {
        let policy = policy(&(rule("out", "a", keys)));
        match policy.should_synchronize_fact(
            &Subject {
                origin,
                compartment,
                row,
            },
            0,
        ) {
            Decision::Share(_) => None,
            Decision::Refuse { reason, .. } => Some(reason),
        }
    };
    assert_eq!(decide(""), None);
    assert_eq!(decide("labels = [\"reviewed\"]"), None);
    assert_eq!(decide("labels = [\"draft\"]"), Some(Refusal::NoRule));
    for keys in [
        "fact_types = [\"*\"]",
        "resource_types = [\"*\"]",
        "valid = { from = 1970-01-01 }",
        "known = { from = 1970-01-01 }",
        "where = 'not exists mag'",
    ] {
        assert_eq!(decide(keys), Some(Refusal::Undetermined), "{keys}");
    }
}

#[test]
fn of_a_core_that_cannot_be_read_no_field_is_withheld_alone() {
    let mut core = fact(|_| ()).core().to_bytes();
    core[0] = 1;
    let row = &Row::unsupported(&core, &[]).unwrap();
    let (origin, compartment) = (UW, "public");
    let subject = Subject {
        origin,
        compartment,
        row,
    };
    let grant = rule("out", "all", "");
    let withhold = grant + &rule("security", "fields", "withhold = [\"sig\"]\n");
    let until = withhold.clone() + "in_force = { until = 1970-01-02 }";
    let (policy_until, policy_always) = (policy(&until), policy(&withhold));
    let refused = policy_always.should_synchronize_fact(&subject, 0);
    let Decision::Refuse { rule, reason } = refused else {
        panic!("its fields cannot be told apart")
    };
    assert_eq!(rule.map(|rule| rule.name()), Some("fields"));
    assert_eq!(reason, Refusal::Undetermined);
    assert_eq!(policy_always.opens_at(&subject, 0), None);
    assert_eq!(policy_until.opens_at(&subject, 0), Some(86_400_000));
    assert!(!policy_until.can_share_fact(&subject, 0));
    assert!(policy_until.can_share_fact(&subject, 86_400_000));
}

#[test]
fn a_compartment_of_which_everything_is_refused_is_not_named() {
    let shares = |security: &str, now| {
        policy(&(rule("out", "all", "") + security)).shares_compartment("public", now)
    };
    assert!(shares("", 0));
    assert!(shares(
        &rule("security", "s", "refuse = true\nlabels = [\"draft\"]"),
        0
    ));
    assert!(!shares(&rule("security", "s", "refuse = true"), 0));
    let everywhere = "[[security]]\nname = \"s\"\npeers = [\"press.*\"]\nrefuse = true\n";
    assert!(!shares(everywhere, 0));
    let embargo = rule(
        "security",
        "s",
        "refuse = true\nin_force = { until = 1970-01-01T00:00:00.005Z }",
    );
    assert!(!shares(&embargo, 4));
    assert!(shares(&embargo, 5));
}

#[test]
fn who_is_granted_facts_of_no_time_does_not_learn_that_a_log_is_there() {
    for key in ["valid", "known", "in_force"] {
        let never = format!("{key} = {{ from = 2018-02-01, until = 2018-01-01 }}");
        let policy = policy(&rule("out", "a", &never));
        for now_ms in [0, 1_516_000_000_000, 1_600_000_000_000] {
            assert!(!policy.shares_compartment("public", now_ms), "{key}");
        }
    }
}

#[test]
fn edges_are_when_a_rule_comes_into_force_or_goes_out_of_it() {
    let at = |ms| format!("1970-01-01T00:00:00.{ms:03}Z");
    let in_force = |from, until| {
        format!(
            "in_force = {{ from = {}, until = {} }}",
            at(from),
            at(until)
        )
    };
    let text = rule("out", "a", &in_force(10, 30))
        + &rule("security", "b", &(in_force(20, 40) + "\nrefuse = true"))
        + &rule("out", "never", &in_force(9, 9))
        + &rule("out", "others", &in_force(1, 99)).replace("\"*\"", "\"seismo.*\"")
        + &rule("out", "old", "in_force = { from = 1950-01-01 }");
    let policy = policy(&text);
    let edges = [0, 10, 15, 20, 30, 40].map(|now| policy.next_edge(now));
    assert_eq!(
        edges,
        [Some(10), Some(20), Some(20), Some(30), Some(40), None]
    );
    let edges = [0, 9, 10, 15, 20, 35, 40].map(|now| policy.last_edge(now));
    let passed = [10, 10, 20, 30, 40].map(Some);
    assert_eq!(edges, [[None; 2].as_slice(), &passed].concat()[..]);
}

#[test]
fn a_policy_tells_what_it_is_about() {
    let keys = "fact_types = [\"observation\"]\nresource_types = [\"event\"]\nknown = { from = 1970-01-01 }\n\
                volume = { facts = 5, bytes = 10, seconds = 1 }";
    let policies =
        SyncPolicies::parse(&(rule("out", "a", keys) + &rule("security", "s", "refuse = true")))
            .unwrap();
    let [policy] = policies.sync_policies(Flow::Out) else {
        panic!("there is one")
    };
    assert!(
        policy.allows_fact_type(&FactType::Observation)
            && !policy.allows_fact_type(&FactType::Erasure)
    );
    assert!(policy.allows_resource_type("event") && !policy.allows_resource_type("station"));
    assert_eq!(policy.get_sync_window().known.from, Some(0));
    assert!(policy.get_sync_window().contains(fact(|_| ()).core()));
    assert_eq!(policy.volume(), Volume::new(5, 10, 1).as_ref());
    let [security] = policies.security_policies() else {
        panic!("there is one")
    };
    assert!(security.refuses() && !security.withholds("mag"));
    assert_eq!(
        (security.line(), security.protection()),
        (9, Protection::Sealed)
    );
}

#[test]
fn windows_are_half_open_and_may_be_open_ended() {
    let window = |from, until| Window { from, until };
    let valid = |from, until| ValidTime::between(from, until).unwrap();
    assert!(window(Some(5), Some(9)).contains(5) && !window(Some(5), Some(9)).contains(9));
    assert!(window(None, None).overlaps(&ValidTime::since(i64::MAX)));
    assert!(window(Some(5), Some(9)).overlaps(&valid(0, 6)));
    assert!(!window(Some(5), Some(9)).overlaps(&valid(0, 5)));
    assert!(!window(Some(5), Some(9)).overlaps(&ValidTime::since(9)));
    assert!(!window(Some(5), Some(5)).overlaps(&valid(0, 9)));
}
