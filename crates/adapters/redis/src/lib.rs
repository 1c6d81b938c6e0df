//! Limits and signals across processes, through Redis. While Redis is away each process goes on by itself: limits are
//! counted per process and never let everything pass, signals reach the own process, and users of signals fall back to
//! their floors.

mod rate_limit;
mod signal;

use std::time::Duration;

use deadpool_redis::{Config, Pool, PoolConfig, Runtime, Timeouts};

pub use rate_limit::RedisRateLimiter;
pub use signal::RedisSignalBus;

/// How long one exchange with Redis may take before it counts as away.
const TIMEOUT: Duration = Duration::from_millis(250);
/// Connections of a process, beside the one that listens.
const CONNECTIONS: usize = 8;

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The address cannot be read.
    #[error("the address of Redis cannot be read: {0}")]
    Address(String),
    /// It does not answer.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
}

/// Connections to one Redis.
#[derive(Clone)]
pub struct Redis {
    url: String,
    pool: Pool,
}

impl Redis {
    /// Reads the address; connections are made when they are needed.
    ///
    /// # Errors
    /// [`RedisError::Address`] where it is none.
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

    /// Whether it answers.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] where it does not, in time.
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
