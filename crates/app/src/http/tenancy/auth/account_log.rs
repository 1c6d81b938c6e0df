//! The log of the caller's account.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tidegate_kernel::{AuditId, Page};
use tidegate_tenancy::AccountRecord;
use utoipa::ToSchema;

use crate::Services;
use crate::http::support::caller::Person;
use crate::http::support::cursor::List;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

/// An entry in the log of an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountEntry {
    /// The entry's id.
    #[schema(value_type = schema::AuditId)]
    id: AuditId,
    /// When it happened.
    at: DateTime<Utc>,
    /// What happened, as `resource.verb`.
    #[schema(example = "session.created")]
    action: String,
    /// What was changed, as far as it is safe to keep.
    details: Value,
    /// The IP address of the request.
    address: Option<String>,
    /// The `User-Agent` of the request.
    user_agent: Option<String>,
    /// The id of the request.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    request_id: String,
}

impl From<AccountRecord> for AccountEntry {
    fn from(record: AccountRecord) -> Self {
        Self {
            id: AuditId::from_uuid(record.id),
            at: record.at,
            action: record.action,
            details: record.details,
            address: record.origin.client.address.map(|address| address.to_string()),
            user_agent: record.origin.client.user_agent,
            request_id: record.origin.request_id.to_string(),
        }
    }
}

/// List log-ins, failed log-ins and changes of the caller's account, newest first.
#[utoipa::path(tag = "auth", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Entries", body = List<AccountEntry>)))]
#[get("/log")]
pub async fn log(
    services: web::Data<Services>,
    person: Person,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (person.scope.user(), "account-log");
    let before = services.cursors.open_optional::<AuditId>(query.cursor.as_deref(), &binding)?;
    let size = page_size(query.limit)?;
    let records = services.tenancy.accounts.log(&person.scope, before.map(|id| id.as_uuid()), size.get() + 1).await?;
    let page = Page::from_overfetch(records, size, |record| AuditId::from_uuid(record.id));
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(AccountEntry::from), &binding)))
}
