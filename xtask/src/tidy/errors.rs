//! Every variant of every error enum of the crates that decode outside bytes is named, with its enum, in a test.

use std::path::Path;

use super::{Tree, at};
use crate::source::{self, Line};

/// The crates that parse what others wrote.
const DECODERS: &[&str] = &[
    "crates/envelope",
    "crates/fact",
    "crates/judge",
    "crates/store",
    "crates/strategy",
    "crates/wire",
];

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut variants = Vec::new();
    let mut tests = String::new();
    for (path, text) in tree.under("crates", "rs") {
        let lines = source::lines(text);
        let (product, inner) = source::split_tests(&lines);
        for line in if is_test(path) { &lines } else { &inner } {
            tests += &(line.code.clone() + "\n");
        }
        if !is_test(path) && DECODERS.iter().any(|folder| path.starts_with(folder)) {
            variants.extend(
                error_variants(&product)
                    .into_iter()
                    .map(|variant| (path, variant)),
            );
        }
    }
    let untested = variants
        .iter()
        .map(|(path, variant)| {
            (
                path,
                variant.line,
                format!("{}::{}", variant.of, variant.name),
            )
        })
        .filter(|(_, _, name)| !source::has_word(&tests, name));
    untested
        .map(|(path, line, name)| at(path, line, &format!("no test produces {name}")))
        .collect()
}

/// Test folders, modules in files of their own, and suites that implementations share.
fn is_test(path: &Path) -> bool {
    let folder = path
        .iter()
        .any(|part| part == "tests" || part == "conformance");
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    folder || name == "tests" || name.starts_with("conformance")
}

#[derive(Debug, PartialEq, Eq)]
struct Variant {
    of: String,
    name: String,
    line: usize,
}

/// The variants of enums named `…Error`; one that only carries another error of ours (`#[from]`) needs no test here.
fn error_variants(lines: &[Line]) -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    let mut of: Option<String> = None;
    let mut depth = 0;
    for (line, number) in lines.iter().zip(1..) {
        let Some(name) = &of else {
            of = enum_name(&line.code);
            depth = i64::from(of.is_some());
            continue;
        };
        let start = line
            .code
            .trim_start()
            .chars()
            .next()
            .is_some_and(char::is_uppercase);
        if depth == 1 && start {
            let ident = |c: &char| c.is_alphanumeric() || *c == '_';
            let variant = line.code.trim_start().chars().take_while(ident).collect();
            variants.push(Variant {
                of: name.clone(),
                name: variant,
                line: number,
            });
        }
        if line.code.replace(' ', "").contains("#[from]") {
            variants.pop();
        }
        depth += nesting(&line.code);
        if depth <= 0 {
            of = None;
        }
    }
    variants
}

fn enum_name(code: &str) -> Option<String> {
    let (_, rest) = code.split_once("enum ")?;
    let (name, _) = rest.split_once('{')?;
    let name = name.trim();
    (name.ends_with("Error") && !code.trim_start().starts_with("//")).then(|| name.to_owned())
}

fn nesting(code: &str) -> i64 {
    code.chars()
        .map(|c| i64::from("{([".contains(c)) - i64::from("})]".contains(c)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::planted;
    use super::*;

    const ENUM: &str = "//! Errors.
/// Why bytes were refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Too few bytes.
    #[error(\"wanted {Short}\")]
    Short {
        Wanted: usize,
    },
    #[error(\"too long\")]
    TooLong(usize),
    #[error(transparent)]
    Inner(#[from] Other),
    Last,
}
pub enum Color { Red }
";

    #[test]
    fn variants_are_read_off_the_source() {
        let names: Vec<_> = error_variants(&source::lines(ENUM))
            .into_iter()
            .map(|v| v.name)
            .collect();
        assert_eq!(names, ["Short", "TooLong", "Last"]);
    }

    #[test]
    fn a_variant_that_no_test_names_is_found() {
        let lib = format!("{ENUM}#[cfg(test)]\nmod tests {{ fn a() {{ DecodeError::Short; }} }}\n");
        let tests = "fn b() { assert!(matches!(x, DecodeError::TooLong(_))); }";
        let tree = planted(&[
            ("crates/wire/src/lib.rs", &lib),
            ("crates/wire/tests/b.rs", tests),
        ]);
        assert_eq!(
            check(&tree),
            ["crates/wire/src/lib.rs:14: no test produces DecodeError::Last"]
        );
    }

    #[test]
    fn a_name_in_a_longer_name_or_a_comment_proves_nothing() {
        let tests = "// DecodeError::Last\nfn b() { DecodeError::LastButOne; DecodeError::TooLong; DecodeError::Short }";
        let tree = planted(&[
            ("crates/fact/src/e.rs", ENUM),
            ("crates/fact/tests/b.rs", tests),
        ]);
        assert!(check(&tree).join("").contains("DecodeError::Last"));
    }

    #[test]
    fn other_crates_are_left_alone() {
        assert_eq!(
            check(&planted(&[("crates/cli/src/e.rs", ENUM)])),
            Vec::<String>::new()
        );
    }
}
