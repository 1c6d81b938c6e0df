//! The members of a workspace.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{ListTag, UserId};
use tidegate_tenancy::{Member, MemberError, Role};
use utoipa::ToSchema;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::{Validate, ValidationError};

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, FORBIDDEN, FieldError, LAST_OWNER, Problem};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(scope("/members").service(list).service(change_role).service(remove));
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    /// The person.
    #[schema(value_type = schema::UserId)]
    user_id: UserId,
    /// Their email address.
    #[schema(value_type = Option<schema::Email>)]
    email: Option<String>,
    /// Their name.
    name: Option<String>,
    /// Their role.
    #[schema(value_type = schema::Role)]
    role: String,
    /// When they joined.
    joined_at: DateTime<Utc>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user,
            email: member.email.map(|email| email.as_str().to_owned()),
            name: member.name.map(|name| name.as_str().to_owned()),
            role: member.role.name().to_owned(),
            joined_at: member.joined_at,
        }
    }
}

/// The change of a member (JSON merge patch, RFC 7396).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMember {
    /// The new role.
    #[validate(custom(function = "valid_role"))]
    #[schema(value_type = schema::Role)]
    role: String,
}

fn valid_role(text: &str) -> Result<(), ValidationError> {
    let message =
        |error: tidegate_tenancy::UnknownRole| ValidationError::new("role").with_message(error.to_string().into());
    text.parse::<Role>().map(drop).map_err(message)
}

/// List the members in the order in which they joined.
#[utoipa::path(tag = "members", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "Members", body = List<MemberView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let binding = (scope.workspace(), "members");
        let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let page = services.tenancy.members.list(&scope, after, page_size(query.limit)?).await?;
        Ok(services.cursors.list(page.map(MemberView::from), &binding).into())
    };
    services.lists.answer(&request, &scope, &[ListTag::Members], read).await
}

/// Change a member's role.
#[utoipa::path(tag = "members", security(("bearer" = [])),
    request_body(content = UpdateMember, content_type = "application/merge-patch+json",
        example = json!({ "role": "member" })),
    responses((status = 200, description = "The member as it is now", body = MemberView)))]
#[patch("/{user}")]
pub async fn change_role(
    services: web::Data<Services>,
    Entered(scope): Entered,
    user: InPath<UserId>,
    Body(body): Body<UpdateMember>,
) -> Result<HttpResponse, Problem> {
    let role = body.role.parse::<Role>();
    let role = role.map_err(|error| Problem::invalid(vec![FieldError::new("/role", error.to_string())]))?;
    let member = services.tenancy.members.change_role(&scope, user.or_not_found()?, role).await?;
    Ok(HttpResponse::Ok().json(MemberView::from(member)))
}

/// Remove a member with the API keys that they created, or leave the workspace.
#[utoipa::path(tag = "members", security(("bearer" = [])),
    responses((status = 204, description = "Removed")))]
#[delete("/{user}")]
pub async fn remove(
    services: web::Data<Services>,
    Entered(scope): Entered,
    user: InPath<UserId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.members.remove(&scope, user.or_nothing()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<MemberError> for Problem {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Forbidden(error) => error.into(),
            MemberError::RoleExceedsCaller(role) => {
                Self::new(&FORBIDDEN, format!("The role `{role}` allows more than you may do yourself."))
            }
            MemberError::NotFound => Self::not_found(),
            MemberError::AlreadyMember => Self::new(&CONFLICT, "The person is a member already."),
            MemberError::LastOwner => {
                Self::new(&LAST_OWNER, "A workspace keeps at least one owner; make somebody else an owner first.")
            }
            MemberError::QuotaExceeded(exceeded) => exceeded.into(),
            MemberError::Store(error) => error.into(),
        }
    }
}
