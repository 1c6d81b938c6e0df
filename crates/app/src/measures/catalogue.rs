//! The catalogue of metrics: every metric that the program exports, with its meaning.

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A counter, which only grows.
    Counter,
    /// A gauge, which goes up and down.
    Gauge,
    /// A histogram: the distribution of values.
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, by the naming conventions of Prometheus.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// What it means.
    pub help: &'static str,
    /// The names of its labels. Each has few values; none of them comes from a tenant.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($kind:ident $name:ident [$($label:ident)*] $help:literal;)*) => {
        /// Every metric, by its name.
        pub const CATALOGUE: &[Metric] = &[$(
            Metric {
                name: stringify!($name),
                kind: MetricKind::$kind,
                help: $help,
                labels: &[$(stringify!($label)),*],
            },
        )*];
    };
}

metrics! {
    Counter background_task_failures_total [task] "Times that a background task panicked or ended and was started again.";
    Gauge cache_entries [cache] "Entries of a cache.";
    Counter cache_lookups_total [cache result] "Lookups of a cache, by whether it answered (hit) or not (miss).";
    Gauge consumer_backlog_events [consumer] "Events that a consumer has not read.";
    Gauge consumer_backlog_workspaces [consumer] "Workspaces with events that a consumer has not read.";
    Counter consumer_events_total [consumer] "Events that a consumer has read.";
    Counter consumer_failures_total [consumer] "Steps of a consumer that failed and are tried again.";
    Histogram consumer_lag_seconds [consumer] "Age of the oldest event of each step of a consumer when the step had been committed.";
    Histogram consumer_step_duration_seconds [consumer] "How long a step of a consumer held a connection.";
    Gauge database_breaker_open [pool] "Whether the breaker before a pool is open (1): the database does not answer.";
    Counter database_breaker_openings_total [pool] "Times that the breaker before a pool opened.";
    Counter database_breaker_refusals_total [pool] "Transactions that the breaker before a pool refused.";
    Gauge database_pool_connections [pool] "Open connections of a pool.";
    Gauge database_pool_idle_connections [pool] "Open connections of a pool that nobody uses.";
    Gauge database_pool_max_connections [pool] "The most connections of a pool.";
    Histogram database_pool_wait_seconds [pool] "How long units of work waited for a connection.";
    Counter database_slow_statements_total [] "Statements that took longer than 100 ms.";
    Gauge engine_attempts_in_flight [] "Attempts of steps that are being made.";
    Histogram engine_attempt_duration_seconds [uses outcome] "How long attempts of steps took, by kind of step and outcome.";
    Gauge engine_quarantined_runs [] "Runs in quarantine; counting stops at 10,000.";
    Gauge engine_runs_in_hand [] "Runs that the worker has in hand.";
    Counter engine_run_commits_total [] "Commits of runs; one transaction commits many.";
    Counter engine_runs_claimed_total [] "Runs that the worker has claimed.";
    Counter engine_runs_ended_total [status] "Runs that ended, by status.";
    Counter engine_runs_quarantined_total [reason] "Runs that were put into quarantine, by reason.";
    Gauge engine_shards [] "Shards that the worker owns.";
    Counter engine_shards_lost_total [] "Shards that the worker lost before it gave them back.";
    Histogram engine_start_delay_seconds [] "Time from the start of a run until a worker claimed it for the first time.";
    Histogram engine_store_duration_seconds [operation] "How long the engine waited for its store, by operation.";
    Counter engine_store_failures_total [operation] "Operations of the engine that its store refused or did not answer.";
    Counter events_ingested_total [outcome] "Events that were sent, by outcome: accepted, duplicate or rejected.";
    Counter file_tasks_total [outcome] "Tasks of files that were due, such as purges, by outcome: done or failed.";
    Histogram http_request_duration_seconds [method route status] "How long requests took, by operation and status.";
    Gauge http_requests_in_flight [] "Requests that are being answered.";
    Counter http_unreadable_requests_total [reason] "Requests that could not be read, by reason.";
    Histogram job_attempt_duration_seconds [kind] "How long attempts at background jobs took.";
    Counter job_attempts_total [kind outcome] "Attempts at background jobs, by outcome: done, retried or dead.";
    Counter job_ends_unwritten_total [] "Ends of background jobs that the database refused. Such a job is done again.";
    Gauge job_oldest_age_seconds [kind status] "Age of the oldest background job of the worker's shards that is ready or dead.";
    Histogram job_start_delay_seconds [kind] "Time until an attempt at a background job that could be done began.";
    Gauge jobs [kind status] "Background jobs of the worker's shards that are not done; counting stops at 100,000.";
    Gauge jobs_of_unknown_kinds [] "Background jobs of the worker's shards whose kind this release does not know.";
    Gauge queue_oldest_age_seconds [queue] "Age of the oldest item that waits: ready runs since their start, timers since they were due.";
    Gauge queue_ready_workspaces [] "Workspaces with runs that could be worked on; counting stops at 1,000.";
    Counter quota_refusals_total [meter] "Items that were refused because the quota of the plan is used up.";
    Counter rate_limit_refusals_total [limit] "Requests that a rate limit refused.";
    Gauge subscriptions_overdue [] "Subscriptions that have had something to do for over an hour; counting stops at 1,000.";
    Counter trace_export_failures_total [] "Times that the collector did not take spans. They are dropped.";
    Gauge workspace_erasures [state] "Deleted workspaces whose data is not erased yet, by state: waiting or failed.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_documented() {
        let documented = include_str!("../../../../docs/observability.md");
        for (index, metric) in CATALOGUE.iter().enumerate() {
            let Metric { name, kind, help, labels } = metric;
            assert!(CATALOGUE[..index].iter().all(|other| other.name != *name), "{name} stands twice");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert!(*kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name} is in its base unit");
            assert!(help.ends_with('.'), "{name}");
            let kind = format!("{kind:?}").to_lowercase();
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "));
            assert!(documented.contains(&row), "docs/observability.md lacks the row {row}");
        }
    }
}
