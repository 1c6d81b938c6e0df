//! Billing, wired: plans, usage, and the counting of API calls.

mod charge;
mod provider;
mod report;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use tidegate_billing::correction::UsageCorrections;
use tidegate_billing::error::OpenError;
use tidegate_billing::invoice::{BillingDetails, InvoiceDocuments, PromoCodes};
use tidegate_billing::payment::PaymentInbox;
use tidegate_billing::subscription::{InvoiceTerms, OverdueSweep, Subscriptions};
use tidegate_billing::{Billing, CallMeter, Catalogue, Payments, PlanEditor, PlanQuota};
use tidegate_kernel::{ScopeIssuer, SystemScope, Urgency};
use tidegate_stripe::Webhooks;

pub(crate) use charge::{CollectPayments, HandlePaymentEvents};
pub(crate) use provider::CheckedProvider;
pub(crate) use report::{UsageReport, UsageTotalsAt};
pub(crate) use wake::{WakeOverdue, WakeSubscriptions};

use crate::platform::Platform;
use crate::server::StartError;

/// How often the counts of API calls are written to the database, and unneeded budgets given back.
const CALLS_WRITTEN: Duration = Duration::from_secs(1);

/// The services of billing.
#[derive(Clone)]
pub(crate) struct BillingServices {
    /// Plans, and the usage of workspaces.
    pub(crate) plans: Billing,
    /// Promo codes.
    pub(crate) promo_codes: PromoCodes,
    /// What operators do with plans.
    pub(crate) editor: PlanEditor,
    /// Subscriptions, invoices and ledgers.
    pub(crate) subscriptions: Subscriptions,
    /// Whom the invoices of workspaces are for.
    pub(crate) details: BillingDetails,
    /// Writes invoices as PDF.
    pub(crate) documents: Arc<dyn InvoiceDocuments>,
    /// Corrections of usage.
    pub(crate) corrections: UsageCorrections,
    /// Payment methods and payments.
    pub(crate) payments: Payments,
    /// Notifications of the payment provider.
    pub(crate) inbox: PaymentInbox,
    /// How notifications of Stripe are verified, if it is the provider.
    pub(crate) stripe: Option<Webhooks>,
    /// Finds and wakes subscriptions whose job is dead or missing.
    pub(crate) overdue: OverdueSweep,
    /// What plans allow.
    pub(crate) quota: Arc<PlanQuota>,
    /// Counts API calls.
    pub(crate) calls: Arc<CallMeter>,
    /// The usage of all workspaces, for operators.
    pub(crate) report: UsageReport,
    counting: Arc<SystemScope>,
}

impl BillingServices {
    /// Wires billing with the plans of the program. `default` names the plan of a new workspace, `terms` say how invoices
    /// are written, `documents` writes them as PDF, and `provider` collects them. [`BillingServices::open`] comes next.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &ScopeIssuer,
        plans: Catalogue,
        default: &str,
        terms: InvoiceTerms,
        documents: Arc<dyn InvoiceDocuments>,
        provider: CheckedProvider,
    ) -> Self {
        let Platform { store, env, .. } = platform;
        let plans = Billing::new(store.clone(), issuer.system("the catalogue of plans"), plans, default, env.clone());
        let subscriptions = Subscriptions::new(store.clone(), plans.clone(), terms, env.clone());
        let CheckedProvider { provider, stripe } = provider;
        let subscriptions = if provider.collects() { subscriptions.collecting() } else { subscriptions };
        let waking = issuer.system("waking overdue subscriptions").with_urgency(Urgency::Background);
        let payments = Payments::new(store.clone(), provider, subscriptions.clone(), env.clone());
        let receiving = issuer.system("notifications of payment providers");
        let system = issuer.system("operators change the catalogue of plans");
        Self {
            promo_codes: PromoCodes::new(
                store.clone(),
                issuer.system("operators change promo codes"),
                plans.clone(),
                env.clone(),
            ),
            editor: PlanEditor::new(store.clone(), system, plans.clone(), env.clone()),
            inbox: PaymentInbox::new(store.clone(), payments.clone(), Arc::new(receiving), env.clone()),
            payments,
            stripe,
            overdue: OverdueSweep::new(store.clone(), subscriptions.clone(), Arc::new(waking), env.clone()),
            subscriptions,
            details: BillingDetails::new(store.clone(), env.clone()),
            documents,
            corrections: UsageCorrections::new(store.clone(), env.clone()),
            quota: Arc::new(PlanQuota::new(Arc::new(plans.clone()), store.clone(), env.clone())),
            plans,
            calls: Arc::new(CallMeter::new(store.clone(), env.clone())),
            report: UsageReport::new(
                store.clone(),
                issuer.system("counting usage for operators").with_urgency(Urgency::Background),
                env.clone(),
            ),
            counting: Arc::new(issuer.system("counting API calls").with_urgency(Urgency::Background)),
        }
    }

    /// Adds the plans of the program to the catalogue in the store, and reads what is sold.
    ///
    /// # Errors
    /// [`StartError`] if the store failed, or no plan has the name of the default plan.
    pub(crate) async fn open(&self, plans: &Catalogue) -> Result<(), StartError> {
        self.plans.open(plans).await.map_err(|error| match error {
            OpenError::Catalogue(error) => StartError::setting(error),
            OpenError::Store(error) => error.into(),
        })
    }

    /// Starts writing the counts of API calls and giving back unneeded budgets every second. After the server has
    /// stopped, [`BillingServices::close`] does the rest.
    pub(crate) fn support(&self, platform: &Platform) {
        let (billing, stopping) = (self.clone(), platform.stopping.clone());
        platform.supervisor.spawn("api-calls", "API calls are counted and not written", move || {
            let (billing, stopping) = (billing.clone(), stopping.clone());
            async move {
                let mut seconds = tokio::time::interval(CALLS_WRITTEN);
                while stopping.run_until_cancelled(seconds.tick()).await.is_some() {
                    billing.write_calls().await;
                    if let Err(error) = billing.quota.end_second(&billing.counting).await {
                        tracing::warn!(%error, "budgets were not given back; they count as used");
                    }
                }
            }
        });
    }

    /// Writes the last API calls and gives back all budgets.
    pub(crate) async fn close(&self) {
        self.write_calls().await;
        if let Err(error) = self.quota.close(&self.counting).await {
            tracing::warn!(%error, "budgets were not given back; they count as used");
        }
    }

    /// Writes the API calls that have been counted up to now.
    async fn write_calls(&self) {
        if let Err(error) = self.calls.flush(&self.counting).await {
            tracing::warn!(%error, "API calls were not written; trying again with the next ones");
        }
    }
}
