//! The examples of the pages on policies and strategies are what they say they are.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::DomainId;
use causality_strategy::{Known, Party, PolicyFile, parse_filter};
use proptest::prelude::*;

const POLICIES: &str = include_str!("../../../docs/src/policies.md");
const STRATEGIES: &str = include_str!("../../../docs/src/strategies.md");

/// The blocks of one language on a page.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = page.split(&fence).skip(1);
    starts
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn each_complete_example_is_a_file_in_which_everything_decides_something() {
    let party = |name| Party {
        domain: DomainId::new([1; 32]),
        name: Some(name),
    };
    let peers = ["press.herald", "seismo.us.uw", "seismo.us.ak", "archive"].map(party);
    let known = Known {
        peers: &peers,
        compartments: &["public", "ops"],
    };
    let file = |page| PolicyFile::parse(blocks(page, "toml")[0]).unwrap();
    assert!(file(POLICIES).policies.security_policies().len() >= 2);
    assert!(file(STRATEGIES).strategies.len() >= 4);
    for page in [POLICIES, STRATEGIES] {
        assert_eq!(file(page).check(&known), []);
    }
}

#[test]
fn every_other_example_is_a_file_too() {
    for page in [POLICIES, STRATEGIES] {
        for text in blocks(page, "toml") {
            PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
    }
}

#[test]
fn every_filter_of_the_page_is_one() {
    let filters = blocks(POLICIES, "filter");
    let filters: Vec<_> = filters.into_iter().flat_map(str::lines).collect();
    assert!(filters.len() >= 5);
    for text in filters {
        parse_filter(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn every_error_of_the_pages_is_what_is_said() {
    for page in [POLICIES, STRATEGIES] {
        let blocks = blocks(page, "text");
        let errors = blocks
            .iter()
            .filter_map(|block| block.split_once("\n---\n"));
        let errors: Vec<_> = errors.collect();
        assert!(errors.len() >= 2);
        for (text, said) in errors {
            let error = PolicyFile::parse(text).unwrap_err();
            assert_eq!(error.to_string(), said.trim_end());
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_policy_is_refused_at_a_place_in_it_or_still_one(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<char>()), 1..4),
    ) {
        let mut text: Vec<char> = blocks(POLICIES, "toml")[0].chars().collect();
        for (place, insert, character) in damage {
            let place = place.index(text.len());
            if insert {
                text.insert(place, character);
            } else {
                text.remove(place);
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = PolicyFile::parse(&text) {
            let line = text.split('\n').nth(error.line - 1);
            prop_assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{error}");
        }
    }
}
