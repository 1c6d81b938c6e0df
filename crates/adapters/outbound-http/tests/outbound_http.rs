//! Calls to a server on this machine, with and without its address allowed.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use tidegate_engine::ports::{OutboundError, OutboundHttp, OutboundRequest, OutboundResponse};
use tidegate_outbound_http::{GuardedHttp, OutboundConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers every connection with these bytes, after it has read the head of the request.
async fn server(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
            let answer = if answer == b"echo" {
                let found = head.lines().find(|line| line.starts_with("idempotency-key")).unwrap_or("").to_owned();
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{found}", found.len()).into_bytes()
            } else {
                answer.clone()
            };
            socket.write_all(&answer).await.unwrap();
            if answer.is_empty() {
                // Without an answer, the server keeps the connection open.
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
    // The connection ends within the first chunk, so the response is broken.
    assert!(matches!(answer, Err(OutboundError::Unreachable(_) | OutboundError::TooLarge(_))), "{answer:?}");
}

const TEXT: &[u8] = b"{\"packed\": \"by brotli\"}";

/// [`TEXT`] and three million times `a`, made by another implementation of RFC 7932.
const BROTLI: &[u8] = b"\x0b\x0b\x80{\"packed\": \"by brotli\"}\x03";
const BROTLI_BOMB: &[u8] = b"\x9b\xbf\xc6\x2d\xf8\x25\xc2\xe2\xb1\x40\x20\xcf\xb7\x05";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 19).unwrap()
}

/// The response to a call whose body is in this coding.
async fn packed(coding: &str, body: &[u8]) -> Result<OutboundResponse, OutboundError> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    let port = server(answer).await;
    call(&[format!("127.0.0.1:{port}")], request(format!("http://127.0.0.1:{port}/"))).await
}

#[tokio::test]
async fn packed_answers_are_unpacked() {
    let members = [gzip(&TEXT[..5]), gzip(&TEXT[5..])].concat();
    for (coding, body) in [
        ("gzip", gzip(TEXT)),
        ("GZip", members),
        ("x-gzip", gzip(TEXT)),
        ("deflate", deflate(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd(TEXT)),
        ("gzip, zstd", zstd(&gzip(TEXT))),
        ("identity", TEXT.to_vec()),
    ] {
        let answer = packed(coding, &body).await.unwrap();
        assert_eq!(answer.body, TEXT, "{coding}");
        assert_eq!(answer.headers.get("content-encoding"), None, "{coding}");
        assert_eq!(answer.headers.contains_key("content-length"), coding == "identity", "{coding}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert!(packed("gzip", b"").await.unwrap().body.is_empty(), "there is no body to unpack");
}

#[tokio::test]
async fn a_packed_answer_is_cut_off_where_what_it_holds_is_too_large() {
    let large = vec![b'a'; 3_000_000];
    for (coding, body) in [
        ("gzip", gzip(&large)),
        ("br", BROTLI_BOMB.to_vec()),
        ("zstd", zstd(&large)),
        ("gzip, gzip", gzip(&gzip(&large))),
        // Within the limit in one layer, and above it in the other.
        ("zstd, gzip", gzip(&zstd(&large))),
    ] {
        let answer = packed(coding, &body[..body.len().min(1000)]).await;
        assert_eq!(answer, Err(OutboundError::TooLarge(1000)), "{coding}");
    }
    let fits = vec![b'a'; 1000];
    assert_eq!(packed("gzip", &gzip(&fits)).await.unwrap().body, fits);
    assert_eq!(packed("gzip", &gzip(&[b'a'; 1001])).await, Err(OutboundError::TooLarge(1000)));
}

#[tokio::test]
async fn an_answer_in_an_unknown_coding_or_a_broken_one_is_an_error() {
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 3);
        bytes
    };
    for (coding, body, told) in [
        ("compress", TEXT.to_vec(), "the coding `compress`"),
        ("gzip, exi", gzip(TEXT), "the coding `exi`"),
        ("gzip, gzip, gzip, gzip", gzip(TEXT), "more than 3 codings"),
        ("gzip", TEXT.to_vec(), "in the coding gzip, and is not"),
        ("br", TEXT.to_vec(), "in the coding br, and is not"),
        ("zstd", TEXT.to_vec(), "in the coding zstd, and is not"),
        ("gzip", cut(gzip(TEXT)), "in the coding gzip, and is not"),
        ("deflate", cut(deflate(TEXT)), "in the coding deflate, and is not"),
        ("br", cut(BROTLI.to_vec()), "in the coding br, and is not"),
        ("zstd", cut(zstd(TEXT)), "in the coding zstd, and is not"),
    ] {
        match packed(coding, &body).await {
            Err(OutboundError::Undecodable(message)) => assert!(message.contains(told), "{coding}: {message}"),
            other => panic!("{coding}: {other:?}"),
        }
    }
}

/// A frame may ask for a window of gigabytes before it contains any data.
#[tokio::test]
async fn a_zstd_frame_with_a_window_over_8_mib_is_refused() {
    // Magic, a descriptor without a content size, a window descriptor of 2^(10+17) bytes, and one raw block of one byte.
    let frame = b"\x28\xb5\x2f\xfd\x00\x88\x09\x00\x00a";
    assert!(matches!(packed("zstd", frame).await, Err(OutboundError::Undecodable(_))));
    // The same with 8 MiB.
    let frame = b"\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00a";
    assert_eq!(packed("zstd", frame).await.unwrap().body, b"a");
}

#[tokio::test]
async fn servers_are_told_which_codings_can_be_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..read]).to_ascii_lowercase());
            socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        }
        heads
    });
    let allowed = [format!("127.0.0.1:{port}")];
    call(&allowed, request(format!("http://127.0.0.1:{port}/"))).await.unwrap();
    let mut own = request(format!("http://127.0.0.1:{port}/"));
    own.headers.insert("accept-encoding".to_owned(), "identity".to_owned());
    call(&allowed, own).await.unwrap();
    let heads = heads.await.unwrap();
    assert!(heads[0].contains("\r\naccept-encoding: gzip, br, zstd\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("\r\naccept-encoding: identity\r\n"), "{}", heads[1]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_left() {
    let port = server("").await;
    let mut patient = request(format!("http://127.0.0.1:{port}/"));
    patient.timeout = Duration::from_millis(200);
    let answer = call(&[format!("127.0.0.1:{port}")], patient).await;
    assert_eq!(answer, Err(OutboundError::TimedOut(Duration::from_millis(200))));
}
