//! What people change about themselves, and the log of their account.

use serde_json::json;
use tidegate_kernel::{Origin, PersonScope, StoreError};
use uuid::Uuid;

use super::{Accounts, record, send_mail};
use crate::error::{LinkError, PasswordError};
use crate::model::{
    AccountRecord, Email, LinkPurpose, LinkRequest, LinkToken, LiveSession, MailMessage, Password, Person,
    ProfileChange,
};
use crate::service::now;

impl Accounts {
    /// Changes what a person has set for themselves.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn update_profile(&self, scope: &PersonScope, change: ProfileChange) -> Result<Person, StoreError> {
        let fields = change.fields();
        let mut tx = self.begin().await?;
        let (person, _) = tx.people().lock(scope.user()).await?.ok_or_else(gone)?;
        if fields.is_empty() {
            return Ok(person);
        }
        let person = change.apply(person);
        tx.people().update(&person).await?;
        record(&mut *tx, person.id, "account.updated", json!({ "fields": fields }), scope.origin()).await?;
        tx.commit().await?;
        self.announce(person.id);
        Ok(person)
    }

    /// Asks for a mail to a new address of the person, with a link that makes it the address of the account. Whether
    /// another account has the address shows nowhere.
    ///
    /// # Errors
    /// [`PasswordError::Wrong`] if the password is wrong.
    pub async fn change_email(
        &self,
        scope: &PersonScope,
        live: &LiveSession,
        password: &Password,
        address: &Email,
    ) -> Result<(), PasswordError> {
        let proven = self.prove(&live.person, password).await?;
        let mut tx = self.begin().await?;
        let person = self.still_proven(&mut *tx, live, &proven).await?;
        let request = LinkRequest::NewAddress { user: person.id, address: address.to_string() };
        record(&mut *tx, person.id, "account.email_change_requested", json!({}), scope.origin()).await?;
        self.send_link(&mut *tx, request).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the address to which a link was sent the address of the account. The old address gets a mail, links that
    /// were sent to it are void, and all sessions end.
    ///
    /// # Errors
    /// [`LinkError::Invalid`] if the link has expired or was used, and [`LinkError::EmailTaken`] if another account has
    /// the address by now.
    pub async fn confirm_email(&self, token: &str, origin: &Origin) -> Result<Person, LinkError> {
        let at = now(&self.env);
        let mut tx = self.begin().await?;
        let link = tx.links().take(&LinkToken::presented(token).digest(), LinkPurpose::ChangeEmail).await?;
        let link = link.filter(|link| at < link.expires_at).ok_or(LinkError::Invalid)?;
        let (before, _) = tx.people().lock(link.user).await?.ok_or(LinkError::Invalid)?;
        if !before.is_active() {
            return Err(LinkError::Invalid);
        }
        let person = Person { email: link.address, email_verified_at: Some(at), ..before.clone() };
        tx.people().update(&person).await.map_err(|error| match error {
            StoreError::Conflict(_) => LinkError::EmailTaken,
            error => error.into(),
        })?;
        tx.links().void(person.id, &LinkPurpose::ALL, at).await?;
        tx.factors().remove_challenges(person.id).await?;
        tx.sessions().revoke_all(person.id, None, at).await?;
        record(&mut *tx, person.id, "account.email_changed", json!({}), origin).await?;
        let message = MailMessage::EmailChanged { address: person.email.to_string() };
        send_mail(&mut *tx, &before, message).await?;
        tx.commit().await?;
        self.announce(person.id);
        Ok(person)
    }

    /// The log of the person's account, newest first, before the entry `before`; at most `limit` entries.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn log(
        &self,
        scope: &PersonScope,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        let mut tx = self.begin().await?;
        let records = tx.account_log().list(scope.user(), before, limit).await?;
        tx.commit().await?;
        Ok(records)
    }
}

fn gone() -> StoreError {
    StoreError::Internal("the person of a live session does not exist".into())
}
