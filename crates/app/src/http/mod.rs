//! The HTTP API. A handler reads the request, calls one service method and writes the response.
//!
//! Only this module knows status codes. Each area has a folder with one file per resource: its DTOs, its handlers, and
//! the mapping of its errors to problems. `support` has what all areas share.

mod billing;
mod events;
mod files;
pub mod openapi;
mod operations;
mod pages;
pub(crate) mod support;
mod tenancy;
mod workflows;

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use operations::health_routes;
pub(crate) use pages::configure as pages;

/// Registers every operation. A handler that its area does not list here is not served.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(health_routes).configure(tenancy::well_known).service(scope("/api/v1").configure(api));
}

fn api(config: &mut ServiceConfig<'_>) {
    config
        .service(openapi::serve)
        .service(scope("/workspaces/{ws}").configure(workspace))
        .service(scope("/monitoring").configure(monitoring))
        .configure(tenancy::configure)
        .configure(billing::configure)
        .configure(operations::configure);
}

/// The operations below a workspace. actix tries routes one after another, so a resource with several paths is a scope of
/// its own, and those that are asked for most come first.
fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .configure(events::workspace)
        .configure(workflows::workspace)
        .configure(files::workspace)
        .configure(billing::workspace)
        .configure(tenancy::workspace)
        .configure(operations::workspace);
}

/// The operations for operators.
fn monitoring(config: &mut ServiceConfig<'_>) {
    config.configure(billing::monitoring).configure(operations::monitoring);
}
