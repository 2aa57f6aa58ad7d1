//! Expressions: what they mean, how tightly they bind, and what is none.

use super::*;
use causality_fact::DomainId;
use causality_fact::FILTER_DEPTH_MAX;
use causality_fact::FILTER_NODES_MAX;
use causality_fact::FactType;
use proptest::prelude::*;

fn field(name: &str, comparison: Comparison, value: Value) -> FilterNode {
    let name = name.to_owned();
    FilterNode::Field {
        name,
        comparison,
        value,
    }
}

fn exists(name: &str) -> FilterNode {
    FilterNode::Exists(name.to_owned())
}

fn check(text: &str, nodes: &[FilterNode]) {
    assert_eq!(
        parse_filter(text).map(|f| f.nodes().to_vec()),
        Ok(nodes.to_vec()),
        "{text}"
    );
}

fn refuse(text: &str, error: ExpressionError) {
    assert_eq!(parse_filter(text), Err(error), "{text}");
}

fn unexpected(at: usize, expected: &'static str, found: &str) -> ExpressionError {
    let found = found.to_owned();
    ExpressionError::Unexpected {
        at,
        expected,
        found,
    }
}

#[test]
fn conditions_on_fields_compare_with_values() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    check(
        "mag >= 2.5",
        &[field("mag", GreaterOrEqual, Value::number(2.5).unwrap())],
    );
    check("mag>2", &[field("mag", Greater, Value::Int(2))]);
    check("mag = 2.0", &[field("mag", Equal, Value::Int(2))]);
    check("depth < -1.5e1", &[field("depth", Less, Value::Int(-15))]);
    check(
        "n = 9223372036854775807",
        &[field("n", Equal, Value::Int(i64::MAX))],
    );
    check(
        "place <= \"a \\\"b\\\" \\\\\"",
        &[field(
            "place",
            LessOrEqual,
            Value::String("a \"b\" \\".into()),
        )],
    );
    check("felt = true", &[field("felt", Equal, Value::Bool(true))]);
    check("felt = false", &[field("felt", Equal, Value::Bool(false))]);
    check(
        "felt != null",
        &[field("felt", Equal, Value::Null), FilterNode::Not],
    );
    check("exists größe", &[exists("größe")]);
    check("\"type\" = 1", &[field("type", Equal, Value::Int(1))]);
    check("exists \"two words\"", &[exists("two words")]);
}

#[test]
fn conditions_on_the_core_take_patterns() {
    check(
        "type is \"observation\"",
        &[FilterNode::Type(FactTypePattern::Is(FactType::Observation))],
    );
    check("type is \"*\"", &[FilterNode::Type(FactTypePattern::Any)]);
    check(
        "type is \"custom:*\"",
        &[FilterNode::Type(FactTypePattern::Named(Pattern::new(
            "custom:*",
        )))],
    );
    check(
        "resource is \"event/*\"",
        &[FilterNode::Resource(Pattern::new("event/*"))],
    );
    check(
        "aspect is \"report\"",
        &[FilterNode::Aspect(Pattern::new("report"))],
    );
    check("label is \"\"", &[FilterNode::Label(Pattern::new(""))]);
    let id = DomainId::new([7; 32]);
    check(&format!("origin is \"{id}\""), &[FilterNode::Origin(id)]);
}

#[test]
fn not_binds_tighter_than_and_and_that_tighter_than_or() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(exists);
    let (not, and, or) = (FilterNode::Not, FilterNode::And, FilterNode::Or);
    let text = |text: &str| text.replace('$', "exists ");
    check(
        &text("not $a and $b"),
        &[a.clone(), not.clone(), b.clone(), and(2)],
    );
    check(
        &text("not ($a and $b)"),
        &[a.clone(), b.clone(), and(2), not.clone()],
    );
    check(&text("not not $a"), &[a.clone(), not.clone(), not]);
    check(
        &text("$a or $b and $c or $d"),
        &[a.clone(), b.clone(), c.clone(), and(2), d.clone(), or(3)],
    );
    check(
        &text("$a and ($b or $c) and $d"),
        &[a.clone(), b.clone(), c.clone(), or(2), d, and(3)],
    );
    check(
        &text("(($a)) and (($b and $c))"),
        &[a, b, c, and(2), and(2)],
    );
}

#[test]
fn what_is_no_expression_is_refused_where_it_goes_wrong() {
    let more = "`and`, `or` or the end";
    refuse("", unexpected(0, "a condition", "the end"));
    refuse("mag", unexpected(3, "a comparison", "the end"));
    refuse("mag >= ", unexpected(7, "a value", "the end"));
    refuse("mag is \"2\"", unexpected(4, "a comparison", "`is`"));
    let value = "a value (a string stands in double quotes)";
    refuse("a = b", unexpected(4, value, "`b`"));
    refuse("a = 1 b = 2", unexpected(6, more, "`b`"));
    refuse("a = 1 and", unexpected(9, "a condition", "the end"));
    refuse("a = 1)", unexpected(5, more, "`)`"));
    refuse("(a = 1", unexpected(6, "`)`", "the end"));
    refuse("exists 3", unexpected(7, "the name of a field", "`3`"));
    refuse("label is 3", unexpected(9, "a pattern in quotes", "`3`"));
    let is = "`is` (a field of such a name is written in quotes)";
    refuse("label = \"x\"", unexpected(6, is, "`=`"));
    refuse(
        "a = 1 & b = 2",
        ExpressionError::Character {
            at: 6,
            character: '&',
        },
    );
    for (text, expected) in [
        ("a = 1 && b", "`&` means nothing here; write `and`"),
        ("a = 1 || b", "`|` means nothing here; write `or`"),
        ("!a", "`!` means nothing here; write `not` or `!=`"),
        (
            "a = 'b'",
            "`'` means nothing here; a string stands in double quotes",
        ),
        ("a = \u{7}", "`\\u{7}` means nothing here"),
        ("a = \u{a7}", "`\u{a7}` means nothing here"),
    ] {
        assert_eq!(parse_filter(text).unwrap_err().to_string(), expected);
    }
    for text in ["a = \"x", "a = \"x\\\"", "a = \"\\n\""] {
        refuse(text, ExpressionError::String { at: 4 });
    }
    for number in ["1.2.3", "-", "9223372036854775808", "1e400", "12ab"] {
        let error = ExpressionError::Number {
            at: 4,
            number: number.to_owned(),
        };
        refuse(&format!("a = {number}"), error);
    }
    assert!(matches!(
        parse_filter("origin is \"uw\""),
        Err(ExpressionError::Origin { at: 10, .. })
    ));
    let error = parse_filter("type is \"observatoin\"").unwrap_err();
    assert!(matches!(error, ExpressionError::FactType { at: 8, .. }));
    assert_eq!(error.at(), 8);
}

#[test]
fn expressions_have_limits() {
    let blank = |length| format!("exists a{}", " ".repeat(length - 8));
    assert!(parse_filter(&blank(EXPRESSION_BYTES_MAX)).is_ok());
    refuse(
        &blank(EXPRESSION_BYTES_MAX + 1),
        ExpressionError::TooLong(EXPRESSION_BYTES_MAX + 1),
    );

    let many = |operands| vec!["exists a"; operands].join(" or ");
    assert!(parse_filter(&many(FILTER_NODES_MAX - 1)).is_ok());
    refuse(
        &many(FILTER_NODES_MAX),
        FilterError::TooManyNodes(257).into(),
    );
    let deep = |depth| "not ".repeat(depth - 1) + "exists a";
    assert!(parse_filter(&deep(FILTER_DEPTH_MAX)).is_ok());
    refuse(
        &deep(FILTER_DEPTH_MAX + 1),
        FilterError::TooDeep { at: 16 }.into(),
    );
    // Parentheses alone do not nest a filter, and nothing recurses.
    let many = EXPRESSION_BYTES_MAX / 2 - 5;
    assert!(parse_filter(&format!("{}exists a{}", "(".repeat(many), ")".repeat(many))).is_ok());
}

/// A filter in postfix order and the same as text, with every operation in parentheses.
fn tree() -> impl Strategy<Value = (Vec<FilterNode>, String)> {
    let leaf = prop_oneof![
        "[a-d]{1,3}".prop_map(|name| (
            vec![exists(&format!("f_{name}"))],
            format!("exists f_{name}")
        )),
        any::<i64>().prop_map(|n| (
            vec![field("n", Comparison::Less, Value::Int(n))],
            format!("n < {n}")
        )),
        "[ -~]{0,8}".prop_map(|text| {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            (
                vec![FilterNode::Label(Pattern::new(text))],
                format!("label is \"{quoted}\""),
            )
        }),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 2..5);
        prop_oneof![
            inner.prop_map(|(mut nodes, text)| {
                nodes.push(FilterNode::Not);
                (nodes, format!("not ({text})"))
            }),
            (many, any::<bool>()).prop_map(|(operands, all)| {
                let count = operands.len() as u8;
                let word = if all { ") and (" } else { ") or (" };
                let texts: Vec<_> = operands.iter().map(|(_, text)| text.clone()).collect();
                let mut nodes: Vec<_> = operands.into_iter().flat_map(|(nodes, _)| nodes).collect();
                nodes.push(if all {
                    FilterNode::And(count)
                } else {
                    FilterNode::Or(count)
                });
                (nodes, format!("({})", texts.join(word)))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_survives_its_text((nodes, text) in tree()) {
        prop_assert_eq!(parse_filter(&text), FactFilter::new(nodes).map_err(Into::into));
    }

    #[test]
    fn any_text_is_a_filter_or_refused_at_a_place_in_it(text in "[a-c=<>()\"\\\\!. 0-9äand|or|not]{0,40}") {
        if let Err(error) = parse_filter(&text) {
            prop_assert!(text.is_char_boundary(error.at()));
        }
    }
}
