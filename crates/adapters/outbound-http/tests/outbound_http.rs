//! Against a server on this machine: with its address allowed, and without.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_engine::ports::{OutboundError, OutboundHttp, OutboundRequest, OutboundResponse};
use tidegate_outbound_http::{GuardedHttp, OutboundConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers every connection with these bytes, after it has read the head of a request.
async fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
            let answer = if answer == "echo" {
                let found = head.lines().find(|line| line.starts_with("idempotency-key")).unwrap_or("").to_owned();
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{found}", found.len())
            } else {
                answer.to_owned()
            };
            socket.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                // A server that never answers keeps the connection.
                std::mem::forget(socket);
            }
        }
    });
    port
}

fn request(url: String) -> OutboundRequest {
    let headers = BTreeMap::from([("idempotency-key".to_owned(), "run_1:a:0".to_owned())]);
    OutboundRequest { method: "GET".to_owned(), url, headers, body: None, timeout: Duration::from_secs(20) }
}

async fn call(allow: &[String], request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
    let config = OutboundConfig { allow_hosts: allow.to_vec(), max_bytes: 1000 };
    GuardedHttp::new(&config).unwrap().call(request).await
}

#[tokio::test]
async fn an_allowed_host_is_called_with_its_headers() {
    let port = server("echo").await;
    let answer = call(&[format!("127.0.0.1:{port}")], request(format!("http://127.0.0.1:{port}/x"))).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"idempotency-key: run_1:a:0".as_slice()));
    let answer = call(&[format!("LOCALHOST:{port}")], request(format!("http://localhost:{port}/"))).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_private_address_is_refused_however_it_is_written() {
    let port = server("echo").await;
    let hosts =
        ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:127.0.0.1]", "127.1", "10.0.0.1"];
    for host in hosts {
        let refused = call(&[], request(format!("http://{host}:{port}/"))).await;
        assert!(matches!(refused, Err(OutboundError::Refused(_))), "{host}: {refused:?}");
    }
    let other_port = [format!("127.0.0.1:{}", port.wrapping_add(1))];
    let refused = call(&other_port, request(format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(refused, Err(OutboundError::Refused(_))));
}

#[tokio::test]
async fn only_http_is_spoken_and_credentials_stay_out_of_addresses() {
    for url in ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "http://a:b@example.com/"] {
        assert!(matches!(call(&[], request(url.to_owned())).await, Err(OutboundError::Refused(_))), "{url}");
    }
    for url in ["", "nonsense", "http://"] {
        assert!(matches!(call(&[], request(url.to_owned())).await, Err(OutboundError::Invalid(_))), "{url}");
    }
    let mut trace = request("http://example.com/".to_owned());
    trace.method = "TRACE".to_owned();
    assert!(matches!(call(&[], trace).await, Err(OutboundError::Invalid(_))));
    let mut split = request("http://example.com/".to_owned());
    split.headers.insert("x".to_owned(), "a\r\nhost: b".to_owned());
    assert!(matches!(call(&[], split).await, Err(OutboundError::Invalid(_))));
}

#[tokio::test]
async fn a_redirect_is_refused() {
    let port = server("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
    let answer = call(&[format!("127.0.0.1:{port}")], request(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(answer, Err(OutboundError::Redirect(302)));
}

#[tokio::test]
async fn an_answer_is_cut_off_where_it_is_too_large_announced_or_not() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n";
    let streamed = concat!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "400\r\n0123456789012345678901234567890123456789012345678901234567890123",
    );
    let port = server(announced).await;
    let answer = call(&[format!("127.0.0.1:{port}")], request(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(answer, Err(OutboundError::TooLarge(1000)));
    let port = server(streamed).await;
    let answer = call(&[format!("127.0.0.1:{port}")], request(format!("http://127.0.0.1:{port}/"))).await;
    // The connection ends within the first chunk, so this is a broken answer and no success.
    assert!(matches!(answer, Err(OutboundError::Unreachable(_) | OutboundError::TooLarge(_))), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_left() {
    let port = server("").await;
    let mut patient = request(format!("http://127.0.0.1:{port}/"));
    patient.timeout = Duration::from_millis(200);
    let answer = call(&[format!("127.0.0.1:{port}")], patient).await;
    assert_eq!(answer, Err(OutboundError::TimedOut(Duration::from_millis(200))));
}
