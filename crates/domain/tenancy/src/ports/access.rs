//! The lookups that access control makes for every request.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tidegate_kernel::{PersonScope, SessionId, StoreError, Transaction, UnitOfWork, UserId, WorkspaceId};

use crate::model::{Admission, Digest, KeyGrant, LiveSession, Role, Workspace, WorkspaceRef};

/// Looks up sessions, keys and memberships.
///
/// A cache MUST NOT keep an answer for longer than a second, counted from before the query. It SHOULD drop cached
/// answers at the signals `SessionRevoked`, `ApiKeyRevoked`, `MembershipChanged` and `WorkspaceChanged`. For
/// `membership`, a negative answer MUST NOT be cached, or a new member would have to wait.
#[async_trait]
pub trait AccessLookup: Send + Sync {
    /// The session, if it is neither revoked nor expired.
    async fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError>;

    /// The grant of the key with this digest, if it is neither revoked nor expired, and its creator is still
    /// a member with an active account.
    async fn api_key(&self, digest: &Digest) -> Result<Option<KeyGrant>, StoreError>;

    /// The person's membership, and the policy of the workspace; `None` if there is none or the workspace does not exist.
    async fn membership(&self, user: UserId, workspace: &WorkspaceRef) -> Result<Option<Admission>, StoreError>;

    /// The id of the workspace, if it exists.
    async fn locate(&self, workspace: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError>;
}

/// Opens units of work for one person across workspaces.
pub type Personal = dyn UnitOfWork<dyn PersonTx, PersonScope>;

/// The slice of a store for a person's own data across workspaces.
pub trait PersonTx: Transaction {
    /// The person's memberships.
    fn personal(&mut self) -> Box<dyn PersonalRepository + '_>;
}

/// The memberships of the transaction's person only.
#[async_trait]
pub trait PersonalRepository: Send {
    /// The person's membership in a workspace that is not deleted, and the policy of the workspace.
    async fn membership(&mut self, workspace: &WorkspaceRef) -> Result<Option<Admission>, StoreError>;

    /// The person's workspaces that are not deleted, with the person's role, oldest membership first, after `after`; at
    /// most `limit`.
    ///
    /// `after` is the key of the last one seen: when the person joined it, and its id.
    async fn workspaces(
        &mut self,
        after: Option<(DateTime<Utc>, WorkspaceId)>,
        limit: u32,
    ) -> Result<Vec<(Workspace, Role, DateTime<Utc>)>, StoreError>;
}
