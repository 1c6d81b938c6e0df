//! Workflows with their versions, and runs.

mod definitions;
mod document;
mod problems;
mod runs;
mod versions;
mod views;

use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) use views::WorkflowDetailsView;

/// The operations of this area, which are below a workspace.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .service(
            scope("/workflows")
                .configure(definitions::workflows)
                .configure(versions::workflows)
                .configure(runs::workflows),
        )
        .configure(runs::workspace);
}
