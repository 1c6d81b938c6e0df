//! Bad uploads: each gets its problem, and nothing is stored.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Desk, field};
use crate::support::TestApp;

/// Sends a bad form and checks that nothing is stored of it.
async fn refused(desk: &Desk, body: impl Into<reqwest::Body>, status: u16, code: &str) -> Value {
    let before = desk.app.contents().await;
    let problem = desk.form(body).await.expect_problem(status, code);
    assert_eq!(desk.app.contents().await, before, "{problem}");
    assert_eq!(desk.app.objects.stored(), Vec::<String>::new(), "{problem}");
    problem
}

fn file() -> String {
    format!("{}hello\r\n", field("file", "; filename=\"a.txt\""))
}

#[tokio::test]
async fn a_form_that_is_wrong_is_refused_as_a_whole() {
    let desk = Desk::new().await;
    let pointer = |problem: &Value| problem["errors"][0]["pointer"].clone();
    for (body, at) in [
        (format!("{0}{0}--b--\r\n", file()), "/file"),
        ("--b--\r\n".to_owned(), "/file"),
        (format!("{}hello\r\n--b--\r\n", field("file", "")), "/file"),
        (format!("{}hello\r\n--b--\r\n", field("file", "; filename=\"\"")), "/file"),
        (format!("{}hello\r\n--b--\r\n", field("file", "; filename*=UTF-8''a%00b")), "/file"),
        (format!("{}hello\r\n--b--\r\n", field("file", &format!("; filename=\"{}\"", "x".repeat(513)))), "/file"),
        (format!("{}{}x\r\n--b--\r\n", file(), field("other", "")), "/other"),
        (format!("{}{}[1]\r\n--b--\r\n", file(), field("metadata", "")), "/metadata"),
        (format!("{}{}nonsense\r\n--b--\r\n", file(), field("metadata", "")), "/metadata"),
        (format!("{}{}{{\"a\":1,\"a\":2}}\r\n--b--\r\n", file(), field("metadata", "")), "/metadata/a"),
        (format!("{}{}{{\"a\":\"\\u0000\"}}\r\n--b--\r\n", file(), field("metadata", "")), "/metadata/a"),
        (format!("{}{}{}\r\n--b--\r\n", file(), field("metadata", ""), "x".repeat(20_000)), "/metadata"),
        (format!("{}{1}{{}}\r\n{1}{{}}\r\n--b--\r\n", file(), field("metadata", "")), "/metadata"),
    ] {
        let problem = refused(&desk, body.clone(), 422, "invalid").await;
        assert_eq!(pointer(&problem), at, "{body}");
    }
}

#[tokio::test]
async fn a_form_without_its_boundaries_is_malformed() {
    let desk = Desk::new().await;
    for body in
        ["", "hello", "--c\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--c--\r\n"]
    {
        refused(&desk, body, 400, "malformed-body").await;
    }
    refused(&desk, file(), 400, "malformed-body").await;
    refused(&desk, format!("{}hello", field("file", "; filename=\"a\0b\"")), 400, "malformed-body").await;
    let token = &desk.ada.token;
    let send =
        |content_type: &'static str| desk.app.post(&desk.path("")).bearer(token).body(content_type, file()).send();
    send("multipart/form-data").await.expect_problem(400, "malformed-body");
    send("application/octet-stream").await.expect_problem(415, "unsupported-media-type");
    send("multipart/mixed; boundary=b").await.expect_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn types_that_lie_or_are_dangerous_are_refused() {
    let desk = Desk::new().await;
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    for (name, content_type, bytes, pointer) in [
        ("a.png", "image/png", &b"no picture"[..], "/content_type"),
        ("a.pdf", "application/octet-stream", png, "/name"),
        ("setup.exe", "application/octet-stream", b"x", "/file"),
        ("notes.txt", "text/plain", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0", "/file"),
        ("notes", "application/x-msdownload", b"x", "/file"),
    ] {
        let before = desk.app.contents().await;
        let problem = desk.upload(name, content_type, bytes).await.expect_problem(422, "file-type-refused");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert_eq!(desk.app.contents().await, before);
    }
    // What looks right at first, and is refused when the bytes have come.
    let mut large = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".to_vec();
    large.resize(10_000_000, 0);
    let before = desk.app.contents().await;
    desk.upload("a.bin", "application/octet-stream", &large).await.expect_problem(422, "file-type-refused");
    assert_eq!(desk.app.contents().await, before);
    assert_eq!(desk.app.objects.stored(), Vec::<String>::new());
}

/// Begins an upload with this Content-Length and sends `bytes`.
async fn begun(desk: &Desk, length: usize, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(desk.app.base.trim_start_matches("http://")).await.expect("the server listens");
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        desk.path(""),
        desk.ada.token
    );
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    stream.write_all(bytes).await.expect("it is sent");
    stream
}

/// Begins an upload, and closes the connection in its middle.
async fn breaks_off(desk: &Desk, length: usize, bytes: &[u8]) -> String {
    let mut stream = begun(desk, length, bytes).await;
    stream.shutdown().await.expect("it is closed");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn until_nothing_is_left(desk: &Desk) {
    let nothing = async {
        while desk.used().await != 0
            || !desk.app.objects.stored().is_empty()
            || desk.app.database.count("select count(*) from file".to_owned()).await != 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), nothing).await.expect("nothing is left of it");
}

#[tokio::test]
async fn a_body_that_stops_leaves_nothing() {
    let desk = Desk::new().await;
    let mut body = field("file", "; filename=\"a.bin\"").into_bytes();
    body.resize(body.len() + 12_000_000, b'x');
    breaks_off(&desk, body.len() * 2, &body).await;
    until_nothing_is_left(&desk).await;
    breaks_off(&desk, 1_000, &body[..200]).await;
    until_nothing_is_left(&desk).await;
}

#[tokio::test]
async fn a_length_that_lies_is_refused() {
    let desk = Desk::new().await;
    let body = format!("{}--b--\r\n", file());
    // Shorter than what is sent: the form ends in its middle.
    let answer = breaks_off(&desk, body.len() - 20, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    until_nothing_is_left(&desk).await;
    // Beyond the largest file of every plan: refused before a byte is read.
    let mut stream = begun(&desk, usize::MAX / 4, body.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("it is answered");
    assert_eq!(&answer, b"HTTP/1.1 413");
    until_nothing_is_left(&desk).await;
}

#[tokio::test]
async fn without_an_object_store_files_say_what_is_missing() {
    let desk = Desk::at(TestApp::spawn_without_objects().await).await;
    let problem = desk.upload("a.txt", "text/plain", b"x").await.expect_problem(501, "no-object-store");
    assert!(problem["detail"].as_str().unwrap().contains("OBJECT_STORE_URL"));
    desk.get("").await.expect_problem(501, "no-object-store");
}
