//! People, their passwords, and the log-ins that they hold.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{SessionId, UserId};

use crate::model::email::Email;
use crate::model::secret::RefreshToken;
use crate::model::text::{InvalidText, Name};

/// How long an access token is good for.
pub const ACCESS_TOKEN_LIFE: TimeDelta = TimeDelta::minutes(30);
/// How long a refresh token is good for; each refresh starts it anew.
pub const REFRESH_TOKEN_LIFE: TimeDelta = TimeDelta::days(7);
/// How long a used refresh token gets its successor once more, while nobody has used that: time for a client to send again
/// after an answer was lost, and for two tabs of a browser to refresh at once, but too short for a token that was copied
/// from a disk or a log.
pub const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);
/// How long a family of refresh tokens lives however often it is refreshed.
pub const FAMILY_LIFE: TimeDelta = TimeDelta::days(90);

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: UserId,
    /// Where mail reaches them, and what they log in with.
    pub email: Email,
    /// How they want to be called.
    pub name: Name,
    /// When they registered.
    pub created_at: DateTime<Utc>,
}

/// A password as it was typed.
#[derive(Clone)]
pub struct Password(String);

/// The words that most guessed passwords are made of, without the digits and signs that people add to them.
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
    /// The fewest characters of a new password.
    pub const MIN_CHARS: usize = 10;
    /// The most bytes that are ever hashed.
    pub const MAX_LEN: usize = 1024;

    /// A password as typed; any text, since an old one must stay usable whatever the rules are now.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the hasher alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is good enough to be set by this person (NIST SP 800-63B, section 3.1.1.2: length, what is commonly
    /// used, and what is known of the person; no rules about classes of characters).
    ///
    /// # Errors
    /// [`InvalidText`] that says what is wrong with it.
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
    /// A hash as it was made or read.
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

/// What is known of the program that logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The address that the request came from.
    pub address: Option<std::net::IpAddr>,
    /// What the program calls itself, cut to 200 characters.
    pub user_agent: Option<String>,
}

/// A log-in: one family of refresh tokens, of which only the last is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id; access tokens carry it.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When the person logged in.
    pub created_at: DateTime<Utc>,
    /// When it was refreshed last.
    pub refreshed_at: DateTime<Utc>,
    /// Until when it can be refreshed.
    pub expires_at: DateTime<Utc>,
    /// When it was ended before its time.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Where it was made.
    pub client: Client,
}

impl Session {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Until when it can be refreshed after a refresh at `now`.
    #[must_use]
    pub fn extended(created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + REFRESH_TOKEN_LIFE).min(created_at + FAMILY_LIFE)
    }
}

/// A session that was good when it was read, with its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub person: Person,
}

/// What a log-in or a refresh hands out.
#[derive(Debug)]
pub struct LoginTokens {
    /// Proves the person for [`ACCESS_TOKEN_LIFE`].
    pub access: String,
    /// Gets the next pair, once.
    pub refresh: RefreshToken,
    /// How long `refresh` is good for.
    pub refresh_expires_in: TimeDelta,
}

/// What an access token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// The person.
    pub user: UserId,
    /// The log-in that it came from.
    pub session: SessionId,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// A key that signs access tokens. The private half is derived from the server's secret and `salt`, so that the
/// database alone cannot sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The name that tokens carry.
    pub kid: String,
    /// What the private key is derived with.
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
