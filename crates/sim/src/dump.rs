//! What a store holds, and what its node says of it, as lines of a history.

use anyhow::{Context as _, Result};
use causality_fact::{
    Checkpoint, CompartmentId, Decoder, DomainId, Entry, KeyLog, LogId, PositionSet,
};
use causality_judge::history::{Completeness, Event, Span, Stated};
use causality_judge::{Bytes, Stored, TreeHash};
use causality_node::{Completeness as Says, LogHoldings};
use causality_store::{FactReader, SideRange, SideTable, StoredBody, StoredEntry};
use causality_sync::{KEY_RECORDS, LOG_HEADS, SOURCES};

use crate::happening::Happening;
use crate::history::log_id;

/// What is read from a store at one moment.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    /// The lines, but for the last.
    pub(crate) lines: Vec<Event>,
    /// What of it came about by rules and relays, and how often.
    pub(crate) happened: Vec<(Happening, u64)>,
}

/// Whose store it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// The key records of its own domain are not in it, but in a file beside it.
    pub(crate) keys: &'a KeyLog,
    /// The domains that it knows.
    pub(crate) met: &'a [DomainId],
}

/// Reads all that a store holds, of which its node says this. None if the node speaks of another moment.
pub(crate) async fn dump(
    owner: Owner<'_>,
    store: &dyn FactReader,
    holdings: &[LogHoldings],
) -> Result<Option<Dump>> {
    let heads = table(store, LOG_HEADS).await?;
    let records = table(store, KEY_RECORDS).await?;
    let sources = table(store, SOURCES).await?;
    let logs = store.logs().await?;
    let mut dump = Dump::default();
    if logs.len() != holdings.len() {
        return Ok(None);
    }
    for held in logs {
        let known = held.full.union(&held.partial).union(&held.withheld);
        let size = known.is_prefix().context("a log has a gap")?;
        let Some(says) = holdings.iter().find(|says| says.log == held.log) else {
            return Ok(None);
        };
        let origin = held.log.origin;
        let head = value(&heads, &held.log.to_bytes());
        let records: Vec<_> = if origin == owner.keys.domain() {
            owner.keys.records_from(0).into_iter().map(Bytes).collect()
        } else {
            let of_origin = |(domain, _): &&(Vec<u8>, Vec<u8>)| {
                domain.starts_with(origin.as_bytes().as_slice())
            };
            let records = records.iter().filter(of_origin);
            records.map(|(_, record)| Bytes(record.clone())).collect()
        };
        let of_origin = [origin.as_bytes().as_slice(), &held.log.to_bytes()].concat();
        let said = value(&sources, &of_origin).map(Said::read).transpose()?;
        dump.lines.push(Event::Holds {
            log: log_id(&held.log),
            size,
            checkpoint: head.map(newest_checkpoint).transpose()?.map(Bytes),
            records,
            completeness: match says.completeness {
                Says::Attested => Completeness::Attested,
                Says::Incomplete => Completeness::Incomplete,
                Says::Proven => Completeness::Proven,
            },
            stated: said.and_then(Said::stated),
        });
        let (partial, hidden) = (
            dump.rows(store, &held.log, size).await?,
            held.withheld.len(),
        );
        if (says.size, says.partial, says.hidden) != (size, partial, hidden) {
            return Ok(None);
        }
        dump.count(owner, says);
    }
    for (_, said) in sources {
        let deferred = Said::read(&said)?.kept[1].len();
        dump.happened.push((Happening::FactDeferred, deferred));
    }
    Ok(Some(dump))
}

impl Dump {
    /// Counts what rules and relays have brought about.
    fn count(&mut self, owner: Owner<'_>, held: &LogHoldings) {
        let LogHoldings {
            log,
            size,
            partial,
            hidden,
            completeness: says,
            ..
        } = held;
        let is_own = log.origin == owner.keys.domain();
        let is_private = log.compartment != CompartmentId::PUBLIC && !is_own;
        let is_relayed = !is_own && !owner.met.contains(&log.origin);
        let only = |is_so: bool, count| if is_so { count } else { 0 };
        self.happened.extend([
            (
                Happening::FactDeclined,
                only(*says == Says::Proven, *hidden),
            ),
            (Happening::FactHidden, *hidden),
            (Happening::FactInPart, *partial),
            (Happening::FactRelayed, only(is_relayed, size - hidden)),
            (Happening::LogAttested, only(*says == Says::Attested, 1)),
            (Happening::PrivateFact, only(is_private, size - hidden)),
            (Happening::PrivateRule, only(is_private, partial + hidden)),
        ]);
    }

    /// Adds the rows of a log; of how many facts there is a part.
    async fn rows(&mut self, store: &dyn FactReader, log: &LogId, size: u64) -> Result<u64> {
        let (mut from, mut partial) = (0, 0);
        while from < size {
            let entries = store.scan(log, from..size, SCAN_BYTES).await?;
            let Some(end) = entries.last().map(|entry| entry.range().end) else {
                // What is missing is missing in the history, too: the judge will say so.
                return Ok(partial);
            };
            let is_partial = |entry: &&StoredEntry| {
                let entry = entry.entry(log.origin);
                matches!(entry, Ok(Entry::Row(row)) if row.mask().is_some())
            };
            partial += entries.iter().filter(is_partial).count() as u64;
            let rows = entries.into_iter().map(|entry| match entry.body {
                StoredBody::Row { bytes, .. } => Stored::Row(Bytes(bytes)),
                StoredBody::Withheld { level, hash } => Stored::Withheld {
                    level,
                    hash: TreeHash(*hash.as_bytes()),
                },
            });
            let rows = rows.collect();
            self.lines.push(Event::Rows { from, rows });
            from = end;
        }
        Ok(partial)
    }
}

/// What a peer has said that it keeps back of a log (`docs/src/spec/sync.md`, section "Side tables").
struct Said {
    /// Withheld, deferred, and shown in part.
    kept: [PositionSet; 3],
    statement: Vec<u8>,
}

impl Said {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut from = Decoder::new(bytes);
        from.u8()?;
        from.uint()?;
        let mut set = || -> Result<PositionSet> {
            let set = from.bytes("length of a set", bytes.len())?;
            Ok(PositionSet::decode(set, bytes.len() * 8)?)
        };
        let kept = [set()?, set()?, set()?];
        let statement = from.bytes("length of a statement", bytes.len())?.to_vec();
        Ok(Self { kept, statement })
    }

    /// The same if it is signed.
    fn stated(self) -> Option<Stated> {
        let [withheld, deferred, partial] = self.kept.map(|set| {
            let runs = set.runs().map(|run| Span(run.start, run.end));
            runs.collect()
        });
        (!self.statement.is_empty()).then_some(Stated {
            statement: Bytes(self.statement),
            withheld,
            deferred,
            partial,
        })
    }
}

async fn table(store: &dyn FactReader, table: SideTable) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = SideRange {
        table,
        prefix: Vec::new(),
        after: None,
        limit: usize::MAX,
    };
    Ok(store.side_scan(all).await?)
}

fn value<'t>(table: &'t [(Vec<u8>, Vec<u8>)], key: &[u8]) -> Option<&'t [u8]> {
    let found = table.iter().find(|(of, _)| of == key);
    found.map(|(_, value)| value.as_slice())
}

/// The newest checkpoint from the state of a log.
fn newest_checkpoint(head: &[u8]) -> Result<Vec<u8>> {
    let mut from = Decoder::new(head);
    from.u8()?;
    let checkpoint = from.bytes("checkpoint", head.len())?;
    Checkpoint::from_bytes(checkpoint)?;
    Ok(checkpoint.to_vec())
}

/// How many bytes of rows one line has.
const SCAN_BYTES: usize = 1 << 20;
