//! The keys that sign access tokens, for operators.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Operator, RecentCaller};
use crate::http::support::cursor::List;
use crate::http::support::problem::Problem;

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(list_signing_keys).service(rotate_signing_keys);
}

/// A key that signs access tokens, without its private half.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKeyView {
    /// The key id in the header of tokens.
    #[schema(pattern = "^[A-Za-z0-9_-]{16}$")]
    kid: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// Whether this server signs with it now. The others only verify.
    signing: bool,
}

/// How keys are rotated.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// Delete the other keys: all access tokens end, and everybody has to refresh. For a secret that was stolen, after it
    /// was changed.
    #[serde(default)]
    retire_others: bool,
}

/// List the keys that sign and verify access tokens, newest first. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 200, description = "Keys", body = List<SigningKeyView>)))]
#[get("/signing-keys")]
pub async fn list_signing_keys(services: web::Data<Services>, _: Operator) -> Result<HttpResponse, Problem> {
    let (keys, signing) = services.tenancy.keyring.list().await?;
    let view = |key: tidegate_tenancy::SigningKey| SigningKeyView {
        signing: signing.as_ref() == Some(&key.kid),
        kid: key.kid,
        created_at: key.created_at,
    };
    Ok(HttpResponse::Ok().json(List { items: keys.into_iter().map(view).collect(), next_cursor: None }))
}

/// Make a new key that signs access tokens. It begins to sign after some seconds. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = RotateKeys, example = json!({ "retire_others": false })),
    responses((status = 201, description = "The new key", body = SigningKeyView)))]
#[post("/signing-keys/rotate")]
pub async fn rotate_signing_keys(
    services: web::Data<Services>,
    Operator(operator): Operator,
    _: RecentCaller,
    Body(body): Body<RotateKeys>,
) -> Result<HttpResponse, Problem> {
    let key = services.tenancy.keyring.rotate(&operator, body.retire_others).await?;
    let view = SigningKeyView { kid: key.kid, created_at: key.created_at, signing: body.retire_others };
    Ok(HttpResponse::Created().json(view))
}
