//! Random workflows and acts, and what holds for every history.

use proptest::prelude::*;

use super::*;

fn kinds() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["http.request", "transform", "condition", "delay", "emit_event", "double", "next_minute"])
}

prop_compose! {
    fn sketches()(drafts in prop::collection::vec((kinds(), any::<[u8; 3]>(), 0u8..4, 1u32..4), 1..12)) -> Vec<Sketch> {
        drafts.iter().enumerate().map(|(i, (uses, needs, condition, attempts))| {
            let mut needs: Vec<usize> = needs.iter().filter(|n| **n < 160).map(|n| usize::from(*n)).filter(|_| i > 0)
                .map(|n| n % i.max(1)).collect();
            needs.sort_unstable();
            needs.dedup();
            let condition = match condition { 0 => Some("inputs.n > 1"), 1 => Some("inputs.n == 1"), _ => None };
            Sketch { uses, needs, condition, attempts: *attempts }
        }).collect()
    }
}

/// An action of the simulation.
#[derive(Debug, Clone)]
enum Act {
    Succeed,
    Fail,
    TimeOut,
    FireTimer(u8),
    RepeatLast,
    Crash,
    Cancel,
    /// So many attempts may begin from now on.
    Allow(u32),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Succeed),
        4 => Just(Act::Fail),
        1 => Just(Act::TimeOut),
        6 => any::<u8>().prop_map(Act::FireTimer),
        4 => Just(Act::RepeatLast),
        4 => Just(Act::Crash),
        1 => Just(Act::Cancel),
        2 => (0u32..4).prop_map(Act::Allow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_run_ends_and_records_each_transition_once(
        sketches in sketches(),
        acts in prop::collection::vec(acts(), 0..60),
    ) {
        let mut world = World::new(&sketches);
        world.apply(FactKind::Admitted);
        let mut told: Vec<FactKind> = vec![FactKind::Admitted];
        // First the generated actions, then whatever is needed to end the run.
        let mut acts = acts.into_iter();
        let mut turns = 0;
        while world.ended().is_none() {
            turns += 1;
            if acts.len() == 0 {
                world.attempts = u32::MAX;
            }
            prop_assert!(turns < 1_000, "the run never ends");
            let act = acts.next().unwrap_or(if world.executes.is_empty() { Act::FireTimer(0) } else { Act::Succeed });
            let outcome = match act {
                Act::Succeed => Ok(json!({"ok": true})),
                Act::Fail => refused(),
                Act::TimeOut => Err(StepError::timed_out(Duration::from_secs(30))),
                Act::FireTimer(which) => {
                    prop_assert!(!world.timers.is_empty() || !world.executes.is_empty(), "nothing is left to wait for");
                    let step = world.timers.keys().nth(usize::from(which) % world.timers.len().max(1)).copied();
                    if let Some(step) = step {
                        let (attempt, _) = world.timers[&step];
                        told.push(FactKind::TimeCame { step, attempt });
                        world.fire(step);
                    }
                    continue;
                }
                Act::RepeatLast => {
                    // A step that is held more than once waits for the same fact each time.
                    let awaits = |fact: &FactKind| matches!(fact, FactKind::TimeCame { step, attempt }
                        if world.timers.get(step).is_some_and(|(awaited, _)| awaited == attempt));
                    for fact in told.iter().filter(|fact| !awaits(fact)).cloned().collect::<Vec<_>>() {
                        let before = world.state.clone();
                        let decision = world.apply(fact);
                        prop_assert_eq!(decision, Decision::default(), "a stale fact changed something");
                        prop_assert_eq!(&world.state, &before);
                    }
                    continue;
                }
                Act::Crash => { world.crash(); continue; }
                Act::Cancel => { world.apply(FactKind::CancelRequested); continue; }
                Act::Allow(attempts) => { world.attempts = attempts; continue; }
            };
            if let Some((step, attempt)) = world.executes.first().copied() {
                told.push(FactKind::AttemptEnded { step, attempt, outcome: outcome.clone() });
                world.end_attempt(outcome);
            }
        }

        // Replaying the recorded transitions gives the same state.
        let rebuilt = RunState::replay(&world.compiled, &world.history).unwrap();
        prop_assert_eq!(&rebuilt, &world.state);

        // Sequence numbers have no gaps, and no transition is recorded twice.
        for (n, record) in world.history.iter().enumerate() {
            prop_assert_eq!(usize::try_from(record.seq).unwrap(), n);
        }
        let mut seen = std::collections::BTreeSet::new();
        for record in world.history.iter().filter(|record| record.transition.kind() != "step_held") {
            let key = format!("{} {:?} {:?}", record.transition.kind(), record.transition.step(), match &record.transition {
                Transition::StepStarted { attempt, .. } | Transition::StepFailed { attempt, .. } => *attempt,
                _ => 0,
            });
            prop_assert!(seen.insert(key.clone()), "{} was recorded twice", key);
        }

        // Each attempt has one beginning.
        let attempts: u32 = world.state.steps().iter().map(|step| step.attempt).sum();
        prop_assert_eq!(attempts, world.begun);

        // Every step has ended, and none began before the steps that it needs had ended.
        let views = timeline(&world.compiled, &world.history);
        for (i, view) in views.iter().enumerate() {
            prop_assert!(view.status.is_terminal());
            prop_assert_eq!(view.status, world.status_of(i));
            prop_assert!(view.attempts.iter().all(|attempt| attempt.finished_at.is_some()));
            prop_assert!(view.attempts.len() <= usize::try_from(sketches[i].attempts).unwrap());
            if let Some(first) = view.attempts.first() {
                for need in &sketches[i].needs {
                    prop_assert!(matches!(views[*need].status, StepStatus::Completed | StepStatus::Skipped));
                    prop_assert!(views[*need].attempts.last().is_none_or(|a| a.finished_at.unwrap() <= first.started_at));
                }
            }
        }
        if world.ended() == Some(RunStatus::Completed) {
            prop_assert!(views.iter().all(|v| matches!(v.status, StepStatus::Completed | StepStatus::Skipped)));
        }
    }
}
