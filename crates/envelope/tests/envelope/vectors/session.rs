//! Makes what `vectors/session.json` has.

use causality_envelope::{DomainKeys, Established};
use causality_fact::tagged_message;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _, setup_receiver};
use serde_json::{Value, json};

use super::keys::{head, log_of};
use super::{hex, hexes};
use crate::forge::{self, EXPORTER, NOW_MS, Pair, Shown, Tape, body, bytes_from, domain};

pub(super) fn vectors() -> Value {
    let pair = Pair::new();
    let ([opening, answer, proof], mut at_amber, mut at_basil) = pair.handshake();
    let log = log_of(&pair.basil);
    let tag = at_amber.keys.head_tag(&log, &head(3));
    assert_eq!(at_basil.keys.head_tag(&log, &head(3)), tag);
    let frames = frame_vectors(&mut at_amber, &mut at_basil);
    json!({
        "about": "Hello, session keys and frames of docs/src/spec/session.md. Bytes are hexadecimal. Randomness is what is drawn, in its order: the ephemeral key, then the one of HPKE. The dialer's keys are made as the genesis of keys.json, from the bytes 00 to 7f; the acceptor's are those of keys.json.",
        "exporter": hex(&EXPORTER),
        "now_ms": NOW_MS,
        "dialer": {
            "randomness": hex(&pair.dialer_randomness),
            "domain": hex(pair.amber.domain().as_ref()),
            "record": hex(&pair.amber.key_log().records_from(0)[0]),
            "parameters": hex(b"from amber"),
        },
        "acceptor": {
            "randomness": hex(&pair.acceptor_randomness),
            "domain": hex(pair.basil.domain().as_ref()),
            "record": hex(&pair.basil.key_log().records_from(0)[0]),
            "parameters": hex(b"from basil"),
        },
        "opening": hex(&opening),
        "answer": hex(&answer),
        "answer_transcript": hex(&forge::transcript(&[&opening, &answer[..answer.len() - 64]])),
        "proof": hex(&proof),
        "proof_transcript": hex(&forge::transcript(&[&opening, &answer, &proof[..proof.len() - 64]])),
        "dialer_to_acceptor": direction_vector(&opening, &answer, &proof, 0),
        "acceptor_to_dialer": direction_vector(&opening, &answer, &proof, 1),
        "head_tag": {"log": hex(&log.to_bytes()), "size": 3, "root": hex(head(3).root.as_bytes()), "tag": hex(&tag)},
        "frames": frames,
        "hellos_refused": hellos_refused(&pair, &opening, &answer, &proof),
        "frames_refused": frames_refused(),
    })
}

/// The keys of one direction, derived by its receiver from the specification alone.
fn direction_vector(opening: &[u8], answer: &[u8], proof: &[u8], direction: u8) -> Value {
    let (randomness, encapsulated) = match direction {
        0 => (bytes_from(0xa0, 32), &proof[..32]),
        _ => (bytes_from(0x20, 32), &answer[42..74]),
    };
    let ephemerals = [&[0, direction], &opening[11..43], &answer[10..42]].concat();
    let info = tagged_message("causality/0/session", &ephemerals);
    let (secret, _) = X25519HkdfSha256::derive_keypair(&randomness);
    let encapsulated_key =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).unwrap();
    let context = setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated_key,
        &info,
    )
    .unwrap();
    let export = |context_bytes: Vec<u8>| {
        let mut key = [0; 32];
        context.export(&context_bytes, &mut key).unwrap();
        hex(&key)
    };
    let stream_key = |stream: u64| {
        export(tagged_message(
            "causality/0/stream-key",
            &stream.to_le_bytes(),
        ))
    };
    let mut vector = json!({
        "receiver_secret": hex(&secret.to_bytes()),
        "encapsulated": hex(encapsulated),
        "info": hex(&info),
        "stream_keys": [{"stream": 0, "key": stream_key(0)}, {"stream": 258, "key": stream_key(258)}],
    });
    if direction == 1 {
        vector["head_tag_key"] = export(tagged_message("causality/0/head-tag-key", &[])).into();
    }
    vector
}

fn frame_vectors(at_amber: &mut Established, at_basil: &mut Established) -> Value {
    let mut vectors = Vec::new();
    for (direction, stream) in [
        ("dialer_to_acceptor", 0),
        ("dialer_to_acceptor", 258),
        ("acceptor_to_dialer", 0),
    ] {
        let (from, to) = match direction {
            "dialer_to_acceptor" => (&mut *at_amber, &mut *at_basil),
            _ => (&mut *at_basil, &mut *at_amber),
        };
        let mut sealer = from.keys.sealer(stream).unwrap();
        let mut opener = to.keys.opener(stream).unwrap();
        for (number, text) in (0_u64..).zip(["", "first", "the frame behind it"]) {
            let frame = sealer.seal(text.as_bytes()).unwrap();
            assert_eq!(opener.open(body(&frame)).unwrap(), text.as_bytes());
            vectors.push(json!({
                "direction": direction,
                "stream": stream,
                "number": number,
                "plaintext": hex(text.as_bytes()),
                "frame": hex(&frame),
            }));
        }
    }
    Value::Array(vectors)
}

fn frames_refused() -> Value {
    let frames = |pair: &Pair, stream: u64| {
        let (_, mut at_amber, _) = pair.handshake();
        let mut sealer = at_amber.keys.sealer(stream).unwrap();
        ["first", "second"].map(|text| sealer.seal(text.as_bytes()).unwrap())
    };
    let [first, second] = frames(&Pair::new(), 0);
    let [other_stream, _] = frames(&Pair::new(), 1);
    let [other_session, _] = frames(&Pair::again(), 0);
    let (_, _, mut at_basil) = Pair::new().handshake();
    let own = at_basil.keys.sealer(0).unwrap().seal(b"first").unwrap();
    let mut flipped = first.clone();
    flipped[4] ^= 1;
    let short = first[..first.len() - 1].to_vec();
    let long = [first.as_slice(), &[0]].concat();
    let cases = [
        ("a flipped bit", vec![flipped]),
        ("a byte short", vec![short]),
        ("a byte more", vec![long]),
        ("shorter than a tag", vec![first[..4 + 15].to_vec()]),
        ("empty", vec![first[..4].to_vec()]),
        ("replayed", vec![first.clone(), first.clone()]),
        ("the second without the first", vec![second.clone()]),
        ("the second twice", vec![first, second.clone(), second]),
        ("of another stream", vec![other_stream]),
        ("of another session", vec![other_session]),
        ("of the other direction", vec![own]),
    ];
    let vector = |(about, frames): (&str, Vec<Vec<u8>>)| json!({"about": about, "stream": 0, "frames": hexes(&frames), "class": "open"});
    Value::Array(cases.map(vector).to_vec())
}

fn hellos_refused(pair: &Pair, opening: &[u8], answer: &[u8], proof: &[u8]) -> Value {
    let changed = |message: &[u8], offset: usize, byte: u8| {
        let mut message = message.to_vec();
        message[offset] = byte;
        message
    };
    let short = |message: &[u8]| message[..message.len() - 1].to_vec();
    let long = |message: &[u8]| [message, &[0]].concat();
    let flipped = |message: &[u8]| {
        let last = message.len() - 1;
        changed(message, last, message[last] ^ 1)
    };
    let mut small_opening = opening.to_vec();
    small_opening[11..].fill(0);
    let (amber, basil) = (pair.amber.transport_secret(), pair.basil.transport_secret());
    let of_basil = |encapsulated| Shown::of(&pair.basil, encapsulated);
    let of_amber = |encapsulated| Shown::of(&pair.amber, encapsulated);
    let forged = |ephemeral, shown: &Shown, signer| {
        forge::answer(opening, ephemeral, shown, signer, EXPORTER)
    };
    let proven = |shown: &Shown, signer| forge::proof([opening, answer], shown, signer);
    let mallory = domain(0x40);
    let transport = *mallory.transport_key().as_bytes();
    let unlisted_answer = Shown {
        transport,
        ..of_basil([9; 32])
    };
    let unlisted_proof = Shown {
        transport,
        ..of_amber([9; 32])
    };
    let mallory = mallory.transport_secret();
    let old = keys_valid(0..1);
    let old_transport = old.transport_secret();
    let expired = proven(&Shown::of(&old, [9; 32]), &old_transport);
    let no_records = Shown {
        records: Vec::new(),
        ..of_amber([9; 32])
    };
    let ([_, other_answer, other_proof], ..) = Pair::again().handshake();

    let dialed = pair.basil.domain();
    let key = *pair.basil.transport_key().as_bytes();
    let cases = [
        (
            "opening",
            "another magic",
            changed(opening, 0, b'C'),
            "malformed",
        ),
        ("opening", "a byte short", short(opening), "malformed"),
        ("opening", "a byte more", long(opening), "malformed"),
        (
            "opening",
            "versions backwards",
            changed(opening, 9, 1),
            "malformed",
        ),
        (
            "opening",
            "a later version only",
            changed(&changed(opening, 9, 1), 10, 1),
            "version_mismatch",
        ),
        (
            "opening",
            "an ephemeral key of zeros",
            small_opening,
            "bad_ephemeral",
        ),
        (
            "answer",
            "another magic",
            changed(answer, 0, b'C'),
            "malformed",
        ),
        ("answer", "a byte short", short(answer), "malformed"),
        ("answer", "a byte more", long(answer), "malformed"),
        (
            "answer",
            "a later version",
            changed(answer, 9, 1),
            "version_mismatch",
        ),
        (
            "answer",
            "a flipped bit in the signature",
            flipped(answer),
            "bad_signature",
        ),
        (
            "answer",
            "of another handshake",
            other_answer,
            "bad_signature",
        ),
        (
            "answer",
            "signed over another exporter",
            forge::answer(opening, [9; 32], &of_basil([9; 32]), &basil, [0; 32]),
            "bad_signature",
        ),
        (
            "answer",
            "signed by another key",
            forged([9; 32], &of_basil([9; 32]), &mallory),
            "bad_signature",
        ),
        (
            "answer",
            "a transport key that is not listed",
            forged([9; 32], &unlisted_answer, &mallory),
            "not_listed",
        ),
        (
            "answer",
            "an ephemeral key of zeros",
            forged([0; 32], &of_basil([9; 32]), &basil),
            "bad_ephemeral",
        ),
        (
            "answer",
            "an encapsulated key of zeros",
            forged([9; 32], &of_basil([0; 32]), &basil),
            "bad_ephemeral",
        ),
        ("proof", "a byte short", short(proof), "malformed"),
        ("proof", "a byte more", long(proof), "malformed"),
        (
            "proof",
            "a flipped bit in the signature",
            flipped(proof),
            "bad_signature",
        ),
        (
            "proof",
            "of another handshake",
            other_proof,
            "bad_signature",
        ),
        (
            "proof",
            "signed by another key",
            proven(&of_amber([9; 32]), &mallory),
            "bad_signature",
        ),
        (
            "proof",
            "a transport key that is not listed",
            proven(&unlisted_proof, &mallory),
            "not_listed",
        ),
        (
            "proof",
            "an encapsulated key of zeros",
            proven(&of_amber([0; 32]), &amber),
            "bad_ephemeral",
        ),
        (
            "proof",
            "no key records",
            proven(&no_records, &amber),
            "key",
        ),
        (
            "proof",
            "keys that are not valid any more",
            expired,
            "expired",
        ),
    ];
    let vector = |(step, about, message, class): (&str, &str, Vec<u8>, &str)| {
        let mut vector =
            json!({"step": step, "about": about, "message": hex(&message), "class": class});
        if step == "answer" {
            let key = if class == "not_listed" {
                transport
            } else {
                key
            };
            vector["dialed"] = hex(dialed.as_ref()).into();
            vector["tls_key"] = hex(&key).into();
        }
        vector
    };
    let mut vectors = cases.map(vector).to_vec();
    let others = [
        (
            "not the key of the TLS session",
            dialed,
            transport,
            "other_tls_key",
        ),
        (
            "another domain than the one dialed",
            pair.amber.domain(),
            key,
            "wrong_domain",
        ),
    ];
    for (about, dialed, key, class) in others {
        vectors.push(json!({"step": "answer", "about": about, "message": hex(answer), "dialed": hex(dialed.as_ref()), "tls_key": hex(&key), "class": class}));
    }
    Value::Array(vectors)
}

fn keys_valid(valid_ms: std::ops::Range<i64>) -> DomainKeys {
    DomainKeys::generate(&mut Tape::new(&bytes_from(0x40, 128)), valid_ms).unwrap()
}
