//! Prepares the databases before the server starts.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use crate::Setting;
use crate::failure::Failure;

/// The database for measuring PostgreSQL alone: the same tables and indexes.
const BARE: &str = "bare";

/// Creates the server's login and a copy of its database, and returns the URL of the login.
pub(crate) async fn run(setting: &Setting) -> Result<String, Failure> {
    let admin: PgConnectOptions = setting.admin_url.parse()?;
    let source = admin.get_database().unwrap_or("postgres").to_owned();
    // A database can be copied only while it has no connections.
    let mut connection = PgConnection::connect_with(&admin.clone().database("template1")).await?;
    connection.execute("create role bench login noinherit password 'bench'").await?;
    connection.execute("grant tidegate_api, tidegate_engine, tidegate_directory to bench").await?;
    connection.execute(AssertSqlSafe(format!("create database {BARE} template {source}"))).await?;
    connection.close().await?;
    Ok(admin.username("bench").password("bench").to_url_lossy().to_string())
}

/// A connection of the superuser to the server's database.
pub(crate) async fn admin(setting: &Setting) -> Result<PgConnection, Failure> {
    Ok(PgConnection::connect(&setting.admin_url).await?)
}

/// A connection to the other database as the superuser, who bypasses row-level security.
pub(crate) async fn bare(setting: &Setting) -> Result<PgConnection, Failure> {
    let admin: PgConnectOptions = setting.admin_url.parse()?;
    Ok(PgConnection::connect_with(&admin.database(BARE)).await?)
}
