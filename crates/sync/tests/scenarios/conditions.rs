//! Each key of a rule over a session: what of the same facts arrives when it stands in a rule about what goes out, about what comes
//! in, and about what stays here.

use causality_fact::{Onward, ValidTime, Value};
use causality_strategy::SyncPolicies;
use causality_sync::{Completeness, Draft};

use crate::holes::fields_held;
use crate::world::{PUBLIC, World};

/// 2018-01-01 and 2018-01-02, in milliseconds.
const FIRST_DAY: u64 = 1_514_764_800_000;
const SECOND_DAY: u64 = FIRST_DAY + 86_400_000;

const GIVER: usize = 0;
const TAKER: usize = 1;

fn fact(fact_type: &str, resource: &str, label: &str, mag: Option<i64>) -> Draft {
    let mut draft = Draft::new(fact_type.parse().unwrap(), resource.parse().unwrap());
    draft.label = causality_fact::Label::new(label).unwrap();
    draft.onward = Onward::Any;
    let fields = [("status", Some(1)), ("mag", mag)];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    draft.content = fields
        .map(|(name, value)| (name.to_owned(), Value::Int(value)))
        .collect();
    draft
}

/// Four facts: the first two said on the first day and true on it, the others on the second.
fn world() -> World {
    let mut world = World::new(2, 1);
    let mut drafts = [
        fact("observation", "event/a", "", Some(1)),
        fact("validation", "event/b", "reviewed", Some(5)),
        fact("observation", "station/c", "reviewed", None),
        fact("custom:reading", "station/d", "draft", Some(3)),
    ];
    drafts[1].onward = Onward::Audience;
    drafts[3].aspect = causality_fact::Aspect::new("report").unwrap();
    let days = [FIRST_DAY, FIRST_DAY, SECOND_DAY, SECOND_DAY];
    for (mut draft, day) in drafts.into_iter().zip(days) {
        let from = i64::try_from(day).unwrap();
        draft.valid = ValidTime::between(from, from + 3_600_000);
        world.now_ms = day + 3_600_000;
        world.append(GIVER, vec![draft]);
    }
    world
}

fn rule(section: &str, lines: &str) -> String {
    let compartments = if lines.contains("compartments") || section == "security" {
        ""
    } else {
        "compartments = [\"public\"]\n"
    };
    let peers = if lines.contains("peers") {
        ""
    } else {
        "peers = [\"*\"]\n"
    };
    format!("[[{section}]]\nname = \"{section}\"\n{peers}{compartments}{lines}\n")
}

fn set(world: &mut World, (domain, peer): (usize, usize), text: &str) {
    let policies = SyncPolicies::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    world.set_policies(domain, peer, &policies);
}

/// What arrives: which of the facts, which fields of each, and how complete the log is then.
#[derive(Default)]
struct Arrived {
    facts: Vec<usize>,
    fields: Vec<Option<Vec<String>>>,
    completeness: Option<Completeness>,
}

fn arrived(given: &str, taken: &str) -> Arrived {
    let mut world = world();
    let taker = world.id(TAKER).to_string();
    set(&mut world, (GIVER, TAKER), &given.replace("TAKER", &taker));
    let giver = world.id(GIVER).to_string();
    set(&mut world, (TAKER, GIVER), &taken.replace("GIVER", &giver));
    world.sync(TAKER, GIVER);
    let log = world.own_log(GIVER);
    if world.engine(TAKER).log(&log).is_none() {
        return Arrived::default();
    }
    let fields = fields_held(&world, TAKER, GIVER);
    assert_eq!(fields.len(), 4, "whoever gets some sees how many there are");
    let held = fields
        .iter()
        .enumerate()
        .filter(|(_, fields)| fields.is_some());
    Arrived {
        facts: held.map(|(number, _)| number).collect(),
        completeness: Some(world.engine(TAKER).completeness(&log)),
        fields,
    }
}

/// A condition is met by these facts, and of those it cannot be said whether they meet it.
#[track_caller]
fn check(condition: &str, met: &[usize], unknown: &[usize]) {
    let (out, inward) = (rule("out", ""), rule("in", ""));
    let granted = arrived(&rule("out", condition), &inward);
    assert_eq!(granted.facts, met, "out: {condition}");
    let taken = arrived(&out, &rule("in", condition));
    assert_eq!(taken.facts, met, "in: {condition}");
    // What was declined is not missing; what may be taken should more of it be shown is.
    let incomplete = Some(Completeness::Incomplete);
    assert_ne!(granted.completeness, incomplete, "out: {condition}");
    let is_open = !unknown.is_empty();
    assert_eq!(taken.completeness == incomplete, is_open, "in: {condition}");
    // What is unknown grants nothing, and restricts all the same.
    let refuses = rule("security", &format!("{condition}\nrefuse = true"));
    let kept = arrived(&format!("{out}{refuses}"), &inward).facts;
    let rest: Vec<_> = (0..4)
        .filter(|fact| !met.contains(fact) && !unknown.contains(fact))
        .collect();
    assert_eq!(kept, rest, "security: {condition}");
}

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn each_condition_decides_what_goes_out_what_comes_in_and_what_stays() {
    check("", &ALL, &[]);
    check("fact_types = [\"observation\"]", &[0, 2], &[]);
    check("fact_types = [\"validation\", \"custom:*\"]", &[1, 3], &[]);
    check("resource_types = [\"event\"]", &[0, 1], &[]);
    check("resource_types = [\"st?tion\", \"nothing\"]", &[2, 3], &[]);
    check("labels = [\"reviewed\"]", &[1, 2], &[]);
    check("labels = [\"\", \"d*\"]", &[0, 3], &[]);
    check("onward = [\"audience\"]", &[1], &[]);
    check("onward = [\"any\", \"none\"]", &[0, 2, 3], &[]);
    check("valid = { until = 2018-01-02 }", &[0, 1], &[]);
    check(
        "valid = { from = 2018-01-02T00:30:00Z, until = 2018-01-03 }",
        &[2, 3],
        &[],
    );
    check("known = { from = 2018-01-02 }", &[2, 3], &[]);
    check("known = { until = 2018-01-01 }", &[], &[]);
    check("in_force = { from = 2018-01-01 }", &ALL, &[]);
    check("in_force = { from = 2018-01-03 }", &[], &[]);
    check("in_force = { until = 2018-01-02 }", &[], &[]);
    check(
        "labels = [\"reviewed\"]\nfact_types = [\"observation\"]",
        &[2],
        &[],
    );
}

#[test]
fn each_kind_of_filter_decides_what_goes_out_what_comes_in_and_what_stays() {
    check("where = 'mag >= 3'", &[1, 3], &[2]);
    check("where = 'mag != 3'", &[0, 1], &[2]);
    check("where = 'not mag < 5'", &[1], &[2]);
    check("where = 'exists mag'", &[0, 1, 3], &[2]);
    check(
        "where = 'mag = 1 or label is \"reviewed\"'",
        &[0, 1, 2],
        &[],
    );
    check("where = 'type is \"custom:*\"'", &[3], &[]);
    check("where = 'resource is \"event/*\" and mag > 1'", &[1], &[]);
    check("where = 'aspect is \"report\"'", &[3], &[]);
    check("where = 'label is \"\"'", &[0], &[]);
    check(
        "where = 'origin is \"4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d\"'",
        &[],
        &[],
    );
}

#[test]
fn a_rule_is_about_the_peers_that_it_names_in_whatever_way() {
    let everybody = rule("in", "");
    let given = |peers: &str, groups: &str| {
        let text = format!("{groups}\n{}", rule("out", &format!("peers = [{peers}]")));
        arrived(&text, &everybody).facts
    };
    let groups = "[groups]\nfriends = [\"d7\", \"d1\"]\nothers = [\"d2\"]\n";
    for named in [
        "\"d1\"",
        "\"d?\"",
        "\"x\", \"d*\"",
        "\"TAKER\"",
        "\"@friends\"",
    ] {
        assert_eq!(given(named, groups), ALL, "{named}");
    }
    for other in ["\"d2\"", "\"d1?\"", "\"@others\""] {
        assert!(given(other, groups).is_empty(), "{other}");
    }
    // It is the same where something is taken, and where it is kept.
    for (peers, is_meant) in [("\"d0\"", true), ("\"GIVER\"", true), ("\"d1\"", false)] {
        let taken = rule("in", &format!("peers = [{peers}]"));
        let expected: &[usize] = if is_meant { &ALL } else { &[] };
        assert_eq!(arrived(&rule("out", ""), &taken).facts, expected, "{peers}");
    }
    for (peers, is_meant) in [("\"d1\"", true), ("\"d2\"", false)] {
        let kept = rule("security", &format!("peers = [{peers}]\nrefuse = true"));
        let expected: &[usize] = if is_meant { &[] } else { &ALL };
        let given = rule("out", "") + &kept;
        assert_eq!(arrived(&given, &everybody).facts, expected, "{peers}");
    }
}

#[test]
fn fields_are_withheld_by_name_and_pattern_from_the_facts_that_a_rule_is_about() {
    let given = |lines: &str| {
        let kept = rule("security", lines);
        arrived(&(rule("out", "") + &kept), &rule("in", "")).fields
    };
    let shown = |fields: [&[&str]; 4]| -> Vec<_> {
        let names = |fields: &[&str]| fields.iter().map(|name| (*name).to_owned()).collect();
        fields.iter().map(|fields| Some(names(fields))).collect()
    };
    let (both, status) = (&["mag", "status"][..], &["status"][..]);
    assert_eq!(given("withhold = [\"mag\"]"), shown([status; 4]));
    let no_status = shown([&["mag"], &["mag"], &[], &["mag"]]);
    assert_eq!(given("withhold = [\"st*\"]"), no_status);
    assert_eq!(given("withhold = [\"*\"]"), shown([&[]; 4]));
    let reviewed = "labels = [\"reviewed\"]\nwithhold = [\"mag\"]";
    assert_eq!(given(reviewed), shown([both, status, status, both]));
    // The condition is held against the whole fact, also where what it is about is withheld.
    let strong = "where = 'mag >= 5'\nwithhold = [\"mag\"]";
    assert_eq!(given(strong), shown([both, status, status, both]));
    // Everything travels encrypted; a rule that asks for session keys keeps nothing from a session.
    for keys in ["session", "sealed"] {
        let protected = format!("protection = \"{keys}\"");
        assert_eq!(given(&protected), shown([both, both, status, both]));
    }
}

#[test]
fn a_rule_is_about_the_compartments_that_it_names() {
    let mut world = World::new(2, 2);
    let names = [PUBLIC, "ops-north", "ops-south", "staff"];
    for name in names {
        let draft = fact("observation", "event/a", "", None);
        world.append_to(GIVER, name, vec![draft]);
    }
    let given = "compartments = [\"ops-*\", \"staff\"]";
    let kept = rule("security", "compartments = [\"ops-south\"]\nrefuse = true");
    set(&mut world, (GIVER, TAKER), &(rule("out", given) + &kept));
    set(
        &mut world,
        (TAKER, GIVER),
        &rule("in", "compartments = [\"*\"]"),
    );
    world.overheard = Some(Vec::new());
    world.sync(TAKER, GIVER);
    let engine = world.engine(TAKER);
    let arrived = names.map(|name| {
        let compartment = engine.compartment_by_name(name);
        let mut logs = engine.logs().map(|(log, _)| *log);
        logs.any(|log| Some(log.compartment) == compartment)
    });
    assert_eq!(arrived, [false, true, false, true]);
    // Of what is kept as a whole not even the name went.
    let said = format!("{:?}", world.overheard.take().unwrap());
    assert!(said.contains("ops-north") && !said.contains("ops-south"));
}

#[test]
fn a_volume_lets_through_so_many_facts_and_bytes_in_its_time_each_way() {
    for (volume, first) in [
        ("volume = { facts = 3, bytes = 100000, seconds = 60 }", 3),
        ("volume = { facts = 100, bytes = 140, seconds = 60 }", 2),
    ] {
        for is_out in [true, false] {
            let mut world = world();
            let (given, taken) = if is_out { (volume, "") } else { ("", volume) };
            set(&mut world, (GIVER, TAKER), &rule("out", given));
            set(&mut world, (TAKER, GIVER), &rule("in", taken));
            let mut counts = Vec::new();
            for minute in 0..4 {
                world.now_ms = SECOND_DAY + 7_200_000 + minute * 60_000;
                for _ in 0..2 {
                    world.sync(TAKER, GIVER);
                }
                let held = fields_held(&world, TAKER, GIVER);
                counts.push(held.iter().filter(|fields| fields.is_some()).count());
            }
            assert_eq!(counts[0], first, "{volume} {is_out} {counts:?}");
            assert!(
                counts.is_sorted() && counts[3] == 4,
                "{volume} {is_out} {counts:?}"
            );
        }
    }
}

#[test]
fn whoever_was_put_off_by_a_volume_has_the_rest_when_it_is_larger_or_gone() {
    let used_up = "volume = { facts = 2, bytes = 100000, seconds = 60 }";
    let larger = "volume = { facts = 3, bytes = 100000, seconds = 60 }";
    for is_out in [true, false] {
        for (then, arrived) in [(used_up, 2), (larger, 3), ("", 4)] {
            let mut world = world();
            set(&mut world, (GIVER, TAKER), &rule("out", ""));
            set(&mut world, (TAKER, GIVER), &rule("in", ""));
            let (section, between) = match is_out {
                true => ("out", (GIVER, TAKER)),
                false => ("in", (TAKER, GIVER)),
            };
            for volume in [used_up, then] {
                set(&mut world, between, &rule(section, volume));
                world.sync(TAKER, GIVER);
            }
            let held = fields_held(&world, TAKER, GIVER);
            let count = held.iter().filter(|fields| fields.is_some()).count();
            assert_eq!(count, arrived, "{then} {is_out}");
        }
    }
}
