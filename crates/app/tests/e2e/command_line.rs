//! The output of the command line: exit codes, wrong usage, and JSON log lines.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_testing::TestDatabase;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::demo::tidegate;
use crate::server::listening;

const SECRET: &str = "a secret for tests that is long enough";

/// Runs the program to its end and returns the exit code, standard output and standard error.
async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = tidegate().args(arguments).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn it_says_what_it_can_do() {
    let (code, out, err) = run(&["version"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, format!("tidegate {}\n", env!("CARGO_PKG_VERSION")));
    for (arguments, told) in [
        (&["--help"][..], "Run the server"),
        (&["serve", "--help"], "[env: TIDEGATE_LISTEN="),
        (&["demo", "--help"], "--exit"),
        (&["migrate", "--help"], "MIGRATE_DATABASE_URL"),
        (&["events", "import", "--help"], "TIDEGATE_TOKEN"),
        (&["workflow", "validate", "--help"], "file:line:column"),
        (&["workflow", "schedule", "--help"], "--count"),
    ] {
        let (code, out, _) = run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(out.contains(told), "{arguments:?}: {out}");
    }
}

#[tokio::test]
async fn wrong_turns_end_with_a_code_and_say_what_to_do() {
    let database = TestDatabase::new().await;
    let empty = TestDatabase::empty().await;
    let served =
        |url: &'static str| vec!["serve", "--listen", "127.0.0.1:0", "--secret", SECRET, "--database-url", url];
    let (good, superuser, bare): (&'static str, &'static str, &'static str) =
        (leak(database.url()), leak(database.admin_url()), leak(empty.url()));
    let with = |further: &[&'static str]| served(good).into_iter().chain(further.iter().copied()).collect::<Vec<_>>();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let busy: &'static str = leak(&taken.local_addr().expect("an address").to_string());
    let nobody = "postgres://nobody@127.0.0.1:1/none";
    let no_secret = vec!["serve", "--listen", "127.0.0.1:0", "--database-url", good];
    let short = vec!["serve", "--listen", "127.0.0.1:0", "--database-url", good, "--secret", "short"];
    for (arguments, code, told) in [
        (vec![], 2, "Usage: tidegate"),
        (vec!["serv"], 2, "'serve'"),
        (vec!["serve", "--colour"], 2, "unexpected argument '--colour'"),
        (vec!["serve", "--listen", "nowhere"], 2, "invalid value 'nowhere'"),
        (with(&["--rate-limit", "log-in=5/1m"]), 2, "there are login, register"),
        (with(&["--rate-limit", "login=often"]), 2, "--rate-limit \"login=often\""),
        (with(&["--public-url", "tidegate.example.org"]), 2, "such as `https://console.example.org`"),
        (with(&["--smtp-url", "smtp://localhost", "--mail-from", "a@example.org"]), 2, "--public-url <URL>"),
        (with(&["--trusted-proxy", "everybody"]), 2, "write networks such as 10.0.0.0/8"),
        (with(&["--default-plan", "golden"]), 2, "golden"),
        (with(&["--allow-host", "x"]), 2, "--allow-host \"x\": write HOST:PORT"),
        (with(&["--erase-after", "soon"]), 2, "such as 12h or 30d"),
        (with(&["--redis-url", "nonsense"]), 2, "REDIS_URL"),
        (with(&["--log", "a=b=c"]), 2, "--log"),
        (no_secret, 2, "set TIDEGATE_SECRET"),
        (short, 2, "openssl rand -hex 32"),
        (served(superuser), 3, "can bypass row-level security"),
        (served(superuser), 3, "owns _sqlx_migrations, account_event, account_link and "),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", "/dev/null/data"],
            1,
            "cannot write to the data directory /dev/null/data",
        ),
        (served(bare), 1, "run `tidegate migrate up` with MIGRATE_DATABASE_URL"),
        (served(nobody), 1, "the database cannot be used"),
        (vec!["serve", "--listen", busy, "--secret", SECRET, "--database-url", good], 1, "cannot listen on"),
        (vec!["migrate", "up"], 2, "set MIGRATE_DATABASE_URL"),
        (vec!["migrate", "--migrate-database-url", nobody, "status"], 1, "check MIGRATE_DATABASE_URL"),
        (vec!["migrate", "--migrate-database-url", "nonsense", "status"], 1, "check MIGRATE_DATABASE_URL"),
        (
            with(&["--cors-origin", "https://console.example.org/"]),
            2,
            "browsers would send `https://console.example.org`",
        ),
        (with(&["--cors-origin", "*"]), 2, "an origin is a scheme"),
        (vec!["workflow", "validate", "/no/such/file.yaml"], 2, "cannot read /no/such/file.yaml"),
        (vec!["events", "import", "/no/such/file"], 2, "--token"),
        (vec!["demo", "--url", "localhost:8080", "--exit"], 2, "is not an address such as http://127.0.0.1:8080"),
    ] {
        let (found, out, err) = run(&arguments).await;
        assert_eq!(found, Some(code), "{arguments:?}: {out}{err}");
        assert!(err.contains(told), "{arguments:?} does not say {told:?}: {err}");
        assert!(!err.contains("panicked") && out.is_empty(), "{arguments:?}: {out}{err}");
        assert!(err.lines().all(|line| line.len() < 400), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn nothing_is_made_before_the_settings_and_the_port_were_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path in UTF-8");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let busy = taken.local_addr().expect("an address").to_string();
    for (further, told) in [
        (["--listen", &busy], "cannot listen on"),
        (["--rate-limit", "login=often"], "--rate-limit"),
        (["--trusted-proxy", "everybody"], "--trusted-proxy"),
        (["--allow-host", "x"], "--allow-host"),
        (["--redis-url", "nonsense"], "REDIS_URL"),
        (["--default-plan", "golden"], "golden"),
        (["--secret", "short"], "TIDEGATE_SECRET"),
        (["--engine-database-url", "postgres://x"], "--database-url"),
        (["--directory-database-url", "postgres://x"], "--database-url"),
        (["--invoice-font", "/no/such/font.ttf"], "--invoice-font /no/such/font.ttf"),
        (["--invoice-font", "/dev/null"], "it is not a font"),
        (["--seller-name", "two\nlines"], "--seller-name"),
        (["--seller-tax-id", "GB 1"], "--seller-name"),
        (["--log", "a=b=c"], "--log"),
    ] {
        let listen = if further[0] == "--listen" { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let (code, _, err) = run(&[&["serve", "--data-dir", data][..], listen, &further].concat()).await;
        assert!(code != Some(0) && err.contains(told), "{further:?}: {err}");
        assert!(!std::path::Path::new(data).exists(), "{further:?} left a data directory behind");
    }
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_told_of_at_the_start() {
    let database = TestDatabase::new().await;
    let mut server = tidegate()
        .args(["serve", "--listen", "127.0.0.1:0", "--secret", SECRET, "--database-url", database.url()])
        .args(["--redis-url", "redis://:hidden@127.0.0.1:1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut log = BufReader::new(server.stderr.take().expect("its log is piped")).lines();
    let told = async {
        while let Some(line) = log.next_line().await.expect("the log is text") {
            assert!(!line.contains("hidden"), "{line}");
            if line.contains("until Redis answers") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), told).await.expect("in time"), "the log ended without it");
}

/// Makes a text static, for a table of arguments.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[tokio::test]
async fn a_migration_is_applied_taken_back_and_listed() {
    let database = TestDatabase::empty().await;
    let migrate = async |action: &[&str]| {
        let mut arguments = vec!["migrate", "--migrate-database-url", database.admin_url()];
        arguments.extend(action);
        let (code, out, err) = run(&arguments).await;
        assert_eq!(code, Some(0), "{action:?}: {err}");
        let lines = |state: &str| out.lines().filter(|line| line.starts_with(state)).count();
        (lines("applied "), lines("missing "))
    };
    let (none, all) = migrate(&["status"]).await;
    assert!(none == 0 && all >= 10, "{all}");
    assert_eq!(migrate(&["up"]).await, (all, 0));
    assert_eq!(migrate(&["up"]).await, (all, 0));
    assert_eq!(migrate(&["down"]).await, (all - 1, 1));
    assert_eq!(migrate(&["down", "--steps", "3"]).await, (all - 4, 4));
    assert_eq!(migrate(&["up"]).await, (all, 0));
    assert_eq!(migrate(&["down", "--steps", "1000"]).await, (0, all));
}

#[tokio::test]
async fn log_lines_for_machines_carry_the_request_and_the_workspace() {
    let database = TestDatabase::new().await;
    let mut server = tidegate()
        .args(["serve", "--listen", "127.0.0.1:0", "--secret", SECRET, "--database-url", database.url()])
        .args(["--log-format", "json", "--log", "tidegate=debug", "--rate-limit", "login=off,register=off"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let (base, _out) = listening(&mut server).await;
    let mut log = BufReader::new(server.stderr.take().expect("its log is piped")).lines();
    tidegate_outbound_http::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |path: &str, token: &str, body: Value| -> Value {
        let request = client.post(format!("{base}/api/v1{path}")).bearer_auth(token).json(&body);
        request.send().await.expect("it answers").json().await.expect("JSON")
    };
    let person = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada" });
    post("/auth/register", "", person).await;
    let login = json!({ "email": "ada@example.org", "password": "an umbrella in march" });
    let token = post("/auth/login", "", login).await["access_token"].as_str().expect("a token").to_owned();
    let workspace =
        post("/workspaces", &token, json!({ "name": "Acme" })).await["id"].as_str().expect("an id").to_owned();
    let request = client.get(format!("{base}/api/v1/workspaces/{workspace}/events")).bearer_auth(&token);
    request.header("x-request-id", "find-me-in-the-log").send().await.expect("it answers");
    let found = async {
        loop {
            let line = log.next_line().await.expect("the log is text").expect("the log goes on");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            for member in ["timestamp", "level", "target", "message"] {
                assert!(line[member].is_string(), "no {member}: {line}");
            }
            if line["request_id"] == "find-me-in-the-log" {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(30), found).await.expect("the request is logged");
    assert_eq!((&line["message"], &line["level"]), (&json!("answered"), &json!("DEBUG")), "{line}");
    assert_eq!((&line["workspace_id"], &line["status"]), (&json!(workspace), &json!(200)), "{line}");
    assert_eq!(line["route"], "/api/v1/workspaces/{ws}/events");
}
