//! The list of jobs: one statement for each table that can hold a job, so that each reads an index in the order of the
//! page.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_engine::jobs::{InstallationLog, Job, JobFilter, JobKey, JobRepository, Lane};
use tidegate_engine::model::ShardId;
use tidegate_kernel::{JobId, JobPriority, Page, PageSize, RequestId, Signal, StoreError, Topic, UserId, WorkspaceId};
use uuid::Uuid;

use super::OwnsJobs;
use super::claim::priority;
use crate::engine::unreadable;
use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

/// A page of the jobs whose ids the query `$ids` selects, newest first.
macro_rules! jobs_of {
    ($ids:literal) => {
        concat!(
            "with page as materialized (",
            $ids,
            ") select j.*,
                 case when exists (select from job_dead d where d.workspace_id = $1 and d.job_id = j.id) then 'dead'
                     when exists (select from job_lease l where l.workspace_id = $1 and l.job_id = j.id) then 'running'
                     when exists (select from job_later l where l.workspace_id = $1 and l.job_id = j.id) then 'scheduled'
                     else 'ready' end as status
               from page p cross join lateral (
                   select j.workspace_id, j.id, j.kind, j.priority, j.unique_key, j.attempts, j.last_error, j.run_at,
                       j.created_at
                   from job j where j.workspace_id = $1 and j.id >= p.id and j.id <= p.id order by j.id limit 1) j
               order by j.id desc"
        )
    };
}

const LIST: &str = jobs_of!("select id from job where workspace_id = $1 and id < $2 order by id desc limit $3");
const LIST_KINDS: &str = jobs_of!(
    "select j.id from unnest($4::text[]) as k (kind) cross join lateral (
         select id from job where workspace_id = $1 and kind = k.kind and (kind, id) < (k.kind, $2)
         order by kind desc, id desc limit $3) j
     order by id desc limit $3"
);
/// Jobs with one of these statuses. Tables for other statuses are not read.
const LIST_STATUSES: &str = jobs_of!(
    "select id from (
         (select job_id as id from job_ready
          where workspace_id = $1 and job_id < $2 and 'ready' = any ($5) and (cardinality($4::text[]) = 0 or kind = any ($4))
          order by job_id desc limit $3)
         union all
         (select job_id from job_later
          where workspace_id = $1 and job_id < $2 and 'scheduled' = any ($5) and (cardinality($4) = 0 or kind = any ($4))
          order by job_id desc limit $3)
         union all
         (select job_id from job_lease
          where workspace_id = $1 and job_id < $2 and 'running' = any ($5) and (cardinality($4) = 0 or kind = any ($4))
          order by job_id desc limit $3)
         union all
         (select job_id from job_dead
          where workspace_id = $1 and job_id < $2 and 'dead' = any ($5) and (cardinality($4) = 0 or kind = any ($4))
          order by job_id desc limit $3)) placed
     order by id desc limit $3"
);
const FIND: &str = jobs_of!("select $2::uuid as id");

/// Makes a dead job ready again. Of several concurrent requests, one deletes the row.
const REDRIVE: &str = "
    with revived as (
        delete from job_dead where workspace_id = $1 and job_id = $2 returning workspace_id, job_id, shard, kind),
    again as (
        update job j set attempts = 0, run_at = null from revived r
        where j.workspace_id = r.workspace_id and j.id = r.job_id
        returning j.workspace_id, j.id, j.shard, j.kind, j.priority)
    insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
    select workspace_id, id, shard, kind, priority, false, 0, $3 from again
    returning shard, kind, priority";

const BURY: &str = "delete from job_dead where workspace_id = $1 and job_id = $2";
const DISCARD: &str = "delete from job where workspace_id = $1 and id = $2";

/// [`JobRepository`] in one transaction.
pub(crate) struct PgJobRepository<'c, G>(pub(crate) &'c mut PgTx<G>);

#[async_trait]
impl<G: OwnsJobs> JobRepository for PgJobRepository<'_, G> {
    async fn list(
        &mut self,
        filter: &JobFilter,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<Job, JobId>, StoreError> {
        let text = match (filter.statuses.is_empty(), filter.kinds.is_empty()) {
            (true, true) => LIST,
            (true, false) => LIST_KINDS,
            (false, _) => LIST_STATUSES,
        };
        let mut query = sqlx::query(text)
            .bind(self.0.context.owner().as_uuid())
            .bind(after.map_or(Uuid::max(), |after| after.as_uuid()))
            .bind(i64::from(size.get()) + 1);
        if !(filter.statuses.is_empty() && filter.kinds.is_empty()) {
            let mut kinds = filter.kinds.clone();
            kinds.sort_unstable();
            kinds.dedup();
            query = query.bind(kinds);
        }
        if !filter.statuses.is_empty() {
            query = query.bind(filter.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>());
        }
        let rows = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        let jobs = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_overfetch(jobs, size, |job| job.key.job))
    }

    async fn find(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let query = sqlx::query(FIND).bind(self.0.context.owner().as_uuid()).bind(id.as_uuid());
        query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?.as_ref().map(job).transpose()
    }

    async fn redrive(&mut self, job: JobId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let workspace = self.0.context.owner();
        let query = sqlx::query_as(REDRIVE).bind(workspace.as_uuid()).bind(job.as_uuid()).bind(now);
        let revived: Option<(i16, String, i16)> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        let Some((shard, kind, rank)) = revived else { return Ok(false) };
        let lane = Lane { shard: ShardId(shard), workspace, kind, priority: priority(rank)? };
        self.0.announce(Signal::new(Topic::JobReady, &lane));
        Ok(true)
    }

    async fn discard(&mut self, job: JobId) -> Result<bool, StoreError> {
        let owner = self.0.context.owner().as_uuid();
        let buried = sqlx::query(BURY).bind(owner).bind(job.as_uuid());
        if buried.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 0 {
            return Ok(false);
        }
        let query = sqlx::query(DISCARD).bind(owner).bind(job.as_uuid());
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() > 0).map_err(store_error)
    }
}

/// [`InstallationLog`] in one transaction.
pub(crate) struct PgInstallationLog<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl InstallationLog for PgInstallationLog<'_> {
    async fn record_operation(
        &mut self,
        operator: UserId,
        action: &'static str,
        job: JobId,
        request_id: &RequestId,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into account_event (id, user_id, at, action, details, request_id)
             values ($1, $2, $3, $4, json_build_object('job', $5::text), $6)",
        )
        .bind(self.0.env.uuid_v7())
        .bind(operator.as_uuid())
        .bind(self.0.env.now())
        .bind(action)
        .bind(job.to_string())
        .bind(request_id.as_str());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

pub(super) fn job(row: &PgRow) -> Result<Job, StoreError> {
    let workspace = WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?);
    let status: String = row.try_get("status").map_err(store_error)?;
    let attempts: i32 = row.try_get("attempts").map_err(store_error)?;
    let priority: JobPriority = priority(row.try_get("priority").map_err(store_error)?)?;
    Ok(Job {
        key: JobKey { workspace, job: JobId::from_uuid(row.try_get("id").map_err(store_error)?) },
        kind: row.try_get("kind").map_err(store_error)?,
        status: status.parse().map_err(unreadable)?,
        priority,
        unique_key: row.try_get("unique_key").map_err(store_error)?,
        attempts: u32::try_from(attempts).map_err(unreadable)?,
        last_error: row.try_get("last_error").map_err(store_error)?,
        run_at: row.try_get("run_at").map_err(store_error)?,
        created_at: row.try_get("created_at").map_err(store_error)?,
    })
}
