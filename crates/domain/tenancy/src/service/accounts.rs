//! Registration, log-in, refresh and log-out.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{
    Environment, PersonScope, RequestId, SessionId, Signal, SignalBus, StoreError, SystemScope, Topic, UserId,
};

use crate::error::{LoginError, RefreshError, RegisterError, SessionError};
use crate::model::{
    ACCESS_TOKEN_LIFE, AccessClaims, Client, Email, LiveSession, LoginTokens, Name, Password, Person, REFRESH_GRACE,
    RefreshToken, SendMail, Session,
};
use crate::ports::{AccountEvent, Directory, PasswordHasher, PreparedSigner, TokenSigner, TokenState, Verification};
use crate::service::now;

/// The data of a registration.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The e-mail address.
    pub email: Email,
    /// The chosen password.
    pub password: Password,
    /// The display name.
    pub name: Name,
}

/// Accounts and log-in sessions of people.
pub struct Accounts {
    directory: Arc<Directory>,
    system: SystemScope,
    hasher: Arc<dyn PasswordHasher>,
    tokens: Arc<dyn TokenSigner>,
    signals: Arc<dyn SignalBus>,
    env: Environment,
}

impl Accounts {
    /// Accounts in `directory`, which `system` opens.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        system: SystemScope,
        hasher: Arc<dyn PasswordHasher>,
        tokens: Arc<dyn TokenSigner>,
        signals: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        Self { directory, system, hasher, tokens, signals, env }
    }

    /// Creates an account.
    ///
    /// # Errors
    /// [`RegisterError`] if the password is too weak or the address is taken.
    pub async fn register(&self, new: Registration, request_id: &RequestId) -> Result<Person, RegisterError> {
        new.password.check(&new.email, &new.name).map_err(RegisterError::WeakPassword)?;
        let hash = self.hasher.hash(&new.password).await?;
        let person =
            Person { id: UserId::generate(&self.env), email: new.email, name: new.name, created_at: now(&self.env) };
        let mut tx = self.directory.begin(&self.system).await?;
        if !tx.people().insert(&person, &hash).await? {
            return Err(RegisterError::EmailTaken);
        }
        let event = AccountEvent { user: person.id, action: "account.registered", details: json!({}) };
        tx.account_log().record(event, request_id).await?;
        tx.jobs().enqueue(&SendMail::welcome(&person)?).await?;
        tx.commit().await?;
        Ok(person)
    }

    /// Logs a person in.
    ///
    /// # Errors
    /// [`LoginError::Refused`] if no account has this address and this password. Neither the answer nor its duration
    /// reveals whether the address is known.
    pub async fn login(
        &self,
        email: &Email,
        password: &Password,
        client: Client,
        request_id: &RequestId,
    ) -> Result<LoginTokens, LoginError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let found = tx.people().credentials(email).await?;
        tx.commit().await?;

        let verification = self.hasher.verify(password, found.as_ref().map(|(_, hash)| hash)).await?;
        let (Some((person, hash)), Verification::Right | Verification::Outdated) = (found, verification) else {
            return Err(LoginError::Refused);
        };
        let renewed = match verification {
            Verification::Outdated => Some(self.hasher.hash(password).await?),
            _ => None,
        };

        let at = now(&self.env);
        let session = Session {
            id: SessionId::generate(&self.env),
            user: person.id,
            created_at: at,
            refreshed_at: at,
            expires_at: Session::extended(at, at),
            revoked_at: None,
            client,
        };
        let signer = self.tokens.signer().await?;
        let tokens = tokens(signer.as_ref(), &session, RefreshToken::generate(&self.env), at)?;
        let mut tx = self.directory.begin(&self.system).await?;
        if let Some(renewed) = renewed {
            tx.people().rehash(person.id, &hash, &renewed).await?;
        }
        tx.sessions().insert(&session, &tokens.refresh.digest()).await?;
        let details = json!({ "session": session.id });
        let event = AccountEvent { user: person.id, action: "session.created", details };
        tx.account_log().record(event, request_id).await?;
        tx.commit().await?;
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
    pub async fn refresh(&self, token: &str, request_id: &RequestId) -> Result<LoginTokens, RefreshError> {
        // Before the transaction, because it may have to read the keys and transactions do not nest.
        let signer = self.tokens.signer().await?;
        let (at, presented) = (now(&self.env), RefreshToken::presented(token));
        let mut tx = self.directory.begin(&self.system).await?;
        let state = tx.sessions().use_token(&presented.digest(), at).await?.ok_or(RefreshError::Invalid)?;
        let (session, next) = match state {
            TokenState::Current(session) if session.is_live(at) => {
                let expires_at = Session::extended(session.created_at, at);
                let session = Session { expires_at, refreshed_at: at, ..session };
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
                    let event = AccountEvent { user: session.user, action: "session.reuse_detected", details };
                    tx.account_log().record(event, request_id).await?;
                }
                tx.commit().await?;
                self.signals.publish(Signal::new(Topic::SessionRevoked, &session.id));
                return Err(RefreshError::Reused);
            }
        };
        // Before the commit, because a token that is used up without an answer would be lost.
        let tokens = tokens(signer.as_ref(), &session, next, at)?;
        tx.commit().await?;
        Ok(tokens)
    }

    /// Ends the session of the request.
    ///
    /// # Errors
    /// [`SessionError::Store`] if the store failed. A session that has already ended is not an error.
    pub async fn logout(&self, live: &LiveSession, request_id: &RequestId) -> Result<(), SessionError> {
        match self.end(live.person.id, live.session.id, "session.ended", request_id).await {
            Ok(()) | Err(SessionError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The person's live sessions, newest first.
    ///
    /// # Errors
    /// [`SessionError::Store`] if the store failed.
    pub async fn sessions(&self, scope: &PersonScope) -> Result<Vec<Session>, SessionError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let sessions = tx.sessions().list_live(scope.user(), self.env.now()).await?;
        tx.commit().await?;
        Ok(sessions)
    }

    /// Revokes one of the person's sessions.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] if the person has no such live session.
    pub async fn revoke_session(&self, scope: &PersonScope, id: SessionId) -> Result<(), SessionError> {
        self.end(scope.user(), id, "session.revoked", scope.request_id()).await
    }

    async fn end(
        &self,
        user: UserId,
        id: SessionId,
        action: &'static str,
        request_id: &RequestId,
    ) -> Result<(), SessionError> {
        let mut tx = self.directory.begin(&self.system).await?;
        if !tx.sessions().revoke(user, id, now(&self.env)).await? {
            return Err(SessionError::NotFound);
        }
        let event = AccountEvent { user, action, details: json!({ "session": id }) };
        tx.account_log().record(event, request_id).await?;
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::SessionRevoked, &id));
        Ok(())
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
