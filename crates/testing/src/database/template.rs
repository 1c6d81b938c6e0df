//! The template database that every test copies.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tidegate_postgres::migrate::{self, Schema};

use super::{LOGIN, execute};

/// The advisory lock that is held while the template is created. The number has no meaning.
const TEMPLATE_LOCK: i64 = 0x7469_6465;

/// The name of the template, which is created first if it is missing.
pub(super) async fn ensure_template(cluster: &PgConnectOptions, admin: &mut PgConnection) -> String {
    let template = format!("tidegate_template_{}", migrate::fingerprint());
    if exists(admin, &template).await {
        return template;
    }
    execute(admin, format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await;
    if !exists(admin, &template).await {
        // Renamed at the end, so that an unfinished template is never used.
        let unfinished = format!("{template}_unfinished");
        execute(admin, format!("drop database if exists {unfinished} with (force)")).await;
        execute(admin, format!("create database {unfinished} template template0")).await;
        let url = cluster.clone().database(&unfinished).to_url_lossy();
        let mut schema = Schema::connect(url.as_str()).await.expect("the template accepts its owner");
        schema.up().await.expect("every migration applies to an empty database");
        drop(schema);
        ensure_login(admin).await;
        execute(admin, format!("alter database {unfinished} allow_connections false")).await;
        // The backend of a closed connection may take a moment to end.
        execute(
            admin,
            format!("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{unfinished}'"),
        )
        .await;
        execute(admin, format!("alter database {unfinished} rename to {template}")).await;
    }
    execute(admin, format!("select pg_advisory_unlock({TEMPLATE_LOCK})")).await;
    template
}

async fn ensure_login(admin: &mut PgConnection) {
    let known: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(LOGIN)
        .fetch_one(&mut *admin)
        .await
        .expect("roles can be read");
    if !known {
        execute(admin, format!("create role {LOGIN} login noinherit password '{LOGIN}'")).await;
        execute(admin, format!("grant tidegate_api, tidegate_engine, tidegate_directory to {LOGIN}")).await;
    }
}

pub(super) async fn exists(admin: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(database)
        .fetch_one(admin)
        .await
        .expect("the list of databases can be read")
}
