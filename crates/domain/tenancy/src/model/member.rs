//! Members of workspaces.

use chrono::{DateTime, Utc};
use tidegate_kernel::{UserId, WorkspaceId};

use crate::model::email::Email;
use crate::model::role::Role;
use crate::model::text::Name;

/// That a person belongs to a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub user: UserId,
    /// What the person may do there, and the name of it.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// A membership with what the other members may know of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub user: UserId,
    /// Their address; `None` where the person no longer exists.
    pub email: Option<Email>,
    /// Their name; `None` where the person no longer exists.
    pub name: Option<Name>,
    /// What the person may do here, and the name of it.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}
