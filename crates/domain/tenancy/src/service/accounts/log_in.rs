//! Log-in, and the exchange of refresh tokens.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{Origin, StoreError};

use super::{Accounts, LogIn, record};
use crate::error::{LoginError, RefreshError};
use crate::model::{
    ACCESS_TOKEN_LIFE, AccessClaims, Email, LoginTokens, Password, REFRESH_GRACE, RefreshToken, Session,
};
use crate::ports::{DirectoryTx, FailedLogIn, PreparedSigner, TokenState, Verification};
use crate::service::now;

impl Accounts {
    /// Logs a person in. A person with a second factor gets a challenge, which [`Accounts::complete_challenge`] finishes.
    ///
    /// # Errors
    /// [`LoginError::Refused`] if no account has this address and this password. Neither the answer nor its duration
    /// reveals whether the address is known.
    pub async fn login(
        &self,
        email: &Email,
        password: &Password,
        remember: bool,
        origin: &Origin,
    ) -> Result<LogIn, LoginError> {
        let mut tx = self.begin().await?;
        let found = tx.people().credentials(email).await?;
        tx.commit().await?;

        let verification = self.hasher.verify(password, found.as_ref().map(|(_, hash)| hash)).await?;
        let (person, hash) = match (found, verification) {
            (Some(found), Verification::Right | Verification::Outdated) if found.0.is_active() => found,
            (Some((person, _)), _) => {
                // Without a query, so that it takes as long as for an unknown address.
                self.failures.note(FailedLogIn { user: person.id, at: now(&self.env), origin: origin.clone() });
                return Err(LoginError::Refused);
            }
            (None, _) => return Err(LoginError::Refused),
        };
        let renewed = match verification {
            Verification::Outdated => Some(self.hasher.hash(password).await?),
            _ => None,
        };

        let at = now(&self.env);
        let signer = self.tokens.signer().await?;
        let mut tx = self.begin().await?;
        // The password may have been changed, or the account deactivated, while the password was checked.
        let locked = tx.people().lock(person.id).await?;
        let (person, _) = locked.filter(|(_, current)| *current == hash).ok_or(LoginError::Refused)?;
        if !person.is_active() {
            return Err(LoginError::Refused);
        }
        if let Some(renewed) = renewed {
            tx.people().rehash(person.id, &hash, &renewed).await?;
        }
        if let Some(pending) = self.challenge(&mut *tx, &person, remember).await? {
            tx.commit().await?;
            return Ok(LogIn::SecondFactor(pending));
        }
        let session = Session::begin(&self.env, person.id, at, remember, origin.client.clone());
        let tokens = self.begin_session(&mut *tx, signer.as_ref(), &session, origin).await?;
        tx.commit().await?;
        Ok(LogIn::Done(tokens))
    }

    /// Adds a session that begins now, and makes its first tokens.
    pub(super) async fn begin_session(
        &self,
        tx: &mut dyn DirectoryTx,
        signer: &dyn PreparedSigner,
        session: &Session,
        origin: &Origin,
    ) -> Result<LoginTokens, StoreError> {
        let tokens = tokens(signer, session, RefreshToken::generate(&self.env), session.created_at)?;
        tx.sessions().insert(session, &tokens.refresh.digest()).await?;
        let details = json!({ "session": session.id, "methods": session.methods });
        record(tx, session.user, "session.created", details, origin).await?;
        Ok(tokens)
    }

    /// Exchanges a refresh token for the next pair of tokens.
    ///
    /// A token can be used once. If it is presented again within [`REFRESH_GRACE`] while its successor is unused, it
    /// returns the same successor, because an answer was lost or two tabs refreshed at once. If it is presented again
    /// in any other case, one of two holders has a copy, and it is unknown which. The session then ends for both.
    ///
    /// # Errors
    /// [`RefreshError`] if the token is unknown, its session has ended, or it was used before. After an error other
    /// than [`RefreshError::Reused`] the token is still as valid as before.
    pub async fn refresh(&self, token: &str, origin: &Origin) -> Result<LoginTokens, RefreshError> {
        // Before the transaction, because it may have to read the keys and transactions do not nest.
        let signer = self.tokens.signer().await?;
        let (at, presented) = (now(&self.env), RefreshToken::presented(token));
        let mut tx = self.begin().await?;
        let state = tx.sessions().use_token(&presented.digest(), at).await?.ok_or(RefreshError::Invalid)?;
        let (session, next) = match state {
            TokenState::Current(session) if session.is_live(at) => {
                let session = session.refreshed(at, origin.client.address);
                let salt = self.env.random();
                let next = presented.successor(&salt);
                tx.sessions().rotate(&session, &presented.digest(), &salt, &next.digest()).await?;
                (session, next)
            }
            TokenState::Current(_) => return Err(RefreshError::Invalid),
            TokenState::Used { session, succession: Some(succession) }
                if session.is_live(at) && at < succession.at + REFRESH_GRACE =>
            {
                (session, presented.successor(&succession.salt))
            }
            TokenState::Used { session, .. } => {
                if tx.sessions().revoke(session.user, session.id, at).await? {
                    let details = json!({ "session": session.id });
                    record(&mut *tx, session.user, "session.reuse_detected", details, origin).await?;
                }
                tx.commit().await?;
                self.announce_end(session.id);
                return Err(RefreshError::Reused);
            }
        };
        // Before the commit, because a token that is used up without an answer would be lost.
        let tokens = tokens(signer.as_ref(), &session, next, at)?;
        tx.commit().await?;
        Ok(tokens)
    }
}

/// The tokens of `session` from the time `at` on.
fn tokens(
    signer: &dyn PreparedSigner,
    session: &Session,
    refresh: RefreshToken,
    at: DateTime<Utc>,
) -> Result<LoginTokens, StoreError> {
    let claims =
        AccessClaims { user: session.user, session: session.id, issued_at: at, expires_at: at + ACCESS_TOKEN_LIFE };
    let access = signer.sign(&claims)?;
    Ok(LoginTokens { access, refresh, refresh_expires_in: session.expires_at - at })
}
