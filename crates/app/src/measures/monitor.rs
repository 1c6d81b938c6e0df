//! What is looked up when somebody asks for measurements: how full pools, caches and queues are.
//!
//! The database is asked at most once a second, whoever asks how often, and for two seconds at most. While it does not answer,
//! the last figures stay.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tidegate_engine::monitoring::{InstallationFigures, QueueFigures};
use tidegate_events::pattern::DETECTION;
use tidegate_kernel::{CacheFigures, SystemScope, Urgency};
use tidegate_use_cases::TRIGGERS;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::Services;

/// How long the database may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long figures of the database are good.
const KEEP: Duration = Duration::from_secs(1);
/// Runs in quarantine are counted up to here.
const QUARANTINE_COUNTED: u32 = 10_000;

/// The consumers of events: by what name each is measured, and under which its cursor is stored.
const CONSUMERS: [(&str, &str); 2] = [("detection", DETECTION.0), ("triggers", TRIGGERS.0)];

/// When the database was last asked.
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Mutex<Option<Instant>>>);

/// How every cache is used.
pub(crate) fn caches(services: &Services) -> Vec<CacheFigures> {
    services.tenancy.cache_figures().into_iter().chain(services.runs.cache_figures()).collect()
}

/// All measurements, in the text format of Prometheus.
pub(crate) async fn render(services: &Services) -> String {
    pools_and_caches(services);
    {
        let mut asked = services.monitor.0.lock().await;
        if asked.is_none_or(|at| at.elapsed() >= KEEP) {
            // Where the database does not answer, the last figures stay.
            let _ = timeout(ANSWER_WITHIN, ask(services)).await;
            *asked = Some(Instant::now());
        }
    }
    services.metrics.render()
}

fn pools_and_caches(services: &Services) {
    for pool in services.store.pools() {
        metrics::gauge!("database_pool_connections", "pool" => pool.name).set(f64::from(pool.open));
        metrics::gauge!("database_pool_idle_connections", "pool" => pool.name).set(f64::from(pool.idle));
        metrics::gauge!("database_pool_max_connections", "pool" => pool.name).set(f64::from(pool.max));
    }
    for cache in caches(services) {
        metrics::gauge!("cache_entries", "cache" => cache.name).set(number(cache.entries));
        for (result, lookups) in [("hit", cache.hits), ("miss", cache.misses)] {
            metrics::counter!("cache_lookups_total", "cache" => cache.name, "result" => result).absolute(lookups);
        }
    }
}

async fn ask(services: &Services) {
    let scope: SystemScope = services.issuer.system("measuring queues").with_urgency(Urgency::Engine);
    match services.quarantine.count(QUARANTINE_COUNTED).await {
        Ok(quarantined) => metrics::gauge!("engine_quarantined_runs").set(f64::from(quarantined)),
        Err(error) => tracing::debug!(%error, "runs in quarantine cannot be counted"),
    }
    match services.store.queues(&scope, &CONSUMERS.map(|(_, cursor)| cursor)).await {
        Ok(figures) => queues(&figures, services.env.now()),
        Err(error) => tracing::debug!(%error, "queues cannot be measured"),
    }
}

fn queues(figures: &QueueFigures, now: DateTime<Utc>) {
    let age = |since: Option<DateTime<Utc>>| since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
    for (queue, oldest) in [("ready", figures.oldest_ready), ("timers", figures.first_timer)] {
        metrics::gauge!("queue_oldest_age_seconds", "queue" => queue).set(age(oldest).as_secs_f64());
    }
    metrics::gauge!("queue_ready_workspaces").set(f64::from(figures.ready_workspaces));
    for (consumer, cursor) in CONSUMERS {
        let Some(backlog) = figures.backlogs.iter().find(|backlog| backlog.consumer == cursor) else { continue };
        metrics::gauge!("consumer_backlog_workspaces", "consumer" => consumer).set(number(backlog.workspaces));
        metrics::gauge!("consumer_backlog_events", "consumer" => consumer).set(number(backlog.events));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
const fn number(count: u64) -> f64 {
    count as f64
}
