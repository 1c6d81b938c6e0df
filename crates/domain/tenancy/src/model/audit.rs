//! The audit log as it is read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::Actor;
use uuid::Uuid;

/// One entry: who did what to which resource, when, in which request.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// The entry's id, a UUIDv7; entries are listed by it.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What, as `resource.verb`.
    pub action: String,
    /// To which resource, by its id.
    pub resource: String,
    /// What was changed, where that is safe to keep.
    pub details: Value,
    /// In which request.
    pub request_id: String,
}

/// Which entries are wanted; an empty filter wants all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditFilter {
    /// Only these actions.
    pub actions: Vec<String>,
    /// Only these actors.
    pub actors: Vec<Actor>,
    /// Only these resources.
    pub resources: Vec<String>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}
