//! Filters: what they say of disclosed, withheld and absent fields, and which nodes are none.

use super::*;
use crate::tests::fact;
use proptest::prelude::*;

fn field(name: &str, comparison: Comparison, value: Value) -> FilterNode {
    let name = name.to_owned();
    FilterNode::Field {
        name,
        comparison,
        value,
    }
}

fn filter(nodes: &[FilterNode]) -> FactFilter {
    FactFilter::new(nodes.to_vec()).unwrap()
}

/// The fact has `mag` 2.3, `place` "here" and `secret` 7; `secret` is withheld.
fn shown() -> TemporalFact {
    let fields = [
        ("mag", Value::number(2.3).unwrap()),
        ("place", Value::String("here".into())),
        ("secret", Value::Int(7)),
    ];
    fact(7, &fields).redact(|name| name != "secret")
}

fn check(node: FilterNode, expected: Truth) {
    assert_eq!(
        filter(std::slice::from_ref(&node)).evaluate(&shown()),
        expected,
        "{node:?}"
    );
    assert_eq!(
        filter(&[node, FilterNode::Not]).evaluate(&shown()),
        !expected
    );
}

#[test]
fn conditions_on_the_core_are_true_or_false() {
    let core = shown().core().clone();
    let pattern = |text: &str| Pattern::new(text);
    let is = |fact_type| FilterNode::Type(FactTypePattern::Is(fact_type));
    check(FilterNode::True, Truth::True);
    check(FilterNode::Type(FactTypePattern::Any), Truth::True);
    check(is(core.fact_type.clone()), Truth::True);
    check(is(FactType::Erasure), Truth::False);
    check(FilterNode::Resource(pattern("*/*")), Truth::True);
    check(FilterNode::Resource(pattern("other/*")), Truth::False);
    check(
        FilterNode::Aspect(pattern(core.aspect.as_str())),
        Truth::True,
    );
    check(FilterNode::Label(pattern("other")), Truth::False);
    check(FilterNode::Origin(core.origin), Truth::True);
    check(FilterNode::Origin(DomainId::new([9; 32])), Truth::False);
    check(FilterNode::Valid(core.valid), Truth::True);
    let before = ValidTime::between(core.valid.from() - 9, core.valid.from());
    check(FilterNode::Valid(before.unwrap()), Truth::False);
}

#[test]
fn fields_compare_with_what_is_disclosed() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let number = |number| Value::number(number).unwrap();
    let text = |text: &str| Value::String(text.into());
    check(field("mag", Equal, number(2.3)), Truth::True);
    check(field("mag", Equal, number(2.4)), Truth::False);
    check(field("mag", Greater, number(2.0)), Truth::True);
    check(field("mag", Less, number(3.0)), Truth::True);
    check(field("mag", Less, number(2.0)), Truth::False);
    check(field("mag", GreaterOrEqual, number(2.3)), Truth::True);
    check(field("mag", LessOrEqual, number(2.25)), Truth::False);
    check(field("place", Less, text("there")), Truth::True);
    check(field("place", Equal, number(1.0)), Truth::False);
    check(field("place", Less, number(1.0)), Truth::Unknown);
    check(FilterNode::Exists("mag".into()), Truth::True);
}

#[test]
fn withheld_and_absent_fields_are_unknown_and_cannot_be_told_apart() {
    for name in ["secret", "absent"] {
        check(FilterNode::Exists(name.into()), Truth::Unknown);
        for comparison in Comparison::ALL {
            check(field(name, comparison, Value::Int(7)), Truth::Unknown);
        }
    }
    let whole = fact(7, &[]);
    let exists = filter(&[FilterNode::Exists("secret".into())]);
    assert_eq!(exists.evaluate(&whole), Truth::Unknown);
}

#[test]
fn operators_follow_kleene() {
    use Truth::{False, True, Unknown};
    let node = |truth| match truth {
        True => FilterNode::True,
        Unknown => FilterNode::Exists("absent".into()),
        False => FilterNode::Label(Pattern::new("other")),
    };
    let cases = [
        (False, False, False, False),
        (False, Unknown, False, Unknown),
        (False, True, False, True),
        (Unknown, Unknown, Unknown, Unknown),
        (Unknown, True, Unknown, True),
        (True, True, True, True),
    ];
    for (one, other, and, or) in cases {
        for (one, other) in [(one, other), (other, one)] {
            let eval = |operator| filter(&[node(one), node(other), operator]).evaluate(&shown());
            assert_eq!(eval(FilterNode::And(2)), and);
            assert_eq!(eval(FilterNode::Or(2)), or);
        }
    }
    let three = [node(True), node(True), node(False), FilterNode::And(3)];
    assert_eq!(filter(&three).evaluate(&shown()), False);
}

#[test]
fn integers_and_fractions_compare_exactly() {
    let cases = [
        (0, 0.5, Ordering::Less),
        (1, 0.5, Ordering::Greater),
        (-1, -0.5, Ordering::Less),
        (0, -0.5, Ordering::Greater),
        (i64::MAX, 4_503_599_627_370_495.5, Ordering::Greater),
        (
            4_503_599_627_370_495,
            4_503_599_627_370_495.5,
            Ordering::Less,
        ),
        (i64::MIN, -4_503_599_627_370_495.5, Ordering::Less),
    ];
    for (int, fraction, expected) in cases {
        let (int, fraction) = (Value::Int(int), Value::number(fraction).unwrap());
        assert_eq!(order(&int, &fraction), Some(expected));
        assert_eq!(order(&fraction, &int), Some(expected.reverse()));
    }
    let bytes = |byte| Value::Bytes(vec![byte]);
    assert_eq!(order(&bytes(1), &bytes(2)), Some(Ordering::Less));
    assert_eq!(order(&Value::Bool(true), &Value::Bool(false)), None);
}

#[test]
fn nodes_that_are_not_one_expression_are_refused() {
    let t = FilterNode::True;
    let cases = [
        (vec![], 0),
        (vec![t.clone(), t.clone()], 2),
        (vec![FilterNode::Not], 0),
        (vec![t.clone(), FilterNode::And(2)], 1),
        (vec![t.clone(), FilterNode::Or(1)], 1),
        (vec![t, FilterNode::And(0), FilterNode::And(2)], 1),
    ];
    for (nodes, at) in cases {
        let error = FilterError::Unbalanced { at };
        assert_eq!(FactFilter::new(nodes), Err(error));
    }
}

#[test]
fn filters_have_limits() {
    let many = |operands: usize| {
        let mut nodes = vec![FilterNode::True; operands];
        nodes.push(FilterNode::Or(operands as u8));
        FactFilter::new(nodes)
    };
    assert!(many(FILTER_NODES_MAX - 1).is_ok());
    assert_eq!(many(FILTER_NODES_MAX), Err(FilterError::TooManyNodes(257)));

    let deep = |depth: usize| {
        let mut nodes = vec![FilterNode::Not; depth];
        nodes[0] = FilterNode::True;
        FactFilter::new(nodes)
    };
    assert!(deep(FILTER_DEPTH_MAX).is_ok());
    assert_eq!(
        deep(FILTER_DEPTH_MAX + 1),
        Err(FilterError::TooDeep { at: 16 })
    );

    let long = |length| FactFilter::new(vec![FilterNode::Label(Pattern::new("x".repeat(length)))]);
    assert!(long(PATTERN_BYTES_MAX).is_ok());
    let error = FilterError::PatternTooLong { at: 0, actual: 513 };
    assert_eq!(long(PATTERN_BYTES_MAX + 1), Err(error));

    let large = |length| {
        let value = Value::Bytes(vec![0; length]);
        FactFilter::new(vec![field("f", Comparison::Equal, value)])
    };
    let overhead = 9;
    let largest = large(FILTER_BYTES_MAX - overhead).unwrap().to_bytes();
    assert_eq!(largest.len(), FILTER_BYTES_MAX);
    assert!(FactFilter::from_bytes(&largest).is_ok());
    let error = FilterError::TooLong(FILTER_BYTES_MAX + 1);
    assert_eq!(large(FILTER_BYTES_MAX - overhead + 1), Err(error.clone()));
    let longer = [&largest[..], &[0]].concat();
    assert_eq!(FactFilter::from_bytes(&longer), Err(error));
}

#[test]
fn names_and_values_obey_the_rules_of_content() {
    let error = |error| Err(FilterError::Value { at: 0, error });
    let long = FilterNode::Exists("n".repeat(65));
    assert_eq!(
        FactFilter::new(vec![long]),
        error(ValueError::NameTooLong(65))
    );
    let deep = (0..5).fold(Value::Null, |value, _| Value::List(vec![value]));
    let deep = field("f", Comparison::Equal, deep);
    assert_eq!(FactFilter::new(vec![deep]), error(ValueError::TooDeep));
}

#[test]
fn bytes_that_no_filter_has_are_refused() {
    let unknown =
        |at, what, code| FilterError::Malformed(DecodeError::UnknownCode { at, what, code });
    let cases = [
        (&[1, 1, TRUE][..], unknown(0, "filter version", 1)),
        (&[0, 1, 12], unknown(2, "filter node", 12)),
        (&[0, 1, TYPE, 3], unknown(3, "pattern of types", 3)),
        (&[0, 1, TYPE, ONE_TYPE, 9], unknown(4, "fact type", 9)),
        (&[0, 1, FIELD, 1, b'f', 5], unknown(5, "comparison", 5)),
        (&[0, 0], FilterError::Unbalanced { at: 0 }),
        (&[0, 1, NOT], FilterError::Unbalanced { at: 0 }),
    ];
    for (bytes, error) in cases {
        assert_eq!(FactFilter::from_bytes(bytes), Err(error));
    }
}

proptest! {
    #[test]
    fn a_filter_never_tells_more_of_a_fact_when_a_field_is_withheld(mask in 0..8u8, codes: Vec<u8>) {
        // Any expression over three fields: what it says of the redacted fact, it says of the whole one.
        let names = ["a", "b", "c"];
        let fields: Vec<_> = names.iter().map(|name| (*name, Value::Int(1))).collect();
        let whole = fact(1, &fields);
        let shown = whole.redact(|name| mask & (1 << (name.as_bytes()[0] - b'a')) != 0);
        let (mut nodes, mut open) = (Vec::new(), 0);
        for code in codes.into_iter().take(40) {
            let name = names[usize::from(code) % 3];
            match code % 4 {
                1 if open > 0 => nodes.push(FilterNode::Not),
                2 if open > 1 => { nodes.push(FilterNode::And(2)); open -= 1; }
                3 if open > 1 => { nodes.push(FilterNode::Or(2)); open -= 1; }
                _ => {
                    nodes.push(field(name, Comparison::Equal, Value::Int(i64::from(code / 128))));
                    open += 1;
                }
            }
        }
        if open > 1 {
            nodes.push(FilterNode::And(open));
        }
        if let Ok(filter) = FactFilter::new(nodes) {
            let said = filter.evaluate(&shown);
            prop_assert!(said == Truth::Unknown || said == filter.evaluate(&whole));
            prop_assert_eq!(FactFilter::from_bytes(&filter.to_bytes()), Ok(filter));
        }
    }
}
