//! What the errors of redb mean to a caller.

use std::path::Path;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

use crate::error::StoreError;

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(what) => Self::corrupt(what),
            StorageError::DatabaseClosed => Self::Closed,
            error @ StorageError::PreviousIo => std::io::Error::other(error.to_string()).into(),
            error => Self::corrupt(error.to_string()),
        }
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::corrupt(error.to_string()),
        }
    }
}

impl From<TransactionError> for StoreError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            error => Self::corrupt(error.to_string()),
        }
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            error => Self::corrupt(error.to_string()),
        }
    }
}

/// Why a file could not be opened.
pub(super) fn open_failed(error: DatabaseError, path: &Path) -> StoreError {
    let path = || path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path() },
        DatabaseError::UpgradeRequired(_) => StoreError::NotAStore { path: path() },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            StoreError::NotAStore { path: path() }
        }
        DatabaseError::Storage(error) => error.into(),
        error => StoreError::corrupt(error.to_string()),
    }
}
