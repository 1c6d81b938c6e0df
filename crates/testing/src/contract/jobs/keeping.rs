//! Lists of jobs, and what people do with dead jobs.

use tidegate_engine::jobs::{INSTALLATION, JobFilter, JobKey, LaneClaim};
use tidegate_kernel::{JobPayload, JobStatus, NewJob, PageSize, UserId};

use super::{Note, Other, Subject, TTL, TestWorker, dead, ids, minutes, note};
use crate::scope::{request_id, system_scope};

/// Lists are newest first and have only what was requested; the pages together have every job once.
pub async fn jobs_are_listed_by_kind_and_status(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let running = subject.enqueue(subject.ours, &note("a")).await.id();
    assert_eq!(worker.take(subject.ours, 1).await.len(), 1);
    let failed = subject.enqueue(subject.ours, &note("b")).await.id();
    let claimed = worker.take(subject.ours, 1).await;
    worker.finish(&claimed[0], dead("no")).await;
    let ready = subject.enqueue(subject.ours, &NewJob::new(&Other).expect("a payload")).await.id();
    let scheduled = subject.enqueue(subject.ours, &note("c").at(subject.env.now() + minutes(5))).await.id();
    let filter = |kind: Option<&str>, status: Option<JobStatus>| JobFilter {
        kinds: kind.map(str::to_owned).into_iter().collect(),
        statuses: status.into_iter().collect(),
    };
    let ours = subject.ours;
    assert_eq!(subject.list(ours, &JobFilter::default()).await, [scheduled, ready, failed, running]);
    assert_eq!(subject.list(ours, &filter(Some(Note::KIND), None)).await, [scheduled, failed, running]);
    for (status, id) in [
        (JobStatus::Running, running),
        (JobStatus::Dead, failed),
        (JobStatus::Ready, ready),
        (JobStatus::Scheduled, scheduled),
    ] {
        assert_eq!(subject.list(ours, &filter(None, Some(status))).await, [id], "{status}");
        let job = subject.find(ours, id).await.expect("it is there");
        assert_eq!((job.key, job.status), (JobKey { workspace: ours, job: id }, status));
    }
    assert_eq!(subject.list(ours, &filter(Some(Other::KIND), Some(JobStatus::Dead))).await, []);
    let both = JobFilter {
        kinds: vec![Other::KIND.to_owned(), Note::KIND.to_owned(), Note::KIND.to_owned()],
        statuses: vec![JobStatus::Ready, JobStatus::Dead],
    };
    assert_eq!(subject.list(ours, &both).await, [ready, failed]);
    assert_eq!(
        subject.list(ours, &JobFilter { statuses: Vec::new(), ..both }).await,
        [scheduled, ready, failed, running]
    );
    assert_eq!(subject.list(subject.theirs, &JobFilter::default()).await, []);
    let size = PageSize::new(3).expect("a page size");
    let mut tx = subject.begin(ours).await;
    let page = tx.queue().list(&JobFilter::default(), None, size).await.expect("jobs are listed");
    assert_eq!((page.items.len(), page.next), (3, Some(failed)));
    let page = tx.queue().list(&JobFilter::default(), page.next, size).await.expect("jobs are listed");
    assert_eq!(page.items.iter().map(|job| job.key.job).collect::<Vec<_>>(), [running]);
}

/// A dead job is redriven once, with all its attempts, and only by its own workspace.
pub async fn a_dead_job_is_redriven(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    assert!(!subject.redrive(subject.ours, id).await, "it is ready");
    let claimed = worker.take(subject.ours, 1).await;
    worker.finish(&claimed[0], dead("no")).await;
    assert_eq!(worker.lanes().await, [], "nobody tries it");
    assert!(!subject.redrive(subject.theirs, id).await, "another tenant's");
    assert!(subject.redrive(subject.ours, id).await);
    assert!(!subject.redrive(subject.ours, id).await, "once is enough");
    let claimed = worker.take(subject.ours, 10).await;
    assert_eq!((ids(&claimed), claimed[0].attempts), (vec![id], 0));
}

/// A dead job can be discarded, and no other.
pub async fn a_dead_job_is_discarded(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let id = subject.enqueue(subject.ours, &note("a")).await.id();
    let discard = async |workspace| {
        let mut tx = subject.begin(workspace).await;
        let discarded = tx.queue().discard(id).await.expect("a job is discarded");
        tx.commit().await.expect("it commits");
        discarded
    };
    assert!(!discard(subject.ours).await, "it is ready");
    let claimed = worker.take(subject.ours, 1).await;
    assert!(!discard(subject.ours).await, "it is being done");
    worker.finish(&claimed[0], dead("no")).await;
    assert!(!discard(subject.theirs).await, "another tenant's");
    assert!(discard(subject.ours).await);
    assert_eq!(subject.find(subject.ours, id).await, None);
}

/// No workspace sees the installation's jobs; operators see all dead jobs, the longest dead first.
pub async fn operators_find_dead_jobs_of_everybody(subject: &Subject) {
    let worker = TestWorker::holding(subject, 1, TTL).await;
    let ours = subject.enqueue(subject.ours, &note("a")).await.id();
    let mut tx = subject.begin_installation().await;
    let installed = tx.jobs().enqueue(&note("b")).await.expect("a job is enqueued").id();
    tx.commit().await.expect("it commits");
    assert_eq!(subject.find(subject.ours, installed).await, None);
    let looked = subject.jobs.look(&worker.scope, worker.id, &worker.tenures, subject.env.now()).await.expect("looks");
    let lanes = looked.lanes.into_iter().filter(|ready| [subject.ours, INSTALLATION].contains(&ready.lane.workspace));
    let claims = lanes.map(|ready| LaneClaim { lane: ready.lane, bound: ready.first - 1, quantum: 100 });
    let mut claimed = worker.claim(claims.collect()).await;
    claimed.retain(|job| [ours, installed].contains(&job.key.job));
    claimed.sort_by_key(|job| job.key.job);
    for job in &claimed {
        assert_eq!(worker.finish(job, dead("no")).await, [job.key]);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let size = PageSize::new(100).expect("a page size");
        let page = subject.dead.list(&system_scope(), after, size).await.expect("dead jobs are listed");
        seen.extend(page.items.into_iter().map(|job| job.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let [own, other] =
        [(subject.ours, ours), (INSTALLATION, installed)].map(|(workspace, job)| JobKey { workspace, job });
    let place = |key| seen.iter().position(|found| *found == key).expect("it is listed");
    assert!(place(own) < place(other));
    for key in [own, other] {
        assert_eq!(subject.dead.find(&system_scope(), key.job).await.expect("a job is looked for"), Some(key));
    }
    let mut tx = subject.begin_installation().await;
    assert!(tx.queue().find(ours).await.expect("a job is read").is_none());
    assert!(tx.queue().redrive(installed, subject.env.now()).await.expect("a job is redriven"));
    let operator = UserId::generate(&subject.env);
    let written = tx.operations().record_operation(operator, "job.redriven", installed, &request_id()).await;
    written.expect("it is written down");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.dead.find(&system_scope(), installed).await.expect("a job is looked for"), None);
}
