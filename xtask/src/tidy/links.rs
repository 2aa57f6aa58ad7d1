//! Links between pages lead to files that are there.

use std::path::{Component, Path, PathBuf};

use super::{Tree, at};
use crate::workspace;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    check_in(tree, &|path| workspace::root().join(path).exists())
}

fn check_in(tree: &Tree, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.under("", "md") {
        let mut fenced = false;
        for (line, number) in text.lines().zip(1..) {
            fenced ^= line.trim_start().starts_with("```");
            let targets = if fenced { Vec::new() } else { targets(line) };
            let missing = targets
                .into_iter()
                .filter(|target| !exists(&resolved(path, target)));
            findings.extend(missing.map(|target| {
                at(
                    path,
                    number,
                    &format!("a link to {target}, which is not there"),
                )
            }));
        }
    }
    findings
}

/// The targets of `[text](target)` that are files, without their `#section`; code between backticks is no link.
fn targets(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    let ends = prose.flat_map(|part| {
        part.split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
    });
    let files = ends.filter_map(|(target, _)| target.split('#').next());
    files
        .filter(|target| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        })
        .collect()
}

/// `target` as seen from the folder of `page`.
fn resolved(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::tests::planted;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = planted(&[("docs/src/a.md", text)]);
        let there = ["docs/src/b.md", "README.md"];
        check_in(&tree, &|path| {
            there.iter().any(|file| path == Path::new(file))
        })
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let good = "[b](b.md#part), [up](../../README.md), [web](https://example.org), [here](#part), `[x](y.md)`\n";
        assert_eq!(found(good), Vec::<String>::new());
        assert_eq!(found("```text\n[x](y.md)\n```\n"), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        assert_eq!(
            found("\nSee [c](spec/c.md).\n"),
            ["docs/src/a.md:2: a link to spec/c.md, which is not there"]
        );
    }
}
