//! Plans, and what a workspace has used.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_billing::{Entitlements, Interval, Plan, PlanError, Usage, UsageError};
use tidegate_kernel::Page;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::problem::Problem;
use crate::http::support::schema;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list_plans).service(show_usage);
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// Its name, which is what a plan is chosen by.
    #[schema(example = "free")]
    name: String,
    /// Counts up with every change; whoever has a version keeps it.
    #[schema(minimum = 1)]
    version: i32,
    /// What people read.
    title: String,
    /// The price of one interval.
    price: PriceView,
    /// How often the price is paid.
    #[schema(value_type = schema::PlanInterval)]
    interval: &'static str,
    /// What it allows; null means any number.
    entitlements: EntitlementsView,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceView {
    /// Minor units of the currency, such as cents.
    amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// What a plan allows; null means any number.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntitlementsView {
    /// Bytes of uploaded files.
    storage_bytes: Option<i64>,
    /// Events added per month.
    events_per_month: Option<i64>,
    /// Workflows at a time.
    workflows: Option<i64>,
    /// Runs started per month.
    runs_per_month: Option<i64>,
    /// Steps per month.
    steps_per_month: Option<i64>,
    /// Requests per day.
    api_calls_per_day: Option<i64>,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        let Entitlements {
            storage_bytes,
            events_per_month,
            workflows,
            runs_per_month,
            steps_per_month,
            api_calls_per_day,
        } = plan.entitlements;
        Self {
            name: plan.name.clone(),
            version: plan.version,
            title: plan.title.clone(),
            price: PriceView { amount: plan.price.amount, currency: plan.price.currency.clone() },
            interval: match plan.interval {
                Interval::Month => "month",
                Interval::Year => "year",
            },
            entitlements: EntitlementsView {
                storage_bytes,
                events_per_month,
                workflows,
                runs_per_month,
                steps_per_month,
                api_calls_per_day,
            },
        }
    }
}

/// What was used of one meter in the current period.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// What is counted; more may come.
    #[schema(value_type = schema::Meter)]
    meter: &'static str,
    /// How much.
    #[schema(minimum = 0)]
    used: i64,
    /// What the plan allows; null means any number.
    #[schema(minimum = 0)]
    limit: Option<i64>,
    /// When the period began.
    period_start: DateTime<Utc>,
    /// When the next one begins.
    period_end: DateTime<Utc>,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            meter: usage.meter.as_str(),
            used: usage.used,
            limit: usage.limit,
            period_start: usage.period.start,
            period_end: usage.period.end,
        }
    }
}

/// The plans that there are, in their newest versions.
#[utoipa::path(tag = "billing", responses((status = 200, description = "Plans", body = List<PlanView>)))]
#[get("/plans")]
pub async fn list_plans(services: web::Data<Services>) -> HttpResponse {
    let items = services.billing.plans.plans().map(PlanView::from).collect();
    HttpResponse::Ok().json(services.cursors.list(Page { items, next: None::<()> }, &"plans"))
}

/// What a workspace has used in the current periods: days for API calls, months for the rest, in UTC.
///
/// Events, runs and steps are exact; API calls follow within a second.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "One line per meter", body = Vec<UsageView>)))]
#[get("/workspaces/{ws}/usage")]
pub async fn show_usage(services: web::Data<Services>, Entered(scope): Entered) -> Result<HttpResponse, Problem> {
    let usage = services.billing.plans.usage(&scope).await?;
    Ok(HttpResponse::Ok().json(usage.into_iter().map(UsageView::from).collect::<Vec<_>>()))
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::Forbidden(error) => error.into(),
            UsageError::Plan(PlanError::Store(error)) | UsageError::Store(error) => error.into(),
            UsageError::Plan(error @ PlanError::Unknown(_)) => {
                tracing::error!(%error, "the plan of a workspace is not in the catalogue");
                Self::internal()
            }
        }
    }
}
