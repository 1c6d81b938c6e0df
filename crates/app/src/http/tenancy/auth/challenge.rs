//! The second step of a log-in, and step-up.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use tidegate_tenancy::{
    Challenge, ChallengeError, FactorKind, InvalidText, Password, PendingLogIn, Proof, STEP_UP_LIFE, StepUpError,
};
use utoipa::ToSchema;
use validator::Validate;

use super::log_in::Tokens;
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Person, RequestOrigin};
use crate::http::support::problem::{
    ChallengeView, FieldError, INVALID_CHALLENGE, INVALID_CODE, Problem, SECOND_FACTOR_REQUIRED, STEP_UP_REQUIRED,
};
use crate::http::support::rate::{count, count_account};
use crate::http::support::secret::secret_answer;
use crate::http::support::text::invalid_text;
use crate::tenancy::limits::SECOND_FACTOR;

/// A second factor for a log-in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// The challenge from the log-in.
    #[validate(length(max = 200, message = "must have at most 200 characters"))]
    #[schema(max_length = 200)]
    challenge: String,
    /// A one-time code or a recovery code.
    #[validate(length(min = 6, max = 64, message = "must have 6 to 64 characters"))]
    #[schema(min_length = 6, max_length = 64, example = "287082")]
    code: String,
}

/// A proof of who the caller is: the password, or a code for people who have a second factor.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUpRequest {
    /// The password.
    password: Option<String>,
    /// A one-time code or a recovery code.
    #[validate(length(min = 6, max = 64, message = "must have 6 to 64 characters"))]
    #[schema(min_length = 6, max_length = 64)]
    code: Option<String>,
}

/// Finish a log-in with a second factor.
///
/// A log-in of a person with a second factor answers 401 `second-factor-required` with a challenge. It can be tried five
/// times within five minutes.
#[utoipa::path(tag = "auth",
    request_body(content = ChallengeRequest, example = json!({ "challenge": "the one of the log-in", "code": "287082" })),
    responses((status = 200, description = "Tokens", body = Tokens)))]
#[post("/challenge")]
pub async fn challenge(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<ChallengeRequest>,
) -> Result<HttpResponse, Problem> {
    let accounts = &services.tenancy.accounts;
    let counted = match accounts.challenged(&body.challenge).await? {
        Some(user) => count_account(&services, SECOND_FACTOR, &user.to_string()).await?,
        None => count(&request, &services, SECOND_FACTOR, None).await?,
    };
    let tokens = accounts.complete_challenge(&body.challenge, &body.code, &origin).await;
    let tokens = tokens.map_err(|error| counted.on(error.into()))?;
    let answer = secret_answer(HttpResponse::Ok(), &Tokens::from(tokens)).map_err(|problem| counted.on(problem))?;
    Ok(counted.on_answer(answer))
}

/// Prove again who you are, for operations that answer 401 `step-up-required`: the deletion of a workspace, the change of
/// second factors, the rotation of signing keys. It counts for five minutes, as a log-in does.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = StepUpRequest, example = json!({ "password": "an umbrella in march" })),
    responses((status = 204, description = "Proven")))]
#[post("/step-up")]
pub async fn step_up(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<StepUpRequest>,
) -> Result<HttpResponse, Problem> {
    let counted = count_account(&services, SECOND_FACTOR, &person.scope.user().to_string()).await?;
    let password = body.password.map(Password::new);
    let (proof, pointer) = match (&password, &body.code) {
        (Some(password), None) => (Proof::Password(password), "/password"),
        (None, Some(code)) => (Proof::Code(code), "/code"),
        _ => return Err(counted.on(Problem::invalid(vec![FieldError::new("", "send either `password` or `code`")]))),
    };
    let proven = services.tenancy.accounts.step_up(&person.scope, &person.live, proof).await;
    proven.map_err(|error| {
        counted.on(match error {
            StepUpError::Wrong => invalid_text(pointer, InvalidText("is wrong, or was used before")),
            error => error.into(),
        })
    })?;
    Ok(counted.on_answer(HttpResponse::NoContent().finish()))
}

/// The problem of a log-in that needs a second factor.
pub(super) fn second_factor_required(pending: &PendingLogIn) -> Problem {
    let view = ChallengeView {
        challenge: pending.token.expose().to_owned(),
        factors: pending.factors.iter().copied().map(FactorKind::as_str).collect(),
        expires_in: Challenge::LIFE.num_seconds(),
    };
    Problem::new(&SECOND_FACTOR_REQUIRED, "Send the challenge with a code to /api/v1/auth/challenge.")
        .with_challenge(view)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

impl From<ChallengeError> for Problem {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Invalid => {
                Self::new(&INVALID_CHALLENGE, "The log-in took too long, or was tried too often.")
            }
            ChallengeError::WrongCode => Self::new(&INVALID_CODE, "The code is wrong or was used before."),
            ChallengeError::Store(error) => error.into(),
        }
    }
}

impl From<StepUpError> for Problem {
    fn from(error: StepUpError) -> Self {
        match error {
            StepUpError::Required => {
                let minutes = STEP_UP_LIFE.num_minutes();
                let bearer = "Bearer realm=\"tidegate\", error=\"insufficient_user_authentication\", max_age=\"300\"";
                let detail = format!("Prove who you are at /api/v1/auth/step-up; it counts for {minutes} minutes.");
                Self::new(&STEP_UP_REQUIRED, detail).with_header(WWW_AUTHENTICATE, HeaderValue::from_static(bearer))
            }
            StepUpError::Wrong => Self::new(&INVALID_CODE, "The password or code is wrong."),
            StepUpError::CodeNeeded => {
                invalid_text("/password", InvalidText("is not enough, because you have a second factor; send `code`"))
            }
            StepUpError::Hash(error) => error.into(),
            StepUpError::Store(error) => error.into(),
        }
    }
}
