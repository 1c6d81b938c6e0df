//! Accounts of people, for operators.

use actix_web::{HttpResponse, post, web};
use tidegate_kernel::UserId;
use tidegate_tenancy::DeactivateError;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Operator;
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, Problem};

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(deactivate).service(reactivate);
}

/// Deactivate an account. Its sessions and links end, its API keys stop working, and nobody can log in to it. For
/// operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), responses((status = 204, description = "Deactivated")))]
#[post("/people/{user}/deactivate")]
pub async fn deactivate(
    services: web::Data<Services>,
    Operator(operator): Operator,
    user: InPath<UserId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.accounts.set_active(&operator, user.or_not_found()?, false).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reactivate an account. Its password and API keys work again. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), responses((status = 204, description = "Reactivated")))]
#[post("/people/{user}/reactivate")]
pub async fn reactivate(
    services: web::Data<Services>,
    Operator(operator): Operator,
    user: InPath<UserId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.accounts.set_active(&operator, user.or_not_found()?, true).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<DeactivateError> for Problem {
    fn from(error: DeactivateError) -> Self {
        match error {
            DeactivateError::NotFound => Self::not_found(),
            DeactivateError::Own => Self::new(&CONFLICT, "You cannot deactivate your own account."),
            DeactivateError::Store(error) => error.into(),
        }
    }
}
