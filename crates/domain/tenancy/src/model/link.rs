//! Links in mails to people, which prove that the person receives mail at an address.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::UserId;

use crate::model::email::Email;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkPurpose {
    /// Verifies the address of an account.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Replaces the address of an account by the one that the link was sent to.
    ChangeEmail,
}

impl LinkPurpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::VerifyEmail, Self::ResetPassword, Self::ChangeEmail];

    /// The name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ChangeEmail => "change_email",
        }
    }

    /// How long a link can be used. One that sets a password lives as short as OWASP advises (Forgot Password Cheat
    /// Sheet).
    #[must_use]
    pub const fn life(self) -> TimeDelta {
        match self {
            Self::VerifyEmail => TimeDelta::days(3),
            Self::ResetPassword => TimeDelta::hours(1),
            Self::ChangeEmail => TimeDelta::days(1),
        }
    }
}

/// A text that is not a purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the purpose of a link")]
pub struct UnknownPurpose(String);

impl FromStr for LinkPurpose {
    type Err = UnknownPurpose;
    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or_else(|| UnknownPurpose(text.to_owned()))
    }
}

/// A link without its token, which only the recipient of the mail knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The person.
    pub user: UserId,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// The address that it was sent to.
    pub address: Email,
    /// When it can no longer be used.
    pub expires_at: DateTime<Utc>,
}
