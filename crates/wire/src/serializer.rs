//! The formats of a message: bincode between peers, JSON for dumps and the control socket.

use std::fmt;

use thiserror::Error;

use crate::codec;
use crate::codec::MESSAGE_BYTES_MAX;
use crate::message::SyncMessage;

/// The most bytes of one message in JSON: the hexadecimal digits and names around the largest message.
pub const JSON_BYTES_MAX: usize = 4 << 20;

/// How a message is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum MessageFormat {
    /// The compact one, between peers: each message has exactly one encoding.
    Bincode,
    /// The readable one, for dumps and the control socket.
    Json,
}

impl MessageFormat {
    /// The format of an encoded message. JSON begins with a brace, which is no number of a message.
    pub fn of(body: &[u8]) -> Self {
        if body.first() == Some(&b'{') {
            Self::Json
        } else {
            Self::Bincode
        }
    }

    /// What writes and reads this format.
    pub fn serializer(self) -> &'static dyn MessageSerializer {
        match self {
            Self::Bincode => &BincodeSerializer,
            Self::Json => &JsonSerializer,
        }
    }
}

impl fmt::Display for MessageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bincode => "bincode",
            Self::Json => "JSON",
        })
    }
}

/// Writes and reads messages in one format.
pub trait MessageSerializer: fmt::Debug + Send + Sync {
    /// The format.
    fn format(&self) -> MessageFormat;

    /// The bytes of a message.
    ///
    /// # Errors
    ///
    /// When the message as a whole is larger than [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX).
    fn serialize(&self, message: &SyncMessage) -> Result<Vec<u8>, SerializeError>;

    /// The message of exactly these bytes. Memory stays within a small factor of their number.
    ///
    /// # Errors
    ///
    /// For all bytes that are no message of this format.
    fn deserialize(&self, body: &[u8]) -> Result<SyncMessage, DeserializeError>;
}

/// bincode with fixed-width integers. What it reads it would write to the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct BincodeSerializer;

impl MessageSerializer for BincodeSerializer {
    fn format(&self) -> MessageFormat {
        MessageFormat::Bincode
    }

    fn serialize(&self, message: &SyncMessage) -> Result<Vec<u8>, SerializeError> {
        codec::encode(message)
    }

    fn deserialize(&self, body: &[u8]) -> Result<SyncMessage, DeserializeError> {
        codec::decode_exact(body)
    }
}

/// JSON without white space, bytes as hexadecimal digits. It also reads other spellings of the same JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct JsonSerializer;

impl MessageSerializer for JsonSerializer {
    fn format(&self) -> MessageFormat {
        MessageFormat::Json
    }

    fn serialize(&self, message: &SyncMessage) -> Result<Vec<u8>, SerializeError> {
        let (actual, limit) = (codec::encoded_length(message), MESSAGE_BYTES_MAX);
        if actual > limit {
            return Err(SerializeError::TooLong { actual, limit });
        }
        // serde_json fails for maps whose keys are not strings, of which a message has none, and when the writer does.
        Ok(serde_json::to_vec(message).expect("a message is written to memory"))
    }

    fn deserialize(&self, body: &[u8]) -> Result<SyncMessage, DeserializeError> {
        let (actual, limit) = (body.len(), JSON_BYTES_MAX);
        if actual > limit {
            return Err(DeserializeError::TooLong { actual, limit });
        }
        let message = serde_json::from_slice(body).map_err(explain)?;
        let (actual, limit) = (codec::encoded_length(&message), MESSAGE_BYTES_MAX);
        if actual > limit {
            return Err(DeserializeError::TooLong { actual, limit });
        }
        Ok(message)
    }
}

fn explain(error: serde_json::Error) -> DeserializeError {
    // The text of the error would quote the input, which may be content.
    DeserializeError::Json {
        line: error.line(),
        column: error.column(),
        reason: match error.classify() {
            serde_json::error::Category::Data => "a value that no message has there",
            serde_json::error::Category::Eof => "the end of the input",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "the syntax",
        },
    }
}

/// Which formats a receiver takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed by the specification of version 0"
)]
pub enum AcceptedFormats {
    /// What peers speak unless somebody decides otherwise.
    #[default]
    Bincode,
    /// JSON too: the control socket, dumps, and peers on a bench.
    BincodeAndJson,
}

impl AcceptedFormats {
    /// Reads a message in whichever of the formats it is written.
    ///
    /// # Errors
    ///
    /// [`DeserializeError::FormatRefused`] for a format that is not taken, and those of its serializer.
    pub fn deserialize(self, body: &[u8]) -> Result<SyncMessage, DeserializeError> {
        let format = MessageFormat::of(body);
        if !self.accepts(format) {
            return Err(DeserializeError::FormatRefused { format });
        }
        format.serializer().deserialize(body)
    }

    /// Whether it takes a format.
    pub fn accepts(self, format: MessageFormat) -> bool {
        match format {
            MessageFormat::Bincode => true,
            MessageFormat::Json => self == Self::BincodeAndJson,
        }
    }
}

/// Why a message has no bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerializeError {
    /// Its parts are within their limits, the whole is not.
    #[error("the message has {actual} bytes, the limit is {limit}")]
    TooLong {
        /// How many bytes it would have.
        actual: usize,
        /// How many it may have.
        limit: usize,
    },
}

/// Why bytes are no message. All but [`FormatRefused`](Self::FormatRefused) mean that the sender broke the protocol.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeserializeError {
    /// There are more bytes than a message has; nothing was read.
    #[error("the message has {actual} bytes, the limit is {limit}")]
    TooLong {
        /// How many there are.
        actual: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The bytes end inside a value.
    #[error("the message ends inside a value, at least {missing} bytes are missing")]
    Truncated {
        /// How many bytes the value lacks.
        missing: usize,
    },
    /// Bytes follow the message.
    #[error("{extra} bytes follow the message, which has {consumed}")]
    Trailing {
        /// How many bytes the message has.
        consumed: usize,
        /// How many follow.
        extra: usize,
    },
    /// A length inside is above the limit of the whole message.
    #[error("a length exceeds what is left of the {limit} bytes of a message")]
    LengthExceeded {
        /// How many bytes a message may have.
        limit: usize,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A value is unknown to this version or above its own limit.
    #[error("invalid value: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The message has another encoding, which is the canonical one.
    #[error("the message is not in its canonical encoding")]
    NotCanonical,
    /// The text is not JSON, or not a message.
    #[error("the JSON fails at line {line}, column {column}, because of {reason}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The receiver does not take this format.
    #[error("messages in {format} are not accepted here")]
    FormatRefused {
        /// The format.
        format: MessageFormat,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Goodbye;
    use crate::message::GoodbyeReason;

    const JSON: &[u8] = br#"{"goodbye":{"reason":"done"}}"#;
    const DONE: SyncMessage = SyncMessage::Goodbye(Goodbye {
        reason: GoodbyeReason::Done,
    });

    #[test]
    fn each_format_reads_what_it_writes() {
        for format in [MessageFormat::Bincode, MessageFormat::Json] {
            let serializer = format.serializer();
            let body = serializer.serialize(&DONE).unwrap();
            assert_eq!(serializer.format(), format);
            assert_eq!(MessageFormat::of(&body), format);
            assert_eq!(serializer.deserialize(&body), Ok(DONE));
        }
        assert_eq!(JsonSerializer.serialize(&DONE).unwrap(), JSON);
    }

    #[test]
    fn json_is_refused_unless_enabled() {
        assert_eq!(AcceptedFormats::default(), AcceptedFormats::Bincode);
        let format = MessageFormat::Json;
        let refused = AcceptedFormats::Bincode.deserialize(JSON);
        assert_eq!(refused, Err(DeserializeError::FormatRefused { format }));
        assert_eq!(AcceptedFormats::BincodeAndJson.deserialize(JSON), Ok(DONE));

        let body = BincodeSerializer.serialize(&DONE).unwrap();
        assert_eq!(AcceptedFormats::Bincode.deserialize(&body), Ok(DONE));
        assert_eq!(AcceptedFormats::BincodeAndJson.deserialize(&body), Ok(DONE));
    }

    #[test]
    fn json_errors_tell_the_place_and_no_content() {
        let error = |json: &str| JsonSerializer.deserialize(json.as_bytes()).unwrap_err();
        let (line, column) = (1, 29);
        let reason = "a value that no message has there";
        let expected = DeserializeError::Json {
            line,
            column,
            reason,
        };
        assert_eq!(error(r#"{"goodbye":{"reason":"secret"}}"#), expected);
        assert!(!error(r#"{"secret":{}}"#).to_string().contains("secret"));
        assert!(
            error("{\"goodbye\":")
                .to_string()
                .contains("end of the input")
        );
        assert!(error("{\"goodbye\";").to_string().contains("the syntax"));
        let twice = r#"{"goodbye":{"reason":"done","reason":"done"}}"#;
        assert!(matches!(error(twice), DeserializeError::Json { .. }));
        let unknown = r#"{"goodbye":{"reason":"done","more":1}}"#;
        assert!(matches!(error(unknown), DeserializeError::Json { .. }));
        let trailing = r#"{"goodbye":{"reason":"done"}}{}"#;
        assert!(matches!(error(trailing), DeserializeError::Json { .. }));
    }

    #[test]
    fn the_limit_of_json_holds_at_and_above_it() {
        let mut body = JSON.to_vec();
        body.resize(JSON_BYTES_MAX, b' ');
        assert_eq!(JsonSerializer.deserialize(&body), Ok(DONE));
        body.push(b' ');
        let (actual, limit) = (JSON_BYTES_MAX + 1, JSON_BYTES_MAX);
        let refused = JsonSerializer.deserialize(&body);
        assert_eq!(refused, Err(DeserializeError::TooLong { actual, limit }));
    }
}
