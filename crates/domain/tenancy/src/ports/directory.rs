//! The directory: what has to be known before there is a scope. It holds people, their log-ins, and where to find what
//! only a secret names; never a tenant's data.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{
    ApiKeyId, RequestId, SessionId, StoreError, SystemScope, Transaction, UnitOfWork, UserId, WorkspaceId,
};

use crate::model::{Digest, Email, LiveSession, PasswordHash, Person, Session, SigningKey, Slug, SuccessorSalt};

/// Opens units of work on the directory.
pub type Directory = dyn UnitOfWork<dyn DirectoryTx, SystemScope>;

/// The slice of a store that knows people and log-ins.
pub trait DirectoryTx: Transaction {
    /// People and their passwords.
    fn people(&mut self) -> Box<dyn PersonRepository + '_>;
    /// Log-ins.
    fn sessions(&mut self) -> Box<dyn SessionRepository + '_>;
    /// Where keys and slugs lead.
    fn locator(&mut self) -> Box<dyn Locator + '_>;
    /// The keys that sign access tokens.
    fn signing_keys(&mut self) -> Box<dyn SigningKeyRepository + '_>;
    /// What people did to their own accounts.
    fn account_log(&mut self) -> Box<dyn AccountLog + '_>;
}

/// People and their passwords.
#[async_trait]
pub trait PersonRepository: Send {
    /// Adds a person; `false`, and nothing changed, where the e-mail address is taken.
    ///
    /// MUST let exactly one of two that add the same address at once succeed, and leave the transaction usable.
    async fn insert(&mut self, person: &Person, hash: &PasswordHash) -> Result<bool, StoreError>;

    /// The people with these ids, in any order; unknown ids are left out.
    async fn find(&mut self, ids: &[UserId]) -> Result<Vec<Person>, StoreError>;

    /// The person with this address, and the hash of their password.
    async fn credentials(&mut self, email: &Email) -> Result<Option<(Person, PasswordHash)>, StoreError>;

    /// Replaces the hash, if it is still `old`; a hash that was changed meanwhile stays.
    async fn rehash(&mut self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), StoreError>;
}

/// What a refresh token is to its family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenState {
    /// The last one: it was good until now, and is used by this look at it.
    Current(Session),
    /// It was used before.
    Used {
        /// The session of its family.
        session: Session,
        /// How to make its successor again; `None` once that was used as well.
        succession: Option<Succession>,
    },
}

/// How the successor of a used refresh token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// What it was made with.
    pub salt: SuccessorSalt,
    /// When: the moment at which the predecessor was used.
    pub at: DateTime<Utc>,
}

/// Log-ins as families of refresh tokens.
#[async_trait]
pub trait SessionRepository: Send {
    /// Adds a session whose current token is `token`.
    async fn insert(&mut self, session: &Session, token: &Digest) -> Result<(), StoreError>;

    /// The session with its person, where it is neither revoked nor over at `now`.
    async fn find_live(&mut self, id: SessionId, now: DateTime<Utc>) -> Result<Option<LiveSession>, StoreError>;

    /// Uses a refresh token; `None` where it was never given out.
    ///
    /// MUST answer `Current` to exactly one of any number of calls with the same token, also at once, provided its
    /// transaction commits; to all others `Used`. MUST forget how the token itself was made when it is used, and hold
    /// everybody else out of the family until the transaction ends.
    async fn use_token(&mut self, token: &Digest, now: DateTime<Utc>) -> Result<Option<TokenState>, StoreError>;

    /// Makes `token` the current one of `session`, whose times are those after the refresh. Its predecessor is `used`,
    /// which this transaction used; `salt` is what `token` was made with.
    async fn rotate(
        &mut self,
        session: &Session,
        used: &Digest,
        salt: &SuccessorSalt,
        token: &Digest,
    ) -> Result<(), StoreError>;

    /// Ends the session; `false` where it was ended before or is not this person's.
    async fn revoke(&mut self, user: UserId, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// The person's live sessions, newest first, at most 200.
    async fn list_live(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError>;
}

/// Where something leads that only its digest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The key.
    pub key: ApiKeyId,
}

/// Finds the workspace of a key or slug. It only locates: the row itself is then read in the workspace's scope.
#[async_trait]
pub trait Locator: Send {
    /// The key whose secret has this digest.
    async fn api_key(&mut self, digest: &Digest) -> Result<Option<Located>, StoreError>;

    /// The living workspace with this slug.
    async fn slug(&mut self, slug: &Slug) -> Result<Option<WorkspaceId>, StoreError>;
}

/// The keys that sign access tokens; every server of an installation shares them.
#[async_trait]
pub trait SigningKeyRepository: Send {
    /// Every key, newest first.
    async fn list(&mut self) -> Result<Vec<SigningKey>, StoreError>;

    /// Adds a key. MUST hold others who add one out until the transaction ends, so that after [`Self::lock`] and a look
    /// at the list only one of several starting servers adds.
    async fn insert(&mut self, key: &SigningKey) -> Result<(), StoreError>;

    /// Holds others out of [`Self::lock`] until the transaction ends.
    async fn lock(&mut self) -> Result<(), StoreError>;

    /// Forgets keys made before `before`.
    async fn prune(&mut self, before: DateTime<Utc>) -> Result<(), StoreError>;
}

/// One thing that a person did to their own account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountEvent {
    /// Whose account.
    pub user: UserId,
    /// `resource.verb`, such as `session.created`.
    pub action: &'static str,
    /// What is worth keeping: never a secret.
    pub details: Value,
}

/// The record of what people did to their accounts: the audit log of what belongs to no workspace.
#[async_trait]
pub trait AccountLog: Send {
    /// Records `event`. MUST commit or vanish with the rest of the transaction.
    async fn record(&mut self, event: AccountEvent, request_id: &RequestId) -> Result<(), StoreError>;
}
