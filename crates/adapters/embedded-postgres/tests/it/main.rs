//! The embedded PostgreSQL as its users see it.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod cache;
mod kill;
mod lifecycle;
mod security;

use sqlx::{Connection, PgConnection};
use tidegate_embedded_postgres::EmbeddedPostgres;

/// The one connection.
async fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    PgConnection::connect(&postgres.url()).await.expect("the embedded PostgreSQL answers")
}
