//! Second factors: one-time codes by time (TOTP), recovery codes, and the log-ins that wait for one of them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, FactorId, StoreError, UserId};
use totp_rs::{Builder, Totp};

use crate::model::email::Email;
use crate::model::secret::base32;
use crate::model::text::Name;

/// How a person has proven who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// The password.
    Password,
    /// A one-time code of an app.
    Totp,
    /// A recovery code.
    RecoveryCode,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Password, Self::Totp, Self::RecoveryCode];

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
        }
    }

    /// Whether it proves more than knowledge of the password.
    #[must_use]
    pub const fn is_second_factor(self) -> bool {
        !matches!(self, Self::Password)
    }
}

/// A text that is not a method of authentication.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a method of authentication")]
pub struct UnknownMethod(String);

impl FromStr for AuthMethod {
    type Err = UnknownMethod;
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| UnknownMethod(text.to_owned()))
    }
}

/// The kinds of second factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorKind {
    /// An app that shows one-time codes (RFC 6238).
    Totp,
}

impl FactorKind {
    /// Every kind.
    pub const ALL: [Self; 1] = [Self::Totp];

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
        }
    }
}

impl FromStr for FactorKind {
    type Err = UnknownMethod;
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownMethod(text.to_owned()))
    }
}

/// A second factor of a person, with its sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The id.
    pub id: FactorId,
    /// The person.
    pub user: UserId,
    /// The kind.
    pub kind: FactorKind,
    /// The name that the person gave it.
    pub name: Name,
    /// The secret, sealed by the vault.
    pub secret: Vec<u8>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When the person has proven that they have it; it counts from then on.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Factor {
    /// The most factors of a person.
    pub const MOST: usize = 10;
}

/// The secret of an app that shows one-time codes: 160 bits (RFC 4226, section 4). Codes have six digits, are of SHA-1
/// and change every 30 seconds, which is what all apps support.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; 20]);

impl TotpSecret {
    /// A new secret.
    #[must_use]
    pub fn generate(env: &Environment) -> Self {
        Self(env.random())
    }

    /// A secret that was sealed.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if it does not have 20 bytes.
    pub fn stored(bytes: &[u8]) -> Result<Self, StoreError> {
        let bytes = bytes.try_into();
        bytes.map(Self).map_err(|_| StoreError::Internal("the secret of a factor does not have 20 bytes".into()))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The text to type into an app.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the library refuses it, which is a defect of the program.
    pub fn base32(&self) -> Result<String, StoreError> {
        Ok(totp_rs::Secret::from(self.0.to_vec()).to_base32())
    }

    /// The address for apps that read it from a QR code.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the library refuses it, which is a defect of the program.
    pub fn uri(&self, email: &Email) -> Result<String, StoreError> {
        // A colon separates the issuer from the account; addresses between quotation marks may have one.
        self.totp(&email.as_str().replace(':', "_"))?.to_url().map_err(|error| defect(&error))
    }

    /// The time step of `code`, if it is the code of the step at `now`, the one before or the one after: clocks differ, and
    /// people take their time (RFC 6238, section 5.2).
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the library refuses the secret, which is a defect of the program.
    pub fn step_of(&self, code: &str, now: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Ok(self.totp("")?.check(code, seconds).and_then(|step| i64::try_from(step).ok()))
    }

    fn totp(&self, account: &str) -> Result<Totp, StoreError> {
        let builder = Builder::new().with_secret(self.0.to_vec()).with_issuer(Some("Tidegate"));
        builder.with_account_name(account).build().map_err(|error| defect(&error))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

fn defect(error: &totp_rs::TotpError) -> StoreError {
    StoreError::Internal(error.to_string().into())
}

/// A code of six digits, as apps show it; `None` for any other text. Spaces do not count.
#[must_use]
pub fn one_time_code(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// A code for a person who has lost the other factors: 50 random bits as ten characters. It can be used once.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// How many codes a person gets.
    pub const COUNT: usize = 10;

    /// A new code.
    #[must_use]
    pub fn generate(env: &Environment) -> Self {
        let mut text = base32(&env.random::<7>());
        text.truncate(10);
        Self(text)
    }

    /// A code as somebody typed it. Case, spaces and hyphens do not count.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let kept = text.chars().filter(|c| !matches!(c, ' ' | '-'));
        Self(kept.map(|c| c.to_ascii_lowercase()).take(64).collect())
    }

    /// The code as it is shown: `xxxxx-xxxxx`.
    #[must_use]
    pub fn shown(&self) -> String {
        let (first, second) = self.0.split_at_checked(5).unwrap_or((&self.0, ""));
        format!("{first}-{second}")
    }

    /// The characters, for the digest.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// A log-in that waits for its second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The person, who has proven the password.
    pub user: UserId,
    /// Whether the person asked to stay logged in for longer.
    pub remember: bool,
    /// How often a second factor was tried.
    pub attempts: i32,
    /// When the log-in has to begin again.
    pub expires_at: DateTime<Utc>,
}

impl Challenge {
    /// How long the person has for the second factor.
    pub const LIFE: TimeDelta = TimeDelta::minutes(5);
    /// How often the person may try.
    pub const ATTEMPTS: i32 = 5;

    /// Whether the second factor can still be tried at `now`.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.attempts < Self::ATTEMPTS && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::environment;

    /// The secret and the codes of RFC 6238, appendix B, of SHA-1, as the last six of eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = TotpSecret(*b"12345678901234567890");
        for (seconds, code) in [(1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let step = seconds / 30;
            assert_eq!(secret.step_of(code, at(seconds)).unwrap(), Some(step));
            assert_eq!(secret.step_of(code, at(seconds + 30)).unwrap(), Some(step), "a step later");
            assert_eq!(secret.step_of(code, at(seconds - 30)).unwrap(), Some(step), "a step sooner");
            assert_eq!(secret.step_of(code, at(seconds + 90)).unwrap(), None, "too late");
            assert_eq!(secret.step_of(code, at(seconds - 90)).unwrap(), None, "too soon");
        }
        for bad in ["", "28708", "2870822", "28708a", "-87082", "２８７０８２"] {
            assert_eq!(secret.step_of(bad, DateTime::from_timestamp(59, 0).unwrap()).unwrap(), None, "{bad:?}");
        }
        assert_eq!(secret.base32().unwrap(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = secret.uri(&Email::new("ada@example.org").unwrap()).unwrap();
        assert!(uri.starts_with("otpauth://totp/Tidegate:ada%40example.org?"), "{uri}");
        assert!(secret.uri(&Email::new("\"a:b\"@example.org").unwrap()).is_ok());
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(one_time_code("287 082").as_deref(), Some("287082"));
        for other in ["28708", "287-082", "abcde-fghjk", ""] {
            assert_eq!(one_time_code(other), None, "{other:?}");
        }
        let code = RecoveryCode::generate(&environment());
        let shown = code.shown();
        assert_eq!((shown.len(), shown.find('-')), (11, Some(5)));
        for typed in [shown.clone(), shown.to_uppercase(), shown.replace('-', " "), shown.replace('-', "")] {
            assert_eq!(RecoveryCode::typed(&typed), code);
        }
        assert_eq!(one_time_code(&shown), None, "the two kinds of codes are told apart");
        assert!(RecoveryCode::typed(&"x".repeat(1000)).expose().len() <= 64);
    }

    #[test]
    fn a_challenge_ends() {
        let user = UserId::generate(&environment());
        let at = DateTime::UNIX_EPOCH;
        let challenge = |attempts| Challenge { user, remember: false, attempts, expires_at: at + Challenge::LIFE };
        assert!(challenge(4).is_open(at) && !challenge(5).is_open(at));
        assert!(!challenge(0).is_open(at + Challenge::LIFE));
    }
}
