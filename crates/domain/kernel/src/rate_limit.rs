//! Rate limits as a port. One process and many processes MUST give the same answers.
//!
//! The algorithm is a fixed window. It starts with a key's first counted request and lasts the limit's period. At most
//! `n` requests are allowed within one window, exactly `n` under any concurrency. Two adjacent windows can touch, so a
//! period that overlaps two windows can have up to `2 n` requests. Each window starts with its own key's first request,
//! so the limits of different keys do not all reset at the same instant.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

/// The key of a counter: the limit's name and the subject whose requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateKey {
    name: &'static str,
    subject: String,
}

impl RateKey {
    /// A key. `subject` is an address, an id or a digest. It MUST NOT be a secret or a text of unbounded length.
    pub fn new(name: &'static str, subject: impl Into<String>) -> Self {
        Self { name, subject: subject.into() }
    }

    /// The limit's name, such as `login-address`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The subject whose requests are counted.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// At most `n` requests in `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests are allowed within one window.
    pub n: NonZeroU32,
    /// The length of a window: at least a millisecond, at most [`RateLimit::MAX_PERIOD`].
    pub period: Duration,
}

impl RateLimit {
    /// The longest period: one day.
    pub const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

    /// A limit, or `None` if `n` is 0 or the period is shorter than a millisecond or longer than a day.
    #[must_use]
    pub fn new(n: u32, period: Duration) -> Option<Self> {
        let fits = (Duration::from_millis(1)..=Self::MAX_PERIOD).contains(&period);
        NonZeroU32::new(n).filter(|_| fits).map(|n| Self { n, period })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.n, self.period.as_secs_f64())
    }
}

/// A text that is not a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate limit; write N/PERIOD, such as 5/1m, with a period from 1ms to 24h")]
pub struct RateLimitError(pub String);

impl FromStr for RateLimit {
    type Err = RateLimitError;

    /// Parses `N/PERIOD`: `5/1m`, `3/h`, `100/500ms`. The unit is `ms`, `s`, `m`, `h` or `d`; a missing number is 1.
    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let parse = || {
            let (n, period) = text.split_once('/')?;
            let unit_at = period.find(|c: char| !c.is_ascii_digit())?;
            let (count, unit) = period.split_at(unit_at);
            let count: u32 = if count.is_empty() { 1 } else { count.parse().ok()? };
            let unit = Duration::from_millis(match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            });
            Self::new(n.parse().ok()?, unit.checked_mul(count)?)
        };
        parse().ok_or_else(|| RateLimitError(text.to_owned()))
    }
}

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request is allowed. A refused request is not counted.
    pub allowed: bool,
    /// How many more requests are allowed in this window.
    pub remaining: u32,
    /// The time until the window ends and the full limit is available again.
    pub reset_after: Duration,
}

/// Counts requests against limits.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts one request for `key` if `limit` still allows it.
    ///
    /// MUST allow exactly `limit.n` requests for a key within one window, under any concurrency and across processes.
    /// MUST count keys separately, including keys with the same subject and different names. MUST NOT count a refused
    /// request, and MUST NOT extend the window because of it. MUST answer without an error: if an adapter's store is
    /// unavailable, it falls back to stricter or local counting and never allows every request.
    async fn check(&self, key: &RateKey, limit: RateLimit) -> Decision;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_they_are_written_on_the_command_line() {
        let limit = |n, seconds| RateLimit::new(n, Duration::from_secs(seconds));
        assert_eq!("5/1m".parse().ok(), limit(5, 60));
        assert_eq!("3/h".parse().ok(), limit(3, 3600));
        assert_eq!("1/24h".parse().ok(), limit(1, 86_400));
        assert_eq!("7/500ms".parse().ok(), RateLimit::new(7, Duration::from_millis(500)));
        for bad in
            ["", "5", "5/", "/m", "0/1m", "5/2d", "5/0s", "-1/s", "5/m1", "5/1w", "99999999999/s", "5/4294967295d"]
        {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }
}
