//! Metrics: the recorder, the catalogue, and what is read from the database on demand.

pub mod catalogue;
pub(crate) mod exposition;
pub(crate) mod monitor;
mod requests;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tidegate_events::IngestReport;
use tidegate_events::cloud_event::RejectionCode;
use tidegate_kernel::Meter;
use tokio_util::sync::CancellationToken;

use catalogue::{CATALOGUE, MetricKind};
pub(crate) use requests::{InFlight, answered};

use crate::tenancy::limits;

/// Bucket bounds of durations, in seconds. The last is the time limit of a request.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 75.0];

/// How often observations are moved into histogram buckets. Until then each is kept separately.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics recorder of this process. Several servers in one process share it.
#[expect(clippy::expect_used, reason = "the bounds are constants, and there is only one recorder")]
pub(crate) fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
                .and_then(PrometheusBuilder::install_recorder)
                .expect("the first recorder of a process installs");
            describe();
            begin_at_zero();
            handle
        })
        .clone()
}

fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Registers counters whose labels are known with 0, so that a scrape sees their first increment.
fn begin_at_zero() {
    for limit in limits::names() {
        metrics::counter!("rate_limit_refusals_total", "limit" => limit).increment(0);
    }
    for meter in Meter::ALL {
        metrics::counter!("quota_refusals_total", "meter" => meter.as_str()).increment(0);
    }
    metrics::counter!("database_slow_statements_total").increment(0);
    metrics::counter!("trace_export_failures_total").increment(0);
    for outcome in ["accepted", "duplicate", "rejected"] {
        metrics::counter!("events_ingested_total", "outcome" => outcome).increment(0);
    }
    for reason in tidegate_workflows::run::QuarantineReason::ALL {
        metrics::counter!("engine_runs_quarantined_total", "reason" => reason.as_str()).increment(0);
    }
    for outcome in ["done", "failed"] {
        metrics::counter!("file_tasks_total", "outcome" => outcome).increment(0);
    }
    metrics::gauge!("subscriptions_overdue").increment(0.0);
    for state in ["waiting", "failed"] {
        metrics::gauge!("workspace_erasures", "state" => state).increment(0.0);
    }
}

/// Counts the outcomes of the events in a request.
pub(crate) fn ingested(report: &IngestReport) {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let over = report.rejected.iter().filter(|(_, rejection)| rejection.code == RejectionCode::QuotaExceeded).count();
    for (outcome, count) in
        [("accepted", report.accepted), ("duplicate", report.duplicates), ("rejected", report.rejected.len())]
    {
        if count > 0 {
            metrics::counter!("events_ingested_total", "outcome" => outcome).increment(number(count));
        }
    }
    if over > 0 {
        metrics::counter!("quota_refusals_total", "meter" => "events").increment(number(over));
    }
}

/// Moves observations into histogram buckets, so that memory does not grow while nothing scrapes the metrics.
async fn keep_up(recorder: PrometheusHandle, stopping: CancellationToken) {
    let mut turns = tokio::time::interval(UPKEEP);
    while stopping.run_until_cancelled(turns.tick()).await.is_some() {
        recorder.run_upkeep();
    }
}
