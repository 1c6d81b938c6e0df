//! Errors of the use cases of tenancy.

use tidegate_kernel::{Forbidden, QuotaError, QuotaExceeded, StoreError};

use crate::model::InvalidText;
use crate::ports::HashError;

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
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

/// Why a link of a mail could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It has expired, was used or never existed, or it was sent to an address that the account no longer has.
    #[error("the link is not valid")]
    Invalid,
    /// Another account has the address by now.
    #[error("another account has the address")]
    EmailTaken,
    /// The new password is too weak.
    #[error("the password {0}")]
    WeakPassword(InvalidText),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operation that needs the password of a logged-in person failed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The current password is wrong.
    #[error("the current password is wrong")]
    Wrong,
    /// The new password is too weak.
    #[error("the password {0}")]
    Weak(InvalidText),
    /// The password could not be checked or hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an account could not be deactivated or reactivated.
#[derive(Debug, thiserror::Error)]
pub enum DeactivateError {
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// It is the operator's own.
    #[error("an operator cannot deactivate their own account")]
    Own,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operation on a second factor failed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The session has ended since it was checked.
    #[error("the session is over")]
    SessionEnded,
    /// The person has no such factor, or it is confirmed already.
    #[error("there is no such factor")]
    NotFound,
    /// The code is wrong or was used before.
    #[error("the code is wrong or was used before")]
    WrongCode,
    /// The address of the person is not verified.
    #[error("the e-mail address is not verified")]
    Unverified,
    /// The person has too many factors.
    #[error("there are too many factors; remove one first")]
    TooMany,
    /// The person has no second factor, so there is nothing to recover.
    #[error("there is no second factor")]
    NoFactors,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a second factor did not finish a log-in.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The challenge is over or never was.
    #[error("the log-in has to begin again")]
    Invalid,
    /// The code is wrong or was used before.
    #[error("the code is wrong or was used before")]
    WrongCode,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PasswordError> for StepUpError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Wrong | PasswordError::Weak(_) => Self::Wrong,
            PasswordError::Hash(error) => Self::Hash(error),
            PasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// Why a person has not proven again who they are.
#[derive(Debug, thiserror::Error)]
pub enum StepUpError {
    /// They have not done so within the last minutes.
    #[error("this needs a log-in or a step-up within the last five minutes")]
    Required,
    /// The password or code is wrong, or the code was used before.
    #[error("the password or code is wrong")]
    Wrong,
    /// The person has a second factor, so the password alone is not enough.
    #[error("a code of the second factor is needed")]
    CodeNeeded,
    /// The password could not be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a log-in failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No account has this address and this password. The error does not tell which of the two is wrong.
    #[error("the e-mail address or the password is wrong")]
    Refused,
    /// The password could not be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token was never issued, or its session has ended.
    #[error("the refresh token is not valid")]
    Invalid,
    /// The token was used before. A copy of it may have been stolen, so the whole session was revoked.
    #[error("the refresh token was used before; the session has been ended, log in again")]
    Reused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an authentication failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The token or key is malformed, forged, expired, revoked or unknown.
    #[error("the access token or API key is not valid or no longer valid")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a caller may not enter a workspace.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The workspace does not exist, or the caller has no access to it.
    #[error("there is no such workspace")]
    NotFound,
    /// The workspace admits the person only with a second factor.
    #[error("the workspace requires a second factor")]
    SecondFactorRequired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An API key was used for an operation that needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs a person; an API key belongs to one workspace and to nobody")]
pub struct NotAPerson;

/// Why a caller is not accepted as an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// The caller is a program.
    #[error(transparent)]
    NotAPerson(#[from] NotAPerson),
    /// The person is not an operator. The error does not tell what exists.
    #[error("there is nothing here that this person can see")]
    NotFound,
}

/// Why an operation on a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The person has no such session.
    #[error("there is no such session")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operation on a workspace failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace does not exist or was deleted.
    #[error("there is no such workspace")]
    NotFound,
    /// The policy would shut out the person who sets it.
    #[error("the policy would shut out the person who sets it")]
    ShutsOutCaller,
    /// Another workspace has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QuotaError> for WorkspaceError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Exceeded(exceeded) => Self::Store(StoreError::Internal(Box::new(exceeded))),
            QuotaError::Store(error) => Self::Store(error),
        }
    }
}

/// Why an operation on a member failed.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The role has permissions that the caller lacks, so the caller may neither assign it nor change a member who has
    /// it.
    #[error("the role {0} allows more than you may do yourself")]
    RoleExceedsCaller(crate::model::Role),
    /// The person is not a member.
    #[error("there is no such member")]
    NotFound,
    /// The person is already a member.
    #[error("the person is a member already")]
    AlreadyMember,
    /// The person is the last owner. A workspace needs at least one.
    #[error("the last owner cannot leave or become something else; make somebody else an owner first")]
    LastOwner,
    /// The plan of the workspace does not allow another member.
    #[error(transparent)]
    QuotaExceeded(QuotaExceeded),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QuotaError> for MemberError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Exceeded(exceeded) => Self::QuotaExceeded(exceeded),
            QuotaError::Store(error) => Self::Store(error),
        }
    }
}

/// Why an operation on an API key failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The caller lacks the permission of this scope.
    #[error("the scope {0} is more than you may do yourself")]
    ScopeAboveOwn(tidegate_kernel::Permission),
    /// A key without scopes could do nothing.
    #[error("a key needs at least one scope")]
    NoScopes,
    /// The expiry time is in the past.
    #[error("the expiry has to be in the future")]
    ExpiryInThePast,
    /// The expiry time cannot be written in RFC 3339.
    #[error("the expiry has to be before the year 10000; leave it out for a key that does not expire")]
    ExpiryTooLate,
    /// The key would expire later than the key that creates it.
    #[error("the expiry must not be after that of the key that makes it, {}; leave it out to expire with it", .0.to_rfc3339())]
    ExpiryAfterMaker(chrono::DateTime<chrono::Utc>),
    /// The key does not exist or was revoked.
    #[error("there is no such API key")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the audit log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
