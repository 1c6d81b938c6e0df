//! Workflows and their versions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use tidegate_kernel::{Page, PageSize, StoreError, WorkflowId};
use tidegate_workflows::definition::Format;
use tidegate_workflows::model::{Document, Version, Workflow};
use tidegate_workflows::ports::WorkflowRepository;
use uuid::Uuid;

use super::broken;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

macro_rules! workflow_rows {
    ($rest:literal) => {
        concat!(
            "select w.id, w.name, w.description, w.revision, w.latest_version, w.published_version, w.created_at, w.updated_at
             from workflow w where w.workspace_id = $1 and w.deleted_at is null ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct WorkflowRow {
    id: Uuid,
    name: String,
    description: Option<Vec<u8>>,
    revision: i32,
    latest_version: i32,
    published_version: Option<i32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<WorkflowRow> for Workflow {
    fn from(row: WorkflowRow) -> Self {
        Self {
            id: WorkflowId::from_uuid(row.id),
            name: row.name,
            description: row.description.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            revision: row.revision,
            latest: row.latest_version,
            published: row.published_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    version: i32,
    name: String,
    created_at: DateTime<Utc>,
}

impl From<VersionRow> for Version {
    fn from(row: VersionRow) -> Self {
        Self { number: row.version, name: row.name, created_at: row.created_at }
    }
}

/// [`WorkflowRepository`] in one transaction.
pub(crate) struct PgWorkflowRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

impl PgWorkflowRepository<'_> {
    /// A statement whose first eight parameters are the workspace, the workflow's id and its columns that can change.
    fn with_columns<'q>(&self, statement: &'static str, workflow: &'q Workflow) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(statement)
            .bind(self.0.workspace().as_uuid())
            .bind(workflow.id.as_uuid())
            .bind(&workflow.name)
            .bind(workflow.description.as_ref().map(String::as_bytes))
            .bind(workflow.revision)
            .bind(workflow.latest)
            .bind(workflow.published)
            .bind(workflow.updated_at)
    }
}

#[async_trait]
impl WorkflowRepository for PgWorkflowRepository<'_> {
    async fn add(&mut self, workflow: &Workflow, document: &Document) -> Result<(), StoreError> {
        let insert =
            "insert into workflow (workspace_id, id, name, description, revision, latest_version, published_version,
                 updated_at, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        self.with_columns(insert, workflow)
            .bind(workflow.created_at)
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        let version = Version { number: workflow.latest, name: workflow.name.clone(), created_at: workflow.created_at };
        self.add_version(workflow.id, &version, document).await
    }

    async fn find(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_as::<_, WorkflowRow>(workflow_rows!("and w.id = $2"));
        let row = query.bind(workspace).bind(id.as_uuid()).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn lock(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_as::<_, WorkflowRow>(workflow_rows!("and w.id = $2 for update"));
        let row = query.bind(workspace).bind(id.as_uuid()).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn list(
        &mut self,
        after: Option<WorkflowId>,
        size: PageSize,
    ) -> Result<Page<Workflow, WorkflowId>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<WorkflowRow> = sqlx::query_as(workflow_rows!("and w.id < $2 order by w.id desc limit $3"))
            .bind(workspace)
            .bind(after.map_or(Uuid::max(), |id| id.as_uuid()))
            .bind(i64::from(size.get()) + 1)
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)?;
        let page = Page::from_overfetch(rows, size, |row| WorkflowId::from_uuid(row.id));
        Ok(page.map(Into::into))
    }

    async fn update(&mut self, workflow: &Workflow) -> Result<bool, StoreError> {
        let update = "update workflow set name = $3, description = $4, revision = $5, latest_version = $6, published_version = $7,
                 updated_at = $8
             where workspace_id = $1 and id = $2 and deleted_at is null";
        let done = self.with_columns(update, workflow).execute(self.0.sqlx()).await.map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn add_version(&mut self, id: WorkflowId, version: &Version, document: &Document) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query(
            "insert into workflow_version (workspace_id, workflow_id, version, name, format, source, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(version.number)
        .bind(&version.name)
        .bind(document.format.as_str())
        .bind(&document.source)
        .bind(version.created_at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn version(&mut self, id: WorkflowId, version: i32) -> Result<Option<(Version, Document)>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let row: Option<VersionRow> = sqlx::query_as(
            "select version, name, created_at from workflow_version
             where workspace_id = $1 and workflow_id = $2 and version = $3",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(version)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        // Versions never change and are never deleted, so the document that is read next belongs to this version.
        let document = self.document(id, version).await?;
        Ok(document.map(|document| (row.into(), document)))
    }

    async fn delete(&mut self, id: WorkflowId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let done = sqlx::query(
            "update workflow set deleted_at = $3, updated_at = $3, published_version = null, revision = revision + 1
             where workspace_id = $1 and id = $2 and deleted_at is null",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(now)
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn document(&mut self, id: WorkflowId, version: i32) -> Result<Option<Document>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "select format, source from workflow_version where workspace_id = $1 and workflow_id = $2 and version = $3",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(version)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let document = |(format, source): (String, Vec<u8>)| {
            let format = Format::parse(&format).ok_or_else(|| broken("an unknown format of a workflow"))?;
            Ok(Document { format, source })
        };
        row.map(document).transpose()
    }

    async fn versions(
        &mut self,
        id: WorkflowId,
        before: Option<i32>,
        size: PageSize,
    ) -> Result<Page<Version, i32>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<VersionRow> = sqlx::query_as(
            "select version, name, created_at from workflow_version
             where workspace_id = $1 and workflow_id = $2 and version < $3
             order by version desc limit $4",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(before.unwrap_or(i32::MAX))
        .bind(i64::from(size.get()) + 1)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(Page::from_overfetch(rows, size, |row| row.version).map(Into::into))
    }
}
