//! Engine and model, step by step through the same worlds: after each meeting they hold the same, and the engine sent as many
//! facts as the model, and asked for no more.

use causality_fact::{CompartmentId, DomainId, Entry, Label, LogId, Onward, Row, RowCore, Value};
use causality_store::{FactReader as _, MemoryStore};
use causality_strategy::SyncPolicies;
use causality_sync::{Appended, Direction, Draft, Event, SessionId, SyncError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::dice::Dice;
use crate::domain::now;
use crate::model::{
    Act, CLASSES, CORE, FIELDS, FULL, HIDDEN, Held, Log, Model, ROUNDS_MAX, Refused, Rule, Traffic,
    Visible, acts, class,
};
use crate::overheard::{Heard, Numbers, is_request};
use crate::world::{PUBLIC, World};

/// A session that stays, and its two domains.
type Lasting = (SessionId, [usize; 2]);

/// A world of engines that does what a model does.
pub(crate) struct Twin {
    pub(crate) model: Model,
    pub(crate) world: World,
    backups: Vec<Option<MemoryStore>>,
    names: BTreeMap<LogId, Log>,
    /// The logs that numbers stand for.
    numbers: Numbers,
    /// What was heard and not taken yet.
    heard: Vec<Heard>,
    /// Domains that share compartments which the model does not know, of names that begin with [`SHARED`].
    pub(crate) audience: BTreeSet<usize>,
    seed: u64,
}

/// How the names of the compartments begin that some domains share beside the one of the model.
pub(crate) const SHARED: &str = "shared-";

impl Twin {
    pub(crate) fn new(dice: &mut Dice, seed: u64) -> Self {
        let model = Model::new(dice);
        let mut world = World::new(model.count(), seed);
        world.overheard = Some(Vec::new());
        let mut twin = Self {
            backups: (0..model.count()).map(|_| None).collect(),
            names: BTreeMap::new(),
            model,
            world,
            numbers: Numbers::default(),
            heard: Vec::new(),
            audience: BTreeSet::new(),
            seed,
        };
        for domain in 0..twin.model.count() {
            twin.set_policies(domain);
        }
        twin
    }

    pub(crate) fn set_policies(&mut self, domain: usize) {
        for peer in (0..self.model.count()).filter(|peer| *peer != domain) {
            self.set_policy(domain, peer);
        }
    }

    fn set_policy(&mut self, domain: usize, peer: usize) {
        let own = self.world.id(domain);
        let rule = &self.model.rules[&(domain, peer)];
        let mut text = policy_file(rule, &self.model.refused[domain], own);
        if [domain, peer].iter().all(|one| self.audience.contains(one)) {
            for section in ["out", "in"] {
                writeln!(
                    text,
                    "[[{section}]]\nname = \"{section} shared\"\npeers = [\"*\"]"
                )
                .unwrap();
                writeln!(text, "compartments = [\"{SHARED}*\"]").unwrap();
            }
        }
        let policies = SyncPolicies::parse(&text).unwrap();
        self.world.set_policies(domain, peer, &policies);
    }

    pub(crate) fn perform(&mut self, act: Act) {
        if let Act::Append { domain, count } = act {
            self.append_some(domain, count);
            return;
        }
        if let Act::Meet { from, to } = act {
            self.meet(from, to);
            return;
        }
        self.model.perform(act);
        match act {
            Act::Append { .. } | Act::Meet { .. } => {}
            Act::Widen { from, to, .. } => self.set_policy(from, to),
            Act::Refuse { domain, .. } => self.set_policies(domain),
            Act::BackUp { domain } => {
                self.backups[domain] = Some(self.world.domains[domain].backup());
            }
            Act::Restore { domain } => self.restore(domain),
        }
    }

    fn restore(&mut self, domain: usize) {
        let Some(backup) = self.backups[domain].take() else {
            return;
        };
        let restored = &mut self.world.domains[domain];
        restored.store = backup;
        self.backups[domain] = Some(restored.backup());
        restored.mark_restored();
        self.world.restart(domain);
    }

    fn append_some(&mut self, domain: usize, count: u64) {
        let (_, first) = self.model.next_position(domain);
        let drafts = (first..first + count).map(draft).collect();
        self.append(domain, drafts);
    }

    /// Appends what stands for the next positions in the model.
    pub(crate) fn append(&mut self, domain: usize, drafts: Vec<Draft>) -> Vec<Appended> {
        let (log, _) = self.model.next_position(domain);
        let count = drafts.len() as u64;
        let appended = self.world.append(domain, drafts);
        self.model.perform(Act::Append { domain, count });
        let own = self.world.id(domain);
        let logs = self.world.engine(domain).logs();
        let own = logs
            .filter(|(log, _)| log.origin == own && is_public(log))
            .map(|(log, _)| *log);
        for id in own.collect::<Vec<_>>() {
            self.names.entry(id).or_insert(log);
        }
        appended
    }

    /// One direction of a meeting, in both worlds.
    fn meet(&mut self, from: usize, to: usize) -> Traffic {
        let seed = self.seed;
        let expected = self.model.perform(Act::Meet { from, to });
        self.world.sync_for(from, to, Direction::Push);
        let found = self.traffic();
        let place = format!("seed {seed}: from {from} to {to}");
        assert_eq!(found.rows, expected.rows, "{place}");
        assert!(
            found.asked <= expected.asked,
            "{place}: {found:?} {expected:?}"
        );
        self.compare(to);
        found
    }

    /// What went over the links since the last call.
    pub(crate) fn take_heard(&mut self) -> Vec<Heard> {
        self.traffic();
        std::mem::take(&mut self.heard)
    }

    /// Which log of the model this is, if it is one.
    pub(crate) fn name(&self, log: &LogId) -> Option<Log> {
        self.names.get(log).copied()
    }

    /// What of the logs of the model went over the links since the last call; nothing of it was withheld.
    fn traffic(&mut self) -> Traffic {
        let mut traffic = Traffic::default();
        for sent in self.world.hear() {
            let heard = self.numbers.hear(sent);
            if heard.logs.iter().all(is_public) {
                traffic.asked += u64::from(is_request(&heard.sent.message));
                traffic.rows += self.assert_permitted(&heard);
            }
            self.heard.push(heard);
        }
        traffic
    }

    /// Nothing of the rows of a message is withheld from whom it goes to. Returns how many there are.
    fn assert_permitted(&self, heard: &Heard) -> u64 {
        let rows = heard.rows();
        for (_, row) in &rows {
            let class = class_of(row);
            let shown = self.model.rules[&(heard.sent.from, heard.sent.to)][class];
            let visible = visible(row.mask());
            assert_eq!(visible & !shown, 0, "seed {}: shown: {row:?}", self.seed);
        }
        rows.len() as u64
    }

    /// A domain holds the same as in the model.
    fn compare(&self, domain: usize) {
        let held = self.held(domain);
        let expected = self.model.held(domain);
        assert_eq!(held, expected, "seed {}: domain {domain}", self.seed);
    }

    pub(crate) fn held(&self, domain: usize) -> BTreeMap<Log, Held> {
        let store = &self.world.domains[domain].store;
        let mut held = BTreeMap::new();
        for of_log in now(store.logs()).unwrap() {
            let full = of_log
                .full
                .runs()
                .flatten()
                .map(|position| (position, FULL));
            let partial = of_log.partial.runs().flatten().map(|position| {
                let range = position..position + 1;
                let entry = &now(store.scan(&of_log.log, range, 1)).unwrap()[0];
                let Entry::Row(row) = entry.entry(of_log.log.origin).unwrap() else {
                    panic!("a part of a fact is a row")
                };
                (position, visible(row.mask()))
            });
            let facts: Held = full.chain(partial).collect();
            let name = self.names.get(&of_log.log);
            if let Some(name) = name.filter(|_| !facts.is_empty()) {
                held.insert(*name, facts);
            }
        }
        held
    }

    /// The sessions that stay, and between whom.
    fn begin(&mut self, style: Style) -> Vec<Lasting> {
        let count = self.model.count();
        let pairs = (0..count).flat_map(|one| (0..one).map(move |other| (one, other)));
        let pairs = pairs.filter(|_| style == Style::Live);
        pairs
            .map(|(one, other)| (self.world.connect(one, other), [one, other]))
            .collect()
    }

    /// Everybody brings everybody up to date once.
    fn round(&mut self, style: Style, sessions: &mut [Lasting], dice: &mut Dice) -> Traffic {
        let mut total = Traffic::default();
        let pairs = self.model.pairs(dice);
        match style {
            Style::OneWay => {
                for (from, to) in pairs {
                    let traffic = self.meet(from, to);
                    total.rows += traffic.rows;
                    total.asked += traffic.asked;
                }
                return total;
            }
            Style::BothWays => {
                for (one, other) in pairs.into_iter().filter(|(one, other)| one < other) {
                    self.world.sync(one, other);
                }
            }
            Style::Live => {
                dice.shuffle(sessions);
                let mut begin = |(session, ends): &mut Lasting| {
                    let domain = ends[dice.below(2)];
                    let request = self.world.start_round(domain, *session);
                    self.world.take_steps(dice.below(10));
                    (domain, request)
                };
                let begun: Vec<_> = sessions.iter_mut().map(&mut begin).collect();
                self.world.run();
                for (domain, request) in begun {
                    let is_over = self.world.report(domain, request).is_some();
                    assert!(is_over, "seed {}: a round does not end", self.seed);
                }
            }
        }
        for pair in self.model.pairs(dice) {
            let (from, to) = pair;
            self.model.perform(Act::Meet { from, to });
        }
        self.traffic()
    }

    /// An origin brings what it has appended to everybody; says how often it asked for sets.
    fn bring(&mut self, origin: usize, style: Style, dice: &mut Dice) -> u64 {
        let pairs = self.model.pairs(dice).into_iter();
        let mut asked = 0;
        for (from, to) in pairs.filter(|(from, _)| *from == origin) {
            asked += match style {
                Style::OneWay => self.meet(from, to).asked,
                Style::BothWays | Style::Live => {
                    self.world.sync(from, to);
                    self.traffic().asked
                }
            };
        }
        asked
    }

    /// No session ended but by the end of its connection.
    fn assert_peaceful(&self) {
        for domain in &self.world.domains {
            for event in &domain.events {
                let is_fault = match event {
                    Event::Ended { error, .. } => !matches!(error, None | Some(SyncError::Closed)),
                    Event::Refused { .. } | Event::Forked { .. } | Event::Declined { .. } => true,
                    _ => false,
                };
                assert!(!is_fault, "seed {}: {event:?}", self.seed);
            }
        }
    }
}

/// What a rule and refusals are in a policy file.
fn policy_file(rule: &Rule, refused: &Refused, own: DomainId) -> String {
    let mut text = String::new();
    let granted = (0..CLASSES).filter(|class| rule[*class] != HIDDEN);
    push_rule(&mut text, "out", "granted", granted);
    for class in (0..CLASSES).filter(|class| ![HIDDEN, FULL].contains(&rule[*class])) {
        push_rule(&mut text, "security", &format!("class {class}"), [class]);
        let kept = (0..FIELDS).filter(|field| rule[class] & (1 << field) == 0);
        let kept: Vec<_> = kept.map(field).collect();
        writeln!(text, "withhold = {kept:?}").unwrap();
    }
    push_rule(
        &mut text,
        "in",
        "taken",
        (0..CLASSES).filter(|class| !refused[*class]),
    );
    // What is its own a domain takes back whatever it is.
    push_rule(&mut text, "in", "own", 0..CLASSES);
    writeln!(text, "where = 'origin is \"{own}\"'").unwrap();
    text
}

fn push_rule(
    text: &mut String,
    section: &str,
    name: &str,
    classes: impl IntoIterator<Item = usize>,
) {
    let labels: Vec<_> = classes.into_iter().map(label).collect();
    if labels.is_empty() {
        return;
    }
    writeln!(text, "[[{section}]]\nname = {name:?}\npeers = [\"*\"]").unwrap();
    writeln!(text, "compartments = [{PUBLIC:?}]\nlabels = {labels:?}").unwrap();
}

fn label(class: usize) -> String {
    format!("c{class}")
}

pub(crate) fn field(number: Visible) -> String {
    format!("f{number}")
}

/// A fact for a position of a log.
pub(crate) fn draft(position: u64) -> Draft {
    let mut draft = crate::world::draft(position);
    draft.label = Label::new(label(class(position))).unwrap();
    draft.onward = Onward::Any;
    let fields = (0..FIELDS).map(|number| (field(number), Value::Bytes(vec![number; 16])));
    draft.content = fields.collect();
    draft
}

fn is_public(log: &LogId) -> bool {
    log.compartment == CompartmentId::PUBLIC
}

/// The class of the fact in a row.
pub(crate) fn class_of(row: &Row) -> usize {
    let RowCore::Known(core) = row.core() else {
        panic!("a core of this version")
    };
    core.label.as_str()[1..].parse().unwrap()
}

pub(crate) fn visible(mask: Option<causality_fact::FieldMask>) -> Visible {
    mask.map_or(FULL, |mask| CORE | mask.bits() as Visible)
}

/// How everybody meets everybody until nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// One way at a time, each in a session of its own: as in the model, step by step.
    OneWay,
    /// Both ways in each session.
    BothWays,
    /// All at once, in sessions that stay. Facts go as in the model; a question about sets more may be asked, for what came
    /// from others while a round was open is not in what a peer said.
    Live,
}

fn check(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut twin = Twin::new(&mut dice, seed);
    for _ in 0..acts(&mut dice) {
        let act = twin.model.draw(&mut dice);
        twin.perform(act);
    }
    let styles = [Style::OneWay, Style::BothWays, Style::Live];
    let style = styles[(seed % 3) as usize];
    let mut sessions = twin.begin(style);
    let mut rounds = (0..ROUNDS_MAX).map(|_| twin.round(style, &mut sessions, &mut dice));
    let settles = rounds.any(|traffic| traffic == Traffic::default());
    assert!(settles, "seed {seed}: does not settle");
    for (domain, reachable) in twin.model.reachable().into_iter().enumerate() {
        assert_eq!(twin.held(domain), reachable, "seed {seed}: domain {domain}");
    }
    let traffic = twin.round(style, &mut sessions, &mut dice);
    let asked = if style == Style::Live {
        traffic.asked
    } else {
        0
    };
    let nothing = Traffic { rows: 0, asked };
    assert_eq!(traffic, nothing, "seed {seed}: settled, and still works");
    let origin = dice.below(twin.model.count());
    twin.append_some(origin, 3);
    if style != Style::Live {
        let asked = twin.bring(origin, style, &mut dice);
        assert_eq!(asked, 0, "seed {seed}: an append makes the origin ask");
    }
    twin.assert_peaceful();
}

#[test]
fn engine_and_model_agree_on_two_thousand_worlds() {
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || (first..2000).step_by(2).for_each(check));
        }
    });
}
