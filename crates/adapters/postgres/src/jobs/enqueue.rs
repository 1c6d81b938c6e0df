//! Enqueueing and cancelling jobs in the transaction of their cause, and recurring jobs.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_engine::jobs::{INSTALLATION, Lane, Recurrence};
use tidegate_engine::model::ShardId;
use tidegate_kernel::{Enqueued, JobId, Jobs, NewJob, Signal, StoreError, Topic, TraceContext, WorkspaceId};
use uuid::Uuid;

use super::OwnsJobs;
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// A job that is due sooner than this is announced when it is enqueued, since an idle runner polls less often than that.
const SOON: TimeDelta = TimeDelta::seconds(30);

/// Adds a job, or finds and locks the waiting job with the same unique key. The lock keeps that job from being claimed
/// until this transaction ends.
const ENQUEUE: &str = "
    with added as (
        insert into job (workspace_id, id, shard, kind, payload, priority, unique_key, is_unique, attempts, run_at,
            created_at, cancelled, request_id, traceparent)
        select $1, $2, s.shard, $4, $5, $6, $7, $7 is not null, 0, $8, $9, false, $10, $11 from slot s where s.slot = $3
        on conflict (workspace_id, kind, unique_key) where is_unique do update set unique_key = excluded.unique_key
        returning id, shard),
    queued as (
        insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
        select $1, a.id, a.shard, $4, $6, $7 is not null, 0, $9 from added a where a.id = $2 and $8 is null),
    scheduled as (
        insert into job_later (workspace_id, job_id, shard, kind, priority, run_at, is_unique, attempts)
        select $1, a.id, a.shard, $4, $6, $8, $7 is not null, 0 from added a where a.id = $2 and $8 is not null)
    select id, shard from added";

/// Locks a job to cancel it. Until the transaction ends it cannot be claimed by its key, ended or enqueued again.
const HOLD: &str = "select id from job where workspace_id = $1 and id = $2 for update";
const CANCEL_READY: &str = "delete from job_ready where workspace_id = $1 and job_id = $2";
const CANCEL_LATER: &str = "delete from job_later where workspace_id = $1 and job_id = $2";
const FORGET: &str = "delete from job where workspace_id = $1 and id = $2";
const CANCEL_RUNNING: &str = "
    update job j set cancelled = true where j.workspace_id = $1 and j.id = $2
      and not exists (select from job_dead d where d.workspace_id = $1 and d.job_id = $2)";

/// The slot of a job: the last 10 bits of the workspace's id; of its own id if it is a job of the installation.
fn slot(owner: WorkspaceId, job: Uuid) -> i16 {
    // These bits are random in both ids.
    let id = if owner == INSTALLATION { job } else { owner.as_uuid() };
    let [.., high, low] = id.into_bytes();
    (i16::from(high & 3) << 8) | i16::from(low)
}

/// [`Jobs`] in one transaction.
pub(crate) struct PgJobs<'c, G>(pub(crate) &'c mut PgTx<G>);

#[async_trait]
impl<G: OwnsJobs> Jobs for PgJobs<'_, G> {
    async fn enqueue(&mut self, job: &NewJob) -> Result<Enqueued, StoreError> {
        let (owner, id, now) = (self.0.context.owner(), self.0.env.uuid_v7(), self.0.env.now());
        let request_id = self.0.context.request_id().to_owned();
        let trace = self.0.context.trace().map(TraceContext::to_string);
        let (found, shard): (Uuid, i16) = sqlx::query_as(ENQUEUE)
            .bind(owner.as_uuid())
            .bind(id)
            .bind(slot(owner, id))
            .bind(job.kind)
            .bind(&job.payload)
            .bind(job.priority.rank())
            .bind(&job.unique_key)
            .bind(job.run_at)
            .bind(now)
            .bind(request_id)
            .bind(trace)
            .fetch_one(self.0.sqlx())
            .await
            .map_err(store_error)?;
        // A job that waits may have been skipped while this transaction held its lock, so workers are woken again.
        match job.run_at {
            Some(at) if at > now + SOON => {}
            Some(at) if at > now => self.0.announce(Signal::new(Topic::JobReady, &"soon")),
            _ => {
                let kind = job.kind.to_owned();
                let lane = Lane { shard: ShardId(shard), workspace: owner, kind, priority: job.priority };
                self.0.announce(Signal::new(Topic::JobReady, &lane));
            }
        }
        let job = JobId::from_uuid(found);
        Ok(if found == id { Enqueued::Added(job) } else { Enqueued::Waiting(job) })
    }

    async fn cancel(&mut self, job: JobId) -> Result<bool, StoreError> {
        let owner = self.0.context.owner().as_uuid();
        let held = sqlx::query(HOLD).bind(owner).bind(job.as_uuid());
        if held.fetch_optional(self.0.sqlx()).await.map_err(store_error)?.is_none() {
            return Ok(false);
        }
        let mut changed = 0;
        // In the order in which a job moves between tables, so that a job that moves at this moment is found.
        for sql in [CANCEL_LATER, CANCEL_READY] {
            let query = sqlx::query(sql).bind(owner).bind(job.as_uuid());
            changed += query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected();
        }
        let last = if changed > 0 { FORGET } else { CANCEL_RUNNING };
        let query = sqlx::query(last).bind(owner).bind(job.as_uuid());
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() > 0)
    }
}

/// Sets the schedule of a recurring job. A new or changed pattern applies from now on.
const SCHEDULE: &str = "
    insert into job_schedule (kind, cron, next_at) values ($1, $2, $3)
    on conflict (kind) do update set cron = excluded.cron, next_at = excluded.next_at
        where job_schedule.cron <> excluded.cron";

/// Moves a schedule to its next time. Of several workers that try at once, one succeeds.
const TICK: &str = "update job_schedule set next_at = $2 where kind = $1 and next_at <= $3";

const NEXT_TICK: &str = "select min(next_at) from job_schedule where kind = any ($1)";

pub(super) async fn recur(
    tx: &mut PgTx<Machinery>,
    recurrences: &[Recurrence],
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    tx.declare(&[INSTALLATION]).await?;
    for recurrence in recurrences {
        sqlx::query(SCHEDULE)
            .bind(recurrence.kind)
            .bind(&recurrence.cron)
            .bind(recurrence.next)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        let query = sqlx::query(TICK).bind(recurrence.kind).bind(recurrence.next).bind(now);
        if query.execute(tx.sqlx()).await.map_err(store_error)?.rows_affected() == 0 {
            continue;
        }
        let job = NewJob {
            kind: recurrence.kind,
            payload: recurrence.payload.clone(),
            // If the last job of this kind has not begun yet, it also counts for this time.
            unique_key: Some("recurring".to_owned()),
            run_at: None,
            priority: tidegate_kernel::JobPriority::default(),
        };
        PgJobs(tx).enqueue(&job).await?;
    }
    let kinds: Vec<&str> = recurrences.iter().map(|recurrence| recurrence.kind).collect();
    sqlx::query_scalar(NEXT_TICK).bind(kinds).fetch_one(tx.sqlx()).await.map_err(store_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_spread_and_in_bounds() {
        let slots: std::collections::BTreeSet<i16> =
            (0..4_096).map(|n| slot(INSTALLATION, Uuid::from_u128(n))).collect();
        assert_eq!((slots.len(), slots.first(), slots.last()), (1_024, Some(&0), Some(&1_023)));
        let owner = WorkspaceId::from_uuid(Uuid::from_u128(7));
        assert_eq!(slot(owner, Uuid::from_u128(1)), slot(owner, Uuid::from_u128(2)));
    }
}
