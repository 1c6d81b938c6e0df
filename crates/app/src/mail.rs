//! Mail beside the server: who sends it, and the job that does.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::jobs::{JobError, JobHandler, JobTask};
use tidegate_kernel::{JobId, StoreError, SystemScope};
use tidegate_tenancy::{Mail, MailError, MailOutbox, MailTexts, Mailer, SendMail};

/// Keeps mails in the database, where there is no mail server.
pub(crate) struct KeepingMailer {
    pub(crate) outbox: Arc<dyn MailOutbox>,
    pub(crate) scope: Arc<SystemScope>,
}

#[async_trait]
impl Mailer for KeepingMailer {
    async fn send(&self, id: JobId, mail: &Mail) -> Result<(), MailError> {
        let kept = self.outbox.keep(&self.scope, id, mail).await;
        kept.map_err(|error: StoreError| MailError::Transient(error.to_string()))
    }
}

/// Words mails and sends them.
pub(crate) struct SendMails {
    pub(crate) texts: Arc<dyn MailTexts>,
    pub(crate) mailer: Arc<dyn Mailer>,
}

#[async_trait]
impl JobHandler<SendMail> for SendMails {
    async fn run(&self, task: &JobTask, mail: SendMail) -> Result<(), JobError> {
        let sent = async { self.mailer.send(task.id, &self.texts.word(&mail)?).await }.await;
        sent.map_err(|error| match error {
            MailError::Transient(error) => JobError::Transient(error),
            MailError::Permanent(error) => JobError::Permanent(error),
        })
    }
}
