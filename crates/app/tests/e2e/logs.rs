//! The log of the server.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_testing::TestDatabase;
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use crate::demo::tidegate;
use crate::server::listening;

/// A server with a JSON log.
struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    database: TestDatabase,
}

impl Server {
    async fn start(log: &str) -> Self {
        let database = TestDatabase::new().await;
        let mut child = tidegate()
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--log", log])
            .args(["--secret", "a secret for tests that is long enough", "--database-url", database.url()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (url, _) = listening(&mut child).await;
        tidegate_outbound_http::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, url, client, database }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-request-id", "mine").json(body);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        request.send().await.expect("it answers").json().await.expect("JSON")
    }

    /// Registers a person with a workspace, and returns the token and the workspace.
    async fn tenant(&self) -> (String, String) {
        let (email, password) = ("ada@example.org", "an umbrella in march");
        let new = json!({"email": email, "password": password, "name": "Ada"});
        self.post("/api/v1/auth/register", None, &new).await;
        let login = self.post("/api/v1/auth/login", None, &json!({"email": email, "password": password})).await;
        let token = login["access_token"].as_str().expect("a token").to_owned();
        let workspace = self.post("/api/v1/workspaces", Some(&token), &json!({"name": "Acme"})).await;
        (token, workspace["id"].as_str().expect("an id").to_owned())
    }

    /// Stops the server and returns its log lines.
    async fn lines(mut self) -> Vec<Value> {
        let id = self.child.id().expect("it runs").to_string();
        let told = std::process::Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(told.expect("kill runs").success());
        let mut text = String::new();
        let mut log = self.child.stderr.take().expect("its log is piped");
        tokio::time::timeout(Duration::from_secs(60), log.read_to_string(&mut text))
            .await
            .expect("it ends")
            .expect("text");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// Creates a workflow, and makes every statement that reads it slow.
    async fn slow_down(&self, token: &str, workspace: &str) {
        let workflow = json!({"name": "a", "steps": [{"id": "b", "uses": "transform", "with": {"c": 1}}]});
        let made = self.post(&format!("/api/v1/workspaces/{workspace}/workflows"), Some(token), &workflow).await;
        assert_eq!(made["name"], "a", "{made}");
        let slow = "create function slow() returns boolean language plpgsql stable as
                $$ begin perform pg_sleep(0.11); return true; end $$;
            grant execute on function slow() to public;
            create policy slow on workflow as restrictive for select to tidegate_api using ((select slow()))";
        self.database.run(slow.to_owned()).await;
    }

    async fn list_workflows(&self, token: &str, workspace: &str) {
        let url = format!("{}/api/v1/workspaces/{workspace}/workflows", self.url);
        for _ in 0..3 {
            let answer = self.client.get(&url).header("x-request-id", "mine").bearer_auth(token).send().await;
            assert_eq!(answer.expect("it answers").status(), 200);
        }
    }
}

#[tokio::test]
async fn a_line_says_what_happened_where_and_for_whom() {
    let server = Server::start("error,tidegate=debug").await;
    let (token, workspace) = server.tenant().await;
    server.database.run("alter table workflow rename to hidden".to_owned()).await;
    let path = format!("/api/v1/workspaces/{workspace}/workflows");
    let url = format!("{}{path}", server.url);
    let answer = server.client.get(&url).header("x-request-id", "mine").bearer_auth(&token).send().await;
    assert_eq!(answer.expect("it answers").status(), 500);
    let lines = server.lines().await;
    let failed = lines.iter().find(|line| line["message"] == "the store failed").expect("the failure is logged");
    assert_eq!((&failed["level"], &failed["request_id"]), (&"ERROR".into(), &"mine".into()), "{failed}");
    assert_eq!((&failed["workspace_id"], &failed["path"]), (&workspace.into(), &path.into()), "{failed}");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("workflow")), "{failed}");
    assert!(failed["timestamp"].is_string() && failed["target"].is_string(), "{failed}");
    let answered = lines.iter().find(|line| line["message"] == "a request failed").expect("the answer is logged");
    assert_eq!((&answered["status"], &answered["request_id"]), (&500.into(), &"mine".into()), "{answered}");
}

#[tokio::test]
async fn a_slow_statement_is_logged_once_in_a_while_at_the_level_that_is_asked_for() {
    for (log, expected) in [("info", 1), ("warn", 1), ("error", 0)] {
        let server = Server::start(log).await;
        let (token, workspace) = server.tenant().await;
        server.slow_down(&token, &workspace).await;
        server.list_workflows(&token, &workspace).await;
        let metrics = server.client.get(format!("{}/metrics", server.url)).send().await.expect("it answers");
        let metrics = metrics.text().await.expect("text");
        let counted = metrics.lines().find_map(|line| line.strip_prefix("database_slow_statements_total "));
        assert!(counted.and_then(|count| count.parse().ok()).is_some_and(|count: u32| count >= 3), "{metrics}");
        let lines = server.lines().await;
        let slow: Vec<_> = lines
            .iter()
            .filter(|line| line["target"] == "sqlx::query" && line.to_string().contains("from workflow"))
            .collect();
        assert_eq!(slow.len(), expected, "{log}: {lines:?}");
        for line in slow {
            assert_eq!((&line["level"], &line["request_id"]), (&"WARN".into(), &"mine".into()), "{line}");
            assert!(line["elapsed"].as_str().is_some_and(|elapsed| elapsed.ends_with("ms")), "{line}");
        }
        if log == "error" {
            assert!(lines.iter().all(|line| line["level"] == "ERROR"), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn the_id_of_a_request_reaches_the_database() {
    let server = Server::start("error").await;
    let (token, workspace) = server.tenant().await;
    server.slow_down(&token, &workspace).await;
    let named = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'active' and application_name = 'tidegate mine'";
    let seen = async {
        while server.database.count(named.to_owned()).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    let asking = async {
        loop {
            server.list_workflows(&token, &workspace).await;
        }
    };
    let seen = async {
        tokio::select! {
            () = seen => {}
            () = asking => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("a session has the name of the request");
    server.list_workflows(&token, &workspace).await;
    // Between transactions a session has the name of the program.
    let between = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'idle' and application_name like 'tidegate %'";
    assert_eq!(server.database.count(between.to_owned()).await, 0);
}
