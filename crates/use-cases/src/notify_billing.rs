//! Tells the owners of a workspace about its subscription and its invoices: one mail to each.

use std::sync::Arc;

use tidegate_billing::{BillingTx, OwnerNotice, SendNotice};
use tidegate_kernel::{Environment, StoreError, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::{MailMessage, SendMail};

use crate::owners::Owners;

/// Tells owners of notices.
#[derive(Clone)]
pub struct NotifyBilling {
    store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    owners: Owners,
    /// How customers pay, in the operator's words.
    instructions: Option<String>,
    /// Whether a payment provider collects invoices.
    charged: bool,
    env: Environment,
}

impl NotifyBilling {
    /// The use case over `store`. `instructions` say how customers pay, and `charged` whether a
    /// payment provider collects invoices.
    #[must_use]
    pub const fn new(
        store: Arc<dyn UnitOfWork<dyn BillingTx>>,
        owners: Owners,
        instructions: Option<String>,
        charged: bool,
        env: Environment,
    ) -> Self {
        Self { store, owners, instructions, charged, env }
    }

    /// Enqueues the mails of a notice, unless that was done before. The owners of a deleted workspace are told nothing.
    ///
    /// # Errors
    /// [`StoreError`] if nobody was told.
    pub async fn notify(&self, scope: &WorkspaceScope, notice: SendNotice) -> Result<(), StoreError> {
        let Some((workspace, owners)) = self.owners.of(scope).await? else { return Ok(()) };
        let mut tx = self.store.begin(scope).await?;
        if !tx.notices().mark_sent(notice.id, self.env.now()).await? {
            return Ok(());
        }
        let message = self.message(workspace, notice.notice);
        for owner in owners {
            if let Some(mail) = SendMail::job(&owner, message.clone())? {
                tx.jobs().enqueue(&mail).await?;
            }
        }
        tx.commit().await
    }

    fn message(&self, workspace: String, notice: OwnerNotice) -> MailMessage {
        let (charged, instructions) = (self.charged, self.instructions.clone());
        match notice {
            OwnerNotice::TrialEnds { plan, price, ends } => MailMessage::TrialEnds { workspace, plan, price, ends },
            OwnerNotice::InvoiceIssued { number, amount, due } => {
                MailMessage::InvoiceIssued { workspace, number, amount, due, charged, instructions }
            }
            OwnerNotice::PaymentLate { amount, reminder, suspended } => {
                MailMessage::PaymentLate { workspace, amount, reminder, suspended, charged, instructions }
            }
            OwnerNotice::PaymentAction { number, amount, url } => {
                MailMessage::PaymentAction { workspace, number, amount, url }
            }
            OwnerNotice::Suspended { amount } => {
                MailMessage::SubscriptionSuspended { workspace, amount, charged, instructions }
            }
            OwnerNotice::PaymentReceived { number, amount } => {
                MailMessage::PaymentReceived { workspace, number, amount }
            }
            OwnerNotice::Ended { plan } => MailMessage::SubscriptionEnded { workspace, plan },
        }
    }
}

impl std::fmt::Debug for NotifyBilling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyBilling").finish_non_exhaustive()
    }
}
