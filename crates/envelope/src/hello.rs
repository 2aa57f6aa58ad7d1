//! The Hello: three messages on a fresh connection that decide who the two ends are and what keys they share
//! (`docs/src/spec/session.md`). The acceptor signs first, so that a caller does not show itself to a stranger.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use causality_fact::{
    DecodeError, DomainId, KeyError, KeyLog, TaggedHash, TransportPublicKey, tagged_message,
    verify_strict,
};

use crate::hello_message::{
    Answer, Opening, PARAMETERS_BYTES_MAX, Presentation, Proof, with_signature,
};
use crate::keys::DomainKeys;
use crate::session::SessionKeys;
use crate::suite::{Ephemeral, Exporter};

/// The versions of the Hello, and of all that follows it, that this crate speaks.
pub const HELLO_VERSIONS: RangeInclusive<u8> = 0..=0;

/// What a side brings into a Hello.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "arguments with names")]
pub struct Party<'a> {
    /// Its keys. An acceptor shows their transport key in TLS.
    pub keys: &'a DomainKeys,
    /// What the caller wants the peer to know, at most [`PARAMETERS_BYTES_MAX`] bytes; covered by the signature.
    pub parameters: &'a [u8],
    /// The 32 bytes that the two ends of the connection, and nobody else, have in common (RFC 8446, section 7.5).
    pub exporter: &'a [u8; 32],
    /// The time, in ms since 1970, at which the peer's keys have to be valid.
    pub now_ms: i64,
}

impl fmt::Debug for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Party")
    }
}

/// Whom a dialer means to reach, and whom it has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "arguments with names")]
pub struct ExpectedPeer {
    /// The domain that it dialed.
    pub domain: DomainId,
    /// The key that the acceptor proved in TLS.
    pub tls_key: TransportPublicKey,
}

/// How a Hello ended well.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The version that both sides speak.
    pub version: u8,
    /// The peer's key records. Who has known more records of this domain, or others, has been shown an old or a forked
    /// log: comparing them is up to the caller.
    pub peer: KeyLog,
    /// The key of the newest record by which the peer proved to be that domain.
    pub transport: TransportPublicKey,
    /// What the peer wanted this side to know.
    pub parameters: Vec<u8>,
    /// The keys of the session.
    pub keys: SessionKeys,
}

/// A dialer that has sent its first message.
pub struct Dialer {
    ephemeral: Ephemeral,
    opening: Vec<u8>,
}

impl Dialer {
    /// Starts, with the first message: versions and a new key, nothing about who is calling.
    pub fn start(rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let ephemeral = Ephemeral::draw(rng);
        let versions = HELLO_VERSIONS;
        let opening = Opening {
            versions,
            ephemeral: ephemeral.public,
        };
        let opening = opening.encode();
        let dialer = Self {
            ephemeral,
            opening: opening.clone(),
        };
        (dialer, opening)
    }

    /// Checks the second message, and gives the third. Until that has arrived the acceptor does not know who is calling.
    ///
    /// # Errors
    ///
    /// [`HelloError`]; the connection is to be closed, nothing about this side was shown.
    pub fn finish(
        self,
        answer: &[u8],
        party: &Party<'_>,
        expected: &ExpectedPeer,
        rng: &mut impl CryptoRng,
    ) -> Result<(Established, Vec<u8>), HelloError> {
        let decoded = Answer::decode(answer)?;
        let presentation = &decoded.presentation;
        let (named, shown) = (presentation.transport, expected.tls_key);
        if named != shown {
            return Err(HelloError::OtherTlsKey { named, shown });
        }
        let peer = verify_presentation(presentation, party.now_ms)?;
        let (expected, found) = (expected.domain, peer.domain());
        if found != expected {
            return Err(HelloError::WrongDomain { expected, found });
        }
        let transcript = transcript_hash(&[&self.opening, decoded.signed]);
        let message = acceptor_message(&transcript, party.exporter, &shown);
        verify_signature(&named, &message, &decoded.signature)?;

        let keys = Ephemerals {
            version: decoded.version,
            dialer: self.ephemeral.public,
            acceptor: decoded.ephemeral,
        };
        let incoming = Exporter::receiver(
            &self.ephemeral,
            &presentation.encapsulated,
            &keys.info(ACCEPTOR_TO_DIALER),
        );
        let incoming = incoming.map_err(|_| HelloError::BadEphemeral)?;
        let (encapsulated, outgoing) =
            Exporter::sender(&keys.acceptor, &keys.info(DIALER_TO_ACCEPTOR), rng)
                .map_err(|_| HelloError::BadEphemeral)?;

        let records = party.keys.key_log().records_from(0);
        let signed = present(party, &records, encapsulated)?.encode();
        let transcript = transcript_hash(&[&self.opening, answer, &signed]);
        let message = dialer_message(&transcript, party.exporter);
        let proof = with_signature(signed, &party.keys.sign_transport(&message))?;
        let head_tag = incoming.export(&head_tag_context());
        let established = Established {
            version: decoded.version,
            peer,
            transport: named,
            parameters: presentation.parameters.to_vec(),
            keys: SessionKeys::new(outgoing, incoming, head_tag),
        };
        Ok((established, proof))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

/// An acceptor that has answered, and does not know yet who is calling.
pub struct Acceptor {
    own: Ephemeral,
    ephemerals: Ephemerals,
    outgoing: Exporter,
    opening: Vec<u8>,
    answer: Vec<u8>,
    exporter: Zeroizing<[u8; 32]>,
    now_ms: i64,
}

impl Acceptor {
    /// Checks the first message, and gives the second.
    ///
    /// # Errors
    ///
    /// [`HelloError`]; the connection is to be closed.
    pub fn answer(
        opening: &[u8],
        party: &Party<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<u8>), HelloError> {
        let decoded = Opening::decode(opening)?;
        let own = Ephemeral::draw(rng);
        let ephemerals = Ephemerals {
            version: choose_version(decoded.versions)?,
            dialer: decoded.ephemeral,
            acceptor: own.public,
        };
        let (encapsulated, outgoing) = Exporter::sender(
            &ephemerals.dialer,
            &ephemerals.info(ACCEPTOR_TO_DIALER),
            rng,
        )
        .map_err(|_| HelloError::BadEphemeral)?;

        let records = party.keys.key_log().records_from(0);
        let presentation = present(party, &records, encapsulated)?;
        let signed = Answer::encode(ephemerals.version, &own.public, &presentation);
        let transcript = transcript_hash(&[opening, &signed]);
        let message = acceptor_message(&transcript, party.exporter, &party.keys.transport_key());
        let answer = with_signature(signed, &party.keys.sign_transport(&message))?;
        let acceptor = Self {
            own,
            ephemerals,
            outgoing,
            opening: opening.to_vec(),
            answer: answer.clone(),
            exporter: Zeroizing::new(*party.exporter),
            now_ms: party.now_ms,
        };
        Ok((acceptor, answer))
    }

    /// Checks the third message. Which domains may call is up to the caller.
    ///
    /// # Errors
    ///
    /// [`HelloError`]; the connection is to be closed.
    pub fn finish(self, proof: &[u8]) -> Result<Established, HelloError> {
        let decoded = Proof::decode(proof)?;
        let presentation = &decoded.presentation;
        let peer = verify_presentation(presentation, self.now_ms)?;
        let transcript = transcript_hash(&[&self.opening, &self.answer, decoded.signed]);
        let message = dialer_message(&transcript, &self.exporter);
        verify_signature(&presentation.transport, &message, &decoded.signature)?;

        let info = self.ephemerals.info(DIALER_TO_ACCEPTOR);
        let incoming = Exporter::receiver(&self.own, &presentation.encapsulated, &info)
            .map_err(|_| HelloError::BadEphemeral)?;
        let head_tag = self.outgoing.export(&head_tag_context());
        Ok(Established {
            version: self.ephemerals.version,
            peer,
            transport: presentation.transport,
            parameters: presentation.parameters.to_vec(),
            keys: SessionKeys::new(self.outgoing, incoming, head_tag),
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Why there is no session. Each variant says whose fault it is.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloError {
    /// The peer's ephemeral or encapsulated key has small order, so that there would be no secret. A misbehaving peer.
    #[error("the peer sent an ephemeral key of small order")]
    BadEphemeral,
    /// The signature is not by the key that the message names over this handshake on this connection: forged, replayed,
    /// or somebody sits in between.
    #[error("the signature of the hello does not verify")]
    BadSignature,
    /// The peer's newest keys are not valid at this time, or one of the two clocks is wrong.
    #[error("the keys of {domain} are valid from {} until {}, it is {now_ms}", valid_ms.start, valid_ms.end)]
    Expired {
        /// The peer.
        domain: DomainId,
        /// When its keys are valid, in ms since 1970.
        valid_ms: Range<i64>,
        /// The time, in ms since 1970.
        now_ms: i64,
    },
    /// The peer's key records do not verify. A misbehaving peer.
    #[error("the peer's key records do not verify: {0}")]
    Key(#[from] KeyError),
    /// The bytes are not the message that is due. A misbehaving peer, or none of ours.
    #[error("malformed hello: {0}")]
    Malformed(#[from] DecodeError),
    /// The peer's newest key record does not list the transport key by which it proves its identity: it is somebody else,
    /// or uses a key that was rotated out.
    #[error("{domain} does not list the transport key {}", hex(.key))]
    NotListed {
        /// The domain that the peer claims to be.
        domain: DomainId,
        /// The key.
        key: TransportPublicKey,
    },
    /// The acceptor names another transport key than it proved in TLS. A misbehaving peer.
    #[error("the peer names the transport key {}, TLS showed {}", hex(.named), hex(.shown))]
    OtherTlsKey {
        /// The key in its answer.
        named: TransportPublicKey,
        /// The key of its TLS session.
        shown: TransportPublicKey,
    },
    /// The caller's own parameters are longer than [`PARAMETERS_BYTES_MAX`].
    #[error("{actual} bytes of parameters, the limit is {PARAMETERS_BYTES_MAX}")]
    ParametersTooLong {
        /// How long.
        actual: usize,
    },
    /// This side's own key records do not fit a message of [`HELLO_BYTES_MAX`](crate::HELLO_BYTES_MAX).
    #[error(
        "the hello with all own key records takes {actual} bytes, the limit is {}",
        crate::HELLO_BYTES_MAX
    )]
    RecordsTooLong {
        /// How long the message would be.
        actual: usize,
    },
    /// No version is spoken by both sides: one of them is too old.
    #[error(
        "the peer speaks versions {} to {}, this side {} to {}",
        theirs.start(), theirs.end(), ours.start(), ours.end()
    )]
    VersionMismatch {
        /// [`HELLO_VERSIONS`].
        ours: RangeInclusive<u8>,
        /// What the peer speaks, or the version that it chose.
        theirs: RangeInclusive<u8>,
    },
    /// The peer proved to be another domain than the one dialed: the address is wrong, or somebody else answers there.
    #[error("dialed {expected}, {found} answered")]
    WrongDomain {
        /// The domain dialed.
        expected: DomainId,
        /// The domain that answered.
        found: DomainId,
    },
}

fn hex(key: &TransportPublicKey) -> String {
    data_encoding::HEXLOWER.encode(key.as_bytes())
}

/// The highest version of both.
fn choose_version(theirs: RangeInclusive<u8>) -> Result<u8, HelloError> {
    let ours = HELLO_VERSIONS;
    let version = *ours.end().min(theirs.end());
    if version < *ours.start().max(theirs.start()) {
        return Err(HelloError::VersionMismatch { ours, theirs });
    }
    Ok(version)
}

fn present<'a>(
    party: &Party<'a>,
    records: &'a [Vec<u8>],
    encapsulated: [u8; 32],
) -> Result<Presentation<'a>, HelloError> {
    let actual = party.parameters.len();
    if actual > PARAMETERS_BYTES_MAX {
        return Err(HelloError::ParametersTooLong { actual });
    }
    Ok(Presentation {
        encapsulated,
        transport: party.keys.transport_key(),
        records: records.iter().map(Vec::as_slice).collect(),
        parameters: party.parameters,
    })
}

/// The key log behind a presentation; its newest record lists the key presented, and is valid.
fn verify_presentation(from: &Presentation<'_>, now_ms: i64) -> Result<KeyLog, HelloError> {
    let log = KeyLog::verify(from.records.iter().copied())?;
    let (domain, key) = (log.domain(), from.transport);
    if !log.lists_transport(&key) {
        return Err(HelloError::NotListed { domain, key });
    }
    let valid_ms = log.head().not_before..log.head().not_after;
    if !valid_ms.contains(&now_ms) {
        return Err(HelloError::Expired {
            domain,
            valid_ms,
            now_ms,
        });
    }
    Ok(log)
}

fn verify_signature(
    key: &TransportPublicKey,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), HelloError> {
    // That the key is a good one was checked with the record that lists it.
    verify_strict(key.as_bytes(), message, signature).map_err(|_| HelloError::BadSignature)
}

/// The hash of the messages so far, each behind its length.
fn transcript_hash(messages: &[&[u8]]) -> [u8; 32] {
    let mut hash = TaggedHash::new("causality/0/hello-transcript");
    for message in messages {
        hash = hash
            .chain((message.len() as u64).to_le_bytes())
            .chain(message);
    }
    hash.finish()
}

fn acceptor_message(
    transcript: &[u8; 32],
    exporter: &[u8; 32],
    tls_key: &TransportPublicKey,
) -> Zeroizing<Vec<u8>> {
    let bytes = Zeroizing::new([&transcript[..], exporter, tls_key.as_bytes()].concat());
    Zeroizing::new(tagged_message("causality/0/hello-acceptor", &bytes))
}

fn dialer_message(transcript: &[u8; 32], exporter: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let bytes = Zeroizing::new([&transcript[..], exporter].concat());
    Zeroizing::new(tagged_message("causality/0/hello-dialer", &bytes))
}

/// What both directions of a session depend on.
struct Ephemerals {
    version: u8,
    dialer: [u8; 32],
    acceptor: [u8; 32],
}

const DIALER_TO_ACCEPTOR: u8 = 0;
const ACCEPTOR_TO_DIALER: u8 = 1;

impl Ephemerals {
    /// The `info` of HPKE for one direction.
    fn info(&self, direction: u8) -> Vec<u8> {
        let bytes = [&[self.version, direction], &self.dialer[..], &self.acceptor].concat();
        tagged_message("causality/0/session", &bytes)
    }
}

/// The exporter context of the key under which head tags are made, in the direction from acceptor to dialer.
fn head_tag_context() -> Vec<u8> {
    tagged_message("causality/0/head-tag-key", &[])
}
