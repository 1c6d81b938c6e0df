//! The contract suites of rate limiters and signal buses on a real Redis, and the fallbacks without one.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use tidegate_in_process::InProcessRateLimiter;
use tidegate_kernel::{Environment, RateLimiter, Received, SignalBus, Topic};
use tidegate_redis::{Redis, RedisRateLimiter, RedisSignalBus};
use tidegate_testing::contract::rate_limiter::RateLimiterCase;
use tidegate_testing::contract::signal_bus;
use tidegate_testing::{TestClock, environment, test_environment};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

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
    let way = Redis::new(&relay(Arc::clone(&cut)).await).expect("the address can be read");
    let (here, there) = (relayed(&redis(), &env), relayed(&way, &env));
    signal_bus::connect(&*here, &*there).await;
    let mut stream = there.subscribe(&[Topic::PersonChanged]);
    cut.notify_waiters();
    assert_eq!(stream.next().await, Some(Received::Missed));
    signal_bus::connect(&*here, &*there).await;
}

/// A bus that relays signals to and from other processes.
fn relayed(redis: &Redis, env: &Environment) -> Arc<RedisSignalBus> {
    let bus = Arc::new(RedisSignalBus::new(redis, env).expect("the address can be read"));
    let relaying = Arc::clone(&bus);
    tokio::spawn(async move { relaying.relay().await });
    bus
}

/// The address of a proxy to Redis. A signal of `cut` breaks its connections; new ones work again.
async fn relay(cut: Arc<Notify>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a listener has an address");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
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
    format!("redis://{address}")
}
