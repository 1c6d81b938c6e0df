//! Uploading straight to the object store.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Desk;
use crate::support::{TestApp, text};

async fn desk() -> Desk {
    Desk::at(TestApp::spawn_on_s3(&[]).await).await
}

/// Sends bytes with a presigned request, and returns the status of the store.
async fn put(upload: &Value, bytes: impl Into<Bytes>) -> u16 {
    let mut request = reqwest::Client::new().put(text(&upload["url"])).body(bytes.into());
    for (name, value) in upload["headers"].as_object().into_iter().flatten() {
        request = request.header(name, text(value));
    }
    request.send().await.expect("the store answers").status().as_u16()
}

impl Desk {
    async fn begin(&self, body: Value) -> Value {
        self.post("/uploads", &body).await.expect(201)
    }

    async fn complete(&self, upload: &Value) -> crate::support::Answer {
        self.post(&format!("/uploads/{}/complete", text(&upload["id"])), &json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_a_file_that_its_url_cannot_change() {
    let desk = desk().await;
    let upload = desk.begin(json!({"name": "a.txt", "size": 5, "metadata": {"a": 1}})).await;
    assert_eq!((&upload["method"], desk.used().await), (&json!("PUT"), 5));
    assert_eq!(put(&upload, "hello").await, 200);
    let file = desk.complete(&upload).await.expect(201);
    assert_eq!((&file["size"], &file["content_type"]), (&json!(5), &json!("text/plain")));
    assert_eq!((&file["metadata"], desk.used().await), (&json!({"a": 1}), 5));
    assert_eq!(text(&file["id"]).replace("fil_", "upl_"), text(&upload["id"]));
    assert_eq!(put(&upload, "other").await, 200, "the URL is valid for a while");
    let content = desk.get(&format!("/{}/content", text(&file["id"]))).await;
    assert_eq!(content.bytes, b"hello");
    let before = desk.app.contents().await;
    desk.complete(&upload).await.expect_problem(409, "upload-completed");
    assert_eq!(desk.app.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_declared_is_refused_and_can_be_sent_again() {
    let desk = desk().await;
    let upload = desk.begin(json!({"name": "a.png", "content_type": "image/png", "size": 5})).await;
    desk.complete(&upload).await.expect_problem(409, "nothing-uploaded");
    assert_eq!(put(&upload, "four").await, 200);
    let problem = desk.complete(&upload).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/size");
    assert_eq!(put(&upload, "hello").await, 200);
    desk.complete(&upload).await.expect_problem(422, "file-type-refused");
    assert_eq!(desk.app.objects.stored().len(), 1, "only what the URL has written");
    assert_eq!(put(&upload, &b"\x89PNG\r"[..]).await, 200);
    desk.complete(&upload).await.expect(201);

    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let upload = desk.begin(json!({"name": "a.txt", "size": 5, "sha256": sha256})).await;
    assert_eq!(put(&upload, "other").await / 100, 4, "the store refuses other bytes");
    assert_eq!(put(&upload, "hello").await, 200);
    assert_eq!(desk.complete(&upload).await.expect(201)["sha256"], sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_refused_before_they_begin_if_nothing_can_come_of_them() {
    let app = TestApp::spawn_on_s3(&["--default-plan", "free"]).await;
    let desk = Desk::with_storage_left(app, 100).await;
    let before = desk.app.contents().await;
    for (body, status, code) in [
        (json!({"name": "a.txt", "size": 101}), 402, "quota-exceeded"),
        (json!({"name": "a.txt", "size": i64::MAX}), 413, "file-too-large"),
        (json!({"name": "a.txt", "size": -1}), 422, "invalid"),
        (json!({"name": "a.txt"}), 422, "invalid"),
        (json!({"name": "a\u{0}", "size": 1}), 422, "invalid"),
        (json!({"name": "a.exe", "size": 1}), 422, "file-type-refused"),
        (json!({"name": "a.txt", "size": 1, "content_type": "text"}), 422, "invalid"),
        (json!({"name": "a.txt", "size": 1, "sha256": "abc"}), 422, "invalid"),
        (json!({"name": "a.txt", "size": 1, "metadata": []}), 422, "invalid"),
    ] {
        desk.post("/uploads", &body).await.expect_problem(status, code);
    }
    assert_eq!(desk.app.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_workspaces_upload_does_not_exist() {
    let desk = desk().await;
    let upload = desk.begin(json!({"name": "a.txt", "size": 5})).await;
    put(&upload, "hello").await;
    let bob = desk.app.person("Bob").await;
    let theirs = desk.app.workspace(&bob, "Theirs").await;
    let before = desk.app.contents().await;
    let path = format!("{}/uploads/{}/complete", TestApp::files_path(&theirs), text(&upload["id"]));
    let foreign = desk.app.post(&path).bearer(&bob.token).json(&json!({})).send().await;
    foreign.expect_problem(404, "not-found");
    let direct = desk.uploaded(b"x").await.replace("fil_", "upl_");
    desk.post(&format!("/uploads/{direct}/complete"), &json!({})).await.expect_problem(404, "not-found");
    assert_ne!(desk.app.contents().await, before, "only the direct upload is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_completions_at_once_one_makes_the_file() {
    let desk = desk().await;
    let upload = desk.begin(json!({"name": "a.txt", "size": 5})).await;
    put(&upload, "hello").await;
    let answers = futures::future::join_all((0..4).map(|_| desk.complete(&upload))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 3);
    assert_eq!(desk.used().await, 5);
}

#[tokio::test]
async fn a_store_that_cannot_presign_says_so() {
    let desk = Desk::new().await;
    let before = desk.app.contents().await;
    let problem =
        desk.post("/uploads", &json!({"name": "a.txt", "size": 5})).await.expect_problem(409, "cannot-presign");
    assert!(problem["detail"].as_str().unwrap().contains("/files"));
    assert_eq!(desk.app.contents().await, before);
}
