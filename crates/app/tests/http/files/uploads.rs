//! Uploading files in forms.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Desk, field};
use crate::support::{TestApp, text};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn limited(bytes: i64) -> Desk {
    Desk::with_storage_left(TestApp::spawn_with(&["--default-plan", "free"]).await, bytes).await
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent() {
    let desk = Desk::new().await;
    for length in [0, 1, 8_191, 8_192, 5_000_000, 20_000_000] {
        let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let answer = desk.upload("data.bin", "application/octet-stream", &bytes).await;
        let file = answer.expect(201);
        assert_eq!((&file["size"], &file["sha256"]), (&json!(length), &json!(hex(&bytes))));
        assert_eq!((&file["state"], &file["uploaded_by"]["id"]), (&json!("uploaded"), &json!(desk.ada.id)));
        assert_eq!(answer.header("location"), desk.path(&format!("/{}", text(&file["id"]))));
        let content = desk.get(&format!("/{}/content", text(&file["id"]))).await;
        content.expect(200);
        assert!(content.bytes == bytes, "{length} bytes");
        assert_eq!(desk.get(&format!("/{}", text(&file["id"]))).await.expect(200), file);
    }
    assert_eq!(desk.used().await, 1 + 8_191 + 8_192 + 5_000_000 + 20_000_000, "exactly what is stored");
}

#[tokio::test]
async fn every_name_round_trips_and_is_no_path() {
    let desk = Desk::new().await;
    let long = "ä".repeat(300);
    for name in
        ["../../etc/passwd", "دعوة إلى.txt", "\u{202e}fdp.txt", "日本語 & more.txt", "a b.txt", "C:\\x\\y", "..", &long]
    {
        let file = desk.upload(&name.replace('\\', "\\\\"), "text/plain", b"x").await.expect(201);
        assert_eq!(file["name"], name);
        let content = desk.get(&format!("/{}/content", text(&file["id"]))).await;
        content.expect(200);
        let disposition = content.header("content-disposition");
        assert!(disposition.starts_with("attachment; filename=\"") && disposition.contains("filename*=UTF-8''"));
    }
    let stored = desk.app.objects.stored();
    let workspace = &desk.workspace;
    assert!(stored.iter().all(|name| name.starts_with(&format!("{workspace}/files/fil_"))), "{stored:?}");
}

#[tokio::test]
async fn metadata_may_come_before_or_after_the_file() {
    let desk = Desk::new().await;
    let file = format!("{}hello\r\n", field("file", "; filename=\"a.txt\""));
    let metadata = format!("{}{{\"topic\": [1, \"ä\"]}}\r\n", field("metadata", ""));
    for body in [format!("{file}{metadata}--b--\r\n"), format!("{metadata}{file}--b--\r\n")] {
        let file = desk.form(body).await.expect(201);
        assert_eq!(file["metadata"], json!({"topic": [1, "ä"]}));
        assert_eq!(file["content_type"], "text/plain");
    }
    let extended = field("file", "; filename=\"x\"; filename*=UTF-8''%C3%A4.txt");
    assert_eq!(desk.form(format!("{extended}x\r\n--b--\r\n")).await.expect(201)["name"], "ä.txt");
}

#[tokio::test]
async fn a_file_that_fills_the_storage_fits_and_no_byte_more() {
    let desk = limited(1_000_000).await;
    let used = || desk.used();
    desk.uploaded(&vec![b'a'; 400_000]).await;
    let refused = desk.upload("b.txt", "text/plain", &vec![b'a'; 600_001]).await;
    let problem = refused.expect_problem(402, "quota-exceeded");
    assert_eq!(problem["quota"]["meter"], "storage_bytes", "{problem}");
    let before = problem["quota"]["limit"].as_i64().map(|limit| limit - 600_000);
    assert_eq!(problem["quota"]["used"].as_i64(), before, "what the refused upload had reserved does not count");
    assert_eq!(used().await, 400_000);
    desk.uploaded(&vec![b'a'; 600_000]).await;
    assert_eq!(used().await, 1_000_000);
    desk.upload("c.txt", "text/plain", b"1").await.expect_problem(402, "quota-exceeded");
    desk.uploaded(b"").await;
    assert_eq!(desk.app.objects.stored().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_uploads_just_below_the_limit_one_gets_in() {
    let desk = limited(300_000).await;
    let bytes = vec![b'a'; 299_999];
    let sent = (0..8).map(|_| desk.upload("a.txt", "text/plain", &bytes));
    let answers = futures::future::join_all(sent).await;
    let stored = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 402).count();
    assert_eq!((stored, refused), (1, 7));
    assert_eq!(desk.used().await, 299_999);
    assert_eq!(desk.app.objects.stored().len(), 1);
}

#[tokio::test]
async fn a_plan_without_storage_takes_empty_files_only() {
    let desk = limited(0).await;
    // Beside it, the events and mails that tell of the limit are added.
    let contents = async || {
        let tables = ["file", "file_task", "quota_level", "audit_entry"];
        let mut contents = desk.app.contents().await;
        contents.retain(|table, _| tables.contains(&table.as_str()));
        contents
    };
    let before = contents().await;
    desk.upload("a.txt", "text/plain", b"1").await.expect_problem(402, "quota-exceeded");
    desk.post("/uploads", &json!({"name": "a.txt", "size": 1})).await;
    assert_eq!(contents().await, before);
}

#[tokio::test]
async fn the_plan_says_how_large_a_file_may_be() {
    let desk = Desk::at(TestApp::spawn_with(&["--default-plan", "free"]).await).await;
    let before = desk.app.contents().await;
    desk.upload("a.txt", "text/plain", &vec![b'a'; 50_000_001]).await.expect_problem(413, "file-too-large");
    desk.upload("a.txt", "text/plain", &vec![b'a'; 60_000_000]).await.expect_problem(413, "file-too-large");
    assert_eq!(desk.app.contents().await, before);
    assert_eq!(desk.app.objects.stored(), Vec::<String>::new());
    desk.uploaded(&vec![b'a'; 50_000_000]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_uploads_at_once_are_all_stored() {
    let desk = Desk::new().await;
    let bytes = vec![b'a'; 100_000];
    let sent = (0..200).map(|_| desk.upload("a.txt", "text/plain", &bytes));
    for answer in futures::future::join_all(sent).await {
        answer.expect(201);
    }
    assert_eq!(desk.used().await, 200 * 100_000);
    assert_eq!(desk.app.objects.stored().len(), 200);
}
