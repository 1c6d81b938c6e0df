//! What a workspace demands of its members.

use actix_web::{HttpResponse, get, put, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_tenancy::{Role, SecondFactorRule, WorkspacePolicy};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Caller, Entered};
use crate::http::support::problem::{FieldError, Problem};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(show_policy).service(set_policy);
}

/// The policy of a workspace.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// Whether members need a second factor.
    second_factor: SecondFactorPolicy,
}

/// Whether members need a second factor. Members without one cannot enter the workspace until they have logged in with
/// one. API keys are not concerned.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorPolicy {
    /// Who needs one: nobody (`off`), everybody (`all`), or members with certain roles (`roles`).
    required: Required,
    /// The roles, with `"required": "roles"`.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Role>)]
    roles: Vec<String>,
    /// When it begins; null for at once.
    #[serde(default)]
    from: Option<DateTime<Utc>>,
}

/// Who needs a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// Nobody.
    Off,
    /// Everybody.
    All,
    /// Members with certain roles.
    Roles,
}

impl From<WorkspacePolicy> for PolicyBody {
    fn from(policy: WorkspacePolicy) -> Self {
        let (required, roles) = match policy.second_factor {
            SecondFactorRule::Off => (Required::Off, Vec::new()),
            SecondFactorRule::All => (Required::All, Vec::new()),
            SecondFactorRule::Roles(roles) => (Required::Roles, roles),
        };
        Self { second_factor: SecondFactorPolicy { required, roles, from: policy.from } }
    }
}

impl PolicyBody {
    fn read(self) -> Result<WorkspacePolicy, Problem> {
        let SecondFactorPolicy { required, mut roles, from } = self.second_factor;
        let unknown = roles.iter().position(|name| name.parse::<Role>().is_err());
        if let Some(at) = unknown {
            let error = FieldError::new(format!("/second_factor/roles/{at}"), "is not a role of this workspace");
            return Err(Problem::invalid(vec![error]));
        }
        let wrong = |detail: &str| Err(Problem::invalid(vec![FieldError::new("/second_factor/roles", detail)]));
        roles.sort_unstable();
        roles.dedup();
        let second_factor = match (required, roles.is_empty()) {
            (Required::Roles, true) => return wrong("must name a role, or nobody is concerned"),
            (Required::Off | Required::All, false) => return wrong("must be empty, unless `required` is `roles`"),
            (Required::Off, true) => SecondFactorRule::Off,
            (Required::All, true) => SecondFactorRule::All,
            (Required::Roles, false) => SecondFactorRule::Roles(roles),
        };
        Ok(WorkspacePolicy { second_factor, from })
    }
}

/// Get the policy of a workspace.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    responses((status = 200, description = "The policy", body = PolicyBody)))]
#[get("/policy")]
pub async fn show_policy(services: web::Data<Services>, Entered(scope): Entered) -> Result<HttpResponse, Problem> {
    let policy = services.tenancy.workspaces.policy(&scope).await?;
    Ok(HttpResponse::Ok().json(PolicyBody::from(policy)))
}

/// Replace the policy of a workspace.
///
/// A person whom it concerns has to have logged in with a second factor.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    request_body(content = PolicyBody,
        example = json!({ "second_factor": { "required": "roles", "roles": ["viewer"], "from": "2030-01-01T00:00:00Z" } })),
    responses((status = 200, description = "The policy", body = PolicyBody)))]
#[put("/policy")]
pub async fn set_policy(
    services: web::Data<Services>,
    Entered(scope): Entered,
    caller: Caller,
    Body(body): Body<PolicyBody>,
) -> Result<HttpResponse, Problem> {
    let policy = body.read()?;
    services.tenancy.workspaces.set_policy(&scope, &caller.principal, &policy).await?;
    Ok(HttpResponse::Ok().json(PolicyBody::from(policy)))
}
