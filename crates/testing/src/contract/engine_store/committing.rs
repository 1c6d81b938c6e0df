//! Committing the transitions of runs.

use tidegate_engine::model::{After, Departure, Gate, RunCommit, RunKey};
use tidegate_workflows::run::{RunStatus, Transition};

use super::{Subject, TTL, TestWorker, completed, end, record, step, whole};

/// A repeated or stale commit changes nothing, however often it comes.
pub async fn a_repeated_commit_changes_nothing(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let key = subject.run(workspace, None).await;
    let run = worker.take(workspace, 1).await.remove(0);
    let begin = step(&run, 0, vec![record(0, Transition::RunStarted), completed(1)]);
    assert_eq!(worker.commit(std::slice::from_ref(&begin)).await, [key]);
    assert_eq!(worker.commit(std::slice::from_ref(&begin)).await, []);
    assert_eq!(subject.status(key).await, RunStatus::Running);
    let end = end(&run, 2);
    let stale = RunCommit { from_seq: 1, ..end.clone() };
    assert_eq!(worker.commit(&[stale]).await, []);
    assert_eq!(worker.commit(std::slice::from_ref(&end)).await, [key]);
    assert_eq!(worker.commit(&[end]).await, []);
    assert_eq!(subject.history(key).await, ["run_started", "step_completed", "run_ended"]);
    assert_eq!(subject.status(key).await, RunStatus::Completed);
    assert_eq!(subject.used(workspace).await, [1, 1]);
}

/// A gate lets its limit of runs pass; when one leaves, the next in the queue passes and is ready.
pub async fn a_gate_is_passed_in_order(subject: &Subject) {
    let mut worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(subject.run(workspace, Some(("k", 1))).await);
    }
    let runs = worker.take(workspace, 10).await;
    let (gate, limit) = runs[0].concurrency.clone().expect("the run has a gate");
    assert_eq!(limit, 1);
    let pass = RunCommit { passed: vec![gate.clone()], ..step(&runs[0], 0, vec![record(0, Transition::RunStarted)]) };
    let block = |run| RunCommit { after: After::Block(gate.clone()), summary: None, ..step(run, 0, Vec::new()) };
    assert_eq!(worker.commit(&[pass, block(&runs[1]), block(&runs[2])]).await.len(), 3);
    worker.tenures.clear();
    let gates = worker.hold(TTL).await.gates;
    let held = gates.iter().filter(|held| held.workspace == workspace);
    let held: Vec<_> = held.map(|held| (held.workspace, held.gate.clone(), held.runs)).collect();
    assert_eq!(held, [(workspace, gate.clone(), 1)], "a new owner knows who is behind the gate");
    let first = worker.take(workspace, 10).await;
    assert_eq!(first.iter().map(|run| run.key).collect::<Vec<_>>(), [keys[0]], "what is blocked is not ready");
    assert_eq!(first[0].holds, std::slice::from_ref(&gate));
    let end = RunCommit { left: vec![Departure { gate: gate.clone(), places: 1 }], ..end(&first[0], 1) };
    let committed = subject.engine.commit(&worker.scope, worker.id, &[end]).await.expect("commits");
    assert_eq!(committed.promoted, [(first[0].tenure.shard, keys[1], gate.clone())]);
    let next = worker.take(workspace, 10).await;
    assert_eq!(next.iter().map(|run| (run.key, run.holds.clone())).collect::<Vec<_>>(), [(keys[1], vec![gate])]);
}

/// Two tenants: a commit that names a run with a workspace that is not its own writes nothing.
pub async fn a_run_is_reached_through_its_own_workspace_alone(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let (mine, other) = (subject.ours, subject.theirs);
    let (key, theirs) = (subject.run(mine, None).await, subject.run(other, None).await);
    let run = worker.take(mine, 10).await.remove(0);
    assert_eq!(run.key, key);
    let forged = RunKey { workspace: other, run: key.run };
    assert_eq!(worker.commit(&[RunCommit { key: forged, ..whole(&run) }]).await, []);
    assert_eq!(worker.claim(Vec::new(), vec![(run.tenure.shard, forged)]).await, []);
    assert_eq!(subject.status(theirs).await, RunStatus::Pending);
    assert_eq!(worker.commit(&[whole(&run)]).await, [key]);
    assert_eq!(subject.used(other).await, [0, 0]);
    assert_eq!(subject.history(forged).await, Vec::<String>::new(), "nor is its history told");
    assert_eq!(subject.history(key).await.len(), 3);
}

/// Any text as a gate's name reads back unchanged.
pub async fn a_gate_with_any_text_reads_back(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    subject.run(workspace, Some(("a ' \" ü \u{1f600} %", 3))).await;
    let run = worker.take(workspace, 1).await.remove(0);
    let gate = run.concurrency.clone().expect("the run has a gate").0;
    assert_eq!(gate, Gate::workflow(run.workflow, "a ' \" ü \u{1f600} %"));
    let pass = RunCommit { passed: vec![gate], ..step(&run, 0, vec![record(0, Transition::RunStarted)]) };
    assert_eq!(worker.commit(&[pass]).await, [run.key]);
}

/// Two tenants: a place that a run of one leaves is not free for a run of the other, even if the gates have the same
/// name.
pub async fn a_gate_is_its_workspaces_own(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    for workspace in [subject.ours, subject.ours, subject.theirs] {
        subject.run(workspace, None).await;
    }
    let ours = worker.take(subject.ours, 10).await;
    let theirs = worker.take(subject.theirs, 10).await.remove(0);
    let pass = |run| {
        let began = vec![record(0, Transition::RunStarted)];
        RunCommit { passed: vec![Gate::workspace()], ..step(run, 0, began) }
    };
    let block = RunCommit { after: After::Block(Gate::workspace()), summary: None, ..step(&ours[1], 0, Vec::new()) };
    assert_eq!(worker.commit(&[pass(&ours[0]), block, pass(&theirs)]).await.len(), 3);
    for (run, promoted) in [(&theirs, None), (&ours[0], Some(ours[1].key))] {
        let left = vec![Departure { gate: Gate::workspace(), places: 1 }];
        let end = RunCommit { left, ..end(run, 1) };
        let committed = subject.engine.commit(&worker.scope, worker.id, &[end]).await.expect("commits");
        assert_eq!(committed.promoted.iter().map(|(_, key, _)| *key).collect::<Vec<_>>(), Vec::from_iter(promoted));
    }
}
