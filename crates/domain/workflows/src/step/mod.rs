//! Step types: the kinds of steps that a document can use, as data.
//!
//! A [`StepType`] describes a step's input, its output and how it is executed. A [`StepRegistry`] holds the types that
//! a process knows. The validator, the published JSON Schema and the table in the documentation are derived from the
//! registry. The state machine knows only a type's [`StepClass`]. Nothing here has external effects: the engine holds
//! the handlers of types with effects.

mod condition;
mod delay;
mod expressions;
mod publish;
mod registry;
#[cfg(test)]
pub(crate) mod stand_ins;
mod transform;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::input::InputProblem;
use crate::run::StepError;

pub(crate) use expressions::is_expression;
pub(crate) use registry::RegisteredStep;
pub use registry::{StepRegistry, StepTypeError};

/// A kind of step that documents can name in `uses`.
#[derive(Debug, Clone)]
pub struct StepType {
    /// The name for `uses`: words of lower-case letters, digits and `_`, joined by dots. It is stored with documents,
    /// so it MUST never change.
    pub name: String,
    /// What such a step does: one sentence, for the documentation.
    pub summary: String,
    /// The JSON Schema (2020-12) of `with`: an object. References begin with `#/`. A `title` names the expected value
    /// in messages, as in "expected a colour". `examples` are for readers of the published schema. The schema may be
    /// widened later and MUST NOT be narrowed, because stored documents are compiled again.
    pub with: Value,
    /// Further checks of `with` as written in the document, for rules that a schema cannot express. A text with `${{`
    /// has no value yet; the check MUST accept it if its value may be valid.
    pub check: Option<fn(&Value) -> Vec<InputProblem>>,
    /// The output of such a step.
    pub output: StepOutput,
    /// How such a step is executed.
    pub class: StepClass,
    /// The timeouts of an attempt. They matter only for steps with effects.
    pub timeouts: Timeouts,
}

impl StepType {
    /// A type with external effects. It accepts any object and declares nothing about its output unless the fields are
    /// set.
    #[must_use]
    pub fn effect(name: &str, summary: &str) -> Self {
        Self::new(name, summary, StepClass::Effect)
    }

    /// A type that computes its output from its input.
    #[must_use]
    pub fn pure(name: &str, summary: &str, step: impl PureStep + 'static) -> Self {
        Self::new(name, summary, StepClass::Pure(Arc::new(step)))
    }

    /// A type that waits for a time. Its output is null.
    #[must_use]
    pub fn waits(name: &str, summary: &str, step: impl WaitingStep + 'static) -> Self {
        let output = StepOutput::Schema(json!({"type": "null"}));
        Self { output, ..Self::new(name, summary, StepClass::Waits(Arc::new(step))) }
    }

    fn new(name: &str, summary: &str, class: StepClass) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
            with: json!({"type": "object"}),
            check: None,
            output: StepOutput::Schema(json!({})),
            class,
            timeouts: Timeouts::default(),
        }
    }
}

/// How a step is executed.
#[derive(Clone)]
pub enum StepClass {
    /// The state machine computes the output and records it together with the transitions that follow.
    Pure(Arc<dyn PureStep>),
    /// The step waits for a time.
    Waits(Arc<dyn WaitingStep>),
    /// A handler executes the step, in attempts.
    Effect,
}

impl StepClass {
    /// The name in the documentation.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pure(_) => "pure",
            Self::Waits(_) => "waits",
            Self::Effect => "effect",
        }
    }
}

impl fmt::Debug for StepClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step whose output is computed from its input.
pub trait PureStep: Send + Sync {
    /// Computes the output. MUST depend only on `input`, and MUST always give the same output for the same input.
    ///
    /// # Errors
    /// [`StepError`] if there is no output. The step then fails without a retry.
    fn compute(&self, input: &Value) -> Result<Value, StepError>;
}

impl<F: Fn(&Value) -> Result<Value, StepError> + Send + Sync> PureStep for F {
    fn compute(&self, input: &Value) -> Result<Value, StepError> {
        self(input)
    }
}

/// A step that waits for a time.
pub trait WaitingStep: Send + Sync {
    /// Returns when a step that begins at `now` ends. MUST depend only on `input` and `now`.
    ///
    /// # Errors
    /// [`StepError`] if there is no such time. The step then fails without a retry.
    fn until(&self, input: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, StepError>;
}

impl<F: Fn(&Value, DateTime<Utc>) -> Result<DateTime<Utc>, StepError> + Send + Sync> WaitingStep for F {
    fn until(&self, input: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, StepError> {
        self(input, now)
    }
}

/// The output of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutput {
    /// Its evaluated parameters.
    With,
    /// A value that matches this JSON Schema (2020-12). Expressions may read the names that it declares, or any name if
    /// it has no `properties`.
    Schema(Value),
}

/// The timeouts for one attempt of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The timeout if the document sets none.
    pub default: Duration,
    /// The maximum that a document can set; at most [`Timeouts::LONGEST`].
    pub max: Duration,
}

impl Timeouts {
    /// The maximum timeout of any step: one day.
    pub const LONGEST: Duration = Duration::from_secs(86_400);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { default: Duration::from_secs(300), max: Self::LONGEST }
    }
}
