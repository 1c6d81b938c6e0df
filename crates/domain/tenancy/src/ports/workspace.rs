//! The store ports of one workspace. Every method works only in the workspace of its transaction. An id of another
//! workspace MUST be treated like an id that does not exist.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{ApiKeyId, AuditLog, QuotaLevels, StoreError, Transaction, UnitOfWork, UserId};
use uuid::Uuid;

use crate::model::{
    ApiKey, AuditFilter, AuditRecord, Digest, Membership, Role, Workspace, WorkspaceChange, WorkspaceDeletion,
    WorkspacePolicy,
};

/// Opens units of work for a workspace's own administration.
pub type Tenancy = dyn UnitOfWork<dyn TenancyTx>;

/// The slice of a store for a workspace, its members and its API keys.
pub trait TenancyTx: Transaction {
    /// The workspace itself.
    fn workspace(&mut self) -> Box<dyn WorkspaceRepository + '_>;
    /// Its members.
    fn members(&mut self) -> Box<dyn MemberRepository + '_>;
    /// Its API keys.
    fn api_keys(&mut self) -> Box<dyn ApiKeyRepository + '_>;
    /// What counts against its plan.
    fn levels(&mut self) -> Box<dyn QuotaLevels + '_>;
    /// Its audit log, for reading.
    fn audit_trail(&mut self) -> Box<dyn AuditTrailRepository + '_>;
    /// Its audit log, for writing.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The workspace of the transaction.
#[async_trait]
pub trait WorkspaceRepository: Send {
    /// Adds the workspace. Returns `false`, and changes nothing, if another existing workspace has the slug.
    ///
    /// If two transactions take the same slug at once, MUST let exactly one succeed. MUST leave both transactions
    /// usable.
    async fn insert(&mut self, workspace: &Workspace) -> Result<bool, StoreError>;

    /// The workspace, if it is not deleted.
    async fn get(&mut self) -> Result<Option<Workspace>, StoreError>;

    /// Changes the workspace. Returns `None` if it is deleted. Returns `Some(false)`, and changes nothing, if the slug
    /// is taken.
    async fn update(&mut self, change: &WorkspaceChange) -> Result<Option<bool>, StoreError>;

    /// The policy of the workspace, if it is not deleted.
    async fn policy(&mut self) -> Result<Option<WorkspacePolicy>, StoreError>;

    /// Replaces the policy. Returns `false` if the workspace is deleted.
    async fn set_policy(&mut self, policy: &WorkspacePolicy) -> Result<bool, StoreError>;

    /// Deletes the workspace and frees its slug. Returns `false`, and changes nothing, if it was already deleted. Its
    /// data stays until it is erased.
    ///
    /// MUST register the workspace for erasure in the same transaction.
    async fn delete(&mut self, deletion: &WorkspaceDeletion) -> Result<bool, StoreError>;

    /// Locks out all other changes of members and keys until the transaction ends. Returns `false` if the workspace is
    /// deleted.
    async fn lock(&mut self) -> Result<bool, StoreError>;
}

/// The members of the transaction's workspace.
#[async_trait]
pub trait MemberRepository: Send {
    /// Adds a member. Returns `false`, and changes nothing, if the person is already a member.
    async fn insert(&mut self, membership: &Membership) -> Result<bool, StoreError>;

    /// The person's membership.
    async fn find(&mut self, user: UserId) -> Result<Option<Membership>, StoreError>;

    /// Members ordered by when they joined, then by id, after `after`; at most `limit`.
    async fn list(&mut self, after: Option<(DateTime<Utc>, UserId)>, limit: u32)
    -> Result<Vec<Membership>, StoreError>;

    /// Changes a role. Returns `false` if the person is not a member.
    async fn set_role(&mut self, user: UserId, role: &Role) -> Result<bool, StoreError>;

    /// Removes a member. Returns `false` if the person is not a member.
    async fn remove(&mut self, user: UserId) -> Result<bool, StoreError>;

    /// The number of owners.
    async fn count_owners(&mut self) -> Result<i64, StoreError>;
}

/// The API keys of the transaction's workspace.
#[async_trait]
pub trait ApiKeyRepository: Send {
    /// Adds a key. From the commit on, it can be found by `digest`.
    async fn insert(&mut self, key: &ApiKey, digest: &Digest) -> Result<(), StoreError>;

    /// The key with this id, even if it is revoked.
    async fn find(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Keys that are not revoked, newest first, before `before`; at most `limit`.
    async fn list(&mut self, before: Option<ApiKeyId>, limit: u32) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes a key, the keys that it created, the keys that those created, and so on. Returns their ids, the key
    /// itself first, or nothing if the key does not exist or is already revoked.
    async fn revoke(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError>;

    /// Revokes every key that `user` created, and returns their ids.
    async fn revoke_created_by(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError>;

    /// Records that the key was used, to the hour. MUST be cheap if that hour is already recorded.
    async fn touch(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The audit log of the transaction's workspace, for reading.
#[async_trait]
pub trait AuditTrailRepository: Send {
    /// Entries that match `filter`, newest first, before the entry `before`; at most `limit`.
    async fn list(
        &mut self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError>;
}
