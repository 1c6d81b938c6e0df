//! Every repository port on PostgreSQL. The only crate that names sea-orm and sqlx.
//!
//! A transaction is opened for a scope and takes its role from it, so what a repository can see is decided before
//! its first query: by the predicate that [`PgTx`] adds, and once more by row-level security.

mod audit;
mod billing;
mod breaker;
pub mod check;
mod engine;
mod entities;
mod erasure;
mod error;
mod events;
mod gate;
mod idempotency;
mod ids;
mod jobs;
pub mod migrate;
mod orm;
mod patterns;
mod pool;
mod rounds;
mod slices;
mod store;
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

/// The target under which the driver logs.
pub const DRIVER_TARGET: &str = "sqlx";

/// A directive for a log filter that keeps of the driver's chatter only what is wrong.
pub const QUIET_DRIVER: &str = "sqlx=warn";

/// The target under which the driver logs statements, those that took longer than 100 ms as warnings.
pub const STATEMENT_TARGET: &str = "sqlx::query";

/// A directive for a log filter that lets slow statements through.
pub const SLOW_STATEMENTS: &str = "sqlx::query=warn";
