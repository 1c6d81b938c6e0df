//! The timeline of a run: every step with its attempts.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{StepError, StepErrorKind, StepStatus, Transition, TransitionRecord};
use crate::compiled::CompiledWorkflow;
use crate::step::StepClass;

/// One attempt of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// The number of the attempt, starting at 1.
    pub number: u32,
    /// Its status: running, waiting (during a delay), or how it ended.
    pub status: StepStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The error, if it failed.
    pub error: Option<StepError>,
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// The end of its delay.
    Delay,
    /// The end of the backoff before its next attempt.
    Backoff,
    /// The plan of the workspace allows no more attempts of steps now.
    Quota,
}

impl WaitsFor {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Delay, Self::Backoff, Self::Quota];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Backoff => "backoff",
            Self::Quota => "quota",
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// Its id in the document.
    pub id: String,
    /// The name of its type.
    pub uses: String,
    /// Its status.
    pub status: StepStatus,
    /// What it waits for, and until when, if its status is `waiting`.
    pub waits: Option<(WaitsFor, DateTime<Utc>)>,
    /// Its attempts, in order.
    pub attempts: Vec<AttemptView>,
    /// Its input, once it has begun.
    pub input: Option<Value>,
    /// Its output, once it is completed.
    pub output: Option<Value>,
    /// The error of its last attempt, if that failed.
    pub error: Option<StepError>,
}

impl StepView {
    fn attempt(&mut self, number: u32, at: DateTime<Utc>) -> &mut AttemptView {
        let position = self.attempts.iter().position(|attempt| attempt.number == number).unwrap_or_else(|| {
            let status = StepStatus::Running;
            self.attempts.push(AttemptView { number, status, started_at: at, finished_at: None, error: None });
            self.attempts.len() - 1
        });
        &mut self.attempts[position]
    }

    fn end_attempt(&mut self, number: u32, at: DateTime<Utc>, status: StepStatus, error: Option<&StepError>) {
        let attempt = self.attempt(number, at);
        attempt.status = status;
        attempt.finished_at = Some(at);
        attempt.error = error.cloned();
    }
}

/// The steps of a run with their attempts, derived from its transitions, in topological order.
#[must_use]
pub fn timeline(compiled: &CompiledWorkflow, transitions: &[TransitionRecord]) -> Vec<StepView> {
    let mut views: Vec<StepView> = compiled
        .steps
        .iter()
        .map(|step| StepView {
            id: step.id.to_string(),
            uses: step.uses.name.clone(),
            status: StepStatus::Pending,
            waits: None,
            attempts: Vec::new(),
            input: None,
            output: None,
            error: None,
        })
        .collect();
    for TransitionRecord { at, transition, .. } in transitions {
        if let Transition::RunEnded { .. } = transition {
            for view in views.iter_mut().filter(|view| !view.status.is_terminal()) {
                view.status = StepStatus::Cancelled;
                view.waits = None;
                for attempt in view.attempts.iter_mut().filter(|attempt| attempt.finished_at.is_none()) {
                    attempt.status = StepStatus::Cancelled;
                    attempt.finished_at = Some(*at);
                }
            }
        }
        let Some(step) = transition.step() else { continue };
        let Some(view) = views.get_mut(step.get()) else { continue };
        view.waits = match transition {
            Transition::StepWaiting { until, .. } => Some((WaitsFor::Delay, *until)),
            Transition::StepHeld { until, .. } => Some((WaitsFor::Quota, *until)),
            Transition::StepFailed { retry_at, .. } => retry_at.map(|until| (WaitsFor::Backoff, until)),
            _ => None,
        };
        match transition {
            Transition::StepStarted { attempt, input, .. } => {
                view.status = StepStatus::Running;
                view.error = None;
                view.attempt(*attempt, *at);
                view.input = view.input.take().or_else(|| input.clone());
            }
            Transition::StepWaiting { input, .. } => {
                view.status = StepStatus::Waiting;
                view.attempt(1, *at).status = StepStatus::Waiting;
                view.input = Some(input.clone());
            }
            Transition::StepCompleted { attempt, input, output, .. } => {
                view.status = StepStatus::Completed;
                view.end_attempt(*attempt, *at, StepStatus::Completed, None);
                // A pure step without a recorded input had an input equal to its output.
                let pure = compiled.step(step).is_some_and(|step| matches!(step.uses.class, StepClass::Pure(_)));
                let given = input.clone().or_else(|| pure.then(|| output.clone()));
                view.input = view.input.take().or(given);
                view.output = Some(output.clone());
            }
            Transition::StepFailed { attempt, error, retry_at, .. } => {
                let ended = match error.kind {
                    StepErrorKind::TimedOut => StepStatus::TimedOut,
                    StepErrorKind::Transient | StepErrorKind::Permanent => StepStatus::Failed,
                };
                view.status = if retry_at.is_some() { StepStatus::Waiting } else { ended };
                view.end_attempt(*attempt, *at, ended, Some(error));
                view.error = Some(error.clone());
            }
            Transition::StepHeld { .. } => view.status = StepStatus::Waiting,
            Transition::StepSkipped { .. } => view.status = StepStatus::Skipped,
            Transition::RunStarted | Transition::RunEnded { .. } => {}
        }
    }
    views
}
