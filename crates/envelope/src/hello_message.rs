//! The three messages of the Hello as bytes (`docs/src/spec/session.md`, section "Messages"). Checks nothing but the form.

use std::ops::RangeInclusive;

use causality_fact::{DecodeError, Decoder, Encoder, KEY_RECORDS_MAX, TransportPublicKey};

use crate::hello::{HELLO_VERSIONS, HelloError};

/// The most bytes of a message.
pub const HELLO_BYTES_MAX: usize = 64 << 10;
/// The most bytes that each side tells the other with its message.
pub const PARAMETERS_BYTES_MAX: usize = 1024;

const MAGIC: &[u8; 9] = b"causality";
const SIGNATURE_BYTES: usize = 64;

/// The first message. Its form is the same in all versions.
pub(crate) struct Opening {
    pub(crate) versions: RangeInclusive<u8>,
    pub(crate) ephemeral: [u8; 32],
}

impl Opening {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.raw(MAGIC)
            .u8(*self.versions.start())
            .u8(*self.versions.end())
            .raw(&self.ephemeral);
        to.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        check_length(bytes)?;
        let opening = Decoder::exactly(bytes, |from| {
            decode_magic(from)?;
            let at = from.at();
            let versions = from.u8()?..=from.u8()?;
            if versions.is_empty() {
                let rule = "versions run from the lowest to the highest";
                return Err(DecodeError::NotCanonical { at, rule });
            }
            let ephemeral = from.array()?;
            Ok(Self {
                versions,
                ephemeral,
            })
        })?;
        Ok(opening)
    }
}

/// The second message. Magic and version come first in all versions.
pub(crate) struct Answer<'a> {
    pub(crate) version: u8,
    pub(crate) ephemeral: [u8; 32],
    pub(crate) presentation: Presentation<'a>,
    /// The bytes before the signature.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Answer<'a> {
    /// The bytes before the signature.
    pub(crate) fn encode(
        version: u8,
        ephemeral: &[u8; 32],
        presentation: &Presentation<'_>,
    ) -> Vec<u8> {
        let mut to = Encoder::new();
        to.raw(MAGIC).u8(version).raw(ephemeral);
        presentation.encode_to(&mut to);
        to.finish()
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, HelloError> {
        check_length(bytes)?;
        let mut from = Decoder::new(bytes);
        decode_magic(&mut from)?;
        let version = from.u8()?;
        if !HELLO_VERSIONS.contains(&version) {
            return Err(HelloError::VersionMismatch {
                ours: HELLO_VERSIONS,
                theirs: version..=version,
            });
        }
        let ephemeral = from.array()?;
        let presentation = Presentation::decode(&mut from)?;
        let (signed, signature) = decode_signature(bytes, from)?;
        Ok(Self {
            version,
            ephemeral,
            presentation,
            signed,
            signature,
        })
    }
}

/// The third message.
pub(crate) struct Proof<'a> {
    pub(crate) presentation: Presentation<'a>,
    /// The bytes before the signature.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Proof<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, HelloError> {
        check_length(bytes)?;
        let mut from = Decoder::new(bytes);
        let presentation = Presentation::decode(&mut from)?;
        let (signed, signature) = decode_signature(bytes, from)?;
        Ok(Self {
            presentation,
            signed,
            signature,
        })
    }
}

/// What each side shows of itself.
pub(crate) struct Presentation<'a> {
    /// What the peer needs to set up the keys of this side's direction.
    pub(crate) encapsulated: [u8; 32],
    /// The key that signs the message.
    pub(crate) transport: TransportPublicKey,
    /// All key records, from genesis.
    pub(crate) records: Vec<&'a [u8]>,
    pub(crate) parameters: &'a [u8],
}

impl<'a> Presentation<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        self.encode_to(&mut to);
        to.finish()
    }

    fn encode_to(&self, to: &mut Encoder) {
        to.raw(&self.encapsulated)
            .raw(self.transport.as_bytes())
            .length(self.records.len());
        for record in &self.records {
            to.bytes(record);
        }
        to.bytes(self.parameters);
    }

    fn decode(from: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        let encapsulated = from.array()?;
        let transport = TransportPublicKey::new(from.array()?);
        let count = from.length("number of key records", KEY_RECORDS_MAX)?;
        let records = (0..count)
            .map(|_| from.bytes("length of a key record", HELLO_BYTES_MAX))
            .collect::<Result<_, _>>()?;
        let parameters = from.bytes("length of parameters", PARAMETERS_BYTES_MAX)?;
        Ok(Self {
            encapsulated,
            transport,
            records,
            parameters,
        })
    }
}

/// The whole message, if it is not too long.
pub(crate) fn with_signature(
    mut signed: Vec<u8>,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<Vec<u8>, HelloError> {
    signed.extend_from_slice(signature);
    match signed.len() {
        0..=HELLO_BYTES_MAX => Ok(signed),
        actual => Err(HelloError::RecordsTooLong { actual }),
    }
}

fn check_length(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() <= HELLO_BYTES_MAX {
        return Ok(());
    }
    Err(DecodeError::LimitExceeded {
        at: 0,
        what: "length of a hello",
        actual: bytes.len() as u64,
        limit: HELLO_BYTES_MAX as u64,
    })
}

fn decode_magic(from: &mut Decoder<'_>) -> Result<(), DecodeError> {
    let at = from.at();
    if &from.array()? == MAGIC {
        return Ok(());
    }
    let rule = "a hello starts with \"causality\"";
    Err(DecodeError::NotCanonical { at, rule })
}

/// The last bytes, and all before them.
fn decode_signature<'a>(
    bytes: &'a [u8],
    mut from: Decoder<'a>,
) -> Result<(&'a [u8], [u8; SIGNATURE_BYTES]), DecodeError> {
    let (signed, _) = bytes.split_at(from.at());
    let signature = from.array()?;
    from.end()?;
    Ok((signed, signature))
}
