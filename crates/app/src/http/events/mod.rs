//! Events, the patterns that are found in them, and the suggestions that patterns lead to.

mod ingest;
mod list;
mod patterns;
mod suggestions;

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

/// The operations of this area, which are below a workspace.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .service(scope("/events").configure(ingest::events).configure(list::events))
        .configure(patterns::workspace)
        .configure(suggestions::workspace);
}
