//! Endpoints for trying Tidegate on one's own machine.

use std::net::SocketAddr;

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_kernel::JobId;
use tidegate_tenancy::KeptMail;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::cursor::List;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(kept_mail);
}

/// A mail that was stored instead of sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptMailView {
    /// The job that would have sent it.
    #[schema(value_type = schema::JobId)]
    id: JobId,
    /// When it was stored.
    at: DateTime<Utc>,
    /// The recipient's address.
    #[schema(value_type = schema::Email)]
    to: String,
    /// The recipient's name.
    recipient: String,
    /// The subject line.
    subject: String,
    /// The body as plain text.
    text: String,
    /// The body as HTML.
    html: String,
}

impl From<KeptMail> for KeptMailView {
    fn from(KeptMail { id, at, mail }: KeptMail) -> Self {
        let to = mail.to.to_string();
        Self { id, at, to, recipient: mail.name, subject: mail.subject, text: mail.text, html: mail.html }
    }
}

/// List mails that were stored because no mail server is set, newest first.
///
/// Only on the embedded PostgreSQL, and only for callers on the same machine: a mail may contain a link that grants
/// access.
#[utoipa::path(tag = "dev", params(PageQuery),
    responses((status = 200, description = "Mails", body = List<KeptMailView>)))]
#[get("/dev/mail")]
pub async fn kept_mail(
    services: web::Data<Services>,
    request: HttpRequest,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    if !services.platform.embedded || !is_local(&request) {
        return Err(Problem::not_found());
    }
    let binding = ("dev", "mail");
    let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.jobs.kept_mails.list(after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(services.cursors.list(page.map(KeptMailView::from), &binding)))
}

/// Whether the caller is on this machine and no proxy forwards the request.
fn is_local(request: &HttpRequest) -> bool {
    let forwarded = [header::FORWARDED, header::X_FORWARDED_FOR, HeaderName::from_static("x-real-ip")];
    let local = |peer: SocketAddr| peer.ip().to_canonical().is_loopback();
    request.peer_addr().is_some_and(local) && !forwarded.iter().any(|name| request.headers().contains_key(name))
}
