//! What kept a log from being brought up to date with a peer.

use causality_fact::LogId;
use causality_sync::LogError;
use causality_wire::RefusalReason;
use thiserror::Error;

/// A log that was not brought up to date with a peer, although both may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct LogProblem {
    /// The log.
    pub log: LogId,
    /// What its compartment is called here, if it is known.
    pub compartment: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a log between this domain and a peer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The peer takes nothing more of it.
    #[error("the peer does not take it: {}", refusal(*.0))]
    Declined(RefusalReason),
    /// The peer holds other facts at the same positions.
    #[error("the peer holds other facts at the same positions")]
    Forked,
    /// It is the lane in which this store writes, and the peer holds more of it: the store was set back.
    #[error("the peer holds more of this domain's own log than this store, which was set back")]
    LaneAhead,
    /// Nothing more of it is taken from the peer.
    #[error("it is not taken from the peer: {0}")]
    Refused(LogError),
    /// The peer lacks more of it than can be announced at once.
    #[error("the peer lacks more of it than can be announced at once")]
    TooFarBehind,
}

impl Problem {
    /// Whether the next round begins without it: it may be over by then, and is met again if it is not.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Declined(reason) => matches!(
                reason,
                RefusalReason::Limit | RefusalReason::Policy | RefusalReason::RetryLater
            ),
            Self::Refused(error) => matches!(error, LogError::Limit | LogError::NotGranted),
            Self::Forked | Self::LaneAhead | Self::TooFarBehind => false,
        }
    }
}

/// What the reason means to the side that is refused.
fn refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Key => "the key that vouches for it does not fit those that the peer knows",
        RefusalReason::Limit => "a limit of the peer is reached",
        RefusalReason::Malformed => "it does not fit what the peer holds of it",
        RefusalReason::Policy => "the peer does not receive its compartment from this domain",
        RefusalReason::RetryLater => "the peer has no room for it now",
        RefusalReason::Unsupported => "the program of the peer does not know facts of its kind",
        RefusalReason::Void => "its origin has closed the lane",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_over_is_forgotten_before_the_next_round() {
        for passing in [
            Problem::Declined(RefusalReason::Limit),
            Problem::Declined(RefusalReason::Policy),
            Problem::Declined(RefusalReason::RetryLater),
            Problem::Refused(LogError::Limit),
            Problem::Refused(LogError::NotGranted),
        ] {
            assert!(passing.may_pass(), "{passing}");
        }
        for lasting in [
            Problem::Declined(RefusalReason::Key),
            Problem::Declined(RefusalReason::Malformed),
            Problem::Declined(RefusalReason::Unsupported),
            Problem::Declined(RefusalReason::Void),
            Problem::Forked,
            Problem::LaneAhead,
            Problem::Refused(LogError::Closed { size: 1 }),
            Problem::TooFarBehind,
        ] {
            assert!(!lasting.may_pass(), "{lasting}");
        }
    }
}
