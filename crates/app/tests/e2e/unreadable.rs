//! Malformed HTTP requests are answered, counted, and logged once instead of line by line.

use std::process::Stdio;
use std::time::Duration;

use tidegate_testing::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::demo::tidegate;
use crate::server::listening;

/// Sends bytes on a new connection and returns the response, up to the end of the connection.
async fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A client that is cut off while it still sends may get an error, here as below.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_counted_and_told_of_once() {
    let database = TestDatabase::new().await;
    let secret = "a secret for tests that is long enough";
    let mut server = tidegate()
        .args(["serve", "--listen", "127.0.0.1:0", "--secret", secret, "--database-url", database.url()])
        .args(["--log", "off,tidegate=warn"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut log = server.stderr.take().expect("its log is piped");
    let (url, _out) = listening(&mut server).await;
    let address = url.strip_prefix("http://").expect("an address").to_owned();

    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(200_000));
    for (bytes, status) in [
        ("NONSENSE\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", "400"),
        ("GET /\u{7} HTTP/9.9\r\n\r\n", "400"),
        (long.as_str(), ""),
    ] {
        let answer = send(&address, bytes.as_bytes()).await;
        assert!(status.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {answer}");
    }
    tidegate_outbound_http::install_tls();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let metrics = client.get(format!("http://{address}/metrics")).send().await.expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("http_unreadable_requests_total{reason=\"malformed\"} 3"), "{metrics}");
    assert!(metrics.contains("http_unreadable_requests_total{reason=\"head_too_large\"} 1"), "{metrics}");

    let id = server.id().expect("it runs").to_string();
    let told = std::process::Command::new("kill").args(["-s", "TERM", &id]).status();
    assert!(told.expect("kill runs").success());
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(60), log.read_to_string(&mut text)).await.expect("it ends").expect("text");
    assert!(!text.contains("ERROR") && !text.contains("stream error"), "{text}");
    assert_eq!(text.matches("requests could not be read").count(), 1, "{text}");
    assert!(text.contains("count="), "{text}");
}
