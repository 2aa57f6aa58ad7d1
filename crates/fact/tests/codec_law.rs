//! The codec law: for every byte string, `encode(decode(b)) == b`, or `b` is refused. Tried on valid bytes, each of
//! their single-byte mutations and truncations, and random bytes.

#![expect(clippy::unwrap_used, reason = "a test")]

use causality_fact::AnyCore;
use causality_fact::Aspect;
use causality_fact::Checkpoint;
use causality_fact::Comparison;
use causality_fact::CompartmentId;
use causality_fact::ContentHash;
use causality_fact::ConvergenceReceipt;
use causality_fact::CustomType;
use causality_fact::Decoder;
use causality_fact::DomainId;
use causality_fact::Encoder;
use causality_fact::EncryptionPublicKey;
use causality_fact::Entry;
use causality_fact::Exhibit;
use causality_fact::FactCore;
use causality_fact::FactFilter;
use causality_fact::FactId;
use causality_fact::FactType;
use causality_fact::FactTypePattern;
use causality_fact::FilterNode;
use causality_fact::Frontiers;
use causality_fact::Hlc;
use causality_fact::KeyId;
use causality_fact::KeyRecord;
use causality_fact::LOG_SIZE_MAX;
use causality_fact::Label;
use causality_fact::LaneId;
use causality_fact::LogId;
use causality_fact::Onward;
use causality_fact::Pattern;
use causality_fact::References;
use causality_fact::Resource;
use causality_fact::Row;
use causality_fact::RowCore;
use causality_fact::Seed;
use causality_fact::SignedKeyRecord;
use causality_fact::SigningPublicKey;
use causality_fact::TemporalFact;
use causality_fact::TimeMap;
use causality_fact::TransportPublicKey;
use causality_fact::TreeHash;
use causality_fact::ValidTime;
use causality_fact::Value;
use causality_fact::WholeContent;
use causality_fact::WithheldStatement;
use causality_fact::decode_reveal;
use causality_fact::encode_reveal;
use causality_fact::peek_row;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

const ORIGIN: DomainId = DomainId::new([1; 32]);

/// Decodes bytes and encodes what came of them; `None` when they are refused.
#[derive(Clone, Copy, Debug)]
struct Codec(fn(&[u8]) -> Option<Vec<u8>>);

const CORE: Codec = Codec(|bytes| match AnyCore::from_bytes(bytes).ok()? {
    AnyCore::Known(core) => Some(core.to_bytes()),
    // Kept as it was received; what is read of it starts it.
    AnyCore::Unsupported(header) => {
        assert_eq!((header.version, header.onward as u8), (bytes[0], bytes[1]));
        Some(bytes.to_vec())
    }
});

const ROW: Codec = Codec(|bytes| {
    let row = Row::from_bytes(bytes, ORIGIN).ok()?;
    assert_eq!(row.bytes(), bytes);
    let head = peek_row(bytes).unwrap();
    match row.core() {
        RowCore::Known(core) => {
            assert_eq!((head.onward, head.label), (core.onward, core.label.clone()))
        }
        RowCore::Unsupported(header) => assert_eq!(head, *header),
    }
    let Some(fact) = row.fact() else {
        assert!(matches!(row.core(), RowCore::Unsupported(_)));
        return Some(bytes.to_vec());
    };
    assert_eq!(fact.id(), fact.core().id());
    assert_eq!(fact.content().root(), fact.core().content_root);
    Some(fact.to_row())
});

const CHECKPOINT: Codec = Codec(|bytes| Some(Checkpoint::from_bytes(bytes).ok()?.to_bytes()));
const KEY_RECORD: Codec = Codec(|bytes| Some(SignedKeyRecord::from_bytes(bytes).ok()?.to_bytes()));
const EXHIBIT: Codec = Codec(|bytes| {
    let _ = Exhibit::verify(bytes);
    Some(Exhibit::from_bytes(bytes).ok()?.to_bytes())
});
const FILTER: Codec = Codec(|bytes| Some(FactFilter::from_bytes(bytes).ok()?.to_bytes()));
const TIME_MAP: Codec = Codec(|bytes| Some(TimeMap::from_bytes(bytes).ok()?.to_bytes()));
const LOG_ID: Codec = Codec(|bytes| {
    let log = Decoder::exactly(bytes, LogId::decode).ok()?;
    Some(log.to_bytes().to_vec())
});
const ENTRIES: Codec = Codec(|bytes| {
    let (mut from, mut to) = (Decoder::new(bytes), Encoder::new());
    while from.remaining() > 0 {
        Entry::decode(&mut from, ORIGIN).ok()?.encode(&mut to);
    }
    Some(to.finish())
});

const REVEAL: Codec = Codec(|bytes| {
    let rows = decode_reveal(bytes, ORIGIN).ok()?;
    let rows = rows.iter().map(|(position, row)| (*position, row.bytes()));
    Some(encode_reveal(rows))
});

const WITHHELD: Codec = Codec(|bytes| Some(WithheldStatement::from_bytes(bytes).ok()?.to_bytes()));

const RECEIPT: Codec = Codec(|bytes| Some(ConvergenceReceipt::from_bytes(bytes).ok()?.to_bytes()));

impl Codec {
    /// The law for one byte string.
    fn holds(self, bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Some(encoded) = self.0(bytes) {
            prop_assert_eq!(encoded, bytes);
        }
        Ok(())
    }

    /// The law for valid bytes and all that is one byte away from them: other values of a byte, one less, one more.
    fn holds_around(self, valid: &[u8]) -> Result<(), TestCaseError> {
        prop_assert_eq!(
            self.0(valid),
            Some(valid.to_vec()),
            "valid bytes are accepted"
        );
        for length in 0..valid.len() {
            self.holds(&valid[..length])?;
        }
        for at in 0..valid.len() {
            let mut bytes = valid.to_vec();
            // The values that decide something: codes, small lengths, signs, and the continuation of an integer.
            let near = [
                valid[at] ^ 1,
                valid[at] ^ 0x80,
                valid[at].wrapping_add(1),
                valid[at].wrapping_sub(1),
            ];
            for value in (0..=12).chain([0x7f, 0x80, 0xfe, 0xff]).chain(near) {
                bytes[at] = value;
                self.holds(&bytes)?;
            }
        }
        for extra in [0, 1, 0x80, 0xff] {
            self.holds(&[valid, &[extra]].concat())?;
        }
        Ok(())
    }

    /// The law for each of the 255 other values of each byte.
    fn holds_for_every_byte(self, valid: &[u8]) {
        for at in 0..valid.len() {
            let mut bytes = valid.to_vec();
            for value in 0..=255 {
                bytes[at] = value;
                self.holds(&bytes).unwrap();
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), "[a-zA-Z0-9é☃._-]{1,12}"]
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(|number| Value::number(number).unwrap_or(Value::Null)),
        ".{0,8}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::Bytes),
    ];
    scalar.prop_recursive(4, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::btree_map(name(), inner, 0..3).prop_map(Value::Map),
        ]
    })
}

fn fact_type() -> impl Strategy<Value = FactType> {
    let built_in = [
        FactType::StateChange,
        FactType::Operation,
        FactType::Observation,
        FactType::Transaction,
        FactType::CrossDomain,
        FactType::Validation,
        FactType::Retraction,
        FactType::Resolution,
        FactType::Erasure,
    ];
    let custom = name().prop_map(|name| FactType::Custom(CustomType::new(name).unwrap()));
    prop_oneof![3 => prop::sample::select(built_in.to_vec()), 1 => custom]
}

fn valid_time() -> impl Strategy<Value = ValidTime> {
    (any::<i64>(), any::<i64>()).prop_map(|(from, until)| {
        ValidTime::between(from, until).unwrap_or_else(|| ValidTime::since(from))
    })
}

fn references<const MAX: usize>() -> impl Strategy<Value = References<MAX>> {
    let ids = prop::collection::vec(any::<[u8; 32]>(), 0..3);
    ids.prop_map(|ids| References::new(ids.into_iter().map(FactId::new)).unwrap())
}

fn core() -> impl Strategy<Value = FactCore> {
    let onward = prop::sample::select(vec![Onward::None, Onward::Audience, Onward::Any]);
    let optional = prop_oneof![Just(String::new()), name()];
    (
        (
            onward,
            optional.clone(),
            fact_type(),
            name(),
            name(),
            optional,
        ),
        (
            any::<u64>(),
            valid_time(),
            references(),
            references(),
            any::<[u8; 32]>(),
        ),
    )
        .prop_map(|(names, rest)| FactCore {
            onward: names.0,
            label: Label::new(names.1).unwrap(),
            origin: ORIGIN,
            fact_type: names.2,
            resource: Resource::new(names.3, names.4).unwrap(),
            aspect: Aspect::new(names.5).unwrap(),
            hlc: Hlc::from_bits(rest.0),
            valid: rest.1,
            requires: rest.2,
            supersedes: rest.3,
            content_root: ContentHash::new(rest.4),
        })
}

fn fields() -> impl Strategy<Value = BTreeMap<String, Value>> {
    prop::collection::btree_map(name(), value(), 0..4)
}

/// Facts whole, redacted and merged again, and facts of newer types.
fn row() -> impl Strategy<Value = Row> {
    let disclosed = prop::collection::vec(any::<bool>(), 4);
    (core(), fields(), any::<[u8; 16]>(), disclosed, 0..8u8).prop_map(
        |(core, fields, seed, disclosed, kind)| {
            if kind == 0 {
                let mut newer = core.to_bytes();
                newer[0] = 1;
                return Row::unsupported(&newer, &seed).unwrap();
            }
            let names: Vec<_> = fields.keys().cloned().collect();
            let shown: BTreeSet<_> = std::iter::zip(names, disclosed)
                .filter_map(|(name, shown)| shown.then_some(name))
                .collect();
            let content = WholeContent::new(Seed::new(seed), fields).unwrap();
            let fact = TemporalFact::new(core, content).unwrap();
            let part = fact.redact(|name| shown.contains(name));
            match kind {
                0..4 => Row::from(&fact),
                4..6 => Row::from(&part),
                _ => {
                    let rest = fact.redact(|name| !shown.contains(name));
                    Row::from(part.merge(&rest).unwrap())
                }
            }
        },
    )
}

fn log_id() -> impl Strategy<Value = LogId> {
    any::<([u8; 16], [u8; 16])>().prop_map(|(compartment, lane)| LogId {
        origin: ORIGIN,
        compartment: CompartmentId::new(compartment),
        lane: LaneId::new(lane),
    })
}

fn signature() -> impl Strategy<Value = [u8; 64]> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&halves[0]);
        signature[32..].copy_from_slice(&halves[1]);
        signature
    })
}

fn checkpoint() -> impl Strategy<Value = Checkpoint> {
    let said = (
        0..=LOG_SIZE_MAX,
        any::<[u8; 32]>(),
        any::<u64>(),
        0..1024u32,
    );
    (
        log_id(),
        said,
        any::<[u8; 16]>(),
        any::<bool>(),
        signature(),
    )
        .prop_map(
            |(log, (size, root, hlc, epoch), key, closing, signature)| Checkpoint {
                log,
                size,
                root: TreeHash::new(root),
                hlc: Hlc::from_bits(hlc),
                epoch,
                key: KeyId::new(key),
                closing,
                signature,
            },
        )
}

fn withheld_statement() -> impl Strategy<Value = WithheldStatement> {
    let said = any::<([u8; 32], [[u8; 32]; 3])>();
    (checkpoint(), said).prop_map(|(signed, (audience, sets))| WithheldStatement {
        log: signed.log,
        size: signed.size,
        audience: DomainId::new(audience),
        withheld: sets[0],
        deferred: sets[1],
        partial: sets[2],
        hlc: signed.hlc,
        epoch: signed.epoch,
        key: signed.key,
        signature: signed.signature,
    })
}

fn convergence_receipt() -> impl Strategy<Value = ConvergenceReceipt> {
    let said = any::<([u8; 32], [u8; 16], [[u8; 32]; 3])>();
    (checkpoint(), said).prop_map(|(signed, (peer, scope, hashes))| ConvergenceReceipt {
        signer: signed.log.origin,
        peer: DomainId::new(peer),
        scope,
        frontiers: Frontiers {
            signer: hashes[0],
            peer: hashes[1],
        },
        hlc: signed.hlc,
        previous: hashes[2],
        epoch: signed.epoch,
        key: signed.key,
        signature: signed.signature,
    })
}

fn key_record() -> impl Strategy<Value = SignedKeyRecord> {
    let keys = || prop::collection::btree_set(any::<[u8; 32]>(), 1..4);
    let revoked = prop::collection::btree_set(any::<[u8; 16]>(), 0..3);
    let hashes = any::<[[u8; 32]; 3]>();
    let epoch = prop_oneof![Just(0), 0..1024u32];
    (
        epoch,
        hashes,
        keys(),
        keys(),
        valid_time(),
        revoked,
        signature(),
    )
        .prop_map(
            |(
                epoch,
                [previous, encryption, next],
                signing,
                transport,
                valid,
                revoked,
                signature,
            )| {
                let record = KeyRecord {
                    epoch,
                    previous,
                    signing: signing.into_iter().map(SigningPublicKey::new).collect(),
                    encryption: EncryptionPublicKey::new(encryption),
                    transport: transport.into_iter().map(TransportPublicKey::new).collect(),
                    next,
                    not_before: valid.from().min(i64::MAX - 1),
                    not_after: valid.until().unwrap_or(i64::MAX),
                    revoked: revoked.into_iter().map(KeyId::new).collect(),
                };
                SignedKeyRecord {
                    own: vec![signature; record.signing.len()],
                    previous: (epoch > 0).then_some((KeyId::new([7; 16]), signature)),
                    record,
                }
            },
        )
}

fn entry() -> impl Strategy<Value = Entry> {
    let withheld = (0..=12u8, any::<[u8; 32]>());
    let withheld = withheld.prop_map(|(level, hash)| (level, TreeHash::new(hash)));
    prop_oneof![
        row().prop_map(Entry::Row),
        withheld.prop_map(|(level, hash)| Entry::Withheld { level, hash }),
    ]
}

fn entries() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(entry(), 0..3).prop_map(|entries| {
        let mut to = Encoder::new();
        entries.iter().for_each(|entry| entry.encode(&mut to));
        to.finish()
    })
}

fn reveal() -> impl Strategy<Value = Vec<u8>> {
    let position = prop_oneof![0..9u64, 0..LOG_SIZE_MAX];
    prop::collection::btree_map(position, row(), 1..3).prop_map(|rows| {
        let rows = rows.iter().map(|(position, row)| (*position, row.bytes()));
        encode_reveal(rows)
    })
}

fn exhibit() -> impl Strategy<Value = Exhibit> {
    let keys = prop::collection::vec(key_record(), 0..2);
    let path = prop::collection::vec(any::<[u8; 32]>(), 0..3);
    (keys, checkpoint(), any::<u64>(), path, row()).prop_map(
        |(keys, checkpoint, position, path, row)| Exhibit {
            keys: keys.iter().map(SignedKeyRecord::to_bytes).collect(),
            checkpoint,
            position,
            path: path.into_iter().map(TreeHash::new).collect(),
            row,
        },
    )
}

fn condition() -> impl Strategy<Value = FilterNode> {
    let comparison = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let pattern = || name().prop_map(Pattern::new);
    prop_oneof![
        Just(FilterNode::True),
        Just(FilterNode::Type(FactTypePattern::Any)),
        fact_type().prop_map(|fact_type| FilterNode::Type(FactTypePattern::Is(fact_type))),
        pattern().prop_map(|pattern| FilterNode::Type(FactTypePattern::Named(pattern))),
        pattern().prop_map(FilterNode::Resource),
        pattern().prop_map(FilterNode::Aspect),
        pattern().prop_map(FilterNode::Label),
        Just(FilterNode::Origin(ORIGIN)),
        valid_time().prop_map(FilterNode::Valid),
        name().prop_map(FilterNode::Exists),
        (name(), comparison, value()).prop_map(|(name, comparison, value)| FilterNode::Field {
            name,
            comparison,
            value
        }),
    ]
}

fn filter() -> impl Strategy<Value = FactFilter> {
    (prop::collection::vec(condition(), 1..5), any::<bool>()).prop_map(|(mut nodes, all)| {
        let count = nodes.len() as u8;
        nodes.push(match (count, all) {
            (1, _) => FilterNode::Not,
            (_, true) => FilterNode::And(count),
            (_, false) => FilterNode::Or(count),
        });
        FactFilter::new(nodes).unwrap()
    })
}

fn time_map() -> impl Strategy<Value = TimeMap> {
    prop::collection::vec((log_id(), 0..=LOG_SIZE_MAX), 0..4).prop_map(|sizes| {
        let mut map = TimeMap::new();
        for (log, size) in sizes {
            map.raise(log, size).unwrap();
        }
        map
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cores_obey_the_law(core in core()) {
        CORE.holds_around(&core.to_bytes())?;
    }

    #[test]
    fn rows_and_their_content_obey_the_law(row in row()) {
        ROW.holds_around(row.bytes())?;
    }

    #[test]
    fn checkpoints_obey_the_law(checkpoint in checkpoint()) {
        CHECKPOINT.holds_around(&checkpoint.to_bytes())?;
        LOG_ID.holds_around(&checkpoint.log.to_bytes())?;
    }

    #[test]
    fn withheld_statements_obey_the_law(statement in withheld_statement()) {
        WITHHELD.holds_around(&statement.to_bytes())?;
    }

    #[test]
    fn convergence_receipts_obey_the_law(receipt in convergence_receipt()) {
        RECEIPT.holds_around(&receipt.to_bytes())?;
    }

    #[test]
    fn key_records_obey_the_law(record in key_record()) {
        KEY_RECORD.holds_around(&record.to_bytes())?;
    }

    #[test]
    fn exhibits_obey_the_law(exhibit in exhibit()) {
        EXHIBIT.holds_around(&exhibit.to_bytes())?;
    }

    #[test]
    fn entries_of_chunks_obey_the_law(entries in entries()) {
        ENTRIES.holds_around(&entries)?;
    }

    #[test]
    fn reveals_obey_the_law(reveal in reveal()) {
        REVEAL.holds_around(&reveal)?;
    }

    #[test]
    fn filters_obey_the_law(filter in filter()) {
        FILTER.holds_around(&filter.to_bytes())?;
    }

    #[test]
    fn time_maps_obey_the_law(map in time_map()) {
        TIME_MAP.holds_around(&map.to_bytes())?;
    }
}

const CODECS: [Codec; 12] = [
    CORE, ROW, CHECKPOINT, KEY_RECORD, EXHIBIT, FILTER, TIME_MAP, LOG_ID, ENTRIES, REVEAL,
    WITHHELD, RECEIPT,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_obey_the_law(start in 0..4u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for codec in CODECS {
            codec.holds(&bytes)?;
            codec.holds(&[&[start], &bytes[..]].concat())?;
        }
    }

    #[test]
    fn random_small_bytes_obey_the_law(bytes in prop::collection::vec(0..12u8, 0..60)) {
        for codec in CODECS {
            codec.holds(&bytes)?;
        }
        EXHIBIT.holds(&[causality_fact::EXHIBIT_MAGIC, &bytes[..]].concat())?;
    }
}

#[test]
fn every_value_of_every_byte_obeys_the_law() {
    let fields = [
        (
            "list".to_owned(),
            Value::List(vec![Value::Int(-300), Value::number(0.5).unwrap()]),
        ),
        (
            "map".to_owned(),
            Value::Map([("k".to_owned(), Value::Bytes(vec![1, 2]))].into()),
        ),
        ("text".to_owned(), Value::String("é".to_owned())),
    ];
    let content = WholeContent::new(Seed::new([7; 16]), fields.into()).unwrap();
    let core = FactCore {
        onward: Onward::Audience,
        label: Label::new("l").unwrap(),
        origin: ORIGIN,
        fact_type: FactType::Custom(CustomType::new("t").unwrap()),
        resource: Resource::new("a", "b").unwrap(),
        aspect: Aspect::new("é").unwrap(),
        hlc: Hlc::from_millis(5),
        valid: ValidTime::between(-1, 300).unwrap(),
        requires: References::new([FactId::new([2; 32])]).unwrap(),
        supersedes: References::new([FactId::new([3; 32]), FactId::new([4; 32])]).unwrap(),
        content_root: ContentHash::new([0; 32]),
    };
    let fact = TemporalFact::new(core, content).unwrap();
    CORE.holds_for_every_byte(&fact.core().to_bytes());
    ROW.holds_for_every_byte(&fact.to_row());
    ROW.holds_for_every_byte(&fact.redact(|name| name == "map").to_row());
}
