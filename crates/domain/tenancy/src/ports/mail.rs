//! Ports for mail.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{JobId, Page, PageSize, StoreError, SystemScope};

use crate::model::{Mail, SendMail};

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Transient(String),
    /// No attempt can succeed.
    #[error("{0}")]
    Permanent(String),
}

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends a mail. `id` identifies it: a repeated attempt after a lost answer MUST carry the same id.
    ///
    /// # Errors
    /// [`MailError::Permanent`] if the server rejects the mail or the address for good, else [`MailError::Transient`].
    async fn send(&self, id: JobId, mail: &Mail) -> Result<(), MailError>;
}

/// Renders mails.
pub trait MailTexts: Send + Sync {
    /// Renders the mail in the person's language, or in the installation's language if there is no text in the
    /// person's. `link` is the address of the page that the mail leads to, if it leads to one.
    ///
    /// # Errors
    /// [`MailError::Permanent`] if the address is not valid or the texts have a defect.
    fn word(&self, mail: &SendMail, link: Option<&str>) -> Result<Mail, MailError>;
}

/// A mail that was stored instead of sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMail {
    /// Its id.
    pub id: JobId,
    /// When it was stored.
    pub at: DateTime<Utc>,
    /// The mail.
    pub mail: Mail,
}

/// Stores mails instead of sending them, for installations without a mail server.
#[async_trait]
pub trait MailOutbox: Send + Sync {
    /// Stores a mail. MUST store it once, however often it is sent with the same id.
    async fn keep(&self, scope: &SystemScope, id: JobId, mail: &Mail) -> Result<(), StoreError>;

    /// Stored mails, newest first.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<KeptMail, JobId>, StoreError>;
}
