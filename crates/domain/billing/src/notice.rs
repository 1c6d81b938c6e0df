//! Notices: what the owners of a workspace are told about its subscription and its invoices, by mail.

use serde::{Deserialize, Serialize};
use tidegate_kernel::JobPayload;
use uuid::Uuid;

/// What the owners are told. Amounts and days are texts that every language reads: `22.61 EUR` and `2026-01-31`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum OwnerNotice {
    /// The trial ends soon.
    TrialEnds {
        /// The title of the plan.
        plan: String,
        /// The price of the first period.
        price: String,
        /// The day on which the first period begins.
        ends: String,
    },
    /// An invoice was issued, and something is to be paid.
    InvoiceIssued {
        /// The number of the invoice.
        number: String,
        /// What is to be paid.
        amount: String,
        /// The day on which payment is due.
        due: String,
    },
    /// A payment failed or is late.
    PaymentLate {
        /// What is to be paid.
        amount: String,
        /// How often the owners were told of it before.
        reminder: u8,
        /// The day on which the subscription is suspended.
        suspended: String,
    },
    /// The customer has to confirm a payment at their bank.
    PaymentAction {
        /// The number of the invoice.
        number: String,
        /// What is to be paid.
        amount: String,
        /// The page on which the payment is confirmed.
        url: String,
    },
    /// The subscription is suspended.
    Suspended {
        /// What is to be paid.
        amount: String,
    },
    /// An invoice was paid.
    PaymentReceived {
        /// The number of the invoice.
        number: String,
        /// What was paid.
        amount: String,
    },
    /// The subscription has ended.
    Ended {
        /// The title of the plan.
        plan: String,
    },
}

/// The payload of the job that tells the owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendNotice {
    /// The id of the notice. The owners are told of each once.
    pub id: Uuid,
    /// What they are told.
    #[serde(flatten)]
    pub notice: OwnerNotice,
}

impl JobPayload for SendNotice {
    const KIND: &'static str = "subscription.notify";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_reads_back() {
        let notice = OwnerNotice::PaymentLate { amount: "1 EUR".into(), reminder: 2, suspended: "2026-01-31".into() };
        let payload = SendNotice { id: Uuid::from_u128(7), notice };
        let text = serde_json::to_string(&payload).unwrap();
        assert!(text.contains("\"notice\":\"payment_late\""), "{text}");
        assert_eq!(serde_json::from_str::<SendNotice>(&text).unwrap(), payload);
    }
}
