//! Invoices and credit notes as PDF.

use std::sync::Arc;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpResponse, get, web};
use tidegate_billing::invoice::{DocumentError, InvoiceDocuments};
use tidegate_kernel::{CreditNoteId, InvoiceId};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::conditional;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::schema;

/// Before the operations of invoices: `{inv}` alone would take `.pdf` as a part of the id.
pub(super) fn invoices(config: &mut ServiceConfig<'_>) {
    config.service(invoice_pdf);
}

pub(super) fn credit_notes(config: &mut ServiceConfig<'_>) {
    config.service(credit_note_pdf);
}

/// Get an invoice as PDF. It shows the status that the invoice has now.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses(
        (status = 200, description = "The document", body = schema::Bytes, content_type = "application/pdf"),
        (status = 304, description = "The caller has this document")))]
#[get("/{inv}.pdf")]
pub async fn invoice_pdf(
    services: web::Data<Services>,
    Entered(scope): Entered,
    invoice: InPath<InvoiceId>,
) -> Result<HttpResponse, Problem> {
    let invoice = services.billing.subscriptions.invoice(&scope, invoice.or_nothing()).await?;
    let name = invoice.number.to_string();
    pdf(&services, &name, move |documents| documents.invoice(&invoice)).await
}

/// Get a credit note as PDF.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses(
        (status = 200, description = "The document", body = schema::Bytes, content_type = "application/pdf"),
        (status = 304, description = "The caller has this document")))]
#[get("/{note}.pdf")]
pub async fn credit_note_pdf(
    services: web::Data<Services>,
    Entered(scope): Entered,
    note: InPath<CreditNoteId>,
) -> Result<HttpResponse, Problem> {
    let (note, invoice) = services.billing.subscriptions.credit_note(&scope, note.or_nothing()).await?;
    let name = note.number.to_string();
    pdf(&services, &name, move |documents| documents.credit_note(&note, &invoice)).await
}

/// The response with a document that is written on a thread for blocking work.
async fn pdf(
    services: &Services,
    name: &str,
    write: impl FnOnce(&dyn InvoiceDocuments) -> Result<Vec<u8>, DocumentError> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let documents = Arc::clone(&services.billing.documents);
    let written = web::block(move || write(&*documents)).await.map_err(|_| Problem::internal())?;
    let bytes = written.map_err(|error| {
        tracing::error!(%error, name, "an invoice was not written as PDF");
        Problem::internal()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/pdf"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.pdf\"")))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((ETAG, conditional::hash(&bytes)))
        .body(bytes))
}
