//! `tidegate events import` against a server.

use std::process::Output;

use serde_json::json;

use crate::support::{Person, TestApp};

/// Runs the program like a person at a terminal.
async fn import(app: &TestApp, owner: &Person, workspace: &str, file: &str) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["events", "import", file, "--batch", "100"]);
    command.env("TIDEGATE_URL", &app.base).env("TIDEGATE_TOKEN", &owner.token).env("TIDEGATE_WORKSPACE", workspace);
    command.output().await.expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_sample_log_is_imported_once() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/file-events.jsonl.gz");
    let first = import(&app, &ada, "acme", sample).await;
    assert_eq!(
        (first.status.code(), text(&first.stdout)),
        (Some(0), "4002 accepted, 0 there before, 0 rejected\n".into())
    );
    let again = import(&app, &ada, &workspace, sample).await;
    assert_eq!(text(&again.stdout), "0 accepted, 4002 there before, 0 rejected\n");
}

#[tokio::test]
async fn lines_that_cannot_be_taken_are_named_with_their_numbers() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    app.workspace(&ada, "Acme").await;
    let good = |id: &str| json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t"});
    let file = tempfile::NamedTempFile::new().expect("a file");
    let bad = json!({"specversion": "1.0", "id": "x", "source": "/s"});
    let lines = format!("{}\n\nnot json\n{bad}\n{}\n", good("1"), good("2"));
    std::fs::write(file.path(), lines).expect("it is written");
    let path = file.path().display().to_string();
    let output = import(&app, &ada, "acme", &path).await;
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains(&format!("{path}:3: not a JSON object")), "{printed}");
    assert!(printed.contains(&format!("{path}:4: /type: `type` is required")), "{printed}");
    assert!(printed.contains("2 accepted, 0 there before, 2 rejected"), "{printed}");
}

#[tokio::test]
async fn exit_codes_say_who_is_to_blame() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    app.workspace(&ada, "Acme").await;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/file-events.jsonl.gz");
    assert_eq!(import(&app, &ada, "acme", "/no/such/file").await.status.code(), Some(2));
    assert_eq!(import(&app, &ada, "another", sample).await.status.code(), Some(3));
    let over = import(&app, &ada, "acme", sample).await;
    assert_eq!(over.status.code(), Some(3), "{}", text(&over.stderr));
    assert!(text(&over.stderr).contains("plan allows 1000 events in this period"), "{}", text(&over.stderr));
    let eve = Person { token: "not a token".into(), ..app.person("Eve").await };
    assert_eq!(import(&app, &eve, "acme", sample).await.status.code(), Some(3));
}
