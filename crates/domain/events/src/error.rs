//! Errors of the use cases.

use tidegate_kernel::{Forbidden, StoreError};

/// Why events could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListEventsError {
    /// The caller may not read events.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
