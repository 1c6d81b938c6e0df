//! Mail: the adapter that stores mails instead of sending them, and the job that sends them.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::jobs::{JobError, JobHandler, JobTask};
use tidegate_kernel::{JobId, Page, PageSize, StoreError, SystemScope};
use tidegate_tenancy::{KeptMail, LinkMails, Mail, MailError, MailOutbox, MailTexts, Mailer, SendLink, SendMail};

/// A mailer that stores mails in the database, for installations without a mail server.
pub(crate) struct KeptMails {
    outbox: Arc<dyn MailOutbox>,
    scope: SystemScope,
}

impl KeptMails {
    /// A mailer that stores mails in `outbox`, with `scope`.
    pub(crate) fn new(outbox: Arc<dyn MailOutbox>, scope: SystemScope) -> Self {
        Self { outbox, scope }
    }

    /// Lists stored mails, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub(crate) async fn list(&self, after: Option<JobId>, size: PageSize) -> Result<Page<KeptMail, JobId>, StoreError> {
        self.outbox.list(&self.scope, after, size).await
    }
}

#[async_trait]
impl Mailer for KeptMails {
    async fn send(&self, id: JobId, mail: &Mail) -> Result<(), MailError> {
        let kept = self.outbox.keep(&self.scope, id, mail).await;
        kept.map_err(|error: StoreError| MailError::Transient(error.to_string()))
    }
}

/// The jobs that write mails from their texts and send them.
#[derive(Clone)]
pub(crate) struct SendMails {
    pub(crate) texts: Arc<dyn MailTexts>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) links: Arc<LinkMails>,
}

impl SendMails {
    async fn send(&self, task: &JobTask, mail: &SendMail, link: Option<&str>) -> Result<(), JobError> {
        let sent = async { self.mailer.send(task.id, &self.texts.word(mail, link)?).await }.await;
        sent.map_err(|error| match error {
            MailError::Transient(error) => JobError::Transient(error),
            MailError::Permanent(error) => JobError::Permanent(error),
        })
    }
}

#[async_trait]
impl JobHandler<SendMail> for SendMails {
    async fn run(&self, task: &JobTask, mail: SendMail) -> Result<(), JobError> {
        self.send(task, &mail, None).await
    }
}

#[async_trait]
impl JobHandler<SendLink> for SendMails {
    async fn run(&self, task: &JobTask, mail: SendLink) -> Result<(), JobError> {
        let prepared = self.links.prepare(&mail).await.map_err(|error| JobError::Transient(error.to_string()))?;
        // Nobody gets a mail if there is no such account; who asked for it is not told.
        let Some((mail, link)) = prepared else { return Ok(()) };
        self.send(task, &mail, link.as_deref()).await
    }
}
