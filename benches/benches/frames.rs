//! Informs whether frames cost more than the cipher under them: sealing and opening 64 KiB beside ChaCha20-Poly1305 alone, in
//! one run, so that the ratio holds whatever the machine does. Above 1.1 the copies in between are worth removing.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to stop")]

use std::hint::black_box;

use causality_benches::keys;
use causality_envelope::{
    Acceptor, Dialer, DomainKeys, ExpectedPeer, FrameOpener, FrameSealer, Party, SessionKeys,
};
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

const BYTES: usize = 64 << 10;
/// Behind the length of the body.
const BODY: usize = 4;

criterion_group!(benches, seal, open);
criterion_main!(benches);

fn seal(c: &mut Criterion) {
    let mut session = Session::new();
    let (mut sealer, _) = session.stream();
    let plain = vec![7; BYTES];
    let mut group = c.benchmark_group("frames/seal 64 KiB");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("frame", |b| {
        b.iter(|| sealer.seal(black_box(&plain)).unwrap())
    });
    group.bench_function("cipher alone", |b| {
        let (cipher, nonce) = cipher();
        let mut buffer = plain.clone();
        b.iter(|| {
            let buffer = black_box(buffer.as_mut_slice());
            cipher
                .encrypt_inout_detached(&nonce, &[], buffer.into())
                .unwrap()
        });
    });
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut session = Session::new();
    let plain = vec![7; BYTES];
    let mut group = c.benchmark_group("frames/open 64 KiB");
    group.throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("frame", |b| {
        b.iter_batched(
            || {
                let (mut sealer, opener) = session.stream();
                (opener, sealer.seal(&plain).unwrap()[BODY..].to_vec())
            },
            |(mut opener, body)| (opener.open(body).unwrap(), opener),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("cipher alone", |b| {
        let (cipher, nonce) = cipher();
        let (sealed, tag) = sealed(&cipher, &nonce, &plain);
        b.iter_batched(
            || sealed.clone(),
            |mut body| {
                let buffer = body.as_mut_slice().into();
                cipher
                    .decrypt_inout_detached(&nonce, &[], buffer, &tag)
                    .unwrap();
                body
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn cipher() -> (ChaCha20Poly1305, Nonce) {
    (ChaCha20Poly1305::new(&[7; 32].into()), [0; 12].into())
}

fn sealed(cipher: &ChaCha20Poly1305, nonce: &Nonce, plain: &[u8]) -> (Vec<u8>, Tag) {
    let mut body = plain.to_vec();
    let tag = cipher
        .encrypt_inout_detached(nonce, &[], body.as_mut_slice().into())
        .unwrap();
    (body, tag)
}

/// Both ends of a session.
struct Session {
    dialer: SessionKeys,
    acceptor: SessionKeys,
    next: u64,
}

impl Session {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let basil = DomainKeys::generate(&mut rng, 0..i64::MAX).unwrap();
        let amber = keys();
        let party = |keys| Party {
            keys,
            parameters: b"",
            exporter: &[7; 32],
            now_ms: 1,
        };
        let expected = ExpectedPeer {
            domain: basil.domain(),
            tls_key: basil.transport_key(),
        };
        let (dialer, opening) = Dialer::start(&mut rng);
        let (acceptor, answer) = Acceptor::answer(&opening, &party(&basil), &mut rng).unwrap();
        let finished = dialer.finish(&answer, &party(&amber), &expected, &mut rng);
        let (dialer, proof) = finished.unwrap();
        let acceptor = acceptor.finish(&proof).unwrap();
        Self {
            dialer: dialer.keys,
            acceptor: acceptor.keys,
            next: 0,
        }
    }

    /// Both ends of a stream that has carried nothing yet.
    fn stream(&mut self) -> (FrameSealer, FrameOpener) {
        let number = self.next;
        self.next += 1;
        (
            self.dialer.sealer(number).unwrap(),
            self.acceptor.opener(number).unwrap(),
        )
    }
}
