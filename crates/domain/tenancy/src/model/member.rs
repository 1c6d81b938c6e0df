//! Members and their roles.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use tidegate_kernel::{Permission, PermissionSet, UserId, WorkspaceId};

use crate::model::email::Email;
use crate::model::text::Name;

/// What somebody is in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees the work.
    Viewer,
    /// Does the work: views, creates, updates, executes and applies.
    Member,
    /// Does everything but deleting or handing over the workspace.
    Admin,
    /// Does everything. A workspace has at least one owner.
    Owner,
}

impl Role {
    /// Every role, the strongest last.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The role's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The weakest role that has a permission. A new permission does not compile until it is placed here.
    const fn weakest_with(permission: Permission) -> Self {
        match permission {
            Permission::WorkspaceRead
            | Permission::MembersRead
            | Permission::EventsRead
            | Permission::PatternsRead
            | Permission::SuggestionsRead
            | Permission::WorkflowsRead
            | Permission::RunsRead
            | Permission::UsageRead => Self::Viewer,
            Permission::EventsWrite
            | Permission::SuggestionsApply
            | Permission::WorkflowsWrite
            | Permission::RunsExecute => Self::Member,
            Permission::WorkspaceWrite
            | Permission::MembersWrite
            | Permission::KeysRead
            | Permission::KeysWrite
            | Permission::AuditRead => Self::Admin,
            Permission::WorkspaceDelete => Self::Owner,
        }
    }

    /// What the role may do.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        Permission::ALL.iter().copied().filter(|permission| Self::weakest_with(*permission) <= self).collect()
    }

    /// Whether somebody with `held` may give this role, or change whoever has it: nobody gives or takes what they lack.
    #[must_use]
    pub fn is_within(self, held: PermissionSet) -> bool {
        let own = self.permissions();
        own.intersection(held) == own
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected owner, admin, member or viewer")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// That a person belongs to a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub user: UserId,
    /// What the person is there.
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
    /// What the person is here.
    pub role: Role,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_what_the_weaker_one_has_and_the_owner_has_all() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[0].is_within(pair[1].permissions()) && !pair[1].is_within(pair[0].permissions()), "{pair:?}");
        }
        assert_eq!(Role::Owner.permissions(), PermissionSet::all());
        assert!(!Role::Admin.permissions().contains(Permission::WorkspaceDelete));
        assert!(Role::Viewer.permissions().iter().all(|permission| permission.as_str().ends_with(":read")));
    }

    #[test]
    fn roles_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("Owner".parse::<Role>(), Err(UnknownRole));
    }
}
