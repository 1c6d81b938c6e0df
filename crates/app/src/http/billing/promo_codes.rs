//! Promo codes: operators make them, customers redeem them.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::Currency;
use tidegate_billing::invoice::{Discount, PromoCode, PromoCodeError, PromoDuration, PromoError, PromoRedemption};
use tidegate_kernel::Permission;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Entered, Operator};
use crate::http::support::cursor::List;
use crate::http::support::path::{InPath, PromoCodeText};
use crate::http::support::problem::{CONFLICT, FieldError, Problem};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::rate;
use crate::tenancy::limits::PROMO_CODES;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(redeem_promo_code);
}

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(list_promo_codes).service(create_promo_code).service(deactivate_promo_code);
}

/// A new promo code. It takes off a share (`percent_ppm`) or an amount (`amount` and `currency`).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPromoCode {
    /// What a customer enters. Capital and small letters are the same.
    #[validate(length(max = 40, message = "a promo code has 6 to 40 letters, digits and dashes"))]
    #[schema(example = "SPRING-2027", min_length = 6, max_length = 40)]
    code: String,
    /// The share that it takes off, in parts per million: 250000 is 25 %.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    percent_ppm: Option<u32>,
    /// The amount that it takes off of each invoice, in minor units. What an invoice does not use up is lost.
    #[serde(default)]
    #[schema(minimum = 1)]
    amount: Option<i64>,
    /// The currency of the amount (ISO 4217).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Option<Currency>,
    /// For how many invoices it counts; null for all.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 1, max = 1200))]
    #[schema(minimum = 1, maximum = 1200, required = true)]
    invoices: Option<u32>,
    /// How many workspaces can redeem it; null or absent for any number.
    #[serde(default)]
    #[validate(range(min = 1))]
    #[schema(minimum = 1)]
    max_redemptions: Option<i64>,
    /// When it expires; null or absent for never. Who has redeemed it keeps the discount.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// A promo code, for operators.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromoCodeView {
    /// What a customer enters.
    #[schema(example = "SPRING-2027", pattern = "^[A-Z0-9-]{6,40}$")]
    code: String,
    /// The share that it takes off, in parts per million; null if it takes off an amount.
    #[schema(minimum = 1, maximum = 1_000_000)]
    percent_ppm: Option<u32>,
    /// The amount that it takes off, in minor units.
    #[schema(minimum = 1)]
    amount: Option<i64>,
    /// The currency of the amount.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Option<&'static str>,
    /// For how many invoices it counts; null for all.
    #[schema(minimum = 1)]
    invoices: Option<u32>,
    /// How many workspaces can redeem it; null for any number.
    #[schema(minimum = 1)]
    max_redemptions: Option<i64>,
    /// How many workspaces have redeemed it.
    #[schema(minimum = 0)]
    redemptions: i64,
    /// When it expires.
    expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was deactivated.
    deactivated_at: Option<DateTime<Utc>>,
}

/// A discount of the next invoices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountView {
    /// The promo code.
    #[schema(example = "SPRING-2027", pattern = "^[A-Z0-9-]{6,40}$")]
    code: String,
    /// The share that it takes off, in parts per million; null if it takes off an amount.
    #[schema(minimum = 1, maximum = 1_000_000)]
    percent_ppm: Option<u32>,
    /// The amount that it takes off of each invoice, in minor units.
    #[schema(minimum = 1)]
    amount: Option<i64>,
    /// The currency of the amount.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Option<&'static str>,
    /// For how many more invoices it counts; null for all.
    #[schema(minimum = 1)]
    invoices_left: Option<u32>,
    /// When it was redeemed.
    redeemed_at: DateTime<Utc>,
}

/// A promo code to redeem.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemPromoCode {
    /// The code.
    #[validate(length(max = 100))]
    #[schema(example = "SPRING-2027", min_length = 0, max_length = 100)]
    code: String,
}

/// The discounts of the next invoices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscountsView {
    /// The discounts, in the order in which they take off.
    discounts: Vec<DiscountView>,
}

/// The share, the amount and the currency of a discount.
const fn parts(discount: Discount) -> (Option<u32>, Option<(i64, Currency)>) {
    match discount {
        Discount::Percent(ppm) => (Some(ppm), None),
        Discount::Amount(currency, amount) => (None, Some((amount, currency))),
    }
}

impl From<PromoCode> for PromoCodeView {
    fn from(promo: PromoCode) -> Self {
        let (percent_ppm, amount) = parts(promo.discount);
        Self {
            code: promo.code,
            percent_ppm,
            amount: amount.map(|(amount, _)| amount),
            currency: amount.map(|(_, currency)| currency.code()),
            invoices: match promo.duration {
                PromoDuration::Invoices(invoices) => Some(invoices),
                PromoDuration::Forever => None,
            },
            max_redemptions: promo.max_redemptions,
            redemptions: promo.redemptions,
            expires_at: promo.expires_at,
            created_at: promo.created_at,
            deactivated_at: promo.deactivated_at,
        }
    }
}

impl From<PromoRedemption> for DiscountView {
    fn from(redemption: PromoRedemption) -> Self {
        let (percent_ppm, amount) = parts(redemption.discount);
        Self {
            code: redemption.code,
            percent_ppm,
            amount: amount.map(|(amount, _)| amount),
            currency: amount.map(|(_, currency)| currency.code()),
            invoices_left: redemption.left,
            redeemed_at: redemption.redeemed_at,
        }
    }
}

impl NewPromoCode {
    fn discount(&self) -> Result<Discount, Problem> {
        let wrong = |pointer: &str, detail: &str| Err(Problem::invalid(vec![FieldError::new(pointer, detail)]));
        match (self.percent_ppm, self.amount, self.currency) {
            (Some(ppm), None, None) => Ok(Discount::Percent(ppm)),
            (None, Some(amount), Some(currency)) => Ok(Discount::Amount(currency, amount)),
            (None, Some(_), None) => wrong("/currency", "An amount has a currency."),
            (Some(_), Some(_), _) => wrong("/amount", "A promo code takes off a share or an amount, not both."),
            (_, None, Some(_)) => wrong("/currency", "Only an amount has a currency."),
            (None, None, None) => wrong("/percent_ppm", "Give a share, or an amount with its currency."),
        }
    }
}

/// List the promo codes, in the order of their texts. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Promo codes", body = List<PromoCodeView>)))]
#[get("/promo-codes")]
pub async fn list_promo_codes(
    services: web::Data<Services>,
    // The query comes first, so that every caller hears of a bad one.
    Query(query): Query<PageQuery>,
    Operator(operator): Operator,
) -> Result<HttpResponse, Problem> {
    let binding = ("monitoring", "promo-codes");
    let after: Option<String> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.promo_codes.list(&operator, after.as_deref(), page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(PromoCodeView::from), &binding)))
}

/// Create a promo code. It never changes. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = NewPromoCode,
        example = json!({ "code": "SPRING-2027", "percent_ppm": 250_000, "invoices": 3, "max_redemptions": 100 })),
    responses((status = 201, description = "The promo code", body = PromoCodeView)))]
#[post("/promo-codes")]
pub async fn create_promo_code(
    services: web::Data<Services>,
    Operator(operator): Operator,
    Body(body): Body<NewPromoCode>,
) -> Result<HttpResponse, Problem> {
    let promo = PromoCode {
        code: PromoCode::normalized(&body.code),
        discount: body.discount()?,
        duration: body.invoices.map_or(PromoDuration::Forever, PromoDuration::Invoices),
        max_redemptions: body.max_redemptions,
        expires_at: body.expires_at.map(|at| at.trunc_subsecs(6)),
        redemptions: 0,
        created_at: services.platform.env.now().trunc_subsecs(6),
        deactivated_at: None,
    };
    let promo = services.billing.promo_codes.create(&operator, promo).await?;
    Ok(HttpResponse::Created().json(PromoCodeView::from(promo)))
}

/// Deactivate a promo code: nobody can redeem it any more. Who has redeemed it keeps the discount. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "The promo code", body = PromoCodeView)))]
#[post("/promo-codes/{code}/deactivate")]
pub async fn deactivate_promo_code(
    services: web::Data<Services>,
    Operator(operator): Operator,
    code: InPath<PromoCodeText>,
) -> Result<HttpResponse, Problem> {
    let promo = services.billing.promo_codes.deactivate(&operator, &code.or_not_found()?.0).await?;
    Ok(HttpResponse::Ok().json(PromoCodeView::from(promo)))
}

/// Redeem a promo code. It takes off from the next invoices.
///
/// 409 if the workspace has redeemed it, or it has expired or is used up. Attempts are limited by address and by workspace.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    request_body(content = RedeemPromoCode, example = json!({ "code": "WELCOME" })),
    responses((status = 200, description = "All discounts of the workspace", body = DiscountsView)))]
#[post("/promo-codes/redeem")]
pub async fn redeem_promo_code(
    request: HttpRequest,
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<RedeemPromoCode>,
) -> Result<HttpResponse, Problem> {
    // Who may not redeem does not use up the attempts of those who may.
    scope.require(Permission::BillingWrite)?;
    let counted = rate::count(&request, &services, PROMO_CODES, Some(&scope.workspace().to_string())).await?;
    let code = PromoCode::normalized(&body.code);
    match services.billing.promo_codes.redeem(&scope, &code).await {
        Ok(redeemed) => {
            let discounts = redeemed.into_iter().map(DiscountView::from).collect();
            Ok(counted.on_answer(HttpResponse::Ok().json(DiscountsView { discounts })))
        }
        Err(PromoCodeError::NotFound) => {
            let detail = "There is no such promo code.";
            Err(counted.on(Problem::invalid(vec![FieldError::new("/code", detail)])))
        }
        Err(error) => Err(counted.on(error.into())),
    }
}

impl From<PromoCodeError> for Problem {
    fn from(error: PromoCodeError) -> Self {
        let text = error.to_string();
        let at = |pointer: &str| Self::invalid(vec![FieldError::new(pointer, text.clone())]);
        match error {
            PromoCodeError::Forbidden(error) => error.into(),
            PromoCodeError::NotFound => Self::not_found(),
            PromoCodeError::Exists | PromoCodeError::Redeemed => Self::new(&CONFLICT, text),
            PromoCodeError::Refused(error) => match error {
                PromoError::Text => at("/code"),
                PromoError::Share => at("/percent_ppm"),
                PromoError::Amount => at("/amount"),
                PromoError::Duration => at("/invoices"),
                PromoError::Redemptions => at("/max_redemptions"),
                PromoError::Expired | PromoError::UsedUp | PromoError::Currency => Self::new(&CONFLICT, text),
            },
            PromoCodeError::Store(error) => error.into(),
        }
    }
}
