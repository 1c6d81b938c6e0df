//! Access tokens, refresh tokens and sessions: which are valid, and for how long.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tidegate_testing::TestClock;

use crate::support::{Answer, TestApp};

const ME: &str = "/api/v1/auth/me";

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.post("/api/v1/auth/refresh").json(&json!({ "refresh_token": token })).send().await
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_refused_alike() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let parts: Vec<&str> = ada.token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!("a token has three parts") };
    let kid = decode_header(&ada.token).unwrap().kid;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let head = |algorithm| Header { kid: kid.clone(), typ: Some("at+jwt".to_owned()), ..Header::new(algorithm) };
    let jwks = app.get("/.well-known/jwks.json").send().await.expect(200);
    let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let foreign = EncodingKey::from_ed_der(&[7; 32]);
    // The public key as an HMAC secret: the server's library cannot even make such a token.
    let confused = format!("{}.{payload}", encoded(&serde_json::to_value(head(Algorithm::HS256)).unwrap()));
    let mut mac = Hmac::<Sha256>::new_from_slice(&public).unwrap();
    mac.update(confused.as_bytes());
    let confused = format!("{confused}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let none = encoded(&json!({ "alg": "none", "typ": "at+jwt", "kid": kid }));
    let longer = encoded(
        &json!({ "iss": "tidegate", "aud": "tidegate", "sub": claims["sub"], "sid": claims["sid"], "iat": 0, "exp": i64::MAX }),
    );
    let forged = [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{header}.{longer}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        ada.token[..ada.token.len() - 2].to_owned(),
        ada.token[1..].to_owned(),
        encode(&head(Algorithm::EdDSA), &claims, &foreign).unwrap(),
        confused,
        ada.refresh_token.clone(),
        "tg_000000000000000000000000000000000000000000000000000000".to_owned(),
        "x".to_owned(),
        "x".repeat(10_000),
    ];
    let answer = async |token: &str| {
        let answer = app.get(ME).bearer(token).header("x-request-id", "same").send().await;
        answer.expect_problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        answer.bytes
    };
    let expected = answer("nobody").await;
    let before = app.contents().await;
    for token in &forged {
        assert_eq!(answer(token).await, expected, "{token}");
        let found = app.post("/api/v1/workspaces").bearer(token).json(&json!({ "name": "Acme" }));
        found.send().await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(app.contents().await, before);
    for authorization in ["", "Bearer", "Basic YTpi", &format!("Token {}", ada.token)] {
        app.get(ME).header("authorization", authorization).send().await.expect_problem(401, "unauthenticated");
    }
    app.get(ME).bearer(&ada.token).send().await.expect(200);
}

#[tokio::test]
async fn tokens_end_when_their_time_is_over() {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    let app = TestApp::spawn_at(clock.clone()).await;
    let ada = app.person("Ada").await;
    // Clocks of servers may differ by half a minute.
    clock.advance(TimeDelta::minutes(30) + TimeDelta::seconds(29));
    app.get(ME).bearer(&ada.token).send().await.expect(200);
    clock.advance(TimeDelta::seconds(1));
    app.get(ME).bearer(&ada.token).send().await.expect_problem(401, "unauthenticated");
    let before = app.contents().await;
    let found = app.post("/api/v1/workspaces").bearer(&ada.token).json(&json!({ "name": "Acme" }));
    found.send().await.expect_problem(401, "unauthenticated");
    assert_eq!(app.contents().await, before);

    let mut tokens = refresh(&app, &ada.refresh_token).await.expect(200);
    app.get(ME).bearer(tokens["access_token"].as_str().unwrap()).send().await.expect(200);
    // Refreshed every six days, a session lasts while signing keys rotate, but not beyond its ninety days.
    for _ in 0..14 {
        clock.advance(TimeDelta::days(6));
        tokens = refresh(&app, tokens["refresh_token"].as_str().unwrap()).await.expect(200);
    }
    assert!(tokens["refresh_expires_in"].as_i64().unwrap() < 604_800, "{tokens}");
    let keys = app.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2), "the last key and the one before it");
    clock.advance(TimeDelta::days(6));
    let token = tokens["refresh_token"].as_str().unwrap();
    refresh(&app, token).await.expect_problem(401, "invalid-refresh-token");

    let eve = app.person("Eve").await;
    clock.advance(TimeDelta::days(7));
    refresh(&app, &eve.refresh_token).await.expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn whoever_logs_out_is_out_everywhere_at_once() {
    let app = TestApp::spawn().await;
    let beside = app.beside(&[]).await;
    let ada = app.person("Ada").await;
    beside.get(ME).bearer(&ada.token).send().await.expect(200);
    app.post("/api/v1/auth/logout").bearer(&ada.token).send().await.expect(204);
    app.until_refused(ME, &ada.token).await;
    // Without Redis the other server gets no signal, and still drops its cache entry within a second.
    beside.until_refused(ME, &ada.token).await;
    refresh(&app, &ada.refresh_token).await.expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let again = app.log_in(&ada.email, &ada.id).await;
    let eve = app.person("Eve").await;
    let listed = app.get("/api/v1/auth/sessions").bearer(&again.token).send().await.expect(200);
    let current: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["current"]).collect();
    assert_eq!(current, [true, false]);
    assert_eq!(listed["items"][0]["address"], "127.0.0.1");
    let path = format!("/api/v1/auth/sessions/{}", listed["items"][1]["id"].as_str().unwrap());
    app.request(Method::DELETE, &path).bearer(&eve.token).send().await.expect_problem(404, "not-found");
    app.request(Method::DELETE, &path).bearer(&again.token).send().await.expect(204);
    app.request(Method::DELETE, &path).bearer(&again.token).send().await.expect_problem(404, "not-found");
    app.until_refused(ME, &ada.token).await;
    app.get(ME).bearer(&again.token).send().await.expect(200);
}

#[tokio::test]
async fn anybody_can_check_a_token_with_the_published_keys_of_any_server() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let beside = app.beside(&[]).await;
    beside.get(ME).bearer(&ada.token).send().await.expect(200);
    for server in [&app, &beside] {
        let answer = server.get("/.well-known/jwks.json").send().await;
        let set: JwkSet = serde_json::from_value(answer.expect(200)).unwrap();
        let key = set.find(&decode_header(&ada.token).unwrap().kid.unwrap()).expect("the key is published");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["tidegate"]);
        validation.set_audience(&["tidegate"]);
        let token = decode::<Value>(&ada.token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();
        assert_eq!(token.claims["sub"], ada.id.as_str());
    }
    let other = app.beside(&["--secret", "another secret that is as long as the other"]).await;
    other.get(ME).bearer(&ada.token).send().await.expect(200);
    let token = other.log_in(&ada.email, &ada.id).await.token;
    assert_ne!(decode_header(&token).unwrap().kid, decode_header(&ada.token).unwrap().kid);
    // With a new secret a server must use its new key at once; the others read it as soon as they may.
    let known = async {
        while app.get(ME).bearer(&token).send().await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.expect("the other server learns of the key");
}
