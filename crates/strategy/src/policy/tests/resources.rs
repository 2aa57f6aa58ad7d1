//! Types of resources: every fact is held against them, and a check finds those that are not declared.

use super::*;

const TYPES: &str = "[resource_types]\nevent = \"an earthquake\"\nstation = \"a seismometer\"\n";

#[test]
fn facts_of_every_type_are_held_against_the_types_of_resources() {
    let types = [
        "state_change",
        "operation",
        "observation",
        "transaction",
        "cross_domain",
        "validation",
        "retraction",
        "resolution",
        "erasure",
        "custom:reading",
    ];
    let all = rule("out", "all", "");
    for name in types {
        let of = |resource: &str| {
            fact(|core| {
                core.fact_type = name.parse().unwrap();
                core.resource = resource.parse().unwrap();
            })
        };
        let (event, other) = (of("event/1"), of("account/1"));
        assert!(passes("resource_types = [\"event\"]", &event), "{name}");
        assert!(!passes("resource_types = [\"event\"]", &other), "{name}");
        let kept = all.clone()
            + &rule(
                "security",
                "kept",
                "refuse = true\nresource_types = [\"account\"]",
            );
        assert_eq!(refusal(&kept, &other).1, Refusal::Security, "{name}");
        assert!(matches!(
            decide(&policy(&kept), &event, 0),
            Decision::Share(_)
        ));
    }
}

#[test]
fn a_file_declares_types_of_resources() {
    let file = PolicyFile::parse(TYPES).unwrap();
    let types: Vec<_> = file.resource_types.types().collect();
    assert_eq!(
        types,
        [("event", "an earthquake"), ("station", "a seismometer")]
    );
    // What is declared decides nothing.
    let text = TYPES.to_owned() + &rule("out", "all", "");
    let unknown = fact(|core| core.resource = "account/1".parse().unwrap());
    assert!(matches!(
        decide(&policy(&text), &unknown, 0),
        Decision::Share(_)
    ));
}

fn check(text: &str) -> Vec<String> {
    let file = PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let known = Known {
        peers: &[PEER],
        compartments: &["public"],
    };
    file.check(&known).iter().map(ToString::to_string).collect()
}

#[test]
fn types_of_resources_that_are_not_declared_are_named_with_what_was_meant() {
    let strategy = "[[strategy]]\nname = \"s\"\nmode = \"event-driven\"\nresource = \"evnet/*\"\n\
                    where = 'resource is \"a*\" or resource is \"account/1\"'\n\
                    [[strategy.trigger]]\nid = \"t\"\nresource = \"stations/uw\"\n";
    let rules = rule(
        "out",
        "one",
        "resource_types = [\"event\", \"evnt\", \"x*\", \"st*\"]",
    ) + &rule("in", "two", "where = 'not resource is \"statio/*\"'")
        + &rule(
            "security",
            "three",
            "refuse = true\nresource_types = [\"quake\"]",
        )
        + strategy;
    let says = |line: usize, name: &str, kind: &str, meant: &str| {
        format!("line {line}: {name:?} names {kind:?}, which is not among [resource_types]{meant}")
    };
    assert_eq!(
        check(&(TYPES.to_owned() + &rules)),
        [
            says(4, "one", "evnt", "; did you mean `event`?"),
            says(4, "one", "x*", ""),
            says(9, "two", "statio", "; did you mean `station`?"),
            says(14, "three", "quake", ""),
            says(20, "s", "account", ""),
            says(20, "s", "evnet", "; did you mean `event`?"),
            says(20, "s", "stations", "; did you mean `station`?"),
        ]
    );
    // Where no types are declared, none is missing.
    assert_eq!(check(&rules), Vec::<String>::new());
}
