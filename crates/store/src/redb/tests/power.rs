//! Power cuts at any write: nothing acknowledged is lost, the store opens, and what is derived is complete again.

use std::io;
use std::sync::{Mutex, MutexGuard};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use redb::StorageBackend;

use super::model::{FIRST, LOGS, MARKS, POSITIONS, dump, entry};
use super::*;
use crate::MemoryStore;
use crate::batch::{SideTable, SideWrite};

/// The unit that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
const CUTS: usize = 4;

/// A disk that loses power: what was not synced is written or not, sector by sector.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    /// As reads see it.
    now: Vec<u8>,
    /// What certainly survives.
    synced: Vec<u8>,
    written: Vec<(usize, Vec<u8>)>,
    syncs: u64,
    /// How many operations are left until the power is cut.
    budget: Option<u64>,
    failure: Option<io::ErrorKind>,
    lies: bool,
}

impl Disk {
    fn new(image: Vec<u8>) -> Self {
        let synced = image.clone();
        Self(Arc::new(Mutex::new(Platters {
            now: image,
            synced,
            ..Platters::default()
        })))
    }

    fn platters(&self) -> MutexGuard<'_, Platters> {
        self.0.lock().unwrap()
    }

    /// What is found when the power is back.
    fn after_the_cut(&self, random: &mut ChaCha8Rng) -> Vec<u8> {
        let disk = self.platters();
        let mut image = disk.synced.clone();
        for (offset, bytes) in &disk.written {
            for (sector, at) in bytes
                .chunks(SECTOR_BYTES)
                .zip((*offset..).step_by(SECTOR_BYTES))
            {
                if random.next_u32() & 1 == 0
                    && let Some(to) = image.get_mut(at..at + sector.len())
                {
                    to.copy_from_slice(sector);
                }
            }
        }
        image
    }
}

impl Platters {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.budget {
            Some(0) => Err(self.failure.unwrap_or(io::ErrorKind::Other).into()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platters().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        out.copy_from_slice(&self.platters().now[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut disk = self.platters();
        disk.spend()?;
        disk.now.resize(length as usize, 0);
        disk.synced.resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.platters();
        disk.spend()?;
        disk.syncs += 1;
        if !disk.lies {
            disk.synced = disk.now.clone();
            disk.written.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.platters();
        disk.spend()?;
        let start = offset as usize;
        disk.now[start..start + bytes.len()].copy_from_slice(bytes);
        disk.written.push((start, bytes.to_vec()));
        Ok(())
    }
}

fn open_on(disk: &Disk) -> Result<RedbStore, StoreError> {
    let mut config = RedbConfig::new("simulated");
    config.index_pending_max = 24;
    config.index_step_keys = 5;
    config.cache_bytes = 1 << 20;
    config.group_bytes_max = 1;
    let disk = disk.clone();
    RedbStore::open_backend(move || disk.clone(), config, Arc::new(later))
}

fn random_batch(random: &mut ChaCha8Rng) -> Batch {
    let mut below = |limit: u64| u64::from(random.next_u32()) % limit;
    let (of, start, count) = (below(LOGS.into()) as u8, below(POSITIONS), 1 + below(6));
    let end = (start + count).min(POSITIONS);
    let kind = |random: u64| if random < 12 { 0 } else { random as u8 };
    let entries = (start..end)
        .map(|position| {
            let mark = (below(4) == 0).then(|| below(MARKS.into()) as u8);
            entry(of, position, kind(below(16)), mark)
        })
        .collect();
    // Once all positions are held, this is what still makes each batch a change.
    let (key, value) = (vec![below(4) as u8], Some(vec![below(256) as u8]));
    let side = vec![SideWrite {
        table: SideTable::new(7),
        key,
        value,
    }];
    Batch {
        entries,
        side,
        time: 1,
    }
}

/// Commits batches until the power is cut, several times over; what is wrong afterwards, if anything is.
async fn run(seed: u64, lies: bool) -> Result<(), String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let memory = MemoryStore::new();
    let mut image = Vec::new();
    let mut unanswered: Option<Batch> = None;
    for _ in 0..CUTS {
        let disk = Disk::new(image);
        let store = open_on(&disk).map_err(|error| format!("open: {error}"))?;
        let found = dump(&store).await.map_err(|error| error.to_string())?;
        if found != dump(&memory).await.unwrap()
            && let Some(batch) = unanswered.take()
        {
            memory.commit(batch).await.unwrap();
        }
        if found != dump(&memory).await.unwrap() {
            return Err("what was acknowledged is not what is there".into());
        }
        let report = store.check().await.map_err(|error| error.to_string())?;
        if let Some(finding) = report.findings.first() {
            return Err(finding.clone());
        }
        disk.platters().lies = lies;
        disk.platters().budget = Some(u64::from(random.next_u32() % 900));
        unanswered = commit_until_failure(&store, &memory, &mut random).await;
        assert!(store.logs().await.is_err(), "a failed disk is not used on");
        image = disk.after_the_cut(&mut random);
    }
    Ok(())
}

/// Commits batches, three at a time, until one fails; that one alone may or may not be in the store.
async fn commit_until_failure(
    store: &RedbStore,
    memory: &MemoryStore,
    random: &mut ChaCha8Rng,
) -> Option<Batch> {
    loop {
        let batches = [(); 3].map(|()| random_batch(random));
        let [a, b, c] = batches.clone();
        let results = tokio::join!(store.commit(a), store.commit(b), store.commit(c));
        for (batch, result) in batches.into_iter().zip([results.0, results.1, results.2]) {
            match result {
                Ok(done) => assert_eq!(memory.commit(batch).await, Ok(done)),
                Err(StoreError::Io { .. } | StoreError::Full) => return Some(batch),
                Err(refused) => assert_eq!(memory.commit(batch).await, Err(refused)),
            }
        }
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    for seed in 0..40 {
        assert_eq!(run(seed, false).await, Ok(()), "seed {seed}");
    }
}

#[tokio::test]
async fn the_same_test_finds_a_disk_that_lies_about_syncing() {
    for seed in 0..5 {
        assert!(run(seed, true).await.is_err(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_power_cut_while_the_store_is_made_leaves_an_empty_store_or_none() {
    let mut opened = 0;
    for budget in 0..60 {
        let mut random = ChaCha8Rng::seed_from_u64(budget);
        let disk = Disk::default();
        disk.platters().budget = Some(budget);
        drop(open_on(&disk));
        let image = disk.after_the_cut(&mut random);
        match open_on(&Disk::new(image)) {
            Ok(store) => assert_eq!(store.logs().await, Ok(vec![])),
            Err(StoreError::NotAStore { .. }) => continue,
            Err(error) => panic!("after {budget} operations: {error}"),
        }
        opened += 1;
    }
    assert!(opened > 30, "{opened} opened");
}

#[tokio::test]
async fn what_is_wrong_with_a_disk_is_told() {
    let full = (io::ErrorKind::StorageFull, StoreError::Full);
    let broken = |kind: io::ErrorKind, advice: &str| {
        let message = format!("simulated: {}; {advice}", io::Error::from(kind));
        (kind, StoreError::Io { kind, message })
    };
    for (failure, expected) in [
        full,
        broken(io::ErrorKind::BrokenPipe, "see to the disk and try again"),
        broken(io::ErrorKind::ReadOnlyFilesystem, "make the disk writable"),
        broken(
            io::ErrorKind::PermissionDenied,
            "allow this user to read and write it",
        ),
        (
            io::ErrorKind::UnexpectedEof,
            StoreError::corrupt("simulated ends early"),
        ),
    ] {
        let disk = Disk::default();
        let store = open_on(&disk).unwrap();
        disk.platters().budget = Some(3);
        disk.platters().failure = Some(failure);
        let one = || batch([entry(1, 1, 0, None)]);
        assert_eq!(store.commit(one()).await, Err(expected.clone()));
        assert_eq!(store.commit(one()).await, Err(expected));
        disk.platters().budget = None;
        assert_eq!(store.commit(one()).await.unwrap().journal, 1);
    }
}

#[tokio::test]
async fn batches_that_wait_share_one_sync() {
    let disk = Disk::default();
    let config = RedbConfig::new("simulated");
    let backend = disk.clone();
    let store = RedbStore::open_backend(move || backend.clone(), config, Arc::new(later)).unwrap();
    let before = disk.platters().syncs;
    let one = |position| batch([entry(1, position, 0, None)]);
    let forged = batch([entry(1, 0, 10, None)]);
    let results = tokio::join!(
        store.commit(one(0)),
        store.commit(one(1)),
        store.commit(forged),
        store.commit(one(2)),
    );
    assert_eq!(disk.platters().syncs, before + 1);
    assert_eq!(
        [results.0, results.1, results.3].map(|done| done.unwrap().journal),
        [1, 2, 3]
    );
    assert!(matches!(
        results.2,
        Err(StoreError::PositionTaken {
            position: FIRST,
            ..
        })
    ));
}
