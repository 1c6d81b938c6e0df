//! Headers with positions in the event feed of a workspace.

use actix_web::http::header::HeaderName;

/// The position of the workspace's last event after an ingest. A consumer that has reached it has seen all events of
/// the request.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("tidegate-position");

/// The position up to which events are included in a response.
pub(crate) const WATERMARK: HeaderName = HeaderName::from_static("tidegate-watermark");
