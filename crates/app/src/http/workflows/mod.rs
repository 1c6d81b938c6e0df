//! Workflows with their versions, and runs.

mod definitions;
mod document;
mod problems;
mod runs;
mod versions;
mod views;

use utoipa_actix_web::service_config::ServiceConfig;

pub(super) use views::WorkflowDetailsView;

/// The operations of this area.
pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.configure(definitions::configure).configure(versions::configure).configure(runs::configure);
}
