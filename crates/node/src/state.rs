//! Reads from a store what an engine starts from.

use causality_store::FactStore;
use causality_store::RESTORED_KEY;
use causality_store::SideKey;
use causality_store::SideRange;
use causality_store::SideTable;
use causality_store::StoreError;
use causality_sync::BLOCK_ROOTS;
use causality_sync::COMPARTMENTS;
use causality_sync::KEY_RECORDS;
use causality_sync::LANES;
use causality_sync::LOG_HEADS;
use causality_sync::OPEN_ROOTS;
use causality_sync::StoreState;
use causality_sync::TableRows;

pub(crate) async fn read_state(store: &dyn FactStore) -> Result<StoreState, StoreError> {
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
