//! Log-in, refresh and log-out.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::{Deserialize, Serialize};
use tidegate_tenancy::{ACCESS_TOKEN_LIFE, Email, LogIn, LoginError, LoginTokens, Password, RefreshError};
use utoipa::ToSchema;
use validator::Validate;

use super::challenge::second_factor_required;
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Person, RequestOrigin};
use crate::http::support::problem::{INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN, Problem, REFRESH_REUSED};
use crate::http::support::rate::count;
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};
use crate::tenancy::limits::LOGIN;

/// A login.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The email address of the account.
    #[schema(value_type = schema::Email)]
    email: String,
    /// Its password.
    password: String,
    /// Stay logged in for longer: the refresh token is valid for 30 days instead of 7, and the session for a year
    /// instead of 90 days.
    #[serde(default)]
    remember: bool,
}

/// A refresh.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token from the last login or refresh.
    refresh_token: String,
}

/// The tokens of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// The access token, for `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: i64,
    /// The refresh token. It gets the next pair of tokens, once.
    refresh_token: String,
    /// Seconds until the refresh token expires.
    refresh_expires_in: i64,
}

impl SecretBody for Tokens {
    const SECRETS: &'static [&'static str] = &["access_token", "refresh_token"];
}

impl From<LoginTokens> for Tokens {
    fn from(tokens: LoginTokens) -> Self {
        Self {
            access_token: tokens.access,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFE.num_seconds(),
            refresh_token: tokens.refresh.expose().to_owned(),
            refresh_expires_in: tokens.refresh_expires_in.num_seconds(),
        }
    }
}

/// Log in.
///
/// For a person with a second factor the response is 401 `second-factor-required`, with a challenge for
/// `POST /auth/challenge`.
#[utoipa::path(tag = "auth",
    request_body(content = LoginRequest,
        example = json!({ "email": "ada@example.org", "password": "an umbrella in march" })),
    responses((status = 200, description = "Tokens", body = Tokens)))]
#[post("/login")]
pub async fn login(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    // Not validated: an existing address may be older than the rule for new ones.
    let email = Email::given(&body.email);
    let counted = count(&request, &services, LOGIN, Some(email.key())).await?;
    let password = Password::new(body.password);
    let tokens = services.tenancy.accounts.login(&email, &password, body.remember, &origin).await;
    let tokens = match tokens.map_err(|error| counted.on(error.into()))? {
        LogIn::Done(tokens) => tokens,
        LogIn::SecondFactor(pending) => return Err(counted.on(second_factor_required(&pending))),
    };
    let answer = secret_answer(HttpResponse::Ok(), &Tokens::from(tokens)).map_err(|problem| counted.on(problem))?;
    Ok(counted.on_answer(answer))
}

/// Exchange a refresh token for the next pair of tokens.
///
/// A refresh token can be used once. Used again within 10 seconds, and before its successor, it gets the same
/// successor. Otherwise its second use ends the session.
#[utoipa::path(tag = "auth",
    request_body(content = RefreshRequest,
        example = json!({ "refresh_token": "the one from the last log-in or refresh" })),
    responses((status = 200, description = "Tokens", body = Tokens)))]
#[post("/refresh")]
pub async fn refresh(
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<RefreshRequest>,
) -> Result<HttpResponse, Problem> {
    let tokens = services.tenancy.accounts.refresh(&body.refresh_token, &origin).await?;
    secret_answer(HttpResponse::Ok(), &Tokens::from(tokens))
}

/// End the session of this request.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses((status = 204, description = "Ended")))]
#[post("/logout")]
pub async fn logout(services: web::Data<Services>, person: Person) -> Result<HttpResponse, Problem> {
    services.tenancy.accounts.logout(&person.live, person.scope.origin()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused => Self::new(&INVALID_CREDENTIALS, "No account has this address and this password."),
            LoginError::Hash(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => {
                Self::new(&INVALID_REFRESH_TOKEN, "The session is over or never was; log in again.")
            }
            RefreshError::Reused => {
                Self::new(&REFRESH_REUSED, "The token was used before, so the session has been ended; log in again.")
            }
            RefreshError::Store(error) => error.into(),
        }
    }
}
