//! The proof that somebody may act in a workspace.
//!
//! A repository can be reached only through a unit of work, and a unit of work only with a scope. A scope cannot be
//! built, cloned, defaulted or deserialized: it comes from a [`ScopeIssuer`], and the program has one, made where it
//! is wired together and held by its access layer.

use std::fmt;

use crate::error::Forbidden;
use crate::id::{ApiKeyId, UserId, WorkspaceId};
use crate::permission::{Permission, PermissionSet};
use crate::trace::TraceContext;

/// The id of the request that caused a change: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// The id, or `None` where the text is empty, longer than 64, or has other than letters, digits, `-`, `_`, `.`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person who is logged in.
    Person(UserId),
    /// A program with an API key.
    ApiKey(ApiKeyId),
    /// Tidegate itself: the engine, detection, a trigger.
    System,
}

/// Who goes first where several wait for the one thing that they share, such as the connection of the embedded PostgreSQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Somebody waits for the answer.
    #[default]
    Request,
    /// Runs that are under way.
    Engine,
    /// What reads behind the insert, and upkeep: it comes when nobody else wants to, and a little in any case.
    Background,
}

/// Makes scopes. Whoever holds one decides who may see what, so it is held by the access layer alone.
#[derive(Debug)]
pub struct ScopeIssuer(());

impl ScopeIssuer {
    /// The issuer of a program, made once where the program is wired together. `clippy.toml` forbids it elsewhere.
    #[must_use]
    pub const fn root() -> Self {
        Self(())
    }

    /// A scope for `actor` in `workspace`. The caller MUST have checked membership or the key first.
    #[must_use]
    pub const fn workspace(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        permissions: PermissionSet,
        request_id: RequestId,
    ) -> WorkspaceScope {
        WorkspaceScope { workspace, actor, permissions, request_id, urgency: Urgency::Request, trace: None }
    }

    /// A scope for what a person owns across workspaces. The caller MUST have authenticated the person.
    #[must_use]
    pub const fn person(&self, user: UserId, request_id: RequestId) -> PersonScope {
        PersonScope { user, request_id }
    }

    /// A scope for an operator of the installation. The caller MUST have authenticated the person, and found them among those
    /// whom the installation's settings name.
    #[must_use]
    pub const fn operator(&self, user: UserId, request_id: RequestId) -> OperatorScope {
        OperatorScope { user, request_id }
    }

    /// A scope for work across tenants, as urgent as a request; see [`SystemScope::with_urgency`].
    #[must_use]
    pub const fn system(&self, reason: &'static str) -> SystemScope {
        SystemScope { reason, urgency: Urgency::Request }
    }
}

/// Proof that `actor` may act in one workspace, and how far.
#[derive(Debug)]
pub struct WorkspaceScope {
    workspace: WorkspaceId,
    actor: Actor,
    permissions: PermissionSet,
    request_id: RequestId,
    urgency: Urgency,
    trace: Option<TraceContext>,
}

impl WorkspaceScope {
    /// The same scope for work that is a part of this trace, as is what it causes.
    #[must_use]
    pub fn with_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// The trace that this is a part of, where there is one.
    #[must_use]
    pub const fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// Who goes first.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// The workspace.
    #[must_use]
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        self.actor
    }

    /// What the actor may do.
    #[must_use]
    pub const fn permissions(&self) -> PermissionSet {
        self.permissions
    }

    /// The request that this is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Checks one permission; every service method starts with this.
    ///
    /// # Errors
    /// [`Forbidden`] when the actor lacks it.
    pub const fn require(&self, permission: Permission) -> Result<(), Forbidden> {
        if self.permissions.contains(permission) { Ok(()) } else { Err(Forbidden(permission)) }
    }
}

/// Proof that a person is who they say; reaches what is theirs across workspaces.
#[derive(Debug)]
pub struct PersonScope {
    user: UserId,
    request_id: RequestId,
}

impl PersonScope {
    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The request that this is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.request_id
    }
}

/// Proof that a person operates the installation: sees what its machinery has set aside, and has it tried again.
#[derive(Debug)]
pub struct OperatorScope {
    user: UserId,
    request_id: RequestId,
}

impl OperatorScope {
    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The request that this is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// A scope in which the operator does to one tenant's run what was asked for, and nothing else; the tenant's audit log
    /// names the person.
    #[must_use]
    pub fn enter(&self, workspace: WorkspaceId) -> WorkspaceScope {
        WorkspaceScope {
            workspace,
            actor: Actor::Person(self.user),
            permissions: PermissionSet::EMPTY,
            request_id: self.request_id.clone(),
            urgency: Urgency::Request,
            trace: None,
        }
    }
}

/// Permission to work across tenants: claiming runs, timers, detection, what comes before a log-in.
///
/// Its units of work show only tables that belong to no tenant or to the machinery itself; tenant logic still needs
/// the [`WorkspaceScope`] that it hands out for one workspace at a time.
#[derive(Debug)]
pub struct SystemScope {
    reason: &'static str,
    urgency: Urgency,
}

impl SystemScope {
    /// The same scope for work that is this urgent; what it hands out is too.
    #[must_use]
    pub const fn with_urgency(self, urgency: Urgency) -> Self {
        Self { urgency, ..self }
    }

    /// Who goes first.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Why this code works across tenants, for whoever reads the wiring or a debugger.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// A scope in which Tidegate itself runs one tenant's logic, with every permission.
    #[must_use]
    pub fn enter(&self, workspace: WorkspaceId, request_id: RequestId) -> WorkspaceScope {
        let (actor, permissions) = (Actor::System, PermissionSet::ALL);
        WorkspaceScope { workspace, actor, permissions, request_id, urgency: self.urgency, trace: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_cannot_carry_a_line_break_into_a_log() {
        assert!(RequestId::new("a-B_9.z").is_some());
        for bad in ["", "a\nb", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(RequestId::new(bad), None, "{bad:?}");
        }
    }
}
