//! Use cases of payment methods and payments.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, Page, PageSize, PaymentId, Permission, StoreError, UnitOfWork, WorkspaceScope,
};

use super::Payment;
use super::provider::{PaymentMethod, PaymentProvider, ProviderError, SetUp};
use crate::ports::BillingTx;
use crate::subscription::Subscriptions;

/// Why a request about payments is refused.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The payments of workspaces.
#[derive(Clone)]
pub struct Payments {
    pub(super) store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    pub(super) provider: Arc<dyn PaymentProvider>,
    pub(super) subscriptions: Subscriptions,
    pub(super) env: Environment,
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payments").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}

impl Payments {
    /// The use cases over a store and a provider. `subscriptions` are told how payments end.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn BillingTx>>,
        provider: Arc<dyn PaymentProvider>,
        subscriptions: Subscriptions,
        env: Environment,
    ) -> Self {
        Self { store, provider, subscriptions, env }
    }

    /// The name of the provider.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider.name()
    }

    /// The current time with the precision of stores.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.env.now().trunc_subsecs(6)
    }

    /// Begins the set-up of a payment method.
    ///
    /// # Errors
    /// [`PaymentError`] without `billing:write`, or if the provider cannot do it.
    pub async fn set_up(&self, scope: &WorkspaceScope) -> Result<SetUp, PaymentError> {
        scope.require(Permission::BillingWrite)?;
        if !self.provider.collects() {
            return Err(ProviderError::Unsupported.into());
        }
        let customer = match self.customer(scope).await? {
            Some(customer) => customer,
            None => self.provider.customer(scope.workspace()).await?,
        };
        let set_up = self.provider.set_up(&customer).await?;
        let mut tx = self.store.begin(scope).await?;
        tx.payments().insert_customer(self.provider.name(), &customer, self.now()).await?;
        if tx.payments().customer(self.provider.name()).await?.as_deref() != Some(customer.as_str()) {
            // Another request has stored another customer, for whom this page is not.
            return Err(ProviderError::Unavailable("the customer was created twice".to_owned()).into());
        }
        tx.audit().record(AuditEntry::new("payment_method.requested", scope.workspace())).await?;
        tx.commit().await?;
        Ok(set_up)
    }

    /// The payment method that is charged; `None` if there is none.
    ///
    /// # Errors
    /// [`PaymentError`] without `billing:read`, or if it could not be read.
    pub async fn method(&self, scope: &WorkspaceScope) -> Result<Option<PaymentMethod>, PaymentError> {
        scope.require(Permission::BillingRead)?;
        match self.customer(scope).await? {
            Some(customer) if self.provider.collects() => Ok(self.provider.method(&customer).await?),
            _ => Ok(None),
        }
    }

    /// Removes the payment method. Open invoices are to be paid by bank transfer from then on.
    ///
    /// # Errors
    /// [`PaymentError`] without `billing:write`, or if it may not be removed.
    pub async fn remove_method(&self, scope: &WorkspaceScope) -> Result<(), PaymentError> {
        scope.require(Permission::BillingWrite)?;
        if let Some(customer) = self.customer(scope).await?.filter(|_| self.provider.collects()) {
            self.provider.remove_methods(&customer).await?;
        }
        let mut tx = self.store.begin(scope).await?;
        tx.audit().record(AuditEntry::new("payment_method.removed", scope.workspace())).await?;
        Ok(tx.commit().await?)
    }

    /// The payments of the workspace, newest first.
    ///
    /// # Errors
    /// [`PaymentError`] without `billing:read`, or if they could not be read.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        before: Option<PaymentId>,
        size: PageSize,
    ) -> Result<Page<Payment, PaymentId>, PaymentError> {
        scope.require(Permission::BillingRead)?;
        let rows = self.store.begin(scope).await?.payments().list(before, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |payment| payment.id))
    }

    /// The provider's customer for the workspace.
    pub(super) async fn customer(&self, scope: &WorkspaceScope) -> Result<Option<String>, StoreError> {
        self.store.begin(scope).await?.payments().customer(self.provider.name()).await
    }
}
