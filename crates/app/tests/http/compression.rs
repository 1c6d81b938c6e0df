//! Compressed responses, and what callers say that they accept.

use std::io::Read;

use serde_json::json;

use crate::support::{Answer, Person, TestApp, text};

/// The body of a response without its coding.
fn decoded(answer: &Answer) -> Vec<u8> {
    let (mut bytes, body) = (Vec::new(), answer.bytes.as_slice());
    match answer.header("content-encoding") {
        "" => return body.to_vec(),
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut bytes),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut bytes),
        "zstd" => zstd::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut bytes)),
        other => panic!("no caller accepts {other}"),
    }
    .expect("the body is in the coding that the header names");
    bytes
}

/// A workflow whose representation is a few KiB.
async fn workflow(app: &TestApp, ada: &Person) -> String {
    let workspace = app.workspace(ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/workflows");
    let steps = json!([{ "id": "shape", "uses": "transform" }]);
    let new = json!({ "name": "long", "description": "a b c ".repeat(300), "steps": steps });
    let made = app.post(&path).bearer(&ada.token).json(&new).send().await.expect(201);
    format!("{path}/{}", text(&made["id"]))
}

#[tokio::test]
async fn a_body_is_sent_in_the_coding_that_its_caller_likes_best() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = workflow(&app, &ada).await;
    let plain = app.get(&path).bearer(&ada.token).send().await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br;q=0.9", "gzip"),
        ("*;q=0.1", "zstd"),
        ("identity;q=0, br", "br"),
        ("identity, gzip;q=0.5", ""),
        ("deflate", ""),
        ("", ""),
        // Nonsense counts as no header.
        ("gzip;q=7", ""),
        ("gzip;;;", ""),
        ("(^_^)", ""),
    ] {
        let answer = app.get(&path).bearer(&ada.token).header("accept-encoding", accepted).send().await;
        answer.status.is_success().then_some(()).expect("it is answered");
        assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
        assert_eq!(answer.header("vary"), "Accept-Encoding", "{accepted}");
        assert_eq!(answer.header("content-length"), answer.bytes.len().to_string(), "{accepted}");
        assert_eq!(decoded(&answer), plain.bytes, "{accepted}");
        if coding.is_empty() {
            assert_eq!(answer.header("etag"), plain.header("etag"));
            continue;
        }
        assert!(answer.bytes.len() < plain.bytes.len(), "{accepted}");
        // Each coding has a strong tag of its own. It is good for reading and for changing.
        let tag = answer.header("etag");
        assert_eq!(tag, plain.header("etag").replace("1\"", &format!("1-{coding}\"")));
        let again = app.get(&path).bearer(&ada.token).header("accept-encoding", accepted);
        let again = again.header("if-none-match", tag).send().await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (304, tag));
        assert_eq!((again.header("vary"), again.bytes.len()), ("Accept-Encoding", 0));
    }
    let remove = app.request(reqwest::Method::DELETE, &path).bearer(&ada.token);
    remove.header("if-match", "\"1-gzip\"").send().await.expect(204);
}

#[tokio::test]
async fn a_caller_who_accepts_nothing_is_refused_before_anything_is_done() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    let before = app.contents().await;
    let new = json!({ "name": "x", "steps": [{ "id": "shape", "uses": "transform" }] });
    for nothing in ["identity;q=0", "*;q=0", "deflate, identity;q=0.0"] {
        let answer = app.post(&path).bearer(&ada.token).header("accept-encoding", nothing).json(&new).send().await;
        answer.expect_problem(406, "not-acceptable");
    }
    assert_eq!(app.contents().await, before);
    // A caller who refuses the plain form gets a short body compressed.
    let short =
        app.post(&path).bearer(&ada.token).header("accept-encoding", "identity;q=0, gzip").json(&new).send().await;
    short.status.is_success().then_some(()).expect("it is made");
    assert_eq!(short.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn what_does_not_pay_or_is_secret_is_sent_as_it_is() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let everything = "gzip, br, zstd";
    let me = app.get("/api/v1/auth/me").bearer(&ada.token).header("accept-encoding", everything).send().await;
    assert_eq!((me.header("content-encoding"), me.header("vary")), ("", "Accept-Encoding"), "it is short");
    let login = json!({ "email": ada.email, "password": "an umbrella in march" });
    let login =
        app.post("/api/v1/auth/login").header("accept-encoding", "identity;q=0, gzip").json(&login).send().await;
    login.expect(200);
    assert_eq!(login.header("content-encoding"), "", "it has secrets");
    let page = app.get("/docs/").header("accept-encoding", everything).send().await;
    assert_eq!(page.status.as_u16(), 200);
    let document = app.get("/api/v1/openapi.json").header("accept-encoding", everything).send().await;
    assert_eq!(document.header("content-encoding"), "zstd", "a large body");
    let whole = app.get("/api/v1/openapi.json").send().await;
    assert!(document.bytes.len() * 4 < whole.bytes.len());
    assert_eq!(decoded(&document), whole.bytes);
    let head = app.request(reqwest::Method::HEAD, "/api/v1/openapi.json").header("accept-encoding", everything);
    let head = head.send().await;
    assert_eq!((head.bytes.len(), head.header("etag")), (0, document.header("etag")));
    let metrics = app.get("/metrics").header("accept-encoding", "gzip").send().await;
    assert_eq!(metrics.header("content-encoding"), "gzip", "text");
    let wrong = app.get("/api/v1/nothing").header("accept-encoding", everything).send().await;
    wrong.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_response_that_is_sent_again_for_its_key_is_compressed_like_the_first() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    let steps = json!([{ "id": "shape", "uses": "transform" }]);
    let new = json!({ "name": "long", "description": "a b c ".repeat(300), "steps": steps });
    let send = async |accepted: &str| {
        let request = app.post(&path).bearer(&ada.token).header("idempotency-key", "one").json(&new);
        request.header("accept-encoding", accepted).send().await
    };
    let (first, second, third) = (send("gzip").await, send("br").await, send("identity").await);
    assert_eq!(decoded(&first), decoded(&second));
    assert_eq!(decoded(&first), third.bytes);
    let codings = [&first, &second, &third].map(|answer| answer.header("content-encoding"));
    assert_eq!(codings, ["gzip", "br", ""]);
    assert_eq!([&first, &second, &third].map(|answer| answer.header("etag")), ["\"1-gzip\"", "\"1-br\"", "\"1\""]);
}
