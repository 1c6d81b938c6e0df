//! API keys.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{ApiKeyId, ListTag, Permission, PermissionSet, UserId};
use tidegate_tenancy::{ApiKey, ApiKeyError, Name, NewApiKey};
use utoipa::ToSchema;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::{FORBIDDEN, FieldError, Problem};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};
use crate::http::support::text::{invalid_text, valid_name};

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(scope("/api-keys").service(create).service(list).service(revoke));
}

/// A new API key.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What the key is for.
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, example = "importer")]
    name: String,
    /// Its permissions, as `resource:action`; at most your own. With `keys:write` it may create keys.
    #[schema(value_type = Vec<schema::Permission>, min_items = 1, example = json!(["events:write"]))]
    scopes: Vec<String>,
    /// When it expires; never if absent. A key that was created by a key expires with that key if this is absent, and
    /// never later.
    expires_at: Option<DateTime<Utc>>,
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyView {
    /// The id.
    #[schema(value_type = schema::ApiKeyId)]
    id: ApiKeyId,
    /// What the key is for.
    name: String,
    /// The first characters of the secret.
    #[schema(example = "tg_7m2kq9x4")]
    prefix: String,
    /// The most permissions that it has.
    #[schema(value_type = Vec<schema::Permission>)]
    scopes: Vec<&'static str>,
    /// The person who created it. It never has more permissions than they have.
    #[schema(value_type = schema::UserId)]
    created_by: UserId,
    /// The key that created it, if a key did. It is revoked with that key.
    #[schema(value_type = Option<schema::ApiKeyId>)]
    parent_id: Option<ApiKeyId>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it expires.
    expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to the hour.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.as_str().to_owned(),
            prefix: key.visible,
            scopes: key.scopes.iter().map(Permission::as_str).collect(),
            created_by: key.created_by,
            parent_id: key.parent,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// An API key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedApiKey {
    #[serde(flatten)]
    key: ApiKeyView,
    /// The secret itself. It is shown once: a replayed response (`Idempotency-Key`) has null here.
    #[schema(example = "tg_7m2kq9x4…", nullable)]
    secret: String,
}

impl SecretBody for CreatedApiKey {
    const SECRETS: &'static [&'static str] = &["secret"];
}

/// Create an API key. Only this response shows its secret.
#[utoipa::path(tag = "api keys", security(("bearer" = [])),
    request_body(content = CreateApiKey, example = json!({ "name": "importer", "scopes": ["events:write"] })),
    responses((status = 201, description = "The key with its secret", body = CreatedApiKey)))]
#[post("")]
pub async fn create(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<CreateApiKey>,
) -> Result<HttpResponse, Problem> {
    let name = Name::new(&body.name).map_err(|error| invalid_text("/name", error))?;
    let new =
        NewApiKey { name, scopes: scopes(&body.scopes)?, expires_at: body.expires_at.map(|at| at.trunc_subsecs(6)) };
    let (key, secret) = services.tenancy.api_keys.create(&scope, new).await?;
    let created = CreatedApiKey { key: key.into(), secret: secret.expose().to_owned() };
    secret_answer(HttpResponse::Created(), &created)
}

fn scopes(texts: &[String]) -> Result<PermissionSet, Problem> {
    let (mut known, mut errors) = (Vec::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<Permission>() {
            Ok(permission) => known.push(permission),
            Err(error) => errors.push(FieldError::new(format!("/scopes/{index}"), error.to_string())),
        }
    }
    if errors.is_empty() { Ok(known.into_iter().collect()) } else { Err(Problem::invalid(errors)) }
}

/// List the API keys that are not revoked, newest first.
#[utoipa::path(tag = "api keys", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "Keys without their secrets", body = List<ApiKeyView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let binding = (scope.workspace(), "api-keys");
        let before = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let page = services.tenancy.api_keys.list(&scope, before, page_size(query.limit)?).await?;
        Ok(services.cursors.list(page.map(ApiKeyView::from), &binding).into())
    };
    services.lists.answer(&request, &scope, &[ListTag::ApiKeys], read).await
}

/// Revoke an API key and the keys that it created. They are refused within a second.
#[utoipa::path(tag = "api keys", security(("bearer" = [])),
    responses((status = 204, description = "Revoked")))]
#[delete("/{key}")]
pub async fn revoke(
    services: web::Data<Services>,
    Entered(scope): Entered,
    key: InPath<ApiKeyId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.api_keys.revoke(&scope, key.or_nothing()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        let invalid =
            |pointer: &str, error: &ApiKeyError| Self::invalid(vec![FieldError::new(pointer, error.to_string())]);
        match error {
            ApiKeyError::Forbidden(error) => error.into(),
            ApiKeyError::ScopeAboveOwn(scope) => {
                Self::new(&FORBIDDEN, format!("The scope `{scope}` is more than you may do yourself."))
            }
            ApiKeyError::NoScopes => invalid("/scopes", &error),
            ApiKeyError::ExpiryInThePast | ApiKeyError::ExpiryTooLate | ApiKeyError::ExpiryAfterMaker(_) => {
                invalid("/expires_at", &error)
            }
            ApiKeyError::NotFound => Self::not_found(),
            ApiKeyError::Store(error) => error.into(),
        }
    }
}
