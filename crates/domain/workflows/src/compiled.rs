//! One version of a workflow in the form that a run executes: compiled, checked and immutable.
//!
//! It is compiled from a definition without problems, so no name in it can be unresolved. It is never stored: a version
//! stores its document, which is compiled again when needed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expression::{Expression, ValueTemplate};
use crate::input::InputSchema;
use crate::step::StepType;

/// The maximum number of steps in one workflow.
pub const MAX_STEPS: usize = 500;

/// The version of the language and of the state machine for documents without `tidegate:`.
pub const CURRENT_SEMANTICS: u32 = 1;

/// A compiled version.
#[derive(Debug, Clone)]
pub struct CompiledWorkflow {
    /// The document's `tidegate:` number. A run keeps it for life, so a new state machine does not change existing
    /// runs.
    pub semantics: u32,
    /// The workflow's name in this version.
    pub name: String,
    /// The schema of a run's input.
    pub inputs: Arc<InputSchema>,
    /// The steps in topological order: each comes after every step that it needs.
    pub steps: Vec<CompiledStep>,
    /// The outputs of a completed run: an object, or null if the document has no `outputs`.
    pub outputs: ValueTemplate,
    /// The limit of concurrent runs with the same key.
    pub concurrency: Option<Concurrency>,
}

impl CompiledWorkflow {
    /// The step at `index`.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> Option<&CompiledStep> {
        self.steps.get(index.get())
    }

    /// Every step with its index, in topological order.
    pub fn indexed(&self) -> impl Iterator<Item = (StepIndex, &CompiledStep)> {
        (0u16..).map(StepIndex).zip(&self.steps)
    }

    /// The index of the step with this id.
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<StepIndex> {
        self.indexed().find(|(_, step)| step.id.as_str() == id).map(|(index, _)| index)
    }
}

/// The index of a step in [`CompiledWorkflow::steps`]; below [`MAX_STEPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIndex(pub u16);

impl StepIndex {
    /// The index as a `usize`.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// The id of a step, unique in its workflow: 1 to 64 letters, digits and `_`, not starting with a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The maximum number of characters.
    pub const MAX: usize = 64;

    /// The id, or `None` if the text is not a valid id.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !text.starts_with(|c: char| c.is_ascii_digit());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One step of a compiled workflow.
#[derive(Debug, Clone)]
pub struct CompiledStep {
    /// Its id in the document.
    pub id: StepId,
    /// Its step type.
    pub uses: Arc<StepType>,
    /// Its parameters, which evaluate to an object.
    pub with: ValueTemplate,
    /// The steps that have to end before this one, each once.
    pub needs: Vec<StepIndex>,
    /// The steps that need this one, each once.
    pub dependents: Vec<StepIndex>,
    /// Its `if`. The step is skipped if this is false.
    pub condition: Option<Expression>,
    /// How often an attempt is retried, and with which backoff.
    pub retry: RetryPolicy,
    /// The timeout of one attempt.
    pub timeout: Duration,
}

/// Exponential backoff. The caller of [`RetryPolicy::delay_after`] adds jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The maximum number of attempts, including the first; at least 1.
    pub max_attempts: u32,
    /// The delay before the second attempt.
    pub initial: Duration,
    /// The factor by which the delay grows after each further attempt; at least 1.
    pub factor: f64,
    /// The maximum delay.
    pub max: Duration,
}

impl RetryPolicy {
    /// The delay after the failed attempt `attempt` (starting at 1), before jitter; `None` if no attempt is left.
    #[must_use]
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(60) }
    }
}

/// A limit of concurrent runs of one workflow with the same key.
#[derive(Debug, Clone)]
pub struct Concurrency {
    /// The key. It is evaluated at the start of a run, over `inputs`, `event`, `run`, `workflow` and `trigger`, and
    /// rendered as text.
    pub key: ValueTemplate,
    /// The maximum number of active runs with the same key; at least 1.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_cap_and_ends_with_the_attempts() {
        let policy = RetryPolicy { max_attempts: 5, max: Duration::from_secs(3), ..RetryPolicy::default() };
        let delays: Vec<_> = (1..=5).map(|attempt| policy.delay_after(attempt).map(|d| d.as_secs())).collect();
        assert_eq!(delays, [Some(1), Some(2), Some(3), Some(3), None]);
        let endless = RetryPolicy { max_attempts: u32::MAX, factor: f64::MAX, ..RetryPolicy::default() };
        assert_eq!(endless.delay_after(u32::MAX - 1), Some(Duration::from_secs(60)));
    }

    #[test]
    fn step_ids_are_names_that_an_expression_can_select() {
        for good in ["a", "_a9", &"x".repeat(64)] {
            assert!(StepId::new(good).is_some(), "{good}");
        }
        for bad in ["", "9a", "a-b", "ä", "a\0", &"x".repeat(65)] {
            assert!(StepId::new(bad).is_none(), "{bad}");
        }
    }
}
