//! The contract suites of rate limiters, signal buses and caches of lists on a real Redis and on a real Redis Cluster,
//! and the fallbacks without one.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_in_process::InProcessRateLimiter;
use tidegate_kernel::cache::MAX_KEEP;
use tidegate_kernel::{
    CacheKey, Environment, ListCache, ListTag, RateKey, RateLimit, RateLimiter, Received, SignalBus, Topic, WorkspaceId,
};
use tidegate_redis::{Redis, RedisListCache, RedisRateLimiter, RedisSignalBus};
use tidegate_testing::contract::list_cache::ListCacheCase;
use tidegate_testing::contract::rate_limiter::RateLimiterCase;
use tidegate_testing::contract::signal_bus;
use tidegate_testing::redis::{RedisCluster, RedisServer};
use tidegate_testing::{TestClock, environment, test_environment};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Duration, timeout};

/// The Redis that `cargo xtask test` starts.
fn url() -> String {
    std::env::var("TIDEGATE_TEST_REDIS_URL")
        .expect("no Redis for tests: run them with `cargo xtask test`, or set TIDEGATE_TEST_REDIS_URL")
}

fn redis() -> Redis {
    Redis::new(&url()).expect("TIDEGATE_TEST_REDIS_URL is the address of a Redis")
}

/// A Redis at an address where nothing listens.
fn nowhere() -> Redis {
    Redis::new("redis://127.0.0.1:1").expect("the address can be read")
}

fn refusing() -> Arc<dyn RateLimiter> {
    struct Refusing;
    #[async_trait::async_trait]
    impl RateLimiter for Refusing {
        async fn check(
            &self,
            _: &tidegate_kernel::RateKey,
            _: tidegate_kernel::RateLimit,
        ) -> tidegate_kernel::Decision {
            panic!("Redis is there, so nothing falls back");
        }
    }
    Arc::new(Refusing)
}

#[tokio::test]
async fn the_limiter_keeps_its_contract() {
    let limiter = Arc::new(RedisRateLimiter::new(redis(), refusing()));
    let run = test_environment().uuid_v7().to_string();
    RateLimiterCase { limiter, clock: None, run }.check_all().await;
}

#[tokio::test]
async fn without_redis_limits_are_kept_within_the_process() {
    let clock = TestClock::at(chrono::DateTime::UNIX_EPOCH);
    let fallback = Arc::new(InProcessRateLimiter::new(environment(Arc::clone(&clock), 1)));
    let limiter = Arc::new(RedisRateLimiter::new(nowhere(), fallback));
    RateLimiterCase { limiter, clock: Some(clock), run: String::new() }.check_all().await;
}

#[tokio::test]
async fn the_bus_keeps_its_contract_across_processes() {
    let env = test_environment();
    let (here, there) = (relayed(&redis(), &env), relayed(&redis(), &env));
    signal_bus::everybody_hears_a_publisher_in_its_order(&*here, &*there).await;
    signal_bus::other_topics_are_not_heard(&*here, &*there).await;
    signal_bus::a_slow_listener_is_told_that_it_missed_some(&*here).await;
}

#[tokio::test]
async fn without_redis_signals_reach_the_own_process() {
    let bus = relayed(&nowhere(), &test_environment());
    signal_bus::everybody_hears_a_publisher_in_its_order(&*bus, &*bus).await;
}

#[tokio::test]
async fn a_listener_whose_connection_broke_is_told_that_it_may_have_missed_some() {
    let env = test_environment();
    let cut = Arc::new(Notify::new());
    let way = Redis::new(&Proxy::start(Arc::clone(&cut)).await.url).expect("the address can be read");
    let (here, there) = (relayed(&redis(), &env), relayed(&way, &env));
    signal_bus::connect(&*here, &*there).await;
    let mut stream = there.subscribe(&[Topic::PersonChanged]);
    cut.notify_waiters();
    assert_eq!(stream.next().await, Some(Received::Missed));
    signal_bus::connect(&*here, &*there).await;
}

/// The caches of two servers.
fn caches(redis: &Redis, env: &Environment) -> ListCacheCase {
    let cache = || -> Arc<dyn ListCache> {
        let cache = Arc::new(RedisListCache::new(redis.clone(), env));
        let keeping = Arc::clone(&cache);
        tokio::spawn(async move { keeping.keep_up().await });
        cache
    };
    ListCacheCase { here: cache(), there: cache(), env: env.clone() }
}

#[tokio::test]
async fn the_cache_keeps_its_contract_across_processes() {
    caches(&redis(), &test_environment()).check_all().await;
}

const TAGS: &[ListTag] = &[ListTag::Workflows];

fn key(env: &Environment) -> CacheKey {
    CacheKey { workspace: WorkspaceId::generate(env), digest: [7; 32] }
}

/// Stores `value` if nothing is cached; returns what is cached. Waits until the cache answers.
async fn read(cache: &Arc<dyn ListCache>, key: &CacheKey, value: &[u8]) -> Option<Vec<u8>> {
    let answered = async {
        loop {
            if let Some(looked) = cache.look(key, TAGS).await {
                break looked;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let looked = timeout(Duration::from_secs(30), answered).await.expect("the cache answers");
    if looked.value.is_none() {
        cache.store(key.clone(), looked.versions, value.into(), MAX_KEEP);
    }
    looked.value.map(|value| value.to_vec())
}

#[tokio::test]
async fn without_redis_nothing_is_cached() {
    let case = caches(&nowhere(), &test_environment());
    let key = key(&case.env);
    case.here.invalidate(key.workspace, TAGS).await;
    assert_eq!(case.here.look(&key, TAGS).await, None);
}

#[tokio::test]
async fn a_redis_that_starts_again_from_an_old_snapshot_serves_nothing_old() {
    let mut server = RedisServer::start(&["--save", "3600 1"]).await;
    let case = caches(&Redis::new(&server.url()).expect("the address can be read"), &test_environment());
    let key = key(&case.env);
    for cache in [&case.here, &case.there] {
        assert_eq!(read(cache, &key, b"old").await, None);
        assert_eq!(read(cache, &key, b"old").await.as_deref(), Some(&b"old"[..]));
    }
    // The snapshot has the versions from before the change, and the values are still in memory.
    server.command(&["SAVE"]).await;
    case.here.invalidate(key.workspace, TAGS).await;
    server.kill().await;
    server.start_again().await;
    for cache in [&case.there, &case.here] {
        assert_eq!(read(cache, &key, b"new").await, None);
        assert_eq!(read(cache, &key, b"new").await.as_deref(), Some(&b"new"[..]));
    }
}

#[tokio::test]
async fn a_change_that_redis_missed_is_announced_when_it_is_back() {
    let cut = Arc::new(Notify::new());
    let proxy = Proxy::start(Arc::clone(&cut)).await;
    let env = test_environment();
    let (near, far) = (caches(&redis(), &env), caches(&Redis::new(&proxy.url).expect("the address can be read"), &env));
    let key = key(&env);
    for cache in [&near.here, &far.here] {
        read(cache, &key, b"old").await;
        assert_eq!(read(cache, &key, b"old").await.as_deref(), Some(&b"old"[..]));
    }
    proxy.refuse(true);
    cut.notify_waiters();
    far.here.invalidate(key.workspace, TAGS).await;
    assert_eq!(far.here.look(&key, TAGS).await, None, "the process that made the change finds nothing old");
    proxy.refuse(false);
    let announced = async {
        while read(&near.here, &key, b"new").await.as_deref() == Some(b"old") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), announced).await.expect("other processes hear of the change");
    assert_ne!(read(&far.here, &key, b"new").await.as_deref(), Some(&b"old"[..]));
}

#[tokio::test]
async fn limits_signals_and_the_cache_work_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    let redis = Redis::new(&cluster.url()).expect("the address can be read");
    redis.ping().await.expect("the cluster answers");
    let env = test_environment();
    // Many subjects, so that every node has some.
    for n in 0..20 {
        let limiter = Arc::new(RedisRateLimiter::new(redis.clone(), refusing()));
        RateLimiterCase { limiter, clock: None, run: format!("cluster-{n}") }.each_answer_says_what_is_left().await;
    }
    let limiter = Arc::new(RedisRateLimiter::new(redis.clone(), refusing()));
    RateLimiterCase { limiter, clock: None, run: "cluster".to_owned() }.check_all().await;
    let case = caches(&redis, &env);
    // A node that does not know the script yet makes a cache forget everything, so all of them are asked first.
    for cache in [&case.here, &case.there] {
        for _ in 0..60 {
            read(cache, &key(&env), b"").await;
        }
    }
    for _ in 0..5 {
        case.check_all().await;
    }
    let elsewhere = Redis::new(&cluster.url_from(1)).expect("the address can be read");
    let (here, there) = (relayed(&redis, &env), relayed(&elsewhere, &env));
    signal_bus::everybody_hears_a_publisher_in_its_order(&*here, &*there).await;
    signal_bus::other_topics_are_not_heard(&*here, &*there).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_starts_again_is_used_again() {
    let mut cluster = RedisCluster::start().await;
    let redis = Redis::new(&cluster.url()).expect("the address can be read");
    let env = test_environment();
    let case = caches(&redis, &env);
    let keys: Vec<CacheKey> = (0..12).map(|_| key(&env)).collect();
    for key in &keys {
        read(&case.here, key, b"old").await;
        assert_eq!(read(&case.here, key, b"old").await.as_deref(), Some(&b"old"[..]));
    }
    let (here, there) = (relayed(&redis, &env), relayed(&redis, &env));
    signal_bus::connect(&*here, &*there).await;
    let mut stream = there.subscribe(&[Topic::PersonChanged]);
    // The first node, where the buses have subscribed.
    cluster.nodes[0].kill().await;
    assert_eq!(stream.next().await, Some(Received::Missed), "it subscribes at another node");
    for key in &keys {
        case.there.invalidate(key.workspace, TAGS).await;
    }
    let fallback = Arc::new(InProcessRateLimiter::new(env.clone()));
    let limiter = RedisRateLimiter::new(redis.clone(), fallback);
    let limit = RateLimit::new(1000, Duration::from_secs(60)).expect("a limit");
    for n in 0..12 {
        assert!(limiter.check(&RateKey::new("contract-node", format!("{n}")), limit).await.allowed);
    }
    cluster.nodes[0].start_again().await;
    cluster.until_whole().await;
    for key in &keys {
        let fresh = async {
            while read(&case.here, key, b"new").await.as_deref() == Some(b"old") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), fresh).await.expect("nothing old is found");
        assert_eq!(read(&case.here, key, b"new").await.as_deref(), Some(&b"new"[..]));
    }
    signal_bus::connect(&*here, &*there).await;
}

/// A bus that relays signals to and from other processes.
fn relayed(redis: &Redis, env: &Environment) -> Arc<RedisSignalBus> {
    let bus = Arc::new(RedisSignalBus::new(redis, env).expect("the address can be read"));
    let relaying = Arc::clone(&bus);
    tokio::spawn(async move { relaying.relay().await });
    bus
}

/// A proxy to Redis.
struct Proxy {
    url: String,
    refuses: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts it. A signal of `cut` breaks its connections; new ones work again, unless it refuses them.
    async fn start(cut: Arc<Notify>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = Arc::clone(&refuses);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if refusing.load(Ordering::SeqCst) {
                    continue;
                }
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let url = url();
                    let target = url.trim_start_matches("redis://").trim_end_matches('/');
                    let mut far = TcpStream::connect(target).await.expect("Redis listens");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        Self { url: format!("redis://{address}"), refuses }
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}
