//! What access control asks on every request.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use tidegate_kernel::{PersonScope, SessionId, StoreError, Transaction, UnitOfWork, UserId, WorkspaceId};

use crate::model::{Digest, KeyGrant, LiveSession, Membership, Role, Workspace, WorkspaceRef};

/// What is known of sessions, keys and memberships.
///
/// Whoever keeps answers MUST keep none for longer than a second, counted from before the question was asked, and
/// SHOULD drop them at the signals `SessionRevoked`, `ApiKeyRevoked`, `MembershipChanged` and `WorkspaceChanged`. The
/// answer that there is nothing MUST NOT be kept for `membership`, or a new member waits.
#[async_trait]
pub trait AccessLookup: Send + Sync {
    /// The session, where it is neither revoked nor over.
    async fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError>;

    /// What the key with this digest may do, where it is neither revoked nor expired and its creator is still a member.
    async fn api_key(&self, digest: &Digest) -> Result<Option<KeyGrant>, StoreError>;

    /// The person's place in a living workspace; `None` where there is none, or no such workspace.
    async fn membership(&self, user: UserId, workspace: &WorkspaceRef) -> Result<Option<Membership>, StoreError>;

    /// The living workspace that is meant.
    async fn locate(&self, workspace: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError>;
}

/// Opens units of work for one person across workspaces.
pub type Personal = dyn UnitOfWork<dyn PersonTx, PersonScope>;

/// The slice of a store that shows a person what is theirs across workspaces.
pub trait PersonTx: Transaction {
    /// The person's memberships.
    fn personal(&mut self) -> Box<dyn PersonalRepository + '_>;
}

/// The memberships of the person whom the transaction was opened for, and of nobody else.
#[async_trait]
pub trait PersonalRepository: Send {
    /// The person's membership in a living workspace.
    async fn membership(&mut self, workspace: &WorkspaceRef) -> Result<Option<Membership>, StoreError>;

    /// The person's living workspaces with their role, oldest membership first, after `after`; at most `limit`.
    ///
    /// `after` is the place of the last one seen: when the person joined it, and its id.
    async fn workspaces(
        &mut self,
        after: Option<(DateTime<Utc>, WorkspaceId)>,
        limit: u32,
    ) -> Result<Vec<(Workspace, Role, DateTime<Utc>)>, StoreError>;
}
