//! The jobs that charge invoices, follow payments, and handle notifications of the payment provider.

use async_trait::async_trait;
use tidegate_billing::payment::{PaymentEvent, PaymentInbox, PaymentJobError, ProviderError};
use tidegate_billing::{ChargeInvoice, FollowPayment, Payments};
use tidegate_engine::jobs::{JobError, JobHandler, JobTask};

/// Charges invoices and follows payments. A repeated attempt continues where another one ended.
pub(crate) struct CollectPayments(pub(crate) Payments);

fn failed(error: PaymentJobError) -> JobError {
    match error {
        PaymentJobError::Store(error) => error.into(),
        PaymentJobError::Provider(error @ ProviderError::Unavailable(_)) => JobError::Transient(error.to_string()),
        PaymentJobError::Provider(error) => JobError::Permanent(error.to_string()),
    }
}

#[async_trait]
impl JobHandler<ChargeInvoice> for CollectPayments {
    async fn run(&self, task: &JobTask, job: ChargeInvoice) -> Result<(), JobError> {
        self.0.charge(task.in_workspace()?, &job).await.map_err(failed)
    }
}

#[async_trait]
impl JobHandler<FollowPayment> for CollectPayments {
    async fn run(&self, task: &JobTask, job: FollowPayment) -> Result<(), JobError> {
        self.0.follow(task.in_workspace()?, &job).await.map_err(failed)
    }
}

/// Handles notifications. A repeated attempt reads the same object again.
pub(crate) struct HandlePaymentEvents(pub(crate) PaymentInbox);

#[async_trait]
impl JobHandler<PaymentEvent> for HandlePaymentEvents {
    async fn run(&self, task: &JobTask, event: PaymentEvent) -> Result<(), JobError> {
        if !self.0.handle(&event, &task.request_id).await.map_err(failed)? {
            tracing::info!(event = %event.id, "a notification is about nothing of this installation");
        }
        Ok(())
    }
}
