//! The facts of a node: registering, finding, proving and checking them.

use causality_fact::BLOCK_LEAVES;
use causality_fact::BLOCK_LEVEL;
use causality_fact::Checkpoint;
use causality_fact::CompartmentId;
use causality_fact::DomainId;
use causality_fact::Entry;
use causality_fact::Exhibit;
use causality_fact::FactId;
use causality_fact::FactQuery;
use causality_fact::KeyLog;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::Row;
use causality_fact::Subtree;
use causality_fact::TaggedHash;
use causality_fact::TreeHash;
use causality_fact::inclusion_path;
use causality_fact::root_from_blocks;
use causality_fact::root_of;
use causality_store::FactStore;
use causality_store::Place;
use causality_store::StoreError;
use causality_store::StoredBody;
use causality_store::StoredEntry;
use causality_store::StoredRow;
use causality_sync::Appended;
use causality_sync::Draft;
use causality_sync::Engine;
use causality_sync::VisibleCut;
use causality_sync::Waits;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::driver::AppendFailure;
use crate::driver::Command;
use crate::driver::Look;
use crate::driver::View;
use crate::error::NodeError;

/// How many bytes of rows are read at once when everything is checked.
const SCAN_BYTES: usize = 4 << 20;

/// The facts that a node holds: its own and those of others.
#[derive(Clone, Debug)]
pub struct FactRegistry {
    store: Arc<dyn FactStore>,
    commands: mpsc::Sender<Command>,
}

/// A fact and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactRecord {
    /// The fact, or as much of it as is held.
    pub row: Row,
    /// Where it stands.
    pub place: Place,
    /// What this domain calls its compartment.
    pub compartment: String,
    /// Why it is not to be seen yet; `None` if it is.
    pub waits: Option<Waits>,
    /// Whether it is to be seen though some of its causes are not.
    pub causes_missing: bool,
}

/// The facts of a node at one moment: of those to be seen each with its causes.
#[derive(Clone, Debug)]
pub struct FactView {
    registry: FactRegistry,
    /// What is to be seen; `None` for all that was received.
    cut: Option<VisibleCut>,
}

impl FactView {
    fn shows(&self, place: &Place) -> bool {
        self.cut.as_ref().is_none_or(|cut| cut.contains(place))
    }

    /// A fact by its id.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get_fact(&self, id: FactId) -> Result<Option<FactRecord>, NodeError> {
        let store = &self.registry.store;
        let Some(stored) = store.get(&[id]).await?.into_iter().next().flatten() else {
            return Ok(None);
        };
        if self.shows(&stored.place) {
            return Ok(self.registry.records(vec![stored]).await?.pop());
        }
        // The fullest row of it may stand in a log in which it waits, and another one be visible.
        let places = store.places(&[id]).await?;
        let Some(place) = places.concat().into_iter().find(|place| self.shows(place)) else {
            return Ok(None);
        };
        let entries = store.at(&place.log, &[place.position], 1).await?;
        let entry = entries.first().map(|entry| entry.entry(place.log.origin));
        let Some(Entry::Row(row)) = entry.transpose()? else {
            return Ok(None);
        };
        Ok(self.registry.described(vec![(place, row)]).await?.pop())
    }

    /// Facts that match, in order of log and position, behind `after`; see [`FactPage::next`].
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn query_facts(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<FactPage, NodeError> {
        let page = self.registry.store.query(query, after, limit).await?;
        let rows = page.rows.into_iter().filter(|row| self.shows(&row.place));
        Ok(FactPage {
            next: page.next,
            facts: self.registry.records(rows.collect()).await?,
        })
    }
}

/// A part of the answer to a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactPage {
    /// The facts found, in order of log and position. There may be none although more follow.
    pub facts: Vec<FactRecord>,
    /// From where to go on; `None` at the end.
    pub next: Option<Place>,
}

/// What a check of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Logs whose keys, signature and tree were checked.
    pub logs: u64,
    /// Facts whose content was hashed.
    pub facts: u64,
    /// What does not hold, in sentences; empty when all is well.
    pub findings: Vec<String>,
}

/// What is held, in a form that can be compared between domains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digest {
    /// Log by log, in the order of their ids.
    pub logs: Vec<LogDigest>,
    /// Over all of them: equal for equal facts of the same origins.
    pub digest: [u8; 32],
}

/// What is held of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDigest {
    /// Who writes it.
    pub origin: DomainId,
    /// For which audience.
    pub compartment: CompartmentId,
    /// What this domain calls the compartment.
    pub compartment_name: String,
    /// In which lane.
    pub lane: LaneId,
    /// The size of the newest checkpoint.
    pub size: u64,
    /// Its root.
    pub root: TreeHash,
    /// How many positions are held in full.
    pub held: u64,
    /// Which ones: the digest of their set.
    pub held_digest: [u8; 16],
}

/// A log as the engine knows it.
struct KnownLog {
    checkpoint: Checkpoint,
    keys: KeyLog,
    compartment: String,
    durable: u64,
    provable: u64,
    roots: Vec<TreeHash>,
}

impl FactRegistry {
    pub(crate) fn new(store: Arc<dyn FactStore>, commands: mpsc::Sender<Command>) -> Self {
        Self { store, commands }
    }

    /// Registers a fact of this domain: it is appended to the own lane of a compartment, signed, and durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// When the draft cannot become a fact, or the store fails.
    pub async fn register_fact(
        &self,
        compartment: &str,
        draft: Draft,
    ) -> Result<Appended, NodeError> {
        let appended = self.register_facts(compartment, vec![draft]).await?;
        appended.into_iter().next().ok_or(NodeError::Stopped)
    }

    /// Registers several facts under one signature, all or none; at most [`causality_sync::DRAFTS_MAX`].
    ///
    /// # Errors
    ///
    /// As [`register_fact`](Self::register_fact).
    pub async fn register_facts(
        &self,
        compartment: &str,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Appended>, NodeError> {
        let (answer, appended) = oneshot::channel();
        let compartment = compartment.to_owned();
        let command = Command::Append {
            compartment,
            drafts,
            answer,
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| NodeError::Stopped)?;
        match appended.await.map_err(|_| NodeError::Stopped)? {
            Ok(appended) => Ok(appended),
            Err(AppendFailure::Refused(error)) => Err(error.into()),
            Err(AppendFailure::Store(error)) => Err(error.into()),
        }
    }

    /// What is to be seen now, for several reads of one moment.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn view(&self) -> Result<FactView, NodeError> {
        let cut = self.inspect(Engine::visible_cut).await?;
        Ok(FactView {
            registry: self.clone(),
            cut: Some(cut),
        })
    }

    /// All that was received, also what waits for its causes: [`FactRecord::waits`] says so.
    pub fn received(&self) -> FactView {
        FactView {
            registry: self.clone(),
            cut: None,
        }
    }

    /// A fact by its id, if it is to be seen.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn get_fact(&self, id: FactId) -> Result<Option<FactRecord>, NodeError> {
        self.view().await?.get_fact(id).await
    }

    /// Facts that match and are to be seen, in order of log and position, behind `after`; see [`FactPage::next`]. Whoever
    /// reads several pages does so from one [`view`](Self::view).
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn query_facts(
        &self,
        query: &FactQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<FactPage, NodeError> {
        self.view().await?.query_facts(query, after, limit).await
    }

    /// A proof of a fact that a third party can check without a store.
    ///
    /// # Errors
    ///
    /// When the fact is not held, or its log is only partly transferred.
    pub async fn prove(&self, id: FactId) -> Result<Exhibit, NodeError> {
        let stored = self.store.get(&[id]).await?.into_iter().next().flatten();
        let StoredRow { place, row, .. } = stored.ok_or(NodeError::FactNotFound(id))?;
        let known = self.known(place.log).await?.ok_or(NodeError::NotProvable)?;
        if place.position >= known.provable {
            return Err(NodeError::NotProvable);
        }
        let size = known.checkpoint.size;
        let subtrees = inclusion_path(place.position, size)
            .map_err(|error| NodeError::Integrity(error.to_string()))?;
        let block = place.position / BLOCK_LEAVES * BLOCK_LEAVES;
        let end = (block + BLOCK_LEAVES).min(size);
        let leaves = self.store.leaves(&place.log, block..end).await?;
        let hash = |subtree: &Subtree| hash_of(*subtree, size, &leaves, &known.roots);
        let path: Option<Vec<_>> = subtrees.iter().map(hash).collect();
        let path = path.ok_or_else(|| NodeError::Integrity("the log has a gap".to_owned()))?;
        let keys = known.keys.records_from(0);
        Ok(Exhibit {
            keys,
            checkpoint: known.checkpoint,
            position: place.position,
            path,
            row,
        })
    }

    /// Checks one fact: content, place in the log, signature.
    ///
    /// # Errors
    ///
    /// When it is not held, or anything does not hold.
    pub async fn verify(&self, id: FactId) -> Result<FactRecord, NodeError> {
        let exhibit = self.prove(id).await?;
        Exhibit::verify(&exhibit.to_bytes()).map_err(|e| NodeError::Integrity(e.to_string()))?;
        let record = self.received().get_fact(id).await?;
        record.ok_or(NodeError::FactNotFound(id))
    }

    /// Checks everything: each row against its id, each log against its root, each root against its signature.
    /// `progress` is told how many facts are done.
    ///
    /// # Errors
    ///
    /// When the store cannot be read at all; what does not hold is in the report.
    pub async fn verify_all(
        &self,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<VerifyReport, NodeError> {
        let mut report = VerifyReport::default();
        for held in self.store.logs().await? {
            report.logs += 1;
            match self.known(held.log).await? {
                Some(known) => {
                    self.verify_log(held.log, &known, &mut report, &mut progress)
                        .await?
                }
                None => report
                    .findings
                    .push(format!("log {} has no checkpoint", held.log)),
            }
        }
        Ok(report)
    }

    async fn verify_log(
        &self,
        log: LogId,
        known: &KnownLog,
        report: &mut VerifyReport,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<(), NodeError> {
        if let Err(error) = known.keys.verify_checkpoint(known.checkpoint.clone()) {
            report
                .findings
                .push(format!("the checkpoint of log {log}: {error}"));
        }
        let Checkpoint { size, root, .. } = known.checkpoint;
        if root_from_blocks(size, &known.roots) != Ok(root) {
            report.findings.push(format!(
                "the blocks of log {log} do not give the root that its origin signed"
            ));
        }
        let mut check = LogCheck::new(log, size, &known.roots);
        while check.at < known.durable {
            let at = check.at;
            let entries = match self.store.scan(&log, at..known.durable, SCAN_BYTES).await {
                Ok(entries) => entries,
                Err(error @ StoreError::Corrupt { .. }) => {
                    report
                        .findings
                        .push(format!("log {log} from position {at}: {error}"));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            if entries.is_empty() {
                report
                    .findings
                    .push(format!("log {log} has a gap at position {at}"));
                return Ok(());
            }
            for stored in entries {
                if let Err(finding) = check.add(&stored) {
                    report.findings.push(finding);
                    return Ok(());
                }
                report.facts += u64::from(matches!(stored.body, StoredBody::Row { .. }));
            }
            progress(report.facts);
        }
        Ok(())
    }

    /// What this domain calls the compartments of which it has ever held a log.
    ///
    /// # Errors
    ///
    /// [`NodeError::Stopped`] after the end.
    pub async fn compartments(&self) -> Result<BTreeSet<String>, NodeError> {
        self.inspect(|engine| engine.compartment_names().map(str::to_owned).collect())
            .await
    }

    /// What is held, log by log, of one origin or of all.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn digest(&self, origin: Option<DomainId>) -> Result<Digest, NodeError> {
        let mut logs = Vec::new();
        let mut hash = TaggedHash::new("causality/0/digest");
        for held in self.store.logs().await? {
            let log = held.log;
            if origin.is_some_and(|origin| origin != log.origin) {
                continue;
            }
            let Some(known) = self.known(log).await? else {
                continue;
            };
            let digest = LogDigest {
                origin: log.origin,
                compartment: log.compartment,
                compartment_name: known.compartment,
                lane: log.lane,
                size: known.checkpoint.size,
                root: known.checkpoint.root,
                held: held.full.len(),
                held_digest: held.full.digest(),
            };
            hash = hash.chain(log.to_bytes()).chain(digest.size.to_le_bytes());
            hash = hash
                .chain(digest.root.as_bytes())
                .chain(digest.held.to_le_bytes());
            hash = hash.chain(digest.held_digest);
            logs.push(digest);
        }
        Ok(Digest {
            logs,
            digest: hash.finish(),
        })
    }

    async fn records(&self, rows: Vec<StoredRow>) -> Result<Vec<FactRecord>, NodeError> {
        let rows = rows.into_iter().map(|stored| (stored.place, stored.row));
        self.described(rows.collect()).await
    }

    async fn described(&self, rows: Vec<(Place, Row)>) -> Result<Vec<FactRecord>, NodeError> {
        let describe = move |engine: &Engine| {
            let record = |(place, row): (Place, Row)| {
                let name = engine.compartment_name(place.log.compartment);
                FactRecord {
                    compartment: name.unwrap_or_default().to_owned(),
                    waits: engine.waits(&place),
                    causes_missing: engine.is_flagged(&place),
                    row,
                    place,
                }
            };
            rows.into_iter().map(record).collect()
        };
        self.inspect(describe).await
    }

    async fn known(&self, log: LogId) -> Result<Option<KnownLog>, NodeError> {
        self.inspect(move |engine| {
            let view = engine.log(&log)?;
            Some(KnownLog {
                checkpoint: view.checkpoint.clone(),
                keys: engine.key_log(log.origin)?.clone(),
                compartment: engine
                    .compartment_name(log.compartment)
                    .unwrap_or_default()
                    .to_owned(),
                durable: view.durable,
                provable: view.provable,
                roots: view.roots,
            })
        })
        .await
    }

    pub(crate) fn store(&self) -> &dyn FactStore {
        &*self.store
    }

    /// Looks at the engine between two of its steps.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        let (answer, seen) = oneshot::channel();
        let look = Box::new(move |View { engine, .. }: View<'_>| {
            let _ = answer.send(look(engine));
        });
        self.commands
            .send(Command::Inspect(Look(look)))
            .await
            .map_err(|_| NodeError::Stopped)?;
        seen.await.map_err(|_| NodeError::Stopped)
    }
}

/// The check of the entries of a log against the blocks that its origin signed. What is behind the last one that is held
/// whole while a transfer is under way, nothing can be compared with.
struct LogCheck<'a> {
    log: LogId,
    size: u64,
    roots: &'a [TreeHash],
    /// How far the entries went.
    at: u64,
    /// Those of the block that is not complete yet.
    parts: Vec<(Subtree, TreeHash)>,
}

impl<'a> LogCheck<'a> {
    fn new(log: LogId, size: u64, roots: &'a [TreeHash]) -> Self {
        Self {
            log,
            size,
            roots,
            at: 0,
            parts: Vec::new(),
        }
    }

    /// Takes in the next entry of the log; the error says what does not hold.
    fn add(&mut self, stored: &StoredEntry) -> Result<(), String> {
        let log = self.log;
        let part = stored.entry(log.origin).and_then(|_| stored.subtree());
        let part = part.map_err(|error| format!("log {log}: {error}"))?;
        self.parts.push((part, stored.hash()));
        self.at = stored.range().end;
        let block = part.start() / BLOCK_LEAVES;
        let start = block * BLOCK_LEAVES;
        let is_full = self.at == start + BLOCK_LEAVES;
        if self.at == self.size || (is_full && self.at < self.size) {
            let found = Subtree::block(block).and_then(|b| b.hash_from(self.size, &self.parts));
            if found.ok().as_ref() != self.roots.get(block as usize) {
                let last = self.at - 1;
                return Err(format!(
                    "log {log} is not what its origin signed somewhere from position {start} to {last}"
                ));
            }
        }
        if is_full {
            self.parts.clear();
        }
        Ok(())
    }
}

/// The hash of a subtree on the way from a leaf of a block to the root: within the block from its leaves, above it from
/// the roots of all blocks.
fn hash_of(
    subtree: Subtree,
    size: u64,
    leaves: &[(Subtree, TreeHash)],
    roots: &[TreeHash],
) -> Option<TreeHash> {
    let range = subtree.range_in(size);
    if subtree.level() >= BLOCK_LEVEL {
        let blocks =
            (range.start / BLOCK_LEAVES) as usize..range.end.div_ceil(BLOCK_LEAVES) as usize;
        return roots.get(blocks).map(root_of);
    }
    let from = leaves.partition_point(|(part, _)| part.start() < range.start);
    let to = leaves.partition_point(|(part, _)| part.start() < range.end);
    subtree.hash_from(size, leaves.get(from..to)?).ok()
}

#[cfg(test)]
mod tests {
    use causality_fact::BlockRoots;
    use causality_fact::leaf_hash;
    use causality_store::Batch;
    use causality_store::FactReader as _;
    use causality_store::MemoryStore;
    use causality_store::NewEntry;
    use causality_store::conformance::fact;
    use causality_store::conformance::full;
    use causality_store::conformance::log;
    use causality_store::conformance::subtree;
    use causality_store::conformance::withheld;

    use super::*;

    const SIZE: u64 = 2 * BLOCK_LEAVES + 100;

    /// The roots of the log that was signed.
    fn roots() -> Vec<TreeHash> {
        let mut tree = BlockRoots::new();
        for number in 0..SIZE {
            tree.push(leaf_hash(&fact(&log(1, 1), number).id()));
        }
        tree.roots()
    }

    /// What is found in a store that holds the log up to a position, with other entries at some positions.
    async fn check(durable: u64, others: &[NewEntry], roots: &[TreeHash]) -> Result<(), String> {
        let log = log(1, 1);
        let mut entries = Vec::new();
        let mut position = 0;
        while position < durable {
            let other = others.iter().find(|other| other.position == position);
            let entry = other.cloned().unwrap_or_else(|| match position % 7 {
                3 => withheld(log, position),
                _ => full(log, position),
            });
            position += entry.entry.positions();
            entries.push(entry);
        }
        let store = MemoryStore::new();
        let time = 0;
        let side = Vec::new();
        let batch = Batch {
            entries,
            side,
            time,
        };
        store.commit(batch).await.unwrap();
        let mut check = LogCheck::new(log, SIZE, roots);
        for stored in store.scan(&log, 0..durable, usize::MAX).await.unwrap() {
            check.add(&stored)?;
        }
        assert_eq!(check.at, durable);
        Ok(())
    }

    fn forged(position: u64) -> NewEntry {
        let entry = full(log(1, 1), position + 1).entry;
        NewEntry {
            entry,
            ..full(log(1, 1), position)
        }
    }

    #[tokio::test]
    async fn the_blocks_of_a_log_under_transfer_are_compared() {
        let roots = roots();
        let not_signed = |from: u64, to: u64| {
            let log = log(1, 1);
            Err(format!(
                "log {log} is not what its origin signed somewhere from position {from} to {to}"
            ))
        };
        let (one, two) = (BLOCK_LEAVES, 2 * BLOCK_LEAVES);
        for durable in [1, one - 1, one, one + 1, two, two + 99, SIZE, SIZE + 50] {
            assert_eq!(check(durable, &[], &roots).await, Ok(()), "{durable}");
            let part = [subtree(log(1, 1), 512, 3)];
            assert_eq!(check(durable.max(520), &part, &roots).await, Ok(()));
        }
        for (durable, position, expected) in [
            (one, 0, not_signed(0, one - 1)),
            (one + 5, one - 1, not_signed(0, one - 1)),
            (SIZE, one, not_signed(one, two - 1)),
            (two, two - 1, not_signed(one, two - 1)),
            (SIZE, two, not_signed(two, SIZE - 1)),
            (SIZE + 50, SIZE - 1, not_signed(two, SIZE - 1)),
            // Nothing that was signed says what these blocks are before they are whole.
            (one - 1, 7, Ok(())),
            (two + 99, two + 3, Ok(())),
            (SIZE + 50, SIZE, Ok(())),
        ] {
            let found = check(durable, &[forged(position)], &roots).await;
            assert_eq!(found, expected, "{position} of {durable}");
        }
    }
}
