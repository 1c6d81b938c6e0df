//! `tidy`: the rules that neither the compiler nor clippy checks. It also runs as a test.
//!
//! The lists in `xtask/rules/` are for people to read: each line is a name, a dash and the reason. They may only
//! shrink, or grow with a reason that a reviewer accepts.

mod dependencies;
mod manifests;
mod migrations;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};
use crate::shell;

/// A violation of a rule: where, and what to do.
type Problem = String;

/// Checks all rules and prints the violations.
pub(crate) fn run() -> Result<(), Failure> {
    let problems = problems()?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("one rule is broken")),
        broken => Err(Failure::failed(format!("rules are broken in {broken} places"))),
    }
}

fn problems() -> Result<Vec<Problem>, Failure> {
    let root = shell::repository();
    let mut problems = sources::check(root)?;
    problems.extend(manifests::check(root)?);
    problems.extend(migrations::check(root)?);
    problems.extend(dependencies::check()?);
    Ok(problems)
}

/// The names in a list of `xtask/rules/`, without the reasons.
pub(crate) fn rule_list(root: &Path, name: &str) -> Result<Vec<String>, Failure> {
    let path = root.join("xtask/rules").join(name);
    let text = fs::read_to_string(&path).context(format_args!("reading {}", path.display()))?;
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| match line.split_once(" - ") {
            Some((name, reason)) if !reason.trim().is_empty() => Ok(name.trim().to_owned()),
            _ => Err(Failure::failed(format!("{}: {line:?} has no reason", path.display()))),
        })
        .collect()
}

/// All files below `folder` whose name ends with `suffix`, relative to `root`, sorted.
fn files(root: &Path, folder: &str, suffix: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).context(format_args!("reading {}", folder.display()))? {
            let path = entry.context(format_args!("reading {}", folder.display()))?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let problems = problems().unwrap();
        assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
    }
}
