//! Traces as a collector receives them.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::{Value, json};
use tidegate_testing::TestDatabase;
use tokio::process::Child;

use crate::demo::tidegate;
use crate::server::listening;

/// A span that was received.
#[derive(Debug, Clone)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: SpanKind,
    failed: bool,
    attributes: HashMap<String, String>,
    service: String,
}

/// A collector of traces that is also a server for workflows to call.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    /// `traceparent` of each call.
    called: Arc<Mutex<Vec<String>>>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value {
        Some(AnyValue::StringValue(text)) => text,
        Some(AnyValue::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

impl Collector {
    /// Starts the collector and returns its address.
    fn start() -> (Self, String) {
        let collector = Self::default();
        let shared = web::Data::new(collector.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(64 * 1024 * 1024))
                .route("/v1/traces", web::post().to(receive))
                .route("/called", web::get().to(called))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a port");
        let address = server.addrs()[0].to_string();
        tokio::spawn(server.run());
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `find` finds what it wants among the received spans.
    async fn until<T>(&self, find: impl Fn(&[Span]) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = find(&self.spans()) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        found.unwrap_or_else(|_| panic!("it does not come; there is {:#?}", self.spans()))
    }
}

async fn receive(collector: web::Data<Collector>, body: web::Bytes) -> HttpResponse {
    let request = ExportTraceServiceRequest::decode(body).expect("an export of spans");
    let mut spans = collector.spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        let service = text(service.and_then(|service| service.value).and_then(|value| value.value));
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind(),
                failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
                name: span.name,
                attributes: span
                    .attributes
                    .into_iter()
                    .map(|attribute| (attribute.key, text(attribute.value.and_then(|value| value.value))))
                    .collect(),
                service: service.clone(),
            });
        }
    }
    HttpResponse::Ok().finish()
}

async fn called(collector: web::Data<Collector>, request: HttpRequest) -> HttpResponse {
    let trace = request.headers().get("traceparent").and_then(|trace| trace.to_str().ok()).unwrap_or_default();
    collector.called.lock().unwrap_or_else(PoisonError::into_inner).push(trace.to_owned());
    HttpResponse::Ok().json(json!({"well": true}))
}

/// A server with these environment variables.
struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    _database: TestDatabase,
}

impl Server {
    async fn start(allow: &str, variables: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        let mut child = tidegate()
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--allow-host", allow])
            .args(["--secret", "a secret for tests that is long enough", "--database-url", database.url()])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (url, _) = listening(&mut child).await;
        tidegate_outbound_http::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, url, client, _database: database }
    }

    async fn post(&self, path: &str, token: &str, body: &Value, trace: Option<&str>) -> Value {
        let mut request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        if let Some(trace) = trace {
            request = request.header("traceparent", trace);
        }
        request.send().await.expect("it answers").json().await.unwrap_or_default()
    }

    /// Registers a person with a workflow that calls `address`, and returns the token and the workflow's path.
    async fn workflow(&self, address: &str) -> (String, String) {
        let (email, password) = ("ada@example.org", "an umbrella in march");
        let new = json!({"email": email, "password": password, "name": "Ada"});
        self.post("/api/v1/auth/register", "", &new, None).await;
        let login = self.post("/api/v1/auth/login", "", &json!({"email": email, "password": password}), None).await;
        let token = login["access_token"].as_str().expect("a token").to_owned();
        let workspace = self.post("/api/v1/workspaces", &token, &json!({"name": "Acme"}), None).await;
        let workflows = format!("/api/v1/workspaces/{}/workflows", workspace["id"].as_str().expect("an id"));
        let call =
            json!({"id": "call", "uses": "http.request", "with": {"url": format!("http://{address}/called?secret=1")}});
        let workflow = self.post(&workflows, &token, &json!({"name": "traced", "steps": [call]}), None).await;
        let workflow = format!("{workflows}/{}", workflow["id"].as_str().expect("an id"));
        self.post(&format!("{workflow}/publish"), &token, &json!({}), None).await;
        (token, workflow)
    }

    async fn stop(mut self) -> Duration {
        let id = self.child.id().expect("it runs").to_string();
        let began = Instant::now();
        let told = std::process::Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(told.expect("kill runs").success());
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await.expect("it ends");
        assert!(status.expect("it has a status").success());
        began.elapsed()
    }
}

#[tokio::test]
async fn a_request_its_run_and_the_calls_of_that_are_one_trace() {
    let (collector, address) = Collector::start();
    let endpoint = format!("http://{address}");
    let server =
        Server::start(&address, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "20")]).await;
    let (token, workflow) = server.workflow(&address).await;
    let mine = "0af7651916cd43dd8448eb211c80319c";
    let trace = format!("00-{mine}-b7ad6b7169203331-01");
    let run = server.post(&format!("{workflow}/runs?wait=30s"), &token, &json!({"input": {}}), Some(&trace)).await;
    assert_eq!(run["status"], "completed", "{run}");

    let find = |spans: &[Span], name: &str| spans.iter().find(|span| span.trace == mine && span.name == name).cloned();
    let route = "POST /api/v1/workspaces/{ws}/workflows/{workflow}/runs";
    let [request, run_span, attempt, call] = collector
        .until(|spans| {
            let ours = |span: &&Span| span.trace == mine;
            let request = spans.iter().filter(ours).find(|span| span.kind == SpanKind::Server).cloned()?;
            Some([request, find(spans, "run")?, find(spans, "http.request")?, find(spans, "GET")?])
        })
        .await;
    assert!(
        request.name.starts_with("POST /api/v1/workspaces/{ws}/workflows/{"),
        "{} is not like {route}",
        request.name
    );
    assert_eq!(request.parent, "b7ad6b7169203331");
    assert_eq!(request.attributes["http.response.status_code"], "201");
    assert!(request.attributes["workspace_id"].starts_with("ws_"), "{request:?}");
    assert_eq!(request.service, "tidegate");
    assert_eq!((&run_span.parent, &attempt.parent, &call.parent), (&request.id, &run_span.id, &attempt.id));
    assert_eq!(run_span.attributes["run"], run["id"].as_str().expect("an id"));
    assert_eq!(run_span.attributes["status"], "completed");
    assert_eq!((call.kind, call.attributes["server.address"].as_str()), (SpanKind::Client, "127.0.0.1"));
    assert!(!format!("{call:?}").contains("secret"), "{call:?}");
    let called = collector.called.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(called, [format!("00-{mine}-{}-01", call.id)], "the server that is called hears of it");
    let transactions = |spans: &[Span]| {
        let of_request = |span: &&Span| span.name == "transaction" && span.parent == request.id;
        spans.iter().filter(of_request).count()
    };
    collector.until(|spans| (transactions(spans) > 0).then_some(())).await;
    // The engine's own transactions are not part of any trace.
    assert!(collector.spans().iter().all(|span| span.name != "transaction" || !span.parent.is_empty()));
    assert!(!request.failed && !run_span.failed && !attempt.failed && !call.failed);
    server.stop().await;
}

#[tokio::test]
async fn the_standard_variables_decide_whether_and_what_is_sent() {
    let (collector, address) = Collector::start();
    let endpoint = format!("http://{address}");
    let sent = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{endpoint}/v1/traces"))];
    for (name, value) in
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_TRACES_EXPORTER", "none")]
    {
        let server = Server::start(&address, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), (name, value)]).await;
        let (token, workflow) = server.workflow(&address).await;
        server.post(&format!("{workflow}/runs?wait=30s"), &token, &json!({"input": {}}), None).await;
        // Stopping exports the remaining spans.
        server.stop().await;
        assert!(collector.spans().is_empty(), "{name}={value}: {:?}", collector.spans());
    }
    let named = [(sent[0].0, sent[0].1.as_str()), ("OTEL_SERVICE_NAME", "ours")];
    let server = Server::start(&address, &named).await;
    server.workflow(&address).await;
    server.stop().await;
    let spans = collector.spans();
    assert!(!spans.is_empty() && spans.iter().all(|span| span.service == "ours"), "{spans:?}");
}

#[tokio::test]
async fn a_collector_that_hangs_holds_nobody_up() {
    // A collector that accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let (_collector, allowed) = Collector::start();
    let endpoint = format!("http://{address}");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ];
    let server = Server::start(&allowed, &variables).await;
    let (token, workflow) = server.workflow(&allowed).await;
    for _ in 0..200 {
        let answer = server.client.get(format!("{}{workflow}", server.url)).bearer_auth(&token).send().await;
        assert_eq!(answer.expect("it answers").status(), 200);
    }
    let run = server.post(&format!("{workflow}/runs?wait=30s"), &token, &json!({"input": {}}), None).await;
    assert_eq!(run["status"], "completed", "{run}");
    let took = server.stop().await;
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(silent);
}
