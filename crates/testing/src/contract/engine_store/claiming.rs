//! Looking for runs and claiming them.

use serde_json::{Value, json};
use tidegate_engine::model::{After, RunCommit, RunKey, Share, Timer};
use tidegate_engine::ports::TIMERS_PER_LOOK;
use tidegate_kernel::{TraceContext, WorkflowId};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::{RunStatus, Transition};

use super::{Subject, TTL, TestWorker, at, completed, end, new_run, record, step, summary, whole};

/// A run is leased once, in the order of its workspace's queue, and never more runs than requested.
pub async fn a_run_is_claimed_once(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(subject.run(workspace, None).await);
    }
    let shard = worker.shard_of(workspace).await;
    let first = worker.take(workspace, 2).await;
    assert_eq!(first.iter().map(|run| run.key).collect::<Vec<_>>(), keys[..2]);
    assert_eq!(first[0].input, json!({"n": 1}));
    let bound = first.iter().filter_map(|run| run.ready_seq).max().expect("ready runs have a place");
    let share = Share { shard, workspace, bound, quantum: 10 };
    let rest = worker.claim(vec![share], Vec::new()).await;
    assert_eq!(rest.iter().map(|run| run.key).collect::<Vec<_>>(), keys[2..]);
    assert_eq!(worker.claim(vec![Share { bound: 0, ..share }], vec![(shard, keys[0])]).await, []);
}

/// A run that was started in a trace is claimed with its trace context, and another has none.
pub async fn a_run_keeps_its_trace(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let trace = TraceContext::new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for trace in [trace.expect("a place in a trace").into(), None] {
        let scope = subject.scope().with_trace(trace.clone());
        let run = new_run(&subject.env, WorkflowId::generate(&subject.env));
        subject.world.add(&scope, &run).await;
        let claimed = worker.take(subject.ours, 1).await;
        assert_eq!(claimed.iter().map(|run| (run.key.run, &run.trace)).collect::<Vec<_>>(), [(run.id, &trace)]);
    }
}

/// A parked run is found when its timer is due and comes back with all that was committed.
pub async fn a_parked_run_comes_back_when_its_time_has_come(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let key = subject.run(workspace, None).await;
    let run = worker.take(workspace, 1).await.remove(0);
    let shard = run.tenure.shard;
    let waiting = Transition::StepWaiting { step: StepIndex(0), input: json!({"for": "5m"}), until: at(300) };
    let records = vec![record(0, Transition::RunStarted), record(1, waiting)];
    let timer = Timer { due: at(300), key, shard, step: StepIndex(0), attempt: 1 };
    let later = Timer { due: at(2_000), step: StepIndex(1), ..timer };
    let park = RunCommit { after: After::Park, timers: vec![timer, later], ..step(&run, 0, records.clone()) };
    assert_eq!(worker.commit(&[park]).await, [key]);
    assert_eq!(worker.look(None, at(300)).await.timers, []);
    assert_eq!(worker.look(None, at(301)).await.timers, [timer]);
    assert_eq!(worker.look(Some(at(301)), at(999)).await.timers, []);
    assert_eq!(worker.look(None, at(301)).await.ready, [], "what waits is not ready");
    let back = worker.claim(Vec::new(), vec![(shard, key)]).await.remove(0);
    assert_eq!(back.journal, records);
    let over = RunCommit { cleared: vec![StepIndex(0)], ..step(&back, 2, vec![completed(2)]) };
    assert_eq!(worker.commit(&[over]).await, [key]);
    assert_eq!(worker.look(None, at(2_001)).await.timers, [later], "a time that has been met is over");
    assert_eq!(worker.commit(&[end(&back, 3)]).await, [key]);
    assert_eq!(worker.look(None, at(2_001)).await.timers, [], "nothing is left of an ended run");
    assert_eq!(worker.claim(Vec::new(), vec![(shard, key)]).await, [], "nor can it be claimed");
}

/// A request is listed until it is answered, takes a blocked or ready run out of its queue, and is deleted with an
/// ended run.
pub async fn a_request_is_answered_once(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let key = subject.run(workspace, None).await;
    let shard = worker.shard_of(workspace).await;
    subject.cancel(key).await;
    let requests = worker.look(None, at(0)).await.requests;
    assert_eq!(requests.iter().map(|request| request.key).collect::<Vec<_>>(), [key]);
    let run = worker.claim(Vec::new(), vec![(shard, key)]).await.remove(0);
    assert_eq!(worker.look(None, at(0)).await.ready, []);
    let cancelled = Transition::RunEnded { status: RunStatus::Cancelled, outputs: Value::Null, error: None };
    let end = RunCommit {
        after: After::End,
        summary: Some(summary(RunStatus::Cancelled)),
        requests: vec![requests[0].id],
        ..step(&run, 0, vec![record(0, cancelled)])
    };
    assert_eq!(worker.commit(&[end]).await, [key]);
    assert_eq!(worker.look(None, at(0)).await.requests, []);
    subject.cancel(key).await;
    assert_eq!(worker.claim(Vec::new(), vec![(shard, key)]).await, []);
    assert_eq!(worker.look(None, at(0)).await.requests, [], "nobody can answer it any more");
}

/// If there are more timers than one look returns, it returns the first ones, and the next look continues behind them.
pub async fn a_look_has_the_first_timers(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let key = subject.run(subject.ours, None).await;
    let run = worker.take(subject.ours, 1).await.remove(0);
    let shard = run.tenure.shard;
    let timer = |n: u16| Timer { due: at(1_000 - i64::from(n)), key, shard, step: StepIndex(n), attempt: 1 };
    let most = u16::try_from(TIMERS_PER_LOOK).expect("a small number");
    let timers: Vec<Timer> = (0..most + 5).map(timer).collect();
    let wait = RunCommit { timers: timers.clone(), ..step(&run, 0, vec![record(0, Transition::RunStarted)]) };
    assert_eq!(worker.commit(&[wait]).await, [key]);
    let mut expected = timers;
    expected.sort_unstable();
    let first = worker.look(None, at(2_000)).await.timers;
    assert_eq!(first, expected[..usize::from(most)]);
    let rest = worker.look(first.last().map(|timer| timer.due), at(2_000)).await.timers;
    assert_eq!(rest, expected[usize::from(most) - 1..]);
    assert_eq!(worker.commit(&[end(&run, 1)]).await, [key]);
    assert_eq!(worker.look(None, at(2_000)).await.timers, []);
}

/// Two tenants: a request to cancel reaches only runs of its own workspace, and cancelling all means all that have not
/// ended.
pub async fn an_end_is_asked_for_in_ones_own_workspace(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let over = subject.run(subject.ours, None).await;
    let run = worker.take(subject.ours, 1).await.remove(0);
    assert_eq!(worker.commit(&[whole(&run)]).await, [over]);
    let mut ours = [subject.run(subject.ours, None).await, subject.run(subject.ours, None).await];
    let theirs = subject.run(subject.theirs, None).await;
    subject.cancel(RunKey { workspace: subject.ours, run: theirs.run }).await;
    assert_eq!(worker.look(None, at(0)).await.requests, [], "another tenant's run is none");
    subject.world.cancel_all(subject.ours, subject.env.now()).await;
    let mut asked: Vec<_> = worker.look(None, at(0)).await.requests.iter().map(|request| request.key).collect();
    asked.sort_unstable();
    ours.sort_unstable();
    assert_eq!(asked, ours);
}
