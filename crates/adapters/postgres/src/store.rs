//! Connection pools, and transactions that take a database role.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgPool, Postgres, Row, SqlSafeStr, SqlStr};
use tidegate_kernel::{
    Environment, ListCache, PersonScope, RequestId, SignalBus, StoreError, SystemScope, Urgency, WorkspaceScope,
};

use crate::error::{is_away, store_error};
use crate::gate::{Gate, Turn};
use crate::pool::{Pool, PoolFigures};
use crate::rounds::Rounds;
use crate::transaction::{self, Announcer, Directory, Machinery, Person, PgTx, Tenant};

/// Gives up the superuser's rights on a connection to the embedded PostgreSQL, as soon as it is open.
const BE_NOBODY: &str = "SET SESSION AUTHORIZATION tidegate_session";
/// The same, with the planner settings of [`SESSION_PLANS`], which other connections get when they connect.
const BEGIN_EMBEDDED: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET jit = off; SET SESSION AUTHORIZATION tidegate_session";

/// Planner settings of every session: read and sort by an index. A plan made while a table was empty, or from the
/// statistics of that time, would later scan and sort a whole table or workspace, although an index has the rows in the
/// wanted order. Just-in-time compilation is off, because statements that end in milliseconds gain nothing from it.
const SESSION_PLANS: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("enable_sort", "off"), ("jit", "off")];

/// Planner settings of the engine's transactions: index lookups and nested loops only. The tables are queues: empty
/// when they are analysed and full a moment later, so the planner's estimates are worthless. No hash or merge join
/// reads a whole table. An index entry costs so much that the plan with the fewest entries wins, and a lookup by `ctid`
/// always wins. Such a plan fits all parameters, so it is made once (a generic plan).
const MACHINERY_PLANS: &str = "; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL enable_memoize = off; SET LOCAL cpu_index_tuple_cost = 1000; \
    SET LOCAL plan_cache_mode = force_generic_plan";

/// The addresses of the database, and the limits of the connection pools.
#[derive(Debug, Clone)]
pub struct PgStoreConfig {
    /// The login for tenant work. If the other two are `None`, it serves all work, and each transaction takes its role.
    pub database_url: String,
    /// The engine's own login.
    pub engine_url: Option<String>,
    /// The login for work before a scope is known, such as logging in.
    pub directory_url: Option<String>,
    /// The most connections of each pool.
    pub max_connections: u32,
    /// How long a unit of work waits for a connection.
    pub acquire_timeout: Duration,
    /// Whether this is the embedded PostgreSQL: one connection, which logs in as the superuser and gives up that right
    /// at once.
    pub embedded: bool,
}

impl PgStoreConfig {
    /// The configuration for a database server, with 10 connections for each pool.
    pub fn served(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            engine_url: None,
            directory_url: None,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            embedded: false,
        }
    }

    /// The configuration for the embedded PostgreSQL at this address.
    pub fn embedded(database_url: impl Into<String>) -> Self {
        Self {
            max_connections: 1,
            acquire_timeout: Duration::from_secs(30),
            embedded: true,
            ..Self::served(database_url)
        }
    }
}

/// The store on PostgreSQL. It opens a unit of work for each scope.
#[derive(Debug, Clone)]
pub struct PgStore {
    api: Pool,
    engine: Pool,
    directory: Pool,
    own_logins: OwnLogins,
    /// The queue for the one connection of the embedded PostgreSQL; `None` on a server.
    gate: Option<Arc<Gate>>,
    acquire_timeout: Duration,
    env: Environment,
    pub(crate) rounds: Arc<Rounds>,
    announcer: Announcer,
}

/// Which work has a login of its own, besides tenant work.
#[derive(Debug, Clone, Copy)]
struct OwnLogins {
    engine: bool,
    directory: bool,
}

/// A login: the setting that names it, and the roles that its transactions take.
pub(crate) struct Login<'a> {
    pub(crate) setting: &'static str,
    pub(crate) pool: &'a PgPool,
    pub(crate) roles: Vec<&'static str>,
}

impl PgStore {
    /// Connects to the database and changes nothing in it; see [`crate::migrate`].
    ///
    /// # Errors
    /// [`StoreError`] if an address cannot be parsed or a first connection cannot be opened.
    pub async fn connect(config: &PgStoreConfig, env: Environment) -> Result<Self, StoreError> {
        let api = pool("api", config, &config.database_url).await?;
        let engine = match &config.engine_url {
            Some(url) => pool("engine", config, url).await?,
            None => api.clone(),
        };
        let directory = match &config.directory_url {
            Some(url) => pool("directory", config, url).await?,
            None => api.clone(),
        };
        let own_logins = OwnLogins { engine: config.engine_url.is_some(), directory: config.directory_url.is_some() };
        let shared = !own_logins.engine && !own_logins.directory;
        let gate = (shared && config.max_connections == 1).then(Arc::<Gate>::default);
        Ok(Self {
            api,
            engine,
            directory,
            own_logins,
            gate,
            acquire_timeout: config.acquire_timeout,
            env,
            rounds: Arc::default(),
            announcer: Announcer::default(),
        })
    }

    /// The same store with a signal bus. After each commit it signals what the transaction has made ready.
    #[must_use]
    pub fn announcing(self, bus: Arc<dyn SignalBus>) -> Self {
        Self { announcer: Announcer { bus: Some(bus), ..self.announcer }, ..self }
    }

    /// The same store with a cache of lists. After each commit the lists that the transaction has changed are
    /// invalidated.
    #[must_use]
    pub fn invalidating(self, lists: Arc<dyn ListCache>) -> Self {
        Self { announcer: Announcer { lists: Some(lists), ..self.announcer }, ..self }
    }

    /// Closes the pools, after every connection has been returned.
    pub async fn close(&self) {
        self.api.sqlx.close().await;
        self.engine.sqlx.close().await;
        self.directory.sqlx.close().await;
    }

    /// How each pool is used. The pool `api` serves all work that has no login of its own.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolFigures> {
        let OwnLogins { engine, directory } = self.own_logins;
        let own = [(true, &self.api), (engine, &self.engine), (directory, &self.directory)];
        own.into_iter().filter(|(own, _)| *own).map(|(_, pool)| pool.figures()).collect()
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let _turn = self.turn(Urgency::Request).await.map_err(store_error)?;
        self.api.guard(async { self.api.sqlx.execute("select 1").await.map(drop) }).await
    }

    /// Runs a statement outside a transaction as the owner of the embedded database, and then gives up the owner's
    /// rights.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails. The connection is closed if it cannot give up the owner's rights.
    pub async fn run_embedded_chore(&self, statement: &'static str) -> Result<(), StoreError> {
        self.as_embedded_owner(statement.into_sql_str()).await.map(drop)
    }

    /// Runs each statement that `query` returns, as [`PgStore::run_embedded_chore`] does. Other work gets its turn in
    /// between. The rows of `query` MUST be statements that are built from the catalog alone.
    ///
    /// # Errors
    /// [`StoreError`] of the first statement that fails.
    pub async fn run_embedded_chores(&self, query: &'static str) -> Result<(), StoreError> {
        for row in self.as_embedded_owner(query.into_sql_str()).await? {
            let statement: String = row.try_get(0).map_err(store_error)?;
            self.as_embedded_owner(AssertSqlSafe(statement).into_sql_str()).await?;
        }
        Ok(())
    }

    async fn as_embedded_owner(&self, statement: SqlStr) -> Result<Vec<PgRow>, StoreError> {
        let turn = self.turn(Urgency::Background).await.map_err(store_error)?;
        let mut connection = self.api.sqlx.acquire().await.map_err(store_error)?;
        // A task of its own: if the caller gives up, the connection must not keep the owner's rights.
        let chore = tokio::spawn(async move {
            let _turn = turn;
            connection.execute("SET SESSION AUTHORIZATION postgres").await?;
            let done = connection.fetch_all(sqlx::raw_sql(statement)).await;
            if let Err(error) = connection.execute(BE_NOBODY).await {
                connection.close().await?;
                return Err(error);
            }
            done
        });
        chore.await.map_err(|_| store_error(sqlx::Error::WorkerCrashed))?.map_err(store_error)
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.env.now()
    }

    /// The pool for tenant work.
    pub(crate) const fn api_pool(&self) -> &PgPool {
        &self.api.sqlx
    }

    /// The logins in use, each with the roles that it must be a member of.
    pub(crate) fn logins(&self) -> Vec<Login<'_>> {
        let mut logins = vec![Login { setting: "DATABASE_URL", pool: &self.api.sqlx, roles: vec!["tidegate_api"] }];
        for (setting, pool, own, role) in [
            ("ENGINE_DATABASE_URL", &self.engine.sqlx, self.own_logins.engine, "tidegate_engine"),
            ("DIRECTORY_DATABASE_URL", &self.directory.sqlx, self.own_logins.directory, "tidegate_directory"),
        ] {
            if own {
                logins.push(Login { setting, pool, roles: vec![role] });
            } else {
                logins[0].roles.push(role);
            }
        }
        logins
    }

    /// Begins a transaction in one workspace.
    pub(crate) async fn begin_tenant(&self, scope: &WorkspaceScope) -> Result<Box<PgTx<Tenant>>, StoreError> {
        let workspace = scope.workspace().as_uuid();
        let setting = format!("; SET LOCAL app.workspace_id = '{workspace}'{}", Named(scope.request_id()));
        let context = Tenant {
            workspace: scope.workspace(),
            actor: scope.actor(),
            request_id: scope.request_id().clone(),
            trace: scope.trace().cloned(),
        };
        self.open(&self.api, scope.urgency(), "tidegate_api", &setting, context).await
    }

    /// Begins a transaction over what a person owns.
    pub(crate) async fn begin_person(&self, scope: &PersonScope) -> Result<Box<PgTx<Person>>, StoreError> {
        let setting = format!("; SET LOCAL app.user_id = '{}'{}", scope.user().as_uuid(), Named(scope.request_id()));
        let context = Person { user: scope.user(), request_id: scope.request_id().clone() };
        self.open(&self.directory, Urgency::Request, "tidegate_directory", &setting, context).await
    }

    /// Begins a transaction for work before a scope is known. The system scope proves that the caller may.
    pub(crate) async fn begin_directory(&self, scope: &SystemScope) -> Result<Box<PgTx<Directory>>, StoreError> {
        self.open(&self.directory, scope.urgency(), "tidegate_directory", "", Directory).await
    }

    /// Begins a transaction of the engine and its jobs. The system scope proves that the caller may.
    pub(crate) async fn begin_machinery(&self, scope: &SystemScope) -> Result<Box<PgTx<Machinery>>, StoreError> {
        self.open(&self.engine, scope.urgency(), "tidegate_engine", MACHINERY_PLANS, Machinery).await
    }

    /// Begins a transaction and takes a role in one round trip.
    ///
    /// The text contains only constants, UUIDs and a request's id. If the caller gives up, the connection is not left
    /// half open: `BEGIN` runs in a task of its own, and a transaction that no caller waits for is rolled back.
    async fn open<G: Send + Sync + 'static>(
        &self,
        pool: &Pool,
        urgency: Urgency,
        role: &'static str,
        setting: &str,
        context: G,
    ) -> Result<Box<PgTx<G>>, StoreError> {
        let begin = AssertSqlSafe(format!("BEGIN; SET LOCAL ROLE {role}{setting}")).into_sql_str();
        let span = transaction::span(role);
        let (transaction, turn) = pool.guard(self.begin(pool, urgency, begin)).await?;
        Ok(Box::new(PgTx::new(transaction, turn, span, context, self.env.clone(), self.announcer.clone())))
    }

    /// Sends `begin` on a pooled connection. Connections that the server has closed meanwhile are dropped and the next
    /// one is tried: nothing was sent on them that could have changed anything.
    async fn begin(&self, pool: &Pool, urgency: Urgency, begin: SqlStr) -> Result<OnTurn, sqlx::Error> {
        let asked = Instant::now();
        let mut turn = self.turn(urgency).await?;
        let mut closed = 0;
        loop {
            let (begun, back) = begin_on(pool, asked, begin.clone(), turn).await;
            turn = back;
            match begun {
                Ok(transaction) => return Ok((transaction, turn)),
                // On a shared connection there is no second attempt without a turn.
                Err(_) if self.gate.is_some() && turn.is_none() => return Err(sqlx::Error::WorkerCrashed),
                Err(error) if is_away(&error) && closed < pool.sqlx.options().get_max_connections() => closed += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a turn on the one connection of the embedded database; `None` on a server.
    async fn turn(&self, urgency: Urgency) -> Result<Option<Turn>, sqlx::Error> {
        let Some(gate) = &self.gate else { return Ok(None) };
        let turn = tokio::time::timeout(self.acquire_timeout, gate.turn(urgency)).await;
        turn.map(Some).map_err(|_| sqlx::Error::PoolTimedOut)
    }
}

/// Names the session after the request for the time of the transaction, so that `pg_stat_activity` and the server's log
/// show whose a statement is. A request's id has letters, digits, `-`, `_` and `.`. The server keeps 63 characters of
/// the name.
struct Named<'a>(&'a RequestId);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; SET LOCAL application_name = 'tidegate {}'", self.0)
    }
}

type OnTurn = (sqlx::Transaction<'static, Postgres>, Option<Turn>);
type Begun = Result<sqlx::Transaction<'static, Postgres>, sqlx::Error>;

/// Begins on a connection of the pool. The task owns the turn, which therefore lasts as long as the connection is used,
/// even if the caller gives up.
async fn begin_on(pool: &Pool, asked: Instant, begin: SqlStr, turn: Option<Turn>) -> (Begun, Option<Turn>) {
    let acquired = pool.sqlx.acquire().await;
    pool.waited(asked.elapsed());
    let connection = match acquired {
        Ok(connection) => connection,
        Err(error) => return (Err(error), turn),
    };
    let opening = tokio::spawn(async move { (sqlx::Transaction::begin(connection, Some(begin)).await, turn) });
    opening.await.unwrap_or_else(|_| (Err(sqlx::Error::WorkerCrashed), None))
}

async fn pool(name: &'static str, config: &PgStoreConfig, url: &str) -> Result<Pool, StoreError> {
    let mut connect: PgConnectOptions = url.parse().map_err(store_error)?;
    connect = connect
        .application_name("tidegate")
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_millis(100))
        .log_statements(tracing::log::LevelFilter::Off);
    let mut options = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout)
        .test_before_acquire(false);
    if config.embedded {
        options = options
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(|connection, _| Box::pin(async move { connection.execute(BEGIN_EMBEDDED).await.map(drop) }));
    } else {
        connect = connect.options([("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s")]);
        connect = connect.options(SESSION_PLANS);
    }
    let pool = Pool::new(name, options.connect_with(connect.clone()).await.map_err(store_error)?);
    Ok(if config.embedded { pool } else { pool.behind_breaker(connect) })
}
