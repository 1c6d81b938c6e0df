//! The public keys of access tokens.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, get, web};

use crate::Services;
use crate::http::support::problem::Problem;

/// Get the public keys of access tokens as a JWK set (RFC 7517).
#[utoipa::path(tag = "auth", responses((status = 200, description = "A JWK set", body = Object)))]
#[get("/.well-known/jwks.json")]
pub async fn jwks(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let keys = services.tenancy.keyring.jwks().await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(keys))
}
