//! Payments: attempts to collect invoices through a payment provider.
//!
//! [`provider`] is the port of a provider. [`service`] has the use cases, and [`charging`] the attempts. [`inbox`] has the
//! notifications of providers. An attempt is prepared and stored before it is charged, and a prepared payment can be
//! charged once. So a crash at any point and a job that runs again give one charge. What the provider says is applied
//! once: a state never goes back.

pub mod charging;
pub mod inbox;
pub mod provider;
pub mod service;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{InvoiceId, JobPayload, PaymentId};

pub use charging::PaymentJobError;
pub use inbox::{EventSubject, PaymentEvent, PaymentEvents, PaymentInbox};
pub use provider::{
    ManualPayments, PaymentMethod, PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, SetUp,
};
pub use service::{PaymentError, Payments};

use crate::money::Currency;
use crate::names::names;

names! {
    /// The state of a payment.
    PaymentState {
        /// It was not charged yet.
        Created = "created";
        /// The provider has not finished it.
        Processing = "processing";
        /// The customer has to confirm it at their bank.
        RequiresAction = "requires_action";
        /// It was cancelled before it was charged.
        Cancelled = "cancelled";
        /// It failed.
        Failed = "failed";
        /// The money has arrived.
        Succeeded = "succeeded";
    }
}

impl PaymentState {
    /// Whether the provider may still change it without a further attempt.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Created | Self::Processing | Self::RequiresAction)
    }

    /// Whether a payment in this state can get into `next`. Answers of the provider may be read in any order, so a state
    /// never goes back. A payment that has failed can still succeed.
    #[must_use]
    pub const fn becomes(self, next: Self) -> bool {
        self.rank() < next.rank()
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Processing => 1,
            Self::RequiresAction => 2,
            Self::Cancelled | Self::Failed => 3,
            Self::Succeeded => 4,
        }
    }
}

/// A payment: one attempt to collect an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The id.
    pub id: PaymentId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The number of the attempt, from 0.
    pub attempt: i32,
    /// The name of the provider.
    pub provider: String,
    /// The provider's id; `None` until it is prepared.
    pub provider_id: Option<String>,
    /// The state.
    pub state: PaymentState,
    /// Minor units of the currency.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
    /// Why it failed: a code of the provider.
    pub failure: Option<String>,
    /// Where the customer confirms it.
    pub action_url: Option<String>,
    /// How much of it became the customer's credit, because the invoice was paid otherwise.
    pub credited: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its state changed last.
    pub changed_at: DateTime<Utc>,
}

/// The payload of the job that charges an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeInvoice {
    /// The invoice.
    pub invoice: InvoiceId,
    /// The number of the attempt. The job does nothing if the attempt has ended.
    pub attempt: i32,
}

impl JobPayload for ChargeInvoice {
    const KIND: &'static str = "invoice.charge";
}

/// The payload of the job that reads the state of a payment from its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowPayment {
    /// The payment.
    pub payment: PaymentId,
    /// How often it was read before.
    pub reads: u32,
}

impl JobPayload for FollowPayment {
    const KIND: &'static str = "payment.follow";
}
