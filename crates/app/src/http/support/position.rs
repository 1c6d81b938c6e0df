//! Headers that say how far a workspace's events have gone into an answer.

use actix_web::http::header::HeaderName;

/// The workspace's head after an ingest: a reader that has come so far has seen everything that the request brought.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("tidegate-position");

/// The position up to which events have gone into an answer.
pub(crate) const WATERMARK: HeaderName = HeaderName::from_static("tidegate-watermark");
