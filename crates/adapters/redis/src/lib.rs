//! Rate limits and signals across processes, through Redis. While Redis is away, each process works by itself: limits
//! are counted per process and never lifted, signals reach only their own process, and users of signals fall back to
//! polling.

mod rate_limit;
mod signal;

use std::time::Duration;

use deadpool_redis::{Config, Pool, PoolConfig, Runtime, Timeouts};

pub use rate_limit::RedisRateLimiter;
pub use signal::RedisSignalBus;

/// The timeout of one exchange with Redis.
const TIMEOUT: Duration = Duration::from_millis(250);
/// The most connections of a process, besides the one that subscribes.
const CONNECTIONS: usize = 8;

/// Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The address cannot be parsed.
    #[error("the address of Redis cannot be read: {0}")]
    Address(String),
    /// Redis does not answer.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
}

/// A connection pool to Redis.
#[derive(Clone)]
pub struct Redis {
    url: String,
    pool: Pool,
}

impl Redis {
    /// Parses the address. Connections are opened when they are needed.
    ///
    /// # Errors
    /// [`RedisError::Address`] if the address cannot be parsed.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let address = |error: &dyn std::fmt::Display| RedisError::Address(error.to_string());
        let mut config = Config::from_url(url);
        config.pool = Some(PoolConfig {
            max_size: CONNECTIONS,
            timeouts: Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) },
            ..PoolConfig::default()
        });
        let pool = config.create_pool(Some(Runtime::Tokio1)).map_err(|error| address(&error))?;
        Ok(Self { url: url.to_owned(), pool })
    }

    /// Checks that Redis answers.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] if it does not answer in time.
    pub async fn ping(&self) -> Result<(), RedisError> {
        let ping = deadpool_redis::redis::cmd("PING");
        self.query::<String>(&ping).await.map(drop)
    }

    async fn query<T: deadpool_redis::redis::FromRedisValue>(
        &self,
        command: &deadpool_redis::redis::Cmd,
    ) -> Result<T, RedisError> {
        let unavailable = |error: &dyn std::fmt::Display| RedisError::Unavailable(error.to_string());
        let exchange = async {
            let mut connection = self.pool.get().await.map_err(|error| unavailable(&error))?;
            command.query_async(&mut connection).await.map_err(|error| unavailable(&error))
        };
        tokio::time::timeout(TIMEOUT * 2, exchange).await.map_err(|error| unavailable(&error))?
    }
}
