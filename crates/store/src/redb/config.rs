//! Where a store lies and how much it may take.

use std::path::PathBuf;

/// Settings of a [`super::RedbStore`]. [`RedbConfig::new`] gives good ones; what is too small to work is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedbConfig {
    /// The file. Its folder has to exist.
    pub path: PathBuf,
    /// Memory for pages of the file.
    pub cache_bytes: usize,
    /// Batches that wait or are being written have at most so many bytes; commits beyond that wait.
    pub queue_bytes_max: usize,
    /// One transaction takes in batches until they have so many bytes.
    pub group_bytes_max: usize,
    /// Index keys that are in memory only, two or three a fact of 27 bytes each. At half of them the background starts to
    /// write; at all of them commits wait for it. A large index is written almost as a whole each time: twice as many
    /// take a twentieth off the time of an import of a million facts, and 10 MiB more of its memory.
    pub index_pending_max: usize,
    /// Index keys that one background transaction writes, while a commit may be waiting.
    pub index_step_keys: usize,
    /// The most logs that the store takes in.
    pub logs_max: usize,
    /// Read the whole file when it is opened and check its checksums, which otherwise happens after a crash only.
    pub verify_on_open: bool,
}

impl RedbConfig {
    /// The settings for a store in a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 32 << 20,
            queue_bytes_max: 32 << 20,
            group_bytes_max: 8 << 20,
            index_pending_max: 1 << 18,
            index_step_keys: 1 << 12,
            logs_max: 1 << 20,
            verify_on_open: false,
        }
    }

    /// With steps and bounds that let the work come to an end.
    pub(super) fn bounded(mut self) -> Self {
        self.group_bytes_max = self.group_bytes_max.max(1);
        self.index_pending_max = self.index_pending_max.max(2);
        self.index_step_keys = self.index_step_keys.max(1);
        self
    }
}
