//! Obligations of rate limiters. The caller names the keys, so that suites can share a store.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tidegate_kernel::{RateKey, RateLimit, RateLimiter};

use crate::TestClock;

/// A limiter and its clock.
pub struct RateLimiterCase {
    /// The limiter.
    pub limiter: Arc<dyn RateLimiter>,
    /// The clock that it uses; `None` if it uses real time.
    pub clock: Option<Arc<TestClock>>,
    /// A prefix that makes the keys of this suite unique.
    pub run: String,
}

fn limit(n: u32, period: Duration) -> RateLimit {
    RateLimit::new(n, period).expect("the limit is one")
}

impl RateLimiterCase {
    fn key(&self, name: &'static str) -> RateKey {
        RateKey::new(name, self.run.as_str())
    }

    /// MUST allow exactly `n` requests, also concurrent ones.
    pub async fn exactly_n_of_many_at_once_pass(&self) {
        let (key, limit) = (self.key("contract-many"), limit(16, Duration::from_secs(3600)));
        let asking: Vec<_> = (0..64)
            .map(|_| {
                let (limiter, key) = (self.limiter.clone(), key.clone());
                tokio::spawn(async move { limiter.check(&key, limit).await.allowed })
            })
            .collect();
        let mut allowed = 0;
        for task in asking {
            allowed += usize::from(task.await.expect("the check answers"));
        }
        assert_eq!(allowed, 16);
    }

    /// MUST return what remains, down to 0, and when the window ends.
    pub async fn each_answer_says_what_is_left(&self) {
        let (key, limit) = (self.key("contract-left"), limit(3, Duration::from_secs(3600)));
        for left in [2, 1, 0] {
            let decision = self.limiter.check(&key, limit).await;
            assert!(decision.allowed && decision.remaining == left, "{decision:?}");
            assert!(decision.reset_after <= limit.period && !decision.reset_after.is_zero(), "{decision:?}");
        }
        let refused = self.limiter.check(&key, limit).await;
        assert!(!refused.allowed && refused.remaining == 0 && refused.reset_after <= limit.period, "{refused:?}");
    }

    /// MUST count keys separately: other subjects, and other names with the same subject.
    pub async fn keys_are_counted_apart(&self) {
        let limit = limit(1, Duration::from_secs(3600));
        assert!(self.limiter.check(&self.key("contract-apart"), limit).await.allowed);
        assert!(self.limiter.check(&self.key("contract-other"), limit).await.allowed);
        assert!(self.limiter.check(&RateKey::new("contract-apart", format!("{}:x", self.run)), limit).await.allowed);
        assert!(!self.limiter.check(&self.key("contract-apart"), limit).await.allowed);
    }

    /// MUST allow the whole limit again after the window. A refused request MUST NOT count or lengthen the window.
    pub async fn the_window_ends_whatever_was_refused(&self) {
        let period = if self.clock.is_some() { Duration::from_secs(60) } else { Duration::from_millis(200) };
        let (key, limit) = (self.key("contract-window"), limit(2, period));
        assert!(self.limiter.check(&key, limit).await.allowed);
        assert!(self.limiter.check(&key, limit).await.allowed);
        // There is room again at the end of the window, not a period after the last refusal.
        loop {
            let decision = self.limiter.check(&key, limit).await;
            if decision.allowed {
                assert_eq!(decision.remaining, 1, "the new window has the whole limit");
                break;
            }
            match &self.clock {
                Some(clock) => clock.advance(TimeDelta::seconds(10)),
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Runs all of the above.
    pub async fn check_all(&self) {
        self.exactly_n_of_many_at_once_pass().await;
        self.each_answer_says_what_is_left().await;
        self.keys_are_counted_apart().await;
        self.the_window_ends_whatever_was_refused().await;
    }
}
