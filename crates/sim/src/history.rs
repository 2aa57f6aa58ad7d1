//! The history of a world (`docs/src/spec/history.md`), as the judge reads it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use causality_judge::history::{Entry, Event, Extent, Header, Place, Span, VERSION};
use causality_judge::{CompartmentId, DomainId, FactId, LaneId, LogId};
use causality_store::FactReader;

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
