//! Every byte that policies keep back is looked for in every message that goes to whom it is kept back from.

use causality_fact::{FactId, RowCore, TaggedHash, Value};
use causality_sync::{Draft, Reference};
use causality_wire::{BincodeSerializer, MessageSerializer as _, SyncMessage};
use std::collections::{BTreeMap, BTreeSet};

use crate::agree::{Twin, draft, field};
use crate::dice::Dice;
use crate::model::{Act, FIELDS, HIDDEN, Visible, acts, class};
use crate::overheard::rows;
use crate::world::Sent;

/// How many bytes of a secret are looked for. It has at least as many.
const NEEDLE_BYTES: usize = 16;

type Needle = [u8; NEEDLE_BYTES];

/// Something that not everybody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The value of a field of a fact of a class.
    Field(usize, u8),
    /// The id of a fact of a class.
    Id(usize),
    /// The lane, or the compartment, of a log that only its origin has.
    Private,
}

/// All secrets by their first bytes.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    by_needle: BTreeMap<Needle, Secret>,
    /// How often one was in a message to somebody who may see it.
    pub(crate) permitted: u64,
}

impl Secrets {
    fn add(&mut self, bytes: &[u8], secret: Secret) {
        self.by_needle.insert(*bytes.first_chunk().unwrap(), secret);
    }

    fn in_bytes(&self, bytes: &[u8]) -> Vec<(Needle, Secret)> {
        let needle = |window: &[u8]| {
            let needle: Needle = *window.first_chunk()?;
            Some((needle, *self.by_needle.get(&needle)?))
        };
        bytes.windows(NEEDLE_BYTES).filter_map(needle).collect()
    }
}

/// The value of a field: random bytes, of which those of a field that is varied differ between two worlds.
fn value(origin: usize, position: u64, number: u8, varied: bool) -> Vec<u8> {
    let hash = TaggedHash::new("a value of a test")
        .chain((origin as u64).to_le_bytes())
        .chain(position.to_le_bytes())
        .chain([number, u8::from(varied)]);
    hash.finish()[..NEEDLE_BYTES].to_vec()
}

/// Worlds of the model with secrets in them.
struct Watched {
    twin: Twin,
    secrets: Secrets,
    /// The ids of what each domain has appended.
    ids: BTreeMap<usize, Vec<FactId>>,
    /// Which fields of which classes have other values than usual.
    varied: BTreeSet<(usize, u8)>,
    /// What was sent: to whom by whom, which kind of message, and what of each fact.
    trace: Vec<(usize, usize, String)>,
}

impl Watched {
    fn new(dice: &mut Dice, seed: u64, varied: BTreeSet<(usize, u8)>) -> Self {
        let mut watched = Self {
            twin: Twin::new(dice, seed),
            secrets: Secrets::default(),
            ids: BTreeMap::new(),
            varied,
            trace: Vec::new(),
        };
        for rule in watched.twin.model.rules.values_mut() {
            // One class is for nobody, and of another one a field, unless a policy widens.
            rule[0] = HIDDEN;
            rule[1] &= !1;
        }
        for domain in 0..watched.twin.model.count() {
            watched.twin.set_policies(domain);
            watched.keep_to_oneself(domain);
        }
        watched
    }

    /// A log that nobody else may have.
    fn keep_to_oneself(&mut self, domain: usize) {
        let world = &mut self.twin.world;
        let drafts = (0..3).map(crate::world::draft).collect();
        let appended = world.append_to(domain, &format!("private-{domain}"), drafts);
        let ids = appended.iter().map(|appended| appended.id);
        ids.for_each(|id| self.secrets.add(id.as_bytes(), Secret::Private));
        let logs = self.twin.world.engine(domain).logs();
        for (log, _) in logs {
            self.secrets.add(log.lane.as_bytes(), Secret::Private);
            self.secrets
                .add(log.compartment.as_bytes(), Secret::Private);
        }
    }

    fn perform(&mut self, act: Act) {
        let Act::Append { domain, count } = act else {
            self.twin.perform(act);
            return self.listen();
        };
        let (_, first) = self.twin.model.next_position(domain);
        let positions = first..first + count;
        let known = self.ids.entry(domain).or_default();
        let drafts = positions.clone().map(|position| {
            let mut draft: Draft = draft(position);
            let class = class(position);
            draft.content = (0..FIELDS)
                .map(|number| {
                    let varied = self.varied.contains(&(class, number));
                    let value = value(domain, position, number, varied);
                    self.secrets.add(&value, Secret::Field(class, number));
                    (field(number), Value::Bytes(value))
                })
                .collect();
            // A permitted fact may name one that is not.
            let cause = known.last().filter(|_| position % 3 == 0);
            draft.requires = cause.map(|id| Reference::Fact(*id)).into_iter().collect();
            draft
        });
        let drafts = drafts.collect();
        for (position, appended) in positions.zip(self.twin.append(domain, drafts)) {
            let id = Secret::Id(class(position));
            self.secrets.add(appended.id.as_bytes(), id);
            known.push(appended.id);
        }
        self.listen();
    }

    fn listen(&mut self) {
        for sent in self.twin.take_heard() {
            let place = (sent.from, sent.to);
            for (needle, secret) in found(&self.secrets, &sent, self.twin.world.id(sent.from)) {
                let rule = &self.twin.model.rules[&place];
                let is_permitted = match secret {
                    Secret::Field(class, number) => rule[class] & (1 << number) != 0,
                    Secret::Id(class) => rule[class] != HIDDEN,
                    Secret::Private => false,
                };
                assert!(is_permitted, "{place:?}: {secret:?} {needle:?}: {sent:?}");
                self.secrets.permitted += 1;
            }
            self.note(&sent);
        }
    }

    fn note(&mut self, sent: &Sent) {
        let mut said = format!("{:?}", std::mem::discriminant(&sent.message));
        for row in rows(&sent.message, self.twin.world.id(sent.from)) {
            let fact = row.fact().unwrap();
            let shown: Vec<_> = fact.content().disclosed().collect();
            said += &format!("[{:?} {shown:?}]", fact.core().label);
        }
        self.trace.push((sent.from, sent.to, said));
    }

    /// Acts, then meetings of everybody with everybody until nothing moves.
    fn play(&mut self, dice: &mut Dice) {
        for _ in 0..acts(dice) {
            let act = self.twin.model.draw(dice);
            self.perform(act);
        }
        for _ in 0..crate::model::ROUNDS_MAX {
            let before = self
                .trace
                .iter()
                .filter(|(.., said)| said.contains('['))
                .count();
            for (from, to) in self.twin.model.pairs(dice) {
                self.perform(Act::Meet { from, to });
            }
            let after = self
                .trace
                .iter()
                .filter(|(.., said)| said.contains('['))
                .count();
            if before == after {
                break;
            }
        }
        for (domain, reachable) in self.twin.model.reachable().into_iter().enumerate() {
            assert_eq!(self.twin.held(domain), reachable, "domain {domain}");
        }
    }
}

/// The secrets in a message; the ids that a fact in it names are none.
fn found(
    secrets: &Secrets,
    sent: &Sent,
    origin: causality_fact::DomainId,
) -> Vec<(Needle, Secret)> {
    let bytes = BincodeSerializer.serialize(&sent.message).unwrap();
    let mut found = secrets.in_bytes(&bytes);
    let mut named = BTreeSet::new();
    for row in rows(&sent.message, origin) {
        if let RowCore::Known(core) = row.core() {
            let ids = core
                .requires
                .as_slice()
                .iter()
                .chain(core.supersedes.as_slice());
            named.extend(ids.map(|id| *id.as_bytes().first_chunk::<NEEDLE_BYTES>().unwrap()));
        }
    }
    found.retain(|(needle, secret)| !matches!(secret, Secret::Id(_)) || !named.contains(needle));
    found
}

/// What no pair of domains may see of anything, whoever asks: these stay so, since policies only widen.
fn hidden_from_all(twin: &Twin) -> BTreeSet<(usize, u8)> {
    let all = (0..crate::model::CLASSES).flat_map(|class| (0..FIELDS).map(move |n| (class, n)));
    let is_hidden = |(class, number): &(usize, u8)| {
        let bit: Visible = 1 << number;
        twin.model
            .rules
            .values()
            .all(|rule| rule[*class] & bit == 0)
    };
    all.filter(is_hidden).collect()
}

#[test]
fn nothing_that_is_kept_back_is_in_any_message() {
    let (mut permitted, mut hidden, mut compared) = (0, 0, 0);
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut watched = Watched::new(&mut dice, seed, BTreeSet::new());
        watched.play(&mut dice);
        permitted += watched.secrets.permitted;
        let rules = watched.twin.model.rules.values().flatten();
        hidden += rules.filter(|shown| **shown == HIDDEN).count();
        // What nobody may see decides nothing: with other values of it the same is delivered, in the same order.
        let varied = hidden_from_all(&watched.twin);
        if varied.is_empty() {
            continue;
        }
        compared += 1;
        let mut dice = Dice::new(seed);
        let mut other = Watched::new(&mut dice, seed, varied);
        other.play(&mut dice);
        assert_eq!(other.trace, watched.trace, "seed {seed}");
    }
    assert!(
        permitted > 10_000 && hidden > 1_000 && compared > 200,
        "{permitted} {hidden} {compared}"
    );
}

#[test]
fn a_leak_is_heard() {
    let mut dice = Dice::new(1);
    let mut watched = Watched::new(&mut dice, 1, BTreeSet::new());
    watched.perform(Act::Append {
        domain: 0,
        count: 7,
    });
    let needles: Vec<_> = watched.secrets.by_needle.clone().into_iter().collect();
    let kinds = needles.iter().map(|(_, secret)| match secret {
        Secret::Field(..) => 0,
        Secret::Id(_) => 1,
        Secret::Private => 2,
    });
    let kinds: BTreeSet<_> = kinds.collect();
    assert_eq!(kinds.len(), 3);
    for (needle, secret) in needles {
        let goodbye = SyncMessage::Convergence(causality_wire::Convergence {
            round: 0,
            receipt: causality_wire::BoundedBytes::new([&[1, 2, 3][..], &needle, &[4]].concat())
                .unwrap(),
        });
        let sent = Sent {
            from: 0,
            to: 1,
            message: goodbye,
        };
        let origin = watched.twin.world.id(0);
        assert_eq!(found(&watched.secrets, &sent, origin), [(needle, secret)]);
    }
}
