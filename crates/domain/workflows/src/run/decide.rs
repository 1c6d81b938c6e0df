//! Decides what happens next in a run.
//!
//! The same state and the same fact always give the same decision, on any worker and in any later release. The meaning
//! of a `tidegate: 1` document is fixed here; a different meaning gets a different number.
//!
//! How a run ends:
//! - A step that fails for good stops its run. No further step begins. Delays and backoffs are dropped. Running
//!   attempts are awaited and recorded, but not retried. The run then ends as `timed_out` if the failed step's last
//!   attempt timed out, else as `failed`.
//! - A cancelled run ends at once. Its running attempts are aborted.
//! - A step that has not ended when its run ends is `cancelled`.
//!
//! An attempt that the fact's allowance does not cover is held: its step waits and tries again later. Nothing fails
//! because of a plan.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::backoff::backoff;
use super::model::{
    Allowance, Command, Fact, FactKind, RunContext, RunError, RunStatus, StepError, StepStatus, Transition,
    TransitionRecord,
};
use super::state::{Corrupt, MAX_RUN_BYTES, Phase, RunState};
use crate::compiled::{CURRENT_SEMANTICS, CompiledStep, CompiledWorkflow, StepIndex};
use crate::expression::{MAX_VALUE_DEPTH, is_too_deep};
use crate::step::StepClass;

/// The result of a fact. Both lists are empty if the fact is stale, repeated or has no effect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The transitions, in order; already applied to the state.
    pub transitions: Vec<TransitionRecord>,
    /// The commands to execute after the transitions are committed.
    pub commands: Vec<Command>,
}

/// Why no decision is possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The run follows a language version that this release does not know; a newer release has to drive it.
    #[error("the run follows version {0} of the workflow language, which this release does not know")]
    UnknownSemantics(u32),
    /// A transition did not fit the state: a defect of the program.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Applies `fact` to `state` and returns the resulting transitions and commands.
///
/// # Errors
/// [`DecideError`] if this release does not know the run's language version, or if a transition does not fit the state.
/// The state MUST NOT be used after an error.
pub fn decide(
    compiled: &CompiledWorkflow,
    context: &RunContext,
    state: &mut RunState,
    fact: &Fact,
) -> Result<Decision, DecideError> {
    if compiled.semantics != CURRENT_SEMANTICS {
        return Err(DecideError::UnknownSemantics(compiled.semantics));
    }
    let decision = Decision::default();
    let mut machine = Machine { compiled, context, state, at: fact.at, allowance: fact.allowance, decision };
    match (&machine.state.phase, &fact.kind) {
        (Phase::Ended(_), _) => {}
        (Phase::Pending, FactKind::Admitted) => {
            machine.record(Transition::RunStarted)?;
            machine.proceed()?;
        }
        (_, FactKind::CancelRequested) => {
            machine.end(RunStatus::Cancelled, Value::Null, None)?;
        }
        (Phase::Active | Phase::Stopping { .. }, FactKind::AttemptEnded { step, attempt, outcome })
            if machine.is_at(*step, *attempt, StepStatus::Running) =>
        {
            machine.attempt_ended(*step, *attempt, outcome.clone())?;
            machine.proceed()?;
        }
        (Phase::Active, FactKind::TimeCame { step, attempt })
            if machine.is_at(*step, *attempt, StepStatus::Waiting) =>
        {
            machine.time_came(*step, *attempt)?;
            machine.proceed()?;
        }
        _ => {}
    }
    Ok(machine.decision)
}

struct Machine<'a> {
    compiled: &'a CompiledWorkflow,
    context: &'a RunContext,
    state: &'a mut RunState,
    at: DateTime<Utc>,
    /// What is left of the fact's allowance.
    allowance: Allowance,
    decision: Decision,
}

impl Machine<'_> {
    fn record(&mut self, transition: Transition) -> Result<(), Corrupt> {
        let record = TransitionRecord { seq: self.state.next_seq, at: self.at, transition };
        self.state.apply(self.compiled, &record)?;
        self.decision.transitions.push(record);
        Ok(())
    }

    fn is_at(&self, step: StepIndex, attempt: u32, status: StepStatus) -> bool {
        self.state.steps.get(step.get()).is_some_and(|state| state.status == status && state.attempt == attempt)
    }

    /// Begins every step that can begin, and ends the run if no step is left. The steps are in topological order, so a
    /// single pass also reaches steps whose predecessors end during the pass.
    fn proceed(&mut self) -> Result<(), Corrupt> {
        for (index, step) in self.compiled.indexed() {
            if self.state.phase != Phase::Active {
                break;
            }
            let ready =
                self.state.steps.get(index.get()).is_some_and(|s| s.status == StepStatus::Pending && s.unmet == 0);
            if ready {
                self.begin(index, step)?;
            }
        }
        match &self.state.phase {
            Phase::Stopping { status, error } if !self.state.steps.iter().any(|s| s.status == StepStatus::Running) => {
                let (status, error) = (*status, error.clone());
                self.end(status, Value::Null, Some(error))
            }
            Phase::Active if self.state.steps.iter().all(|s| s.status.is_terminal()) => {
                match self.compiled.outputs.evaluate(&self.state.bindings(self.compiled, self.context)) {
                    Ok(outputs) => self.end(RunStatus::Completed, outputs, None),
                    Err(error) => {
                        let error = RunError { code: "outputs".to_owned(), message: error.to_string(), step: None };
                        self.end(RunStatus::Failed, Value::Null, Some(error))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, status: RunStatus, outputs: Value, error: Option<RunError>) -> Result<(), Corrupt> {
        // An ended run has nothing left to execute.
        self.decision.commands.clear();
        self.record(Transition::RunEnded { status, outputs, error })
    }

    fn begin(&mut self, index: StepIndex, step: &CompiledStep) -> Result<(), Corrupt> {
        let seen = self.state.bindings(self.compiled, self.context);
        let wanted = step.condition.as_ref().map_or(Ok(true), |condition| condition.evaluate_bool(&seen));
        let input = wanted.and_then(|wanted| wanted.then(|| step.with.evaluate(&seen)).transpose());
        let Some(input) = input.transpose() else { return self.record(Transition::StepSkipped { step: index }) };
        if !self.may_begin() {
            return self.hold(index, 0);
        }
        let input = match input {
            Ok(input) => input,
            Err(error) => return self.fail_at_once(index, StepError::permanent("expression", error.to_string())),
        };
        if !self.state.has_room(&input) {
            return self.fail_at_once(index, too_much());
        }
        match &step.uses.class {
            StepClass::Pure(pure) => match pure.compute(&input).and_then(|output| self.fitting(output)) {
                Ok(output) => {
                    let input = (input != output).then_some(input);
                    self.record(Transition::StepCompleted { step: index, attempt: 1, input, output, at_once: true })
                }
                Err(error) => self.fail_at_once(index, error),
            },
            StepClass::Waits(waits) => match waits.until(&input, self.at) {
                Ok(until) => {
                    self.decision.commands.push(Command::SetTimer { step: index, attempt: 1, due: until });
                    self.record(Transition::StepWaiting { step: index, input, until })
                }
                Err(error) => self.fail_at_once(index, error),
            },
            StepClass::Effect => self.start_attempt(index, 1, Some(input)),
        }
    }

    /// The output, if it is within the limits for a value of a run.
    fn fitting(&self, output: Value) -> Result<Value, StepError> {
        // A deeper value could not be read again from the store.
        if is_too_deep(&output) {
            let message = format!("what the step made nests more than {MAX_VALUE_DEPTH} deep");
            return Err(StepError::permanent("output-too-deep", message));
        }
        if self.state.has_room(&output) { Ok(output) } else { Err(too_much()) }
    }

    /// Fails the step without a retry, because another attempt would fail in the same way.
    fn fail_at_once(&mut self, step: StepIndex, error: StepError) -> Result<(), Corrupt> {
        self.record(Transition::StepFailed { step, attempt: 1, error, retry_at: None, at_once: true })
    }

    /// Takes one attempt out of the allowance.
    fn may_begin(&mut self) -> bool {
        let left = self.allowance.attempts.checked_sub(1);
        self.allowance.attempts = left.unwrap_or(0);
        left.is_some()
    }

    /// Lets the step wait until its next attempt may begin. `attempt` is the latest one; 0 before the first.
    fn hold(&mut self, step: StepIndex, attempt: u32) -> Result<(), Corrupt> {
        let until = self.allowance.again_at;
        self.decision.commands.push(Command::SetTimer { step, attempt, due: until });
        self.record(Transition::StepHeld { step, until })
    }

    fn start_attempt(&mut self, index: StepIndex, attempt: u32, input: Option<Value>) -> Result<(), Corrupt> {
        self.record(Transition::StepStarted { step: index, attempt, input })?;
        if let (Some(step), Some(state)) = (self.compiled.step(index), self.state.steps.get(index.get())) {
            self.decision.commands.push(Command::Execute {
                step: index,
                attempt,
                input: state.input.clone(),
                timeout: step.timeout,
            });
        }
        Ok(())
    }

    fn attempt_ended(
        &mut self,
        step: StepIndex,
        attempt: u32,
        outcome: Result<Value, StepError>,
    ) -> Result<(), Corrupt> {
        let error = match outcome.and_then(|output| self.fitting(output)) {
            Ok(output) => {
                return self.record(Transition::StepCompleted { step, attempt, input: None, output, at_once: false });
            }
            Err(error) => error,
        };
        let tries_again = self.state.phase == Phase::Active && error.kind != super::StepErrorKind::Permanent;
        let pause = self
            .compiled
            .step(step)
            .filter(|_| tries_again)
            .and_then(|compiled_step| backoff(&compiled_step.retry, self.context.id, step, attempt));
        let retry_at = pause.map(|pause| self.at + pause);
        if let Some(due) = retry_at {
            self.decision.commands.push(Command::SetTimer { step, attempt, due });
        }
        self.record(Transition::StepFailed { step, attempt, error, retry_at, at_once: false })
    }

    fn time_came(&mut self, index: StepIndex, attempt: u32) -> Result<(), Corrupt> {
        let Some(step) = self.compiled.step(index) else { return Ok(()) };
        match &step.uses.class {
            _ if attempt == 0 => self.begin(index, step),
            StepClass::Waits(_) => {
                let output = Value::Null;
                self.record(Transition::StepCompleted { step: index, attempt, input: None, output, at_once: false })
            }
            _ if self.may_begin() => self.start_attempt(index, attempt.saturating_add(1), None),
            _ => self.hold(index, attempt),
        }
    }
}

fn too_much() -> StepError {
    let message = format!("the steps of a run may be given and make {MAX_RUN_BYTES} bytes together");
    StepError::permanent("too-much-data", message)
}
