//! `tidegate demo`, on the embedded PostgreSQL and against a server.

use std::path::Path;
use std::process::Stdio;

use tidegate_testing::TestDatabase;
use tokio::process::{Child, Command};

use crate::server::listening;

/// The program, without the developer's environment variables.
pub fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEGATE_") || name.ends_with("_URL")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Starts a server and returns its address.
async fn serve(database: &TestDatabase, plan: &str, objects: Option<&Path>) -> (Child, String) {
    let store = objects.map(|folder| format!("file://{}", folder.display()));
    let mut server = tidegate()
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--default-plan", plan])
        .args(store.iter().flat_map(|url| ["--object-store-url", url.as_str()]))
        .args(["--secret", "a secret for tests that is long enough", "--database-url", database.url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let (url, _) = listening(&mut server).await;
    (server, url)
}

/// Runs the demo to its end and returns the exit code and its output.
async fn demo(arguments: &[&str]) -> (Option<i32>, String, String) {
    output(tidegate().arg("demo").args(arguments)).await
}

async fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().await.expect("the demo runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn tells_the_whole_story(code: Option<i32>, out: &str, err: &str) {
    assert_eq!(code, Some(0), "{out}\n{err}");
    for told in [
        "4002 events of the history of a real project are in, at position 4002",
        "detecting 4002/4002",
        "change together: in ",
        ".github/workflows/ci.yml",
        "Remind about ",
        "% can be relied on.",
        "is a draft (wf_",
        "transform",
        "emit_event",
        "completed: ",
        "events               4003",
        "the first workspace's run does not exist there (404)",
    ] {
        assert!(out.contains(told), "{told:?} is missing in:\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "no colour and no cursor movement where nobody looks at a terminal");
}

#[tokio::test]
async fn it_tells_its_story_on_the_postgresql_that_it_brings() {
    let mut told = tidegate();
    // What the environment says is not meant for the demo.
    told.args(["demo", "--exit"]).env("OBJECT_STORE_URL", "s3://of-somebody-else").env("TIDEGATE_TAX_RATE", "nonsense");
    let (code, out, err) = output(&mut told).await;
    tells_the_whole_story(code, &out, &err);
    for told in [
        "bought the plan Demo: 5.00 EUR a month",
        "reads back byte by byte",
        "one byte too many: 402 ",
        "1000000 of 1000000",
        "INV-000001, open:",
        "5.00 EUR",
        "as PDF it has ",
    ] {
        assert!(out.contains(told), "{told:?} is missing in:\n{out}");
    }
}

#[tokio::test]
async fn it_tells_its_story_on_a_server() {
    let database = TestDatabase::new().await;
    let objects = tempfile::tempdir().expect("a folder");
    let (server, url) = serve(&database, "unlimited", Some(objects.path())).await;
    let (code, out, err) = demo(&["--exit", "--url", &url]).await;
    tells_the_whole_story(code, &out, &err);
    assert!(out.contains(&format!("Using the server at {url}")), "{out}");
    assert!(
        out.contains("nothing is bought at a server that is not the demo's own")
            && out.contains("reads back byte by byte"),
        "{out}"
    );
    drop(server);
}

#[tokio::test]
async fn it_refuses_a_plan_that_is_too_small() {
    let database = TestDatabase::new().await;
    let (server, url) = serve(&database, "free", None).await;
    let (code, out, err) = demo(&["--exit", "--url", &url]).await;
    assert_eq!(code, Some(3), "{out}\n{err}");
    assert!(err.contains("--default-plan unlimited"), "{err}");
    drop(server);
}

#[tokio::test]
async fn it_says_what_to_do_where_nobody_answers() {
    let (code, _, err) = demo(&["--exit", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("is a Tidegate server running there?"), "{err}");
}
