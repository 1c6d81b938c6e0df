//! Permissions as `resource:action`.

use std::fmt;
use std::str::FromStr;

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)*) => {
        /// What an actor may do in a workspace.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// Every permission, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `resource:action` text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

permissions! {
    /// See the workspace's name and settings.
    WorkspaceRead = "workspace:read";
    /// Rename the workspace and change its settings.
    WorkspaceWrite = "workspace:write";
    /// Delete the workspace or hand it to another owner.
    WorkspaceDelete = "workspace:delete";
    /// See who is a member.
    MembersRead = "members:read";
    /// Change roles and remove members.
    MembersWrite = "members:write";
    /// See API keys, without their secrets.
    KeysRead = "keys:read";
    /// Create and revoke API keys.
    KeysWrite = "keys:write";
    /// Read the audit log.
    AuditRead = "audit:read";
    /// List events.
    EventsRead = "events:read";
    /// Send events.
    EventsWrite = "events:write";
    /// See patterns.
    PatternsRead = "patterns:read";
    /// See suggestions.
    SuggestionsRead = "suggestions:read";
    /// Apply and dismiss suggestions.
    SuggestionsApply = "suggestions:apply";
    /// See workflows and their versions.
    WorkflowsRead = "workflows:read";
    /// Create, change, publish and roll back workflows.
    WorkflowsWrite = "workflows:write";
    /// See runs.
    RunsRead = "runs:read";
    /// Start and cancel runs.
    RunsExecute = "runs:execute";
    /// See what was used and what the plan allows.
    UsageRead = "usage:read";
    /// See the subscription, invoices and the ledger.
    BillingRead = "billing:read";
    /// Buy, change and end the subscription.
    BillingWrite = "billing:write";
    /// See background jobs.
    JobsRead = "jobs:read";
    /// Try failed background jobs again, and discard them.
    JobsWrite = "jobs:write";
    /// List and download files.
    FilesRead = "files:read";
    /// Upload files, and change their names and metadata.
    FilesWrite = "files:write";
    /// Delete and restore files.
    FilesDelete = "files:delete";
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a permission")]
pub struct UnknownPermission(pub String);

impl FromStr for Permission {
    type Err = UnknownPermission;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| UnknownPermission(text.to_owned()))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PermissionSet(u128);

/// The set has one bit for each permission; with more than 128 of them it needs a wider integer.
const _: () = assert!(Permission::ALL.len() <= u128::BITS as usize);

impl PermissionSet {
    /// No permission at all.
    pub const EMPTY: Self = Self(0);

    /// Every permission there is.
    pub const ALL: Self = Self::of(Permission::ALL);

    /// The set of `permissions`.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut next) = (0, 0);
        while next < permissions.len() {
            bits |= bit(permissions[next]);
            next += 1;
        }
        Self(bits)
    }

    /// Whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Whether every permission of `other` is in the set.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The permissions that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The permissions that are in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// One bit for each permission. The bits of a permission may be others in another release.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The permissions, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | bit(permission)))
    }
}

const fn bit(permission: Permission) -> u128 {
    1 << permission as u8
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_and_nothing_else_does() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert!("events:*".parse::<Permission>().is_err());
    }

    #[test]
    fn a_set_holds_just_what_it_was_made_of() {
        let set: PermissionSet = [Permission::EventsRead, Permission::UsageRead].into_iter().collect();
        assert!(set.contains(Permission::UsageRead) && !set.contains(Permission::EventsWrite));
        assert_eq!(set.iter().count(), 2);
        assert_eq!(PermissionSet::ALL.intersection(set), set);
        assert!(PermissionSet::ALL.contains_all(set) && !set.contains_all(PermissionSet::ALL));
        assert!(set.contains_all(set) && set.contains_all(PermissionSet::EMPTY));
        assert_eq!(
            PermissionSet::of(&[Permission::EventsRead]).union(PermissionSet::of(&[Permission::UsageRead])),
            set
        );
    }
}
