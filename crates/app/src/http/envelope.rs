//! What surrounds every request: its id, its span, its time limit, its measurements, and the body of its error.

use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};
use std::future::{Ready, ready};
use tidegate_kernel::RequestId;
use tracing::{Instrument, field};
use uuid::Uuid;

use super::problem::{BAD_REQUEST, MEDIA_TYPE, Problem, TIMEOUT};
use crate::Services;

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long an operation may take, a wait for a run included.
const TIME_LIMIT: Duration = Duration::from_secs(75);

/// The id of the request under way, as an extractor.
#[derive(Debug, Clone)]
pub struct CurrentRequest(pub RequestId);

impl FromRequest for CurrentRequest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Problem::internal))
    }
}

/// The middleware around everything.
///
/// # Errors
/// Never: whatever fails inside becomes a problem+json answer.
pub async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let request_id = incoming_id(&request).unwrap_or_else(|| fresh_id(&request));
    let span = tracing::info_span!(
        "request",
        request_id = %request_id,
        method = %request.method(),
        path = request.path(),
        workspace_id = field::Empty,
        status = field::Empty,
    );
    request.extensions_mut().insert(CurrentRequest(request_id.clone()));
    async move {
        let method = request.method().clone();
        let answer = tokio::time::timeout(TIME_LIMIT, next.call(request)).await;
        let mut response = match answer {
            Ok(Ok(response)) => response.map_into_boxed_body(),
            Ok(Err(error)) => return Err(finish_error(&error, &request_id)),
            Err(_) => {
                let problem = Problem::new(&TIMEOUT, format!("It took longer than {} s.", TIME_LIMIT.as_secs()));
                return Err(finish_error(&problem.into(), &request_id));
            }
        };
        finish(response.response_mut(), &request_id);
        measure(&method, &response, started.elapsed());
        Ok(response)
    }
    .instrument(span)
    .await
}

fn incoming_id(request: &ServiceRequest) -> Option<RequestId> {
    RequestId::new(request.headers().get(REQUEST_ID)?.to_str().ok()?)
}

fn fresh_id(request: &ServiceRequest) -> RequestId {
    let id =
        request.app_data::<actix_web::web::Data<Services>>().map_or(Uuid::nil(), |services| services.env.uuid_v7());
    #[expect(clippy::expect_used, reason = "32 hexadecimal digits are a request id")]
    RequestId::new(&id.simple().to_string()).expect("32 hexadecimal digits are a request id")
}

/// Writes the id, and the body where the answer is a problem or an error of the framework's without one.
fn finish(response: &mut actix_web::HttpResponse<BoxBody>, request_id: &RequestId) {
    let stated = response.extensions_mut().remove::<Problem>();
    let problem = stated.or_else(|| {
        let status = response.status();
        let is_ours =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE || kind == "application/json");
        (status.is_client_error() && !is_ours).then(|| {
            Problem::new(
                &BAD_REQUEST,
                format!("The request was refused: {}.", status.canonical_reason().unwrap_or("bad request")),
            )
        })
    });
    if let Some(problem) = problem {
        let body = serde_json::to_vec(&problem.body(Some(request_id))).unwrap_or_default();
        *response.status_mut() = problem.status_code();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.remove(CONTENT_LENGTH);
        let whole = std::mem::replace(response, actix_web::HttpResponse::new(problem.status_code()));
        *response = whole.set_body(BoxBody::new(body));
    }
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// An error from a middleware further in, as the problem that it is.
fn finish_error(error: &Error, request_id: &RequestId) -> Error {
    let mut response = error.error_response();
    finish(&mut response, request_id);
    actix_web::error::InternalError::from_response("a problem", response).into()
}

fn measure(method: &actix_web::http::Method, response: &ServiceResponse<BoxBody>, took: Duration) {
    let status = response.status();
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    tracing::Span::current().record("status", status.as_u16());
    if status.is_server_error() {
        tracing::warn!(%route, status = status.as_u16(), took_ms = took.as_millis(), "a request failed");
    } else {
        tracing::debug!(%route, status = status.as_u16(), took_ms = took.as_millis(), "answered");
    }
    let labels = [("method", method.to_string()), ("route", route), ("status", status.as_u16().to_string())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
}
