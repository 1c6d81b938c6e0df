//! Forgotten and changed passwords.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use tidegate_tenancy::{Email, Password};
use utoipa::ToSchema;
use validator::Validate;

use super::{AddressRequest, MailFollows, mail_follows, password_problem};
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Person, RequestOrigin};
use crate::http::support::problem::Problem;
use crate::http::support::rate::{count, count_account};
use crate::http::support::text::invalid_text;
use crate::tenancy::limits::{FORGOT, RESET, SECOND_FACTOR};

/// A new password by the token of a link.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// The part of the link after `#`.
    #[validate(length(max = 200, message = "must have at most 200 characters"))]
    #[schema(max_length = 200)]
    token: String,
    /// The new password: at least 10 characters, not easy to guess.
    #[schema(min_length = 10)]
    password: String,
}

/// A new password of a logged-in person.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The current password.
    current: String,
    /// The new password: at least 10 characters, not easy to guess.
    #[schema(min_length = 10)]
    new: String,
}

/// Ask for a link that sets a new password.
#[utoipa::path(tag = "auth",
    request_body(content = AddressRequest, example = json!({ "email": "ada@example.org" })),
    responses((status = 202, description = "A mail follows if there is an account", body = MailFollows)))]
#[post("/forgot")]
pub async fn forgot(
    request: HttpRequest,
    services: web::Data<Services>,
    Body(body): Body<AddressRequest>,
) -> Result<HttpResponse, Problem> {
    let email = Email::new(&body.email).map_err(|error| invalid_text("/email", error))?;
    let counted = count(&request, &services, FORGOT, Some(email.key())).await?;
    let asked = services.tenancy.accounts.forgot_password(&email).await;
    asked.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(mail_follows("If there is an account with this address, a mail is on its way.")))
}

/// Set a new password with the token of a link. All sessions of the person end.
#[utoipa::path(tag = "auth",
    request_body(content = ResetRequest,
        example = json!({ "token": "the part of the link after #", "password": "an umbrella in april" })),
    responses((status = 204, description = "Set")))]
#[post("/reset")]
pub async fn reset(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<ResetRequest>,
) -> Result<HttpResponse, Problem> {
    let counted = count(&request, &services, RESET, None).await?;
    let reset = services.tenancy.accounts.reset_password(&body.token, &Password::new(body.password), &origin).await;
    reset.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(HttpResponse::NoContent().finish()))
}

/// Change the caller's password. All other sessions of the caller end.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = PasswordRequest,
        example = json!({ "current": "an umbrella in march", "new": "an umbrella in april" })),
    responses((status = 204, description = "Changed")))]
#[post("/password")]
pub async fn change_password(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<PasswordRequest>,
) -> Result<HttpResponse, Problem> {
    let counted = count_account(&services, SECOND_FACTOR, &person.scope.user().to_string()).await?;
    let (current, new) = (Password::new(body.current), Password::new(body.new));
    let changed = services.tenancy.accounts.change_password(&person.live, &current, &new, person.scope.origin()).await;
    changed.map_err(|error| counted.on(password_problem(error, "/current")))?;
    Ok(counted.on_answer(HttpResponse::NoContent().finish()))
}
