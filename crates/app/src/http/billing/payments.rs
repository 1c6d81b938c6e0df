//! Payments and the payment method of a workspace.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_billing::Payment;
use tidegate_billing::payment::{PaymentError, PaymentMethod, ProviderError};
use tidegate_kernel::{InvoiceId, PaymentId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::problem::{CONFLICT, Problem, UNAVAILABLE};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config
        .service(set_up_payment_method)
        .service(show_payment_method)
        .service(remove_payment_method)
        .service(list_payments);
}

/// A page on which the customer enters a payment method.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentSetUpView {
    /// The address. Whoever has it can enter a payment method for the workspace.
    #[schema(example = "https://checkout.stripe.com/c/pay/cs_live_a1")]
    url: String,
}

impl SecretBody for PaymentSetUpView {
    const SECRETS: &'static [&'static str] = &["url"];
}

/// How the invoices of a workspace are paid.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentMethodView {
    /// The payment provider: `manual` takes bank transfers only.
    #[schema(example = "stripe")]
    provider: &'static str,
    /// The payment method that is charged; null if there is none.
    method: Option<MethodView>,
}

/// A payment method.
#[derive(Debug, Serialize, ToSchema)]
pub struct MethodView {
    /// What it is.
    #[schema(example = "card", pattern = "^[a-z0-9_]+$")]
    kind: String,
    /// The brand of a card.
    #[schema(example = "visa")]
    brand: Option<String>,
    /// The last digits.
    #[schema(example = "4242")]
    last4: Option<String>,
    /// The year in which a card expires.
    #[schema(minimum = 0)]
    expires_year: Option<i32>,
    /// The month in which a card expires.
    #[schema(minimum = 1, maximum = 12)]
    expires_month: Option<u32>,
}

impl From<PaymentMethod> for MethodView {
    fn from(method: PaymentMethod) -> Self {
        let PaymentMethod { kind, brand, last4, expires, .. } = method;
        let (expires_year, expires_month) = expires.unzip();
        Self { kind, brand, last4, expires_year, expires_month }
    }
}

/// A payment: an attempt to collect an invoice.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentView {
    /// The id.
    #[schema(value_type = schema::PaymentId)]
    id: PaymentId,
    /// The invoice.
    #[schema(value_type = schema::InvoiceId)]
    invoice_id: InvoiceId,
    /// The number of the attempt, from 0.
    #[schema(minimum = 0)]
    attempt: i32,
    /// The payment provider.
    #[schema(example = "stripe")]
    provider: String,
    /// The state.
    #[schema(value_type = schema::PaymentState)]
    state: &'static str,
    /// Minor units of the currency.
    #[schema(minimum = 1)]
    amount: i64,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// Why it failed: a code of the provider.
    #[schema(example = "insufficient_funds")]
    failure: Option<String>,
    /// The page on which the customer confirms it, if their bank wants that.
    #[schema(example = "https://hooks.stripe.com/3d_secure/authenticate")]
    action_url: Option<String>,
    /// How much of it became credit, because the invoice was paid otherwise.
    #[schema(minimum = 0)]
    credited: i64,
    /// When the attempt began.
    created_at: DateTime<Utc>,
    /// When the state changed last.
    changed_at: DateTime<Utc>,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let waits = payment.state == tidegate_billing::PaymentState::RequiresAction;
        Self {
            id: payment.id,
            invoice_id: payment.invoice,
            attempt: payment.attempt,
            provider: payment.provider,
            state: payment.state.as_str(),
            amount: payment.amount,
            currency: payment.currency.code(),
            failure: payment.failure,
            action_url: payment.action_url.filter(|_| waits),
            credited: payment.credited,
            created_at: payment.created_at,
            changed_at: payment.changed_at,
        }
    }
}

/// Begin to enter a payment method.
///
/// Send the customer to the address. When they have entered a card, open invoices are charged, and later ones when they
/// are issued. 409 if this installation takes bank transfers only.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 201, description = "The page for the customer", body = PaymentSetUpView)))]
#[post("/payment-method")]
pub async fn set_up_payment_method(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    let set_up = services.billing.payments.set_up(&scope).await?;
    secret_answer(HttpResponse::Created(), &PaymentSetUpView { url: set_up.url })
}

/// Get the payment method that is charged.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 200, description = "The payment method", body = PaymentMethodView)))]
#[get("/payment-method")]
pub async fn show_payment_method(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    let payments = &services.billing.payments;
    let method = payments.method(&scope).await?.map(MethodView::from);
    Ok(HttpResponse::Ok().json(PaymentMethodView { provider: payments.provider(), method }))
}

/// Remove the payment method. Invoices are to be paid by bank transfer then.
#[utoipa::path(tag = "billing", security(("bearer" = [])),
    responses((status = 204, description = "There is no payment method any more")))]
#[delete("/payment-method")]
pub async fn remove_payment_method(
    services: web::Data<Services>,
    Entered(scope): Entered,
) -> Result<HttpResponse, Problem> {
    services.billing.payments.remove_method(&scope).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the payments of a workspace, newest first.
///
/// These are the attempts of a payment provider. Bank transfers are in the ledger alone.
#[utoipa::path(tag = "billing", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Payments", body = List<PaymentView>)))]
#[get("/payments")]
pub async fn list_payments(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "payments");
    let before: Option<PaymentId> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.billing.payments.list(&scope, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(PaymentView::from), &binding)))
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::Forbidden(error) => error.into(),
            PaymentError::Store(error) => error.into(),
            PaymentError::Provider(error @ ProviderError::Unsupported) => Self::new(&CONFLICT, error.to_string()),
            PaymentError::Provider(error) => {
                tracing::warn!(%error, "a payment provider did not do what it was asked");
                Self::new(&UNAVAILABLE, "The payment provider cannot be reached just now; try again.")
            }
        }
    }
}
