//! Workflows, their versions and their triggers.

mod placements;
mod repository;
mod triggers;

use tidegate_kernel::StoreError;

/// A row that no version of this program writes.
fn broken(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}
