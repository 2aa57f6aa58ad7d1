//! Laws, over random rules and facts.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// A rule as its section and keys; what a key says was drawn from a few words, so that rules meet facts.
#[derive(Clone, Debug)]
struct Draft {
    section: &'static str,
    keys: BTreeMap<&'static str, String>,
}

fn write(drafts: &[Draft]) -> String {
    let rules = drafts.iter().enumerate().map(|(number, draft)| {
        let keys = draft
            .keys
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        format!(
            "[[{}]]\nname = \"{number}\"\n{}",
            draft.section,
            keys.collect::<String>()
        )
    });
    rules.collect()
}

fn list(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let some = prop::collection::vec(select(words), 1..4);
    some.prop_map(|words| format!("{words:?}"))
}

fn window() -> impl Strategy<Value = (u32, u32)> {
    (0..9_u32, 0..9_u32)
}

/// A window in the words of a file. One that ends before it begins may grant, but not restrict.
fn window_text((from, until): (u32, u32), grants: bool) -> String {
    let (from, until) = match grants {
        true => (from, until),
        false => (from.min(until), from.max(until) + 1),
    };
    let at = |ms: u32| format!("1970-01-01T00:00:00.{ms:03}Z");
    format!("{{ from = {}, until = {} }}", at(from), at(until))
}

/// The conditions that a rule may have beside its peers and compartments.
const CONDITIONS: [&str; 8] = [
    "fact_types",
    "resource_types",
    "labels",
    "onward",
    "valid",
    "known",
    "in_force",
    "where",
];

fn draft() -> impl Strategy<Value = Draft> {
    let filters = select(
        &[
            "'mag >= 2'",
            "'mag < 2'",
            "'not exists sig'",
            "'sig = 81 or label is \"draft\"'",
        ][..],
    );
    // Few conditions each, or nothing would ever meet them all.
    let rarely = |values: BoxedStrategy<String>| prop::option::weighted(0.2, values);
    let values = (
        rarely(list(&["observation", "custom:*", "erasure", "*"]).boxed()),
        rarely(list(&["event", "st*"]).boxed()),
        rarely(list(&["reviewed", "draft", "", "*"]).boxed()),
        rarely(list(&["none", "audience", "any"]).boxed()),
        prop::option::weighted(0.2, window()),
        prop::option::weighted(0.2, window()),
        prop::option::weighted(0.3, window()),
        prop::option::weighted(0.4, filters.prop_map(str::to_owned)),
    );
    let effect = prop::option::of(list(&["sig", "f*", "mag"]));
    (values, effect, any::<bool>()).prop_map(|(values, withheld, grants)| {
        let (types, resources, labels, onward, valid, known, in_force, filter) = values;
        let text = |window: Option<_>| window.map(|window| window_text(window, grants));
        let [valid, known, in_force] = [valid, known, in_force].map(text);
        let values = [
            types, resources, labels, onward, valid, known, in_force, filter,
        ];
        let given = CONDITIONS.into_iter().zip(values);
        let mut keys: BTreeMap<_, _> = given
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        keys.insert("peers", "[\"*\"]".to_owned());
        keys.insert("compartments", "[\"public\"]".to_owned());
        let effect = withheld.map_or(("refuse", "true".to_owned()), |list| ("withhold", list));
        if !grants {
            keys.extend([effect]);
        }
        let section = if grants { "out" } else { "security" };
        Draft { section, keys }
    })
}

fn facts() -> impl Strategy<Value = TemporalFact> {
    let onward = select(&[Onward::None, Onward::Audience, Onward::Any][..]);
    let label = select(&["reviewed", "draft", ""][..]);
    let kind = select(&["observation", "custom:x", "operation"][..]);
    let resource = select(&["event/1", "station/1", "other/1"][..]);
    (onward, label, kind, resource, 0..9_i64, 0..9_u64).prop_map(
        |(onward, label, kind, resource, valid, known)| {
            fact(|core| {
                core.onward = onward;
                core.label = Label::new(label).unwrap();
                core.fact_type = kind.parse().unwrap();
                core.resource = resource.parse().unwrap();
                core.valid = ValidTime::between(valid, valid + 2).unwrap();
                core.hlc = Hlc::from_millis(known);
            })
        },
    )
}

/// The same said by another origin.
fn fact_of(origin: DomainId, like: &TemporalFact) -> TemporalFact {
    fact(|core| {
        *core = FactCore {
            origin,
            ..like.core().clone()
        }
    })
}

/// Of a fact, what a peer gets to see: nothing, or the fields.
fn shown(policy: &PeerPolicy, fact: &TemporalFact, now: u64) -> Option<Vec<String>> {
    match decide(policy, fact, now) {
        Decision::Refuse { .. } => None,
        Decision::Share(share) => {
            let shown = share.redact(fact);
            Some(
                shown
                    .content()
                    .disclosed()
                    .map(|(name, _)| name.to_owned())
                    .collect(),
            )
        }
    }
}

/// Which fields a mask leaves to be seen.
fn is_visible(mask: u8) -> impl Fn(&str) -> bool {
    move |name| {
        ["felt", "mag", "sig"]
            .iter()
            .zip([1, 2, 4])
            .all(|(field, bit)| *field != name || mask & bit == 0)
    }
}

fn is_less(one: &Option<Vec<String>>, other: &Option<Vec<String>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => !one.iter().all(|field| other.contains(field)),
        (one, other) => one.is_some() && other.is_none(),
    }
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(), 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_widened_policy_never_shares_less(
        drafts in drafts(), fact in facts(), mask in 0..8_u8, now in 0..9_u64,
        (more, at, key) in (draft(), any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let fact = fact.redact(is_visible(mask));
        let narrow = shown(&policy(&write(&drafts)), &fact, now);
        let mut wide = drafts;
        let condition = |draft: &Draft| {
            let given: Vec<_> = CONDITIONS.into_iter().filter(|key| draft.keys.contains_key(key)).collect();
            (!given.is_empty()).then(|| given[key.index(given.len())])
        };
        // A rule more that grants, one less that restricts, or one that asks less or restricts more narrowly.
        match more.section {
            "out" => wide.insert(at.index(wide.len() + 1), more),
            _ if wide.is_empty() => {}
            _ => {
                let at = at.index(wide.len());
                let key = condition(&wide[at]);
                match (wide[at].section, key) {
                    ("out", Some(key)) => drop(wide[at].keys.remove(key)),
                    ("out", None) => {}
                    (_, None) => {
                        let where_ = more.keys.get("where").cloned();
                        wide[at].keys.extend(where_.map(|text| ("where", text)));
                    }
                    _ => drop(wide.remove(at)),
                }
            }
        }
        let shown = shown(&policy(&write(&wide)), &fact, now);
        prop_assert!(!is_less(&narrow, &shown), "{narrow:?} became {shown:?} with\n{}", write(&wide));
    }

    #[test]
    fn unknown_never_shares(drafts in drafts(), fact in facts(), mask in 0..8_u8, now in 0..9_u64) {
        // Whoever sees less of a fact never shares more of it than who sees all.
        let policy = policy(&write(&drafts));
        let part = fact.redact(is_visible(mask));
        let (of_part, of_whole) = (shown(&policy, &part, now), shown(&policy, &fact, now));
        prop_assert!(!is_less(&of_part, &of_whole), "{of_part:?} of a part, {of_whole:?} of the whole");
    }

    #[test]
    fn the_order_of_rules_and_lists_means_nothing(
        drafts in drafts(), shuffled in any::<u64>(), fact in facts(), now in 0..9_u64,
    ) {
        let mut others = drafts.clone();
        others.extend(drafts.first().cloned());
        let count = others.len().max(1);
        others.rotate_left(shuffled as usize % count);
        others.reverse();
        for list in others.iter_mut().flat_map(|draft| draft.keys.values_mut()) {
            if let Some(entries) = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                let reversed: Vec<_> = entries.split(", ").collect::<Vec<_>>().into_iter().rev().collect();
                *list = format!("[{}]", reversed.join(", "));
            }
        }
        let (one, other) = (policy(&write(&drafts)), policy(&write(&others)));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(shown(&one, &fact, now), shown(&other, &fact, now));
    }

    #[test]
    fn the_rule_that_is_named_stays_when_others_are_added_behind_it(
        drafts in drafts(), more in draft(), fact in facts(), now in 0..9_u64,
    ) {
        let named = |drafts: &[Draft]| match decide(&policy(&write(drafts)), &fact, now) {
            Decision::Share(share) => Some(share.policy().name().to_owned()),
            Decision::Refuse { .. } => None,
        };
        let before = named(&drafts);
        let more = Some(more).filter(|more| more.section == "out");
        let after = named(&drafts.into_iter().chain(more).collect::<Vec<_>>());
        prop_assert!(before.is_none() || before == after);
    }

    #[test]
    fn nothing_changes_between_two_edges(drafts in drafts(), fact in facts(), now in 0..9_u64) {
        let policy = policy(&write(&drafts));
        let since = policy.last_edge(now).unwrap_or(0);
        let until = policy.next_edge(now).unwrap_or(20);
        for later in since..until {
            prop_assert_eq!(decide(&policy, &fact, now), decide(&policy, &fact, later));
            prop_assert_eq!(policy.shares_compartment("public", now), policy.shares_compartment("public", later));
        }
    }

    #[test]
    fn a_fact_is_shared_only_of_a_compartment_that_is(drafts in drafts(), fact in facts(), now in 0..9_u64) {
        let policy = policy(&write(&drafts));
        if matches!(decide(&policy, &fact, now), Decision::Share(_)) {
            prop_assert!(policy.shares_compartment("public", now));
        }
    }

    #[test]
    fn of_a_compartment_that_is_shared_whole_every_fact_is_shared_as_it_is_held(
        drafts in drafts(), plain in 0..3_usize, fact in facts(), own: bool, mask in 0..8_u8, now in 0..9_u64,
    ) {
        // Rules that say no more than this are rare among random ones.
        let mut text = write(&drafts);
        text.extend((0..plain).map(|number| rule("out", &format!("plain {number}"), "")));
        let policy = policy(&text);
        let fact = fact_of(if own { OWN } else { UW }, &fact).redact(is_visible(mask));
        let (onward, origin) = (fact.core().onward, fact.core().origin);
        if !policy.shares_whole("public", now) {
            return Ok(());
        }
        let Decision::Share(share) = decide(&policy, &fact, now) else {
            prop_assert!(policy.passes_on(origin) && onward == Onward::None);
            return Ok(());
        };
        prop_assert_eq!(share.redact(&fact), fact);
        prop_assert_eq!(share.policy().volume(), None);
        prop_assert_eq!(share.protection(), Protection::Sealed);
        prop_assert!(!policy.passes_on(origin) || onward != Onward::None);
    }

    #[test]
    fn a_fact_opens_at_the_first_edge_at_which_it_is_shared(
        drafts in drafts(), fact in facts(), mask in 0..8_u8, now in 0..9_u64,
    ) {
        let policy = policy(&write(&drafts));
        let fact = fact.redact(is_visible(mask));
        let (origin, compartment, row) = (fact.core().origin, "public", &Row::from(&fact));
        let opens_at = policy.opens_at(&Subject { origin, compartment, row }, now);
        let is_shared = |ms: &u64| shown(&policy, &fact, *ms).is_some();
        let expected = if is_shared(&now) { None } else { (now..20).find(is_shared) };
        prop_assert_eq!(opens_at, expected);
    }

    #[test]
    fn what_check_calls_covered_changes_nothing(drafts in drafts(), fact in facts(), now in 0..9_u64) {
        let policies = SyncPolicies::parse(&write(&drafts)).unwrap();
        let known = Known { peers: &[PEER], compartments: &["public"] };
        for finding in policies.check(&known) {
            let mut without = drafts.clone();
            without.remove(finding.rule.parse().unwrap());
            let (with, without) = (policy(&write(&drafts)), policy(&write(&without)));
            prop_assert_eq!(shown(&with, &fact, now), shown(&without, &fact, now), "{}", finding);
        }
    }
}

#[test]
fn every_difference_that_decides_changes_the_digest() {
    let digest = |text: String| policy(&text).digest();
    let changes = [
        "",
        "fact_types = [\"a?\"]",
        "resource_types = [\"a?\"]",
        "labels = [\"a?\"]",
        "onward = [\"any\"]",
        "onward = [\"none\"]",
        "valid = { from = 2018-01-30 }",
        "valid = { until = 2018-01-30 }",
        "known = { from = 2018-01-30 }",
        "in_force = { from = 2018-01-30 }",
        "where = 'mag > 2'",
        "where = 'mag >= 2'",
        "volume = { facts = 1, bytes = 1, seconds = 1 }",
        "volume = { facts = 2, bytes = 1, seconds = 1 }",
        "volume = { facts = 1, bytes = 2, seconds = 1 }",
        "volume = { facts = 1, bytes = 1, seconds = 2 }",
    ];
    let grants = changes.map(|keys| digest(rule("out", "a", keys)));
    let restrictions = [
        "refuse = true",
        "withhold = [\"a\"]",
        "withhold = [\"b\"]",
        "protection = \"session\"",
    ]
    .map(|keys| digest(rule("out", "a", "") + &rule("security", "s", keys)));
    let all: BTreeSet<_> = grants.iter().chain(&restrictions).collect();
    assert_eq!(all.len(), grants.len() + restrictions.len());

    let same = [
        rule("out", "another name", ""),
        rule("out", "a", "") + &rule("out", "b", "").replace("\"*\"", "\"seismo.*\""),
        rule("out", "a", "") + &rule("in", "b", "labels = [\"x\"]"),
    ];
    for text in same {
        assert_eq!(digest(text.clone()), grants[0], "{text}");
    }
    let spaced = digest(rule("out", "a", "where = ' mag  >  2.0 '"));
    assert_eq!(spaced, grants[10]);
}
