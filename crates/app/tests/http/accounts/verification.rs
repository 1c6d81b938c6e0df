//! Registration and the verification of an address.

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde_json::json;
use tidegate_testing::TestClock;

use super::{AUTH, ME};
use crate::support::TestApp;

#[tokio::test]
async fn a_link_verifies_an_address_once_and_only_by_post() {
    let app = TestApp::spawn().await;
    app.register("Ada", "Ada@Example.org").await;
    let ada = app.log_in_as("ada@example.org").await;
    let verified = async || app.get(ME).bearer(&ada.token).send().await.expect(200)["email_verified"] == true;
    app.post(&format!("{AUTH}/verify/resend")).json(&json!({ "email": ada.email })).send().await.expect(202);
    let links = app.links("Ada@Example.org").await;
    assert_eq!(links.len(), 2, "one of the registration, one that was asked for");

    // Scanners of mails follow links with GET and HEAD, and a browser does not send what comes after #.
    for link in &links {
        let (page, token) = link.split_once('#').expect("the token is in the fragment");
        let path = page.strip_prefix(&app.base).expect("the origin is the server's own");
        for method in [Method::GET, Method::HEAD] {
            let answer = app.request(method, path).send().await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("cache-control"), "no-cache");
            assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
        }
        app.get(&format!("{AUTH}/verify?token={token}")).send().await.expect_problem(405, "method-not-allowed");
    }
    assert!(!verified().await);

    let verify = async |link: &str| {
        let token = link.split_once('#').expect("the token is in the fragment").1;
        app.post(&format!("{AUTH}/verify")).json(&json!({ "token": token })).send().await
    };
    for link in &links {
        let told = json!({ "token": link.split_once('#').expect("the token").1, "password": "an umbrella in april" });
        let other = app.post(&format!("{AUTH}/reset")).json(&told).send().await;
        other.expect_problem(400, "invalid-link");
    }
    let person = verify(&links[0]).await.expect(200);
    assert_eq!((&person["id"], &person["email_verified"]), (&json!(ada.id), &json!(true)));
    let known = async {
        while !verified().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), known).await.expect("the session learns of it");
    for link in &links {
        verify(link).await.expect_problem(400, "invalid-link");
    }
    app.post(&format!("{AUTH}/verify/resend")).json(&json!({ "email": ada.email })).send().await.expect(202);
    assert_eq!(app.links("Ada@Example.org").await.len(), 2, "who is verified gets no other link");
}

#[tokio::test]
async fn a_link_ends_with_its_time() {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    let app = TestApp::spawn_at(clock.clone()).await;
    app.register("Ada", "ada@example.org").await;
    let token = app.token("ada@example.org", "verify").await;
    clock.advance(TimeDelta::days(3));
    let body = json!({ "token": token });
    app.post(&format!("{AUTH}/verify")).json(&body).send().await.expect_problem(400, "invalid-link");
}

#[tokio::test]
async fn the_origin_of_links_is_a_setting_and_never_a_header() {
    let app = TestApp::spawn_with(&["--public-url", "https://tidegate.example.org/"]).await;
    let new = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada" });
    let request = app.post(&format!("{AUTH}/register")).json(&new);
    let request = request.header("host", "evil.example").header("x-forwarded-host", "evil.example");
    request.header("forwarded", "host=evil.example").send().await.expect(202);
    let links = app.links("ada@example.org").await;
    assert!(links[0].starts_with("https://tidegate.example.org/account/verify#tgl_"), "{links:?}");
    let token = app.log_in_as("ada@example.org").await.token;
    let claims = token.split('.').nth(1).expect("a payload");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!((&claims["iss"], &claims["aud"]), (&claims["aud"], &json!("https://tidegate.example.org")));
    // A token of an installation with another address is refused, although the keys are the same.
    app.beside(&[]).await.get(ME).bearer(&token).send().await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn who_is_not_verified_buys_nothing() {
    let app = TestApp::spawn().await;
    app.register("Ada", "ada@example.org").await;
    let ada = app.log_in_as("ada@example.org").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/subscription");
    let buy = async || {
        app.request(Method::PUT, &path)
            .bearer(&ada.token)
            .json(&json!({ "plan": "starter", "interval": "month", "currency": "EUR" }))
            .send()
            .await
    };
    let refused = buy().await.expect_problem(403, "forbidden");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("verified")), "{refused}");
    let (_, key) = app.api_key(&ada, &workspace, &["billing:read"]).await;
    app.get(&path).bearer(&key).send().await.expect(200);
    let body = json!({ "token": app.token("ada@example.org", "verify").await });
    app.post(&format!("{AUTH}/verify")).json(&body).send().await.expect(200);
    let allowed = async {
        while buy().await.status == 403 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), allowed).await.expect("now it is allowed");
}

#[tokio::test]
async fn addresses_that_only_look_like_another_reach_nobody() {
    let app = TestApp::spawn().await;
    let kate = app.person("kate").await;
    for variant in ["\u{212a}ate@example.org", "ｋate@example.org"] {
        let new = json!({ "email": variant, "password": "an umbrella in april", "name": "Eve" });
        let problem = app.post(&format!("{AUTH}/register")).json(&new).send().await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/email");
        let login = json!({ "email": variant, "password": "an umbrella in march" });
        let refused = app.post(&format!("{AUTH}/login")).json(&login).send().await;
        refused.expect_problem(401, "invalid-credentials");
    }
    // In another case or another normalization form it is the same address, and mail goes to it as it was registered.
    app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": "KATE@EXAMPLE.ORG" })).send().await.expect(202);
    assert_eq!(app.mails("KATE@EXAMPLE.ORG").await.len(), 0);
    let links = app.links(&kate.email).await;
    assert_eq!(links.iter().filter(|link| link.contains("/account/reset#")).count(), 1, "{links:?}");
}
