//! `tidegate migrate`: the schema of a PostgreSQL server. A server with the embedded PostgreSQL migrates by itself.

use clap::{Args, Subcommand};
use tidegate_postgres::migrate::{Schema, SchemaError};

use crate::cli::{Failure, print};

/// Arguments of `tidegate migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Database login that owns the tables and may create roles; default: DATABASE_URL
    #[arg(long, env = "MIGRATE_DATABASE_URL", hide_env_values = true, global = true)]
    migrate_database_url: Option<String>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply the missing migrations
    Up,
    /// Revert the newest migrations
    Down {
        /// Number of migrations
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List the migrations
    Status,
}

pub(crate) async fn run(migrate: Migrate) -> Result<(), Failure> {
    let url = migrate.migrate_database_url.or_else(|| std::env::var("DATABASE_URL").ok()).ok_or_else(|| {
        Failure::Usage("set MIGRATE_DATABASE_URL to a login that owns the tables and may create roles".to_owned())
    })?;
    let failed = |error: SchemaError| Failure::Failed(format!("the schema was not changed as asked: {error}"));
    let unreachable =
        |error: SchemaError| Failure::Failed(format!("cannot connect: {error}; check MIGRATE_DATABASE_URL"));
    let mut schema = Schema::connect(&url).await.map_err(unreachable)?;
    match migrate.action {
        Action::Up => schema.up().await.map_err(failed)?,
        Action::Down { steps } => schema.down(steps).await.map_err(failed)?,
        Action::Status => {}
    }
    for migration in schema.status().await.map_err(failed)? {
        let state = if migration.applied { "applied" } else { "missing" };
        print(&format!("{state} {:04} {}", migration.version, migration.description));
    }
    Ok(())
}
