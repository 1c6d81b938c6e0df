//! A database for each test: a copy of one that was migrated once, dropped at the end.
//!
//! `cargo xtask test` starts a PostgreSQL and names it in `TIDEGATE_TEST_DATABASE_URL`. The first test that needs it
//! makes a template, named after the migrations; every test, in whichever process, copies the template, which is far
//! quicker than migrating again.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tidegate_kernel::Environment;
use tidegate_postgres::migrate::{self, Schema};
use tidegate_postgres::{PgStore, PgStoreConfig};

/// The login that a server would have: no rights of its own, a member of the runtime roles.
const LOGIN: &str = "tidegate_test_login";
/// Whoever makes the template holds this lock, so that the others wait for it. The number means nothing.
const TEMPLATE_LOCK: i64 = 0x7469_6465;

/// A database of one test, dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    cluster: PgConnectOptions,
    url: String,
    admin_url: String,
}

impl TestDatabase {
    /// A database with every migration applied.
    pub async fn new() -> Self {
        let cluster = cluster();
        let mut admin = connect(&cluster).await;
        let template = ensure_template(&cluster, &mut admin).await;
        Self::create(cluster, admin, &template).await
    }

    /// A database without any migration, in a cluster that may have the roles already.
    pub async fn empty() -> Self {
        let cluster = cluster();
        let admin = connect(&cluster).await;
        Self::create(cluster, admin, "template0").await
    }

    async fn create(cluster: PgConnectOptions, mut admin: PgConnection, template: &str) -> Self {
        let name = format!("tidegate_test_{:016x}", RandomState::new().hash_one(0));
        execute(&mut admin, format!("create database {name} template {template}")).await;
        admin.close().await.expect("PostgreSQL closes a connection");
        let database = cluster.clone().database(&name);
        let admin_url = database.to_url_lossy().to_string();
        let url = database.username(LOGIN).password(LOGIN).to_url_lossy().to_string();
        Self { name, cluster, url, admin_url }
    }

    /// The address with which a server would log in: a login that owns nothing and cannot bypass row-level security.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the superuser, who owns the tables and sees every row.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// A connection of the superuser.
    pub async fn admin(&self) -> PgConnection {
        connect(&self.cluster.clone().database(&self.name)).await
    }

    /// A store that is connected as a server would be.
    pub async fn store(&self, env: Environment) -> PgStore {
        let config = PgStoreConfig::served(&self.url);
        PgStore::connect(&config, env).await.expect("the store connects to its test database")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, cluster) = (self.name.clone(), self.cluster.clone());
        // A thread of its own, because the test's runtime may be the one that runs this.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&cluster).await?;
                admin.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await?;
                admin.close().await
            })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("the test database {} is left behind", self.name);
        }
    }
}

/// The cluster that tests may fill.
fn cluster() -> PgConnectOptions {
    let Ok(url) = env::var("TIDEGATE_TEST_DATABASE_URL") else {
        panic!("no PostgreSQL for tests: run them with `cargo xtask test`, or set TIDEGATE_TEST_DATABASE_URL");
    };
    url.parse().expect("TIDEGATE_TEST_DATABASE_URL is the address of a PostgreSQL")
}

/// The name of the template, made first where it is missing.
async fn ensure_template(cluster: &PgConnectOptions, admin: &mut PgConnection) -> String {
    let template = format!("tidegate_template_{}", migrate::fingerprint());
    if exists(admin, &template).await {
        return template;
    }
    execute(admin, format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await;
    if !exists(admin, &template).await {
        // The name is given at the end, so that a template that was not finished is never taken for one.
        let unfinished = format!("{template}_unfinished");
        execute(admin, format!("drop database if exists {unfinished} with (force)")).await;
        execute(admin, format!("create database {unfinished} template template0")).await;
        let url = cluster.clone().database(&unfinished).to_url_lossy();
        let mut schema = Schema::connect(url.as_str()).await.expect("the template accepts its owner");
        schema.up().await.expect("every migration applies to an empty database");
        drop(schema);
        ensure_login(admin).await;
        execute(admin, format!("alter database {unfinished} allow_connections false")).await;
        // The backend of a connection that was dropped may take a moment to end.
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

async fn exists(admin: &mut PgConnection, database: &str) -> bool {
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(database)
        .fetch_one(admin)
        .await
        .expect("the list of databases can be read")
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.expect("the PostgreSQL for tests answers")
}

/// Runs SQL that this file alone has written: constants and names made of hexadecimal digits.
async fn execute(admin: &mut PgConnection, sql: String) {
    if let Err(error) = admin.execute(AssertSqlSafe(sql.as_str().to_owned())).await {
        panic!("{sql}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_test_has_a_database_of_its_own_and_leaves_none() {
        let (first, second) = (TestDatabase::new().await, TestDatabase::new().await);
        first.admin().await.execute("create table only_here ()").await.unwrap();
        assert!(second.admin().await.execute("select from only_here").await.is_err());
        let (name, mut cluster) = (first.name.clone(), connect(&first.cluster).await);
        drop(first);
        assert!(!exists(&mut cluster, &name).await);
    }

    #[tokio::test]
    async fn the_login_of_a_server_can_do_nothing_outside_a_transaction() {
        let database = TestDatabase::new().await;
        let mut login = PgConnection::connect(database.url()).await.unwrap();
        let error = login.execute("select from workspace").await.unwrap_err();
        assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"));
    }
}
