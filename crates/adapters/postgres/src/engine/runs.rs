//! Runs of a workspace: starting, reading and requesting a cancellation.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_kernel::{Page, PageSize, RunId, StoreError, TraceContext, WorkflowId};
use tidegate_workflows::run::ports::{KeyedRun, RunRepository};
use tidegate_workflows::run::{NewRun, QuarantineAction, Run, RunFilter, TransitionRecord};
use uuid::Uuid;

use super::{list, unreadable};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

const CLAIM_KEY: &str = "
    insert into run_key (workspace_id, workflow_id, dedupe_key, run_id, input_digest, created_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (workspace_id, workflow_id, dedupe_key) do update
        set run_id = excluded.run_id, input_digest = excluded.input_digest, created_at = excluded.created_at
        where run_key.created_at < $7
    returning run_id";

/// Gives a workspace its slot: the last 10 bits of its id, which are random.
pub(crate) const PLACE: &str = "
    insert into workspace_slot (workspace_id, slot)
    select $1, (('x' || right($1::text, 8))::bit(32)::bigint & 1023)::smallint
    where not exists (select from workspace_slot where workspace_id = $1)
    on conflict (workspace_id) do nothing";

/// Adds a run and its entry in the queue of the workspace's shard. Adds neither if the workspace has no slot yet.
macro_rules! add_run {
    ($condition:literal) => {
        concat!(
            "with place as (
                 select s.shard from workspace_slot p join slot s on s.slot = p.slot where p.workspace_id = $1),
             kept as (
                 insert into run (workspace_id, id, workflow_id, version, shard, status, trigger, event, input, dedupe_key,
                     depth, concurrency_key, concurrency_limit, request_id, created_at, traceparent)
                 select $1, $2, $3, $4, p.shard, 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 from place p",
            $condition,
            " returning workspace_id, id, shard)
             insert into ready (workspace_id, run_id, shard) select workspace_id, id, shard from kept"
        )
    };
}
const ADD: &str = add_run!("");
const ADD_IF_PUBLISHED: &str = add_run!(
    " where exists (
          select from workflow w
          where w.workspace_id = $1 and w.id = $3 and w.published_version = $4 and w.deleted_at is null)"
);

const FIND: &str = "
    select id, workflow_id, version, status, trigger, input, outputs, error, created_at, started_at, finished_at, dedupe_key
    from run where workspace_id = $1 and id >= $2 and id <= $2 order by id limit 1";

/// [`RunRepository`] in one transaction.
pub(crate) struct PgRunRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

impl PgRunRepository<'_> {
    /// Inserts a run and returns whether it was inserted.
    async fn insert_run(&mut self, sql: &'static str, run: &NewRun) -> Result<bool, StoreError> {
        if self.try_insert(sql, run).await? {
            return Ok(true);
        }
        // The workspace may have no slot. If another transaction assigns one at this moment, the second attempt sees
        // it.
        let workspace = self.0.workspace().as_uuid();
        sqlx::query(PLACE).bind(workspace).execute(self.0.sqlx()).await.map_err(store_error)?;
        self.try_insert(sql, run).await
    }

    async fn try_insert(&mut self, sql: &'static str, run: &NewRun) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let (request_id, trace) = (self.0.context.request_id.clone(), self.0.context.trace.clone());
        let event = (!run.event.is_null()).then(|| bytes(&run.event)).transpose()?;
        let limit = run.concurrency.as_ref().map(|(_, limit)| i32::try_from(*limit)).transpose();
        let done = sqlx::query(sql)
            .bind(workspace)
            .bind(run.id.as_uuid())
            .bind(run.workflow.as_uuid())
            .bind(run.version)
            .bind(bytes(&run.trigger)?)
            .bind(event)
            .bind(bytes(&run.input)?)
            .bind(&run.dedupe_key)
            .bind(i16::from(run.depth))
            .bind(run.concurrency.as_ref().map(|(key, _)| key))
            .bind(limit.map_err(unreadable)?)
            .bind(request_id.as_str())
            .bind(run.created_at)
            .bind(trace.as_ref().map(TraceContext::as_str))
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }
}

#[async_trait]
impl RunRepository for PgRunRepository<'_> {
    async fn claim_key(
        &mut self,
        workflow: WorkflowId,
        key: &str,
        run: RunId,
        input: [u8; 32],
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<Option<KeyedRun>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let mine: Option<(Uuid,)> = sqlx::query_as(CLAIM_KEY)
            .bind(workspace)
            .bind(workflow.as_uuid())
            .bind(key)
            .bind(run.as_uuid())
            .bind(input.as_slice())
            .bind(now)
            .bind(since)
            .fetch_optional(self.0.sqlx())
            .await
            .map_err(store_error)?;
        if mine.is_some() {
            return Ok(None);
        }
        self.find_key(workflow, key, since).await?.map(Some).ok_or_else(|| unreadable("a key that another run claimed"))
    }

    async fn find_key(
        &mut self,
        workflow: WorkflowId,
        key: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<KeyedRun>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let found: Option<(Uuid, Vec<u8>)> = sqlx::query_as(
            "select run_id, input_digest from run_key
             where workspace_id = $1 and workflow_id = $2 and dedupe_key = $3 and created_at >= $4",
        )
        .bind(workspace)
        .bind(workflow.as_uuid())
        .bind(key)
        .bind(since)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let Some((run, digest)) = found else { return Ok(None) };
        let input = digest.try_into().map_err(|_| unreadable("a digest of another length"))?;
        Ok(Some(KeyedRun { run: RunId::from_uuid(run), input }))
    }

    async fn add(&mut self, run: &NewRun) -> Result<(), StoreError> {
        let added = self.insert_run(ADD, run).await?;
        if added { Ok(()) } else { Err(unreadable("a workspace without a slot")) }
    }

    async fn add_if_published(&mut self, run: &NewRun) -> Result<bool, StoreError> {
        self.insert_run(ADD_IF_PUBLISHED, run).await
    }

    async fn find(&mut self, id: RunId) -> Result<Option<Run>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let row = sqlx::query(FIND).bind(workspace).bind(id.as_uuid()).fetch_optional(self.0.sqlx()).await;
        row.map_err(store_error)?.as_ref().map(run).transpose()
    }

    async fn transitions(&mut self, id: RunId) -> Result<Vec<TransitionRecord>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<(i32, DateTime<Utc>, Vec<u8>)> =
            sqlx::query_as("select seq, at, body from step_event where workspace_id = $1 and run_id = $2 order by seq")
                .bind(workspace)
                .bind(id.as_uuid())
                .fetch_all(self.0.sqlx())
                .await
                .map_err(store_error)?;
        rows.into_iter()
            .map(|(seq, at, body)| {
                let seq = u32::try_from(seq).map_err(unreadable)?;
                Ok(TransitionRecord { seq, at, transition: serde_json::from_slice(&body).map_err(unreadable)? })
            })
            .collect()
    }

    async fn list(
        &mut self,
        filter: &RunFilter,
        after: Option<RunId>,
        size: PageSize,
    ) -> Result<Page<Run, RunId>, StoreError> {
        list::list(self.0, filter, after, size).await
    }

    async fn request_cancel(&mut self, id: RunId, at: DateTime<Utc>) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let request = self.0.env.uuid_v7();
        sqlx::query(
            "insert into run_request (workspace_id, id, run_id, shard, kind, at)
             select workspace_id, $3, id, shard, 'cancel', $4 from (
                 select * from run where workspace_id = $1 and id >= $2 and id <= $2 order by id limit 1) r",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(request)
        .bind(at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn request_cancel_all(&mut self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query(
            "insert into run_request (workspace_id, id, run_id, shard, kind, at)
             select $1, gen_random_uuid(), r.id, r.shard, 'cancel', $2
             from unnest('{pending,running,waiting}'::text[]) as s (status)
             cross join lateral (
                 select r.id, r.shard from run r
                 where r.workspace_id = $1 and r.status >= s.status and r.status <= s.status
                 order by r.status, r.id offset 0) r",
        )
        .bind(workspace)
        .bind(at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn request_in_quarantine(
        &mut self,
        id: RunId,
        action: QuarantineAction,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let request = self.0.env.uuid_v7();
        let kind = match action {
            QuarantineAction::Release => "release",
            QuarantineAction::End => "end",
        };
        sqlx::query(
            "insert into run_request (workspace_id, id, run_id, shard, kind, at)
             select workspace_id, $3, run_id, shard, $4, $5 from run_quarantine where workspace_id = $1 and run_id = $2",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(request)
        .bind(kind)
        .bind(at)
        .execute(self.0.sqlx())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(store_error)
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(unreadable)
}

pub(super) fn run(row: &PgRow) -> Result<Run, StoreError> {
    let json = |column: &str| -> Result<Value, StoreError> {
        let bytes: Option<Vec<u8>> = row.try_get(column).map_err(store_error)?;
        bytes.map_or(Ok(Value::Null), |bytes| serde_json::from_slice(&bytes).map_err(unreadable))
    };
    let status: String = row.try_get("status").map_err(store_error)?;
    let error = match json("error")? {
        Value::Null => None,
        error => Some(serde_json::from_value(error).map_err(unreadable)?),
    };
    Ok(Run {
        id: RunId::from_uuid(row.try_get("id").map_err(store_error)?),
        workflow: WorkflowId::from_uuid(row.try_get("workflow_id").map_err(store_error)?),
        version: row.try_get("version").map_err(store_error)?,
        status: status.parse().map_err(unreadable)?,
        trigger: json("trigger")?,
        input: json("input")?,
        outputs: json("outputs")?,
        error,
        created_at: row.try_get("created_at").map_err(store_error)?,
        started_at: row.try_get("started_at").map_err(store_error)?,
        finished_at: row.try_get("finished_at").map_err(store_error)?,
        dedupe_key: row.try_get("dedupe_key").map_err(store_error)?,
    })
}
