//! The examples of the pages on policies and strategies are what they say they are.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::{
    Aspect, ContentHash, DomainId, FactCore, FactType, Hlc, Label, Onward, References, Row, Seed,
    TemporalFact, ValidTime, Value, WholeContent,
};
use causality_strategy::{Flow, Known, Party, PolicyFile, Subject, parse_filter};

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

/// An event as a network reported it, which says how it is handled.
fn event(label: &str, onward: Onward) -> TemporalFact {
    let number = |name: &str, value| (name.to_owned(), Value::number(value).unwrap());
    let status = Value::String("reviewed".into());
    let fields = [
        number("felt", 7.0),
        number("mag", 4.1),
        number("sig", 81.0),
        ("status".to_owned(), status),
    ];
    let core = FactCore {
        onward,
        label: Label::new(label).unwrap(),
        origin: DomainId::new([3; 32]),
        fact_type: FactType::Observation,
        resource: "event/uw61345817".parse().unwrap(),
        aspect: Aspect::default(),
        hlc: Hlc::from_millis(1_517_420_174_280),
        valid: ValidTime::since(1_517_396_793_850),
        requires: References::default(),
        supersedes: References::default(),
        content_root: ContentHash::new([0; 32]),
    };
    let content = WholeContent::new(Seed::new([7; 16]), fields.into()).unwrap();
    TemporalFact::new(core, content).unwrap()
}

#[test]
fn every_explanation_of_the_page_is_what_is_said() {
    let example = blocks(POLICIES, "toml")[0];
    let policies = PolicyFile::parse(example).unwrap().policies;
    let press = Party {
        domain: DomainId::new([2; 32]),
        name: Some("press.herald"),
    };
    let policy = policies.get_policy_for_domain(Flow::Out, DomainId::new([1; 32]), &press);
    let facts = [
        event("reviewed", Onward::Audience),
        event("embargoed", Onward::Any),
        event("reviewed", Onward::Audience).redact(|field| field != "mag"),
    ];
    let said = facts.map(|fact| {
        let (origin, compartment, row) = (fact.core().origin, "public", &Row::from(&fact));
        let subject = Subject {
            origin,
            compartment,
            row,
        };
        policy.explain(&subject, 1_517_400_000_000)
    });
    let [page] = blocks(POLICIES, "explained")[..] else {
        panic!("there is one such block")
    };
    assert_eq!(said.join("\n"), page.trim_end());
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
