//! The workspace row and its slug.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, WorkspaceId};
use tidegate_tenancy::{
    Digest, Name, SecondFactorRule, Slug, Workspace, WorkspaceChange, WorkspaceDeletion, WorkspacePolicy,
    WorkspaceRepository,
};
use uuid::Uuid;

use super::broken;
use super::signing_keys::SLUG;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(sqlx::FromRow)]
pub(super) struct WorkspaceRow {
    workspace_id: Uuid,
    name: String,
    slug: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<WorkspaceRow> for Workspace {
    type Error = StoreError;
    fn try_from(row: WorkspaceRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: WorkspaceId::from_uuid(row.workspace_id),
            name: Name::stored(row.name),
            slug: Slug::new(&row.slug).map_err(broken)?,
            created_at: row.created_at,
        })
    }
}

/// The policy of a workspace.
#[derive(sqlx::FromRow)]
pub(super) struct PolicyRow {
    second_factor: String,
    second_factor_roles: Vec<String>,
    second_factor_from: Option<DateTime<Utc>>,
}

impl From<PolicyRow> for WorkspacePolicy {
    fn from(row: PolicyRow) -> Self {
        let second_factor = SecondFactorRule::of_parts(&row.second_factor, row.second_factor_roles);
        Self { second_factor, from: row.second_factor_from }
    }
}

/// [`WorkspaceRepository`] in one transaction.
pub(crate) struct PgWorkspaceRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

impl PgWorkspaceRepository<'_> {
    /// Reserves a slug for the workspace; `false` if it is taken. The workspace's row must exist.
    async fn take_slug(&mut self, slug: &Slug) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let taken = sqlx::query(
            "insert into locator (workspace_id, kind, digest, object_id) values ($1, $2, $3, $1)
             on conflict (kind, digest) do nothing",
        )
        .bind(workspace)
        .bind(SLUG)
        .bind(Digest::of(slug.as_str()).as_bytes().as_slice())
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(taken.rows_affected() == 1)
    }

    async fn free_slug(&mut self, slug: Option<&Slug>) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query(
            "delete from locator where workspace_id = $1 and kind = $2 and object_id = $1
                and ($3::bytea is null or digest <> $3)",
        )
        .bind(workspace)
        .bind(SLUG)
        .bind(slug.map(|kept| Digest::of(kept.as_str()).as_bytes().to_vec()))
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }
}

#[async_trait]
impl WorkspaceRepository for PgWorkspaceRepository<'_> {
    async fn insert(&mut self, workspace: &Workspace) -> Result<bool, StoreError> {
        let id = self.0.workspace().as_uuid();
        // The row comes first, since the locator refers to it. If the slug is taken, a second attempt finds the row
        // already there.
        sqlx::query(
            "insert into workspace (workspace_id, name, slug, created_at) values ($1, $2, $3, $4)
             on conflict (workspace_id) do update set slug = excluded.slug",
        )
        .bind(id)
        .bind(workspace.name.as_str())
        .bind(workspace.slug.as_str())
        .bind(workspace.created_at)
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        self.take_slug(&workspace.slug).await
    }

    async fn get(&mut self) -> Result<Option<Workspace>, StoreError> {
        let id = self.0.workspace().as_uuid();
        let row: Option<WorkspaceRow> = sqlx::query_as(
            "select workspace_id, name, slug, created_at from workspace where workspace_id = $1 and deleted_at is null",
        )
        .bind(id)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        row.map(Workspace::try_from).transpose()
    }

    async fn update(&mut self, change: &WorkspaceChange) -> Result<Option<bool>, StoreError> {
        let Some(current) = self.get().await? else { return Ok(None) };
        if let Some(slug) = &change.slug
            && *slug != current.slug
        {
            if !self.take_slug(slug).await? {
                return Ok(Some(false));
            }
            self.free_slug(Some(slug)).await?;
        }
        let id = self.0.workspace().as_uuid();
        let updated = sqlx::query(
            "update workspace set name = coalesce($2, name), slug = coalesce($3, slug)
             where workspace_id = $1 and deleted_at is null",
        )
        .bind(id)
        .bind(change.name.as_ref().map(Name::as_str))
        .bind(change.slug.as_ref().map(Slug::as_str))
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok((updated.rows_affected() == 1).then_some(true))
    }

    async fn policy(&mut self) -> Result<Option<WorkspacePolicy>, StoreError> {
        let row: Option<PolicyRow> = sqlx::query_as(
            "select second_factor, second_factor_roles, second_factor_from from workspace
             where workspace_id = $1 and deleted_at is null",
        )
        .bind(self.0.workspace().as_uuid())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.map(WorkspacePolicy::from))
    }

    async fn set_policy(&mut self, policy: &WorkspacePolicy) -> Result<bool, StoreError> {
        let (rule, roles) = policy.second_factor.parts();
        let query = sqlx::query(
            "update workspace set second_factor = $2, second_factor_roles = $3, second_factor_from = $4
             where workspace_id = $1 and deleted_at is null",
        )
        .bind(self.0.workspace().as_uuid())
        .bind(rule)
        .bind(roles)
        .bind(policy.from);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn delete(&mut self, deletion: &WorkspaceDeletion) -> Result<bool, StoreError> {
        let id = self.0.workspace().as_uuid();
        let deleted =
            sqlx::query("update workspace set deleted_at = $2 where workspace_id = $1 and deleted_at is null")
                .bind(id)
                .bind(deletion.deleted_at)
                .execute(self.0.sqlx())
                .await
                .map_err(store_error)?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "insert into workspace_erasure (workspace_id, deleted_at, erase_at, next_try) values ($1, $2, $3, $3)",
        )
        .bind(id)
        .bind(deletion.deleted_at)
        .bind(deletion.erase_at)
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        self.free_slug(None).await?;
        Ok(true)
    }

    async fn lock(&mut self) -> Result<bool, StoreError> {
        let id = self.0.workspace().as_uuid();
        // Not `for update`: that would block every audit entry, whose foreign key takes a key-share lock.
        let row: Option<Uuid> = sqlx::query_scalar(
            "select workspace_id from workspace where workspace_id = $1 and deleted_at is null for no key update",
        )
        .bind(id)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.is_some())
    }
}
