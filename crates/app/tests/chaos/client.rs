//! A client that retries every request without an acknowledgement, with the same keys.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The owner of a workspace with a published workflow, and the current address of the server.
#[derive(Clone)]
pub struct Caller {
    http: Client,
    base: Arc<Mutex<String>>,
    token: String,
    workspace: String,
    workflow: String,
}

/// Three steps. One of them has a side effect that is recorded as an event.
const WORKFLOW: &str = r#"
name: chaos
inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
steps:
  - {id: shape, uses: transform, with: {n: "${{ inputs.n + 1 }}"}}
  - {id: tell, uses: emit_event, needs: [shape], with: {type: chaos.told, subject: "run", data: {n: "${{ steps.shape.output.n }}"}}}
  - {id: last, uses: condition, needs: [tell], with: {if: "${{ steps.shape.output.n > inputs.n }}"}}
outputs: {n: "${{ steps.shape.output.n }}"}
"#;

impl Caller {
    /// Registers, creates a workspace and publishes the workflow.
    pub async fn new(base: &str) -> Self {
        tidegate_outbound_http::install_tls();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client can be made");
        let mut caller = Self {
            http,
            base: Arc::new(Mutex::new(base.to_owned())),
            token: String::new(),
            workspace: String::new(),
            workflow: String::new(),
        };
        let account = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada" });
        caller.must(Method::POST, "/api/v1/auth/register", &account).await;
        let login = json!({ "email": "ada@example.org", "password": "an umbrella in march" });
        let tokens = caller.must(Method::POST, "/api/v1/auth/login", &login).await;
        caller.token = text(&tokens["access_token"]);
        let workspace = caller.must(Method::POST, "/api/v1/workspaces", &json!({ "name": "Chaos" })).await;
        caller.workspace = text(&workspace["id"]);
        let path = caller.path("/workflows");
        let created = caller.request(Method::POST, &path).header("content-type", "application/yaml").body(WORKFLOW);
        let created = created.send().await.expect("the server answers");
        assert_eq!(created.status(), StatusCode::CREATED, "{}", created.text().await.unwrap_or_default());
        let created: Value = created.json().await.expect("a workflow is JSON");
        caller.workflow = text(&created["id"]);
        let publish = caller.path(&format!("/workflows/{}/publish", caller.workflow));
        caller.must(Method::POST, &publish, &json!({})).await;
        caller
    }

    /// The same person in a second, empty workspace.
    pub async fn with_another_workspace(&self) -> Self {
        let workspace = self.must(Method::POST, "/api/v1/workspaces", &json!({ "name": "Another" })).await;
        Self { workspace: text(&workspace["id"]), ..self.clone() }
    }

    /// Uploads a file, once; `None` if it was not acknowledged.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> Option<String> {
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let body = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
        let request = self.request(Method::POST, &self.path("/files"));
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(body);
        let answer = request.send().await.ok().filter(|answer| answer.status() == StatusCode::CREATED)?;
        Some(text(&answer.json::<Value>().await.ok()?["id"]))
    }

    /// The number of workflows in the list.
    pub async fn workflows(&self) -> usize {
        let answer = self.request(Method::GET, &self.path("/workflows")).send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let list: Value = answer.json().await.expect("a list is JSON");
        list["items"].as_array().map_or(usize::MAX, Vec::len)
    }

    /// The number of events that detection has read.
    pub async fn detected(&self) -> usize {
        let answer =
            self.request(Method::GET, &self.path("/patterns?limit=1")).send().await.expect("the server answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let watermark = answer.headers().get("tidegate-watermark").and_then(|value| value.to_str().ok());
        watermark.and_then(|value| value.parse().ok()).expect("the list says how far detection is")
    }

    /// Sets the new address of the server.
    pub fn moved(&self, base: &str) {
        base.clone_into(&mut self.base.lock().expect("nobody panics with the address"));
    }

    /// The workspace's id.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/workspaces/{}{rest}", self.workspace)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.lock().expect("nobody panics with the address").clone();
        self.http.request(method, format!("{base}{path}")).bearer_auth(&self.token)
    }

    async fn must(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.request(method, path).json(body).send().await.expect("the server answers");
        let status = answer.status();
        let body = answer.text().await.expect("the answer has an end");
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Retries until there is a response other than an error of the server.
    async fn insist(&self, method: Method, path: &str, content_type: &str, body: String) -> Value {
        for _ in 0..2_000 {
            let sent =
                self.request(method.clone(), path).header("content-type", content_type).body(body.clone()).send().await;
            if let Ok(answer) = sent {
                let status = answer.status();
                if let Ok(body) = answer.text().await {
                    if status.is_success() {
                        return serde_json::from_str(&body).unwrap_or_default();
                    }
                    assert!(status.is_server_error(), "{path}: {status} {body}");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} was never answered")
    }

    /// Starts run `n`, retrying until it is acknowledged, and returns its id.
    pub async fn start_run(&self, n: usize) -> String {
        let path = self.path(&format!("/workflows/{}/runs", self.workflow));
        let body = json!({ "input": { "n": n }, "dedupe_key": format!("run-{n}") });
        text(&self.insist(Method::POST, &path, "application/json", body.to_string()).await["id"])
    }

    /// Sends events `from .. from + count`, retrying until they are acknowledged.
    pub async fn send_events(&self, from: usize, count: usize) {
        let event = |n: usize| json!({ "specversion": "1.0", "id": format!("event-{n}"), "source": "/chaos", "type": "chaos.sent", "subject": format!("s-{}", n % 7) });
        let batch: Vec<Value> = (from..from + count).map(event).collect();
        let type_ = "application/cloudevents-batch+json";
        let verdict = self.insist(Method::POST, &self.path("/events"), type_, json!(batch).to_string()).await;
        let known = verdict["accepted"].as_u64().unwrap_or(0) + verdict["duplicates"].as_u64().unwrap_or(0);
        assert_eq!(known, count as u64, "{verdict}");
    }

    /// Waits until a run has ended, and returns it.
    pub async fn ended_run(&self, run: &str) -> Value {
        let path = self.path(&format!("/runs/{run}"));
        let ended = async {
            loop {
                let body = self.insist(Method::GET, &path, "application/json", String::new()).await;
                if matches!(body["status"].as_str(), Some("completed" | "failed" | "cancelled" | "timed_out")) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), ended).await.unwrap_or_else(|_| panic!("{run} never ends"))
    }

    /// The sender's ids of all events of a type, from all pages of the list.
    pub async fn event_ids(&self, type_: &str) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = self.path(&format!("/events?type={type_}&limit=200{cursor}"));
            let page = self.insist(Method::GET, &path, "application/json", String::new()).await;
            ids.extend(page["items"].as_array().into_iter().flatten().map(|event| text(&event["id"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// The usage of a meter.
    pub async fn used(&self, meter: &str) -> i64 {
        let usage = self.insist(Method::GET, &self.path("/usage"), "application/json", String::new()).await;
        let items = usage.as_array().or_else(|| usage["items"].as_array()).cloned().unwrap_or_default();
        items.iter().find(|item| item["meter"] == meter).and_then(|item| item["used"].as_i64()).unwrap_or(-1)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
