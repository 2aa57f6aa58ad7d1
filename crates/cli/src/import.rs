//! `fact import`: lines in, durable facts out.
//!
//! While a batch is written, the next is gathered from what has come in meanwhile, so batches grow with the load. When
//! the input pauses, what is there is written.

mod batch;
mod lines;

use std::collections::{BTreeSet, VecDeque};

use causality_node::{
    AppendError, AppendOutcome, Appended, Clock as _, Node, NodeError, SystemClock,
};
use causality_strategy::{Flow, SyncPolicies};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, done, send};
use crate::line::{LINE_BYTES_MAX, Line, PUBLIC};
use crate::protocol::{ImportOptions, ImportSummary, ImportedItem, Item, Reply, Summary};
use crate::text::count;
use batch::{Admitted, Batch, Labels, Sent};
use lines::{Lines, NoLine};

/// Imports lines as facts of the context's own domain.
pub(crate) async fn import(
    context: &Context,
    options: ImportOptions,
    input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    // A policy that is wrong shares nothing, and keeps nobody from writing.
    let policy = context.policy().await.unwrap_or_default();
    import_into((&context.node, &policy.policies), &options, input, replies).await
}

async fn import_into(
    (node, policies): (&Node, &SyncPolicies),
    options: &ImportOptions,
    mut input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let mut import = Import::new(options, compartments(node, policies).await?);
    // In the order in which they were started, in which they also end.
    let mut writing: VecDeque<Writing> = VecDeque::new();
    loop {
        import.gather();
        for note in import.notes.drain(..) {
            send(replies, Reply::Note(note)).await?;
        }
        if import.may_start(writing.len(), input.is_empty()) {
            writing.push_back(import.start(node));
            continue;
        }
        let Some(first) = writing.front_mut() else {
            if import.has_ended() {
                break;
            }
            import.lines.push(input.recv().await.as_deref());
            continue;
        };
        tokio::select! {
            biased;
            appended = &mut first.task => {
                let sent = writing.pop_front().map(|writing| writing.sent);
                import.written(sent.as_ref(), appended, replies).await?;
            }
            bytes = input.recv(), if import.wants_input() => import.lines.push(bytes.as_deref()),
        }
    }
    import.end(replies).await
}

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    line: u64,
    column: Option<usize>,
    code: ExitCode,
    message: String,
}

/// A batch that is being written.
struct Writing {
    sent: Sent,
    task: JoinHandle<Result<Vec<Appended>, NodeError>>,
}

/// An import under way.
struct Import<'a> {
    options: &'a ImportOptions,
    compartments: BTreeSet<String>,
    lines: Lines,
    labels: Labels,
    batch: Batch,
    /// A line that belongs into the next batch.
    held: Option<Box<Admitted>>,
    /// Nothing is gathered while a line is written that may be refused.
    is_waiting: bool,
    refused: Option<Failure>,
    notes: Vec<String>,
    summary: ImportSummary,
}

impl<'a> Import<'a> {
    fn new(options: &'a ImportOptions, compartments: BTreeSet<String>) -> Self {
        Self {
            options,
            compartments,
            lines: Lines::default(),
            labels: Labels::default(),
            batch: Batch::default(),
            held: None,
            is_waiting: false,
            refused: None,
            notes: Vec::new(),
            summary: ImportSummary {
                lines: 0,
                added: 0,
                known: 0,
                skipped: 0,
            },
        }
    }

    /// Reads the lines that are there, until the batch is full or one is refused.
    fn gather(&mut self) {
        while !self.is_waiting && self.refused.is_none() && !self.batch.is_full() {
            let admitted = match self.held.take() {
                Some(held) => *held,
                None => match self.next() {
                    Some(Ok(admitted)) => admitted,
                    Some(Err(refusal)) => {
                        self.refuse(refusal);
                        continue;
                    }
                    None => return,
                },
            };
            if let Err(admitted) = self.batch.add(admitted) {
                self.held = Some(admitted);
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Result<Admitted, Refusal>> {
        loop {
            let (number, line) = self.lines.take()?;
            let refusal = |column, code, message| Refusal {
                line: number,
                column,
                code,
                message,
            };
            let text = match line {
                Ok(text) if text.trim_ascii().is_empty() => continue,
                Ok(text) => text,
                Err(NoLine::NotText(column)) => {
                    self.summary.lines += 1;
                    let message = "this is not UTF-8 text".to_owned();
                    return Some(Err(refusal(Some(column), ExitCode::Usage, message)));
                }
                Err(NoLine::TooLong) => {
                    self.summary.lines += 1;
                    let message = format!(
                        "a line has at most {LINE_BYTES_MAX} bytes; what follows is not read"
                    );
                    return Some(Err(refusal(None, ExitCode::Usage, message)));
                }
            };
            self.summary.lines += 1;
            let now_ms = i64::try_from(SystemClock.now_ms()).unwrap_or(i64::MAX);
            let line = match Line::read(text, now_ms) {
                Ok(line) => line,
                Err(error) => {
                    return Some(Err(refusal(
                        Some(error.column),
                        ExitCode::Usage,
                        error.message,
                    )));
                }
            };
            if !self.compartments.contains(&line.compartment) {
                let compartment = &line.compartment;
                let message = format!(
                    "no compartment is called {compartment:?}; one comes into being by `causality peer add TICKET \
                     --send {compartment}`, or by a rule of [[out]] that names it"
                );
                return Some(Err(refusal(None, ExitCode::Usage, message)));
            }
            let bytes = text.len();
            return Some(self.labels.admit(line, number, bytes));
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let Refusal {
            line,
            column,
            code,
            message,
        } = refusal;
        let column = column
            .map(|column| format!(", column {column}"))
            .unwrap_or_default();
        let message = format!("{}, line {line}{column}: {message}", self.options.source);
        if self.options.skip_invalid {
            self.summary.skipped += 1;
            self.notes.push(format!("skipped {message}"));
        } else {
            let failure = Failure::new(code, message);
            self.refused = Some(failure.advise(
                "the lines before it are imported, and importing them again adds nothing; --skip-invalid goes on \
                 behind such lines",
            ));
        }
    }

    fn has_ended(&self) -> bool {
        self.refused.is_some() || self.lines.has_ended()
    }

    fn wants_input(&self) -> bool {
        !self.has_ended() && !self.is_waiting && !self.batch.is_full() && self.held.is_none()
    }

    /// Whether the batch is to be written while so many are: the first one as soon as there is nothing to add to it, a
    /// further one when it is full and names no line that has no id yet.
    fn may_start(&self, writing: usize, input_pauses: bool) -> bool {
        match writing {
            _ if self.batch.is_empty() || self.is_waiting => false,
            0 => input_pauses || !self.wants_input(),
            1 => self.batch.is_full() && self.batch.is_free(),
            _ => false,
        }
    }

    fn start(&mut self, node: &Node) -> Writing {
        let (compartment, drafts, sent) = std::mem::take(&mut self.batch).send(&mut self.labels);
        self.is_waiting = sent.is_alone;
        let node = node.clone();
        let append = async move { node.registry().register_facts(&compartment, drafts).await };
        Writing {
            sent,
            task: tokio::spawn(append),
        }
    }

    async fn written(
        &mut self,
        sent: Option<&Sent>,
        appended: Result<Result<Vec<Appended>, NodeError>, JoinError>,
        replies: &mpsc::Sender<Reply>,
    ) -> Result<(), Failure> {
        self.is_waiting = false;
        let Some(sent) = sent else { return Ok(()) };
        let appended = match appended.unwrap_or(Err(NodeError::Stopped)) {
            Ok(appended) => appended,
            Err(NodeError::Append(AppendError::Draft { index, error })) if sent.is_alone => {
                let line = sent.refuse(&mut self.labels, index);
                let message = error.to_string();
                self.refuse(Refusal {
                    line,
                    column: None,
                    code: ExitCode::Usage,
                    message,
                });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for (line, appended) in sent.acknowledge(&mut self.labels, &appended) {
            let known = appended.outcome == AppendOutcome::AlreadyThere;
            *(if known {
                &mut self.summary.known
            } else {
                &mut self.summary.added
            }) += 1;
            if self.options.each {
                let item = ImportedItem {
                    id: appended.id.to_string(),
                    line,
                    known,
                };
                send(replies, Reply::Item(Item::Imported(item))).await?;
            }
        }
        let progress = Reply::Progress {
            done: self.lines.bytes(),
            total: self.options.total_bytes,
        };
        send(replies, progress).await
    }

    async fn end(self, replies: &mpsc::Sender<Reply>) -> Result<(), Failure> {
        let (source, skipped) = (&self.options.source, self.summary.skipped);
        done(replies, Summary::Imported(self.summary)).await?;
        match self.refused {
            Some(failure) => Err(failure),
            None if skipped > 0 => {
                let message = format!("{source}: skipped {}", count(skipped, "line"));
                Err(Failure::new(ExitCode::Partial, message)
                    .advise("correct them and import again"))
            }
            None => Ok(()),
        }
    }
}

/// The compartments that a line may name: those of peers, those that rules let out, and those that have logs here.
async fn compartments(node: &Node, policies: &SyncPolicies) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::from([PUBLIC.to_owned()]);
    let named = policies.compartments(Flow::Out);
    names.extend(named.into_iter().map(str::to_owned));
    for peer in node.messenger().peers() {
        names.extend(peer.send);
        names.extend(peer.receive);
    }
    let own = node.registry().digest(Some(node.domain())).await?;
    names.extend(own.logs.into_iter().map(|log| log.compartment_name));
    Ok(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use causality_fact::{DomainId, FactQuery};
    use causality_node::PeerConfig;

    use super::*;
    use crate::tests::node;

    fn options() -> ImportOptions {
        ImportOptions {
            source: "input".into(),
            skip_invalid: false,
            each: true,
            total_bytes: None,
        }
    }

    fn line(resource: &str, more: &str) -> String {
        format!(r#"{{"type":"operation","resource":"{resource}","content":{{}}{more}}}"#) + "\n"
    }

    /// What an import of this text came to: the failure, and what was sent.
    async fn imported(node: &Node, options: &ImportOptions, text: &str) -> Outcome {
        let (input, input_out) = mpsc::channel(1);
        let (replies, mut replies_out) = mpsc::channel(1);
        let bytes = text.as_bytes().to_vec();
        let feed = async move { drop(input.send(bytes).await) };
        let work = async {
            import_into((node, &SyncPolicies::default()), options, input_out, &{
                replies
            })
            .await
        };
        let collect = async {
            let mut sent = Vec::new();
            while let Some(reply) = replies_out.recv().await {
                sent.push(reply);
            }
            sent
        };
        let ((), result, sent) = tokio::join!(feed, work, collect);
        Outcome { result, sent }
    }

    struct Outcome {
        result: Result<(), Failure>,
        sent: Vec<Reply>,
    }

    impl Outcome {
        fn items(&self) -> Vec<&ImportedItem> {
            let mut items = Vec::new();
            for reply in &self.sent {
                if let Reply::Item(Item::Imported(item)) = reply {
                    items.push(item);
                }
            }
            items
        }

        fn notes(&self) -> Vec<&str> {
            let mut notes = Vec::new();
            for reply in &self.sent {
                if let Reply::Note(note) = reply {
                    notes.push(note.as_str());
                }
            }
            notes
        }

        /// Lines, added, known, skipped.
        fn counts(&self) -> (u64, u64, u64, u64) {
            match self.sent.last() {
                Some(Reply::Done(Summary::Imported(s))) => (s.lines, s.added, s.known, s.skipped),
                other => panic!("no summary but {other:?}"),
            }
        }
    }

    /// Imports what must be valid, for tests of what comes after.
    pub(crate) async fn import_all(node: &Node, text: &str) {
        imported(node, &options(), text).await.result.unwrap();
    }

    async fn held(node: &Node) -> usize {
        let page = node
            .registry()
            .query_facts(&FactQuery::default(), None, 10_000)
            .await
            .unwrap();
        assert_eq!(page.next, None);
        page.facts.len()
    }

    #[tokio::test]
    async fn a_line_may_name_a_compartment_that_a_rule_lets_out() {
        let (node, _) = node().await;
        let rule = "[[out]]\nname = 'a'\npeers = ['*']\ncompartments = ['ops', 'w*']";
        let policies = SyncPolicies::parse(rule).unwrap();
        let named = compartments(&node, &policies).await.unwrap();
        assert!(named.into_iter().eq(["ops", PUBLIC]));
    }

    #[tokio::test]
    async fn each_line_is_acknowledged_in_order_and_again_as_known() {
        let (node, _) = node().await;
        let text =
            line("a/1", "") + "\n  \n" + &line("a/2", "") + &line("a/1", "").replace(',', " , ");
        let first = imported(&node, &options(), &text).await;
        assert_eq!(first.result, Ok(()));
        assert_eq!(first.counts(), (3, 2, 1, 0));
        let lines: Vec<_> = first
            .items()
            .iter()
            .map(|item| (item.line, item.known))
            .collect();
        assert_eq!(lines, [(1, false), (4, false), (5, true)]);
        assert_eq!(first.items()[0].id, first.items()[2].id);
        let second = imported(&node, &options(), &text).await;
        assert_eq!(second.counts(), (3, 0, 3, 0));
        assert_eq!(held(&node).await, 2);
    }

    #[tokio::test]
    async fn what_is_there_is_durable_before_more_comes() {
        let (node, _) = node().await;
        let (input, input_out) = mpsc::channel(1);
        let (replies, mut replies_out) = mpsc::channel(1);
        let working = tokio::spawn({
            let node = node.clone();
            let policies = SyncPolicies::default();
            async move { import_into((&node, &policies), &options(), input_out, &replies).await }
        });
        for number in 1..=3 {
            let more = if number > 1 {
                r#","requires":["1"]"#
            } else {
                r#","ref":"1""#
            };
            let text = line(&format!("a/{number}"), more);
            let (start, end) = text.split_at(20);
            input.send(start.into()).await.unwrap();
            input.send(end.into()).await.unwrap();
            loop {
                match replies_out.recv().await.unwrap() {
                    Reply::Item(Item::Imported(item)) => break assert_eq!(item.line, number),
                    other => assert!(matches!(other, Reply::Progress { .. }), "{other:?}"),
                }
            }
        }
        drop(input);
        while replies_out.recv().await.is_some() {}
        assert_eq!(working.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn lines_before_an_invalid_one_stay_and_are_counted() {
        let (node, _) = node().await;
        let text = line("a/1", "") + "nonsense\n" + &line("a/2", "");
        let outcome = imported(&node, &options(), &text).await;
        let failure = outcome.result.as_ref().unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(
            failure
                .message
                .starts_with("input, line 2, column 1: expected an object"),
            "{failure:?}"
        );
        assert_eq!(outcome.counts(), (2, 1, 0, 0));
        assert_eq!(held(&node).await, 1);
    }

    #[tokio::test]
    async fn invalid_lines_are_skipped_with_a_note_if_so_told() {
        let (node, _) = node().await;
        let text =
            "\u{fffd}\n".to_owned() + &line("a/1", r#","ref":"x""#) + &line("a/2", r#","ref":"x""#);
        let options = ImportOptions {
            skip_invalid: true,
            ..options()
        };
        let outcome = imported(&node, &options, &text).await;
        assert_eq!(outcome.result.as_ref().unwrap_err().code, ExitCode::Partial);
        assert_eq!(outcome.counts(), (3, 1, 0, 2));
        let notes = outcome.notes();
        assert!(
            notes[0].starts_with("skipped input, line 1, column 1: "),
            "{notes:?}"
        );
        assert!(
            notes[1].starts_with("skipped input, line 3: an earlier line with the ref \"x\""),
            "{notes:?}"
        );
    }

    #[tokio::test]
    async fn a_compartment_must_be_known() {
        let (node, _) = node().await;
        let text = line("a/1", r#","compartment":"partners""#) + &line("a/2", "");
        let failure = imported(&node, &options(), &text).await.result.unwrap_err();
        assert!(
            failure
                .message
                .contains("no compartment is called \"partners\""),
            "{failure:?}"
        );
        let peer = PeerConfig {
            domain: DomainId::new([7; 32]),
            name: "b".into(),
            addresses: Vec::new(),
            send: vec!["partners".into()],
            receive: Vec::new(),
        };
        node.set_peers(vec![peer]).await.unwrap();
        import_all(&node, &text).await;
        assert_eq!(held(&node).await, 2);
        // Its log keeps a compartment known when the peer has gone.
        node.set_peers(Vec::new()).await.unwrap();
        import_all(&node, &text).await;
        assert_eq!(held(&node).await, 2);
    }

    #[tokio::test]
    async fn a_stream_may_have_many_batches() {
        let (node, _) = node().await;
        let count = batch::BATCH_LINES_MAX + 10;
        let text: String = (0..count)
            .map(|number| line(&format!("a/{number}"), ""))
            .collect();
        let outcome = imported(&node, &options(), &text).await;
        assert_eq!(outcome.items().len(), count);
        let done = outcome
            .sent
            .iter()
            .filter(|reply| matches!(reply, Reply::Progress { .. }));
        assert_eq!(done.count(), 2);
    }

    #[tokio::test]
    async fn a_fact_that_is_too_large_with_its_heads_is_refused_alone() {
        let (node, _) = node().await;
        let head = |number: usize| {
            line(
                "a/1",
                &format!(r#","valid_from":0,"supersedes":[],"label":"{number}""#),
            )
        };
        let heads: String = (0..256).map(head).collect();
        let large = line("a/1", r#","ref":"large""#)
            .replace("{}", &format!(r#"{{"t":"{}"}}"#, "x".repeat(59_000)));
        let text = heads + &large + &line("a/2", r#","requires":["large"]"#) + &line("a/3", "");
        let options = ImportOptions {
            skip_invalid: true,
            ..options()
        };
        let outcome = imported(&node, &options, &text).await;
        assert_eq!(outcome.counts(), (259, 257, 0, 2));
        let notes = outcome.notes();
        assert!(
            notes[0].contains("line 257: ") && notes[0].contains("60000"),
            "{}",
            notes[0]
        );
        assert!(
            notes[1].contains("line 258, column ") && notes[1].contains("\"large\""),
            "{}",
            notes[1]
        );
    }

    #[test]
    fn items_and_summaries_have_documented_keys() {
        let item = ImportedItem {
            id: "0a".repeat(32),
            line: 1,
            known: false,
        };
        insta::assert_json_snapshot!(item, @r#"
        {
          "id": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
          "line": 1,
          "known": false
        }
        "#);
        let summary = ImportSummary {
            lines: 4,
            added: 2,
            known: 1,
            skipped: 1,
        };
        insta::assert_json_snapshot!(summary, @r#"
        {
          "lines": 4,
          "added": 2,
          "known": 1,
          "skipped": 1
        }
        "#);
    }
}
