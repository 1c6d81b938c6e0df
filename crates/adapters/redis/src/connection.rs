//! The connections of a process to Redis.
//!
//! All tasks of a runtime share one connection, or in a cluster one for each node, on which requests follow each other
//! without waiting for answers. Each worker of the HTTP server is a runtime with one thread, so a request and its answer
//! wake no other thread. deadpool opens connections, with its timeouts. A connection that breaks is thrown away, and the
//! next request opens another one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::cluster_async::ClusterConnection;
use deadpool_redis::redis::{self, Cmd, ErrorKind, FromRedisValue, ServerErrorKind};
use deadpool_redis::{Config, PoolConfig, Runtime, Timeouts, cluster};
use tokio::runtime;
use tokio::time::timeout;

use crate::address::Address;
use crate::{RedisError, TIMEOUT};

/// The most connections that are being opened at once.
const OPENING: usize = 16;

/// Connects to Redis.
#[derive(Clone)]
enum Connector {
    Single(deadpool_redis::Pool),
    Cluster(cluster::Pool),
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The connection of a runtime.
#[derive(Default)]
struct Slot {
    /// The connection in use, with its number.
    current: Mutex<Option<(u64, Connection)>>,
    /// Held while connecting, so that the other tasks of the runtime wait for the same connection.
    connecting: tokio::sync::Mutex<()>,
}

impl Slot {
    fn current(&self) -> MutexGuard<'_, Option<(u64, Connection)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Redis, or a Redis Cluster. Clones share their connections.
#[derive(Clone)]
pub struct Redis {
    address: Address,
    connector: Connector,
    slots: Arc<Mutex<HashMap<runtime::Id, Arc<Slot>>>>,
    /// The number of the last connection.
    opened: Arc<AtomicU64>,
}

impl Redis {
    /// Parses the address: `redis://host:6379`, or several nodes of a cluster with commas between them, or
    /// `redis+cluster://host:6379`. Connections are opened when they are needed.
    ///
    /// # Errors
    /// [`RedisError::Address`] if the address cannot be parsed.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let address = Address::parse(url)?;
        let unusable = |error: &dyn std::fmt::Display| RedisError::Address(error.to_string());
        // Connections leave the pool at once. Its size bounds how many are being opened.
        let timeouts = Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) };
        let pool = PoolConfig { max_size: OPENING, timeouts, ..PoolConfig::default() };
        let connector = if address.cluster {
            let config = cluster::Config { pool: Some(pool), ..cluster::Config::from_urls(address.nodes.clone()) };
            Connector::Cluster(config.create_pool(Some(Runtime::Tokio1)).map_err(|error| unusable(&error))?)
        } else {
            let config = Config { pool: Some(pool), ..Config::from_url(address.nodes.concat()) };
            Connector::Single(config.create_pool(Some(Runtime::Tokio1)).map_err(|error| unusable(&error))?)
        };
        Ok(Self { address, connector, slots: Arc::default(), opened: Arc::default() })
    }

    /// The nodes that the address names.
    pub(crate) fn nodes(&self) -> &[String] {
        &self.address.nodes
    }

    /// Checks that Redis answers; in a cluster, that every node does which has keys.
    ///
    /// # Errors
    /// [`RedisError::Unavailable`] if it does not answer in time.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.query::<String>(&redis::cmd("PING")).await.map(drop)
    }

    /// Sends a command. It is sent again once if the connection had broken before.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.query_within(TIMEOUT * 2, command).await
    }

    /// [`Redis::query`] with a timeout of its own.
    pub(crate) async fn query_within<T: FromRedisValue>(&self, time: Duration, cmd: &Cmd) -> Result<T, RedisError> {
        let unavailable = |error: &dyn std::fmt::Display| RedisError::Unavailable(error.to_string());
        let exchange = async {
            for first in [true, false] {
                let (number, connection) = self.connection().await?;
                let answer = match connection {
                    Connection::Single(mut connection) => timeout(TIMEOUT, cmd.query_async(&mut connection)).await,
                    Connection::Cluster(mut connection) => timeout(TIMEOUT, cmd.query_async(&mut connection)).await,
                };
                let error = match answer {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => error,
                    Err(error) => {
                        self.forget(number);
                        return Err(unavailable(&error));
                    }
                };
                match error.kind() {
                    ErrorKind::Server(ServerErrorKind::NoScript) => return Err(RedisError::NoScript),
                    // The node answered, so the connection works.
                    ErrorKind::Server(ServerErrorKind::ResponseError) => return Err(unavailable(&error)),
                    _ => self.forget(number),
                }
                if !first {
                    return Err(unavailable(&error));
                }
            }
            Err(RedisError::Unavailable("no connection".to_owned()))
        };
        timeout(time, exchange).await.map_err(|error| unavailable(&error))?
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<runtime::Id, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection in use, or a new one.
    async fn connection(&self) -> Result<(u64, Connection), RedisError> {
        let slot = Arc::clone(self.slots().entry(runtime::Handle::current().id()).or_default());
        if let Some(in_use) = slot.current().clone() {
            return Ok(in_use);
        }
        let _connecting = slot.connecting.lock().await;
        if let Some(in_use) = slot.current().clone() {
            return Ok(in_use);
        }
        let unavailable = |error: &dyn std::fmt::Display| RedisError::Unavailable(error.to_string());
        // The task that reads and writes a connection belongs to the runtime that opened it.
        let connection = match &self.connector {
            Connector::Single(pool) => {
                let opened = pool.get().await.map_err(|error| unavailable(&error))?;
                Connection::Single(deadpool_redis::Connection::take(opened))
            }
            Connector::Cluster(pool) => {
                let opened = pool.get().await.map_err(|error| unavailable(&error))?;
                Connection::Cluster(cluster::Connection::take(opened))
            }
        };
        let opened = (self.opened.fetch_add(1, Ordering::Relaxed) + 1, connection);
        *slot.current() = Some(opened.clone());
        Ok(opened)
    }

    /// Throws a broken connection away, unless another one has replaced it.
    fn forget(&self, number: u64) {
        self.forget_where(|in_use| in_use == number);
    }

    /// Throws all connections away, because another server answers at the address: the runtimes of a process must not
    /// ask different ones.
    pub(crate) fn reconnect(&self) {
        self.forget_where(|_| true);
    }

    fn forget_where(&self, is_over: impl Fn(u64) -> bool) {
        for slot in self.slots().values() {
            slot.current().take_if(|(number, _)| is_over(*number));
        }
    }
}
