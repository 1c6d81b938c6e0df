//! Registering, logging in and out, and the caller's own sessions.

use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{SessionId, UserId};
use tidegate_tenancy::{
    ACCESS_TOKEN_LIFE, Email, HashError, LoginError, LoginTokens, Name, Password, RefreshError, RegisterError,
    Registration, Session, SessionError,
};
use utoipa::ToSchema;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Person, client};
use crate::http::support::cursor::List;
use crate::http::support::envelope::CurrentRequest;
use crate::http::support::path::InPath;
use crate::http::support::problem::{
    EMAIL_TAKEN, INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN, Problem, REFRESH_REUSED, UNAVAILABLE,
};
use crate::http::support::rate::count;
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};
use crate::http::support::text::{invalid_text, valid_email, valid_name};
use crate::tenancy::limits::{LOGIN, REGISTER};

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(
        scope("/auth")
            .service(register)
            .service(login)
            .service(refresh)
            .service(logout)
            .service(me)
            .service(sessions)
            .service(revoke_session),
    );
}

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

/// A login.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The email address of the account.
    #[schema(value_type = schema::Email)]
    email: String,
    /// Its password.
    password: String,
    /// Accepted for clients that send it, and ignored: every session lasts equally long.
    #[serde(default)]
    #[expect(dead_code, reason = "part of the shape that callers rely on")]
    remember: bool,
}

/// A refresh.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token from the last login or refresh.
    refresh_token: String,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// The id.
    #[schema(value_type = schema::UserId)]
    id: UserId,
    /// The email address.
    #[schema(value_type = schema::Email)]
    email: String,
    /// Whether the email address was verified.
    email_verified: bool,
    /// The name.
    name: String,
    /// When the account was created.
    created_at: DateTime<Utc>,
}

impl From<&tidegate_tenancy::Person> for User {
    fn from(person: &tidegate_tenancy::Person) -> Self {
        Self {
            id: person.id,
            email: person.email.as_str().to_owned(),
            email_verified: false,
            name: person.name.as_str().to_owned(),
            created_at: person.created_at,
        }
    }
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

/// A session that has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The id.
    #[schema(value_type = schema::SessionId)]
    id: SessionId,
    /// When the person logged in.
    created_at: DateTime<Utc>,
    /// When it was last refreshed.
    last_used_at: DateTime<Utc>,
    /// When it expires unless it is refreshed.
    expires_at: DateTime<Utc>,
    /// The IP address of the login.
    address: Option<String>,
    /// The `User-Agent` of the login.
    user_agent: Option<String>,
    /// Whether it is the session of this request.
    current: bool,
}

/// Create an account.
#[utoipa::path(tag = "auth",
    request_body(content = RegisterRequest,
        example = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada" })),
    responses((status = 201, description = "The person", body = User)))]
#[post("/register")]
pub async fn register(
    request: HttpRequest,
    services: web::Data<Services>,
    CurrentRequest(request_id): CurrentRequest,
    Body(body): Body<RegisterRequest>,
) -> Result<HttpResponse, Problem> {
    let email = Email::new(&body.email).map_err(|error| invalid_text("/email", error))?;
    let name = Name::new(&body.name).map_err(|error| invalid_text("/name", error))?;
    let counted = count(&request, &services, REGISTER, Some(email.as_str())).await?;
    let registration = Registration { email, password: Password::new(body.password), name };
    let person = services.tenancy.accounts.register(registration, &request_id).await;
    let person = person.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(HttpResponse::Created().json(User::from(&person))))
}

/// Log in.
#[utoipa::path(tag = "auth",
    request_body(content = LoginRequest,
        example = json!({ "email": "ada@example.org", "password": "an umbrella in march" })),
    responses((status = 200, description = "Tokens", body = Tokens)))]
#[post("/login")]
pub async fn login(
    request: HttpRequest,
    services: web::Data<Services>,
    CurrentRequest(request_id): CurrentRequest,
    Body(body): Body<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    // Not validated: an existing address may be older than the rule for new ones.
    let email = Email::given(&body.email);
    let counted = count(&request, &services, LOGIN, Some(email.as_str())).await?;
    let (password, client) = (Password::new(body.password), client(&request, &services));
    let tokens = services.tenancy.accounts.login(&email, &password, client, &request_id).await;
    let tokens = tokens.map_err(|error| counted.on(error.into()))?;
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
    CurrentRequest(request_id): CurrentRequest,
    Body(body): Body<RefreshRequest>,
) -> Result<HttpResponse, Problem> {
    let tokens = services.tenancy.accounts.refresh(&body.refresh_token, &request_id).await?;
    secret_answer(HttpResponse::Ok(), &Tokens::from(tokens))
}

/// End the session of this request.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses((status = 204, description = "Ended")))]
#[post("/logout")]
pub async fn logout(services: web::Data<Services>, person: Person) -> Result<HttpResponse, Problem> {
    services.tenancy.accounts.logout(&person.live, person.scope.request_id()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Get the calling person.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The person", body = User)))]
#[get("/me")]
pub async fn me(person: Person) -> HttpResponse {
    HttpResponse::Ok().json(User::from(&person.live.person))
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
        user_agent: session.client.user_agent,
    };
    let items = sessions.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(List { items, next_cursor: None }))
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

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::EmailTaken => {
                Self::new(&EMAIL_TAKEN, "There is an account with this address; log in instead.")
            }
            RegisterError::WeakPassword(reason) => invalid_text("/password", reason),
            RegisterError::Hash(error) => error.into(),
            RegisterError::Store(error) => error.into(),
        }
    }
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

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::not_found(),
            SessionError::Store(error) => error.into(),
        }
    }
}
