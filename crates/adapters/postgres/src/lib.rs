//! Every repository port on PostgreSQL. The only product crate that uses sea-orm and sqlx.
//!
//! A transaction is opened for a scope and takes its database role from it. So what a repository can see is limited
//! before its first query: by the predicate that [`PgTx`] adds, and again by row-level security.

mod audit;
mod billing;
mod breaker;
pub mod catalogue;
mod check;
mod engine;
mod entities;
mod erasure;
mod error;
mod events;
mod files;
mod gate;
mod idempotency;
mod ids;
mod invoices;
mod jobs;
pub mod migrate;
mod orm;
mod patterns;
mod pool;
mod quota;
mod rounds;
mod slices;
mod store;
mod subscription;
mod tenancy;
mod transaction;
mod upkeep;
mod workflows;

pub use breaker::{BreakerFigures, BreakerState, DatabaseAway};
pub use engine::PgEngineStore;
pub use error::store_error;
pub use pool::PoolFigures;
pub use store::{PgStore, PgStoreConfig};
pub use transaction::{Directory, Machinery, Person, PgTx, Tenant};

/// The tracing target of the driver's log.
pub const DRIVER_TARGET: &str = "sqlx";

/// A directive for a log filter that keeps only the driver's warnings and errors.
pub const QUIET_DRIVER: &str = "sqlx=warn";

/// The tracing target of the driver's statement log. A statement that took longer than 100 ms is a warning.
pub const STATEMENT_TARGET: &str = "sqlx::query";

/// A directive for a log filter that keeps slow statements.
pub const SLOW_STATEMENTS: &str = "sqlx::query=warn";
