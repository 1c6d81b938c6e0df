//! Operating an installation: health, metrics, background jobs, runs in quarantine, people's accounts, signing keys, and
//! stored mails.

mod dev;
mod health;
mod jobs;
mod monitoring;
mod people;
mod quarantine;
mod signing_keys;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use health::configure as health_routes;

/// The operations of this area under `/api/v1`.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.configure(dev::configure);
}

/// The operations of this area below a workspace.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.configure(jobs::workspace);
}

/// The operations of this area for operators.
pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config
        .configure(jobs::monitoring)
        .configure(monitoring::monitoring)
        .configure(quarantine::monitoring)
        .configure(people::monitoring)
        .configure(signing_keys::monitoring);
}
