//! The metrics of a consumer.

use chrono::{DateTime, Utc};
use metrics::{Counter, Histogram};
use tidegate_kernel::StoreError;

use super::Progress;

/// The metrics of one consumer.
#[derive(Debug)]
pub(super) struct Measures {
    events: Counter,
    failures: Counter,
    step_seconds: Histogram,
    lag_seconds: Histogram,
}

impl Measures {
    pub(super) fn of(consumer: &'static str) -> Self {
        let counter = |counter: Counter| {
            counter.increment(0);
            counter
        };
        Self {
            events: counter(metrics::counter!("consumer_events_total", "consumer" => consumer)),
            failures: counter(metrics::counter!("consumer_failures_total", "consumer" => consumer)),
            step_seconds: metrics::histogram!("consumer_step_duration_seconds", "consumer" => consumer),
            lag_seconds: metrics::histogram!("consumer_lag_seconds", "consumer" => consumer),
        }
    }

    pub(super) fn stepped(&self, result: &Result<Progress, StoreError>, now: DateTime<Utc>) {
        match result {
            Ok(Progress { events, took, oldest, .. }) => {
                self.events.increment(u64::from(*events));
                self.step_seconds.record(took.as_secs_f64());
                if let Some(oldest) = oldest {
                    self.lag_seconds.record((now - *oldest).to_std().unwrap_or_default().as_secs_f64());
                }
            }
            Err(_) => self.failures.increment(1),
        }
    }
}
