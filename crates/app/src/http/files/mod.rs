//! Files.

mod content;
mod form;
mod manage;
mod presigned;
mod problems;
mod upload;
mod views;

use tidegate_files::Files;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::problem::{NO_OBJECT_STORE, Problem};

/// The operations of this area, which are below a workspace. Paths with fixed segments come before those with an id.
pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(
        scope("/files")
            .configure(presigned::files)
            .configure(upload::files)
            .configure(content::files)
            .configure(manage::files),
    );
}

/// The use cases of files.
///
/// # Errors
/// 501 if the installation has no object store.
fn files(services: &Services) -> Result<&Files, Problem> {
    services.files.files.as_ref().ok_or_else(|| {
        Problem::new(&NO_OBJECT_STORE, "Files need an object store: set OBJECT_STORE_URL, such as s3://bucket/prefix.")
    })
}
