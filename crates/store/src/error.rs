//! Why a store refuses or fails, and whose fault it is.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use causality_fact::LogId;
use thiserror::Error;

/// Why an operation on a store did not succeed.
///
/// The first group is the fault of the caller, and the store is as before; the second is found when a store is opened;
/// the last is the fault of the disk or the machine, and the operation may have taken effect.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Another fact is held at the position, or the hashes contradict what is held: one of the two logs is forged, or
    /// its writer forked. Nothing of the batch was written.
    #[error("position {position} of the log of {:.8} holds another fact", log.origin)]
    PositionTaken {
        /// The log.
        log: LogId,
        /// The first position in question.
        position: u64,
    },
    /// The entry covers a part of a withheld subtree whose other positions the batch does not bring, or a subtree of
    /// which only some positions are held. Nothing of the batch was written.
    #[error("the entry at position {position} of the log of {:.8} overlaps what is held", log.origin)]
    Overlap {
        /// The log.
        log: LogId,
        /// The position of the entry.
        position: u64,
    },
    /// A withheld subtree starts where none of its size can. Nothing of the batch was written.
    #[error("a withheld subtree of level {level} cannot start at position {position}")]
    NotAligned {
        /// The position of the entry.
        position: u64,
        /// The level of the subtree.
        level: u8,
    },
    /// The row names another origin than its log. Nothing of the batch was written.
    #[error("the row at position {position} is of another origin than its log, {:.8}", log.origin)]
    WrongOrigin {
        /// The log.
        log: LogId,
        /// The position of the row.
        position: u64,
    },
    /// Positions to read do not ascend: one is not above the one before it.
    #[error("position {position} is not above the one before it")]
    NotAscending {
        /// The second of the two.
        position: u64,
    },
    /// Something is above its limit. Nothing was written.
    #[error("{what} is {actual}, the limit is {limit}")]
    TooLarge {
        /// What is limited.
        what: &'static str,
        /// The value found.
        actual: u64,
        /// The largest value allowed.
        limit: u64,
    },
    /// A backup or a restored store would overwrite a file.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The store was closed, or what should have done the work has gone.
    #[error("the store is closed")]
    Closed,

    /// Another process, or another part of this one, has the store open.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The store was written by a newer version of this program.
    #[error("the store has format {found}, this program reads up to format {supported}")]
    Newer {
        /// The format of the store.
        found: u64,
        /// The newest format that is supported.
        supported: u64,
    },
    /// The file is something else.
    #[error("{} is not a store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },

    /// The store contradicts itself: its file was damaged.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What is wrong, and where: of a store in a file first which one.
        what: String,
    },
    /// No space is left for the store.
    #[error("no space is left on the disk of the store")]
    Full,
    /// The disk failed.
    #[error("the disk of the store failed: {message}")]
    Io {
        /// The kind of failure.
        kind: io::ErrorKind,
        /// What the system says: of a store in a file also which one, and what to do.
        message: String,
    },
}

impl StoreError {
    /// Whether the file has to be opened again before anything else can succeed.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Full | Self::Io { .. })
    }

    /// The same with the file that it is about, where it does not tell that yet. Who runs the store is told what to do
    /// about the disk; about a damaged store the program has to say where its backups are.
    pub(crate) fn in_file(self, file: impl Display) -> Self {
        match self {
            Self::Corrupt { what } => Self::corrupt(format!("{file}: {what}")),
            Self::Io {
                kind: io::ErrorKind::UnexpectedEof,
                ..
            } => Self::corrupt(format!("{file} ends early")),
            Self::Io { kind, message } => {
                let advice = match kind {
                    io::ErrorKind::NotFound => "its folder has to be there",
                    io::ErrorKind::PermissionDenied => "allow this user to read and write it",
                    io::ErrorKind::ReadOnlyFilesystem => "make the disk writable",
                    _ => "see to the disk and try again",
                };
                let message = format!("{file}: {message}; {advice}");
                Self::Io { kind, message }
            }
            other => other,
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// `Ok` when `actual` is at most `limit`.
    pub(crate) fn check_limit(what: &'static str, actual: usize, limit: usize) -> Result<(), Self> {
        let (actual, limit) = (actual as u64, limit as u64);
        if actual <= limit {
            Ok(())
        } else {
            Err(Self::TooLarge {
                what,
                actual,
                limit,
            })
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            kind => Self::Io {
                kind,
                message: error.to_string(),
            },
        }
    }
}
