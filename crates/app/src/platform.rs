//! What every area is wired on: time and randomness, the store, signals, and the supervisor of background tasks.

use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::follower::FollowerConfig;
use tidegate_in_process::{InProcessRateLimiter, InProcessSignalBus};
use tidegate_kernel::{Environment, RateLimiter, SignalBus};
use tidegate_postgres::{PgEngineStore, PgStore};
use tidegate_redis::{Redis, RedisError, RedisRateLimiter, RedisSignalBus};
use tokio_util::sync::CancellationToken;

use crate::server::StartError;
use crate::supervisor::Supervisor;

/// How long a transaction of background work takes about, where everybody shares the one connection of the embedded PostgreSQL.
/// Whoever asks waits for one at most, so it is well below the 20 ms that they may notice.
const EMBEDDED_SLICE: Duration = Duration::from_millis(12);

/// What every area is wired on.
#[derive(Clone)]
pub struct Platform {
    /// Time and randomness.
    pub(crate) env: Environment,
    /// The store. It announces what was committed on `signals`.
    pub(crate) store: Arc<PgStore>,
    /// Whether everybody shares the one connection of the embedded PostgreSQL.
    pub(crate) embedded: bool,
    /// Short messages between parts and processes.
    pub(crate) signals: Arc<dyn SignalBus>,
    /// Redis, where there is one.
    pub(crate) redis: Option<Redis>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
    /// Cancelled when the server stops taking work.
    pub(crate) stopping: CancellationToken,
    /// The bus to other processes, where there is one. Its messages come and go while it relays.
    relay: Option<Arc<RedisSignalBus>>,
}

impl Platform {
    /// Wires the platform on a store. No connection to Redis is made.
    ///
    /// # Errors
    /// [`StartError::Setting`] where Redis cannot be used.
    pub(crate) fn wire(
        env: Environment,
        store: PgStore,
        redis: Option<Redis>,
        embedded: bool,
    ) -> Result<Self, StartError> {
        let unusable = |error: RedisError| StartError::setting(format_args!("REDIS_URL: {error}"));
        let relay = redis.as_ref().map(|redis| RedisSignalBus::new(redis, &env).map(Arc::new)).transpose();
        let relay = relay.map_err(unusable)?;
        let signals: Arc<dyn SignalBus> = match &relay {
            Some(bus) => bus.clone(),
            None => Arc::new(InProcessSignalBus::new()),
        };
        let stopping = CancellationToken::new();
        Ok(Self {
            store: Arc::new(store.announcing(Arc::clone(&signals))),
            supervisor: Supervisor::new(stopping.clone()),
            env,
            embedded,
            signals,
            redis,
            stopping,
            relay,
        })
    }

    /// Counts rate limits: in Redis where there is one, in this process otherwise.
    pub(crate) fn rate_limiter(&self) -> Arc<dyn RateLimiter> {
        let in_process: Arc<dyn RateLimiter> = Arc::new(InProcessRateLimiter::new(self.env.clone()));
        match &self.redis {
            Some(redis) => Arc::new(RedisRateLimiter::new(redis.clone(), in_process)),
            None => in_process,
        }
    }

    /// The store of the engine and of background jobs.
    pub(crate) fn engine_store(&self) -> PgEngineStore {
        let store = (*self.store).clone();
        if self.embedded { PgEngineStore::alone(store) } else { PgEngineStore::new(store) }
    }

    /// The settings of readers behind the insert.
    pub(crate) fn follower_config(&self) -> FollowerConfig {
        let default = FollowerConfig::default();
        if self.embedded { FollowerConfig { lanes: 1, slice: Some(EMBEDDED_SLICE), ..default } } else { default }
    }

    /// Relays signals to other processes and from them, for as long as anybody here needs them.
    pub(crate) fn support(&self) {
        let Some(bus) = self.relay.clone() else { return };
        self.supervisor.spawn_support("signals", "other processes hear of changes and of new work later", move || {
            let bus = Arc::clone(&bus);
            async move { bus.relay().await }
        });
    }
}
