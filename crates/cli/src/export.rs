//! `fact export`: facts out as import lines, causes first, then by origin, log and position.
//!
//! Logs are read in their order; a cause that would come later is looked up and written before. What is kept in memory
//! is ids, never contents.

use std::collections::{BTreeMap, BTreeSet};

use causality_fact::{FactId, FactQuery, RowCore};
use causality_node::{FactRecord, FactView};
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::facts::{PAGE_FACTS, query};
use crate::handler::{Context, done, send};
use crate::line::{Unsayable, line_of};
use crate::protocol::{ExportOptions, Reply, Summary};
use crate::text::count;

/// How many bytes are gathered before they are sent.
const OUTPUT_BYTES: usize = 1 << 16;

/// Writes the facts that the options select.
pub(crate) async fn export(
    context: &Context,
    options: ExportOptions,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let query = query(context, &options).await?;
    let view = context.node.registry().view().await?;
    export_from(view, query, replies).await
}

async fn export_from(
    view: FactView,
    query: FactQuery,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let mut export = Export {
        view,
        query,
        replies,
        written: BTreeMap::new(),
        outside: BTreeSet::new(),
        left_out: 0,
        output: Vec::new(),
    };
    let mut after = None;
    loop {
        let page = export
            .view
            .query_facts(&export.query, after, PAGE_FACTS)
            .await?;
        for record in page.facts {
            export.behind_its_causes(record).await?;
        }
        let progress = Reply::Progress {
            done: export.written.len() as u64,
            total: None,
        };
        send(replies, progress).await?;
        after = page.next;
        if after.is_none() {
            return export.end().await;
        }
    }
}

struct Export<'a> {
    view: FactView,
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
                None => self.view.get_fact(id).await?,
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
                        format!(
                            "withheld from this domain: {}",
                            count(fields as u64, "field")
                        )
                    }
                    Some(Err(Unsayable::BytesKey)) => {
                        "a key in its content is \"$bytes\", which an import line keeps for bytes"
                            .to_owned()
                    }
                    _ => "its content cannot be read".to_owned(),
                };
                self.outside.insert(id);
                self.left_out += 1;
                send(
                    self.replies,
                    Reply::Note(format!("fact {id} is not exported: {reason}")),
                )
                .await?;
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
                let left_out = count(left_out, "fact");
                let message = format!("not in the export: {left_out}; the reasons are above");
                Err(Failure::new(ExitCode::Partial, message))
            }
        }
    }
}

/// What has to come before a fact.
fn causes(record: &FactRecord) -> Vec<FactId> {
    let RowCore::Known(core) = record.row.core() else {
        return Vec::new();
    };
    [core.requires.as_slice(), core.supersedes.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use causality_fact::{CompartmentId, Entry, LaneId, LogId, Pattern, Row};
    use causality_node::{Draft, Node, PeerConfig, Reference};
    use causality_store::{Batch, FactStore as _, NewEntry};
    use serde_json::{Value, json};

    use super::*;
    use crate::import::tests::import_all;
    use crate::tests::{fact, node};

    async fn exported(node: &Node, query: FactQuery) -> (Result<(), Failure>, String) {
        let (replies, mut replies_out) = mpsc::channel(1);
        let work = async { export_from(node.registry().received(), query, &{ replies }).await };
        let collect = async {
            let mut text = Vec::new();
            while let Some(reply) = replies_out.recv().await {
                if let Reply::Bytes(bytes) = reply {
                    text.extend(bytes);
                }
            }
            String::from_utf8(text).unwrap()
        };
        tokio::join!(work, collect)
    }

    fn values(text: &str) -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn draft(resource: &str, requires: &[FactId]) -> Draft {
        let mut draft = Draft::new("operation".parse().unwrap(), resource.parse().unwrap());
        draft.requires = requires.iter().copied().map(Reference::Fact).collect();
        draft
    }

    #[tokio::test]
    async fn a_cause_in_a_later_log_is_written_before() {
        let (node, _) = node().await;
        // The compartment `public` has the smallest id, so its log is read first.
        let append = async |compartment, draft| {
            node.registry()
                .register_fact(compartment, draft)
                .await
                .unwrap()
                .id
        };
        let first = append("ops", draft("c/1", &[])).await;
        let second = append("ops", draft("c/2", &[first])).await;
        let third = append("public", draft("a/1", &[second])).await;
        let fourth = append("ops", draft("c/3", &[third, first])).await;
        let (result, text) = exported(&node, FactQuery::default()).await;
        assert_eq!(result, Ok(()));
        let lines = values(&text);
        let refs: Vec<_> = lines
            .iter()
            .map(|line| line["ref"].as_str().unwrap())
            .collect();
        let ids = [first, second, third, fourth].map(|id| id.to_string());
        assert_eq!(refs, ids);
        assert_eq!(lines[2]["requires"], json!([ids[1]]));
        // References are in the order of the export, whatever the ids are.
        assert_eq!(lines[3]["requires"], json!([ids[0], ids[2]]));
        assert_eq!(lines[3]["compartment"], "ops");
    }

    #[tokio::test]
    async fn references_to_what_is_not_selected_stay() {
        let (node, _) = node().await;
        let cause = node
            .registry()
            .register_fact("public", draft("c/1", &[]))
            .await
            .unwrap()
            .id;
        let unheld = FactId::new([9; 32]);
        let effect = draft("a/1", &[unheld, cause]);
        node.registry()
            .register_fact("public", effect)
            .await
            .unwrap();
        let query = FactQuery {
            resource: Some(Pattern::new("a/*")),
            ..FactQuery::default()
        };
        let lines = values(&exported(&node, query).await.1);
        assert_eq!(lines.len(), 1);
        let mut expected = [unheld.to_string(), cause.to_string()];
        expected.sort();
        assert_eq!(lines[0]["requires"], json!(expected));
    }

    #[tokio::test]
    async fn an_export_restates_its_facts_elsewhere_once() {
        let (here, there) = (node().await.0, node().await.0);
        let partners = |domain| PeerConfig {
            domain,
            name: "b".into(),
            addresses: Vec::new(),
            send: vec!["partners".into()],
            receive: Vec::new(),
        };
        there
            .set_peers(vec![partners(here.domain())])
            .await
            .unwrap();
        here.set_peers(vec![partners(there.domain())])
            .await
            .unwrap();
        let text = concat!(
            r#"{"ref":"one","type":"operation","resource":"a/1","valid_from":-5,"content":{"f":0.1,"b":{"$bytes":"AP8="}}}"#,
            "\n",
            r#"{"type":"operation","resource":"a/1","valid_from":-4,"content":{}}"#,
            "\n",
            r#"{"type":"validation","resource":"a/1","aspect":"v","valid_from":0,"requires":["one"],"content":{},"label":"x"}"#,
            "\n",
            r#"{"type":"validation","resource":"b/1","valid_from":0,"compartment":"partners","content":{}}"#,
        );
        import_all(&here, text).await;
        let (_, first) = exported(&here, FactQuery::default()).await;
        for _ in 0..2 {
            import_all(&there, &first).await;
        }
        let (_, second) = exported(&there, FactQuery::default()).await;
        let (first, second) = (values(&first), values(&second));
        assert_eq!(first.len(), 4);
        assert_eq!(without_ids(&first), without_ids(&second));
        assert!(
            first
                .iter()
                .zip(&second)
                .all(|(one, other)| one["ref"] != other["ref"])
        );
    }

    /// The lines with the number of its line for each id.
    fn without_ids(lines: &[Value]) -> Vec<String> {
        let mut texts: Vec<_> = lines.iter().map(Value::to_string).collect();
        for (number, line) in lines.iter().enumerate() {
            let id = line["ref"].as_str().unwrap();
            texts
                .iter_mut()
                .for_each(|text| *text = text.replace(id, &format!("#{number}")));
        }
        texts
    }

    #[tokio::test]
    async fn a_fact_that_is_held_in_part_is_left_out_and_told() {
        let (node, store) = node().await;
        node.registry()
            .register_fact("public", draft("a/1", &[]))
            .await
            .unwrap();
        let partial = fact().redact(|field| field == "mag");
        let log = LogId {
            origin: partial.core().origin,
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([4; 16]),
        };
        let entry = Entry::Row(Row::from(&partial));
        let entries = vec![NewEntry {
            log,
            position: 0,
            entry,
            mark: None,
        }];
        store
            .commit(Batch {
                entries,
                ..Batch::default()
            })
            .await
            .unwrap();
        let (result, text) = exported(&node, FactQuery::default()).await;
        assert_eq!(values(&text).len(), 1);
        assert_eq!(result.unwrap_err().code, ExitCode::Partial);
    }
}
