//! Promo codes: those of the seller, and what a workspace has redeemed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::invoice::{Discount, PromoCode, PromoDuration, PromoRedemption};
use tidegate_billing::{PromoCatalogue, PromoRepository};
use tidegate_kernel::StoreError;

use super::currency;
use crate::error::store_error;
use crate::transaction::{Directory, PgTx, Tenant};

#[derive(Debug, FromRow)]
struct CodeRow {
    code: String,
    percent_ppm: Option<i32>,
    amount: Option<i64>,
    currency: Option<String>,
    invoices: Option<i32>,
    max_redemptions: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
    redemptions: i64,
    created_at: DateTime<Utc>,
    deactivated_at: Option<DateTime<Utc>>,
}

#[derive(Debug, FromRow)]
struct RedemptionRow {
    code: String,
    percent_ppm: Option<i32>,
    amount: Option<i64>,
    currency: Option<String>,
    invoices_left: Option<i32>,
    redeemed_at: DateTime<Utc>,
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Box::new(error))
}

fn discount(ppm: Option<i32>, amount: Option<i64>, code: Option<&str>) -> Result<Discount, StoreError> {
    match (ppm, amount, code) {
        (Some(ppm), None, None) => Ok(Discount::Percent(u32::try_from(ppm).map_err(internal)?)),
        (None, Some(amount), Some(code)) => Ok(Discount::Amount(currency(code)?, amount)),
        _ => Err(StoreError::Internal("a promo code takes off a share or an amount".into())),
    }
}

/// The columns of a discount: the share, the amount, the currency.
type DiscountColumns = (Option<i32>, Option<i64>, Option<&'static str>);

fn columns(discount: Discount) -> Result<DiscountColumns, StoreError> {
    Ok(match discount {
        Discount::Percent(ppm) => (Some(i32::try_from(ppm).map_err(internal)?), None, None),
        Discount::Amount(currency, amount) => (None, Some(amount), Some(currency.code())),
    })
}

impl CodeRow {
    fn code(self) -> Result<PromoCode, StoreError> {
        let invoices = self.invoices.map(u32::try_from).transpose().map_err(internal)?;
        Ok(PromoCode {
            discount: discount(self.percent_ppm, self.amount, self.currency.as_deref())?,
            code: self.code,
            duration: invoices.map_or(PromoDuration::Forever, PromoDuration::Invoices),
            max_redemptions: self.max_redemptions,
            expires_at: self.expires_at,
            redemptions: self.redemptions,
            created_at: self.created_at,
            deactivated_at: self.deactivated_at,
        })
    }
}

impl RedemptionRow {
    fn redemption(self) -> Result<PromoRedemption, StoreError> {
        Ok(PromoRedemption {
            discount: discount(self.percent_ppm, self.amount, self.currency.as_deref())?,
            code: self.code,
            left: self.invoices_left.map(u32::try_from).transpose().map_err(internal)?,
            redeemed_at: self.redeemed_at,
        })
    }
}

/// [`PromoCatalogue`] in one transaction.
pub(crate) struct PgPromoCatalogue<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl PromoCatalogue for PgPromoCatalogue<'_> {
    async fn list(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<PromoCode>, StoreError> {
        let query = sqlx::query_as("select * from promo_code where code > $1 order by code limit $2");
        let query = query.bind(after.unwrap_or("")).bind(i64::from(limit));
        let rows: Vec<CodeRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(CodeRow::code).collect()
    }

    async fn find(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError> {
        let query = sqlx::query_as("select * from promo_code where code = $1").bind(code);
        let row: Option<CodeRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(CodeRow::code).transpose()
    }

    async fn insert(&mut self, code: &PromoCode) -> Result<bool, StoreError> {
        let (ppm, amount, currency) = columns(code.discount)?;
        let invoices = match code.duration {
            PromoDuration::Forever => None,
            PromoDuration::Invoices(invoices) => Some(i32::try_from(invoices).map_err(internal)?),
        };
        let query = sqlx::query(
            "insert into promo_code (code, percent_ppm, amount, currency, invoices, max_redemptions, expires_at,
                 redemptions, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        );
        let query = query
            .bind(&code.code)
            .bind(ppm)
            .bind(amount)
            .bind(currency)
            .bind(invoices)
            .bind(code.max_redemptions)
            .bind(code.expires_at)
            .bind(code.redemptions)
            .bind(code.created_at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn deactivate(&mut self, code: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        let query = sqlx::query("update promo_code set deactivated_at = $2 where code = $1 and deactivated_at is null");
        query.bind(code).bind(at).execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

/// [`PromoRepository`] in one transaction.
pub(crate) struct PgPromoRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl PromoRepository for PgPromoRepository<'_> {
    async fn lock(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError> {
        let query = sqlx::query_as("select * from promo_code where code = $1 for update").bind(code);
        let row: Option<CodeRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(CodeRow::code).transpose()
    }

    async fn save(&mut self, code: &PromoCode) -> Result<(), StoreError> {
        let query = sqlx::query("update promo_code set redemptions = $2 where code = $1");
        query.bind(&code.code).bind(code.redemptions).execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn add(&mut self, redemption: &PromoRedemption) -> Result<bool, StoreError> {
        let (ppm, amount, currency) = columns(redemption.discount)?;
        let query = sqlx::query(
            "insert into promo_redemption (workspace_id, code, percent_ppm, amount, currency, invoices_left, redeemed_at)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(&redemption.code)
            .bind(ppm)
            .bind(amount)
            .bind(currency)
            .bind(redemption.left.map(i32::try_from).transpose().map_err(internal)?)
            .bind(redemption.redeemed_at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn redeemed(&mut self) -> Result<Vec<PromoRedemption>, StoreError> {
        let query = sqlx::query_as(
            "select code, percent_ppm, amount, currency, invoices_left, redeemed_at from promo_redemption
             where workspace_id = $1 and invoices_left is distinct from 0 order by redeemed_at, code",
        );
        let query = query.bind(self.0.workspace().as_uuid());
        let rows: Vec<RedemptionRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(RedemptionRow::redemption).collect()
    }

    async fn use_up(&mut self, codes: &[&str]) -> Result<(), StoreError> {
        let query = sqlx::query(
            "update promo_redemption set invoices_left = invoices_left - 1
             where workspace_id = $1 and code = any ($2) and invoices_left > 0",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(codes);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}
