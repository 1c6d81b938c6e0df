//! What belongs to one workspace. Every method works in the workspace that the transaction was opened for, and no
//! other: an id of another workspace MUST be answered as one that does not exist.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{ApiKeyId, AuditLog, StoreError, Transaction, UnitOfWork, UserId};
use uuid::Uuid;

use crate::model::{
    ApiKey, AuditFilter, AuditRecord, Digest, Membership, Role, Workspace, WorkspaceChange, WorkspaceDeletion,
};

/// Opens units of work for a workspace's own administration.
pub type Tenancy = dyn UnitOfWork<dyn TenancyTx>;

/// The slice of a store that holds a workspace, its members and its keys.
pub trait TenancyTx: Transaction {
    /// The workspace itself.
    fn workspace(&mut self) -> Box<dyn WorkspaceRepository + '_>;
    /// Its members.
    fn members(&mut self) -> Box<dyn MemberRepository + '_>;
    /// Its API keys.
    fn api_keys(&mut self) -> Box<dyn ApiKeyRepository + '_>;
    /// Its audit log, to read.
    fn audit_trail(&mut self) -> Box<dyn AuditTrailRepository + '_>;
    /// Its audit log, to write.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The workspace of the transaction.
#[async_trait]
pub trait WorkspaceRepository: Send {
    /// Adds the workspace; `false`, and nothing changed, where another living one has the slug.
    ///
    /// MUST let exactly one of two that take the same slug at once succeed, and leave the transaction usable.
    async fn insert(&mut self, workspace: &Workspace) -> Result<bool, StoreError>;

    /// The workspace, where it is alive.
    async fn get(&mut self) -> Result<Option<Workspace>, StoreError>;

    /// Changes it; `None` where it is not alive, `Some(false)`, and nothing changed, where the slug is taken.
    async fn update(&mut self, change: &WorkspaceChange) -> Result<Option<bool>, StoreError>;

    /// Ends it and frees its slug; `false`, and nothing changed, where it was not alive. Its data stays until it is erased.
    ///
    /// MUST let whoever erases know of the deletion in the same transaction.
    async fn delete(&mut self, deletion: &WorkspaceDeletion) -> Result<bool, StoreError>;

    /// Holds everybody else out of changes to members and keys until the transaction ends; `false` where the workspace
    /// is not alive.
    async fn lock(&mut self) -> Result<bool, StoreError>;
}

/// The members of the transaction's workspace.
#[async_trait]
pub trait MemberRepository: Send {
    /// Adds a member; `false`, and nothing changed, where the person is one already.
    async fn insert(&mut self, membership: &Membership) -> Result<bool, StoreError>;

    /// The person's membership.
    async fn find(&mut self, user: UserId) -> Result<Option<Membership>, StoreError>;

    /// Members by the time they joined, then by id, after `after`; at most `limit`.
    async fn list(&mut self, after: Option<(DateTime<Utc>, UserId)>, limit: u32)
    -> Result<Vec<Membership>, StoreError>;

    /// Changes a role; `false` where the person is no member.
    async fn set_role(&mut self, user: UserId, role: &Role) -> Result<bool, StoreError>;

    /// Removes a member; `false` where the person is none.
    async fn remove(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// How many owners there are.
    async fn count_owners(&mut self) -> Result<i64, StoreError>;
}

/// The API keys of the transaction's workspace.
#[async_trait]
pub trait ApiKeyRepository: Send {
    /// Adds a key that is found by `digest` from the commit on.
    async fn insert(&mut self, key: &ApiKey, digest: &Digest) -> Result<(), StoreError>;

    /// A key, also one that is revoked.
    async fn find(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Keys that are not revoked, newest first, before `before`; at most `limit`.
    async fn list(&mut self, before: Option<ApiKeyId>, limit: u32) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes a key with those that it made, those that these made, and so on, and names them, the key itself first;
    /// nothing where there is none that is not revoked.
    async fn revoke(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError>;

    /// Revokes every key that `user` created, and names them.
    async fn revoke_created_by(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError>;

    /// Notes that the key was used, to the hour. MUST be cheap where that hour is noted already.
    async fn touch(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The audit log of the transaction's workspace, to read.
#[async_trait]
pub trait AuditTrailRepository: Send {
    /// Entries that `filter` wants, newest first, before the entry `before`; at most `limit`.
    async fn list(
        &mut self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError>;
}
