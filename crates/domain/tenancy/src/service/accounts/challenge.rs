//! Proofs of a second factor: at log-in, and again before what cannot be undone (step-up, RFC 9470).

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{Origin, PersonScope, StoreError, UserId};

use super::second_factor::confirmed;
use super::{Accounts, record};
use crate::error::{ChallengeError, StepUpError};
use crate::model::{
    AuthMethod, Challenge, ChallengeToken, FactorKind, LiveSession, LoginTokens, Password, Person, RecoveryCode,
    Session, one_time_code,
};
use crate::ports::{DirectoryTx, FailedLogIn};
use crate::service::now;

/// A log-in whose password was right and that waits for a second factor.
#[derive(Debug)]
pub struct PendingLogIn {
    /// The secret with which the log-in goes on, for [`Challenge::LIFE`].
    pub token: ChallengeToken,
    /// The kinds of factors that the person has.
    pub factors: Vec<FactorKind>,
}

/// The result of a log-in with the right password.
#[derive(Debug)]
pub enum LogIn {
    /// The person is logged in.
    Done(LoginTokens),
    /// A second factor is needed.
    SecondFactor(PendingLogIn),
}

/// What a person shows for a step-up.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// The password; enough only for a person without a second factor.
    Password(&'a Password),
    /// A one-time code or a recovery code.
    Code(&'a str),
}

impl Accounts {
    /// A challenge for a person who has a second factor; `None` for one who has none.
    pub(super) async fn challenge(
        &self,
        tx: &mut dyn DirectoryTx,
        person: &Person,
        remember: bool,
    ) -> Result<Option<PendingLogIn>, StoreError> {
        let mut factors: Vec<FactorKind> =
            confirmed(tx, person.id).await?.into_iter().map(|factor| factor.kind).collect();
        if factors.is_empty() {
            return Ok(None);
        }
        factors.dedup();
        let token = ChallengeToken::generate(&self.env);
        let expires_at = now(&self.env) + Challenge::LIFE;
        let challenge = Challenge { user: person.id, remember, attempts: 0, expires_at };
        tx.factors().add_challenge(&challenge, &token.digest()).await?;
        Ok(Some(PendingLogIn { token, factors }))
    }

    /// The person of an open challenge, for limits of attempts per account.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn challenged(&self, token: &str) -> Result<Option<UserId>, StoreError> {
        let mut tx = self.begin().await?;
        let user = tx.factors().challenged(&ChallengeToken::presented(token).digest()).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Finishes a log-in with a one-time code or a recovery code.
    ///
    /// # Errors
    /// [`ChallengeError::Invalid`] if the challenge is over or never was, [`ChallengeError::WrongCode`] if the code is
    /// wrong or was used before. After [`Challenge::ATTEMPTS`] the log-in has to begin again.
    pub async fn complete_challenge(
        &self,
        token: &str,
        code: &str,
        origin: &Origin,
    ) -> Result<LoginTokens, ChallengeError> {
        let signer = self.tokens.signer().await?;
        let (at, digest) = (now(&self.env), ChallengeToken::presented(token).digest());
        let mut tx = self.begin().await?;
        // The person is locked first, as by everything else that locks both.
        let user = tx.factors().challenged(&digest).await?.ok_or(ChallengeError::Invalid)?;
        let (person, _) = tx.people().lock(user).await?.ok_or(ChallengeError::Invalid)?;
        let challenge = tx.factors().lock_challenge(&digest).await?;
        let challenge = challenge.filter(|challenge| challenge.is_open(at)).ok_or(ChallengeError::Invalid)?;
        if !person.is_active() {
            return Err(ChallengeError::Invalid);
        }
        let Some(method) = self.check_code(&mut *tx, person.id, code, at).await? else {
            tx.factors().count_attempt(&digest).await?;
            tx.commit().await?;
            self.failures.note(FailedLogIn { user: person.id, at, origin: origin.clone() });
            return Err(ChallengeError::WrongCode);
        };
        tx.factors().remove_challenge(&digest).await?;
        let session = Session::begin(&self.env, person.id, at, challenge.remember, origin.client.clone());
        let session = Session { methods: vec![AuthMethod::Password, method], ..session };
        let tokens = self.begin_session(&mut *tx, signer.as_ref(), &session, origin).await?;
        tx.commit().await?;
        Ok(tokens)
    }

    /// Records that the person of a session has proven again who they are.
    ///
    /// # Errors
    /// [`StepUpError::Wrong`] if the proof is wrong, [`StepUpError::CodeNeeded`] if the person has a second factor and
    /// shows the password alone.
    pub async fn step_up(&self, scope: &PersonScope, live: &LiveSession, proof: Proof<'_>) -> Result<(), StepUpError> {
        let (at, user) = (now(&self.env), scope.user());
        // The hash takes its time, so it is made outside of the transaction.
        let proven = match proof {
            Proof::Password(_) if !self.factors(scope).await?.0.is_empty() => return Err(StepUpError::CodeNeeded),
            Proof::Password(password) => Some(self.prove(&live.person, password).await?),
            Proof::Code(_) => None,
        };
        let mut tx = self.begin().await?;
        let (_, hash) = self.still(&mut *tx, live).await?.ok_or(StepUpError::Wrong)?;
        let method = match proof {
            Proof::Password(_) => (proven == Some(hash)).then_some(AuthMethod::Password),
            Proof::Code(code) => self.check_code(&mut *tx, user, code, at).await?,
        };
        let method = method.ok_or(StepUpError::Wrong)?;
        tx.sessions().authenticated(live.session.id, method, at).await?;
        let details = json!({ "session": live.session.id, "method": method });
        record(&mut *tx, user, "session.stepped_up", details, scope.origin()).await?;
        tx.commit().await?;
        self.announce_end(live.session.id);
        Ok(())
    }

    /// Checks that the person has proven who they are within the last minutes.
    ///
    /// # Errors
    /// [`StepUpError::Required`] if they have not.
    pub async fn require_recent(&self, live: &LiveSession) -> Result<(), StepUpError> {
        if live.session.is_recent(self.env.now()) {
            return Ok(());
        }
        // The session may come from a cache that is older than a step-up.
        let mut tx = self.begin().await?;
        let fresh = tx.sessions().find_live(live.session.id, self.env.now()).await?;
        tx.commit().await?;
        match fresh.is_some_and(|fresh| fresh.session.is_recent(self.env.now())) {
            true => Ok(()),
            false => Err(StepUpError::Required),
        }
    }

    /// What a code proves; `None` if it is wrong or was used before. A right code is used up.
    async fn check_code(
        &self,
        tx: &mut dyn DirectoryTx,
        user: UserId,
        code: &str,
        at: DateTime<Utc>,
    ) -> Result<Option<AuthMethod>, StoreError> {
        if let Some(code) = one_time_code(code) {
            let mut unreadable = None;
            for factor in confirmed(tx, user).await? {
                // One that was sealed with a forgotten secret does not stop the others.
                let step = match self.totp_secret(&factor) {
                    Ok(secret) => secret.step_of(&code, at)?,
                    Err(error) => {
                        unreadable = Some(error);
                        continue;
                    }
                };
                if let Some(step) = step
                    && tx.factors().use_step(factor.id, step, at).await?
                {
                    return Ok(Some(AuthMethod::Totp));
                }
            }
            return unreadable.map_or(Ok(None), Err);
        }
        for digest in self.vault.digests(RecoveryCode::typed(code).expose(), user.as_uuid().as_bytes()) {
            if tx.factors().use_recovery_code(user, &digest).await? {
                return Ok(Some(AuthMethod::RecoveryCode));
            }
        }
        Ok(None)
    }
}
