//! How the program ends: the exit codes, and which failure gets which.

use std::fmt;
use std::io;
use std::process;

use causality_node::{AppendError, NodeError};
use causality_store::StoreError;
use causality_sync::SyncError;
use serde::{Deserialize, Serialize};

/// Why the program ends, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExitCode {
    /// Something else: a disk, a full disk, a port in use.
    Other,
    /// Arguments or input that make no sense.
    Usage,
    /// Done, but not all of it.
    Partial,
    /// Something that was named is not there.
    NotFound,
    /// Two things that cannot both be.
    Contradiction,
    /// The peer is somebody else, or does not know us.
    Denied,
    /// The peer is not there, or does not answer in time.
    Unreachable,
    /// Bytes are not what was signed or written.
    Integrity,
    /// Another process works on the home.
    Locked,
    /// The user ended it.
    Interrupted,
}

impl ExitCode {
    /// The number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::NotFound => 4,
            Self::Contradiction => 5,
            Self::Denied => 6,
            Self::Unreachable => 7,
            Self::Integrity => 8,
            Self::Locked => 9,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

/// A command that failed: the code, and a sentence that says what was wrong, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Arguments or input that make no sense.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// Something that was named is not there.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(ExitCode::NotFound, message)
    }

    /// Adds what to do next.
    pub(crate) fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }

    /// A failure of the file system, on a path or something else that has a name.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ExitCode::NotFound,
            _ => ExitCode::Other,
        };
        Self::new(code, format!("{what}: {}", sentence(error)))
    }
}

fn sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::StorageFull => "no space is left on the disk".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let code = match error {
            NodeError::Append(ref error) => append_code(error),
            NodeError::FactNotFound(_) | NodeError::PeerNotFound(_) => ExitCode::NotFound,
            NodeError::NoAddress { .. }
            | NodeError::Unreachable { .. }
            | NodeError::TimedOut { .. }
            | NodeError::Session { error: SyncError::Closed | SyncError::Goodbye(_), .. } => {
                ExitCode::Unreachable
            }
            // What a peer sent is not what was signed, or breaks the rules; nothing of it was taken.
            NodeError::Session { .. } => ExitCode::Integrity,
            NodeError::UnknownToPeer { .. } | NodeError::WrongPeer { .. } => ExitCode::Denied,
            NodeError::Store(error) => return error.into(),
            NodeError::Damaged(_) | NodeError::Integrity(_) => ExitCode::Integrity,
            NodeError::NotProvable => ExitCode::Partial,
            _ => ExitCode::Other,
        };
        Self::new(code, error.to_string())
    }
}

fn append_code(error: &AppendError) -> ExitCode {
    match error {
        AppendError::Draft { .. } | AppendError::TooMany(_) | AppendError::CompartmentName(_) => {
            ExitCode::Usage
        }
        _ => ExitCode::Other,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Locked { .. } => ExitCode::Locked,
            StoreError::NotAStore { .. }
            | StoreError::Corrupt { .. }
            | StoreError::PositionTaken { .. }
            | StoreError::Overlap { .. }
            | StoreError::NotAligned { .. }
            | StoreError::WrongOrigin { .. } => ExitCode::Integrity,
            _ => ExitCode::Other,
        };
        Self::new(code, error.to_string())
    }
}
