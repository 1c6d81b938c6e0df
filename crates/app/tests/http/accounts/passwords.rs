//! Forgotten and changed passwords, and hashes of other systems.

use serde_json::{Value, json};

use super::{AUTH, ME};
use crate::support::TestApp;

async fn log_in(app: &TestApp, email: &str, password: &str) -> crate::support::Answer {
    app.post(&format!("{AUTH}/login")).json(&json!({ "email": email, "password": password })).send().await
}

async fn reset(app: &TestApp, token: &str, password: &str) -> crate::support::Answer {
    app.post(&format!("{AUTH}/reset")).json(&json!({ "token": token, "password": password })).send().await
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_link_and_everybody_is_logged_out() {
    let app = TestApp::spawn().await;
    let beside = app.beside(&[]).await;
    let ada = app.person("ada").await;
    beside.get(ME).bearer(&ada.token).send().await.expect(200);
    let mut answers = Vec::new();
    for email in [&ada.email, "nobody@example.org"] {
        let forgot =
            app.post(&format!("{AUTH}/forgot")).header("x-request-id", "same").json(&json!({ "email": email }));
        let answer = forgot.send().await;
        answers.push((answer.status, answer.bytes));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(app.mails("nobody@example.org").await.len(), 0);
    let token = app.token(&ada.email, "reset").await;
    let weak = reset(&app, &token, "password123").await.expect_problem(422, "invalid");
    assert_eq!(weak["errors"][0]["pointer"], "/password");
    reset(&app, &token, "an umbrella in april").await.expect(204);
    reset(&app, &token, "an umbrella in may").await.expect_problem(400, "invalid-link");
    for server in [&app, &beside] {
        server.until_refused(ME, &ada.token).await;
        let refreshed = json!({ "refresh_token": ada.refresh_token });
        let refused = server.post(&format!("{AUTH}/refresh")).json(&refreshed).send().await;
        refused.expect_problem(401, "invalid-refresh-token");
    }
    log_in(&app, &ada.email, "an umbrella in march").await.expect_problem(401, "invalid-credentials");
    log_in(&app, &ada.email, "an umbrella in april").await.expect(200);
    let mails = app.mails(&ada.email).await;
    assert!(mails.last().is_some_and(|mail| mail.starts_with("Your password has changed")), "{mails:?}");
}

#[tokio::test]
async fn of_several_links_used_at_once_one_sets_the_password() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    for _ in 0..3 {
        app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": ada.email })).send().await.expect(202);
    }
    let links = app.links(&ada.email).await;
    let tokens: Vec<&str> = links.iter().filter_map(|link| Some(link.split_once("/account/reset#")?.1)).collect();
    assert_eq!(tokens.len(), 3);
    let all = tokens.iter().map(|token| reset(&app, token, "an umbrella in april"));
    let statuses: Vec<u16> = futures::future::join_all(all).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 2, "{statuses:?}");
}

#[tokio::test]
async fn a_changed_password_logs_out_all_others_and_voids_links() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let other = app.log_in(&ada.email, &ada.id).await;
    app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": ada.email })).send().await.expect(202);
    let token = app.token(&ada.email, "reset").await;
    let change = async |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        app.post(&format!("{AUTH}/password")).bearer(&ada.token).json(&body).send().await
    };
    for (current, new, pointer) in
        [("wrong", "an umbrella in april", "/current"), ("an umbrella in march", "password12", "/new")]
    {
        let problem = change(current, new).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    app.get(ME).bearer(&other.token).send().await.expect(200);
    change("an umbrella in march", "an umbrella in april").await.expect(204);
    app.until_refused(ME, &other.token).await;
    app.get(ME).bearer(&ada.token).send().await.expect(200);
    reset(&app, &token, "an umbrella in may").await.expect_problem(400, "invalid-link");
    log_in(&app, &ada.email, "an umbrella in april").await.expect(200);
    let log: Value = app.get(&format!("{AUTH}/log")).bearer(&ada.token).send().await.expect(200);
    let actions: Vec<&str> =
        log["items"].as_array().expect("items").iter().filter_map(|item| item["action"].as_str()).collect();
    assert_eq!(actions[..2], ["session.created", "password.changed"], "{actions:?}");
}

#[tokio::test]
async fn a_hash_of_another_system_is_renewed_at_the_next_log_in() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    for hash in [
        "$2b$05$45XjaZcKMI1l92FjteZjaueUwmqkQY1ZxOo0NJtBkYzdNqdlKg3QG",
        "pbkdf2_sha256$1000$q8Zk3fQ1$3lLNJiPetJOOXxs7/M2ytZZd0sPXcMH2BCrxKd9RtZg=",
    ] {
        app.database.run(format!("update person set password_hash = '{hash}'")).await;
        let stored = async || app.database.texts("select password_hash from person".to_owned()).await;
        log_in(&app, &ada.email, "an umbrella in april").await.expect_problem(401, "invalid-credentials");
        assert_eq!(stored().await, [hash], "a wrong password changes nothing");
        log_in(&app, &ada.email, "an umbrella in march").await.expect(200);
        let renewed = stored().await;
        assert!(renewed[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed:?}");
        log_in(&app, &ada.email, "an umbrella in march").await.expect(200);
    }
}
