//! Attempts to collect invoices. The jobs call these; each may run again at any time.

use chrono::TimeDelta;
use serde_json::json;
use tidegate_kernel::{AuditEntry, InvoiceId, NewJob, PaymentId, StoreError, WorkspaceScope};

use super::provider::{PaymentRequest, ProviderError, ProviderPayment};
use super::{ChargeInvoice, FollowPayment, Payment, PaymentState, Payments};
use crate::invoice::InvoiceStatus;
use crate::ports::BillingTx;

/// How long to wait before the state of an open payment is read, doubled with each read, up to a day.
const FOLLOW_AFTER: TimeDelta = TimeDelta::hours(1);

/// How often an open payment is read: for about two months. Its notifications are handled even then.
const MAX_READS: u32 = 60;

/// Why a job about payments failed.
#[derive(Debug, thiserror::Error)]
pub enum PaymentJobError {
    /// The provider did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to be done about an invoice.
enum Next {
    /// Nothing: it is paid, or its payment is in progress.
    Nothing,
    /// Another attempt.
    Attempt(PaymentRequest),
    /// An attempt that was not finished.
    Continue(Payment, PaymentRequest),
    /// The last attempt waits for the customer and is replaced.
    Replace(Payment),
}

impl Payments {
    /// Charges an invoice. Does nothing if it is not open, the attempt has ended, or there is no payment method: then the
    /// customer pays by bank transfer.
    ///
    /// # Errors
    /// [`PaymentJobError`] if it is unknown how the attempt ended. Another call continues it.
    pub async fn charge(&self, scope: &WorkspaceScope, job: &ChargeInvoice) -> Result<(), PaymentJobError> {
        let Some(customer) = self.customer(scope).await?.filter(|_| self.provider.collects()) else { return Ok(()) };
        let mut next = self.next(scope, job, &customer).await?;
        if let Next::Replace(waiting) = next {
            let said = self.provider.cancel(waiting.provider_id.as_deref().unwrap_or_default()).await?;
            self.apply(scope, waiting.id, &said, None).await?;
            next = self.next(scope, job, &customer).await?;
        }
        if matches!(next, Next::Nothing | Next::Replace(_)) {
            return Ok(());
        }
        let Some(method) = self.provider.method(&customer).await? else { return Ok(()) };
        let (payment, request) = match next {
            Next::Attempt(request) => {
                let payment = self.created(&request);
                let mut tx = self.store.begin(scope).await?;
                if !tx.payments().insert(&payment).await? {
                    return Ok(());
                }
                tx.commit().await?;
                (payment, request)
            }
            Next::Continue(payment, request) => (payment, request),
            Next::Nothing | Next::Replace(_) => return Ok(()),
        };
        let prepared = match payment.provider_id {
            Some(prepared) => prepared,
            None => match self.provider.prepare(&request).await {
                Ok(prepared) => {
                    let mut tx = self.store.begin(scope).await?;
                    tx.payments().set_provider_id(payment.id, self.provider.name(), &prepared).await?;
                    tx.commit().await?;
                    prepared
                }
                Err(error) => return self.refused(scope, payment.id, error).await,
            },
        };
        match self.provider.charge(&prepared, &method.id, &request.key()).await {
            Ok(said) => self.apply(scope, payment.id, &said, Some(0)).await,
            Err(error @ ProviderError::Unavailable(_)) => Err(error.into()),
            // It may have been refused because it was charged before.
            Err(refused) => match self.provider.payment(&prepared).await? {
                ProviderPayment { state: PaymentState::Created, .. } => self.refused(scope, payment.id, refused).await,
                said => self.apply(scope, payment.id, &said, Some(0)).await,
            },
        }
    }

    /// Reads the state of a payment from the provider and applies it. An open payment is read again later.
    ///
    /// # Errors
    /// [`PaymentJobError`] if it could not be read or stored.
    pub async fn follow(&self, scope: &WorkspaceScope, job: &FollowPayment) -> Result<(), PaymentJobError> {
        self.read_again(scope, job, Some(job.reads)).await
    }

    /// Reads the state of a payment from the provider and applies it, because the provider says that it has changed.
    ///
    /// # Errors
    /// [`PaymentJobError`] if it could not be read or stored.
    pub async fn refresh(&self, scope: &WorkspaceScope, job: &FollowPayment) -> Result<(), PaymentJobError> {
        self.read_again(scope, job, None).await
    }

    async fn read_again(
        &self,
        scope: &WorkspaceScope,
        job: &FollowPayment,
        reads: Option<u32>,
    ) -> Result<(), PaymentJobError> {
        let found = self.store.begin(scope).await?.payments().find(job.payment).await?;
        let Some(Payment { provider, provider_id: Some(prepared), .. }) = found else { return Ok(()) };
        if provider != self.provider.name() {
            return Ok(());
        }
        let said = self.provider.payment(&prepared).await?;
        self.apply(scope, job.payment, &said, reads).await
    }

    /// Charges the open invoices, because there is another payment method.
    ///
    /// # Errors
    /// [`StoreError`] if the jobs could not be enqueued.
    pub async fn charge_open(&self, scope: &WorkspaceScope) -> Result<(), StoreError> {
        let mut tx = self.store.begin(scope).await?;
        let Some(subscription) = tx.subscription().find().await? else { return Ok(()) };
        for invoice in subscription.open.keys() {
            enqueue_charge(&mut *tx, *invoice).await?;
        }
        tx.commit().await
    }

    async fn next(&self, scope: &WorkspaceScope, job: &ChargeInvoice, customer: &str) -> Result<Next, StoreError> {
        let mut tx = self.store.begin(scope).await?;
        let Some(issued) = tx.invoices().find(job.invoice).await? else { return Ok(Next::Nothing) };
        let (amount, currency) = (issued.invoice.amount_due(), issued.invoice.currency);
        if issued.status != InvoiceStatus::Open || amount <= 0 {
            return Ok(Next::Nothing);
        }
        let request = |payment, attempt| PaymentRequest {
            payment,
            invoice: job.invoice,
            attempt,
            number: issued.number.to_string(),
            customer: customer.to_owned(),
            amount,
            currency,
        };
        Ok(match tx.payments().of_invoice(job.invoice).await?.pop() {
            None => Next::Attempt(request(PaymentId::generate(&self.env), 0)),
            // The payment of a former provider ends there.
            Some(last) if last.state.is_open() && last.provider != self.provider.name() => Next::Nothing,
            Some(last) if last.state == PaymentState::Created => {
                let request = request(last.id, last.attempt);
                Next::Continue(last, request)
            }
            Some(last) if last.state == PaymentState::Processing || last.attempt >= job.attempt => Next::Nothing,
            Some(last) if last.state == PaymentState::RequiresAction => Next::Replace(last),
            Some(last) => Next::Attempt(request(PaymentId::generate(&self.env), last.attempt.saturating_add(1))),
        })
    }

    fn created(&self, request: &PaymentRequest) -> Payment {
        let now = self.now();
        Payment {
            id: request.payment,
            invoice: request.invoice,
            attempt: request.attempt,
            provider: self.provider.name().to_owned(),
            provider_id: None,
            state: PaymentState::Created,
            amount: request.amount,
            currency: request.currency,
            failure: None,
            action_url: None,
            credited: 0,
            created_at: now,
            changed_at: now,
        }
    }

    /// Ends an attempt that the provider refuses for good.
    async fn refused(
        &self,
        scope: &WorkspaceScope,
        payment: PaymentId,
        error: ProviderError,
    ) -> Result<(), PaymentJobError> {
        if matches!(error, ProviderError::Unavailable(_)) {
            return Err(error.into());
        }
        let failure = Some(error.to_string());
        let said = ProviderPayment { state: PaymentState::Failed, failure, action_url: None };
        self.apply(scope, payment, &said, None).await
    }

    /// Applies what the provider says, once. An open payment is read again later, unless `reads` is `None`.
    async fn apply(
        &self,
        scope: &WorkspaceScope,
        id: PaymentId,
        said: &ProviderPayment,
        reads: Option<u32>,
    ) -> Result<(), PaymentJobError> {
        let (now, default) = (self.now(), self.subscriptions.default().await?);
        let mut tx = self.store.begin(scope).await?;
        // A deleted workspace has no subscription any more. Its payments are recorded all the same.
        let mut subscription = self.subscriptions.lock_existing(&mut *tx, &default, now).await?;
        let Some(mut payment) = tx.payments().lock(id).await? else { return Ok(()) };
        if payment.state.becomes(said.state) {
            payment.state = said.state;
            payment.failure.clone_from(&said.failure);
            payment.action_url.clone_from(&said.action_url);
            payment.changed_at = now;
            let subscription = subscription.as_mut();
            match (said.state, subscription) {
                (PaymentState::Succeeded, subscription) => {
                    payment.credited = self.subscriptions.collected(&mut *tx, subscription, &default, &payment).await?;
                }
                (PaymentState::Failed | PaymentState::RequiresAction, Some(subscription)) => {
                    self.subscriptions.not_collected(&mut *tx, subscription, &default, &payment).await?;
                }
                _ => {}
            }
            tx.payments().update(&payment).await?;
            let details = json!({
                "invoice": payment.invoice, "attempt": payment.attempt, "amount": payment.amount,
                "currency": payment.currency, "failure": payment.failure, "credited": payment.credited,
            });
            tx.audit().record(AuditEntry::new(audited(payment.state), payment.id).with(details)).await?;
        }
        if let Some(reads) = reads.filter(|reads| payment.state.is_open() && *reads < MAX_READS) {
            let pause = FOLLOW_AFTER * 2_i32.pow(reads.min(5)).min(24);
            let follow = FollowPayment { payment: id, reads: reads + 1 };
            let key = format!("{id} {}", reads + 1);
            tx.jobs().enqueue(&NewJob::new(&follow)?.at(now + pause).unique(key)).await?;
        }
        tx.commit().await?;
        self.subscriptions.forget(scope);
        Ok(())
    }
}

/// Enqueues the next attempt at an invoice.
///
/// # Errors
/// [`StoreError`] if it could not be enqueued.
pub(crate) async fn enqueue_charge(tx: &mut dyn BillingTx, invoice: InvoiceId) -> Result<(), StoreError> {
    let last = tx.payments().of_invoice(invoice).await?.pop();
    let attempt = last.map_or(0, |payment| payment.attempt.saturating_add(1));
    let job = NewJob::new(&ChargeInvoice { invoice, attempt })?.unique(format!("{invoice} {attempt}"));
    tx.jobs().enqueue(&job).await.map(drop)
}

const fn audited(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Succeeded => "payment.succeeded",
        PaymentState::Failed => "payment.failed",
        PaymentState::RequiresAction => "payment.action_required",
        PaymentState::Cancelled => "payment.cancelled",
        PaymentState::Created | PaymentState::Processing => "payment.processing",
    }
}
