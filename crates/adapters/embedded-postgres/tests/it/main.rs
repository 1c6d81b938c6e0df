//! Tests of the embedded PostgreSQL.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod cache;
mod contract;
mod kill;
mod lifecycle;
mod schema;
mod security;
mod wal;

use sqlx::{Connection, PgConnection};
use tidegate_embedded_postgres::EmbeddedPostgres;
use tidegate_testing::TestDatabase;

/// Opens the only connection.
async fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    PgConnection::connect(&postgres.url()).await.expect("the embedded PostgreSQL answers")
}

/// A migrated database on a temporary directory.
async fn database() -> TestDatabase {
    let postgres = EmbeddedPostgres::temporary().unwrap();
    TestDatabase::embedded(postgres.url(), postgres).await
}
