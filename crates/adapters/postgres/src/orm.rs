//! sea-orm on a transaction that was opened for a scope. All tenant queries of sea-orm are made here.

use async_trait::async_trait;
use sea_orm::sea_query::{Value, Values};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, DeleteMany, EntityTrait, ExecResult, QueryFilter,
    QueryResult, RuntimeErr, Select, Statement, UpdateMany,
};
use sea_query_sqlx::SqlxValues;
use sqlx::AssertSqlSafe;

use crate::transaction::{PgTx, Tenant};

#[async_trait]
impl<G: Send + Sync> ConnectionTrait for PgTx<G> {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), values(statement.values));
        query.execute(&mut **self.connection.lock().await).await.map(Into::into).map_err(execution)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        query.execute(&mut **self.connection.lock().await).await.map(Into::into).map_err(execution)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), values(statement.values));
        let row = query.fetch_optional(&mut **self.connection.lock().await).await.map_err(reading)?;
        Ok(row.map(Into::into))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), values(statement.values));
        let rows = query.fetch_all(&mut **self.connection.lock().await).await.map_err(reading)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

fn values(values: Option<Values>) -> SqlxValues {
    SqlxValues(values.unwrap_or(Values(Vec::new())))
}

fn execution(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn reading(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// An entity whose rows belong to a workspace.
pub(crate) trait TenantEntity: EntityTrait {
    /// The column with the workspace's id.
    fn workspace_column() -> Self::Column;
}

/// The only way to tenant rows through sea-orm: every statement has `workspace_id = $scope`.
#[expect(clippy::disallowed_methods, reason = "this is the helper that everything else has to go through")]
impl PgTx<Tenant> {
    fn own<E: TenantEntity>(&self) -> sea_orm::sea_query::SimpleExpr {
        E::workspace_column().eq(self.workspace().as_uuid())
    }

    /// A query over the workspace's rows of `E`.
    pub(crate) fn select<E: TenantEntity>(&self) -> Select<E> {
        E::find().filter(self.own::<E>())
    }

    /// An update of the workspace's rows of `E`.
    pub(crate) fn update<E: TenantEntity>(&self) -> UpdateMany<E> {
        E::update_many().filter(self.own::<E>())
    }

    /// A deletion among the workspace's rows of `E`.
    pub(crate) fn delete<E: TenantEntity>(&self) -> DeleteMany<E> {
        E::delete_many().filter(self.own::<E>())
    }

    /// Inserts a row into the workspace, whatever workspace the row names.
    pub(crate) async fn insert<A>(&self, mut row: A) -> Result<(), DbErr>
    where
        A: ActiveModelTrait + Send,
        A::Entity: TenantEntity,
    {
        let workspace = Value::Uuid(Some(self.workspace().as_uuid()));
        row.set(<A::Entity as TenantEntity>::workspace_column(), workspace);
        A::Entity::insert(row).exec_without_returning(self).await.map(drop)
    }
}
