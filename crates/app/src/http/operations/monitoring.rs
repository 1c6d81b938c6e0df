//! Metrics and usage of the whole installation, for operators.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_kernel::CacheFigures;
use tidegate_postgres::{BreakerFigures, BreakerState, PoolFigures};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::billing::UsageTotalsAt;
use crate::http::support::caller::Operator;
use crate::http::support::problem::Problem;
use crate::measures::catalogue::MetricKind;
use crate::measures::exposition::{self, Sample};

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(metrics).service(caches).service(pools).service(business);
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricKindView {
    /// A counter, which only grows while the process runs.
    Counter,
    /// A gauge, which goes up and down.
    Gauge,
    /// A histogram: the distribution of values.
    Histogram,
}

/// One value of a metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct SampleView {
    /// The labels that distinguish it, such as `route`.
    labels: BTreeMap<String, String>,
    /// The value; the sum of the observations for a histogram.
    value: f64,
    /// The number of observations for a histogram, otherwise null.
    #[schema(minimum = 0)]
    count: Option<u64>,
}

/// A metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricView {
    /// Its name, as in `/metrics`.
    name: &'static str,
    /// Its kind.
    kind: MetricKindView,
    /// What it means.
    help: &'static str,
    /// Its values.
    samples: Vec<SampleView>,
}

/// The metrics of the process that answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricsView {
    /// When they were taken.
    at: DateTime<Utc>,
    /// Every metric that has a value.
    metrics: Vec<MetricView>,
}

/// The use of a cache.
#[derive(Debug, Serialize, ToSchema)]
pub struct CacheView {
    /// The cache's name.
    name: &'static str,
    /// Lookups that found an entry.
    #[schema(minimum = 0)]
    hits: u64,
    /// Lookups that found none.
    #[schema(minimum = 0)]
    misses: u64,
    /// The share of lookups that found an entry; null before the first lookup.
    #[schema(minimum = 0, maximum = 1)]
    hit_rate: Option<f64>,
    /// The number of entries.
    #[schema(minimum = 0)]
    entries: u64,
    /// The most entries.
    #[schema(minimum = 1)]
    capacity: u64,
}

/// The use of the caches of the process that answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct CachesView {
    /// Every cache.
    caches: Vec<CacheView>,
}

/// The use of a connection pool to PostgreSQL.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolView {
    /// The pool's name: `api`, and `engine` or `directory` if it has a login of its own.
    name: &'static str,
    /// The most connections.
    #[schema(minimum = 1)]
    max: u32,
    /// Connections that are open.
    #[schema(minimum = 0)]
    open: u32,
    /// Open connections that are not in use.
    #[schema(minimum = 0)]
    idle: u32,
    /// How many transactions have asked for a connection.
    #[schema(minimum = 0)]
    waits: u64,
    /// How long all of them waited, added up, in seconds.
    #[schema(minimum = 0)]
    waited_seconds: f64,
    /// The circuit breaker of the pool.
    breaker: BreakerView,
}

/// The state and the counts of a circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerView {
    /// Its state.
    state: BreakerStateView,
    /// How often it has opened.
    #[schema(minimum = 0)]
    openings: u64,
    /// How many transactions it has refused.
    #[schema(minimum = 0)]
    refusals: u64,
}

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStateView {
    /// The database answers.
    Closed,
    /// The database did not answer the last probe, and a new probe is under way.
    HalfOpen,
    /// The database does not answer; requests are refused.
    Open,
}

impl From<BreakerState> for BreakerStateView {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Closed => Self::Closed,
            BreakerState::HalfOpen => Self::HalfOpen,
            BreakerState::Open => Self::Open,
        }
    }
}

impl From<BreakerFigures> for BreakerView {
    fn from(breaker: BreakerFigures) -> Self {
        let BreakerFigures { state, openings, refusals } = breaker;
        Self { state: state.into(), openings, refusals }
    }
}

/// The use of the connection pools of the process that answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolsView {
    /// Every pool.
    pools: Vec<PoolView>,
}

/// The usage of the installation.
#[derive(Debug, Serialize, ToSchema)]
pub struct BusinessView {
    /// When it was counted.
    at: DateTime<Utc>,
    /// The beginning of the day (UTC).
    day: DateTime<Utc>,
    /// The beginning of the month (UTC).
    month: DateTime<Utc>,
    /// People who have an account.
    #[schema(minimum = 0)]
    people: u64,
    /// Workspaces that are not deleted.
    #[schema(minimum = 0)]
    workspaces: u64,
    /// Workspaces with an API call today.
    #[schema(minimum = 0)]
    active_workspaces: u64,
    /// Events in all workspaces since their creation.
    #[schema(minimum = 0)]
    events: u64,
    /// Events received this month.
    #[schema(minimum = 0)]
    events_this_month: u64,
    /// Runs started this month.
    #[schema(minimum = 0)]
    runs_this_month: u64,
    /// Attempts of steps that began this month.
    #[schema(minimum = 0)]
    steps_this_month: u64,
    /// API calls today. Those of the last second may be missing.
    #[schema(minimum = 0)]
    api_calls_today: u64,
}

impl From<MetricKind> for MetricKindView {
    fn from(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter,
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Histogram => Self::Histogram,
        }
    }
}

impl From<Sample> for SampleView {
    fn from(sample: Sample) -> Self {
        Self { labels: sample.labels, value: sample.value, count: sample.count }
    }
}

impl From<CacheFigures> for CacheView {
    fn from(cache: CacheFigures) -> Self {
        let hit_rate = cache.hit_rate();
        let CacheFigures { name, hits, misses, entries, capacity } = cache;
        Self { name, hits, misses, hit_rate, entries, capacity }
    }
}

impl From<PoolFigures> for PoolView {
    fn from(pool: PoolFigures) -> Self {
        let PoolFigures { name, max, open, idle, waits, waited, breaker } = pool;
        Self { name, max, open, idle, waits, waited_seconds: waited.as_secs_f64(), breaker: breaker.into() }
    }
}

/// Get the metrics of the process that answers, the same as in `/metrics`. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Measurements", body = MetricsView)))]
#[get("/metrics")]
pub async fn metrics(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let text = services.monitor.render().await;
    let view = |(metric, samples): (&'static crate::measures::catalogue::Metric, Vec<Sample>)| MetricView {
        name: metric.name,
        kind: metric.kind.into(),
        help: metric.help,
        samples: samples.into_iter().map(SampleView::from).collect(),
    };
    let metrics = exposition::read(&text).into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(MetricsView { at: services.platform.env.now(), metrics }))
}

/// Get the use of the caches of the process that answers. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Caches", body = CachesView)))]
#[get("/cache/stats")]
pub async fn caches(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let caches = services.monitor.caches().into_iter().map(CacheView::from).collect();
    Ok(HttpResponse::Ok().json(CachesView { caches }))
}

/// Get the use of the connection pools of the process that answers. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Pools", body = PoolsView)))]
#[get("/database/pool")]
pub async fn pools(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let pools = services.platform.store.pools().into_iter().map(PoolView::from).collect();
    Ok(HttpResponse::Ok().json(PoolsView { pools }))
}

/// Get the usage of the installation: people, workspaces, and what they have used. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Usage of all workspaces", body = BusinessView)))]
#[get("/business")]
pub async fn business(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let UsageTotalsAt { at, periods, totals } = services.billing.report.now().await?;
    Ok(HttpResponse::Ok().json(BusinessView {
        at,
        day: periods.day,
        month: periods.month,
        people: totals.people,
        workspaces: totals.workspaces,
        active_workspaces: totals.active_workspaces,
        events: totals.events,
        events_this_month: totals.events_this_month,
        runs_this_month: totals.runs_this_month,
        steps_this_month: totals.steps_this_month,
        api_calls_today: totals.api_calls_today,
    }))
}
