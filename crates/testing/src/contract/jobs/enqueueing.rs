//! Enqueueing jobs in the transaction of their cause.

use tidegate_engine::jobs::{INSTALLATION, JobOutcome, LaneClaim, Recurrence};
use tidegate_kernel::{Enqueued, JobPriority, JobStatus, TraceContext};

use super::{Note, Subject, TTL, TestWorker, dead, ids, later, minutes, note};
use crate::scope::workspace_scope;

/// A job exists if and only if its cause has committed, and reads back as it was enqueued.
pub async fn a_job_commits_with_its_cause(subject: &Subject) {
    let mut tx = subject.begin(subject.ours).await;
    tx.jobs().enqueue(&note("lost")).await.expect("a job is enqueued");
    drop(tx);
    let job = note("kept").with_priority(JobPriority::High);
    let Enqueued::Added(id) = subject.enqueue(subject.ours, &job).await else { panic!("it was added") };
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 10).await;
    assert_eq!(ids(&claimed), [id]);
    let read: Note = serde_json::from_slice(&claimed[0].payload).expect("a payload");
    assert_eq!((read, claimed[0].attempts), (Note("kept".to_owned()), 0));
    assert_eq!(claimed[0].lane.priority, JobPriority::High);
    assert_eq!(claimed[0].request_id, crate::scope::request_id());
}

/// A job keeps the trace of its cause; one without a trace has none.
pub async fn a_job_keeps_its_trace(subject: &Subject) {
    let trace = TraceContext::new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let scope = workspace_scope(subject.ours).with_trace(trace.clone());
    let mut tx = subject.workspaces.begin(&scope).await.expect("a transaction begins");
    tx.jobs().enqueue(&note("a")).await.expect("a job is enqueued");
    tx.commit().await.expect("it commits");
    subject.enqueue(subject.ours, &note("b")).await;
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 10).await;
    assert_eq!(claimed.iter().map(|job| job.trace.clone()).collect::<Vec<_>>(), [trace, None]);
}

/// Until a job begins, no second job of its workspace and kind is added with its unique key; after that one is.
pub async fn a_key_is_unique_until_its_job_begins(subject: &Subject) {
    let keyed = note("a").unique("k");
    let first = subject.enqueue(subject.ours, &keyed).await;
    assert_eq!(subject.enqueue(subject.ours, &keyed).await, Enqueued::Waiting(first.id()));
    assert!(matches!(subject.enqueue(subject.ours, &note("b").unique("l")).await, Enqueued::Added(_)));
    assert!(matches!(subject.enqueue(subject.theirs, &keyed).await, Enqueued::Added(_)));
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 1).await;
    assert_eq!(ids(&claimed), [first.id()]);
    let second = subject.enqueue(subject.ours, &keyed).await;
    assert!(matches!(second, Enqueued::Added(_)));
    // A job that is tried again does not take the key back.
    worker.finish(&claimed[0], later(subject.env.now())).await;
    assert_eq!(subject.enqueue(subject.ours, &keyed).await, Enqueued::Waiting(second.id()));
}

/// While a transaction enqueues a job again, the job does not begin, and other jobs do not wait for it.
///
/// Served only: on an embedded PostgreSQL nothing is claimed while a transaction is open.
pub async fn what_is_wanted_again_begins_after_whoever_wants_it(subject: &Subject) {
    let wanted = subject.enqueue(subject.ours, &note("a").unique("k")).await.id();
    let other = subject.enqueue(subject.ours, &note("b")).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let lane = worker.lanes().await.remove(0).lane;
    let claim = || vec![LaneClaim { lane: lane.clone(), bound: 0, quantum: 10 }];
    let mut tx = subject.begin(subject.ours).await;
    let again = tx.jobs().enqueue(&note("a").unique("k")).await.expect("a job is enqueued");
    assert_eq!(again, Enqueued::Waiting(wanted));
    assert_eq!(ids(&worker.claim(claim()).await), [other]);
    tx.commit().await.expect("it commits");
    assert_eq!(ids(&worker.claim(claim()).await), [wanted]);
}

/// A scheduled job is ready at its time, and not before.
pub async fn a_job_waits_for_its_time(subject: &Subject) {
    let now = subject.env.now();
    let id = subject.enqueue(subject.ours, &note("a").at(now + minutes(5))).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let outlook = worker.look_at(now + minutes(4)).await;
    assert_eq!(outlook.lanes, []);
    assert!(outlook.next_due.is_some_and(|due| due <= now + minutes(5)), "{outlook:?}");
    assert_eq!(subject.find(subject.ours, id).await.expect("it is there").status, JobStatus::Scheduled);
    assert_eq!(worker.look_at(now + minutes(6)).await.lanes.len(), 1);
    assert_eq!(ids(&worker.take(subject.ours, 10).await), [id]);
}

/// Cancelling deletes a job that has not begun, prevents another attempt of one that is running, and leaves a dead one.
pub async fn a_job_is_cancelled(subject: &Subject) {
    let ready = subject.enqueue(subject.ours, &note("a")).await.id();
    let scheduled = subject.enqueue(subject.ours, &note("b").at(subject.env.now() + minutes(5))).await.id();
    for id in [ready, scheduled] {
        assert!(!subject.cancel(subject.theirs, id).await, "another tenant's");
        assert!(subject.cancel(subject.ours, id).await);
        assert!(!subject.cancel(subject.ours, id).await, "once is enough");
        assert_eq!(subject.find(subject.ours, id).await, None);
    }
    let worker = TestWorker::holding(subject, 1, TTL).await;
    assert_eq!(worker.lanes().await, []);
    let running = subject.enqueue(subject.ours, &note("c")).await.id();
    let claimed = worker.take(subject.ours, 1).await;
    assert!(subject.cancel(subject.ours, running).await);
    worker.finish(&claimed[0], later(subject.env.now())).await;
    assert_eq!(subject.find(subject.ours, running).await, None);
    let dead = subject.enqueue(subject.ours, &note("d")).await.id();
    let claimed = worker.take(subject.ours, 1).await;
    worker.finish(&claimed[0], super::dead("no")).await;
    assert!(!subject.cancel(subject.ours, dead).await);
    assert!(subject.find(subject.ours, dead).await.is_some());
}

/// Jobs that are cancelled at the moment in which they end are deleted, wherever they are in the batch of ends, and however
/// they ended.
///
/// Served only: on an embedded PostgreSQL no end is written while a transaction is open.
pub async fn jobs_that_are_cancelled_as_they_end_are_gone(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let again = subject.env.now();
    for outcome in [JobOutcome::Done, later(again), dead("never")] {
        let mut jobs = Vec::new();
        for text in ["a", "b", "c", "d"] {
            jobs.push(subject.enqueue(subject.ours, &note(text)).await.id());
        }
        let claimed = worker.take(subject.ours, 4).await;
        let mut tx = subject.begin(subject.ours).await;
        for id in &jobs[1..3] {
            assert!(tx.jobs().cancel(*id).await.expect("a job is cancelled"));
        }
        let mut ending = std::pin::pin!(worker.finish_all(&claimed, &outcome));
        let moment = std::time::Duration::from_millis(300);
        assert!(tokio::time::timeout(moment, &mut ending).await.is_err(), "it waits for the cancellation");
        tx.commit().await.expect("it commits");
        assert_eq!(ending.await.len(), 4);
        let mut left = Vec::new();
        for id in jobs {
            left.push(subject.find(subject.ours, id).await.map(|job| job.status));
        }
        let kept = match outcome {
            JobOutcome::Done => None,
            JobOutcome::Retry { .. } => Some(JobStatus::Scheduled),
            JobOutcome::Dead { .. } => Some(JobStatus::Dead),
        };
        assert_eq!(left, [kept, None, None, kept], "{outcome:?}");
        let lanes = worker.look_at(again + minutes(1)).await.lanes;
        assert_eq!(lanes.len(), usize::from(kept == Some(JobStatus::Scheduled)));
        for retried in worker.take(subject.ours, 4).await {
            worker.finish(&retried, JobOutcome::Done).await;
        }
    }
}

/// A cancelled job is not tried again if its worker has died while doing it.
pub async fn a_cancelled_job_goes_with_its_worker(subject: &Subject) {
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    let asleep = TestWorker::holding(subject, 1, std::time::Duration::ZERO).await;
    assert_eq!(ids(&asleep.take(subject.ours, 1).await), [id]);
    assert!(subject.cancel(subject.ours, id).await);
    let awake = TestWorker::holding(subject, 2, TTL).await;
    assert_eq!(awake.take(subject.ours, 10).await, []);
    assert_eq!(subject.find(subject.ours, id).await, None);
}

/// Each time of a recurring job enqueues one, however many workers try and however many times were missed. A changed
/// pattern applies from now on.
pub async fn a_recurring_job_comes_once(subject: &Subject) {
    let now = subject.midnight;
    let kind: &'static str = subject.ours.to_string().leak();
    let tick = |cron: &str, next| Recurrence { kind, cron: cron.to_owned(), next, payload: b"{}".to_vec() };
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let recur = async |recurrence: Recurrence, now| {
        subject.jobs.recur(&worker.scope, &[recurrence], now).await.expect("recurs")
    };
    let mine = async || {
        let looked = subject.jobs.look(&worker.scope, worker.id, &worker.tenures, now).await.expect("looks");
        looked.lanes.into_iter().filter(|ready| ready.lane.kind == kind).collect::<Vec<_>>()
    };
    assert_eq!(recur(tick("0 * * * *", now + minutes(60)), now).await, Some(now + minutes(60)));
    assert_eq!(mine().await, []);
    // Two workers try at the same moment, three ticks late.
    let late = now + minutes(200);
    for _ in 0..2 {
        assert_eq!(recur(tick("0 * * * *", now + minutes(240)), late).await, Some(now + minutes(240)));
    }
    let lanes = mine().await;
    assert_eq!(lanes.len(), 1);
    assert_eq!(lanes[0].lane.workspace, INSTALLATION);
    let claimed = worker.claim(vec![LaneClaim { lane: lanes[0].lane.clone(), bound: 0, quantum: 10 }]).await;
    assert_eq!(claimed.len(), 1);
    worker.finish(&claimed[0], JobOutcome::Done).await;
    assert_eq!(recur(tick("5 * * * *", now + minutes(205)), late).await, Some(now + minutes(205)));
    assert_eq!(mine().await, []);
}
