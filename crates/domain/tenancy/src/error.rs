//! What can go wrong in each use case.

use tidegate_kernel::{Forbidden, StoreError};

use crate::model::InvalidText;
use crate::ports::HashError;

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is an account with this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The password is too weak.
    #[error("the password {0}")]
    WeakPassword(InvalidText),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No account has this address and this password; which of the two is wrong is nobody's business.
    #[error("the e-mail address or the password is wrong")]
    Refused,
    /// The password could not be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there are no new tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token was never given out, or its session is over.
    #[error("the refresh token is not valid")]
    Invalid,
    /// The token was used before: somebody has a copy of it, so the whole session has been ended.
    #[error("the refresh token was used before; the session has been ended, log in again")]
    Reused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request is nobody's.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The token or key is cut, forged, expired, revoked or never was.
    #[error("the access token or API key is not valid or no longer valid")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a caller may not enter a workspace.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// There is no such workspace for this caller.
    #[error("there is no such workspace")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An API key asked for what only a person has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs a person; an API key belongs to one workspace and to nobody")]
pub struct NotAPerson;

/// Why somebody is not let in as an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// It is a program.
    #[error(transparent)]
    NotAPerson(#[from] NotAPerson),
    /// The person does not operate the installation, and is not told what there is.
    #[error("there is nothing here that this person can see")]
    NotFound,
}

/// Why something about a session was not done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The person has no such session.
    #[error("there is no such session")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something about a workspace was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It is not there, or no longer.
    #[error("there is no such workspace")]
    NotFound,
    /// Another workspace has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something about a member was not done.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The role has permissions that the caller lacks, so the caller can neither give it nor change whoever has it.
    #[error("the role {0} allows more than you may do yourself")]
    RoleExceedsCaller(crate::model::Role),
    /// The person is no member here.
    #[error("there is no such member")]
    NotFound,
    /// The person is a member already.
    #[error("the person is a member already")]
    AlreadyMember,
    /// A workspace keeps at least one owner.
    #[error("the last owner cannot leave or become something else; make somebody else an owner first")]
    LastOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something about an API key was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// A scope is more than the caller has.
    #[error("the scope {0} is more than you may do yourself")]
    ScopeAboveOwn(tidegate_kernel::Permission),
    /// A key without scopes could do nothing.
    #[error("a key needs at least one scope")]
    NoScopes,
    /// The key would be expired from the start.
    #[error("the expiry has to be in the future")]
    ExpiryInThePast,
    /// The key would expire at a time that RFC 3339 cannot write.
    #[error("the expiry has to be before the year 10000; leave it out for a key that does not expire")]
    ExpiryTooLate,
    /// The key would outlive the key that makes it.
    #[error("the expiry must not be after that of the key that makes it, {}; leave it out to expire with it", .0.to_rfc3339())]
    ExpiryAfterMaker(chrono::DateTime<chrono::Utc>),
    /// There is no such key, or no longer.
    #[error("there is no such API key")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the audit log was not read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
