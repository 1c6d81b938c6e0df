//! Obligations of stores of jobs.

mod enqueueing;
mod keeping;
mod running;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_engine::jobs::{
    ClaimedJob, DeadJobs, EndedJob, InstallationJobsTx, Job, JobClaim, JobFilter, JobKey, JobOutcome, JobOutlook,
    JobStore, JobsTx, LaneClaim, ReadyLane,
};
use tidegate_engine::model::{Tenure, WorkerId};
use tidegate_engine::ports::EngineStore;
use tidegate_kernel::{Enqueued, JobId, JobPayload, NewJob, PageSize, SystemScope, UnitOfWork, WorkspaceId};
use uuid::Uuid;

use super::stage::subject;
use crate::scope::{system_scope, workspace_scope};

pub use enqueueing::*;
pub use keeping::*;
pub use running::*;

subject! {
    about {
        /// The store of the job runner.
        jobs: dyn JobStore = engine,
        /// The jobs of a workspace.
        workspaces: dyn UnitOfWork<dyn JobsTx> = store,
        /// The jobs of the installation.
        installation: dyn UnitOfWork<dyn InstallationJobsTx, SystemScope> = store,
        /// Dead jobs of all workspaces.
        dead: dyn DeadJobs = store,
    }
    beside {
        /// Ownership of the shards.
        engine: dyn EngineStore = engine,
    }
}

/// The payload of the jobs in these cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note(String);

impl JobPayload for Note {
    const KIND: &'static str = "test.note";
}

/// Another kind of job.
#[derive(Debug, Serialize, Deserialize)]
struct Other;

impl JobPayload for Other {
    const KIND: &'static str = "test.other";
}

fn note(text: &str) -> NewJob {
    NewJob::new(&Note(text.to_owned())).expect("a payload")
}

const TTL: Duration = Duration::from_secs(60);

impl Subject {
    async fn begin(&self, workspace: WorkspaceId) -> Box<dyn JobsTx> {
        self.workspaces.begin(&workspace_scope(workspace)).await.expect("a transaction begins")
    }

    async fn begin_installation(&self) -> Box<dyn InstallationJobsTx> {
        self.installation.begin(&system_scope()).await.expect("a transaction begins")
    }

    /// Enqueues a job of a workspace.
    async fn enqueue(&self, workspace: WorkspaceId, job: &NewJob) -> Enqueued {
        let mut tx = self.begin(workspace).await;
        let enqueued = tx.jobs().enqueue(job).await.expect("a job is enqueued");
        tx.commit().await.expect("it commits");
        enqueued
    }

    async fn cancel(&self, workspace: WorkspaceId, job: JobId) -> bool {
        let mut tx = self.begin(workspace).await;
        let cancelled = tx.jobs().cancel(job).await.expect("a job is cancelled");
        tx.commit().await.expect("it commits");
        cancelled
    }

    async fn find(&self, workspace: WorkspaceId, job: JobId) -> Option<Job> {
        self.begin(workspace).await.queue().find(job).await.expect("a job is read")
    }

    async fn list(&self, workspace: WorkspaceId, filter: &JobFilter) -> Vec<JobId> {
        let size = PageSize::default();
        let page = self.begin(workspace).await.queue().list(filter, None, size).await.expect("jobs are listed");
        page.items.into_iter().map(|job| job.key.job).collect()
    }

    async fn redrive(&self, workspace: WorkspaceId, job: JobId) -> bool {
        let mut tx = self.begin(workspace).await;
        let redriven = tx.queue().redrive(job, self.env.now()).await.expect("a job is redriven");
        tx.commit().await.expect("it commits");
        redriven
    }
}

/// A worker in a test, with its shards.
struct TestWorker<'a> {
    subject: &'a Subject,
    scope: SystemScope,
    id: WorkerId,
    tenures: Vec<Tenure>,
}

impl<'a> TestWorker<'a> {
    async fn holding(subject: &'a Subject, n: u128, ttl: Duration) -> Self {
        let mut worker = Self { subject, scope: system_scope(), id: WorkerId(Uuid::from_u128(n)), tenures: Vec::new() };
        worker.hold(ttl).await;
        worker
    }

    async fn hold(&mut self, ttl: Duration) {
        let held = self.subject.engine.hold(&self.scope, self.id, &self.tenures, ttl).await.expect("shards are held");
        self.tenures = held.tenures;
    }

    async fn look_at(&self, now: DateTime<Utc>) -> JobOutlook {
        let looked = self.subject.jobs.look(&self.scope, self.id, &self.tenures, now).await;
        let mut outlook = looked.expect("looks");
        outlook.lanes.retain(|ready| self.subject.knows(ready.lane.workspace));
        outlook
    }

    /// Lanes with jobs of the two workspaces.
    async fn lanes(&self) -> Vec<ReadyLane> {
        self.look_at(self.subject.env.now()).await.lanes
    }

    async fn claim(&self, lanes: Vec<LaneClaim>) -> Vec<ClaimedJob> {
        let claim = JobClaim { tenures: self.tenures.clone(), lanes };
        self.subject.jobs.claim(&self.scope, self.id, &claim).await.expect("claims")
    }

    /// Claims up to `quantum` jobs of each lane of a workspace.
    async fn take(&self, workspace: WorkspaceId, quantum: u32) -> Vec<ClaimedJob> {
        let lanes = self.lanes().await.into_iter().filter(|ready| ready.lane.workspace == workspace);
        self.claim(lanes.map(|ready| LaneClaim { lane: ready.lane, bound: 0, quantum }).collect()).await
    }

    async fn finish(&self, job: &ClaimedJob, outcome: JobOutcome) -> Vec<JobKey> {
        self.finish_all(std::slice::from_ref(job), &outcome).await
    }

    /// Ends all of these jobs at once.
    async fn finish_all(&self, jobs: &[ClaimedJob], outcome: &JobOutcome) -> Vec<JobKey> {
        let ended = |job: &ClaimedJob| EndedJob { key: job.key, tenure: job.tenure, outcome: outcome.clone() };
        let (ended, now) = (jobs.iter().map(ended).collect::<Vec<_>>(), self.subject.env.now());
        self.subject.jobs.finish(&self.scope, self.id, &ended, now).await.expect("ends are written")
    }

    async fn release(&self) {
        self.subject.engine.release(&self.scope, self.id, &self.tenures).await.expect("releases");
    }
}

fn ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.key.job).collect()
}

fn dead(error: &str) -> JobOutcome {
    JobOutcome::Dead { error: error.to_owned() }
}

fn later(at: DateTime<Utc>) -> JobOutcome {
    JobOutcome::Retry { at, error: "not yet".to_owned() }
}

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}
