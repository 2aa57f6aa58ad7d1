//! Ties the pages of the specification to the source they describe: edit both, or neither.
//!
//! A page names its sources in lines `<!-- source: crates/fact/src/core.rs -->`. `docs/src/spec/SOURCES` records a hash
//! of each page and of the code of each source, without comments and tests, as they were when somebody last compared them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{Tree, at};
use crate::source;
use crate::workspace;

const FOLDER: &str = "docs/src/spec";
const RECORD: &str = "docs/src/spec/SOURCES";
const ADVICE: &str = "compare the two, then `cargo xtask tidy --bless`";

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let recorded = recorded(tree.text(RECORD).unwrap_or_default());
    let present = present(tree, &mut findings);
    for (entry, hash) in &present {
        let (page, file) = entry;
        match recorded.get(entry) {
            Some(known) if known == hash => {}
            None => findings.push(at(
                Path::new(page),
                1,
                &format!("not recorded with {file}: {ADVICE}"),
            )),
            Some(_) => findings.push(at(
                Path::new(page),
                1,
                &format!("{file} has changed: {ADVICE}"),
            )),
        }
    }
    for (page, file) in recorded
        .keys()
        .filter(|entry| !present.contains_key(*entry))
    {
        findings.push(at(
            Path::new(RECORD),
            1,
            &format!("{page} no longer names {file}: {ADVICE}"),
        ));
    }
    findings.extend(unproven_snippets(tree));
    findings
}

/// Records pages and sources as they are.
pub(super) fn bless(tree: &Tree) -> Result<()> {
    let text = record(&present(tree, &mut Vec::new()));
    let path = workspace::root().join(RECORD);
    eprintln!("writing {RECORD}");
    std::fs::write(&path, text).with_context(|| format!("cannot write {RECORD}"))
}

/// (page, file) with the hash of the file, which may be the page itself.
type Entries = BTreeMap<(String, String), String>;

fn record(entries: &Entries) -> String {
    let mut text = String::from("# Hash, page, file. Written by `cargo xtask tidy --bless`.\n");
    for ((page, file), hash) in entries {
        let _ = writeln!(text, "{hash} {page} {file}");
    }
    text
}

fn recorded(text: &str) -> Entries {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words
        .filter_map(|words| <[String; 3]>::try_from(words).ok())
        .map(|[hash, page, file]| ((page, file), hash))
        .collect()
}

fn present(tree: &Tree, findings: &mut Vec<String>) -> Entries {
    let mut entries = Entries::new();
    for (path, text) in tree.under(FOLDER, "md") {
        let page = path.to_string_lossy().into_owned();
        let sources: Vec<_> = sources(text).collect();
        if sources.is_empty() {
            findings.push(at(path, 1, "names no source: add `<!-- source: PATH -->`"));
        }
        for file in sources {
            match tree.text(file) {
                Some(code) => {
                    drop(entries.insert((page.clone(), file.to_owned()), hash(&product(code))))
                }
                None => findings.push(at(path, 1, &format!("names {file}, which is not there"))),
            }
        }
        entries.insert((page.clone(), page), hash(text));
    }
    entries
}

fn sources(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("<!-- source:")?
                .strip_suffix("-->")
        })
        .map(str::trim)
}

/// The code of a file without its comments, blank lines, indentation and tests. Literals count: they may be tags.
fn product(text: &str) -> String {
    let lines = source::lines(text);
    let (product, _) = source::split_tests(&lines);
    let kept = product
        .iter()
        .zip(text.lines())
        .filter(|(line, _)| !line.code.trim().is_empty());
    kept.map(|(line, raw)| {
        raw.strip_suffix(line.comment.as_str())
            .unwrap_or(raw)
            .trim()
    })
    .collect::<Vec<_>>()
    .join("\n")
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A page with Rust in it must be included somewhere, or nothing compiles its snippets.
fn unproven_snippets(tree: &Tree) -> Vec<String> {
    let sources: Vec<&str> = tree.under("", "rs").map(|(_, text)| text).collect();
    let mut findings = Vec::new();
    for (path, _) in tree
        .under("docs/src", "md")
        .filter(|(_, text)| text.contains("```rust"))
    {
        let tail = format!("{}\")", path.display());
        if !sources
            .iter()
            .any(|source| source.contains("include_str!(\"") && source.contains(&tail))
        {
            findings.push(at(
                path,
                1,
                "has Rust snippets, but no `include_str!` makes them doctests",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::planted;
    use super::*;

    const PAGE: &str = "# Page\n<!-- source: crates/a.rs -->\n";
    const CODE: &str = "//! A.\nconst TAG: &str = \"a\"; // why\n";

    fn found(page: &str, code: &str, record: &str) -> String {
        check(&planted(&[
            ("crates/a.rs", code),
            ("docs/src/spec/p.md", page),
            (RECORD, record),
        ]))
        .join("\n")
    }

    fn blessed(page: &str, code: &str) -> String {
        let tree = planted(&[("crates/a.rs", code), ("docs/src/spec/p.md", page)]);
        record(&present(&tree, &mut Vec::new()))
    }

    #[test]
    fn a_recorded_page_passes_and_comments_do_not_count() {
        let record = blessed(PAGE, CODE);
        assert_eq!(found(PAGE, CODE, &record), "");
        assert_eq!(
            found(
                PAGE,
                "//! B.\n\n  const TAG: &str = \"a\"; // other\n",
                &record
            ),
            ""
        );
        assert_eq!(
            found(
                PAGE,
                &format!("{CODE}#[cfg(test)]\nmod tests {{}}\n"),
                &record
            ),
            ""
        );
    }

    #[test]
    fn code_that_changed_without_its_page_is_found() {
        let record = blessed(PAGE, CODE);
        assert!(
            found(PAGE, &CODE.replace("\"a\"", "\"b\""), &record)
                .contains("crates/a.rs has changed")
        );
        assert!(found(&format!("{PAGE}More.\n"), CODE, &record).contains("p.md has changed"));
    }

    #[test]
    fn a_page_that_is_not_recorded_or_names_nothing_is_found() {
        assert!(found(PAGE, CODE, "").contains("not recorded"));
        assert!(found("# Page\n", CODE, "").contains("names no source"));
        assert!(found("<!-- source: crates/b.rs -->\n", CODE, "").contains("not there"));
        assert!(found("# Page\n", CODE, &blessed(PAGE, CODE)).contains("no longer names"));
    }

    #[test]
    fn snippets_that_nothing_compiles_are_found() {
        let page = ("docs/src/library.md", "```rust\nfn main() {}\n```\n");
        assert!(check(&planted(&[page])).join("").contains("include_str"));
        let lib = (
            "crates/node/src/lib.rs",
            "#[doc = include_str!(\"../../../docs/src/library.md\")]",
        );
        assert_eq!(check(&planted(&[page, lib])), Vec::<String>::new());
    }
}
