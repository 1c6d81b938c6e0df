//! A database for each test: a copy of a migrated template, dropped at the end.
//!
//! `cargo xtask test` starts a PostgreSQL and gives its address in `TIDEGATE_TEST_DATABASE_URL`. The first test that
//! needs it creates a template, named after the migrations. Every test, in any process, copies the template, which is
//! far faster than migrating again.

mod template;

use std::any::Any;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tidegate_kernel::{Environment, WorkspaceId};
use tidegate_postgres::migrate::Schema;
use tidegate_postgres::{PgEngineStore, PgStore, PgStoreConfig};

use self::template::ensure_template;

/// The login of a server: it has no rights of its own and is a member of the runtime roles.
const LOGIN: &str = "tidegate_test_login";

/// A database of one test, dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    home: Home,
    url: String,
    admin_url: String,
}

/// The PostgreSQL of the database.
enum Home {
    /// A server that many tests share.
    Served { cluster: Box<PgConnectOptions>, name: String },
    /// Embedded in this process, for as long as this value lives.
    Embedded(#[expect(dead_code, reason = "it is only held")] Box<dyn Any + Send + Sync>),
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Served { name, .. } => name,
            Self::Embedded(_) => "embedded",
        })
    }
}

impl TestDatabase {
    /// A database with every migration applied.
    pub async fn new() -> Self {
        let cluster = cluster();
        let mut admin = connect(&cluster).await;
        let template = ensure_template(&cluster, &mut admin).await;
        Self::create(cluster, admin, &template).await
    }

    /// A database without any migration, in a cluster that may already have the roles.
    pub async fn empty() -> Self {
        let cluster = cluster();
        let admin = connect(&cluster).await;
        Self::create(cluster, admin, "template0").await
    }

    /// The database of an embedded PostgreSQL at `url`, with every migration applied. `postgres` is the value that
    /// keeps it running; this crate does not name its type, so that dependents need not build it.
    ///
    /// There is exactly one connection: [`TestDatabase::admin`] waits for ever while a store is open, and the other way
    /// round.
    pub async fn embedded(url: String, postgres: impl Any + Send + Sync) -> Self {
        let database = Self::embedded_empty(url, postgres);
        let mut schema = Schema::connect(&database.url).await.expect("the embedded PostgreSQL answers");
        schema.up().await.expect("every migration applies to the embedded PostgreSQL");
        database
    }

    /// The same without any migration.
    #[must_use]
    pub fn embedded_empty(url: String, postgres: impl Any + Send + Sync) -> Self {
        Self { home: Home::Embedded(Box::new(postgres)), admin_url: url.clone(), url }
    }

    async fn create(cluster: PgConnectOptions, mut admin: PgConnection, template: &str) -> Self {
        let name = format!("tidegate_test_{:016x}", RandomState::new().hash_one(0));
        execute(&mut admin, format!("create database {name} template {template}")).await;
        admin.close().await.expect("PostgreSQL closes a connection");
        let database = cluster.clone().database(&name);
        let admin_url = database.to_url_lossy().to_string();
        let url = database.username(LOGIN).password(LOGIN).to_url_lossy().to_string();
        Self { home: Home::Served { cluster: Box::new(cluster), name }, url, admin_url }
    }

    /// The address with which a server logs in. On a PostgreSQL server the login owns nothing and cannot bypass
    /// row-level security; on the embedded one it is the superuser, who gives its rights up at once.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the superuser, who owns the tables and sees every row.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Runs a statement as the superuser, to set up what no operation can.
    pub async fn run(&self, sql: String) {
        let mut admin = self.admin().await;
        admin.execute(AssertSqlSafe(sql)).await.expect("the statement runs");
        admin.close().await.expect("PostgreSQL closes a connection");
    }

    /// The number that a query of the superuser returns, to check what no operation shows.
    pub async fn count(&self, sql: String) -> i64 {
        let mut admin = self.admin().await;
        let count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut admin).await.expect("the query runs");
        admin.close().await.expect("PostgreSQL closes a connection");
        count
    }

    /// The texts that a query of the superuser returns.
    pub async fn texts(&self, sql: String) -> Vec<String> {
        let mut admin = self.admin().await;
        let texts = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut admin).await.expect("the query runs");
        admin.close().await.expect("PostgreSQL closes a connection");
        texts
    }

    /// The contents of every table, as a row count and a digest, except the tables in `without`. If two results are
    /// equal, nothing was changed in between.
    pub async fn contents(&self, without: &[&str]) -> BTreeMap<String, String> {
        let mut admin = self.admin().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_class
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
               and relname::text <> all ($1)",
        )
        .bind(without.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .fetch_all(&mut admin)
        .await
        .expect("the catalog can be read");
        let mut contents = BTreeMap::new();
        for table in tables {
            let sql = format!(
                "select count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table} t"
            );
            let held =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut admin).await.expect("the table can be read");
            contents.insert(table, held);
        }
        admin.close().await.expect("PostgreSQL closes a connection");
        contents
    }

    /// A connection of the superuser. On an embedded database, close it before you need another one.
    pub async fn admin(&self) -> PgConnection {
        connect(&self.admin_url.parse().expect("the address was just made")).await
    }

    /// Adds a workspace without members.
    pub async fn workspace(&self, env: &Environment) -> WorkspaceId {
        let workspace = WorkspaceId::generate(env);
        let name = workspace.to_string().replace('_', "-");
        let mut admin = self.admin().await;
        sqlx::query("insert into workspace (workspace_id, name, slug, created_at) values ($1, $2, $2, $3)")
            .bind(workspace.as_uuid())
            .bind(name)
            .bind(env.now())
            .execute(&mut admin)
            .await
            .expect("a workspace is inserted");
        admin.close().await.expect("PostgreSQL closes a connection");
        workspace
    }

    /// A store that is connected like that of a server; on a PostgreSQL server, with a connection for each task that a
    /// test runs at once.
    pub async fn store(&self, env: Environment) -> PgStore {
        let config = match &self.home {
            Home::Served { .. } => PgStoreConfig { max_connections: 20, ..PgStoreConfig::served(&self.url) },
            Home::Embedded(_) => PgStoreConfig::embedded(&self.url),
        };
        PgStore::connect(&config, env).await.expect("the store connects to its test database")
    }

    /// The engine's store on the connections of `store`, as in a server.
    #[must_use]
    pub fn engine_store(&self, store: &PgStore) -> PgEngineStore {
        match &self.home {
            Home::Served { .. } => PgEngineStore::new(store.clone()),
            Home::Embedded(_) => PgEngineStore::alone(store.clone()),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Home::Served { cluster, name } = &self.home else { return };
        let (cluster, drop_it) = (cluster.clone(), format!("drop database {name} with (force)"));
        // Uses a thread of its own, because the test's runtime may be the one that drops this.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&cluster).await?;
                admin.execute(AssertSqlSafe(drop_it)).await?;
                admin.close().await
            })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("the test database {name} is left behind");
        }
    }
}

/// The PostgreSQL server for tests.
fn cluster() -> PgConnectOptions {
    let Ok(url) = env::var("TIDEGATE_TEST_DATABASE_URL") else {
        panic!("no PostgreSQL for tests: run them with `cargo xtask test`, or set TIDEGATE_TEST_DATABASE_URL");
    };
    url.parse().expect("TIDEGATE_TEST_DATABASE_URL is the address of a PostgreSQL")
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.expect("the PostgreSQL for tests answers")
}

/// Runs SQL that only this file writes: constants, and names made of hexadecimal digits.
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
        let Home::Served { cluster, name } = &first.home else { panic!("it is served") };
        let (mut cluster, name) = (connect(cluster).await, name.clone());
        assert!(template::exists(&mut cluster, &name).await);
        drop(first);
        assert!(!template::exists(&mut cluster, &name).await);
    }

    #[tokio::test]
    async fn the_login_of_a_server_can_do_nothing_outside_a_transaction() {
        let database = TestDatabase::new().await;
        let mut login = PgConnection::connect(database.url()).await.unwrap();
        let error = login.execute("select from workspace").await.unwrap_err();
        assert_eq!(error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("42501"));
    }
}
