//! People and their sessions, workspaces, members, API keys, and the audit log.

mod api_keys;
mod audit;
mod auth;
mod jwks;
mod members;
mod policy;
mod workspaces;

pub(super) use audit::ActorView;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area under `/api/v1`.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.configure(auth::configure).configure(workspaces::configure);
}

/// The operations of this area below a workspace.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .configure(workspaces::workspace)
        .configure(policy::workspace)
        .configure(members::workspace)
        .configure(api_keys::workspace)
        .configure(audit::workspace);
}

/// The operations of this area with well-known paths.
pub(super) fn well_known(config: &mut ServiceConfig<'_>) {
    config.service(jwks::jwks);
}
