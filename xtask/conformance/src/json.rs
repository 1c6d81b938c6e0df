//! The JSON parsing test suite: <https://github.com/nst/JSONTestSuite>, `test_parsing`.
//!
//! Each text is parsed as a request body and as a workflow document. A file that begins with `y_` must be accepted, one
//! with `n_` refused, and one with `i_` may be either.

use std::fs;
use std::path::Path;

use tidegate_kernel::json::{WholeNumbers, check};
use tidegate_workflows::definition::{Format, to_json};

use crate::Failure;
use crate::report::{Outcome, Report};

/// Parses every file of `folder` both ways.
pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let read = |cause| Failure::Read { path: folder.to_owned(), cause };
    let entries = fs::read_dir(folder).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in paths {
        let bytes = fs::read(&path).map_err(|cause| Failure::Read { path: path.clone(), cause })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        report.add("body", &name, outcome(&name, body(&bytes)));
        report.add("document", &name, outcome(&name, document(&bytes)));
    }
    Ok(())
}

fn body(bytes: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
    check(text, WholeNumbers::Bounded).map_err(|problem| problem.detail)
}

fn document(bytes: &[u8]) -> Result<(), String> {
    to_json(bytes, Format::Json).map(drop).map_err(|problem| problem.detail)
}

fn outcome(name: &str, read: Result<(), String>) -> Outcome {
    match (name.get(..2), read) {
        (Some("y_"), Err(reason)) => Outcome::Failed(format!("is refused: {reason}")),
        (Some("n_"), Ok(())) => Outcome::Failed("is taken".to_owned()),
        _ => Outcome::Passed,
    }
}
