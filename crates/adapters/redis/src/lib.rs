//! Rate limits, signals and the versions of cached lists across processes, through Redis or a Redis Cluster. While
//! Redis is away, each process works by itself: limits are counted per process and never lifted, signals reach only
//! their own process, lists are read from the database, and users of signals fall back to polling.
//!
//! Every script names its keys, and the keys of one script share a hash tag, so that they are on one node of a cluster.

mod address;
mod away;
mod connection;
mod list_cache;
mod rate_limit;
mod shared;
mod signal;

use std::time::Duration;

pub use connection::Redis;
pub use list_cache::RedisListCache;
pub use rate_limit::RedisRateLimiter;
pub use signal::RedisSignalBus;

/// The timeout of one exchange with Redis.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The address cannot be parsed.
    #[error("the address of Redis cannot be read: {0}")]
    Address(String),
    /// Redis does not answer.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
    /// A script is not known to the node that was asked: it has started since, or took over from another one.
    #[error("Redis does not know the script")]
    NoScript,
}
