//! Plans, and the usage of a workspace.

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
    /// The name by which a plan is chosen.
    #[schema(example = "free")]
    name: String,
    /// Grows with every change of the plan. A workspace keeps the version that it has.
    #[schema(minimum = 1)]
    version: i32,
    /// The title for display.
    title: String,
    /// The price of one interval.
    price: PriceView,
    /// How often the price is paid.
    #[schema(value_type = schema::PlanInterval)]
    interval: &'static str,
    /// The limits of the plan; null means unlimited.
    entitlements: EntitlementsView,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceView {
    /// Minor units of the currency, such as cents.
    amount: i64,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// The limits of a plan; null means unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntitlementsView {
    /// Bytes of uploaded files.
    storage_bytes: Option<i64>,
    /// Events added per month.
    events_per_month: Option<i64>,
    /// Workflows that exist at the same time.
    workflows: Option<i64>,
    /// Runs started per month.
    runs_per_month: Option<i64>,
    /// Steps per month.
    steps_per_month: Option<i64>,
    /// API requests per day.
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

/// The usage of one meter in the current period.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// The meter; more may be added.
    #[schema(value_type = schema::Meter)]
    meter: &'static str,
    /// The amount used.
    #[schema(minimum = 0)]
    used: i64,
    /// The limit of the plan; null means unlimited.
    #[schema(minimum = 0)]
    limit: Option<i64>,
    /// When the period began.
    period_start: DateTime<Utc>,
    /// When the next period begins.
    period_end: DateTime<Utc>,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            meter: usage.meter.as_str(),
            used: usage.used,
            limit: usage.limit.at_most(),
            period_start: usage.period.start,
            period_end: usage.period.end,
        }
    }
}

/// List the plans in their newest versions.
#[utoipa::path(tag = "billing", responses((status = 200, description = "Plans", body = List<PlanView>)))]
#[get("/plans")]
pub async fn list_plans(services: web::Data<Services>) -> HttpResponse {
    let items = services.billing.plans.plans().map(PlanView::from).collect();
    HttpResponse::Ok().json(services.cursors.list(Page { items, next: None::<()> }, &"plans"))
}

/// Get the usage of a workspace in the current periods.
///
/// A period is a day for API calls and a month for the rest, in UTC. Events, runs and steps are exact; API calls follow
/// within a second.
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
