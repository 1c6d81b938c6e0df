//! The HTTP surface. A handler reads the request, calls one service method and writes the answer.
//!
//! This module alone knows status codes. There is a folder per area, with a file per resource: its DTOs, its handlers, and
//! how its errors become problems. What all of them use is in `support`.

mod billing;
mod events;
pub mod openapi;
mod operations;
pub(crate) mod support;
mod tenancy;
mod workflows;

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use operations::health_routes;

/// Every operation there is. A handler that its area does not list does not exist.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(health_routes).configure(tenancy::well_known).service(scope("/api/v1").configure(api));
}

fn api(config: &mut ServiceConfig<'_>) {
    config
        .service(openapi::serve)
        .configure(tenancy::configure)
        .configure(events::configure)
        .configure(workflows::configure)
        .configure(billing::configure)
        .configure(operations::configure);
}
