//! Workflows, their versions and their triggers.

mod placements;
mod repository;
mod triggers;

pub(crate) use placements::PgTriggerPlacements;
pub(crate) use repository::PgWorkflowRepository;
pub(crate) use triggers::PgTriggerRepository;

use tidegate_kernel::StoreError;

/// An error for a row that no version of this program writes.
fn broken(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}
