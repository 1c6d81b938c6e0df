//! What a person owns across workspaces, such as memberships.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, WorkspaceId};
use tidegate_tenancy::{Admission, Digest, Membership, PersonalRepository, Role, Workspace, WorkspaceRef};
use uuid::Uuid;

use super::member::role;
use super::signing_keys::SLUG;
use super::workspace::{PolicyRow, WorkspaceRow};
use crate::error::store_error;
use crate::transaction::{Person, PgTx};

#[derive(sqlx::FromRow)]
struct OwnWorkspaceRow {
    #[sqlx(flatten)]
    workspace: WorkspaceRow,
    role: String,
    joined_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct AdmissionRow {
    workspace_id: Uuid,
    role: String,
    joined_at: DateTime<Utc>,
    #[sqlx(flatten)]
    policy: PolicyRow,
}

/// [`PersonalRepository`] in one transaction.
pub(crate) struct PgPersonalRepository<'c>(pub(crate) &'c mut PgTx<Person>);

#[async_trait]
impl PersonalRepository for PgPersonalRepository<'_> {
    async fn membership(&mut self, workspace: &WorkspaceRef) -> Result<Option<Admission>, StoreError> {
        let user = self.0.user();
        let query = match workspace {
            WorkspaceRef::Id(id) => sqlx::query_as(
                "select m.workspace_id, m.role, m.joined_at, w.second_factor, w.second_factor_roles, w.second_factor_from
                 from membership m join workspace w using (workspace_id)
                 where m.user_id = $1 and m.workspace_id = $2 and w.deleted_at is null",
            )
            .bind(user.as_uuid())
            .bind(id.as_uuid()),
            WorkspaceRef::Slug(slug) => sqlx::query_as(
                "select m.workspace_id, m.role, m.joined_at, w.second_factor, w.second_factor_roles, w.second_factor_from
                 from locator l join membership m using (workspace_id) join workspace w using (workspace_id)
                 where m.user_id = $1 and l.kind = $3 and l.digest = $2 and w.deleted_at is null",
            )
            .bind(user.as_uuid())
            .bind(Digest::of(slug.as_str()).as_bytes().to_vec())
            .bind(SLUG),
        };
        let row: Option<AdmissionRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(|row| {
            let workspace = WorkspaceId::from_uuid(row.workspace_id);
            let membership = Membership { workspace, user, role: role(&row.role)?, joined_at: row.joined_at };
            Ok(Admission { membership, policy: row.policy.into() })
        })
        .transpose()
    }

    async fn workspaces(
        &mut self,
        after: Option<(DateTime<Utc>, WorkspaceId)>,
        limit: u32,
    ) -> Result<Vec<(Workspace, Role, DateTime<Utc>)>, StoreError> {
        let (joined_at, id) = after.map_or((DateTime::<Utc>::MIN_UTC, Uuid::nil()), |(at, id)| (at, id.as_uuid()));
        let joined_at = after.map(|_| joined_at);
        let rows: Vec<OwnWorkspaceRow> = sqlx::query_as(
            "select w.workspace_id, w.name, w.slug, w.created_at, m.role, m.joined_at
             from membership m cross join lateral (
                select * from workspace w where w.workspace_id = m.workspace_id and w.deleted_at is null offset 0) w
             where m.user_id = $1
                and ($2::timestamptz is null or (m.joined_at, m.workspace_id) > ($2, $3))
             order by m.joined_at, m.workspace_id limit $4",
        )
        .bind(self.0.user().as_uuid())
        .bind(joined_at)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(|row| Ok((row.workspace.try_into()?, role(&row.role)?, row.joined_at))).collect()
    }
}
