//! Flips one byte of a stored fact, so that the judgement can show that it notices.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::program::Home;
use crate::workspace::out;

/// Flips one byte of the text `marker` where the store of `home` keeps it.
///
/// A store that writes pages anew leaves old copies behind, in which a flipped byte does no harm; so each place is
/// tried by itself, and what does no harm is put back.
pub(super) fn flip_one_byte(home: &Home, marker: &str) -> Result<()> {
    for file in files(home.dir())? {
        let bytes =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for at in places(&bytes, marker.as_bytes()) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&file, &flipped)
                .with_context(|| format!("cannot write {}", file.display()))?;
            if home.call(&["fact", "verify", "--all"]).is_err() {
                out(&format!(
                    "flipped a bit of byte {at} of {} ({})",
                    file.display(),
                    home.name()
                ));
                return Ok(());
            }
            std::fs::write(&file, &bytes)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    bail!(
        "{}: no flipped byte of {marker:?} was noticed by `fact verify --all`",
        home.name()
    )
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn places(bytes: &[u8], marker: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(marker.len().max(1)).enumerate();
    windows
        .filter(|(_, window)| *window == marker)
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found() {
        assert_eq!(places(b"xabxxab", b"ab"), [1, 5]);
        assert_eq!(places(b"x", b"ab"), [0_usize; 0]);
    }
}
