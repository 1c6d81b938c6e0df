//! The metrics of jobs. Every handle of a kind is created once.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{Counter, Gauge, Histogram};
use tidegate_kernel::JobStatus;

use super::super::model::{JobCount, JobOutcome};

/// The results of an attempt.
const OUTCOMES: [&str; 3] = ["done", "retried", "dead"];

/// Statuses for which the age of the oldest job is measured.
const AGED: [JobStatus; 2] = [JobStatus::Ready, JobStatus::Dead];

/// The metrics of one kind.
#[derive(Debug)]
pub(super) struct KindMeasures {
    jobs: HashMap<JobStatus, Gauge>,
    ages: HashMap<JobStatus, Gauge>,
    attempts: HashMap<&'static str, Counter>,
    duration: Histogram,
    start_delay: Histogram,
}

impl KindMeasures {
    pub(super) fn new(kind: &'static str) -> Self {
        let gauge = |status: JobStatus| (status, metrics::gauge!("jobs", "kind" => kind, "status" => status.as_str()));
        let age = |status: JobStatus| {
            (status, metrics::gauge!("job_oldest_age_seconds", "kind" => kind, "status" => status.as_str()))
        };
        let attempts =
            |outcome| (outcome, metrics::counter!("job_attempts_total", "kind" => kind, "outcome" => outcome));
        Self {
            jobs: JobStatus::ALL.iter().copied().map(gauge).collect(),
            ages: AGED.map(age).into(),
            attempts: OUTCOMES.map(attempts).into(),
            duration: metrics::histogram!("job_attempt_duration_seconds", "kind" => kind),
            start_delay: metrics::histogram!("job_start_delay_seconds", "kind" => kind),
        }
    }

    /// An attempt begins at a job that has been ready for `delay`.
    pub(super) fn began(&self, delay: Duration) {
        self.start_delay.record(delay);
    }

    /// An attempt has ended.
    pub(super) fn ended(&self, outcome: &JobOutcome, duration: Duration) {
        let name = match outcome {
            JobOutcome::Done => OUTCOMES[0],
            JobOutcome::Retry { .. } => OUTCOMES[1],
            JobOutcome::Dead { .. } => OUTCOMES[2],
        };
        if let Some(counter) = self.attempts.get(name) {
            counter.increment(1);
        }
        self.duration.record(duration);
    }

    /// Records the counts of the kind's jobs.
    pub(super) fn count(&self, counts: &[&JobCount], now: DateTime<Utc>) {
        for (status, gauge) in &self.jobs {
            let count = counts.iter().find(|count| count.status == *status);
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double; there are not that many jobs")]
            gauge.set(count.map_or(0.0, |count| count.jobs as f64));
            if let Some(age) = self.ages.get(status) {
                age.set(count.map_or(0.0, |count| (now - count.oldest).as_seconds_f64().max(0.0)));
            }
        }
    }
}
