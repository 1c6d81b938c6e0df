//! The tasks of all workspaces' files.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_files::{DueTask, FileTaskQueue};
use tidegate_kernel::{FileId, StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;

#[derive(sqlx::FromRow)]
struct TaskRow {
    workspace_id: Uuid,
    file_id: Uuid,
    task: String,
    failures: i32,
}

/// Workspaces that are deleted are left to their erasure.
const DUE: &str = "
    select t.workspace_id, t.file_id, t.task, t.failures from file_task t
    where t.due_at <= $1
      and not exists (select from workspace_erasure e where e.workspace_id = t.workspace_id)
    order by t.due_at limit $2";

const POSTPONE: &str = "
    update file_task set due_at = $4, failures = failures + 1, error = $5
    where workspace_id = $1 and file_id = $2 and task = $3";

#[async_trait]
impl FileTaskQueue for PgStore {
    async fn due(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let query = sqlx::query_as(DUE).bind(now).bind(i64::from(limit));
        let rows: Vec<TaskRow> = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
        tx.commit().await?;
        let task = |row: TaskRow| {
            Ok(DueTask {
                workspace: WorkspaceId::from_uuid(row.workspace_id),
                file: FileId::from_uuid(row.file_id),
                task: row.task.parse().map_err(|error| StoreError::Internal(Box::new(error)))?,
                failures: row.failures,
            })
        };
        rows.into_iter().map(task).collect()
    }

    async fn postpone(
        &self,
        scope: &SystemScope,
        task: &DueTask,
        until: DateTime<Utc>,
        error: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        sqlx::query(POSTPONE)
            .bind(task.workspace.as_uuid())
            .bind(task.file.as_uuid())
            .bind(task.task.as_str())
            .bind(until)
            .bind(error.replace('\0', "").chars().take(2_000).collect::<String>())
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        tx.commit().await
    }
}
