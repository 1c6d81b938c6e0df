//! The state of a run: the result of applying its transitions in order.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{
    Command, FactKind, RunError, RunStatus, StepError, StepErrorKind, StepStatus, Transition, TransitionRecord,
};
use crate::compiled::{CompiledWorkflow, StepIndex};
use crate::expression::{Bindings, StepBinding, json_bytes};
use crate::run::RunContext;
use crate::step::StepClass;

/// Transitions that no run can have recorded: a defect of the program, or rows that were changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transition {seq} of the run does not follow from those before it")]
pub struct Corrupt {
    /// The sequence number of the first transition that does not fit.
    pub seq: u32,
}

/// The phase of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Not begun.
    Pending,
    /// Begun.
    Active,
    /// A step failed for good: no step begins any more, and the run ends when the running attempts have ended. They are
    /// awaited, because an external effect cannot be undone and its result is still worth recording.
    Stopping {
        /// The final status of the run.
        status: RunStatus,
        /// The error of the run.
        error: RunError,
    },
    /// Ended.
    Ended(RunStatus),
}

/// The state of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Its status.
    pub status: StepStatus,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// How many of the steps that it needs have not ended.
    pub unmet: usize,
    /// Its input, as long as another attempt may need it.
    pub input: Value,
    /// Its output; null until it is completed.
    pub output: Value,
    /// Its last error, as expressions read it; null without one.
    pub error: Value,
    /// When its delay or backoff ends, or when it tries again to begin an attempt.
    pub until: Option<DateTime<Utc>>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    pub(super) phase: Phase,
    pub(super) next_seq: u32,
    pub(super) steps: Vec<StepState>,
    /// The size of all recorded inputs and outputs, in bytes.
    held: usize,
}

/// The maximum total size of the inputs and outputs of all steps, in bytes. A worker keeps them in memory.
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
    /// [`Corrupt`] if a run of `compiled` cannot have recorded them.
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
    /// [`Corrupt`] if the transition does not fit the state, which is then unchanged.
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
            Transition::StepHeld { step, until } => {
                if let Some(state) = self.steps.get_mut(step.get()) {
                    state.status = StepStatus::Waiting;
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
            Transition::StepFailed { step, attempt, error, retry_at, .. } => {
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

    /// `None` if the transition does not fit the state.
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

    /// The most attempts that can begin because of a fact: of the step that it is about, and of steps that need nothing
    /// else or only steps that may end at once.
    #[must_use]
    pub fn could_begin(&self, compiled: &CompiledWorkflow, fact: &FactKind) -> u32 {
        let (ended, due) = match fact {
            FactKind::Admitted => (None, None),
            FactKind::AttemptEnded { step, .. } => (Some(*step), None),
            FactKind::TimeCame { step, .. } => (None, Some(*step)),
            FactKind::CancelRequested => return 0,
        };
        let mut ends = vec![false; self.steps.len()];
        let mut begin = 0;
        for ((index, step), state) in compiled.indexed().zip(&self.steps) {
            let needs_end = || step.needs.iter().all(|need| ends.get(need.get()).is_some_and(|ends| *ends));
            let begins = Some(index) == due || (state.status == StepStatus::Pending && needs_end());
            begin += u32::from(begins);
            let at_once = step.condition.is_some() || !matches!(step.uses.class, StepClass::Effect);
            ends[index.get()] = state.status.is_terminal() || Some(index) == ended || (begins && at_once);
        }
        begin
    }

    /// Whether the run has room for one more value.
    pub(super) fn has_room(&self, value: &Value) -> bool {
        self.held.saturating_add(json_bytes(value)) <= MAX_RUN_BYTES
    }

    /// The phase of the run.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The sequence number of the next transition, which equals the number of transitions so far.
    #[must_use]
    pub const fn next_seq(&self) -> u32 {
        self.next_seq
    }

    /// The steps, in the workflow's order.
    #[must_use]
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// The status that the API shows.
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

    /// The commands for a worker that takes over the run: repeat the running attempts, with the same idempotency keys,
    /// and set the timers of waiting steps.
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

    /// The values that expressions can read now.
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
