//! The tasks of all workspaces' files.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_files::{DueTask, FileTaskQueue};
use tidegate_kernel::{FileId, StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{Machinery, PgTx};

#[derive(sqlx::FromRow)]
struct TaskRow {
    workspace_id: Uuid,
    file_id: Uuid,
    task: String,
    failures: i32,
}

const DUE: &str = "
    select workspace_id, file_id, task, failures from file_task where due_at <= $1 order by due_at limit $2";

/// The latest of the times is never now, so that a page does not come again.
const LEAVE_TO_ERASURE: &str = "
    update file_task set due_at = greatest($3, $2 + interval '1 day') where workspace_id = $1 and due_at <= $2";

const POSTPONE: &str = "
    update file_task set due_at = $4, failures = failures + 1, error = $5
    where workspace_id = $1 and file_id = $2 and task = $3";

impl PgTx<Machinery> {
    /// Delays what is due in deleted workspaces until their erasure, so that it is not in the way of other tasks.
    /// Returns those workspaces, and when they are to be erased.
    async fn leave_to_erasure(
        &mut self,
        due: &[TaskRow],
        now: DateTime<Utc>,
    ) -> Result<HashMap<Uuid, DateTime<Utc>>, StoreError> {
        let deleted = self.erasures(due.iter().map(|row| row.workspace_id)).await?;
        for (workspace, erase_at) in &deleted {
            let update = sqlx::query(LEAVE_TO_ERASURE).bind(workspace).bind(now).bind(erase_at);
            update.execute(self.sqlx()).await.map_err(store_error)?;
        }
        Ok(deleted)
    }
}

#[async_trait]
impl FileTaskQueue for PgStore {
    async fn due(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let rows = loop {
            let query = sqlx::query_as(DUE).bind(now).bind(i64::from(limit));
            let mut rows: Vec<TaskRow> = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
            let is_last = rows.len() < limit as usize;
            let deleted = tx.leave_to_erasure(&rows, now).await?;
            rows.retain(|row| !deleted.contains_key(&row.workspace_id));
            if is_last || !rows.is_empty() {
                break rows;
            }
        };
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
