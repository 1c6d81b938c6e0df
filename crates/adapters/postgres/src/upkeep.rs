//! Retention: removing expired rows of all workspaces.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tidegate_engine::upkeep::{Expired, Upkeep};
use tidegate_kernel::{StoreError, SystemScope, Transaction};

use crate::error::store_error;
use crate::ids::first_id;
use crate::store::PgStore;

const SESSIONS: &str = "
    delete from session where id = any (array(
        select id from session where least(revoked_at, expires_at) < $1
        order by least(revoked_at, expires_at) limit $2))";

const ACCOUNT_EVENTS: &str = "
    delete from account_event where id = any (array(select id from account_event where id < $1 order by id limit $2))";

/// Deletes rows that an index on their time finds. They are addressed by row comparisons, which use the index of their
/// key.
macro_rules! delete_before {
    ($table:literal, $time:literal, $first:literal $(, $key:literal)*) => {
        concat!(
            "with old as materialized (select ", $first $(, ", ", $key)*, " from ", $table,
            " where ", $time, " < $1 order by ", $time, " limit $2)
             delete from ", $table, " t using old where (t.", $first $(, ", t.", $key)*,
            ") >= (old.", $first $(, ", old.", $key)*, ") and (t.", $first $(, ", t.", $key)*,
            ") <= (old.", $first $(, ", old.", $key)*, ") and t.", $time, " < $1"
        )
    };
}
const USAGE: &str = delete_before!("usage_counter", "period_start", "workspace_id", "meter", "period_start");
const RECORDERS: &str = delete_before!("usage_recorder", "at", "recorder");
const DEDUPE_KEYS: &str = delete_before!("run_key", "created_at", "workspace_id", "workflow_id", "dedupe_key");
const ANSWERS: &str = delete_before!("idempotency_key", "kept_until", "workspace_id", "actor_id", "digest");
const MAILS: &str = delete_before!("kept_mail", "at", "id");
const PAYMENT_EVENTS: &str = delete_before!("payment_event", "received_at", "provider", "id");
const PERSONAL_ANSWERS: &str = delete_before!("person_idempotency_key", "kept_until", "user_id", "digest");

async fn delete(
    connection: &mut PgConnection,
    sql: &'static str,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, StoreError> {
    let query = sqlx::query(sql).bind(before).bind(i64::from(limit));
    query.execute(connection).await.map(|done| done.rows_affected()).map_err(store_error)
}

#[async_trait]
impl Upkeep for PgStore {
    async fn remove_expired(
        &self,
        scope: &SystemScope,
        what: Expired,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        if what == Expired::DedupeKeys {
            let mut tx = self.begin_machinery(scope).await?;
            let removed = delete(tx.sqlx(), DEDUPE_KEYS, before, limit).await?;
            tx.commit().await?;
            return Ok(removed);
        }
        let mut tx = self.begin_directory(scope).await?;
        let removed = match what {
            Expired::Sessions => delete(tx.sqlx(), SESSIONS, before, limit).await?,
            Expired::AccountEvents => {
                let query = sqlx::query(ACCOUNT_EVENTS).bind(first_id(before)).bind(i64::from(limit));
                query.execute(tx.sqlx()).await.map_err(store_error)?.rows_affected()
            }
            Expired::IdempotencyKeys => {
                let of_workspaces = delete(tx.sqlx(), ANSWERS, before, limit).await?;
                of_workspaces.max(delete(tx.sqlx(), PERSONAL_ANSWERS, before, limit).await?)
            }
            Expired::PaymentEvents => delete(tx.sqlx(), PAYMENT_EVENTS, before, limit).await?,
            Expired::KeptMails => delete(tx.sqlx(), MAILS, before, limit).await?,
            Expired::UsageRecords => delete(tx.sqlx(), USAGE, before, limit).await?,
            Expired::DedupeKeys => 0,
        };
        tx.commit().await?;
        if what == Expired::UsageRecords {
            let mut tx = self.begin_machinery(scope).await?;
            let recorders = delete(tx.sqlx(), RECORDERS, before, limit).await?;
            tx.commit().await?;
            return Ok(removed.max(recorders));
        }
        Ok(removed)
    }

    async fn ensure_partitions(&self, scope: &SystemScope) -> Result<u32, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let query = sqlx::query_scalar("select tidegate_ensure_partitions()");
        let made: i32 = query.fetch_one(tx.sqlx()).await.map_err(store_error)?;
        tx.commit().await?;
        Ok(made.unsigned_abs())
    }
}
