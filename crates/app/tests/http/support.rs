//! A server for one test, and a client for readable tests.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tidegate::Services;
use tidegate::server::{Application, StopHandle};
use tidegate::settings::Settings;
use tidegate_kernel::Environment;
use tidegate_testing::stripe::FakeStripe;
use tidegate_testing::{TestClock, TestDatabase, environment};

use crate::object_home::ObjectHome;
pub use crate::people::Person;
use crate::relay::Relay;
use crate::stripe;

/// A server on a free port with its own database. Both end when this is dropped.
pub struct TestApp {
    /// `http://127.0.0.1:…`.
    pub base: String,
    client: reqwest::Client,
    /// The database of the server, for checks that the API does not allow.
    pub database: Arc<TestDatabase>,
    /// The object store of the server, which servers beside it share.
    pub objects: Arc<ObjectHome>,
    pub(crate) services: Services,
    server: StopHandle,
    /// The token of an operator, if there is one.
    operator: Option<String>,
    /// The payment provider of the server and of those beside it; Stripe if there is one.
    pub(crate) stripe: Option<Arc<FakeStripe>>,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

impl TestApp {
    /// Adds a background task to the server's supervisor.
    pub fn background<T: Future<Output = ()> + Send>(
        &self,
        name: &'static str,
        start: impl Fn() -> T + Send + Sync + 'static,
    ) {
        self.services.platform.supervisor.spawn(name, "nothing is missed", start);
    }

    /// A server with generous limits and the unlimited plan.
    pub async fn spawn() -> Self {
        Self::spawn_with(&[]).await
    }

    /// A server with further flags of `tidegate serve`.
    pub async fn spawn_with(flags: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        Self::start(database, ObjectHome::directory(), &url, flags, tidegate::system::environment(), None).await
    }

    /// A server whose object store is an S3 server, with further flags.
    pub async fn spawn_on_s3(flags: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        let objects = ObjectHome::s3().await;
        Self::start(database, objects, &url, flags, tidegate::system::environment(), None).await
    }

    /// A server without an object store.
    pub async fn spawn_without_objects() -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        Self::start(database, Arc::new(ObjectHome::Nothing), &url, &[], tidegate::system::environment(), None).await
    }

    /// A server with further flags and an operator. The operator registers at another server first, because the flags
    /// need the id.
    pub async fn operated(flags: &[&str]) -> Self {
        let before = Self::spawn_with(&["--role", "api"]).await;
        let operator = before.person("Operator").await;
        let flags: Vec<&str> = ["--operator", &operator.id].into_iter().chain(flags.iter().copied()).collect();
        let app = before.beside(&flags).await;
        Self { operator: Some(operator.token), ..app }
    }

    /// The token of the operator.
    pub fn operator(&self) -> &str {
        self.operator.as_deref().expect("somebody operates the server")
    }

    /// The health of each component of a server with an operator.
    pub async fn detailed_health(&self) -> Value {
        let token = self.operator();
        self.get("/health/detailed").bearer(token).send().await.expect(200)
    }

    /// A server that uses this clock.
    pub async fn spawn_at(clock: Arc<TestClock>) -> Self {
        let seed = RandomState::new().hash_one(0);
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        Self::start(database, ObjectHome::directory(), &url, &[], environment(clock, seed), None).await
    }

    /// Another server beside this one that uses this clock, with further flags.
    pub async fn beside_at(&self, clock: Arc<TestClock>, flags: &[&str]) -> Self {
        let env = environment(clock, RandomState::new().hash_one(1));
        Self::start(self.database.clone(), self.objects.clone(), self.database.url(), flags, env, self.stripe.clone())
            .await
    }

    /// Another server beside this one, on the same database and with the same secret.
    pub async fn beside(&self, flags: &[&str]) -> Self {
        Self::start(
            self.database.clone(),
            self.objects.clone(),
            self.database.url(),
            flags,
            tidegate::system::environment(),
            self.stripe.clone(),
        )
        .await
    }

    /// Another server on the same database, which it reaches through `relay`, without background work.
    pub async fn behind(&self, relay: &Relay) -> Self {
        let env = tidegate::system::environment();
        Self::start(
            self.database.clone(),
            self.objects.clone(),
            relay.url(),
            &["--role", "api"],
            env,
            self.stripe.clone(),
        )
        .await
    }

    /// Another server on the same database, which it reaches at `url`, with these flags.
    pub async fn at(&self, url: &str, flags: &[&str]) -> Self {
        Self::start(self.database.clone(), self.objects.clone(), url, flags, tidegate::system::environment(), None)
            .await
    }

    pub(crate) async fn start(
        database: Arc<TestDatabase>,
        objects: Arc<ObjectHome>,
        url: &str,
        flags: &[&str],
        env: Environment,
        provider: Option<Arc<FakeStripe>>,
    ) -> Self {
        let further = flags;
        let (stores, api) = (objects.flags(), provider.as_deref().map(FakeStripe::url));
        let secret = "a secret for tests that is long enough";
        let fixed = [
            "tidegate",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            url,
            "--max-connections",
            "4",
            "--rate-limit",
            "login=off,register=off,promo-codes=off,forgot=off,resend=off,reset=off,verify=off,second-factor=off",
        ];
        let plan = ["--default-plan", "unlimited"].into_iter().filter(|_| !flags.contains(&"--default-plan"));
        let secret = ["--secret", secret].into_iter().filter(|_| !flags.contains(&"--secret"));
        let flags = fixed.into_iter().chain(plan).chain(secret).chain(stores.iter().map(String::as_str));
        let flags = flags.chain(stripe::flags(api.as_deref())).chain(further.iter().copied());
        let settings = Flags::try_parse_from(flags).expect("the flags are those of `tidegate serve`").settings;
        let application = Application::build(&settings, env).await.expect("the server starts");
        let base = format!("http://{}", application.address());
        let server = application.stop_handle();
        let services = application.services().clone();
        tokio::spawn(application.run());
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client without TLS settings can be made");
        Self { base, client, database, objects, services, server, operator: None, stripe: provider }
    }

    /// A request; `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request(self.client.request(method, format!("{}{path}", self.base)))
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// A POST request.
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// Does what is due about files, as the recurring job does.
    pub async fn settle_files(&self) -> tidegate_files::service::TaskFigures {
        let tasks = self.services.files.tasks.as_ref().expect("the server has an object store");
        tasks.run(&tidegate_testing::scope::request_id()).await.expect("tasks are read")
    }

    /// Stops the server as with SIGTERM.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl TestApp {
    /// Creates a workspace and returns its id.
    pub async fn workspace(&self, owner: &Person, name: &str) -> String {
        let new = json!({ "name": name });
        text(&self.post("/api/v1/workspaces").bearer(&owner.token).json(&new).send().await.expect(201)["id"])
    }

    /// What the workspace has used of a meter.
    pub async fn used(&self, person: &Person, workspace: &str, meter: &str) -> Value {
        let path = format!("/api/v1/workspaces/{workspace}/usage");
        let usage = self.get(&path).bearer(&person.token).send().await.expect(200);
        let line =
            usage.as_array().expect("lines").iter().find(|line| line["meter"] == meter).expect("the meter is there");
        line["used"].clone()
    }

    /// Waits until a token or key that is no longer valid is refused.
    pub async fn until_refused(&self, path: &str, token: &str) {
        let refused = async {
            while self.get(path).bearer(token).send().await.status != StatusCode::UNAUTHORIZED {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it is refused after a while");
    }

    /// Sends events in which `a` and `b` change together in `times` sessions an hour apart, and waits until they are
    /// counted. Returns the position of the last one.
    pub async fn change_together(&self, person: &Person, workspace: &str, a: &str, b: &str, times: usize) -> i64 {
        let event = |n: usize, subject: &str| {
            json!({
                "specversion": "1.0", "id": format!("{n}-{subject}-of-{times}"), "source": "/test", "type": "file.modified",
                "subject": subject, "time": format!("2026-03-{:02}T{:02}:00:00Z", n / 24 + 1, n % 24),
                "data": { "session": format!("{n}-of-{times}"), "actor": "somebody" },
            })
        };
        let events: Vec<Value> = (0..times).flat_map(|n| [event(n, a), event(n, b)]).collect();
        let path = format!("/api/v1/workspaces/{workspace}");
        let batch = ("application/cloudevents-batch+json", json!(events).to_string());
        let answer = self.post(&format!("{path}/events")).bearer(&person.token).body(batch.0, batch.1).send().await;
        answer.expect(202);
        let position: i64 = answer.header("tidegate-position").parse().expect("a position");
        let counted = async {
            loop {
                let answer = self.get(&format!("{path}/patterns?limit=1")).bearer(&person.token).send().await;
                answer.expect(200);
                if answer.header("tidegate-watermark").parse::<i64>().is_ok_and(|watermark| watermark >= position) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), counted).await.expect("the events are counted");
        position
    }

    /// The operations of files of a workspace.
    pub fn files_path(workspace: &str) -> String {
        format!("/api/v1/workspaces/{workspace}/files")
    }

    /// Sends a file in a form.
    pub async fn upload(&self, token: &str, workspace: &str, name: &str, content_type: &str, bytes: &[u8]) -> Answer {
        let (boundary, mut body) = ("boundary-of-a-test", Vec::new());
        body.extend_from_slice(
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 content-type: {content_type}\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let form = format!("multipart/form-data; boundary={boundary}");
        self.post(&Self::files_path(workspace)).bearer(token).body(&form, body).send().await
    }

    /// Creates an API key and returns its id and its secret.
    pub async fn api_key(&self, owner: &Person, workspace: &str, scopes: &[&str]) -> (String, String) {
        let path = format!("/api/v1/workspaces/{workspace}/api-keys");
        let new = json!({ "name": "a key", "scopes": scopes });
        let key = self.post(&path).bearer(&owner.token).json(&new).send().await.expect(201);
        (text(&key["id"]), text(&key["secret"]))
    }
}

/// The text of a JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().expect("the member is a string").to_owned()
}

/// A request under construction.
pub struct Request(reqwest::RequestBuilder);

impl Request {
    /// Adds a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// Sets a body of another type.
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// Sends it.
    pub async fn send(self) -> Answer {
        let response = self.0.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("the answer has an end").to_vec();
        Answer { status, headers, bytes }
    }
}

/// A response.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The text of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks the status and returns the body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Checks that this is the problem `code` with `status`, in full form, and returns it.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        body
    }
}
