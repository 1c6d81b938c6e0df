//! Keys for programs.

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

    /// Makes a key. The secret is in the answer and nowhere else. A key that makes a key makes it in the name of its
    /// own creator.
    ///
    /// # Errors
    /// [`ApiKeyError`]: not allowed, scopes above the caller's own or none, or expired from the start.
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
        // Held against a removal of the creator, which revokes what they made.
        if !tx.workspace().lock().await? {
            return Err(ApiKeyError::NotFound);
        }
        let created_by = match scope.actor() {
            Actor::Person(user) => user,
            Actor::ApiKey(parent) => tx.api_keys().find(parent).await?.ok_or(ApiKeyError::NotFound)?.created_by,
            Actor::System => return Err(ApiKeyError::NotFound),
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
            created_at: at,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        tx.api_keys().insert(&key, &secret.digest()).await?;
        let scopes: Vec<&str> = key.scopes.iter().map(Permission::as_str).collect();
        let details = json!({ "name": key.name.as_str(), "scopes": scopes, "expires_at": key.expires_at });
        tx.audit().record(AuditEntry::new("api_key.created", key.id).with(details)).await?;
        tx.commit().await?;
        Ok((key, secret))
    }

    /// The keys that are not revoked, newest first.
    ///
    /// # Errors
    /// [`ApiKeyError`]: not allowed.
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

    /// Revokes a key; it is refused everywhere within a second.
    ///
    /// # Errors
    /// [`ApiKeyError`]: not allowed, or no such key.
    pub async fn revoke(&self, scope: &WorkspaceScope, id: ApiKeyId) -> Result<(), ApiKeyError> {
        scope.require(Permission::KeysWrite)?;
        let mut tx = self.tenancy.begin(scope).await?;
        if !tx.api_keys().revoke(id, now(&self.env)).await? {
            return Err(ApiKeyError::NotFound);
        }
        tx.audit().record(AuditEntry::new("api_key.revoked", id)).await?;
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::ApiKeyRevoked, &id));
        Ok(())
    }
}
