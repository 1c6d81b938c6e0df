//! The caller's own account: registration, log-in, second factors, sessions, passwords, and what people set for themselves.

mod account_log;
mod challenge;
mod factors;
mod log_in;
mod passwords;
mod profile;
mod registration;
mod sessions;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use tidegate_tenancy::{HashError, LinkError, PasswordError};
use utoipa::ToSchema;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::http::support::problem::{EMAIL_TAKEN, INVALID_LINK, Problem, UNAVAILABLE};
use crate::http::support::schema;
use crate::http::support::text::{invalid_text, valid_email};

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    let auth = scope("/auth")
        .service(profile::me)
        .service(profile::update_me)
        .service(log_in::login)
        .service(log_in::refresh)
        .service(log_in::logout)
        .service(registration::register)
        .service(registration::verify)
        .service(registration::resend)
        .service(passwords::forgot)
        .service(passwords::reset)
        .service(passwords::change_password)
        .service(profile::change_email)
        .service(profile::confirm_email)
        .service(challenge::challenge)
        .service(challenge::step_up)
        .service(factors::factors)
        .service(factors::add_totp)
        .service(factors::confirm_totp)
        .service(factors::renew_recovery_codes)
        .service(factors::remove_factor)
        .service(account_log::log)
        .service(sessions::sessions)
        .service(sessions::revoke_sessions)
        .service(sessions::revoke_session);
    config.service(auth);
}

/// An email address to which a mail is sent if it has an account.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressRequest {
    /// The email address.
    #[validate(custom(function = "valid_email"))]
    #[schema(value_type = schema::Email, example = "ada@example.org")]
    email: String,
}

/// The token of a link in a mail.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The part of the link after `#`.
    #[validate(length(max = 200, message = "must have at most 200 characters"))]
    #[schema(max_length = 200)]
    token: String,
}

/// What happens next: the same for every address, known or not.
#[derive(Debug, Serialize, ToSchema)]
pub struct MailFollows {
    /// What happens next.
    detail: &'static str,
}

/// The response when a mail follows.
fn mail_follows(detail: &'static str) -> HttpResponse {
    HttpResponse::Accepted().json(MailFollows { detail })
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::new(&UNAVAILABLE, "Too many log-ins at once; try again.")
                .with_header(RETRY_AFTER, HeaderValue::from_static("1")),
            HashError::Internal(cause) => {
                tracing::error!(error = %cause, "a password could not be hashed");
                Self::internal()
            }
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Invalid => Self::new(
                &INVALID_LINK,
                "The link has expired or was used, or a newer one was used; ask for another mail.",
            ),
            LinkError::EmailTaken => Self::new(&EMAIL_TAKEN, "Another account has this address by now."),
            LinkError::WeakPassword(reason) => invalid_text("/password", reason),
            LinkError::Hash(error) => error.into(),
            LinkError::Store(error) => error.into(),
        }
    }
}

/// The problem of an error in an operation whose body has the current password at `current` and the new one at `/new`.
fn password_problem(error: PasswordError, current: &str) -> Problem {
    match error {
        PasswordError::Wrong => invalid_text(current, tidegate_tenancy::InvalidText("is not your current password")),
        PasswordError::Weak(reason) => invalid_text("/new", reason),
        PasswordError::Hash(error) => error.into(),
        PasswordError::Store(error) => error.into(),
    }
}
