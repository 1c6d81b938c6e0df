//! Errors of the use cases.

use tidegate_kernel::{Forbidden, StoreError};

/// Why events could not be taken in as a whole; what is wrong with single events is in their verdicts.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The caller may not send events.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed, and nothing is known to be added. Sending the same again is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventError {
    /// The caller may not read events.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such event.
    #[error("there is no such event")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

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
