//! Use cases of promo codes: operators make and deactivate them, customers redeem them.

use std::sync::Arc;

use chrono::SubsecRound;
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, OperatorScope, Page, PageSize, Permission, StoreError, SystemScope, UnitOfWork,
    WorkspaceScope,
};

use super::promo::{PromoCode, PromoError, PromoRedemption};
use crate::ports::{BillingTx, CatalogueTx};
use crate::service::Billing;

/// Why an act on a promo code is refused. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum PromoCodeError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such promo code.
    #[error("there is no such promo code")]
    NotFound,
    /// The promo code contradicts itself, or cannot be redeemed.
    #[error(transparent)]
    Refused(#[from] PromoError),
    /// There is a promo code with this text.
    #[error("there is a promo code with this text")]
    Exists,
    /// The workspace has redeemed it.
    #[error("the workspace has redeemed this promo code")]
    Redeemed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The promo codes of the seller, and what workspaces have redeemed.
#[derive(Clone)]
pub struct PromoCodes {
    tenants: Arc<dyn UnitOfWork<dyn BillingTx>>,
    catalogue: Arc<dyn UnitOfWork<dyn CatalogueTx, SystemScope>>,
    system: Arc<SystemScope>,
    billing: Billing,
    env: Environment,
}

impl std::fmt::Debug for PromoCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromoCodes").finish_non_exhaustive()
    }
}

impl PromoCodes {
    /// The use cases over a store.
    #[must_use]
    pub fn new<S>(store: Arc<S>, system: SystemScope, billing: Billing, env: Environment) -> Self
    where
        S: UnitOfWork<dyn BillingTx> + UnitOfWork<dyn CatalogueTx, SystemScope> + 'static,
    {
        Self { tenants: store.clone(), catalogue: store, system: Arc::new(system), billing, env }
    }

    /// Creates a promo code.
    ///
    /// # Errors
    /// [`PromoCodeError`] if it contradicts itself, or there is one with its text.
    pub async fn create(&self, operator: &OperatorScope, code: PromoCode) -> Result<PromoCode, PromoCodeError> {
        code.check()?;
        let mut tx = self.catalogue.begin(&self.system).await?;
        if !tx.promo_codes().insert(&code).await? {
            return Err(PromoCodeError::Exists);
        }
        self.finish(tx, operator, "promo_code.created", &code.code).await?;
        Ok(code)
    }

    /// The promo codes, in the order of their texts.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    pub async fn list(
        &self,
        _operator: &OperatorScope,
        after: Option<&str>,
        size: PageSize,
    ) -> Result<Page<PromoCode, String>, StoreError> {
        let mut tx = self.catalogue.begin(&self.system).await?;
        let rows = tx.promo_codes().list(after, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |code| code.code.clone()))
    }

    /// From now on nobody can redeem the code. Who has redeemed it keeps the discount. If it was deactivated before,
    /// nothing changes.
    ///
    /// # Errors
    /// [`PromoCodeError::NotFound`] if there is no such code.
    pub async fn deactivate(&self, operator: &OperatorScope, code: &str) -> Result<PromoCode, PromoCodeError> {
        let now = self.env.now().trunc_subsecs(6);
        let mut tx = self.catalogue.begin(&self.system).await?;
        tx.promo_codes().deactivate(code, now).await?;
        let found = tx.promo_codes().find(code).await?.ok_or(PromoCodeError::NotFound)?;
        self.finish(tx, operator, "promo_code.deactivated", code).await?;
        Ok(found)
    }

    async fn finish(
        &self,
        mut tx: Box<dyn CatalogueTx>,
        operator: &OperatorScope,
        action: &'static str,
        code: &str,
    ) -> Result<(), StoreError> {
        let details = json!({ "code": code });
        tx.operations().record(operator.user(), action, &details, operator.request_id()).await?;
        tx.commit().await
    }

    /// Redeems a code for the workspace: it takes off from the next invoices.
    ///
    /// # Errors
    /// [`PromoCodeError`] says why not.
    pub async fn redeem(&self, scope: &WorkspaceScope, code: &str) -> Result<Vec<PromoRedemption>, PromoCodeError> {
        scope.require(Permission::BillingWrite)?;
        let default = self.billing.default_plan().await.map_err(StoreError::from)?.id();
        let now = self.env.now().trunc_subsecs(6);
        let mut tx = self.tenants.begin(scope).await?;
        tx.plan().plan_or(&default, now).await?;
        // The lock of the subscription comes first, as with invoices.
        let subscription = tx.subscription().lock().await?.filter(|subscription| !subscription.is_over());
        let mut promo = tx.promos().lock(code).await?.ok_or(PromoCodeError::NotFound)?;
        if !tx.promos().add(&promo.redemption(now)).await? {
            return Err(PromoCodeError::Redeemed);
        }
        promo.redeem(now, subscription.map(|subscription| subscription.sold.price.currency))?;
        tx.promos().save(&promo).await?;
        let redeemed = tx.promos().redeemed().await?;
        tx.audit().record(AuditEntry::new("promo_code.redeemed", code)).await?;
        tx.commit().await?;
        Ok(redeemed)
    }

    /// What the workspace has redeemed and has not used up, in the order in which it takes off.
    ///
    /// # Errors
    /// [`PromoCodeError`] without `billing:read`, or if it could not be read.
    pub async fn redeemed(&self, scope: &WorkspaceScope) -> Result<Vec<PromoRedemption>, PromoCodeError> {
        scope.require(Permission::BillingRead)?;
        Ok(self.tenants.begin(scope).await?.promos().redeemed().await?)
    }
}
