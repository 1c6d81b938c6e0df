//! Whom the invoices of a workspace are for.

use actix_web::{HttpRequest, HttpResponse, get, put, web};
use serde::{Deserialize, Serialize};
use tidegate_billing::invoice::{BillingDetailsError, CustomerDetails, Party, PartyField, PartyMistake};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::problem::{FieldError, Problem};
use crate::http::support::revision;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(show_billing_details).service(set_billing_details);
}

/// The seller or the customer of an invoice.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartyView {
    /// The name of the company or the person; empty if the operator has set no seller.
    #[schema(example = "Miller & Sons Ltd.", min_length = 0, max_length = 200)]
    name: String,
    /// The lines of the address.
    #[schema(max_items = 6)]
    address: Vec<String>,
    /// The number under which tax offices know them.
    #[schema(example = "GB 123 4567 89", pattern = "^.{1,40}$")]
    tax_id: Option<String>,
}

impl From<Party> for PartyView {
    fn from(Party { name, address, tax_id }: Party) -> Self {
        Self { name, address, tax_id }
    }
}

/// Billing details to set.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBillingDetails {
    /// The name of the company or the person.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The lines of the address, with the country.
    #[serde(default)]
    #[validate(length(max = 6))]
    #[schema(max_items = 6)]
    address: Vec<String>,
    /// The number under which tax offices know you.
    #[serde(default)]
    #[validate(length(max = 40))]
    #[schema(pattern = "^.{1,40}$", max_length = 40)]
    tax_id: Option<String>,
}

/// Get whom the next invoice is for. Without billing details that is the name of the workspace.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The billing details", body = PartyView)))]
#[get("/billing-details")]
pub async fn show_billing_details(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    Ok(answer(services.billing.details.get(&scope).await?))
}

/// Replace the billing details. Invoices that were issued keep theirs.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    params(("If-Match" = String, Header, description = "The `ETag` that was read, or `*`", example = "*")),
    request_body(content = SetBillingDetails, example = json!({
        "name": "Miller & Sons Ltd.", "address": ["1 High Street", "Cambridge CB2 1TN", "United Kingdom"],
        "tax_id": "GB 123 4567 89" })),
    responses((status = 200, description = "The billing details", body = PartyView)))]
#[put("/billing-details")]
pub async fn set_billing_details(
    services: web::Data<Services>,
    request: HttpRequest,
    Entered(scope): Entered,
    Body(body): Body<SetBillingDetails>,
) -> Result<HttpResponse, Problem> {
    let expected = revision::seen(revision::required(&request)?);
    let party = Party::new(&body.name, &body.address, body.tax_id.as_deref()).map_err(invalid)?;
    Ok(answer(services.billing.details.replace(&scope, party, expected.as_deref()).await?))
}

fn answer(CustomerDetails { party, revision }: CustomerDetails) -> HttpResponse {
    HttpResponse::Ok().append_header(revision::etag(revision)).json(PartyView::from(party))
}

fn invalid((field, mistake): (PartyField, PartyMistake)) -> Problem {
    let pointer = match field {
        PartyField::Name => "/name".to_owned(),
        PartyField::Address => "/address".to_owned(),
        PartyField::Line(nth) => format!("/address/{nth}"),
        PartyField::TaxId => "/tax_id".to_owned(),
    };
    Problem::invalid(vec![FieldError::new(&pointer, mistake.to_string())])
}

impl From<BillingDetailsError> for Problem {
    fn from(error: BillingDetailsError) -> Self {
        match error {
            BillingDetailsError::Forbidden(error) => error.into(),
            BillingDetailsError::Stale(revision) => revision::stale(revision),
            BillingDetailsError::Store(error) => error.into(),
        }
    }
}
