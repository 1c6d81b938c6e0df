//! Executes the commands of a subscription in an open transaction: invoices, the ledger, the plan of the workspace.

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{AuditEntry, Environment, InvoiceId, NewJob, StoreError};

use super::service::WakeSubscription;
use super::{Command, InvoiceOrder, Notice, Subscription};
use crate::catalogue::PlanVersion;
use crate::invoice::{Invoice, InvoiceStatus, IssuedInvoice, Line, TaxRate, UsageRow, issued};
use crate::ledger::{Account, Cause, Posting, Transaction};
use crate::ports::BillingTx;
use crate::service::Billing;

/// How the seller writes invoices.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceTerms {
    /// The tax rate of charges.
    pub rate: TaxRate,
    /// The time from the issue of an invoice until payment is due.
    pub payment: TimeDelta,
}

/// What the execution of commands needs besides the transaction.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    pub(super) billing: Billing,
    pub(super) terms: InvoiceTerms,
    pub(super) env: Environment,
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Box::new(error))
}

impl Executor {
    /// Executes `commands` and stores the subscription with the job that wakes it. `default` is the plan of a workspace
    /// whose subscription does not count.
    ///
    /// # Errors
    /// [`StoreError`] if something could not be read or stored, or an amount does not fit. The transaction must not be
    /// committed then.
    pub(super) async fn execute(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &mut Subscription,
        commands: Vec<Command>,
        default: &PlanVersion,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for command in commands {
            match command {
                Command::Invoice(order) => self.invoice(tx, subscription, &order, now).await?,
                Command::SetPlan(plan) => {
                    let plan = plan.unwrap_or_else(|| default.clone());
                    tx.plan().set(&plan, now).await?;
                    let run_limit = self.billing.version(tx, &plan).await?.entitlements.concurrent_runs;
                    tx.plan().set_run_limit(run_limit).await?;
                }
                Command::Notify(notice) => {
                    tx.audit().record(AuditEntry::new(audited(notice), &subscription.sold.plan.name)).await?;
                }
                // A bank transfer cannot be collected. The customer pays when they see the notice.
                Command::Charge(_) => {}
            }
        }
        tx.subscription().save(subscription, now).await?;
        self.schedule(tx, subscription, now).await
    }

    /// Enqueues the job that wakes the subscription when it has something to do, if that is after `now`.
    ///
    /// # Errors
    /// [`StoreError`] if the job could not be enqueued.
    pub(super) async fn schedule(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &Subscription,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if let Some(at) = subscription.next_wakeup().map_err(internal)?.filter(|at| *at > now) {
            let job = NewJob::new(&WakeSubscription {})?.at(at).unique(at.to_rfc3339());
            tx.jobs().enqueue(&job).await?;
        }
        Ok(())
    }

    async fn invoice(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &mut Subscription,
        order: &InvoiceOrder,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(period) = order.period() else { return Ok(()) };
        let rate = self.terms.rate;
        let mut lines = self.usage(tx, order).await?;
        lines.extend(order.plan_lines(rate).map_err(internal)?);
        if lines.is_empty() {
            return Ok(());
        }
        let currency = subscription.sold.price.currency;
        let credit = tx.ledger().balance(currency, Account::CustomerCredit).await?.checked_neg().unwrap_or(0);
        let redeemed = tx.promos().redeemed().await?;
        let discounts: Vec<_> = redeemed.iter().filter_map(|promo| promo.on_invoice(currency)).collect();
        let invoice = Invoice::new(currency, lines, rate, &discounts, credit).map_err(internal)?;
        let due = invoice.amount_due() > 0;
        let due_at = if due { Some(now.checked_add_signed(self.terms.payment).unwrap_or(now)) } else { None };
        let issued = IssuedInvoice {
            id: InvoiceId::generate(&self.env),
            number: tx.invoices().next_number().await?,
            status: if due { InvoiceStatus::Open } else { InvoiceStatus::Paid },
            descriptions: invoice.lines.iter().map(|line| issued::describe(line, subscription.anchor.zone)).collect(),
            period,
            issued_at: now,
            due_at,
            credited: 0,
            paid_at: (!due).then_some(now),
            invoice,
        };
        tx.invoices().insert(&issued).await?;
        let used: Vec<&str> = issued.invoice.lines.iter().filter_map(Line::promo_code).collect();
        if !used.is_empty() {
            tx.promos().use_up(&used).await?;
        }
        for (cause, transaction) in issued.invoice.postings().map_err(internal)? {
            self.post(tx, issued.id, cause, transaction, now).await?;
        }
        subscription.invoice_issued(issued.id, due_at, issued.invoice.paid_for_plan().map_err(internal)?);
        Ok(())
    }

    /// Posts a transaction to the ledger.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    pub(super) async fn post(
        &self,
        tx: &mut dyn BillingTx,
        invoice: InvoiceId,
        cause: Cause,
        transaction: Transaction,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        tx.ledger().post(&Posting { id: self.env.uuid_v7(), at, cause, invoice, transaction }).await
    }

    /// The lines for usage beyond what is included.
    async fn usage(&self, tx: &mut dyn BillingTx, order: &InvoiceOrder) -> Result<Vec<Line>, StoreError> {
        let Some((sold, _)) = &order.usage else { return Ok(Vec::new()) };
        let plan = self.billing.version(tx, &sold.plan).await?;
        let entitlements = &plan.entitlements;
        let mut lines = Vec::new();
        for (meter, name, months) in order.months(entitlements) {
            let asked: Vec<_> = months.iter().map(|month| (meter, *month)).collect();
            let used = tx.usage().used(&asked).await?;
            let rows = months.into_iter().zip(used).map(|(period, used)| UsageRow { period, used }).collect();
            lines.extend(order.usage_line(entitlements, name, rows, self.terms.rate).map_err(internal)?);
        }
        Ok(lines)
    }
}

const fn audited(notice: Notice) -> &'static str {
    match notice {
        Notice::PaymentFailed => "subscription.payment_failed",
        Notice::PaymentRetried(_) => "subscription.payment_retried",
        Notice::Suspended => "subscription.suspended",
        Notice::Cancelled => "subscription.ended",
    }
}
