//! Manifests: each outside crate of the workspace stands under a comment saying what it is for.

use std::path::Path;

use super::at;

pub(super) fn check(path: &Path, text: &str) -> Vec<String> {
    if path.file_name().is_none_or(|name| name != "Cargo.toml") {
        return Vec::new();
    }
    let mut findings: Vec<String> = parses(path, text).into_iter().collect();
    findings.extend(if path == Path::new("Cargo.toml") {
        reasons(path, text)
    } else {
        versions(path, text)
    });
    findings
}

fn parses(path: &Path, text: &str) -> Option<String> {
    let error = text.parse::<toml::Table>().err()?;
    Some(at(path, 1, &format!("no TOML: {}", error.message())))
}

/// An entry of `[workspace.dependencies]` follows a comment, or another entry under the same comment.
fn reasons(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut inside = false;
    let mut above = "";
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside
            && line.contains('=')
            && !line.starts_with('#')
            && (above.is_empty() || above.starts_with('['))
        {
            findings.push(at(
                path,
                number,
                "a dependency without a comment above that says what it is for",
            ));
        }
        above = line.trim();
    }
    findings
}

/// Versions stand in the root manifest only.
fn versions(path: &Path, text: &str) -> Vec<String> {
    let Ok(manifest) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables
        .iter()
        .filter_map(|name| manifest.get(*name)?.as_table());
    let of_workspace =
        |value: &toml::Value| value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
    let own = tables.flatten().filter(|(_, value)| !of_workspace(value));
    own.map(|(name, _)| {
        at(
            path,
            1,
            &format!("{name} has a version of its own: write `{name}.workspace = true`"),
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

    #[test]
    fn a_dependency_stands_under_its_reason() {
        let good = "[workspace.dependencies]\n# Ours.\nfact = { path = \"f\" }\nwire = \"1\"\n\n# For this.\na = \"1\"\n";
        assert_eq!(found("Cargo.toml", good), "");
        assert!(
            found("Cargo.toml", "[workspace.dependencies]\na = \"1\"\n").contains("Cargo.toml:2: ")
        );
        let apart = "[workspace.dependencies]\n# For this.\na = \"1\"\n\nb = \"1\"\n";
        assert!(found("Cargo.toml", apart).contains("Cargo.toml:5: "));
    }

    #[test]
    fn a_crate_has_no_versions_of_its_own() {
        assert_eq!(
            found("x/Cargo.toml", "[dependencies]\na.workspace = true\n"),
            ""
        );
        assert!(found("x/Cargo.toml", "[dev-dependencies]\nabc = \"1\"\n").contains("abc"));
    }

    #[test]
    fn a_broken_manifest_is_found() {
        assert!(found("x/Cargo.toml", "[dependencies\n").contains("no TOML"));
    }
}
