//! Exports traces by OTLP (HTTP, protobuf), configured by the standard variables of OpenTelemetry; off if no endpoint
//! is set.
//!
//! Spans for traces have a target of their own and are never logged. A separate thread exports them from a bounded
//! queue; spans that do not fit are dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use async_trait::async_trait;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tidegate_kernel::trace::{SPANS, TraceContext};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// Whether spans are recorded in this process.
static RECORDING: AtomicBool = AtomicBool::new(false);

/// How long the program waits at shutdown for the last export.
const LAST_EXPORT: Duration = Duration::from_secs(3);
/// The default timeout of an export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The default service name in traces.
const SERVICE: &str = "tidegate";

/// Exports spans until it is stopped.
#[derive(Debug, Clone)]
pub struct Traces(SdkTracerProvider);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn either(one: &str, other: &str) -> Option<String> {
    variable(one).or_else(|| variable(other))
}

impl Traces {
    /// The exporter that the environment asks for; `None` if it names no endpoint or turns traces off.
    ///
    /// # Errors
    /// A sentence about the environment variable that cannot be used.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let none = variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value.trim() == "none");
        let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        if disabled || none || endpoint.is_none() {
            return Ok(None);
        }
        if let Some(protocol) = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
            && protocol != "http/protobuf"
        {
            return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL {protocol:?}: traces are sent by http/protobuf alone"));
        }
        let unusable = |error: &dyn std::fmt::Display| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}");
        let client = Exporting::new().map_err(|error| unusable(&error))?;
        let exporter =
            SpanExporter::builder().with_http().with_http_client(client).build().map_err(|error| unusable(&error))?;
        // The library reads the sampler, the queue and the batches from the environment.
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        RECORDING.store(true, Ordering::Relaxed);
        Ok(Some(Self(provider)))
    }

    /// The layer that records spans for traces, and nothing else.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(of_traces())
    }

    /// Exports the remaining spans, and waits for that a few seconds at most.
    pub async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_EXPORT));
        if let Ok(Err(error)) = stopped.await {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

fn of_traces<S>() -> impl Filter<S> {
    // They have the lowest level, and the other layers want no more than theirs.
    filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS).with_max_level_hint(LevelFilter::TRACE)
}

fn resource() -> Resource {
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if named { resource.build() } else { resource.with_service_name(SERVICE).build() }
}

/// Exports spans with the program's HTTP client. The exporting thread has no runtime of its own.
#[derive(Debug)]
struct Exporting {
    client: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Exporting {
    fn new() -> Result<Self, reqwest::Error> {
        tidegate_outbound_http::install_tls();
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|millis| millis.parse().ok()).map_or(EXPORT_TIMEOUT, Duration::from_millis);
        let client = reqwest::Client::builder().timeout(timeout).build()?;
        Ok(Self { client, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Logs when exports begin to fail and when they succeed again.
    fn log_change(&self, result: &Result<Response<Bytes>, HttpError>) {
        let error = match result {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            metrics::counter!("trace_export_failures_total").increment(1);
            if !self.failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(error, "spans cannot be sent; they are dropped until they can");
            }
        } else if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("spans are sent again");
        }
    }
}

#[async_trait]
impl HttpClient for Exporting {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            let call = client.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
            let answer = call.send().await?;
            let status = answer.status();
            // The body of the response is not needed.
            drop(answer);
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            Ok::<_, reqwest::Error>(response)
        });
        let result = match sent.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(HttpError::from(error)),
            Err(error) => Err(HttpError::from(error)),
        };
        self.log_change(&result);
        result
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(actix_web::http::header::HeaderName::as_str).collect()
    }
}

struct Text<'a>(&'a TraceContext);

impl Extractor for Text<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Makes `parent` the parent of a span that was not entered yet.
fn join(span: &Span, parent: Context) {
    if let Err(error) = span.set_parent(parent) {
        tracing::debug!(?error, "a span begins a trace of its own");
    }
}

/// Makes the span of a request part of the caller's trace, if the request has a `traceparent` header.
pub(crate) fn continue_request(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() && headers.contains_key("traceparent") {
        join(span, TraceContextPropagator::new().extract(&Headers(headers)));
    }
}

/// Makes a span part of the trace in which its work was requested.
pub(crate) fn continue_trace(span: &Span, trace: &TraceContext) {
    if !span.is_disabled() {
        join(span, TraceContextPropagator::new().extract(&Text(trace)));
    }
}

/// The trace context of a span, to pass on; `None` if no spans are recorded.
pub(crate) fn context_of(span: &Span) -> Option<TraceContext> {
    if RECORDING.load(Ordering::Relaxed) { text_of(&span.context()) } else { None }
}

/// The trace context of the current work. The innermost span may be one for the log, which has no trace context.
pub(crate) fn current() -> Option<TraceContext> {
    if RECORDING.load(Ordering::Relaxed) { text_of(&Context::current()) } else { None }
}

fn text_of(context: &Context) -> Option<TraceContext> {
    let span = context.span();
    let place = span.span_context();
    let flags = place.trace_flags().to_u8();
    let text = format!("00-{}-{}-{flags:02x}", place.trace_id(), place.span_id());
    // A context without ids is invalid.
    TraceContext::new(&text)
}
