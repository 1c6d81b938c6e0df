//! Metrics that are read on demand: the use of pools, caches and queues.
//!
//! The database is read at most once a second, however often metrics are scraped, with a timeout of two seconds. If it
//! does not answer, the metrics keep their last values.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use tidegate_engine::monitoring::{InstallationFigures, QueueFigures};
use tidegate_events::pattern::DETECTION;
use tidegate_kernel::{CacheFigures, Environment, ScopeIssuer, SystemScope, Urgency};
use tidegate_postgres::PgStore;
use tidegate_use_cases::TRIGGERS;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::keep_up;
use crate::billing::BillingServices;
use crate::http::support::lists::Lists;
use crate::platform::Platform;
use crate::tenancy::TenancyServices;
use crate::workflows::WorkflowServices;

/// The timeout of reading from the database.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long values from the database are reused.
const KEEP: Duration = Duration::from_secs(1);
/// The count of runs in quarantine stops here.
const QUARANTINE_COUNTED: u32 = 10_000;

/// The consumers of events. Their names are labels of metrics.
const CONSUMERS: [&str; 2] = [DETECTION.0, TRIGGERS.0];

/// Reads metrics when they are scraped.
#[derive(Clone)]
pub(crate) struct Monitor(Arc<Sources>);

/// The sources of metrics.
struct Sources {
    recorder: PrometheusHandle,
    store: Arc<PgStore>,
    env: Environment,
    tenancy: TenancyServices,
    workflows: WorkflowServices,
    billing: BillingServices,
    lists: Lists,
    scope: SystemScope,
    /// When the database was last read.
    asked: Mutex<Option<Instant>>,
}

impl Monitor {
    /// Wires the monitor of a server.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &ScopeIssuer,
        tenancy: &TenancyServices,
        workflows: &WorkflowServices,
        billing: &BillingServices,
        lists: &Lists,
        recorder: PrometheusHandle,
    ) -> Self {
        Self(Arc::new(Sources {
            recorder,
            store: platform.store.clone(),
            env: platform.env.clone(),
            tenancy: tenancy.clone(),
            workflows: workflows.clone(),
            billing: billing.clone(),
            lists: lists.clone(),
            scope: issuer.system("measuring queues").with_urgency(Urgency::Engine),
            asked: Mutex::default(),
        }))
    }

    /// Starts the task that moves observations into histogram buckets.
    pub(crate) fn support(&self, platform: &Platform) {
        let (recorder, stopping) = (self.0.recorder.clone(), platform.stopping.clone());
        platform.supervisor.spawn("measurements", "samples are kept one by one until somebody asks", move || {
            keep_up(recorder.clone(), stopping.clone())
        });
    }

    /// How every cache is used.
    pub(crate) fn caches(&self) -> Vec<CacheFigures> {
        let lists = std::iter::once(self.0.lists.figures());
        self.0.tenancy.cache_figures().into_iter().chain(self.0.workflows.runs.cache_figures()).chain(lists).collect()
    }

    /// All metrics, in the text format of Prometheus.
    pub(crate) async fn render(&self) -> String {
        self.pools_and_caches();
        {
            let mut asked = self.0.asked.lock().await;
            if asked.is_none_or(|at| at.elapsed() >= KEEP) {
                // If the database does not answer, the last values stay.
                let _ = timeout(ANSWER_WITHIN, self.ask()).await;
                *asked = Some(Instant::now());
            }
        }
        self.0.recorder.render()
    }

    fn pools_and_caches(&self) {
        for pool in self.0.store.pools() {
            metrics::gauge!("database_pool_connections", "pool" => pool.name).set(f64::from(pool.open));
            metrics::gauge!("database_pool_idle_connections", "pool" => pool.name).set(f64::from(pool.idle));
            metrics::gauge!("database_pool_max_connections", "pool" => pool.name).set(f64::from(pool.max));
        }
        for cache in self.caches() {
            metrics::gauge!("cache_entries", "cache" => cache.name).set(number(cache.entries));
            for (result, lookups) in [("hit", cache.hits), ("miss", cache.misses)] {
                metrics::counter!("cache_lookups_total", "cache" => cache.name, "result" => result).absolute(lookups);
            }
        }
    }

    async fn ask(&self) {
        let Sources { workflows, billing, store, env, scope, .. } = &*self.0;
        match workflows.quarantine.count(QUARANTINE_COUNTED).await {
            Ok(quarantined) => metrics::gauge!("engine_quarantined_runs").set(f64::from(quarantined)),
            Err(error) => tracing::debug!(%error, "runs in quarantine cannot be counted"),
        }
        match billing.overdue.count().await {
            Ok(overdue) => {
                metrics::gauge!("subscriptions_overdue").set(number(u64::try_from(overdue).unwrap_or(u64::MAX)));
            }
            Err(error) => tracing::debug!(%error, "overdue subscriptions cannot be counted"),
        }
        match store.queues(scope, &CONSUMERS).await {
            Ok(figures) => queues(&figures, env.now()),
            Err(error) => tracing::debug!(%error, "queues cannot be measured"),
        }
    }
}

fn queues(figures: &QueueFigures, now: DateTime<Utc>) {
    let age = |since: Option<DateTime<Utc>>| since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
    for (queue, oldest) in [("ready", figures.oldest_ready), ("timers", figures.first_timer)] {
        metrics::gauge!("queue_oldest_age_seconds", "queue" => queue).set(age(oldest).as_secs_f64());
    }
    metrics::gauge!("queue_ready_workspaces").set(f64::from(figures.ready_workspaces));
    for backlog in &figures.backlogs {
        metrics::gauge!("consumer_backlog_workspaces", "consumer" => backlog.consumer).set(number(backlog.workspaces));
        metrics::gauge!("consumer_backlog_events", "consumer" => backlog.consumer).set(number(backlog.events));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
const fn number(count: u64) -> f64 {
    count as f64
}
