//! The members of a workspace.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use tidegate_kernel::{StoreError, UserId, WorkspaceId};
use tidegate_tenancy::{MemberRepository, Membership, Role};

use crate::entities::membership as row;
use crate::error::{orm_error, store_error};
use crate::transaction::{PgTx, Tenant};

/// Parses a role as it is stored.
pub(super) fn role(text: &str) -> Result<Role, StoreError> {
    text.parse().map_err(|error| StoreError::Internal(Box::<tidegate_tenancy::UnknownRole>::new(error)))
}

impl TryFrom<row::Model> for Membership {
    type Error = StoreError;
    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: WorkspaceId::from_uuid(row.workspace_id),
            user: UserId::from_uuid(row.user_id),
            role: role(&row.role)?,
            joined_at: row.joined_at,
        })
    }
}

/// [`MemberRepository`] in one transaction.
pub(crate) struct PgMemberRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl MemberRepository for PgMemberRepository<'_> {
    async fn insert(&mut self, membership: &Membership) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let inserted = sqlx::query(
            "insert into membership (workspace_id, user_id, role, joined_at) values ($1, $2, $3, $4)
             on conflict (workspace_id, user_id) do nothing",
        )
        .bind(workspace)
        .bind(membership.user.as_uuid())
        .bind(membership.role.name())
        .bind(membership.joined_at)
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn find(&mut self, user: UserId) -> Result<Option<Membership>, StoreError> {
        let query = self.0.select::<row::Entity>().filter(row::Column::UserId.eq(user.as_uuid()));
        query.one(&*self.0).await.map_err(orm_error)?.map(Membership::try_from).transpose()
    }

    async fn list(
        &mut self,
        after: Option<(DateTime<Utc>, UserId)>,
        limit: u32,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut query = self.0.select::<row::Entity>();
        if let Some((joined_at, user)) = after {
            let same_moment =
                Condition::all().add(row::Column::JoinedAt.eq(joined_at)).add(row::Column::UserId.gt(user.as_uuid()));
            // The first condition bounds the index; the planner finds no bound in the second.
            query = query.filter(row::Column::JoinedAt.gte(joined_at));
            query = query.filter(Condition::any().add(row::Column::JoinedAt.gt(joined_at)).add(same_moment));
        }
        let query = query.order_by_asc(row::Column::JoinedAt).order_by_asc(row::Column::UserId).limit(u64::from(limit));
        query.all(&*self.0).await.map_err(orm_error)?.into_iter().map(Membership::try_from).collect()
    }

    async fn set_role(&mut self, user: UserId, role: &Role) -> Result<bool, StoreError> {
        let query = self
            .0
            .update::<row::Entity>()
            .col_expr(row::Column::Role, Expr::value(role.name()))
            .filter(row::Column::UserId.eq(user.as_uuid()));
        Ok(query.exec(&*self.0).await.map_err(orm_error)?.rows_affected == 1)
    }

    async fn remove(&mut self, user: UserId) -> Result<bool, StoreError> {
        let query = self.0.delete::<row::Entity>().filter(row::Column::UserId.eq(user.as_uuid()));
        Ok(query.exec(&*self.0).await.map_err(orm_error)?.rows_affected == 1)
    }

    async fn count_owners(&mut self) -> Result<i64, StoreError> {
        let query = self.0.select::<row::Entity>().filter(row::Column::Role.eq(Role::OWNER.name()));
        let owners = query.count(self.0).await.map_err(orm_error)?;
        Ok(i64::try_from(owners).unwrap_or(i64::MAX))
    }
}
