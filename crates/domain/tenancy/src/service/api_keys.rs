//! API keys for programs.

use std::sync::Arc;

use chrono::Datelike;
use serde_json::json;
use tidegate_kernel::{
    Actor, ApiKeyId, AuditEntry, Environment, Page, PageSize, Permission, Signal, SignalBus, Topic, WorkspaceScope,
};

use crate::error::ApiKeyError;
use crate::model::{ApiKey, ApiKeySecret, NewApiKey};
use crate::ports::Tenancy;
use crate::service::now;

/// The API keys of workspaces.
pub struct ApiKeys {
    tenancy: Arc<Tenancy>,
    signals: Arc<dyn SignalBus>,
    env: Environment,
}

impl ApiKeys {
    /// Keys in this store.
    #[must_use]
    pub fn new(tenancy: Arc<Tenancy>, signals: Arc<dyn SignalBus>, env: Environment) -> Self {
        Self { tenancy, signals, env }
    }

    /// Creates a key. Only the answer contains the secret. To create a key, another key needs the scope `keys:write`;
    /// the new key then belongs to the same person, expires no later than its parent and is revoked together with it.
    ///
    /// # Errors
    /// [`ApiKeyError`] if the caller lacks `keys:write`, the scopes are empty or exceed the caller's permissions, the
    /// expiry time is in the past, or the key would expire later than its parent.
    pub async fn create(&self, scope: &WorkspaceScope, new: NewApiKey) -> Result<(ApiKey, ApiKeySecret), ApiKeyError> {
        scope.require(Permission::KeysWrite)?;
        let at = now(&self.env);
        if let Some(above) = new.scopes.iter().find(|wanted| !scope.permissions().contains(*wanted)) {
            return Err(ApiKeyError::ScopeAboveOwn(above));
        }
        if new.scopes.iter().next().is_none() {
            return Err(ApiKeyError::NoScopes);
        }
        if new.expires_at.is_some_and(|end| end <= at) {
            return Err(ApiKeyError::ExpiryInThePast);
        }
        if new.expires_at.is_some_and(|end| end.year() > 9999) {
            return Err(ApiKeyError::ExpiryTooLate);
        }
        let secret = ApiKeySecret::generate(&self.env);
        let mut tx = self.tenancy.begin(scope).await?;
        // Locks out a removal of the creator and a revocation of the parent, which revoke the keys that these created.
        if !tx.workspace().lock().await? {
            return Err(ApiKeyError::NotFound);
        }
        let (created_by, parent) = match scope.actor() {
            Actor::Person(user) => (user, None),
            Actor::ApiKey(id) => {
                // The parent may have ended since the request was authenticated.
                let parent = tx.api_keys().find(id).await?.filter(|key| key.is_live(at));
                let parent = parent.ok_or(ApiKeyError::NotFound)?;
                (parent.created_by, Some(parent))
            }
            Actor::System => return Err(ApiKeyError::NotFound),
        };
        let expires_at = match (new.expires_at, parent.as_ref().and_then(|key| key.expires_at)) {
            (Some(wanted), Some(end)) if wanted > end => return Err(ApiKeyError::ExpiryAfterMaker(end)),
            (wanted, end) => wanted.or(end),
        };
        if tx.members().find(created_by).await?.is_none() {
            return Err(ApiKeyError::NotFound);
        }
        let key = ApiKey {
            id: ApiKeyId::generate(&self.env),
            name: new.name,
            visible: secret.visible().to_owned(),
            scopes: new.scopes,
            created_by,
            parent: parent.map(|key| key.id),
            created_at: at,
            expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        tx.api_keys().insert(&key, &secret.digest()).await?;
        let scopes: Vec<&str> = key.scopes.iter().map(Permission::as_str).collect();
        let details = json!({
            "name": key.name.as_str(), "scopes": scopes, "expires_at": key.expires_at, "parent": key.parent,
        });
        tx.audit().record(AuditEntry::new("api_key.created", key.id).with(details)).await?;
        tx.commit().await?;
        Ok((key, secret))
    }

    /// The keys that are not revoked, newest first.
    ///
    /// # Errors
    /// [`ApiKeyError::Forbidden`] without `keys:read`. [`ApiKeyError::Store`] if the keys could not be read.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        before: Option<ApiKeyId>,
        size: PageSize,
    ) -> Result<Page<ApiKey, ApiKeyId>, ApiKeyError> {
        scope.require(Permission::KeysRead)?;
        let mut tx = self.tenancy.begin(scope).await?;
        let rows = tx.api_keys().list(before, size.get() + 1).await?;
        tx.commit().await?;
        Ok(Page::from_overfetch(rows, size, |key| key.id))
    }

    /// Revokes a key and the keys that it created. They are rejected everywhere within a second.
    ///
    /// # Errors
    /// [`ApiKeyError`] if the caller lacks `keys:write` or no such key exists.
    pub async fn revoke(&self, scope: &WorkspaceScope, id: ApiKeyId) -> Result<(), ApiKeyError> {
        scope.require(Permission::KeysWrite)?;
        let mut tx = self.tenancy.begin(scope).await?;
        // Locks out the creation of another key by one of these keys.
        if !tx.workspace().lock().await? {
            return Err(ApiKeyError::NotFound);
        }
        let revoked = tx.api_keys().revoke(id, now(&self.env)).await?;
        let Some((_, made_by_it)) = revoked.split_first() else { return Err(ApiKeyError::NotFound) };
        let details = json!({ "revoked_keys": made_by_it });
        tx.audit().record(AuditEntry::new("api_key.revoked", id).with(details)).await?;
        tx.commit().await?;
        for key in revoked {
            self.signals.publish(Signal::new(Topic::ApiKeyRevoked, &key));
        }
        Ok(())
    }
}
