//! Figures of the whole installation, for those who operate it.

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

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(metrics).service(caches).service(pools).service(business);
}

/// What a metric is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricKindView {
    /// It only grows while the process runs.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How values are spread.
    Histogram,
}

/// One value of a metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct SampleView {
    /// The labels that tell it from the others, such as `route`.
    labels: BTreeMap<String, String>,
    /// The value; of a histogram the sum of what was measured.
    value: f64,
    /// Of a histogram how many were measured, otherwise `null`.
    #[schema(minimum = 0)]
    count: Option<u64>,
}

/// A metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricView {
    /// Its name, as in `/metrics`.
    name: &'static str,
    /// What it is.
    kind: MetricKindView,
    /// What it means.
    help: &'static str,
    /// Its values.
    samples: Vec<SampleView>,
}

/// The measurements of the process that answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricsView {
    /// When they were taken.
    at: DateTime<Utc>,
    /// Every metric that has a value.
    metrics: Vec<MetricView>,
}

/// How a cache is used.
#[derive(Debug, Serialize, ToSchema)]
pub struct CacheView {
    /// Which one.
    name: &'static str,
    /// Lookups that it answered.
    #[schema(minimum = 0)]
    hits: u64,
    /// Lookups that it did not answer.
    #[schema(minimum = 0)]
    misses: u64,
    /// The share of lookups that it answered; `null` before the first.
    #[schema(minimum = 0, maximum = 1)]
    hit_rate: Option<f64>,
    /// What it holds.
    #[schema(minimum = 0)]
    entries: u64,
    /// The most that it holds.
    #[schema(minimum = 1)]
    capacity: u64,
}

/// How the caches of the process that answers are used.
#[derive(Debug, Serialize, ToSchema)]
pub struct CachesView {
    /// Every cache.
    caches: Vec<CacheView>,
}

/// How a pool of connections to PostgreSQL is used.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolView {
    /// Whose transactions take its connections: `api`, or `engine` or `directory` where it has a login of its own.
    name: &'static str,
    /// The most connections.
    #[schema(minimum = 1)]
    max: u32,
    /// Connections that are open.
    #[schema(minimum = 0)]
    open: u32,
    /// Those of them that nobody uses.
    #[schema(minimum = 0)]
    idle: u32,
    /// How many transactions have asked for a connection.
    #[schema(minimum = 0)]
    waits: u64,
    /// How long they waited together, in seconds.
    #[schema(minimum = 0)]
    waited_seconds: f64,
    /// The breaker before it.
    breaker: BreakerView,
}

/// How a breaker is, and what it did.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerView {
    /// Its state.
    state: BreakerStateView,
    /// How often it opened.
    #[schema(minimum = 0)]
    openings: u64,
    /// How many transactions it refused.
    #[schema(minimum = 0)]
    refusals: u64,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStateView {
    /// The database answers.
    Closed,
    /// It did not answer, and is being asked again.
    HalfOpen,
    /// It does not answer: requests are refused.
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

/// How the pools of the process that answers are used.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolsView {
    /// Every pool.
    pools: Vec<PoolView>,
}

/// How much the installation is used.
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
    /// Workspaces with an API call this day.
    #[schema(minimum = 0)]
    active_workspaces: u64,
    /// Events taken in since each workspace was made.
    #[schema(minimum = 0)]
    events: u64,
    /// Events taken in this month.
    #[schema(minimum = 0)]
    events_this_month: u64,
    /// Runs started this month.
    #[schema(minimum = 0)]
    runs_this_month: u64,
    /// Steps ended this month.
    #[schema(minimum = 0)]
    steps_this_month: u64,
    /// API calls this day. The last second may be missing.
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

/// The measurements of the process that answers, as `/metrics` has them. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Measurements", body = MetricsView)))]
#[get("/monitoring/metrics")]
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

/// How the caches of the process that answers are used. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Caches", body = CachesView)))]
#[get("/monitoring/cache/stats")]
pub async fn caches(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let caches = services.monitor.caches().into_iter().map(CacheView::from).collect();
    Ok(HttpResponse::Ok().json(CachesView { caches }))
}

/// How the pools of connections of the process that answers are used. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Pools", body = PoolsView)))]
#[get("/monitoring/database/pool")]
pub async fn pools(services: web::Data<Services>, _operator: Operator) -> Result<HttpResponse, Problem> {
    let pools = services.platform.store.pools().into_iter().map(PoolView::from).collect();
    Ok(HttpResponse::Ok().json(PoolsView { pools }))
}

/// How much the installation is used: people, workspaces, and what they have used. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Usage of all workspaces", body = BusinessView)))]
#[get("/monitoring/business")]
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
