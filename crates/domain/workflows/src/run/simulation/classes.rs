//! The state machine handles unknown step types by their class.

use super::*;

/// Pure steps are recorded like the built-in ones: the input is left out if it equals the output.
#[test]
fn a_type_is_decided_by_its_class() {
    let mut world = World::new(&[sketch("double", &[]), sketch("next_minute", &[0]), sketch("emit_event", &[1])]);
    let decision = world.apply(FactKind::Admitted);
    let due = at(1) + TimeDelta::seconds(60);
    assert_eq!(decision.commands, [Command::SetTimer { step: StepIndex(1), attempt: 1, due }]);
    let doubled = Transition::StepCompleted {
        step: StepIndex(0),
        attempt: 1,
        input: Some(json!({"n": 2})),
        output: json!({"n": 4}),
        at_once: true,
    };
    assert_eq!(decision.transitions[1].transition, doubled);
    world.fire(StepIndex(1));
    assert_eq!(world.executes, [(StepIndex(2), 1)]);
    world.end_attempt(Ok(json!({"id": "x"})));
    assert_eq!(world.ended(), Some(RunStatus::Completed));
    let views = timeline(&world.compiled, &world.history);
    assert_eq!(views.iter().map(|view| &*view.uses).collect::<Vec<_>>(), ["double", "next_minute", "emit_event"]);
    assert_eq!((&views[0].input, &views[0].output), (&Some(json!({"n": 2})), &Some(json!({"n": 4}))));

    let mut same = World::new(&[sketch("double", &[])]);
    same.context.inputs = json!({"n": -1});
    let decision = same.apply(FactKind::Admitted);
    let zero = json!({"n": 0});
    let completed =
        Transition::StepCompleted { step: StepIndex(0), attempt: 1, input: None, output: zero.clone(), at_once: true };
    assert_eq!(decision.transitions[1].transition, completed);
    assert_eq!(timeline(&same.compiled, &same.history)[0].input, Some(zero));

    let mut wrong = World::new(&[sketch("double", &[])]);
    wrong.context.inputs = json!({"n": 0.5});
    wrong.apply(FactKind::Admitted);
    assert_eq!(wrong.ended(), Some(RunStatus::Failed));
    assert_eq!(timeline(&wrong.compiled, &wrong.history)[0].error.as_ref().unwrap().code, "double");
}

#[test]
fn what_is_computed_may_be_no_larger_than_what_a_run_keeps() {
    let output = |make: fn() -> Value| {
        let step = crate::step::StepType::pure("make", "Makes something.", move |_: &Value| Ok(make()));
        let mut world = World::new(&[sketch("transform", &[])]);
        world.compiled.steps[0].uses = Arc::new(step);
        world.apply(FactKind::Admitted);
        timeline(&world.compiled, &world.history).remove(0).error.map(|error| error.code)
    };
    assert_eq!(output(|| json!(["x"])), None);
    assert_eq!(output(|| (0..101).fold(json!(1), |inner, _| json!([inner]))).as_deref(), Some("output-too-deep"));
    assert_eq!(output(|| json!("x".repeat(17 << 20))).as_deref(), Some("too-much-data"));
}
