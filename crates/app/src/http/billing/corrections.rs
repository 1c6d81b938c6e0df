//! Corrections of usage.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::correction::{CorrectionError, NewCorrection, UsageCorrection};
use tidegate_kernel::{Meter, WorkspaceId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Entered, Operator};
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, FieldError, Problem};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(list_corrections);
}

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(correct_usage);
}

/// A correction of usage. It is never changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionView {
    /// The name that the operator gave it.
    #[schema(min_length = 1, max_length = 100)]
    reference: String,
    /// The meter.
    #[schema(value_type = schema::CorrectedMeter)]
    meter: &'static str,
    /// The day in UTC.
    day: NaiveDate,
    /// The units that were to be added; negative to take off.
    asked: i64,
    /// The units that were added or taken off. A day is not corrected below zero.
    amount: i64,
    /// Why.
    reason: String,
    /// When it was made.
    at: DateTime<Utc>,
}

impl From<UsageCorrection> for CorrectionView {
    fn from(correction: UsageCorrection) -> Self {
        Self {
            reference: correction.reference,
            meter: correction.meter.as_str(),
            day: correction.day.date_naive(),
            asked: correction.asked,
            amount: correction.amount,
            reason: correction.reason,
            at: correction.at,
        }
    }
}

/// A correction to make.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectUsage {
    /// A name for it, such as that of an incident. A workspace has one correction of this name.
    #[validate(length(min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100, example = "incident-17")]
    reference: String,
    /// The meter.
    #[schema(value_type = schema::CorrectedMeter, example = "events")]
    meter: String,
    /// The day in UTC, from 2000-01-01 on.
    #[schema(example = "2026-01-05")]
    day: NaiveDate,
    /// The units to add; negative to take off. Not 0.
    #[schema(example = -120)]
    amount: i64,
    /// Why, for the people of the workspace.
    #[validate(length(min = 1, max = 1_000))]
    #[schema(min_length = 1, max_length = 1_000, example = "Events that a fault of ours sent twice")]
    reason: String,
}

/// List the corrections of a workspace's usage, newest first.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Corrections", body = List<CorrectionView>)))]
#[get("/usage/corrections")]
pub async fn list_corrections(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "usage corrections");
    let before: Option<Uuid> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.corrections.list(&scope, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(CorrectionView::from), &binding)))
}

/// Correct the usage of a day.
///
/// The workspace is named by its id. What is taken off is cut to what was counted, and `amount` in the response says what
/// was. Usage that was added to a month whose usage was charged already is charged with the next invoice; what is taken
/// off from such a month is not paid back. Limits go on counting what was counted. 409 if the workspace has a correction
/// with this reference, so one that is sent twice counts once.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = CorrectUsage, example = json!({
        "reference": "incident-17", "meter": "events", "day": "2026-01-05", "amount": 120, "reason": "Not counted before"
    })),
    responses((status = 201, description = "The correction", body = CorrectionView)))]
#[post("/workspaces/{ws}/usage-corrections")]
pub async fn correct_usage(
    services: web::Data<Services>,
    Operator(operator): Operator,
    workspace: InPath<WorkspaceId>,
    Body(body): Body<CorrectUsage>,
) -> Result<HttpResponse, Problem> {
    let workspace = workspace.or_not_found()?;
    let meter: Meter = body.meter.parse().map_err(|_| Problem::from(CorrectionError::Meter))?;
    let new = NewCorrection {
        reference: body.reference,
        meter,
        day: body.day.and_time(NaiveTime::MIN).and_utc(),
        amount: body.amount,
        reason: body.reason,
    };
    let correction = services.billing.corrections.correct(&operator, workspace, new).await?;
    Ok(HttpResponse::Created().json(CorrectionView::from(correction)))
}

impl From<CorrectionError> for Problem {
    fn from(error: CorrectionError) -> Self {
        let text = error.to_string();
        let at = |pointer: &str| Self::invalid(vec![FieldError::new(pointer, text.clone())]);
        match error {
            CorrectionError::Forbidden(error) => error.into(),
            CorrectionError::NotFound => Self::not_found(),
            CorrectionError::Meter => at("/meter"),
            CorrectionError::Day => at("/day"),
            CorrectionError::Nothing => at("/amount"),
            CorrectionError::Exists => Self::new(&CONFLICT, text),
            CorrectionError::Store(error) => error.into(),
        }
    }
}
