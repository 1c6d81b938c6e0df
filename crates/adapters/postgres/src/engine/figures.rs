//! Metrics of the whole installation: backlogs and usage.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::monitoring::{
    Backlog, InstallationFigures, MAX_BACKLOG_WORKSPACES, MAX_READY_WORKSPACES, QueueFigures, UsagePeriods, UsageTotals,
};
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::rounds::WORKSPACES_PER_LOOK;
use crate::store::PgStore;
use crate::transaction::{Directory, Machinery, PgTx};

/// The first ready run of each workspace. A skip scan: the recursion goes from one workspace to the next along the
/// index.
const FIRST_READY: &str = "
    with recursive spots as (
        (select r.shard, r.workspace_id, r.run_id from ready r order by r.shard, r.workspace_id, r.seq limit 1)
        union all
        select n.shard, n.workspace_id, n.run_id
        from spots s
        cross join lateral (
            select r.shard, r.workspace_id, r.run_id from ready r
            where (r.shard, r.workspace_id) > (s.shard, s.workspace_id)
            order by r.shard, r.workspace_id, r.seq limit 1) n)
    select run_id from spots limit $1";

const FIRST_TIMERS: &str = "
    select t.due_at from shard s
    cross join lateral (select due_at from timer where timer.shard = s.shard order by due_at limit 1) t";

/// For a page of workspaces, in the order of their ids: how far each consumer is behind, and the last workspace of a
/// full page.
const BACKLOGS: &str = "
    with heads as materialized (
        select workspace_id, position from workspace_head
        where workspace_id > $2 order by workspace_id limit $3)
    select name.consumer, count(b.behind), coalesce(sum(b.behind), 0)::bigint,
        (select h.workspace_id from heads h order by h.workspace_id offset $3 - 1 limit 1)
    from unnest($1::text[]) as name (consumer)
    left join lateral (
        select h.position - coalesce((
            select c.position from event_consumer c
            where c.workspace_id = h.workspace_id and c.consumer = name.consumer), 0) as behind
        from heads h) b on b.behind > 0
    group by name.consumer";

/// A page of the workspaces that are not deleted, which are those with a slug in the locator.
const WORKSPACES: &str =
    "select digest, workspace_id from locator where kind = 'slug' and digest > $1 order by digest limit $2";

const PEOPLE: &str = "select count(*) from person";

/// The usage of each of these workspaces.
const USED: &str = "
    select coalesce(h.position, 0), case when h.period_start = $2 then h.used else 0 end,
        coalesce((select sum(c.used)::bigint from usage_counter c
                  where c.workspace_id = w.workspace_id and c.meter = 'runs' and c.period_start >= $2), 0),
        coalesce((select sum(c.used)::bigint from usage_counter c
                  where c.workspace_id = w.workspace_id and c.meter = 'steps' and c.period_start >= $2), 0),
        coalesce((select c.used from usage_counter c
                  where c.workspace_id = w.workspace_id and c.meter = 'api_calls' and c.period_start = $3), 0)
    from unnest($1::uuid[]) as w (workspace_id)
    left join lateral (
        select h.position, h.period_start, h.used from workspace_head h
        where h.workspace_id >= w.workspace_id and h.workspace_id <= w.workspace_id order by h.workspace_id limit 1) h on true";

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// When a run was started: the time in its id (UUIDv7, RFC 9562, section 5.7).
fn started(run: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = run.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

#[async_trait]
impl InstallationFigures for PgStore {
    async fn queues(&self, scope: &SystemScope, consumers: &[&'static str]) -> Result<QueueFigures, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let ready: Vec<Uuid> = sqlx::query_scalar(FIRST_READY)
            .bind(i64::from(MAX_READY_WORKSPACES))
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        let timers: Vec<DateTime<Utc>> =
            sqlx::query_scalar(FIRST_TIMERS).fetch_all(tx.sqlx()).await.map_err(store_error)?;
        let backlogs = backlogs(&mut tx, consumers).await?;
        tx.commit().await?;
        Ok(QueueFigures {
            ready_workspaces: u32::try_from(ready.len()).unwrap_or(u32::MAX),
            oldest_ready: ready.into_iter().filter_map(started).min(),
            first_timer: timers.into_iter().min(),
            backlogs,
        })
    }

    async fn totals(&self, scope: &SystemScope, periods: UsagePeriods) -> Result<UsageTotals, StoreError> {
        let mut totals = UsageTotals::default();
        let mut directory: Box<PgTx<Directory>> = self.begin_directory(scope).await?;
        let people: i64 = sqlx::query_scalar(PEOPLE).fetch_one(directory.sqlx()).await.map_err(store_error)?;
        totals.people = count(people);
        drop(directory);
        let mut after = Vec::new();
        loop {
            let mut directory = self.begin_directory(scope).await?;
            let page: Vec<(Vec<u8>, Uuid)> = sqlx::query_as(WORKSPACES)
                .bind(&after)
                .bind(WORKSPACES_PER_LOOK)
                .fetch_all(directory.sqlx())
                .await
                .map_err(store_error)?;
            // Returns the connection before the next transaction takes one.
            drop(directory);
            let Some((last, _)) = page.last() else { return Ok(totals) };
            after.clone_from(last);
            let workspaces: Vec<Uuid> = page.into_iter().map(|(_, workspace)| workspace).collect();
            self.add_used(scope, &workspaces, periods, &mut totals).await?;
        }
    }
}

impl PgStore {
    async fn add_used(
        &self,
        scope: &SystemScope,
        workspaces: &[Uuid],
        periods: UsagePeriods,
        totals: &mut UsageTotals,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        tx.declare(&workspaces.iter().copied().map(WorkspaceId::from_uuid).collect::<Vec<_>>()).await?;
        let used: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(USED)
            .bind(workspaces)
            .bind(periods.month)
            .bind(periods.day)
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        tx.commit().await?;
        for (events, month, runs, steps, calls) in used {
            totals.workspaces += 1;
            totals.active_workspaces += u64::from(calls > 0);
            totals.events += count(events);
            totals.events_this_month += count(month);
            totals.runs_this_month += count(runs);
            totals.steps_this_month += count(steps);
            totals.api_calls_today += count(calls);
        }
        Ok(())
    }
}

async fn backlogs(tx: &mut PgTx<Machinery>, consumers: &[&'static str]) -> Result<Vec<Backlog>, StoreError> {
    let mut backlogs: Vec<Backlog> =
        consumers.iter().map(|consumer| Backlog { consumer, workspaces: 0, events: 0 }).collect();
    let mut after = Some(Uuid::nil());
    let mut looked_at = 0;
    while let Some(from) = after.take().filter(|_| looked_at < i64::from(MAX_BACKLOG_WORKSPACES)) {
        let rows: Vec<(String, i64, i64, Option<Uuid>)> = sqlx::query_as(BACKLOGS)
            .bind(consumers)
            .bind(from)
            .bind(WORKSPACES_PER_LOOK)
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        for (consumer, workspaces, events, last) in rows {
            after = last;
            if let Some(backlog) = backlogs.iter_mut().find(|backlog| backlog.consumer == consumer) {
                backlog.workspaces += count(workspaces);
                backlog.events += count(events);
            }
        }
        looked_at += WORKSPACES_PER_LOOK;
    }
    Ok(backlogs)
}
