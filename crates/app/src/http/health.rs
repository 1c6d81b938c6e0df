//! Whether the server lives, and whether it can work.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Services;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
}

/// How one part of the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentHealth {
    /// `database` or `redis`.
    name: &'static str,
    /// `ok` or `unavailable`.
    status: &'static str,
    /// How long it took to answer, in milliseconds.
    latency_ms: f64,
}

/// How every part is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailedHealth {
    /// `ok` where every part is.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
    /// What the server leans on.
    components: Vec<ComponentHealth>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a part may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

fn answer(ok: bool) -> HttpResponse {
    let body = Health { status: if ok { "ok" } else { "unavailable" }, version: VERSION };
    if ok { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

async fn database(services: &Services) -> ComponentHealth {
    let started = Instant::now();
    let ok = matches!(tokio::time::timeout(PATIENCE, services.store.ping()).await, Ok(Ok(())));
    let status = if ok { "ok" } else { "unavailable" };
    ComponentHealth { name: "database", status, latency_ms: started.elapsed().as_secs_f64() * 1000.0 }
}

async fn redis(services: &Services) -> Option<ComponentHealth> {
    let started = Instant::now();
    let status = if services.redis.as_ref()?.ping().await.is_ok() { "ok" } else { "unavailable" };
    Some(ComponentHealth { name: "redis", status, latency_ms: started.elapsed().as_secs_f64() * 1000.0 })
}

/// Whether the server can work.
#[utoipa::path(tag = "health", responses((status = 200, body = Health), (status = 503, body = Health)))]
#[get("/health")]
pub async fn health(services: web::Data<Services>) -> HttpResponse {
    answer(database(&services).await.status == "ok")
}

/// Whether the process lives.
#[utoipa::path(tag = "health", responses((status = 200, body = Health)))]
#[get("/health/liveness")]
pub async fn liveness() -> HttpResponse {
    answer(true)
}

/// Whether the server can take requests: its database answers, and it is not stopping.
#[utoipa::path(tag = "health", responses((status = 200, body = Health), (status = 503, body = Health)))]
#[get("/health/readiness")]
pub async fn readiness(services: web::Data<Services>) -> HttpResponse {
    answer(!services.stopping.is_cancelled() && database(&services).await.status == "ok")
}

/// How each part is.
#[utoipa::path(tag = "health", responses((status = 200, body = DetailedHealth), (status = 503, body = DetailedHealth)))]
#[get("/health/detailed")]
pub async fn detailed(services: web::Data<Services>) -> HttpResponse {
    let components: Vec<_> = [Some(database(&services).await), redis(&services).await].into_iter().flatten().collect();
    let ok = components.iter().all(|component| component.status == "ok");
    let body = DetailedHealth { status: if ok { "ok" } else { "unavailable" }, version: VERSION, components };
    if ok { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

/// Measurements in Prometheus' text format.
#[utoipa::path(tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
#[get("/metrics")]
pub async fn metrics(services: web::Data<Services>) -> HttpResponse {
    let (open, idle) = services.store.pool_size();
    ::metrics::gauge!("database_pool_connections").set(f64::from(open));
    ::metrics::gauge!("database_pool_idle_connections").set(f64::from(u32::try_from(idle).unwrap_or(u32::MAX)));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(services.metrics.render())
}
