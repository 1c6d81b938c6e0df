//! Invoices and the ledger of a workspace, and the payments that operators record.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::Currency;
use tidegate_billing::invoice::{IssuedInvoice, Line, LineKind, UsageRow};
use tidegate_billing::ledger::Posting;
use tidegate_kernel::{InvoiceId, WorkspaceId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;
use validator::Validate;

use super::billing_details::PartyView;
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::{Entered, Operator};
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn invoices(config: &mut ServiceConfig<'_>) {
    config.service(list_invoices).service(show_invoice);
}

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(show_ledger);
}

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(record_payment);
}

/// An invoice. All amounts are minor units of the currency, such as cents.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvoiceView {
    /// The id.
    #[schema(value_type = schema::InvoiceId)]
    id: InvoiceId,
    /// The number. Numbers have no gaps.
    #[schema(example = "INV-000042")]
    number: String,
    /// The status; `uncollectible` if it was written off.
    #[schema(value_type = schema::InvoiceStatus)]
    status: &'static str,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// Who it is from: the seller when it was issued; null for an invoice from before this was kept.
    seller: Option<PartyView>,
    /// Whom it is for: the billing details when it was issued; null as the seller.
    customer: Option<PartyView>,
    /// When the time that it is about began.
    period_start: DateTime<Utc>,
    /// When that time ends.
    period_end: DateTime<Utc>,
    /// The lines. They sum to the total.
    lines: Vec<InvoiceLineView>,
    /// The sum without tax.
    subtotal: i64,
    /// The tax.
    tax: i64,
    /// The sum with tax.
    #[schema(minimum = 0)]
    total: i64,
    /// How much of the total was paid by credit.
    #[schema(minimum = 0)]
    credit_applied: i64,
    /// What is left to pay.
    #[schema(minimum = 0)]
    amount_due: i64,
    /// How much credit notes have taken back. It became credit.
    #[schema(minimum = 0)]
    amount_credited: i64,
    /// When it was issued.
    issued_at: DateTime<Utc>,
    /// When payment is due; null if nothing is to be paid.
    due_at: Option<DateTime<Utc>>,
    /// When it was paid.
    paid_at: Option<DateTime<Utc>>,
}

/// A line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvoiceLineView {
    /// What it is for.
    description: String,
    /// The number of units.
    quantity: i64,
    /// The price of one unit, or of the number of units that the description names.
    unit_amount: i64,
    /// The amount; negative for credits. It contains the tax if prices do.
    amount: i64,
    /// The tax on it.
    tax: i64,
    /// The tax rate in parts per million: 190000 is 19 %.
    #[schema(minimum = 0)]
    tax_ppm: u32,
    /// The usage that it comes from; null if it comes from none.
    usage: Option<Vec<UsageRowView>>,
}

/// The usage of a month on an invoice.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageRowView {
    /// The limit of the plan that the usage counts against.
    #[schema(example = "events_per_month", pattern = "^[a-z_]+$")]
    meter: &'static str,
    /// When the month began.
    period_start: DateTime<Utc>,
    /// When it ended.
    period_end: DateTime<Utc>,
    /// The amount used.
    #[schema(minimum = 0)]
    used: i64,
    /// The part of it that an earlier invoice was about.
    #[schema(minimum = 0)]
    charged: i64,
}

impl InvoiceLineView {
    fn new((description, line): (String, Line)) -> Self {
        let usage = match &line.kind {
            LineKind::Usage { name, rows, .. } => {
                let view = |UsageRow { period, used, charged }: &UsageRow| UsageRowView {
                    meter: name.as_str(),
                    period_start: period.start,
                    period_end: period.end,
                    used: *used,
                    charged: *charged,
                };
                Some(rows.iter().map(view).collect())
            }
            _ => None,
        };
        Self {
            description,
            quantity: line.quantity,
            unit_amount: line.unit_amount,
            amount: line.amount,
            tax: line.tax,
            tax_ppm: line.rate.ppm,
            usage,
        }
    }
}

impl From<IssuedInvoice> for InvoiceView {
    fn from(issued: IssuedInvoice) -> Self {
        let invoice = issued.invoice;
        let parties = issued.parties.map(|parties| (parties.seller.into(), parties.customer.into()));
        let (seller, customer) = parties.unzip();
        Self {
            id: issued.id,
            number: issued.number.to_string(),
            status: issued.status.as_str(),
            currency: invoice.currency.code(),
            seller,
            customer,
            period_start: issued.period.start,
            period_end: issued.period.end,
            subtotal: invoice.subtotal,
            tax: invoice.tax,
            total: invoice.total,
            credit_applied: invoice.credit_applied,
            amount_due: invoice.amount_due(),
            amount_credited: issued.credited,
            lines: issued.descriptions.into_iter().zip(invoice.lines).map(InvoiceLineView::new).collect(),
            issued_at: issued.issued_at,
            due_at: issued.due_at,
            paid_at: issued.paid_at,
        }
    }
}

/// A transaction of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerTransactionView {
    /// When it was posted.
    at: DateTime<Utc>,
    /// Why.
    #[schema(value_type = schema::LedgerCause)]
    cause: &'static str,
    /// The invoice that it is about.
    #[schema(value_type = schema::InvoiceId)]
    invoice_id: InvoiceId,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// The entries. Their amounts sum to zero.
    entries: Vec<LedgerEntryView>,
}

/// An entry of a transaction.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerEntryView {
    /// The account.
    #[schema(value_type = schema::LedgerAccount)]
    account: &'static str,
    /// Minor units: positive is a debit, negative a credit.
    amount: i64,
}

impl From<Posting> for LedgerTransactionView {
    fn from(posting: Posting) -> Self {
        let entries = posting.transaction.entries().iter();
        Self {
            at: posting.at,
            cause: posting.cause.as_str(),
            invoice_id: posting.invoice,
            currency: posting.transaction.currency().code(),
            entries: entries
                .map(|entry| LedgerEntryView { account: entry.account.as_str(), amount: entry.amount })
                .collect(),
        }
    }
}

/// A payment that an operator has seen on their bank account.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordPayment {
    /// Minor units of the currency: exactly what is due.
    #[validate(range(min = 1))]
    #[schema(minimum = 1, example = 7900)]
    amount: i64,
    /// The currency of the invoice (ISO 4217).
    #[schema(value_type = String, example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Currency,
}

/// List the invoices of a workspace, newest first.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Invoices", body = List<InvoiceView>)))]
#[get("")]
pub async fn list_invoices(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "invoices");
    let before: Option<InvoiceId> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.subscriptions.invoices(&scope, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(InvoiceView::from), &binding)))
}

/// Get an invoice.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
#[get("/{inv}")]
pub async fn show_invoice(
    services: web::Data<Services>,
    Entered(scope): Entered,
    invoice: InPath<InvoiceId>,
) -> Result<HttpResponse, Problem> {
    let invoice = services.billing.subscriptions.invoice(&scope, invoice.or_nothing()).await?;
    Ok(HttpResponse::Ok().json(InvoiceView::from(invoice)))
}

/// List the transactions of the ledger of a workspace, newest first.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Transactions", body = List<LedgerTransactionView>)))]
#[get("/ledger")]
pub async fn show_ledger(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "ledger");
    let before: Option<Uuid> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.subscriptions.ledger(&scope, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(LedgerTransactionView::from), &binding)))
}

/// Record that an invoice was paid, such as by bank transfer.
///
/// The workspace is named by its id. The amount must be what is due. 409 if the invoice is not open, so a payment that is sent twice counts once.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    request_body(content = RecordPayment, example = json!({ "amount": 7900, "currency": "EUR" })),
    responses((status = 200, description = "The paid invoice", body = InvoiceView)))]
#[post("/workspaces/{ws}/invoices/{inv}/payment")]
pub async fn record_payment(
    services: web::Data<Services>,
    Operator(operator): Operator,
    workspace: InPath<WorkspaceId>,
    invoice: InPath<InvoiceId>,
    Body(body): Body<RecordPayment>,
) -> Result<HttpResponse, Problem> {
    let (workspace, invoice) = (workspace.or_not_found()?, invoice.or_not_found()?);
    let RecordPayment { amount, currency } = body;
    let paid = services.billing.subscriptions.record_payment(&operator, workspace, invoice, currency, amount).await?;
    Ok(HttpResponse::Ok().json(InvoiceView::from(paid)))
}
