//! Changed addresses.

use serde_json::json;

use super::{AUTH, ME};
use crate::support::{Answer, Person, TestApp};

async fn change(app: &TestApp, person: &Person, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    app.post(&format!("{AUTH}/email")).bearer(&person.token).json(&body).send().await
}

async fn confirm(app: &TestApp, token: &str) -> Answer {
    app.post(&format!("{AUTH}/email/confirm")).json(&json!({ "token": token })).send().await
}

#[tokio::test]
async fn an_address_changes_when_its_owner_confirms_it_and_the_old_one_is_told() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": ada.email })).send().await.expect(202);
    let sent_to_old = app.token(&ada.email, "reset").await;
    let wrong = change(&app, &ada, "ada@example.net", "wrong").await.expect_problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/password");
    change(&app, &ada, "ada@example.net", "an umbrella in march").await.expect(202);
    let token = app.token("ada@example.net", "email").await;
    app.log_in(&ada.email, &ada.id).await;

    let person = confirm(&app, &token).await.expect(200);
    assert_eq!((&person["id"], &person["email"]), (&json!(ada.id), &json!("ada@example.net")));
    confirm(&app, &token).await.expect_problem(400, "invalid-link");
    app.until_refused(ME, &ada.token).await;
    let login = json!({ "email": ada.email, "password": "an umbrella in march" });
    app.post(&format!("{AUTH}/login")).json(&login).send().await.expect_problem(401, "invalid-credentials");
    app.log_in("ada@example.net", &ada.id).await;
    let told = app.mails(&ada.email).await;
    assert!(told.last().is_some_and(|mail| mail.contains("ada@example.net")), "{told:?}");
    // Who reads the old mailbox can do nothing with links that were sent there.
    let body = json!({ "token": sent_to_old, "password": "an umbrella in april" });
    app.post(&format!("{AUTH}/reset")).json(&body).send().await.expect_problem(400, "invalid-link");
}

#[tokio::test]
async fn a_taken_address_is_not_given_away_and_its_owner_is_told() {
    let app = TestApp::spawn().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut answers = Vec::new();
    for email in [&bob.email, "free@example.org"] {
        let answer = change(&app, &ada, email, "an umbrella in march").await;
        answers.push((answer.status, answer.json()));
    }
    assert_eq!(answers[0], answers[1]);
    let told = app.mails(&bob.email).await;
    assert!(told.last().is_some_and(|mail| mail.starts_with("Somebody tried to use your e-mail address")), "{told:?}");
    assert!(app.links(&bob.email).await.iter().all(|link| !link.contains("/account/email")));
    // The address is taken between the mail and the use of its link.
    let token = app.token("free@example.org", "email").await;
    app.register("Eve", "free@example.org").await;
    confirm(&app, &token).await.expect_problem(409, "email-taken");
    app.get(ME).bearer(&ada.token).send().await.expect(200);
}

#[tokio::test]
async fn what_was_asked_for_before_a_new_password_brings_no_link_after_it() {
    let app = TestApp::spawn_with(&["--role", "api"]).await;
    let ada = app.person("ada").await;
    change(&app, &ada, "thief@example.org", "an umbrella in march").await.expect(202);
    app.post(&format!("{AUTH}/forgot")).json(&json!({ "email": ada.email })).send().await.expect(202);
    let body = json!({ "current": "an umbrella in march", "new": "an umbrella in april" });
    app.post(&format!("{AUTH}/password")).bearer(&ada.token).json(&body).send().await.expect(204);
    // Mail was slow, and goes out only now.
    let _worker = app.beside(&["--role", "worker"]).await;
    app.until(
        "the jobs are done",
        "select count(*) from kept_mail where subject like 'Your password has changed%'".to_owned(),
    )
    .await;
    assert_eq!(app.links("thief@example.org").await, [""; 0]);
    assert!(app.links(&ada.email).await.iter().all(|link| !link.contains("/account/reset")));
}
