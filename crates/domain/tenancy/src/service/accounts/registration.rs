//! Registration, and the verification of an address.

use serde_json::json;
use tidegate_kernel::{Origin, StoreError};

use super::{Accounts, record};
use crate::error::{LinkError, RegisterError};
use crate::model::{Email, LinkPurpose, LinkRequest, LinkToken, Name, Password, Person};
use crate::ports::Registered;
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

impl Accounts {
    /// Creates an account, unless the address is taken. In both cases the owner of the address gets a mail, and neither
    /// the answer nor its duration reveals which of the two happened.
    ///
    /// # Errors
    /// [`RegisterError`] if the password is too weak, or too many passwords wait for hashing.
    pub async fn register(&self, new: Registration, origin: &Origin) -> Result<(), RegisterError> {
        new.password.check(&new.email, &new.name).map_err(RegisterError::WeakPassword)?;
        let hash = self.hasher.hash(&new.password).await?;
        let person = Person::register(&self.env, new.email, new.name, now(&self.env));
        let mut tx = self.begin().await?;
        let (user, action, mail) = match tx.people().insert(&person, &hash).await? {
            Registered::New => (person.id, "account.registered", LinkRequest::Registration { user: person.id }),
            Registered::Taken(user) => {
                let mail = LinkRequest::TakenAddress { address: person.email.to_string() };
                (user.unwrap_or(person.id), "account.registration_refused", mail)
            }
        };
        record(&mut *tx, user, action, json!({}), origin).await?;
        self.send_link(&mut *tx, mail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks for another mail with a link that verifies this address. Whether there is such an account shows nowhere.
    ///
    /// # Errors
    /// [`StoreError`] if the request could not be stored.
    pub async fn resend_verification(&self, email: &Email) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        self.send_link(&mut *tx, LinkRequest::Verification { address: email.to_string() }).await?;
        tx.commit().await
    }

    /// Verifies the address of an account by the token of a link.
    ///
    /// # Errors
    /// [`LinkError::Invalid`] if the link has expired, was used, or was sent to another address than that of the account.
    pub async fn verify_email(&self, token: &str, origin: &Origin) -> Result<Person, LinkError> {
        let at = now(&self.env);
        let mut tx = self.begin().await?;
        let link = tx.links().take(&LinkToken::presented(token).digest(), LinkPurpose::VerifyEmail).await?;
        let link = link.filter(|link| at < link.expires_at).ok_or(LinkError::Invalid)?;
        let (person, _) = tx.people().lock(link.user).await?.ok_or(LinkError::Invalid)?;
        if person.email != link.address || !person.is_active() {
            return Err(LinkError::Invalid);
        }
        let person = Person { email_verified_at: person.email_verified_at.or(Some(at)), ..person };
        tx.people().update(&person).await?;
        record(&mut *tx, person.id, "account.verified", json!({}), origin).await?;
        tx.commit().await?;
        self.announce(person.id);
        Ok(person)
    }
}
