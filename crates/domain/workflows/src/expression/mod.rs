//! The expressions inside `${{ }}`: CEL, compiled once and evaluated within a budget.
//!
//! The language is CEL without message types. It differs from CEL in three points, because bindings are JSON:
//! `has(null.x)` is false (the output of a skipped step is null), arithmetic mixes ints and doubles (JSON does not
//! distinguish 2 from 2.0), and a double without decimals can index a list. An expression cannot run for long:
//! compilation bounds its text, nodes and nesting, and evaluation charges for everything that it visits, scans and
//! creates.

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

/// Why a text is not a valid expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ExpressionError {
    /// The byte offset of the problem in the text.
    pub offset: usize,
    /// What is wrong.
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
    /// The byte offset of the failure in that text.
    pub offset: usize,
    /// What happened. Never contains a value from the bindings.
    pub detail: String,
}

/// The root names of expressions.
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

/// The values that an expression can read.
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

/// The part of a step that an expression can read: `steps.<id>.status`, `.output` and `.error`.
#[derive(Debug, Clone, Copy)]
pub struct StepBinding<'a> {
    /// `completed`, `failed`, `skipped`, …
    pub status: &'a str,
    /// Null for a step that was skipped or failed.
    pub output: &'a Value,
    /// Null for a step that did not fail.
    pub error: &'a Value,
}

/// One compiled expression. Clones are cheap.
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
    /// [`ExpressionError`]: the first problem, with its place.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        Self::check(source).map_err(|mut problems| {
            let first = problems.drain(..).next();
            first.unwrap_or(ExpressionError::new(0, "this is not an expression"))
        })
    }

    /// Like [`Expression::compile`], but reports every problem.
    ///
    /// # Errors
    /// All problems, at least one.
    pub fn check(source: &str) -> Result<Self, Vec<ExpressionError>> {
        let root = parser::parse(source)?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), root })))
    }

    /// The source text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Every place at which the expression reads one of the roots.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        references::of(&self.0.root)
    }

    /// Evaluates the expression with these bindings.
    ///
    /// # Errors
    /// [`EvaluationError`] if a name does not exist, a type does not match, or the budget is used up.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, EvaluationError> {
        self.evaluate_within(bindings, &mut Budget::new(budget::UNITS))
    }

    /// Like [`Expression::evaluate`], and returns how many units of work it took, of the maximum of 1,000,000. A unit
    /// is about one node visited, 16 bytes scanned, or 64 bytes copied, compared or allocated.
    pub fn evaluate_metered(&self, bindings: &Bindings<'_>) -> (Result<Value, EvaluationError>, u64) {
        let mut budget = Budget::new(budget::UNITS);
        let outcome = self.evaluate_within(bindings, &mut budget);
        (outcome, budget.spent())
    }

    /// Evaluates the expression as a condition.
    ///
    /// # Errors
    /// [`EvaluationError`] as for [`Expression::evaluate`], and if the value is not a boolean.
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
