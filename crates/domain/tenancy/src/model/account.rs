//! People, their passwords and their log-in sessions.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{SessionId, UserId};

use crate::model::email::Email;
use crate::model::secret::RefreshToken;
use crate::model::text::{InvalidText, Name};

/// The lifetime of an access token.
pub const ACCESS_TOKEN_LIFE: TimeDelta = TimeDelta::minutes(30);
/// The lifetime of a refresh token. Every refresh gives a new token with the full lifetime.
pub const REFRESH_TOKEN_LIFE: TimeDelta = TimeDelta::days(7);
/// The time for which a used refresh token returns the same successor again, as long as the successor is unused. It
/// lets a client retry after an answer was lost, and two browser tabs refresh at once. It is too short for a token that
/// was copied from a disk or a log.
pub const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);
/// The maximum lifetime of a family of refresh tokens, however often it is refreshed.
pub const FAMILY_LIFE: TimeDelta = TimeDelta::days(90);

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: UserId,
    /// The address for mail and for log-in.
    pub email: Email,
    /// The display name.
    pub name: Name,
    /// When they registered.
    pub created_at: DateTime<Utc>,
}

/// A plain-text password.
#[derive(Clone)]
pub struct Password(String);

/// Words in commonly guessed passwords, without the digits and signs that people add to them.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "qwerty",
    "qwertyuiop",
    "qwertz",
    "azerty",
    "letmein",
    "welcome",
    "iloveyou",
    "dragon",
    "monkey",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "trustno",
    "abcdefghij",
    "asdfghjkl",
    "administrator",
    "changeme",
    "secret",
    "tidegate",
    "correcthorsebatterystaple",
];

impl Password {
    /// The minimum number of characters of a new password.
    pub const MIN_CHARS: usize = 10;
    /// The maximum number of bytes that are hashed.
    pub const MAX_LEN: usize = 1024;

    /// A password as typed. It is not validated, because an old password has to work even if the rules have changed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. Only the hasher may use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks whether this person may set the password (NIST SP 800-63B, section 3.1.1.2: the length, commonly used
    /// passwords, and words from the person's own data; no rules about character classes).
    ///
    /// # Errors
    /// [`InvalidText`] if the password is too weak; it says why.
    pub fn check(&self, email: &Email, name: &Name) -> Result<(), InvalidText> {
        if self.0.chars().count() < Self::MIN_CHARS {
            return Err(InvalidText("must have at least 10 characters"));
        }
        if self.0.len() > Self::MAX_LEN {
            return Err(InvalidText("must have at most 1024 bytes"));
        }
        let lower = self.0.to_lowercase();
        if [email.as_str(), email.local_part(), &name.as_str().to_lowercase()].contains(&lower.trim()) {
            return Err(InvalidText("must not be your e-mail address or name"));
        }
        let mut characters: Vec<char> = lower.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let word: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
        let digits = lower.chars().all(|c| c.is_ascii_digit());
        let counted = digits && ["0123456789", "9876543210"].iter().any(|run| run.repeat(3).contains(&lower));
        let common = COMMON.contains(&word.as_str()) && (word.len() + 6 > lower.len());
        if characters.len() < 5 || counted || common {
            return Err(InvalidText("is too easy to guess; use a longer phrase of your own"));
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password's hash with its parameters and salt, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash from the hasher or the store.
    #[must_use]
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The client program of a log-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The IP address of the request.
    pub address: Option<std::net::IpAddr>,
    /// The `User-Agent`, cut to 200 characters.
    pub user_agent: Option<String>,
}

/// A log-in session: one family of refresh tokens, of which only the latest is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id, which access tokens contain.
    pub id: SessionId,
    /// The person.
    pub user: UserId,
    /// When the person logged in.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub refreshed_at: DateTime<Utc>,
    /// When it expires unless it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The client that logged in.
    pub client: Client,
}

impl Session {
    /// Whether it is neither revoked nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// The expiry time after a refresh at `now`.
    #[must_use]
    pub fn extended(created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + REFRESH_TOKEN_LIFE).min(created_at + FAMILY_LIFE)
    }
}

/// A session that was live when it was read, with its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// The person.
    pub person: Person,
}

/// The tokens from a log-in or a refresh.
#[derive(Debug)]
pub struct LoginTokens {
    /// The access token, valid for [`ACCESS_TOKEN_LIFE`].
    pub access: String,
    /// The refresh token, which can be exchanged once for the next pair.
    pub refresh: RefreshToken,
    /// The lifetime of `refresh`.
    pub refresh_expires_in: TimeDelta,
}

/// The claims of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// The person.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// A key pair that signs access tokens. The private key is derived from the server's secret and `salt`, so the content
/// of the database is not enough to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key id in the header of tokens.
    pub kid: String,
    /// The salt for the derivation of the private key.
    pub salt: [u8; 32],
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        let email = Email::new("ada.lovelace@example.org").unwrap();
        let name = Name::new("Ada Lovelace").unwrap();
        let check = |text: &str| Password::new(text.to_owned()).check(&email, &name);
        for bad in [
            "short",
            "ninechars",
            "aaaaaaaaaaaa",
            "1234567890",
            "0987654321",
            "Password123!",
            "ada lovelace",
            "Ada.Lovelace@example.org",
            "ada.lovelace",
            "qwertyuiop1",
            "abababababab",
            &"x1y2z".repeat(300),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["an umbrella in march", "tr0ub4dor&3x", "password of the third kind", "四つの季節と雨の歌と傘"]
        {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn a_family_ends_however_often_it_is_refreshed() {
        let created = DateTime::UNIX_EPOCH;
        assert_eq!(Session::extended(created, created), created + REFRESH_TOKEN_LIFE);
        let late = created + TimeDelta::days(88);
        assert_eq!(Session::extended(created, late), created + FAMILY_LIFE);
    }
}
