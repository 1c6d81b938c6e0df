//! Errors of the use cases of events.

use tidegate_kernel::{Forbidden, StoreError};

/// Why a whole ingest request failed. Problems with single events are in the [`crate::service::IngestReport`].
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The caller lacks the permission to send events.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed, and it is unknown whether events were added. Sending the same request again is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventError {
    /// The caller lacks the permission to read events.
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
    /// The caller lacks the permission to read events.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
