//! quinn's errors in the words of the joint.

use causality_transport::{REASON_BYTES_MAX, TransportError};
use quinn::{ConnectionError, ReadError, ReadExactError, TransportErrorCode, VarInt, WriteError};

/// Why a connection is over.
pub(crate) fn connection(error: ConnectionError) -> TransportError {
    match error {
        ConnectionError::ApplicationClosed(close) => TransportError::ClosedByPeer {
            code: code(close.error_code),
            reason: text(&String::from_utf8_lossy(&close.reason)),
        },
        ConnectionError::CidsExhausted => TransportError::Failed {
            reason: error.to_string(),
        },
        ConnectionError::ConnectionClosed(close) => TransportError::Refused {
            reason: text(&close.to_string()),
        },
        ConnectionError::LocallyClosed => TransportError::Closed,
        ConnectionError::Reset => TransportError::Forgotten,
        ConnectionError::TimedOut => TransportError::TimedOut,
        ConnectionError::TransportError(ref own)
            if own.code == TransportErrorCode::INTERNAL_ERROR =>
        {
            TransportError::Failed {
                reason: error.to_string(),
            }
        }
        ConnectionError::TransportError(_) => TransportError::Violated {
            reason: text(&error.to_string()),
        },
        ConnectionError::VersionMismatch => TransportError::Refused {
            reason: "no common version of QUIC".to_owned(),
        },
    }
}

/// Why a write failed.
pub(crate) fn write(error: WriteError) -> TransportError {
    match error {
        WriteError::Stopped(stopped) => TransportError::Stopped {
            code: code(stopped),
        },
        WriteError::ConnectionLost(lost) => connection(lost),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => TransportError::StreamClosed,
    }
}

/// Why a read failed; `None` for a clean end before the first byte.
pub(crate) fn read(error: ReadExactError, expected: usize) -> Option<TransportError> {
    Some(match error {
        ReadExactError::FinishedEarly(0) => return None,
        ReadExactError::FinishedEarly(received) => TransportError::Truncated { expected, received },
        ReadExactError::ReadError(ReadError::Reset(reset)) => {
            TransportError::Reset { code: code(reset) }
        }
        ReadExactError::ReadError(ReadError::ConnectionLost(lost)) => connection(lost),
        ReadExactError::ReadError(
            ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected,
        ) => TransportError::StreamClosed,
    })
}

fn code(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(u32::MAX)
}

/// The peer's words, bounded.
fn text(words: &str) -> String {
    words[..words.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_beyond_32_bits_reads_as_the_greatest() {
        assert_eq!(code(VarInt::from_u32(u32::MAX - 1)), u32::MAX - 1);
        assert_eq!(code(VarInt::MAX), u32::MAX);
    }

    #[test]
    fn the_words_of_a_peer_are_bounded() {
        let close = |reason: String| {
            connection(ConnectionError::ApplicationClosed(
                quinn::ApplicationClose {
                    error_code: VarInt::from_u32(1),
                    reason: reason.into_bytes().into(),
                },
            ))
        };
        for (sent, kept) in [
            (REASON_BYTES_MAX, REASON_BYTES_MAX),
            (REASON_BYTES_MAX + 1, 256),
        ] {
            let expected = TransportError::ClosedByPeer {
                code: 1,
                reason: "x".repeat(kept),
            };
            assert_eq!(close("x".repeat(sent)), expected);
        }
    }

    #[test]
    fn what_only_quinn_can_cause_keeps_its_place() {
        let failed = connection(ConnectionError::CidsExhausted);
        assert!(matches!(failed, TransportError::Failed { .. }), "{failed}");
        let refused = connection(ConnectionError::VersionMismatch);
        assert!(
            matches!(refused, TransportError::Refused { .. }),
            "{refused}"
        );
    }
}
