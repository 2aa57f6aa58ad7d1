//! What the machine can do at the same moment: the least that any durable import of the same facts costs.
//!
//! A figure that is out of its bound while the floor is as low as ever speaks of the program; if the floor has risen
//! too, it speaks of the machine.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::clock::Stopwatch;

/// Bytes of one fact as it is stored: its value, its id, and what a core takes.
const FACT_BYTES: usize = 384;
/// Facts of one durable write, as many as an import makes durable at once.
const FACTS_A_WRITE: u64 = 4096;

/// Hashes so many facts on one core and writes them to a file in this folder, fsynced batch by batch; the seconds that
/// takes.
pub(super) fn measure(folder: &Path, facts: u64) -> Result<f64> {
    let path = folder.join("floor");
    let mut file = File::create(&path).context("cannot write beside the homes")?;
    let watch = Stopwatch::start();
    let mut written = 0;
    while written < facts {
        let count = FACTS_A_WRITE.min(facts - written);
        let mut batch = Vec::new();
        for number in written..written + count {
            batch.extend_from_slice(&fact(number));
        }
        file.write_all(&batch)?;
        file.sync_data()?;
        written += count;
    }
    let seconds = watch.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(path)?;
    Ok(seconds)
}

/// As many bytes as a fact has, and the hash of as many, which differ from those of every other number.
fn fact(number: u64) -> [u8; FACT_BYTES] {
    let mut bytes = [0; FACT_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let hash = Sha256::digest(bytes);
    bytes[..hash.len()].copy_from_slice(&hash);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_takes_time_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(measure(folder.path(), FACTS_A_WRITE + 1).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_ne!(fact(1), fact(2));
    }
}
