//! What people see and change about themselves.

use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::UserId;
use tidegate_tenancy::{Email, Language, Name, Password, ProfileChange, TimeZone};
use utoipa::ToSchema;
use validator::Validate;

use super::{MailFollows, TokenRequest, mail_follows, password_problem};
use crate::Services;
use crate::http::support::body::{Body, not_null, nullable};
use crate::http::support::caller::{Person, RequestOrigin};
use crate::http::support::problem::Problem;
use crate::http::support::rate::{count, count_account};
use crate::http::support::schema;
use crate::http::support::text::{invalid_text, valid_email, valid_name};
use crate::tenancy::limits::{FORGOT, SECOND_FACTOR, VERIFY};

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
    /// The language of mails (BCP 47); null for the language of the installation.
    #[schema(example = "de")]
    language: Option<String>,
    /// The time zone in which times are shown (IANA); null for UTC.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// Which mails the person gets.
    notifications: NotificationsView,
    /// When the account was created.
    created_at: DateTime<Utc>,
}

/// Which mails a person gets. Mails about the account and about failed payments are always sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationsView {
    /// To owners of workspaces: limits of the plan that are near or reached.
    usage: bool,
    /// To owners of workspaces: trials, invoices and payments.
    billing: bool,
}

impl From<&tidegate_tenancy::Person> for User {
    fn from(person: &tidegate_tenancy::Person) -> Self {
        Self {
            id: person.id,
            email: person.email.as_str().to_owned(),
            email_verified: person.is_verified(),
            name: person.name.as_str().to_owned(),
            language: person.language.as_ref().map(ToString::to_string),
            time_zone: person.time_zone.as_ref().map(|zone| zone.as_str().to_owned()),
            notifications: NotificationsView {
                usage: person.notifications.usage,
                billing: person.notifications.billing,
            },
            created_at: person.created_at,
        }
    }
}

/// A change of the caller's own data. Absent members are not changed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMe {
    /// The new name.
    #[serde(default, deserialize_with = "not_null")]
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, required = false)]
    name: Option<String>,
    /// The new language (BCP 47); null for the language of the installation.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, example = "de")]
    language: Option<Option<String>>,
    /// The new time zone (IANA); null for UTC.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    time_zone: Option<Option<String>>,
    /// Which mails the person gets.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = UpdateNotifications, required = false)]
    notifications: Option<UpdateNotifications>,
}

/// A change of which mails a person gets. Absent members are not changed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateNotifications {
    /// Limits of the plan that are near or reached.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    usage: Option<bool>,
    /// Trials, invoices and payments.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    billing: Option<bool>,
}

/// A new email address.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailRequest {
    /// The new email address.
    #[validate(custom(function = "valid_email"))]
    #[schema(value_type = schema::Email, example = "ada@example.net")]
    email: String,
    /// The current password.
    password: String,
}

/// Get the calling person.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    responses((status = 200, description = "The person", body = User)))]
#[get("/me")]
pub async fn me(person: Person) -> HttpResponse {
    HttpResponse::Ok().json(User::from(&person.live.person))
}

/// Change the caller's name, language, time zone or notifications.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = UpdateMe, content_type = "application/merge-patch+json",
        example = json!({ "time_zone": "Europe/Berlin", "notifications": { "usage": false } })),
    responses((status = 200, description = "The person as it is now", body = User)))]
#[patch("/me")]
pub async fn update_me(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<UpdateMe>,
) -> Result<HttpResponse, Problem> {
    let language = body.language.map(|text| text.as_deref().map(Language::new).transpose()).transpose();
    let time_zone = body.time_zone.map(|text| text.as_deref().map(TimeZone::new).transpose()).transpose();
    let change = ProfileChange {
        name: body.name.as_deref().map(Name::new).transpose().map_err(|error| invalid_text("/name", error))?,
        language: language.map_err(|error| invalid_text("/language", error))?,
        time_zone: time_zone.map_err(|error| invalid_text("/time_zone", error))?,
        notify_usage: body.notifications.as_ref().and_then(|notifications| notifications.usage),
        notify_billing: body.notifications.as_ref().and_then(|notifications| notifications.billing),
    };
    let person = services.tenancy.accounts.update_profile(&person.scope, change).await?;
    Ok(HttpResponse::Ok().json(User::from(&person)))
}

/// Ask for a link that makes another email address the caller's.
///
/// The mail goes to the new address. The old one stays until the link is used.
#[utoipa::path(tag = "auth", security(("bearer" = [])),
    request_body(content = EmailRequest,
        example = json!({ "email": "ada@example.net", "password": "an umbrella in march" })),
    responses((status = 202, description = "A mail follows", body = MailFollows)))]
#[post("/email")]
pub async fn change_email(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<EmailRequest>,
) -> Result<HttpResponse, Problem> {
    let email = Email::new(&body.email).map_err(|error| invalid_text("/email", error))?;
    let counted = count_account(&services, SECOND_FACTOR, &person.scope.user().to_string()).await?;
    // As many mails to an address as by any other way.
    count_account(&services, FORGOT, email.key()).await?;
    let password = Password::new(body.password);
    let asked = services.tenancy.accounts.change_email(&person.scope, &person.live, &password, &email).await;
    asked.map_err(|error| counted.on(password_problem(error, "/password")))?;
    Ok(counted.on_answer(mail_follows("A mail to the new address says how to go on.")))
}

/// Change the email address of an account with the token of a link. All sessions of the person end.
#[utoipa::path(tag = "auth",
    request_body(content = TokenRequest, example = json!({ "token": "the part of the link after #" })),
    responses((status = 200, description = "The person", body = User)))]
#[post("/email/confirm")]
pub async fn confirm_email(
    request: HttpRequest,
    services: web::Data<Services>,
    RequestOrigin(origin): RequestOrigin,
    Body(body): Body<TokenRequest>,
) -> Result<HttpResponse, Problem> {
    let counted = count(&request, &services, VERIFY, None).await?;
    let person = services.tenancy.accounts.confirm_email(&body.token, &origin).await;
    let person = person.map_err(|error| counted.on(error.into()))?;
    Ok(counted.on_answer(HttpResponse::Ok().json(User::from(&person))))
}
