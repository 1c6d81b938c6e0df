//! Ownership of shards.

use tidegate_engine::model::Share;

use super::{INSTANT, Subject, TTL, TestWorker, at, whole};

/// A shard has one owner, and every change of owner raises its epoch.
///
/// Served only: on an embedded PostgreSQL every caller owns every shard, because no other process can be there.
pub async fn a_shard_has_one_owner(subject: &Subject) {
    let mut first = TestWorker::holding(subject, 1, TTL).await;
    let all = first.tenures.len();
    assert!(all > 0);
    let second = TestWorker::holding(subject, 2, TTL).await;
    assert_eq!(second.tenures, [], "nothing is free");
    let before = first.tenures.clone();
    let surplus = first.hold(TTL).await.surplus;
    assert_eq!(first.tenures, before, "a heartbeat changes nothing");
    assert_eq!(surplus, all / 2, "two workers share");
    subject.engine.release(&first.scope, first.id, &first.tenures).await.expect("releases");
    let third = TestWorker::holding(subject, 3, TTL).await;
    for tenure in &third.tenures {
        assert!(before.iter().any(|old| old.shard == tenure.shard && old.epoch < tenure.epoch));
    }
}

/// A worker that has forgotten its own shard gets it back with a new epoch, and the runs that it had leased are ready.
pub async fn a_forgotten_shard_comes_back_under_a_new_epoch(subject: &Subject) {
    let mut worker = TestWorker::holding(subject, 1, TTL).await;
    let workspace = subject.ours;
    let key = subject.run(workspace, None).await;
    let lost = worker.take(workspace, 10).await;
    let before = std::mem::take(&mut worker.tenures);
    worker.hold(TTL).await;
    assert_eq!(worker.tenures.len(), before.len());
    assert!(worker.tenures.iter().all(|tenure| !before.contains(tenure)));
    assert_eq!(worker.commit(&[whole(&lost[0])]).await, [], "the old epoch writes nothing");
    assert_eq!(worker.take(workspace, 10).await.iter().map(|run| run.key).collect::<Vec<_>>(), [key]);
}

/// A worker whose lease has expired and whose shards another has taken claims and writes nothing; the other continues
/// its runs.
pub async fn a_worker_that_wakes_up_late_writes_nothing(subject: &Subject) {
    let workspace = subject.ours;
    let (key, late) = (subject.run(workspace, None).await, subject.run(workspace, None).await);
    let asleep = TestWorker::holding(subject, 1, INSTANT).await;
    let shard = asleep.shard_of(workspace).await;
    let held = asleep.take(workspace, 1).await;
    assert_eq!(held[0].key, key);
    let awake = TestWorker::holding(subject, 2, TTL).await;
    let share = Share { shard, workspace, bound: 0, quantum: 10 };
    assert_eq!(asleep.claim(vec![share], vec![(shard, late)]).await, []);
    assert_eq!(asleep.commit(&[whole(&held[0])]).await, []);
    assert_eq!(subject.history(key).await, Vec::<String>::new());
    let resumed = awake.take(workspace, 10).await;
    assert_eq!(resumed.len(), 2);
    let resumed = resumed.iter().find(|run| run.key == key).expect("the run is ready again");
    assert_eq!(awake.commit(&[whole(resumed)]).await, [key]);
    assert_eq!(asleep.commit(&[whole(&held[0])]).await, []);
    assert_eq!(subject.history(key).await, ["run_started", "step_completed", "run_ended"]);
}

/// Released shards have their runs ready at once, and the old owner can no longer use them.
pub async fn what_is_given_back_is_ready(subject: &Subject) {
    let mut worker = TestWorker::holding(subject, 1, TTL).await;
    let key = subject.run(subject.ours, None).await;
    let held = worker.take(subject.ours, 1).await;
    assert_eq!(worker.look(None, at(0)).await.ready, []);
    subject.engine.release(&worker.scope, worker.id, &worker.tenures).await.expect("releases");
    assert_eq!(worker.look(None, at(0)).await.ready.len(), 1);
    assert_eq!(worker.commit(&[whole(&held[0])]).await, [], "it is nobody's now");
    worker.tenures.clear();
    worker.hold(TTL).await;
    let taken = worker.take(subject.ours, 10).await;
    assert_eq!(taken.iter().map(|run| run.key).collect::<Vec<_>>(), [key]);
    assert_eq!(worker.commit(&[whole(&taken[0])]).await, [key]);
}
