//! The examples of `docs/src/policies.md` are what it says they are.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::DomainId;
use causality_strategy::{Flow, Known, Party, SyncPolicies, parse_filter};
use proptest::prelude::*;

const PAGE: &str = include_str!("../../../docs/src/policies.md");

/// The blocks of one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = PAGE.split(&fence).skip(1);
    starts
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_complete_example_is_a_policy_in_which_every_rule_decides_something() {
    let policies = SyncPolicies::parse(blocks("toml")[0]).unwrap();
    assert!(policies.sync_policies(Flow::Out).len() >= 2);
    let party = |name| Party {
        domain: DomainId::new([1; 32]),
        name: Some(name),
    };
    let known = Known {
        peers: &[party("press.herald"), party("seismo.us.uw")],
        compartments: &["public", "ops"],
    };
    assert_eq!(policies.check(&known), []);
}

#[test]
fn every_other_example_is_a_policy_too() {
    for text in blocks("toml") {
        SyncPolicies::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn every_filter_of_the_page_is_one() {
    let filters: Vec<_> = blocks("filter").into_iter().flat_map(str::lines).collect();
    assert!(filters.len() >= 5);
    for text in filters {
        parse_filter(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn every_error_of_the_page_is_what_is_said() {
    for block in blocks("text") {
        let Some((text, said)) = block.split_once("\n---\n") else {
            continue;
        };
        let error = SyncPolicies::parse(text).unwrap_err();
        assert_eq!(error.to_string(), said.trim_end());
    }
}

proptest! {
    #[test]
    fn a_damaged_policy_is_refused_at_a_place_in_it_or_still_one(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<char>()), 1..4),
    ) {
        let mut text: Vec<char> = blocks("toml")[0].chars().collect();
        for (place, insert, character) in damage {
            let place = place.index(text.len());
            if insert {
                text.insert(place, character);
            } else {
                text.remove(place);
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = SyncPolicies::parse(&text) {
            let line = text.split('\n').nth(error.line - 1);
            prop_assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{error}");
        }
    }
}
