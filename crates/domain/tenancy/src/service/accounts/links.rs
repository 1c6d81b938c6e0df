//! Mails with links to people: makes the link and says to whom it is sent.

use std::sync::Arc;

use tidegate_kernel::{Environment, StoreError, SystemScope, UserId};

use crate::model::{Email, Link, LinkPurpose, LinkRequest, LinkToken, MailMessage, Person, SendLink, SendMail};
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
        let with_address = match &mail.request {
            LinkRequest::TakenAddress { address }
            | LinkRequest::Verification { address }
            | LinkRequest::ForgottenPassword { address }
            | LinkRequest::NewAddress { address, .. } => tx.people().credentials(&Email::given(address)).await?,
            LinkRequest::Registration { .. } => None,
        };
        let with_address = with_address.map(|(person, _)| person);
        let (purpose, message) = match &mail.request {
            LinkRequest::Registration { .. } | LinkRequest::Verification { .. } => {
                (LinkPurpose::VerifyEmail, MailMessage::VerifyEmail)
            }
            LinkRequest::TakenAddress { .. } => (LinkPurpose::ResetPassword, MailMessage::AlreadyRegistered),
            LinkRequest::ForgottenPassword { .. } => (LinkPurpose::ResetPassword, MailMessage::ResetPassword),
            LinkRequest::NewAddress { .. } => (LinkPurpose::ChangeEmail, MailMessage::ChangeEmail),
        };
        let prepared = match (&mail.request, with_address) {
            (LinkRequest::NewAddress { user, .. }, Some(other)) if other.id != *user => {
                Some((SendMail::to(&other, MailMessage::AddressInUse), None))
            }
            (LinkRequest::NewAddress { user, .. } | LinkRequest::Registration { user }, _) => {
                self.link(&mut *tx, *user, mail, purpose, message).await?
            }
            (_, Some(person)) => self.link(&mut *tx, person.id, mail, purpose, message).await?,
            (_, None) => None,
        };
        tx.links().prune(self.env.now()).await?;
        tx.commit().await?;
        Ok(prepared)
    }

    /// A link for a person, unless the request is void by now.
    async fn link(
        &self,
        tx: &mut dyn DirectoryTx,
        user: UserId,
        mail: &SendLink,
        purpose: LinkPurpose,
        message: MailMessage,
    ) -> Result<Option<(SendMail, Option<String>)>, StoreError> {
        // Locked, so that a security event either sees the link or is seen here.
        let Some((person, _)) = tx.people().lock(user).await? else { return Ok(None) };
        let is_void = match purpose {
            LinkPurpose::VerifyEmail => person.is_verified(),
            LinkPurpose::ResetPassword | LinkPurpose::ChangeEmail => {
                tx.links().voided_at(user).await?.is_some_and(|voided| mail.at <= voided)
            }
        };
        if is_void || !person.is_active() {
            return Ok(None);
        }
        let address = match &mail.request {
            LinkRequest::NewAddress { address, .. } => Email::given(address),
            _ => person.email.clone(),
        };
        let person = Person { email: address, ..person };
        let mail = SendMail::to(&person, message);
        let (token, expires_at) = (LinkToken::generate(&self.env), now(&self.env) + purpose.life());
        let link = Link { user, purpose, address: person.email, expires_at };
        tx.links().insert(&link, &token.digest()).await?;
        Ok(Some((mail, Some(self.origin.page(purpose, &token)))))
    }
}
