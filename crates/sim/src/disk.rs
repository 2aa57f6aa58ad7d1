//! A disk that loses power, is full, fails, or lies about what it has synced, as a backend of redb.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use redb::StorageBackend;

use crate::happening::Happening;
use crate::power::Power;
use crate::trace::Trace;

/// The unit that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// What of a disk outlasts its machine's power. A handle: clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Platters>>);

/// How a disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the states that there are")]
pub enum DiskState {
    /// As it should.
    Good,
    /// Every operation fails.
    Failing,
    /// It grows no further.
    Full,
}

#[derive(Debug)]
struct Platters {
    /// As reads see it.
    now: Vec<u8>,
    /// What the sectors held that were written since the last sync.
    before: BTreeMap<usize, Vec<u8>>,
    /// What was written since the last sync, in its order.
    written: Vec<(usize, Vec<u8>)>,
    state: DiskState,
    /// How many operations are left until the power is cut.
    budget: Option<u64>,
    was_cut: bool,
    lies: bool,
    operations: u64,
    random: ChaCha8Rng,
    trace: Trace,
}

impl Disk {
    /// An empty disk; the seed decides what survives a loss of power.
    pub fn new(seed: u64, trace: &Trace) -> Self {
        Self(Arc::new(Mutex::new(Platters {
            now: Vec::new(),
            before: BTreeMap::new(),
            written: Vec::new(),
            state: DiskState::Good,
            budget: None,
            was_cut: false,
            lies: false,
            operations: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            trace: trace.clone(),
        })))
    }

    /// The disk as a store sees it while the power is on.
    pub fn backend(&self, power: &Power) -> DiskBackend {
        let (disk, power) = (self.clone(), power.clone());
        DiskBackend { disk, power }
    }

    /// From now on it answers so.
    pub fn set_state(&self, state: DiskState) {
        self.platters().state = state;
    }

    /// How it answers.
    pub fn state(&self) -> DiskState {
        self.platters().state
    }

    /// The power goes off in the middle of the operation after so many, unless there are none any more.
    pub fn cut_after(&self, operations: Option<u64>) {
        self.platters().budget = operations;
    }

    /// From now on a sync is acknowledged and not done.
    pub fn lie(&self) {
        self.platters().lies = true;
    }

    /// Whether the power was cut in the middle of an operation since this was last asked.
    pub(crate) fn take_cut(&self) -> bool {
        std::mem::take(&mut self.platters().was_cut)
    }

    /// How many operations there have been.
    pub fn operations(&self) -> u64 {
        self.platters().operations
    }

    /// The power is gone: of what was not synced each write survives, or does not, or some of its sectors do.
    pub fn lose_power(&self) {
        let mut platters = self.platters();
        platters.budget = None;
        let before = std::mem::take(&mut platters.before);
        for (at, sector) in before {
            platters.put(at, &sector);
        }
        for (start, bytes) in std::mem::take(&mut platters.written) {
            let fate = match platters.random.next_u32() % 3 {
                0 => Happening::WriteKept,
                1 => Happening::WriteDropped,
                _ => Happening::WriteTorn,
            };
            platters.trace.fired(fate);
            for (sector, at) in bytes
                .chunks(SECTOR_BYTES)
                .zip((start..).step_by(SECTOR_BYTES))
            {
                let survives = match fate {
                    Happening::WriteKept => true,
                    Happening::WriteDropped => false,
                    _ => platters.random.next_u32().is_multiple_of(2),
                };
                if survives {
                    platters.put(at, sector);
                }
            }
        }
    }

    /// All that is on it now.
    pub fn image(&self) -> Vec<u8> {
        self.platters().now.clone()
    }

    /// Replaces all that is on it.
    pub fn replace(&self, image: Vec<u8>) {
        let mut platters = self.platters();
        platters.before.clear();
        platters.written.clear();
        platters.now = image;
    }

    fn platters(&self) -> MutexGuard<'_, Platters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platters {
    /// Pays for an operation, or says why there is none.
    fn spend(&mut self, power: &Power) -> io::Result<()> {
        if !power.is_on() {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        if let Some(left) = &mut self.budget {
            if *left == 0 {
                self.budget = None;
                self.was_cut = true;
                self.trace.fired(Happening::PowerCutWriting);
                power.cut();
                return Err(io::Error::other("the power went off"));
            }
            *left -= 1;
        }
        if self.state == DiskState::Failing {
            self.trace.fired(Happening::DiskFailed);
            return Err(io::Error::other("the disk does not answer"));
        }
        Ok(())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.now.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    /// Keeps what the sectors hold that are about to be written for the first time since the last sync.
    fn keep(&mut self, start: usize, length: usize) {
        let first = start / SECTOR_BYTES * SECTOR_BYTES;
        for at in (first..start + length).step_by(SECTOR_BYTES) {
            let end = (at + SECTOR_BYTES).min(self.now.len());
            if let Some(sector) = self.now.get(at..end) {
                let kept = || sector.to_vec();
                self.before.entry(at).or_insert_with(kept);
            }
        }
    }
}

/// A disk with power.
#[derive(Clone, Debug)]
pub struct DiskBackend {
    disk: Disk,
    power: Power,
}

impl StorageBackend for DiskBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.platters().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut platters = self.disk.platters();
        platters.spend(&self.power)?;
        let start = offset as usize;
        let Some(from) = platters.now.get(start..start + out.len()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        out.copy_from_slice(from);
        Ok(())
    }

    /// Of the length the file system keeps a journal: a change survives at once.
    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut platters = self.disk.platters();
        platters.spend(&self.power)?;
        let length = length as usize;
        if length > platters.now.len() && platters.state == DiskState::Full {
            platters.trace.fired(Happening::DiskFull);
            return Err(io::ErrorKind::StorageFull.into());
        }
        platters.now.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platters = self.disk.platters();
        platters.spend(&self.power)?;
        if !platters.lies {
            platters.before.clear();
            platters.written.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut platters = self.disk.platters();
        platters.spend(&self.power)?;
        let start = offset as usize;
        if start + bytes.len() > platters.now.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        platters.keep(start, bytes.len());
        platters.put(start, bytes);
        platters.written.push((start, bytes.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    async fn disk(seed: u64) -> (Disk, DiskBackend, Power, Trace) {
        let (trace, power) = (Trace::new(|_| {}), Power::default());
        let disk = Disk::new(seed, &trace);
        let backend = disk.backend(&power);
        backend.set_len(8 * SECTOR_BYTES as u64).unwrap();
        (disk, backend, power, trace)
    }

    fn sector(disk: &Disk, number: usize) -> u8 {
        let image = disk.image();
        let sector = &image[number * SECTOR_BYTES..][..SECTOR_BYTES];
        assert!(sector.iter().all(|byte| *byte == sector[0]));
        sector[0]
    }

    #[tokio::test]
    async fn what_was_synced_survives_and_of_the_rest_sectors_do_or_do_not() {
        let mut fates = BTreeSet::new();
        for seed in 0..100 {
            let (disk, backend, power, trace) = disk(seed).await;
            backend.write(0, &[1; 3 * SECTOR_BYTES]).unwrap();
            backend.sync_data().unwrap();
            backend.write(0, &[2; 3 * SECTOR_BYTES]).unwrap();
            backend.write(512, &[3; SECTOR_BYTES]).unwrap();
            power.cut();
            disk.lose_power();
            let after = [0, 1, 2, 3].map(|number| sector(&disk, number));
            assert_eq!(after[3], 0);
            assert!(matches!(after, [1 | 2, 1..=3, 1 | 2, 0]), "{after:?}");
            fates.insert(after);
            assert_eq!(trace.happened().values().sum::<u64>(), 2);
        }
        assert_eq!(fates.len(), 2 * 3 * 2);
    }

    #[tokio::test]
    async fn without_power_nothing_answers_and_nothing_changes() {
        let (disk, backend, power, _) = disk(1).await;
        disk.cut_after(Some(1));
        backend.write(0, &[1; SECTOR_BYTES]).unwrap();
        assert!(power.is_on());
        backend.sync_data().unwrap_err();
        assert!(!power.is_on());
        let image = disk.image();
        backend.write(0, &[2; SECTOR_BYTES]).unwrap_err();
        backend.read(0, &mut [0]).unwrap_err();
        backend.set_len(0).unwrap_err();
        assert_eq!(disk.image(), image);
        let again = disk.backend(&Power::default());
        again.write(0, &[2; SECTOR_BYTES]).unwrap();
        assert_eq!(sector(&disk, 0), 2);
    }

    #[tokio::test]
    async fn a_full_disk_does_not_grow_and_a_failing_one_does_nothing() {
        let (disk, backend, _, trace) = disk(1).await;
        disk.set_state(DiskState::Full);
        let length = backend.len().unwrap();
        let error = backend.set_len(length + 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        backend.write(0, &[1]).unwrap();
        backend.set_len(length - 1).unwrap();
        disk.set_state(DiskState::Failing);
        backend.write(0, &[1]).unwrap_err();
        disk.set_state(DiskState::Good);
        backend.set_len(length + 1).unwrap();
        let fired = trace.happened();
        assert_eq!(fired[&Happening::DiskFull], 1);
        assert_eq!(fired[&Happening::DiskFailed], 1);
    }

    #[tokio::test]
    async fn a_disk_that_lies_loses_what_it_said_was_synced() {
        let mut lost = 0;
        for seed in 0..20 {
            let (disk, backend, power, _) = disk(seed).await;
            disk.lie();
            backend.write(0, &[1; SECTOR_BYTES]).unwrap();
            backend.sync_data().unwrap();
            power.cut();
            disk.lose_power();
            lost += u32::from(sector(&disk, 0) == 0);
        }
        assert!(lost > 3, "{lost}");
    }
}
