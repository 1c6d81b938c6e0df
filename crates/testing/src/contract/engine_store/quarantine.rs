//! Quarantine: setting runs aside, listing them, and the requests of operators.

use chrono::DateTime;
use tidegate_engine::model::{
    After, ClaimedRun, Committed, Departure, ForcedEnd, RunCommit, RunKey, RunRequestKind, SetAside, Share, Tenure,
};
use tidegate_kernel::{PageSize, WorkspaceId};
use tidegate_workflows::run::{QuarantineAction, QuarantineReason, QuarantinedRun, RunError, RunStatus, Transition};
use uuid::Uuid;

use super::{INSTANT, Subject, TTL, TestWorker, at, ended, record, step, summary};
use crate::scope::system_scope;

fn aside(run: &ClaimedRun) -> SetAside {
    SetAside {
        tenure: run.tenure,
        key: run.key,
        reason: QuarantineReason::Refused,
        error: "it was refused\0".to_owned(),
        at: at(5),
        requests: Vec::new(),
        left: Vec::new(),
    }
}

impl TestWorker<'_> {
    async fn set_aside(&self, runs: &[SetAside]) -> Committed {
        self.subject.engine.set_aside(&self.scope, self.id, runs).await.expect("runs are set aside")
    }

    async fn end(&self, tenure: Tenure, key: RunKey, request: Uuid) -> Vec<RunKey> {
        let error = RunError { code: "quarantined".to_owned(), message: "ended by worker".to_owned(), step: None };
        let transition = Transition::RunEnded {
            status: RunStatus::Failed,
            outputs: serde_json::Value::Null,
            error: Some(error.clone()),
        };
        let end = ForcedEnd { tenure, key, request, at: at(6), transition, error };
        self.subject.engine.end_quarantined(&self.scope, self.id, &[end]).await.expect("runs are ended")
    }
}

impl Subject {
    async fn quarantined(&self) -> Vec<QuarantinedRun> {
        let size = PageSize::new(1).expect("a size");
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.quarantine.list(&system_scope(), after, size).await.expect("a page is read");
            found.extend(page.items.into_iter().filter(|run| self.knows(run.workspace)));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    async fn ask(&self, workspace: WorkspaceId, key: RunKey, action: QuarantineAction) -> bool {
        self.world.ask(RunKey { workspace, ..key }, action, self.env.now()).await
    }
}

/// A run in quarantine is listed, and is not claimed until a request of its own workspace waits.
pub async fn a_run_in_quarantine_is_left_alone_until_somebody_asks(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let key = subject.run(subject.ours, None).await;
    let run = worker.take(subject.ours, 1).await.remove(0);
    let shard = run.tenure.shard;
    assert!(!subject.ask(subject.ours, key, QuarantineAction::Release).await, "it is not in quarantine yet");
    let stale = Tenure { epoch: run.tenure.epoch - 1, ..run.tenure };
    assert_eq!(worker.set_aside(&[SetAside { tenure: stale, ..aside(&run) }]).await, Committed::default());
    assert_eq!(subject.quarantined().await, []);
    assert_eq!(worker.set_aside(&[aside(&run)]).await.won, [key]);
    let found = QuarantinedRun {
        workspace: subject.ours,
        run: key.run,
        reason: QuarantineReason::Refused,
        error: "it was refused\u{fffd}".to_owned(),
        at: at(5),
    };
    assert_eq!(subject.quarantined().await, std::slice::from_ref(&found));
    assert_eq!(subject.quarantine.find(&system_scope(), key.run).await.expect("it is looked for"), Some(found));
    assert_eq!(subject.quarantine.count(&system_scope(), 1).await.expect("they are counted"), 1);
    assert_eq!(worker.claim(Vec::new(), vec![(shard, key)]).await, [], "nobody asked for it");
    assert_eq!(worker.look(None, at(0)).await.ready, []);
    assert!(!subject.ask(subject.theirs, key, QuarantineAction::Release).await, "it is another tenant's");
    assert!(subject.ask(subject.ours, key, QuarantineAction::Release).await);
    let requests = worker.look(None, at(0)).await.requests;
    assert_eq!(
        requests.iter().map(|request| (request.key, request.kind)).collect::<Vec<_>>(),
        [(key, RunRequestKind::Release)]
    );
    let back = worker.claim(Vec::new(), vec![(shard, key)]).await.remove(0);
    assert!(back.released);
    assert_eq!(subject.quarantined().await, []);
    let end = RunCommit {
        requests: vec![requests[0].id],
        after: After::End,
        summary: Some(summary(RunStatus::Completed)),
        ..step(&back, 0, vec![record(0, Transition::RunStarted), ended(1)])
    };
    assert_eq!(worker.commit(&[end]).await, [key]);
    assert_eq!(worker.look(None, at(0)).await.requests, []);
}

/// A run that is set aside leaves its gate to the next one.
pub async fn whoever_is_set_aside_lets_the_next_one_pass(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let keys = [subject.run(subject.ours, Some(("k", 1))).await, subject.run(subject.ours, Some(("k", 1))).await];
    let runs = worker.take(subject.ours, 2).await;
    let (gate, _) = runs[0].concurrency.clone().expect("the run has a gate");
    let pass = RunCommit { passed: vec![gate.clone()], ..step(&runs[0], 0, vec![record(0, Transition::RunStarted)]) };
    let block = RunCommit { after: After::Block(gate.clone()), summary: None, ..step(&runs[1], 0, Vec::new()) };
    assert_eq!(worker.commit(&[pass, block]).await.len(), 2);
    let left = vec![Departure { gate: gate.clone(), places: 1 }];
    let committed = worker.set_aside(&[SetAside { left, ..aside(&runs[0]) }]).await;
    assert_eq!(committed.promoted, [(runs[1].tenure.shard, keys[1], gate.clone())]);
    let next = worker.take(subject.ours, 2).await;
    assert_eq!(next.iter().map(|run| (run.key, run.holds.clone())).collect::<Vec<_>>(), [(keys[1], vec![gate])]);
}

/// An operator ends a run in quarantine: callers read that it has failed, and nothing is left of it.
pub async fn a_run_in_quarantine_is_ended_by_hand(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let key = subject.run(subject.ours, None).await;
    let run = worker.take(subject.ours, 1).await.remove(0);
    let begin = step(&run, 0, vec![record(0, Transition::RunStarted)]);
    assert_eq!(worker.commit(&[begin]).await, [key]);
    assert_eq!(worker.end(run.tenure, key, Uuid::nil()).await, [], "it is not in quarantine");
    assert_eq!(worker.set_aside(&[aside(&run)]).await.won, [key]);
    assert!(subject.ask(subject.ours, key, QuarantineAction::End).await);
    let request = worker.look(None, at(0)).await.requests[0];
    assert_eq!(request.kind, RunRequestKind::End);
    assert_eq!(worker.claim(Vec::new(), vec![(request.shard, key)]).await, [], "an end is not driven");
    let stale = Tenure { epoch: run.tenure.epoch - 1, ..run.tenure };
    assert_eq!(worker.end(stale, key, request.id).await, []);
    assert_eq!(worker.end(run.tenure, key, request.id).await, [key]);
    assert_eq!(subject.status(key).await, RunStatus::Failed);
    assert_eq!(subject.history(key).await, ["run_started", "run_ended"]);
    assert_eq!(subject.quarantined().await, []);
    assert_eq!(worker.look(None, at(0)).await.requests, []);
}

/// A takeover retries runs that were set aside for another release, and not those that were refused.
pub async fn another_release_tries_again(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, INSTANT).await;
    let keys = [subject.run(subject.ours, None).await, subject.run(subject.ours, None).await];
    let runs = worker.take(subject.ours, 2).await;
    let unsupported = SetAside { reason: QuarantineReason::Unsupported, ..aside(&runs[0]) };
    assert_eq!(worker.set_aside(&[unsupported, aside(&runs[1])]).await.won.len(), 2);
    let next = TestWorker::holding(subject, 2, TTL).await;
    let again = next.take(subject.ours, 2).await;
    assert_eq!(again.iter().map(|run| run.key).collect::<Vec<_>>(), [keys[0]]);
    assert_eq!(subject.quarantined().await.iter().map(|run| run.run).collect::<Vec<_>>(), [keys[1].run]);
}

/// Whichever comes first, a cancelled run that waits for a gate never passes, and its place goes to the next one.
pub async fn a_gate_opens_while_the_next_one_is_cancelled(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    for round in 0..12 {
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(subject.run(subject.ours, Some(("k", 1))).await);
        }
        let runs = worker.take(subject.ours, 3).await;
        let (gate, shard) = (runs[0].concurrency.clone().expect("the run has a gate").0, runs[0].tenure.shard);
        let pass =
            RunCommit { passed: vec![gate.clone()], ..step(&runs[0], 0, vec![record(0, Transition::RunStarted)]) };
        let block = |run| RunCommit { after: After::Block(gate.clone()), summary: None, ..step(run, 0, Vec::new()) };
        assert_eq!(worker.commit(&[pass, block(&runs[1]), block(&runs[2])]).await.len(), 3);
        let left = vec![Departure { gate: gate.clone(), places: 1 }];
        let cancelled = |seq| {
            record(
                seq,
                Transition::RunEnded { status: RunStatus::Cancelled, outputs: serde_json::Value::Null, error: None },
            )
        };
        let over = |run: &ClaimedRun, seq, left: &[Departure]| RunCommit {
            after: After::End,
            summary: Some(summary(RunStatus::Cancelled)),
            left: left.to_vec(),
            ..step(run, seq, vec![cancelled(seq)])
        };
        let open = async {
            let end = over(&runs[0], 1, &left);
            subject.engine.commit(&worker.scope, worker.id, &[end]).await.expect("the first run ends").promoted
        };
        let take = async { worker.claim(Vec::new(), vec![(shard, keys[1])]).await };
        // Polls them in either order, so that each begins first in half of the rounds.
        let (promoted, mut taken) = if round % 2 == 0 {
            tokio::join!(open, take)
        } else {
            let (taken, promoted) = tokio::join!(take, open);
            (promoted, taken)
        };
        let second = taken.remove(0);
        let mut passed: Vec<RunKey> = promoted.iter().map(|(_, key, _)| *key).collect();
        let places: Vec<Departure> =
            second.holds.iter().map(|gate| Departure { gate: gate.clone(), places: 1 }).collect();
        assert_eq!(passed == [keys[1]], !places.is_empty(), "it holds its place just where it was let through");
        let ended =
            subject.engine.commit(&worker.scope, worker.id, &[over(&second, 0, &places)]).await.expect("it ends");
        passed.extend(ended.promoted.iter().map(|(_, key, _)| *key));
        passed.retain(|key| *key != keys[1]);
        assert_eq!(passed, [keys[2]], "the place goes to the third");
        let share = Share { shard, workspace: subject.ours, bound: 0, quantum: 10 };
        let third = worker.claim(vec![share], Vec::new()).await;
        assert_eq!(third.iter().map(|run| run.key).collect::<Vec<_>>(), [keys[2]], "nothing of the second is ready");
        let left = [Departure { gate, places: 1 }];
        assert_eq!(worker.commit(&[over(&third[0], 0, &left)]).await, [keys[2]]);
        assert_eq!(subject.history(keys[1]).await, ["run_ended"]);
    }
    assert!(worker.look(Some(DateTime::UNIX_EPOCH), at(0)).await.ready.is_empty());
}
