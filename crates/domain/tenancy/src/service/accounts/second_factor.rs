//! Second factors of a person, and the recovery codes beside them.

use serde_json::json;
use tidegate_kernel::{FactorId, PersonScope, SessionId, StoreError, UserId};

use super::{Accounts, record, send_mail};
use crate::error::FactorError;
use crate::model::{
    AuthMethod, Factor, FactorKind, LiveSession, MailMessage, Name, RecoveryCode, TotpSecret, one_time_code,
};
use crate::ports::DirectoryTx;
use crate::service::now;

/// A new app for one-time codes. It counts when the person has shown a code of it.
#[derive(Debug)]
pub struct NewTotp {
    /// The factor.
    pub factor: Factor,
    /// The secret, to type into an app.
    pub secret: String,
    /// The same as an address, for a QR code.
    pub uri: String,
}

impl Accounts {
    /// The person's second factors that are confirmed, oldest first, and the number of recovery codes that are left.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn factors(&self, scope: &PersonScope) -> Result<(Vec<Factor>, i64), StoreError> {
        let mut tx = self.begin().await?;
        let factors = confirmed(&mut *tx, scope.user()).await?;
        let codes = tx.factors().recovery_codes(scope.user()).await?;
        tx.commit().await?;
        Ok((factors, codes))
    }

    /// Adds an app for one-time codes, which [`Accounts::confirm_totp`] confirms.
    ///
    /// # Errors
    /// [`FactorError::Unverified`] if the address is not verified, [`FactorError::TooMany`] if the person has [`Factor::MOST`].
    pub async fn add_totp(&self, scope: &PersonScope, live: &LiveSession, name: Name) -> Result<NewTotp, FactorError> {
        if !live.person.is_verified() {
            // Else somebody could shut the owner of an address out, whom they have registered.
            return Err(FactorError::Unverified);
        }
        let secret = TotpSecret::generate(&self.env);
        let id = FactorId::generate(&self.env);
        let factor = Factor {
            id,
            user: scope.user(),
            kind: FactorKind::Totp,
            name,
            secret: self.vault.seal(secret.as_bytes(), id.as_uuid().as_bytes())?,
            created_at: now(&self.env),
            confirmed_at: None,
            last_used_at: None,
        };
        let mut tx = self.begin().await?;
        if confirmed(&mut *tx, scope.user()).await?.len() >= Factor::MOST {
            return Err(FactorError::TooMany);
        }
        tx.factors().insert(&factor).await?;
        record(&mut *tx, scope.user(), "factor.created", json!({ "factor": id }), scope.origin()).await?;
        tx.commit().await?;
        Ok(NewTotp { factor, secret: secret.base32()?, uri: secret.uri(&live.person.email)? })
    }

    /// Confirms an app by one of its codes. From then on a log-in needs a second factor; all other sessions end. With the
    /// first factor the person gets recovery codes, which are shown this once.
    ///
    /// # Errors
    /// [`FactorError::NotFound`] if there is no such factor to confirm, [`FactorError::WrongCode`] if the code is wrong.
    pub async fn confirm_totp(
        &self,
        scope: &PersonScope,
        live: &LiveSession,
        id: FactorId,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, FactorError> {
        let (at, user) = (now(&self.env), scope.user());
        let code = one_time_code(code).ok_or(FactorError::WrongCode)?;
        let mut tx = self.begin().await?;
        let (person, _) = self.still(&mut *tx, live).await?.ok_or(FactorError::SessionEnded)?;
        let factors = tx.factors().list(user).await?;
        let factor = factors.iter().find(|factor| factor.id == id && factor.confirmed_at.is_none());
        let factor = factor.ok_or(FactorError::NotFound)?;
        let step = self.totp_secret(factor)?.step_of(&code, at)?.ok_or(FactorError::WrongCode)?;
        if !tx.factors().use_step(id, step, at).await? || !tx.factors().confirm(user, id, at).await? {
            return Err(FactorError::WrongCode);
        }
        let codes = match factors.iter().any(|factor| factor.confirmed_at.is_some()) {
            true => Vec::new(),
            false => self.new_recovery_codes(&mut *tx, user).await?,
        };
        tx.sessions().authenticated(live.session.id, AuthMethod::Totp, at).await?;
        self.factors_changed(&mut *tx, user, live.session.id).await?;
        record(&mut *tx, user, "factor.confirmed", json!({ "factor": id }), scope.origin()).await?;
        let message = MailMessage::SecondFactorAdded { factor: factor.name.to_string() };
        send_mail(&mut *tx, &person, message).await?;
        tx.commit().await?;
        self.announce(user);
        Ok(codes)
    }

    /// Removes a second factor; all other sessions end. With the last one its recovery codes go.
    ///
    /// # Errors
    /// [`FactorError::NotFound`] if the person has no such factor.
    pub async fn remove_factor(
        &self,
        scope: &PersonScope,
        live: &LiveSession,
        id: FactorId,
    ) -> Result<(), FactorError> {
        let user = scope.user();
        let mut tx = self.begin().await?;
        let (person, _) = self.still(&mut *tx, live).await?.ok_or(FactorError::SessionEnded)?;
        let factors = tx.factors().list(user).await?;
        let factor = factors.iter().find(|factor| factor.id == id).ok_or(FactorError::NotFound)?;
        tx.factors().remove(user, id).await?;
        if confirmed(&mut *tx, user).await?.is_empty() {
            tx.factors().set_recovery_codes(user, &[]).await?;
        }
        self.factors_changed(&mut *tx, user, live.session.id).await?;
        record(&mut *tx, user, "factor.removed", json!({ "factor": id }), scope.origin()).await?;
        let message = MailMessage::SecondFactorRemoved { factor: factor.name.to_string() };
        send_mail(&mut *tx, &person, message).await?;
        tx.commit().await?;
        self.announce(user);
        Ok(())
    }

    /// Replaces the person's recovery codes; the old ones can no longer be used.
    ///
    /// # Errors
    /// [`FactorError::NoFactors`] if the person has no second factor.
    pub async fn renew_recovery_codes(
        &self,
        scope: &PersonScope,
        live: &LiveSession,
    ) -> Result<Vec<RecoveryCode>, FactorError> {
        let user = scope.user();
        let mut tx = self.begin().await?;
        self.still(&mut *tx, live).await?.ok_or(FactorError::SessionEnded)?;
        if confirmed(&mut *tx, user).await?.is_empty() {
            return Err(FactorError::NoFactors);
        }
        let codes = self.new_recovery_codes(&mut *tx, user).await?;
        record(&mut *tx, user, "recovery_codes.renewed", json!({}), scope.origin()).await?;
        tx.commit().await?;
        Ok(codes)
    }

    async fn new_recovery_codes(
        &self,
        tx: &mut dyn DirectoryTx,
        user: UserId,
    ) -> Result<Vec<RecoveryCode>, StoreError> {
        let codes: Vec<_> = (0..RecoveryCode::COUNT).map(|_| RecoveryCode::generate(&self.env)).collect();
        let first =
            |code: &RecoveryCode| self.vault.digests(code.expose(), user.as_uuid().as_bytes()).into_iter().next();
        let digests: Vec<_> = codes.iter().filter_map(first).collect();
        tx.factors().set_recovery_codes(user, &digests).await?;
        Ok(codes)
    }

    /// Ends the other sessions, and log-ins that wait for a second factor.
    async fn factors_changed(
        &self,
        tx: &mut dyn DirectoryTx,
        user: UserId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        tx.factors().remove_challenges(user).await?;
        tx.sessions().revoke_all(user, Some(session), now(&self.env)).await.map(drop)
    }

    pub(super) fn totp_secret(&self, factor: &Factor) -> Result<TotpSecret, StoreError> {
        TotpSecret::stored(&self.vault.open(&factor.secret, factor.id.as_uuid().as_bytes())?)
    }
}

/// The person's factors that count.
pub(super) async fn confirmed(tx: &mut dyn DirectoryTx, user: UserId) -> Result<Vec<Factor>, StoreError> {
    let mut factors = tx.factors().list(user).await?;
    factors.retain(|factor| factor.confirmed_at.is_some());
    Ok(factors)
}
