//! Erasing deleted workspaces, as the role `tidegate_engine`. In most tables that role sees the rows of deleted
//! workspaces and no others.
//!
//! The statements are built from names in PostgreSQL's catalog, which quotes them. So a table that a later migration
//! adds is erased too.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use tidegate_engine::erasure::{ErasedTable, ErasureOutlook, WorkspaceErasure};
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{Machinery, PgTx};

/// Tenant tables that are not erased in slices: usage may have to be paid for, the seller has to keep invoices and the
/// ledger, and the workspace itself is erased last.
const KEPT: [&str; 10] = [
    "credit_note",
    "invoice",
    "invoice_line",
    "ledger_entry",
    "ledger_transaction",
    "payment",
    "usage_correction",
    "usage_counter",
    "workspace",
    "workspace_erasure",
];

/// Tenant tables with the columns of an index that begins with the workspace; the primary key if it begins so.
///
/// `workspace_head` comes first: without it no event consumer finds the workspace. A table comes before the tables that
/// it refers to, unless the foreign key cascades.
const TABLES: &str = "
    with recursive tenant as (
        select c.oid
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped
        where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace
          and c.relname <> all ($1)
    ), refers as (
        select conrelid, confrelid from pg_constraint
        where contype = 'f' and conrelid <> confrelid and confdeltype <> 'c'
    ), level (oid, n) as (
        select oid, 0 from tenant
        union
        select r.confrelid, l.n + 1 from level l join refers r on r.conrelid = l.oid where l.n < 20
    )
    select quote_ident(t.relname),
           (select array(select quote_ident(k.attname)
                         from unnest((i.indkey::int2[])[1:i.indnkeyatts - 1]) with ordinality u (attnum, place)
                         join pg_attribute k on k.attrelid = t.oid and k.attnum = u.attnum order by u.place)
            from pg_index i
            where i.indrelid = t.oid and i.indkey[0] = a.attnum and i.indpred is null and i.indexprs is null
              and not exists (select from unnest(i.indkey::int2[]) x join pg_attribute k on k.attrelid = t.oid and k.attnum = x
                              where not k.attnotnull)
            order by i.indisprimary desc, i.indisunique desc, i.indexrelid limit 1)
    from (select oid, max(n) as n from level group by oid) l
    join pg_class t on t.oid = l.oid
    join pg_attribute a on a.attrelid = t.oid and a.attname = 'workspace_id'
    where t.relname <> all ($1)
    order by t.relname <> 'workspace_head', l.n, t.relname";

/// Locks the workspace's row for the transaction, unless another transaction holds it.
const TAKE: &str =
    "select workspace_id from workspace_erasure where workspace_id = $1 and next_try <= $2 for update skip locked";

impl PgStore {
    /// Begins a transaction that may erase the workspace; `None` if its erasure is not due or another transaction does
    /// it.
    async fn begin_erasing(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<Option<Box<PgTx<Machinery>>>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        tx.declare(&[workspace]).await?;
        let query = sqlx::query(TAKE).bind(workspace.as_uuid()).bind(now);
        if query.fetch_optional(tx.sqlx()).await.map_err(store_error)?.is_none() {
            return Ok(None);
        }
        // Makes the planner find a slice by the index, whatever the statistics say.
        sqlx::query("select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)")
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        Ok(Some(tx))
    }
}

impl PgTx<Machinery> {
    /// Those of the workspaces that are deleted, and when they are to be erased.
    pub(crate) async fn erasures(
        &mut self,
        workspaces: impl IntoIterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, DateTime<Utc>>, StoreError> {
        let asked: HashSet<Uuid> = workspaces.into_iter().collect();
        let query =
            sqlx::query_as("select workspace_id, erase_at from workspace_erasure where workspace_id = any ($1)");
        let query = query.bind(Vec::from_iter(asked));
        let found: Vec<(Uuid, DateTime<Utc>)> = query.fetch_all(self.sqlx()).await.map_err(store_error)?;
        Ok(found.into_iter().collect())
    }

    async fn delete(&mut self, sql: String, workspace: WorkspaceId, rows: u32) -> Result<u64, StoreError> {
        let query = sqlx::query(AssertSqlSafe(sql)).bind(workspace.as_uuid()).bind(i64::from(rows));
        query.execute(self.sqlx()).await.map(|done| done.rows_affected()).map_err(store_error)
    }
}

#[async_trait]
impl WorkspaceErasure for PgStore {
    async fn deleted(
        &self,
        scope: &SystemScope,
        workspaces: &[WorkspaceId],
    ) -> Result<HashSet<WorkspaceId>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let found = tx.erasures(workspaces.iter().map(WorkspaceId::as_uuid)).await?;
        tx.commit().await?;
        Ok(found.into_keys().map(WorkspaceId::from_uuid).collect())
    }

    async fn outlook(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<ErasureOutlook, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let due: Vec<Uuid> = sqlx::query_scalar(
            "select workspace_id from workspace_erasure where next_try <= $1 order by next_try, workspace_id limit $2",
        )
        .bind(now)
        .bind(i64::from(limit))
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
        let (next, waiting, failed): (Option<DateTime<Utc>>, i64, i64) = sqlx::query_as(
            "select min(next_try) filter (where next_try > $1), count(*), count(error) from workspace_erasure",
        )
        .bind(now)
        .fetch_one(tx.sqlx())
        .await
        .map_err(store_error)?;
        tx.commit().await?;
        Ok(ErasureOutlook {
            due: due.into_iter().map(WorkspaceId::from_uuid).collect(),
            next,
            waiting: waiting.unsigned_abs(),
            failed: failed.unsigned_abs(),
        })
    }

    async fn tables(&self, scope: &SystemScope) -> Result<Vec<ErasedTable>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let query = sqlx::query_as(TABLES).bind(KEPT.map(str::to_owned).to_vec());
        let tables: Vec<(String, Option<Vec<String>>)> = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
        tx.commit().await?;
        let table = |(name, key): (String, Option<Vec<String>>)| ErasedTable { name, key: key.unwrap_or_default() };
        Ok(tables.into_iter().map(table).collect())
    }

    async fn erase(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
        table: &ErasedTable,
        rows: u32,
    ) -> Result<Option<u64>, StoreError> {
        let Some(mut tx) = self.begin_erasing(scope, workspace, now).await? else { return Ok(None) };
        let (name, key) = (&table.name, table.key.join(", "));
        let mut erased = 0;
        if !table.key.is_empty() {
            // Deletes up to the row at this offset.
            let sql = format!(
                "delete from {name} where workspace_id = $1 and ({key}) <= (select {key} from {name} where workspace_id = $1
                 order by workspace_id, {key} offset $2 limit 1)"
            );
            erased = tx.delete(sql, workspace, rows.saturating_sub(1)).await?;
        }
        if erased == 0 {
            // Fewer rows are left. The second condition only uses the parameter.
            let sql = format!("delete from {name} where workspace_id = $1 and $2::bigint >= 0");
            erased = tx.delete(sql, workspace, rows).await?;
        }
        tx.commit().await?;
        Ok(Some(erased))
    }

    async fn finish(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_erasing(scope, workspace, now).await? else { return Ok(false) };
        for sql in
            ["delete from workspace where workspace_id = $1", "delete from workspace_erasure where workspace_id = $1"]
        {
            sqlx::query(sql).bind(workspace.as_uuid()).execute(tx.sqlx()).await.map_err(store_error)?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn set_aside(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        until: DateTime<Utc>,
        error: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        sqlx::query("update workspace_erasure set next_try = $2, error = $3 where workspace_id = $1")
            .bind(workspace.as_uuid())
            .bind(until)
            .bind(error.replace('\0', ""))
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        tx.commit().await
    }
}
