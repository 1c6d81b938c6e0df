//! Scopes without a login.

use tidegate_kernel::{
    Actor, PermissionSet, PersonScope, RequestId, ScopeIssuer, SystemScope, UserId, WorkspaceId, WorkspaceScope,
};

/// An issuer of scopes for tests.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test stands in for the access layer")]
pub const fn issuer() -> ScopeIssuer {
    ScopeIssuer::root()
}

/// A request id for tests.
#[must_use]
pub fn request_id() -> RequestId {
    RequestId::new("test").expect("`test` is a request id")
}

/// A scope of the system with every permission in `workspace`.
#[must_use]
pub fn workspace_scope(workspace: WorkspaceId) -> WorkspaceScope {
    scope_with(workspace, Actor::System, PermissionSet::ALL)
}

/// A scope of `actor` with these permissions in `workspace`.
#[must_use]
pub fn scope_with(workspace: WorkspaceId, actor: Actor, permissions: PermissionSet) -> WorkspaceScope {
    issuer().workspace(workspace, actor, permissions, request_id())
}

/// A scope of a person across their workspaces.
#[must_use]
pub fn person_scope(user: UserId) -> PersonScope {
    issuer().person(user, request_id())
}

/// A scope for work across tenants.
#[must_use]
pub fn system_scope() -> SystemScope {
    issuer().system("a test")
}
