//! Step types: what the steps of a document can be, as data.
//!
//! A [`StepType`] says what a step takes, what it makes, and how it is worked on; a [`StepRegistry`] holds those that a process
//! knows. The validator, the published JSON Schema and the table of the documentation are made from the registry, and the
//! state machine knows nothing of a type but its [`StepClass`]. Nothing here does anything outside: the handler of a type with
//! effects belongs to whoever drives runs.

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
    /// What a document writes in `uses`: words of lower-case letters, digits and `_`, joined by dots. A name is stored with
    /// documents, so it never changes.
    pub name: String,
    /// What such a step does: one sentence for the documentation.
    pub summary: String,
    /// The JSON Schema (2020-12) of `with`: an object. References begin with `#/`. A `title` names what is expected, as in
    /// "expected a colour", and is used in messages; `examples` are for the readers of the published schema. It is widened later, never narrowed: documents that were kept are compiled
    /// again.
    pub with: Value,
    /// Checks what the schema cannot say, of `with` as it is written. A text with `${{` has no value yet, and must be let through
    /// where its value may be right.
    pub check: Option<fn(&Value) -> Vec<InputProblem>>,
    /// What such a step makes.
    pub output: StepOutput,
    /// How such a step is worked on.
    pub class: StepClass,
    /// How long an attempt may take; of importance to steps with effects alone.
    pub timeouts: Timeouts,
}

impl StepType {
    /// A type with an effect outside. It takes anything and says nothing about its output, until the fields say more.
    #[must_use]
    pub fn effect(name: &str, summary: &str) -> Self {
        Self::new(name, summary, StepClass::Effect)
    }

    /// A type that computes its output from its input.
    #[must_use]
    pub fn pure(name: &str, summary: &str, step: impl PureStep + 'static) -> Self {
        Self::new(name, summary, StepClass::Pure(Arc::new(step)))
    }

    /// A type that waits for a time, and has no output.
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

/// How a step is worked on.
#[derive(Clone)]
pub enum StepClass {
    /// Computed by the state machine, and recorded together with what follows from it.
    Pure(Arc<dyn PureStep>),
    /// Waits for a time.
    Waits(Arc<dyn WaitingStep>),
    /// Done outside by a handler, in attempts.
    Effect,
}

impl StepClass {
    /// The word of the documentation.
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

/// A step that is computed.
pub trait PureStep: Send + Sync {
    /// The output. MUST depend on `input` alone, and always give the same for the same.
    ///
    /// # Errors
    /// Why there is none; the step fails for good.
    fn compute(&self, input: &Value) -> Result<Value, StepError>;
}

impl<F: Fn(&Value) -> Result<Value, StepError> + Send + Sync> PureStep for F {
    fn compute(&self, input: &Value) -> Result<Value, StepError> {
        self(input)
    }
}

/// A step that waits.
pub trait WaitingStep: Send + Sync {
    /// When a step that begins at `now` ends. MUST depend on `input` and `now` alone.
    ///
    /// # Errors
    /// Why there is no such time; the step fails for good.
    fn until(&self, input: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, StepError>;
}

impl<F: Fn(&Value, DateTime<Utc>) -> Result<DateTime<Utc>, StepError> + Send + Sync> WaitingStep for F {
    fn until(&self, input: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, StepError> {
        self(input, now)
    }
}

/// What a step makes.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutput {
    /// Its parameters, evaluated.
    With,
    /// A value of this JSON Schema (2020-12). The names that it declares are those that expressions may read; without
    /// `properties` they may read any.
    Schema(Value),
}

/// How long one attempt of a step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Where the document does not say.
    pub default: Duration,
    /// The most that a document can ask for; at most [`Timeouts::LONGEST`].
    pub max: Duration,
}

impl Timeouts {
    /// The longest time-out of any step.
    pub const LONGEST: Duration = Duration::from_secs(86_400);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { default: Duration::from_secs(300), max: Self::LONGEST }
    }
}
