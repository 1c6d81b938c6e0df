//! The YAML test suite: <https://github.com/yaml/yaml-test-suite>, `src`.
//!
//! Texts are parsed like workflow documents: one document, texts as keys, and no tags except those of the core schema.
//! A text that is valid YAML and needs more than that is skipped, with the reason.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate_workflows::definition::{Format, to_json};

use crate::Failure;
use crate::report::{Outcome, Report};

/// Limits that refuse valid YAML, and why.
const LIMITS: [(&str, &str); 6] = [
    ("holds a second document", "a workflow is one document"),
    ("the document is empty", "a workflow is one document"),
    ("a key has to be a text", "keys are texts"),
    ("is there twice", "keys are there once"),
    ("tags are not used in workflows", "tags other than those of the core schema are not used"),
    ("this alias stands inside of what it names", "a value does not contain itself"),
];

/// Parses every case of every file in `folder`.
pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let read = |cause| Failure::Read { path: folder.to_owned(), cause };
    let entries = fs::read_dir(folder).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path).map_err(|cause| Failure::Read { path: path.clone(), cause })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // The files of the suite are YAML themselves.
        let format = |detail: String| Failure::Format { path: path.clone(), detail };
        let cases = to_json(&bytes, Format::Yaml).map_err(|problem| format(problem.detail))?;
        let cases = cases.as_array().ok_or_else(|| format("a file is a list of cases".to_owned()))?;
        for case in cases {
            let source = case["yaml"].as_str().ok_or_else(|| format("a case has no `yaml`".to_owned()))?;
            let fails = case["fail"] == Value::Bool(true);
            let outcome = outcome(&written(source), fails, case["json"].as_str());
            report.add(if fails { "invalid" } else { "valid" }, &name, outcome);
        }
    }
    Ok(())
}

fn outcome(source: &str, fails: bool, json: Option<&str>) -> Outcome {
    match (to_json(source.as_bytes(), Format::Yaml), fails) {
        (Err(_), true) => Outcome::Passed,
        (Ok(_), true) => Outcome::Failed("is taken".to_owned()),
        (Err(problem), false) => match LIMITS.iter().find(|(sign, _)| problem.detail.contains(sign)) {
            Some((_, reason)) => Outcome::Skipped(reason),
            None => Outcome::Failed(format!("is refused: {}:{} {}", problem.line, problem.column, problem.detail)),
        },
        (Ok(value), false) => match json.map(serde_json::from_str::<Value>) {
            Some(Ok(expected)) if expected != value => Outcome::Failed(format!("is read as {value}")),
            _ => Outcome::Passed,
        },
    }
}

/// Replaces the suite's signs for invisible characters.
fn written(source: &str) -> String {
    let mut text = source.replace('␣', " ").replace('←', "\r").replace('⇔', "\u{feff}").replace('↵', "");
    // A tab is written as an arrow of the tab's width.
    for tab in ["————»", "———»", "——»", "—»", "»"] {
        text = text.replace(tab, "\t");
    }
    match text.strip_suffix("∎\n") {
        Some(open) => open.to_owned(),
        None => text,
    }
}
