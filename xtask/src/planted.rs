//! Bugs planted on purpose into a copy of the tree: simulated worlds have to find each of them, or they would not find its
//! like. `cargo xtask sim --planted` runs them all, `--planted NAME` one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::args::Usage;
use crate::dress;
use crate::workspace;

/// How many seeds may be needed to find a bug.
const SEEDS_MAX: u64 = 300;

/// A bug, as the edits that make it.
#[derive(Debug)]
struct Bug {
    name: &'static str,
    about: &'static str,
    /// A file, a text that stands in it once, and what stands there instead.
    edits: &'static [(&'static str, &'static str, &'static str)],
    found_by: FoundBy,
}

#[derive(Clone, Copy, Debug)]
enum FoundBy {
    /// One of the worlds of the first seeds.
    Seeds,
    /// A story with a name.
    Scenario(&'static str),
}

const BUGS: [Bug; 11] = [
    Bug {
        name: "acknowledged-before-fsync",
        about: "the store answers before what it has written is synced",
        edits: &[(
            "crates/store/src/redb/engine.rs",
            "        let tx = self.db.begin_write()?;\n        let result = write(",
            "        let mut tx = self.db.begin_write()?;\n        lazily(&mut tx)?;\n        let result = write(",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "attested-by-anybody",
        about: "what any peer says that it keeps back of a log counts as signed by its origin",
        edits: &[(
            "crates/sync/src/completeness.rs",
            "        let origin = self.sources.get(&(*log, log.origin));\n        let Some(source) = origin.filter(|source| !source.statement.is_empty()) else {",
            "        let mut sources = self.sources.iter().filter(|((of, _), _)| of == log);\n        let Some((_, source)) = sources.next() else {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "counter-not-checked",
        about: "all frames of a stream have the same nonce, so that one opens twice",
        edits: &[(
            "crates/envelope/src/session.rs",
            "        self.0 += 1;\n        Some(nonce)",
            "        Some(nonce)",
        )],
        found_by: FoundBy::Scenario("frames-repeated"),
    },
    Bug {
        name: "effects-before-causes",
        about: "what arrives is seen at once, whatever it requires",
        edits: &[(
            "crates/sync/src/visible.rs",
            "if new.position < first && causes.iter().all(|cause| known.contains(cause)) {",
            "if new.position < first || causes.iter().all(|cause| known.contains(cause)) {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "hole-for-all-sources",
        about: "a hole that one source has left is taken for an answer, so no other source is told of it",
        edits: &[(
            "crates/sync/src/holes.rs",
            "if self.is_empty() && declined.is_none() {",
            "if self.partial.0.is_empty() && declined.is_none() {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "lane-reused-after-restore",
        about: "a store that was restored writes on in its old lane",
        edits: &[(
            "crates/sync/src/append.rs",
            "lane.filter(|_| !engine.restored).filter(|lane| {",
            "lane.filter(|lane| {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "last-segment-forgotten",
        about: "a store that is opened does not see the last run of what it holds",
        edits: &[(
            "crates/store/src/redb/ledger.rs",
            "tx.open_table(RUNS)?.iter()? {",
            "tx.open_table(RUNS)?.iter()?.rev().skip(1) {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "live-before-caught-up",
        about: "what is new goes out before what the peer lacks in front of it",
        edits: &[(
            "crates/sync/src/session/sending.rs",
            "            let from = outgoing.sent;",
            "            outgoing.sent = outgoing.sent.max(engine.held(&log).size.saturating_sub(1));\n            let from = outgoing.sent;",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "moment-passes-unseen",
        about: "nobody looks at the rules again when the moment comes at which one of them ends",
        edits: &[(
            "crates/sync/src/engine/rules.rs",
            "        self.policies_changed(|session| peers.contains(&session.peer()));",
            "        self.policies_changed(|_| false);",
        )],
        found_by: FoundBy::Scenario("embargo-ends"),
    },
    Bug {
        name: "root-not-verified",
        about: "a chunk is taken without a look at the root that its origin signed",
        edits: &[(
            "crates/fact/src/chunk.rs",
            "if signed.roots.get(held.closed().len()) != Some(&root) {",
            "if signed.roots.get(held.closed().len()).is_none() && root == TreeHash::empty() {",
        )],
        found_by: FoundBy::Seeds,
    },
    Bug {
        name: "settled-by-any-rules",
        about: "a settlement stands whatever the rules are by now",
        edits: &[(
            "crates/sync/src/session/gaps.rs",
            "            settlement.rules.hold(policy, now_ms)\n                && settlement.changes",
            "            now_ms < settlement.rules.until_ms()\n                && settlement.changes",
        )],
        found_by: FoundBy::Seeds,
    },
];

/// Plants the bugs one after the other, and says what found each.
pub(crate) fn run(only: Option<&str>) -> Result<()> {
    let bugs: Vec<_> = BUGS
        .iter()
        .filter(|bug| only.is_none_or(|name| name == bug.name))
        .collect();
    if bugs.is_empty() {
        let names: Vec<_> = BUGS.iter().map(|bug| bug.name).collect();
        let said = format!("no such bug; there are: {}", names.join(", "));
        return Err(Usage::new(said).into());
    }
    let tree = copy_tree()?;
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    for bug in bugs {
        eprintln!("\n== {}: {}", bug.name, bug.about);
        let found = with_bug(&tree, bug)?;
        if found.is_none() {
            missed.push(bug.name);
        }
        let found = found.unwrap_or_else(|| "NOT FOUND".to_owned());
        rows.push(vec![bug.name.to_owned(), found]);
    }
    workspace::out(&dress::table(&["planted bug", "found by"], &rows));
    ensure!(missed.is_empty(), "not found: {}", missed.join(", "));
    Ok(())
}

/// Builds and runs the worlds with a bug in them; what found it, if anything did. The tree is as before afterwards.
fn with_bug(tree: &Path, bug: &Bug) -> Result<Option<String>> {
    let mut before = Vec::new();
    for (file, from, to) in bug.edits {
        let path = tree.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        ensure!(
            text.matches(from).count() == 1,
            "{file} has changed: {} cannot be planted there any more",
            bug.name
        );
        fs::write(&path, text.replace(from, to))?;
        before.push((path, text));
    }
    let found = build(tree).and_then(|program| look_for(&program, bug.found_by));
    for (path, text) in before {
        fs::write(path, text)?;
    }
    found
}

/// Copies the tree to a folder of its own. What is there already and the same stays, so that little is built again.
fn copy_tree() -> Result<PathBuf> {
    let tree = workspace::target().join("planted").join("tree");
    for file in workspace::files()? {
        let (from, to) = (workspace::root().join(&file), tree.join(&file));
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes)?;
    }
    Ok(tree)
}

fn build(tree: &Path) -> Result<PathBuf> {
    let mut command = workspace::cargo(&["build", "--locked", "--package", "causality-sim"]);
    // What the copy depends on is built already, by the tree.
    command
        .arg("--target-dir")
        .arg(workspace::target())
        .current_dir(tree);
    workspace::run(command)?;
    let name = format!("causality-sim{}", std::env::consts::EXE_SUFFIX);
    // The next build of the tree puts its own program there again.
    let program = workspace::target().join("planted").join(&name);
    fs::copy(workspace::target().join("debug").join(name), &program)
        .context("cannot keep the program")?;
    Ok(program)
}

fn look_for(program: &Path, found_by: FoundBy) -> Result<Option<String>> {
    let mut command = Command::new(program);
    match found_by {
        FoundBy::Seeds => command.args(["--seeds", &format!("0..{SEEDS_MAX}")]),
        FoundBy::Scenario(name) => command.args(["--scenario", name]),
    };
    workspace::announce(&command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run the worlds")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().rev().find(|line| line.starts_with("error: "));
    match (output.status.success(), error) {
        (true, _) => Ok(None),
        (false, Some(error)) => {
            eprintln!("{error}");
            Ok(Some(found(found_by, &said)))
        }
        (false, None) => bail!("the worlds ended without saying why: {said}"),
    }
}

/// What found a bug: the story, or the rule that the first world broke and how many seeds that took.
fn found(found_by: FoundBy, said: &str) -> String {
    if let FoundBy::Scenario(name) = found_by {
        return format!("story {name}");
    }
    let first = said
        .lines()
        .filter_map(|line| line.strip_prefix("error: seed "))
        .filter_map(|line| {
            let (seed, rest) = line.split_once(' ')?;
            let what = rest.split_once(": ")?.1;
            Some((seed.parse::<u64>().ok()?, what))
        })
        .min();
    first.map_or_else(
        || "an error".to_owned(),
        |(seed, what)| {
            let what: String = what.chars().take(60).collect();
            format!("{} seeds: {what}", seed + 1)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_can_still_be_planted() {
        for bug in &BUGS {
            for (file, from, to) in bug.edits {
                let text = fs::read_to_string(workspace::root().join(file)).unwrap();
                assert_eq!(text.matches(from).count(), 1, "{}: {file}", bug.name);
                assert_ne!(from, to);
            }
        }
    }

    #[test]
    fn the_first_world_that_fails_says_how_many_seeds_it_took() {
        let said = "\
            error: seed 12 (Safety): lane_in_order: later\n\
            error: seed 3 (Liveness): acknowledged_is_held: amber acknowledged\n\
            error: the stories of these seeds are above: [3, 12]\n";
        let told = found(FoundBy::Seeds, said);
        assert_eq!(told, "4 seeds: acknowledged_is_held: amber acknowledged");
        assert_eq!(found(FoundBy::Scenario("x"), said), "story x");
    }
}
