//! The HTTP surface. A handler reads the request, calls one service method and writes the answer.
//!
//! This module alone knows status codes. Each file holds one resource: its DTOs, its handlers, and how its errors
//! become problems.

pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod body;
pub mod caller;
pub mod cors;
pub mod cursor;
pub mod dev;
pub mod envelope;
pub mod events;
pub mod fallback;
pub mod health;
pub mod idempotency;
pub mod jobs;
pub mod jwks;
pub mod members;
pub mod monitoring;
pub mod openapi;
pub mod patterns;
pub mod problem;
pub mod quarantine;
pub mod query;
pub mod rate;
pub mod revision;
pub mod runs;
pub mod schema;
pub mod secret;
pub mod suggestions;
mod text;
pub mod usage;
pub mod workflows;
pub mod workspaces;

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

/// Every operation there is. A handler that is not listed here does not exist.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(health_routes).service(jwks::jwks).service(scope("/api/v1").configure(api));
}

/// What every process answers, a worker too: how it is.
pub fn health_routes(config: &mut ServiceConfig<'_>) {
    config
        .service(health::health)
        .service(health::liveness)
        .service(health::readiness)
        .service(health::detailed)
        .service(health::metrics);
}

fn api(config: &mut ServiceConfig<'_>) {
    config
        .service(openapi::serve)
        .configure(auth::configure)
        .configure(workspaces::configure)
        .configure(members::configure)
        .configure(api_keys::configure)
        .configure(jobs::configure)
        .configure(dev::configure)
        .configure(patterns::configure)
        .configure(suggestions::configure)
        .configure(audit::configure)
        .configure(events::configure)
        .configure(usage::configure)
        .configure(workflows::configure)
        .configure(runs::configure)
        .configure(monitoring::configure)
        .configure(quarantine::configure);
}
