//! Executes the commands of a subscription in an open transaction: invoices, the ledger, the plan of the workspace.

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{AuditEntry, Environment, InvoiceId, NewJob, StoreError};

use super::service::WakeSubscription;
use super::{Command, InvoiceOrder, MeteredUsage, Notice, Pending, Status, Subscription, state};
use crate::calendar::day;
use crate::catalogue::PlanVersion;
use crate::invoice::{Invoice, InvoiceStatus, IssuedInvoice, Line, Parties, Party, TaxRate, UsageRow, issued};
use crate::ledger::{Account, Cause, Posting, Transaction};
use crate::money::sum;
use crate::notice::{OwnerNotice, SendNotice};
use crate::payment::charging::enqueue_charge;
use crate::ports::BillingTx;
use crate::service::Billing;

/// How the seller writes invoices.
#[derive(Debug, Clone)]
pub struct InvoiceTerms {
    /// The seller.
    pub seller: Party,
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
    /// Whether a payment provider collects invoices.
    pub(super) collects: bool,
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
                    if let Some(action) = audited(notice) {
                        tx.audit().record(AuditEntry::new(action, &subscription.sold.plan.name)).await?;
                    }
                    let notice = self.notice(tx, subscription, notice, now).await?;
                    self.notify(tx, notice).await?;
                }
                // A bank transfer cannot be collected. The customer pays when they see the notice.
                Command::Charge(_) if !self.collects => {}
                Command::Charge(invoices) => {
                    for invoice in invoices {
                        enqueue_charge(tx, invoice).await?;
                    }
                }
            }
        }
        tx.subscription().save(subscription, now).await?;
        self.schedule(tx, subscription, now).await
    }

    /// Enqueues the job that tells the owners.
    ///
    /// # Errors
    /// [`StoreError`] if the job could not be enqueued.
    pub(super) async fn notify(&self, tx: &mut dyn BillingTx, notice: OwnerNotice) -> Result<(), StoreError> {
        tx.jobs().enqueue(&NewJob::new(&SendNotice { id: self.env.uuid_v7(), notice })?).await.map(drop)
    }

    /// What the owners are told.
    async fn notice(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &Subscription,
        notice: Notice,
        now: DateTime<Utc>,
    ) -> Result<OwnerNotice, StoreError> {
        let (sold, zone) = (&subscription.sold, subscription.anchor.zone);
        let plan = sold.title.clone();
        Ok(match (notice, subscription.status) {
            (Notice::TrialEnds, Status::Trialing { ends, .. }) => {
                let price = match &subscription.pending {
                    Some(Pending::Change(next)) => &next.price,
                    _ => &sold.price,
                };
                OwnerNotice::TrialEnds { plan, price: price.currency.amount(price.amount), ends: day(ends, zone) }
            }
            (Notice::PaymentFailed | Notice::PaymentRetried(_), Status::PastDue { since, retries }) => {
                let suspended = since.checked_add_signed(state::GRACE).unwrap_or(since);
                let amount = self.overdue(tx, subscription, now).await?;
                OwnerNotice::PaymentLate { amount, reminder: retries, suspended: day(suspended, zone) }
            }
            (Notice::Cancelled, _) => OwnerNotice::Ended { plan },
            _ => OwnerNotice::Suspended { amount: self.overdue(tx, subscription, now).await? },
        })
    }

    /// What is to be paid of the invoices that are due.
    async fn overdue(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &Subscription,
        now: DateTime<Utc>,
    ) -> Result<String, StoreError> {
        let mut amounts = Vec::new();
        for invoice in subscription.due(now) {
            amounts.extend(tx.invoices().find(invoice).await?.map(|issued| issued.invoice.amount_due()));
        }
        Ok(subscription.sold.price.currency.amount(sum(amounts).map_err(internal)?))
    }

    /// Enqueues the job that wakes the subscription when it has something to do, if that is after `now`.
    ///
    /// # Errors
    /// [`StoreError`] if the job could not be enqueued.
    async fn schedule(
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
        let mut lines = self.usage(tx, subscription, order, now).await?;
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
        let (seller, customer) = (self.terms.seller.clone(), tx.customer().details().await?.party);
        let issued = IssuedInvoice {
            parties: Some(Parties { seller, customer, zone: subscription.anchor.zone }),
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
        if let Some(due_at) = due_at {
            let (number, amount) = (issued.number.to_string(), currency.amount(issued.invoice.amount_due()));
            let due = day(due_at, subscription.anchor.zone);
            self.notify(tx, OwnerNotice::InvoiceIssued { number, amount, due }).await?;
            if self.collects {
                enqueue_charge(tx, issued.id).await?;
            }
        }
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

    /// The lines for usage beyond what is included: of the months that ended, and what was counted late of those before.
    async fn usage(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &mut Subscription,
        order: &InvoiceOrder,
        now: DateTime<Utc>,
    ) -> Result<Vec<Line>, StoreError> {
        let Some((sold, _)) = &order.usage else { return Ok(Vec::new()) };
        let (mut lines, mut metered) = (Vec::new(), Vec::new());
        let before: Vec<_> = subscription.metered.iter().filter_map(|known| Some((known, known.meter()?))).collect();
        let asked: Vec<_> = before.iter().map(|(known, meter)| (*meter, known.period)).collect();
        let used = tx.usage().used(&asked).await?;
        for ((known, _), used) in before.into_iter().zip(used) {
            let plan = self.billing.version(tx, &known.sold.plan).await?;
            if let Some(prices) = plan.entitlements.metered(known.name).filter(|_| used > known.used) {
                let rows = vec![UsageRow { period: known.period, used, charged: known.used }];
                lines.extend(Line::usage(&known.sold, known.name, prices, rows, self.terms.rate).map_err(internal)?);
                metered.push(MeteredUsage { used, ..known.clone() });
            }
        }
        let plan = self.billing.version(tx, &sold.plan).await?;
        let entitlements = &plan.entitlements;
        for (meter, name, months) in order.months(entitlements) {
            let asked: Vec<_> = months.iter().map(|month| (meter, *month)).collect();
            let used = tx.usage().used(&asked).await?;
            let rows: Vec<_> =
                months.into_iter().zip(used).map(|(period, used)| UsageRow { period, used, charged: 0 }).collect();
            let looked_at =
                |row: &UsageRow| MeteredUsage { sold: sold.clone(), name, period: row.period, used: row.used };
            metered.extend(rows.iter().map(looked_at));
            lines.extend(order.usage_line(entitlements, name, rows, self.terms.rate).map_err(internal)?);
        }
        subscription.usage_metered(metered, now);
        Ok(lines)
    }
}

/// The action in the audit log; `None` if nothing has changed.
const fn audited(notice: Notice) -> Option<&'static str> {
    match notice {
        Notice::TrialEnds => None,
        Notice::PaymentFailed => Some("subscription.payment_failed"),
        Notice::PaymentRetried(_) => Some("subscription.payment_retried"),
        Notice::Suspended => Some("subscription.suspended"),
        Notice::Cancelled => Some("subscription.ended"),
    }
}
