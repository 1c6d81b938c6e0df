//! Shared by the operations of all areas: extractors, responses, problems, and the middleware around every request.
//!
//! Code for a single resource belongs in the folder of its area.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod compression;
pub(crate) mod conditional;
pub(crate) mod cors;
pub(crate) mod cursor;
pub(crate) mod entity_tag;
pub(crate) mod envelope;
pub(crate) mod fallback;
pub(crate) mod idempotency;
pub(crate) mod lists;
pub(crate) mod path;
pub(crate) mod position;
pub(crate) mod problem;
pub(crate) mod query;
mod quota;
pub(crate) mod rate;
pub(crate) mod revision;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod text;
