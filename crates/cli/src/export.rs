//! `fact export`: facts out as import lines, causes first, then by origin, log and position.
//!
//! Logs are read in their order; a cause that would come later is looked up and written before. What is kept in memory
//! is ids, never contents.

use std::collections::{BTreeMap, BTreeSet};

use causality_fact::{FactId, FactQuery, RowCore};
use causality_node::{FactRecord, Node};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::facts::{PAGE_FACTS, query};
use crate::handler::{Context, done, send};
use crate::line::{Unsayable, line_of};
use crate::protocol::{ExportOptions, Reply, Summary};

/// How many bytes are gathered before they are sent.
const OUTPUT_BYTES: usize = 1 << 16;

/// Writes the facts that the options select.
pub(crate) async fn export(
    context: &Context,
    options: ExportOptions,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let query = query(context, &options).await?;
    export_from(&context.node, query, replies).await
}

async fn export_from(
    node: &Node,
    query: FactQuery,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let mut export = Export {
        node,
        query,
        replies,
        written: BTreeMap::new(),
        outside: BTreeSet::new(),
        left_out: 0,
        output: Vec::new(),
    };
    let mut after = None;
    loop {
        let page = node.registry().query_facts(&export.query, after, PAGE_FACTS).await?;
        for record in page.facts {
            export.behind_its_causes(record).await?;
        }
        let progress = Reply::Progress { done: export.written.len() as u64, total: None };
        send(replies, progress).await?;
        after = page.next;
        if after.is_none() {
            return export.end().await;
        }
    }
}

struct Export<'a> {
    node: &'a Node,
    query: FactQuery,
    replies: &'a mpsc::Sender<Reply>,
    /// The facts written so far, each with its number.
    written: BTreeMap<FactId, u64>,
    /// Facts that others refer to and that are no part of the export.
    outside: BTreeSet<FactId>,
    left_out: u64,
    output: Vec<u8>,
}

impl Export<'_> {
    /// Writes a fact, and before it those of its causes that belong to the export and were not written yet. Ids are
    /// hashes, so there are no cycles.
    async fn behind_its_causes(&mut self, record: FactRecord) -> Result<(), Failure> {
        let mut wanted = vec![record.row.id()];
        let mut at_hand = Some(record);
        while let Some(id) = wanted.last().copied() {
            if self.is_settled(&id) {
                wanted.pop();
                continue;
            }
            let record = match at_hand.take() {
                Some(record) => Some(record),
                None => self.node.registry().get_fact(id).await?,
            };
            let Some(record) = record.filter(|record| self.selects(record)) else {
                self.outside.insert(id);
                continue;
            };
            let causes = causes(&record).into_iter().rev();
            let missing: Vec<_> = causes.filter(|cause| !self.is_settled(cause)).collect();
            if missing.is_empty() {
                self.write(&record).await?;
            } else {
                wanted.extend(missing);
            }
        }
        Ok(())
    }

    fn is_settled(&self, id: &FactId) -> bool {
        self.written.contains_key(id) || self.outside.contains(id)
    }

    fn selects(&self, record: &FactRecord) -> bool {
        match record.row.core() {
            RowCore::Known(core) => self.query.matches(core, record.place.log.compartment),
            RowCore::Unsupported(_) => false,
        }
    }

    async fn write(&mut self, record: &FactRecord) -> Result<(), Failure> {
        let id = record.row.id();
        let order = |id: &FactId| self.written.get(id).copied().unwrap_or(u64::MAX);
        let fact = record.row.fact();
        match fact.map(|fact| line_of(&fact, &record.compartment, order)) {
            Some(Ok(line)) => {
                self.output.extend_from_slice(&line);
                self.output.push(b'\n');
                self.written.insert(id, self.written.len() as u64);
            }
            unsayable => {
                let reason = match unsayable {
                    Some(Err(Unsayable::Withheld(fields))) => {
                        format!("{fields} of its fields are withheld from this domain")
                    }
                    Some(Err(Unsayable::BytesKey)) => {
                        "a key in its content is \"$bytes\", which an import line keeps for bytes".to_owned()
                    }
                    _ => "its content cannot be read".to_owned(),
                };
                self.outside.insert(id);
                self.left_out += 1;
                send(self.replies, Reply::Note(format!("fact {id} is not exported: {reason}"))).await?;
            }
        }
        if self.output.len() >= OUTPUT_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        send(self.replies, Reply::Bytes(std::mem::take(&mut self.output))).await
    }

    async fn end(mut self) -> Result<(), Failure> {
        self.flush().await?;
        done(self.replies, Summary::Nothing).await?;
        match self.left_out {
            0 => Ok(()),
            left_out => {
                let message = format!("{left_out} facts are not in the export; the reasons are above");
                Err(Failure::new(ExitCode::Partial, message))
            }
        }
    }
}

/// What has to come before a fact.
fn causes(record: &FactRecord) -> Vec<FactId> {
    let RowCore::Known(core) = record.row.core() else { return Vec::new() };
    [core.requires.as_slice(), core.supersedes.as_slice()].concat()
}
