//! Reading a history line by line, and what can be wrong with it.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use serde::de::DeserializeOwned;

use crate::history::{Entry, Header, VERSION};
use crate::{Judge, Verdict};

/// A line has no more bytes, its line feed included.
pub const LINE_BYTES_MAX: u64 = 64 << 20;

/// A history that cannot be judged.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadHistory {
    /// The line, from 1; the one behind the last for what is missing.
    pub line: u64,
    /// What is wrong with it.
    pub error: HistoryError,
}

impl fmt::Display for BadHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.error)
    }
}

impl std::error::Error for BadHistory {}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// Something follows `end`.
    AfterEnd,
    /// There is no `end`.
    CutOff,
    /// There is nothing at all.
    Empty,
    /// The line cannot be read.
    Io(io::ErrorKind),
    /// The line is longer than [`LINE_BYTES_MAX`].
    LineTooLong,
    /// Not an object of the format; what serde expected and found.
    Malformed(String),
    /// This cannot happen here; what was expected.
    Misplaced(&'static str),
    /// This happens to a node, and none is named.
    NodeMissing,
    /// This happens to the world, and a node is named.
    NodeUnexpected,
    /// The time is before that of the line before.
    TimeRunsBack {
        /// The time of the line before.
        before: u64,
        /// The time of this line.
        at: u64,
    },
    /// A node that has not started.
    UnknownNode(String),
    /// A version that this crate does not read.
    UnknownVersion(u32),
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterEnd => f.write_str("expected nothing behind `end`"),
            Self::CutOff => f.write_str("expected `end`: the history was cut off"),
            Self::Empty => f.write_str("expected a header, found nothing"),
            Self::Io(kind) => write!(f, "cannot be read: {kind}"),
            Self::LineTooLong => write!(f, "expected at most {LINE_BYTES_MAX} bytes"),
            Self::Malformed(what) => f.write_str(what),
            Self::Misplaced(expected) => write!(f, "this cannot happen here: {expected}"),
            Self::NodeMissing => f.write_str("expected `node`: this happens to a node"),
            Self::NodeUnexpected => f.write_str("expected no `node`: this happens to the world"),
            Self::TimeRunsBack { before, at } => {
                write!(f, "expected a time of at least {before} ms, found {at} ms")
            }
            Self::UnknownNode(name) => write!(f, "expected the name of a node, found {name:?}"),
            Self::UnknownVersion(found) => {
                write!(f, "expected version {VERSION} of the format, found {found}")
            }
        }
    }
}

impl std::error::Error for HistoryError {}

/// Judges a whole history. Of the input, one line at a time is in memory.
///
/// # Errors
///
/// When it is not a history, with the line.
pub fn judge(input: impl BufRead) -> Result<Verdict, BadHistory> {
    let mut lines = Lines { input, line: 0 };
    let header = lines.next::<Header>()?.ok_or(HistoryError::Empty);
    let header = lines.found(header)?;
    let mut judge = lines.found(Judge::new(header))?;
    while let Some(entry) = lines.next::<Entry>()? {
        let observed = judge.observe(&entry);
        lines.found(observed)?;
    }
    lines.found(judge.finish())
}

struct Lines<I> {
    input: I,
    line: u64,
}

impl<I: BufRead> Lines<I> {
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BadHistory> {
        self.line += 1;
        let next = self.read();
        self.found(next)
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, HistoryError> {
        let mut line = Vec::new();
        let mut limited = self.input.by_ref().take(LINE_BYTES_MAX + 1);
        let length = limited
            .read_until(b'\n', &mut line)
            .map_err(|error| HistoryError::Io(error.kind()))?;
        if length as u64 > LINE_BYTES_MAX {
            return Err(HistoryError::LineTooLong);
        }
        if length == 0 {
            return Ok(None);
        }
        let read = serde_json::from_slice(&line);
        read.map(Some).map_err(|error| malformed(&error))
    }

    fn found<T>(&self, result: Result<T, HistoryError>) -> Result<T, BadHistory> {
        result.map_err(|error| BadHistory {
            line: self.line,
            error,
        })
    }
}

/// The message of serde, with the column but not the line, which is always the first.
fn malformed(error: &serde_json::Error) -> HistoryError {
    let text = error.to_string();
    let what = text.split(" at line 1 column ").next().unwrap_or(&text);
    HistoryError::Malformed(match error.column() {
        0 => what.to_owned(),
        column => format!("{what} (column {column})"),
    })
}
