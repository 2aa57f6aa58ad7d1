//! How the program ends: the exit codes, and which failure gets which.

use std::fmt;
use std::io;
use std::process;

use causality_node::{AppendError, GoodbyeReason, NodeError};
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
        Self {
            code,
            message: message.to_string(),
        }
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

/// What to do about a store that is damaged.
pub(crate) const BRING_BACK: &str = "bring back a backup with `causality store restore FILE`";

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
        let code = match &error {
            NodeError::Append(error) => append_code(error),
            NodeError::FactNotFound(_) | NodeError::PeerNotFound(_) => ExitCode::NotFound,
            NodeError::NoAddress { .. }
            | NodeError::Unreachable { .. }
            | NodeError::TimedOut { .. }
            | NodeError::Session {
                error: SyncError::Closed,
                ..
            } => ExitCode::Unreachable,
            NodeError::Goodbye { reason, .. } => goodbye_code(*reason),
            // What a peer sent is not what was signed, or breaks the rules; nothing of it was taken.
            NodeError::Session { .. } => ExitCode::Integrity,
            NodeError::UnknownToPeer { .. } | NodeError::WrongPeer { .. } => ExitCode::Denied,
            NodeError::OtherDomain { .. } => {
                return Self::new(ExitCode::Integrity, error).advise(
                    "a store goes with the keys of its home: put back this home's own with `causality store restore \
                     FILE`, or name the home of that domain with --home DIR",
                );
            }
            NodeError::Store(error) => return error.clone().into(),
            NodeError::Damaged(_) | NodeError::Integrity(_) => {
                return Self::new(ExitCode::Integrity, error).advise(BRING_BACK);
            }
            NodeError::NotProvable => ExitCode::Partial,
            _ => ExitCode::Other,
        };
        Self::new(code, error.to_string())
    }
}

/// A peer that cannot go on was there; one that leaves or has no room may be there later.
fn goodbye_code(reason: GoodbyeReason) -> ExitCode {
    match reason {
        GoodbyeReason::Done | GoodbyeReason::Overloaded | GoodbyeReason::Shutdown => {
            ExitCode::Unreachable
        }
        GoodbyeReason::Failed => ExitCode::Other,
        GoodbyeReason::UnknownPeer => ExitCode::Denied,
        GoodbyeReason::Violation => ExitCode::Integrity,
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
        if let StoreError::Io {
            kind: io::ErrorKind::UnexpectedEof,
            ..
        } = error
        {
            return Self::new(
                ExitCode::Integrity,
                "the store is damaged: its file ends early",
            );
        }
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
        let failure = Self::new(code, &error);
        match error {
            StoreError::Full => failure.advise("make room; what was confirmed until then stays"),
            StoreError::Newer { .. } => failure.advise("use the newer program that wrote it"),
            StoreError::Locked { .. } => failure.advise("wait for its end, or stop it"),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::{DomainId, FactId};

    #[test]
    fn the_numbers_are_those_that_are_documented() {
        let codes = [
            (ExitCode::Other, 1),
            (ExitCode::Usage, 2),
            (ExitCode::Partial, 3),
            (ExitCode::NotFound, 4),
            (ExitCode::Contradiction, 5),
            (ExitCode::Denied, 6),
            (ExitCode::Unreachable, 7),
            (ExitCode::Integrity, 8),
            (ExitCode::Locked, 9),
            (ExitCode::Interrupted, 130),
        ];
        assert!(
            codes
                .into_iter()
                .all(|(code, number)| code.number() == number)
        );
    }

    #[test]
    fn failures_of_a_node_have_the_code_of_their_cause() {
        let peer = || "b".to_owned();
        let session = |error| NodeError::Session {
            peer: peer(),
            error,
        };
        let goodbye = |reason| NodeError::Goodbye {
            peer: peer(),
            reason,
        };
        for (error, code) in [
            (
                NodeError::FactNotFound(FactId::new([1; 32])),
                ExitCode::NotFound,
            ),
            (
                NodeError::PeerNotFound(DomainId::new([1; 32])),
                ExitCode::NotFound,
            ),
            (NodeError::NoAddress { peer: peer() }, ExitCode::Unreachable),
            (NodeError::TimedOut { peer: peer() }, ExitCode::Unreachable),
            (NodeError::UnknownToPeer { peer: peer() }, ExitCode::Denied),
            (session(SyncError::Closed), ExitCode::Unreachable),
            (goodbye(GoodbyeReason::Done), ExitCode::Unreachable),
            (goodbye(GoodbyeReason::Failed), ExitCode::Other),
            (goodbye(GoodbyeReason::Overloaded), ExitCode::Unreachable),
            (goodbye(GoodbyeReason::Shutdown), ExitCode::Unreachable),
            (goodbye(GoodbyeReason::UnknownPeer), ExitCode::Denied),
            (goodbye(GoodbyeReason::Violation), ExitCode::Integrity),
            (
                NodeError::OtherDomain {
                    found: DomainId::new([1; 32]),
                },
                ExitCode::Integrity,
            ),
            (session(SyncError::Violation("x")), ExitCode::Integrity),
            (NodeError::Append(AppendError::TooMany(9)), ExitCode::Usage),
            (NodeError::Append(AppendError::EndOfTime), ExitCode::Other),
            (NodeError::Integrity("x".into()), ExitCode::Integrity),
            (NodeError::NotProvable, ExitCode::Partial),
            (NodeError::Stopped, ExitCode::Other),
            (NodeError::Store(StoreError::Full), ExitCode::Other),
        ] {
            assert_eq!(Failure::from(error).code, code);
        }
    }

    #[test]
    fn failures_of_a_store_have_the_code_of_their_cause() {
        let path = || "store".into();
        let io = |kind| StoreError::Io {
            kind,
            message: "x".into(),
        };
        for (error, code) in [
            (StoreError::Locked { path: path() }, ExitCode::Locked),
            (StoreError::NotAStore { path: path() }, ExitCode::Integrity),
            (
                StoreError::Corrupt { what: "x".into() },
                ExitCode::Integrity,
            ),
            (io(io::ErrorKind::UnexpectedEof), ExitCode::Integrity),
            (io(io::ErrorKind::PermissionDenied), ExitCode::Other),
            (
                StoreError::Newer {
                    found: 9,
                    supported: 1,
                },
                ExitCode::Other,
            ),
        ] {
            assert_eq!(Failure::from(error).code, code);
        }
        assert!(Failure::from(StoreError::Full).message.contains("space"));
    }
}
