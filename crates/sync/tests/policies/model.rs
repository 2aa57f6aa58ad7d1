//! The protocol of holes in a few lines: what each domain holds of each log, field by field, and what a meeting changes.
//! No messages, no proofs, no time; the engine is compared with it.
//!
//! A model world also checks itself: everybody ends with exactly what is reachable by permission, a round more sends
//! nothing and asks for nothing, and whatever a settlement lets a sender skip is nothing that it had to send.

use std::collections::{BTreeMap, BTreeSet};

use crate::dice::Dice;

/// Facts of a log are of so many classes, in turn; policies speak about classes.
pub(crate) const CLASSES: usize = 7;

/// What is visible of a fact: its fields f0 to f3 as bits, and a bit for the rest, which is visible with any of it.
pub(crate) type Visible = u8;
pub(crate) const HIDDEN: Visible = 0;
pub(crate) const CORE: Visible = 1 << FIELDS;
pub(crate) const FULL: Visible = (1 << (FIELDS + 1)) - 1;
pub(crate) const FIELDS: u8 = 4;

/// One of the logs of a domain. After a restore it writes to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Log {
    pub(crate) origin: usize,
    pub(crate) lane: usize,
}

/// What is visible of each position of which more than the hash is held.
pub(crate) type Held = BTreeMap<u64, Visible>;

/// What a sender may show of each class.
pub(crate) type Rule = [Visible; CLASSES];

/// The classes that a domain refuses from everybody, but for its own facts.
pub(crate) type Refused = [bool; CLASSES];

/// What a domain keeps in its store.
#[derive(Clone, Default)]
struct Store {
    held: BTreeMap<Log, Held>,
    sizes: BTreeMap<Log, u64>,
    /// How often a position that was known already became more visible.
    changes: BTreeMap<Log, u64>,
    /// What was refused from whom, and by which rules: it is offered again when those change.
    declined: BTreeMap<(usize, Log), (Refused, BTreeSet<u64>)>,
    settled: BTreeMap<(usize, Log), Settlement>,
}

/// That a peer had all that it may have of a log, as far as both knew it: while none of this changes, only what is behind
/// its size can matter. (How far both knew it, not how far the peer did: what the sender gets to know below the size of
/// the peer is new to the sender, and so no change of what it held.)
#[derive(Clone, PartialEq)]
struct Settlement {
    rule: Rule,
    changes: u64,
    until: u64,
    theirs: Sets,
}

/// What a domain tells a peer of a log: its size, and the positions that it has whole, in part, and does not want.
#[derive(Clone, PartialEq)]
struct Sets {
    size: u64,
    full: BTreeSet<u64>,
    partial: Held,
    declined: BTreeSet<u64>,
}

/// What a meeting took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Facts that were sent.
    pub(crate) rows: u64,
    /// Logs of which the sender had to ask for the sets.
    pub(crate) asked: u64,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Append {
        domain: usize,
        count: u64,
    },
    /// The first brings the second up to date.
    Meet {
        from: usize,
        to: usize,
    },
    /// A policy gets wider. (To get narrower binds the future only.)
    Widen {
        from: usize,
        to: usize,
        class: usize,
        by: Visible,
    },
    /// A domain begins, or ceases, to refuse a class.
    Refuse {
        domain: usize,
        class: usize,
    },
    BackUp {
        domain: usize,
    },
    /// The newest backup takes the place of the store.
    Restore {
        domain: usize,
    },
}

pub(crate) struct Model {
    stores: Vec<Store>,
    pub(crate) rules: BTreeMap<(usize, usize), Rule>,
    pub(crate) refused: Vec<Refused>,
    backups: Vec<Option<Store>>,
    /// The lane in which each domain writes, and whether the next append takes another one.
    lanes: Vec<usize>,
    restored: Vec<bool>,
    /// Whether everything that is held got there by permissions that are still given.
    is_plain: bool,
}

impl Model {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let count = 3 + dice.below(3);
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to);
        let mut rule = |pair| {
            let class = |_| match dice.below(5) {
                0 | 1 => HIDDEN,
                2 | 3 => FULL,
                _ => some_fields(dice),
            };
            (pair, std::array::from_fn(class))
        };
        Self {
            rules: pairs.map(&mut rule).collect(),
            stores: vec![Store::default(); count],
            refused: vec![Refused::default(); count],
            backups: vec![None; count],
            lanes: vec![0; count],
            restored: vec![false; count],
            is_plain: true,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.stores.len()
    }

    /// What may happen next.
    pub(crate) fn draw(&self, dice: &mut Dice) -> Act {
        let domain = dice.below(self.count());
        let other = dice.other(self.count(), domain);
        let class = dice.below(CLASSES);
        match dice.below(100) {
            0..30 => Act::Append {
                domain,
                count: 1 + dice.below(6) as u64,
            },
            30..75 => Act::Meet {
                from: domain,
                to: other,
            },
            75..85 => Act::Widen {
                from: domain,
                to: other,
                class,
                by: some_fields(dice),
            },
            85..92 => Act::Refuse { domain, class },
            92..96 => Act::BackUp { domain },
            _ => Act::Restore { domain },
        }
    }

    pub(crate) fn perform(&mut self, act: Act) -> Traffic {
        match act {
            Act::Append { domain, count } => self.append(domain, count),
            Act::Meet { from, to } => return self.meet(from, to),
            Act::Widen {
                from,
                to,
                class,
                by,
            } => {
                if let Some(rule) = self.rules.get_mut(&(from, to)) {
                    rule[class] |= by;
                }
            }
            Act::Refuse { domain, class } => {
                self.is_plain = false;
                self.refused[domain][class] ^= true;
            }
            Act::BackUp { domain } => self.backups[domain] = Some(self.stores[domain].clone()),
            Act::Restore { domain } => {
                if let Some(backup) = &self.backups[domain] {
                    self.is_plain = false;
                    self.stores[domain] = backup.clone();
                    self.restored[domain] = true;
                }
            }
        }
        Traffic::default()
    }

    /// Where the next fact of a domain will stand.
    pub(crate) fn next_position(&self, domain: usize) -> (Log, u64) {
        let lane = self.lanes[domain] + usize::from(self.restored[domain]);
        let log = Log {
            origin: domain,
            lane,
        };
        (log, self.stores[domain].size(log))
    }

    fn append(&mut self, domain: usize, count: u64) {
        let (log, first) = self.next_position(domain);
        (self.lanes[domain], self.restored[domain]) = (log.lane, false);
        let store = &mut self.stores[domain];
        let held = store.held.entry(log).or_default();
        held.extend((first..first + count).map(|position| (position, FULL)));
        store.sizes.insert(log, first + count);
    }

    /// One direction of a meeting: `from` brings `to` up to date.
    fn meet(&mut self, from: usize, to: usize) -> Traffic {
        let mut traffic = Traffic::default();
        let rule = self.rules[&(from, to)];
        if rule == [HIDDEN; CLASSES] {
            // The peer does not belong to the audience: not even sizes are told.
            return traffic;
        }
        let logs: Vec<_> = self.stores[from].sizes.keys().copied().collect();
        for log in logs {
            let refused = self.refused_of(to, log);
            let [sender, receiver] = self.stores.get_disjoint_mut([from, to]).unwrap();
            let theirs = receiver.sets(from, log, &refused);
            let settlement = |theirs: Sets| Settlement {
                rule,
                changes: sender.changes.get(&log).copied().unwrap_or(0),
                until: sender.size(log).min(theirs.size),
                theirs,
            };
            let held = sender.held.get(&log).into_iter().flatten();
            let shown =
                held.map(|(position, visible)| (*position, *visible & rule[class(*position)]));
            let due: Held = shown
                .filter(|(position, visible)| theirs.lacks(*position, *visible))
                .collect();
            let is_settled = sender.settled.get(&(to, log)) == Some(&settlement(theirs.clone()));
            if is_settled {
                let gap = due.range(..theirs.size).next();
                assert_eq!(
                    gap, None,
                    "{from} owes {to} what a settlement skips of {log:?}"
                );
            } else if !theirs.is_complete() {
                traffic.asked += 1;
            }
            traffic.rows += due.len() as u64;
            let size = theirs.size.max(sender.size(log));
            receiver.sizes.insert(log, size);
            for (position, visible) in due {
                if refused[class(position)] {
                    receiver.decline(from, log, refused, position);
                } else {
                    receiver.learn(log, position, visible, theirs.size);
                }
            }
            let settled = settlement(receiver.sets(from, log, &refused));
            sender.settled.insert((to, log), settled);
        }
        traffic
    }

    /// Everybody meets everybody once, in any order.
    pub(crate) fn pairs(&self, dice: &mut Dice) -> Vec<(usize, usize)> {
        let mut pairs: Vec<_> = self.rules.keys().copied().collect();
        dice.shuffle(&mut pairs);
        pairs
    }

    fn refused_of(&self, domain: usize, log: Log) -> Refused {
        match log.origin == domain {
            true => Refused::default(),
            false => self.refused[domain],
        }
    }

    /// What a domain holds.
    pub(crate) fn held(&self, domain: usize) -> BTreeMap<Log, Held> {
        let mut held = self.stores[domain].held.clone();
        held.retain(|_, held| !held.is_empty());
        held
    }

    /// What everybody holds once all have met often enough, without any thought of how: the least fixed point of "who holds
    /// it and may show it gives it to who takes it".
    pub(crate) fn reachable(&self) -> Vec<BTreeMap<Log, Held>> {
        let all = |domain| self.held(domain);
        let reachable = self.closure((0..self.count()).map(all).collect());
        if self.is_plain {
            // Nothing came by other ways than from the origins.
            let own = |domain| {
                let mut held = self.held(domain);
                held.retain(|log, _| log.origin == domain);
                held
            };
            let from_origins = self.closure((0..self.count()).map(own).collect());
            assert_eq!(reachable, from_origins);
        }
        reachable
    }

    fn closure(&self, mut held: Vec<BTreeMap<Log, Held>>) -> Vec<BTreeMap<Log, Held>> {
        loop {
            let mut moved = false;
            for ((from, to), rule) in &self.rules {
                for (log, facts) in held[*from].clone() {
                    let refused = self.refused_of(*to, log);
                    for (position, visible) in facts {
                        let shown = visible & rule[class(position)];
                        if shown != HIDDEN && !refused[class(position)] {
                            let held = held[*to].entry(log).or_default();
                            let held = held.entry(position).or_default();
                            moved |= *held | shown != *held;
                            *held |= shown;
                        }
                    }
                }
            }
            if !moved {
                return held;
            }
        }
    }
}

impl Store {
    fn size(&self, log: Log) -> u64 {
        self.sizes.get(&log).copied().unwrap_or(0)
    }

    fn sets(&self, peer: usize, log: Log, refused: &Refused) -> Sets {
        let held = self.held.get(&log).into_iter().flatten();
        let (full, partial): (Held, Held) = held.partition(|(_, visible)| **visible == FULL);
        let declined = self.declined.get(&(peer, log));
        let declined = declined.filter(|(rules, _)| rules == refused);
        Sets {
            size: self.size(log),
            full: full.into_keys().collect(),
            partial,
            declined: declined.map_or_else(BTreeSet::new, |(_, positions)| positions.clone()),
        }
    }

    fn decline(&mut self, peer: usize, log: Log, refused: Refused, position: u64) {
        let declined = self.declined.entry((peer, log)).or_default();
        if declined.0 != refused {
            *declined = (refused, BTreeSet::new());
        }
        declined.1.insert(position);
    }

    /// Learns what is visible of a position; `known` is the size of the log before.
    fn learn(&mut self, log: Log, position: u64, visible: Visible, known: u64) {
        let held = self.held.entry(log).or_default();
        *held.entry(position).or_default() |= visible;
        if position < known {
            *self.changes.entry(log).or_default() += 1;
        }
    }
}

impl Sets {
    fn is_complete(&self) -> bool {
        self.full.len() as u64 == self.size
    }

    /// Whether so much of a position tells something new, and is wanted.
    fn lacks(&self, position: u64, shown: Visible) -> bool {
        let held = self.partial.get(&position).copied().unwrap_or(HIDDEN);
        let is_new = shown & !held != 0 && !self.full.contains(&position);
        is_new && !self.declined.contains(&position)
    }
}

pub(crate) fn class(position: u64) -> usize {
    (position % CLASSES as u64) as usize
}

fn some_fields(dice: &mut Dice) -> Visible {
    CORE | (1 + dice.below(usize::from(CORE) - 1)) as Visible
}

/// What happens in the world of a seed before it comes to rest.
pub(crate) fn acts(dice: &mut Dice) -> usize {
    5 + dice.below(36)
}

/// How many rounds it may take at most until nothing moves.
pub(crate) const ROUNDS_MAX: usize = 50;

fn check(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut model = Model::new(&mut dice);
    for _ in 0..acts(&mut dice) {
        let act = model.draw(&mut dice);
        model.perform(act);
    }
    let mut round = |model: &mut Model| {
        let mut total = Traffic::default();
        for (from, to) in model.pairs(&mut dice) {
            let traffic = model.meet(from, to);
            total.rows += traffic.rows;
            total.asked += traffic.asked;
        }
        total
    };
    let mut rounds = (0..ROUNDS_MAX).map(|_| round(&mut model));
    let settles = rounds.any(|traffic| traffic == Traffic::default());
    assert!(settles, "seed {seed}: does not settle");
    for (domain, reachable) in model.reachable().into_iter().enumerate() {
        assert_eq!(
            model.held(domain),
            reachable,
            "seed {seed}: domain {domain}"
        );
    }
    let traffic = round(&mut model);
    assert_eq!(
        traffic,
        Traffic::default(),
        "seed {seed}: settled, and still works"
    );
    let origin = dice.below(model.count());
    model.append(origin, 3);
    for (from, to) in model.pairs(&mut dice) {
        if from == origin {
            let asked = model.meet(from, to).asked;
            assert_eq!(asked, 0, "seed {seed}: an append makes the origin ask");
        }
    }
}

#[test]
fn two_thousand_model_worlds_end_with_what_is_reachable_and_settle() {
    (0..2000).for_each(check);
}
