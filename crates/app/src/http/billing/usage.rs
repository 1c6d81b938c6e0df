//! The usage of a workspace.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::{PlanError, Usage, UsageError, UsageQuery};
use tidegate_kernel::{Meter, Period};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, invalid};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
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
    /// The limit of the plan in the current period; null if there is none, or for another period.
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

/// Which usage is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UsageParameters {
    /// Only these meters; may be repeated. Default: all.
    #[serde(default)]
    #[param(value_type = Vec<schema::Meter>)]
    meter: Vec<String>,
    /// A calendar month in UTC, as `2026-11`. Default: the current period of each meter.
    #[param(inline, required = false, value_type = schema::Month)]
    month: Option<String>,
    /// `day`: a line for each day of the month with usage. Default: a line for each meter.
    #[param(inline, required = false, value_type = schema::UsageStep)]
    by: Option<String>,
}

impl UsageParameters {
    fn query(&self) -> Result<UsageQuery, Problem> {
        let meter = |name: &String| {
            let known = Meter::ALL.iter().map(|meter| format!("`{meter}`")).collect::<Vec<_>>().join(", ");
            name.parse::<Meter>().map_err(|_| invalid("meter", format!("`meter` is one of {known}.")))
        };
        let month = |text: &String| {
            Period::month(text).ok_or_else(|| invalid("month", "Write `month` as `2026-11`, a year and a month."))
        };
        let by_day = match self.by.as_deref() {
            None => false,
            Some("day") => true,
            Some(_) => return Err(invalid("by", "`by` is `day`.")),
        };
        Ok(UsageQuery {
            meters: self.meter.iter().map(meter).collect::<Result<_, _>>()?,
            month: self.month.as_ref().map(month).transpose()?,
            by_day,
        })
    }
}

/// Get the usage of a workspace, in the current periods, in a month, or by day.
///
/// A period is a day for API calls and a month for the rest, in UTC. Events, runs and steps are exact; API calls follow
/// within a second. Stored bytes, workflows and members are levels: they are shown as they are now, and have no past.
/// Stored bytes include deleted files until they are purged. The limit is null if there is none, or if the line is not
/// about the current period of its meter.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(UsageParameters),
    responses((status = 200, description = "One line per meter, or per meter and day", body = Vec<UsageView>)))]
#[get("/usage")]
pub async fn show_usage(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(parameters): Query<UsageParameters>,
) -> Result<HttpResponse, Problem> {
    let usage = services.billing.plans.usage(&scope, &parameters.query()?).await?;
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
