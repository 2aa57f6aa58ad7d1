//! Random worlds with random rules: whatever the order of what happens, nothing leaves that the rules keep back, nobody is sent
//! away, and in the end nobody has anything left to give that another one may have and would take.

use causality_fact::{
    DomainId, Entry, FactId, FieldMask, LogId, Row, Value, decode_entries, decode_reveal,
};
use causality_store::FactReader as _;
use causality_strategy::{Decision, Subject, SyncPolicies};
use causality_sync::{Draft, Event, LogError, SessionId, SyncError};
use causality_wire::{RefusalReason, SyncMessage};
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::domain::now;
use crate::world::{PUBLIC, World, draft};

/// The rules each way, by their numbers.
#[derive(Clone, Copy, Debug)]
struct Ways {
    outward: usize,
    inward: usize,
}

/// What of the numbered facts is given.
const OUTWARD: [&str; 8] = [
    "",
    "OUT",
    "OUT",
    "OUT where = 'number >= 3'",
    "OUT where = 'number < 3'",
    "OUT where = 'parity = 1'",
    "OUT SECURITY withhold = [\"parity\"]",
    "OUT SECURITY where = 'number >= 3'\nwithhold = [\"number\", \"other\"]",
];
const INWARD: [&str; 5] = [
    "",
    "IN",
    "IN",
    "IN where = 'number >= 2'",
    "IN where = 'parity = 0'",
];

fn policies(world: &World, peer: usize, ways: Ways) -> SyncPolicies {
    let id = world.id(peer);
    let rule = |section: &str, name: &str| {
        format!(
            "[[{section}]]\nname = \"{name}\"\npeers = [\"{id}\"]\ncompartments = [\"public\"]\n"
        )
    };
    let outward = OUTWARD[ways.outward].replace("OUT", &rule("out", "out"));
    let outward = outward.replace("SECURITY", &rule("security", "security"));
    let inward = INWARD[ways.inward].replace("IN", &rule("in", "in"));
    SyncPolicies::parse(&format!("{outward}\n{inward}")).unwrap()
}

fn ways() -> impl Strategy<Value = Ways> {
    let ways = (0..OUTWARD.len(), 0..INWARD.len());
    ways.prop_map(|(outward, inward)| Ways { outward, inward })
}

/// One thing that happens in a world of three.
#[derive(Clone, Copy, Debug)]
enum Act {
    Append(usize, u64),
    Connect(usize, usize),
    FailCommit(usize),
    HangUp,
    Restart(usize),
    Round(usize),
    Rule(usize, usize, Ways),
    Steps(u16),
}

fn act() -> impl Strategy<Value = Act> {
    let domain = 0_usize..3;
    let pair = (domain.clone(), 1_usize..3).prop_map(|(one, by)| (one, (one + by) % 3));
    prop_oneof![
        4 => (domain.clone(), 1_u64..8).prop_map(|(d, count)| Act::Append(d, count)),
        4 => pair.clone().prop_map(|(one, other)| Act::Connect(one, other)),
        1 => domain.clone().prop_map(Act::FailCommit),
        1 => Just(Act::HangUp),
        1 => domain.clone().prop_map(Act::Restart),
        3 => domain.prop_map(Act::Round),
        4 => (pair, ways()).prop_map(|((one, other), ways)| Act::Rule(one, other, ways)),
        9 => (0_u16..60).prop_map(Act::Steps),
    ]
}

fn numbered(number: u64) -> Draft {
    let mut draft = draft(number);
    for (name, value) in [("parity", number % 2), ("other", number)] {
        let value = Value::Int(value as i64);
        draft.content.insert(name.to_owned(), value);
    }
    draft
}

struct Random {
    world: World,
    sessions: Vec<(SessionId, [usize; 2])>,
    /// How many rows were sent.
    rows: u64,
}

impl Random {
    fn new(seed: u64, rules: &[Ways; 6]) -> Self {
        let mut random = Self {
            world: World::new(3, seed),
            sessions: Vec::new(),
            rows: 0,
        };
        random.world.overheard = Some(Vec::new());
        random.rule_all(rules);
        random
    }

    fn rule(&mut self, domain: usize, peer: usize, ways: Ways) {
        let policies = policies(&self.world, peer, ways);
        self.world.set_policies(domain, peer, &policies);
    }

    fn rule_all(&mut self, rules: &[Ways; 6]) {
        let pairs = (0..3).flat_map(|one| [1, 2].map(|by| (one, (one + by) % 3)));
        for ((one, other), ways) in pairs.zip(rules) {
            self.rule(one, other, *ways);
        }
    }

    fn perform(&mut self, act: Act) {
        self.begin(act);
        self.nothing_leaked();
    }

    fn begin(&mut self, act: Act) {
        let Self {
            world, sessions, ..
        } = self;
        match act {
            Act::Append(domain, count) => {
                let drafts = (0..count).map(numbered).collect();
                world.begin_append(domain, PUBLIC, drafts);
            }
            Act::Connect(dialer, acceptor) => {
                let session = world.connect(dialer, acceptor);
                world.start_round(dialer, session);
                sessions.push((session, [dialer, acceptor]));
            }
            Act::FailCommit(domain) => world.domains[domain].commits_left = Some(2),
            Act::HangUp => {
                if let Some((session, _)) = sessions.pop() {
                    world.hang_up(session);
                }
            }
            Act::Restart(domain) => world.restart(domain),
            Act::Round(domain) => {
                for (session, ends) in sessions {
                    if ends.contains(&domain) && world.is_open(*session) {
                        world.start_round(domain, *session);
                    }
                }
            }
            Act::Rule(one, other, ways) => self.rule(one, other, ways),
            Act::Steps(count) => {
                for _ in 0..count {
                    world.step();
                }
            }
        }
    }

    /// What was sent since the last time is what the rules of now let out.
    fn nothing_leaked(&mut self) {
        let world = &self.world;
        let held = (0..3).flat_map(|domain| held(world, domain));
        let whole = held.filter(|(_, row)| row.mask().is_none());
        let whole: BTreeMap<_, _> = whole
            .map(|((log, _), row)| (row.id(), (log, row)))
            .collect();
        let origins = [0, 1, 2].map(|domain| world.id(domain));
        for sent in world.overheard.iter().flatten() {
            for row in rows_of(&sent.message, origins, &whole) {
                let (log, all) = &whole[&row.id()];
                let shown = shown(world, sent.from, sent.to, *log, all);
                let shown = shown.expect("only what is shared is sent");
                assert!(mask(&shown).covers(mask(&row)), "a field leaks");
                self.rows += 1;
            }
        }
        self.world.overheard = Some(Vec::new());
    }

    /// Whoever may have something and would take it has it.
    fn nothing_is_owed(&self) {
        let world = &self.world;
        for from in 0..3 {
            for to in (0..3).filter(|to| *to != from) {
                let theirs = held(world, to);
                for ((log, position), row) in held(world, from) {
                    let Some(shown) = shown(world, from, to, log, &row) else {
                        continue;
                    };
                    if !takes(world, to, from, log, &shown) {
                        continue;
                    }
                    let held = theirs.get(&(log, position));
                    let covers = held.is_some_and(|held| mask(held).covers(mask(&shown)));
                    assert!(covers, "{from} owes {to} position {position} of {log:?}");
                }
            }
        }
    }
}

/// The rows of a message. A row does not say its origin, but with another one it has an id that nobody knows.
fn rows_of<T>(
    message: &SyncMessage,
    origins: [DomainId; 3],
    known: &BTreeMap<FactId, T>,
) -> Vec<Row> {
    let rows = |origin| match message {
        SyncMessage::FactSync(chunk) => {
            let entries = decode_entries(&chunk.entries, origin).unwrap();
            let row = |entry| match entry {
                Entry::Row(row) => Some(row),
                Entry::Withheld { .. } => None,
            };
            entries.into_iter().filter_map(row).collect()
        }
        SyncMessage::Reveal(reveal) => {
            let rows = decode_reveal(&reveal.rows, origin).unwrap();
            rows.into_iter().map(|(_, row)| row).collect()
        }
        _ => Vec::<Row>::new(),
    };
    let is_known = |rows: &Vec<Row>| rows.iter().all(|row| known.contains_key(&row.id()));
    let mut all = origins.into_iter().map(rows);
    all.find(is_known).expect("somebody holds all of it")
}

fn mask(row: &Row) -> FieldMask {
    row.mask().unwrap_or(FieldMask::new(u128::MAX))
}

fn held(world: &World, domain: usize) -> BTreeMap<(LogId, u64), Row> {
    let store = &world.domains[domain].store;
    let mut rows = BTreeMap::new();
    for held in now(store.logs()).unwrap() {
        for entry in now(store.scan(&held.log, 0..1 << 40, 1 << 24)).unwrap() {
            if let Entry::Row(row) = entry.entry(held.log.origin).unwrap() {
                rows.insert((held.log, entry.position), row);
            }
        }
    }
    rows
}

/// What a domain may show of a row.
fn shown(world: &World, from: usize, to: usize, log: LogId, row: &Row) -> Option<Row> {
    let policy = &world.domains[from].policies[&world.id(to)].outward;
    let subject = Subject {
        origin: log.origin,
        compartment: PUBLIC,
        row,
    };
    match policy.should_synchronize_fact(&subject, world.now_ms) {
        Decision::Share(share) => Some(Row::from(share.redact(&row.fact()?))),
        Decision::Refuse { .. } => None,
    }
}

fn takes(world: &World, domain: usize, peer: usize, log: LogId, row: &Row) -> bool {
    let policy = &world.domains[domain].policies[&world.id(peer)].inward;
    let subject = Subject {
        origin: log.origin,
        compartment: PUBLIC,
        row,
    };
    let decision = policy.should_synchronize_fact(&subject, world.now_ms);
    matches!(decision, Decision::Share(_))
}

/// What a domain met that honest domains never give each other cause for.
fn faults(world: &World, domain: usize) -> impl Iterator<Item = (usize, &Event)> {
    let is_fault = |event: &&Event| match event {
        Event::Ended { error, .. } => !matches!(error, None | Some(SyncError::Closed)),
        Event::Declined { reason, .. } => *reason != RefusalReason::Policy,
        Event::Refused { error, .. } => *error != LogError::NotGranted,
        Event::Forked { .. } | Event::LaneAhead { .. } => true,
        _ => false,
    };
    let events = world.domains[domain].events.iter();
    events.filter(is_fault).map(move |event| (domain, event))
}

fn cases() -> u32 {
    let cases = std::env::var("CAUSALITY_POLICY_SCHEDULES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everybody_ends_with_what_they_may_have(
        first in prop::array::uniform6(ways()),
        acts in prop::collection::vec(act(), 1..50),
        last in prop::array::uniform6(ways()),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed, &first);
        acts.into_iter().for_each(|act| random.perform(act));
        random.world.run();
        random.nothing_leaked();
        for domain in 0..3 {
            random.world.domains[domain].commits_left = None;
        }
        random.rule_all(&last);
        for (one, other) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 2), (2, 0)] {
            random.world.run();
            random.world.sync(one, other);
        }
        random.nothing_leaked();
        let faults: Vec<_> = (0..3).flat_map(|domain| faults(&random.world, domain)).collect();
        prop_assert!(faults.is_empty(), "{faults:#?}");
        random.nothing_is_owed();
        let before = random.rows;
        for (one, other) in [(0, 1), (1, 2), (2, 0)] {
            random.world.sync(one, other);
        }
        random.nothing_leaked();
        prop_assert_eq!(before, random.rows, "what is settled is sent again");
        (0..3).for_each(|domain| random.world.restart(domain));
    }
}
