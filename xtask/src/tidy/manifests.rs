//! Rules for manifests: every crate opts into the workspace's lints, and versions are set in one place.

use std::fs;
use std::path::Path;

use super::{Problem, files};
use crate::failure::{Context, Failure};

/// Checks the manifest of every member.
pub(super) fn check(root: &Path) -> Result<Vec<Problem>, Failure> {
    let mut paths = files(root, "crates", "Cargo.toml")?;
    paths.extend(files(root, "docs/examples", "Cargo.toml")?);
    paths.extend(files(root, "xtask", "Cargo.toml")?);
    let mut problems = Vec::new();
    for path in paths {
        let text = fs::read_to_string(root.join(&path)).context(format_args!("reading {}", path.display()))?;
        problems.extend(check_manifest(&path.to_string_lossy(), &text));
    }
    Ok(problems)
}

fn check_manifest(name: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut section = "";
    let mut opts_in = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(title) = line.strip_prefix('[') {
            section = title.trim_end_matches(']');
            continue;
        }
        opts_in |= section == "lints" && line == "workspace = true";
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let (key, value) = (key.trim(), value.trim());
        let inherited = key.ends_with(".workspace") || value.contains("workspace = true");
        if section.ends_with("dependencies") && !inherited {
            problems.push(format!("{name}:{number}: name `{key}` in [workspace.dependencies] and inherit it"));
        }
        let shared = ["version", "edition", "rust-version", "license", "publish"];
        if section == "package" && shared.contains(&key) {
            problems.push(format!("{name}:{number}: inherit `{key}` from the workspace"));
        }
    }
    if !opts_in {
        problems.push(format!("{name}: opt into the lints: [lints] workspace = true"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_inherits_lints_and_versions() {
        let good = "[package]\nname = \"a\"\nversion.workspace = true\n[lints]\nworkspace = true\n\
                    [dependencies]\nserde.workspace = true\ntokio = { workspace = true, features = [\"sync\"] }\n";
        assert_eq!(check_manifest("a", good), Vec::<String>::new());
        let bad = "[package]\nversion = \"1.0.0\"\n[dependencies]\nserde = \"1\"\n";
        assert_eq!(check_manifest("a", bad).len(), 3);
    }
}
