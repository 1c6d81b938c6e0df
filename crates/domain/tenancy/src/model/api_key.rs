//! API keys.

use chrono::{DateTime, Utc};
use tidegate_kernel::{ApiKeyId, PermissionSet, UserId, WorkspaceId};

use crate::model::text::Name;

/// An API key without its secret, which only its holder knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// Its purpose, as a name for people.
    pub name: Name,
    /// The first characters of the secret, by which its holder can recognise it.
    pub visible: String,
    /// The permissions that it may use. They never exceed what its creator has at the moment of use.
    pub scopes: PermissionSet,
    /// The person whose permissions limit it.
    pub created_by: UserId,
    /// The key that created it, if a key did. It expires no later than that key and is revoked together with it.
    pub parent: Option<ApiKeyId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it expires; `None` if it does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it is neither revoked nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// The parameters of a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its purpose, as a name for people.
    pub name: Name,
    /// The permissions that it may use.
    pub scopes: PermissionSet,
    /// When it expires; in the future. If absent and another key creates it, it expires with that key.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a valid key grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGrant {
    /// The key.
    pub key: ApiKeyId,
    /// The workspace that it belongs to, and the only one that it can access.
    pub workspace: WorkspaceId,
    /// Its scopes, reduced to the current permissions of its creator.
    pub permissions: PermissionSet,
    /// When it expires; `None` if it does not.
    pub expires_at: Option<DateTime<Utc>>,
}
