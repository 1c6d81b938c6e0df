//! The JSON Schema test suite: <https://github.com/json-schema-org/JSON-Schema-Test-Suite>, `tests/draft2020-12`.
//!
//! Schemas are compiled and values checked in the same way as the `inputs` of a workflow.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate_workflows::input::{InputProblem, InputSchema};

use crate::Failure;
use crate::report::{Outcome, Report};

/// Files about behaviour that Tidegate has decided otherwise.
const LEFT_OUT: [(&str, &str); 2] = [
    ("format", "formats are asserted: this file asks for annotations alone"),
    ("optional/format/unknown", "a format that is not known is refused when a document is saved"),
];

/// Limits that refuse a schema of the suite, and why.
const LIMITS: [(&str, &str); 4] = [
    ("has to stay in this schema", "other documents are not fetched"),
    ("leads back to itself", "schemas do not contain themselves, so that checking is bounded"),
    ("inputs are checked as JSON Schema 2020-12", "other drafts and meta-schemas are refused"),
    ("JSON Schema 2020-12 has no `$recursive", "other drafts and meta-schemas are refused"),
];

/// Compiles every schema below `folder` and checks every value against it.
pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), Failure> {
    for path in files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).with_extension("").to_string_lossy().into_owned();
        let bytes = fs::read(&path).map_err(|cause| Failure::Read { path: path.clone(), cause })?;
        let format = |detail: String| Failure::Format { path: path.clone(), detail };
        let groups: Vec<Value> = serde_json::from_slice(&bytes).map_err(|error| format(error.to_string()))?;
        for group in &groups {
            let schema = group.get("schema").ok_or_else(|| format("a group has no schema".to_owned()))?;
            let compiled = InputSchema::compile_any(schema);
            for test in group.get("tests").and_then(Value::as_array).into_iter().flatten() {
                let case = format!("{}/{}", text(group), text(test));
                report.add(&name, &case, outcome(&name, compiled.as_ref(), test));
            }
        }
    }
    Ok(())
}

fn outcome(file: &str, compiled: Result<&InputSchema, &Vec<InputProblem>>, test: &Value) -> Outcome {
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(name, _)| *name == file) {
        return Outcome::Skipped(reason);
    }
    match compiled {
        Err(problems) => refused(problems),
        Ok(schema) => {
            let problems = schema.problems_of(&test["data"]);
            match (test["valid"] == Value::Bool(true), problems.first()) {
                (true, None) | (false, Some(_)) => Outcome::Passed,
                (true, Some(problem)) => Outcome::Failed(format!("is refused: {} {}", problem.pointer, problem.detail)),
                (false, None) => Outcome::Failed("is taken".to_owned()),
            }
        }
    }
}

fn refused(problems: &[InputProblem]) -> Outcome {
    for problem in problems {
        if let Some((_, reason)) = LIMITS.iter().find(|(sign, _)| problem.detail.contains(sign)) {
            return Outcome::Skipped(reason);
        }
    }
    let detail = problems.first().map(|problem| format!("{} {}", problem.pointer, problem.detail));
    Outcome::Failed(format!("the schema is refused: {}", detail.unwrap_or_default()))
}

fn text(of: &Value) -> &str {
    of["description"].as_str().unwrap_or_default()
}

/// The JSON files below `folder`, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = |cause| Failure::Read { path: folder.to_owned(), cause };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
