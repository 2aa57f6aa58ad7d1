//! Dependencies between the crates point from a higher level to a lower one, and an outside crate stays where it belongs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::args::Args;
use crate::workspace;

/// Each crate with its level; `docs/src/architecture.md` says why.
const LEVELS: &[(&str, u8)] = &[
    ("causality-fact", 0),
    ("causality-judge", 0),
    ("causality-conflict", 1),
    ("causality-envelope", 1),
    ("causality-store", 1),
    ("causality-strategy", 1),
    ("causality-transport", 1),
    ("causality-wire", 1),
    ("causality-quic", 2),
    ("causality-sync", 2),
    ("causality-node", 3),
    ("causality-cli", 4),
    ("causality-sim", 4),
    ("causality-benches", BESIDE),
    ("xtask", BESIDE),
];

/// Beside the levels: may depend on every crate, and no crate on it.
const BESIDE: u8 = u8::MAX;

/// Judges the others, so it shares no code with them, not even in a test.
const ALONE: &str = "causality-judge";

/// Outside crates that only some of ours may name, development dependencies included.
const KEPT_TO: &[(&str, &[&str])] = &[
    (
        "anyhow",
        &[
            "causality-cli",
            "causality-sim",
            "causality-benches",
            "xtask",
        ],
    ),
    ("bincode", &["causality-wire"]),
    (
        "chacha20poly1305",
        &["causality-benches", "causality-envelope"],
    ),
    ("clap", &["causality-cli", "causality-sim"]),
    ("criterion", &["causality-benches"]),
    ("getrandom", &["causality-node", "causality-cli"]),
    ("hpke", &["causality-envelope"]),
    ("quinn", &["causality-quic", "causality-sim"]),
    ("redb", &["causality-store", "causality-sim"]),
    ("rustls", &["causality-quic", "causality-sim"]),
    ("socket2", &["causality-quic"]),
    ("toml", &["causality-cli", "causality-strategy", "xtask"]),
    ("x25519-dalek", &["causality-envelope", "causality-fact"]),
];

/// Crates that do no input or output of their own: never a runtime, never an async trait.
const SANS_IO: &[&str] = &[
    "causality-conflict",
    "causality-envelope",
    "causality-fact",
    "causality-judge",
    "causality-strategy",
    "causality-sync",
    "causality-wire",
];
const RUNTIME: &[&str] = &["async-trait", "futures", "mio", "tokio", "tokio-util"];

pub(crate) fn run(args: Args) -> Result<()> {
    args.finish()?;
    let packages = packages()?;
    let findings = check(&packages);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "{} dependencies are not as docs/src/architecture.md has them",
            findings.len()
        );
    }
    workspace::out(&format!(
        "layers: {} crates, every dependency points downwards",
        packages.len()
    ));
    Ok(())
}

/// One crate of the workspace and what it names in its manifest.
#[derive(Debug)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Build,
    Dev,
    Normal,
}

fn packages() -> Result<Vec<Package>> {
    let mut command =
        workspace::cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    workspace::announce(&command);
    let output = command.output().context("cannot start cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let dependencies = value["dependencies"]
        .as_array()
        .context("a package without dependencies")?;
    Ok(Package {
        name: value["name"]
            .as_str()
            .context("a package without a name")?
            .to_owned(),
        dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: value["name"]
            .as_str()
            .context("a dependency without a name")?
            .to_owned(),
        kind: match value["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => bail!("unknown kind of dependency {other:?}"),
        },
    })
}

fn check(packages: &[Package]) -> Vec<String> {
    let levels: BTreeMap<&str, u8> = LEVELS.iter().copied().collect();
    let mut findings = Vec::new();
    for package in packages {
        let Some(level) = levels.get(package.name.as_str()) else {
            findings.push(format!(
                "{}: no level; give it one in docs/src/architecture.md and here",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            findings.extend(match levels.get(dependency.name.as_str()) {
                Some(below) => inside(&package.name, *level, dependency, *below),
                None => outside(&package.name, dependency),
            });
        }
    }
    findings
}

/// A dependency on a crate of ours: strictly lower; tests may also pull a sibling.
fn inside(name: &str, level: u8, dependency: &Dependency, below: u8) -> Option<String> {
    if name == ALONE {
        return Some(format!(
            "{name} depends on {}: it shares no code with what it judges",
            dependency.name
        ));
    }
    let sibling = dependency.kind == Kind::Dev && below == level && level != BESIDE;
    if below < level || sibling {
        return None;
    }
    Some(format!(
        "{name} (level {level}) depends on {} (level {below}): it must be lower",
        dependency.name
    ))
}

/// A dependency on a crate of others.
fn outside(name: &str, dependency: &Dependency) -> Option<String> {
    let other = dependency.name.as_str();
    let kept = KEPT_TO.iter().find(|(outside, _)| *outside == other);
    if let Some((_, to)) = kept.filter(|(_, to)| !to.contains(&name)) {
        return Some(format!(
            "{name} depends on {other}, which is kept to {}",
            to.join(", ")
        ));
    }
    let awaits =
        RUNTIME.contains(&other) && SANS_IO.contains(&name) && dependency.kind != Kind::Dev;
    awaits.then(|| format!("{name} depends on {other}, but does no input or output of its own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph from lines like `sync: fact, wire, dev quic`.
    fn graph(text: &str) -> Vec<Package> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(planted)
            .collect()
    }

    fn planted(line: &str) -> Package {
        let (name, dependencies) = line.split_once(':').unwrap();
        let dependencies = dependencies
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let dependencies = dependencies.map(|name| match name.split_once(' ') {
            Some(("dev", name)) => Dependency {
                name: name.to_owned(),
                kind: Kind::Dev,
            },
            Some(("build", name)) => Dependency {
                name: name.to_owned(),
                kind: Kind::Build,
            },
            _ => Dependency {
                name: name.to_owned(),
                kind: Kind::Normal,
            },
        });
        Package {
            name: name.to_owned(),
            dependencies: dependencies.collect(),
        }
    }

    fn findings(text: &str) -> String {
        check(&graph(text)).join("\n")
    }

    #[test]
    fn a_graph_that_points_downwards_passes() {
        let good = "
            causality-fact: sha2, dev proptest
            causality-wire: causality-fact, bincode
            causality-store: causality-fact, redb, tokio
            causality-sync: causality-fact, causality-wire, causality-store, dev tokio
            causality-quic: causality-transport, quinn, dev causality-sync
            causality-cli: causality-node, causality-fact, anyhow
            xtask: anyhow";
        assert_eq!(findings(good), "");
    }

    #[test]
    fn an_upward_dependency_fails() {
        assert!(findings("causality-fact: causality-wire").contains("must be lower"));
        assert!(findings("causality-wire: build causality-sync").contains("must be lower"));
        assert!(findings("causality-wire: dev causality-sync").contains("must be lower"));
    }

    #[test]
    fn siblings_never_know_each_other_except_in_tests() {
        assert!(findings("causality-quic: causality-sync").contains("(level 2)"));
        assert_eq!(findings("causality-quic: dev causality-sync"), "");
    }

    #[test]
    fn the_judge_knows_none_of_ours() {
        assert!(findings("causality-judge: causality-fact").contains("no code"));
        assert!(findings("causality-judge: dev causality-fact").contains("no code"));
        assert_eq!(
            findings("causality-judge: sha2\ncausality-sim: causality-judge"),
            ""
        );
    }

    #[test]
    fn nothing_depends_on_what_stands_beside() {
        assert!(findings("causality-cli: xtask").contains("must be lower"));
        assert!(findings("causality-benches: dev xtask").contains("must be lower"));
    }

    #[test]
    fn an_unknown_crate_fails() {
        assert!(findings("causality-util: ").contains("no level"));
    }

    #[test]
    fn an_outside_crate_stays_where_it_belongs() {
        assert!(findings("causality-sync: bincode").contains("kept to causality-wire"));
        assert!(findings("causality-node: dev quinn").contains("kept to causality-quic"));
        assert!(findings("causality-fact: anyhow").contains("kept to"));
    }

    #[test]
    fn a_crate_without_io_names_no_runtime() {
        assert!(findings("causality-sync: tokio").contains("no input or output"));
        assert!(findings("causality-fact: async-trait").contains("no input or output"));
    }

    #[test]
    fn the_workspace_itself_passes() {
        assert_eq!(check(&packages().unwrap()), Vec::<String>::new());
    }
}
