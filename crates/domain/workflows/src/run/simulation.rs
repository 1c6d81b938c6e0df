//! Random workflows under crashes and with late and repeated facts: the invariants of every run.

mod allowances;
mod classes;
mod histories;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_kernel::RunId;
use uuid::Uuid;

use super::*;
use crate::compiled::{CURRENT_SEMANTICS, CompiledStep, CompiledWorkflow, RetryPolicy, StepId, StepIndex};
use crate::expression::{Expression, ValueTemplate};
use crate::step::stand_ins;

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
}

fn context() -> RunContext {
    let null = Value::Null;
    RunContext {
        id: RunId::from_uuid(Uuid::from_u128(7)),
        inputs: json!({"n": 1}),
        event: null.clone(),
        run: null.clone(),
        workflow: null.clone(),
        trigger: null,
    }
}

/// A step in a test's description.
#[derive(Debug, Clone)]
struct Sketch {
    uses: &'static str,
    needs: Vec<usize>,
    condition: Option<&'static str>,
    attempts: u32,
}

fn sketch(uses: &'static str, needs: &[usize]) -> Sketch {
    Sketch { uses, needs: needs.to_vec(), condition: None, attempts: 1 }
}

fn compiled(sketches: &[Sketch]) -> CompiledWorkflow {
    let index = |i: usize| StepIndex(u16::try_from(i).unwrap());
    let with = |uses| match uses {
        "condition" => json!({"if": "${{ inputs.n > 0 }}"}),
        "delay" => json!({"for": "1s"}),
        _ => json!({"n": "${{ inputs.n + 1 }}"}),
    };
    let registry = stand_ins::embedded();
    let steps = sketches
        .iter()
        .enumerate()
        .map(|(i, sketch)| CompiledStep {
            id: StepId::new(&format!("s{i}")).unwrap(),
            uses: registry.get(sketch.uses).unwrap().clone(),
            with: ValueTemplate::compile(&with(sketch.uses)).unwrap(),
            needs: sketch.needs.iter().copied().map(index).collect(),
            dependents: (0..sketches.len()).filter(|d| sketches[*d].needs.contains(&i)).map(index).collect(),
            condition: sketch.condition.map(|source| Expression::compile(source).unwrap()),
            retry: RetryPolicy { max_attempts: sketch.attempts, ..RetryPolicy::default() },
            timeout: Duration::from_secs(30),
        })
        .collect();
    CompiledWorkflow {
        semantics: CURRENT_SEMANTICS,
        name: "test".to_owned(),
        inputs: Arc::new(crate::input::InputSchema::compile(&json!({})).unwrap()),
        steps,
        outputs: ValueTemplate::compile(&json!({"n": "${{ inputs.n }}"})).unwrap(),
        concurrency: None,
    }
}

/// A run without a database: transitions are committed at once, and commands wait in a bag.
struct World {
    compiled: CompiledWorkflow,
    context: RunContext,
    state: RunState,
    history: Vec<TransitionRecord>,
    executes: Vec<(StepIndex, u32)>,
    timers: BTreeMap<StepIndex, (u32, DateTime<Utc>)>,
    now: i64,
    /// How many attempts may begin.
    attempts: u32,
    /// How many have begun.
    begun: u32,
}

impl World {
    fn new(sketches: &[Sketch]) -> Self {
        let compiled = compiled(sketches);
        let state = RunState::new(&compiled);
        let (history, executes, timers) = Default::default();
        Self { compiled, context: context(), state, history, executes, timers, now: 0, attempts: u32::MAX, begun: 0 }
    }

    fn apply(&mut self, kind: FactKind) -> Decision {
        self.now += 1;
        let most = self.state.could_begin(&self.compiled, &kind);
        let allowance = Allowance { attempts: self.attempts.min(most), again_at: at(self.now + 60_000) };
        let fact = Fact { at: at(self.now), kind, allowance };
        let decision = decide(&self.compiled, &self.context, &mut self.state, &fact).unwrap();
        let begun = decision.transitions.iter().filter(|record| record.transition.begins_attempt()).count();
        let begun = u32::try_from(begun).unwrap();
        assert!(begun <= allowance.attempts);
        (self.attempts, self.begun) = (self.attempts - begun, self.begun + begun);
        self.history.extend(decision.transitions.iter().cloned());
        self.execute(&decision.commands);
        decision
    }

    fn execute(&mut self, commands: &[Command]) {
        for command in commands {
            match command {
                Command::Execute { step, attempt, .. } => self.executes.push((*step, *attempt)),
                Command::SetTimer { step, attempt, due } => drop(self.timers.insert(*step, (*attempt, *due))),
            }
        }
    }

    /// The worker crashes and another one takes over: only committed transitions are left.
    fn crash(&mut self) {
        self.executes.clear();
        self.timers.clear();
        self.state = RunState::replay(&self.compiled, &self.history).unwrap();
        let outstanding = self.state.outstanding(&self.compiled);
        self.execute(&outstanding);
    }

    fn ended(&self) -> Option<RunStatus> {
        match self.state.phase() {
            Phase::Ended(status) => Some(*status),
            _ => None,
        }
    }

    fn end_attempt(&mut self, outcome: Result<Value, StepError>) -> Decision {
        let (step, attempt) = self.executes.remove(0);
        self.apply(FactKind::AttemptEnded { step, attempt, outcome })
    }

    fn fire(&mut self, step: StepIndex) -> Decision {
        let (attempt, due) = self.timers.remove(&step).unwrap();
        self.now = self.now.max(due.timestamp_millis());
        self.apply(FactKind::TimeCame { step, attempt })
    }

    fn status_of(&self, step: usize) -> StepStatus {
        self.state.steps()[step].status
    }
}

fn refused() -> Result<Value, StepError> {
    Err(StepError::transient("connect", "refused"))
}

#[test]
fn steps_without_effects_end_with_the_run_in_one_decision() {
    let mut world = World::new(&[sketch("transform", &[]), sketch("condition", &[0]), sketch("transform", &[0, 1])]);
    let decision = world.apply(FactKind::Admitted);
    assert_eq!(world.ended(), Some(RunStatus::Completed));
    assert_eq!(decision.transitions.len(), 5);
    assert_eq!(decision.commands, []);
    let steps = timeline(&world.compiled, &world.history);
    assert_eq!(steps[0].output, Some(json!({"n": 2})));
    assert_eq!(steps[1].output, Some(json!({"result": true})));
    assert_eq!(steps[2].input, Some(json!({"n": 2})));
}

#[test]
fn what_needs_a_skipped_step_runs_and_sees_null() {
    let mut world = World::new(&[
        Sketch { condition: Some("inputs.n > 1"), ..sketch("http.request", &[]) },
        Sketch { condition: Some("steps.s0.output == null"), ..sketch("transform", &[0]) },
        Sketch { condition: Some("steps.s0.output != null"), ..sketch("transform", &[0]) },
    ]);
    world.apply(FactKind::Admitted);
    assert_eq!(world.ended(), Some(RunStatus::Completed));
    let statuses: Vec<_> = (0..3).map(|step| world.status_of(step)).collect();
    assert_eq!(statuses, [StepStatus::Skipped, StepStatus::Completed, StepStatus::Skipped]);
}

#[test]
fn a_failed_attempt_is_tried_again_after_a_pause_until_none_is_left() {
    let mut world = World::new(&[Sketch { attempts: 2, ..sketch("http.request", &[]) }]);
    world.apply(FactKind::Admitted);
    world.end_attempt(refused());
    assert_eq!((world.state.status(), world.status_of(0)), (RunStatus::Waiting, StepStatus::Waiting));
    world.fire(StepIndex(0));
    assert_eq!(world.executes, [(StepIndex(0), 2)]);
    world.end_attempt(refused());
    assert_eq!(world.ended(), Some(RunStatus::Failed));
    let view = timeline(&world.compiled, &world.history).remove(0);
    assert_eq!(
        view.attempts.iter().map(|a| (a.number, a.status)).collect::<Vec<_>>(),
        [(1, StepStatus::Failed), (2, StepStatus::Failed)]
    );
    assert_eq!(view.error.unwrap().code, "connect");
}

#[test]
fn an_error_that_stays_is_not_tried_again() {
    let mut world = World::new(&[Sketch { attempts: 5, ..sketch("http.request", &[]) }]);
    world.apply(FactKind::Admitted);
    world.end_attempt(Err(StepError::permanent("refused-address", "private")));
    assert_eq!(world.ended(), Some(RunStatus::Failed));
}

#[test]
fn a_step_that_takes_too_long_times_its_run_out() {
    let mut world = World::new(&[sketch("http.request", &[])]);
    world.apply(FactKind::Admitted);
    world.end_attempt(Err(StepError::timed_out(Duration::from_secs(30))));
    assert_eq!((world.ended(), world.status_of(0)), (Some(RunStatus::TimedOut), StepStatus::TimedOut));
}

#[test]
fn a_failure_awaits_what_runs_and_gives_up_what_waits() {
    let mut world = World::new(&[
        sketch("http.request", &[]),
        Sketch { attempts: 3, ..sketch("http.request", &[]) },
        sketch("delay", &[]),
        sketch("transform", &[1]),
    ]);
    world.apply(FactKind::Admitted);
    world.end_attempt(refused());
    assert_eq!(world.ended(), None);
    world.fire(StepIndex(2));
    assert_eq!(world.status_of(2), StepStatus::Waiting, "a run that stops does not go on");
    world.end_attempt(Ok(json!(1)));
    assert_eq!(world.ended(), Some(RunStatus::Failed));
    let statuses: Vec<_> = timeline(&world.compiled, &world.history).into_iter().map(|step| step.status).collect();
    use StepStatus::{Cancelled, Completed, Failed};
    assert_eq!(statuses, [Failed, Completed, Cancelled, Cancelled]);
}

#[test]
fn a_delay_ends_by_its_time() {
    let mut world = World::new(&[sketch("delay", &[]), sketch("transform", &[0])]);
    let decision = world.apply(FactKind::Admitted);
    let due = at(1) + TimeDelta::seconds(1);
    assert_eq!(decision.commands, [Command::SetTimer { step: StepIndex(0), attempt: 1, due }]);
    assert_eq!(world.state.status(), RunStatus::Waiting);
    world.fire(StepIndex(0));
    assert_eq!(world.ended(), Some(RunStatus::Completed));
}

#[test]
fn a_cancelled_run_ends_at_once_and_stays_ended() {
    let mut world = World::new(&[sketch("http.request", &[]), sketch("transform", &[0])]);
    world.apply(FactKind::Admitted);
    world.apply(FactKind::CancelRequested);
    assert_eq!(world.ended(), Some(RunStatus::Cancelled));
    assert_eq!(world.end_attempt(Ok(json!(1))), Decision::default());
    assert_eq!(world.apply(FactKind::CancelRequested), Decision::default());
    let view = timeline(&world.compiled, &world.history).remove(0);
    assert_eq!((view.status, view.attempts[0].status), (StepStatus::Cancelled, StepStatus::Cancelled));
}

#[test]
fn an_expression_without_a_value_fails_its_step() {
    let mut world = World::new(&[Sketch { condition: Some("inputs.missing"), ..sketch("transform", &[]) }]);
    world.apply(FactKind::Admitted);
    assert_eq!(world.ended(), Some(RunStatus::Failed));
    assert_eq!(timeline(&world.compiled, &world.history)[0].error.as_ref().unwrap().code, "expression");
}

#[test]
fn an_output_that_could_not_be_read_again_fails_its_step() {
    for (levels, status) in [(100, RunStatus::Completed), (101, RunStatus::Failed)] {
        let mut world = World::new(&[sketch("http.request", &[])]);
        world.apply(FactKind::Admitted);
        let output = (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let decision = world.end_attempt(Ok(output));
        assert_eq!(world.ended(), Some(status));
        for record in &decision.transitions {
            let text = serde_json::to_vec(&record.transition).unwrap();
            assert_eq!(serde_json::from_slice::<Transition>(&text).unwrap(), record.transition);
        }
    }
}

#[test]
fn a_run_holds_no_more_than_its_worker_can() {
    let steps = vec![sketch("http.request", &[]); 20];
    let mut world = World::new(&steps);
    world.apply(FactKind::Admitted);
    let mut made = 0;
    while world.ended().is_none() {
        let decision = world.end_attempt(Ok(json!("x".repeat(1 << 20))));
        made += decision.transitions.iter().filter(|r| r.transition.kind() == "step_completed").count();
    }
    assert_eq!((made, world.ended()), (15, Some(RunStatus::Failed)), "the steps' inputs count too");
    let last = &world.history.last().unwrap().transition;
    assert!(
        matches!(last, Transition::RunEnded { error: Some(error), .. } if error.code == "too-much-data"),
        "{last:?}"
    );
    world.crash();
    assert_eq!(world.ended(), Some(RunStatus::Failed));
}

#[test]
fn rules_of_a_later_release_are_left_to_it() {
    let mut compiled = compiled(&[sketch("transform", &[])]);
    compiled.semantics = CURRENT_SEMANTICS + 1;
    let mut state = RunState::new(&compiled);
    let fact = Fact { at: at(0), kind: FactKind::Admitted, allowance: Allowance::UNLIMITED };
    assert!(matches!(decide(&compiled, &context(), &mut state, &fact), Err(DecideError::UnknownSemantics(_))));
}

#[test]
fn transitions_that_do_not_follow_are_refused() {
    let compiled = compiled(&[sketch("transform", &[])]);
    let record = |seq, transition| TransitionRecord { seq, at: at(0), transition };
    let skipped = Transition::StepSkipped { step: StepIndex(0) };
    assert!(RunState::replay(&compiled, &[record(0, skipped.clone())]).is_err());
    assert!(RunState::replay(&compiled, &[record(1, Transition::RunStarted)]).is_err());
    assert!(RunState::replay(&compiled, &[record(0, Transition::RunStarted), record(1, skipped)]).is_ok());
}
