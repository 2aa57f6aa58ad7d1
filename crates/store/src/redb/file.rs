//! The file of a store: opened under a lock, and made under another name, so that half a store never has its name.

use std::fs::{self, File, OpenOptions, TryLockError};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::config::RedbConfig;
use super::failure::open_failed;
use crate::error::StoreError;

/// Opens the file that there is.
pub(super) fn open(config: &RedbConfig) -> Result<Database, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&config.path)?;
    // A store has its name only once it is filled: an empty file is what is left of one, and no store to begin with.
    if file.metadata()?.len() == 0 {
        let path = config.path.clone();
        return Err(StoreError::NotAStore { path });
    }
    open_database(file, config)
}

/// Makes a new file: fills it under another name, and gives it its own once all of it is durable.
pub(super) fn create(
    config: &RedbConfig,
    fill: impl FnOnce(&Database) -> Result<(), StoreError>,
) -> Result<Database, StoreError> {
    let path = &config.path;
    let staged = staged(path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Facts are in it in the clear.
    #[cfg(unix)]
    options.mode(0o600);
    let file = options.open(&staged)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.clone() }),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // Only with the lock: somebody else may just have finished.
    if path.exists() {
        return Err(StoreError::Exists { path: path.clone() });
    }
    // What an interrupted attempt has left is of no use.
    file.set_len(0)?;
    let filled = open_database(file, config).and_then(|db| {
        fill(&db)?;
        fs::rename(&staged, path)?;
        sync_folder(path)?;
        Ok(db)
    });
    if filled.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&staged);
    }
    filled
}

pub(super) fn builder(config: &RedbConfig) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(config.cache_bytes);
    builder.set_check_integrity_on_open(config.verify_on_open);
    builder
}

fn open_database(file: File, config: &RedbConfig) -> Result<Database, StoreError> {
    FileBackend::new(file)
        .and_then(|file| builder(config).create_with_backend(file))
        .map_err(|error| open_failed(error, &config.path))
}

/// The name of a file that is not finished.
fn staged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Makes the new name durable, where the system allows to.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_not_taken_for_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        fs::write(&config.path, "").unwrap();
        let path = config.path.clone();
        let opened = open(&config).map(drop);
        assert_eq!(opened, Err(StoreError::NotAStore { path }));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        create(&config, |_| Ok(())).map(drop).unwrap();
        let mode = fs::metadata(&config.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_has_its_name_only_once_it_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig::new(folder.path().join("store.redb"));
        fs::write(staged(&config.path), "what was left over").unwrap();
        let result = create(&config, |_| {
            assert!(!config.path.exists());
            let again = create(&config, |_| Ok(())).map(drop);
            assert_eq!(
                again,
                Err(StoreError::Locked {
                    path: config.path.clone()
                })
            );
            Err(StoreError::Full)
        });
        assert_eq!(result.map(drop), Err(StoreError::Full));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        create(&config, |_| Ok(())).map(drop).unwrap();
        assert!(config.path.exists() && !staged(&config.path).exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&config.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = create(&config, |_| Ok(())).map(drop);
        assert_eq!(again, Err(StoreError::Exists { path: config.path }));
    }
}
