//! The state of a run: its transitions, applied in order.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{Command, RunError, RunStatus, StepError, StepErrorKind, StepStatus, Transition, TransitionRecord};
use crate::compiled::{CompiledWorkflow, StepIndex};
use crate::expression::{Bindings, StepBinding, json_bytes};
use crate::run::RunContext;

/// Transitions that no run can have made: a defect, or rows that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transition {seq} of the run does not follow from those before it")]
pub struct Corrupt {
    /// The first that does not fit.
    pub seq: u32,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Not begun.
    Pending,
    /// Begun.
    Active,
    /// A step failed for good: nothing new begins, and the run ends when what is being worked on has ended. An effect
    /// outside cannot be taken back, so its result is still worth knowing.
    Stopping {
        /// How the run will end.
        status: RunStatus,
        /// Why.
        error: RunError,
    },
    /// Ended.
    Ended(RunStatus),
}

/// The state of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Where it is.
    pub status: StepStatus,
    /// The latest attempt; 0 before the first.
    pub attempt: u32,
    /// How many of the steps that it needs have not ended.
    pub unmet: usize,
    /// What it was given, while that is needed for another attempt.
    pub input: Value,
    /// Its output; null until it is completed.
    pub output: Value,
    /// Its last error as expressions see it; null without one.
    pub error: Value,
    /// When the waiting ends.
    pub until: Option<DateTime<Utc>>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub(super) phase: Phase,
    pub(super) next_seq: u32,
    pub(super) steps: Vec<StepState>,
    /// The bytes of what the steps were given and made.
    held: usize,
}

/// How many bytes the inputs and outputs of all of a run's steps may have together: a worker holds them while it drives the run.
pub const MAX_RUN_BYTES: usize = 16 << 20;

impl RunState {
    /// The state before the first transition.
    #[must_use]
    pub fn new(compiled: &CompiledWorkflow) -> Self {
        let step = |needs: usize| StepState {
            status: StepStatus::Pending,
            attempt: 0,
            unmet: needs,
            input: Value::Null,
            output: Value::Null,
            error: Value::Null,
            until: None,
        };
        let steps = compiled.steps.iter().map(|s| step(s.needs.len())).collect();
        Self { phase: Phase::Pending, next_seq: 0, steps, held: 0 }
    }

    /// The state after these transitions.
    ///
    /// # Errors
    /// [`Corrupt`] when they are not what a run of `compiled` records.
    pub fn replay(compiled: &CompiledWorkflow, transitions: &[TransitionRecord]) -> Result<Self, Corrupt> {
        let mut state = Self::new(compiled);
        for record in transitions {
            state.apply(compiled, record)?;
        }
        Ok(state)
    }

    /// Applies one transition.
    ///
    /// # Errors
    /// [`Corrupt`] when it cannot follow; the state is then unchanged.
    pub fn apply(&mut self, compiled: &CompiledWorkflow, record: &TransitionRecord) -> Result<(), Corrupt> {
        self.fits(record).ok_or(Corrupt { seq: record.seq })?;
        self.held = self.held.saturating_add(values(&record.transition).into_iter().flatten().map(json_bytes).sum());
        match &record.transition {
            Transition::RunStarted => self.phase = Phase::Active,
            Transition::StepStarted { step, attempt, input } => {
                if let Some(state) = self.steps.get_mut(step.get()) {
                    state.status = StepStatus::Running;
                    state.attempt = *attempt;
                    state.until = None;
                    if let Some(input) = input {
                        state.input = input.clone();
                    }
                }
            }
            Transition::StepWaiting { step, until, .. } => {
                if let Some(state) = self.steps.get_mut(step.get()) {
                    state.status = StepStatus::Waiting;
                    state.attempt = 1;
                    state.until = Some(*until);
                }
            }
            Transition::StepCompleted { step, attempt, output, .. } => {
                if let Some(state) = self.steps.get_mut(step.get()) {
                    state.attempt = *attempt;
                    state.output = output.clone();
                    state.error = Value::Null;
                }
                self.end_step(compiled, *step, StepStatus::Completed);
            }
            Transition::StepFailed { step, attempt, error, retry_at } => {
                if let Some(state) = self.steps.get_mut(step.get()) {
                    state.attempt = *attempt;
                    state.error = serde_json::json!({"code": error.code, "message": error.message});
                    state.until = *retry_at;
                    state.status = StepStatus::Waiting;
                }
                if retry_at.is_none() {
                    self.fail_step(compiled, *step, error);
                }
            }
            Transition::StepSkipped { step } => self.end_step(compiled, *step, StepStatus::Skipped),
            Transition::RunEnded { status, .. } => {
                self.phase = Phase::Ended(*status);
                for step in &mut self.steps {
                    if !step.status.is_terminal() {
                        step.status = StepStatus::Cancelled;
                        step.until = None;
                    }
                }
            }
        }
        self.next_seq = record.seq.saturating_add(1);
        Ok(())
    }

    /// `None` when the transition cannot follow.
    fn fits(&self, record: &TransitionRecord) -> Option<()> {
        let step = record.transition.step().map(|index| self.steps.get(index.get()));
        let fits = record.seq == self.next_seq
            && match &record.transition {
                Transition::RunStarted => self.phase == Phase::Pending,
                Transition::RunEnded { status, .. } => !matches!(self.phase, Phase::Ended(_)) && status.is_terminal(),
                _ => {
                    matches!(self.phase, Phase::Active | Phase::Stopping { .. })
                        && step.flatten().is_some_and(|step| !step.status.is_terminal())
                }
            };
        fits.then_some(())
    }

    fn fail_step(&mut self, compiled: &CompiledWorkflow, index: StepIndex, error: &StepError) {
        let (step, run) = match error.kind {
            StepErrorKind::TimedOut => (StepStatus::TimedOut, RunStatus::TimedOut),
            StepErrorKind::Transient | StepErrorKind::Permanent => (StepStatus::Failed, RunStatus::Failed),
        };
        self.end_step(compiled, index, step);
        if self.phase == Phase::Active {
            let id = compiled.step(index).map(|step| step.id.to_string());
            let error = RunError { code: error.code.clone(), message: error.message.clone(), step: id };
            self.phase = Phase::Stopping { status: run, error };
        }
    }

    fn end_step(&mut self, compiled: &CompiledWorkflow, index: StepIndex, status: StepStatus) {
        if let Some(state) = self.steps.get_mut(index.get()) {
            state.status = status;
            state.until = None;
            state.input = Value::Null;
        }
        for dependent in compiled.step(index).into_iter().flat_map(|step| &step.dependents) {
            if let Some(state) = self.steps.get_mut(dependent.get()) {
                state.unmet = state.unmet.saturating_sub(1);
            }
        }
    }

    /// Whether the run may hold one more value.
    pub(super) fn has_room(&self, value: &Value) -> bool {
        self.held.saturating_add(json_bytes(value)) <= MAX_RUN_BYTES
    }

    /// How far the run is.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The sequence number of the next transition; equal to the number of those before.
    #[must_use]
    pub const fn next_seq(&self) -> u32 {
        self.next_seq
    }

    /// The steps, in the workflow's order.
    #[must_use]
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// The status that callers see.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match &self.phase {
            Phase::Pending => RunStatus::Pending,
            Phase::Ended(status) => *status,
            Phase::Active | Phase::Stopping { .. } => {
                let any = |status| self.steps.iter().any(|step| step.status == status);
                if !any(StepStatus::Running) && any(StepStatus::Waiting) {
                    RunStatus::Waiting
                } else {
                    RunStatus::Running
                }
            }
        }
    }

    /// What a worker that takes the run over has to do: the attempts that are being worked on once more, under the same
    /// idempotency key, and the times that are waited for.
    #[must_use]
    pub fn outstanding(&self, compiled: &CompiledWorkflow) -> Vec<Command> {
        compiled
            .indexed()
            .zip(&self.steps)
            .filter_map(|((step, compiled_step), state)| match (state.status, state.until) {
                (StepStatus::Running, _) => Some(Command::Execute {
                    step,
                    attempt: state.attempt,
                    input: state.input.clone(),
                    timeout: compiled_step.timeout,
                }),
                (StepStatus::Waiting, Some(due)) if self.phase == Phase::Active => {
                    Some(Command::SetTimer { step, attempt: state.attempt, due })
                }
                _ => None,
            })
            .collect()
    }

    /// What expressions see now.
    pub(super) fn bindings<'a>(&'a self, compiled: &'a CompiledWorkflow, context: &'a RunContext) -> Bindings<'a> {
        let steps = compiled.steps.iter().zip(&self.steps).filter(|(_, state)| state.status.is_terminal());
        Bindings {
            inputs: Some(&context.inputs),
            event: Some(&context.event),
            run: Some(&context.run),
            workflow: Some(&context.workflow),
            trigger: Some(&context.trigger),
            steps: steps
                .map(|(compiled_step, state)| {
                    let seen =
                        StepBinding { status: state.status.as_str(), output: &state.output, error: &state.error };
                    (compiled_step.id.as_str(), seen)
                })
                .collect(),
        }
    }
}

/// The values that a transition records.
fn values(transition: &Transition) -> [Option<&Value>; 2] {
    match transition {
        Transition::StepStarted { input, .. } => [input.as_ref(), None],
        Transition::StepWaiting { input, .. } => [Some(input), None],
        Transition::StepCompleted { input, output, .. } => [input.as_ref(), Some(output)],
        _ => [None, None],
    }
}
