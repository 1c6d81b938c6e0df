//! Credit notes of a workspace, and the invoices that operators write off.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::invoice::IssuedCreditNote;
use tidegate_kernel::{CreditNoteId, InvoiceId, WorkspaceId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::invoices::InvoiceView;
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Entered, Operator};
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn credit_notes(config: &mut ServiceConfig<'_>) {
    config.service(list_credit_notes);
}

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(credit_invoice).service(void_invoice);
}

/// A credit note. All amounts are minor units of the currency, such as cents.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreditNoteView {
    /// The id.
    #[schema(value_type = schema::CreditNoteId)]
    id: CreditNoteId,
    /// The number. Numbers have no gaps.
    #[schema(example = "CN-000007")]
    number: String,
    /// The invoice that it takes back a part of.
    #[schema(value_type = schema::InvoiceId)]
    invoice_id: InvoiceId,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// The amount with tax. It became credit, which the next invoices use.
    #[schema(minimum = 1)]
    amount: i64,
    /// The tax in it.
    #[schema(minimum = 0)]
    tax: i64,
    /// Why it was written.
    reason: String,
    /// When it was issued.
    issued_at: DateTime<Utc>,
}

impl From<IssuedCreditNote> for CreditNoteView {
    fn from(issued: IssuedCreditNote) -> Self {
        Self {
            id: issued.id,
            number: issued.number.to_string(),
            invoice_id: issued.invoice,
            currency: issued.note.currency.code(),
            amount: issued.note.total,
            tax: issued.note.tax,
            reason: issued.reason,
            issued_at: issued.issued_at,
        }
    }
}

/// A credit note to write.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCreditNote {
    /// The amount with tax, in minor units of the invoice's currency: at most what was paid and not taken back before.
    #[validate(range(min = 1))]
    #[schema(minimum = 1, example = 500)]
    amount: i64,
    /// Why, for the customer. The books are kept for years: name no person.
    #[validate(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// An invoice to write off.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidInvoice {
    /// Why.
    #[schema(value_type = schema::VoidReason)]
    reason: VoidReason,
    /// What the audit log says about it.
    #[serde(default)]
    #[validate(length(max = 200))]
    #[schema(max_length = 200)]
    note: Option<String>,
}

/// Why an invoice is written off.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VoidReason {
    Uncollectible,
}

/// List the credit notes of a workspace, newest first.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Credit notes", body = List<CreditNoteView>)))]
#[get("")]
pub async fn list_credit_notes(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "credit-notes");
    let before: Option<CreditNoteId> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.subscriptions.credit_notes(&scope, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(CreditNoteView::from), &binding)))
}

/// Take back a part of a paid invoice. The amount becomes the customer's credit. For operators.
///
/// All credit notes of an invoice together take back at most what was paid. 409 if the invoice is not paid.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = NewCreditNote, example = json!({ "amount": 500, "reason": "An outage on 3 March" })),
    responses((status = 201, description = "The credit note", body = CreditNoteView)))]
#[post("/workspaces/{ws}/invoices/{inv}/credit-notes")]
pub async fn credit_invoice(
    services: web::Data<Services>,
    Operator(operator): Operator,
    workspace: InPath<WorkspaceId>,
    invoice: InPath<InvoiceId>,
    Body(body): Body<NewCreditNote>,
) -> Result<HttpResponse, Problem> {
    let (workspace, invoice) = (workspace.or_not_found()?, invoice.or_not_found()?);
    let NewCreditNote { amount, reason } = body;
    let note = services.billing.subscriptions.credit(&operator, workspace, invoice, amount, reason).await?;
    Ok(HttpResponse::Created().json(CreditNoteView::from(note)))
}

/// Write off an open invoice that will not be paid. It blocks the subscription no longer. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = VoidInvoice, example = json!({ "reason": "uncollectible" })),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
#[post("/workspaces/{ws}/invoices/{inv}/void")]
pub async fn void_invoice(
    services: web::Data<Services>,
    Operator(operator): Operator,
    workspace: InPath<WorkspaceId>,
    invoice: InPath<InvoiceId>,
    Body(body): Body<VoidInvoice>,
) -> Result<HttpResponse, Problem> {
    let (workspace, invoice) = (workspace.or_not_found()?, invoice.or_not_found()?);
    let VoidReason::Uncollectible = body.reason;
    let note = body.note.as_deref();
    let written_off = services.billing.subscriptions.write_off(&operator, workspace, invoice, note).await?;
    Ok(HttpResponse::Ok().json(InvoiceView::from(written_off)))
}
