//! Sending mail.

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
    /// No attempt will.
    #[error("{0}")]
    Permanent(String),
}

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends a mail. `id` names it: an attempt that is repeated because its answer was lost MUST carry the same id.
    ///
    /// # Errors
    /// [`MailError::Permanent`] where the server refuses the mail or the address for good, else [`MailError::Transient`].
    async fn send(&self, id: JobId, mail: &Mail) -> Result<(), MailError>;
}

/// Words mails.
pub trait MailTexts: Send + Sync {
    /// The mail in the person's language, or in the installation's where there are no texts in that.
    ///
    /// # Errors
    /// [`MailError::Permanent`] where the address is none, or the texts have a defect.
    fn word(&self, mail: &SendMail) -> Result<Mail, MailError>;
}

/// A mail that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMail {
    /// Its id.
    pub id: JobId,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// The mail.
    pub mail: Mail,
}

/// Keeps mails instead of sending them, for installations without a mail server.
#[async_trait]
pub trait MailOutbox: Send + Sync {
    /// Keeps a mail. MUST keep it once, however often it is sent with the same id.
    async fn keep(&self, scope: &SystemScope, id: JobId, mail: &Mail) -> Result<(), StoreError>;

    /// Mails, newest first.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<KeptMail, JobId>, StoreError>;
}
