//! A fixed-window rate limiter in Redis: one key per window and one script, so that all processes count together.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::cmd;
use tidegate_kernel::{Decision, RateKey, RateLimit, RateLimiter};

use crate::away::Away;
use crate::{Redis, RedisError};

/// Counts a request if the window has room. Returns whether it did, how much remains, and the milliseconds until the
/// window ends.
///
/// If a window has no end, or ends later than one period from now because the period was shortened, it ends in one
/// period.
const SCRIPT: &str = "
local limit, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
if used > 0 and (left < 0 or left > period) then
  redis.call('PEXPIRE', KEYS[1], period)
  left = period
end
if used >= limit then
  return {0, 0, left}
end
used = redis.call('INCR', KEYS[1])
if used == 1 then
  redis.call('PEXPIRE', KEYS[1], period)
  left = period
end
return {1, limit - used, left}";

/// A rate limiter in Redis, with another limiter as a fallback while Redis is away.
pub struct RedisRateLimiter {
    redis: Redis,
    fallback: Arc<dyn RateLimiter>,
    away: Away,
}

impl RedisRateLimiter {
    /// A limiter that falls back to `fallback`.
    #[must_use]
    pub fn new(redis: Redis, fallback: Arc<dyn RateLimiter>) -> Self {
        Self { redis, fallback, away: Away::default() }
    }

    /// Records the outcome of a call.
    fn note(&self, failure: Option<&RedisError>) {
        let failure = failure.map(|error| error as &dyn std::fmt::Display);
        let effect = "each process counts limits by itself";
        self.away.note(failure, effect, "limits are counted across processes again");
    }
}

#[async_trait]
impl RateLimiter for RedisRateLimiter {
    async fn check(&self, key: &RateKey, limit: RateLimit) -> Decision {
        if self.away.is_resting() {
            return self.fallback.check(key, limit).await;
        }
        let period = u64::try_from(limit.period.as_millis()).unwrap_or(u64::MAX);
        // The hash tag keeps every key of this limit and subject on one node of a cluster.
        let name = format!("tidegate:rate:{{{}:{}}}", key.name(), key.subject());
        let mut script = cmd("EVAL");
        script.arg(SCRIPT).arg(1).arg(name).arg(limit.n.get()).arg(period);
        match self.redis.query::<(i64, u32, u64)>(&script).await {
            Ok((allowed, remaining, left)) => {
                self.note(None);
                Decision { allowed: allowed == 1, remaining, reset_after: Duration::from_millis(left) }
            }
            Err(error) => {
                self.note(Some(&error));
                self.fallback.check(key, limit).await
            }
        }
    }
}
