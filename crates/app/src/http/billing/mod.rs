//! Plans, subscriptions, invoices and their documents, usage and its corrections.

mod billing_details;
mod catalogue;
mod corrections;
mod credit_notes;
mod documents;
mod invoices;
mod payments;
mod plan_bodies;
mod plans;
mod promo_codes;
mod subscription;
mod usage;
mod webhooks;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config
        .configure(plans::configure)
        .configure(catalogue::configure)
        .configure(subscription::configure)
        .configure(billing_details::configure)
        .configure(documents::configure)
        .configure(invoices::configure)
        .configure(payments::configure)
        .configure(webhooks::configure)
        .configure(credit_notes::configure)
        .configure(promo_codes::configure)
        .configure(usage::configure)
        .configure(corrections::configure);
}
