//! Registration, and the verification of an address.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use tidegate_tenancy::{Email, Name, Password, RegisterError, Registration};
use utoipa::ToSchema;
use validator::Validate;

use super::profile::User;
use super::{AddressRequest, MailFollows, TokenRequest, mail_follows};
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::RequestOrigin;
use crate::http::support::problem::Problem;
use crate::http::support::rate::count;
use crate::http::support::schema;
use crate::http::support::text::{invalid_text, valid_email, valid_name};
use crate::tenancy::limits::{REGISTER, RESEND, VERIFY};

/// A registration.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The email address to log in with.
    #[validate(custom(function = "valid_email"))]
    #[schema(value_type = schema::Email, example = "ada@example.org")]
    email: String,
    /// At least 10 characters, not easy to guess.
    #[schema(min_length = 10, example = "an umbrella in march")]
    password: String,
    /// The person's name.
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, example = "Ada")]
    name: String,
}

/// Create an account.
///
/// The response is the same for a free and a taken address, and a mail says how to go on. A new account can be used at
/// once; buying something needs a verified address.
#[utoipa::path(tag = "auth",
    request_body(content = RegisterRequest,
        example = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada" })),
    responses((status = 202, description = "A mail follows", body = MailFollows)))]
#[post("/register")]
pub async fn register(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<RegisterRequest>,
) -> Result<HttpResponse, Problem> {
    let email = Email::new(&body.email).map_err(|error| invalid_text("/email", error))?;
    let name = Name::new(&body.name).map_err(|error| invalid_text("/name", error))?;
    let counted = count(&request, &services, REGISTER, Some(email.key())).await?;
    let registration = Registration { email, password: Password::new(body.password), name };
    let registered = services.tenancy.accounts.register(registration, &origin).await;
    registered.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(mail_follows("A mail to this address says how to go on.")))
}

/// Verify the email address of an account with the token of a link.
#[utoipa::path(tag = "auth",
    request_body(content = TokenRequest, example = json!({ "token": "the part of the link after #" })),
    responses((status = 200, description = "The person", body = User)))]
#[post("/verify")]
pub async fn verify(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<TokenRequest>,
) -> Result<HttpResponse, Problem> {
    let counted = count(&request, &services, VERIFY, None).await?;
    let person = services.tenancy.accounts.verify_email(&body.token, &origin).await;
    let person = person.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(HttpResponse::Ok().json(User::from(&person))))
}

/// Ask for another link that verifies an email address.
#[utoipa::path(tag = "auth",
    request_body(content = AddressRequest, example = json!({ "email": "ada@example.org" })),
    responses((status = 202, description = "A mail follows if there is an account to verify", body = MailFollows)))]
#[post("/verify/resend")]
pub async fn resend(
    request: HttpRequest,
    services: web::Data<Services>,
    Body(body): Body<AddressRequest>,
) -> Result<HttpResponse, Problem> {
    let email = Email::new(&body.email).map_err(|error| invalid_text("/email", error))?;
    let counted = count(&request, &services, RESEND, Some(email.key())).await?;
    let asked = services.tenancy.accounts.resend_verification(&email).await;
    asked.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(mail_follows("If an account with this address is not verified yet, a mail is on its way.")))
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::WeakPassword(reason) => invalid_text("/password", reason),
            RegisterError::Hash(error) => error.into(),
            RegisterError::Store(error) => error.into(),
        }
    }
}
