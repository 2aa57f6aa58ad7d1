//! Checks of single lines and of the shape of a file.

use std::path::Path;

use super::at;
use crate::source::{self, Line};

/// Longer files are to be split by concept.
const LINES_MAX: usize = 800;

/// Phrases that apologise in a comment: finish it, or leave it out and say so in the specification.
const BANNED: &[&str] = &[
    "for now",
    "in a real system",
    "in production",
    "placeholder",
    "simplified",
    "temporary",
];

/// Things that the system throws away by itself; to say so is no apology.
const TEMPORARY_THINGS: &[&str] = &["temporary director", "temporary file", "temporary folder"];

/// Paths of one machine; nothing of the kind belongs into the tree. Written in halves, or this file would be found.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/wo", "rkspace/"),
    concat!("C:", "\\"),
];

/// Hosts and schemes of package registries.
const REGISTRIES: &[&str] = &[
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("sparse", "+http"),
    concat!("registry.npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("pypi", ".org"),
];

/// The only registry a lock file may name, by cargo's own name for it.
const LOCK_SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(path: &Path, text: &str) -> Vec<String> {
    let mut findings = everywhere(path, text);
    if path.extension().is_some_and(|extension| extension == "rs") {
        findings.extend(rust(path, text));
    }
    if path.file_name().is_some_and(|name| name == "Cargo.lock") {
        findings.extend(lock(path, text));
    }
    findings
}

/// Data and recorded output keep their bytes as they are.
fn is_data(path: &Path) -> bool {
    let data = ["ndjson", "json", "snap", "svg"];
    path.extension()
        .is_some_and(|extension| data.iter().any(|data| extension == *data))
}

fn everywhere(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if !is_data(path) && line.ends_with([' ', '\t', '\r']) {
            findings.push(at(path, number, "trailing whitespace"));
        }
        if let Some(found) = MACHINE_PATHS.iter().find(|path| names_path(line, path)) {
            findings.push(at(path, number, &format!("a path of one machine: {found}")));
        }
        if let Some(found) = REGISTRIES.iter().find(|host| line.contains(**host)) {
            findings.push(at(path, number, &format!("a package registry: {found}")));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') && !is_data(path) {
        findings.push(at(
            path,
            text.lines().count(),
            "no newline at the end of the file",
        ));
    }
    findings
}

/// Whether `path` starts in `line` at the root, and not inside of a longer path or an address.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "-_.*}/$>~)".contains(c))
    })
}

fn rust(path: &Path, text: &str) -> Vec<String> {
    let lines = source::lines(text);
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(at(
            path,
            1,
            "no `//!` header that says what the file is for",
        ));
    }
    if lines.len() > LINES_MAX + 1 {
        findings.push(at(
            path,
            LINES_MAX,
            &format!("{} lines, at most {LINES_MAX}", lines.len() - 1),
        ));
    }
    for (line, number) in lines.iter().zip(1..) {
        let messages = comment(&line.comment).into_iter().chain(code(line));
        findings.extend(messages.map(|message| at(path, number, &message)));
    }
    findings
}

fn comment(comment: &str) -> Option<String> {
    let lower = comment.to_lowercase();
    let meant = TEMPORARY_THINGS
        .iter()
        .fold(lower, |text, thing| text.replace(thing, ""));
    if let Some(phrase) = BANNED
        .iter()
        .find(|phrase| source::has_word(&meant, phrase))
    {
        return Some(format!(
            "{phrase:?} in a comment: finish it, or leave it out and say so in the specification"
        ));
    }
    let marks = ["TODO", "FIXME", "XXX", "HACK"];
    let mark = marks.iter().find(|mark| source::has_word(comment, mark))?;
    let numbered = comment
        .split(['#', ' ', '-', '('])
        .any(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let named = comment.contains('#') || comment.contains("ADR");
    (!numbered || !named).then(|| format!("{mark} without the number of an issue or ADR"))
}

fn code(line: &Line) -> Option<String> {
    let code = line.code.replace(' ', "");
    let attribute =
        |name: &str| code.contains(&format!("#[{name}")) || code.contains(&format!("#![{name}"));
    let starts = |text: &str| line.code.trim_start().starts_with(text);
    if attribute("allow(") {
        return Some("`allow`: write `expect` with a reason".to_owned());
    }
    if attribute("expect(") && code.ends_with(")]") && !code.contains("reason=") {
        return Some("`expect` without a reason".to_owned());
    }
    if attribute("ignore]") || attribute("ignore=") {
        return Some("`ignore`: slow tests stand behind an environment variable".to_owned());
    }
    if attribute("should_panic") {
        return Some("`should_panic`: assert what is returned".to_owned());
    }
    let public = starts("pub use ") || starts("pub(crate) use ");
    (public && code.contains("::*")).then(|| "a glob re-export: list the names".to_owned())
}

fn lock(path: &Path, text: &str) -> Vec<String> {
    let sources = text
        .lines()
        .zip(1..)
        .filter_map(|(line, number)| Some((line.strip_prefix("source = ")?, number)));
    let other = sources.filter(|(source, _)| source.trim_matches('"') != LOCK_SOURCE);
    other
        .map(|(source, number)| {
            at(
                path,
                number,
                &format!("a source that others cannot reach: {source}"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> String {
        check(Path::new(path), text).join("\n")
    }

    /// Checks a line of Rust under a proper header.
    fn line(line: &str) -> String {
        found("a.rs", &format!("//! A file.\n{line}\n"))
    }

    #[test]
    fn a_clean_file_passes() {
        assert_eq!(
            found("a.rs", "//! A file.\n\n/// Doc.\npub fn a() {}\n"),
            ""
        );
        assert_eq!(line("// A temporary directory, see ADR 3."), "");
        assert_eq!(line("let text = \"in production\";"), "");
        assert_eq!(line("#[expect(clippy::todo, reason = \"why\")]"), "");
        assert_eq!(line("pub use module::{A, B};"), "");
        assert_eq!(line("use super::*;"), "");
    }

    #[test]
    fn apologies_are_found_in_comments() {
        for phrase in BANNED {
            assert!(
                line(&format!("// This is {phrase}, sorry.")).starts_with("a.rs:2: "),
                "{phrase}"
            );
        }
        assert!(line("/// For now it is fine.").contains("for now"));
    }

    #[test]
    fn a_mark_needs_a_number() {
        assert!(line("// TODO: later").contains("TODO"));
        assert!(line("// FIXME soon").contains("FIXME"));
        assert_eq!(line("// TODO(#12): later"), "");
        assert_eq!(line("// TODO see ADR 4"), "");
    }

    #[test]
    fn attributes_that_hide_things_are_found() {
        assert!(line("#[allow(dead_code)]").contains("allow"));
        assert!(line("#![allow(dead_code)]").contains("allow"));
        assert!(line("#[expect(dead_code)]").contains("without a reason"));
        assert!(line("#[ignore]").contains("ignore"));
        assert!(line("#[ignore = \"slow\"]").contains("ignore"));
        assert!(line("#[should_panic(expected = \"x\")]").contains("should_panic"));
    }

    #[test]
    fn glob_re_exports_are_found() {
        assert!(line("pub use module::*;").contains("glob"));
        assert!(line("pub(crate) use module::*;").contains("glob"));
    }

    #[test]
    fn a_file_without_a_header_or_too_long_is_found() {
        assert!(found("a.rs", "fn a() {}\n").contains("header"));
        assert_eq!(
            found(
                "a.rs",
                &format!("//! A file.\n{}", "\n".repeat(LINES_MAX - 1))
            ),
            ""
        );
        assert!(
            found("a.rs", &format!("//! A file.\n{}", "\n".repeat(LINES_MAX)))
                .contains("at most 800")
        );
    }

    #[test]
    fn trailing_whitespace_and_a_missing_newline_are_found_except_in_data() {
        assert!(found("a.md", "a \n").contains("trailing"));
        assert!(found("a.md", "a").contains("newline"));
        assert_eq!(found("a.ndjson", "a "), "");
    }

    #[test]
    fn paths_of_one_machine_and_registries_are_found() {
        for path in MACHINE_PATHS {
            assert!(
                found("a.md", &format!("see {path}x\n")).contains("machine"),
                "{path}"
            );
            assert!(
                found("a.md", &format!("{path}x\n")).contains("machine"),
                "{path}"
            );
        }
        assert_eq!(
            found(
                "a.md",
                &format!("see docs{}x and ~{}\n", MACHINE_PATHS[3], MACHINE_PATHS[1])
            ),
            ""
        );
        for host in REGISTRIES {
            assert!(
                found("a.toml", &format!("url = \"{host}\"\n")).contains("registry"),
                "{host}"
            );
        }
    }

    #[test]
    fn a_lock_file_names_one_registry() {
        assert_eq!(
            found("Cargo.lock", &format!("source = \"{LOCK_SOURCE}\"\n")),
            ""
        );
        assert!(
            found("Cargo.lock", "source = \"git+https://example.org/x\"\n")
                .contains("cannot reach")
        );
    }
}
