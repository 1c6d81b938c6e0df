//! Scopes: the proof that somebody may act in a workspace.
//!
//! A repository is reachable only through a unit of work, and a unit of work only with a scope. A scope cannot be
//! built, cloned, defaulted or deserialized. It comes from a [`ScopeIssuer`]. A program has one issuer, which is
//! created where the program is wired together and held by its access layer.

use crate::error::Forbidden;
use crate::id::{ApiKeyId, UserId, WorkspaceId};
use crate::origin::{Origin, RequestId};
use crate::permission::{Permission, PermissionSet};
use crate::trace::TraceContext;

/// The actor of a request or a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A logged-in person.
    Person(UserId),
    /// A program that authenticated with an API key.
    ApiKey(ApiKeyId),
    /// Tidegate itself: the engine, detection, a trigger.
    System,
}

/// The priority among waiters for a shared resource, such as the single connection of the embedded PostgreSQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A request whose caller waits for the answer.
    #[default]
    Request,
    /// Work on runs that are in progress.
    Engine,
    /// Consumers of events, and maintenance. They run when nothing else waits, and get a small share in any case.
    Background,
}

/// Creates scopes. Its holder decides who may see what, so only the access layer holds it.
#[derive(Debug)]
pub struct ScopeIssuer(());

impl ScopeIssuer {
    /// The issuer of a program, created once where the program is wired together. `clippy.toml` forbids it elsewhere.
    #[must_use]
    pub const fn root() -> Self {
        Self(())
    }

    /// A scope for `actor` in `workspace`. The caller MUST have checked membership or the key first.
    #[must_use]
    pub fn workspace(
        &self,
        workspace: WorkspaceId,
        actor: Actor,
        permissions: PermissionSet,
        origin: impl Into<Origin>,
    ) -> WorkspaceScope {
        let origin = origin.into();
        WorkspaceScope { workspace, actor, permissions, origin, urgency: Urgency::Request, trace: None }
    }

    /// A scope for a person's own data across workspaces. The caller MUST have authenticated the person.
    #[must_use]
    pub fn person(&self, user: UserId, origin: impl Into<Origin>) -> PersonScope {
        PersonScope { user, origin: origin.into() }
    }

    /// A scope for an operator of the installation. The caller MUST have authenticated the person and MUST have found
    /// them among the operators that the installation's settings name.
    #[must_use]
    pub fn operator(&self, user: UserId, origin: impl Into<Origin>) -> OperatorScope {
        OperatorScope { user, origin: origin.into() }
    }

    /// A scope for work across tenants, with the urgency of a request; see [`SystemScope::with_urgency`].
    #[must_use]
    pub const fn system(&self, reason: &'static str) -> SystemScope {
        SystemScope { reason, urgency: Urgency::Request }
    }
}

/// Proof that `actor` may act in one workspace, with a set of permissions.
#[derive(Debug)]
pub struct WorkspaceScope {
    workspace: WorkspaceId,
    actor: Actor,
    permissions: PermissionSet,
    origin: Origin,
    urgency: Urgency,
    trace: Option<TraceContext>,
}

impl WorkspaceScope {
    /// The same scope for work that is part of this trace. Work that it causes joins the same trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// The trace that this work is part of, if any.
    #[must_use]
    pub const fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The priority for shared resources.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// The workspace.
    #[must_use]
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The actor.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        self.actor
    }

    /// What the actor may do.
    #[must_use]
    pub const fn permissions(&self) -> PermissionSet {
        self.permissions
    }

    /// The id of the request that this work is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.origin.request_id
    }

    /// The request that this work is part of, and the program that sent it.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Checks one permission. Every service method starts with this check.
    ///
    /// # Errors
    /// [`Forbidden`] if the actor lacks the permission.
    pub const fn require(&self, permission: Permission) -> Result<(), Forbidden> {
        if self.permissions.contains(permission) { Ok(()) } else { Err(Forbidden(permission)) }
    }
}

/// Proof of a person's identity. Gives access to the person's own data across workspaces.
#[derive(Debug)]
pub struct PersonScope {
    user: UserId,
    origin: Origin,
}

impl PersonScope {
    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The id of the request that this work is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.origin.request_id
    }

    /// The request that this work is part of, and the program that sent it.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// Proof that a person operates the installation. An operator can see quarantined work and have it retried.
#[derive(Debug)]
pub struct OperatorScope {
    user: UserId,
    origin: Origin,
}

impl OperatorScope {
    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The id of the request that this work is part of.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.origin.request_id
    }

    /// The request that this work is part of, and the program that sent it.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A scope in which the operator performs the requested action on one tenant's run, and nothing else. It has no
    /// permissions. The tenant's audit log names the person.
    #[must_use]
    pub fn enter(&self, workspace: WorkspaceId) -> WorkspaceScope {
        WorkspaceScope {
            workspace,
            actor: Actor::Person(self.user),
            permissions: PermissionSet::EMPTY,
            origin: self.origin.clone(),
            urgency: Urgency::Request,
            trace: None,
        }
    }
}

/// Permission to work across tenants: claiming runs, timers, detection, and what happens before a log-in.
///
/// Its units of work reach only tables that belong to no tenant or to the engine itself. Tenant logic still needs a
/// [`WorkspaceScope`], which [`SystemScope::enter`] issues for one workspace at a time.
#[derive(Debug)]
pub struct SystemScope {
    reason: &'static str,
    urgency: Urgency,
}

impl SystemScope {
    /// The same scope with this urgency. The scopes that it issues have the same urgency.
    #[must_use]
    pub const fn with_urgency(self, urgency: Urgency) -> Self {
        Self { urgency, ..self }
    }

    /// The priority for shared resources.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Why this code works across tenants, for readers of the wiring code and for debugging.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// A scope in which Tidegate itself runs one tenant's logic, with every permission.
    #[must_use]
    pub fn enter(&self, workspace: WorkspaceId, origin: impl Into<Origin>) -> WorkspaceScope {
        let (actor, permissions) = (Actor::System, PermissionSet::ALL);
        WorkspaceScope { workspace, actor, permissions, origin: origin.into(), urgency: self.urgency, trace: None }
    }
}
