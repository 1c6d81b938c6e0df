//! Claiming and ending jobs under the fence.

use std::time::Duration;

use tidegate_engine::jobs::{EndedJob, JobOutcome, LaneClaim};
use tidegate_kernel::{JobPriority, JobStatus};

use super::{Subject, TTL, TestWorker, dead, ids, later, minutes, note};

/// Jobs are claimed in their order, each once, after the bound; a done job leaves nothing.
pub async fn a_job_is_claimed_once(subject: &Subject) {
    let first = subject.enqueue(subject.ours, &note("a")).await.id();
    let second = subject.enqueue(subject.ours, &note("b")).await.id();
    let low = subject.enqueue(subject.ours, &note("c").with_priority(JobPriority::Low)).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let lanes = worker.lanes().await;
    assert_eq!(lanes.len(), 2, "one for each priority");
    let lane = lanes.iter().find(|ready| ready.lane.priority == JobPriority::Normal).expect("a lane");
    let claim = |bound| vec![LaneClaim { lane: lane.lane.clone(), bound, quantum: 1 }];
    let claimed = worker.claim(claim(lane.first - 1)).await;
    assert_eq!((ids(&claimed), claimed[0].seq), (vec![first], lane.first));
    let claimed_next = worker.claim(claim(claimed[0].seq)).await;
    assert_eq!(ids(&claimed_next), [second]);
    assert_eq!(worker.claim(claim(0)).await, []);
    assert_eq!(worker.finish(&claimed[0], JobOutcome::Done).await, [claimed[0].key]);
    assert_eq!(worker.finish(&claimed[0], JobOutcome::Done).await, [], "its end is written once");
    assert_eq!(subject.find(subject.ours, first).await, None);
    assert_eq!(subject.find(subject.ours, second).await.expect("it is there").status, JobStatus::Running);
    assert_eq!(ids(&worker.take(subject.ours, 10).await), [low]);
}

/// A failed job waits for its next attempt with its error; its attempts are counted.
pub async fn a_failed_job_comes_back(subject: &Subject) {
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 1).await;
    let again = subject.env.now() + minutes(5);
    worker.finish(&claimed[0], later(again)).await;
    let job = subject.find(subject.ours, id).await.expect("it is there");
    assert_eq!((job.status, job.attempts, job.last_error.as_deref()), (JobStatus::Scheduled, 1, Some("not yet")));
    assert_eq!(worker.look_at(again).await.lanes.len(), 1);
    let claimed = worker.take(subject.ours, 1).await;
    assert_eq!((claimed[0].key.job, claimed[0].attempts), (id, 1));
}

/// A worker whose shards another has taken claims and writes nothing; the other does its jobs again, and the lost
/// attempt counts.
pub async fn a_worker_that_is_late_ends_no_job(subject: &Subject) {
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    let waiting = subject.enqueue(subject.ours, &note("b")).await.id();
    let asleep = TestWorker::holding(subject, 1, Duration::ZERO).await;
    let claimed = asleep.take(subject.ours, 1).await;
    assert_eq!(ids(&claimed), [id]);
    let awake = TestWorker::holding(subject, 2, TTL).await;
    let lane = claimed[0].lane.clone();
    assert_eq!(asleep.claim(vec![LaneClaim { lane, bound: 0, quantum: 10 }]).await, []);
    assert_eq!(asleep.look_at(subject.env.now()).await.lanes, [], "it sees nothing to do");
    for outcome in [JobOutcome::Done, dead("no"), later(subject.env.now())] {
        assert_eq!(asleep.finish(&claimed[0], outcome).await, []);
    }
    let mut resumed = awake.take(subject.ours, 10).await;
    resumed.sort_by_key(|job| job.key);
    assert_eq!(ids(&resumed), [id, waiting]);
    assert_eq!(resumed.iter().map(|job| job.attempts).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(awake.finish(&resumed[0], JobOutcome::Done).await.len(), 1);
}

/// A job that a worker gives back when it stops does not count an attempt.
pub async fn a_job_that_is_given_back_is_ready(subject: &Subject) {
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    let mut worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 1).await;
    worker.release().await;
    assert_eq!(worker.finish(&claimed[0], JobOutcome::Done).await, [], "it is nobody's now");
    worker.tenures.clear();
    worker.hold(TTL).await;
    let again = worker.take(subject.ours, 1).await;
    assert_eq!((ids(&again), again[0].attempts), (vec![id], 0));
}

/// Leases that a worker does not know of are given up, and those of jobs that it is doing stay.
pub async fn a_claim_whose_answer_was_lost_is_recovered(subject: &Subject) {
    let lost = subject.enqueue(subject.ours, &note("a")).await.id();
    let kept = subject.enqueue(subject.ours, &note("b")).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let claimed = worker.take(subject.ours, 10).await;
    assert_eq!(ids(&claimed), [lost, kept]);
    let in_hand = [claimed[1].key];
    subject.jobs.recover(&worker.scope, worker.id, &worker.tenures, &in_hand).await.expect("recovers");
    assert_eq!(ids(&worker.take(subject.ours, 10).await), [lost]);
    assert_eq!(worker.finish(&claimed[1], JobOutcome::Done).await, in_hand);
}

/// The ends of many jobs are written together, each with its own outcome.
pub async fn ends_are_written_together(subject: &Subject) {
    for text in ["a", "b", "c"] {
        subject.enqueue(subject.ours, &note(text)).await;
    }
    let foreign = subject.enqueue(subject.theirs, &note("d")).await.id();
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let mut claimed = worker.take(subject.ours, 10).await;
    claimed.extend(worker.take(subject.theirs, 10).await);
    let now = subject.env.now();
    let outcomes = [JobOutcome::Done, later(now + minutes(1)), dead("no"), dead("nor this")];
    let ended =
        claimed.iter().zip(outcomes).map(|(job, outcome)| EndedJob { key: job.key, tenure: job.tenure, outcome });
    let ended: Vec<_> = ended.collect();
    assert_eq!(subject.jobs.finish(&worker.scope, worker.id, &ended, now).await.expect("ends are written").len(), 4);
    let mut statuses = Vec::new();
    for job in &claimed[..3] {
        statuses.push(subject.find(subject.ours, job.key.job).await.map(|job| job.status));
    }
    assert_eq!(statuses, [None, Some(JobStatus::Scheduled), Some(JobStatus::Dead)]);
    assert_eq!(subject.find(subject.theirs, foreign).await.expect("it is there").status, JobStatus::Dead);
    let shards: Vec<_> = worker.tenures.iter().map(|tenure| tenure.shard).collect();
    let counts = subject.jobs.count(&worker.scope, &shards).await.expect("counts");
    for status in [JobStatus::Scheduled, JobStatus::Dead] {
        assert!(counts.iter().any(|count| count.status == status && count.kind == "test.note" && count.jobs > 0));
    }
}
