//! Two honest domains, and messages made by hand from the specification, as an attacker with keys of its own would.

use std::convert::Infallible;

use causality_envelope::{
    Acceptor, Dialer, DomainKeys, Established, ExpectedPeer, HelloError, Party,
};
use causality_fact::{Encoder, TaggedHash, tagged_message};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::{TryCryptoRng, TryRng};

pub(crate) const EXPORTER: [u8; 32] = [0xe1; 32];
pub(crate) const NOW_MS: i64 = 1_517_365_391_235;
pub(crate) const VALID_MS: std::ops::Range<i64> = 1_500_000_000_000..1_600_000_000_000;

/// Randomness that is given byte by byte.
pub(crate) struct Tape<'a>(std::slice::Iter<'a, u8>);

impl<'a> Tape<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }
}

impl TryRng for Tape<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("keys are drawn as bytes");
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("keys are drawn as bytes");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| *self.0.next().unwrap());
        Ok(())
    }
}

impl TryCryptoRng for Tape<'_> {}

/// `count` bytes that stand for randomness, different for each `first`.
pub(crate) fn bytes_from(first: u8, count: u8) -> Vec<u8> {
    (0..count)
        .map(|offset| first.wrapping_add(offset))
        .collect()
}

/// The keys of a domain, made from randomness that starts with a byte.
pub(crate) fn domain(first: u8) -> DomainKeys {
    DomainKeys::generate(&mut Tape::new(&bytes_from(first, 128)), VALID_MS).unwrap()
}

pub(crate) const AMBER: u8 = 0x00;
pub(crate) const BASIL: u8 = 0x80;

/// Amber dials basil. Fields may be changed before a handshake.
pub(crate) struct Pair {
    pub(crate) amber: DomainKeys,
    pub(crate) basil: DomainKeys,
    pub(crate) dialer_randomness: Vec<u8>,
    pub(crate) acceptor_randomness: Vec<u8>,
    pub(crate) exporter: [u8; 32],
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            amber: domain(AMBER),
            basil: domain(BASIL),
            dialer_randomness: bytes_from(0x20, 64),
            acceptor_randomness: bytes_from(0xa0, 64),
            exporter: EXPORTER,
        }
    }

    /// Another connection of the same domains.
    pub(crate) fn again() -> Self {
        Self {
            dialer_randomness: bytes_from(0x21, 64),
            acceptor_randomness: bytes_from(0xa1, 64),
            exporter: [0xe2; 32],
            ..Self::new()
        }
    }

    pub(crate) fn party<'a>(&'a self, keys: &'a DomainKeys) -> Party<'a> {
        let parameters = if std::ptr::eq(keys, &self.amber) {
            b"from amber".as_slice()
        } else {
            b"from basil"
        };
        Party {
            keys,
            parameters,
            exporter: &self.exporter,
            now_ms: NOW_MS,
        }
    }

    pub(crate) fn dial(&self) -> (Dialer, Vec<u8>) {
        Dialer::start(&mut Tape::new(&self.dialer_randomness[..32]))
    }

    pub(crate) fn answer(&self, opening: &[u8]) -> Result<(Acceptor, Vec<u8>), HelloError> {
        let mut tape = Tape::new(&self.acceptor_randomness);
        Acceptor::answer(opening, &self.party(&self.basil), &mut tape)
    }

    /// What amber makes of an answer.
    pub(crate) fn prove(&self, answer: &[u8]) -> Result<(Established, Vec<u8>), HelloError> {
        let expected = ExpectedPeer {
            domain: self.basil.domain(),
            tls_key: self.basil.transport_key(),
        };
        self.prove_to(answer, &expected)
    }

    pub(crate) fn prove_to(
        &self,
        answer: &[u8],
        expected: &ExpectedPeer,
    ) -> Result<(Established, Vec<u8>), HelloError> {
        let mut tape = Tape::new(&self.dialer_randomness[32..]);
        let (dialer, _) = self.dial();
        dialer.finish(answer, &self.party(&self.amber), expected, &mut tape)
    }

    /// What basil makes of a proof.
    pub(crate) fn accept(&self, proof: &[u8]) -> Result<Established, HelloError> {
        let (_, opening) = self.dial();
        self.answer(&opening).unwrap().0.finish(proof)
    }

    /// The three messages, and what amber and basil have in the end.
    pub(crate) fn handshake(&self) -> ([Vec<u8>; 3], Established, Established) {
        let (_, opening) = self.dial();
        let (acceptor, answer) = self.answer(&opening).unwrap();
        let (at_amber, proof) = self.prove(&answer).unwrap();
        let at_basil = acceptor.finish(&proof).unwrap();
        ([opening, answer, proof], at_amber, at_basil)
    }
}

/// The body of a frame.
pub(crate) fn body(frame: &[u8]) -> Vec<u8> {
    frame[4..].to_vec()
}

/// The part of a message that shows a domain, made by hand.
pub(crate) struct Shown {
    pub(crate) encapsulated: [u8; 32],
    pub(crate) transport: [u8; 32],
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) parameters: Vec<u8>,
}

impl Shown {
    pub(crate) fn of(keys: &DomainKeys, encapsulated: [u8; 32]) -> Self {
        Self {
            encapsulated,
            transport: *keys.transport_key().as_bytes(),
            records: keys.key_log().records_from(0),
            parameters: Vec::new(),
        }
    }

    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.encapsulated).raw(&self.transport);
        to.length(self.records.len());
        for record in &self.records {
            to.bytes(record);
        }
        to.bytes(&self.parameters);
    }
}

/// An answer to an opening, signed with any key over any exporter; it says that TLS showed the key that it names.
pub(crate) fn answer(
    opening: &[u8],
    ephemeral: [u8; 32],
    shown: &Shown,
    signer: &[u8; 32],
    exporter: [u8; 32],
) -> Vec<u8> {
    let mut to = Encoder::new();
    to.raw(b"causality").u8(0).raw(&ephemeral);
    shown.encode(&mut to);
    let signed = to.finish();
    let transcript = transcript(&[opening, &signed]);
    let bytes = [transcript, exporter, shown.transport].concat();
    sign(signed, "causality/0/hello-acceptor", &bytes, signer)
}

/// A proof behind an opening and an answer.
pub(crate) fn proof(before: [&[u8]; 2], shown: &Shown, signer: &[u8; 32]) -> Vec<u8> {
    let mut to = Encoder::new();
    shown.encode(&mut to);
    let signed = to.finish();
    let transcript = transcript(&[before[0], before[1], &signed]);
    let bytes = [transcript, EXPORTER].concat();
    sign(signed, "causality/0/hello-dialer", &bytes, signer)
}

pub(crate) fn sign(
    mut signed: Vec<u8>,
    tag: &'static str,
    bytes: &[u8],
    signer: &[u8; 32],
) -> Vec<u8> {
    let signature = SigningKey::from_bytes(signer).sign(&tagged_message(tag, bytes));
    signed.extend_from_slice(&signature.to_bytes());
    signed
}

pub(crate) fn transcript(messages: &[&[u8]]) -> [u8; 32] {
    let mut hash = TaggedHash::new("causality/0/hello-transcript");
    for message in messages {
        hash = hash.chain((message.len() as u64).to_le_bytes());
        hash = hash.chain(message);
    }
    hash.finish()
}

/// The points of small order of X25519 in all their spellings below 2^255 (RFC 7748, section 6.1).
pub(crate) fn small_order() -> Vec<[u8; 32]> {
    let prime_plus = |offset: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xed_u8.wrapping_add(offset), 0x7f);
        bytes
    };
    let [mut one, order_8, other_8] = [
        [0; 32],
        hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ];
    one[0] = 1;
    let minus_one = prime_plus(0xff);
    vec![
        [0; 32],
        one,
        order_8,
        other_8,
        minus_one,
        prime_plus(0),
        prime_plus(1),
    ]
}

pub(crate) fn hex(digits: &str) -> [u8; 32] {
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
    bytes.try_into().unwrap()
}
