//! Second factors of the caller, and recovery codes.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::FactorId;
use tidegate_tenancy::{AuthenticateError, Factor, FactorError, InvalidText, Name, RecoveryCode};
use utoipa::ToSchema;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Person, RecentCaller};
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, EMAIL_UNVERIFIED, Problem};
use crate::http::support::rate::count_account;
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};
use crate::http::support::text::{invalid_text, valid_name};
use crate::tenancy::limits::SECOND_FACTOR;

/// A second factor.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorView {
    /// The id.
    #[schema(value_type = schema::FactorId)]
    id: FactorId,
    /// The kind: `totp` is an app that shows one-time codes. More may be added.
    #[schema(value_type = schema::FactorKind)]
    kind: &'static str,
    /// The name that the person gave it.
    name: String,
    /// When it was added.
    created_at: DateTime<Utc>,
    /// When it was last used.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<&Factor> for FactorView {
    fn from(factor: &Factor) -> Self {
        Self {
            id: factor.id,
            kind: factor.kind.as_str(),
            name: factor.name.to_string(),
            created_at: factor.created_at,
            last_used_at: factor.last_used_at,
        }
    }
}

/// The second factors of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorsView {
    /// The factors, oldest first.
    items: Vec<FactorView>,
    /// How many recovery codes are left.
    recovery_codes_left: i64,
}

/// A new app for one-time codes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTotp {
    /// A name to recognize it by.
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, example = "phone")]
    name: String,
}

/// A new app for one-time codes, with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpView {
    #[serde(flatten)]
    factor: FactorView,
    /// The secret in base 32, to type into an app.
    secret: String,
    /// The same as an `otpauth:` address, for a QR code.
    uri: String,
}

impl SecretBody for TotpView {
    const SECRETS: &'static [&'static str] = &["secret", "uri"];
}

/// The proof that an app shows the right codes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// The factor.
    #[schema(value_type = schema::FactorId)]
    factor: String,
    /// The code that the app shows now.
    #[validate(length(min = 6, max = 64, message = "must have 6 to 64 characters"))]
    #[schema(min_length = 6, max_length = 64, example = "287082")]
    code: String,
}

/// Recovery codes, which are shown this once. Each can be used once in place of a second factor.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// The codes; empty if the person keeps those of an earlier factor.
    recovery_codes: Vec<String>,
}

impl SecretBody for RecoveryCodes {
    const SECRETS: &'static [&'static str] = &["recovery_codes"];
}

fn recovery_codes(codes: &[RecoveryCode]) -> Result<HttpResponse, Problem> {
    let recovery_codes = codes.iter().map(RecoveryCode::shown).collect();
    secret_answer(HttpResponse::Ok(), &RecoveryCodes { recovery_codes })
}

/// List the caller's second factors.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The factors", body = FactorsView)))]
#[get("/factors")]
pub async fn factors(services: web::Data<Services>, person: Person) -> Result<HttpResponse, Problem> {
    let (factors, recovery_codes_left) = services.tenancy.accounts.factors(&person.scope).await?;
    let items = factors.iter().map(FactorView::from).collect();
    Ok(HttpResponse::Ok().json(FactorsView { items, recovery_codes_left }))
}

/// Add an app for one-time codes. It counts when its first code was confirmed.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = AddTotp, example = json!({ "name": "phone" })),
    responses((status = 201, description = "The app with its secret", body = TotpView)))]
#[post("/factors/totp")]
pub async fn add_totp(
    services: web::Data<Services>,
    person: Person,
    _: RecentCaller,
    Body(body): Body<AddTotp>,
) -> Result<HttpResponse, Problem> {
    let name = Name::new(&body.name).map_err(|error| invalid_text("/name", error))?;
    let new = services.tenancy.accounts.add_totp(&person.scope, &person.live, name).await?;
    let view = TotpView { factor: FactorView::from(&new.factor), secret: new.secret, uri: new.uri };
    secret_answer(HttpResponse::Created(), &view)
}

/// Confirm an app with a code that it shows. All other sessions of the caller end, and a log-in needs a second factor
/// from then on. The first factor brings recovery codes.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = ConfirmTotp,
        example = json!({ "factor": "fac_01jz3q9m0e7c2v5y8t4r6n1k0d", "code": "287082" })),
    responses((status = 200, description = "Recovery codes", body = RecoveryCodes)))]
#[post("/factors/totp/confirm")]
pub async fn confirm_totp(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<ConfirmTotp>,
) -> Result<HttpResponse, Problem> {
    let counted = count_account(&services, SECOND_FACTOR, &person.scope.user().to_string()).await?;
    let unknown = || invalid_text("/factor", InvalidText("is no factor of yours that waits for its confirmation"));
    let id = body.factor.parse().map_err(|_| counted.on(unknown()))?;
    let codes = services.tenancy.accounts.confirm_totp(&person.scope, &person.live, id, &body.code).await;
    let codes = codes.map_err(|error| match error {
        FactorError::NotFound => counted.on(unknown()),
        error => counted.on(error.into()),
    })?;
    recovery_codes(&codes).map(|answer| counted.on_answer(answer))
}

/// Remove a second factor of the caller. All other sessions of the caller end.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses((status = 204, description = "Removed")))]
#[delete("/factors/{factor}")]
pub async fn remove_factor(
    services: web::Data<Services>,
    person: Person,
    _: RecentCaller,
    factor: InPath<FactorId>,
) -> Result<HttpResponse, Problem> {
    let id = factor.or_not_found()?;
    services.tenancy.accounts.remove_factor(&person.scope, &person.live, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Replace the caller's recovery codes.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The new codes", body = RecoveryCodes)))]
#[post("/factors/recovery-codes")]
pub async fn renew_recovery_codes(
    services: web::Data<Services>,
    person: Person,
    _: RecentCaller,
) -> Result<HttpResponse, Problem> {
    recovery_codes(&services.tenancy.accounts.renew_recovery_codes(&person.scope, &person.live).await?)
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::SessionEnded => AuthenticateError::Refused.into(),
            FactorError::NotFound => Self::not_found(),
            FactorError::WrongCode => invalid_text("/code", InvalidText("is wrong or was used before")),
            FactorError::Unverified => Self::new(&EMAIL_UNVERIFIED, "Verify your e-mail address first."),
            FactorError::TooMany => Self::new(&CONFLICT, "You have ten factors; remove one first."),
            FactorError::NoFactors => Self::new(&CONFLICT, "You have no second factor; add one first."),
            FactorError::Store(error) => error.into(),
        }
    }
}
