//! Log-in sessions and their tokens.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Client, Environment, SessionId, UserId};

use crate::model::factor::AuthMethod;
use crate::model::person::Person;
use crate::model::secret::RefreshToken;

/// The lifetime of an access token.
pub const ACCESS_TOKEN_LIFE: TimeDelta = TimeDelta::minutes(30);
/// How far the clocks of two servers may differ when the times of an access token are checked.
pub const CLOCK_LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// How long after a log-in, or a step-up, a person may do what cannot be undone.
pub const STEP_UP_LIFE: TimeDelta = TimeDelta::minutes(5);
/// The lifetime of a refresh token. Every refresh gives a new token with the full lifetime.
pub const REFRESH_TOKEN_LIFE: TimeDelta = TimeDelta::days(7);
/// The same for a person who asked to stay logged in.
pub const REMEMBERED_TOKEN_LIFE: TimeDelta = TimeDelta::days(30);
/// The time for which a used refresh token returns the same successor again, as long as the successor is unused. It
/// lets a client retry after an answer was lost, and two browser tabs refresh at once. It is too short for a token that
/// was copied from a disk or a log.
pub const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);
/// The maximum lifetime of a family of refresh tokens, however often it is refreshed.
pub const FAMILY_LIFE: TimeDelta = TimeDelta::days(90);
/// The same for a person who asked to stay logged in.
pub const REMEMBERED_FAMILY_LIFE: TimeDelta = TimeDelta::days(365);

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
    /// How the person has proven who they are.
    pub methods: Vec<AuthMethod>,
    /// When the person last proved it in full, at the log-in or since.
    pub authenticated_at: DateTime<Utc>,
    /// Whether the person asked to stay logged in for longer.
    pub remember: bool,
    /// The client that logged in.
    pub client: Client,
    /// The IP address of the last log-in or refresh.
    pub last_address: Option<IpAddr>,
}

impl Session {
    /// A session of a person who logs in at `at`, with a new id.
    #[must_use]
    pub fn begin(env: &Environment, user: UserId, at: DateTime<Utc>, remember: bool, client: Client) -> Self {
        let address = client.address;
        let session = Self {
            id: SessionId::generate(env),
            user,
            created_at: at,
            refreshed_at: at,
            expires_at: at,
            revoked_at: None,
            methods: vec![AuthMethod::Password],
            authenticated_at: at,
            remember,
            client,
            last_address: None,
        };
        session.refreshed(at, address)
    }

    /// Whether the person has proven who they are within the last minutes, as operations need that cannot be undone.
    #[must_use]
    pub fn is_recent(&self, now: DateTime<Utc>) -> bool {
        now < self.authenticated_at + STEP_UP_LIFE
    }

    /// Whether the person has shown a second factor.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.methods.iter().any(|method| method.is_second_factor())
    }

    /// Whether it is neither revoked nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// The session after a log-in or refresh at `now` from `address`: with its next expiry time.
    #[must_use]
    pub fn refreshed(self, now: DateTime<Utc>, address: Option<IpAddr>) -> Self {
        let (token, family) = match self.remember {
            true => (REMEMBERED_TOKEN_LIFE, REMEMBERED_FAMILY_LIFE),
            false => (REFRESH_TOKEN_LIFE, FAMILY_LIFE),
        };
        let expires_at = (now + token).min(self.created_at + family);
        Self { refreshed_at: now, expires_at, last_address: address, ..self }
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
    fn a_family_ends_however_often_it_is_refreshed() {
        let env = crate::model::testing::environment();
        let created = DateTime::UNIX_EPOCH;
        let user = UserId::generate(&env);
        let session = |remember| Session::begin(&env, user, created, remember, Client::default());
        for (remember, token, family) in [(false, 7, 90), (true, 30, 365)] {
            let after = |days| session(remember).refreshed(created + TimeDelta::days(days), None).expires_at;
            assert_eq!(after(0), created + TimeDelta::days(token));
            assert_eq!(after(family - 1), created + TimeDelta::days(family));
        }
    }
}
