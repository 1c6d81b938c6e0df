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

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area under `/api/v1`.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.configure(plans::configure).configure(webhooks::configure);
}

/// The operations of this area below a workspace.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .configure(usage::workspace)
        .configure(corrections::workspace)
        .configure(subscription::workspace)
        .configure(billing_details::workspace)
        .service(scope("/invoices").configure(documents::invoices).configure(invoices::invoices))
        .service(scope("/credit-notes").configure(documents::credit_notes).configure(credit_notes::credit_notes))
        .configure(invoices::workspace)
        .configure(payments::workspace)
        .configure(promo_codes::workspace);
}

/// The operations of this area for operators.
pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config
        .configure(catalogue::monitoring)
        .configure(invoices::monitoring)
        .configure(credit_notes::monitoring)
        .configure(promo_codes::monitoring)
        .configure(corrections::monitoring);
}
