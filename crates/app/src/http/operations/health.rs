//! Health checks: liveness, readiness, and the state of each component.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, get, web};
use futures::future::OptionFuture;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::monitoring::BreakerStateView;
use crate::Services;
use crate::http::support::caller::Operator;
use crate::http::support::schema;
use crate::supervisor::BackgroundTask;

/// The health routes, which every process serves, also a worker.
pub(crate) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(health).service(liveness).service(readiness).service(detailed).service(metrics);
}

/// The health of the server or of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It works.
    Ok,
    /// It works less well: a component that is not required is missing.
    Degraded,
    /// It does not work.
    Unavailable,
}

/// The health of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    status: HealthStatus,
    /// The version of the program.
    #[schema(value_type = schema::ProgramVersion)]
    version: &'static str,
    /// Components that do not work now, by their names in `/health/detailed`. The server can take requests without some
    /// of them.
    unavailable: Vec<&'static str>,
    /// The circuit breaker of the database.
    database_breaker: BreakerStateView,
}

/// The health of a component.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentHealth {
    /// The component: `database`, `runs`, `redis` if it is configured, or a background task such as `engine`; more may
    /// be added.
    name: &'static str,
    /// Its health.
    status: HealthStatus,
    /// How long it took to answer, in milliseconds; null for a component that is not asked.
    #[schema(minimum = 0)]
    latency_ms: Option<f64>,
    /// What the server cannot do, or does less well, without this component.
    effect: Option<&'static str>,
    /// Whether the server cannot work without it.
    #[serde(skip)]
    required: bool,
}

/// The health of every component.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailedHealth {
    /// `ok` if every component is, `unavailable` if a required one is, `degraded` otherwise.
    status: HealthStatus,
    /// The version of the program.
    #[schema(value_type = schema::ProgramVersion)]
    version: &'static str,
    /// The components.
    components: Vec<ComponentHealth>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The timeout after which a component counts as unavailable.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl ComponentHealth {
    /// The health of a component that answers or not. `effect` says what is missing while it does not.
    async fn of<E>(
        name: &'static str,
        required: bool,
        effect: &'static str,
        ping: impl Future<Output = Result<(), E>>,
    ) -> Self {
        let started = Instant::now();
        let answers = matches!(tokio::time::timeout(ANSWER_WITHIN, ping).await, Ok(Ok(())));
        Self {
            name,
            status: if answers { HealthStatus::Ok } else { HealthStatus::Unavailable },
            latency_ms: Some(started.elapsed().as_secs_f64() * 1000.0),
            effect: (!answers).then_some(effect),
            required,
        }
    }

    /// The health of a background task, which the supervisor restarts when it fails.
    fn of_task(task: &BackgroundTask) -> Self {
        Self {
            name: task.name,
            status: if task.up { HealthStatus::Ok } else { HealthStatus::Unavailable },
            latency_ms: None,
            effect: (!task.up).then_some(task.effect),
            required: false,
        }
    }

    /// The health of the whole server if only this component fails.
    const fn of_the_whole(&self) -> HealthStatus {
        match self.status {
            HealthStatus::Unavailable if !self.required => HealthStatus::Degraded,
            status => status,
        }
    }
}

/// The state of the circuit breaker of the pool for tenant work.
fn breaker(services: &Services) -> BreakerStateView {
    services.platform.store.pools().first().map_or(BreakerStateView::Closed, |pool| pool.breaker.state.into())
}

fn answer(services: &Services, ok: bool, unavailable: Vec<&'static str>) -> HttpResponse {
    let status = if ok { HealthStatus::Ok } else { HealthStatus::Unavailable };
    let body = Health { status, version: VERSION, unavailable, database_breaker: breaker(services) };
    if ok { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

/// Whether the database answers, and which components do not work.
async fn working(services: &Services) -> (bool, Vec<&'static str>) {
    let down = |part: &ComponentHealth| part.status == HealthStatus::Unavailable;
    let database = database(services).await;
    let tasks = tasks(services);
    let unavailable = std::iter::once(&database).chain(&tasks).filter(|part| down(part)).map(|part| part.name);
    (!down(&database), unavailable.collect())
}

fn tasks(services: &Services) -> Vec<ComponentHealth> {
    services.platform.supervisor.status().iter().map(ComponentHealth::of_task).collect()
}

async fn database(services: &Services) -> ComponentHealth {
    ComponentHealth::of("database", true, "nothing works without it", services.platform.store.ping()).await
}

/// The health of every component.
async fn components(services: &Services) -> Vec<ComponentHealth> {
    let redis = services.platform.redis.as_ref().map(|redis| {
        let effect =
            "rate limits count in each process alone, lists are not cached, and other processes hear of changes and new work later";
        ComponentHealth::of("redis", false, effect, redis.ping())
    });
    let (database, redis, runs) = tokio::join!(database(services), OptionFuture::from(redis), runs(services));
    [Some(database), redis, Some(runs)].into_iter().flatten().chain(tasks(services)).collect()
}

/// `Degraded` if there are runs in quarantine.
async fn runs(services: &Services) -> ComponentHealth {
    let mut set_aside = false;
    let count = async { services.workflows.quarantine.count(1).await.map(|runs| set_aside = runs > 0) };
    let mut part = ComponentHealth::of("runs", true, "nobody knows whether runs are in quarantine", count).await;
    if set_aside {
        part.status = HealthStatus::Degraded;
        part.effect = Some("runs are in quarantine until an operator releases or ends them");
    }
    part
}

/// Check whether the server works.
#[utoipa::path(tag = "health", responses((status = 200, description = "It can", body = Health),
    (status = 503, description = "The database does not answer", body = Health)))]
#[get("/health")]
pub async fn health(services: web::Data<Services>) -> HttpResponse {
    let (works, unavailable) = working(&services).await;
    answer(&services, works, unavailable)
}

/// Check whether the process is alive.
#[utoipa::path(tag = "health", responses((status = 200, description = "It does", body = Health)))]
#[get("/health/liveness")]
pub async fn liveness(services: web::Data<Services>) -> HttpResponse {
    answer(&services, true, Vec::new())
}

/// Check whether the server can take requests: its database answers, and it is not stopping.
#[utoipa::path(tag = "health", responses((status = 200, description = "It can", body = Health),
    (status = 503, description = "The database does not answer, or the server is stopping", body = Health)))]
#[get("/health/readiness")]
pub async fn readiness(services: web::Data<Services>) -> HttpResponse {
    let (works, unavailable) = working(&services).await;
    answer(&services, works && !services.platform.stopping.is_cancelled(), unavailable)
}

/// Get the health of each component. For operators.
#[utoipa::path(tag = "health", security(("bearer" = [])), responses(
    (status = 200, description = "The server works; `degraded` where a part is missing that it can do without", body = DetailedHealth),
    (status = 503, description = "A part is missing that nothing works without", body = DetailedHealth)))]
#[get("/health/detailed")]
pub async fn detailed(services: web::Data<Services>, _operator: Operator) -> HttpResponse {
    let components = components(&services).await;
    let status = components.iter().map(ComponentHealth::of_the_whole).max().unwrap_or(HealthStatus::Ok);
    let body = DetailedHealth { status, version: VERSION, components };
    match status {
        HealthStatus::Ok | HealthStatus::Degraded => HttpResponse::Ok().json(body),
        HealthStatus::Unavailable => HttpResponse::ServiceUnavailable().json(body),
    }
}

/// Get the metrics in the text format of Prometheus.
#[utoipa::path(tag = "health", responses(
    (status = 200, description = "Measurements", body = String, content_type = "text/plain")))]
#[get("/metrics")]
pub async fn metrics(services: web::Data<Services>) -> HttpResponse {
    let measurements = services.monitor.render().await;
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(measurements)
}
