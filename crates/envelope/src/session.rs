//! Session keys and frames: one key a direction of a stream, one nonce a frame (`docs/src/spec/session.md`).

use std::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use causality_fact::{LogId, PositionSet, TreeHead, tagged_message};

use crate::suite::Exporter;

/// The most bytes that one frame carries: a chunk of 1 MiB with what surrounds it.
pub const FRAME_BYTES_MAX: usize = (1 << 20) + (128 << 10);
/// How many bytes longer the body of a frame is than what it carries.
pub const FRAME_TAG_BYTES: usize = 16;
/// The most frames in one direction of one stream. Nonces would last longer; at a million frames a second this lasts
/// nine years.
pub const FRAMES_MAX: u64 = 1 << 48;
/// The most runs of consecutive numbers that the streams used in one direction may form, which bounds what is remembered.
pub const STREAM_RUNS_MAX: usize = 1024;

/// The secrets of one session, from which every stream has its own keys. Wiped when dropped, never printed.
///
/// Each stream number gives one sealer and one opener, once: so there are never two frames under one key and nonce.
pub struct SessionKeys {
    outgoing: Direction,
    incoming: Direction,
    head_tag_key: Zeroizing<[u8; 32]>,
}

impl SessionKeys {
    /// From the contexts of both directions; the head-tag key is exported by the one from acceptor to dialer.
    pub(crate) fn new(
        outgoing: Exporter,
        incoming: Exporter,
        head_tag: Zeroizing<[u8; 32]>,
    ) -> Self {
        Self {
            outgoing: Direction::new(outgoing),
            incoming: Direction::new(incoming),
            head_tag_key: head_tag,
        }
    }

    /// Seals what this side sends on a stream.
    ///
    /// # Errors
    ///
    /// When this number was taken before, or cannot be remembered.
    pub fn sealer(&mut self, stream: u64) -> Result<FrameSealer, StreamError> {
        let cipher = self.outgoing.cipher(stream)?;
        let counter = Counter(0);
        Ok(FrameSealer { cipher, counter })
    }

    /// Opens what the peer sends on a stream.
    ///
    /// # Errors
    ///
    /// When this number was taken before, or cannot be remembered.
    pub fn opener(&mut self, stream: u64) -> Result<FrameOpener, StreamError> {
        let cipher = Some(self.incoming.cipher(stream)?);
        let counter = Counter(0);
        Ok(FrameOpener { cipher, counter })
    }

    /// Shows the peer which head of a log this side knows, and nobody else anything: the first 8 bytes of HMAC-SHA256
    /// (RFC 2104) under a key of the session.
    pub fn head_tag(&self, log: &LogId, head: &TreeHead) -> [u8; 8] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.head_tag_key.as_ref())
            .expect("HMAC takes keys of any length");
        let claim = [
            &log.to_bytes(),
            &head.size.to_le_bytes()[..],
            head.root.as_bytes(),
        ]
        .concat();
        mac.update(&tagged_message("causality/0/head-tag", &claim));
        let mac = mac.finalize().into_bytes();
        *mac.first_chunk().expect("the tag is cut from 32 bytes")
    }

    /// Whether a tag from the peer is that of this head. Takes the same time for all wrong tags.
    pub fn is_head_tag(&self, tag: &[u8; 8], log: &LogId, head: &TreeHead) -> bool {
        self.head_tag(log, head).ct_eq(tag).into()
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys")
    }
}

/// Why a stream gets no keys. For the numbers of the peer's streams it is the peer's fault, otherwise the caller's.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The number was taken before in this direction.
    #[error("stream {stream} has its keys already")]
    AlreadyTaken {
        /// The number.
        stream: u64,
    },
    /// The numbers would form more than [`STREAM_RUNS_MAX`] runs.
    #[error("with stream {stream} the numbers of streams form more than {STREAM_RUNS_MAX} runs")]
    TooScattered {
        /// The number.
        stream: u64,
    },
    /// The number is at or above 2^63 − 1.
    #[error("stream {stream} has too large a number")]
    TooLarge {
        /// The number.
        stream: u64,
    },
}

/// Seals the frames of one direction of one stream, in their order.
pub struct FrameSealer {
    cipher: ChaCha20Poly1305,
    counter: Counter,
}

impl FrameSealer {
    /// The next frame, ready for the stream: length of the body (four bytes, little endian), ciphertext, tag. Writes each
    /// byte once.
    ///
    /// # Errors
    ///
    /// When there are more bytes than a frame carries, or no nonces left. Nothing was sealed then.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let actual = plaintext.len();
        if actual > FRAME_BYTES_MAX {
            return Err(SealError::TooLong { actual });
        }
        let nonce = self.counter.next().ok_or(SealError::Exhausted)?;
        let body_bytes = actual + FRAME_TAG_BYTES;
        let mut frame = vec![0; 4 + body_bytes];
        let (length, body) = frame.split_at_mut(4);
        length.copy_from_slice(&(body_bytes as u32).to_le_bytes());
        let (ciphertext, tag) = body.split_at_mut(actual);
        let buffer = InOutBuf::new(plaintext, ciphertext).expect("both have the same length");
        let sealed = self
            .cipher
            .encrypt_inout_detached(&nonce.into(), &[], buffer);
        tag.copy_from_slice(&sealed.expect("a frame is shorter than 256 GiB"));
        Ok(frame)
    }
}

impl fmt::Debug for FrameSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameSealer")
    }
}

/// Why a frame is not sealed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// [`FRAMES_MAX`] frames were sealed on this stream.
    #[error("the stream has carried {FRAMES_MAX} frames, which is the limit")]
    Exhausted,
    /// More bytes than [`FRAME_BYTES_MAX`].
    #[error("{actual} bytes for one frame, the limit is {FRAME_BYTES_MAX}")]
    TooLong {
        /// How many.
        actual: usize,
    },
}

/// Opens the frames of one direction of one stream, in their order. After the first that does not open, it opens none.
pub struct FrameOpener {
    /// `None` after a failure.
    cipher: Option<ChaCha20Poly1305>,
    counter: Counter,
}

impl FrameOpener {
    /// What the next frame carries. `body` is the frame without its length; it is opened in place.
    ///
    /// # Errors
    ///
    /// [`OpenError`], for whatever reason; the stream is to be given up.
    pub fn open(&mut self, mut body: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        if self.decrypt(&mut body).is_none() {
            self.cipher = None;
            return Err(OpenError);
        }
        Ok(body)
    }

    fn decrypt(&mut self, body: &mut Vec<u8>) -> Option<()> {
        let length = body.len().checked_sub(FRAME_TAG_BYTES)?;
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let nonce = self.counter.next()?;
        let (ciphertext, tag) = body.split_at_mut(length);
        let tag = <[u8; FRAME_TAG_BYTES]>::try_from(&*tag).ok()?;
        let cipher = self.cipher.as_ref()?;
        cipher
            .decrypt_inout_detached(&nonce.into(), &[], ciphertext.into(), &tag.into())
            .ok()?;
        body.truncate(length);
        Some(())
    }
}

impl fmt::Debug for FrameOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameOpener")
    }
}

/// A frame does not open. There is one error for all reasons, so that nobody learns anything from it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a frame does not open")]
#[expect(clippy::exhaustive_structs, reason = "it never says more")]
pub struct OpenError;

struct Direction {
    exporter: Exporter,
    taken: PositionSet,
}

impl Direction {
    fn new(exporter: Exporter) -> Self {
        let taken = PositionSet::new();
        Self { exporter, taken }
    }

    fn cipher(&mut self, stream: u64) -> Result<ChaCha20Poly1305, StreamError> {
        if self.taken.contains(stream) {
            return Err(StreamError::AlreadyTaken { stream });
        }
        let end = stream
            .checked_add(1)
            .ok_or(StreamError::TooLarge { stream })?;
        let joins = (stream > 0 && self.taken.contains(stream - 1)) || self.taken.contains(end);
        if !joins && self.taken.run_count() == STREAM_RUNS_MAX {
            return Err(StreamError::TooScattered { stream });
        }
        let taken = self.taken.insert(stream..end);
        taken.map_err(|_| StreamError::TooLarge { stream })?;
        let context = tagged_message("causality/0/stream-key", &stream.to_le_bytes());
        let key = self.exporter.export(&context);
        Ok(ChaCha20Poly1305::new((&*key).into()))
    }
}

/// How many frames there have been; no number comes twice.
struct Counter(u64);

impl Counter {
    /// The nonce of the next frame: its number as 96 bits, little endian.
    fn next(&mut self) -> Option<[u8; 12]> {
        if self.0 == FRAMES_MAX {
            return None;
        }
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.0.to_le_bytes());
        self.0 += 1;
        Some(nonce)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::suite::Ephemeral;
    use causality_fact::{CompartmentId, DomainId, LaneId, TreeHash};
    use proptest::prelude::*;
    use rand_core::{TryCryptoRng, TryRng};
    use std::convert::Infallible;

    /// Randomness that is given byte by byte, as a second implementation would.
    pub(crate) struct Tape(std::vec::IntoIter<u8>);

    impl Tape {
        pub(crate) fn new(bytes: Vec<u8>) -> Self {
            Self(bytes.into_iter())
        }
    }

    impl TryRng for Tape {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            panic!("keys are drawn as bytes");
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            panic!("keys are drawn as bytes");
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill_with(|| self.0.next().unwrap());
            Ok(())
        }
    }

    impl TryCryptoRng for Tape {}

    /// The keys of two ends; `session` tells one session from another.
    fn ends(session: u8) -> (SessionKeys, SessionKeys) {
        let direction = |number: u8| {
            let own = Ephemeral::draw(&mut Tape::new(vec![number; 32]));
            let mut tape = Tape::new(vec![session; 32]);
            let (encapsulated, sender) =
                Exporter::sender(&own.public, &[number], &mut tape).unwrap();
            let receiver = Exporter::receiver(&own, &encapsulated, &[number]).unwrap();
            (sender, receiver)
        };
        let (there, there_received) = direction(1);
        let (back, back_received) = direction(2);
        let key = Zeroizing::new([session; 32]);
        (
            SessionKeys::new(there, back_received, key.clone()),
            SessionKeys::new(back, there_received, key),
        )
    }

    fn body(frame: Vec<u8>) -> Vec<u8> {
        let length = u32::from_le_bytes(frame[..4].try_into().unwrap());
        assert_eq!(length as usize, frame.len() - 4);
        frame[4..].to_vec()
    }

    #[test]
    fn a_stream_gives_its_keys_once_in_each_direction() {
        let (mut keys, _) = ends(1);
        for stream in [0, 1, 7, 3] {
            assert!(keys.sealer(stream).is_ok());
            assert!(keys.opener(stream).is_ok());
            let taken = StreamError::AlreadyTaken { stream };
            assert_eq!(keys.sealer(stream).map(drop), Err(taken));
            assert_eq!(keys.opener(stream).map(drop), Err(taken));
        }
    }

    #[test]
    fn stream_numbers_have_a_limit() {
        let (mut keys, _) = ends(1);
        let above = causality_fact::MAX_TREE_SIZE;
        assert!(keys.sealer(above - 1).is_ok());
        for stream in [above, u64::MAX] {
            let error = StreamError::TooLarge { stream };
            assert_eq!(keys.sealer(stream).map(drop), Err(error));
        }
    }

    #[test]
    fn scattered_stream_numbers_have_a_limit() {
        let (mut keys, _) = ends(1);
        let last = 2 * STREAM_RUNS_MAX as u64;
        (1..=last / 2).for_each(|run| drop(keys.opener(2 * run).unwrap()));
        let stream = last + 2;
        let error = StreamError::TooScattered { stream };
        assert_eq!(keys.opener(stream).map(drop), Err(error));
        assert!(keys.opener(last + 1).is_ok());
        assert!(keys.opener(3).is_ok());
        assert!(keys.opener(stream + 1).is_ok());
    }

    #[test]
    fn a_frame_carries_up_to_its_limit() {
        let (mut here, mut there) = ends(1);
        let (mut sealer, mut opener) = (here.sealer(0).unwrap(), there.opener(0).unwrap());
        let actual = FRAME_BYTES_MAX + 1;
        assert_eq!(
            sealer.seal(&vec![1; actual]),
            Err(SealError::TooLong { actual })
        );
        for length in [0, 1, FRAME_BYTES_MAX] {
            let frame = sealer.seal(&vec![1; length]).unwrap();
            assert_eq!(frame.len(), 4 + length + FRAME_TAG_BYTES);
            assert_eq!(opener.open(body(frame)), Ok(vec![1; length]));
        }
        let longer = vec![0; actual + FRAME_TAG_BYTES];
        assert_eq!(opener.open(longer), Err(OpenError));
    }

    #[test]
    fn after_a_failure_nothing_opens() {
        let (mut here, mut there) = ends(1);
        let (mut sealer, mut opener) = (here.sealer(0).unwrap(), there.opener(0).unwrap());
        let good = body(sealer.seal(b"good").unwrap());
        let mut bad = good.clone();
        bad[0] ^= 1;
        assert_eq!(opener.open(bad), Err(OpenError));
        assert_eq!(opener.open(good), Err(OpenError));
        let next = body(sealer.seal(b"next").unwrap());
        assert_eq!(opener.open(next), Err(OpenError));
    }

    #[test]
    fn frames_end_before_nonces_repeat() {
        let (mut here, mut there) = ends(1);
        let (mut sealer, mut opener) = (here.sealer(0).unwrap(), there.opener(0).unwrap());
        sealer.counter = Counter(FRAMES_MAX - 1);
        opener.counter = Counter(FRAMES_MAX - 1);
        let last = body(sealer.seal(b"last").unwrap());
        assert_eq!(opener.open(last.clone()), Ok(b"last".to_vec()));
        assert_eq!(sealer.seal(b"more"), Err(SealError::Exhausted));
        assert_eq!(opener.open(last), Err(OpenError));
    }

    #[test]
    fn nonces_are_little_endian_and_never_the_same() {
        let mut counter = Counter(0x0102);
        assert_eq!(counter.next(), Some([2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(counter.next(), Some([3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn both_ends_agree_on_head_tags_and_other_sessions_do_not() {
        let ((here, there), (elsewhere, _)) = (ends(1), ends(2));
        let log = LogId {
            origin: DomainId::new([1; 32]),
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new([2; 16]),
        };
        let root = TreeHash::new([3; 32]);
        let head = TreeHead { size: 5, root };
        let tag = here.head_tag(&log, &head);
        assert!(there.is_head_tag(&tag, &log, &head));
        assert!(!elsewhere.is_head_tag(&tag, &log, &head));
        assert!(!there.is_head_tag(&tag, &log, &TreeHead { size: 6, root }));
        let lane = LaneId::new([4; 16]);
        assert!(!there.is_head_tag(&tag, &LogId { lane, ..log }, &head));
        for byte in 0..8 {
            let mut wrong = tag;
            wrong[byte] ^= 0x80;
            assert!(!there.is_head_tag(&wrong, &log, &head));
        }
    }

    #[test]
    fn secrets_print_their_type_only() {
        let (mut keys, _) = ends(1);
        let (sealer, opener) = (keys.sealer(0).unwrap(), keys.opener(0).unwrap());
        let printed = format!("{keys:?} {sealer:?} {opener:?}");
        assert_eq!(printed, "SessionKeys FrameSealer FrameOpener");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_order(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            stream in 0_u64..1 << 62,
        ) {
            let (mut here, mut there) = ends(1);
            let (mut sealer, mut opener) = (here.sealer(stream).unwrap(), there.opener(stream).unwrap());
            for payload in payloads {
                let frame = sealer.seal(&payload).unwrap();
                prop_assert_eq!(opener.open(body(frame)), Ok(payload));
            }
        }

        #[test]
        fn bytes_that_were_not_sealed_do_not_open(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (_, mut there) = ends(1);
            prop_assert_eq!(there.opener(0).unwrap().open(bytes), Err(OpenError));
        }
    }
}
