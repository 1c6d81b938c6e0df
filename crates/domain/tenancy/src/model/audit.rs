//! The audit log as read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{Actor, Origin};
use uuid::Uuid;

/// One entry: actor, action, resource, time and request.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// The entry's id, a UUIDv7; entries are listed by it.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The actor.
    pub actor: Actor,
    /// The action, as `resource.verb`.
    pub action: String,
    /// The id of the resource.
    pub resource: String,
    /// What was changed, as far as it is safe to keep.
    pub details: Value,
    /// The id of the request.
    pub request_id: String,
}

/// A filter for entries. An empty or absent field does not filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditFilter {
    /// Only these actions.
    pub actions: Vec<String>,
    /// Only these actors.
    pub actors: Vec<Actor>,
    /// Only these resources.
    pub resources: Vec<String>,
    /// Only entries at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    pub to: Option<DateTime<Utc>>,
}

/// An entry in the log of a person's account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountRecord {
    /// The entry's id, a UUIDv7; entries are listed by it.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The action, as `resource.verb`.
    pub action: String,
    /// What was changed, as far as it is safe to keep.
    pub details: Value,
    /// Where the request came from.
    pub origin: Origin,
}
