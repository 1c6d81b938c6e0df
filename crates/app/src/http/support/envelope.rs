//! The outermost middleware: request id, span, time limit, metrics, and the body of errors.

use std::fmt;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};
use std::future::{Ready, ready};
use tidegate_kernel::trace::SPANS;
use tidegate_kernel::{RequestId, WorkspaceId};
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use super::problem::{
    BAD_REQUEST, BODY_TOO_LARGE, MEDIA_TYPE, METHOD_NOT_ALLOWED, NOT_FOUND, Problem, ProblemType, TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
};
use crate::Services;
use crate::measures::{self, InFlight};
use crate::telemetry::traces;

/// The header with the request's id, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The time limit of an operation, which includes waiting for a run.
const TIME_LIMIT: Duration = Duration::from_secs(75);

/// The time limit of an operation that receives or checks the bytes of a file. An upload that stands still ends earlier.
const FILE_TIME_LIMIT: Duration = Duration::from_secs(6 * 3_600);

/// An extractor of the request's id.
#[derive(Debug, Clone)]
pub struct CurrentRequest(pub RequestId);

impl FromRequest for CurrentRequest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(Problem::internal))
    }
}

/// The outermost middleware.
///
/// # Errors
/// Never: every inner error becomes a problem+json response.
pub async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    within(time_limit(&request), request, next).await
}

/// The time limit of the operation that a request is for.
fn time_limit(request: &ServiceRequest) -> Duration {
    let path = request.path();
    let is_file = request.method() == Method::POST
        && (path.ends_with("/files") || path.contains("/files/uploads/") && path.ends_with("/complete"));
    if is_file { FILE_TIME_LIMIT } else { TIME_LIMIT }
}

async fn within(
    limit: Duration,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let request_id = incoming_id(&request).unwrap_or_else(|| fresh_id(&request));
    // At level error, so that the log lines of a request have its id whatever level is logged.
    let span = tracing::error_span!(
        "request",
        request_id = %request_id,
        method = %request.method(),
        path = request.path(),
        workspace_id = field::Empty,
        status = field::Empty,
    );
    let traced = tracing::trace_span!(
        target: SPANS, "request", otel.kind = "server", otel.name = %Named(&request), http.request.method = %request.method(),
        http.route = request.match_pattern(), request_id = %request_id, workspace_id = field::Empty,
        http.response.status_code = field::Empty, otel.status_code = field::Empty,
    );
    traces::continue_request(&traced, request.headers());
    let answered = traced.clone();
    request.extensions_mut().insert(CurrentRequest(request_id.clone()));
    let method = request.method().clone();
    if method == Method::HEAD {
        // HEAD gets the same response as GET (RFC 9110, section 9.3.2); the connection leaves its body out.
        request.head_mut().method = Method::GET;
    }
    async move {
        let _in_flight = InFlight::new();
        let error = match tokio::time::timeout(limit, next.call(request)).await {
            Ok(Ok(response)) => {
                let mut response = response.map_into_boxed_body();
                finish(response.response_mut(), &request_id);
                let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
                measure(&method, &route, response.status(), started.elapsed());
                if let Some(workspace) = response.request().extensions().get::<WorkspaceId>() {
                    answered.record("workspace_id", field::display(workspace));
                }
                record(&answered, response.status());
                return Ok(response);
            }
            Ok(Err(error)) => error,
            Err(_) => Problem::new(&TIMEOUT, format!("It took longer than {limit:?}.")).into(),
        };
        // An error of an inner middleware, as the problem that it is. Its route is lost with the request.
        let mut response = error.error_response();
        finish(&mut response, &request_id);
        measure(&method, "unfinished", response.status(), started.elapsed());
        record(&answered, response.status());
        Err(actix_web::error::InternalError::from_response("a problem", response).into())
    }
    .instrument(span)
    .instrument(traced)
    .await
}

/// The name of a request in traces: its method and the path pattern of its operation.
struct Named<'a>(&'a ServiceRequest);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.method(), self.0.match_pattern().as_deref().unwrap_or("unmatched"))
    }
}

/// Records the status of the response in the span.
fn record(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

fn incoming_id(request: &ServiceRequest) -> Option<RequestId> {
    RequestId::new(request.headers().get(REQUEST_ID)?.to_str().ok()?)
}

fn fresh_id(request: &ServiceRequest) -> RequestId {
    let id = request
        .app_data::<actix_web::web::Data<Services>>()
        .map_or(Uuid::nil(), |services| services.platform.env.uuid_v7());
    #[expect(clippy::expect_used, reason = "32 hexadecimal digits are a request id")]
    RequestId::new(&id.simple().to_string()).expect("32 hexadecimal digits are a request id")
}

/// The problem for an error response of the framework, which has no body or one of its own.
fn foreign_problem(status: StatusCode) -> Option<Problem> {
    let refused = |kind: &'static ProblemType| {
        let reason = status.canonical_reason().unwrap_or("bad request");
        Some(Problem::new(kind, format!("The request was refused: {reason}.")))
    };
    match status.as_u16() {
        404 => refused(&NOT_FOUND),
        405 => refused(&METHOD_NOT_ALLOWED),
        413 => refused(&BODY_TOO_LARGE),
        415 => refused(&UNSUPPORTED_MEDIA_TYPE),
        400..500 => refused(&BAD_REQUEST),
        500.. => Some(Problem::internal()),
        _ => None,
    }
}

/// Sets the request id, and writes the body if the response is a problem or an error of the framework.
fn finish(response: &mut actix_web::HttpResponse<BoxBody>, request_id: &RequestId) {
    let stated = response.extensions_mut().remove::<Problem>();
    let problem = stated.or_else(|| {
        let is_ours =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE || kind == "application/json");
        if is_ours { None } else { foreign_problem(response.status()) }
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

fn measure(method: &Method, route: &str, status: StatusCode, took: Duration) {
    tracing::Span::current().record("status", status.as_u16());
    if status.is_server_error() {
        tracing::warn!(route, status = status.as_u16(), took_ms = took.as_millis(), "a request failed");
    } else {
        tracing::debug!(route, status = status.as_u16(), took_ms = took.as_millis(), "answered");
    }
    // Callers may invent methods, and each label is kept for ever.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
    measures::answered(method, route, status.as_u16(), took);
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service, try_call_service};
    use actix_web::{App, HttpResponse, web};

    /// The status and the body of the response to `GET path`, with a time limit of one millisecond.
    async fn answer(path: &str) -> (u16, serde_json::Value) {
        let app = App::new()
            .wrap(from_fn(|request, next| within(Duration::from_millis(1), request, next)))
            .route("/never", web::get().to(std::future::pending::<HttpResponse>))
            .route("/gone", web::get().to(async || HttpResponse::NotFound().body("nothing")))
            .route("/broken", web::get().to(async || HttpResponse::InternalServerError().finish()));
        let app = init_service(app).await;
        let request = TestRequest::get().uri(path).insert_header((REQUEST_ID, "mine")).to_request();
        let response = match try_call_service(&app, request).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        assert_eq!(response.headers().get(REQUEST_ID).map(HeaderValue::as_bytes), Some(&b"mine"[..]));
        assert_eq!(response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes), Some(MEDIA_TYPE.as_bytes()));
        let status = response.status().as_u16();
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_ends_with_a_problem() {
        let (status, body) = answer("/never").await;
        assert_eq!((status, &body["code"], &body["request_id"]), (503, &"timeout".into(), &"mine".into()));
        assert_eq!(body["detail"], "It took longer than 1ms.");
    }

    #[tokio::test]
    async fn errors_of_the_framework_keep_their_status_and_become_problems() {
        for (path, status, code) in
            [("/gone", 404, "not-found"), ("/nowhere", 404, "not-found"), ("/broken", 500, "internal")]
        {
            let (found, body) = answer(path).await;
            assert_eq!((found, &body["code"]), (status, &code.into()), "{path}");
        }
    }
}
