//! Files that are damaged, hostile or nonsense: each is refused at a place in it, or is a file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use causality_fact::DomainId;
use causality_strategy::{InvalidPolicy, Known, POLICY_BYTES_MAX, Party, PolicyFile};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

/// Every section and key.
const COMPLETE: &str = r#"
[groups]
readers = ["press.*", "radio"]

[resource_types]
event = "an earthquake"

[[out]]
name = "some"
peers = ["@readers", "*.uw"]
compartments = ["public"]
fact_types = ["observation", "custom:*"]
resource_types = ["event"]
labels = ["", "reviewed"]
onward = ["none", "audience", "any"]
valid = { from = 2018-01-30, until = 2019-01-30T12:00:00+01:00 }
known = { from = 2018-01-30 }
in_force = { until = 2030-01-01T00:00:00Z }
where = 'mag >= 2.5 and not (status = "deleted" or exists felt)'
volume = { facts = 10, bytes = 1000, seconds = 60 }

[[in]]
name = "all"
peers = ["*"]
compartments = ["*"]

[[security]]
name = "kept"
peers = ["*"]
refuse = true
withhold = ["sig*"]
protection = "session"

[[strategy]]
name = "on events"
mode = "event-driven"
source = ["own"]
target = ["@readers"]
fact_type = "observation"
resource = "event/*"
label = "reviewed"
where = 'origin is "4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d4f0b8b0d5c0f5f3d"'
batch = 500
retry = { base = "250ms", max = "1min", attempts = 8, jitter_percent = 20 }
pause = "1s"

[[strategy.trigger]]
id = "strong"
fact_type = "*"
resource = "event/*"
label = "*"
where = 'mag > 5'
debounce = "250ms"

[[strategy]]
name = "now and then"
mode = "pull"
polling = { interval = "5s", max = "5min" }
"#;

const PAGES: [&str; 2] = [
    include_str!("../../../docs/src/policies.md"),
    include_str!("../../../docs/src/strategies.md"),
];

/// Files to damage.
fn corpus() -> impl Strategy<Value = &'static str> {
    let example = |page: &'static str| page.split("```toml\n").nth(1).unwrap();
    let examples = PAGES.map(|page| example(page).split("```").next().unwrap());
    select(vec![COMPLETE, COMPLETE, examples[0], examples[1]])
}

/// Reads bytes and whatever can be done with what they say; nothing of it may panic. An error is at a place in them.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    match PolicyFile::from_bytes(bytes) {
        Ok(file) => {
            let peer = Party {
                domain: DomainId::new([1; 32]),
                name: Some("press.herald"),
            };
            let known = Known {
                peers: &[peer],
                compartments: &["public"],
            };
            for finding in file.check(&known) {
                let lines = bytes.split(|byte| *byte == b'\n').count();
                prop_assert!((1..=lines).contains(&finding.line), "{finding}");
            }
            let _ = format!("{:?}", file.model());
            Ok(())
        }
        Err(error) => is_at_a_place(bytes, &error),
    }
}

fn is_at_a_place(bytes: &[u8], error: &InvalidPolicy) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.split('\n').nth(error.line.wrapping_sub(1));
    let columns = line.map(|line| 1..=line.chars().count() + 1);
    let is_inside = columns.is_some_and(|columns| columns.contains(&error.column));
    prop_assert!(is_inside, "{error}\n{text}");
    prop_assert!(!error.error.to_string().is_empty());
    Ok(())
}

/// What files are made of.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\"",
        "'",
        "'''",
        "\n",
        "#",
        "@",
        "*",
        "out",
        "in",
        "security",
        "strategy",
        "strategy.trigger",
        "groups",
        "resource_types",
        "name",
        "peers",
        "mode",
        "where",
        "retry",
        "polling",
        "trigger",
        "volume",
        "valid",
        "\"push\"",
        "\"*\"",
        "'mag > 2'",
        "2018-01-30",
        "1",
        "-1",
        "true",
        "\"5s\"",
        "\\",
        "\u{0}",
        "\u{f6}",
        "\r\n",
    ];
    prop_oneof![9 => select(words.map(str::to_owned).to_vec()), 1 => any::<String>()]
}

/// A change somewhere in the bytes.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Copy(Index, Index, usize),
    Cut(Index, usize),
    Insert(Index, String),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (place(), place(), 1..80_usize)
            .prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        (place(), 1..80_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (place(), piece()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
    ]
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        let reach = |at: usize, length: usize| at..(at + length).min(bytes.len());
        match self {
            Self::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Self::Copy(from, to, length) => {
                let copied = bytes[reach(from.index(bytes.len()), length)].to_vec();
                let to = to.index(bytes.len());
                bytes.splice(to..to, copied);
            }
            Self::Cut(at, length) => {
                let cut = reach(at.index(bytes.len() - 1), length.min(bytes.len() - 1));
                bytes.drain(cut);
            }
            Self::Insert(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, piece.into_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_refused_at_a_place_in_them_or_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes)?;
    }

    #[test]
    fn pieces_of_files_in_any_order_are_refused_at_a_place_or_a_file(pieces in prop::collection::vec(piece(), 0..40)) {
        read(pieces.concat().as_bytes())?;
    }

    #[test]
    fn a_damaged_file_is_refused_at_a_place_in_it_or_still_one(
        file in corpus(), damages in prop::collection::vec(damage(), 1..5),
    ) {
        let mut bytes = file.as_bytes().to_vec();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        read(&bytes)?;
    }

    #[test]
    fn a_file_of_which_lines_are_missing_is_refused_at_a_place_in_it_or_still_one(
        file in corpus(), missing in prop::collection::vec(any::<Index>(), 1..6),
    ) {
        let mut lines: Vec<_> = file.lines().collect();
        for index in missing {
            lines.remove(index.index(lines.len()));
        }
        read(lines.join("\n").as_bytes())?;
    }
}

#[test]
fn the_complete_file_is_one() {
    let file = PolicyFile::parse(COMPLETE).unwrap();
    assert_eq!(
        (file.strategies.len(), file.resource_types.types().count()),
        (2, 1)
    );
}

#[test]
fn what_nests_deeply_is_refused_and_not_a_stack_that_overflows() {
    let deep = |open: &str, close: &str| {
        let times = POLICY_BYTES_MAX / (open.len() + close.len()) - 20;
        format!("groups = {}{}", open.repeat(times), close.repeat(times))
    };
    let keys = |length: usize| format!("{} = 1", vec!["a"; length].join("."));
    for text in [
        deep("[", "]"),
        deep("{a=", "}"),
        keys(400_000),
        format!("[{}]", vec!["a"; 400_000].join(".")),
        format!("[[{}]]", vec!["strategy"; 100_000].join(".")),
        "[".repeat(POLICY_BYTES_MAX),
        format!("[[out]]\nwhere = '{}a'", "(".repeat(10_000)),
        format!(
            "[[out]]\nname = \"a\"\npeers = [\"*\"]\ncompartments = [\"*\"]\nwhere = '{} a = 1'",
            "not ".repeat(4_000)
        ),
    ] {
        assert!(text.len() <= POLICY_BYTES_MAX);
        let error = PolicyFile::from_bytes(text.as_bytes()).unwrap_err();
        is_at_a_place(text.as_bytes(), &error).unwrap();
    }
}
