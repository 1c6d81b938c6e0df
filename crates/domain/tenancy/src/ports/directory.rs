//! The directory: the data that is needed before a scope exists. It has people, their sessions, and the workspaces of
//! keys and slugs. It MUST NOT contain tenant data.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{
    ApiKeyId, FactorId, Origin, SessionId, StoreError, SystemScope, Transaction, UnitOfWork, UserId, WorkspaceId,
};
use uuid::Uuid;

use crate::model::{
    AccountRecord, AuthMethod, Challenge, Digest, Email, Factor, Link, LinkPurpose, LiveSession, PasswordHash, Person,
    Session, SigningKey, Slug, SuccessorSalt,
};

/// Opens units of work on the directory.
pub type Directory = dyn UnitOfWork<dyn DirectoryTx, SystemScope>;

/// The slice of a store for people and sessions.
pub trait DirectoryTx: Transaction {
    /// People and their passwords.
    fn people(&mut self) -> Box<dyn PersonRepository + '_>;
    /// Log-in sessions.
    fn sessions(&mut self) -> Box<dyn SessionRepository + '_>;
    /// Second factors, recovery codes, and log-ins that wait for them.
    fn factors(&mut self) -> Box<dyn FactorRepository + '_>;
    /// Links in mails to people.
    fn links(&mut self) -> Box<dyn LinkRepository + '_>;
    /// The workspaces of keys and slugs.
    fn locator(&mut self) -> Box<dyn Locator + '_>;
    /// The keys that sign access tokens.
    fn signing_keys(&mut self) -> Box<dyn SigningKeyRepository + '_>;
    /// The log of changes to people's accounts.
    fn account_log(&mut self) -> Box<dyn AccountLog + '_>;
}

/// The result of adding a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The person was added.
    New,
    /// The address is taken, by this person. `None` if that person is being added at this moment.
    Taken(Option<UserId>),
}

/// People and their passwords.
#[async_trait]
pub trait PersonRepository: Send {
    /// Adds a person, unless the e-mail address is taken.
    ///
    /// If two transactions add the same address at once, MUST let exactly one succeed. MUST leave both transactions
    /// usable. MUST make the same queries whether the address is taken or not.
    async fn insert(&mut self, person: &Person, hash: &PasswordHash) -> Result<Registered, StoreError>;

    /// The people with these ids, in any order. Unknown ids are left out.
    async fn find(&mut self, ids: &[UserId]) -> Result<Vec<Person>, StoreError>;

    /// The person with this address, and the hash of the person's password.
    async fn credentials(&mut self, email: &Email) -> Result<Option<(Person, PasswordHash)>, StoreError>;

    /// The person with this id, and the hash of the person's password. Locks the person until the transaction ends.
    async fn lock(&mut self, user: UserId) -> Result<Option<(Person, PasswordHash)>, StoreError>;

    /// Writes what the person can change: the address and when it was verified, the name, and the settings.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another person has the address.
    async fn update(&mut self, person: &Person) -> Result<(), StoreError>;

    /// Replaces the password's hash.
    async fn set_password(&mut self, user: UserId, hash: &PasswordHash) -> Result<(), StoreError>;

    /// Replaces the hash if it is still `old`. A hash that was changed meanwhile is kept.
    async fn rehash(&mut self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), StoreError>;

    /// Deactivates or reactivates an account. The sessions of a deactivated one are not live.
    async fn set_active(&mut self, user: UserId, active: bool, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// Second factors of people, their recovery codes, and the log-ins that wait for them.
#[async_trait]
pub trait FactorRepository: Send {
    /// Adds a factor that is not confirmed. Others of the person that are not confirmed are removed.
    async fn insert(&mut self, factor: &Factor) -> Result<(), StoreError>;

    /// The person's factors, oldest first.
    async fn list(&mut self, user: UserId) -> Result<Vec<Factor>, StoreError>;

    /// Confirms a factor. Returns `false` if the person has no such factor or it is confirmed already.
    async fn confirm(&mut self, user: UserId, id: FactorId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Uses the code of a time step. For any number of calls with one step, also concurrent ones, MUST return `true` to
    /// exactly one whose transaction commits, and to none with an earlier step from then on.
    async fn use_step(&mut self, id: FactorId, step: i64, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Removes a factor. Returns `false` if the person has no such factor.
    async fn remove(&mut self, user: UserId, id: FactorId) -> Result<bool, StoreError>;

    /// Replaces the person's recovery codes.
    async fn set_recovery_codes(&mut self, user: UserId, codes: &[Digest]) -> Result<(), StoreError>;

    /// The number of recovery codes that the person has left.
    async fn recovery_codes(&mut self, user: UserId) -> Result<i64, StoreError>;

    /// Uses a recovery code. MUST return `true` to exactly one of concurrent calls with the same code.
    async fn use_recovery_code(&mut self, user: UserId, code: &Digest) -> Result<bool, StoreError>;

    /// Adds a challenge, and removes those that have expired.
    async fn add_challenge(&mut self, challenge: &Challenge, token: &Digest) -> Result<(), StoreError>;

    /// The person of the challenge with this token.
    async fn challenged(&mut self, token: &Digest) -> Result<Option<UserId>, StoreError>;

    /// The challenge with this token, which is locked until the transaction ends.
    async fn lock_challenge(&mut self, token: &Digest) -> Result<Option<Challenge>, StoreError>;

    /// Counts an attempt at a challenge.
    async fn count_attempt(&mut self, token: &Digest) -> Result<(), StoreError>;

    /// Removes the challenge.
    async fn remove_challenge(&mut self, token: &Digest) -> Result<(), StoreError>;

    /// Removes all challenges of a person.
    async fn remove_challenges(&mut self, user: UserId) -> Result<(), StoreError>;
}

/// Links in mails to people.
#[async_trait]
pub trait LinkRepository: Send {
    /// Adds a link. Of the person's older links for the same purpose, MUST keep only the four newest.
    async fn insert(&mut self, link: &Link, token: &Digest) -> Result<(), StoreError>;

    /// The link with this token, without using it.
    async fn find(&mut self, token: &Digest, purpose: LinkPurpose) -> Result<Option<Link>, StoreError>;

    /// Uses a link: deletes it and all other links of the person for the same purpose. Returns `None` if there is no such
    /// link. Locks the person until the transaction ends.
    ///
    /// For any number of calls with links of one person and purpose, also concurrent ones, MUST return a link to exactly
    /// one whose transaction commits.
    async fn take(&mut self, token: &Digest, purpose: LinkPurpose) -> Result<Option<Link>, StoreError>;

    /// Deletes the person's links for these purposes, and records that requests up to `now` are void.
    async fn void(&mut self, user: UserId, purposes: &[LinkPurpose], now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Up to when requests for links that set a password or change the address are void.
    async fn voided_at(&mut self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// Deletes links that expired before `now`.
    async fn prune(&mut self, now: DateTime<Utc>) -> Result<(), StoreError>;
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

    /// The session with its person, if it is neither revoked nor expired at `now` and the account is active.
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

    /// Records that the person of a session has proven who they are, by this method beside those of before.
    async fn authenticated(&mut self, id: SessionId, method: AuthMethod, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// Revokes the session. Returns `false` if it was already revoked or belongs to another person.
    async fn revoke(&mut self, user: UserId, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Revokes the person's live sessions except `except`. Returns their ids.
    async fn revoke_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionId>, StoreError>;

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

    /// Deletes every key, and returns their ids.
    async fn retire_all(&mut self) -> Result<Vec<String>, StoreError>;
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

/// A log-in that failed because of its password.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedLogIn {
    /// The account.
    pub user: UserId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Where it came from.
    pub origin: Origin,
}

/// The log of changes to accounts: the audit log for everything that belongs to no workspace.
#[async_trait]
pub trait AccountLog: Send {
    /// Records `event`. MUST commit or roll back together with the rest of the transaction.
    async fn record(&mut self, event: AccountEvent, origin: &Origin) -> Result<(), StoreError>;

    /// Records failed log-ins.
    async fn record_failures(&mut self, failures: &[FailedLogIn]) -> Result<(), StoreError>;

    /// Entries about the person's account, newest first, before the entry `before`; at most `limit`.
    async fn list(&mut self, user: UserId, before: Option<Uuid>, limit: u32) -> Result<Vec<AccountRecord>, StoreError>;
}
