//! Forgotten and changed passwords.

use serde_json::json;
use tidegate_kernel::{Origin, StoreError};

use super::{Accounts, record, send_mail};
use crate::error::{LinkError, PasswordError};
use crate::model::{
    Email, LinkPurpose, LinkRequest, LinkToken, LiveSession, MailMessage, Password, PasswordHash, Person,
};
use crate::ports::{DirectoryTx, Verification};
use crate::service::now;

/// The links that a new password voids: whoever had the old one may have asked for them.
const VOIDED: [LinkPurpose; 2] = [LinkPurpose::ResetPassword, LinkPurpose::ChangeEmail];

impl Accounts {
    /// Asks for a mail with a link that sets a new password. Whether there is such an account shows nowhere.
    ///
    /// # Errors
    /// [`StoreError`] if the request could not be stored.
    pub async fn forgot_password(&self, email: &Email) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        self.send_link(&mut *tx, LinkRequest::ForgottenPassword { address: email.to_string() }).await?;
        tx.commit().await
    }

    /// Sets a new password by the token of a link. All sessions end. Who used the link receives mail at the address, so
    /// the address is verified, too.
    ///
    /// # Errors
    /// [`LinkError::Invalid`] if the link has expired, was used, or was sent to another address than that of the account.
    /// After [`LinkError::WeakPassword`] the link can still be used.
    pub async fn reset_password(&self, token: &str, new: &Password, origin: &Origin) -> Result<(), LinkError> {
        let digest = LinkToken::presented(token).digest();
        let mut tx = self.begin().await?;
        let link = tx.links().find(&digest, LinkPurpose::ResetPassword).await?;
        let link = link.filter(|link| now(&self.env) < link.expires_at).ok_or(LinkError::Invalid)?;
        let person = tx.people().find(&[link.user]).await?.pop();
        tx.commit().await?;
        let person = person.filter(|person| person.email == link.address && person.is_active());
        let person = person.ok_or(LinkError::Invalid)?;
        new.check(&person.email, &person.name).map_err(LinkError::WeakPassword)?;
        let hash = self.hasher.hash(new).await?;

        let at = now(&self.env);
        let mut tx = self.begin().await?;
        let taken = tx.links().take(&digest, LinkPurpose::ResetPassword).await?;
        taken.filter(|link| at < link.expires_at).ok_or(LinkError::Invalid)?;
        let (person, _) = tx.people().lock(link.user).await?.ok_or(LinkError::Invalid)?;
        if person.email != link.address || !person.is_active() {
            return Err(LinkError::Invalid);
        }
        let person = Person { email_verified_at: person.email_verified_at.or(Some(at)), ..person };
        tx.people().update(&person).await?;
        tx.people().set_password(person.id, &hash).await?;
        tx.sessions().revoke_all(person.id, None, at).await?;
        self.password_changed(&mut *tx, &person, "password.reset", origin).await?;
        tx.commit().await?;
        self.announce(person.id);
        Ok(())
    }

    /// Replaces the password of a logged-in person. All other sessions end.
    ///
    /// # Errors
    /// [`PasswordError`] if `current` is wrong or `new` is too weak.
    pub async fn change_password(
        &self,
        live: &LiveSession,
        current: &Password,
        new: &Password,
        origin: &Origin,
    ) -> Result<(), PasswordError> {
        let proven = self.prove(&live.person, current).await?;
        new.check(&live.person.email, &live.person.name).map_err(PasswordError::Weak)?;
        let hash = self.hasher.hash(new).await?;
        let mut tx = self.begin().await?;
        let person = self.still_proven(&mut *tx, live, &proven).await?;
        tx.people().set_password(person.id, &hash).await?;
        tx.sessions().revoke_all(person.id, Some(live.session.id), now(&self.env)).await?;
        self.password_changed(&mut *tx, &person, "password.changed", origin).await?;
        tx.commit().await?;
        self.announce(person.id);
        Ok(())
    }

    /// Checks the password of a logged-in person, and returns its hash for [`Accounts::still_proven`].
    pub(super) async fn prove(&self, person: &Person, password: &Password) -> Result<PasswordHash, PasswordError> {
        let mut tx = self.begin().await?;
        let found = tx.people().credentials(&person.email).await?;
        tx.commit().await?;
        let hash = found.filter(|(found, _)| found.id == person.id).map(|(_, hash)| hash);
        match (self.hasher.verify(password, hash.as_ref()).await?, hash) {
            (Verification::Right | Verification::Outdated, Some(hash)) => Ok(hash),
            _ => Err(PasswordError::Wrong),
        }
    }

    /// Locks the person of a session if the session is live and the password is still the proven one.
    pub(super) async fn still_proven(
        &self,
        tx: &mut dyn DirectoryTx,
        live: &LiveSession,
        proven: &PasswordHash,
    ) -> Result<Person, PasswordError> {
        let still = self.still(tx, live).await?.filter(|(_, hash)| hash == proven);
        still.map(|(person, _)| person).ok_or(PasswordError::Wrong)
    }

    async fn password_changed(
        &self,
        tx: &mut dyn DirectoryTx,
        person: &Person,
        action: &'static str,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        tx.links().void(person.id, &VOIDED, now(&self.env)).await?;
        tx.factors().remove_challenges(person.id).await?;
        record(tx, person.id, action, json!({}), origin).await?;
        send_mail(tx, person, MailMessage::PasswordChanged).await
    }
}
