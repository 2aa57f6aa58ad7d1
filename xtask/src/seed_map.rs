//! `docs/src/seed-map.md`: where each name of the seed lives, and the test that proves it; the tests must exist.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::source;
use crate::workspace;

const PAGE: &str = "docs/src/seed-map.md";

pub(crate) fn run(args: Args) -> Result<()> {
    args.finish()?;
    let report = report()?;
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    if !report.findings.is_empty() {
        bail!("{} findings in {PAGE}", report.findings.len());
    }
    workspace::out(&format!(
        "seed map: {} rows proven by tests, {} planned",
        report.proven, report.planned
    ));
    Ok(())
}

fn report() -> Result<Report> {
    let page = workspace::text(Path::new(PAGE))?.with_context(|| format!("{PAGE} is no text"))?;
    let mut sources = Vec::new();
    for path in workspace::files()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        if let Some(text) = workspace::text(&path)? {
            sources.push((path.to_string_lossy().into_owned(), text));
        }
    }
    Ok(check(&page, &sources))
}

#[derive(Debug, Default)]
struct Report {
    proven: usize,
    planned: usize,
    findings: Vec<String>,
}

/// A row is `| seed | here | proof |`; its proof is `planned`, or tests as `crate::path::to::test_name`.
fn check(page: &str, sources: &[(String, String)]) -> Report {
    let mut report = Report::default();
    for (line, number) in page.lines().zip(1..) {
        let Some(cells) = cells(line) else { continue };
        let finding = |message: String| format!("{PAGE}:{number}: {message}");
        let [seed, home, proof] = cells.as_slice() else {
            report.findings.push(finding(format!(
                "{} cells, not seed, home and proof",
                cells.len()
            )));
            continue;
        };
        let tests = quoted(proof);
        let missing: Vec<_> = tests.iter().filter(|test| !exists(test, sources)).collect();
        match (tests.is_empty(), proof.trim()) {
            _ if quoted(seed).is_empty() || quoted(home).is_empty() => {
                report.findings.push(finding(
                    "a row names what the seed calls it, and a crate".to_owned(),
                ));
            }
            (true, "planned") => report.planned += 1,
            (true, other) => report.findings.push(finding(format!(
                "{other:?} is neither `planned` nor a test"
            ))),
            _ if missing.is_empty() => report.proven += 1,
            _ => report.findings.extend(
                missing
                    .iter()
                    .map(|test| finding(format!("no test {test}"))),
            ),
        }
    }
    if report.proven + report.planned == 0 {
        report.findings.push(format!("{PAGE}:1: no rows"));
    }
    report
}

/// The cells of a table row below the header.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
    let rule = cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.chars().all(|c| "-: ".contains(c)));
    (!rule && cells.first() != Some(&"seed")).then_some(cells)
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether the crate that starts the path has a function of the name that ends it, marked as a test.
fn exists(test: &str, sources: &[(String, String)]) -> bool {
    let Some((krate, rest)) = test.split_once("::") else {
        return false;
    };
    let name = rest.rsplit("::").next().unwrap_or(rest);
    let folder = if krate == "xtask" {
        "xtask/".to_owned()
    } else {
        format!("crates/{krate}/")
    };
    let own = sources.iter().filter(|(path, _)| path.starts_with(&folder));
    own.map(|(_, text)| text).any(|text| has_test(text, name))
}

fn has_test(text: &str, name: &str) -> bool {
    let lines = source::lines(text);
    let call = format!("fn {name}");
    let function = |code: &str| source::has_word(code, &call);
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| function(&line.code))
        .any(|(at, _)| {
            let above = lines[..at].iter().rev().take_while(|line| {
                let code = line.code.trim();
                code.is_empty() || code.starts_with("#[") || code.starts_with("proptest!")
            });
            let marked = above.into_iter().any(|line| line.code.contains("test"));
            // A shared suite is called by the tests of its implementations; its functions carry no mark of their own.
            marked || lines[at].code.contains("pub async fn ")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(row: &str) -> Report {
        let page = format!("| seed | here | proof |\n| --- | --- | --- |\n{row}\n");
        let test = "#[test]\nfn ids_are_hashes() {}\nfn helper() {}\n#[tokio::test]\nasync fn it_waits() {}\n";
        check(
            &page,
            &[("crates/fact/src/id.rs".to_owned(), test.to_owned())],
        )
    }

    #[test]
    fn a_row_with_tests_that_exist_is_proven() {
        let report =
            report("| `FactId` | `fact` | `fact::id::tests::ids_are_hashes`, `fact::it_waits` |");
        assert_eq!(
            (report.proven, report.planned, report.findings),
            (1, 0, Vec::new())
        );
    }

    #[test]
    fn a_planned_row_is_counted() {
        let report = report("| `SyncMode` | `strategy` | planned |");
        assert_eq!(
            (report.proven, report.planned, report.findings),
            (0, 1, Vec::new())
        );
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        assert!(
            report("| `FactId` | `fact` | `fact::ids_are_gone` |").findings[0]
                .contains("no test fact::ids_are_gone")
        );
        assert!(
            report("| `FactId` | `fact` | `wire::ids_are_hashes` |").findings[0]
                .contains("no test")
        );
        assert!(report("| `FactId` | `fact` | `fact::helper` |").findings[0].contains("no test"));
    }

    #[test]
    fn the_page_itself_passes() {
        assert_eq!(super::report().unwrap().findings, Vec::<String>::new());
    }

    #[test]
    fn a_row_without_a_proof_or_a_name_is_found() {
        assert!(report("| `FactId` | `fact` | soon |").findings[0].contains("neither"));
        assert!(report("| FactId | `fact` | planned |").findings[0].contains("a row names"));
        assert!(report("| `FactId` | `fact` |").findings[0].contains("2 cells"));
        assert!(check("no table\n", &[]).findings[0].contains("no rows"));
    }
}
