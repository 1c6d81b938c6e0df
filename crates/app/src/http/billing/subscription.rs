//! The subscription of a workspace.

use actix_web::{HttpResponse, get, post, put, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::calendar::Tz;
use tidegate_billing::subscription::{
    CancelAt, NewSubscription, Pending, Refusal, Standing, Status, Subscription, SubscriptionError,
};
use tidegate_billing::{Currency, Interval, Plan};
use tidegate_kernel::StoreError;
use utoipa::ToSchema;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::promo_codes::DiscountView;
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::problem::{CONFLICT, FieldError, INVOICE_OPEN, PLAN_TOO_SMALL, Problem};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(
        scope("/subscription")
            .service(show_subscription)
            .service(buy_subscription)
            .service(change_subscription)
            .service(cancel_subscription)
            .service(pause_subscription)
            .service(resume_subscription),
    );
}

/// A subscription to buy.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuySubscription {
    /// The name of the plan. Its newest version is bought.
    #[validate(length(max = 40))]
    #[schema(example = "starter", max_length = 40)]
    plan: String,
    /// How often the price is due.
    #[schema(value_type = schema::PlanInterval)]
    interval: Interval,
    /// The currency of all invoices (ISO 4217).
    #[schema(value_type = String, example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Currency,
    /// The time zone (IANA) in which periods begin at midnight; UTC if absent.
    #[serde(default)]
    #[validate(length(max = 64))]
    #[schema(example = "Europe/Berlin", max_length = 64)]
    timezone: Option<String>,
    /// Whether it begins with a trial of 14 days. Only the first subscription of a workspace can.
    #[serde(default)]
    trial: bool,
}

/// A change of the subscription.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSubscription {
    /// The name of the new plan.
    #[validate(length(max = 40))]
    #[schema(example = "professional", max_length = 40)]
    plan: String,
    /// How often the new price is due.
    #[schema(value_type = schema::PlanInterval)]
    interval: Interval,
}

/// A cancellation.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelSubscription {
    /// When it takes effect. At once, the rest of what was paid becomes credit.
    #[schema(value_type = schema::CancelAt)]
    at: CancelWhen,
}

/// When a cancellation takes effect.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CancelWhen {
    PeriodEnd,
    Now,
}

/// The subscription of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionView {
    /// The status; `none` if there never was a subscription.
    #[schema(value_type = schema::SubscriptionStatus)]
    status: &'static str,
    /// The plan of the subscription, or the default plan if there is none.
    #[schema(example = "starter")]
    plan: String,
    /// The version of the plan that was bought.
    #[schema(minimum = 1)]
    plan_version: i32,
    /// How often the price is due; null without a subscription.
    #[schema(value_type = Option<schema::PlanInterval>)]
    interval: Option<&'static str>,
    /// The currency (ISO 4217).
    #[schema(value_type = Option<String>, example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Option<&'static str>,
    /// The price of an interval in minor units.
    #[schema(minimum = 0)]
    amount: Option<i64>,
    /// The time zone in which periods begin at midnight.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<&'static str>,
    /// When the current period began; null during a trial.
    period_start: Option<DateTime<Utc>>,
    /// When the next period begins.
    period_end: Option<DateTime<Utc>>,
    /// When the trial ends.
    trial_end: Option<DateTime<Utc>>,
    /// Since when it is past due, suspended, paused or cancelled.
    since: Option<DateTime<Utc>>,
    /// What happens at the end of the period or of the trial.
    pending: Option<PendingView>,
    /// What promo codes take off of the next invoices, in their order.
    discounts: Vec<DiscountView>,
    /// How many invoices are open.
    #[schema(minimum = 0)]
    open_invoices: usize,
}

/// What happens at the end of the period.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingView {
    /// What happens.
    #[schema(value_type = schema::PendingKind)]
    kind: &'static str,
    /// The plan that begins, if another one does.
    #[schema(example = "starter")]
    plan: Option<String>,
    /// The price of the plan that begins, in minor units.
    #[schema(minimum = 0)]
    amount: Option<i64>,
}

impl From<&Pending> for PendingView {
    fn from(pending: &Pending) -> Self {
        match pending {
            Pending::Change(sold) => {
                Self { kind: "change", plan: Some(sold.plan.name.clone()), amount: Some(sold.price.amount) }
            }
            Pending::Cancel => Self { kind: "cancel", plan: None, amount: None },
            Pending::Pause => Self { kind: "pause", plan: None, amount: None },
        }
    }
}

impl SubscriptionView {
    fn none(plan: &Plan) -> Self {
        Self {
            status: "none",
            plan: plan.name.clone(),
            plan_version: plan.version,
            interval: None,
            currency: None,
            amount: None,
            timezone: None,
            period_start: None,
            period_end: None,
            trial_end: None,
            since: None,
            pending: None,
            discounts: Vec::new(),
            open_invoices: 0,
        }
    }

    fn of(subscription: &Subscription) -> Result<Self, Problem> {
        let Subscription { sold, anchor, status, pending, open, .. } = subscription;
        let period = subscription.period().map_err(SubscriptionError::from)?;
        let (trial_end, since) = match status {
            Status::Trialing { ends, .. } => (Some(*ends), None),
            Status::Active => (None, None),
            Status::PastDue { since, .. } | Status::Suspended { since } | Status::Paused { since } => {
                (None, Some(*since))
            }
            Status::Cancelled { at } => (None, Some(*at)),
        };
        Ok(Self {
            status: status.as_str(),
            plan: sold.plan.name.clone(),
            plan_version: sold.plan.version,
            interval: Some(sold.price.interval.as_str()),
            currency: Some(sold.price.currency.code()),
            amount: Some(sold.price.amount),
            timezone: Some(anchor.zone.name()),
            period_start: period.map(|period| period.start),
            period_end: period.map(|period| period.end),
            trial_end,
            since,
            pending: pending.as_ref().map(PendingView::from),
            discounts: Vec::new(),
            open_invoices: open.len(),
        })
    }
}

/// The view of a subscription, with the discounts of the workspace.
fn view(standing: Standing) -> Result<SubscriptionView, Problem> {
    let Standing { subscription, discounts } = standing;
    let discounts = discounts.into_iter().map(DiscountView::from).collect();
    Ok(SubscriptionView { discounts, ..SubscriptionView::of(&subscription)? })
}

/// Get the subscription of a workspace.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
#[get("")]
pub async fn show_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    let subscription = services.billing.subscriptions.get(&scope).await?;
    let discounts = services.billing.promo_codes.redeemed(&scope).await?;
    let shown = match subscription {
        Some(subscription) => view(Standing { subscription, discounts })?,
        None => {
            let plan = services.billing.plans.default_plan().await.map_err(StoreError::from)?;
            let discounts = discounts.into_iter().map(DiscountView::from).collect();
            SubscriptionView { discounts, ..SubscriptionView::none(&plan) }
        }
    };
    Ok(HttpResponse::Ok().json(shown))
}

/// Buy a subscription. The same request again changes nothing. 409 if there is another subscription: change it instead.
///
/// Without a trial the first invoice is issued at once.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    request_body(content = BuySubscription,
        example = json!({ "plan": "professional", "interval": "month", "currency": "EUR", "timezone": "Europe/Berlin" })),
    responses(
        (status = 201, description = "The new subscription", body = SubscriptionView),
        (status = 200, description = "The same subscription as before", body = SubscriptionView)))]
#[put("")]
pub async fn buy_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<BuySubscription>,
) -> Result<HttpResponse, Problem> {
    let zone = body.timezone.as_deref().map_or(Ok(Tz::UTC), str::parse).map_err(|_| {
        let detail = "It is not a time zone of the IANA database, such as Europe/Berlin.";
        Problem::invalid(vec![FieldError::new("/timezone", detail)])
    })?;
    let BuySubscription { plan, interval, currency, trial, .. } = body;
    let new = NewSubscription { plan, interval, currency, zone, trial };
    let (standing, created) = services.billing.subscriptions.buy(&scope, new).await?;
    Ok(if created { HttpResponse::Created() } else { HttpResponse::Ok() }.json(view(standing)?))
}

/// Change the plan or the interval.
///
/// A price that is higher per month takes effect at once: the rest of what was paid is credited, and the rest of the
/// period is charged, by the second. Any other change takes effect at the end of the period. It is refused while the
/// workspace uses more than the new plan allows.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    request_body(content = ChangeSubscription, example = json!({ "plan": "professional", "interval": "month" })),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
#[post("/change")]
pub async fn change_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<ChangeSubscription>,
) -> Result<HttpResponse, Problem> {
    let standing = services.billing.subscriptions.change(&scope, &body.plan, body.interval).await?;
    Ok(HttpResponse::Ok().json(view(standing)?))
}

/// Cancel the subscription. No data is deleted; the default plan counts afterwards.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    request_body(content = CancelSubscription, example = json!({ "at": "period_end" })),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
#[post("/cancel")]
pub async fn cancel_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<CancelSubscription>,
) -> Result<HttpResponse, Problem> {
    let at = match body.at {
        CancelWhen::PeriodEnd => CancelAt::PeriodEnd,
        CancelWhen::Now => CancelAt::Now,
    };
    let standing = services.billing.subscriptions.cancel(&scope, at).await?;
    Ok(HttpResponse::Ok().json(view(standing)?))
}

/// Pause the subscription at the end of the current period.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
#[post("/pause")]
pub async fn pause_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    let standing = services.billing.subscriptions.pause(&scope).await?;
    Ok(HttpResponse::Ok().json(view(standing)?))
}

/// Take back a pause or a pending cancellation. After a pause a new period begins.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
#[post("/resume")]
pub async fn resume_subscription(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    let standing = services.billing.subscriptions.resume(&scope).await?;
    Ok(HttpResponse::Ok().json(view(standing)?))
}

impl From<SubscriptionError> for Problem {
    fn from(error: SubscriptionError) -> Self {
        let text = error.to_string();
        let at = |pointer: &str| Self::invalid(vec![FieldError::new(pointer, text.clone())]);
        match error {
            SubscriptionError::Forbidden(error) => error.into(),
            SubscriptionError::NotFound => Self::not_found(),
            SubscriptionError::UnknownPlan(_) => at("/plan"),
            SubscriptionError::NotSold => at("/interval"),
            SubscriptionError::TrialUsed => at("/trial"),
            SubscriptionError::WrongAmount { .. } => at("/amount"),
            SubscriptionError::CreditNote(_) => at("/amount"),
            SubscriptionError::Exists
            | SubscriptionError::NotOpen
            | SubscriptionError::NotPaid
            | SubscriptionError::Erased => Self::new(&CONFLICT, text),
            SubscriptionError::Refused(refusal) => match refusal {
                Refusal::InvoiceOpen => Self::new(&INVOICE_OPEN, text),
                Refusal::TooMuchUsed(_) => Self::new(&PLAN_TOO_SMALL, text),
                _ => Self::new(&CONFLICT, text),
            },
            SubscriptionError::Store(error) => error.into(),
        }
    }
}
