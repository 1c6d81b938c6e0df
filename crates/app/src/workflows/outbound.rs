//! Traces the HTTP calls of workflows.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::ports::{OutboundError, OutboundHttp, OutboundRequest, OutboundResponse};
use tidegate_kernel::trace::SPANS;
use tracing::Instrument;
use tracing::field::Empty;

use crate::telemetry::traces;

/// The header with the trace context of a call (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// Makes each call in a span of its own, and sends its trace context to the called server. A `traceparent` header that
/// the workflow sets itself takes precedence.
pub(super) struct TracedHttp(pub(super) Arc<dyn OutboundHttp>);

/// The host of a URL. The rest of the URL may contain a secret.
fn host(url: &str) -> String {
    reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[async_trait]
impl OutboundHttp for TracedHttp {
    async fn call(&self, mut request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let span = tracing::trace_span!(
            target: SPANS, "call", otel.kind = "client", otel.name = request.method, http.request.method = request.method,
            server.address = host(&request.url), http.response.status_code = Empty, error.type = Empty,
            otel.status_code = Empty,
        );
        if let Some(trace) = traces::context_of(&span) {
            request.headers.entry(TRACEPARENT.to_owned()).or_insert_with(|| trace.to_string());
        }
        let answer = self.0.call(request).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => {
                span.record("http.response.status_code", answer.status);
                if answer.status >= 400 {
                    span.record("otel.status_code", "ERROR");
                }
            }
            Err(error) => {
                span.record("error.type", kind(error));
                span.record("otel.status_code", "ERROR");
            }
        }
        answer
    }
}

/// The kind of an error, as a label.
const fn kind(error: &OutboundError) -> &'static str {
    match error {
        OutboundError::Invalid(_) => "invalid",
        OutboundError::Refused(_) => "refused",
        OutboundError::Redirect(_) => "redirect",
        OutboundError::TooLarge(_) => "too_large",
        OutboundError::Undecodable(_) => "undecodable",
        OutboundError::TimedOut(_) => "timed_out",
        OutboundError::Unreachable(_) => "unreachable",
    }
}
