//! Access control: the only place that issues scopes, after authentication and a check of membership.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_kernel::{
    Actor, Environment, OperatorScope, Origin, PersonScope, ScopeIssuer, UserId, WorkspaceId, WorkspaceScope,
};

use crate::error::{AuthenticateError, EnterError, NotAPerson, OperatorError};
use crate::model::{Admission, ApiKeySecret, CLOCK_LEEWAY, KeyGrant, LiveSession, Role, WorkspaceRef};
use crate::ports::{AccessLookup, InvalidToken, TokenSigner};

/// The authenticated caller of a request.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A person with a live session.
    Person(Arc<LiveSession>),
    /// A program with a valid API key.
    ApiKey(KeyGrant),
}

impl Principal {
    /// The principal as an actor.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person(live) => Actor::Person(live.person.id),
            Self::ApiKey(grant) => Actor::ApiKey(grant.key),
        }
    }
}

/// Authenticates callers and issues their scopes.
pub struct AccessControl {
    issuer: Arc<ScopeIssuer>,
    lookup: Arc<dyn AccessLookup>,
    tokens: Arc<dyn TokenSigner>,
    operators: HashSet<UserId>,
    env: Environment,
}

impl AccessControl {
    /// Access control that asks `lookup` for every request.
    #[must_use]
    pub fn new(
        issuer: Arc<ScopeIssuer>,
        lookup: Arc<dyn AccessLookup>,
        tokens: Arc<dyn TokenSigner>,
        env: Environment,
    ) -> Self {
        Self { issuer, lookup, tokens, operators: HashSet::new(), env }
    }

    /// The same access control, with these people as operators of the installation.
    #[must_use]
    pub fn operated_by(self, operators: HashSet<UserId>) -> Self {
        Self { operators, ..self }
    }

    /// Authenticates the holder of `bearer`, which is an access token or an API key.
    ///
    /// # Errors
    /// [`AuthenticateError::Refused`] if the token or key is not valid now, for whatever reason.
    pub async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthenticateError> {
        if bearer.starts_with(ApiKeySecret::PREFIX) {
            let secret = ApiKeySecret::parse(bearer).ok_or(AuthenticateError::Refused)?;
            let grant = self.lookup.api_key(&secret.digest()).await?.ok_or(AuthenticateError::Refused)?;
            if grant.expires_at.is_some_and(|end| self.env.now() >= end) {
                return Err(AuthenticateError::Refused);
            }
            return Ok(Principal::ApiKey(grant));
        }
        let claims = self.tokens.verify(bearer).await.map_err(|error| match error {
            InvalidToken::Forged => AuthenticateError::Refused,
            InvalidToken::Store(error) => AuthenticateError::Store(error),
        })?;
        let now = self.env.now();
        if now >= claims.expires_at + CLOCK_LEEWAY || now < claims.issued_at - CLOCK_LEEWAY {
            return Err(AuthenticateError::Refused);
        }
        let live = self.lookup.session(claims.session).await?.ok_or(AuthenticateError::Refused)?;
        if live.session.user != claims.user {
            return Err(AuthenticateError::Refused);
        }
        Ok(Principal::Person(live))
    }

    /// Issues the scope of a caller for a workspace.
    ///
    /// # Errors
    /// [`EnterError::NotFound`] if the workspace does not exist or the caller has no access to it. The error does not
    /// tell which.
    /// [`EnterError::SecondFactorRequired`] if the policy of the workspace demands one that the session lacks.
    pub async fn enter(
        &self,
        principal: &Principal,
        workspace: &WorkspaceRef,
        origin: Origin,
    ) -> Result<WorkspaceScope, EnterError> {
        match principal {
            Principal::Person(live) => {
                let admission = self.lookup.membership(live.person.id, workspace).await?;
                let Admission { membership, policy } = admission.ok_or(EnterError::NotFound)?;
                if !policy.admits(&membership.role, &live.session, self.env.now()) {
                    return Err(EnterError::SecondFactorRequired);
                }
                let permissions = membership.role.permissions_for(&live.person);
                Ok(self.issuer.workspace(membership.workspace, principal.actor(), permissions, origin))
            }
            Principal::ApiKey(grant) => {
                let located = self.lookup.locate(workspace).await?;
                if located != Some(grant.workspace) {
                    return Err(EnterError::NotFound);
                }
                Ok(self.issuer.workspace(grant.workspace, principal.actor(), grant.permissions, origin))
            }
        }
    }

    /// Issues the scope for a person's own data across workspaces.
    ///
    /// # Errors
    /// [`NotAPerson`] if the caller uses an API key.
    pub fn person(&self, principal: &Principal, origin: Origin) -> Result<PersonScope, NotAPerson> {
        match principal {
            Principal::Person(live) => Ok(self.issuer.person(live.person.id, origin)),
            Principal::ApiKey(_) => Err(NotAPerson),
        }
    }

    /// Issues the scope of an operator of the installation.
    ///
    /// # Errors
    /// [`OperatorError::NotAPerson`] if the caller uses an API key. [`OperatorError::NotFound`] if the settings do not
    /// name the person as an operator.
    pub fn operator(&self, principal: &Principal, origin: Origin) -> Result<OperatorScope, OperatorError> {
        match principal {
            Principal::Person(live) if self.operators.contains(&live.person.id) => {
                Ok(self.issuer.operator(live.person.id, origin))
            }
            Principal::Person(_) => Err(OperatorError::NotFound),
            Principal::ApiKey(_) => Err(NotAPerson.into()),
        }
    }

    /// The scope in which a person creates a workspace.
    pub(crate) fn founder(&self, scope: &PersonScope, workspace: WorkspaceId) -> WorkspaceScope {
        let actor = Actor::Person(scope.user());
        self.issuer.workspace(workspace, actor, Role::OWNER.permissions(), scope.origin().clone())
    }
}
