//! `fact import`: lines in, durable facts out.
//!
//! While a batch is written, the next is gathered from what has come in meanwhile, so batches grow with the load. When
//! the input pauses, what is there is written.

mod batch;
mod lines;

use std::collections::BTreeSet;

use causality_node::{
    AppendError, AppendOutcome, Appended, Clock as _, Node, NodeError, SystemClock,
};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, done, send};
use crate::line::{LINE_BYTES_MAX, Line, PUBLIC};
use crate::protocol::{ImportOptions, ImportSummary, ImportedItem, Item, Reply, Summary};
use batch::{Admitted, Batch, Labels, Sent};
use lines::{Lines, NoLine};

/// Imports lines as facts of the context's own domain.
pub(crate) async fn import(
    context: &Context,
    options: ImportOptions,
    input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    import_into(&context.node, &options, input, replies).await
}

async fn import_into(
    node: &Node,
    options: &ImportOptions,
    mut input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let mut import = Import::new(options, compartments(node).await?);
    let mut writing: Option<Writing> = None;
    loop {
        import.gather();
        for note in import.notes.drain(..) {
            send(replies, Reply::Note(note)).await?;
        }
        let Some(current) = &mut writing else {
            if import.is_ready(input.is_empty()) {
                writing = Some(import.start(node));
            } else if import.has_ended() {
                break;
            } else {
                import.lines.push(input.recv().await.as_deref());
            }
            continue;
        };
        tokio::select! {
            biased;
            appended = &mut current.task => {
                let sent = writing.take().map(|writing| writing.sent);
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
            summary: ImportSummary { lines: 0, added: 0, known: 0, skipped: 0 },
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
            let refusal = |column, code, message| Refusal { line: number, column, code, message };
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
                    let message = format!("a line has at most {LINE_BYTES_MAX} bytes; what follows is not read");
                    return Some(Err(refusal(None, ExitCode::Usage, message)));
                }
            };
            self.summary.lines += 1;
            let now_ms = i64::try_from(SystemClock.now_ms()).unwrap_or(i64::MAX);
            let line = match Line::read(text, now_ms) {
                Ok(line) => line,
                Err(error) => {
                    return Some(Err(refusal(Some(error.column), ExitCode::Usage, error.message)));
                }
            };
            if !self.compartments.contains(&line.compartment) {
                let compartment = &line.compartment;
                let message = format!(
                    "no compartment is called {compartment:?}; one comes into being by `causality peer add TICKET \
                     --send {compartment}`"
                );
                return Some(Err(refusal(None, ExitCode::Usage, message)));
            }
            let bytes = text.len();
            return Some(self.labels.admit(line, number, bytes));
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let Refusal { line, column, code, message } = refusal;
        let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
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

    /// Whether a batch is to be written, when none is.
    fn is_ready(&self, input_pauses: bool) -> bool {
        !self.batch.is_empty() && (input_pauses || !self.wants_input())
    }

    fn start(&mut self, node: &Node) -> Writing {
        let (compartment, drafts, sent) = std::mem::take(&mut self.batch).send(&mut self.labels);
        self.is_waiting = sent.is_alone;
        let node = node.clone();
        let append = async move { node.registry().register_facts(&compartment, drafts).await };
        Writing { sent, task: tokio::spawn(append) }
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
                self.refuse(Refusal { line, column: None, code: ExitCode::Usage, message });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for (line, appended) in sent.acknowledge(&mut self.labels, &appended) {
            let known = appended.outcome == AppendOutcome::AlreadyThere;
            *(if known { &mut self.summary.known } else { &mut self.summary.added }) += 1;
            if self.options.each {
                let item = ImportedItem { id: appended.id.to_string(), line, known };
                send(replies, Reply::Item(Item::Imported(item))).await?;
            }
        }
        let progress = Reply::Progress { done: self.lines.bytes(), total: self.options.total_bytes };
        send(replies, progress).await
    }

    async fn end(self, replies: &mpsc::Sender<Reply>) -> Result<(), Failure> {
        let (source, skipped) = (&self.options.source, self.summary.skipped);
        done(replies, Summary::Imported(self.summary)).await?;
        match self.refused {
            Some(failure) => Err(failure),
            None if skipped > 0 => {
                let message = format!("{source}: {skipped} lines were skipped");
                Err(Failure::new(ExitCode::Partial, message).advise("correct them and import again"))
            }
            None => Ok(()),
        }
    }
}

/// The compartments that a line may name: those of peers, and those that have logs here.
async fn compartments(node: &Node) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::from([PUBLIC.to_owned()]);
    for peer in node.messenger().peers() {
        names.extend(peer.send);
        names.extend(peer.receive);
    }
    let own = node.registry().digest(Some(node.domain())).await?;
    names.extend(own.logs.into_iter().map(|log| log.compartment_name));
    Ok(names)
}
