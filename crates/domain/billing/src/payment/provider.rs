//! The port of a payment provider, and the provider of installations that take bank transfers only.

use async_trait::async_trait;
use tidegate_kernel::{InvoiceId, PaymentId, WorkspaceId};

use super::PaymentState;
use crate::money::Currency;

/// A payment to prepare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRequest {
    /// The payment.
    pub payment: PaymentId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The number of the attempt.
    pub attempt: i32,
    /// The number of the invoice, as the provider shows it to the seller.
    pub number: String,
    /// The provider's customer.
    pub customer: String,
    /// Minor units of the currency.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

impl PaymentRequest {
    /// The idempotency key: the same for the same attempt at the same invoice.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.invoice, self.attempt)
    }
}

/// What the provider says about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPayment {
    /// The state.
    pub state: PaymentState,
    /// Why it failed: a code of the provider.
    pub failure: Option<String>,
    /// Where the customer confirms it.
    pub action_url: Option<String>,
}

/// A page on which the customer enters a payment method.
#[derive(Clone, PartialEq, Eq)]
pub struct SetUp {
    /// The address. Whoever has it can enter a payment method.
    pub url: String,
}

impl std::fmt::Debug for SetUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetUp").finish_non_exhaustive()
    }
}

/// A payment method of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMethod {
    /// The provider's id.
    pub id: String,
    /// What it is, such as `card`.
    pub kind: String,
    /// The brand of a card.
    pub brand: Option<String>,
    /// Its last digits.
    pub last4: Option<String>,
    /// The year and the month in which a card expires.
    pub expires: Option<(i32, u32)>,
}

/// Why a provider did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached or did not answer. It is unknown whether it did it; asking again is safe.
    #[error("the payment provider is not available: {0}")]
    Unavailable(String),
    /// It refused. Asking again gives the same answer.
    #[error("the payment provider refused: {0}")]
    Refused(String),
    /// This provider cannot do it.
    #[error("this installation takes bank transfers only")]
    Unsupported,
}

/// A provider that collects payments.
///
/// Every method may be called again after a lost answer, and MUST then have had its effect once.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// The name in the store. It MUST never change.
    fn name(&self) -> &'static str;

    /// Whether it collects payments. If not, every other method is [`ProviderError::Unsupported`].
    fn collects(&self) -> bool;

    /// Creates the provider's customer for a workspace, and returns its id. MUST return the same id again for at least
    /// some hours.
    ///
    /// # Errors
    /// [`ProviderError`] if there may be no customer.
    async fn customer(&self, workspace: WorkspaceId) -> Result<String, ProviderError>;

    /// Begins the set-up of a payment method. MUST NOT charge anything.
    ///
    /// # Errors
    /// [`ProviderError`] if the customer cannot enter one.
    async fn set_up(&self, customer: &str) -> Result<SetUp, ProviderError>;

    /// The payment method that is charged: the newest one; `None` if there is none.
    ///
    /// # Errors
    /// [`ProviderError`] if it could not be read.
    async fn method(&self, customer: &str) -> Result<Option<PaymentMethod>, ProviderError>;

    /// Removes all payment methods. MUST succeed if there is none.
    ///
    /// # Errors
    /// [`ProviderError`] if some may be left.
    async fn remove_methods(&self, customer: &str) -> Result<(), ProviderError>;

    /// Prepares a payment, and returns the provider's id. MUST NOT charge it. MUST return the same id again for the same
    /// [`PaymentRequest::key`] for at least some hours.
    ///
    /// # Errors
    /// [`ProviderError`] if it may not be prepared.
    async fn prepare(&self, request: &PaymentRequest) -> Result<String, ProviderError>;

    /// Charges a prepared payment without the customer. MUST charge a payment at most once, however often and by however
    /// many callers it is called. If the bank wants the customer to confirm, MUST return
    /// [`PaymentState::RequiresAction`] with the address of the page. A declined payment is no error.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] if it may have been charged.
    async fn charge(&self, payment: &str, method: &str, key: &str) -> Result<ProviderPayment, ProviderError>;

    /// The present state of a payment.
    ///
    /// # Errors
    /// [`ProviderError`] if it could not be read.
    async fn payment(&self, payment: &str) -> Result<ProviderPayment, ProviderError>;

    /// Cancels a payment, and returns its present state: another one than [`PaymentState::Cancelled`] if it has ended
    /// before or cannot be cancelled any more.
    ///
    /// # Errors
    /// [`ProviderError`] if its state is unknown.
    async fn cancel(&self, payment: &str) -> Result<ProviderPayment, ProviderError>;
}

/// The provider of installations that take bank transfers only. It charges nothing: an operator records the payments.
#[derive(Debug, Clone, Copy, Default)]
pub struct ManualPayments;

#[async_trait]
impl PaymentProvider for ManualPayments {
    fn name(&self) -> &'static str {
        "manual"
    }

    fn collects(&self) -> bool {
        false
    }

    async fn customer(&self, _: WorkspaceId) -> Result<String, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn set_up(&self, _: &str) -> Result<SetUp, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn method(&self, _: &str) -> Result<Option<PaymentMethod>, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn remove_methods(&self, _: &str) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn prepare(&self, _: &PaymentRequest) -> Result<String, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn charge(&self, _: &str, _: &str, _: &str) -> Result<ProviderPayment, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn payment(&self, _: &str) -> Result<ProviderPayment, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn cancel(&self, _: &str) -> Result<ProviderPayment, ProviderError> {
        Err(ProviderError::Unsupported)
    }
}
