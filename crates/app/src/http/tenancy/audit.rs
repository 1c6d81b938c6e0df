//! The audit log.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_kernel::{Actor, AuditId, ListTag, Page, WorkspaceScope};
use tidegate_tenancy::{AuditError, AuditFilter, AuditRecord};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::lists::ListAnswer;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, invalid, page_size, period, texts};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// Filters of audit entries. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only these actions, such as `workflow.published`.
    #[serde(default)]
    action: Vec<String>,
    /// Only these actors: a person's id, a key's id, or `system`.
    #[serde(default)]
    actor: Vec<String>,
    /// Only these resources, by id.
    #[serde(default)]
    resource: Vec<String>,
    /// Only entries at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    to: Option<DateTime<Utc>>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// The id.
    #[schema(value_type = schema::AuditId)]
    id: AuditId,
    /// When it was done.
    at: DateTime<Utc>,
    /// Who did it.
    actor: ActorView,
    /// The action, as `resource.verb`.
    action: String,
    /// The resource that it was done to.
    resource: String,
    /// What was changed, as far as it is safe to keep.
    details: Value,
    /// The id of the request.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    request_id: String,
}

/// The actor of an audit entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorView {
    /// The kind of actor.
    #[schema(value_type = schema::ActorKind)]
    kind: &'static str,
    /// The person's or the key's id.
    #[schema(pattern = "^(?:usr|key)_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    id: Option<String>,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Person(user) => Self { kind: "person", id: Some(user.to_string()) },
            Actor::ApiKey(key) => Self { kind: "api_key", id: Some(key.to_string()) },
            Actor::System => Self { kind: "system", id: None },
        }
    }
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: AuditId::from_uuid(record.id),
            at: record.at,
            actor: record.actor.into(),
            action: record.action,
            resource: record.resource,
            details: record.details,
            request_id: record.request_id,
        }
    }
}

fn actor(text: &str) -> Result<Actor, Problem> {
    let person = || text.parse().map(Actor::Person).ok();
    let key = || text.parse().map(Actor::ApiKey).ok();
    let system = || (text == "system").then_some(Actor::System);
    person()
        .or_else(key)
        .or_else(system)
        .ok_or_else(|| invalid("actor", "`actor` is a person's id, a key's id, or `system`."))
}

/// List what was done in a workspace, newest first.
#[utoipa::path(tag = "audit", security(("bearer" = [])),
    params(AuditQuery),
    responses((status = 200, description = "Entries", body = List<AuditView>)))]
#[get("/audit")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<AuditQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    services.lists.answer(&request, &scope, &[ListTag::Audit], async || page(&services, &scope, &query).await).await
}

/// Reads a page of the audit log.
async fn page(
    services: &Services,
    scope: &WorkspaceScope,
    query: &AuditQuery,
) -> Result<ListAnswer<List<AuditView>>, Problem> {
    let filters = (&query.action, &query.actor, &query.resource, query.from, query.to);
    let binding = (scope.workspace(), "audit", &filters);
    let before = services.cursors.open_optional::<AuditId>(query.cursor.as_deref(), &binding)?;
    let (from, to) = period(query.from, query.to)?;
    let filter = AuditFilter {
        actions: texts("action", &query.action)?,
        actors: texts("actor", &query.actor)?.iter().map(|text| actor(text)).collect::<Result<_, _>>()?,
        resources: texts("resource", &query.resource)?,
        from,
        to,
    };
    let before = before.map(|id| id.as_uuid());
    let page = services.tenancy.audit_trail.list(scope, &filter, before, page_size(query.limit)?).await?;
    let next = page.next.map(AuditId::from_uuid);
    let page = Page { items: page.items.into_iter().map(AuditView::from).collect(), next };
    Ok(services.cursors.list(page, &binding).into())
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Forbidden(error) => error.into(),
            AuditError::Store(error) => error.into(),
        }
    }
}
