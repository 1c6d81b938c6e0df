//! Notifications of payment providers. They have no token; a signature proves where they come from.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, post, web};
use tidegate_billing::payment::{EventSubject, PaymentEvent};
use tidegate_stripe::StripeEvent;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::body::read;
use crate::http::support::problem::{INVALID_SIGNATURE, MALFORMED_BODY, Problem};
use crate::http::support::schema;

/// The largest notification. Those of Stripe have some kilobytes.
const MAX_BYTES: usize = 256 * 1024;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(receive_stripe);
}

/// Receive a notification of Stripe.
///
/// Only Stripe calls this. The signature in the header `Stripe-Signature` covers the exact body and may be 5 minutes old.
/// The notification is stored before the answer, and handled later. One that comes again changes nothing. 404 if Stripe
/// is not the payment provider.
#[utoipa::path(tag = "billing",
    params(("Stripe-Signature" = String, Header, description = "The time and the signatures of the body",
        example = "t=1900000000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd")),
    request_body(content((schema::Bytes = "application/octet-stream", example = json!({
        "id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": { "object": { "id": "pi_1" } }
    })))),
    responses((status = 204, description = "The notification is stored")))]
#[post("/webhooks/stripe")]
pub async fn receive_stripe(
    services: web::Data<Services>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let Some(webhooks) = &services.billing.stripe else { return Err(Problem::not_found()) };
    let mut headers = request.headers().get_all("stripe-signature");
    let header = match (headers.next(), headers.next()) {
        (Some(header), None) => header.to_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let body = read(body.into_inner(), MAX_BYTES).await?;
    webhooks
        .verify(&header, &body, services.platform.env.now())
        .map_err(|error| Problem::new(&INVALID_SIGNATURE, format!("{error}.")))?;
    let event = StripeEvent::read(&body)
        .map_err(|error| Problem::new(&MALFORMED_BODY, format!("The body is no event: {error}.")))?;
    let subject = match (event.payment, event.set_up) {
        (Some(payment), _) => EventSubject::Payment(payment),
        (None, Some(customer)) => EventSubject::Customer(customer),
        (None, None) => return Ok(HttpResponse::NoContent().finish()),
    };
    let event = PaymentEvent { provider: "stripe".to_owned(), id: event.id, subject };
    services.billing.inbox.receive(&event).await?;
    Ok(HttpResponse::NoContent().finish())
}
