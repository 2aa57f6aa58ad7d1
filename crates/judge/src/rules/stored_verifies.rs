//! Every stored fact verifies, and every stored log hashes to a root that its origin signed.

use super::Rule;
use crate::dump::{HeldLog, HeldRow};
use crate::findings::Findings;
use crate::world::{NodeId, Observation, ReadRow, World};

#[derive(Debug)]
pub(super) struct StoredVerifies;

impl Rule for StoredVerifies {
    fn observe(&mut self, world: &World, seen: &Observation<'_>, found: &mut Findings) {
        let (node, flaw) = match seen {
            Observation::Row(row) => (row.node, row_flaw(row)),
            Observation::Read(node, row) => (*node, read_flaw(row)),
            Observation::Log(held) => (held.node, log_flaw(held)),
            _ => return,
        };
        if let Some(flaw) = flaw {
            found.add(world, &[node], told(world, node, &flaw));
        }
    }
}

fn told(world: &World, node: NodeId, flaw: &str) -> String {
    format!("{}, {}: {flaw}", world.name(node), world.now)
}

fn row_flaw(row: &HeldRow) -> Option<String> {
    let error = row.read.as_ref()?.as_ref().err()?;
    Some(format!(
        "what is stored at {} is no row: {error}",
        row.place
    ))
}

fn read_flaw(row: &ReadRow) -> Option<String> {
    match &row.read {
        Err(error) => Some(format!(
            "a reader was given what is no row at {}: {error}",
            row.place
        )),
        Ok(read) if read.id != row.told => Some(format!(
            "a reader was told fact {} at {}, whose row is fact {}",
            row.told, row.place, read.id
        )),
        Ok(_) => None,
    }
}

/// The first of the flaws; one makes the others likely.
fn log_flaw(held: &HeldLog) -> Option<String> {
    let log = held.log.short();
    let HeldLog { told, size, .. } = held;
    if told != size {
        return Some(format!(
            "its store says that it has {told} positions of {log}, and shows {size}"
        ));
    }
    if let Some(position) = held.misplaced_subtree {
        return Some(format!(
            "a withheld subtree of {log} cannot stand at position {position}"
        ));
    }
    if *size == 0 && held.proof.checkpoint.is_none() {
        return None;
    }
    if let Err(error) = held.proof.keys {
        return Some(format!("the key records of {log} prove nothing: {error}"));
    }
    let checkpoint = match &held.proof.checkpoint {
        Some(Ok(checkpoint)) => checkpoint,
        Some(Err(error)) => {
            return Some(format!("the checkpoint of {log} proves nothing: {error}"));
        }
        None => return Some(format!("no checkpoint vouches for {log}")),
    };
    if checkpoint.log != held.log {
        return Some(format!(
            "the checkpoint of {log} is one of {}",
            checkpoint.log.short()
        ));
    }
    if checkpoint.size < *size {
        return Some(format!(
            "it holds {size} positions of {log}, and its origin signed {}",
            checkpoint.size
        ));
    }
    let is_whole = checkpoint.size == *size;
    if let Some(root) = held
        .root
        .filter(|root| is_whole && *root != checkpoint.root)
    {
        return Some(format!(
            "the {size} positions of {log} hash to {root}, and its origin signed {}",
            checkpoint.root
        ));
    }
    None
}
