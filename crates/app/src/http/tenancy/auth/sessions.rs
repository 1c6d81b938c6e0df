//! The caller's own sessions.

use actix_web::{HttpResponse, delete, get, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::SessionId;
use tidegate_tenancy::{Session, SessionError};
use utoipa::{IntoParams, ToSchema};
use woothee::parser::Parser;

use crate::Services;
use crate::http::support::caller::Person;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::Query;
use crate::http::support::schema;

/// A session that has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The id.
    #[schema(value_type = schema::SessionId)]
    id: SessionId,
    /// When the person logged in.
    created_at: DateTime<Utc>,
    /// When the person logged in or last refreshed it.
    last_used_at: DateTime<Utc>,
    /// When it expires unless it is refreshed.
    expires_at: DateTime<Utc>,
    /// The IP address of the login.
    address: Option<String>,
    /// The IP address of the login or last refresh.
    last_address: Option<String>,
    /// The `User-Agent` of the login.
    user_agent: Option<String>,
    /// The program and the operating system, as far as the `User-Agent` tells.
    #[schema(example = "Firefox on Linux")]
    device: Option<String>,
    /// Whether the person asked to stay logged in for longer.
    remember: bool,
    /// Whether it is the session of this request.
    current: bool,
}

/// Which sessions end.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RevokeQuery {
    /// Also end the session of this request.
    #[serde(default)]
    include_current: bool,
}

/// List the caller's sessions, newest first.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "At most 200", body = List<SessionView>)))]
#[get("/sessions")]
pub async fn sessions(services: web::Data<Services>, person: Person) -> Result<HttpResponse, Problem> {
    let sessions = services.tenancy.accounts.sessions(&person.scope).await?;
    let view = |session: Session| SessionView {
        current: session.id == person.live.session.id,
        id: session.id,
        created_at: session.created_at,
        last_used_at: session.refreshed_at,
        expires_at: session.expires_at,
        address: session.client.address.map(|address| address.to_string()),
        last_address: session.last_address.map(|address| address.to_string()),
        device: session.client.user_agent.as_deref().and_then(device),
        user_agent: session.client.user_agent,
        remember: session.remember,
    };
    let items = sessions.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(List { items, next_cursor: None }))
}

/// End all other sessions of the caller.
#[utoipa::path(tag = "auth", security(("bearer" = [])), params(RevokeQuery),
    responses((status = 204, description = "Ended")))]
#[delete("/sessions")]
pub async fn revoke_sessions(
    services: web::Data<Services>,
    person: Person,
    Query(query): Query<RevokeQuery>,
) -> Result<HttpResponse, Problem> {
    let except = (!query.include_current).then_some(person.live.session.id);
    services.tenancy.accounts.revoke_sessions(&person.scope, except).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End one of the caller's sessions.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses((status = 204, description = "Ended")))]
#[delete("/sessions/{session}")]
pub async fn revoke_session(
    services: web::Data<Services>,
    person: Person,
    session: InPath<SessionId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.accounts.revoke_session(&person.scope, session.or_not_found()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::not_found(),
            SessionError::Store(error) => error.into(),
        }
    }
}

/// The program and the operating system of a `User-Agent`; the name of the product for other programs than browsers.
fn device(user_agent: &str) -> Option<String> {
    const UNKNOWN: &str = "UNKNOWN";
    match Parser::new().parse(user_agent) {
        Some(found) if found.name != UNKNOWN && found.os != UNKNOWN => Some(format!("{} on {}", found.name, found.os)),
        Some(found) if found.name != UNKNOWN && found.category != "misc" => Some(found.name.to_owned()),
        _ => user_agent.split(['/', ' ', '(']).next().filter(|product| !product.is_empty()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_people_know_it() {
        for (user_agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", Some("Firefox on Linux")),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Safari/537.36",
                Some("Chrome on Windows 10"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
                 Safari/537.36 Edg/126.0.0.0",
                Some("Edge on Windows 10"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                Some("Safari on iPhone"),
            ),
            ("curl/8.5.0", Some("curl")),
            ("tidegate/0.1", Some("tidegate")),
            ("", None),
        ] {
            assert_eq!(device(user_agent).as_deref(), name, "{user_agent}");
        }
    }
}
