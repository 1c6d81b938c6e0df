//! The schema: the roles of the database cluster, and numbered migrations.

use std::hash::{DefaultHasher, Hash, Hasher};

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, Executor, PgConnection};

/// The migrations in `migrations/`, compiled in.
static MIGRATOR: Migrator = sqlx::migrate!("../../../migrations");

/// The roles that transactions take. They belong to the cluster, so [`Schema::down`] does not drop them.
const RUNTIME_ROLES: [&str; 3] = ["tidegate_api", "tidegate_engine", "tidegate_directory"];

/// The role of a session outside a transaction. It has no rights on tables and may become one of the runtime roles.
const SESSION_ROLE: &str = "tidegate_session";

/// Why the schema could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database cannot be reached, or it refused a statement.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or the database has migrations that this program does not know.
    #[error("{0}")]
    Migration(#[from] MigrateError),
}

/// One migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// Whether it has been applied.
    pub applied: bool,
}

/// A digest that changes with every change of a migration. It names what is made from the migrations, such as a
/// template database.
#[must_use]
pub fn fingerprint() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in MIGRATOR.iter() {
        (migration.version, migration.migration_type.is_up_migration(), &migration.checksum).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// The newest migration. A database must have it before this program can work with it.
#[must_use]
pub fn newest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// A connection that may change the schema. Its login owns the tables and may create roles.
#[derive(Debug)]
pub struct Schema {
    connection: PgConnection,
}

impl Schema {
    /// Connects as the owner of the schema.
    ///
    /// # Errors
    /// [`SchemaError::Database`] if the address cannot be parsed or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, SchemaError> {
        Ok(Self { connection: PgConnection::connect(url).await? })
    }

    /// Creates missing roles and applies every migration that the database does not have.
    ///
    /// # Errors
    /// [`SchemaError`] if a migration fails; earlier ones stay applied.
    pub async fn up(&mut self) -> Result<(), SchemaError> {
        self.ensure_roles().await?;
        MIGRATOR.run_direct(None, &mut self.connection, false).await?;
        self.note_version().await
    }

    /// Reverts the newest `steps` migrations.
    ///
    /// # Errors
    /// [`SchemaError`] if a migration cannot be reverted; newer ones stay reverted.
    pub async fn down(&mut self, steps: usize) -> Result<(), SchemaError> {
        let applied: Vec<i64> = self.status().await?.iter().filter(|m| m.applied).map(|m| m.version).collect();
        let target = applied.len().checked_sub(steps + 1).and_then(|index| applied.get(index)).copied().unwrap_or(0);
        MIGRATOR.undo(&mut self.connection, target).await?;
        self.note_version().await
    }

    /// Writes the newest applied version to a table comment, which logins without rights on the table can read.
    async fn note_version(&mut self) -> Result<(), SchemaError> {
        let newest = self.status().await?.iter().filter(|m| m.applied).map(|m| m.version).max().unwrap_or(0);
        let sql = format!("comment on table _sqlx_migrations is '{newest}'");
        Ok(self.connection.execute(sqlx::AssertSqlSafe(sql)).await.map(drop)?)
    }

    /// Closes the connection. The embedded PostgreSQL accepts only one.
    ///
    /// # Errors
    /// [`SchemaError::Database`] if the server had gone away.
    pub async fn close(self) -> Result<(), SchemaError> {
        Ok(self.connection.close().await?)
    }

    /// Every migration that this program knows, oldest first.
    ///
    /// # Errors
    /// [`SchemaError`] if the database cannot be read.
    pub async fn status(&mut self) -> Result<Vec<MigrationStatus>, SchemaError> {
        self.connection.ensure_migrations_table(&MIGRATOR.table_name).await?;
        let applied = self.connection.list_applied_migrations(&MIGRATOR.table_name).await?;
        Ok(MIGRATOR
            .iter()
            .filter(|migration| migration.migration_type.is_up_migration())
            .map(|migration| MigrationStatus {
                version: migration.version,
                description: migration.description.to_string(),
                applied: applied.iter().any(|done| done.version == migration.version),
            })
            .collect())
    }

    /// Creates the cluster's missing roles. Two processes that do this at once both succeed.
    async fn ensure_roles(&mut self) -> Result<(), SchemaError> {
        for role in RUNTIME_ROLES.into_iter().chain([SESSION_ROLE]) {
            self.create_role(role).await?;
        }
        for role in RUNTIME_ROLES {
            let member: bool = sqlx::query_scalar("select pg_has_role($1, $2, 'member')")
                .bind(SESSION_ROLE)
                .bind(role)
                .fetch_one(&mut self.connection)
                .await?;
            if !member {
                let sql = format!("grant {role} to {SESSION_ROLE}");
                tolerate_race(self.connection.execute(sqlx::AssertSqlSafe(sql)).await.map(drop))?;
            }
        }
        Ok(())
    }

    async fn create_role(&mut self, role: &'static str) -> Result<(), SchemaError> {
        let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(role)
            .fetch_one(&mut self.connection)
            .await?;
        if !exists {
            let sql = format!("create role {role} nologin noinherit nosuperuser nobypassrls nocreatedb nocreaterole");
            tolerate_race(self.connection.execute(sqlx::AssertSqlSafe(sql)).await.map(drop))?;
        }
        Ok(())
    }
}

/// Ignores the errors of a concurrent creation of the same role or grant: duplicate_object, unique_violation on the
/// catalog, or "tuple concurrently updated", which PostgreSQL reports as an internal error.
fn tolerate_race(result: Result<(), sqlx::Error>) -> Result<(), SchemaError> {
    match result {
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42710" | "23505" | "XX000")) => {
            Ok(())
        }
        other => Ok(other?),
    }
}
