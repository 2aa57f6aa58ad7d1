//! Reads from a store what an engine starts from.

use causality_fact::CompartmentId;
use causality_fact::DecodeError;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_store::FactStore;
use causality_store::RESTORED_KEY;
use causality_store::SideKey;
use causality_store::SideRange;
use causality_store::SideTable;
use causality_store::StoreError;
use causality_sync::BLOCK_ROOTS;
use causality_sync::COMPARTMENTS;
use causality_sync::DECLINED;
use causality_sync::KEY_RECORDS;
use causality_sync::LANES;
use causality_sync::LOG_HEADS;
use causality_sync::OPEN_ROOTS;
use causality_sync::PARTIALS;
use causality_sync::RECEIPTS;
use causality_sync::RestoreError;
use causality_sync::SETTLEMENTS;
use causality_sync::SOURCES;
use causality_sync::StoreState;
use causality_sync::TableRows;
use causality_sync::WAITING;
use std::collections::BTreeSet;

use crate::error::NodeError;

/// The domain whose store this is, known by the logs that the store writes; `None` if there are none.
///
/// # Errors
///
/// When the store cannot be read, or is damaged.
pub async fn store_owner(store: &dyn FactStore) -> Result<Option<DomainId>, NodeError> {
    let state = StoreState {
        log_heads: table(store, LOG_HEADS).await?,
        lanes: table(store, LANES).await?,
        ..StoreState::default()
    };
    Ok(owner_of(&state)?)
}

/// The same of what was read. Ids of lanes are random, so a lane belongs to one log alone.
pub(crate) fn owner_of(state: &StoreState) -> Result<Option<DomainId>, RestoreError> {
    let wrong = |table| move |error| RestoreError::Row { table, error };
    let lane = |(key, lane): &(Vec<u8>, Vec<u8>)| -> Result<_, DecodeError> {
        let compartment = Decoder::exactly(key, CompartmentId::decode)?;
        Ok((compartment, Decoder::exactly(lane, LaneId::decode)?))
    };
    let lanes: Result<BTreeSet<_>, _> = state.lanes.0.iter().map(lane).collect();
    let lanes = lanes.map_err(wrong("lanes"))?;
    for (key, _) in &state.log_heads.0 {
        let log = Decoder::exactly(key, LogId::decode).map_err(wrong("log heads"))?;
        if lanes.contains(&(log.compartment, log.lane)) {
            return Ok(Some(log.origin));
        }
    }
    Ok(None)
}

/// Reads from a store what an engine starts from: for whoever looks at a store without a node, too.
///
/// # Errors
///
/// As the store.
pub async fn read_state(store: &dyn FactStore) -> Result<StoreState, StoreError> {
    let marker = SideKey {
        table: SideTable::STORE,
        key: RESTORED_KEY.to_vec(),
    };
    Ok(StoreState {
        log_heads: table(store, LOG_HEADS).await?,
        block_roots: table(store, BLOCK_ROOTS).await?,
        open_roots: table(store, OPEN_ROOTS).await?,
        key_records: table(store, KEY_RECORDS).await?,
        compartments: table(store, COMPARTMENTS).await?,
        lanes: table(store, LANES).await?,
        partials: table(store, PARTIALS).await?,
        declined: table(store, DECLINED).await?,
        settlements: table(store, SETTLEMENTS).await?,
        sources: table(store, SOURCES).await?,
        receipts: table(store, RECEIPTS).await?,
        waiting: table(store, WAITING).await?,
        restored: store.side_get(&[marker]).await?.iter().any(Option::is_some),
        held: store.logs().await?,
    })
}

/// All rows of a side table.
async fn table(store: &dyn FactStore, table: SideTable) -> Result<TableRows, StoreError> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let range = SideRange {
            table,
            prefix: Vec::new(),
            after,
            limit: usize::MAX,
        };
        let page = store.side_scan(range).await?;
        let Some((last, _)) = page.last() else {
            return Ok(TableRows(rows));
        };
        after = Some(last.clone());
        rows.extend(page);
    }
}
