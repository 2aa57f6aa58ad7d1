//! The history of a world (`docs/src/spec/history.md`), as the judge reads it: what nodes were asked and said while they
//! ran, and what their stores hold.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use causality_fact::{Decoder, KeyLog};
use causality_judge::history::{Completeness, Entry, Event, Extent, Header, Place, Span, VERSION};
use causality_judge::{Bytes, CompartmentId, DomainId, FactId, LaneId, LogId, Stored, TreeHash};
use causality_store::{FactReader, SideRange, StoredBody};
use causality_sync::{KEY_RECORDS, LOG_HEADS};

use crate::fault::FaultKind;
use crate::trace::Trace;

/// What is written of a world so far. A handle: clones are the same history.
#[derive(Clone)]
pub struct History {
    written: Arc<Mutex<String>>,
    trace: Trace,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({} bytes)", self.written().len())
    }
}

impl History {
    /// A history that begins now.
    pub fn new(header: Header, trace: &Trace) -> Self {
        let history = Self {
            written: Arc::default(),
            trace: trace.clone(),
        };
        history.line(&serde_json::to_string(&header));
        history
    }

    /// Writes what happened to a node.
    pub fn write(&self, node: &str, event: Event) {
        self.entry(Some(node.to_owned()), event);
    }

    /// Writes what happened to the world.
    pub fn write_of_all(&self, event: Event) {
        self.entry(None, event);
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.written().clone()
    }

    fn entry(&self, node: Option<String>, event: Event) {
        let at = u64::try_from(self.trace.now().as_millis()).unwrap_or(u64::MAX);
        self.line(&serde_json::to_string(&Entry { at, node, event }));
    }

    fn line(&self, json: &serde_json::Result<String>) {
        // Strings, numbers and lists of them always become JSON.
        if let Ok(json) = json {
            self.trace.history(json);
            let mut written = self.written();
            written.push_str(json);
            written.push('\n');
        }
    }

    fn written(&self) -> MutexGuard<'_, String> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that a store holds. The key records of its own domain are not in it, but in a file beside it.
    pub async fn dump(
        &self,
        node: &str,
        own: &KeyLog,
        store: &dyn FactReader,
        is_final: bool,
    ) -> Result<()> {
        let table = |table| SideRange {
            table,
            prefix: Vec::new(),
            after: None,
            limit: usize::MAX,
        };
        let heads = store.side_scan(table(LOG_HEADS)).await?;
        let records = store.side_scan(table(KEY_RECORDS)).await?;
        for held in store.logs().await? {
            self.trace
                .fired_times(FaultKind::FactHidden, held.withheld.len());
            self.trace
                .fired_times(FaultKind::FactInPart, held.partial.len());
            let known = held.full.union(&held.partial).union(&held.withheld);
            let size = known.is_prefix().context("a log has a gap")?;
            let key = held.log.to_bytes();
            let head = heads.iter().find(|(log, _)| **log == key[..]);
            let checkpoint = head.map(|(_, head)| newest_checkpoint(head)).transpose()?;
            let signed = checkpoint.as_deref().map(size_of).transpose()?;
            let of_origin = |(domain, _): &&(Vec<u8>, Vec<u8>)| {
                domain.starts_with(held.log.origin.as_bytes().as_slice())
            };
            let records = if held.log.origin == own.domain() {
                own.records_from(0).into_iter().map(Bytes).collect()
            } else {
                let records = records.iter().filter(of_origin);
                records.map(|(_, record)| Bytes(record.clone())).collect()
            };
            self.write(
                node,
                Event::Holds {
                    log: log_id(&held.log),
                    size,
                    checkpoint: checkpoint.map(Bytes),
                    records,
                    completeness: match signed == Some(size) && held.full.len() == size {
                        true => Completeness::Proven,
                        false => Completeness::Incomplete,
                    },
                },
            );
            self.dump_rows(node, store, &held.log, size).await?;
        }
        self.write(node, Event::Dumped { is_final });
        Ok(())
    }

    async fn dump_rows(
        &self,
        node: &str,
        store: &dyn FactReader,
        log: &causality_fact::LogId,
        size: u64,
    ) -> Result<()> {
        let mut from = 0;
        while from < size {
            let entries = store.scan(log, from..size, SCAN_BYTES).await?;
            let Some(end) = entries.last().map(|entry| entry.range().end) else {
                // What is missing is missing in the history, too: the judge will say so.
                return Ok(());
            };
            let rows = entries.into_iter().map(|entry| match entry.body {
                StoredBody::Row { bytes, .. } => Stored::Row(Bytes(bytes)),
                StoredBody::Withheld { level, hash } => Stored::Withheld {
                    level,
                    hash: TreeHash(*hash.as_bytes()),
                },
            });
            let rows = rows.collect();
            self.write(node, Event::Rows { from, rows });
            from = end;
        }
        Ok(())
    }
}

/// The newest checkpoint from the state of a log (`docs/src/spec/sync.md`, section "Side tables").
fn newest_checkpoint(head: &[u8]) -> Result<Vec<u8>> {
    let mut from = Decoder::new(head);
    from.u8()?;
    Ok(from.bytes("checkpoint", head.len())?.to_vec())
}

fn size_of(checkpoint: &[u8]) -> Result<u64> {
    Ok(causality_fact::Checkpoint::from_bytes(checkpoint)?.size)
}

/// How much a store holds of each log.
pub(crate) async fn extents(store: &dyn FactReader) -> Result<Vec<Extent>> {
    let extent = |held: causality_store::HeldLog| Extent {
        log: log_id(&held.log),
        size: held.full.len() + held.partial.len() + held.withheld.len(),
        holes: held
            .withheld
            .runs()
            .map(|run| Span(run.start, run.end))
            .collect(),
    };
    Ok(store.logs().await?.into_iter().map(extent).collect())
}

/// A domain as the judge names it.
pub(crate) fn domain_id(domain: causality_fact::DomainId) -> DomainId {
    DomainId(*domain.as_bytes())
}

/// A log as the judge names it.
pub fn log_id(log: &causality_fact::LogId) -> LogId {
    LogId {
        origin: domain_id(log.origin),
        compartment: CompartmentId(*log.compartment.as_bytes()),
        lane: LaneId(*log.lane.as_bytes()),
    }
}

/// A fact's place as the judge names it.
pub(crate) fn place(place: &causality_store::Place) -> Place {
    Place {
        log: log_id(&place.log),
        position: place.position,
    }
}

/// A fact as the judge names it.
pub(crate) fn fact_id(id: causality_fact::FactId) -> FactId {
    FactId(*id.as_bytes())
}

/// The compartment that everybody knows.
pub(crate) const PUBLIC: CompartmentId =
    CompartmentId(*causality_fact::CompartmentId::PUBLIC.as_bytes());

/// The version of the format that is written.
pub(crate) const HISTORY_VERSION: u32 = VERSION;

/// How many bytes of rows one line has.
const SCAN_BYTES: usize = 1 << 20;
