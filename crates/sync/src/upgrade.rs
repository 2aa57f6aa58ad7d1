//! The way in for facts at positions that are known already, by a hash or in part: each row has to be the one at its position,
//! and is merged with what is held (`docs/src/spec/sync.md`, section "Reveals").
//!
//! Of each log one upgrade at a time is under way, so that no two merge with the same row.

use causality_fact::ChunkError;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::Entry;
use causality_fact::LogId;
use causality_fact::ROW_BYTES_MAX;
use causality_fact::Row;
use causality_fact::leaf_hash;
use causality_store::BATCH_BYTES_MAX;
use causality_store::Batch;
use causality_store::NewEntry;
use causality_store::SideWrite;
use causality_store::StoredBody;
use causality_store::StoredEntry;
use causality_wire::LogNumber;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::effect::Event;
use crate::effect::Load;
use crate::effect::LogError;
use crate::effect::SessionId;
use crate::effect::SyncError;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::holes::Extent;
use crate::ingest::Fault;
use crate::ingest::note_own_heads;
use crate::logbook::PARTIALS;
use crate::logbook::numbered;
use crate::peers::Source;
use crate::visible::Let;

/// How many rows are merged and written at once: the largest rows together fit into one batch of the store.
const UPGRADE_ROWS_MAX: usize = BATCH_BYTES_MAX / ROW_BYTES_MAX - 8;

/// Rows for positions that are known already.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// Who brought them.
    pub(crate) session: SessionId,
    pub(crate) peer: DomainId,
    /// In ascending order of positions; those that policy lets in.
    pub(crate) rows: Vec<(u64, Row)>,
    /// What else is to be written with them.
    pub(crate) side: Vec<SideWrite>,
    /// What the peer said that it keeps back, if it did. It counts from when it is durable.
    pub(crate) source: Option<Source>,
    /// What they cost.
    pub(crate) cost: u64,
    /// How they came.
    pub(crate) by: Brought,
}

/// How rows for known positions came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// By a message of their own, under this number of the log.
    Message(Option<LogNumber>),
    /// With others that follow, and count for all.
    Part,
    /// By a chunk that overlapped, from a position on, with what had come from elsewhere meanwhile.
    Overlap(u64),
}

/// The upgrades of one log.
#[derive(Debug, Default)]
pub(crate) struct Upgrades {
    queue: VecDeque<Upgrade>,
    /// What the first one changes, once that is known.
    changed: Vec<(u64, Extent)>,
    /// Those of them of which nothing was known.
    rows: Let,
    is_busy: bool,
}

impl Engine {
    /// Takes up rows for known positions of a log, once those before them are done.
    pub(crate) fn upgrade(&mut self, log: LogId, upgrade: Upgrade) {
        let queue = &mut self.upgrades.entry(log).or_default().queue;
        let mut last = upgrade;
        while last.rows.len() > UPGRADE_ROWS_MAX {
            let rest = last.rows.split_off(UPGRADE_ROWS_MAX);
            queue.push_back(Upgrade {
                session: last.session,
                peer: last.peer,
                rows: std::mem::replace(&mut last.rows, rest),
                side: Vec::new(),
                source: None,
                cost: 0,
                by: Brought::Part,
            });
        }
        queue.push_back(last);
        self.next_upgrade(log);
    }

    /// Whether rows for known positions of a log are under way.
    pub(crate) fn is_upgrading(&self, log: &LogId) -> bool {
        self.upgrades.contains_key(log)
    }

    /// Begins with the next upgrade of a log, if its positions are durable.
    pub(crate) fn next_upgrade(&mut self, log: LogId) {
        loop {
            let Some(upgrades) = self.upgrades.get_mut(&log) else {
                return;
            };
            let Some(first) = upgrades.queue.front() else {
                self.upgrades.remove(&log);
                return;
            };
            if upgrades.is_busy {
                return;
            }
            let Some((last, _)) = first.rows.last() else {
                upgrades.is_busy = true;
                self.write_upgrade(log, Vec::new());
                continue;
            };
            let state = self.logs.get(&log);
            if state.is_none_or(|state| state.durable.size() <= *last) {
                return;
            }
            upgrades.is_busy = true;
            let positions = first.rows.iter().map(|(position, _)| *position).collect();
            let load = Load::Entries {
                log,
                positions,
                bytes_max: usize::MAX,
            };
            let _ = self.load(load, Pending::UpgradeLoad(log));
            return;
        }
    }

    /// What is held at the positions of the first upgrade was read.
    pub(crate) fn upgrade_loaded(&mut self, log: LogId, held: &[StoredEntry]) {
        let upgrades = self.upgrades.get_mut(&log);
        let Some(first) = upgrades.and_then(|upgrades| upgrades.queue.front_mut()) else {
            return;
        };
        let (session, rows) = (first.session, std::mem::take(&mut first.rows));
        match merged(log, rows, held) {
            Ok(rows) => self.write_upgrade(log, rows),
            Err(error) => {
                self.with_session(session, |session, engine| match error {
                    Fault::Log(error) => {
                        session.refuse(engine, log, error);
                        Ok(())
                    }
                    Fault::Peer(error) => Err(error),
                });
                // What it cost is given back as if it had told nothing new.
                self.upgraded(log);
            }
        }
    }

    fn write_upgrade(&mut self, log: LogId, rows: Vec<(u64, Row)>) {
        let now_ms = self.now_ms;
        let upgrades = self.upgrades.get_mut(&log);
        let Some((upgrades, state)) = upgrades.zip(self.logs.get_mut(&log)) else {
            return self.upgraded(log);
        };
        let Some(first) = upgrades.queue.front_mut() else {
            return;
        };
        let mut side = std::mem::take(&mut first.side);
        let extent = |row: &Row| row.mask().map_or(Extent::Full, Extent::Partial);
        let changed = rows.iter().map(|(at, row)| (*at, extent(row))).collect();
        if !rows.is_empty() {
            side.extend(state.change());
            let mask = |(position, row): &(u64, Row)| {
                mask_write(&log, *position, extent(row), state.holes.extent(*position))
            };
            side.extend(rows.iter().filter_map(mask));
        }
        upgrades.changed = changed;
        let hidden = rows.iter().map(|(position, _)| *position);
        let hidden = hidden.filter(|position| state.holes.extent(*position) == Extent::Hidden);
        let hidden: BTreeSet<_> = hidden.collect();
        if side.is_empty() {
            return self.upgraded(log);
        }
        let entries = rows.into_iter().map(|(position, row)| NewEntry {
            log,
            position,
            entry: Entry::Row(row),
            mark: None,
        });
        let entries: Vec<_> = entries.collect();
        note_own_heads(self, log, &entries);
        let new = entries.iter().filter(|new| hidden.contains(&new.position));
        let new: Vec<_> = new.cloned().collect();
        let (through, waiting) = self.let_through(log, &new);
        side.extend(waiting);
        if let Some(upgrades) = self.upgrades.get_mut(&log) {
            upgrades.rows = through;
        }
        let batch = Batch {
            entries,
            side,
            time: i64::try_from(now_ms).unwrap_or(i64::MAX),
        };
        let _ = self.commit(batch, Pending::UpgradeCommit(log));
    }

    /// The first upgrade of a log is durable, or tells nothing new.
    pub(crate) fn upgraded(&mut self, log: LogId) {
        let Some(upgrades) = self.upgrades.get_mut(&log) else {
            return;
        };
        upgrades.is_busy = false;
        let changed = std::mem::take(&mut upgrades.changed);
        let rows = std::mem::take(&mut upgrades.rows);
        let Some(mut upgrade) = upgrades.queue.pop_front() else {
            return;
        };
        if upgrades.queue.is_empty() {
            self.upgrades.remove(&log);
        }
        if let Some(source) = upgrade.source.take() {
            self.sources.insert((log, upgrade.peer), source);
            self.weigh_stubs();
        }
        if let Some(state) = self.logs.get_mut(&log) {
            state.durable.changes = state.changes;
            for (position, extent) in &changed {
                state.holes.set(*position..*position + 1, *extent);
            }
        }
        self.came_through(log, &rows);
        let by = upgrade.session;
        self.with_session(by, |session, engine| {
            session.upgraded(engine, log, &upgrade, changed.len() as u64);
            Ok(())
        });
        if !changed.is_empty() {
            let positions: Vec<_> = changed.iter().map(|(position, _)| *position).collect();
            self.name_contradicted(log, upgrade.peer, &positions);
            self.event(Event::Revealed { log, positions });
            for id in self.session_ids() {
                self.with_session(id, |session, engine| {
                    session.log_upgraded(engine, log, &changed)
                });
            }
        }
        self.next_upgrade(log);
    }
}

impl Engine {
    /// Tells which other peers had kept back what was revealed, or had said that they have only the hashes.
    fn name_contradicted(&mut self, log: LogId, shown_by: DomainId, revealed: &[u64]) {
        let (first, last) = (DomainId::new([0; 32]), DomainId::new([u8::MAX; 32]));
        let sources = self.sources.range((log, first)..=(log, last));
        let others = sources.filter(|((_, peer), _)| *peer != shown_by);
        let contradicted = others.map(|((_, peer), source)| {
            let said = revealed.iter().filter(|position| **position < source.size);
            (*peer, said.copied().collect::<Vec<_>>())
        });
        let contradicted: Vec<_> = contradicted.collect();
        for (peer, positions) in contradicted {
            if !positions.is_empty() {
                self.event(Event::Contradicted {
                    log,
                    peer,
                    shown_by,
                    positions,
                });
            }
        }
    }
}

/// The rows that tell more than what is held, merged with that.
fn merged(
    log: LogId,
    rows: Vec<(u64, Row)>,
    held: &[StoredEntry],
) -> Result<Vec<(u64, Row)>, Fault> {
    // An origin that forks its log shows other facts to others: whoever relays either is honest.
    let other = |from| Fault::Log(LogError::Other(ChunkError::WrongBlock { from }));
    let gap = || Fault::Peer(SyncError::Failed("the store has a gap"));
    let mut merged = Vec::with_capacity(rows.len());
    for (position, row) in rows {
        let at = held.binary_search_by_key(&position, |entry| entry.position);
        let entry = at.ok().and_then(|at| held.get(at)).ok_or_else(gap)?;
        if entry.hash() != leaf_hash(&row.id()) {
            return Err(other(position));
        }
        match &entry.body {
            StoredBody::Withheld { .. } => merged.push((position, row)),
            StoredBody::Row { .. } => {
                let Ok(Entry::Row(before)) = entry.entry(log.origin) else {
                    return Err(gap());
                };
                merged.extend(more(&before, row).map(|row| (position, row)));
            }
        }
    }
    Ok(merged)
}

/// The row that tells what either does, if that is more than the first one tells.
fn more(before: &Row, row: Row) -> Option<Row> {
    let mask = before.mask()?;
    let Some(new) = row.mask() else {
        return Some(row);
    };
    if mask.covers(new) {
        return None;
    }
    let merged = before.fact()?.merge(&row.fact()?)?;
    Some(Row::from(merged))
}

/// The write that keeps how much of a fact is held, where that is not clear from the row.
pub(crate) fn mask_write(
    log: &LogId,
    position: u64,
    extent: Extent,
    before: Extent,
) -> Option<SideWrite> {
    let value = match (extent, before) {
        (Extent::Partial(mask), _) => {
            let mut to = Encoder::new();
            mask.encode(&mut to);
            Some(to.finish())
        }
        (_, Extent::Partial(_)) => None,
        _ => return None,
    };
    Some(SideWrite {
        table: PARTIALS,
        key: numbered(&log.to_bytes(), position),
        value,
    })
}
