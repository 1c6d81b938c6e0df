//! Events, the patterns that are found in them, and the suggestions that patterns lead to.

mod ingest;
mod list;
mod patterns;
mod suggestions;

use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config
        .configure(ingest::configure)
        .configure(list::configure)
        .configure(patterns::configure)
        .configure(suggestions::configure);
}
