//! Mails that a server sends.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn whoever_registers_with_a_taken_address_hears_nothing_and_its_owner_gets_a_mail() {
    let app = TestApp::spawn().await;
    app.register("Ada", "ada@example.org").await;
    let ada = app.log_in_as("ada@example.org").await;
    app.until_quiet().await;
    let again = json!({ "email": "ADA@example.org", "password": "an umbrella in april", "name": "Eve" });
    let new = json!({ "email": "eve@example.org", "password": "an umbrella in april", "name": "Eve" });
    let mut answers = Vec::new();
    for body in [again, new] {
        let answer = app.post("/api/v1/auth/register").header("x-request-id", "same").json(&body).send().await;
        answers.push((answer.status, answer.bytes));
    }
    assert_eq!(answers[0], answers[1]);
    let pages = async |recipient: &str| {
        let links = app.links(recipient).await.into_iter();
        links.map(|link| link.split_once('#').expect("it has a token").0.to_owned()).collect::<Vec<_>>()
    };
    let page = |name: &str| format!("{}/account/{name}", app.base);
    assert_eq!(pages(&ada.email).await, [page("verify"), page("reset")]);
    assert_eq!(pages("eve@example.org").await, [page("verify")]);
    let logged = app.get("/api/v1/auth/log").bearer(&ada.token).send().await.expect(200);
    assert_eq!(logged["items"][0]["action"], "account.registration_refused");
    app.log_in(&ada.email, &ada.id).await;
}

#[tokio::test]
async fn a_served_database_shows_no_mails() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/dev/mail").send().await.expect_problem(404, "not-found");
}
