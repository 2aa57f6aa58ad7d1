//! What a session sends of a log, put into messages.

use causality_fact::BLOCK_LEAVES;
use causality_fact::Encoder;
use causality_fact::PositionSet;
use causality_fact::Subtree;
use causality_fact::TreeHash;
use causality_fact::decompose;
use causality_store::StoredBody;
use causality_store::StoredEntry;
use causality_wire::Announce;
use causality_wire::BoundedBytes;
use causality_wire::BoundedVec;
use causality_wire::Hashes;
use causality_wire::Held;
use causality_wire::LogNumber;

use crate::effect::SyncError;
use crate::engine::Engine;
use crate::logbook::LogState;
use crate::session::ChunkLoad;

pub(crate) fn held(state: &LogState, size: u64) -> Held {
    if state.partial.is_empty() && state.withheld.is_empty() {
        return Held::Complete;
    }
    let full = state.full(size);
    Held::Sets {
        full: full.digest(),
        partial: state.partial.digest(),
        declined: PositionSet::new().digest(),
    }
}

pub(crate) fn announce(
    engine: &Engine,
    number: LogNumber,
    load: &ChunkLoad,
    records: Vec<Vec<u8>>,
    first_block: u64,
) -> Result<Announce, SyncError> {
    // What does not fit a message was refused when it was received or made.
    let fits = |_| SyncError::Closed;
    let records = records
        .into_iter()
        .map(BoundedBytes::new)
        .collect::<Result<_, _>>();
    let roots = engine
        .logs
        .get(&load.log)
        .map(|state| state.roots_under(&load.signed, first_block));
    Ok(Announce {
        log: number,
        key_records: BoundedVec::new(records.map_err(fits)?).map_err(fits)?,
        checkpoint: BoundedBytes::new(load.signed.checkpoint.to_bytes()).map_err(fits)?,
        first_block,
        block_roots: Hashes::new(&roots.unwrap_or_default()).map_err(fits)?,
    })
}

pub(crate) fn encode(entries: &[StoredEntry]) -> Vec<u8> {
    let mut to = Encoder::new();
    for entry in entries {
        match &entry.body {
            StoredBody::Row { bytes, .. } => to.bytes(bytes),
            StoredBody::Withheld { level, hash } => to.uint(0).u8(*level).raw(hash.as_bytes()),
        };
    }
    to.finish()
}

/// The hashes to the right of a chunk, from those of the subtrees behind it; `None` when these have a gap.
pub(crate) fn right(end: u64, size: u64, behind: &[(Subtree, TreeHash)]) -> Option<Vec<TreeHash>> {
    let block_end = (end.div_ceil(BLOCK_LEAVES) * BLOCK_LEAVES).min(size);
    let hash = |subtree: Subtree| {
        let range = subtree.range_in(block_end);
        let from = behind.partition_point(|(part, _)| part.start() < range.start);
        let to = behind.partition_point(|(part, _)| part.start() < range.end);
        subtree.hash_from(block_end, behind.get(from..to)?).ok()
    };
    decompose(end..block_end.max(end))
        .ok()?
        .into_iter()
        .map(hash)
        .collect()
}
