//! The queue of commits, the job that empties it, and what happens when the file fails under it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use redb::StorageBackend;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::backup::failed_between;
use super::config::RedbConfig;
use super::engine::{self, Engine, Step};
use super::failure::open_failed;
use super::file::{self, builder};
use crate::batch::{Batch, Committed};
use crate::error::StoreError;

/// What all handles and jobs of a store share.
pub(super) struct Inner {
    config: RedbConfig,
    open: Open,
    slot: RwLock<Slot>,
    queue: Mutex<Queue>,
}

/// Opens what the store lies in: at first, and again after it has failed.
type Open = Box<dyn Fn(&RedbConfig) -> Result<Engine, StoreError> + Send + Sync>;

/// The file.
#[derive(Debug)]
enum Slot {
    Open(Box<Engine>),
    /// The disk failed with this; to be opened again.
    Failed(StoreError),
    Closed,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Pending>,
    pub(super) flushes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    at_work: bool,
}

/// A batch and who waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
    pub(super) room: OwnedSemaphorePermit,
}

impl Inner {
    pub(super) fn open(config: RedbConfig) -> Result<Self, StoreError> {
        Self::new(Box::new(open_file), config)
    }

    pub(super) fn open_backend<B: StorageBackend>(
        backend: impl Fn() -> B + Send + Sync + 'static,
        config: RedbConfig,
    ) -> Result<Self, StoreError> {
        let open = move |config: &RedbConfig| {
            guarded(|| {
                let db = builder(config).create_with_backend(backend());
                Engine::open(
                    db.map_err(|error| open_failed(error, &config.path))?,
                    config,
                )
            })
        };
        Self::new(Box::new(open), config)
    }

    fn new(open: Open, config: RedbConfig) -> Result<Self, StoreError> {
        let config = config.bounded();
        let engine = open(&config).map_err(|error| error.in_file(config.path.display()))?;
        let slot = RwLock::new(Slot::Open(Box::new(engine)));
        Ok(Self {
            config,
            open,
            slot,
            queue: Mutex::default(),
        })
    }

    pub(super) fn config(&self) -> &RedbConfig {
        &self.config
    }

    /// Does something with the open file; opens it again first when it has failed before. Errors name the file.
    pub(super) fn with<T>(
        &self,
        job: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.attempt(job)
            .map_err(|error| error.in_file(self.config.path.display()))
    }

    fn attempt<T>(
        &self,
        job: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.reopen()?;
        let result = {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Slot::Open(engine) => guarded(|| job(engine)),
                Slot::Failed(error) => return Err(error.clone()),
                Slot::Closed => return Err(StoreError::Closed),
            }
        };
        if let Err(error) = &result
            && error.is_of_the_disk()
        {
            let mut slot = self.slot_mut();
            if matches!(*slot, Slot::Open(_)) {
                *slot = Slot::Failed(error.clone());
            }
        }
        result
    }

    /// Copies the store to another file.
    pub(super) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.attempt(|engine| engine.backup(to))
            .map_err(|error| failed_between(error, &self.config.path, to))
    }

    /// Closes the file once everybody is done with it.
    pub(super) fn close(&self) {
        *self.slot_mut() = Slot::Closed;
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let failed = |slot: &Slot| matches!(slot, Slot::Failed(_));
        if !failed(&self.slot.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut slot = self.slot_mut();
        if failed(&slot) {
            *slot = Slot::Open(Box::new((self.open)(&self.config)?));
        }
        Ok(())
    }

    fn slot_mut(&self) -> RwLockWriteGuard<'_, Slot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue; true when somebody has to start work on it.
    pub(super) fn enqueue(&self, change: impl FnOnce(&mut Queue)) -> bool {
        let mut queue = self.queue();
        change(&mut queue);
        !std::mem::replace(&mut queue.at_work, true)
    }

    /// The next batches for one transaction, and the flushes that wait; `None` once nothing is left to do.
    #[expect(clippy::type_complexity, reason = "two parts of the queue")]
    fn next_work(&self) -> Option<(Vec<Pending>, Vec<oneshot::Sender<Result<(), StoreError>>>)> {
        let mut queue = self.queue();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < self.config.group_bytes_max
            && let Some(pending) = queue.batches.pop_front()
        {
            bytes += pending.batch.bytes();
            group.push(pending);
        }
        let flushes = std::mem::take(&mut queue.flushes);
        if group.is_empty() && flushes.is_empty() && !self.is_due() {
            queue.at_work = false;
            return None;
        }
        Some((group, flushes))
    }

    fn is_due(&self) -> bool {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        matches!(&*slot, Slot::Open(engine) if engine.is_due(&self.config))
    }

    fn commit(&self, group: Vec<Pending>) {
        let (mut batches, mut waiting) = (Vec::new(), Vec::new());
        for pending in group {
            batches.push(pending.batch);
            waiting.push((pending.reply, pending.room));
        }
        let results = match self.with(|engine| engine.commit(&batches, &self.config)) {
            Ok(results) => results,
            Err(error) => vec![Err(error); batches.len()],
        };
        for ((reply, room), result) in waiting.into_iter().zip(results) {
            drop(room);
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }

    /// One small step of what is due; while commits would have to wait for the index, as many as it takes. Nobody waits
    /// for the result: after a failure the next caller opens the file again, or is told.
    fn background(&self) {
        let done = self.attempt(|engine| {
            if engine.index_is_due(&self.config) {
                engine.flush_step(self.config.index_step_keys)?;
            }
            engine.merge_step()?;
            while engine.shared().overlay.len() >= self.config.index_pending_max {
                engine.flush_step(self.config.index_step_keys)?;
            }
            Ok(())
        });
        // Only after a failure: who wants the slot for himself waits for the longest read, and all others wait for him.
        let Err(error) = done else { return };
        let mut slot = self.slot_mut();
        if matches!(*slot, Slot::Open(_)) {
            *slot = Slot::Failed(error);
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.with(|engine| {
            while engine.flush_step(self.config.index_step_keys)? == Step::Done {}
            while engine.merge_step()? == Step::Done {}
            Ok(())
        })
    }
}

/// The job that works until the queue is empty and nothing is due.
pub(super) struct Drain(Option<Arc<Inner>>);

impl Drain {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(Some(inner))
    }

    pub(super) fn run(mut self) {
        let Some(inner) = &self.0 else { return };
        while let Some((group, flushes)) = inner.next_work() {
            if !group.is_empty() {
                inner.commit(group);
            }
            for flush in flushes {
                // Whoever asked may have gone.
                let _ = flush.send(inner.flush());
            }
            inner.background();
        }
        self.0 = None;
    }
}

/// An executor that is shut down drops its jobs: nobody may wait for them then.
impl Drop for Drain {
    fn drop(&mut self) {
        if let Some(inner) = &self.0 {
            *inner.queue() = Queue::default();
        }
    }
}

/// Runs what redb might panic in: it does so where a damaged file breaks its own rules.
pub(super) fn guarded<T>(job: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(StoreError::corrupt(
            text.unwrap_or("its pages contradict each other"),
        ))
    })
}

/// Opens the file, or makes it.
fn open_file(config: &RedbConfig) -> Result<Engine, StoreError> {
    guarded(|| {
        let db = if config.path.exists() {
            file::open(config)?
        } else {
            file::create(config, engine::create)?
        };
        Engine::open(db, config)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn what_failed_is_opened_again_a_file_or_another_backend() {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        let inner = Inner::open(config).unwrap();
        assert_eq!(
            inner.with(|_| Err::<(), _>(StoreError::Full)),
            Err(StoreError::Full)
        );
        assert!(matches!(
            *inner.slot.read().unwrap(),
            Slot::Failed(StoreError::Full)
        ));
        assert_eq!(inner.with(|engine| engine.logs()), Ok(vec![]));

        let memory = redb::backends::InMemoryBackend::new;
        let inner = Inner::open_backend(memory, RedbConfig::new("memory")).unwrap();
        assert_eq!(
            inner.with(|_| Err::<(), _>(StoreError::Full)),
            Err(StoreError::Full)
        );
        assert_eq!(inner.with(|engine| engine.logs()), Ok(vec![]));
    }

    #[test]
    fn a_long_read_holds_up_no_commit() {
        // After each commit the background took the slot for itself: behind a check or a backup of a large store all work
        // stood still until that was done.
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        let inner = Arc::new(Inner::open(config).unwrap());
        let (reading, begun) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let reader = Arc::clone(&inner);
        let read = thread::spawn(move || {
            reader.with(|_| {
                reading.send(()).unwrap();
                finished.recv().unwrap();
                Ok(())
            })
        });
        begun.recv().unwrap();
        let (worked, work) = mpsc::channel();
        let writer = Arc::clone(&inner);
        thread::spawn(move || {
            writer.background();
            worked.send(()).unwrap();
        });
        let waited = work.recv_timeout(Duration::from_secs(20));
        finish.send(()).unwrap();
        assert_eq!(read.join().unwrap(), Ok(()));
        assert_eq!(waited, Ok(()));
    }

    #[test]
    fn a_panic_over_a_damaged_file_becomes_an_error() {
        let result = guarded(|| -> Result<(), StoreError> { panic!("page {} of 7", 9) });
        assert_eq!(result, Err(StoreError::corrupt("page 9 of 7")));
        let result = guarded(|| -> Result<(), StoreError> { panic!("no page") });
        assert_eq!(result, Err(StoreError::corrupt("no page")));
    }
}
