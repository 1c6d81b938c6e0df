//! Access lookups directly from the store. A short-lived cache can be put in front.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_kernel::{
    Actor, Environment, PermissionSet, RequestId, ScopeIssuer, SessionId, StoreError, SystemScope, UserId, WorkspaceId,
};

use crate::model::{Admission, Digest, KeyGrant, LiveSession, Person, WorkspaceRef};
use crate::ports::{AccessLookup, Directory, Personal, Tenancy};

/// Answers from the store. Each lookup uses up to three transactions, one after the other.
pub struct StoredAccess {
    issuer: Arc<ScopeIssuer>,
    system: SystemScope,
    directory: Arc<Directory>,
    personal: Arc<Personal>,
    tenancy: Arc<Tenancy>,
    request_id: RequestId,
    env: Environment,
}

impl StoredAccess {
    /// Lookups in these stores. `request_id` identifies the transactions of lookups, which make no audited changes.
    #[must_use]
    pub fn new(
        issuer: Arc<ScopeIssuer>,
        directory: Arc<Directory>,
        personal: Arc<Personal>,
        tenancy: Arc<Tenancy>,
        request_id: RequestId,
        env: Environment,
    ) -> Self {
        let system = issuer.system("finding out who asks");
        Self { issuer, system, directory, personal, tenancy, request_id, env }
    }
}

#[async_trait]
impl AccessLookup for StoredAccess {
    async fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let live = tx.sessions().find_live(id, self.env.now()).await?;
        tx.commit().await?;
        Ok(live.map(Arc::new))
    }

    async fn api_key(&self, digest: &Digest) -> Result<Option<KeyGrant>, StoreError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let located = tx.locator().api_key(digest).await?;
        tx.commit().await?;
        let Some(located) = located else { return Ok(None) };

        let now = self.env.now();
        let actor = Actor::ApiKey(located.key);
        let scope = self.issuer.workspace(located.workspace, actor, PermissionSet::EMPTY, self.request_id.clone());
        let mut tx = self.tenancy.begin(&scope).await?;
        let key = tx.api_keys().find(located.key).await?.filter(|key| key.is_live(now));
        let Some(key) = key else { return Ok(None) };
        let Some(creator) = tx.members().find(key.created_by).await? else { return Ok(None) };
        if tx.workspace().get().await?.is_none() {
            return Ok(None);
        }
        tx.api_keys().touch(key.id, now).await?;
        tx.commit().await?;

        let mut tx = self.directory.begin(&self.system).await?;
        let person = tx.people().find(&[key.created_by]).await?.pop();
        tx.commit().await?;
        let Some(person) = person.filter(Person::is_active) else { return Ok(None) };
        Ok(Some(KeyGrant {
            key: key.id,
            workspace: located.workspace,
            permissions: key.scopes.intersection(creator.role.permissions_for(&person)),
            expires_at: key.expires_at,
        }))
    }

    async fn membership(&self, user: UserId, workspace: &WorkspaceRef) -> Result<Option<Admission>, StoreError> {
        let scope = self.issuer.person(user, self.request_id.clone());
        let mut tx = self.personal.begin(&scope).await?;
        let membership = tx.personal().membership(workspace).await?;
        tx.commit().await?;
        Ok(membership)
    }

    async fn locate(&self, workspace: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError> {
        let slug = match workspace {
            // The key's grant was just issued for an existing workspace.
            WorkspaceRef::Id(id) => return Ok(Some(*id)),
            WorkspaceRef::Slug(slug) => slug,
        };
        let mut tx = self.directory.begin(&self.system).await?;
        let located = tx.locator().slug(slug).await?;
        tx.commit().await?;
        Ok(located)
    }
}
