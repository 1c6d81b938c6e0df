//! Background jobs: enqueueing in any transaction, the runner's claims and commits under the fence, and the lists for
//! people.
//!
//! Statements over arrays read rows in the same way as the engine's; see [`crate::engine`].

mod claim;
mod dead;
mod enqueue;
mod finish;
mod list;
mod look;

pub(crate) use enqueue::PgJobs;
pub(crate) use list::{PgInstallationLog, PgJobRepository};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::jobs::{
    ClaimedJob, EndedJob, INSTALLATION, JobClaim, JobCount, JobKey, JobOutlook, JobStore, Recurrence,
};
use tidegate_engine::model::{ShardId, Tenure, WorkerId};
use tidegate_kernel::{StoreError, SystemScope, TraceContext, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::engine::PgEngineStore;
use crate::transaction::{Directory, Machinery, Person, Tenant};

pub(crate) use finish::requeue;

/// A transaction in which the jobs are those of one workspace, or of the installation.
pub(crate) trait OwnsJobs: Send + Sync {
    /// The workspace, or [`INSTALLATION`].
    fn owner(&self) -> WorkspaceId {
        INSTALLATION
    }
    /// The id of the request that the transaction is part of.
    fn request_id(&self) -> &str {
        "installation"
    }
    /// The trace that the transaction is part of, if there is one.
    fn trace(&self) -> Option<&TraceContext> {
        None
    }
}

impl OwnsJobs for Tenant {
    fn owner(&self) -> WorkspaceId {
        self.workspace
    }

    fn request_id(&self) -> &str {
        self.request_id.as_str()
    }

    fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }
}

impl OwnsJobs for Directory {}

impl OwnsJobs for Person {
    fn request_id(&self) -> &str {
        self.request_id.as_str()
    }
}

impl OwnsJobs for Machinery {}

/// Keys as two arrays: workspaces and jobs.
fn columns<'k>(keys: impl Iterator<Item = &'k JobKey>) -> (Vec<Uuid>, Vec<Uuid>) {
    keys.map(|key| (key.workspace.as_uuid(), key.job.as_uuid())).unzip()
}

#[async_trait]
impl JobStore for PgEngineStore {
    async fn look(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        now: DateTime<Utc>,
    ) -> Result<JobOutlook, StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        let outlook = look::look(&mut tx, worker, tenures, now).await?;
        tx.commit().await?;
        Ok(outlook)
    }

    async fn claim(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        claim: &JobClaim,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        let claimed = claim::claim(&mut tx, worker, claim).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn recover(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        in_hand: &[JobKey],
    ) -> Result<(), StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        finish::recover(&mut tx, worker, tenures, in_hand).await?;
        tx.commit().await
    }

    async fn finish(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        ended: &[EndedJob],
        now: DateTime<Utc>,
    ) -> Result<Vec<JobKey>, StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        let written = finish::finish(&mut tx, worker, ended, now).await?;
        tx.commit().await?;
        Ok(written)
    }

    async fn recur(
        &self,
        scope: &SystemScope,
        recurrences: &[Recurrence],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        let next = enqueue::recur(&mut tx, recurrences, now).await?;
        tx.commit().await?;
        Ok(next)
    }

    async fn count(&self, scope: &SystemScope, shards: &[ShardId]) -> Result<Vec<JobCount>, StoreError> {
        let mut tx = self.store().begin_machinery(scope).await?;
        let counts = look::count(&mut tx, shards).await?;
        tx.commit().await?;
        Ok(counts)
    }
}
