//! The catalogue of plans on PostgreSQL. It belongs to no workspace.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::{OperatorLog, Plan, PlanCatalogue, PlanRecord, PlanStatus, PlanVersion};
use tidegate_kernel::{RequestId, StoreError, UserId};

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(Debug, FromRow)]
struct VersionRow {
    status: String,
    revision: i32,
    built_in: bool,
    document: Vec<u8>,
    created_at: DateTime<Utc>,
    published_at: Option<DateTime<Utc>>,
    retired_at: Option<DateTime<Utc>>,
}

impl VersionRow {
    fn record(self) -> Result<PlanRecord, StoreError> {
        let unknown = || StoreError::Internal(format!("{:?} is not the status of a plan", self.status).into());
        Ok(PlanRecord {
            status: PlanStatus::named(&self.status).ok_or_else(unknown)?,
            plan: plan(&self.document)?,
            revision: self.revision,
            built_in: self.built_in,
            created_at: self.created_at,
            published_at: self.published_at,
            retired_at: self.retired_at,
        })
    }
}

/// The plan of a document.
pub(crate) fn plan(document: &[u8]) -> Result<Plan, StoreError> {
    serde_json::from_slice(document).map_err(|error| StoreError::Internal(Box::new(error)))
}

fn document(plan: &Plan) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(plan).map_err(|error| StoreError::Internal(Box::new(error)))
}

/// [`PlanCatalogue`] in one transaction.
pub(crate) struct PgPlanCatalogue<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl PlanCatalogue for PgPlanCatalogue<'_> {
    async fn on_sale(&mut self) -> Result<Vec<Plan>, StoreError> {
        let query = sqlx::query_scalar(
            "select distinct on (name) document from plan_version where status = 'published'
             order by name desc, version desc",
        );
        let documents: Vec<Vec<u8>> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        documents.iter().map(|document| plan(document)).collect()
    }

    async fn list(&mut self, after: Option<&PlanVersion>, limit: u32) -> Result<Vec<PlanRecord>, StoreError> {
        let query = sqlx::query_as(
            "select * from plan_version where (name, version) > ($1, $2) order by name, version limit $3",
        );
        let query = query.bind(after.map_or("", |id| &id.name)).bind(after.map_or(0, |id| id.version));
        let rows: Vec<VersionRow> = query.bind(i64::from(limit)).fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(VersionRow::record).collect()
    }

    async fn find(&mut self, id: &PlanVersion) -> Result<Option<PlanRecord>, StoreError> {
        let query = sqlx::query_as("select * from plan_version where name = $1 and version = $2");
        let query = query.bind(&id.name).bind(id.version);
        let row: Option<VersionRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(VersionRow::record).transpose()
    }

    async fn lock(&mut self, name: &str) -> Result<Vec<PlanRecord>, StoreError> {
        let query = sqlx::query_as("select * from plan_version where name = $1 order by name, version for update");
        let rows: Vec<VersionRow> = query.bind(name).fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(VersionRow::record).collect()
    }

    async fn insert(&mut self, record: &PlanRecord) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "insert into plan_version (name, version, status, revision, built_in, document, created_at, published_at,
                 retired_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        );
        let query = query
            .bind(&record.plan.name)
            .bind(record.plan.version)
            .bind(record.status.as_str())
            .bind(record.revision)
            .bind(record.built_in)
            .bind(document(&record.plan)?)
            .bind(record.created_at)
            .bind(record.published_at)
            .bind(record.retired_at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn save(&mut self, record: &PlanRecord) -> Result<(), StoreError> {
        let query = sqlx::query(
            "update plan_version set status = $3, revision = $4, document = $5, published_at = $6, retired_at = $7
             where name = $1 and version = $2",
        );
        let query = query
            .bind(&record.plan.name)
            .bind(record.plan.version)
            .bind(record.status.as_str())
            .bind(record.revision)
            .bind(document(&record.plan)?)
            .bind(record.published_at)
            .bind(record.retired_at);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn delete(&mut self, id: &PlanVersion) -> Result<(), StoreError> {
        let query = sqlx::query("delete from plan_version where name = $1 and version = $2");
        query.bind(&id.name).bind(id.version).execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

/// [`OperatorLog`] in one transaction: the log of the operator's account.
pub(crate) struct PgOperatorLog<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl OperatorLog for PgOperatorLog<'_> {
    async fn record(
        &mut self,
        operator: UserId,
        action: &'static str,
        details: &serde_json::Value,
        request_id: &RequestId,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into account_event (id, user_id, at, action, details, request_id)
             values ($1, $2, $3, $4, $5::json, $6)",
        )
        .bind(self.0.env.uuid_v7())
        .bind(operator.as_uuid())
        .bind(self.0.env.now())
        .bind(action)
        .bind(details.to_string())
        .bind(request_id.as_str());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}
