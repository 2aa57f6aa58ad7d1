//! What a compiler does not see: phrases, file shape, manifests, specification against source, errors without a test.

mod errors;
mod lines;
mod links;
mod manifest;
mod spec;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::args::Args;
use crate::workspace;

pub(crate) fn run(mut args: Args) -> Result<()> {
    let bless = args.flag("--bless");
    args.finish()?;
    let tree = Tree::read()?;
    if bless {
        spec::bless(&tree)?;
    }
    let findings = check(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    workspace::out(&format!("tidy: {} files, nothing found", tree.files.len()));
    Ok(())
}

fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        findings.extend(lines::check(path, text));
        findings.extend(manifest::check(path, text));
    }
    findings.extend(spec::check(tree));
    findings.extend(errors::check(tree));
    findings.extend(links::check(tree));
    findings
}

/// The text files of the workspace, in order of their paths.
#[derive(Debug, Default)]
struct Tree {
    files: Vec<(PathBuf, String)>,
}

impl Tree {
    fn read() -> Result<Self> {
        let mut files = Vec::new();
        for path in workspace::files()? {
            if let Some(text) = workspace::text(&path)? {
                files.push((path, text));
            }
        }
        Ok(Self { files })
    }

    fn text(&self, path: &str) -> Option<&str> {
        let found = self.files.iter().find(|(file, _)| file == Path::new(path));
        found.map(|(_, text)| text.as_str())
    }

    fn under<'a>(
        &'a self,
        folder: &'a str,
        extension: &'a str,
    ) -> impl Iterator<Item = (&'a Path, &'a str)> {
        let wanted = move |path: &Path| {
            path.starts_with(folder) && path.extension().is_some_and(|e| e == extension)
        };
        self.files
            .iter()
            .filter(move |(path, _)| wanted(path))
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }
}

/// A finding as an editor can follow it.
fn at(path: &Path, line: usize, message: &str) -> String {
    format!("{}:{line}: {message}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of planted files.
    pub(super) fn planted(files: &[(&str, &str)]) -> Tree {
        Tree {
            files: files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn files_are_found_by_folder_and_extension() {
        let tree = planted(&[("a/b.rs", "1"), ("a/c.md", "2"), ("ab/d.rs", "3")]);
        let found: Vec<_> = tree.under("a", "rs").map(|(_, text)| text).collect();
        assert_eq!(found, ["1"]);
        assert_eq!(tree.text("a/c.md"), Some("2"));
    }

    #[test]
    fn the_workspace_itself_passes() {
        assert_eq!(check(&Tree::read().unwrap()), Vec::<String>::new());
    }
}
