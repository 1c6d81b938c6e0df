//! The workflow document: read, checked and compiled.
//!
//! A document either compiles, or all of its problems are returned at once. Each problem has its line and its JSON
//! pointer and, for a misspelt name, a suggestion. [`json_schema`] is the same language as a JSON Schema. It checks
//! less, because a schema cannot know names. A [`StepRegistry`] defines the step types.

mod checker;
mod document;
mod duration;
mod graph;
mod json;
mod mismatch;
mod names;
mod parameters;
mod parts;
mod scalar;
mod schema;
#[cfg(test)]
mod schema_tests;
mod steps;
#[cfg(test)]
mod tests;
mod yaml;

use std::sync::Arc;

use serde_json::Value;

pub use document::MAX_BYTES;
pub use duration::parse_duration;
pub(crate) use duration::shown_duration;
pub use schema::json_schema;

use crate::compiled::CompiledWorkflow;
use crate::step::StepRegistry;
use crate::trigger::Trigger;

/// The format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }

    /// The format with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Yaml, Self::Json].into_iter().find(|format| format.as_str() == text)
    }
}

/// One problem in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, starting at 1.
    pub line: usize,
    /// The column in characters, starting at 1.
    pub column: usize,
    /// The JSON pointer to the wrong part.
    pub pointer: String,
    /// What is wrong and what to change.
    pub detail: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// Why a document is not a valid workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It cannot be parsed as YAML or JSON, or it is too large.
    #[error("the document cannot be read: {}", .0.detail)]
    Unreadable(Problem),
    /// It can be parsed and has these problems, at least one.
    #[error("the document has {}", told(.0))]
    Invalid(Vec<Problem>),
}

/// The number of problems, and the first one.
fn told(problems: &[Problem]) -> String {
    match problems {
        [] => "no problems".to_owned(),
        [only] => format!("a problem at {}: {}", only.pointer, only.detail),
        [first, ..] => format!("{} problems, the first at {}: {}", problems.len(), first.pointer, first.detail),
    }
}

/// A document without problems.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The workflow's name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The compiled workflow.
    pub compiled: Arc<CompiledWorkflow>,
    /// Its triggers, in document order.
    pub triggers: Vec<Trigger>,
    /// The document as JSON.
    pub document: Value,
}

impl Definition {
    /// Compiles a document whose step types are in `steps`.
    ///
    /// # Errors
    /// [`DefinitionError`] with all problems, if there are any.
    pub fn compile(source: &[u8], format: Format, steps: &StepRegistry) -> Result<Self, DefinitionError> {
        let (text, root) = read(source, format).map_err(DefinitionError::Unreadable)?;
        parts::definition(text, &root, steps).map_err(DefinitionError::Invalid)
    }
}

/// The document as JSON. It is not checked further than that it can be parsed and that no value is lost or changed.
///
/// # Errors
/// [`Problem`]: the first reason why it is rejected.
pub fn to_json(source: &[u8], format: Format) -> Result<Value, Problem> {
    let (text, root) = read(source, format)?;
    match parts::unfit(text, &root).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(root.to_json()),
    }
}

fn read(source: &[u8], format: Format) -> Result<(&str, document::Node), Problem> {
    use document::{MAX_BYTES, Mark, mark_of, unreadable};
    if source.len() > MAX_BYTES {
        let start = Mark { line: 1, column: 1, index: 0 };
        return Err(unreadable(
            start,
            format!("a document has at most {MAX_BYTES} bytes, this one has {}", source.len()),
        ));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let valid = source.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(valid);
        unreadable(mark_of(&before, before.len()), "the document is not UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A YAML parser treats NUL as the end and would silently ignore the text after it.
    if let Some(at) = text.find('\0') {
        return Err(unreadable(mark_of(text, at), "the document holds a NUL byte"));
    }
    let root = match format {
        Format::Yaml => yaml::read(text)?,
        Format::Json => json::read(text)?,
    };
    Ok((text, root))
}
