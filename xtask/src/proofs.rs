//! Pages whose rows name the tests that prove them: `docs/src/seed-map.md`, where each name of the seed lives, and
//! `docs/src/security/attacks.md`, what each attack meets. The tests must exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::dress;
use crate::source;
use crate::workspace;

/// A page with a table of three columns. The last one is `planned`, or tests as `crate::path::to::test_name`.
struct Page {
    path: &'static str,
    /// What the first column is headed.
    head: &'static str,
    /// Whether the first two cells of a row are as they should be, and how they should.
    is_row: fn(&str, &str) -> bool,
    row: &'static str,
}

const SEED_MAP: Page = Page {
    path: "docs/src/seed-map.md",
    head: "seed",
    is_row: |seed, home| !quoted(seed).is_empty() && !quoted(home).is_empty(),
    row: "a row names what the seed calls it, and a crate",
};

const ATTACKS: Page = Page {
    path: "docs/src/security/attacks.md",
    head: "attack",
    is_row: |attack, meets| attack_number(attack).is_some() && !meets.is_empty(),
    row: "a row begins with the number of the attack, and says what it meets",
};

/// How many attacks there are.
const ATTACKS_COUNT: usize = 65;

pub(crate) fn seed_map(args: Args) -> Result<()> {
    args.finish()?;
    let report = verified(&SEED_MAP)?;
    workspace::out(&format!("seed map: {}", report.counted()));
    Ok(())
}

/// That each attack has a row, and that the tests exist. They run with all others.
pub(crate) fn check_attacks() -> Result<()> {
    let report = verified(&ATTACKS)?;
    workspace::out(&format!("attacks: {}", report.counted()));
    Ok(())
}

/// Runs the tests of each attack, and shows what it met.
pub(crate) fn attacks(args: Args) -> Result<()> {
    args.finish()?;
    let report = verified(&ATTACKS)?;
    let mut passed = BTreeSet::new();
    for (krate, names) in by_crate(&report.rows) {
        passed.extend(run_tests(&krate, &names)?);
    }
    let mut failed = 0;
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            let held = row.tests.iter().filter(|test| passed.contains(*test));
            let held = held.count();
            let verdict = match row.tests.len() {
                0 => "planned".to_owned(),
                all if held == all => "ok".to_owned(),
                all => {
                    failed += 1;
                    format!("FAILED: {} of {all}", all - held)
                }
            };
            [&row.first, &row.second, &verdict]
                .map(String::from)
                .to_vec()
        })
        .collect();
    workspace::out(&dress::table(&["attack", "meets", "verdict"], &rows));
    if failed > 0 {
        bail!("{failed} attacks met something else");
    }
    Ok(())
}

/// The names of tests by the crate that has them.
fn by_crate(rows: &[Row]) -> BTreeMap<String, BTreeSet<String>> {
    let mut crates = BTreeMap::<_, BTreeSet<_>>::new();
    for test in rows.iter().flat_map(|row| &row.tests) {
        if let Some((krate, name)) = parts(test) {
            let names = crates.entry(krate.to_owned()).or_default();
            names.insert(name.to_owned());
        }
    }
    crates
}

/// The crate and the name of a test.
fn parts(test: &str) -> Option<(&str, &str)> {
    let (krate, rest) = test.split_once("::")?;
    Some((krate, rest.rsplit("::").next().unwrap_or(rest)))
}

/// Runs tests of a crate; those that passed, as `crate::name`.
fn run_tests(krate: &str, names: &BTreeSet<String>) -> Result<Vec<String>> {
    let package = match krate {
        "xtask" => krate.to_owned(),
        _ => format!("causality-{krate}"),
    };
    let mut command = workspace::cargo(&["test", "--locked", "--all-features", "--no-fail-fast"]);
    command.args(["--package", &package, "--"]).args(names);
    workspace::announce(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(passed(&said, krate, names))
}

/// Reads `test path::of::name ... ok`.
fn passed(said: &str, krate: &str, names: &BTreeSet<String>) -> Vec<String> {
    let passed = said.lines().filter_map(|line| {
        let path = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
        let name = path.rsplit("::").next()?;
        names.contains(name).then(|| format!("{krate}::{name}"))
    });
    passed.collect()
}

/// The number with which an attack begins.
fn attack_number(attack: &str) -> Option<usize> {
    let number = attack.split_once(' ')?.0.parse().ok()?;
    (1..=ATTACKS_COUNT).contains(&number).then_some(number)
}

/// The rows of a page, if nothing is wrong with any.
fn verified(page: &Page) -> Result<Report> {
    let report = report(page)?;
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    if !report.findings.is_empty() {
        bail!("{} findings in {}", report.findings.len(), page.path);
    }
    Ok(report)
}

fn report(page: &Page) -> Result<Report> {
    let text = workspace::text(Path::new(page.path))?;
    let text = text.with_context(|| format!("{} is no text", page.path))?;
    let mut sources = Vec::new();
    for path in workspace::files()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        if let Some(text) = workspace::text(&path)? {
            sources.push((path.to_string_lossy().into_owned(), text));
        }
    }
    let mut report = check(page, &text, &sources);
    if page.path == ATTACKS.path {
        let there = report.rows.iter();
        let there: Vec<_> = there.filter_map(|row| attack_number(&row.first)).collect();
        let path = page.path;
        report.findings.extend(
            (1..=ATTACKS_COUNT)
                .filter(|number| there.iter().filter(|one| *one == number).count() != 1)
                .map(|number| format!("{path}:1: attack {number} has not one row")),
        );
    }
    Ok(report)
}

#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
    findings: Vec<String>,
}

#[derive(Debug)]
struct Row {
    first: String,
    second: String,
    /// As `crate::name`; none if they are planned.
    tests: Vec<String>,
}

impl Report {
    fn counted(&self) -> String {
        let planned = self.rows.iter().filter(|row| row.tests.is_empty()).count();
        let proven = self.rows.len() - planned;
        format!("{proven} rows proven by tests, {planned} planned")
    }
}

fn check(page: &Page, text: &str, sources: &[(String, String)]) -> Report {
    let mut report = Report::default();
    for (line, number) in text.lines().zip(1..) {
        let Some(cells) = cells(line, page.head) else {
            continue;
        };
        let finding = |message: String| format!("{}:{number}: {message}", page.path);
        let [first, second, proof] = cells.as_slice() else {
            report.findings.push(finding(format!(
                "{} cells, not 3: {}, what there is, and its proof",
                cells.len(),
                page.head
            )));
            continue;
        };
        let tests = quoted(proof);
        let missing: Vec<_> = tests.iter().filter(|test| !exists(test, sources)).collect();
        match (tests.is_empty(), proof.trim()) {
            _ if !(page.is_row)(first, second) => {
                report.findings.push(finding(page.row.to_owned()));
            }
            (true, other) if other != "planned" => report.findings.push(finding(format!(
                "{other:?} is neither `planned` nor a test"
            ))),
            _ if !missing.is_empty() => report.findings.extend(
                missing
                    .iter()
                    .map(|test| finding(format!("no test {test}"))),
            ),
            _ => {
                let tests = tests.iter().filter_map(|test| parts(test));
                report.rows.push(Row {
                    first: (*first).to_owned(),
                    second: (*second).to_owned(),
                    tests: tests
                        .map(|(krate, name)| format!("{krate}::{name}"))
                        .collect(),
                });
            }
        }
    }
    if report.rows.is_empty() && report.findings.is_empty() {
        report.findings.push(format!("{}:1: no rows", page.path));
    }
    report
}

/// The cells of a table row below the header.
fn cells<'a>(line: &'a str, head: &str) -> Option<Vec<&'a str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
    let rule = cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.chars().all(|c| "-: ".contains(c)));
    (!rule && cells.first() != Some(&head)).then_some(cells)
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether the crate that starts the path has a function of the name that ends it, marked as a test.
fn exists(test: &str, sources: &[(String, String)]) -> bool {
    let Some((krate, name)) = parts(test) else {
        return false;
    };
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

    const SOURCE: &str =
        "#[test]\nfn ids_are_hashes() {}\nfn helper() {}\n#[tokio::test]\nasync fn it_waits() {}\n";

    fn check_row(page: &Page, row: &str) -> Report {
        let text = format!(
            "| {} | here | proof |\n| --- | --- | --- |\n{row}\n",
            page.head
        );
        let sources = [("crates/fact/src/id.rs".to_owned(), SOURCE.to_owned())];
        check(page, &text, &sources)
    }

    fn seed(row: &str) -> Report {
        check_row(&SEED_MAP, row)
    }

    #[test]
    fn a_row_with_tests_that_exist_is_proven() {
        let report =
            seed("| `FactId` | `fact` | `fact::id::tests::ids_are_hashes`, `fact::it_waits` |");
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!(
            report.rows[0].tests,
            ["fact::ids_are_hashes", "fact::it_waits"]
        );
        assert_eq!(report.counted(), "1 rows proven by tests, 0 planned");
        let report = check_row(
            &ATTACKS,
            "| 7 target swapped | refused | `fact::it_waits` |",
        );
        assert_eq!((report.rows.len(), report.findings.len()), (1, 0));
    }

    #[test]
    fn a_planned_row_is_counted() {
        let report = seed("| `SyncMode` | `strategy` | planned |");
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!(report.counted(), "0 rows proven by tests, 1 planned");
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        for test in ["fact::ids_are_gone", "wire::ids_are_hashes", "fact::helper"] {
            let report = seed(&format!("| `FactId` | `fact` | `{test}` |"));
            assert!(report.findings[0].contains(&format!("no test {test}")));
        }
    }

    #[test]
    fn the_pages_themselves_pass() {
        for page in [SEED_MAP, ATTACKS] {
            assert_eq!(report(&page).unwrap().findings, Vec::<String>::new());
        }
    }

    #[test]
    fn a_row_without_a_proof_a_name_or_a_number_is_found() {
        assert!(seed("| `FactId` | `fact` | soon |").findings[0].contains("neither"));
        assert!(seed("| FactId | `fact` | planned |").findings[0].contains("a row names"));
        assert!(seed("| `FactId` | `fact` |").findings[0].contains("2 cells"));
        assert!(check(&SEED_MAP, "no table\n", &[]).findings[0].contains("no rows"));
        for row in [
            "| target swapped | refused | planned |",
            "| 66 more | refused | planned |",
        ] {
            assert!(check_row(&ATTACKS, row).findings[0].contains("number of the attack"));
        }
    }

    #[test]
    fn tests_that_passed_are_those_of_the_names() {
        let names = ["it_waits", "ids_are_hashes"].map(str::to_owned).into();
        let said =
            "test a::it_waits ... ok\ntest ids_are_hashes ... FAILED\ntest it_waits_long ... ok\n";
        assert_eq!(passed(said, "fact", &names), ["fact::it_waits"]);
    }
}
