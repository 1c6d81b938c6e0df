//! Pools, and how a transaction takes its role.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgPool, Postgres, Row, SqlSafeStr, SqlStr};
use tidegate_kernel::{
    Environment, PersonScope, RequestId, SignalBus, StoreError, SystemScope, Urgency, WorkspaceScope,
};

use crate::error::{is_away, store_error};
use crate::gate::{Gate, Turn};
use crate::pool::{Pool, PoolFigures};
use crate::rounds::Rounds;
use crate::transaction::{self, Announcer, Directory, Machinery, Person, PgTx, Tenant};

/// What the superuser of the embedded PostgreSQL becomes as soon as it is connected.
const BE_NOBODY: &str = "SET SESSION AUTHORIZATION tidegate_session";
/// The same with what the other connections are given when they are made.
const BEGIN_EMBEDDED: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET jit = off; SET SESSION AUTHORIZATION tidegate_session";

/// What a session's plans keep to. A plan that was made while a table was empty, or by statistics from then, would read a table or a
/// workspace whole when it is full, and sort it, where an index has what is asked in its order. And a statement that ends in
/// milliseconds gains nothing from being compiled.
const SESSION_PLANS: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("enable_sort", "off"), ("jit", "off")];

/// What keeps the plans of the machinery to index lookups. Its tables are queues: they are empty when they are analysed and full a
/// moment later, so no estimate of them is worth anything. Nothing is read or joined whole, nothing is sorted that an index has in
/// order, and an index entry costs so much that a plan which expects to read fewer of them wins, and a row by its `ctid` always.
/// So a plan fits whatever its parameters are, and is made once.
const MACHINERY_PLANS: &str = "; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL enable_memoize = off; SET LOCAL cpu_index_tuple_cost = 1000; \
    SET LOCAL plan_cache_mode = force_generic_plan";

/// Where the database is and how it is reached.
#[derive(Debug, Clone)]
pub struct PgStoreConfig {
    /// Tenant work. Where the other two are `None`, its login does all, and each transaction takes its role.
    pub database_url: String,
    /// The engine's own login.
    pub engine_url: Option<String>,
    /// The login for what comes before there is a scope.
    pub directory_url: Option<String>,
    /// Connections of each pool.
    pub max_connections: u32,
    /// How long a unit of work waits for a connection.
    pub acquire_timeout: Duration,
    /// The embedded PostgreSQL: exactly one connection, which logs in as the superuser and gives that up at once.
    pub embedded: bool,
}

impl PgStoreConfig {
    /// A database that is served, with 10 connections.
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

    /// The embedded PostgreSQL at this address.
    pub fn embedded(database_url: impl Into<String>) -> Self {
        Self {
            max_connections: 1,
            acquire_timeout: Duration::from_secs(30),
            embedded: true,
            ..Self::served(database_url)
        }
    }
}

/// The store: opens units of work for scopes.
#[derive(Debug, Clone)]
pub struct PgStore {
    api: Pool,
    engine: Pool,
    directory: Pool,
    own_logins: OwnLogins,
    /// Whose turn it is, where there is one connection for everybody.
    gate: Option<Arc<Gate>>,
    acquire_timeout: Duration,
    env: Environment,
    pub(crate) rounds: Arc<Rounds>,
    announcer: Announcer,
}

/// Which work has a login of its own, beside that for tenant work.
#[derive(Debug, Clone, Copy)]
struct OwnLogins {
    engine: bool,
    directory: bool,
}

/// A login, the setting that names it, and the roles that its transactions take.
pub(crate) struct Login<'a> {
    pub(crate) setting: &'static str,
    pub(crate) pool: &'a PgPool,
    pub(crate) roles: Vec<&'static str>,
}

impl PgStore {
    /// Connects. Nothing is changed in the database; see [`crate::migrate`].
    ///
    /// # Errors
    /// [`StoreError`] when an address cannot be read or a first connection cannot be made.
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

    /// The same store, which says on `bus` what a transaction has made ready once that has committed.
    #[must_use]
    pub fn announcing(self, bus: Arc<dyn SignalBus>) -> Self {
        Self { announcer: Announcer(Some(bus)), ..self }
    }

    /// Waits until every connection is back and closes them.
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

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let _turn = self.turn(Urgency::Request).await.map_err(store_error)?;
        self.api.guard(async { self.api.sqlx.execute("select 1").await.map(drop) }).await
    }

    /// Runs a statement that only the owner of an embedded database may run, outside a transaction, and gives the right up again.
    ///
    /// # Errors
    /// [`StoreError`] when it failed. The connection is closed if it could not be made harmless again.
    pub async fn run_embedded_chore(&self, statement: &'static str) -> Result<(), StoreError> {
        self.as_embedded_owner(statement.into_sql_str()).await.map(drop)
    }

    /// Asks `query` for statements and runs each of them as [`PgStore::run_embedded_chore`] does, so that others have their turn
    /// in between. The rows of `query` MUST be statements that it makes of the catalog alone.
    ///
    /// # Errors
    /// [`StoreError`] of the first that failed.
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
        // A task of its own, so that no caller who gives up leaves the connection with the owner's rights.
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

    /// The logins that are used, each with the roles that it has to be a member of.
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

    /// A transaction in one workspace.
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

    /// A transaction over what a person owns.
    pub(crate) async fn begin_person(&self, scope: &PersonScope) -> Result<Box<PgTx<Person>>, StoreError> {
        let setting = format!("; SET LOCAL app.user_id = '{}'{}", scope.user().as_uuid(), Named(scope.request_id()));
        let context = Person { user: scope.user(), request_id: scope.request_id().clone() };
        self.open(&self.directory, Urgency::Request, "tidegate_directory", &setting, context).await
    }

    /// A transaction before there is a scope. The system scope is the caller's proof that it may.
    pub(crate) async fn begin_directory(&self, scope: &SystemScope) -> Result<Box<PgTx<Directory>>, StoreError> {
        self.open(&self.directory, scope.urgency(), "tidegate_directory", "", Directory).await
    }

    /// A transaction of the machinery. The system scope is the caller's proof that it may.
    pub(crate) async fn begin_machinery(&self, scope: &SystemScope) -> Result<Box<PgTx<Machinery>>, StoreError> {
        self.open(&self.engine, scope.urgency(), "tidegate_engine", MACHINERY_PLANS, Machinery).await
    }

    /// Opens a transaction and takes a role in one round trip.
    ///
    /// The values in the text are a constant, a UUID and a request's id. A dropped caller cannot leave the connection half open: once
    /// it has one, the opening is a task of its own, and a transaction that nobody waits for any more rolls back.
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

    /// Sends `begin` on a connection that is there. Those that the server has closed meanwhile are dropped: nothing was sent on
    /// them that could have changed anything.
    async fn begin(&self, pool: &Pool, urgency: Urgency, begin: SqlStr) -> Result<OnTurn, sqlx::Error> {
        let asked = Instant::now();
        let mut turn = self.turn(urgency).await?;
        let mut closed = 0;
        loop {
            let (begun, back) = begin_on(pool, asked, begin.clone(), turn).await;
            turn = back;
            match begun {
                Ok(transaction) => return Ok((transaction, turn)),
                // Whoever shares one connection does not ask again without a turn.
                Err(_) if self.gate.is_some() && turn.is_none() => return Err(sqlx::Error::WorkerCrashed),
                Err(error) if is_away(&error) && closed < pool.sqlx.options().get_max_connections() => closed += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a turn where everybody shares one connection.
    async fn turn(&self, urgency: Urgency) -> Result<Option<Turn>, sqlx::Error> {
        let Some(gate) = &self.gate else { return Ok(None) };
        let turn = tokio::time::timeout(self.acquire_timeout, gate.turn(urgency)).await;
        turn.map(Some).map_err(|_| sqlx::Error::PoolTimedOut)
    }
}

/// Names the session after the request for as long as the transaction lasts, so that `pg_stat_activity` and the log of the server
/// say whose a statement is. A request's id has letters, digits, `-`, `_` and `.`; the server keeps 63 characters of the name.
struct Named<'a>(&'a RequestId);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; SET LOCAL application_name = 'tidegate {}'", self.0)
    }
}

type OnTurn = (sqlx::Transaction<'static, Postgres>, Option<Turn>);
type Begun = Result<sqlx::Transaction<'static, Postgres>, sqlx::Error>;

/// The turn goes with the opening, so that it outlasts a caller who gives up as long as the connection is used.
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
