//! Mails with links to people: makes the link and says to whom it is sent.

use std::sync::Arc;

use tidegate_kernel::{Environment, StoreError, SystemScope};

use crate::model::{Email, Link, LinkPurpose, LinkToken, MailMessage, Person, SendLink, SendMail};
use crate::ports::{Directory, DirectoryTx};
use crate::service::now;

/// The address under which people reach the installation, such as `https://tidegate.example.org`, without a slash at the
/// end. It is a setting and never taken from a request, whose headers anybody can choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The address. The caller has validated it.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self(origin.trim_end_matches('/').to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The page of a link. The token is in the fragment, which browsers send to no server, so it is in no log and in no
    /// `Referer`. The page sends it with POST when the person asks for it; a scanner that follows links uses nothing up.
    fn page(&self, purpose: LinkPurpose, token: &LinkToken) -> String {
        let page = match purpose {
            LinkPurpose::VerifyEmail => "verify",
            LinkPurpose::ResetPassword => "reset",
            LinkPurpose::ChangeEmail => "email",
        };
        format!("{}/account/{page}#{}", self.0, token.expose())
    }
}

/// Makes the links of mails.
pub struct LinkMails {
    directory: Arc<Directory>,
    system: SystemScope,
    origin: PublicUrl,
    env: Environment,
}

impl LinkMails {
    /// Makes links in `directory`, which `system` opens, to pages of `origin`.
    #[must_use]
    pub fn new(directory: Arc<Directory>, system: SystemScope, origin: PublicUrl, env: Environment) -> Self {
        Self { directory, system, origin, env }
    }

    /// The mail and the address of its link, if it has one; `None` if nobody is to get a mail.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn prepare(&self, mail: &SendLink) -> Result<Option<(SendMail, Option<String>)>, StoreError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let with_address = match mail {
            SendLink::TakenAddress { address }
            | SendLink::Verification { address }
            | SendLink::ForgottenPassword { address }
            | SendLink::NewAddress { address, .. } => tx.people().credentials(&Email::given(address)).await?,
            SendLink::Registration { .. } => None,
        };
        let with_address = with_address.map(|(person, _)| person);
        let prepared = match mail {
            SendLink::Registration { user } => {
                let person = tx.people().find(&[*user]).await?.pop().filter(|person| !person.is_verified());
                self.to_own_address(&mut *tx, person, LinkPurpose::VerifyEmail, MailMessage::VerifyEmail).await?
            }
            SendLink::Verification { .. } => {
                let person = with_address.filter(|person| !person.is_verified());
                self.to_own_address(&mut *tx, person, LinkPurpose::VerifyEmail, MailMessage::VerifyEmail).await?
            }
            SendLink::TakenAddress { .. } => {
                let message = MailMessage::AlreadyRegistered;
                self.to_own_address(&mut *tx, with_address, LinkPurpose::ResetPassword, message).await?
            }
            SendLink::ForgottenPassword { .. } => {
                let message = MailMessage::ResetPassword;
                self.to_own_address(&mut *tx, with_address, LinkPurpose::ResetPassword, message).await?
            }
            SendLink::NewAddress { user, address } => match with_address {
                Some(other) if other.id != *user => Some((SendMail::to(&other, MailMessage::AddressInUse), None)),
                _ => {
                    let person = tx.people().find(&[*user]).await?.pop();
                    let person = person.map(|person| Person { email: Email::given(address), ..person });
                    self.to_own_address(&mut *tx, person, LinkPurpose::ChangeEmail, MailMessage::ChangeEmail).await?
                }
            },
        };
        tx.links().prune(self.env.now()).await?;
        tx.commit().await?;
        Ok(prepared)
    }

    async fn to_own_address(
        &self,
        tx: &mut dyn DirectoryTx,
        person: Option<Person>,
        purpose: LinkPurpose,
        message: MailMessage,
    ) -> Result<Option<(SendMail, Option<String>)>, StoreError> {
        let Some(person) = person else { return Ok(None) };
        let mail = SendMail::to(&person, message);
        let (token, expires_at) = (LinkToken::generate(&self.env), now(&self.env) + purpose.life());
        let link = Link { user: person.id, purpose, address: person.email, expires_at };
        tx.links().insert(&link, &token.digest()).await?;
        Ok(Some((mail, Some(self.origin.page(purpose, &token)))))
    }
}
