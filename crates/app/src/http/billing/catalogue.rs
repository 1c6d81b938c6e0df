//! The catalogue of plans, for operators: drafts, publication, retirement.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use tidegate_billing::{EditPlanError, Plan, PlanRecord, PlanVersion};
use utoipa_actix_web::service_config::ServiceConfig;

use super::plan_bodies::{NewPlanVersion, PlanVersionView, ReplacePlanVersion, prices};
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Operator;
use crate::http::support::cursor::List;
use crate::http::support::path::{InPath, PlanName, VersionNumber};
use crate::http::support::problem::{CONFLICT, FieldError, Problem};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::revision;

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config
        .service(list_plan_versions)
        .service(create_plan_version)
        .service(show_plan_version)
        .service(replace_plan_version)
        .service(delete_plan_version)
        .service(publish_plan_version)
        .service(retire_plan_version);
}

fn answer(record: PlanRecord) -> HttpResponse {
    HttpResponse::Ok().append_header(revision::etag(record.revision)).json(PlanVersionView::from(record))
}

fn version(plan: InPath<PlanName>, version: InPath<VersionNumber>) -> Result<PlanVersion, Problem> {
    Ok(PlanVersion { name: plan.or_not_found()?.0, version: version.or_not_found()?.0 })
}

/// List all versions of all plans, by name and version. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Versions of plans", body = List<PlanVersionView>)))]
#[get("/plans")]
pub async fn list_plan_versions(
    services: web::Data<Services>,
    // The query comes first, so that every caller hears of a bad one.
    Query(query): Query<PageQuery>,
    Operator(operator): Operator,
) -> Result<HttpResponse, Problem> {
    let binding = ("monitoring", "plans");
    let after: Option<PlanVersion> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.editor.list(&operator, after.as_ref(), page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(PlanVersionView::from), &binding)))
}

/// Create a version of a plan, as a draft. For operators.
///
/// 409 if the number is not higher than that of every other version of the plan.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = NewPlanVersion, example = json!({
        "name": "team", "title": "Team", "prices": [{ "interval": "month", "currency": "EUR", "amount": 4900 }],
        "entitlements": {
            "features": { "custom_roles": true, "audit_export": false, "network_policy": false, "single_sign_on": false },
            "storage_bytes": 20_000_000_000_i64, "file_bytes": 100_000_000, "workflows": 50, "api_calls_per_day": 2000,
            "requests_per_minute": null, "members": 5, "concurrent_runs": null,
            "events_per_month": { "included": 100_000, "overage": { "per": 1000, "amounts": { "EUR": 40 } } },
            "runs_per_month": { "included": null, "overage": null },
            "steps_per_month": { "included": null, "overage": null } } })),
    responses((status = 201, description = "The draft", body = PlanVersionView)))]
#[post("/plans")]
pub async fn create_plan_version(
    services: web::Data<Services>,
    Operator(operator): Operator,
    Body(body): Body<NewPlanVersion>,
) -> Result<HttpResponse, Problem> {
    let NewPlanVersion { name, version, title, prices: bodies, entitlements } = body;
    let entitlements = entitlements.into();
    let plan = Plan { name, version: version.unwrap_or(0), title, prices: prices(bodies), entitlements };
    let draft = services.billing.editor.create(&operator, plan).await?;
    let (name, tag) = revision::etag(draft.revision);
    Ok(HttpResponse::Created().append_header((name, tag)).json(PlanVersionView::from(draft)))
}

/// Get a version of a plan. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "The version", body = PlanVersionView)))]
#[get("/plans/{plan}/versions/{version}")]
pub async fn show_plan_version(
    services: web::Data<Services>,
    Operator(operator): Operator,
    plan: InPath<PlanName>,
    number: InPath<VersionNumber>,
) -> Result<HttpResponse, Problem> {
    Ok(answer(services.billing.editor.find(&operator, &version(plan, number)?).await?))
}

/// Replace a draft. For operators.
///
/// 409 if the version was published: it never changes.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    params(("If-Match" = String, Header, description = "The `ETag` that was read, or `*`", example = "*")),
    request_body(content = ReplacePlanVersion, example = json!({
        "title": "Team", "prices": [],
        "entitlements": {
            "features": { "custom_roles": true, "audit_export": true, "network_policy": false, "single_sign_on": false },
            "storage_bytes": null, "file_bytes": null, "workflows": null, "api_calls_per_day": null,
            "requests_per_minute": null, "members": null, "concurrent_runs": 10,
            "events_per_month": { "included": 5000, "overage": null },
            "runs_per_month": { "included": null, "overage": null },
            "steps_per_month": { "included": null, "overage": null } } })),
    responses((status = 200, description = "The draft", body = PlanVersionView)))]
#[put("/plans/{plan}/versions/{version}")]
pub async fn replace_plan_version(
    services: web::Data<Services>,
    request: HttpRequest,
    Operator(operator): Operator,
    plan: InPath<PlanName>,
    number: InPath<VersionNumber>,
    Body(body): Body<ReplacePlanVersion>,
) -> Result<HttpResponse, Problem> {
    let id = version(plan, number)?;
    let expected = revision::seen(revision::required(&request)?);
    let ReplacePlanVersion { title, prices: bodies, entitlements } = body;
    let PlanVersion { name, version } = id;
    let plan = Plan { name, version, title, prices: prices(bodies), entitlements: entitlements.into() };
    Ok(answer(services.billing.editor.replace(&operator, plan, expected.as_deref()).await?))
}

/// Delete a draft. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 204, description = "It is gone")))]
#[delete("/plans/{plan}/versions/{version}")]
pub async fn delete_plan_version(
    services: web::Data<Services>,
    request: HttpRequest,
    Operator(operator): Operator,
    plan: InPath<PlanName>,
    number: InPath<VersionNumber>,
) -> Result<HttpResponse, Problem> {
    let expected = revision::seen(revision::optional(&request));
    services.billing.editor.delete(&operator, &version(plan, number)?, expected.as_deref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Publish a draft. It is sold from then on, on all servers within 10 seconds. For operators.
///
/// Send `If-Match` to publish exactly what you have read. 409 if it was published before, or a newer version was.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "The published version", body = PlanVersionView)))]
#[post("/plans/{plan}/versions/{version}/publish")]
pub async fn publish_plan_version(
    services: web::Data<Services>,
    request: HttpRequest,
    Operator(operator): Operator,
    plan: InPath<PlanName>,
    number: InPath<VersionNumber>,
) -> Result<HttpResponse, Problem> {
    let expected = revision::seen(revision::optional(&request));
    Ok(answer(services.billing.editor.publish(&operator, &version(plan, number)?, expected.as_deref()).await?))
}

/// Retire a published version. It is not sold any more; who has it keeps it. For operators.
///
/// If an older version of the plan is published, that one is sold again. 409 if it is the last published version of the
/// default plan.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "The retired version", body = PlanVersionView)))]
#[post("/plans/{plan}/versions/{version}/retire")]
pub async fn retire_plan_version(
    services: web::Data<Services>,
    Operator(operator): Operator,
    plan: InPath<PlanName>,
    number: InPath<VersionNumber>,
) -> Result<HttpResponse, Problem> {
    Ok(answer(services.billing.editor.retire(&operator, &version(plan, number)?).await?))
}

impl From<EditPlanError> for Problem {
    fn from(error: EditPlanError) -> Self {
        let text = error.to_string();
        match error {
            EditPlanError::NotFound => Self::not_found(),
            EditPlanError::Invalid(faults) => {
                Self::invalid(faults.into_iter().map(|fault| FieldError::new(fault.pointer, fault.reason)).collect())
            }
            EditPlanError::VersionTaken(_)
            | EditPlanError::NotDraft(_)
            | EditPlanError::NotPublished(_)
            | EditPlanError::Outdated(_)
            | EditPlanError::DefaultPlan => Self::new(&CONFLICT, text),
            EditPlanError::Stale(revision) => revision::stale(revision),
            EditPlanError::Store(error) => error.into(),
        }
    }
}
