//! Attempts that the plan of a workspace does not allow are held.

use super::*;

#[test]
fn a_step_is_held_until_an_attempt_may_begin() {
    let mut world = World::new(&[sketch("transform", &[]), sketch("http.request", &[0]), sketch("delay", &[1])]);
    world.attempts = 1;
    let decision = world.apply(FactKind::Admitted);
    let again = at(1) + TimeDelta::seconds(60);
    assert_eq!(decision.commands, [Command::SetTimer { step: StepIndex(1), attempt: 0, due: again }]);
    assert_eq!((world.state.status(), world.status_of(1)), (RunStatus::Waiting, StepStatus::Waiting));
    let view = timeline(&world.compiled, &world.history).remove(1);
    assert_eq!((view.waits, view.attempts.len()), (Some((WaitsFor::Quota, again)), 0));

    world.crash();
    world.fire(StepIndex(1));
    assert_eq!((world.status_of(1), world.executes.len()), (StepStatus::Waiting, 0), "it tries again, in vain");
    world.attempts = 2;
    world.fire(StepIndex(1));
    assert_eq!(world.executes, [(StepIndex(1), 1)]);
    world.end_attempt(Ok(json!(1)));
    assert_eq!((world.attempts, world.status_of(2)), (0, StepStatus::Waiting));
    world.fire(StepIndex(2));
    assert_eq!(world.ended(), Some(RunStatus::Completed), "a delay that began ends");
}

#[test]
fn a_retry_is_held_as_a_first_attempt_is() {
    let mut world = World::new(&[Sketch { attempts: 2, ..sketch("http.request", &[]) }]);
    world.attempts = 1;
    world.apply(FactKind::Admitted);
    world.end_attempt(refused());
    world.fire(StepIndex(0));
    let view = timeline(&world.compiled, &world.history).remove(0);
    assert!(matches!(view.waits, Some((WaitsFor::Quota, _))));
    assert_eq!((view.attempts.len(), view.error.unwrap().code.as_str()), (1, "connect"));
    world.attempts = 1;
    world.fire(StepIndex(0));
    assert_eq!(world.executes, [(StepIndex(0), 2)]);
    world.end_attempt(Ok(json!(1)));
    assert_eq!(world.ended(), Some(RunStatus::Completed));
}

#[test]
fn a_step_that_is_held_is_cancelled_with_its_run() {
    let mut world = World::new(&[sketch("http.request", &[])]);
    world.attempts = 0;
    world.apply(FactKind::Admitted);
    world.apply(FactKind::CancelRequested);
    assert_eq!((world.ended(), world.status_of(0)), (Some(RunStatus::Cancelled), StepStatus::Cancelled));
    assert_eq!(timeline(&world.compiled, &world.history)[0].waits, None);
}

/// A step that is skipped begins no attempt.
#[test]
fn a_step_that_is_skipped_needs_no_allowance() {
    let skipped = Sketch { condition: Some("inputs.n > 1"), ..sketch("transform", &[]) };
    let mut world = World::new(&[skipped]);
    world.attempts = 0;
    world.apply(FactKind::Admitted);
    assert_eq!((world.ended(), world.begun), (Some(RunStatus::Completed), 0));
}
