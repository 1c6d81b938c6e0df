//! A connection pool, its circuit breaker, and how long units of work wait for a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use metrics::Histogram;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgPool};
use tidegate_kernel::StoreError;

use crate::breaker::{Breaker, BreakerFigures, BreakerState};
use crate::error::store_error;

/// A pool with a name for metrics.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) sqlx: PgPool,
    name: &'static str,
    waits: Arc<Waits>,
    /// `None` if the database is part of this process.
    breaker: Option<Breaker>,
}

/// How long units of work waited for a connection.
#[derive(Debug)]
struct Waits {
    count: AtomicU64,
    micros: AtomicU64,
    seconds: Histogram,
}

/// How a pool is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFigures {
    /// The pool's name: `api`, `engine` or `directory`.
    pub name: &'static str,
    /// The most connections that it may open.
    pub max: u32,
    /// Connections that are open.
    pub open: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// How many units of work have asked for a connection.
    pub waits: u64,
    /// How long all of them waited, added up.
    pub waited: Duration,
    /// The circuit breaker of the pool; always closed if the database is part of this process.
    pub breaker: BreakerFigures,
}

impl Pool {
    pub(crate) fn new(name: &'static str, sqlx: PgPool) -> Self {
        let seconds = metrics::histogram!("database_pool_wait_seconds", "pool" => name);
        let waits = Arc::new(Waits { count: AtomicU64::new(0), micros: AtomicU64::new(0), seconds });
        Self { sqlx, name, waits, breaker: None }
    }

    /// The same pool with a circuit breaker that probes the server at `address`.
    pub(crate) fn behind_breaker(self, address: PgConnectOptions) -> Self {
        let probe = move || {
            let address = address.clone();
            async move {
                let mut connection = address.connect().await?;
                connection.ping().await?;
                connection.close().await
            }
            .boxed()
        };
        Self { breaker: Some(Breaker::new(self.name, Arc::new(probe))), ..self }
    }

    /// Runs `work` with the database through the circuit breaker, if the pool has one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database is away; otherwise the error of `work`.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        match &self.breaker {
            Some(breaker) => breaker.guard(work).await,
            None => work.await.map_err(store_error),
        }
    }

    /// Records how long a unit of work has waited for a connection or an error.
    pub(crate) fn waited(&self, time: Duration) {
        self.waits.count.fetch_add(1, Ordering::Relaxed);
        self.waits.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.waits.seconds.record(time.as_secs_f64());
    }

    pub(crate) fn figures(&self) -> PoolFigures {
        PoolFigures {
            name: self.name,
            max: self.sqlx.options().get_max_connections(),
            open: self.sqlx.size(),
            idle: u32::try_from(self.sqlx.num_idle()).unwrap_or(u32::MAX),
            waits: self.waits.count.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waits.micros.load(Ordering::Relaxed)),
            breaker: self
                .breaker
                .as_ref()
                .map_or(BreakerFigures { state: BreakerState::Closed, openings: 0, refusals: 0 }, Breaker::figures),
        }
    }
}
