//! Where blocking work runs.

/// Runs jobs that block on the disk: for instance a closure that hands them to the blocking pool of a runtime.
///
/// A job may run for as long as there is work in the queue. With one thread reads wait for writes; otherwise nothing
/// depends on how many run at once. A job that is dropped unrun fails what it was to do with
/// [`crate::StoreError::Closed`].
pub trait Executor: Send + Sync {
    /// Runs the job now or later, once.
    fn run(&self, job: Box<dyn FnOnce() + Send>);
}

impl<F: Fn(Box<dyn FnOnce() + Send>) + Send + Sync> Executor for F {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        self(job);
    }
}

/// Runs the job before it returns: the executor of simulated worlds and of programs that do nothing else meanwhile.
pub fn inline(job: Box<dyn FnOnce() + Send>) {
    job();
}
