//! What the user sees: results on standard output in the format that was asked for, all else on standard error.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use tokio::sync::mpsc;

use crate::args::Format;
use crate::exit::{ExitCode, Failure};
use crate::plain::plain;
use crate::protocol::{Item, Reply, Summary};

/// Rows of a list that are laid out together.
const TABLE_ROWS: usize = 500;
/// How long something has to go on before it is said how fast it goes.
const RATE_AFTER: Duration = Duration::from_secs(1);

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Facts,
}

/// Shows the replies to one command until there are no more. Blocks.
pub(crate) fn show(
    format: Format,
    unit: Unit,
    replies: mpsc::Receiver<Reply>,
) -> Result<(), Failure> {
    Output::new(
        format,
        unit,
        BufWriter::with_capacity(1 << 16, io::stdout().lock()),
    )
    .run(replies)
}

/// Shows one result.
pub(crate) fn show_summary(format: Format, summary: Summary) -> Result<(), Failure> {
    let mut output = Output::new(format, Unit::Facts, io::stdout().lock());
    output
        .reply(Reply::Done(summary))
        .and_then(|()| output.finish())
        .map_err(written)
}

/// Says a failure.
pub(crate) fn say(failure: &Failure) {
    eprintln!("{}", sentence(&failure.message));
}

/// A sentence for standard error. It may hold what others have said.
fn sentence(message: &str) -> String {
    format!("causality: {}", plain(message))
}

struct Output<W> {
    format: Format,
    unit: Unit,
    out: W,
    /// Counts from the start, and is shown once there is something to count. Only on a terminal.
    bar: Option<ProgressBar>,
    has_progress: bool,
    /// Members of a JSON list that were written.
    members: usize,
    rows: Vec<Item>,
    has_header: bool,
}

impl Output<BufWriter<StdoutLock<'_>>> {
    fn run(mut self, mut replies: mpsc::Receiver<Reply>) -> Result<(), Failure> {
        while let Some(reply) = replies.blocking_recv() {
            self.reply(reply).map_err(written)?;
            if replies.is_empty() {
                self.out.flush().map_err(written)?;
            }
        }
        self.finish().map_err(written)
    }
}

impl<W: Write> Output<W> {
    fn new(format: Format, unit: Unit, out: W) -> Self {
        Self {
            format,
            unit,
            out,
            bar: io::stderr().is_terminal().then(ProgressBar::new_spinner),
            has_progress: false,
            members: 0,
            rows: Vec::new(),
            has_header: false,
        }
    }

    fn reply(&mut self, reply: Reply) -> io::Result<()> {
        match reply {
            Reply::Item(item) => self.item(item),
            Reply::Bytes(bytes) => self.out.write_all(&bytes),
            Reply::Note(note) => {
                let say = || eprintln!("{}", sentence(&note));
                match &self.bar {
                    Some(bar) => bar.suspend(say),
                    None => say(),
                }
                Ok(())
            }
            Reply::Progress { done, total } => {
                self.progress(done, total);
                Ok(())
            }
            Reply::Done(summary) => {
                self.clear_bar();
                self.done(&summary)
            }
        }
    }

    fn item(&mut self, item: Item) -> io::Result<()> {
        if let Item::Moved(moved) = &item {
            self.progress(moved.facts_sent + moved.facts_received, None);
        }
        match self.format {
            Format::Jsonl => writeln!(self.out, "{}", item.json()?),
            _ if !item.is_result() => Ok(()),
            Format::Json => {
                let before = if self.members == 0 { "[" } else { ",\n" };
                self.members += 1;
                write!(self.out, "{before}{}", item.json()?)
            }
            Format::Table => {
                self.rows.push(item);
                if self.rows.len() >= TABLE_ROWS {
                    self.lay_out()
                } else {
                    Ok(())
                }
            }
        }
    }

    fn done(&mut self, summary: &Summary) -> io::Result<()> {
        match (self.format, summary) {
            (_, Summary::Nothing) => Ok(()),
            (Format::Json, Summary::List) => {
                writeln!(self.out, "{}", if self.members == 0 { "[]" } else { "]" })
            }
            (Format::Table, Summary::List) => self.lay_out(),
            (Format::Jsonl, Summary::List) => Ok(()),
            (Format::Table, summary) => self.out.write_all(summary.text().as_bytes()),
            (Format::Json | Format::Jsonl, summary) => writeln!(self.out, "{}", summary.json()?),
        }
    }

    fn lay_out(&mut self) -> io::Result<()> {
        let Some(first) = self.rows.first() else {
            return Ok(());
        };
        let header = (!self.has_header).then(|| first.headers());
        let text = table(header, self.rows.iter().map(Item::cells));
        self.has_header = true;
        self.rows.clear();
        self.out.write_all(text.as_bytes())
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        if !std::mem::replace(&mut self.has_progress, true) {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_style(style(self.unit, total));
        }
        bar.set_position(done);
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.clear_bar();
        self.lay_out()?;
        self.out.flush()
    }
}

fn style(unit: Unit, total: Option<u64>) -> ProgressStyle {
    let template = match (unit, total) {
        (Unit::Bytes, Some(_)) => "{wide_bar} {bytes} of {total_bytes}{pace}",
        (Unit::Bytes, None) => "{spinner} {bytes}{pace}",
        (Unit::Facts, Some(_)) => "{wide_bar} {human_pos} of {human_len} facts{pace}",
        (Unit::Facts, None) => "{spinner} {human_pos} facts{pace}",
    };
    let pace = move |state: &ProgressState, to: &mut dyn fmt::Write| {
        // A terminal that takes no text shows none.
        let _ = to.write_str(&pace(unit, state.pos(), total, state.elapsed()));
    };
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("pace", pace)
}

/// How fast it has gone so far, and how long the rest takes if it goes on so. Nothing at first, when both would only tell
/// how large the first step was.
fn pace(unit: Unit, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    if elapsed < RATE_AFTER || done == 0 {
        return String::new();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    let each_second = match unit {
        Unit::Bytes => HumanBytes(rate as u64).to_string(),
        Unit::Facts => HumanCount(rate as u64).to_string(),
    };
    let rest = total.map(|total| total.saturating_sub(done) as f64 / rate);
    let rest = rest.and_then(|rest| Duration::try_from_secs_f64(rest).ok());
    let rest = rest.map_or_else(String::new, |rest| {
        format!(", {} to go", HumanDuration(rest))
    });
    format!(", {each_second}/s{rest}")
}

/// Rows as aligned columns. Cells may hold what others have said.
pub(crate) fn table(
    header: Option<&[&str]>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(header) = header {
        table.set_header(header.iter().copied());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell).into_owned()));
    }
    // The layout starts each line with the padding of the first column.
    let lines = table.lines().map(|line| {
        line.strip_prefix(' ')
            .unwrap_or(&line)
            .trim_end()
            .to_owned()
            + "\n"
    });
    lines.collect()
}

/// A reader that has gone, as `head` does, wants no more and no words.
fn written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(ExitCode::Other, ""),
        _ => Failure::io("standard output", &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ImportSummary, MovedItem, PeerItem};

    fn shown(format: Format, replies: &[Reply]) -> String {
        let mut out = Vec::new();
        let mut output = Output::new(format, Unit::Facts, &mut out);
        replies
            .iter()
            .try_for_each(|reply| output.reply(reply.clone()))
            .unwrap();
        output.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn item(name: &str) -> Reply {
        Reply::Item(Item::Peer(PeerItem {
            name: name.into(),
            id: "i".into(),
            addresses: Vec::new(),
            send: Vec::new(),
            receive: Vec::new(),
        }))
    }

    fn names(text: &str) -> Vec<String> {
        let values: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        values
            .iter()
            .map(|value| value["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_list_is_one_array_or_a_line_each_or_a_table() {
        let all = [item("a"), item("b"), Reply::Done(Summary::List)];
        assert_eq!(names(&shown(Format::Json, &all)), ["a", "b"]);
        assert_eq!(shown(Format::Jsonl, &all).lines().count(), 2);
        let table = shown(Format::Table, &all);
        assert!(
            table.starts_with("NAME") && table.lines().count() == 3,
            "{table}"
        );
    }

    #[test]
    fn a_sentence_is_one_line_whatever_others_have_put_into_it() {
        let said = sentence("no peer is called \u{1b}[2Ja\ncausality: all is well\u{9b}");
        assert_eq!(
            said,
            "causality: no peer is called \\u{1b}[2Ja\\ncausality: all is well\\u{9b}"
        );
    }

    #[test]
    fn an_empty_list_is_an_empty_array_or_nothing() {
        let none = [Reply::Done(Summary::List)];
        assert_eq!(shown(Format::Json, &none), "[]\n");
        assert_eq!(shown(Format::Jsonl, &none), "");
        assert_eq!(shown(Format::Table, &none), "");
    }

    #[test]
    fn a_long_table_has_one_header() {
        let mut all = vec![item("a"); TABLE_ROWS + 1];
        all.push(Reply::Done(Summary::List));
        let table = shown(Format::Table, &all);
        assert_eq!(table.lines().count(), TABLE_ROWS + 2);
        assert_eq!(table.matches("NAME").count(), 1);
    }

    #[test]
    fn news_on_the_way_is_for_json_lines_only() {
        let moved = Reply::Item(Item::Moved(MovedItem {
            facts_sent: 1,
            facts_received: 2,
        }));
        let summary = ImportSummary {
            lines: 1,
            added: 1,
            known: 0,
            skipped: 0,
        };
        let all = [moved, Reply::Done(Summary::Imported(summary))];
        assert_eq!(shown(Format::Jsonl, &all).lines().count(), 2);
        assert_eq!(shown(Format::Json, &all).lines().count(), 1);
        assert_eq!(shown(Format::Table, &all), "1 fact added, 1 line read\n");
    }

    #[test]
    fn a_pace_is_told_once_there_is_one() {
        let mib = 1 << 20;
        let second = Duration::from_secs(1);
        for (unit, done, total, elapsed, said) in [
            (Unit::Bytes, 100 * mib, None, second / 1000, ""),
            (Unit::Bytes, 0, Some(mib), second, ""),
            (Unit::Bytes, 100 * mib, None, second * 10, ", 10.00 MiB/s"),
            (
                Unit::Facts,
                9_000,
                Some(9_000),
                second * 2,
                ", 4,500/s, 0 seconds to go",
            ),
            (
                Unit::Facts,
                9_000,
                Some(99_000),
                second * 2,
                ", 4,500/s, 20 seconds to go",
            ),
            (Unit::Facts, 1, Some(u64::MAX), second * 1_000, ", 0/s"),
        ] {
            assert!(
                pace(unit, done, total, elapsed).starts_with(said),
                "{said:?}"
            );
        }
    }

    #[test]
    fn bytes_are_written_as_they_are() {
        let all = [Reply::Bytes(vec![0, 255]), Reply::Done(Summary::Nothing)];
        let mut out = Vec::new();
        let mut output = Output::new(Format::Json, Unit::Facts, &mut out);
        all.into_iter()
            .try_for_each(|reply| output.reply(reply))
            .unwrap();
        output.finish().unwrap();
        assert_eq!(out, [0, 255]);
    }
}
