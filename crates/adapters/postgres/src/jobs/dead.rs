//! Dead-lettered jobs of all workspaces, for operators.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::jobs::{DeadJobs, Job, JobKey};
use tidegate_kernel::{JobId, Page, PageSize, StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use super::list::job;
use crate::error::store_error;
use crate::store::PgStore;

const WHOSE: &str = "
    select workspace_id, job_id, at from job_dead where (at, job_id) > ($1, $2) order by at, job_id limit $3";

const READ: &str = "
    select j.*, 'dead' as status from unnest($1::uuid[], $2::uuid[]) as w (workspace_id, id)
    cross join lateral (
        select j.workspace_id, j.id, j.kind, j.priority, j.unique_key, j.attempts, j.last_error, j.run_at, j.created_at
        from job j where j.workspace_id = w.workspace_id and j.id >= w.id and j.id <= w.id order by j.id limit 1) j";

fn key(workspace: Uuid, job: Uuid) -> JobKey {
    JobKey { workspace: WorkspaceId::from_uuid(workspace), job: JobId::from_uuid(job) }
}

#[async_trait]
impl DeadJobs for PgStore {
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<(DateTime<Utc>, JobId)>,
        size: PageSize,
    ) -> Result<Page<Job, (DateTime<Utc>, JobId)>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let (at, id) = after.unwrap_or((DateTime::<Utc>::MIN_UTC, JobId::from_uuid(Uuid::nil())));
        let dead: Vec<(Uuid, Uuid, DateTime<Utc>)> = sqlx::query_as(WHOSE)
            .bind(at.max(DateTime::UNIX_EPOCH))
            .bind(id.as_uuid())
            .bind(i64::from(size.get()) + 1)
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        let workspaces: Vec<WorkspaceId> = dead.iter().map(|(id, ..)| WorkspaceId::from_uuid(*id)).collect();
        tx.declare(&workspaces).await?;
        let rows = sqlx::query(READ)
            .bind(dead.iter().map(|(workspace, ..)| *workspace).collect::<Vec<_>>())
            .bind(dead.iter().map(|(_, job, _)| *job).collect::<Vec<_>>())
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        tx.commit().await?;
        let jobs = rows.iter().map(|row| job(row).map(|job| (job.key, job)));
        let mut jobs = jobs.collect::<Result<HashMap<JobKey, Job>, _>>()?;
        let keys = dead.into_iter().map(|(workspace, job, at)| (key(workspace, job), at)).collect();
        let Page { items, next } = Page::from_overfetch(keys, size, |(key, at): &(JobKey, _)| (*at, key.job));
        Ok(Page { items: items.into_iter().filter_map(|(key, _)| jobs.remove(&key)).collect(), next })
    }

    async fn find(&self, scope: &SystemScope, job: JobId) -> Result<Option<JobKey>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let query = sqlx::query_scalar("select workspace_id from job_dead where job_id = $1").bind(job.as_uuid());
        let workspace: Option<Uuid> = query.fetch_optional(tx.sqlx()).await.map_err(store_error)?;
        tx.commit().await?;
        Ok(workspace.map(|workspace| key(workspace, job.as_uuid())))
    }
}
