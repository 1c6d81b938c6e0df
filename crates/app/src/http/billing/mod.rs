//! Plans, subscriptions, invoices, usage and its corrections.

mod corrections;
mod invoices;
mod plans;
mod subscription;
mod usage;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config
        .configure(plans::configure)
        .configure(subscription::configure)
        .configure(invoices::configure)
        .configure(usage::configure)
        .configure(corrections::configure);
}
