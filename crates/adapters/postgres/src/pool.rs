//! A pool of connections, and how long units of work wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Histogram;
use sqlx::PgPool;

/// A pool with a name for those who watch it.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) sqlx: PgPool,
    name: &'static str,
    waits: Arc<Waits>,
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
    /// Whose transactions take its connections: `api`, `engine` or `directory`.
    pub name: &'static str,
    /// The most connections.
    pub max: u32,
    /// Connections that are open.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// How many units of work have asked for a connection.
    pub waits: u64,
    /// How long they waited together.
    pub waited: Duration,
}

impl Pool {
    pub(crate) fn new(name: &'static str, sqlx: PgPool) -> Self {
        let seconds = metrics::histogram!("database_pool_wait_seconds", "pool" => name);
        Self { sqlx, name, waits: Arc::new(Waits { count: AtomicU64::new(0), micros: AtomicU64::new(0), seconds }) }
    }

    /// A unit of work has waited so long for its connection, or for an error.
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
        }
    }
}
