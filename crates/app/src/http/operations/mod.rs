//! Operating an installation: health, metrics, background jobs, runs in quarantine, and stored mails.

mod dev;
mod health;
mod jobs;
mod monitoring;
mod quarantine;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use health::configure as health_routes;

/// The operations of this area under `/api/v1`.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config
        .configure(jobs::configure)
        .configure(dev::configure)
        .configure(monitoring::configure)
        .configure(quarantine::configure);
}
