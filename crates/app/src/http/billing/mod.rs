//! Plans and usage.

mod plans;
mod usage;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.configure(plans::configure).configure(usage::configure);
}
