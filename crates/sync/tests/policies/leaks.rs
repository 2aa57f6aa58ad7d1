//! Every byte that policies keep back is looked for in every message that goes to whom it is kept back from; and what
//! somebody may not see decides nothing that he sees.

use causality_fact::{Checkpoint, Entry, FactId, LogId, Row, RowCore, Value, encode_reveal};
use causality_store::FactReader as _;
use causality_sync::{Draft, Reference, SessionId, Supersedes};
use causality_wire::{
    BincodeSerializer, BoundedBytes, Convergence, LogNumber, MessageSerializer as _, Reveal,
    SetsRequest, SyncMessage,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::agree::{SHARED, Twin, draft, field, visible};
use crate::dice::Dice;
use crate::domain::now;
use crate::model::{
    Act, CLASSES, FIELDS, FULL, HIDDEN, Log, ROUNDS_MAX, Rule, Visible, acts, class,
};
use crate::overheard::Heard;
use crate::secrets::{Secret, Secrets, name, value};
use crate::world::{PUBLIC, Sent};

/// What was said to somebody, by whom about which log.
type Trace = BTreeMap<(usize, Option<Log>), Vec<String>>;

/// Worlds of the model with secrets in them.
struct Watched {
    twin: Twin,
    secrets: Secrets,
    /// The ids of what each domain has appended to the logs of the model.
    ids: BTreeMap<usize, Vec<FactId>>,
    /// Whoever does not share what all others share.
    outsider: usize,
    /// In the second world of a pair: all that the outsider is ever shown of each class. The rest is other than in the first.
    seen: Option<Rule>,
    /// Decides what else happens in the second world.
    more: Dice,
    acts: u64,
    seed: u64,
    /// What was said to the outsider, by whom about which log.
    trace: Trace,
    /// What each domain was shown of each position.
    shown: BTreeMap<(usize, LogId, u64), Visible>,
    counts: Counts,
}

/// How often each kind of hiding, and of going around it, occurred.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Rows of the logs of the model.
    rows: u64,
    /// Facts that were shown without some of their fields.
    fields: u64,
    /// Facts of which the origin sent the hash only.
    facts: u64,
    /// Messages to somebody from whoever holds a log that others share and he does not.
    outside: u64,
    /// Rows that somebody else than the origin sent.
    relayed: u64,
    /// Rows for positions that were known already.
    revealed: u64,
    /// Rows that show a field that was not seen before, and lack one that was.
    merged: u64,
    /// Rows of facts that replace others.
    superseding: u64,
    /// Ids of facts that may not be seen, inside of facts that may and name them.
    named: u64,
    /// Secrets in messages to somebody who may see them.
    permitted: u64,
}

impl Watched {
    fn new(dice: &mut Dice, seed: u64, seen: Option<Rule>) -> Self {
        let mut twin = Twin::new(dice, seed);
        for rule in twin.model.rules.values_mut() {
            // One class is for nobody, and of another one a field, unless a policy widens.
            rule[0] = HIDDEN;
            rule[1] &= !1;
        }
        let count = twin.model.count();
        let outsider = seed as usize % count;
        twin.audience = (0..count).filter(|domain| *domain != outsider).collect();
        (0..count).for_each(|domain| twin.set_policies(domain));
        let mut watched = Self {
            twin,
            secrets: Secrets::default(),
            ids: BTreeMap::new(),
            outsider,
            seen,
            more: Dice::new(seed + 1_000_000),
            acts: 0,
            seed,
            trace: BTreeMap::new(),
            shown: BTreeMap::new(),
            counts: Counts::default(),
        };
        (0..count).for_each(|domain| watched.keep_to_oneself(domain, 3));
        watched.share((outsider + 1) % count, 0, 3);
        watched
    }

    /// A log that nobody else may have.
    fn keep_to_oneself(&mut self, domain: usize, count: u64) {
        self.append_private(domain, &name("own-", domain), count, Secret::Own);
    }

    /// A log that all but the outsider may have.
    fn share(&mut self, domain: usize, number: usize, count: u64) {
        self.append_private(domain, &name(SHARED, number), count, Secret::Shared);
    }

    fn append_private(&mut self, domain: usize, name: &str, count: u64, secret: Secret) {
        let world = &mut self.twin.world;
        let drafts = (0..count).map(crate::world::draft).collect();
        for appended in world.append_to(domain, name, drafts) {
            self.secrets.add_fact_of_log(appended.id, secret);
        }
        let engine = world.engine(domain);
        let compartment = engine.compartment_by_name(name).unwrap();
        let own = world.id(domain);
        let is_it = |log: &LogId| log.origin == own && log.compartment == compartment;
        for log in engine.logs().map(|(log, _)| *log).filter(is_it) {
            let root = engine.log(&log).unwrap().checkpoint.root;
            self.secrets.add_log(&log, (name, root), secret);
        }
    }

    fn perform(&mut self, act: Act) {
        self.acts += 1;
        let ms = 10_000 * self.acts;
        if self.seen.is_some() {
            self.twin.world.now_ms = ms - 5_000;
            self.append_more();
        }
        // Whatever happened before, the same goes on in the same way.
        let world = &mut self.twin.world;
        world.now_ms = ms;
        world.random = ChaCha20Rng::seed_from_u64((self.seed << 32) | self.acts);
        match act {
            Act::Append { domain, count } => self.append(domain, count),
            act => self.twin.perform(act),
        }
        self.listen();
    }

    /// Something that the outsider must not notice.
    fn append_more(&mut self) {
        let count = self.twin.model.count();
        let domain = self.more.below(count);
        let facts = 1 + self.more.below(40) as u64;
        match self.more.below(4) {
            0 => self.keep_to_oneself(domain, facts),
            1 if domain != self.outsider => {
                let number = self.more.below(3);
                self.share(domain, number, facts);
            }
            _ => {}
        }
    }

    fn append(&mut self, domain: usize, count: u64) {
        let (_, first) = self.twin.model.next_position(domain);
        let positions = first..first + count;
        let drafts = positions.clone().map(|at| self.draft(domain, at)).collect();
        let appended = self.twin.append(domain, drafts);
        let ids: Vec<_> = appended.into_iter().map(|appended| appended.id).collect();
        let rows = now(self.twin.world.domains[domain].store.get(&ids)).unwrap();
        for (position, row) in positions.zip(rows) {
            self.secrets.add_row(&row.unwrap().row, class(position));
        }
        self.ids.entry(domain).or_default().extend(ids);
    }

    /// A fact with secrets in it, that may name others. In the second world all is other that the outsider may not see.
    fn draft(&mut self, domain: usize, position: u64) -> Draft {
        let class = class(position);
        let seen = self.seen.filter(|_| domain != self.outsider);
        let seen = seen.map_or(FULL, |seen| seen[class]);
        let mut draft: Draft = draft(position);
        for number in 0..FIELDS {
            let is_varied = seen & (1 << number) == 0;
            let mut value = value(domain, position, number, is_varied);
            self.secrets.add(&value, Secret::Field(class, number));
            if seen == HIDDEN {
                value.extend([number; 300]);
            }
            draft.content.insert(field(number), Value::Bytes(value));
        }
        // A permitted fact may name one that is not, by whomever.
        let own = self.ids.get(&domain).and_then(|ids| ids.last()).copied();
        let others = self.ids.iter().filter(|(origin, _)| **origin != domain);
        let others: Vec<_> = others.filter_map(|(_, ids)| ids.last().copied()).collect();
        let held = now(self.twin.world.domains[domain].store.get(&others)).unwrap();
        let held = others
            .into_iter()
            .zip(held)
            .filter(|(_, row)| row.is_some());
        let other = held.map(|(id, _)| id).next();
        let named = |id: Option<FactId>, is_it: bool| id.filter(|_| is_it).map(Reference::Fact);
        let causes = [
            named(own, position.is_multiple_of(3)),
            named(other, position % 5 < 2),
        ];
        draft.requires = causes.into_iter().flatten().collect();
        if let Some(own) = named(own, position % 4 == 1) {
            draft.supersedes = Supersedes::Exactly(vec![own]);
        }
        if seen == HIDDEN {
            draft.fact_type = "custom:other".parse().unwrap();
            draft.resource = format!("another-thing/{position}").parse().unwrap();
            draft.requires.extend(named(own, true));
            draft.supersedes = Supersedes::Exactly(Vec::new());
        }
        draft
    }

    fn listen(&mut self) {
        for heard in self.twin.take_heard() {
            let Sent { from, to, .. } = heard.sent;
            let (found, named) = self.secrets.found(&heard);
            for (needle, secret) in found {
                let is_permitted = self.may_see((from, to), secret);
                let place = format!("seed {}: {from} to {to}", self.seed);
                assert!(is_permitted, "{place}: {secret:?} {needle:?}: {heard:?}");
                self.counts.permitted += 1;
            }
            self.counts.named += named;
            assert!(self.is_in_audience(&heard), "seed {}: {heard:?}", self.seed);
            self.count(&heard);
            if to == self.outsider {
                self.note(&heard);
            }
        }
    }

    fn may_see(&self, (from, to): (usize, usize), secret: Secret) -> bool {
        let rule = &self.twin.model.rules[&(from, to)];
        match secret {
            Secret::Field(class, number) => rule[class] & (1 << number) != 0,
            Secret::Id(class) => rule[class] != HIDDEN,
            Secret::Seed(class) => rule[class] == FULL,
            Secret::Own => false,
            Secret::Shared => ![from, to].contains(&self.outsider),
        }
    }

    /// A message is about logs that both sides may know of: not even a number stands for another.
    fn is_in_audience(&self, heard: &Heard) -> bool {
        let ends = [heard.sent.from, heard.sent.to];
        let is_shared = |log: &LogId| {
            let name = |end| {
                self.twin
                    .world
                    .engine(end)
                    .compartment_name(log.compartment)
            };
            let mut names = ends.into_iter().filter_map(name);
            !ends.contains(&self.outsider) && names.all(|name| name.starts_with(SHARED))
        };
        let mut logs = heard.logs.iter();
        logs.all(|log| self.twin.name(log).is_some() || is_shared(log))
    }

    /// The log of a domain in a compartment.
    fn log_of(&self, domain: usize, is_it: impl Fn(&str) -> bool) -> LogId {
        let (engine, own) = (self.twin.world.engine(domain), self.twin.world.id(domain));
        let name = |log: &LogId| engine.compartment_name(log.compartment).unwrap();
        let mut logs = engine.logs().map(|(log, _)| *log);
        logs.find(|log| log.origin == own && is_it(name(log)))
            .unwrap()
    }

    fn count(&mut self, heard: &Heard) {
        let Sent { from, to, .. } = heard.sent;
        let own = self.twin.world.id(from);
        if to == self.outsider {
            let engine = self.twin.world.engine(from);
            let mut names = engine
                .logs()
                .filter_map(|(log, _)| engine.compartment_name(log.compartment));
            self.counts.outside += u64::from(names.any(|name| name.starts_with(SHARED)));
        }
        let Some(log) = heard
            .logs
            .first()
            .filter(|log| self.twin.name(log).is_some())
        else {
            return;
        };
        let is_reveal = matches!(heard.sent.message, SyncMessage::Reveal(_));
        for (position, entry) in heard.entries() {
            let Entry::Row(row) = entry else {
                self.counts.facts += u64::from(log.origin == own);
                continue;
            };
            let RowCore::Known(core) = row.core() else {
                continue;
            };
            self.counts.rows += 1;
            let visible = visible(row.mask());
            let before = self.shown.entry((to, *log, position)).or_default();
            self.counts.merged += u64::from(*before & !visible != 0 && visible & !*before != 0);
            *before |= visible;
            self.counts.fields += u64::from(visible != FULL);
            self.counts.relayed += u64::from(log.origin != own);
            self.counts.revealed += u64::from(is_reveal);
            self.counts.superseding += u64::from(!core.supersedes.as_slice().is_empty());
        }
    }

    /// Keeps what a message says to the outsider, but for hashes and signatures.
    fn note(&mut self, heard: &Heard) {
        let length = BincodeSerializer
            .serialize(&heard.sent.message)
            .unwrap()
            .len();
        let said = match &heard.sent.message {
            SyncMessage::Frontier(frontier) => {
                for (log, state) in heard.logs.iter().zip(frontier.logs.iter()) {
                    let (flags, held) = ((state.offered, state.wanted), state.held);
                    self.note_of(
                        heard,
                        Some(log),
                        format!("{:?}", (state.size, held, state.keys, flags)),
                    );
                }
                let (part, last) = (frontier.part, frontier.last);
                format!("{:?}", (frontier.round, part, frontier.receives, last))
            }
            SyncMessage::Announce(announce) => {
                let checkpoint = Checkpoint::from_bytes(&announce.checkpoint).unwrap();
                let counts = (announce.key_records.len(), announce.block_roots.len());
                format!(
                    "{:?}",
                    (
                        checkpoint.size,
                        checkpoint.hlc,
                        announce.first_block,
                        counts
                    )
                )
            }
            SyncMessage::FactSync(_) | SyncMessage::Reveal(_) => heard
                .entries()
                .iter()
                .map(|(position, entry)| seen_of(*position, entry))
                .collect(),
            SyncMessage::Holes(holes) => {
                let sets = [&holes.withheld, &holes.deferred, &holes.partial];
                format!("{:?}", (holes.size, sets))
            }
            SyncMessage::Receipt(receipt) => {
                let mut receipt = receipt.clone();
                receipt.log = LogNumber(0);
                format!("{receipt:?}")
            }
            SyncMessage::Sets(sets) => {
                let mut sets = sets.clone();
                sets.log = LogNumber(0);
                format!("{sets:?}")
            }
            SyncMessage::SetsRequest(_) => "asks".to_owned(),
            SyncMessage::Convergence(said) => format!("agrees {}", said.round),
            SyncMessage::CaughtUp(_) | SyncMessage::Goodbye(_) => {
                format!("{:?}", heard.sent.message)
            }
        };
        let is_frontier = matches!(heard.sent.message, SyncMessage::Frontier(_));
        let log = heard.logs.first().filter(|_| !is_frontier);
        self.note_of(heard, log, format!("{length}: {said}"));
    }

    fn note_of(&mut self, heard: &Heard, log: Option<&LogId>, said: String) {
        let log = log.map(|log| self.twin.name(log).unwrap());
        self.trace
            .entry((heard.sent.from, log))
            .or_default()
            .push(said);
    }

    /// Acts, then meetings of everybody with everybody until nothing moves.
    fn play(&mut self, dice: &mut Dice) {
        for _ in 0..acts(dice) {
            let act = self.twin.model.draw(dice);
            // A store that is set back may write to several lanes of one domain, whose order is that of random ids.
            if !(is_paired(self.seed) && matches!(act, Act::Restore { .. })) {
                self.perform(act);
            }
        }
        let mut rows = |watched: &mut Self| {
            for (from, to) in watched.twin.model.pairs(dice) {
                watched.perform(Act::Meet { from, to });
            }
            watched.counts.rows
        };
        let mut rounds = (0..ROUNDS_MAX).map(|_| rows(self));
        let mut before = rounds.next();
        let settles = rounds.any(|now| before.replace(now) == Some(now));
        assert!(settles, "seed {}: does not settle", self.seed);
        for (domain, reachable) in self.twin.model.reachable().into_iter().enumerate() {
            assert_eq!(self.twin.held(domain), reachable, "domain {domain}");
        }
    }

    /// All that is ever shown to the outsider of each class: policies only widen.
    fn shown_to_outsider(&self) -> Rule {
        let rules = self.twin.model.rules.iter();
        let rules = rules.filter(|((_, to), _)| *to == self.outsider);
        rules.fold([HIDDEN; CLASSES], |all, (_, rule)| {
            std::array::from_fn(|class| all[class] | rule[class])
        })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.rows += more.rows;
        self.fields += more.fields;
        self.facts += more.facts;
        self.outside += more.outside;
        self.relayed += more.relayed;
        self.revealed += more.revealed;
        self.merged += more.merged;
        self.superseding += more.superseding;
        self.named += more.named;
        self.permitted += more.permitted;
    }
}

/// What an entry says to whom it is sent, but for hashes.
fn seen_of(position: u64, entry: &Entry) -> String {
    let Entry::Row(row) = entry else {
        return format!("[{position}]");
    };
    let fact = row.fact().unwrap();
    let core = fact.core();
    let of = (
        &core.fact_type,
        &core.resource,
        &core.label,
        core.hlc,
        core.valid,
    );
    let named = (
        core.requires.as_slice().len(),
        core.supersedes.as_slice().len(),
    );
    let shown: Vec<_> = fact.content().disclosed().collect();
    format!("[{position} {of:?} {named:?} {:?} {shown:?}]", row.mask())
}

/// Whether the world of a seed is compared with another one.
fn is_paired(seed: u64) -> bool {
    !seed.is_multiple_of(3)
}

fn check(seed: u64) -> Counts {
    let mut dice = Dice::new(seed);
    let mut watched = Watched::new(&mut dice, seed, None);
    watched.play(&mut dice);
    if is_paired(seed) {
        let mut dice = Dice::new(seed);
        let mut other = Watched::new(&mut dice, seed, Some(watched.shown_to_outsider()));
        other.play(&mut dice);
        let keys: Vec<_> = watched.trace.keys().chain(other.trace.keys()).collect();
        for key in keys {
            let none = Vec::new();
            let said = |trace: &Trace| trace.get(key).unwrap_or(&none).clone();
            let (one, other) = (said(&watched.trace), said(&other.trace));
            let differ = one.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differ, None, "seed {seed}: {key:?}");
            assert_eq!(one.len(), other.len(), "seed {seed}: {key:?}");
        }
    }
    watched.counts
}

#[test]
fn nothing_that_is_kept_back_is_in_any_message_or_decides_what_is_said() {
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let half = |first| {
            move || {
                let mut counts = Counts::default();
                (first..300)
                    .step_by(2)
                    .for_each(|seed| counts += check(seed));
                counts
            }
        };
        let halves = [0, 1].map(|first| scope.spawn(half(first)));
        halves
            .into_iter()
            .for_each(|half| counts += half.join().unwrap());
    });
    // Each kind of hiding occurred, and each that could go around it.
    let Counts {
        rows,
        fields,
        facts,
        outside,
        relayed,
        revealed,
        merged,
        superseding,
        named,
        permitted,
    } = counts;
    assert!(rows > 15_000 && permitted > 80_000, "{counts:?}");
    assert!(
        fields > 8_000 && facts > 5_000 && outside > 25_000,
        "{counts:?}"
    );
    assert!(
        relayed > 7_000 && revealed > 7_000 && merged > 600,
        "{counts:?}"
    );
    assert!(superseding > 2_000 && named > 6_000, "{counts:?}");
}

#[test]
fn a_leak_is_heard() {
    let mut dice = Dice::new(1);
    let mut watched = Watched::new(&mut dice, 1, None);
    let (domain, count) = (0, 7);
    watched.perform(Act::Append { domain, count });
    let heard = |logs: &[LogId], message| Heard {
        sent: Sent {
            session: SessionId(0),
            from: 0,
            to: 1,
            message,
        },
        logs: logs.to_vec(),
    };
    // In bytes of any message.
    let secrets: Vec<_> = watched.secrets.by_needle.clone().into_iter().collect();
    let kinds = secrets
        .iter()
        .map(|(_, secret)| std::mem::discriminant(secret));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.dedup();
    assert!(kinds.len() >= 5);
    for (needle, secret) in secrets {
        let receipt = [&[1, 2, 3][..], &needle, &[4]].concat();
        let receipt = BoundedBytes::new(receipt).unwrap();
        let message = SyncMessage::Convergence(Convergence { round: 0, receipt });
        let found = watched.secrets.found(&heard(&[], message));
        assert_eq!(found, (vec![(needle, secret)], 0));
    }
    // An id is none in the row of a fact that names it, and is one in the row of another, as anywhere else.
    let last = *watched.ids[&domain].last().unwrap();
    let mut drafts = [draft(7), draft(8)];
    drafts[0].requires = vec![Reference::Fact(last)];
    let said = Value::Bytes(last.as_bytes().to_vec());
    drafts[1].content.insert(field(0), said);
    let appended = watched.twin.append(domain, drafts.into());
    let ids: Vec<_> = appended.into_iter().map(|appended| appended.id).collect();
    let rows = now(watched.twin.world.domains[domain].store.get(&ids)).unwrap();
    let rows: Vec<_> = rows.into_iter().map(|row| row.unwrap().row).collect();
    let log = watched.log_of(domain, |name| name == PUBLIC);
    let found = |rows: &[&Row]| {
        let rows = encode_reveal(
            rows.iter()
                .map(|row| row.bytes())
                .enumerate()
                .map(|(at, row)| (at as u64, row)),
        );
        let rows = BoundedBytes::new(rows).unwrap();
        let message = SyncMessage::Reveal(Reveal {
            log: LogNumber(0),
            rows,
        });
        watched.secrets.found(&heard(&[log], message))
    };
    assert_eq!(found(&[&rows[0]]), (vec![], 1));
    let (leaks, named) = found(&[&rows[0], &rows[1]]);
    assert_eq!((leaks.len(), named), (1, 1));
    assert_eq!(leaks[0].1, Secret::Id(class(6)));
    // So is a message about a log that is not for both.
    let about = |log| {
        heard(
            &[log],
            SyncMessage::SetsRequest(SetsRequest {
                log: LogNumber(0),
                from: 0,
            }),
        )
    };
    assert!(watched.is_in_audience(&about(log)));
    let own = watched.log_of(0, |name| name.starts_with("own-"));
    assert!(!watched.is_in_audience(&about(own)));
    let shared = watched.log_of(2, |name| name.starts_with(SHARED));
    assert_eq!(watched.outsider, 1);
    assert!(!watched.is_in_audience(&about(shared)));
}
