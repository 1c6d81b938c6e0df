//! Roles: named sets of permissions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use tidegate_kernel::{Permission, PermissionSet};

use crate::model::person::Person;

/// A named set of permissions that a member has in a workspace.
///
/// Roles are compared by their permissions ([`PermissionSet::contains_all`]); they have no other ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    name: Cow<'static, str>,
    permissions: PermissionSet,
}

const VIEWER: PermissionSet = PermissionSet::of(&[
    Permission::WorkspaceRead,
    Permission::MembersRead,
    Permission::EventsRead,
    Permission::PatternsRead,
    Permission::SuggestionsRead,
    Permission::WorkflowsRead,
    Permission::RunsRead,
    Permission::UsageRead,
    Permission::FilesRead,
]);
const MEMBER: PermissionSet = VIEWER.union(PermissionSet::of(&[
    Permission::EventsWrite,
    Permission::SuggestionsApply,
    Permission::WorkflowsWrite,
    Permission::RunsExecute,
    Permission::FilesWrite,
    Permission::FilesDelete,
]));
const ADMIN: PermissionSet = MEMBER.union(PermissionSet::of(&[
    Permission::WorkspaceWrite,
    Permission::MembersWrite,
    Permission::KeysRead,
    Permission::KeysWrite,
    Permission::AuditRead,
    Permission::BillingRead,
    Permission::JobsRead,
    Permission::JobsWrite,
]));
const OWNER: PermissionSet = ADMIN.union(PermissionSet::of(&[Permission::WorkspaceDelete, Permission::BillingWrite]));

/// A new permission does not compile until one of the lists above contains it.
const _: () = assert!(OWNER.contains_all(PermissionSet::ALL));

impl Role {
    /// Sees the work.
    pub const VIEWER: Self = Self::built("viewer", VIEWER);
    /// Does the work: views, creates, updates, executes and applies.
    pub const MEMBER: Self = Self::built("member", MEMBER);
    /// Does everything but deleting or handing over the workspace, and buying.
    pub const ADMIN: Self = Self::built("admin", ADMIN);
    /// Does everything. A workspace has at least one owner.
    pub const OWNER: Self = Self::built("owner", OWNER);

    /// The roles that every workspace has.
    pub const BUILT_IN: [Self; 4] = [Self::VIEWER, Self::MEMBER, Self::ADMIN, Self::OWNER];

    const fn built(name: &'static str, permissions: PermissionSet) -> Self {
        Self { name: Cow::Borrowed(name), permissions }
    }

    /// Its name, which is unique in a workspace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The permissions of the role.
    #[must_use]
    pub const fn permissions(&self) -> PermissionSet {
        self.permissions
    }

    /// The permissions of a person with the role. Without a verified address nobody may buy anything: the free plan has to
    /// do.
    #[must_use]
    pub fn permissions_for(&self, person: &Person) -> PermissionSet {
        const BUYING: PermissionSet = PermissionSet::of(&[Permission::BillingWrite]);
        if person.is_verified() { self.permissions } else { self.permissions.without(BUYING) }
    }

    /// Whether this is the owner role. A workspace always has at least one member with it.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        *self == Self::OWNER
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A text that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected owner, admin, member or viewer")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::BUILT_IN.into_iter().find(|role| role.name() == name).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_may_do_all_an_admin_all_but_deleting_and_paying_and_a_viewer_only_read() {
        assert_eq!(Role::OWNER.permissions(), PermissionSet::ALL);
        let beyond: Vec<_> =
            PermissionSet::ALL.iter().filter(|permission| !Role::ADMIN.permissions().contains(*permission)).collect();
        assert_eq!(beyond, [Permission::WorkspaceDelete, Permission::BillingWrite]);
        assert!(Role::VIEWER.permissions().iter().all(|permission| permission.as_str().ends_with(":read")));
    }

    #[test]
    fn names_read_back() {
        for role in Role::BUILT_IN {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("Owner".parse::<Role>(), Err(UnknownRole));
    }
}
