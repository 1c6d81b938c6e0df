//! The platform that every area uses: time and randomness, the store, signals, and the supervisor of background tasks.

use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::follower::FollowerConfig;
use tidegate_in_process::{InProcessListCache, InProcessRateLimiter, InProcessSignalBus};
use tidegate_kernel::{Environment, ListCache, RateLimiter, SignalBus};
use tidegate_postgres::{PgEngineStore, PgStore};
use tidegate_redis::{Redis, RedisError, RedisListCache, RedisRateLimiter, RedisSignalBus};
use tokio_util::sync::CancellationToken;

use crate::server::StartError;
use crate::settings::CacheMode;
use crate::supervisor::Supervisor;

/// The target duration of a background transaction on the one connection of the embedded PostgreSQL. A request waits
/// for at most one such transaction, so this is well below 20 ms, a delay that a person may notice.
const EMBEDDED_SLICE: Duration = Duration::from_millis(12);

/// What every area is wired with.
#[derive(Clone)]
pub struct Platform {
    /// Time and randomness.
    pub(crate) env: Environment,
    /// The store. After a commit it sends signals on `signals`.
    pub(crate) store: Arc<PgStore>,
    /// Whether the database is the embedded PostgreSQL, with one connection for all work.
    pub(crate) embedded: bool,
    /// The signal bus between the parts of this process, and to other processes if there is Redis.
    pub(crate) signals: Arc<dyn SignalBus>,
    /// The cache of lists, if there is one. The store invalidates it after each commit.
    pub(crate) lists: Option<Arc<dyn ListCache>>,
    /// Redis, if it is configured.
    pub(crate) redis: Option<Redis>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
    /// Cancelled when the server stops taking work.
    pub(crate) stopping: CancellationToken,
    /// The bus to other processes, if there is Redis. It delivers messages only while [`Platform::support`]'s task
    /// runs.
    relay: Option<Arc<RedisSignalBus>>,
    /// The cache of lists whose versions are in Redis. It announces missed changes only while that task runs.
    redis_lists: Option<Arc<RedisListCache>>,
}

impl Platform {
    /// Wires the platform on a store. It does not connect to Redis.
    ///
    /// # Errors
    /// [`StartError::Setting`] if the Redis settings cannot be used.
    pub(crate) fn wire(
        env: Environment,
        store: PgStore,
        redis: Option<Redis>,
        embedded: bool,
        cache: CacheMode,
    ) -> Result<Self, StartError> {
        let unusable = |error: RedisError| StartError::setting(format_args!("REDIS_URL: {error}"));
        let relay = redis.as_ref().map(|redis| RedisSignalBus::new(redis, &env).map(Arc::new)).transpose();
        let relay = relay.map_err(unusable)?;
        let signals: Arc<dyn SignalBus> = match &relay {
            Some(bus) => bus.clone(),
            None => Arc::new(InProcessSignalBus::new()),
        };
        let redis_lists = redis
            .as_ref()
            .filter(|_| cache == CacheMode::Auto)
            .map(|redis| Arc::new(RedisListCache::new(redis.clone(), &env)));
        let lists: Option<Arc<dyn ListCache>> = match (&redis_lists, cache) {
            (Some(lists), _) => Some(lists.clone()),
            (None, CacheMode::InProcess) => Some(Arc::new(InProcessListCache::new())),
            (None, CacheMode::Auto) if embedded => Some(Arc::new(InProcessListCache::new())),
            (None, CacheMode::Auto | CacheMode::Off) => None,
        };
        let store = store.announcing(Arc::clone(&signals));
        let store = lists.iter().fold(store, |store, lists| store.invalidating(Arc::clone(lists)));
        let stopping = CancellationToken::new();
        Ok(Self {
            store: Arc::new(store),
            supervisor: Supervisor::new(stopping.clone()),
            env,
            embedded,
            signals,
            lists,
            redis,
            stopping,
            relay,
            redis_lists,
        })
    }

    /// The rate limiter: in Redis if it is configured, otherwise in this process.
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

    /// The settings of event followers. On the embedded PostgreSQL they work in short transactions, one at a time.
    pub(crate) fn follower_config(&self) -> FollowerConfig {
        let default = FollowerConfig::default();
        if self.embedded { FollowerConfig { lanes: 1, slice: Some(EMBEDDED_SLICE), ..default } } else { default }
    }

    /// Starts relaying signals and missed changes of lists to other processes, until the last task that needs them has
    /// ended.
    pub(crate) fn support(&self) {
        if let Some(lists) = self.redis_lists.clone() {
            let effect = "other processes may serve lists that are up to a minute old after Redis was away";
            self.supervisor.spawn_support("list-cache", effect, move || {
                let lists = Arc::clone(&lists);
                async move { lists.keep_up().await }
            });
        }
        let Some(bus) = self.relay.clone() else { return };
        self.supervisor.spawn_support("signals", "other processes hear of changes and of new work later", move || {
            let bus = Arc::clone(&bus);
            async move { bus.relay().await }
        });
    }
}
