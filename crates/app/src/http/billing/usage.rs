//! The usage of a workspace.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_billing::{PlanError, Usage, UsageError};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::problem::Problem;
use crate::http::support::schema;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(show_usage);
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
