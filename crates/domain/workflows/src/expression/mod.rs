//! What a document writes in `${{ }}`: expressions in CEL, compiled once and evaluated within a budget.
//!
//! The language is CEL without message types. It differs in three places, each because bindings are
//! JSON: `has(null.x)` is false (the output of a skipped step is null), arithmetic mixes ints and doubles (JSON does
//! not tell 2 from 2.0), and a double without decimals indexes a list. An expression cannot run for long: its text,
//! nodes and nesting are bounded when it is compiled, and everything that it visits, scans and makes when it runs.

mod bounds;
mod budget;
mod evaluate;
mod functions;
mod lexer;
mod parser;
mod references;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use budget::Budget;
use evaluate::{Evaluator, Failure};

pub use bounds::{MAX_VALUE_BYTES, MAX_VALUE_DEPTH, is_too_deep, json_bytes};
pub use references::Reference;
pub(crate) use template::{Piece, Shape, pieces, shape};
pub use template::{TextPart, ValueTemplate};

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ExpressionError {
    /// The byte in the text where the problem is.
    pub offset: usize,
    /// What is wrong, in words.
    pub detail: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl ExpressionError {
    fn new(offset: usize, detail: impl Into<String>) -> Self {
        Self { offset, detail: detail.into(), suggestion: None }
    }
}

/// Why an expression has no value with these bindings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}, at byte {offset} of `{expression}`")]
pub struct EvaluationError {
    /// The text of the expression that failed.
    pub expression: String,
    /// The byte in that text where it failed.
    pub offset: usize,
    /// What happened, in words; never a value from the bindings.
    pub detail: String,
}

/// The names at the root of every expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The run's input.
    Inputs,
    /// The steps that have ended.
    Steps,
    /// The event that started the run.
    Event,
    /// The run.
    Run,
    /// The workflow and its version.
    Workflow,
    /// What started the run.
    Trigger,
}

impl Root {
    /// Every root.
    pub const ALL: [Self; 6] = [Self::Inputs, Self::Steps, Self::Event, Self::Run, Self::Workflow, Self::Trigger];

    /// The name in an expression.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Steps => "steps",
            Self::Event => "event",
            Self::Run => "run",
            Self::Workflow => "workflow",
            Self::Trigger => "trigger",
        }
    }
}

/// What an expression can see.
#[derive(Debug, Clone, Default)]
pub struct Bindings<'a> {
    /// `inputs`: the run's input.
    pub inputs: Option<&'a Value>,
    /// `event`: the event that started the run; null for other triggers.
    pub event: Option<&'a Value>,
    /// `run`: `{id, started_at, …}`.
    pub run: Option<&'a Value>,
    /// `workflow`: `{id, name, version}`.
    pub workflow: Option<&'a Value>,
    /// `trigger`: `{kind, …}`.
    pub trigger: Option<&'a Value>,
    /// `steps`: the steps that have ended, by id.
    pub steps: BTreeMap<&'a str, StepBinding<'a>>,
}

/// What an expression can see of one step: `steps.<id>.status`, `.output` and `.error`.
#[derive(Debug, Clone, Copy)]
pub struct StepBinding<'a> {
    /// `completed`, `failed`, `skipped`, …
    pub status: &'a str,
    /// Null for a step that was skipped or failed.
    pub output: &'a Value,
    /// Null for a step that did not fail.
    pub error: &'a Value,
}

/// One compiled expression. A copy is cheap.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    root: syntax::Node,
}

impl Expression {
    /// Compiles the CEL text of one `${{ }}`, without the braces.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        Self::check(source).map_err(|mut problems| {
            let first = problems.drain(..).next();
            first.unwrap_or(ExpressionError::new(0, "this is not an expression"))
        })
    }

    /// As [`Expression::compile`], with every problem.
    ///
    /// # Errors
    /// All problems, at least one.
    pub fn check(source: &str) -> Result<Self, Vec<ExpressionError>> {
        let root = parser::parse(source)?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), root })))
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Every place where the expression reads one of the roots.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        references::of(&self.0.root)
    }

    /// The value with these bindings.
    ///
    /// # Errors
    /// When a name or a type does not fit, or when the budget is used up.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, EvaluationError> {
        self.evaluate_within(bindings, &mut Budget::new(budget::UNITS))
    }

    /// As [`Expression::evaluate`], and how many units of work it took, of the 1,000,000 that it may take. A unit is about
    /// one part visited, 16 bytes scanned, or 64 bytes copied, compared or allocated.
    pub fn evaluate_metered(&self, bindings: &Bindings<'_>) -> (Result<Value, EvaluationError>, u64) {
        let mut budget = Budget::new(budget::UNITS);
        let outcome = self.evaluate_within(bindings, &mut budget);
        (outcome, budget.spent())
    }

    /// The value as a condition.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and when the value is not a boolean.
    pub fn evaluate_bool(&self, bindings: &Bindings<'_>) -> Result<bool, EvaluationError> {
        let value = self.evaluate(bindings)?;
        value.as_bool().ok_or_else(|| self.error(0, "a condition has to be true or false"))
    }

    fn evaluate_within(&self, bindings: &Bindings<'_>, budget: &mut Budget) -> Result<Value, EvaluationError> {
        let root = &self.0.root;
        let value = Evaluator::new(bindings, budget).value(root).map_err(|failure| self.failure(&failure))?;
        match value.to_json(budget) {
            Ok(Some(json)) => Ok(json),
            Ok(None) => Err(self.error(root.at, "infinity and not-a-number are not JSON")),
            Err(_) => Err(self.failure(&evaluate::exhausted(root.at))),
        }
    }

    fn failure(&self, failure: &Failure) -> EvaluationError {
        self.error(failure.at, &failure.detail)
    }

    fn error(&self, offset: usize, detail: &str) -> EvaluationError {
        EvaluationError { expression: self.0.source.clone(), offset, detail: detail.to_owned() }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{{ {} }}}}", self.0.source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

/// The known name that `name` is probably a misspelling of.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    if name.len() > 200 {
        return None;
    }
    known
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len() <= 200)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
