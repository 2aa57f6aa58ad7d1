//! One domain of the world: an engine over a store in memory, with what it wants read and written.

use causality_envelope::DomainKeys;
use causality_fact::{
    BLOCK_LEAVES, CHUNK_BYTES_MAX, DomainId, Entry, FactCore, FactId, LogId, RowCore,
};
use causality_store::{
    Batch, FactReader as _, FactStore as _, MemoryStore, NewEntry, Place, RESTORED_KEY, SideKey,
    SideRange, SideTable, SideWrite, StoreError, StoredEntry,
};
use causality_sync::{
    BLOCK_ROOTS, COMPARTMENTS, DECLINED, Engine, Event, KEY_RECORDS, LANES, LOG_HEADS, Load,
    Loaded, OPEN_ROOTS, PARTIALS, PeerPolicies, RECEIPTS, Restored, SETTLEMENTS, SOURCES,
    StoreState, TableRows, Ticket, WAITING,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) struct Domain {
    pub(crate) keys: Arc<DomainKeys>,
    pub(crate) store: MemoryStore,
    pub(crate) engine: Engine,
    pub(crate) events: Vec<Event>,
    pub(crate) policies: BTreeMap<DomainId, PeerPolicies>,
    seed: u64,
    pub(crate) loads: Vec<(Ticket, Load)>,
    pub(crate) commits: VecDeque<(Ticket, Batch)>,
    /// How often something was to be read, and to be written.
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    /// How many commits succeed before one fails.
    pub(crate) commits_left: Option<u64>,
    /// How long it waits for causes.
    pub(crate) patience_ms: Option<u64>,
}

impl Domain {
    pub(crate) fn new(keys: Arc<DomainKeys>, seed: u64) -> Self {
        let store = MemoryStore::new();
        Self {
            engine: engine(&keys, &store, seed),
            keys,
            store,
            events: Vec::new(),
            policies: BTreeMap::new(),
            seed,
            loads: Vec::new(),
            commits: VecDeque::new(),
            reads: 0,
            writes: 0,
            commits_left: None,
            patience_ms: None,
        }
    }

    pub(crate) fn restart(&mut self) {
        self.seed += 1;
        self.loads.clear();
        self.commits.clear();
        self.engine = engine(&self.keys, &self.store, self.seed);
        self.engine.set_patience(self.patience_ms);
    }

    /// Takes other keys at the next start.
    pub(crate) fn set_keys(&mut self, keys: DomainKeys) {
        self.keys = Arc::new(keys);
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if let Some(left) = &mut self.commits_left {
            if *left == 0 {
                self.commits_left = None;
                return Err(StoreError::Full);
            }
            *left -= 1;
        }
        now(self.store.commit(batch)).map(drop)
    }

    pub(crate) fn load(&self, load: Load) -> Loaded {
        match load {
            Load::Append {
                compartment,
                marks,
                keys,
            } => {
                let places = now(self.store.by_mark(&marks)).unwrap();
                let id = |place: Option<Place>| Some(self.row(place?)?.0);
                let marks = places.into_iter().map(id).collect();
                let of_key = |places: Vec<Place>| {
                    let own = places.into_iter().filter(|place| {
                        place.log.origin == self.keys.domain()
                            && Some(place.log.compartment) == compartment
                    });
                    own.filter_map(|place| self.row(place)).collect()
                };
                let keys = now(self.store.by_key(&keys)).unwrap();
                Loaded::Append {
                    marks,
                    keys: keys.into_iter().map(of_key).collect(),
                }
            }
            Load::Places(ids) => Loaded::Places(now(self.store.places(&ids)).unwrap()),
            Load::Withheld { hashes, logs } => {
                let mut found = Vec::new();
                for (log, size) in logs {
                    for (part, hash) in now(self.store.leaves(&log, 0..size)).unwrap() {
                        if hashes.contains(&hash) {
                            let position = part.start();
                            found.push((hash, Place { log, position }));
                        }
                    }
                }
                Loaded::Withheld(found)
            }
            Load::Chunk { log, from, until } => {
                let end = ((from / BLOCK_LEAVES + 1) * BLOCK_LEAVES).min(until);
                let entries = now(self.store.scan(&log, from..end, CHUNK_BYTES_MAX)).unwrap();
                let at = entries.last().map_or(from, |last| last.range().end);
                let behind = now(self.store.leaves(&log, at..end)).unwrap();
                Loaded::Chunk { entries, behind }
            }
            Load::Entries {
                log,
                positions,
                bytes_max,
            } => Loaded::Entries(now(self.store.at(&log, &positions, bytes_max)).unwrap()),
        }
    }

    fn row(&self, place: Place) -> Option<(FactId, FactCore)> {
        let range = place.position..place.position + 1;
        let entry = now(self.store.scan(&place.log, range, 1))
            .unwrap()
            .remove(0);
        match entry.entry(place.log.origin).unwrap() {
            Entry::Row(row) => match row.core() {
                RowCore::Known(core) => Some((row.id(), (**core).clone())),
                RowCore::Unsupported(_) => None,
            },
            Entry::Withheld { .. } => None,
        }
    }

    /// What the store has of a log: its entries, and the rows of side tables whose keys name it, but for what others have of
    /// it.
    pub(crate) fn contents(&self, log: &LogId) -> (Vec<StoredEntry>, Vec<SideWrite>) {
        let entries = now(self.store.scan(log, 0..1 << 40, 1 << 26)).unwrap();
        let name = log.to_bytes();
        let names = |key: &[u8]| key.windows(name.len()).any(|window| window == name);
        let mut side = Vec::new();
        for (table, rows) in tables(&read_state(&self.store)) {
            let rows = rows
                .0
                .iter()
                .filter(|(key, _)| names(key) && table != SETTLEMENTS);
            side.extend(rows.map(|(key, value)| SideWrite {
                table,
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        (entries, side)
    }

    /// The store with everything that was in it at some time.
    pub(crate) fn backup(&self) -> MemoryStore {
        let copy = MemoryStore::new();
        let state = read_state(&self.store);
        let mut side = Vec::new();
        for (table, rows) in tables(&state) {
            side.extend(rows.0.iter().map(|(key, value)| SideWrite {
                table,
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        now(copy.commit(Batch {
            side,
            ..Batch::default()
        }))
        .unwrap();
        for held in &state.held {
            let mut at = 0;
            loop {
                let entries = now(self.store.scan(&held.log, at..1 << 40, 1 << 20)).unwrap();
                let Some(last) = entries.last() else { break };
                at = last.range().end;
                let entry = |e: &StoredEntry| NewEntry {
                    log: held.log,
                    position: e.position,
                    entry: e.entry(held.log.origin).unwrap(),
                    mark: None,
                };
                let entries = entries.iter().map(entry).collect();
                now(copy.commit(Batch {
                    entries,
                    ..Batch::default()
                }))
                .unwrap();
            }
        }
        copy
    }

    pub(crate) fn mark_restored(&self) {
        let write = SideWrite {
            table: SideTable::STORE,
            key: RESTORED_KEY.to_vec(),
            value: Some(Vec::new()),
        };
        let side = vec![write];
        now(self.store.commit(Batch {
            side,
            ..Batch::default()
        }))
        .unwrap();
    }
}

fn engine(keys: &Arc<DomainKeys>, store: &MemoryStore, seed: u64) -> Engine {
    let restored = Restored::from_store(read_state(store)).unwrap();
    let random = ChaCha20Rng::seed_from_u64(seed);
    Engine::new(Arc::clone(keys), restored, Box::new(random))
}

pub(crate) fn read_state(store: &MemoryStore) -> StoreState {
    let table = |table| {
        let range = SideRange {
            table,
            prefix: Vec::new(),
            after: None,
            limit: usize::MAX,
        };
        TableRows(now(store.side_scan(range)).unwrap())
    };
    let marker = SideKey {
        table: SideTable::STORE,
        key: RESTORED_KEY.to_vec(),
    };
    StoreState {
        log_heads: table(LOG_HEADS),
        block_roots: table(BLOCK_ROOTS),
        open_roots: table(OPEN_ROOTS),
        key_records: table(KEY_RECORDS),
        compartments: table(COMPARTMENTS),
        lanes: table(LANES),
        partials: table(PARTIALS),
        declined: table(DECLINED),
        settlements: table(SETTLEMENTS),
        sources: table(SOURCES),
        receipts: table(RECEIPTS),
        waiting: table(WAITING),
        restored: now(store.side_get(&[marker])).unwrap()[0].is_some(),
        held: now(store.logs()).unwrap(),
    }
}

fn tables(state: &StoreState) -> [(SideTable, &TableRows); 12] {
    [
        (LOG_HEADS, &state.log_heads),
        (BLOCK_ROOTS, &state.block_roots),
        (OPEN_ROOTS, &state.open_roots),
        (KEY_RECORDS, &state.key_records),
        (COMPARTMENTS, &state.compartments),
        (LANES, &state.lanes),
        (PARTIALS, &state.partials),
        (DECLINED, &state.declined),
        (SETTLEMENTS, &state.settlements),
        (SOURCES, &state.sources),
        (RECEIPTS, &state.receipts),
        (WAITING, &state.waiting),
    ]
}

/// What a future yields that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory never waits"),
    }
}
