//! API keys.

use chrono::{DateTime, Utc};
use tidegate_kernel::{ApiKeyId, PermissionSet, UserId, WorkspaceId};

use crate::model::text::Name;

/// An API key, without its secret: that is known only to who was given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: Name,
    /// The first characters of the secret, by which its holder recognises it.
    pub visible: String,
    /// What it may do, at most; never more than its creator may at the moment of use.
    pub scopes: PermissionSet,
    /// The person whose permissions bound it.
    pub created_by: UserId,
    /// The key that made it, where a key did. It ends with that key: it expires no later, and is revoked with it.
    pub parent: Option<ApiKeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What is asked for when a key is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// What it is for.
    pub name: Name,
    /// What it may do.
    pub scopes: PermissionSet,
    /// From when on it is refused; in the future. Without it, a key that a key makes expires with its maker.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a good key gives its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGrant {
    /// The key.
    pub key: ApiKeyId,
    /// The workspace that it belongs to; the only one that it reaches.
    pub workspace: WorkspaceId,
    /// Its scopes, cut to what its creator may do there now.
    pub permissions: PermissionSet,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
}
