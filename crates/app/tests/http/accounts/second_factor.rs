//! Second factors: one-time codes, recovery codes, and step-up.

use chrono::{DateTime, TimeDelta};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_kernel::Clock;
use tidegate_testing::TestClock;

use super::{AUTH, ME};
use crate::people::Person;
use crate::support::TestApp;

/// A server with a clock, and a person.
async fn scene() -> (std::sync::Arc<TestClock>, TestApp, Person) {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).expect("a time"));
    let app = TestApp::spawn_at(clock.clone()).await;
    let ada = app.person("ada").await;
    (clock, app, ada)
}

#[tokio::test]
async fn a_log_in_needs_a_code_of_the_app_and_each_counts_once() {
    let (clock, app, ada) = scene().await;
    let other = app.log_in(&ada.email, &ada.id).await;
    let phone = app.code_app(&ada).await;
    app.log_in(&ada.email, &ada.id).await;
    let wrong = app.confirm(&ada, &phone, "000000").await.expect_problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/code");
    let confirmed = app.confirm(&ada, &phone, &phone.code(clock.now())).await.expect(200);
    assert_eq!(confirmed["recovery_codes"].as_array().map(Vec::len), Some(10));
    app.until_refused(ME, &other.token).await;
    app.get(ME).bearer(&ada.token).send().await.expect(200);
    let mails = app.mails(&ada.email).await;
    assert!(mails.iter().any(|mail| mail.starts_with("A second factor was added")), "{mails:?}");

    let challenge = app.challenge(&ada.email).await;
    let used = phone.code(clock.now());
    app.answer_challenge(&challenge, &used).await.expect_problem(401, "invalid-code");
    clock.advance(TimeDelta::seconds(30));
    let code = phone.code(clock.now());
    // In parallel, with as many challenges, one gets in.
    let mut challenges = vec![challenge.clone()];
    for _ in 0..3 {
        challenges.push(app.challenge(&ada.email).await);
    }
    let answers = join_all(challenges.iter().map(|challenge| app.answer_challenge(challenge, &code))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let at = statuses.iter().position(|status| *status == 200).expect("one gets in");
    let token = answers[at].json()["access_token"].as_str().expect("a token").to_owned();
    app.get(ME).bearer(&token).send().await.expect(200);
    let again = app.answer_challenge(&challenges[at], &code).await;
    again.expect_problem(401, "invalid-challenge");
    let log = app.get(&format!("{AUTH}/log")).bearer(&token).send().await.expect(200);
    let created = log["items"].as_array().expect("items").iter().find(|item| item["action"] == "session.created");
    assert_eq!(created.expect("it is recorded")["details"]["methods"], json!(["password", "totp"]));
}

#[tokio::test]
async fn who_is_not_verified_adds_no_factor_that_would_shut_the_owner_of_the_address_out() {
    let app = TestApp::spawn().await;
    app.register("Bob", "bob@example.org").await;
    let stranger = app.log_in_as("bob@example.org").await;
    let add = app.post(&format!("{AUTH}/factors/totp")).bearer(&stranger.token).json(&json!({ "name": "phone" }));
    add.send().await.expect_problem(403, "email-unverified");
}

#[tokio::test]
async fn guesses_are_few() {
    let (clock, app, ada) = scene().await;
    let (phone, _) = app.second_factor(&ada, clock.now()).await;
    let challenge = app.challenge(&ada.email).await;
    for _ in 0..5 {
        app.answer_challenge(&challenge, "000000").await.expect_problem(401, "invalid-code");
    }
    clock.advance(TimeDelta::seconds(30));
    let code = phone.code(clock.now());
    app.answer_challenge(&challenge, &code).await.expect_problem(401, "invalid-challenge");
    let late = app.challenge(&ada.email).await;
    clock.advance(TimeDelta::minutes(5));
    app.answer_challenge(&late, &phone.code(clock.now())).await.expect_problem(401, "invalid-challenge");
    app.answer_challenge("tgc_nothing", &code).await.expect_problem(401, "invalid-challenge");

    // Across challenges an account has ten guesses in an hour.
    let limited = app.beside_at(clock.clone(), &["--rate-limit", "second-factor=10/1h"]).await;
    let mut refused = 0;
    for _ in 0..4 {
        let challenge = limited.challenge(&ada.email).await;
        for _ in 0..4 {
            refused += usize::from(limited.answer_challenge(&challenge, "000000").await.status == 429);
        }
    }
    assert_eq!(refused, 6);
}

#[tokio::test]
async fn a_recovery_code_counts_once_and_new_ones_void_the_old() {
    let (clock, app, ada) = scene().await;
    let (_, codes) = app.second_factor(&ada, clock.now()).await;
    let challenge = app.challenge(&ada.email).await;
    let typed = codes[0].to_uppercase().replace('-', " ");
    app.answer_challenge(&challenge, &typed).await.expect(200);
    let challenge = app.challenge(&ada.email).await;
    app.answer_challenge(&challenge, &codes[0]).await.expect_problem(401, "invalid-code");
    let parallel = [app.challenge(&ada.email).await, app.challenge(&ada.email).await];
    let answers = join_all(parallel.iter().map(|challenge| app.answer_challenge(challenge, &codes[1]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let factors = async || app.get(&format!("{AUTH}/factors")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(factors().await["recovery_codes_left"], 8);
    let renew = app.post(&format!("{AUTH}/factors/recovery-codes")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(factors().await["recovery_codes_left"], 10);
    let challenge = app.challenge(&ada.email).await;
    app.answer_challenge(&challenge, &codes[2]).await.expect_problem(401, "invalid-code");
    let fresh = renew["recovery_codes"][0].as_str().expect("a code");
    app.answer_challenge(&challenge, fresh).await.expect(200);
    // No code is in the database as it is.
    let stored = app.database.texts("select encode(digest, 'escape') from recovery_code".to_owned()).await;
    for code in renew["recovery_codes"].as_array().expect("codes").iter().filter_map(Value::as_str) {
        assert!(stored.iter().all(|digest| !digest.contains(&code.replace('-', ""))));
    }
}

#[tokio::test]
async fn neither_a_reset_nor_a_new_address_leads_around_the_second_factor() {
    let (clock, app, ada) = scene().await;
    app.second_factor(&ada, clock.now()).await;
    let waiting = app.challenge(&ada.email).await;
    app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": ada.email })).send().await.expect(202);
    let body = json!({ "token": app.token(&ada.email, "reset").await, "password": "an umbrella in april" });
    app.post(&format!("{AUTH}/reset")).json(&body).send().await.expect(204);
    let login = json!({ "email": ada.email, "password": "an umbrella in april" });
    let answer = app.post(&format!("{AUTH}/login")).json(&login).send().await;
    let problem = answer.expect_problem(401, "second-factor-required");
    assert_eq!((&problem["factors"], &problem["expires_in"]), (&json!(["totp"]), &json!(300)));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(problem.get("access_token").is_none());
    // What waited for a code of whoever knew the old password is over.
    app.answer_challenge(&waiting, "000000").await.expect_problem(401, "invalid-challenge");
}

#[tokio::test]
async fn what_cannot_be_undone_needs_a_recent_proof() {
    let (clock, app, ada) = scene().await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    let delete = async |token: &str| app.request(Method::DELETE, &path).bearer(token).send().await;
    let step_up = async |body: Value| app.post(&format!("{AUTH}/step-up")).bearer(&ada.token).json(&body).send().await;
    clock.advance(TimeDelta::minutes(6));
    let answer = delete(&ada.token).await;
    answer.expect_problem(401, "step-up-required");
    assert!(answer.header("www-authenticate").contains("insufficient_user_authentication"));
    app.get(&path).bearer(&ada.token).send().await.expect(200);
    let factors = app.post(&format!("{AUTH}/factors/totp")).bearer(&ada.token).json(&json!({ "name": "phone" }));
    factors.send().await.expect_problem(401, "step-up-required");
    for (body, pointer) in [
        (json!({ "password": "wrong" }), "/password"),
        (json!({ "code": "000000" }), "/code"),
        (json!({}), ""),
        (json!({ "password": "an umbrella in march", "code": "000000" }), ""),
    ] {
        let problem = step_up(body.clone()).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    step_up(json!({ "password": "an umbrella in march" })).await.expect(204);
    let (phone, _) = app.second_factor(&ada, clock.now()).await;

    // With a second factor the password alone is not enough any more.
    clock.advance(TimeDelta::minutes(6));
    let problem = step_up(json!({ "password": "an umbrella in march" })).await.expect_problem(422, "invalid");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("`code`")), "{problem}");
    let removal = format!("{AUTH}/factors/{}", phone.factor);
    let remove = async || app.request(Method::DELETE, &removal).bearer(&ada.token).send().await;
    remove().await.expect_problem(401, "step-up-required");
    step_up(json!({ "code": phone.code(clock.now()) })).await.expect(204);
    remove().await.expect(204);
    remove().await.expect_problem(404, "not-found");
    let left = app.get(&format!("{AUTH}/factors")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(left, json!({ "items": [], "recovery_codes_left": 0 }));
    app.log_in(&ada.email, &ada.id).await;
    delete(&ada.token).await.expect(202);
}

#[tokio::test]
async fn factors_outlive_a_change_of_the_secret_that_names_the_old_one() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let now = tidegate::system::environment().now();
    let (_, codes) = app.second_factor(&ada, now).await;
    let (old, new) = ("a secret for tests that is long enough", "another secret that is as long as the other");
    let changed = app.beside(&["--secret", new, "--previous-secret", old]).await;
    let challenge = changed.challenge(&ada.email).await;
    changed.answer_challenge(&challenge, &codes[0]).await.expect(200);
    let forgetful = app.beside(&["--secret", new]).await;
    let challenge = forgetful.challenge(&ada.email).await;
    forgetful.answer_challenge(&challenge, &codes[1]).await.expect_problem(401, "invalid-code");
}
