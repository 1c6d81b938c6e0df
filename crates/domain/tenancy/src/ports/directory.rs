//! The directory: the data that is needed before a scope exists. It has people, their sessions, and the workspaces of
//! keys and slugs. It MUST NOT contain tenant data.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{
    ApiKeyId, RequestId, SessionId, StoreError, SystemScope, Transaction, UnitOfWork, UserId, WorkspaceId,
};

use crate::model::{Digest, Email, LiveSession, PasswordHash, Person, Session, SigningKey, Slug, SuccessorSalt};

/// Opens units of work on the directory.
pub type Directory = dyn UnitOfWork<dyn DirectoryTx, SystemScope>;

/// The slice of a store for people and sessions.
pub trait DirectoryTx: Transaction {
    /// People and their passwords.
    fn people(&mut self) -> Box<dyn PersonRepository + '_>;
    /// Log-in sessions.
    fn sessions(&mut self) -> Box<dyn SessionRepository + '_>;
    /// The workspaces of keys and slugs.
    fn locator(&mut self) -> Box<dyn Locator + '_>;
    /// The keys that sign access tokens.
    fn signing_keys(&mut self) -> Box<dyn SigningKeyRepository + '_>;
    /// The log of changes to people's accounts.
    fn account_log(&mut self) -> Box<dyn AccountLog + '_>;
}

/// People and their passwords.
#[async_trait]
pub trait PersonRepository: Send {
    /// Adds a person. Returns `false`, and changes nothing, if the e-mail address is taken.
    ///
    /// If two transactions add the same address at once, MUST let exactly one succeed. MUST leave both transactions
    /// usable.
    async fn insert(&mut self, person: &Person, hash: &PasswordHash) -> Result<bool, StoreError>;

    /// The people with these ids, in any order. Unknown ids are left out.
    async fn find(&mut self, ids: &[UserId]) -> Result<Vec<Person>, StoreError>;

    /// The person with this address, and the hash of the person's password.
    async fn credentials(&mut self, email: &Email) -> Result<Option<(Person, PasswordHash)>, StoreError>;

    /// Replaces the hash if it is still `old`. A hash that was changed meanwhile is kept.
    async fn rehash(&mut self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), StoreError>;
}

/// The state of a presented refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// It was the latest token of its family. This call has used it up.
    Current(Session),
    /// It was used before.
    Used {
        /// The family's session.
        session: Session,
        /// How to derive its successor again; `None` once the successor was used as well.
        succession: Option<Succession>,
    },
}

/// How the successor of a used refresh token was derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The salt of the derivation.
    pub salt: SuccessorSalt,
    /// When it was derived, which is when the predecessor was used.
    pub at: DateTime<Utc>,
}

/// Log-in sessions as families of refresh tokens.
#[async_trait]
pub trait SessionRepository: Send {
    /// Adds a session whose current token is `token`.
    async fn insert(&mut self, session: &Session, token: &Digest) -> Result<(), StoreError>;

    /// The session with its person, if it is neither revoked nor expired at `now`.
    async fn find_live(&mut self, id: SessionId, now: DateTime<Utc>) -> Result<Option<LiveSession>, StoreError>;

    /// Uses a refresh token. Returns `None` if it was never issued.
    ///
    /// For any number of calls with the same token, also concurrent ones, MUST return `Current` to exactly one whose
    /// transaction commits, and `Used` to all others. When a token is used, MUST delete the salt of its own derivation.
    /// MUST lock the family until the transaction ends.
    async fn use_token(&mut self, token: &Digest, now: DateTime<Utc>) -> Result<Option<TokenState>, StoreError>;

    /// Makes `token` the current token of `session`, whose times are those after the refresh. `used` is the
    /// predecessor, which this transaction has used. `salt` is the salt of the derivation of `token`.
    async fn rotate(
        &mut self,
        session: &Session,
        used: &Digest,
        salt: &SuccessorSalt,
        token: &Digest,
    ) -> Result<(), StoreError>;

    /// Revokes the session. Returns `false` if it was already revoked or belongs to another person.
    async fn revoke(&mut self, user: UserId, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// The person's live sessions, newest first, at most 200.
    async fn list_live(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError>;
}

/// The workspace and id of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The key.
    pub key: ApiKeyId,
}

/// Finds the workspace of a key or a slug. Only the location is returned; the row itself is read in the workspace's
/// scope.
#[async_trait]
pub trait Locator: Send {
    /// The key whose secret has this digest.
    async fn api_key(&mut self, digest: &Digest) -> Result<Option<Located>, StoreError>;

    /// The workspace with this slug, unless it is deleted.
    async fn slug(&mut self, slug: &Slug) -> Result<Option<WorkspaceId>, StoreError>;
}

/// The keys that sign access tokens. All servers of an installation share them.
#[async_trait]
pub trait SigningKeyRepository: Send {
    /// Every key, newest first.
    async fn list(&mut self) -> Result<Vec<SigningKey>, StoreError>;

    /// Adds a key. The caller MUST call [`Self::lock`] first and then check the list, so that only one of several
    /// starting servers adds a key.
    async fn insert(&mut self, key: &SigningKey) -> Result<(), StoreError>;

    /// Locks out other calls of [`Self::lock`] until the transaction ends.
    async fn lock(&mut self) -> Result<(), StoreError>;

    /// Deletes keys that were created before `before`.
    async fn prune(&mut self, before: DateTime<Utc>) -> Result<(), StoreError>;
}

/// An event in the log of a person's account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountEvent {
    /// The account.
    pub user: UserId,
    /// `resource.verb`, such as `session.created`.
    pub action: &'static str,
    /// The details. MUST NOT contain a secret.
    pub details: Value,
}

/// The log of changes to accounts: the audit log for everything that belongs to no workspace.
#[async_trait]
pub trait AccountLog: Send {
    /// Records `event`. MUST commit or roll back together with the rest of the transaction.
    async fn record(&mut self, event: AccountEvent, request_id: &RequestId) -> Result<(), StoreError>;
}
