//! The files of one workspace.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use tidegate_files::model::UploadKind;
use tidegate_files::model::{Completed, NewFile};
use tidegate_files::{File, FileFilter, FileName, FileRepository, FileState, Metadata, TaskKind};
use tidegate_kernel::{FileId, PageSize, StoreError};
use uuid::Uuid;

use super::list::statement;
use super::row::{COLUMNS, FileRow};
use crate::audit::actor_columns;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

const INSERT: &str = "
    with added as (
        insert into file (workspace_id, id, name, content_type, size, sha256, state, expires_at, metadata, revision,
            uploader_kind, uploader_id, created_at)
        values ($1, $2, $3, $4, $5, $6, 'uploading', $7, $8, $9, $10, $11, $12) returning id)
    insert into file_task (workspace_id, file_id, task, due_at) select $1, id, 'give_up', $13 from added";

const EXTEND: &str = "
    with extended as (update file set size = $3 where workspace_id = $1 and id = $2 and state = 'uploading' returning id)
    update file_task set due_at = $4
    where workspace_id = $1 and file_id in (select id from extended) and task = 'give_up'";

const CLAIM: &str = "
    with claimed as (
        update file set attempt = attempt + 1, claimed_until = $4
        where workspace_id = $1 and id = $2 and state = 'uploading' and expires_at is not null
          and (claimed_until is null or claimed_until <= $3)
        returning id, attempt),
    leased as (
        update file_task set due_at = greatest(due_at, $4)
        where workspace_id = $1 and file_id in (select id from claimed) and task = 'give_up')
    select attempt from claimed";

const COMPLETE: &str = "
    with completed as (
        update file set state = 'uploaded', size = $4, sha256 = $5, content_type = $6, metadata = $7, uploaded_at = $8,
            claimed_until = null, revision = revision + 1
        where workspace_id = $1 and id = $2 and state = 'uploading' and attempt = $3 returning id),
    ended as (
        delete from file_task where workspace_id = $1 and file_id in (select id from completed) and task = 'give_up'),
    later as (
        insert into file_task (workspace_id, file_id, task, due_at)
        select $1, id, 'remove_upload', $9::timestamptz from completed where $9::timestamptz is not null)
    select count(*) = 1 from completed";

const DELETE: &str = "
    with deleted as (
        update file set state = 'deleted', deleted_at = $3, purge_at = $4, revision = revision + 1
        where workspace_id = $1 and id = $2 and state = 'uploaded' returning id)
    insert into file_task (workspace_id, file_id, task, due_at) select $1, id, 'purge', $4 from deleted";

const RESTORE: &str = "
    with restored as (
        update file set state = 'uploaded', deleted_at = null, purge_at = null, revision = revision + 1
        where workspace_id = $1 and id = $2 and state = 'deleted' returning id),
    ended as (
        delete from file_task where workspace_id = $1 and file_id in (select id from restored) and task = 'purge')
    select count(*) = 1 from restored";

const ABANDON: &str = "
    update file set state = 'abandoned'
    where workspace_id = $1 and id = $2 and (state = 'abandoned' or state = 'uploading' and exists (
        select from file_task t
        where t.workspace_id = $1 and t.file_id = $2 and t.task = 'give_up' and t.due_at <= $3))";

const PURGE: &str = "
    update file set state = 'purging', revision = revision + 1
    where workspace_id = $1 and id = $2 and (state = 'purging' or state = 'deleted' and purge_at <= $3)";

const FREED: &str = "
    with was as (
        select id, size, state from file
        where workspace_id = $1 and id = $2 and state in ('purging', 'abandoned') for update),
    freed as (
        update file f set state = case f.state when 'purging' then 'purged' else f.state end,
            size = case f.state when 'abandoned' then 0 else f.size end,
            metadata = '{}',
            revision = f.revision + 1,
            purge_at = case f.state when 'purging' then $3 else f.purge_at end
        from was where f.workspace_id = $1 and f.id = was.id returning f.id),
    ended as (
        delete from file_task
        where workspace_id = $1 and file_id in (select id from freed) and task in ('give_up', 'purge')),
    later as (
        insert into file_task (workspace_id, file_id, task, due_at) select $1, id, 'forget', $4 from freed
        on conflict (workspace_id, file_id, task) do nothing)
    select coalesce((select size from was), 0)";

const FORGET: &str = "
    delete from file
    where workspace_id = $1 and id = $2 and (state = 'purged' or state = 'abandoned' and size = 0)";

/// [`FileRepository`] in one transaction.
pub(crate) struct PgFileRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

fn document(metadata: &Metadata) -> serde_json::Value {
    serde_json::Value::Object(metadata.members().clone())
}

impl PgFileRepository<'_> {
    fn workspace(&self) -> Uuid {
        self.0.workspace().as_uuid()
    }
}

#[async_trait]
impl FileRepository for PgFileRepository<'_> {
    async fn insert(&mut self, new: &NewFile) -> Result<(), StoreError> {
        let file = &new.file;
        let (kind, uploader) = actor_columns(file.uploaded_by);
        let expires_at = match file.upload {
            UploadKind::Direct => None,
            UploadKind::Presigned { expires_at } => Some(expires_at),
        };
        sqlx::query(INSERT)
            .bind(self.workspace())
            .bind(file.id.as_uuid())
            .bind(file.name.as_str())
            .bind(file.content_type.as_str())
            .bind(file.size)
            .bind(file.sha256.map(|digest| digest.to_vec()))
            .bind(expires_at)
            .bind(document(&file.metadata))
            .bind(file.revision)
            .bind(kind)
            .bind(uploader)
            .bind(file.created_at)
            .bind(new.lease_until)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn find(&mut self, id: FileId) -> Result<Option<File>, StoreError> {
        let sql = format!("select {COLUMNS} from file where workspace_id = $1 and id = $2 and state <> 'abandoned'");
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(self.workspace()).bind(id.as_uuid());
        let row: Option<FileRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(File::try_from).transpose()
    }

    async fn list(
        &mut self,
        filter: &FileFilter,
        before: Option<FileId>,
        size: PageSize,
    ) -> Result<Vec<File>, StoreError> {
        let before = before.map(|id| id.as_uuid());
        let mut query = statement(self.workspace(), filter, before, i64::from(size.get()) + 1);
        let rows: Vec<FileRow> = query.build_query_as().fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(File::try_from).collect()
    }

    async fn extend(&mut self, id: FileId, size: i64, lease_until: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(EXTEND).bind(self.workspace()).bind(id.as_uuid()).bind(size).bind(lease_until);
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn claim(&mut self, id: FileId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<i32>, StoreError> {
        let query = sqlx::query_scalar(CLAIM).bind(self.workspace()).bind(id.as_uuid()).bind(now).bind(until);
        query.fetch_optional(self.0.sqlx()).await.map_err(store_error)
    }

    async fn release(&mut self, id: FileId, attempt: i32) -> Result<(), StoreError> {
        let sql = "update file set claimed_until = null
                   where workspace_id = $1 and id = $2 and attempt = $3 and state = 'uploading'";
        let query = sqlx::query(sql).bind(self.workspace()).bind(id.as_uuid()).bind(attempt);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn complete(&mut self, id: FileId, attempt: i32, completed: &Completed) -> Result<bool, StoreError> {
        sqlx::query_scalar(COMPLETE)
            .bind(self.workspace())
            .bind(id.as_uuid())
            .bind(attempt)
            .bind(completed.size)
            .bind(completed.sha256.to_vec())
            .bind(completed.content_type.as_str())
            .bind(document(&completed.metadata))
            .bind(completed.at)
            .bind(completed.remove_upload_at)
            .fetch_one(self.0.sqlx())
            .await
            .map_err(store_error)
    }

    async fn change(
        &mut self,
        id: FileId,
        revision: i32,
        name: &FileName,
        metadata: &Metadata,
    ) -> Result<bool, StoreError> {
        let sql = "update file set name = $4, metadata = $5, revision = revision + 1
                   where workspace_id = $1 and id = $2 and revision = $3 and state = 'uploaded'";
        let query = sqlx::query(sql).bind(self.workspace()).bind(id.as_uuid()).bind(revision);
        let query = query.bind(name.as_str()).bind(document(metadata));
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn delete(&mut self, id: FileId, at: DateTime<Utc>, purge_at: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(DELETE).bind(self.workspace()).bind(id.as_uuid()).bind(at).bind(purge_at);
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn restore(&mut self, id: FileId) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(RESTORE).bind(self.workspace()).bind(id.as_uuid());
        query.fetch_one(self.0.sqlx()).await.map_err(store_error)
    }

    async fn withdraw(&mut self, id: FileId, to: FileState, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let sql = match to {
            FileState::Abandoned => ABANDON,
            FileState::Purging => PURGE,
            other => return Err(StoreError::Internal(format!("a file is not withdrawn to {other}").into())),
        };
        let query = sqlx::query(sql).bind(self.workspace()).bind(id.as_uuid()).bind(now);
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn freed(&mut self, id: FileId, now: DateTime<Utc>, forget_at: DateTime<Utc>) -> Result<i64, StoreError> {
        let query = sqlx::query_scalar(FREED).bind(self.workspace()).bind(id.as_uuid()).bind(now).bind(forget_at);
        query.fetch_one(self.0.sqlx()).await.map_err(store_error)
    }

    async fn forget(&mut self, id: FileId) -> Result<(), StoreError> {
        let query = sqlx::query(FORGET).bind(self.workspace()).bind(id.as_uuid());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn end_task(&mut self, id: FileId, task: TaskKind) -> Result<(), StoreError> {
        let sql = "delete from file_task where workspace_id = $1 and file_id = $2 and task = $3";
        let query = sqlx::query(sql).bind(self.workspace()).bind(id.as_uuid()).bind(task.as_str());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn deleted_bytes(&mut self) -> Result<i64, StoreError> {
        let sql = "select coalesce(sum(size), 0)::bigint from file
                   where workspace_id = $1 and state in ('deleted', 'purging')";
        sqlx::query_scalar(sql).bind(self.workspace()).fetch_one(self.0.sqlx()).await.map_err(store_error)
    }
}
