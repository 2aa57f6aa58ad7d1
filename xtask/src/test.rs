//! Everything that must be green before a commit lands. Steps go on after a failure, unless the code does not compile.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::clock::{Stopwatch, seconds};
use crate::dress;
use crate::workspace::{self, cargo};
use crate::{layers, proofs, sim, tidy};

pub(crate) fn run(args: Args) -> Result<()> {
    args.finish()?;
    let mut report = Report::default();
    report.step("formatting", || {
        workspace::run(cargo(&["fmt", "--all", "--check"])).map(|()| Done::Ok)
    });
    report.step("tidy", || tidy::run(none()).map(|()| Done::Ok));
    report.step("layers", || layers::run(none()).map(|()| Done::Ok));
    report.step("seed map", || proofs::seed_map(none()).map(|()| Done::Ok));
    report.step("attacks", || proofs::check_attacks().map(|()| Done::Ok));
    report.step("book", book);
    // Lints look at every target: benches compile here, without a second build of everything.
    report.step("lints", || workspace::run(lints()).map(|()| Done::Ok));
    if report.step("build", || {
        workspace::run(tests(&["--no-run"])).map(|()| Done::Ok)
    }) {
        report.step("tests", || counted(tests(&["--no-fail-fast"])));
        report.step("simulation", || sim::run(none()).map(|()| Done::Ok));
        report.step("documentation", || {
            workspace::run(documentation()).map(|()| Done::Ok)
        });
    } else {
        report.skip("tests", "the build failed");
        report.skip("simulation", "the build failed");
        report.skip("documentation", "the build failed");
    }
    report.finish()
}

fn none() -> Args {
    Args::new(std::iter::empty())
}

fn lints() -> Command {
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ])
}

fn tests(more: &[&str]) -> Command {
    let mut command = cargo(&["test", "--workspace", "--all-features", "--locked"]);
    command.args(more);
    command
}

fn documentation() -> Command {
    let mut command = cargo(&[
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
        "--locked",
    ]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// mdBook is optional: the pages are text, and their snippets are doctests.
fn book() -> Result<Done> {
    let found = Command::new("mdbook")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        return Ok(Done::Skipped("mdbook is not installed".to_owned()));
    }
    let into = tempfile::tempdir().context("cannot make a directory for the book")?;
    let mut command = Command::new("mdbook");
    command
        .arg("build")
        .arg("docs")
        .arg("--dest-dir")
        .arg(into.path())
        .current_dir(workspace::root());
    workspace::run(command).map(|()| Done::Ok)
}

/// Runs tests with their output passed on, and counts them.
fn counted(mut command: Command) -> Result<Done> {
    workspace::announce(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let mut count = Count::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read the output of cargo test")?;
        count.add(&line);
        // Passed on as it comes; whoever closed our output does not stop the tests.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() {
        bail!(
            "{} passed, {} failed ({status})",
            count.passed,
            count.failed
        );
    }
    if count.passed == 0 {
        bail!("cargo test ran nothing");
    }
    Ok(Done::Counted(count))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    /// Reads `test result: ok. 3 passed; 0 failed; …`.
    fn add(&mut self, line: &str) {
        let Some((_, figures)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        let figure =
            |part: Option<&str>| part.and_then(|part| part.trim().split(' ').next()?.parse().ok());
        let mut parts = figures.split(';');
        self.passed += figure(parts.next()).unwrap_or(0_u64);
        self.failed += figure(parts.next()).unwrap_or(0_u64);
    }
}

/// How a step ended that did not fail.
#[derive(Debug)]
enum Done {
    Counted(Count),
    Ok,
    Skipped(String),
}

#[derive(Debug, Default)]
struct Report {
    rows: Vec<Vec<String>>,
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Report {
    /// Runs a step; says whether the next ones may build on it.
    fn step(&mut self, name: &str, step: impl FnOnce() -> Result<Done>) -> bool {
        eprintln!("\n== {name}");
        let watch = Stopwatch::start();
        let (word, good) = match step() {
            Ok(Done::Ok) => ("ok".to_owned(), true),
            Ok(Done::Counted(count)) => {
                (format!("ok, {} tests", dress::grouped(count.passed)), true)
            }
            Ok(Done::Skipped(why)) => {
                self.skip(name, &why);
                return true;
            }
            Err(error) => {
                eprintln!("FAILED {name}: {error:#}");
                (format!("FAILED: {error:#}"), false)
            }
        };
        *(if good {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
        self.row(name, Some(watch.elapsed()), word);
        good
    }

    fn skip(&mut self, name: &str, why: &str) {
        eprintln!("SKIPPED {name}: {why}");
        self.skipped += 1;
        self.row(name, None, format!("SKIPPED: {why}"));
    }

    fn row(&mut self, name: &str, time: Option<Duration>, word: String) {
        self.rows.push(vec![
            name.to_owned(),
            time.map_or_else(|| "-".to_owned(), seconds),
            word,
        ]);
    }

    fn finish(self) -> Result<()> {
        workspace::out(&self.summary());
        if self.failed > 0 {
            bail!("{} steps failed", self.failed);
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let table = dress::table(&["step", "time", "result"], &self.rows);
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        format!(
            "\n{table}\n{} passed, {} failed{skipped}",
            self.passed, self.failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ] {
            count.add(line);
        }
        assert_eq!(
            count,
            Count {
                passed: 4,
                failed: 2
            }
        );
    }

    #[test]
    fn a_failed_step_fails_the_whole_and_the_others_still_run() {
        let mut report = Report::default();
        assert!(!report.step("a", || bail!("broken")));
        assert!(report.step("b", || Ok(Done::Ok)));
        assert!(report.step("c", || Ok(Done::Skipped("no tool".to_owned()))));
        assert_eq!((report.passed, report.failed, report.skipped), (1, 1, 1));
        assert!(
            report
                .summary()
                .ends_with("\n1 passed, 1 failed, 1 skipped")
        );
        assert!(report.summary().contains("SKIPPED: no tool"));
    }
}
