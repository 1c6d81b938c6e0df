//! The contract suites of rate limiters, signal buses and caches of lists, within one process.

use std::sync::Arc;

use chrono::DateTime;
use tidegate_in_process::{InProcessListCache, InProcessRateLimiter, InProcessSignalBus};
use tidegate_testing::contract::list_cache::ListCacheCase;
use tidegate_testing::contract::rate_limiter::RateLimiterCase;
use tidegate_testing::contract::signal_bus;
use tidegate_testing::{TestClock, environment, test_environment};

#[tokio::test]
async fn the_limiter_keeps_its_contract() {
    let clock = TestClock::at(DateTime::UNIX_EPOCH);
    let limiter = Arc::new(InProcessRateLimiter::new(environment(Arc::clone(&clock), 1)));
    RateLimiterCase { limiter, clock: Some(clock), run: String::new() }.check_all().await;
}

#[tokio::test]
async fn the_bus_keeps_its_contract() {
    let bus = InProcessSignalBus::new();
    signal_bus::everybody_hears_a_publisher_in_its_order(&bus, &bus).await;
    signal_bus::other_topics_are_not_heard(&bus, &bus).await;
    signal_bus::a_slow_listener_is_told_that_it_missed_some(&bus).await;
}

#[tokio::test]
async fn the_cache_keeps_its_contract() {
    let cache = Arc::new(InProcessListCache::new());
    ListCacheCase { here: cache.clone(), there: cache, env: test_environment() }.check_all().await;
}
