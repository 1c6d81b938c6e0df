//! A fixed-window rate limiter in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Decision, Environment, RateKey, RateLimit, RateLimiter};

/// After this many checks, expired windows are removed.
const SWEEP_EVERY: u32 = 4096;

#[derive(Clone, Copy)]
struct Window {
    ends_at: DateTime<Utc>,
    used: u32,
}

#[derive(Default)]
struct State {
    windows: HashMap<RateKey, Window>,
    checks: u32,
}

/// Counts within this process. Each process allows the whole limit, so the limit is exact only with a single process.
pub struct InProcessRateLimiter {
    state: Mutex<State>,
    env: Environment,
}

impl InProcessRateLimiter {
    /// A limiter without any counts.
    #[must_use]
    pub fn new(env: Environment) -> Self {
        Self { state: Mutex::default(), env }
    }
}

#[async_trait]
impl RateLimiter for InProcessRateLimiter {
    async fn check(&self, key: &RateKey, limit: RateLimit) -> Decision {
        let now = self.env.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.checks += 1;
        if state.checks >= SWEEP_EVERY {
            state.checks = 0;
            state.windows.retain(|_, window| now < window.ends_at);
        }
        let fresh = Window { ends_at: now + limit.period, used: 0 };
        let window = state.windows.entry(key.clone()).or_insert(fresh);
        // If the clock was set back, the window must still end.
        if now >= window.ends_at || window.ends_at > fresh.ends_at {
            *window = fresh;
        }
        let n = limit.n.get();
        let allowed = window.used < n;
        if allowed {
            window.used += 1;
        }
        let reset_after = (window.ends_at - now).to_std().unwrap_or(Duration::ZERO);
        Decision { allowed, remaining: n.saturating_sub(window.used), reset_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidegate_testing::{TestClock, environment};

    #[tokio::test]
    async fn windows_that_are_over_are_thrown_away() {
        let clock = TestClock::at(DateTime::UNIX_EPOCH);
        let limiter = InProcessRateLimiter::new(environment(Arc::clone(&clock), 1));
        let limit = RateLimit::new(1, Duration::from_secs(1)).unwrap();
        for n in 0..SWEEP_EVERY - 1 {
            limiter.check(&RateKey::new("sweep", n.to_string()), limit).await;
        }
        clock.advance(chrono::TimeDelta::seconds(2));
        limiter.check(&RateKey::new("sweep", "last"), limit).await;
        assert_eq!(limiter.state.lock().unwrap().windows.len(), 1);
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_locks_nobody_out() {
        let clock = TestClock::at(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(365));
        let limiter = InProcessRateLimiter::new(environment(Arc::clone(&clock), 1));
        let (key, limit) = (RateKey::new("back", "x"), RateLimit::new(1, Duration::from_secs(60)).unwrap());
        assert!(limiter.check(&key, limit).await.allowed);
        clock.set(DateTime::UNIX_EPOCH);
        assert!(limiter.check(&key, limit).await.reset_after <= limit.period);
    }
}
