//! Members of workspaces.

use chrono::{DateTime, Utc};
use tidegate_kernel::{UserId, WorkspaceId};

use crate::model::email::Email;
use crate::model::role::Role;
use crate::model::text::Name;

/// The membership of a person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub user: UserId,
    /// The person's role.
    pub role: Role,
    /// When the person joined.
    pub joined_at: DateTime<Utc>,
}

/// A membership with the person's data that other members may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub user: UserId,
    /// The address; `None` if the person does not exist any more.
    pub email: Option<Email>,
    /// The display name; `None` if the person does not exist any more.
    pub name: Option<Name>,
    /// The person's role.
    pub role: Role,
    /// When the person joined.
    pub joined_at: DateTime<Utc>,
}
