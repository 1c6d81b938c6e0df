//! The log of what people did to their own accounts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Client, Origin, RequestId, StoreError, UserId};
use tidegate_tenancy::{AccountEvent, AccountLog, AccountRecord, FailedLogIn};
use uuid::Uuid;

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

/// The action of a failed log-in.
const FAILED: &str = "session.refused";

#[derive(sqlx::FromRow)]
struct EventRow {
    id: Uuid,
    at: DateTime<Utc>,
    action: String,
    details: String,
    request_id: String,
    address: Option<String>,
    user_agent: Option<String>,
}

impl TryFrom<EventRow> for AccountRecord {
    type Error = StoreError;
    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let broken = |text: &str| StoreError::Internal(format!("{text:?} is not a request id").into());
        Ok(Self {
            id: row.id,
            at: row.at,
            action: row.action,
            details: serde_json::from_str(&row.details).map_err(|error| StoreError::Internal(Box::new(error)))?,
            origin: Origin {
                request_id: RequestId::new(&row.request_id).ok_or_else(|| broken(&row.request_id))?,
                client: Client {
                    address: row.address.and_then(|address| address.parse().ok()),
                    user_agent: row.user_agent,
                },
            },
        })
    }
}

/// [`AccountLog`] in one transaction.
pub(crate) struct PgAccountLog<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl AccountLog for PgAccountLog<'_> {
    async fn record(&mut self, event: AccountEvent, origin: &Origin) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into account_event (id, user_id, at, action, details, request_id, address, user_agent)
             values ($1, $2, $3, $4, $5::json, $6, $7, $8)",
        )
        .bind(self.0.env.uuid_v7())
        .bind(event.user.as_uuid())
        .bind(self.0.env.now())
        .bind(event.action)
        .bind(event.details.to_string())
        .bind(origin.request_id.as_str())
        .bind(origin.client.address.map(|address| address.to_string()))
        .bind(origin.client.user_agent.as_deref());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn record_failures(&mut self, failures: &[FailedLogIn]) -> Result<(), StoreError> {
        let env = self.0.env.clone();
        let ids: Vec<Uuid> = failures.iter().map(|_| env.uuid_v7()).collect();
        let users: Vec<Uuid> = failures.iter().map(|failure| failure.user.as_uuid()).collect();
        let times: Vec<DateTime<Utc>> = failures.iter().map(|failure| failure.at).collect();
        let requests: Vec<&str> = failures.iter().map(|failure| failure.origin.request_id.as_str()).collect();
        let clients = failures.iter().map(|failure| &failure.origin.client);
        let addresses: Vec<Option<String>> =
            clients.clone().map(|client| client.address.map(|address| address.to_string())).collect();
        let agents: Vec<Option<&str>> = clients.map(|client| client.user_agent.as_deref()).collect();
        sqlx::query(
            "insert into account_event (id, user_id, at, action, details, request_id, address, user_agent)
             select id, user_id, at, $1, '{}'::json, request_id, address, user_agent
             from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
                as failed (id, user_id, at, request_id, address, user_agent)",
        )
        .bind(FAILED)
        .bind(ids)
        .bind(users)
        .bind(times)
        .bind(requests)
        .bind(addresses)
        .bind(agents)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn list(&mut self, user: UserId, before: Option<Uuid>, limit: u32) -> Result<Vec<AccountRecord>, StoreError> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "select id, at, action, details::text as details, request_id, address, user_agent
             from account_event where user_id = $1 and id < $2 order by id desc limit $3",
        )
        .bind(user.as_uuid())
        .bind(before.unwrap_or(Uuid::max()))
        .bind(i64::from(limit))
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(AccountRecord::try_from).collect()
    }
}
