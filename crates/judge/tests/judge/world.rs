//! A world of a few honest nodes with real signatures, and hands that tamper with them.
//!
//! The bytes are written here by hand from the pages, like those that the judge reads.

use std::collections::{BTreeMap, BTreeSet};

use causality_judge::history::{
    Acknowledged, Completeness, Entry, Event, Extent, Header, Kept, Mode, Place, Rule, Scope, Seen,
    Span, Stated,
};
use causality_judge::{
    Bytes, CompartmentId, DomainId, FactId, GrowingTree, LaneId, LogId, Stored, TreeHash, Verdict,
    judge, position_set_hash, read_row,
};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::statement::Statement;

pub(crate) const PUBLIC: CompartmentId = CompartmentId([0; 16]);

/// What a store has of a log.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) rows: Vec<Stored>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) completeness: Completeness,
    pub(crate) stated: Option<Stated>,
}

impl Held {
    /// The positions of which there is only a hash.
    fn holes(&self) -> Vec<Span> {
        let (mut at, mut holes) = (0, Vec::new());
        for row in &self.rows {
            match row {
                Stored::Withheld { level, .. } => {
                    holes.push(Span(at, at + (1 << level)));
                    at += 1 << level;
                }
                _ => at += 1,
            }
        }
        holes
    }
}

/// A checkpoint before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: TreeHash,
    pub(crate) time: u64,
    pub(crate) epoch: u8,
}

/// The logs of a node.
pub(crate) type Store = BTreeMap<LogId, Held>;

/// Rules of a node about a domain.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) out: Vec<Rule>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) taken: Vec<Rule>,
}

impl Policy {
    /// Nothing goes either way.
    pub(crate) fn nothing() -> Self {
        Self {
            out: Vec::new(),
            kept: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Everything goes both ways.
    pub(crate) fn whole() -> Self {
        Self {
            out: vec![Rule::all_of(PUBLIC)],
            kept: Vec::new(),
            taken: vec![Rule::all_of(PUBLIC)],
        }
    }
}

/// A copy of a store, and when it was begun.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) taken_at: u64,
    pub(crate) store: Store,
}

#[derive(Debug)]
struct Node {
    domain: usize,
    lane: LogId,
    store: Store,
}

/// The keys of a domain: epoch 0 and epoch 1.
#[derive(Debug)]
struct Domain {
    id: DomainId,
    keys: [SigningKey; 2],
    records: Vec<Bytes>,
}

/// A history while it is made.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) header: Header,
    pub(crate) entries: Vec<Entry>,
    nodes: BTreeMap<&'static str, Node>,
    domains: Vec<Domain>,
    left: BTreeSet<&'static str>,
    requests: u64,
    lanes: u8,
}

impl World {
    /// Nodes `a`, `b` … of domains of their own, which share everything.
    pub(crate) fn new(mode: Mode, names: &[&'static str]) -> Self {
        let header = Header {
            version: 0,
            seed: 1,
            domains: u32::try_from(names.len()).unwrap(),
            mode,
        };
        let mut world = Self {
            header,
            entries: Vec::new(),
            nodes: BTreeMap::new(),
            domains: Vec::new(),
            left: BTreeSet::new(),
            requests: 0,
            lanes: 0,
        };
        world.domains = (0..names.len()).map(Domain::new).collect();
        for (domain, name) in names.iter().enumerate() {
            world.start(name, domain);
        }
        world
    }

    /// Another node of a domain.
    pub(crate) fn start(&mut self, name: &'static str, domain: usize) {
        let id = self.domains[domain].id;
        let lane = self.new_lane(id);
        let node = Node {
            domain,
            lane,
            store: Store::new(),
        };
        self.nodes.insert(name, node);
        self.push(name, Event::Started { domain: id });
        let everything = Scope {
            origin: None,
            compartment: PUBLIC,
        };
        let to = vec![everything];
        self.push(name, Event::Entitled { to });
        for other in (0..self.domains.len()).filter(|other| *other != domain) {
            let peer = self.domains[other].id;
            self.tell(name, peer, Policy::whole());
        }
    }

    /// The node is told rules about a domain, and goes by them.
    pub(crate) fn tell(&mut self, name: &str, peer: DomainId, policy: Policy) {
        let Policy { out, kept, taken } = policy;
        let told = Event::Policy {
            peer,
            out,
            kept,
            taken,
        };
        self.push(name, told);
        self.push(name, Event::Obeys {});
    }

    pub(crate) fn domain(&self, node: &str) -> DomainId {
        self.domains[self.nodes[node].domain].id
    }

    /// What a node signs that it keeps back: of the positions of a log below a size, from a domain, these.
    pub(crate) fn state(
        &self,
        signer: &str,
        (log, size): (LogId, u64),
        audience: DomainId,
        [withheld, deferred, partial]: [Vec<Span>; 3],
    ) -> Stated {
        let key = &self.domains[self.nodes[signer].domain].keys[0];
        let mut bytes = vec![0];
        bytes.extend(log.origin.0);
        bytes.extend(log.compartment.0);
        bytes.extend(log.lane.0);
        bytes.extend(uint(size));
        bytes.extend(audience.0);
        for set in [&withheld, &deferred, &partial] {
            bytes.extend(position_set_hash(set).unwrap());
        }
        bytes.extend(self.now().to_le_bytes());
        bytes.push(0);
        bytes.extend(key_id(key));
        let message = tagged("causality/0/withheld", &bytes);
        bytes.extend(key.sign(&message).to_bytes());
        Stated {
            statement: Bytes(bytes),
            withheld,
            deferred,
            partial,
        }
    }

    fn new_lane(&mut self, origin: DomainId) -> LogId {
        self.lanes += 1;
        LogId {
            origin,
            compartment: PUBLIC,
            lane: LaneId([self.lanes; 16]),
        }
    }

    /// Each event happens 10 ms after the one before.
    pub(crate) fn push(&mut self, node: &str, event: Event) {
        let node = Some(node.to_owned());
        self.entry(node, event);
    }

    pub(crate) fn entry(&mut self, node: Option<String>, event: Event) {
        let at = self.now() + 10;
        self.entries.push(Entry { at, node, event });
    }

    pub(crate) fn now(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.at)
    }

    pub(crate) fn lane(&self, node: &str) -> LogId {
        self.nodes[node].lane
    }

    pub(crate) fn store(&mut self, node: &str) -> &mut Store {
        &mut self.nodes.get_mut(node).unwrap().store
    }

    /// What `node` has of the lane of `writer`.
    pub(crate) fn held(&mut self, node: &str, writer: &str) -> &mut Held {
        let lane = self.lane(writer);
        self.store(node).get_mut(&lane).unwrap()
    }

    /// The node is asked for a fact, writes it and says so.
    pub(crate) fn append(&mut self, name: &'static str) -> FactId {
        let request = self.ask(name);
        self.write(name, request)
    }

    pub(crate) fn ask(&mut self, name: &str) -> u64 {
        self.requests += 1;
        let request = self.requests;
        let appended = Event::Appended {
            request,
            compartment: PUBLIC,
            facts: 1,
        };
        self.push(name, appended);
        request
    }

    pub(crate) fn write(&mut self, name: &str, request: u64) -> FactId {
        let time = (self.now() << 16) | 1;
        self.write_row(name, request, (time, row(time, request)))
    }

    pub(crate) fn write_row(
        &mut self,
        name: &str,
        request: u64,
        (time, row): (u64, Vec<u8>),
    ) -> FactId {
        let lane = self.lane(name);
        let id = read_row(&lane.origin, &row).unwrap().id;
        let held = self.store(name).entry(lane).or_insert_with(Held::empty);
        let position = held.rows.len() as u64;
        held.rows.push(Stored::Row(Bytes(row)));
        held.sign(&lane, time, 0);
        let (size, root) = (held.checkpoint.size, held.checkpoint.root);
        let durable = Event::Durable {
            log: lane,
            size,
            root: Some(root),
            peer: None,
        };
        self.push(name, durable);
        let place = Some(Place {
            log: lane,
            position,
        });
        let facts = vec![Acknowledged { id, place }];
        self.push(name, Event::Acknowledged { request, facts });
        id
    }

    /// Two nodes meet, and what one lacks of the other's logs becomes durable at it. Forks are noticed, lanes stopped.
    pub(crate) fn sync(&mut self, one: &'static str, other: &'static str) {
        self.meets(one, other);
        self.conclude(one, other);
        self.conclude(other, one);
        self.copy(one, other);
        self.copy(other, one);
        self.met(one, other);
    }

    pub(crate) fn meets(&mut self, one: &str, other: &str) {
        for (node, peer) in [(one, other), (other, one)] {
            let peer = peer.to_owned();
            let compartments = vec![PUBLIC];
            self.push(node, Event::Meets { peer, compartments });
        }
    }

    pub(crate) fn met(&mut self, one: &str, other: &str) {
        for (node, peer) in [(one, other), (other, one)] {
            let peer = peer.to_owned();
            self.push(node, Event::Met { peer });
        }
    }

    /// What an honest node says about a peer's logs.
    fn conclude(&mut self, node: &'static str, peer: &'static str) {
        let theirs = self.store(peer).clone();
        for (log, theirs) in theirs {
            let own_lane = self.lane(node) == log;
            let mine = self.store(node).get(&log).cloned();
            let mine = mine.unwrap_or_else(Held::empty);
            let peer = Some(peer.to_owned());
            if own_lane && theirs.rows.len() > mine.rows.len() {
                self.push(node, Event::LaneStopped { log, peer });
                let lane = self.new_lane(log.origin);
                self.nodes.get_mut(node).unwrap().lane = lane;
            } else if !theirs.continues(&mine) && !mine.continues(&theirs) {
                self.push(node, Event::ForkNoticed { log, peer });
            }
        }
    }

    pub(crate) fn copy(&mut self, from: &'static str, to: &'static str) {
        let theirs = self.store(from).clone();
        for (log, theirs) in theirs {
            let mine = self.store(to).get(&log);
            let is_more = mine
                .is_none_or(|mine| theirs.rows.len() > mine.rows.len() && theirs.continues(mine));
            // Honest nodes never take rows of a lane that they wrote.
            if !is_more || (log.origin == self.domains[self.nodes[to].domain].id) {
                continue;
            }
            let durable = Event::Durable {
                log,
                size: theirs.checkpoint.size,
                root: Some(theirs.checkpoint.root),
                peer: Some(from.to_owned()),
            };
            self.store(to).insert(log, theirs);
            self.push(to, durable);
        }
    }

    /// A reader sees all that a node has.
    pub(crate) fn read(&mut self, name: &str) {
        let mut facts = Vec::new();
        for (log, held) in self.store(name).clone() {
            for (position, stored) in (0..).zip(held.rows) {
                let Stored::Row(row) = stored else { continue };
                let id = read_row(&log.origin, &row.0).unwrap().id;
                let place = Place { log, position };
                facts.push(Seen { id, place, row });
            }
        }
        self.push(name, Event::Seen { facts });
    }

    pub(crate) fn crash(&mut self, name: &str) {
        self.push(name, Event::Crashed {});
        self.push(name, Event::Restarted {});
    }

    pub(crate) fn backup(&mut self, name: &str) -> Backup {
        Backup {
            taken_at: self.now() + 1,
            store: self.store(name).clone(),
        }
    }

    /// The node crashes and runs again on the backup.
    pub(crate) fn restore(&mut self, name: &'static str, backup: &Backup, marked: bool) {
        self.push(name, Event::Crashed {});
        self.store(name).clone_from(&backup.store);
        let extents = backup.store.iter().map(|(log, held)| Extent {
            log: *log,
            size: held.checkpoint.size,
            holes: held.holes(),
        });
        let restored = Event::Restored {
            taken_at: backup.taken_at,
            marked,
            logs: extents.collect(),
        };
        self.push(name, restored);
        self.push(name, Event::Restarted {});
        if marked {
            let origin = self.lane(name).origin;
            let lane = self.new_lane(origin);
            self.nodes.get_mut(name).unwrap().lane = lane;
        }
    }

    pub(crate) fn leave(&mut self, name: &'static str) {
        self.push(name, Event::Left {});
        self.left.insert(name);
    }

    pub(crate) fn dump(&mut self, name: &str, is_final: bool) {
        for (log, held) in self.store(name).clone() {
            let domain = self.domains.iter().find(|domain| domain.id == log.origin);
            let domain = domain.unwrap();
            let holds = Event::Holds {
                log,
                size: held.positions(),
                checkpoint: Some(domain.sign(&log, &held.checkpoint)),
                records: domain.records.clone(),
                completeness: held.completeness,
                stated: held.stated,
            };
            self.push(name, holds);
            let (from, rows) = (0, held.rows);
            self.push(name, Event::Rows { from, rows });
        }
        self.push(name, Event::Dumped { is_final });
    }

    /// Heals, dumps everybody, and ends.
    pub(crate) fn end(&mut self) {
        if self.header.mode == Mode::Liveness {
            self.entry(None, Event::Healed {});
        }
        let names: Vec<_> = self.nodes.keys().copied().collect();
        for name in names {
            if !self.left.contains(name) {
                self.dump(name, true);
            }
        }
        self.entry(None, Event::End {});
    }

    /// Changes the events for which `change` says that it did; there is one at least.
    pub(crate) fn tamper(&mut self, mut change: impl FnMut(&str, &mut Event) -> bool) {
        let changed = self.entries.iter_mut().filter_map(|entry| {
            let node = entry.node.clone().unwrap_or_default();
            change(&node, &mut entry.event).then_some(())
        });
        assert_ne!(changed.count(), 0, "nothing was planted");
    }

    pub(crate) fn text(&self) -> String {
        let mut text = serde_json::to_string(&self.header).unwrap() + "\n";
        for entry in &self.entries {
            text += &(serde_json::to_string(entry).unwrap() + "\n");
        }
        text
    }

    pub(crate) fn verdict(&self) -> Verdict {
        judge(self.text().as_bytes()).unwrap()
    }

    /// Ends the world; the rules that are broken.
    pub(crate) fn broken(mut self) -> Vec<&'static str> {
        self.end();
        self.rules()
    }

    pub(crate) fn rules(&self) -> Vec<&'static str> {
        let verdict = self.verdict();
        let rules: BTreeSet<_> = verdict.violations.iter().map(|of| of.rule).collect();
        rules.into_iter().collect()
    }
}

/// `a` was set back to 2 of its 4 facts, without a mark, and has met nobody since.
pub(crate) fn set_back(mode: Mode) -> World {
    let mut world = World::new(mode, &["a", "b", "c"]);
    world.append("a");
    world.append("a");
    world.sync("a", "b");
    let backup = world.backup("a");
    world.append("a");
    world.append("a");
    world.sync("a", "b");
    world.restore("a", &backup, false);
    world
}

/// No rule is broken.
pub(crate) fn clean() -> Vec<&'static str> {
    Vec::new()
}

impl Held {
    fn empty() -> Self {
        Self {
            rows: Vec::new(),
            checkpoint: Checkpoint {
                size: 0,
                root: GrowingTree::default().root(),
                time: 0,
                epoch: 0,
            },
            completeness: Completeness::Proven,
            stated: None,
        }
    }

    /// How many positions the rows and withheld runs have.
    pub(crate) fn positions(&self) -> u64 {
        let of = |stored: &Stored| match stored {
            Stored::Row(_) => 1,
            Stored::Withheld { level, .. } => 1 << level,
        };
        self.rows.iter().map(of).sum()
    }

    pub(crate) fn root(&self, log: &LogId) -> TreeHash {
        let mut tree = GrowingTree::default();
        for stored in &self.rows {
            match stored {
                Stored::Row(row) => tree.push(&read_row(&log.origin, &row.0).unwrap().id),
                Stored::Withheld { level, hash } => tree.push_subtree(*level, *hash).unwrap(),
            }
        }
        tree.root()
    }

    /// Prepares a checkpoint of all that is held.
    pub(crate) fn sign(&mut self, log: &LogId, time: u64, epoch: u8) {
        self.checkpoint = Checkpoint {
            size: self.positions(),
            root: self.root(log),
            time,
            epoch,
        };
    }

    /// Whether `other` is the beginning of this.
    fn continues(&self, other: &Self) -> bool {
        self.rows.starts_with(&other.rows)
    }
}

impl Domain {
    fn new(index: usize) -> Self {
        let key = |purpose: u8| {
            let index = u8::try_from(index).unwrap();
            SigningKey::from_bytes(&[1 + index * 16 + purpose; 32])
        };
        let keys = [key(0), key(1)];
        let after = key(2);
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        let genesis = record(0, [0; 32], &keys[0], &keys[1], None);
        let id = tagged_hash("causality/0/key-record-id", body(&genesis));
        let second = record(1, id, &keys[1], &after, Some(&keys[0]));
        assert_ne!(public(&keys[0]), public(&keys[1]));
        Self {
            id: DomainId(id),
            keys,
            records: vec![Bytes(genesis), Bytes(second)],
        }
    }

    pub(crate) fn sign(&self, log: &LogId, checkpoint: &Checkpoint) -> Bytes {
        let key = &self.keys[usize::from(checkpoint.epoch)];
        let mut bytes = vec![0];
        bytes.extend(log.origin.0);
        bytes.extend(log.compartment.0);
        bytes.extend(log.lane.0);
        bytes.extend(uint(checkpoint.size));
        bytes.extend(checkpoint.root.0);
        bytes.extend(checkpoint.time.to_le_bytes());
        bytes.push(checkpoint.epoch);
        bytes.extend(key_id(key));
        bytes.push(0);
        let message = tagged("causality/0/checkpoint", &bytes);
        bytes.extend(key.sign(&message).to_bytes());
        Bytes(bytes)
    }
}

fn record(
    epoch: u64,
    previous: [u8; 32],
    key: &SigningKey,
    next: &SigningKey,
    before: Option<&SigningKey>,
) -> Vec<u8> {
    let public = |key: &SigningKey| key.verifying_key().to_bytes();
    let mut bytes = vec![0];
    bytes.extend(uint(epoch));
    bytes.extend(previous);
    bytes.push(1);
    bytes.extend(public(key));
    // Nobody opens anything with it: any number that is no point of small order will do.
    bytes.extend([9; 32]);
    bytes.push(1);
    bytes.extend(public(key));
    let commitment = [&[1][..], &public(next)].concat();
    bytes.extend(tagged_hash("causality/0/next-keys", &commitment));
    bytes.extend([0, 2, 0]);
    let message = tagged("causality/0/key-record", &bytes);
    bytes.extend(key.sign(&message).to_bytes());
    if let Some(before) = before {
        bytes.extend(key_id(before));
        bytes.extend(before.sign(&message).to_bytes());
    }
    bytes
}

/// The body of a genesis record with one key.
fn body(record: &[u8]) -> &[u8] {
    &record[..record.len() - 64]
}

/// A key log of so many records.
pub(crate) fn key_log(records: u64) -> Vec<Vec<u8>> {
    let key = |epoch: u64| {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&epoch.to_le_bytes());
        SigningKey::from_bytes(&secret)
    };
    let mut previous = [0; 32];
    let mut log = Vec::new();
    for epoch in 0..records {
        let before = epoch.checked_sub(1).map(key);
        let next = record(
            epoch,
            previous,
            &key(epoch),
            &key(epoch + 1),
            before.as_ref(),
        );
        let signatures = if epoch == 0 { 64 } else { 64 + 16 + 64 };
        let body = &next[..next.len() - signatures];
        previous = tagged_hash("causality/0/key-record-id", body);
        log.push(next);
    }
    log
}

/// A row of an observation: `n` is the number.
pub(crate) fn row(time: u64, number: u64) -> Vec<u8> {
    Statement::of(&[("n", number)]).whole(time)
}

fn key_id(key: &SigningKey) -> Vec<u8> {
    tagged_hash("causality/0/key-id", key.verifying_key().as_bytes())[..16].to_vec()
}

fn tagged(tag: &str, bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(tag.len()).unwrap()], tag.as_bytes(), bytes].concat()
}

pub(crate) fn tagged_hash(tag: &str, bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(tagged(tag, bytes)).into()
}

pub(crate) fn uint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
